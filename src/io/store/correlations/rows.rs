//! The rows of what correlations count.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Brought;
use crate::domain::correlation::{Count, Counts, Event, Matched};
use crate::domain::ids::{SourceName, TenantName};
use crate::domain::time::Wall;
use crate::io::store::fault::Fault;
use crate::io::store::sql::Json;
use crate::limits::PURGE_PIECE;

pub(super) fn event(counts: &Counts, count: &Count, full: Option<String>) -> Event {
    Event {
        rule: count.rule.clone(),
        bases: vec![count.base.clone()],
        machine: counts.machine,
        sha1: counts.sha1,
        evidence: counts.evidence,
        candidate: counts.candidate.clone(),
        full,
    }
}

/// The row of this event, and when it was: what comes again is the same event.
pub(super) fn known(
    db: &Connection,
    of: &Brought<'_>,
    counts: &Counts,
    count: &Count,
    any_base: bool,
) -> Result<Option<(i64, Wall)>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT sequence, time FROM events
         WHERE tenant = ?1 AND rule = ?2 AND grp = ?3 AND alert = ?4 AND machine = ?5
           AND sha1 = ?6 AND (base = ?7 OR ?8)
         LIMIT 1",
    )?;
    let id = params![
        of.tenant,
        count.rule,
        count.group,
        of.alert,
        counts.machine,
        counts.sha1,
        count.base,
        any_base
    ];
    Ok(select.query_row(id, |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// An event as it is told last.
pub(super) fn update(
    db: &Connection,
    sequence: i64,
    counts: &Counts,
    count: &Count,
    (received, ruleset): (Wall, &str),
) -> Result<(), Fault> {
    let mut update = db.prepare_cached(
        "UPDATE events SET value = ?2, base = ?3, candidate = ?4, received = ?5, ruleset = ?6
         WHERE sequence = ?1 AND (value, base, candidate, ruleset) != (?2, ?3, ?4, ?6)",
    )?;
    let (value, base, candidate) = (&count.value, &count.base, &*counts.candidate);
    update.execute(params![sequence, value, base, candidate, received, ruleset])?;
    Ok(())
}

pub(super) fn remove(db: &Connection, tenant: &TenantName, sequence: i64) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM events WHERE sequence = ?1")?.execute([sequence])?;
    add_to(db, tenant, -1)
}

pub(super) fn insert(
    db: &Connection,
    of: &Brought<'_>,
    counts: &Counts,
    count: &Count,
    (received, until, ruleset): (Wall, Wall, &str),
) -> Result<i64, Fault> {
    let mut insert = db.prepare_cached(
        "INSERT INTO events
             (tenant, rule, grp, alert, machine, sha1, base, time, value, matched, until,
              evidence, source, coordinates, received, ruleset, candidate)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    insert.execute(params![
        of.tenant,
        count.rule,
        count.group,
        of.alert,
        counts.machine,
        counts.sha1,
        count.base,
        counts.time,
        count.value,
        until,
        counts.evidence,
        of.source.as_str(),
        Json(of.coordinates),
        received,
        ruleset,
        &*counts.candidate
    ])?;
    let sequence = db.last_insert_rowid();
    add_to(db, of.tenant, 1)?;
    Ok(sequence)
}

pub(super) fn add_to(db: &Connection, tenant: &TenantName, number: i64) -> Result<(), Fault> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO counted (tenant, events) VALUES (?1, ?2)
         ON CONFLICT (tenant) DO UPDATE SET events = events + excluded.events",
    )?;
    upsert.execute(params![tenant, number])?;
    Ok(())
}

pub(super) fn matched(db: &Connection, sequence: i64) -> Result<(Matched, Event), Fault> {
    let mut select = db.prepare_cached(
        "SELECT tenant, source, coordinates, alert, rule, base, machine, sha1, evidence, candidate
         FROM events WHERE sequence = ?1",
    )?;
    Ok(select.query_row([sequence], read)?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Matched, Event)> {
    let Json(coordinates) = row.get(2)?;
    let matched = Matched {
        tenant: row.get(0)?,
        source: SourceName::new(&row.get::<_, String>(1)?),
        coordinates,
        alert: row.get(3)?,
        events: Vec::new(),
    };
    let event = Event {
        rule: row.get(4)?,
        bases: vec![row.get(5)?],
        machine: row.get(6)?,
        sha1: row.get(7)?,
        evidence: row.get(8)?,
        candidate: Arc::from(row.get::<_, String>(9)?),
        full: None,
    };
    Ok((matched, event))
}

/// Forgets a piece of what is of no use any more.
pub(in crate::io::store) fn purge(db: &Connection, now: Wall) -> Result<u64, Fault> {
    let mut delete = db.prepare_cached(
        "DELETE FROM events WHERE sequence IN (
             SELECT sequence FROM events INDEXED BY events_until WHERE until <= ?1 LIMIT ?2)
         RETURNING tenant",
    )?;
    let gone =
        delete.query_map(params![now, super::super::limit(PURGE_PIECE)], |row| row.get(0))?;
    let gone = gone.collect::<Result<Vec<TenantName>, _>>()?;
    for tenant in &gone {
        add_to(db, tenant, -1)?;
    }
    Ok(gone.len() as u64)
}
