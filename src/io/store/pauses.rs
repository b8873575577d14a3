//! Pauses, each with its change on the chain.

use rusqlite::{Connection, params};

use super::chain;
use super::fault::Fault;
use crate::domain::audit::{Actor, Change, NO_TENANT, What};
use crate::domain::ids::TenantName;
use crate::domain::time::Wall;
use crate::io::{ITSELF, Pause, Scope};

/// Writes a pause. Where there is one already, by somebody else or for another reason, both are
/// shown from then on, so that whoever resumes knows of both.
pub(super) fn pause(db: &Connection, pause: &Pause) -> Result<(), Fault> {
    let Pause { scope, by, reason, at } = pause;
    let mut insert = db.prepare_cached(
        "INSERT INTO pauses (tenant, by, reason, at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant) DO UPDATE
         SET reason = reason || '; also by ' || excluded.by || ': ' || excluded.reason
         WHERE instr(reason, excluded.reason) = 0 AND length(reason) < 4000",
    )?;
    if insert.execute(params![name(scope), by, reason, at])? == 0 {
        return Ok(());
    }
    chain::append(db, &change(scope, by, reason, *at, What::Paused))
}

/// Removes exactly this pause. `false` where there was none.
pub(super) fn unpause(
    db: &Connection,
    scope: &Scope,
    by: &str,
    reason: &str,
    at: Wall,
) -> Result<bool, Fault> {
    let mut delete = db.prepare_cached("DELETE FROM pauses WHERE tenant = ?1")?;
    if delete.execute([name(scope)])? == 0 {
        return Ok(false);
    }
    chain::append(db, &change(scope, by, reason, at, What::Resumed))?;
    Ok(true)
}

/// Whether a pause stops this tenant.
pub(super) fn covers(db: &Connection, tenant: &TenantName) -> Result<bool, Fault> {
    let mut select = db.prepare_cached("SELECT 1 FROM pauses WHERE tenant IN ('*', ?1)")?;
    Ok(select.exists([tenant])?)
}

pub(super) fn all(db: &Connection) -> Result<Vec<Pause>, Fault> {
    let mut select = db.prepare_cached("SELECT tenant, by, reason, at FROM pauses")?;
    let rows = select.query_map([], |row| {
        let tenant: TenantName = row.get(0)?;
        let scope = match tenant.as_str() {
            NO_TENANT => Scope::All,
            _ => Scope::Tenant(tenant),
        };
        Ok(Pause { scope, by: row.get(1)?, reason: row.get(2)?, at: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// No tenant can be called `*`.
fn name(scope: &Scope) -> &str {
    match scope {
        Scope::All => NO_TENANT,
        Scope::Tenant(tenant) => tenant.as_str(),
    }
}

fn change(scope: &Scope, by: &str, reason: &str, at: Wall, what: What) -> Change {
    let tenant = match scope {
        Scope::All => None,
        Scope::Tenant(tenant) => Some(tenant.clone()),
    };
    let actor = match by {
        ITSELF => Actor::Lazaret,
        by => Actor::Person(by.to_owned()),
    };
    Change { tenant, actor, reason: reason.to_owned(), at, what }
}
