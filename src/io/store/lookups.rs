//! Receipts that wait for Defender's answers, each as it came.

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::sql::Json;
use super::{SqliteStore, intake};
use crate::domain::alert::Ask;
use crate::domain::decision::{Asked, JudgedDelivery, Receipt};
use crate::domain::ids::{SourceName, TenantName};
use crate::domain::lookup::Wanted;
use crate::io::lookups::{LookupStore, Waiting};
use crate::io::{StoreError, Taken};
use crate::limits;

type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

impl LookupStore for SqliteStore {
    fn lookups(&self, tenant: &TenantName, limit: usize) -> Answer<Vec<Wanted>> {
        let tenant = tenant.clone();
        self.write(move |db| wanted(db, &tenant, limit))
    }

    fn waiting(&self, receipt: i64) -> Answer<Option<Waiting>> {
        self.write(move |db| waiting(db, receipt))
    }

    fn looked_up(&self, receipt: i64, judged: JudgedDelivery) -> Answer<Taken> {
        self.writer.write(1, move |db| intake::looked_up(db, receipt, &judged))
    }
}

pub(super) fn wanted(
    db: &Connection,
    tenant: &TenantName,
    limit: usize,
) -> Result<Vec<Wanted>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT sequence, asks, due FROM lookups
         WHERE tenant = ?1 AND hosts = ?2 ORDER BY sequence LIMIT ?3",
    )?;
    // Each kind by itself: where one endpoint does not answer, the other goes on.
    let mut wanted = Vec::new();
    for hosts in [false, true] {
        let rows = select.query_map(params![tenant, hosts, super::limit(limit)], |row| {
            // One that does not read asks for nothing: it ends with the reason.
            let asks = row.get(1).map_or_else(|_| Vec::new(), |Json(asks)| asks);
            Ok(Wanted { receipt: row.get(0)?, asks, due: row.get(2)? })
        })?;
        for row in rows {
            wanted.push(row?);
        }
    }
    wanted.sort_by_key(|wanted| wanted.receipt);
    Ok(wanted)
}

pub(super) fn waiting(db: &Connection, receipt: i64) -> Result<Option<Waiting>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT tenant, source, coordinates, received, asks, text, format, due, alert
         FROM lookups WHERE sequence = ?1",
    )?;
    let waiting = select.query_row([receipt], |row| {
        let Json(coordinates) = row.get(2)?;
        let asks = row.get(4).map_or_else(|_| Vec::new(), |Json(asks)| asks);
        Ok(Waiting {
            tenant: row.get(0)?,
            source: SourceName::new(&row.get::<_, String>(1)?),
            coordinates,
            received: row.get(3)?,
            asked: Asked {
                alert: row.get(8)?,
                asks,
                text: row.get(5)?,
                format: row.get(6)?,
                due: row.get(7)?,
            },
        })
    });
    Ok(waiting.optional()?)
}

/// Whether as many of this tenant wait as may.
pub(super) fn is_full(db: &Connection, tenant: &TenantName) -> Result<bool, Fault> {
    let mut count = db.prepare_cached("SELECT COUNT(*) FROM lookups WHERE tenant = ?1")?;
    Ok(count.query_row([tenant], |row| row.get::<_, i64>(0))? >= limits::LOOKUPS_WAITING)
}

pub(super) fn insert(
    db: &Connection,
    delivery: &JudgedDelivery,
    receipt: &Receipt,
    asked: &Asked,
) -> Result<(), Fault> {
    let mut insert = db.prepare_cached(
        "INSERT INTO lookups
             (tenant, source, coordinates, received, due, asks, format, text, alert, hosts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    insert.execute(params![
        receipt.tenant,
        delivery.source.as_str(),
        Json(&delivery.coordinates),
        delivery.received,
        asked.due,
        Json(&asked.asks),
        asked.format,
        asked.text,
        asked.alert,
        asked.asks.iter().any(|ask| matches!(ask, Ask::Machine(_)))
    ])?;
    Ok(())
}

/// Whether it did wait.
pub(super) fn end(db: &Connection, receipt: i64) -> Result<bool, Fault> {
    let mut delete = db.prepare_cached("DELETE FROM lookups WHERE sequence = ?1")?;
    Ok(delete.execute([receipt])? > 0)
}
