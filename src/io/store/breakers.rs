//! What breakers count, and those that have tripped.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use crate::domain::breaker::{Breaker, Gauge, Place, Rate, Trip};
use crate::domain::dedupe::Acted;
use crate::domain::ids::{MachineId, TenantName};
use crate::domain::scope::Scope;
use crate::domain::time::Wall;
use crate::io::TripLine;
use crate::limits;

/// Reads how one breaker stands, as far as it matters for this rate, and since when it counts.
pub(super) fn read(
    db: &Connection,
    place: &Place,
    rate: Rate,
    now: Wall,
    gauge: &mut Gauge,
) -> Result<Wall, Fault> {
    let Place { tenant, breaker, scope } = place;
    if gauge.acted.is_empty() && !gauge.tripped {
        let mut select = db.prepare_cached(
            "SELECT resumed FROM trips WHERE tenant = ?1 AND breaker = ?2 AND scope = ?3",
        )?;
        let resumed: Option<Option<Wall>> =
            select.query_row(params![tenant, breaker, scope], |row| row.get(0)).optional()?;
        gauge.tripped = resumed == Some(None);
        gauge.since = resumed.flatten().map(|at| at + Duration::from_micros(1));
    }
    let window = now - rate.per + Duration::from_micros(1);
    let since = gauge.since.map_or(window, |since| since.max(window));
    if gauge.tripped || gauge.acted.iter().any(|(of, _)| *of == rate) {
        return Ok(since);
    }
    let (sql, of): (&str, &dyn rusqlite::ToSql) = match (breaker, scope) {
        (Breaker::MachinesPerFile, Scope::Sha1(sha1)) => (
            "SELECT COUNT(*) FROM (SELECT 1 FROM actions INDEXED BY actions_file
                 WHERE tenant = ?1 AND sha1 = ?2 AND acted >= ?3 LIMIT ?4)",
            sha1,
        ),
        (Breaker::RuleActions, Scope::Rule(rule)) => (MINUTES, rule),
        (Breaker::ShareOfFleet, _) => (
            "SELECT COUNT(*) FROM (SELECT 1 FROM touched INDEXED BY touched_at
                 WHERE tenant = ?1 AND ?2 = '' AND at >= ?3 LIMIT ?4)",
            &"",
        ),
        _ => (MINUTES, &""),
    };
    let mut count = db.prepare_cached(sql)?;
    let acted: i64 =
        count.query_row(params![tenant, of, since, i64::from(rate.count)], |row| row.get(0))?;
    gauge.acted.push((rate, u32::try_from(acted).unwrap_or(u32::MAX)));
    Ok(since)
}

/// Whole minutes: what was decided in the first one counts although some of it is older.
const MINUTES: &str = "SELECT MIN(COALESCE(SUM(count), 0), ?4) FROM acted
    WHERE tenant = ?1 AND rule = ?2 AND minute >= ?3 / 60000000";

/// Whether a machine is among those that a breaker of machines has counted.
pub(super) fn is_counted(
    db: &Connection,
    tenant: &TenantName,
    machine: &MachineId,
    since: Wall,
) -> Result<bool, Fault> {
    let mut select =
        db.prepare_cached("SELECT 1 FROM touched WHERE tenant = ?1 AND machine = ?2 AND at >= ?3")?;
    Ok(select.exists(params![tenant, machine, since])?)
}

/// Counts actions for the breakers over rules and tenants.
pub(super) fn count(
    db: &Connection,
    tenant: &TenantName,
    rule: &str,
    at: Wall,
    number: i64,
) -> Result<(), Fault> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO acted (tenant, rule, minute, count) VALUES (?1, ?2, ?3 / 60000000, ?4)
         ON CONFLICT (tenant, rule, minute) DO UPDATE SET count = count + excluded.count",
    )?;
    upsert.execute(params![tenant, rule, at, number])?;
    Ok(())
}

pub(super) fn touch(db: &Connection, acted: &Acted) -> Result<(), Fault> {
    let mut upsert = db.prepare_cached(
        "INSERT OR REPLACE INTO touched (tenant, machine, at) VALUES (?1, ?2, ?3)",
    )?;
    upsert.execute(params![acted.key.tenant, acted.key.machine, acted.at])?;
    Ok(())
}

/// Its change is recorded apart.
pub(super) fn trip(db: &Connection, trip: &Trip, at: Wall) -> Result<(), Fault> {
    let Place { tenant, breaker, scope } = &trip.place;
    let mut upsert = db.prepare_cached(
        "INSERT OR REPLACE INTO trips (tenant, breaker, scope, at, why)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    upsert.execute(params![tenant, breaker, scope, at, trip.why])?;
    Ok(())
}

/// Sets the breakers of a scope back; they count anew from now. How many there were.
pub(super) fn reset(db: &Connection, scope: &Scope, at: Wall) -> Result<usize, Fault> {
    let mut update = db.prepare_cached(
        "UPDATE trips SET resumed = ?2 WHERE scope = ?1 AND resumed IS NULL
         RETURNING tenant, breaker",
    )?;
    let rows = update.query_map(params![scope, at], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let reset: Vec<(TenantName, Breaker)> = rows.collect::<Result<_, _>>()?;
    // Those that count by minutes would count what came before within the same minute.
    let mut delete = db.prepare_cached("DELETE FROM acted WHERE tenant = ?1 AND rule = ?2")?;
    for (tenant, breaker) in &reset {
        match (breaker, scope) {
            (Breaker::RuleActions, Scope::Rule(rule)) => delete.execute(params![tenant, rule])?,
            (Breaker::TenantActions, _) => delete.execute(params![tenant, ""])?,
            _ => 0,
        };
    }
    Ok(reset.len())
}

/// Breakers that hold something, oldest first.
pub(super) fn tripped(db: &Connection) -> Result<Vec<TripLine>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT tenant, breaker, scope, at, why FROM trips WHERE resumed IS NULL ORDER BY at",
    )?;
    let rows = select.query_map([], |row| {
        Ok(TripLine {
            tenant: row.get(0)?,
            breaker: row.get(1)?,
            scope: row.get(2)?,
            at: row.get(3)?,
            why: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Deletes what no breaker looks at any more, at most [`limits::PURGE_PIECE`] rows of each kind.
pub(super) fn forget(db: &Connection, now: Wall) -> Result<u64, Fault> {
    const LONGEST: Duration = Duration::from_secs(8 * 86_400);
    let before = now - LONGEST;
    let mut gone = 0;
    for sql in [
        "DELETE FROM acted WHERE (tenant, rule, minute) IN (
             SELECT tenant, rule, minute FROM acted INDEXED BY acted_minute
             WHERE minute < ?1 / 60000000 LIMIT ?2)",
        "DELETE FROM touched WHERE (tenant, machine) IN (
             SELECT tenant, machine FROM touched INDEXED BY touched_old WHERE at < ?1 LIMIT ?2)",
        "DELETE FROM trips WHERE (tenant, breaker, scope) IN (
             SELECT tenant, breaker, scope FROM trips WHERE resumed < ?1 LIMIT ?2)",
    ] {
        let piece = super::limit(limits::PURGE_PIECE);
        gone += db.prepare_cached(sql)?.execute(params![before, piece])?;
    }
    Ok(gone as u64)
}
