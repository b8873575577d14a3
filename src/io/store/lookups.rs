//! Receipts that wait for Defender's answers, each as it came.

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::sql::{Json, json};
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
    // Each source and kind by itself: where one has very many, or its endpoint does not answer, the
    // others go on.
    let mut select = db.prepare_cached(
        "SELECT sequence, asks, due FROM lookups
         WHERE tenant = ?1 AND source = ?2 AND kind = ?3 ORDER BY sequence LIMIT ?4",
    )?;
    let mut wanted = Vec::new();
    for source in sources(db, tenant)? {
        for kind in 0..=2 {
            let of = params![tenant, source.as_str(), kind, super::limit(limit)];
            let rows = select.query_map(of, |row| {
                // One that does not read asks for nothing: it ends with the reason.
                let asks = row.get(1).map_or_else(|_| Vec::new(), |Json(asks)| asks);
                let (receipt, source) = (row.get(0)?, source.clone());
                Ok(Wanted { receipt, source, asks, due: row.get(2)? })
            })?;
            for row in rows {
                wanted.push(row?);
            }
        }
    }
    wanted.sort_by_key(|wanted| wanted.receipt);
    Ok(wanted)
}

/// Those of which something waits.
fn sources(db: &Connection, tenant: &TenantName) -> Result<Vec<SourceName>, Fault> {
    let mut select =
        db.prepare_cached("SELECT source FROM asking WHERE tenant = ?1 AND alerts > 0")?;
    let sources =
        select.query_map([tenant], |row| Ok(SourceName::new(&row.get::<_, String>(0)?)))?;
    Ok(sources.collect::<Result<_, _>>()?)
}

pub(super) fn waiting(db: &Connection, receipt: i64) -> Result<Option<Waiting>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT tenant, source, coordinates, received, asks, text, format, due, alert, candidates
         FROM lookups WHERE sequence = ?1",
    )?;
    let waiting = select.query_row([receipt], |row| {
        let Json(coordinates) = row.get(2)?;
        let asks = row.get(4).map_or_else(|_| Vec::new(), |Json(asks)| asks);
        let Json(candidates) = row.get(9)?;
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
                candidates,
                otherwise: Vec::new(),
                due: row.get(7)?,
            },
        })
    });
    Ok(waiting.optional()?)
}

/// Whether as many of this tenant from this source wait as may.
pub(super) fn is_full(
    db: &Connection,
    tenant: &TenantName,
    source: &SourceName,
) -> Result<bool, Fault> {
    let mut select = db.prepare_cached(
        "SELECT alerts >= ?3 OR bytes >= ?4 FROM asking WHERE tenant = ?1 AND source = ?2",
    )?;
    let of =
        params![tenant, source.as_str(), limits::LOOKUPS_WAITING, limits::LOOKUPS_WAITING_BYTES];
    Ok(select.query_row(of, |row| row.get(0)).optional()?.unwrap_or(false))
}

pub(super) fn insert(
    db: &Connection,
    delivery: &JudgedDelivery,
    receipt: &Receipt,
    asked: &Asked,
) -> Result<(), Fault> {
    let mut insert = db.prepare_cached(
        "INSERT INTO lookups
             (tenant, source, coordinates, received, due, asks, format, text, alert, candidates,
              kind)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let source = receipt.joined.as_ref().unwrap_or(&delivery.source);
    let hosts = asked.asks.iter().any(|ask| matches!(ask, Ask::Host(_)));
    let kind = if asked.candidates.is_empty() { i64::from(hosts) } else { 2 };
    let candidates = json(&asked.candidates);
    let bytes = super::limit(asked.text.len() + candidates.len());
    insert.execute(params![
        receipt.tenant,
        source.as_str(),
        Json(&delivery.coordinates),
        delivery.received,
        asked.due,
        Json(&asked.asks),
        asked.format,
        asked.text,
        asked.alert,
        candidates,
        kind,
    ])?;
    let mut count = db.prepare_cached(
        "INSERT INTO asking (tenant, source, alerts, bytes) VALUES (?1, ?2, 1, ?3)
         ON CONFLICT (tenant, source) DO UPDATE
         SET alerts = alerts + 1, bytes = bytes + excluded.bytes",
    )?;
    count.execute(params![receipt.tenant, source.as_str(), bytes])?;
    Ok(())
}

/// Whether it did wait.
pub(super) fn end(db: &Connection, receipt: i64) -> Result<bool, Fault> {
    let mut delete = db.prepare_cached(
        "DELETE FROM lookups WHERE sequence = ?1 
         RETURNING tenant, source, octet_length(text) + octet_length(candidates)",
    )?;
    let ended = delete.query_row([receipt], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    });
    let Some((tenant, source, bytes)) = ended.optional()? else { return Ok(false) };
    let mut count = db.prepare_cached(
        "UPDATE asking SET alerts = alerts - 1, bytes = bytes - ?3
         WHERE tenant = ?1 AND source = ?2",
    )?;
    count.execute(params![tenant, source, bytes])?;
    Ok(true)
}
