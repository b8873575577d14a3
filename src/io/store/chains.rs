//! The record of a store, read by itself: beside a running service or without one.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::fault::Fault;
use super::{chain, open, schema};
use crate::io::{AuditLine, ChainHead, StoreError, Verified};
use crate::limits;

/// The hash chains of one directory. Takes no lock and changes nothing, so that it works while the
/// service runs; each method sees one moment.
pub struct Chains {
    pub(super) connection: Connection,
    place: String,
}

impl Chains {
    /// Opens what is in this directory; an error where no store is.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let file = open::database(dir);
        let place = file.display().to_string();
        if !file.exists() {
            let what = format!("there is no store at {place}: `lazaret run` makes it");
            return Err(StoreError::Io(what));
        }
        let chains = Self { connection: open::reader(dir)?, place };
        chains.read(|db| {
            db.busy_timeout(Duration::from_secs(5))?;
            schema::recognise(db, &chains.place)
        })?;
        Ok(chains)
    }

    /// The newest entry of every chain.
    pub fn heads(&self) -> Result<Vec<ChainHead>, StoreError> {
        self.read(chain::heads)
    }

    /// Walks every chain, and looks for these heads that they once had.
    pub fn verify(&self, anchors: &[ChainHead]) -> Result<Verified, StoreError> {
        self.read(|db| chain::walk(db, anchors, limits::FAULTS_NAMED))
    }

    /// The next `limit` entries of all chains after this position, in the order of their commits.
    pub fn page(&self, after: i64, limit: usize) -> Result<Vec<AuditLine>, StoreError> {
        self.read(|db| chain::page(db, after, limit))
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let snapshot = || -> Result<T, Fault> {
            let transaction = self.connection.unchecked_transaction()?;
            let found = read(&transaction)?;
            transaction.finish()?;
            Ok(found)
        };
        snapshot().map_err(|fault| fault.told(&self.place))
    }
}
