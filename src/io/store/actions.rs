//! Rows of actions: made, moved from state to state, and found when they are due.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::sql::Json;
use super::{attempts, chain, effects, endings};
use crate::domain::action::{
    Action, Approvals, Class, ClosedAttempt, Depth, Endings, Head, Heads, State, StateName,
};
use crate::domain::audit::{Change, What};
use crate::domain::dedupe::{NewAction, Settled};
use crate::domain::ids::{ActionId, EffectKey, TenantName};
use crate::domain::time::Wall;
use crate::io::StoreError;

/// Whether a change was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    Written,
    /// The action no longer stands where the change begins.
    LeftOut,
}

/// An alert's own bytes as they were kept last, for the next actions that it leads to.
#[derive(Default)]
pub(super) struct Kept {
    last: Option<(Arc<[u8]>, i64)>,
}

impl Kept {
    /// Keeps the bytes under the sequence of the first action that has them. Actions of one alert
    /// come one after the other and share its bytes.
    fn keep(&mut self, db: &Connection, raw: &Arc<[u8]>, first: i64) -> Result<i64, Fault> {
        if let Some((last, sequence)) = &self.last
            && Arc::ptr_eq(last, raw)
        {
            return Ok(*sequence);
        }
        let mut insert =
            db.prepare_cached("INSERT INTO payloads (sequence, body) VALUES (?1, ?2)")?;
        insert.execute(params![first, &raw[..]])?;
        self.last = Some((Arc::clone(raw), first));
        Ok(first)
    }
}

/// Writes a new action with its origin. Its `Created` is recorded, and it is counted, apart.
pub(super) fn insert(db: &Connection, new: &NewAction, kept: &mut Kept) -> Result<(), Fault> {
    let Action { id, key, alert_id, comment, class, created, expires, origin } = &new.action;
    let checksum = checksum(*id, key, alert_id, comment);
    let mut insert = db.prepare_cached(
        "INSERT INTO actions (id, tenant, machine, sha1, alert, comment, class, state, detail,
                              not_before, created, changed, expires, expires_queued,
                              expires_held, checksum, rule, acted, aside)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                 (SELECT COUNT(*) FROM pauses WHERE scope IN (
                     'rule:' || ?16, 'machine:' || lower(hex(?3)), 'sha1:' || lower(hex(?4)))))",
    )?;
    let rule = origin.rules.first().map_or("", String::as_str);
    let sequence = insert.insert(params![
        id,
        key.tenant,
        key.machine,
        key.sha1,
        alert_id,
        comment,
        class,
        new.state.name(),
        Json(&new.state),
        not_before(&new.state),
        created,
        expires,
        new.expires_queued,
        new.expires_held,
        checksum,
        rule,
        new.acted
    ])?;
    let payload = origin.raw.as_ref().map(|raw| kept.keep(db, raw, sequence)).transpose()?;
    let mut insert = db.prepare_cached(
        "INSERT INTO origins (sequence, candidate, rules, ruleset, delivery, payload, approvals,
                              endings)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    insert.execute(params![
        sequence,
        origin.candidate,
        Json(&origin.rules),
        origin.ruleset,
        Json(&origin.delivery),
        payload,
        unless_one_yes(&origin.approvals),
        unless_it_ends(&origin.endings)
    ])?;
    Ok(())
}

fn unless_one_yes(approvals: &Approvals) -> Option<Json<&Approvals>> {
    (*approvals != Approvals::default()).then_some(Json(approvals))
}

fn unless_it_ends(endings: &Endings) -> Option<Json<&Endings>> {
    (*endings != Endings::default()).then_some(Json(endings))
}

/// Writes what an action that evidence has released stands by from now on.
pub(super) fn settle(db: &Connection, settled: &Settled) -> Result<(), Fault> {
    let Settled { action, candidate, rules, ruleset, approvals, endings, acted, .. } = settled;
    let mut update = db.prepare_cached(
        "UPDATE origins
         SET candidate = ?2, rules = ?3, ruleset = ?4, approvals = ?5, endings = ?6
         WHERE sequence = (SELECT sequence FROM actions WHERE id = ?1)",
    )?;
    let (approvals, endings) = (unless_one_yes(approvals), unless_it_ends(endings));
    update.execute(params![action, candidate, Json(rules), ruleset, approvals, endings])?;
    let mut update = db.prepare_cached(
        "UPDATE actions SET rule = ?2, acted = ?3, released = NULL,
             aside = aside + (SELECT COUNT(*) FROM pauses WHERE scope = 'rule:' || ?2)
                   - (SELECT COUNT(*) FROM pauses WHERE scope = 'rule:' || rule)
         WHERE id = ?1",
    )?;
    let rule = rules.first().map_or("", String::as_str);
    update.execute(params![action, rule, acted])?;
    effects::settle(db, settled)
}

/// Applies a change to its action and appends it to its chain; neither where it is left out. An end
/// of an accepted action becomes what the rule that decided it wants then.
pub(super) fn record(db: &Connection, change: &Change) -> Result<Recorded, Fault> {
    for change in endings::led_to(db, change)? {
        if one(db, &change)? == Recorded::LeftOut {
            return Ok(Recorded::LeftOut);
        }
    }
    Ok(Recorded::Written)
}

fn one(db: &Connection, change: &Change) -> Result<Recorded, Fault> {
    let recorded = match &change.what {
        What::Moved { action, from, to } => shift(db, change, *action, *from, to)?,
        What::ClassRaised { action, to } => raise(db, *action, *to)?,
        What::Progressed { action, to } => endings::progressed(db, *action, *to)?,
        _ => Recorded::Written,
    };
    if recorded == Recorded::Written {
        chain::append(db, change)?;
    }
    Ok(recorded)
}

/// CRC-32C over what a call is made of, each part with its length before it.
pub(super) fn checksum(id: ActionId, key: &EffectKey, alert: &str, comment: &str) -> i64 {
    super::checksum(&[
        id.0.as_bytes(),
        key.tenant.as_str().as_bytes(),
        key.machine.as_bytes(),
        key.sha1.as_bytes(),
        alert.as_bytes(),
        comment.as_bytes(),
    ])
}

/// How many actions are open, over all tenants.
pub(super) fn open(db: &Connection) -> Result<u64, Fault> {
    let mut sum = db.prepare_cached(
        "SELECT COALESCE(SUM(count), 0) FROM states
         WHERE state IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted')",
    )?;
    let sum: i64 = sum.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(sum).unwrap_or(0))
}

/// Closes an attempt and makes changes. Returns those of actions that have moved on meanwhile.
pub(super) fn apply(
    db: &Connection,
    closed: Option<&ClosedAttempt>,
    changes: &[Change],
) -> Result<Vec<Change>, Fault> {
    if let Some(closed) = closed {
        attempts::close(db, closed)?;
    }
    failpoint!("store.apply", Err(Fault::full()));
    let mut left_out = Vec::new();
    for change in changes {
        if matches!(change.what, What::Created { .. } | What::Paused { .. } | What::Resumed { .. })
        {
            let what = "an action is created by an intake, a pause made by pausing";
            return Err(Fault::invalid(what));
        }
        if record(db, change)? == Recorded::LeftOut {
            left_out.push(change.clone());
        }
    }
    Ok(left_out)
}

/// The first due actions of one class in order of arrival.
pub(super) fn heads(
    db: &Connection,
    tenant: &TenantName,
    class: Class,
    now: Wall,
    depth: Depth,
) -> Result<Heads, Fault> {
    failpoint!("store.heads", Err(Fault::full()));
    let mut select = db.prepare_cached(
        "SELECT id, sequence, not_before, expires, detail, created + expires - expires_queued
         FROM actions INDEXED BY actions_queue
         WHERE tenant = ?1 AND class = ?2 AND state = 'queued' AND aside = 0 AND not_before <= ?3
         ORDER BY sequence LIMIT ?4",
    )?;
    let first = super::limit(depth.heads);
    let rows = select.query_map(params![tenant, class, now, first], |row| head(row, class))?;
    let due = rows.collect::<Result<Vec<_>, _>>()?;
    let last = due.last().filter(|_| due.len() >= depth.heads);
    let behind = last.map(|last| behind(db, tenant, class, now, last.sequence, depth.counted));
    let behind = behind.transpose()?.unwrap_or_default();
    let mut select = db.prepare_cached(
        "SELECT MIN(not_before) FROM actions INDEXED BY actions_later
         WHERE tenant = ?1 AND class = ?2 AND state = 'queued' AND aside = 0
           AND not_before > created AND not_before > ?3",
    )?;
    let mut next_due: Option<Wall> =
        select.query_row(params![tenant, class, now], |row| row.get(0))?;
    if next_due.is_none() && behind == 0 {
        next_due = ahead_of_the_clock(db, tenant, class, now)?;
    }
    Ok(Heads { due, behind, next_due })
}

/// How many of one class are due after that one, counted up to `most`.
fn behind(
    db: &Connection,
    tenant: &TenantName,
    class: Class,
    now: Wall,
    sequence: i64,
    most: u64,
) -> Result<u64, Fault> {
    let mut count = db.prepare_cached(
        "SELECT COUNT(*) FROM (
             SELECT 1 FROM actions INDEXED BY actions_queue
             WHERE tenant = ?1 AND class = ?2 AND state = 'queued' AND aside = 0
               AND not_before <= ?3 AND sequence > ?4 LIMIT ?5)",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let behind: i64 =
        count.query_row(params![tenant, class, now, sequence, most], |row| row.get(0))?;
    Ok(u64::try_from(behind).unwrap_or(0))
}

/// Held and queued actions past their time, the longest past first.
pub(super) fn expired(
    db: &Connection,
    tenant: &TenantName,
    now: Wall,
    limit: usize,
) -> Result<Vec<(ActionId, StateName)>, Fault> {
    failpoint!("store.sweep", Err(Fault::full()));
    let mut select = db.prepare_cached(
        "SELECT id, state FROM actions INDEXED BY actions_expiry
         WHERE tenant = ?1 AND state IN ('held', 'queued') AND expires <= ?2
         ORDER BY expires LIMIT ?3",
    )?;
    let rows = select.query_map(params![tenant, now, super::limit(limit)], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A row whose state does not read is a head nevertheless: the attempt on it then finds it
/// corrupt and says so, and those behind it go on.
fn head(row: &Row<'_>, class: Class) -> rusqlite::Result<Head> {
    let (tries, busy_since) = match row.get::<_, Json<State>>(4) {
        Ok(Json(State::Queued { tries, busy_since, .. })) => (tries, busy_since),
        _ => (0, None),
    };
    Ok(Head {
        action: row.get(0)?,
        class,
        sequence: row.get(1)?,
        queued: row.get(5)?,
        not_before: row.get(2)?,
        expires: row.get(3)?,
        tries,
        busy_since,
    })
}

/// Actions that were due when they came and are not now: the wall clock was set back.
fn ahead_of_the_clock(
    db: &Connection,
    tenant: &TenantName,
    class: Class,
    now: Wall,
) -> Result<Option<Wall>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT MIN(not_before) FROM actions INDEXED BY actions_queue
         WHERE tenant = ?1 AND class = ?2 AND state = 'queued' AND aside = 0 AND not_before > ?3",
    )?;
    Ok(select.query_row(params![tenant, class, now], |row| row.get(0))?)
}

fn shift(
    db: &Connection,
    change: &Change,
    action: ActionId,
    from: StateName,
    to: &State,
) -> Result<Recorded, Fault> {
    let next = to.name();
    if !from.may_become(next) {
        return Err(Fault::invalid(format!("action {action}: {from} never becomes {next}")));
    }
    let mut select = db.prepare_cached(
        "SELECT sequence, state, tenant, machine, sha1 FROM actions WHERE id = ?1",
    )?;
    let found = select.query_row([action], |row| {
        let key = || -> rusqlite::Result<_> {
            Ok(EffectKey { tenant: row.get(2)?, machine: row.get(3)?, sha1: row.get(4)? })
        };
        // What does not read stands nowhere, and is nobody's.
        Ok((row.get::<_, i64>(0)?, row.get::<_, StateName>(1).ok(), key().ok()))
    });
    let (sequence, stands, key) = found.optional()?.ok_or(StoreError::NoAction(action))?;
    let key = key.filter(|key| change.tenant.as_ref() == Some(&key.tenant));
    if key.is_none() && attempts::sound(db, action)?.is_some() {
        return Err(Fault::invalid(format!("action {action} is of another tenant")));
    }
    if stands != Some(from) {
        return Ok(Recorded::LeftOut);
    }
    let mut update = db.prepare_cached(
        "UPDATE actions SET state = ?2, detail = ?3, not_before = ?4, changed = ?5,
             machine_action = COALESCE(?6, machine_action),
             released = CASE ?2 WHEN 'held' THEN NULL ELSE released END,
             unfetched = CASE WHEN ?2 = 'accepted' THEN unfetched END,
             again = again + (state = 'accepted' AND ?2 = 'queued'),
             expires = CASE WHEN state = 'held' AND ?2 = 'queued' THEN ?5 + expires_queued - created
                            WHEN state = 'accepted' AND ?2 = 'queued'
                            THEN ?4 + expires_queued - created
                            WHEN state = 'queued' AND ?2 = 'held' THEN ?5 + expires_held - created
                            ELSE expires END
         WHERE sequence = ?1",
    )?;
    let machine_action = match to {
        State::Accepted { machine_action, .. } => Some(machine_action.as_str()),
        _ => None,
    };
    let at = change.at;
    update.execute(params![sequence, next, Json(to), not_before(to), at, machine_action])?;
    if let Some(tenant) = &change.tenant {
        count(db, tenant, from, -1)?;
        count(db, tenant, next, 1)?;
    }
    if !next.is_open() {
        effects::let_go(db, key.as_ref(), action, to, at)?;
    }
    Ok(Recorded::Written)
}

fn raise(db: &Connection, action: ActionId, to: Class) -> Result<Recorded, Fault> {
    let mut update = db.prepare_cached(
        "UPDATE actions SET class = ?2 WHERE id = ?1 AND class > ?2
         AND state IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted')",
    )?;
    Ok(match update.execute(params![action, to])? {
        0 => Recorded::LeftOut,
        _ => Recorded::Written,
    })
}

/// How many actions more, or less, stand in that state.
pub(super) fn count(
    db: &Connection,
    tenant: &TenantName,
    state: StateName,
    by: i64,
) -> Result<(), Fault> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO states (tenant, state, count) VALUES (?1, ?2, ?3)
         ON CONFLICT (tenant, state) DO UPDATE SET count = count + excluded.count",
    )?;
    upsert.execute(params![tenant, state, by])?;
    Ok(())
}

fn not_before(state: &State) -> Wall {
    match state {
        State::Queued { not_before, .. } => *not_before,
        _ => Wall(0),
    }
}
