//! The durable half of everything, in SQLite: one file, one writer, group commit.
//!
//! [`SqliteStore`] is the port's handle; its writer thread owns a [`Db`], which does the same in
//! plain calls. Each kind of row has a file: `actions`, `effects`, `attempts`, `offsets`, `pauses`
//! and `chain`; `intake` is the transaction that decides.

mod schema;
mod open;
mod check;
mod db;
mod threads;
mod intake;
mod actions;
mod effects;
mod endings;
mod attempts;
mod breakers;
mod callers;
mod offsets;
mod lookups;
mod partials;
mod correlations;
mod receipts;
mod view;
mod waiting;
mod pauses;
mod positions;
mod release;
mod rules;
mod recall;
mod chain;
mod chains;
mod feed;
mod look;
mod report;
mod purge;
mod verify;
mod sql;
mod fault;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::{Mutex, oneshot};

pub use callers::Caller;
pub use chains::Chains;
pub use db::Db;
pub use look::Stopper;

use self::check::{Beside, When};
use self::db::{Trouble, Work};
use self::fault::Fault;
use self::threads::{Lane, Question};
use super::{
    ActionFilter, ActionLine, ActionReport, AuditLine, Ballot, ChainHead, MakeAttempt, Offsets,
    Pause, ReceiptFilter, ReceiptLine, Resume, Resumption, Retention, Standing, Store, StoreError,
    Summary, Taken, VoteLine,
};
use crate::domain::action::{
    Begun, Class, ClosedAttempt, Depth, Heads, NewAttempt, Resumed, StateName,
};
use crate::domain::audit::Change;
use crate::domain::decision::{Judge, JudgedDelivery};
use crate::domain::guard::Guard;
use crate::domain::ids::{ActionId, SourceName, TenantName};
use crate::domain::scope::Scope;
use crate::domain::time::{Clocks, Now, Wall};
use crate::limits;

/// The store of one directory, on threads of its own: one that writes and commits in groups, and
/// one that reads for people, so that their questions delay no commit.
///
/// Call [`SqliteStore::close`] before the directory is opened again; a handle that is merely
/// dropped finishes what is queued at its own time.
pub struct SqliteStore {
    writer: Lane<Work>,
    reader: Lane<Question>,
    /// For what a command waits on: no long list of somebody else's goes before it.
    quick: Lane<Question>,
    trouble: Trouble,
    place: String,
    newest: Option<Wall>,
    ended: Mutex<Vec<oneshot::Receiver<()>>>,
    /// Where the file was too long to be looked at before.
    check: Mutex<Option<Beside>>,
}

impl SqliteStore {
    /// Opens the store in this directory, or makes it there. A long file is looked at while the
    /// store works; it closes itself where that finds damage, as after an I/O error. `queue_max`
    /// as in [`Db::open`].
    pub fn open(dir: &Path, queue_max: u64) -> Result<Self, StoreError> {
        let (first, after) = (limits::STORE_CHECKED_FIRST, limits::STORE_CHECKED_AFTER);
        Self::open_first(dir, queue_max, first, after)
    }

    fn open_first(
        dir: &Path,
        queue_max: u64,
        first: u64,
        after: Duration,
    ) -> Result<Self, StoreError> {
        let (mut db, when) = Db::open_first(dir, queue_max, first)?;
        let newest = db.newest()?;
        let place = db.place().to_owned();
        let trouble = db.trouble.clone();
        let (reader, reader_ended) = threads::reader(open::reader(dir)?)?;
        let (quick, quick_ended) = threads::reader(open::reader(dir)?)?;
        let damage = db.damage.clone();
        let (writer, writer_ended) = threads::writer(db)?;
        let check =
            (when == When::Beside).then(|| Beside::start(dir, damage, after)).transpose()?;
        let ended = Mutex::new(vec![reader_ended, quick_ended, writer_ended]);
        let check = Mutex::new(check);
        Ok(Self { writer, reader, quick, trouble, place, newest, ended, check })
    }

    /// The newest time that was on disk at the opening ([`Clocks::wall_trusted`]).
    pub fn newest_at_open(&self) -> Option<Wall> {
        self.newest
    }

    /// Why the last write came to nothing, until one is kept again.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.get()
    }

    /// Writes a row that means nothing, so that [`SqliteStore::trouble`] ends with its cause.
    pub fn probe(&self, now: Wall) -> BoxFuture<'static, Result<(), StoreError>> {
        self.write(move |db| {
            let sql = "INSERT OR REPLACE INTO noted (what, at) VALUES ('probe', ?1)";
            db.prepare_cached(sql)?.execute([now])?;
            Ok(())
        })
    }

    /// Each tenant that has something queued, with the most urgent class of that.
    pub fn tenants_with_queue(
        &self,
    ) -> BoxFuture<'static, Result<Vec<(TenantName, Class)>, StoreError>> {
        self.read_at_once(positions::tenants_with_queue)
    }

    /// Takes no more work, does what is queued, and returns once the file is closed and its lock
    /// released.
    pub async fn close(&self) {
        if let Some(check) = self.check.lock().await.take() {
            check.stop().await;
        }
        self.reader.close();
        self.quick.close();
        self.writer.close();
        for ended in self.ended.lock().await.drain(..) {
            // A thread that died has released everything too.
            let _ = ended.await;
        }
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        self.writer.write(1, move |db| work(&db.connection))
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        self.reader.read(self.place.clone(), read)
    }

    fn read_at_once<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        self.quick.read(self.place.clone(), read)
    }
}

/// What the loops ask goes through the writer in order, so that each sees what it wrote before;
/// what people ask goes to the reader.
impl Store for SqliteStore {
    fn intake(
        &self,
        batch: Vec<JudgedDelivery>,
    ) -> BoxFuture<'static, Result<Vec<Taken>, StoreError>> {
        self.writer.write(batch.len().max(1), move |db| intake::take(db, &batch))
    }

    fn mature(
        &self,
        now: Wall,
        judge: Arc<dyn Judge>,
    ) -> BoxFuture<'static, Result<Vec<Taken>, StoreError>> {
        self.writer.write(1, move |db| intake::mature(db, now, &*judge))
    }

    fn begin(
        &self,
        make: MakeAttempt,
        guard: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<(NewAttempt, Begun), StoreError>> {
        self.writer.write(1, move |db| {
            let attempt = make();
            let begun = db.begin_unless_stopped(&attempt, &*guard)?;
            Ok((attempt, begun))
        })
    }

    fn apply(
        &self,
        closed: Option<ClosedAttempt>,
        changes: Vec<Change>,
    ) -> BoxFuture<'static, Result<Vec<Change>, StoreError>> {
        self.write(move |db| actions::apply(db, closed.as_ref(), &changes))
    }

    fn heads(
        &self,
        tenant: &TenantName,
        class: Class,
        now: Wall,
        depth: Depth,
    ) -> BoxFuture<'static, Result<Heads, StoreError>> {
        let tenant = tenant.clone();
        self.write(move |db| actions::heads(db, &tenant, class, now, depth))
    }

    fn expired(
        &self,
        tenant: &TenantName,
        now: Wall,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(ActionId, StateName)>, StoreError>> {
        let tenant = tenant.clone();
        self.write(move |db| actions::expired(db, &tenant, now, limit))
    }

    fn resume(
        &self,
        tenant: &TenantName,
        now: Now,
        window: Duration,
    ) -> BoxFuture<'static, Result<Resumed, StoreError>> {
        let tenant = tenant.clone();
        self.write(move |db| attempts::resume(db, &tenant, now, window))
    }

    fn offsets(&self, source: &SourceName) -> BoxFuture<'static, Result<Offsets, StoreError>> {
        let source = source.clone();
        self.write(move |db| offsets::read(db, &source))
    }

    fn pause(&self, pause: Pause) -> BoxFuture<'static, Result<(), StoreError>> {
        self.write(move |db| pauses::pause(db, &pause))
    }

    fn unpause(
        &self,
        resume: Resume,
        guard: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<Resumption, StoreError>> {
        self.write(move |db| release::resume(db, &resume, &*guard))
    }

    fn release(
        &self,
        resume: Resume,
        rows: Vec<i64>,
        guard: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<Vec<VoteLine>, StoreError>> {
        self.write(move |db| release::release(db, &resume, &rows, &*guard))
    }

    fn vote(
        &self,
        ballot: Ballot,
        guard: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<Vec<VoteLine>, StoreError>> {
        self.write(move |db| release::vote(db, &ballot, &*guard))
    }

    fn pauses(&self) -> BoxFuture<'static, Result<Vec<Pause>, StoreError>> {
        self.read_at_once(pauses::all)
    }

    fn standing(&self, scope: Scope) -> BoxFuture<'static, Result<Standing, StoreError>> {
        self.read_at_once(move |db| pauses::standing(db, &scope))
    }

    fn unsent(
        &self,
        scope: Scope,
        clocks: Clocks,
        now: Now,
    ) -> BoxFuture<'static, Result<u64, StoreError>> {
        self.write(move |db| attempts::unsent(db, &scope, clocks, now))
    }

    fn summary(&self) -> BoxFuture<'static, Result<Summary, StoreError>> {
        self.read_at_once(report::summary)
    }

    fn actions(
        &self,
        filter: ActionFilter,
    ) -> BoxFuture<'static, Result<Vec<ActionLine>, StoreError>> {
        self.read(move |db| report::actions(db, &filter))
    }

    fn positioned(
        &self,
        mut lines: Vec<ActionLine>,
        now: Wall,
    ) -> BoxFuture<'static, Result<Vec<ActionLine>, StoreError>> {
        self.read(move |db| positions::position(db, &mut lines, now).map(|()| lines))
    }

    fn action(&self, id: &str) -> BoxFuture<'static, Result<Option<ActionReport>, StoreError>> {
        let id = id.to_owned();
        self.read(move |db| report::action(db, &id))
    }

    fn receipts(
        &self,
        filter: ReceiptFilter,
    ) -> BoxFuture<'static, Result<Vec<ReceiptLine>, StoreError>> {
        self.read(move |db| report::receipts(db, &filter))
    }

    fn heads_of_chains(&self) -> BoxFuture<'static, Result<Vec<ChainHead>, StoreError>> {
        self.read(chain::heads)
    }

    fn audit(
        &self,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<AuditLine>, StoreError>> {
        self.read(move |db| chain::page(db, after, limit))
    }

    fn purge(
        &self,
        retention: Retention,
        now: Wall,
    ) -> BoxFuture<'static, Result<u64, StoreError>> {
        self.write(move |db| purge::purge(db, &retention, now))
    }
}

/// CRC-32C over parts, each with its length before it, so that no two lists of parts are alike.
fn checksum(parts: &[&[u8]]) -> i64 {
    let sum = parts.iter().fold(0, |sum, part| {
        let sum = crc32c::crc32c_append(sum, &(part.len() as u64).to_le_bytes());
        crc32c::crc32c_append(sum, part)
    });
    sum.into()
}

/// A number of rows as SQLite takes it.
fn limit(rows: usize) -> i64 {
    bound(rows as u64)
}

fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
