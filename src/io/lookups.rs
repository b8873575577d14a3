//! Receipts that wait for what Defender is asked.

use futures_util::future::BoxFuture;

use super::{StoreError, Taken};
use crate::domain::action::Coordinates;
use crate::domain::decision::{Asked, JudgedDelivery};
use crate::domain::ids::{SourceName, TenantName};
use crate::domain::lookup::Wanted;
use crate::domain::time::Wall;

/// A receipt as it came, to be read again.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub tenant: TenantName,
    pub source: SourceName,
    pub coordinates: Coordinates,
    pub received: Wall,
    pub asked: Asked,
}

/// The half of the store that whoever asks Defender works on.
pub trait LookupStore: Send + Sync {
    /// A tenant's receipts that wait, the oldest first, at most `limit` of each source that ask for
    /// alerts, and as many that ask for machines.
    fn lookups(
        &self,
        tenant: &TenantName,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Wanted>, StoreError>>;

    /// `None` where it waits no more.
    fn waiting(&self, receipt: i64) -> BoxFuture<'static, Result<Option<Waiting>, StoreError>>;

    /// Ends its waiting with what its alert, judged with the answers, leads to, in one transaction.
    /// [`Taken::Replayed`] where it waits no more; where this fails it waits on.
    fn looked_up(
        &self,
        receipt: i64,
        judged: JudgedDelivery,
    ) -> BoxFuture<'static, Result<Taken, StoreError>>;
}
