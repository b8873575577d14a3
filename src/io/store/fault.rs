//! What can go wrong inside the store, and how it is told outside it.

use rusqlite::{ErrorCode, ffi};

use crate::io::StoreError;

/// A failure of one piece of work; its savepoint is rolled back.
#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Store(StoreError::Corrupt(what.into()))
    }

    pub(super) fn invalid(what: impl Into<String>) -> Self {
        Self::Store(StoreError::Invalid(what.into()))
    }

    /// What SQLite says where the disk is full. For failpoints, as is the next.
    pub(super) fn full() -> Self {
        Self::of(ffi::SQLITE_FULL)
    }

    /// What it says where a sync has failed.
    pub(super) fn io() -> Self {
        Self::of(ffi::SQLITE_IOERR_FSYNC)
    }

    fn of(code: std::ffi::c_int) -> Self {
        Self::Sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    /// The operating system failed to read, write or sync. What is on disk is then unknown until
    /// the file is opened anew: a second sync may report success for pages that are lost.
    pub(super) fn is_io(&self) -> bool {
        matches!(self, Self::Sqlite(error)
            if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure))
    }

    /// A value of a row does not read, or contradicts another: the rest of the store is as good.
    pub(super) fn is_of_a_row(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Corrupt(_)),
            Self::Sqlite(error) => is_unreadable_value(error),
        }
    }

    /// The disk, or the right to write to it, is the trouble: it concerns all that is written.
    pub(super) fn is_of_the_disk(&self) -> bool {
        let of_the_disk = [
            ErrorCode::DiskFull,
            ErrorCode::SystemIoFailure,
            ErrorCode::ReadOnly,
            ErrorCode::PermissionDenied,
            ErrorCode::CannotOpen,
        ];
        matches!(self, Self::Sqlite(error)
            if error.sqlite_error_code().is_some_and(|code| of_the_disk.contains(&code)))
    }

    /// Tells it with where it happened and what to do. `place` is the database file.
    pub(super) fn told(self, place: &str) -> StoreError {
        let error = match self {
            Self::Store(error) => return error,
            Self::Sqlite(error) => error,
        };
        if is_unreadable_value(&error) {
            return StoreError::Corrupt(format!(
                "{place} holds a value that can't be: {error}; {RESTORE}"
            ));
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Io(format!(
                "the disk of {place} is full, nothing of this was kept; free some space, the \
                 store then goes on by itself"
            )),
            Some(ErrorCode::SystemIoFailure) => StoreError::Io(format!(
                "{place} can't be read or written: {error}; the store has closed itself: see to \
                 the disk, then start again"
            )),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                StoreError::Io(format!(
                    "{place} can't be written: {error}; give the account that runs this write \
                     access to the file and its directory"
                ))
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                StoreError::Corrupt(format!("{place} is damaged: {error}; {RESTORE}"))
            }
            Some(ErrorCode::NotADatabase) => StoreError::Corrupt(format!(
                "{place} is no database of Lazaret; point `store` to another directory, or \
                 restore the file from a backup"
            )),
            _ => StoreError::Io(format!("{place}: {error}")),
        }
    }
}

/// What to do about a damaged file.
pub(super) const RESTORE: &str = "stop the service and restore the directory from a backup, or \
    move it away to begin with an empty store (Kafka sources are then read from their start)";

pub(super) fn is_unreadable_value(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}
