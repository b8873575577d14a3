//! What people say of actions that wait: yes, no, and letting a breaker's scope go on. Each of them
//! all or nothing, in one transaction with its changes.

use std::collections::HashSet;

use rusqlite::types::ToSql;
use rusqlite::{Connection, params};

use super::actions::Recorded;
use super::fault::{Fault, is_unreadable_value};
use super::sql::Json;
use super::{actions, breakers, chain, pauses, report};
use crate::domain::action::{Approvals, HoldWhy, State};
use crate::domain::audit::{Actor, Change, What};
use crate::domain::guard::Guard;
use crate::domain::ids::{ActionId, EffectKey};
use crate::domain::scope::Scope;
use crate::domain::time::Wall;
use crate::domain::vote::{self, Next, Say, Voted, Voter};
use crate::io::{ActionFilter, Ballot, Resume, Resumption, VoteLine, Which};
use crate::limits::RELEASE_PIECE;

/// Applies one person's yes or no to each of the actions, in the order they came.
pub(super) fn vote(
    db: &Connection,
    ballot: &Ballot,
    guard: &dyn Guard,
) -> Result<Vec<VoteLine>, Fault> {
    let waiting = match &ballot.which {
        Which::Ids(ids) if ids.len() > RELEASE_PIECE => {
            return Err(Fault::invalid(format!(
                "{} ids, more than {RELEASE_PIECE}; nothing was done: take them in pieces",
                ids.len()
            )));
        }
        Which::Ids(ids) => {
            let named = ids.iter().map(|id| by_id(db, id)).collect::<Result<Vec<_>, _>>()?;
            let mut seen = HashSet::new();
            named.into_iter().filter(|waits| seen.insert(waits.id)).collect()
        }
        Which::All { filter, at_most, first } => {
            let mut found = all(db, filter, ballot.say)?;
            found.truncate(first.unwrap_or(usize::MAX));
            if found.len() > RELEASE_PIECE && *at_most > RELEASE_PIECE {
                return Err(Fault::invalid(format!(
                    "{} actions match; nothing was done: take them in pieces, with --first \
                     {RELEASE_PIECE}",
                    found.len()
                )));
            }
            if found.len() > *at_most {
                let many = found.len();
                return Err(Fault::invalid(format!(
                    "{many} actions match, more than {at_most}; nothing was done: look at them, \
                     then allow for as many with --at-most {many}"
                )));
            }
            let of = |id: &ActionId| one(db, "id = ?1", id);
            found.iter().map(of).collect::<Result<Vec<_>, _>>()?
        }
    };
    let Ballot { say, by, reason, at, .. } = ballot;
    let word = Word { say: *say, by, reason, at: *at };
    waiting.into_iter().map(|waits| word.on(db, guard, waits)).collect()
}

/// Removes a pause, sets the breakers of its scope back, and says yes in this person's name to
/// everything that they held.
pub(super) fn resume(
    db: &Connection,
    resume: &Resume,
    guard: &dyn Guard,
) -> Result<Resumption, Fault> {
    let Resume { scope, by, reason, at } = resume;
    let paused = pauses::unpause(db, scope, &by.name, reason, *at)?;
    let tripped = breakers::reset(db, scope, *at)?;
    if tripped > 0 && paused.is_none() {
        let what = What::Resumed { scope: scope.clone() };
        chain::append(db, &pauses::change(scope, &by.name, reason, *at, what))?;
    }
    let mut held = held_by_breaker(db, scope)?;
    let rest = held.split_off(held.len().min(RELEASE_PIECE));
    let released = release(db, resume, &held, guard)?;
    Ok(Resumption { paused, tripped, released, rest })
}

/// Says yes in this person's name to each of these rows that a breaker of the scope still holds.
pub(super) fn release(
    db: &Connection,
    resume: &Resume,
    rows: &[i64],
    guard: &dyn Guard,
) -> Result<Vec<VoteLine>, Fault> {
    let Resume { scope, by, reason, at } = resume;
    let word = Word { say: Say::Approve, by, reason, at: *at };
    let mut released = Vec::with_capacity(rows.len());
    for sequence in rows {
        let waits = match one(db, "sequence = ?1", sequence) {
            Ok(waits) => waits,
            Err(Fault::Sqlite(error)) if is_unreadable_value(&error) => {
                tracing::error!(sequence, %error, "a held action's row does not read: it stays");
                continue;
            }
            Err(fault) => return Err(fault),
        };
        if let State::Held { why: HoldWhy::Breaker { scope: by, .. }, .. } = &waits.state
            && by == scope
        {
            released.push(word.on(db, guard, waits)?);
        }
    }
    Ok(released)
}

/// An action as a vote needs it.
struct Waits {
    id: ActionId,
    key: EffectKey,
    state: State,
    expires: Wall,
    rule: String,
    candidate: String,
}

const WAITS: &str = "SELECT id, tenant, machine, sha1, detail, expires, candidate, rule
    FROM actions LEFT JOIN origins USING (sequence)";

fn waits(row: &rusqlite::Row<'_>) -> rusqlite::Result<Waits> {
    Ok(Waits {
        id: row.get(0)?,
        key: EffectKey { tenant: row.get(1)?, machine: row.get(2)?, sha1: row.get(3)? },
        state: row.get::<_, Json<State>>(4)?.0,
        expires: row.get(5)?,
        candidate: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
        rule: row.get(7)?,
    })
}

fn by_id(db: &Connection, id: &str) -> Result<Waits, Fault> {
    let Some(sequence) = report::only(db, id)? else {
        return Err(Fault::invalid(format!("no action begins with {id}; nothing was done")));
    };
    one(db, "sequence = ?1", sequence)
}

fn one(db: &Connection, which: &str, value: impl ToSql) -> Result<Waits, Fault> {
    let mut select = db.prepare_cached(&format!("{WAITS} WHERE {which}"))?;
    Ok(select.query_row([value], waits)?)
}

/// Oldest first.
fn all(db: &Connection, filter: &ActionFilter, say: Say) -> Result<Vec<ActionId>, Fault> {
    let states = match &filter.state {
        Some(state) => std::slice::from_ref(state),
        None => say.states(),
    };
    let mut found = Vec::new();
    for state in states {
        let limit = usize::MAX;
        let of = ActionFilter { state: Some(*state), limit, ..filter.clone() };
        found.extend(report::actions(db, &of)?.into_iter().map(|line| line.id));
    }
    found.sort_unstable();
    Ok(found)
}

/// The rows that a breaker of the scope holds, oldest first. A row that is no JSON is none of them.
fn held_by_breaker(db: &Connection, scope: &Scope) -> Result<Vec<i64>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT sequence FROM actions INDEXED BY actions_open
         WHERE state IN ('held', 'in_flight', 'in_doubt', 'accepted') AND state = 'held'
           AND CASE WHEN json_valid(detail) THEN detail -> '$.why.breaker.scope' = ?1 END
         ORDER BY sequence",
    )?;
    let rows = select.query_map([Json(scope)], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What a person says, and why, of any number of actions.
#[derive(Clone, Copy)]
struct Word<'a> {
    say: Say,
    by: &'a Voter,
    reason: &'a str,
    at: Wall,
}

impl Word<'_> {
    fn on(self, db: &Connection, guard: &dyn Guard, waits: Waits) -> Result<VoteLine, Fault> {
        let Waits { id, key, mut state, expires, rule, candidate } = waits;
        // The rule may ask for more people by now; it never gets by with fewer.
        if let State::Held { approvals, .. } = &mut state {
            let given = std::mem::take(&mut approvals.given);
            *approvals = Approvals { given, ..approvals.and(&guard.approvals(&rule)) };
        }
        let mut passed = Vec::new();
        let Self { say, by, reason, at } = self;
        let (voted, next) = match say {
            Say::Approve => {
                let protection = || guard.protection(&candidate, at);
                vote::approve(&state, expires, by, protection, at)
            }
            Say::Reject => vote::reject(&state, by),
        };
        let change = |reason: String, what| Change {
            tenant: Some(key.tenant.clone()),
            actor: Actor::Person(by.name.clone()),
            reason,
            at,
            what,
        };
        match next {
            Next::Nothing => {}
            Next::Noted(to) => {
                let mut update =
                    db.prepare_cached("UPDATE actions SET detail = ?2 WHERE id = ?1")?;
                update.execute(params![id, Json(&to)])?;
                let what = What::Approved { action: id, by: by.name.clone() };
                chain::append(db, &change(reason.to_owned(), what))?;
            }
            Next::Moves(to, released) => {
                let reason = match &voted {
                    Voted::Protected { by } => {
                        format!("judged again at an approval: protected by rule {}", by.join(", "))
                    }
                    _ => reason.to_owned(),
                };
                let what = What::Moved { action: id, from: state.name(), to };
                if actions::record(db, &change(reason, what))? == Recorded::LeftOut {
                    return Err(Fault::corrupt(format!("action {id} stands in two states")));
                }
                if let Some(released) = released {
                    passed.clone_from(&released.passed);
                    let sql = "UPDATE actions SET released = ?2 WHERE id = ?1";
                    db.prepare_cached(sql)?.execute(params![id, Json(&released)])?;
                }
            }
        }
        Ok(VoteLine { id, key, voted, passed })
    }
}
