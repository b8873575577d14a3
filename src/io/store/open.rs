//! Opens the store's directory: one process at a time, readable by its own account alone, and
//! never a fresh store in the place of a damaged one.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::check::{self, When};
use super::fault::{Fault, RESTORE};
use super::schema;
use crate::io::StoreError;
use crate::limits;

/// SQLite before 3.51.3 could damage a write-ahead log that several connections reset at once.
const SQLITE_MIN: i32 = 3_051_003;

/// The lock of the directory, held until it is dropped.
pub(super) struct Lock {
    _file: File,
}

/// Opens the store in `dir`, making both where there is none. A file of more than `first` bytes is
/// not looked at as a whole, which is then said.
pub(super) fn open(dir: &Path, first: u64) -> Result<(Connection, Lock, When), StoreError> {
    require_sqlite(rusqlite::version_number())?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| io_error("make the directory", dir, &error))?;
    let lock = lock(dir)?;
    let file = database(dir);
    let place = file.display().to_string();
    let mut when = When::First;
    match file.metadata() {
        Ok(found) if found.len() == 0 => {
            let what = format!("{place} is empty, as no store ever is; {RESTORE}");
            return Err(StoreError::Corrupt(what));
        }
        Ok(found) => {
            require_whole(&file, found.len())?;
            when = check::when(dir, found.len(), first);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(dir)?,
        Err(error) => return Err(io_error("look at", &file, &error)),
    }
    let opened = connect(&file, when).map_err(|fault| fault.told(&place))?;
    if when == When::First {
        check::forget(dir)?;
    }
    Ok((opened, lock, when))
}

/// The database file of a store's directory.
pub(super) fn database(dir: &Path) -> PathBuf {
    dir.join("lazaret.db")
}

/// A second connection that only reads, in short snapshots.
pub(super) fn reader(dir: &Path) -> Result<Connection, StoreError> {
    let file = database(dir);
    let open = || -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags)?;
        set_up(&connection, limits::STORE_READER_CACHE_KIB)?;
        Ok(connection)
    };
    open().map_err(|fault| fault.told(&file.display().to_string()))
}

/// A store that lives as long as its connection: for tests and simulations.
pub(super) fn in_memory() -> Result<Connection, Fault> {
    let mut connection = Connection::open_in_memory()?;
    set_up(&connection, limits::STORE_CACHE_KIB)?;
    schema::create(&mut connection)?;
    Ok(connection)
}

fn require_sqlite(version: i32) -> Result<(), StoreError> {
    if version >= SQLITE_MIN {
        return Ok(());
    }
    Err(StoreError::Io(format!(
        "SQLite {version} can damage its log under several connections; build with the bundled \
         SQLite, or one of at least {SQLITE_MIN}"
    )))
}

/// Refuses a file that is shorter than its own header says, where no write-ahead log may hold the
/// rest: SQLite reads what is missing as zeros, and its check sees only the structure.
fn require_whole(file: &Path, length: u64) -> Result<(), StoreError> {
    let has_log = file.with_extension("db-wal").metadata().is_ok_and(|log| log.len() > 0);
    let mut header = [0; 32];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut header));
    if has_log || !header.starts_with(b"SQLite format 3\0") {
        return Ok(());
    }
    if let Err(error) = read
        && error.kind() != io::ErrorKind::UnexpectedEof
    {
        return Err(io_error("read", file, &error));
    }
    // A page size of 65536 does not fit its two bytes, and is none of ours.
    let page = u64::from(u16::from_be_bytes([header[16], header[17]]));
    let pages = u64::from(u32::from_be_bytes([header[28], header[29], header[30], header[31]]));
    if length >= page * pages {
        return Ok(());
    }
    let file = file.display();
    Err(StoreError::Corrupt(format!(
        "{file} has {length} bytes where its header says {}; {RESTORE}",
        page * pages
    )))
}

fn lock(dir: &Path) -> Result<Lock, StoreError> {
    let path = dir.join("lazaret.lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|error| io_error("write", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(StoreError::Io(format!(
            "another process works on the store in {} and holds {}; stop it, or ask it through \
             its admin listener",
            dir.display(),
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path, &error)),
    }
}

/// Makes the file under another name first, so that `lazaret.db` is a whole store whenever it is
/// there at all, whatever moment the machine stops at.
fn make(dir: &Path) -> Result<(), StoreError> {
    let file = database(dir);
    let log = dir.join("lazaret.db-wal");
    if log.exists() {
        return Err(StoreError::Corrupt(format!(
            "{} is gone but its write-ahead log is here; {RESTORE}",
            file.display()
        )));
    }
    let new = dir.join("lazaret.db.new");
    for leftover in [&new, &dir.join("lazaret.db.new-wal"), &dir.join("lazaret.db.new-shm")] {
        match std::fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", leftover, &error));
            }
            _ => {}
        }
    }
    // SQLite gives its log and shared memory the mode of the database file.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    made.map_err(|error| io_error("make", &new, &error))?;
    let fill = || -> Result<(), Fault> {
        let mut connection = Connection::open_with_flags(&new, write_flags())?;
        write_ahead(&connection)?;
        set_up(&connection, limits::STORE_CACHE_KIB)?;
        schema::create(&mut connection)?;
        connection.close().map_err(|(_, error)| Fault::from(error))
    };
    fill().map_err(|fault| fault.told(&new.display().to_string()))?;
    std::fs::rename(&new, &file).map_err(|error| io_error("rename", &new, &error))?;
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| io_error("sync", dir, &error))
}

fn connect(file: &Path, when: When) -> Result<Connection, Fault> {
    let mut connection = Connection::open_with_flags(file, write_flags())?;
    connection.busy_timeout(Duration::from_secs(5))?;
    schema::check(&mut connection, &file.display().to_string(), when)?;
    write_ahead(&connection)?;
    set_up(&connection, limits::STORE_CACHE_KIB)?;
    Ok(connection)
}

fn write_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn write_ahead(connection: &Connection) -> Result<(), Fault> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let what = "the file system can't keep a write-ahead log; use a local one";
        return Err(StoreError::Io(what.to_owned()).into());
    }
    connection.pragma_update(None, "wal_autocheckpoint", limits::STORE_LOG_PAGES)?;
    Ok(connection.pragma_update(None, "journal_size_limit", limits::STORE_LOG_BYTES_KEPT)?)
}

fn set_up(connection: &Connection, cache_kib: i64) -> Result<(), Fault> {
    failpoint!("store.open", Err(Fault::io()));
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A negative size is in KiB.
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Otherwise every value bound beside a partial index prepares its statement anew.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection.pragma_update(None, "cell_size_check", true)?)
}

pub(super) fn io_error(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io(format!(
        "can't {what} {}: {error}; the store needs a directory that its account may write to",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sqlite_that_can_damage_its_log_is_refused() {
        assert!(require_sqlite(3_051_002).is_err());
        assert_eq!(require_sqlite(3_051_003), Ok(()));
    }
}
