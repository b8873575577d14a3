//! The record as those read it who tell people of it: a port of its own, which the store implements
//! beside [`Store`](super::Store).

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::domain::audit::Change;
use crate::domain::ids::{EffectKey, TenantName};
use crate::domain::time::Wall;

use super::StoreError;

/// All changes in the order of their commits, and how far each channel has been told of them. It
/// is the durable outbox: what is not told yet is what stands past a cursor.
pub trait Record: Send + Sync {
    /// The changes from a position on, at most `limit`.
    fn changes(&self, from: i64, limit: usize) -> BoxFuture<'static, Result<Feed, StoreError>>;

    /// One past the newest change.
    fn end(&self) -> BoxFuture<'static, Result<i64, StoreError>>;

    /// Where a channel goes on. One never seen before starts at the end.
    fn cursor(&self, channel: &str) -> BoxFuture<'static, Result<Cursor, StoreError>>;

    fn advance(&self, channel: &str, cursor: Cursor) -> BoxFuture<'static, Result<(), StoreError>>;

    /// When the newest receipt of each source came.
    fn received(&self) -> BoxFuture<'static, Result<Vec<(String, Wall)>, StoreError>>;

    /// What is noted and must not be noted again too soon, and when it was.
    fn noted(&self) -> BoxFuture<'static, Result<Vec<(Noted, Wall)>, StoreError>>;
}

/// A piece of the record, in the order of its commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feed {
    pub changes: Vec<Fed>,
    /// Where the next piece begins: where this one began, if there is nothing more.
    pub next: i64,
}

/// One change at its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed {
    pub position: i64,
    pub change: Change,
    /// File and machine of its action, where it has one that is still kept.
    pub key: Option<EffectKey>,
}

/// How far a channel has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Everything before has been told, or was not for it.
    pub next: i64,
    /// Up to here, a batch is being told; `next` where none is. Kept before its first message goes
    /// out, so that after a restart the same messages are made of the same changes.
    pub until: i64,
    /// Of that batch, the position of the last message that was told.
    pub told: i64,
}

impl Cursor {
    pub fn at(next: i64) -> Self {
        Self { next, until: next, told: next - 1 }
    }

    /// Whether a batch has been cut that is not told to its end.
    pub fn is_telling(self) -> bool {
        self.until > self.next
    }
}

/// What is noted on the record once, or once a day, and not each time it is seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noted {
    /// This source is silent.
    Silent(String),
    /// This tenant's credential is about to expire.
    Expiring(TenantName),
}

impl Noted {
    /// As rows are keyed by it.
    pub fn key(&self) -> String {
        match self {
            Noted::Silent(source) => format!("silent:{source}"),
            Noted::Expiring(tenant) => format!("expiring:{tenant}"),
        }
    }

    /// Back from [`Noted::key`].
    pub fn from_key(key: &str) -> Option<Self> {
        let (kind, name) = key.split_once(':')?;
        match kind {
            "silent" => Some(Noted::Silent(name.to_owned())),
            "expiring" => Some(Noted::Expiring(TenantName::new(name))),
            _ => None,
        }
    }
}

/// How one channel of `notify` fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelLine {
    pub name: String,
    /// Messages since the start: for a topic, changes.
    pub delivered: u64,
    /// Messages since the start that the receiver refused for good.
    pub given_up: u64,
    pub last_delivered: Option<Wall>,
    /// Since when nothing gets through, and why.
    pub failing_since: Option<Wall>,
    pub error: Option<String>,
    /// Changes of the record that it has not been told, or looked at for it, yet.
    pub lag: u64,
}
