//! Actions and receipts, as lists show them and as they explain themselves.

use serde::{Deserialize, Serialize};

use crate::domain::action::{Class, Coordinates, Endings, State, StateName};
use crate::domain::audit::Change;
use crate::domain::decision::Fate;
use crate::domain::ids::{ActionId, AttemptId, EffectKey, MachineId, Sha1};
use crate::domain::time::Wall;

/// Which actions: all that fit everything that is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActionFilter {
    pub tenant: Option<String>,
    pub state: Option<StateName>,
    /// Id of the rule that decided.
    pub rule: Option<String>,
    pub machine: Option<MachineId>,
    pub sha1: Option<Sha1>,
    /// Held for this reason ([`HoldWhy::as_str`](crate::domain::action::HoldWhy)).
    pub why: Option<String>,
    /// Oldest first; newest first where it is not set.
    pub oldest: bool,
    /// At most this many.
    pub limit: usize,
}

impl ActionFilter {
    /// Whether it names anything besides the state.
    pub fn is_narrow(&self) -> bool {
        let Self { tenant, rule, machine, sha1, why, .. } = self;
        tenant.is_some() || rule.is_some() || machine.is_some() || sha1.is_some() || why.is_some()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionLine {
    pub id: ActionId,
    #[serde(flatten)]
    pub key: EffectKey,
    pub alert_id: String,
    pub class: Class,
    pub created: Wall,
    pub changed: Wall,
    #[serde(flatten)]
    pub state: State,
    /// Where it stands, while it is queued and no pause covers it: see
    /// [`crate::io::Store::positioned`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// When it is expected to start, as far as that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Wall>,
}

/// The position of a queued action among those of its tenant that are due. Those that wait for a
/// time go before none, and that older ones rise with their age is not foreseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// How many of its kind go first: of the urgent ones, or of all others.
    pub before: u64,
    /// How many there are of each kind.
    pub urgent: u64,
    pub others: u64,
}

/// One action with its whole history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionReport {
    #[serde(flatten)]
    pub line: ActionLine,
    pub comment: String,
    pub expires: Wall,
    pub rules: Vec<String>,
    pub ruleset: String,
    pub delivery: Coordinates,
    /// Present fields; known-empty ones are `null`.
    pub candidate: serde_json::Value,
    /// The alert's own bytes as text, where they were kept.
    pub raw: Option<String>,
    pub attempts: Vec<AttemptReport>,
    pub changes: Vec<Change>,
    /// People who let it go on, as they stand on the record.
    #[serde(default)]
    pub released_by: Vec<String>,
    /// What keeps it from being called, where it is queued and more than its turn does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What its rule wanted where it is not done, and how often it was called again for that.
    #[serde(default)]
    pub endings: Endings,
    #[serde(default)]
    pub again: u32,
    /// What else happened on that machine: the last action for each other file, newest first, at
    /// most ten.
    #[serde(default)]
    pub on_machine: Vec<ActionLine>,
    /// What else happened with that file in that tenant, newest first, at most ten, and how much
    /// there is in all.
    #[serde(default)]
    pub of_file: Vec<ActionLine>,
    #[serde(default)]
    pub of_file_in_all: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    pub id: AttemptId,
    pub written: Wall,
    pub closed: Option<Wall>,
    pub status: Option<u16>,
    pub text: String,
}

#[derive(Clone, Debug, Default)]
pub struct ReceiptFilter {
    pub alert_id: Option<String>,
    pub fate: Option<Fate>,
    pub source: Option<String>,
    pub limit: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceiptLine {
    pub at: Wall,
    pub source: String,
    pub tenant: Option<String>,
    pub alert: String,
    pub fate: Fate,
    pub reason: String,
    pub delivery: Coordinates,
    pub candidates: serde_json::Value,
    /// First bytes of what could not be read.
    pub head: Option<String>,
    /// Content hash of the rule set that judged it; `None` while it waits.
    pub ruleset: Option<String>,
    /// Its own text, while it waits for what Defender is asked and one alert is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}
