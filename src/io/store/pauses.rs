//! Pauses, each with its change on the chain.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::chain;
use super::fault::Fault;
use crate::domain::action::StateName;
use crate::domain::audit::{Actor, Change, What};
use crate::domain::ids::{Sha1, TenantName};
use crate::domain::scope::Scope;
use crate::domain::time::Wall;
use crate::io::{ITSELF, Pause, Standing};

/// Writes a pause. Where there is one already, by somebody else or for another reason, both are
/// shown from then on, so that whoever resumes knows of both. The same again is no change.
pub(super) fn pause(db: &Connection, pause: &Pause) -> Result<(), Fault> {
    let Pause { scope, by, reason, at } = pause;
    // Nobody speaks for others.
    let reason = &reason.replace(ALSO, "; ");
    match one(db, scope)? {
        None => {
            let mut insert = db.prepare_cached(
                "INSERT INTO pauses (scope, by, reason, at) VALUES (?1, ?2, ?3, ?4)",
            )?;
            insert.execute(params![scope, by, reason, at])?;
            set_aside(db, scope, 1)?;
        }
        Some(there) => {
            let first = format!("{}: {}", there.by, there.reason);
            let this = format!("{by}: {reason}");
            if first.split(ALSO).any(|said| said == this) {
                return Ok(());
            }
            // All of them stand on the chain; here, what a screen can show.
            let mut update = db.prepare_cached(
                "UPDATE pauses SET reason = reason || ?2
                 WHERE scope = ?1 AND length(reason) < 4000",
            )?;
            update.execute(params![scope, format!("{ALSO}{this}")])?;
        }
    }
    chain::append(db, &change(scope, by, reason, *at, What::Paused { scope: scope.clone() }))
}

/// Between the reasons of those who paused the same.
const ALSO: &str = "; also by ";

/// Removes exactly this pause, and returns it.
pub(super) fn unpause(
    db: &Connection,
    scope: &Scope,
    by: &str,
    reason: &str,
    at: Wall,
) -> Result<Option<Pause>, Fault> {
    let Some(pause) = one(db, scope)? else { return Ok(None) };
    db.prepare_cached("DELETE FROM pauses WHERE scope = ?1")?.execute([scope.key()])?;
    set_aside(db, scope, -1)?;
    let what = What::Resumed { scope: scope.clone() };
    chain::append(db, &change(scope, by, reason, at, what))?;
    Ok(Some(pause))
}

/// Marks the pause of a recall.
pub(super) fn recalled(db: &Connection, scope: &Scope) -> Result<(), Fault> {
    db.prepare_cached("UPDATE pauses SET recalled = 1 WHERE scope = ?1")?.execute([scope.key()])?;
    Ok(())
}

/// Whether a recall of the file stands.
pub(super) fn is_recalled(db: &Connection, sha1: Sha1) -> Result<bool, Fault> {
    let mut select = db.prepare_cached("SELECT 1 FROM pauses WHERE scope = ?1 AND recalled = 1")?;
    Ok(select.exists([Scope::Sha1(sha1)])?)
}

/// Why nothing of this tenant is sent, if a pause of it or of everything is the reason.
pub(super) fn covers(db: &Connection, tenant: &TenantName) -> Result<Option<String>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT scope, by, reason, at FROM pauses WHERE scope IN ('all', 'tenant:' || ?1)
         ORDER BY scope",
    )?;
    let mut rows = select.query([tenant])?;
    Ok(match rows.next()? {
        Some(row) => {
            let Pause { scope, by, reason, .. } = read(row)?;
            Some(format!("{scope} is paused by {by}: {reason}"))
        }
        None => None,
    })
}

/// The pause of exactly this scope.
pub(super) fn one(db: &Connection, scope: &Scope) -> Result<Option<Pause>, Fault> {
    let mut select =
        db.prepare_cached("SELECT scope, by, reason, at FROM pauses WHERE scope = ?1")?;
    Ok(select.query_row([scope.key()], read).optional()?)
}

pub(super) fn all(db: &Connection) -> Result<Vec<Pause>, Fault> {
    let mut select =
        db.prepare_cached("SELECT scope, by, reason, at FROM pauses ORDER BY at, scope")?;
    let rows = select.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many actions of a scope stand in each open state.
pub(super) fn standing(db: &Connection, scope: &Scope) -> Result<Standing, Fault> {
    let mut standing = Standing::default();
    let (condition, value) = condition(scope);
    for (index, states) in OPEN {
        let sql = format!(
            "SELECT state, COUNT(*) FROM actions {index} WHERE {states} AND {condition}
             GROUP BY state"
        );
        let mut select = db.prepare_cached(&sql)?;
        let mut rows = select.query([&*value])?;
        while let Some(row) = rows.next()? {
            let count = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
            match row.get::<_, StateName>(0)? {
                StateName::Held => standing.held = count,
                StateName::Queued => standing.queued = count,
                StateName::InFlight => standing.in_flight = count,
                StateName::InDoubt => standing.in_doubt = count,
                _ => standing.accepted = count,
            }
        }
    }
    Ok(standing)
}

/// All open actions, by the two indexes that have them.
const OPEN: [(&str, &str); 2] = [
    ("INDEXED BY actions_expiry", "state IN ('held', 'queued')"),
    (
        "INDEXED BY actions_open",
        "state IN ('held', 'in_flight', 'in_doubt', 'accepted') AND state <> 'held'",
    ),
];

/// The queue passes over what a pause of a rule, machine or file covers, without looking at the
/// pauses for each row. A pause of more stops whole dispatchers and needs no mark. It reads all
/// open actions: with a million of them, some two seconds of the writer for a rule.
fn set_aside(db: &Connection, scope: &Scope, by: i64) -> Result<(), Fault> {
    if matches!(scope, Scope::All | Scope::Tenant(_)) {
        return Ok(());
    }
    let (condition, value) = condition(scope);
    for (index, states) in OPEN {
        let sql =
            format!("UPDATE actions {index} SET aside = aside + ?2 WHERE {states} AND {condition}");
        db.prepare_cached(&sql)?.execute(params![value, by])?;
    }
    Ok(())
}

/// Which rows of actions lie in a scope, as SQL on `?1`.
pub(super) fn condition(scope: &Scope) -> (&'static str, Box<dyn ToSql>) {
    match scope {
        Scope::All => ("?1", Box::new(true)),
        Scope::Tenant(tenant) => ("tenant = ?1", Box::new(tenant.clone())),
        Scope::Rule(rule) => ("rule = ?1", Box::new(rule.clone())),
        Scope::Machine(machine) => ("machine = ?1", Box::new(*machine)),
        Scope::Sha1(sha1) => ("sha1 = ?1", Box::new(*sha1)),
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Pause> {
    Ok(Pause { scope: row.get(0)?, by: row.get(1)?, reason: row.get(2)?, at: row.get(3)? })
}

/// A change of a scope, by whoever a record names so.
pub(super) fn change(scope: &Scope, by: &str, reason: &str, at: Wall, what: What) -> Change {
    let actor = match by {
        ITSELF => Actor::Lazaret,
        by => Actor::Person(by.to_owned()),
    };
    Change { tenant: scope.tenant().cloned(), actor, reason: reason.to_owned(), at, what }
}
