//! How far Defender is with an action, and what the rule that decided wants where it is not done.

use serde::{Deserialize, Serialize};

/// What Defender has said of an action that it accepted and has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Nothing out of the ordinary.
    #[default]
    Unsaid,
    /// Some time after it was made its machine had not fetched it: most likely it is offline.
    /// That is no failure: Defender waits for it, up to 72 hours from when it was made.
    Unfetched,
    /// Its machine has it in hand.
    Running,
}

impl Progress {
    /// As one word for lists and queries; `None` where there is nothing to say.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Progress::Unsaid => None,
            Progress::Unfetched => Some("unfetched"),
            Progress::Running => Some("running"),
        }
    }

    pub fn is_unsaid(&self) -> bool {
        *self == Progress::Unsaid
    }
}

/// What a rule wants of an action that Defender says was not done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnEnd {
    /// It ends as Defender said.
    #[default]
    GiveUp,
    /// It waits for a person, who lets it be called again or ends it.
    Hold,
    /// It is called again, at most so often, then it ends as Defender said. 1 to
    /// [`crate::limits::RETRIES_MAX`].
    Retry(u32),
}

/// What a rule wants of its actions that time out or fail. Kept with each action when it is
/// decided: rules that are loaded later do not change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endings {
    pub timed_out: OnEnd,
    pub failed: OnEnd,
}
