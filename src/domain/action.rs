//! An action: one thing to be done to one file on one machine, and the states it passes through.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{ActionId, AttemptId, EffectKey, MachineActionId};
use super::time::{Stamp, Wall};
use crate::limits;

mod head;
mod hold;
mod open;
mod outcome;

pub use head::{Depth, Head, Heads};
pub use hold::{Approvals, HoldWhy};
pub use open::{AttemptRow, Closed, OpenAction, Resumed};
pub use outcome::{Endings, OnEnd, Progress};

/// Which actions go first. Urgent is High and Critical severity, normal is Medium, bulk the rest;
/// a rule's `priority` overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Urgent,
    Normal,
    Bulk,
}

impl Class {
    pub const ALL: [Class; 3] = [Class::Urgent, Class::Normal, Class::Bulk];

    pub fn as_str(self) -> &'static str {
        match self {
            Class::Urgent => "urgent",
            Class::Normal => "normal",
            Class::Bulk => "bulk",
        }
    }

    /// As which class an action goes that has been in the queue since `queued`: it rises with its
    /// age, so that nothing waits for ever behind what is higher.
    pub fn aged(self, queued: Wall, now: Wall) -> Self {
        let rises = now.since(queued).as_secs() / limits::AGES_AFTER.as_secs();
        let rises = usize::try_from(rises).unwrap_or(usize::MAX);
        Self::ALL[(self as usize).saturating_sub(rises)]
    }

    pub fn of_severity(rank: i64) -> Self {
        match rank {
            4.. => Class::Urgent,
            3 => Class::Normal,
            _ => Class::Bulk,
        }
    }
}

/// Why an action is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// No answer that could be read: timeout, reset, 5xx, crash.
    NoAnswer,
    /// `400 ActiveRequestAlreadyExists`, answered at this time.
    ActiveRequest { answered: Wall },
}

/// Where an action stands. Each state carries only what that state has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    Held {
        why: HoldWhy,
        #[serde(default)]
        approvals: Approvals,
    },
    /// Waits for its turn, not before that time; `tries` counts calls that charged a try,
    /// `busy_since` is when another action was first found to hold the machine.
    Queued {
        not_before: Wall,
        tries: u32,
        busy_since: Option<Wall>,
    },
    InFlight {
        attempt: AttemptId,
        tries: u32,
        busy_since: Option<Wall>,
    },
    InDoubt {
        attempt: AttemptId,
        tries: u32,
        busy_since: Option<Wall>,
        doubt: Doubt,
    },
    /// Queued at Defender, which has not said yet how it ended.
    Accepted {
        machine_action: MachineActionId,
        since: Wall,
        #[serde(default, skip_serializing_if = "Progress::is_unsaid")]
        progress: Progress,
    },
    /// `completed` is Defender's own last-update time.
    Succeeded {
        completed: Wall,
    },
    /// `error` is what Defender says of it, never empty.
    Failed {
        error: String,
    },
    /// Defender waits no longer; `error` as for a failure.
    TimedOut {
        #[serde(default)]
        error: String,
    },
    /// Somebody cancelled it at Defender; `why` says who and what for, where Defender does.
    Cancelled {
        #[serde(default)]
        why: String,
    },
    /// Defender refused it for good, with this code.
    Refused {
        code: String,
    },
    /// A person said no, or a deny rule did: by whom, as it stands on the record.
    Rejected {
        by: String,
    },
    Expired,
    GaveUp {
        why: String,
    },
}

/// A state without what it carries: for rows, counters and queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    Held,
    Queued,
    InFlight,
    InDoubt,
    Accepted,
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    Refused,
    Rejected,
    Expired,
    GaveUp,
}

impl StateName {
    pub const ALL: [StateName; 13] = [
        StateName::Held,
        StateName::Queued,
        StateName::InFlight,
        StateName::InDoubt,
        StateName::Accepted,
        StateName::Succeeded,
        StateName::Failed,
        StateName::TimedOut,
        StateName::Cancelled,
        StateName::Refused,
        StateName::Rejected,
        StateName::Expired,
        StateName::GaveUp,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            StateName::Held => "held",
            StateName::Queued => "queued",
            StateName::InFlight => "in_flight",
            StateName::InDoubt => "in_doubt",
            StateName::Accepted => "accepted",
            StateName::Succeeded => "succeeded",
            StateName::Failed => "failed",
            StateName::TimedOut => "timed_out",
            StateName::Cancelled => "cancelled",
            StateName::Refused => "refused",
            StateName::Rejected => "rejected",
            StateName::Expired => "expired",
            StateName::GaveUp => "gave_up",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    pub fn is_open(self) -> bool {
        matches!(
            self,
            StateName::Held
                | StateName::Queued
                | StateName::InFlight
                | StateName::InDoubt
                | StateName::Accepted
        )
    }

    /// The transitions that exist. An ended action never changes.
    pub fn may_become(self, next: StateName) -> bool {
        use StateName::*;
        match self {
            Held => matches!(next, Queued | Rejected | Expired),
            Queued => matches!(next, InFlight | Held | Rejected | Expired),
            InFlight => matches!(next, Accepted | InDoubt | Queued | Refused | GaveUp),
            InDoubt => matches!(next, Accepted | Queued | GaveUp),
            Accepted => matches!(next, Succeeded | Failed | TimedOut | Cancelled | Queued),
            Succeeded | Failed | TimedOut | Cancelled | Refused | Rejected | Expired | GaveUp => {
                false
            }
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str().replace('_', " "))
    }
}

impl State {
    pub fn name(&self) -> StateName {
        match self {
            State::Held { .. } => StateName::Held,
            State::Queued { .. } => StateName::Queued,
            State::InFlight { .. } => StateName::InFlight,
            State::InDoubt { .. } => StateName::InDoubt,
            State::Accepted { .. } => StateName::Accepted,
            State::Succeeded { .. } => StateName::Succeeded,
            State::Failed { .. } => StateName::Failed,
            State::TimedOut { .. } => StateName::TimedOut,
            State::Cancelled { .. } => StateName::Cancelled,
            State::Refused { .. } => StateName::Refused,
            State::Rejected { .. } => StateName::Rejected,
            State::Expired => StateName::Expired,
            State::GaveUp { .. } => StateName::GaveUp,
        }
    }
}

/// A new action, as the decision makes it. Never changed afterwards; its state stands beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    pub id: ActionId,
    pub key: EffectKey,
    pub alert_id: String,
    /// As it goes on the wire: bounded, no control characters.
    pub comment: String,
    pub class: Class,
    pub created: Wall,
    /// Not sent, and not held for a person, past this time.
    pub expires: Wall,
    pub origin: Origin,
}

/// Everything that explains an action afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// All present fields as JSON; known-empty ones are `null`.
    pub candidate: String,
    /// Ids of the rules that matched; the first one decided.
    pub rules: Vec<String>,
    /// Content hash of the rule set that judged.
    pub ruleset: String,
    /// What those rules ask of people, whenever it is held.
    pub approvals: Approvals,
    /// What the rule that decided wants where Defender says that it was not done.
    pub endings: Endings,
    pub delivery: Coordinates,
    /// The alert's own bytes, for what did not come from Kafka.
    pub raw: Option<Arc<[u8]>>,
}

/// Where a delivery came from, so that it can be found again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "via", rename_all = "snake_case")]
pub enum Coordinates {
    /// `id` is the replay id, where the scheme has one.
    Webhook {
        source: String,
        id: Option<String>,
    },
    Kafka {
        source: String,
        topic: String,
        partition: i32,
        offset: i64,
    },
}

/// One HTTP call, as it is written before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAttempt {
    pub id: AttemptId,
    pub action: ActionId,
    pub written: Stamp,
    /// The sender writes nothing to the socket past this time.
    pub send_by: Stamp,
}

/// What goes on the wire: read back from the row, its checksum verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub key: EffectKey,
    pub comment: String,
}

/// How an attempt ended, for the limiter's log and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedAttempt {
    pub id: AttemptId,
    /// When the answer or the definite failure was seen; where none was, when we closed.
    pub closed: Stamp,
    /// Whether an answer or a definite failure was seen, so that the server has counted the call
    /// by then or never will. Without one it may count it up to 30 s later.
    pub answered: bool,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// One line for people: error code and text, or what went wrong.
    pub text: String,
}

impl ClosedAttempt {
    /// As a start finds it.
    pub fn kept(&self) -> Closed {
        Closed { at: self.closed, answered: self.answered, status: self.status }
    }
}

/// Whether an attempt may go on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Durable. The call is read back from the action's row.
    Written(Call),
    /// A pause covers everything of its tenant, for this reason; nothing was written.
    Paused(String),
    /// A pause of its rule, machine or file covers it; nothing was written.
    Aside,
    /// Judged again, it may not go on: it stands here now, and nothing was written.
    Stopped(StateName),
    /// Past the action's expiry; nothing was written.
    Expired,
    /// The action is not queued, or not yet due; nothing was written.
    NotQueued(StateName),
    /// The row's checksum does not verify; nothing was written.
    Corrupt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_action_never_changes() {
        for from in StateName::ALL.into_iter().filter(|s| !s.is_open()) {
            for to in StateName::ALL {
                assert!(!from.may_become(to), "{from} → {to}");
            }
        }
    }

    #[test]
    fn a_call_is_never_made_twice_without_the_queue_between() {
        for from in StateName::ALL {
            assert_eq!(from.may_become(StateName::InFlight), from == StateName::Queued, "{from}");
        }
    }
}
