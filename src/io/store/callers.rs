//! Who has made calls, by the names that the attempts were written under: a start compares them
//! with those of the configuration.

use std::time::Duration;

use futures_util::future::BoxFuture;
use rusqlite::{Connection, params};

use super::fault::Fault;
use super::report::counted;
use super::{SqliteStore, attempts};
use crate::domain::ids::TenantName;
use crate::domain::time::{Now, Wall};
use crate::io::StoreError;

/// What the store holds of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub tenant: TenantName,
    /// When each of its calls within the window was answered, or else made; oldest first.
    pub calls: Vec<Wall>,
    /// How many of its actions are open.
    pub open: u64,
}

impl SqliteStore {
    /// Each tenant that has made calls, as far back as attempts are kept.
    pub fn tenants_with_calls(&self) -> BoxFuture<'static, Result<Vec<TenantName>, StoreError>> {
        self.read_at_once(names)
    }

    /// What it holds of one of them. Of damaged attempts nobody knows whose they are.
    pub fn caller(
        &self,
        tenant: TenantName,
        now: Now,
        window: Duration,
    ) -> BoxFuture<'static, Result<Caller, StoreError>> {
        self.read_at_once(move |db| caller(db, tenant, now, window))
    }
}

pub(super) fn names(db: &Connection) -> Result<Vec<TenantName>, Fault> {
    // Steps from one tenant to the next along the index: a start must not read all attempts.
    let mut select = db.prepare_cached(
        "WITH RECURSIVE names (tenant) AS (
             SELECT MIN(tenant) FROM attempts INDEXED BY attempts_tenant
             UNION ALL
             SELECT (SELECT MIN(tenant) FROM attempts INDEXED BY attempts_tenant
                     WHERE tenant > names.tenant)
             FROM names WHERE names.tenant IS NOT NULL
         )
         SELECT tenant FROM names WHERE tenant IS NOT NULL",
    )?;
    let rows = select.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn caller(
    db: &Connection,
    tenant: TenantName,
    now: Now,
    window: Duration,
) -> Result<Caller, Fault> {
    let rows = attempts::recent(db, &tenant, now, window)?.into_iter();
    let rows = rows.filter(|row| row.written.boot_id != attempts::DAMAGED);
    let newest = rows.map(|row| row.closed.map_or(row.written, |closed| closed.at).wall);
    let calls = newest.filter(|at| *at > now.wall - window).collect();
    let mut open = db.prepare_cached(
        "SELECT COALESCE(SUM(count), 0) FROM states WHERE tenant = ?1
         AND state IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted')",
    )?;
    let open = open.query_row(params![tenant], |row| counted(row, 0))?;
    Ok(Caller { tenant, calls, open })
}
