//! What a start finds open, and made before it.

use super::State;
use crate::domain::ids::{ActionId, AttemptId, EffectKey, MachineActionId};
use crate::domain::time::Stamp;

/// An action that is in flight, in doubt or accepted: what a start finds open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAction {
    pub action: ActionId,
    pub key: EffectKey,
    pub comment: String,
    pub state: State,
    /// Of the newest attempt.
    pub attempt: Option<AttemptRow>,
}

/// One attempt as it is kept: what the limiter's log is rebuilt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    pub id: AttemptId,
    pub action: ActionId,
    pub written: Stamp,
    pub send_by: Stamp,
    pub closed: Option<Closed>,
}

/// How an attempt was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    pub at: Stamp,
    /// An answer was seen, or a definite failure.
    pub answered: bool,
    /// Of Defender's answer, where there was one.
    pub status: Option<u16>,
}

/// What a tenant's dispatcher starts from.
#[derive(Clone, Debug, Default)]
pub struct Resumed {
    /// Attempts that may still occupy a slot of the longest window. In the same boot that is
    /// reckoned by the boot clock alone: the wall clock may have jumped.
    pub attempts: Vec<AttemptRow>,
    pub open: Vec<OpenAction>,
    /// The machine actions that ended last, oldest first, at most
    /// [`crate::limits::OUTCOMES_KEPT`], also those of actions that are called again since: no
    /// look-up may take one of them for its own.
    pub outcomes: Vec<MachineActionId>,
    pub paused: bool,
}
