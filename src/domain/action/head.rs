//! The front of a tenant's queue, as the dispatcher holds it.

use super::Class;
use crate::domain::ids::ActionId;
use crate::domain::time::Wall;

/// A queued action, as the dispatcher holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub action: ActionId,
    pub class: Class,
    /// Order of arrival within the store.
    pub sequence: i64,
    /// Since when it has waited in the queue, without the time that it was held before.
    pub queued: Wall,
    pub not_before: Wall,
    pub expires: Wall,
    pub tries: u32,
    pub busy_since: Option<Wall>,
}

/// The first due actions of one tenant and class, in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    pub due: Vec<Head>,
    /// How many more are due behind them, counted up to what was asked for.
    pub behind: u64,
    /// When the next one becomes due, of those that are not.
    pub next_due: Option<Wall>,
}

/// How far a load looks into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Actions that it brings.
    pub heads: usize,
    /// Actions behind them that it counts, at most.
    pub counted: u64,
}
