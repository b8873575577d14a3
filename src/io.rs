//! The ports: what the two loops, intake and relay, ask of the world. Each module under `io`
//! implements one of them with one driver, and none knows another.

pub mod clock;

pub mod webhook;

pub mod kafka;

pub mod store;

pub mod defender;

pub mod issuer;

pub mod admin;

mod brakes;
mod credential;
mod record;
pub mod recall;
pub mod lookups;
pub mod notify;

mod feed;

pub mod places;

mod report;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::domain::action::{
    Begun, Call, Class, ClosedAttempt, Coordinates, Depth, Heads, NewAttempt, Resumed, StateName,
};
use crate::domain::answer::{Answer, CancelAnswer, Fetched, ListQuery, Listing, Machines};
use crate::domain::audit::Change;
use crate::domain::decision::{Answered, Judge, JudgedDelivery, Replay};
use crate::domain::guard::Guard;
use crate::domain::ids::{
    ActionId, EffectKey, MachineActionId, MachineId, Sha1, SourceName, TenantName,
};
use crate::domain::limiter::Permit;
use crate::domain::scope::Scope;
use crate::domain::signature::KeySet;
use crate::domain::time::{Boot, BootId, Clocks, Now, Wall};

pub use brakes::{
    BY_FILE, Ballot, Braked, ITSELF, Pause, Resume, Resumption, STOP_FILE, Standing, VoteLine,
    Which, braked, pause_and_wait, resume_whole, stands, stop_file, until_all_have_left,
};
pub use credential::{BrokerToken, BrokerTokens, CredentialKind, CredentialLine, Expiry};
pub use feed::{ChannelLine, Cursor, Fed, Feed, Noted, Record};
pub use record::{AuditLine, ChainHead, ChainReport, Verified};
pub use report::{
    ActionFilter, ActionLine, ActionReport, AttemptReport, FateCount, KafkaLine, Position,
    QueueLine, ReceiptFilter, ReceiptLine, RelayLine, Report, Retention, StateCount, Stops,
    Summary, TripLine, WindowLine, paused,
};

/// Bytes a source hands over, authentic, with the means to acknowledge them.
pub struct Delivery {
    pub source: SourceName,
    pub body: Bytes,
    pub coordinates: Coordinates,
    pub received: Now,
    pub replay: Option<Replay>,
    /// Set where the source already knows that this can't be read.
    pub flaw: Option<Flaw>,
    /// For a Kafka message: the offset that the store has for its partition when everything handed
    /// out before this message has been taken; `None` where the store has none yet. A store that
    /// finds another one must not take the message: one before it was not taken, or another process
    /// moved the offset.
    pub follows: Option<i64>,
    pub ack: Ack,
}

/// Why a delivery can't be read whatever its format. A sender that waits for an answer is refused
/// instead; a Kafka message becomes an `unreadable` row, with this text as the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("the message has no value (a tombstone)")]
    Tombstone,
    #[error("the message's value is empty")]
    Empty,
    /// The body holds only the first bytes.
    #[error("the message's value has {bytes} bytes, more than the {max} of limits.body")]
    TooLarge { bytes: usize, max: usize },
}

/// Called once, after the commit or after its failure. A delivery that is dropped without is not
/// acknowledged: its sender or the broker brings it again.
pub type Ack = Box<dyn FnOnce(Result<Acknowledged, NotTaken>) + Send>;

/// What became of a delivery. Everything in it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    Taken(Answered),
    /// Seen before; the first answer, and no effect.
    Replayed(Answered),
}

/// Why a delivery left no trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Envelope or a line of it is not JSON. Only for sources that can be told: a Kafka message
    /// becomes an `unreadable` row.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// More alerts than one delivery may bring. As above.
    #[error("{0}")]
    TooMany(String),
    #[error("the queue is full")]
    Full,
    #[error("the store failed: {0}")]
    Store(String),
}

/// The clocks and ids of this process. The only place where either comes from.
pub trait Clock: Send + Sync {
    fn now(&self) -> Now;
    fn boot_id(&self) -> BootId;
    /// A version 7 UUID: sortable by time, unique.
    fn new_id(&self) -> uuid::Uuid;
}

/// Why the store could not do what it was asked. Nothing of it has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Full disk, read-only directory, I/O error.
    #[error("{0}")]
    Io(String),
    /// A row's checksum, a chain or the file itself does not verify.
    #[error("{0}")]
    Corrupt(String),
    /// More open actions than `limits.queue`.
    #[error("{0} actions are open, which is the limit")]
    Full(u64),
    #[error("no action {0}")]
    NoAction(ActionId),
    /// What was asked makes no sense: a transition that does not exist, a start of an id that
    /// several actions have.
    #[error("{0}")]
    Invalid(String),
    /// The store is shutting down or its thread has died.
    #[error("the store is closed")]
    Closed,
}

/// What became of a delivery in [`Store::intake`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    Done {
        answer: Answered,
        effects: Vec<(EffectKey, ActionId)>,
    },
    Replayed(Answered),
    /// A predicted duplicate is none: prepare the delivery in full and bring it again.
    NotPrepared,
    /// The Kafka partition's offset in the store is not the one this message follows: one before it
    /// was not taken. The offset stands before both, so a crash loses neither.
    Behind,
    Failed(StoreError),
}

/// Makes an attempt as of the moment in which it is called.
pub type MakeAttempt = Box<dyn FnOnce() -> NewAttempt + Send>;

/// The next offset to read, by topic and partition: one past the last message in the store.
pub type Offsets = BTreeMap<(String, i32), i64>;

/// The durable half of everything. One writer; every method that changes something returns after
/// its commit.
pub trait Store: Send + Sync {
    /// Takes up to 256 deliveries in one transaction: replay ids, fates, counters, actions,
    /// effects, changes and offsets commit together. One that fails is run again alone, so that
    /// it does not stop its neighbours. The results are in the order of the deliveries.
    ///
    /// The work is queued when this is called, not when the future is first polled, so that the
    /// caller can prepare the next batch meanwhile.
    fn intake(
        &self,
        batch: Vec<JudgedDelivery>,
    ) -> BoxFuture<'static, Result<Vec<Taken>, StoreError>>;

    /// Ends alerts of streams that have waited long enough, at most
    /// [`JOIN_PIECE`](crate::limits::JOIN_PIECE) of them, each in one transaction with what it
    /// leads to: empty means that none is due. One that fails waits on.
    fn mature(
        &self,
        now: Wall,
        judge: Arc<dyn Judge>,
    ) -> BoxFuture<'static, Result<Vec<Taken>, StoreError>>;

    /// Writes an attempt and moves its action to in flight, in one statement that also checks
    /// pauses, expiry and state. In the same transaction `guard` judges the action again; where it
    /// says no, the action is moved as it says, and no attempt is written. `make` is called when
    /// its row is to be written: what waits for the writer has its whole time to be sent.
    fn begin(
        &self,
        make: MakeAttempt,
        guard: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<(NewAttempt, Begun), StoreError>>;

    /// Closes an attempt, if one is given, and applies changes, all or none. A `Moved` whose
    /// action does not stand in its `from` is left out, and returned.
    fn apply(
        &self,
        closed: Option<ClosedAttempt>,
        changes: Vec<Change>,
    ) -> BoxFuture<'static, Result<Vec<Change>, StoreError>>;

    /// The first due actions of one class, and how many are due behind them.
    fn heads(
        &self,
        tenant: &TenantName,
        class: Class,
        now: Wall,
        depth: Depth,
    ) -> BoxFuture<'static, Result<Heads, StoreError>>;

    /// Queued and held actions of a tenant whose time is over, at most `limit`.
    fn expired(
        &self,
        tenant: &TenantName,
        now: Wall,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(ActionId, StateName)>, StoreError>>;

    /// What a dispatcher starts from. `window` is the longest of its limits.
    fn resume(
        &self,
        tenant: &TenantName,
        now: Now,
        window: Duration,
    ) -> BoxFuture<'static, Result<Resumed, StoreError>>;

    fn offsets(&self, source: &SourceName) -> BoxFuture<'static, Result<Offsets, StoreError>>;

    /// Pauses, durably, with its change on the chain. Paused twice is paused once.
    fn pause(&self, pause: Pause) -> BoxFuture<'static, Result<(), StoreError>>;

    /// Resumes exactly this scope: its pause ends, its breakers are set back, and what they held
    /// has this person's yes, the first [`RELEASE_PIECE`](crate::limits::RELEASE_PIECE) of it.
    fn unpause(
        &self,
        resume: Resume,
        guard: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<Resumption, StoreError>>;

    /// Goes on releasing what [`Resumption::rest`] names, where the breaker still holds it.
    fn release(
        &self,
        resume: Resume,
        rows: Vec<i64>,
        guard: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<Vec<VoteLine>, StoreError>>;

    /// Applies one person's yes or no to some actions, all or none. An id that names no action, or
    /// more matches than were allowed for, is [`StoreError::Invalid`].
    fn vote(
        &self,
        ballot: Ballot,
        guard: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<Vec<VoteLine>, StoreError>>;

    fn pauses(&self) -> BoxFuture<'static, Result<Vec<Pause>, StoreError>>;

    /// How many actions of that scope stand in each open state.
    fn standing(&self, scope: Scope) -> BoxFuture<'static, Result<Standing, StoreError>>;

    /// Attempts of that scope that have no answer and may still go on the wire.
    fn unsent(
        &self,
        scope: Scope,
        clocks: Clocks,
        now: Now,
    ) -> BoxFuture<'static, Result<u64, StoreError>>;

    fn summary(&self) -> BoxFuture<'static, Result<Summary, StoreError>>;

    fn actions(
        &self,
        filter: ActionFilter,
    ) -> BoxFuture<'static, Result<Vec<ActionLine>, StoreError>>;

    /// The same lines, each that is queued with its position at this moment.
    fn positioned(
        &self,
        lines: Vec<ActionLine>,
        now: Wall,
    ) -> BoxFuture<'static, Result<Vec<ActionLine>, StoreError>>;

    /// Everything that is kept about one action, found by its id or an unambiguous start of it.
    fn action(&self, id: &str) -> BoxFuture<'static, Result<Option<ActionReport>, StoreError>>;

    /// Receipts of an alert, newest first: why it did not act, or with what it did.
    fn receipts(
        &self,
        filter: ReceiptFilter,
    ) -> BoxFuture<'static, Result<Vec<ReceiptLine>, StoreError>>;

    /// The newest entry of every hash chain.
    fn heads_of_chains(&self) -> BoxFuture<'static, Result<Vec<ChainHead>, StoreError>>;

    /// Entries of all hash chains after this position, in the order of their commits.
    fn audit(
        &self,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<AuditLine>, StoreError>>;

    /// Deletes what is older than it has to be kept, a bounded number of rows at a time. Returns
    /// how many rows went.
    fn purge(&self, retention: Retention, now: Wall)
    -> BoxFuture<'static, Result<u64, StoreError>>;
}

/// Who signs the tokens of senders.
pub trait Issuer: Send + Sync {
    /// Its keys, if any are known that are not too old to be used.
    fn keys(&self) -> Option<Arc<KeySet>>;

    /// Its keys as they are now, for a token whose key is not among those known. They are fetched
    /// once for all who ask, and not again for a while; within it, the last ones are the answer.
    /// `None` where the last fetch failed: nobody knows then which keys there are.
    fn renewed(&self) -> BoxFuture<'_, Option<Arc<KeySet>>>;
}

/// Defender, for one tenant. One method call is at most one wire call: no redirects, no retries.
pub trait Api: Send + Sync {
    /// Sends one `StopAndQuarantineFile`. Nothing is written to the socket after `send_by`.
    fn quarantine(&self, permit: Permit, call: Call, send_by: Boot) -> BoxFuture<'static, Answer>;

    /// Reads one page of machine actions.
    fn machine_actions(&self, permit: Permit, query: ListQuery) -> BoxFuture<'static, Listing>;

    /// Cancels one machine action.
    fn cancel(
        &self,
        permit: Permit,
        id: MachineActionId,
        comment: String,
    ) -> BoxFuture<'static, CancelAnswer>;

    /// Reads one alert with its evidence: its JSON object, as text. An id that can stand in no URL
    /// is refused without a call.
    fn alert(&self, permit: Permit, id: String) -> BoxFuture<'static, Fetched<String>>;

    /// Reads what Defender knows of one machine: its JSON object, as text.
    fn machine(&self, permit: Permit, id: MachineId) -> BoxFuture<'static, Fetched<String>>;

    /// Reads what Defender knows of one file: its JSON object, as text.
    fn file(&self, permit: Permit, sha1: Sha1) -> BoxFuture<'static, Fetched<String>>;

    /// Reads the machines whose name starts with this label: the part before the first dot, or a
    /// start of it. A label that is none is refused without a call.
    fn machines(&self, permit: Permit, label: String) -> BoxFuture<'static, Fetched<Machines>>;
}
