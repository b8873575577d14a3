//! Alerts of streams whose rows are still coming, one row here for each.
//!
//! Those that wait have a time when they are due. The others are kept for a while, so that late
//! evidence finds its alert and what is published again tells nothing.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::sql::{Json, json};
use crate::domain::decision::{From, Joins, Judge, JudgedDelivery};
use crate::domain::gather::{self, Gathered, Kept};
use crate::domain::ids::{SourceName, TenantName};
use crate::domain::join::{Partial, Row};
use crate::domain::time::Wall;
use crate::limits;

/// Alerts of the tenants that one piece of work touches: how many, and of how many bytes. Written
/// once, at its end.
#[derive(Default)]
pub(super) struct Held(HashMap<TenantName, (Load, Load)>);

/// What one tenant has in the join.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    alerts: i64,
    bytes: i64,
    /// When rows were last refused or forgotten, for want of room.
    lost: Option<Wall>,
}

impl Held {
    fn of(&mut self, db: &Connection, tenant: &TenantName) -> Result<&mut Load, Fault> {
        if !self.0.contains_key(tenant) {
            let mut select =
                db.prepare_cached("SELECT alerts, bytes, lost FROM joins WHERE tenant = ?1")?;
            let load = select.query_row([tenant], |row| {
                Ok(Load { alerts: row.get(0)?, bytes: row.get(1)?, lost: row.get(2)? })
            });
            let load = load.optional()?.unwrap_or_default();
            self.0.insert(tenant.clone(), (load, load));
        }
        Ok(&mut self.0.get_mut(tenant).expect("inserted").1)
    }

    pub(super) fn write(self, db: &Connection) -> Result<(), Fault> {
        let mut upsert = db.prepare_cached(
            "INSERT OR REPLACE INTO joins (tenant, alerts, bytes, lost) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (tenant, (before, now)) in self.0 {
            if now != before {
                upsert.execute(params![tenant, now.alerts, now.bytes, now.lost])?;
            }
        }
        Ok(())
    }
}

/// What a delivery's rows make of their alerts. Nothing is written yet but what made room.
pub(super) fn gather(
    db: &Connection,
    held: &mut Held,
    delivery: &JudgedDelivery,
    joins: &Joins,
) -> Result<Vec<Gathered>, Fault> {
    let mut alerts: BTreeMap<(&TenantName, &str), Vec<Row>> = BTreeMap::new();
    for (tenant, row) in &joins.rows {
        alerts.entry((tenant, &row.alert)).or_default().push(row.clone());
    }
    let mut gathered = Vec::with_capacity(alerts.len());
    for ((tenant, alert), rows) in alerts {
        let (source, coordinates) = (&delivery.source, &delivery.coordinates);
        let from = From { tenant, source, coordinates, at: delivery.received };
        let kept = load(db, tenant, alert)?;
        let room = match kept {
            Some(_) => Ok(kept),
            None => room(db, held, &from, &*joins.judge)?,
        };
        gathered.push(match room {
            Err(why) => gather::refuse(&from, alert, why, &*joins.judge),
            Ok(kept) => gather::gather(kept, alert, rows, &from, &*joins.judge),
        });
    }
    Ok(gathered)
}

/// What another alert of this tenant begins with, once those that wait for nothing are forgotten;
/// or why there is no room for it.
fn room(
    db: &Connection,
    held: &mut Held,
    from: &From<'_>,
    judge: &dyn Judge,
) -> Result<Result<Option<Kept>, String>, Fault> {
    let bounds = *judge.bounds();
    let load = held.of(db, from.tenant)?;
    while load.alerts >= super::bound(bounds.alerts) || load.bytes >= super::bound(bounds.bytes) {
        load.lost = Some(from.at);
        let gone = forget_of(db, from.tenant)?;
        if gone.alerts == 0 {
            return Ok(Err(format!("{} alerts of this tenant wait for rows already", load.alerts)));
        }
        load.alerts -= gone.alerts;
        load.bytes -= gone.bytes;
    }
    let lost = load.lost.is_some_and(|lost| from.at < lost + bounds.remembers);
    Ok(Ok(lost.then(|| Kept::of_lost(from))))
}

fn forget_of(db: &Connection, tenant: &TenantName) -> Result<Load, Fault> {
    let mut delete = db.prepare_cached(
        "DELETE FROM partials WHERE sequence IN (
             SELECT sequence FROM partials INDEXED BY partials_told
             WHERE tenant = ?1 AND due IS NULL ORDER BY touched LIMIT ?2)
         RETURNING bytes",
    )?;
    let piece = super::limit(limits::JOIN_PIECE);
    let bytes = delete.query_map(params![tenant, piece], |row| row.get::<_, i64>(0))?;
    let bytes = bytes.collect::<Result<Vec<_>, _>>()?;
    Ok(Load { alerts: super::limit(bytes.len()), bytes: bytes.iter().sum(), lost: None })
}

/// Forgets what has waited for nothing since `before`.
pub(super) fn purge(db: &Connection, before: Wall) -> Result<u64, Fault> {
    let mut delete = db.prepare_cached(
        "DELETE FROM partials WHERE sequence IN (
             SELECT sequence FROM partials INDEXED BY partials_old
             WHERE due IS NULL AND touched < ?1 ORDER BY touched LIMIT ?2)
         RETURNING tenant, bytes",
    )?;
    let piece = super::limit(limits::PURGE_PIECE);
    let rows = delete.query_map(params![before, piece], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows = rows.collect::<Result<Vec<(TenantName, i64)>, _>>()?;
    let mut held = Held::default();
    for (tenant, bytes) in &rows {
        let load = held.of(db, tenant)?;
        load.alerts -= 1;
        load.bytes -= bytes;
    }
    held.write(db)?;
    Ok(rows.len() as u64)
}

/// The first alerts that have waited long enough, ended: so many that others need not wait long.
pub(super) fn due(db: &Connection, now: Wall, judge: &dyn Judge) -> Result<Vec<Gathered>, Fault> {
    let read_up_to = judge.read_up_to().min(now);
    let mut select = db.prepare_cached(
        "SELECT source, coordinates, opened, touched, due, body, tenant, alert, bytes
         FROM partials INDEXED BY partials_due WHERE due <= ?1 ORDER BY due LIMIT ?2",
    )?;
    let piece = super::limit(limits::JOIN_PIECE);
    let mut rows = select.query(params![read_up_to, piece])?;
    let (mut gathered, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        bytes += row.get::<_, i64>(8)?;
        if bytes > limits::JOIN_PIECE_BYTES && !gathered.is_empty() {
            break;
        }
        let (tenant, alert) = (row.get(6)?, row.get::<_, String>(7)?);
        gathered.push(gather::mature(kept(row)?, tenant, &alert, now, judge));
    }
    Ok(gathered)
}

fn load(db: &Connection, tenant: &TenantName, alert: &str) -> Result<Option<Kept>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT source, coordinates, opened, touched, due, body
         FROM partials WHERE tenant = ?1 AND alert = ?2",
    )?;
    Ok(select.query_row(params![tenant, alert], kept).optional()?)
}

fn kept(row: &rusqlite::Row<'_>) -> rusqlite::Result<Kept> {
    let Json(coordinates) = row.get(1)?;
    // One that does not read must not stop the others: it ends as incomplete.
    let partial = row.get(5).map(|Json(partial)| partial).unwrap_or_else(|why| {
        tracing::error!(%why, "what was kept of an alert's rows does not read");
        Partial::of_lost()
    });
    Ok(Kept {
        partial,
        source: SourceName::new(&row.get::<_, String>(0)?),
        coordinates,
        opened: row.get(2)?,
        touched: row.get(3)?,
        due: row.get(4)?,
    })
}

/// Keeps what has changed.
pub(super) fn write(db: &Connection, held: &mut Held, gathered: &[Gathered]) -> Result<(), Fault> {
    // Not known since it was read: making room for another alert may have removed it.
    let mut before =
        db.prepare_cached("SELECT bytes FROM partials WHERE tenant = ?1 AND alert = ?2")?;
    let mut upsert = db.prepare_cached(
        "INSERT INTO partials
             (tenant, alert, source, coordinates, opened, touched, due, bytes, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (tenant, alert) DO UPDATE SET
             source = excluded.source, coordinates = excluded.coordinates,
             opened = excluded.opened, touched = excluded.touched, due = excluded.due,
             bytes = excluded.bytes, body = excluded.body",
    )?;
    for Gathered { tenant, alert, kept, .. } in gathered.iter().filter(|one| one.changed) {
        let known = before.query_row(params![tenant, alert], |row| row.get::<_, i64>(0));
        let known = known.optional()?;
        let body = json(&kept.partial);
        let bytes = super::limit(body.len());
        upsert.execute(params![
            tenant,
            alert,
            kept.source.as_str(),
            Json(&kept.coordinates),
            kept.opened,
            kept.touched,
            kept.due,
            bytes,
            body
        ])?;
        let load = held.of(db, tenant)?;
        load.alerts += i64::from(known.is_none());
        load.bytes += bytes - known.unwrap_or(0);
    }
    Ok(())
}
