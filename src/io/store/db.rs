//! The store as plain calls on one connection: what the writer thread works on, and simulations
//! use directly.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::check::{Damage, When};
use super::fault::Fault;
use super::offsets;
use super::open::{self, Lock};
use super::{actions, attempts, chain, intake, pauses, purge, release, report, verify};
use crate::domain::action::{
    Begun, Class, ClosedAttempt, Depth, Heads, NewAttempt, Resumed, StateName,
};
use crate::domain::audit::Change;
use crate::domain::decision::{Judge, JudgedDelivery};
use crate::domain::guard::Guard;
use crate::domain::ids::{ActionId, SourceName, TenantName};
use crate::domain::scope::Scope;
use crate::domain::time::{Clocks, Now, Wall};
use crate::io::{
    ActionFilter, ActionLine, ActionReport, Ballot, Offsets, Pause, ReceiptFilter, ReceiptLine,
    Resume, Resumption, Retention, Standing, StoreError, Summary, Taken, VoteLine,
};
use crate::io::{STOP_FILE, stands};
use crate::limits;

/// One store, its connection and its lock. Every method that changes something returns after its
/// commit, and after an error nothing of it has happened; they mean what those of
/// [`Store`](crate::io::Store) mean.
///
/// After an I/O error the store closes itself and answers [`StoreError::Closed`] to everything:
/// only a new start, which reads the log anew, can tell what is on disk. A full disk closes
/// nothing.
pub struct Db {
    pub(super) connection: Connection,
    pub(super) queue_max: u64,
    place: String,
    /// While this file is there, no attempt is written.
    pub(super) stop_file: Option<PathBuf>,
    /// Why the open transaction can't commit any more.
    lost: Option<StoreError>,
    closed: bool,
    /// Found beside the work: closes the store too.
    pub(super) damage: Damage,
    /// Why the last write came to nothing, until one does not: for people.
    pub(super) trouble: Trouble,
    /// Some work of the open group came to nothing.
    failed: bool,
    /// Released last.
    _lock: Option<Lock>,
}

/// See [`Db::trouble`]; shared with whoever reports it.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, trouble: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Tells whoever asked, once the transaction has committed or failed to.
pub(super) type Answer = Box<dyn FnOnce(Result<(), StoreError>)>;

/// One piece of work for the transaction that is open.
pub(super) type Work = Box<dyn FnOnce(&mut Db) -> Answer + Send>;

impl Db {
    /// Opens the store in this directory, or makes it there. `queue_max` is how many actions may
    /// be open: past it, a delivery that would make a new one fails as full. Blocks while the whole
    /// file is looked at.
    pub fn open(dir: &Path, queue_max: u64) -> Result<Self, StoreError> {
        Self::open_first(dir, queue_max, u64::MAX).map(|(db, _)| db)
    }

    /// The same, where files of more than `first` bytes are looked at by whoever asked.
    pub(super) fn open_first(
        dir: &Path,
        queue_max: u64,
        first: u64,
    ) -> Result<(Self, When), StoreError> {
        let (connection, lock, when) = open::open(dir, first)?;
        let place = open::database(dir).display().to_string();
        let mut db = Self::new(connection, place, queue_max, Some(lock));
        db.stop_file = Some(dir.join(STOP_FILE));
        Ok((db, when))
    }

    /// A store that is gone when it is dropped.
    pub fn in_memory(queue_max: u64) -> Result<Self, StoreError> {
        let place = "the store in memory".to_owned();
        let connection = open::in_memory().map_err(|fault| fault.told(&place))?;
        Ok(Self::new(connection, place, queue_max, None))
    }

    fn new(connection: Connection, place: String, queue_max: u64, lock: Option<Lock>) -> Self {
        let (stop_file, trouble) = (None, Trouble::default());
        Self {
            connection,
            queue_max,
            place,
            stop_file,
            lost: None,
            closed: false,
            damage: Damage::default(),
            trouble,
            failed: false,
            _lock: lock,
        }
    }

    pub fn intake(&mut self, batch: &[JudgedDelivery]) -> Result<Vec<Taken>, StoreError> {
        self.alone(|db| intake::take(db, batch))
    }

    pub fn mature(&mut self, now: Wall, judge: &dyn Judge) -> Result<Vec<Taken>, StoreError> {
        self.alone(|db| intake::mature(db, now, judge))
    }

    pub fn looked_up(&mut self, receipt: i64, of: &JudgedDelivery) -> Result<Taken, StoreError> {
        self.alone(|db| intake::looked_up(db, receipt, of))
    }

    pub fn begin(&mut self, attempt: &NewAttempt, guard: &dyn Guard) -> Result<Begun, StoreError> {
        self.alone(|db| db.begin_unless_stopped(attempt, guard))
    }

    /// Fails as [`StoreError::Invalid`], with nothing applied, on a transition that does not exist.
    pub fn apply(
        &mut self,
        closed: Option<&ClosedAttempt>,
        changes: &[Change],
    ) -> Result<Vec<Change>, StoreError> {
        self.alone(|db| actions::apply(&db.connection, closed, changes))
    }

    pub fn heads(
        &mut self,
        tenant: &TenantName,
        class: Class,
        now: Wall,
        depth: Depth,
    ) -> Result<Heads, StoreError> {
        self.alone(|db| actions::heads(&db.connection, tenant, class, now, depth))
    }

    pub fn expired(
        &mut self,
        tenant: &TenantName,
        now: Wall,
        limit: usize,
    ) -> Result<Vec<(ActionId, StateName)>, StoreError> {
        self.alone(|db| actions::expired(&db.connection, tenant, now, limit))
    }

    pub fn resume(
        &mut self,
        tenant: &TenantName,
        now: Now,
        window: Duration,
    ) -> Result<Resumed, StoreError> {
        self.alone(|db| attempts::resume(&db.connection, tenant, now, window))
    }

    pub fn offsets(&mut self, source: &SourceName) -> Result<Offsets, StoreError> {
        self.alone(|db| offsets::read(&db.connection, source))
    }

    pub fn pause(&mut self, pause: &Pause) -> Result<(), StoreError> {
        self.alone(|db| pauses::pause(&db.connection, pause))
    }

    pub fn unpause(
        &mut self,
        resume: &Resume,
        guard: &dyn Guard,
    ) -> Result<Resumption, StoreError> {
        self.alone(|db| release::resume(&db.connection, resume, guard))
    }

    pub fn release(
        &mut self,
        resume: &Resume,
        rows: &[i64],
        guard: &dyn Guard,
    ) -> Result<Vec<VoteLine>, StoreError> {
        self.alone(|db| release::release(&db.connection, resume, rows, guard))
    }

    pub fn vote(
        &mut self,
        ballot: &Ballot,
        guard: &dyn Guard,
    ) -> Result<Vec<VoteLine>, StoreError> {
        self.alone(|db| release::vote(&db.connection, ballot, guard))
    }

    pub fn standing(&mut self, scope: &Scope) -> Result<Standing, StoreError> {
        self.alone(|db| pauses::standing(&db.connection, scope))
    }

    pub fn unsent(&mut self, scope: &Scope, clocks: Clocks, now: Now) -> Result<u64, StoreError> {
        self.alone(|db| attempts::unsent(&db.connection, scope, clocks, now))
    }

    pub fn summary(&mut self) -> Result<Summary, StoreError> {
        self.alone(|db| report::summary(&db.connection))
    }

    pub fn actions(&mut self, filter: &ActionFilter) -> Result<Vec<ActionLine>, StoreError> {
        self.alone(|db| report::actions(&db.connection, filter))
    }

    pub fn action(&mut self, id: &str) -> Result<Option<ActionReport>, StoreError> {
        self.alone(|db| report::action(&db.connection, id))
    }

    pub fn receipts(&mut self, filter: &ReceiptFilter) -> Result<Vec<ReceiptLine>, StoreError> {
        self.alone(|db| report::receipts(&db.connection, filter))
    }

    pub fn purge(&mut self, retention: &Retention, now: Wall) -> Result<u64, StoreError> {
        self.alone(|db| purge::purge(&db.connection, retention, now))
    }

    /// The newest time on disk: a wall clock behind it can't be trusted
    /// ([`Clocks::wall_trusted`]).
    pub fn newest(&mut self) -> Result<Option<Wall>, StoreError> {
        self.alone(|db| report::newest(&db.connection))
    }

    /// Names each entry of the hash chains that does not verify, at most
    /// [`limits::FAULTS_NAMED`] of each chain. None: they all do.
    pub fn verify_chains(&mut self) -> Result<Vec<String>, StoreError> {
        let walk = |db: &mut Self| chain::walk(&db.connection, &[], limits::FAULTS_NAMED);
        self.alone(walk).map(|verified| verified.all_faults())
    }

    /// Names each row whose checksum does not verify or that contradicts another, at most
    /// [`limits::FAULTS_NAMED`]: checksums, owners of effects, counters, the balance of fates.
    pub fn verify_rows(&mut self) -> Result<Vec<String>, StoreError> {
        self.alone(|db| verify::rows(&db.connection, limits::FAULTS_NAMED))
    }

    /// The kill switch for hands that have nothing else is a file: looked at before each attempt.
    /// Where nobody can tell whether it is there, it is.
    pub(super) fn begin_unless_stopped(
        &mut self,
        attempt: &NewAttempt,
        guard: &dyn Guard,
    ) -> Result<Begun, Fault> {
        if let Some(file) = &self.stop_file
            && stands(file)
        {
            return Ok(Begun::Paused(format!("stopped by the file {}", file.display())));
        }
        attempts::begin(&self.connection, attempt, guard)
    }

    /// Does each piece of work under a savepoint of its own, commits once, then answers all.
    pub(super) fn group(&mut self, works: Vec<Work>) {
        let before = self.connection.total_changes();
        self.failed = false;
        self.start();
        let answers: Vec<Answer> = works.into_iter().map(|work| work(self)).collect();
        let committed = self.commit();
        if committed.is_ok() && !self.failed && self.connection.total_changes() > before {
            self.trouble.set(None);
        }
        for answer in answers {
            answer(committed.clone());
        }
    }

    /// One piece of work inside the open transaction: all of it or nothing.
    pub(super) fn work<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        self.savepoint(work).map_err(|fault| self.told(fault))
    }

    /// Does `work`, and undoes it where it fails.
    pub(super) fn savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.connection.execute_batch("SAVEPOINT work")?;
        let done = work(self);
        let closed = match &done {
            Ok(_) => self.connection.execute_batch("RELEASE work"),
            // SQLite itself rolls all back on some errors; no savepoint is left then.
            Err(_) if self.transaction_is_lost() => Ok(()),
            Err(_) => self.connection.execute_batch("ROLLBACK TO work; RELEASE work"),
        };
        done.and_then(|value| Ok(closed.map(|()| value)?))
    }

    /// Whether SQLite has rolled the whole transaction back by itself.
    pub(super) fn transaction_is_lost(&self) -> bool {
        self.connection.is_autocommit()
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    fn alone<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        self.start();
        let done = self.work(work);
        self.commit().and(done)
    }

    fn start(&mut self) {
        self.lost = None;
        if let Some(why) = self.damage.get() {
            self.closed = true;
            self.trouble.set(Some(why.clone()));
        }
        if self.closed {
            self.lost = Some(StoreError::Closed);
        } else if let Err(fault) = self.begin_transaction() {
            self.lost = Some(self.told(fault));
        }
    }

    fn begin_transaction(&self) -> Result<(), Fault> {
        failpoint!("store.start", Err(Fault::full()));
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        failpoint!("store.started", Err(Fault::full()));
        Ok(())
    }

    fn end_transaction(&self) -> Result<(), Fault> {
        failpoint!("store.commit", Err(Fault::io()));
        self.connection.execute_batch("COMMIT")?;
        failpoint!("store.committed", Err(Fault::io()));
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let committed = match self.lost.take() {
            Some(lost) => Err(lost),
            None => self.end_transaction().map_err(|fault| self.told(fault)),
        };
        if committed.is_err() {
            self.roll_back();
        }
        committed
    }

    fn roll_back(&mut self) {
        if self.transaction_is_lost() {
            return;
        }
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            tracing::error!(%error, "the store can't roll back and closes itself");
            self.closed = true;
        }
    }

    /// Tells a fault, and remembers what it means for this transaction and those after it.
    fn told(&mut self, fault: Fault) -> StoreError {
        self.closed |= fault.is_io();
        let is_disk = fault.is_of_the_disk();
        let error = fault.told(&self.place);
        self.failed = true;
        if is_disk {
            self.trouble.set(Some(error.to_string()));
        }
        if self.closed || self.transaction_is_lost() {
            self.lost = Some(error.clone());
        }
        error
    }
}
