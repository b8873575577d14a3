//! More than the record, read in the same way: for checks beside a running service or without one.

use std::time::Duration;

use rusqlite::InterruptHandle;

use super::chains::Chains;
use super::{attempts, offsets, report, verify};
use crate::domain::action::AttemptRow;
use crate::domain::ids::{SourceName, TenantName};
use crate::domain::time::Now;
use crate::io::{Offsets, StoreError, Summary};
use crate::limits;

/// Ends what is being read, from another thread.
pub struct Stopper(InterruptHandle);

impl Stopper {
    /// The read that is going on fails. Without one nothing happens.
    pub fn stop(&self) {
        self.0.interrupt();
    }
}

impl Chains {
    /// What ends a long read of this one.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.connection.get_interrupt_handle())
    }

    /// Names the rows that do not verify, at most [`limits::FAULTS_NAMED`].
    pub fn verify_rows(&self) -> Result<Vec<String>, StoreError> {
        self.read(|db| verify::rows(db, limits::FAULTS_NAMED))
    }

    /// What `lazaret status` shows of a stopped service.
    pub fn summary(&self) -> Result<Summary, StoreError> {
        self.read(report::summary)
    }

    /// How far each partition of a source is taken.
    pub fn offsets(&self, source: &SourceName) -> Result<Offsets, StoreError> {
        self.read(|db| offsets::read(db, source))
    }

    /// The attempts that a start would read for the budget of this tenant.
    pub fn attempts(
        &self,
        tenant: &TenantName,
        now: Now,
        window: Duration,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        self.read(|db| attempts::recent(db, tenant, now, window))
    }
}
