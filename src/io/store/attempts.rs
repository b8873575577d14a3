//! Rows of attempts: each written before its call, closed after it, and read at a start, when
//! they are the log of the limiter.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::{Fault, is_unreadable_value};
use super::sql::{Json, stamp_bytes};
use super::{actions, effects, pauses};
use crate::domain::action::{
    Approvals, AttemptRow, Begun, Call, Closed, ClosedAttempt, NewAttempt, OpenAction, Resumed,
    State, StateName,
};
use crate::domain::audit::{Actor, Change, What};
use crate::domain::guard::{Due, Guard, Released, Stop};
use crate::domain::ids::{ActionId, AttemptId, EffectKey, MachineActionId, TenantName};
use crate::domain::scope::Scope;
use crate::domain::time::{BootId, Clocks, Now, Stamp, Wall};
use crate::io::StoreError;
use crate::limits;

/// Writes an attempt where its action is queued, due, not expired and not paused, and the guard
/// lets it go on, and moves the action to in flight.
pub(super) fn begin(
    db: &Connection,
    attempt: &NewAttempt,
    guard: &dyn Guard,
) -> Result<Begun, Fault> {
    let now = attempt.written.wall;
    let Some(row) = sound(db, attempt.action)? else { return Ok(Begun::Corrupt) };
    let NewAttempt { id, action, written, send_by } = attempt;
    let checksum = checksum(*id, *action, &row.key.tenant, written, send_by);
    let mut insert = db.prepare_cached(
        "INSERT INTO attempts (id, action, tenant, written, send_by, checksum)
         SELECT ?1, id, tenant, ?3, ?4, ?5 FROM actions
         WHERE id = ?2 AND state = 'queued' AND not_before <= ?6 AND expires > ?6
           AND NOT EXISTS (SELECT 1 FROM pauses WHERE scope IN (
               'all', 'tenant:' || tenant, 'rule:' || rule, 'machine:' || lower(hex(machine)),
               'sha1:' || lower(hex(sha1))))
           AND NOT EXISTS (SELECT 1 FROM cancels WHERE cancels.action = actions.id)",
    )?;
    if insert.execute(params![id, action, written, send_by, checksum, now])? == 0 {
        return why_not(db, &row, now);
    }
    failpoint!("store.attempt", Err(Fault::full()));
    let due = Due {
        candidate: &row.candidate,
        rule: &row.rule,
        approvals: &row.approvals,
        released: row.released.as_ref(),
    };
    let spared = effects::spared(db, &row.key, now)?.map(Stop::Protected);
    if let Some(stop) = spared.or_else(|| guard.stops(&due, now)) {
        db.prepare_cached("DELETE FROM attempts WHERE id = ?1")?.execute([id])?;
        return stopped(db, &row, *action, stop, now);
    }
    let (tries, busy_since) = match row.state {
        State::Queued { tries, busy_since, .. } => (tries, busy_since),
        other => return Err(Fault::corrupt(format!("action {action} is queued and {other:?}"))),
    };
    let to = State::InFlight { attempt: *id, tries, busy_since };
    let change = Change {
        tenant: Some(row.key.tenant.clone()),
        actor: Actor::Lazaret,
        reason: format!("attempt {id} written"),
        at: now,
        what: What::Moved { action: *action, from: StateName::Queued, to },
    };
    actions::record(db, &change)?;
    Ok(Begun::Written(Call { key: row.key, comment: row.comment }))
}

/// Does what the guard says with an action that it stops.
fn stopped(
    db: &Connection,
    row: &Queued,
    action: ActionId,
    stop: Stop,
    now: Wall,
) -> Result<Begun, Fault> {
    let (to, reason) = match stop {
        Stop::Shut(why) => return Ok(Begun::Paused(why)),
        Stop::Protected(rules) => {
            let by = format!("rule {}", rules.join(", "));
            let reason = format!("judged again before its call: protected by {by}");
            (State::Rejected { by }, reason)
        }
        Stop::Hold(why, approvals) => {
            let reason = format!("judged again before its call: {why}");
            (State::Held { why, approvals }, reason)
        }
    };
    let stands = to.name();
    let what = What::Moved { action, from: StateName::Queued, to };
    let tenant = Some(row.key.tenant.clone());
    actions::record(db, &Change { tenant, actor: Actor::Lazaret, reason, at: now, what })?;
    Ok(Begun::Stopped(stands))
}

/// Closes an attempt. Of two closings the first stands.
pub(super) fn close(db: &Connection, closed: &ClosedAttempt) -> Result<(), Fault> {
    failpoint!("store.close", Err(Fault::full()));
    let mut update = db.prepare_cached(
        "UPDATE attempts SET closed = ?2, answered = ?3, status = ?4, text = ?5
         WHERE id = ?1 AND closed IS NULL",
    )?;
    let ClosedAttempt { id, closed, answered, status, text } = closed;
    if update.execute(params![id, closed, answered, status, text])? == 1 {
        return Ok(());
    }
    let mut select = db.prepare_cached("SELECT 1 FROM attempts WHERE id = ?1")?;
    if select.exists([id])? {
        return Ok(());
    }
    Err(Fault::invalid(format!("there is no attempt {id} to close")))
}

/// What a tenant's dispatcher starts from.
pub(super) fn resume(
    db: &Connection,
    tenant: &TenantName,
    now: Now,
    window: Duration,
) -> Result<Resumed, Fault> {
    let attempts = recent(db, tenant, now, window)?;
    failpoint!("store.resume", Err(Fault::io()));
    let mut select = db.prepare_cached(
        "SELECT id, machine, sha1, alert, comment, detail, checksum FROM actions
         INDEXED BY actions_open
         WHERE tenant = ?1 AND state IN ('held', 'in_flight', 'in_doubt', 'accepted')
           AND state <> 'held'
         ORDER BY sequence",
    )?;
    let mut rows = select.query([tenant])?;
    let mut open = Vec::new();
    while let Some(row) = rows.next()? {
        let action: ActionId = row.get(0)?;
        match open_action(db, row, action, tenant, now) {
            Ok(Some(found)) => open.push(found),
            Ok(None) => tracing::error!(%action, %tenant, "an open action's row is damaged"),
            Err(Fault::Sqlite(error)) if is_unreadable_value(&error) => {
                tracing::error!(%action, %tenant, %error, "an open action's row does not read");
            }
            Err(fault) => return Err(fault),
        }
    }
    let (outcomes, paused) = (outcomes(db, tenant)?, pauses::covers(db, tenant)?.is_some());
    Ok(Resumed { attempts, open, outcomes, paused })
}

/// The machine actions that ended last, oldest first. One whose action is called again since still
/// must not be taken for what that call made.
fn outcomes(db: &Connection, tenant: &TenantName) -> Result<Vec<MachineActionId>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT machine_action FROM actions INDEXED BY actions_outcomes
         WHERE tenant = ?1 AND machine_action IS NOT NULL AND state <> 'accepted'
         ORDER BY changed DESC LIMIT ?2",
    )?;
    let rows = select
        .query_map(params![tenant, limits::OUTCOMES_KEPT as i64], |row| row.get::<_, String>(0))?;
    let mut outcomes = Vec::new();
    for id in rows {
        outcomes.extend(MachineActionId::parse(&id?));
    }
    outcomes.reverse();
    Ok(outcomes)
}

/// Attempts of that scope without an answer whose `send by` is not past.
pub(super) fn unsent(
    db: &Connection,
    scope: &Scope,
    clocks: Clocks,
    now: Now,
) -> Result<u64, Fault> {
    let (condition, value) = pauses::condition(scope);
    let mut select = db.prepare_cached(&format!(
        "SELECT send_by FROM attempts INDEXED BY attempts_unclosed
         WHERE closed IS NULL AND action IN (SELECT id FROM actions WHERE {condition}
                                             AND actions.id = attempts.action)"
    ))?;
    let mut rows = select.query([&*value])?;
    let mut unsent = 0;
    while let Some(row) = rows.next()? {
        let send_by: Stamp = row.get(0)?;
        if send_by.on_boot_clock(now, clocks) > now.boot {
            unsent += 1;
        }
    }
    Ok(unsent)
}

/// CRC-32C of the columns of an attempt that never change.
pub(super) fn checksum(
    id: AttemptId,
    action: ActionId,
    tenant: &TenantName,
    written: &Stamp,
    send_by: &Stamp,
) -> i64 {
    super::checksum(&[
        id.0.as_bytes(),
        action.0.as_bytes(),
        tenant.as_str().as_bytes(),
        &stamp_bytes(written),
        &stamp_bytes(send_by),
    ])
}

pub(super) struct Queued {
    key: EffectKey,
    alert: String,
    comment: String,
    stands: StateName,
    state: State,
    expires: Wall,
    checksum: i64,
    rule: String,
    approvals: Approvals,
    aside: bool,
    released: Option<Released>,
    candidate: String,
}

impl Queued {
    fn is_damaged(&self, action: ActionId) -> bool {
        self.stands != self.state.name()
            || self.checksum != actions::checksum(action, &self.key, &self.alert, &self.comment)
    }
}

/// The row of an action, where all of it reads and its checksum verifies.
pub(super) fn sound(db: &Connection, action: ActionId) -> Result<Option<Queued>, Fault> {
    match queued(db, action) {
        Ok(row) => Ok(Some(row).filter(|row| !row.is_damaged(action))),
        Err(fault) if fault.is_of_a_row() => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn queued(db: &Connection, action: ActionId) -> Result<Queued, Fault> {
    let mut select = db.prepare_cached(
        "SELECT tenant, machine, sha1, alert, comment, detail, expires, checksum, state, rule,
                aside > 0, released, candidate, approvals
         FROM actions LEFT JOIN origins USING (sequence) WHERE id = ?1",
    )?;
    let found = select.query_row([action], |row| {
        let Json(state) = row.get(5)?;
        Ok(Queued {
            key: EffectKey { tenant: row.get(0)?, machine: row.get(1)?, sha1: row.get(2)? },
            alert: row.get(3)?,
            comment: row.get(4)?,
            stands: row.get(8)?,
            state,
            expires: row.get(6)?,
            checksum: row.get(7)?,
            rule: row.get(9)?,
            aside: row.get(10)?,
            released: row.get::<_, Option<Json<Released>>>(11)?.map(|Json(released)| released),
            candidate: row.get::<_, Option<String>>(12)?.unwrap_or_default(),
            approvals: row.get::<_, Option<Json<_>>>(13)?.map(|Json(a)| a).unwrap_or_default(),
        })
    });
    Ok(found.optional()?.ok_or(StoreError::NoAction(action))?)
}

fn why_not(db: &Connection, row: &Queued, now: Wall) -> Result<Begun, Fault> {
    if row.stands != StateName::Queued {
        return Ok(Begun::NotQueued(row.stands));
    }
    if let Some(why) = pauses::covers(db, &row.key.tenant)? {
        return Ok(Begun::Paused(why));
    }
    if row.aside {
        return Ok(Begun::Aside);
    }
    if row.expires <= now {
        return Ok(Begun::Expired);
    }
    // Queued, and not yet due.
    Ok(Begun::NotQueued(StateName::Queued))
}

/// Attempts from the newest back, until one is old by both clocks and so are all before it. The
/// boot clock counts too, because the wall clock may have been set since; whoever asked places
/// each of them exactly.
pub(super) fn recent(
    db: &Connection,
    tenant: &TenantName,
    now: Now,
    window: Duration,
) -> Result<Vec<AttemptRow>, Fault> {
    let span = window * 2 + Duration::from_secs(3600);
    let recent = |stamp: &Stamp| {
        stamp.wall >= now.wall - span || (stamp.boot >= now.boot - span && stamp.boot <= now.boot)
    };
    let mut select = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM attempts INDEXED BY attempts_tenant
         WHERE tenant = ?1 ORDER BY sequence DESC"
    ))?;
    let mut rows = select.query([tenant])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let attempt = attempt(row, tenant, now)?;
        let newest = attempt.closed.map_or(attempt.written, |closed| closed.at);
        if found.len() >= limits::RESUME_ATTEMPTS_MIN
            && !recent(&attempt.written)
            && !recent(&newest)
        {
            break;
        }
        found.push(attempt);
    }
    found.reverse();
    Ok(found)
}

const COLUMNS: &str = "id, action, written, send_by, checksum, closed, answered, status";

/// In place of the boot that a damaged attempt was made in.
pub(super) const DAMAGED: BootId = BootId([0; 16]);

/// An attempt whose checksum does not verify counts as made just now: it then holds its slot for
/// a whole window.
fn attempt(row: &Row<'_>, tenant: &TenantName, now: Now) -> Result<AttemptRow, Fault> {
    let (id, action) = (row.get(0)?, row.get(1)?);
    let (written, send_by): (Stamp, Stamp) = (row.get(2)?, row.get(3)?);
    let closed: Option<Stamp> = row.get(5)?;
    let closed = match closed {
        Some(at) => Some(Closed { at, answered: row.get(6)?, status: row.get(7)? }),
        None => None,
    };
    if row.get::<_, i64>(4)? == checksum(id, action, tenant, &written, &send_by) {
        return Ok(AttemptRow { id, action, written, send_by, closed });
    }
    tracing::error!(attempt = %id, %tenant, "an attempt's row is damaged; it counts as made now");
    let just_now = Stamp::new(DAMAGED, now);
    let closed = Some(Closed { at: just_now, answered: false, status: None });
    Ok(AttemptRow { id, action, written: just_now, send_by: just_now, closed })
}

/// `None` where the row's checksum does not verify.
fn open_action(
    db: &Connection,
    row: &Row<'_>,
    action: ActionId,
    tenant: &TenantName,
    now: Now,
) -> Result<Option<OpenAction>, Fault> {
    let key = EffectKey { tenant: tenant.clone(), machine: row.get(1)?, sha1: row.get(2)? };
    let (alert, comment): (String, String) = (row.get(3)?, row.get(4)?);
    let Json(state) = row.get(5)?;
    if row.get::<_, i64>(6)? != actions::checksum(action, &key, &alert, &comment) {
        return Ok(None);
    }
    let mut newest = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM attempts WHERE action = ?1 ORDER BY sequence DESC LIMIT 1"
    ))?;
    let mut newest = newest.query([action])?;
    let newest = match newest.next()? {
        Some(row) => Some(attempt(row, tenant, now)?),
        None => None,
    };
    Ok(Some(OpenAction { action, key, comment, state, attempt: newest }))
}
