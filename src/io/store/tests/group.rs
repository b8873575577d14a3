//! The handle: group commit, its failures, and its end.

use super::super::SqliteStore;
use super::super::db::{Answer, Work};
use super::super::fault::Fault;
use super::*;
use crate::io::{ActionFilter, Store};
use crate::limits;

use std::sync::{Arc, mpsc};

type Results = mpsc::Receiver<(u32, Result<u32, StoreError>)>;

/// Work that writes the row of a pause and answers with its number.
fn writes(number: u32, to: &mpsc::Sender<(u32, Result<u32, StoreError>)>) -> Work {
    work(number, to, move |db| {
        let sql = "INSERT INTO pauses (scope, by, reason, at) VALUES (?1, '', '', 0)";
        db.connection.execute(sql, [format!("tenant-{number}")])?;
        Ok(number)
    })
}

fn work(
    number: u32,
    to: &mpsc::Sender<(u32, Result<u32, StoreError>)>,
    work: impl FnOnce(&mut Db) -> Result<u32, Fault> + Send + 'static,
) -> Work {
    let to = to.clone();
    Box::new(move |db| -> Answer {
        let done = db.work(work);
        Box::new(move |committed| to.send((number, committed.and(done))).unwrap())
    })
}

fn results(from: &Results) -> Vec<(u32, bool)> {
    from.try_iter().map(|(number, result)| (number, result.is_ok())).collect()
}

fn sqlite(code: i32) -> Fault {
    Fault::Sqlite(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
}

#[test]
fn work_that_fails_is_undone_and_told_alone() {
    let mut world = World::new();
    let (to, from) = mpsc::channel();
    let fails = work(2, &to, |db| {
        db.connection.execute("INSERT INTO pauses VALUES ('half', '', '', 0)", [])?;
        Err(Fault::invalid("no"))
    });
    world.db.group(vec![writes(1, &to), fails, writes(3, &to)]);
    assert_eq!(results(&from), [(1, true), (2, false), (3, true)]);
    assert_eq!(world.count("pauses"), 2);
}

#[test]
fn when_the_commit_fails_nothing_is_acknowledged() {
    let mut world = World::new();
    // A deferred constraint is one that only the commit finds violated.
    world
        .db
        .connection
        .execute_batch(
            "CREATE TABLE parents (id INTEGER PRIMARY KEY);
             CREATE TABLE children (id INTEGER REFERENCES parents (id)
                 DEFERRABLE INITIALLY DEFERRED);
             PRAGMA foreign_keys = ON;",
        )
        .unwrap();
    let (to, from) = mpsc::channel();
    let violates = work(2, &to, |db| {
        db.connection.execute("INSERT INTO children VALUES (1)", [])?;
        Ok(2)
    });
    world.db.group(vec![writes(1, &to), violates, writes(3, &to)]);
    assert_eq!(results(&from), [(1, false), (2, false), (3, false)]);
    assert_eq!(world.count("pauses"), 0);
    world.db.group(vec![writes(4, &to)]);
    assert_eq!(results(&from), [(4, true)]);
}

#[test]
fn a_transaction_that_sqlite_rolled_back_acknowledges_nothing() {
    let mut world = World::new();
    let (to, from) = mpsc::channel();
    let rolls_back = work(2, &to, |db| {
        db.connection.execute_batch("ROLLBACK")?;
        Err(sqlite(rusqlite::ffi::SQLITE_FULL))
    });
    world.db.group(vec![writes(1, &to), rolls_back, writes(3, &to)]);
    assert_eq!(results(&from), [(1, false), (2, false), (3, false)]);
    assert_eq!(world.count("pauses"), 0);
    world.db.group(vec![writes(4, &to)]);
    assert_eq!(results(&from), [(4, true)], "a full disk closes nothing");
}

#[test]
fn after_an_io_error_the_store_is_closed() {
    let mut world = World::new();
    let (to, from) = mpsc::channel();
    let breaks = work(2, &to, |_| Err(sqlite(rusqlite::ffi::SQLITE_IOERR_FSYNC)));
    world.db.group(vec![writes(1, &to), breaks, writes(3, &to)]);
    let told: Vec<_> = from.try_iter().collect();
    for (number, result) in &told {
        assert!(matches!(result, Err(StoreError::Io(_))), "{number}: {result:?}");
    }
    assert_eq!((told.len(), world.count("pauses")), (3, 0));
    assert_eq!(world.db.summary(), Err(StoreError::Closed));
    let delivery = brings(acts(1, effect(1, 1)));
    assert_eq!(world.db.intake(&[delivery]), Err(StoreError::Closed));
}

#[test]
fn an_intake_whose_commit_fails_keeps_its_offsets_for_the_next() {
    let mut world = World::new();
    let (to, _from) = mpsc::channel();
    let at = |offset| {
        let follows = (offset > 5).then_some(offset);
        JudgedDelivery { follows, ..from_kafka(offset, webhook(vec![unreadable()])) }
    };
    let takes = |number, offset| {
        let batch = [at(offset)];
        work(number, &to, move |db| super::super::intake::take(db, &batch).map(|_| number))
    };
    let rolls_back = work(3, &to, |db| {
        db.connection.execute_batch("ROLLBACK")?;
        Err(sqlite(rusqlite::ffi::SQLITE_FULL))
    });
    world.db.group(vec![takes(1, 5), takes(2, 6), rolls_back]);
    world.db.group(vec![takes(4, 7)]);
    assert!(done(&world.take(at(5))), "5 was never taken");
    assert!(done(&world.take(at(6))), "nor was 6");
    assert!(done(&world.take(at(7))), "and 7 came before its turn");
    let offsets = world.db.offsets(&SourceName::new("xdr")).unwrap();
    assert_eq!(offsets.into_values().collect::<Vec<_>>(), [8]);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn the_handle_does_what_the_store_does() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = SqliteStore::open(dir.path(), 1000).unwrap();
        let taken = store.intake(vec![brings(acts(1, effect(1, 1)))]).await.unwrap();
        assert!(done(&taken[0]));
        let (written, send_by) = (Stamp::new(BOOT, start()), Stamp::new(BOOT, start()));
        let attempt = NewAttempt { id: attempt_id(1), action: id(1), written, send_by };
        let begun = store.begin(Box::new(|| attempt), Arc::new(NoGuard)).await.unwrap().1;
        assert!(matches!(begun, Begun::Written(_)));
        let listed = store.actions(ActionFilter { limit: 10, ..Default::default() }).await;
        assert_eq!(listed.unwrap()[0].state.name(), StateName::InFlight);
        store.close().await;
        assert_eq!(store.summary().await, Err(StoreError::Closed));
        assert_eq!(store.intake(Vec::new()).await, Err(StoreError::Closed));

        let store = SqliteStore::open(dir.path(), 1000).unwrap();
        assert_eq!(store.newest_at_open(), Some(wall()));
        assert!(store.action(&id(1).to_string()).await.unwrap().is_some());
    });
}

#[test]
fn work_is_queued_when_it_is_asked_for_and_done_though_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = SqliteStore::open(dir.path(), 1000).unwrap();
        let never_polled = store.intake(vec![brings(acts(1, effect(1, 1)))]);
        drop(never_polled);
        let later = store.intake(vec![brings(acts(2, effect(1, 1)))]).await.unwrap();
        assert!(is_duplicate(&decision(&later[0]), id(1)));
    });
}

#[test]
fn an_attempt_is_made_when_the_writer_comes_to_it() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = SqliteStore::open(dir.path(), 1000).unwrap();
        store.intake(vec![brings(acts(1, effect(1, 1)))]).await.unwrap();
        let (go_on, stalled) = mpsc::channel();
        let stalls = store.write(move |_| {
            stalled.recv().unwrap();
            Ok(())
        });
        let now = Arc::new(std::sync::Mutex::new(start()));
        let clock = now.clone();
        let make = move || {
            let now = *clock.lock().unwrap();
            let (written, send_by) = (Stamp::new(BOOT, now), Stamp::new(BOOT, now.later(MINUTE)));
            NewAttempt { id: attempt_id(1), action: id(1), written, send_by }
        };
        let begins = store.begin(Box::new(make), Arc::new(NoGuard));
        let later = start().later(HOUR);
        *now.lock().unwrap() = later;
        go_on.send(()).unwrap();
        stalls.await.unwrap();
        let (attempt, begun) = begins.await.unwrap();
        assert!(matches!(begun, Begun::Written(_)), "{begun:?}");
        assert_eq!(attempt.written, Stamp::new(BOOT, later));
        store.close().await;
    });
}

#[test]
fn a_queue_that_is_full_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = SqliteStore::open(dir.path(), 1000).unwrap();
        let asked: Vec<_> =
            (0..limits::STORE_QUEUE * 2).map(|_| store.offsets(&SourceName::new("xdr"))).collect();
        for answer in asked {
            assert!(answer.await.unwrap().is_empty());
        }
        store.close().await;
    });
}
