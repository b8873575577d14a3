//! The `response` section: what a match leads to.

use std::ops::Range;
use std::time::Duration;

use super::notes::{Entries, Notes, find};
use super::on_end;
use super::suggest::{did_you_mean, no_field, quoted};
use super::yaml::{At, Node};
use crate::domain::action::{Approvals, Class, Endings, OnEnd};
use crate::domain::breaker::{Rate, RuleBreakers};
use crate::domain::candidate::Field;
use crate::domain::rule::{Deny, Mode, OnUnknown, Quarantine, Response, Template};
use crate::limits;

/// A comment, for messages.
const EXAMPLE: &str = "\"due to alert {{alert.id}}\"";

/// What `window` is where a rule does not say.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

pub(super) const KEYS: [&str; 10] = [
    "action",
    "comment",
    "mode",
    "unknown",
    "window",
    "priority",
    "approvals",
    "on_timed_out",
    "on_failed",
    "breakers",
];

/// Of them, those of a rule that denies.
const DENY_KEYS: [&str; 2] = ["action", "unknown"];

/// What `unknown` may be where a rule acts.
const UNKNOWN: [&str; 3] = ["enrich", "hold", "skip"];

/// Whether a rule's entries say `action: deny`, however wrong the rest is.
pub(super) fn denies(rule: &Entries) -> bool {
    let Some(Node::Map(response)) = find(rule, "response").map(|node| &node.value) else {
        return false;
    };
    matches!(find(response, "action").map(|node| &node.value), Some(Node::Text(t)) if t == "deny")
}

/// Whether a rule's entries say `unknown: enrich`.
pub(super) fn enriches(rule: &Entries) -> bool {
    let Some(Node::Map(response)) = find(rule, "response").map(|node| &node.value) else {
        return false;
    };
    let unknown = find(response, "unknown").map(|node| &node.value);
    matches!(unknown, Some(Node::Text(text)) if text == "enrich")
}

/// The mode of a rule whose entries say `mode: enforce`, and that does not deny.
pub(super) fn enforces(rule: &Entries) -> Option<&At<Node>> {
    let Node::Map(response) = &find(rule, "response")?.value else { return None };
    let mode = find(response, "mode")?;
    let enforces = matches!(&mode.value, Node::Text(text) if text == "enforce");
    (enforces && !denies(rule)).then_some(mode)
}

/// Reads the section. `None` comes with an error.
pub(super) fn read(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Response> {
    let denies = notes.denies;
    let entries = notes.entries(node, "response")?;
    let needless = entries.iter().filter(|(key, _)| {
        let key = key.value.as_str();
        denies && KEYS.contains(&key) && !DENY_KEYS.contains(&key)
    });
    let needless: Vec<&At<String>> = needless.map(|(key, _)| key).collect();
    if let [first, ..] = &needless[..] {
        let names: Vec<&str> = needless.iter().map(|key| key.value.as_str()).collect();
        let names = names.join(", no ");
        let why = format!("a rule that denies has no {names}: it makes no call; remove");
        let them = if needless.len() == 1 { "it" } else { "them" };
        notes.error(&first.place, format!("{why} {them}"));
    }
    for (key, _) in entries {
        match key.value.as_str() {
            "retry" => {
                let why = "retry stands under what it is an answer to: on_timed_out: {retry: 3}";
                notes.error(&key.place, format!("{why}, or on_failed: {{retry: 3}}"));
            }
            known if KEYS.contains(&known) => {}
            _ if denies => notes.unknown_key(key, "response", &DENY_KEYS),
            _ => {
                let known = KEYS.iter().filter(|key| !notes.correlates || **key != "unknown");
                let known: Vec<&str> = known.copied().collect();
                notes.unknown_key(key, "response", &known);
            }
        }
    }
    match find(entries, "action") {
        Some(action) => {
            let known = ["StopAndQuarantineFile", "deny"];
            let known = if notes.correlates { &known[..1] } else { &known };
            notes.one_of(action, "action", known);
        }
        None => {
            let why = "response has no action; write action: StopAndQuarantineFile, or deny";
            notes.error(&node.place, why);
        }
    }
    match denies {
        true => Some(Response::Deny(read_deny(notes, entries))),
        false => read_quarantine(notes, node, entries).map(Response::Quarantine),
    }
}

fn read_deny(notes: &mut Notes<'_>, entries: &Entries) -> Deny {
    let unknown = find(entries, "unknown");
    let word = unknown.and_then(|n| notes.one_of(n, "unknown", &["hold", "ignore"]));
    if let (Some(node), Some("ignore")) = (unknown, word) {
        notes.warning(&node.place, "where a field is unknown this protects nothing");
    }
    Deny { holds_unknown: word != Some("ignore") }
}

fn read_quarantine(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    entries: &Entries,
) -> Option<Quarantine> {
    let comment = match find(entries, "comment") {
        Some(comment) => read_comment(notes, comment),
        None => {
            let why = "response has no comment; Defender wants one with each call, such as";
            notes.error(&node.place, format!("{why} comment: {EXAMPLE}"));
            None
        }
    };
    let modes = ["observe", "approve", "enforce"];
    let mode = find(entries, "mode").and_then(|n| notes.one_of(n, "mode", &modes));
    let unknown = find(entries, "unknown").and_then(|n| notes.one_of(n, "unknown", &UNKNOWN));
    let window = find(entries, "window").map(|n| read_window(notes, n));
    let priorities = ["urgent", "normal", "bulk"];
    let priority = find(entries, "priority").and_then(|n| notes.one_of(n, "priority", &priorities));
    let approvals = find(entries, "approvals").map(|n| read_approvals(notes, n));
    if let (Some(node), Some("enforce")) = (find(entries, "approvals"), mode) {
        let why =
            "in mode enforce nothing waits for these: they count for what something else holds";
        notes.warning(&node.place, format!("{why}; mode: approve asks for them each time"));
    }
    let mut ending =
        |key| find(entries, key).map_or(OnEnd::GiveUp, |n| on_end::read(notes, n, key));
    let endings = Endings { timed_out: ending("on_timed_out"), failed: ending("on_failed") };
    let breakers = find(entries, "breakers").map(|n| read_breakers(notes, n));
    Some(Quarantine {
        mode: match mode {
            Some("enforce") => Mode::Enforce,
            Some("approve") => Mode::Approve,
            _ => Mode::Observe,
        },
        unknown: match unknown {
            Some("enrich") => OnUnknown::Enrich,
            Some("skip") => OnUnknown::Skip,
            _ => OnUnknown::Hold,
        },
        window: window.unwrap_or(Some(WINDOW))?,
        priority: priority.map(|word| match word {
            "urgent" => Class::Urgent,
            "normal" => Class::Normal,
            _ => Class::Bulk,
        }),
        comment: comment?,
        approvals: approvals.unwrap_or_default(),
        endings,
        breakers: breakers.unwrap_or_default(),
    })
}

/// Two people are two people: where two have to say yes, four eyes is what is meant.
fn read_approvals(notes: &mut Notes<'_>, node: &At<Node>) -> Approvals {
    let mut approvals = Approvals::default();
    let mut four_eyes = None;
    if !matches!(node.value, Node::Map(_)) {
        let why = "approvals is written as {count: 2}: how many people have to say yes";
        notes.error(&node.place, why);
        return approvals;
    }
    for (key, value) in notes.entries(node, "approvals").unwrap_or_default() {
        match (key.value.as_str(), &value.value) {
            ("count", Node::Integer(1)) => approvals.count = 1,
            ("count", Node::Integer(2)) => approvals.count = 2,
            ("count", _) => notes.error(&value.place, "count is 1 or 2: how many people say yes"),
            ("four_eyes", Node::Bool(does)) => four_eyes = Some((*does, value)),
            ("four_eyes", _) => notes.error(&value.place, "four_eyes is true or false"),
            _ => notes.unknown_key(key, "approvals", &["count", "four_eyes"]),
        }
    }
    approvals.four_eyes = four_eyes.map_or(approvals.count == 2, |(does, _)| does);
    if let (2, Some((false, value))) = (approvals.count, four_eyes) {
        let why = "two people are two with a token each: four_eyes is true here; remove it";
        notes.error(&value.place, why);
    }
    approvals
}

fn read_breakers(notes: &mut Notes<'_>, node: &At<Node>) -> RuleBreakers {
    let mut breakers = RuleBreakers::default();
    for (key, value) in notes.entries(node, "breakers").unwrap_or_default() {
        let rate = match key.value.as_str() {
            "machines_per_file" => &mut breakers.machines_per_file,
            "actions" => &mut breakers.actions,
            _ => {
                notes.unknown_key(key, "breakers", &["machines_per_file", "actions"]);
                continue;
            }
        };
        let text = match &value.value {
            Node::Text(text) => text.clone(),
            Node::Integer(number) => number.to_string(),
            other => other.kind().to_owned(),
        };
        match Rate::parse(&text) {
            Some(read) => *rate = read,
            None => {
                let why = format!("{} is {}; write a number from 1 to", key.value, quoted(&text));
                let how = "1000000 and a time from 1m to 7d, such as 25/1h";
                notes.error(&value.place, format!("{why} {how}"));
            }
        }
    }
    breakers
}

fn read_comment(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Template> {
    let text = match &node.value {
        Node::Null => {
            let why = "comment is empty, and what follows # is none; write one, such as";
            notes.error(&node.place, format!("{why} {EXAMPLE}"));
            return None;
        }
        Node::Text(text) if text.trim().is_empty() => {
            let why = "comment is empty; Defender wants one with each call, such as";
            notes.error(&node.place, format!("{why} {EXAMPLE}"));
            return None;
        }
        _ => notes.text(node, "comment")?,
    };
    if let Some((at, why)) = placeholder(text) {
        let place = notes.part(&node.place, text, at);
        notes.error(&place, why);
        return None;
    }
    match Template::parse(text) {
        Ok(template) => {
            for field in template.fields() {
                if !notes.formats.given(field) && field.told_of().is_none() {
                    let name = field.name();
                    let at = text.find(name).unwrap_or(0);
                    let place = notes.part(&node.place, text, at..at + name.len());
                    let why = format!("no format of this version gives {name}; remove it");
                    notes.error(&place, why);
                }
            }
            let most = limits::COMMENT_BYTES;
            let fixed = template.fixed();
            if fixed > most {
                let why = format!("the comment has {fixed} bytes of its own");
                let how = format!("{most} are sent, with what the fields fill in; shorten it");
                notes.error(&node.place, format!("{why}, and {how}"));
            }
            Some(template)
        }
        Err(bad) => {
            let end = text[bad.at..].find("}}").map_or(bad.at + 2, |end| bad.at + end + 2);
            let place = notes.part(&node.place, text, bad.at..end.min(text.len()));
            let why = match &bad.unknown {
                Some(name) => no_field(name),
                None => format!("{bad}; write {EXAMPLE}"),
            };
            notes.error(&place, why);
            None
        }
    }
}

/// What other templates write for a field, and where: it would stay in the comment as it is.
fn placeholder(text: &str) -> Option<(Range<usize>, String)> {
    let opens = |at: usize| {
        let doubled = text[at..].starts_with("{{") || text[..at].ends_with('{');
        let end = match text[at..].chars().next()? {
            '{' if !doubled => '}',
            '%' => '%',
            '<' => '>',
            _ => return None,
        };
        let inside = &text[at + 1..];
        let name = &inside[..inside.find(end)?];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
        let fits = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_name);
        let near = did_you_mean(name, Field::ALL.iter().map(|field| field.name()));
        let is_field = Field::parse(name).is_some() || !near.is_empty();
        (fits && (end == '}' || is_field)).then(|| (at..at + name.len() + 2, name))
    };
    let mut starts = text.char_indices().map(|(at, _)| at);
    let (place, name) = starts.find_map(opens)?;
    let written = &text[place.clone()];
    Some((
        place,
        match Field::parse(name) {
            Some(_) => format!("{written} would stay as it is; write {{{{{name}}}}}"),
            None => format!("{written} would stay as it is; write a field, as {{{{alert.id}}}}"),
        },
    ))
}

/// A rule can't go without a window: deliveries come twice, and each would act again.
fn read_window(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Duration> {
    let days = limits::RULE_WINDOW.as_secs() / (24 * 3600);
    if let Node::Integer(number) = &node.value {
        let why = match number {
            0 => "window can't be 0, since an alert that comes twice would act twice".to_owned(),
            _ => format!("window is {number}, a number without its unit"),
        };
        let how =
            format!("write 1s to {days}d, such as 24h, which it is where a rule does not say");
        notes.error(&node.place, format!("{why}; {how}"));
        return None;
    }
    let text = notes.text(node, "window")?;
    let window = parse_duration(text);
    match window {
        Some(span) if !span.is_zero() && span <= limits::RULE_WINDOW => window,
        Some(_) => {
            let why = format!("window has to lie between 1s and {days}d");
            notes.error(&node.place, format!("{why}, such as 24h; it is {text}"));
            None
        }
        None => {
            let example = "write a number and s, m, h or d, such as 24h";
            let why = format!("window {} is no duration; {example}", quoted(text));
            notes.error(&node.place, why);
            None
        }
    }
}

pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let count: u64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(Duration::from_secs(count.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(parse_duration("30m"), Some(Duration::from_secs(1800)));
        assert_eq!(parse_duration("7d"), Some(Duration::from_secs(604_800)));
        for bad in ["", "h", "24", "1.5h", "-1h", "+1h", "1 h", "99999999999999999999h", "1é"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
