//! Whether the file is sound: looked at before the work where that is quick, else beside it.
//!
//! Looking at a file takes as long as reading all of it, and a start may not wait for that. Until
//! a long one has been looked at, SQLite refuses each damaged page that it meets, and the rows of
//! what goes on the wire have checksums. Damage that is found later closes the store, and is noted,
//! so that no start goes on over it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::oneshot;

use super::fault::{Fault, RESTORE};
use super::{open, threads};
use crate::io::StoreError;

/// When a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    First,
    Beside,
}

/// What was found to be damaged; the store does nothing more then.
pub(super) type Damage = Arc<OnceLock<String>>;

/// What holds calls back, looked at before them in any case. Few rows.
const BRAKES: [&str; 2] = ["pauses", "cancels"];

/// Files of up to `first` bytes are looked at first, and any that was found damaged before.
pub(super) fn when(dir: &Path, length: u64, first: u64) -> When {
    if length <= first || note(dir).exists() { When::First } else { When::Beside }
}

/// Refuses a file that is damaged, as far as it is looked at now.
pub(super) fn require_sound(db: &Connection, place: &str, when: When) -> Result<(), Fault> {
    match when {
        When::First => sound(db, place, "1"),
        When::Beside => BRAKES.iter().try_for_each(|table| sound(db, place, table)),
    }
}

fn sound(db: &Connection, place: &str, what: &str) -> Result<(), Fault> {
    let sql = format!("PRAGMA quick_check({what})");
    let found: String = db.query_row(&sql, [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    Err(Fault::corrupt(format!("{place} is damaged: {found}; {RESTORE}")))
}

/// The look at a long file while the store works.
pub(super) struct Beside {
    stop: Arc<AtomicBool>,
    /// Ends the wait before it.
    wait: mpsc::Sender<()>,
    interrupt: InterruptHandle,
    ended: oneshot::Receiver<()>,
}

impl Beside {
    /// Begins `after` a while: the first calls need the disk more.
    pub(super) fn start(dir: &Path, damage: Damage, after: Duration) -> Result<Self, StoreError> {
        let connection = open::reader(dir)?;
        let interrupt = connection.get_interrupt_handle();
        let stop = Arc::new(AtomicBool::new(false));
        let (dir, stopped) = (dir.to_owned(), stop.clone());
        let (wait, waited) = mpsc::channel();
        let ended = threads::spawn("store-check", move || {
            if waited.recv_timeout(after) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let place = open::database(&dir).display().to_string();
            match tables(&connection, &place, &stopped) {
                Ok(()) => {}
                Err(_) if stopped.load(Ordering::Acquire) => {}
                Err(fault) => {
                    let why = fault.told(&place);
                    tracing::error!(%why, "the store closes itself");
                    if let (StoreError::Corrupt(_), Err(error)) = (&why, write(&dir, &why)) {
                        tracing::error!(%error, "the next start will not know of the damage");
                    }
                    // Set once: nobody else looks.
                    let _ = damage.set(why.to_string());
                }
            }
        })?;
        Ok(Self { stop, wait, interrupt, ended })
    }

    /// Returns soon, whether all was looked at or not.
    pub(super) async fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // It waits no more, or has ended.
        let _ = self.wait.send(());
        self.interrupt.interrupt();
        self.over().await;
    }

    /// Returns once all was looked at.
    pub(super) async fn over(self) {
        // A thread that died has released everything too.
        let _ = self.ended.await;
    }
}

/// One table after the other, so that no snapshot keeps the log from being folded in for long.
fn tables(db: &Connection, place: &str, stopped: &AtomicBool) -> Result<(), Fault> {
    let mut select = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names = select.query_map([], |row| row.get::<_, String>(0))?;
    for name in names.collect::<Result<Vec<_>, _>>()? {
        if stopped.load(Ordering::Acquire) {
            return Ok(());
        }
        sound(db, place, &name)?;
    }
    Ok(())
}

/// Where damage is noted.
fn note(dir: &Path) -> PathBuf {
    dir.join("lazaret.damaged")
}

fn write(dir: &Path, why: &StoreError) -> std::io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(note(dir))?;
    writeln!(file, "{why}")?;
    file.sync_all()?;
    std::fs::File::open(dir)?.sync_all()
}

/// After a look that found nothing: the file was restored.
pub(super) fn forget(dir: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(note(dir)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(open::io_error("remove", &note(dir), &error))
        }
        _ => Ok(()),
    }
}
