//! Deletes what has been kept long enough. Changes stay on their chains for good.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::{breakers, correlations, partials};
use crate::domain::decision::Fate;
use crate::domain::time::Wall;
use crate::io::Retention;
use crate::limits;

/// Deletes at most [`limits::PURGE_PIECE`] rows of each kind, and says how many went: none means
/// that nothing is left to delete.
pub(super) fn purge(db: &Connection, retention: &Retention, now: Wall) -> Result<u64, Fault> {
    let replays = "DELETE FROM replays WHERE rowid IN (
        SELECT rowid FROM replays WHERE keep_until < ?1 LIMIT ?2)";
    let effects = "DELETE FROM effects WHERE (tenant, machine, sha1) IN (
        SELECT tenant, machine, sha1 FROM effects WHERE forget IS NOT NULL AND forget <= ?1
        LIMIT ?2)";
    let spared = "DELETE FROM spared WHERE (tenant, machine, sha1) IN (
        SELECT tenant, machine, sha1 FROM spared INDEXED BY spared_until WHERE until <= ?1
        LIMIT ?2)";
    let mut gone = receipts(db, retention, now)?;
    failpoint!("store.purge", Err(Fault::full()));
    gone += delete(db, spared, now)?;
    gone += delete(db, replays, now)?;
    gone += delete(db, effects, now)?;
    gone += breakers::forget(db, now)?;
    gone += correlations::purge(db, now)?;
    gone += partials::purge(db, now - retention.partials)?;
    let kept = retention.actions.max(limits::ENDED_ACTIONS_KEPT_MIN);
    Ok(gone + ended_actions(db, now - kept)?)
}

fn receipts(db: &Connection, retention: &Retention, now: Wall) -> Result<u64, Fault> {
    let mut delete = db.prepare_cached(
        "DELETE FROM receipts WHERE sequence IN (
             SELECT sequence FROM receipts WHERE fate = ?1 AND at < ?2 LIMIT ?3)",
    )?;
    let mut gone = 0;
    for fate in Fate::ALL {
        let kept = match fate {
            Fate::Unreadable => retention.unreadable,
            _ => retention.fates,
        };
        gone += delete.execute(params![fate, now - kept, super::limit(limits::PURGE_PIECE)])?;
    }
    Ok(gone as u64)
}

/// Ended actions, each with its origin and its attempts.
fn ended_actions(db: &Connection, before: Wall) -> Result<u64, Fault> {
    let mut select = db.prepare_cached(
        "SELECT sequence, id FROM actions INDEXED BY actions_ended
         WHERE state NOT IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted')
           AND changed < ?1 ORDER BY changed LIMIT ?2",
    )?;
    let rows = select.query_map(params![before, super::limit(limits::PURGE_PIECE)], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?))
    })?;
    let ended = rows.collect::<Result<Vec<_>, _>>()?;
    let mut attempts = db.prepare_cached("DELETE FROM attempts WHERE action = ?1")?;
    let mut origins =
        db.prepare_cached("DELETE FROM origins WHERE sequence = ?1 RETURNING payload")?;
    let mut actions = db.prepare_cached("DELETE FROM actions WHERE sequence = ?1")?;
    let mut cancels = db.prepare_cached("DELETE FROM cancels WHERE action = ?1")?;
    // Actions of one alert stand one after the other, so those that share its bytes are near.
    let mut payload = db.prepare_cached(
        "DELETE FROM payloads WHERE sequence = ?1 AND NOT EXISTS
         (SELECT 1 FROM origins WHERE sequence BETWEEN ?1 AND ?1 + ?2 AND payload = ?1)",
    )?;
    let mut gone = 0;
    for (sequence, id) in ended {
        gone += attempts.execute([id])? + actions.execute([sequence])? + cancels.execute([id])?;
        let kept = origins.query_row([sequence], |row| row.get::<_, Option<i64>>(0)).optional()?;
        gone += usize::from(kept.is_some());
        if let Some(first) = kept.flatten() {
            payload.execute(params![first, super::limit(limits::CANDIDATES_PER_ALERT)])?;
        }
    }
    Ok(gone as u64)
}

fn delete(db: &Connection, sql: &str, before: Wall) -> Result<u64, Fault> {
    let mut delete = db.prepare_cached(sql)?;
    Ok(delete.execute(params![before, super::limit(limits::PURGE_PIECE)])? as u64)
}
