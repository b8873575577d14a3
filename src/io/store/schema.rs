//! The schema and its versions.

use rusqlite::{Connection, TransactionBehavior};

use super::check::{self, When};
use super::fault::Fault;
use crate::io::StoreError;

/// `LZRT`: marks the file as ours, also for the command `file`.
const APPLICATION_ID: i32 = 0x4c5a_5254;

/// Each step from one version to the next. Steps are added at the end and never changed.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql")];

/// Makes the schema in an empty file.
pub(super) fn create(connection: &mut Connection) -> Result<(), Fault> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    migrate(connection, 0)
}

/// Refuses a file that is not ours, is newer than this build or is damaged, as far as it is looked
/// at now; brings an older one up to date, all steps or none.
pub(super) fn check(connection: &mut Connection, place: &str, when: When) -> Result<(), Fault> {
    let version = version(connection, place)?;
    check::require_sound(connection, place, when)?;
    migrate(connection, version)
}

/// Refuses a file that is not ours, or of another version than this build's. Changes nothing.
pub(super) fn recognise(connection: &Connection, place: &str) -> Result<(), Fault> {
    let (version, newest) = (version(connection, place)?, MIGRATIONS.len());
    if version == newest {
        return Ok(());
    }
    Err(StoreError::Io(format!(
        "{place} has schema {version}, this build reads {newest}: start the service once, which \
         brings it up to date"
    ))
    .into())
}

fn version(connection: &Connection, place: &str) -> Result<usize, Fault> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application != APPLICATION_ID {
        return Err(StoreError::Io(format!(
            "{place} belongs to another program (application id {application:#010x}); point \
             `store` to a directory of its own"
        ))
        .into());
    }
    let newest = MIGRATIONS.len();
    let known = usize::try_from(version).ok().filter(|version| *version <= newest);
    known.ok_or_else(|| {
        StoreError::Io(format!(
            "{place} has schema {version}, this build knows up to {newest}; run the version of \
             Lazaret that wrote it or a newer one"
        ))
        .into()
    })
}

fn migrate(connection: &mut Connection, from: usize) -> Result<(), Fault> {
    if from == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in &MIGRATIONS[from..] {
        transaction.execute_batch(step)?;
    }
    let version = i64::try_from(MIGRATIONS.len()).expect("few migrations");
    transaction.pragma_update(None, "user_version", version)?;
    Ok(transaction.commit()?)
}
