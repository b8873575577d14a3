//! Which rules and lists were last in force, each with the hash of its content: so that a start can
//! say on the record what was changed while the service was stopped.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use rusqlite::{Connection, params};

use super::fault::Fault;
use super::{SqliteStore, actions};
use crate::domain::audit::Change;
use crate::io::StoreError;

/// Hashes by the id of a rule or `list NAME`.
pub type Hashes = BTreeMap<String, String>;

impl SqliteStore {
    /// What [`SqliteStore::rules_in_force`] wrote last; empty before the first start.
    pub fn rules_before(&self) -> BoxFuture<'static, Result<Hashes, StoreError>> {
        self.read(before)
    }

    /// Writes what is in force from now on, together with the changes that say so.
    pub fn rules_in_force(
        &self,
        hashes: Hashes,
        changes: Vec<Change>,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        self.write(move |db| in_force(db, &hashes, &changes))
    }
}

fn before(db: &Connection) -> Result<Hashes, Fault> {
    let mut select = db.prepare_cached("SELECT name, hash FROM rules")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn in_force(db: &Connection, hashes: &Hashes, changes: &[Change]) -> Result<(), Fault> {
    db.execute("DELETE FROM rules", [])?;
    let mut insert = db.prepare_cached("INSERT INTO rules (name, hash) VALUES (?1, ?2)")?;
    for (name, hash) in hashes {
        insert.execute(params![name, hash])?;
    }
    for change in changes {
        actions::record(db, change)?;
    }
    Ok(())
}
