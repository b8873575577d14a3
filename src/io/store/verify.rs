//! Looks whether the rows still say what was written, and agree with each other.

use rusqlite::{Connection, Row};

use super::fault::Fault;
use super::sql::Json;
use super::{actions, attempts};
use crate::domain::action::{State, StateName};
use crate::domain::ids::{ActionId, AttemptId, EffectKey, MachineId, Sha1, TenantName};

/// Names what does not verify among actions, attempts, effects and counters, at most `limit`.
pub(super) fn rows(db: &Connection, limit: usize) -> Result<Vec<String>, Fault> {
    let mut faults = Vec::new();
    each(db, ACTIONS, &mut faults, limit, action)?;
    each(db, ATTEMPTS, &mut faults, limit, attempt)?;
    each(db, OWNERS, &mut faults, limit, |row| {
        let id: ActionId = row.get(0)?;
        Ok(Some(format!("action {id} is open and its effect has another owner, or none")))
    })?;
    each(db, OWNERLESS, &mut faults, limit, |row| {
        let (tenant, machine, sha1): (TenantName, MachineId, Sha1) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Some(format!("{sha1} on machine {machine} of tenant {tenant} has no open owner")))
    })?;
    each(db, COUNTS, &mut faults, limit, |row| {
        let (tenant, state): (String, String) = (row.get(0)?, row.get(1)?);
        let (counted, there): (i64, i64) = (row.get(2)?, row.get(3)?);
        let what = format!("tenant {tenant}: {counted} actions counted as {state}, {there} are");
        Ok(Some(what))
    })?;
    each(db, BALANCE, &mut faults, limit, |row| {
        let (source, received, fates): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let waiting: i64 = row.get(3)?;
        let there = format!("{fates} fates and {waiting} waiting");
        Ok(Some(format!("source {source}: {received} receipts but {there}")))
    })?;
    Ok(faults)
}

const ACTIONS: &str =
    "SELECT id, tenant, machine, sha1, alert, comment, state, detail, checksum FROM actions";

const ATTEMPTS: &str = "SELECT id, action, tenant, written, send_by, checksum FROM attempts";

const OWNERS: &str = "SELECT a.id FROM actions a
    LEFT JOIN effects e
        ON e.tenant = a.tenant AND e.machine = a.machine AND e.sha1 = a.sha1
       AND e.owner = a.id AND e.ended IS NULL
    WHERE a.state IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted') AND e.owner IS NULL";

const OWNERLESS: &str = "SELECT e.tenant, e.machine, e.sha1 FROM effects e
    LEFT JOIN actions a ON a.id = e.owner
        AND a.state IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted')
    WHERE e.ended IS NULL AND a.id IS NULL";

const COUNTS: &str = "SELECT COALESCE(s.tenant, a.tenant), COALESCE(s.state, a.state),
        COALESCE(s.count, 0) AS counted, COALESCE(a.count, 0) AS there
    FROM (SELECT * FROM states
          WHERE state IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted')) s
    FULL JOIN (SELECT tenant, state, COUNT(*) AS count FROM actions
               WHERE state IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted')
               GROUP BY tenant, state) a
        ON a.tenant = s.tenant AND a.state = s.state
    WHERE counted <> there";

const BALANCE: &str = "SELECT r.source, r.count, COALESCE(SUM(c.count), 0) AS fates,
        (SELECT COUNT(*) FROM partials p WHERE p.source = r.source AND p.due IS NOT NULL)
            + (SELECT COUNT(*) FROM lookups l WHERE l.source = r.source) AS waiting
    FROM received r LEFT JOIN counters c ON c.source = r.source
    GROUP BY r.source HAVING r.count <> fates + waiting";

/// Reads each row of a query; one that does not read at all is a fault too.
fn each(
    db: &Connection,
    sql: &str,
    faults: &mut Vec<String>,
    limit: usize,
    mut fault: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<String>>,
) -> Result<(), Fault> {
    let mut select = db.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if faults.len() >= limit {
            break;
        }
        match fault(row) {
            Ok(found) => faults.extend(found),
            Err(error) => faults.push(format!("a row does not read: {error} ({sql})")),
        }
    }
    Ok(())
}

fn action(row: &Row<'_>) -> rusqlite::Result<Option<String>> {
    let id: ActionId = row.get(0)?;
    let key = EffectKey { tenant: row.get(1)?, machine: row.get(2)?, sha1: row.get(3)? };
    let (alert, comment): (String, String) = (row.get(4)?, row.get(5)?);
    let (state, Json(detail)) = (row.get::<_, StateName>(6)?, row.get::<_, Json<State>>(7)?);
    let sound = row.get::<_, i64>(8)? == actions::checksum(id, &key, &alert, &comment)
        && state == detail.name();
    Ok((!sound).then(|| format!("action {id} does not verify")))
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Option<String>> {
    let (id, action): (AttemptId, ActionId) = (row.get(0)?, row.get(1)?);
    let tenant: TenantName = row.get(2)?;
    let checksum = attempts::checksum(id, action, &tenant, &row.get(3)?, &row.get(4)?);
    Ok((row.get::<_, i64>(5)? != checksum).then(|| format!("attempt {id} does not verify")))
}
