//! What people are told of the record: which changes are worth a message, how many of them share
//! one, and what it says.

mod kind;

mod template;

#[cfg(test)]
mod tests;

mod words;

use std::collections::HashMap;

use serde::Serialize;

use super::action::{HoldWhy, State};
use super::audit::{Actor, Change, What};
use super::breaker::Breaker;
use super::ids::{ActionId, EffectKey, TenantName};
use super::scope::Scope;
use super::time::Wall;

pub use kind::{Kind, Severity};
pub use template::{Fill, Template, TemplateError};

/// One change that people are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub kind: Kind,
    pub tenant: Option<TenantName>,
    /// What shares a message with others of its kind and tenant: the reason of a hold, a scope, a
    /// code. Empty where all of a kind do.
    pub about: String,
    /// What the first of a message adds: an error text, a reason, who did it.
    pub detail: String,
    pub action: Option<ActionId>,
    pub key: Option<EffectKey>,
    /// The rest of the command that goes on from it, where the kind alone does not say.
    pub option: String,
    /// By the stop file, which no command takes away.
    pub by_file: bool,
    pub at: Wall,
}

impl Notice {
    /// `None` where nobody is told of such a change. `key` is the file and machine of its action,
    /// where it has one.
    pub fn of(change: &Change, key: Option<&EffectKey>) -> Option<Self> {
        let mut notice = Self {
            kind: Kind::Held,
            tenant: change.tenant.clone(),
            about: String::new(),
            detail: words::brief(&change.reason),
            action: None,
            key: key.cloned(),
            option: String::new(),
            by_file: false,
            at: change.at,
        };
        notice.kind = match &change.what {
            What::Created { action, state } | What::Moved { action, to: state, .. } => {
                notice.action = Some(*action);
                notice.state(state)?
            }
            What::Paused { scope } => notice.done_to(scope, &change.actor, Kind::Paused),
            What::Resumed { scope } => notice.done_to(scope, &change.actor, Kind::Resumed),
            What::Recalled { sha1 } => {
                notice.done_to(&Scope::Sha1(*sha1), &change.actor, Kind::Recalled)
            }
            What::Tripped { breaker, scope } => notice.tripped(*breaker, scope),
            What::Anchored { heads } => {
                notice.detail = words::heads(heads);
                Kind::Anchor
            }
            What::StopFile { there } => {
                notice.about = Scope::All.to_string();
                notice.detail = "by the file STOP in the data directory".to_owned();
                notice.by_file = *there;
                if *there { Kind::Paused } else { Kind::Resumed }
            }
            What::RulesLoaded { hash, rules, .. } => notice.loaded(hash, *rules),
            What::RulesRefused { dir } => notice.refused(dir),
            What::SignInRefused { from, times } => {
                notice.detail = format!("{times} from {}", words::brief(from));
                Kind::SignInRefused
            }
            What::SourceSilent { source } => {
                notice.about.clone_from(source);
                Kind::SourceSilent
            }
            What::SourceHeard { source } => {
                notice.about.clone_from(source);
                Kind::SourceHeard
            }
            What::CredentialExpiring { expires } => {
                notice.detail = expires.to_string();
                Kind::CredentialExpiring
            }
            What::Started { version, mode } => {
                notice.detail = format!("version {version}, mode {mode}");
                Kind::Started
            }
            What::Stopped => Kind::Stopped,
            What::ClassRaised { .. }
            | What::DuplicateLinked { .. }
            | What::Approved { .. }
            | What::CancelAsked { .. }
            | What::CancelAnswered { .. }
            | What::Progressed { .. }
            | What::ConfigLoaded { .. }
            | What::SignedIn { .. } => return None,
        };
        Some(notice)
    }

    fn loaded(&mut self, hash: &str, rules: usize) -> Kind {
        let rules = if rules == 1 { "1 rule".to_owned() } else { format!("{rules} rules") };
        self.detail = format!("{rules}, {}", words::brief(hash));
        Kind::RulesLoaded
    }

    fn refused(&mut self, dir: &str) -> Kind {
        self.option = format!(" {}", words::brief(dir));
        Kind::RulesRefused
    }

    fn tripped(&mut self, breaker: Breaker, scope: &Scope) -> Kind {
        self.about = format!("{breaker} has tripped and holds {scope}");
        self.option = scope.option();
        // The command stands in the message by itself.
        let what = self.detail.split("; to go on: ").next().unwrap_or_default();
        self.detail = what.to_owned();
        Kind::Breaker
    }

    /// Of a scope, by somebody, for a reason.
    fn done_to(&mut self, scope: &Scope, by: &Actor, kind: Kind) -> Kind {
        let by = match by {
            Actor::Lazaret => "lazaret",
            Actor::Person(name) => name,
        };
        self.about = scope.to_string();
        self.option = scope.option();
        self.detail = format!("by {by}: {}", self.detail);
        kind
    }

    fn state(&mut self, state: &State) -> Option<Kind> {
        Some(match state {
            State::Held { why, .. } => {
                self.about = words::brief(&why.to_string());
                match why {
                    HoldWhy::Protection { .. } => Kind::ProtectionUnknown,
                    _ => Kind::Held,
                }
            }
            State::Failed { error } => {
                self.detail = words::brief(error);
                Kind::Failed
            }
            State::Refused { code } => {
                self.about = words::brief(code);
                Kind::Refused
            }
            State::GaveUp { why } => {
                self.detail = words::brief(why);
                Kind::GaveUp
            }
            State::TimedOut { error } => {
                self.detail = words::brief(error);
                Kind::TimedOut
            }
            State::Cancelled { why } => {
                self.detail = words::brief(why);
                Kind::Cancelled
            }
            State::Expired => Kind::Expired,
            State::Queued { .. }
            | State::InFlight { .. }
            | State::InDoubt { .. }
            | State::Accepted { .. }
            | State::Succeeded { .. }
            | State::Rejected { .. } => return None,
        })
    }
}

/// Examples in one message.
const EXAMPLES: usize = 10;

/// Messages that one batch comes to at most: a storm of reasons is no storm of messages.
const MESSAGES: usize = 5;

/// Groups that one batch tells apart. Beyond, those of a kind and tenant share one.
const GROUPS: usize = 200;

/// What a digest lists of what it stands for.
const PARTS: usize = 20;

/// An action that a message names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    pub action: ActionId,
    #[serde(flatten)]
    pub key: Option<EffectKey>,
}

/// One message, as a receiver gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Where its first change stands in the record: what its id is made of.
    #[serde(skip)]
    pub position: i64,
    pub kind: Kind,
    pub severity: Severity,
    pub tenant: Option<TenantName>,
    /// How many changes it tells of.
    pub count: u64,
    pub first: Wall,
    pub last: Wall,
    /// One plain sentence, with the command that goes on from it.
    pub summary: String,
    /// That command alone.
    pub next: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// Of a digest: the first sentences that it stands for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

impl Message {
    /// What `lazaret notify test` sends.
    pub fn test(at: Wall) -> Self {
        Self {
            position: 0,
            kind: Kind::Test,
            severity: Severity::Info,
            tenant: None,
            count: 1,
            first: at,
            last: at,
            summary: "this is a test of lazaret's messages; lazaret status".to_owned(),
            next: "lazaret status".to_owned(),
            examples: Vec::new(),
            parts: Vec::new(),
        }
    }
}

/// Notices of one kind, tenant and reason.
#[derive(Clone, Debug)]
struct Group {
    position: i64,
    first: Notice,
    count: u64,
    last: Wall,
    examples: Vec<Example>,
}

/// A run of notices on its way to becoming messages: the same run gives the same messages.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    groups: Vec<Group>,
    by_key: HashMap<(Kind, Option<TenantName>, String), usize>,
}

impl Batch {
    /// Takes the notice of the change at this position; positions rise.
    pub fn add(&mut self, position: i64, mut notice: Notice) {
        let mut key = (notice.kind, notice.tenant.clone(), notice.about.clone());
        if self.groups.len() >= GROUPS && !self.by_key.contains_key(&key) {
            notice.about = "various reasons".to_owned();
            key.2.clone_from(&notice.about);
        }
        let at = *self.by_key.entry(key).or_insert(self.groups.len());
        if at == self.groups.len() {
            let (first, last) = (notice.clone(), notice.at);
            self.groups.push(Group { position, first, count: 0, last, examples: Vec::new() });
        }
        let group = &mut self.groups[at];
        group.count += 1;
        group.last = group.last.max(notice.at);
        if let Some(action) = notice.action
            && group.examples.len() < EXAMPLES
        {
            group.examples.push(Example { action, key: notice.key });
        }
    }

    /// In the order of their first change; at most a handful, the last of which then stands for
    /// the rest.
    pub fn messages(self) -> Vec<Message> {
        let mut messages: Vec<_> = self.groups.into_iter().map(Group::message).collect();
        if messages.len() > MESSAGES {
            let rest = messages.split_off(MESSAGES - 1);
            messages.push(words::digest(&rest));
        }
        messages
    }
}

impl Group {
    fn message(self) -> Message {
        let next = words::next(&self.first);
        Message {
            position: self.position,
            kind: self.first.kind,
            severity: self.first.kind.severity(),
            summary: format!("{}; {next}", words::sentence(&self.first, self.count)),
            next,
            count: self.count,
            first: self.first.at,
            last: self.last,
            tenant: self.first.tenant,
            examples: self.examples,
            parts: Vec::new(),
        }
    }
}
