//! The sentences of messages, and the commands that go on from them.

use super::{Kind, Message, Notice, PARTS, Severity};
use crate::domain::audit::Head;
use crate::domain::rule::harmless;

/// Characters of a text from elsewhere that a message repeats.
const BRIEF_CHARS: usize = 300;

/// Its first line, bounded, and without what could steer a terminal.
pub(super) fn brief(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(BRIEF_CHARS).map(harmless).collect()
}

/// `475 actions of tenant contoso are held: breaker …`, without a full stop.
pub(super) fn sentence(first: &Notice, count: u64) -> String {
    let Notice { kind, about, detail, tenant, .. } = first;
    let of = tenant.as_ref().map(|tenant| format!(" of tenant {tenant}")).unwrap_or_default();
    let actions = match count {
        1 => format!("1 action{of}"),
        _ => format!("{count} actions{of}"),
    };
    let (is, was) = if count == 1 { ("is", "was") } else { ("are", "were") };
    let times = if count == 1 { String::new() } else { format!(" ({count} times)") };
    let first = |text: &str| match (count, text) {
        (_, "") => String::new(),
        (1, text) => format!(": {text}"),
        (_, text) => format!("; the first: {text}"),
    };
    match kind {
        Kind::Held | Kind::ProtectionUnknown => format!("{actions} {is} held: {about}"),
        Kind::Breaker => format!("breaker {about}{of}{times}{}", first(detail)),
        Kind::Paused => format!("{about} is paused{times} {detail}"),
        Kind::Resumed => format!("{about} is resumed{times} {detail}"),
        Kind::Recalled => format!("{about} is recalled{times} {detail}"),
        Kind::Refused => format!("Defender refused {actions}: {about}"),
        Kind::Failed => format!("{actions} failed on the machine{}", first(detail)),
        Kind::TimedOut => format!("{actions} timed out at Defender{}", first(detail)),
        Kind::GaveUp => format!("{actions} {was} given up{}", first(detail)),
        Kind::Cancelled => format!("{actions} {was} cancelled at Defender{}", first(detail)),
        Kind::Expired => format!("{actions} expired before being sent"),
        Kind::SourceSilent => format!("source {about} is silent{times}{}", first(detail)),
        Kind::SourceHeard => format!("source {about} is heard again{times}"),
        Kind::CredentialExpiring => format!("the credential{of} expires at {detail}"),
        Kind::RulesRefused => {
            format!("new rules are refused, the ones before stay in force{times}{}", first(detail))
        }
        Kind::RulesLoaded => format!("new rules are in force{times}{}", first(detail)),
        Kind::SignInRefused => format!("sign-ins are refused{times}{}", first(detail)),
        Kind::Started => format!("lazaret has started{times}: {detail}"),
        Kind::Stopped => format!("lazaret has stopped{times}"),
        Kind::Anchor => format!("heads of the record{times}: {detail}"),
        // Made as messages, never from notices.
        Kind::Digest | Kind::Test => about.clone(),
    }
}

/// Heads that a message carries; the log has all of them.
const HEADS: usize = 50;

/// As `lazaret audit verify --anchor` reads them.
pub(super) fn heads(heads: &[Head]) -> String {
    let one = |head: &Head| serde_json::to_string(head).unwrap_or_default();
    let shown: Vec<_> = heads.iter().take(HEADS).map(one).collect();
    let more = heads.len().saturating_sub(HEADS);
    let more = if more == 0 { String::new() } else { format!(" and {more} more in the log") };
    format!("{}{more}", shown.join(" "))
}

/// The command that goes on from it.
pub(super) fn next(first: &Notice) -> String {
    let tenant = first.tenant.as_ref().map(|t| format!(" --tenant {t}")).unwrap_or_default();
    match first.kind {
        Kind::Held | Kind::ProtectionUnknown => format!("lazaret actions list --held{tenant}"),
        Kind::Paused if first.by_file => "rm STOP, in the data directory".to_owned(),
        Kind::Breaker | Kind::Paused => format!("lazaret resume{} --reason TEXT", first.option),
        Kind::Refused
        | Kind::Failed
        | Kind::TimedOut
        | Kind::GaveUp
        | Kind::Cancelled
        | Kind::Expired => format!("lazaret actions list --state {}{tenant}", first.kind),
        Kind::SourceSilent | Kind::CredentialExpiring => "lazaret doctor".to_owned(),
        Kind::RulesRefused => format!("lazaret rules check{}", first.option),
        Kind::RulesLoaded => "lazaret rules list".to_owned(),
        Kind::Anchor => "lazaret audit verify --anchor FILE".to_owned(),
        Kind::Resumed
        | Kind::Recalled
        | Kind::SourceHeard
        | Kind::SignInRefused
        | Kind::Started
        | Kind::Stopped
        | Kind::Digest
        | Kind::Test => "lazaret status".to_owned(),
    }
}

/// One message for all of these, which are not none.
pub(super) fn digest(rest: &[Message]) -> Message {
    let first = rest.first().expect("a digest stands for some");
    let count = rest.iter().map(|message| message.count).sum();
    let next = "lazaret status".to_owned();
    let mut of_kind: Vec<(Kind, u64)> = Vec::new();
    for message in rest {
        match of_kind.iter_mut().find(|(kind, _)| *kind == message.kind) {
            Some((_, count)) => *count += message.count,
            None => of_kind.push((message.kind, message.count)),
        }
    }
    let kinds: Vec<_> = of_kind
        .iter()
        .map(|(kind, count)| format!("{count} {}", kind.as_str().replace('_', " ")))
        .collect();
    let same = |other: &Message| other.tenant == first.tenant;
    Message {
        position: first.position,
        kind: Kind::Digest,
        severity: rest.iter().map(|message| message.severity).max().unwrap_or(Severity::Info),
        tenant: first.tenant.clone().filter(|_| rest.iter().all(same)),
        count,
        first: rest.iter().map(|message| message.first).min().unwrap_or(first.first),
        last: rest.iter().map(|message| message.last).max().unwrap_or(first.last),
        summary: format!(
            "{count} more changes for {} reasons: {}; {next}",
            rest.len(),
            kinds.join(", ")
        ),
        next,
        examples: Vec::new(),
        parts: rest.iter().take(PARTS).map(|message| message.summary.clone()).collect(),
    }
}
