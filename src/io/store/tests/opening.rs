//! Opening: one process at a time, its own account alone, and never over a damaged file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::SqliteStore;
use super::*;
use crate::io::Store as _;

fn open(dir: &Path) -> Result<Db, StoreError> {
    Db::open(dir, 1000)
}

fn refused(dir: &Path) -> String {
    match open(dir) {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error.to_string(),
    }
}

/// A directory with a store in it that has one action.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::with(open(dir.path()).unwrap());
    world.take(brings(acts(1, effect(1, 1))));
    dir
}

fn alter(dir: &Path, sql: &str) {
    rusqlite::Connection::open(dir.join("lazaret.db")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn what_was_taken_is_there_after_a_restart() {
    let dir = filled();
    let mut world = World::with(open(dir.path()).unwrap());
    assert_eq!(world.state(id(1)), queued(wall()));
    assert_eq!(world.db.newest().unwrap(), Some(wall()));
    world.expect_sound();
}

#[test]
fn the_settings_that_durability_rests_on_are_set() {
    let dir = filled();
    let db = open(dir.path()).unwrap();
    let text = |name: &str| -> String {
        let value = db
            .connection
            .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
        format!("{:?}", value.unwrap())
    };
    assert_eq!(text("journal_mode"), "Text(\"wal\")");
    assert_eq!(text("synchronous"), "Integer(2)");
    assert_eq!(text("cache_size"), "Integer(-8192)");
    assert_eq!(text("wal_autocheckpoint"), "Integer(4000)");
    assert_eq!(text("trusted_schema"), "Integer(0)");
    assert_eq!(text("temp_store"), "Integer(2)");
}

#[test]
fn a_second_process_is_refused_while_the_first_works() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let why = refused(dir.path());
    assert!(why.contains("another process") && why.contains("lazaret.lock"), "{why}");
    drop(first);
    open(dir.path()).unwrap();
}

#[test]
fn others_can_not_read_it() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let mut world = World::with(open(&dir).unwrap());
    world.take(brings(acts(1, effect(1, 1))));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_newer_schema_and_a_foreign_file_are_left_alone() {
    let dir = filled();
    alter(dir.path(), "PRAGMA user_version = 99");
    let why = refused(dir.path());
    assert!(why.contains("schema 99") && why.contains("run the version"), "{why}");

    alter(dir.path(), "PRAGMA user_version = 1; PRAGMA application_id = 1");
    let why = refused(dir.path());
    assert!(why.contains("another program"), "{why}");

    fs::write(dir.path().join("lazaret.db"), "no database at all, just words").unwrap();
    let why = refused(dir.path());
    assert!(why.contains("no database of Lazaret"), "{why}");
}

#[test]
fn a_damaged_file_is_refused_and_never_made_anew() {
    let dir = filled();
    let file = dir.path().join("lazaret.db");
    let whole = fs::read(&file).unwrap();
    for length in [0, 100, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let error = open(dir.path()).map(|_| ()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{length}: {error}");
        assert!(error.to_string().contains("backup"), "{length}: {error}");
        assert_eq!(fs::read(&file).unwrap().len(), length, "left as it is");
    }
    let mut scribbled = whole.clone();
    scribbled[4096..8192].fill(0x55);
    fs::write(&file, &scribbled).unwrap();
    assert!(matches!(open(dir.path()).map(|_| ()), Err(StoreError::Corrupt(_))));

    fs::write(&file, &whole).unwrap();
    open(dir.path()).unwrap();
}

#[test]
fn a_log_without_its_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("lazaret.db-wal"), "frames").unwrap();
    let why = refused(dir.path());
    assert!(why.contains("write-ahead log"), "{why}");
}

#[test]
fn a_start_that_stopped_half_way_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("lazaret.db.new"), "half of it").unwrap();
    fs::write(dir.path().join("lazaret.db.new-wal"), "and its log").unwrap();
    let mut world = World::with(open(dir.path()).unwrap());
    assert!(done(&world.take(brings(acts(1, effect(1, 1))))));
    assert!(!dir.path().join("lazaret.db.new").exists());
}

#[test]
fn a_directory_that_can_not_be_written_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o500)).unwrap();
    // Permissions do not stop root; nobody writes into /proc.
    let root_writes = fs::write(dir.join("probe"), "").is_ok();
    let dir = if root_writes { Path::new("/proc/self") } else { &dir };
    let why = refused(dir);
    assert!(why.contains(&dir.display().to_string()) && why.contains("write"), "{why}");

    fs::write(parent.path().join("file"), "").unwrap();
    let why = refused(&parent.path().join("file"));
    assert!(why.contains("make the directory"), "{why}");
}

#[test]
fn the_handle_refuses_what_the_store_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path()).unwrap();
    assert!(SqliteStore::open(dir.path(), 1).is_err());
}

/// Damages the first page of a table.
fn scribble(file: &Path, table: &str) {
    let db = rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let page: u32 = db.query_row(sql, [table], |row| row.get(0)).unwrap();
    let bytes: u32 = db.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
    drop(db);
    let mut whole = fs::read(file).unwrap();
    whole[((page - 1) * bytes) as usize..(page * bytes) as usize].fill(0x55);
    fs::write(file, whole).unwrap();
}

/// As a file is opened that is too long to be looked at before.
fn open_long(dir: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open_first(dir, 1000, 0, Duration::ZERO)
}

async fn looked_at(store: &SqliteStore) {
    let check = store.check.lock().await.take();
    check.expect("it is looked at beside the work").over().await;
}

#[tokio::test]
async fn a_long_file_is_looked_at_beside_the_work() {
    let dir = filled();
    let store = open_long(dir.path()).unwrap();
    looked_at(&store).await;
    assert_eq!(store.offsets(&SourceName::new("xdr")).await, Ok(Default::default()));
    assert_eq!(store.trouble(), None);
    store.close().await;
    // Neither the look nor the wait before it keeps a store from closing.
    for after in [Duration::ZERO, HOUR] {
        SqliteStore::open_first(dir.path(), 1000, 0, after).unwrap().close().await;
    }
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn damage_that_is_found_beside_the_work_ends_it_and_the_next_start() {
    let dir = filled();
    let file = dir.path().join("lazaret.db");
    let whole = fs::read(&file).unwrap();
    scribble(&file, "payloads");
    let store = open_long(dir.path()).unwrap();
    looked_at(&store).await;
    assert_eq!(store.offsets(&SourceName::new("xdr")).await, Err(StoreError::Closed));
    let why = store.trouble().unwrap();
    assert!(why.contains("damaged") && why.contains("backup"), "{why}");
    store.close().await;

    let refused = open_long(dir.path()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "the damage was noted: {refused}");
    fs::write(&file, &whole).unwrap();
    let store = open_long(dir.path()).unwrap();
    assert!(store.check.lock().await.is_none(), "what was damaged is looked at first");
    store.close().await;
    assert!(!dir.path().join("lazaret.damaged").exists(), "it was restored");
    looked_at(&open_long(dir.path()).unwrap()).await;
}

#[test]
fn what_holds_calls_back_is_looked_at_before_any() {
    for table in ["pauses", "cancels"] {
        let dir = filled();
        scribble(&dir.path().join("lazaret.db"), table);
        assert!(matches!(open_long(dir.path()), Err(StoreError::Corrupt(_))), "{table}");
    }
}
