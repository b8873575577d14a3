//! Rows of effects: who owns a file on a machine, and what an ended owner still blocks.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::sql::Json;
use crate::domain::action::{Class, State, StateName};
use crate::domain::dedupe::{Effect, Owner, Settled, Success};
use crate::domain::ids::{ActionId, EffectKey};
use crate::domain::time::Wall;
use crate::limits;

/// The row of one effect as it stands. Of an open owner everything is read from its own row.
pub(super) fn load(db: &Connection, key: &EffectKey) -> Result<Option<Effect>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT e.owner, e.ended, e.blocks_until, e.completed, e.success_until, e.window, e.first,
                e.times, a.detail, a.class, e.evidence, a.state
         FROM effects e LEFT JOIN actions a ON e.ended IS NULL AND a.id = e.owner
         WHERE e.tenant = ?1 AND e.machine = ?2 AND e.sha1 = ?3",
    )?;
    Ok(select.query_row(params![key.tenant, key.machine, key.sha1], read).optional()?)
}

/// Writes the row of a new action, where no open one owns it.
pub(super) fn own(db: &Connection, key: &EffectKey, effect: &Effect) -> Result<(), Fault> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO effects (tenant, machine, sha1, owner, window, first, times, evidence)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (tenant, machine, sha1) DO UPDATE
         SET owner = excluded.owner, window = excluded.window, first = excluded.first,
             times = excluded.times, evidence = excluded.evidence, ended = NULL,
             blocks_until = NULL, forget = NULL
         WHERE ended IS NOT NULL",
    )?;
    let written = upsert.execute(params![
        key.tenant,
        key.machine,
        key.sha1,
        effect.owner.id,
        micros(effect.window),
        effect.first,
        effect.times,
        effect.evidence
    ])?;
    match written {
        1 => Ok(()),
        _ => Err(Fault::invalid(format!(
            "action {} can't own {} on machine {}: another one is open",
            effect.owner.id, key.sha1, key.machine
        ))),
    }
}

/// Gives the row of a released owner its new window and evidence.
pub(super) fn settle(db: &Connection, settled: &Settled) -> Result<(), Fault> {
    let mut update = db.prepare_cached(
        "UPDATE effects SET window = ?2, evidence = ?3
         WHERE owner = ?1 AND (tenant, machine, sha1) =
             (SELECT tenant, machine, sha1 FROM actions WHERE id = ?1)",
    )?;
    update.execute(params![settled.action, micros(settled.window), settled.evidence])?;
    Ok(())
}

/// Keeps that these deny rules cover the effect.
pub(super) fn spare(
    db: &Connection,
    key: &EffectKey,
    by: &[String],
    at: Wall,
) -> Result<(), Fault> {
    let mut upsert = db.prepare_cached(
        "INSERT OR REPLACE INTO spared (tenant, machine, sha1, until, by)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let until = at + limits::SPARED_FOR;
    upsert.execute(params![key.tenant, key.machine, key.sha1, until, Json(by)])?;
    Ok(())
}

/// The deny rules, by id, that have covered the effect a short while ago.
pub(super) fn spared(
    db: &Connection,
    key: &EffectKey,
    now: Wall,
) -> Result<Option<Vec<String>>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT by FROM spared WHERE tenant = ?1 AND machine = ?2 AND sha1 = ?3 AND until > ?4",
    )?;
    let by = select
        .query_row(params![key.tenant, key.machine, key.sha1, now], |row| row.get::<_, Json<_>>(0));
    Ok(by.optional()?.map(|Json(by)| by))
}

/// What the row becomes when its owner ends. Damage never stops an end, nor leads to another call:
/// a row that is not found by its key, or does not read, blocks for its window.
pub(super) fn let_go(
    db: &Connection,
    key: Option<&EffectKey>,
    action: ActionId,
    end: &State,
    at: Wall,
) -> Result<(), Fault> {
    let damage = match key.map(|key| self::end(db, key, action, end, at)) {
        Some(Err(fault)) if fault.is_of_a_row() => fault.told("the store").to_string(),
        Some(ended) => return ended,
        None => "its row does not read".to_owned(),
    };
    tracing::error!(%action, %damage, "an action ends, its file stays blocked for the window");
    let mut update = db.prepare_cached(
        "UPDATE effects SET ended = ?2, blocks_until = ?3 + window, forget = ?3 + window
         WHERE owner = ?1 AND ended IS NULL",
    )?;
    update.execute(params![action, end.name(), at])?;
    Ok(())
}

fn end(
    db: &Connection,
    key: &EffectKey,
    action: ActionId,
    end: &State,
    at: Wall,
) -> Result<(), Fault> {
    let owned = load(db, key)?.filter(|effect| effect.owner.id == action);
    let Some(mut effect) = owned else {
        return Err(Fault::corrupt(format!("action {action} is open and owns no effect")));
    };
    effect.ended(end, at);
    let counted_until = effect.first + effect.window;
    let success_until = effect.success.map(|success| success.blocks_until);
    let forget = effect.blocks_until.max(success_until).max(Some(counted_until));
    let mut update = db.prepare_cached(
        "UPDATE effects
         SET ended = ?4, blocks_until = ?5, completed = ?6, success_until = ?7, forget = ?8
         WHERE tenant = ?1 AND machine = ?2 AND sha1 = ?3",
    )?;
    update.execute(params![
        key.tenant,
        key.machine,
        key.sha1,
        effect.owner.state,
        effect.blocks_until,
        effect.success.map(|success| success.completed),
        success_until,
        forget
    ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Effect> {
    let id = row.get(0)?;
    let owner = match row.get::<_, Option<StateName>>(1)? {
        // Nobody asks for the class of an owner that has ended.
        Some(state) => Owner { id, state, class: Class::Bulk, held_unknown: false },
        None => {
            // One whose row does not read, or is not there, stays open, and a person finds it.
            let state = row.get::<_, Json<State>>(8).map(|Json(state)| state);
            let for_evidence =
                |state: &State| matches!(state, State::Held { why, .. } if why.is_for_evidence());
            let held_unknown = state.is_ok_and(|state| for_evidence(&state));
            let class = row.get(9).unwrap_or(Class::Urgent);
            Owner { id, state: row.get(11).unwrap_or(StateName::InDoubt), class, held_unknown }
        }
    };
    let (completed, until) = (row.get::<_, Option<Wall>>(3)?, row.get::<_, Option<Wall>>(4)?);
    let success = completed.zip(until);
    Ok(Effect {
        owner,
        blocks_until: row.get(2)?,
        evidence: row.get(10)?,
        success: success.map(|(completed, blocks_until)| Success { completed, blocks_until }),
        window: Duration::from_micros(u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0)),
        first: row.get(6)?,
        times: row.get(7)?,
    })
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
