//! The hash chains of changes: appended in the transaction of what they tell, never rewritten.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::feed;
use super::sql::json;
use crate::domain::audit::{Change, GENESIS, Hash, NO_TENANT, What, link};
use crate::domain::ids::ActionId;

/// Appends a change to the chain of its tenant.
pub(super) fn append(db: &Connection, change: &Change) -> Result<(), Fault> {
    let chain = name(change);
    let (sequence, previous) = next(db, chain)?;
    let entry = json(change);
    let hash = link(&previous, chain, sequence, entry.as_bytes());
    let mut insert = db.prepare_cached(
        "INSERT INTO changes (chain, sequence, hash, entry, action) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.execute(params![chain, signed(sequence), hash, entry, action(&change.what)])?;
    feed::note(db, change)
}

/// Which action a change is about.
pub(super) fn action(what: &What) -> Option<ActionId> {
    match what {
        What::Created { action, .. }
        | What::Moved { action, .. }
        | What::ClassRaised { action, .. }
        | What::DuplicateLinked { action, .. }
        | What::Approved { action, .. }
        | What::CancelAsked { action } => Some(*action),
        _ => None,
    }
}

/// Walks every chain from its beginning and names what does not follow, at most `limit` faults:
/// a changed, missing or foreign entry. What a chain lost at its very end it can't tell.
pub(super) fn verify(db: &Connection, limit: usize) -> Result<Vec<String>, Fault> {
    let mut rows = db.prepare(
        "SELECT chain, sequence, hash, entry, action FROM changes ORDER BY chain, sequence",
    )?;
    let mut rows = rows.query([])?;
    let mut faults = Vec::new();
    let mut walked = String::new();
    let mut expected = (0, GENESIS);
    while let Some(row) = rows.next()? {
        let chain: String = row.get(0)?;
        let (sequence, hash): (i64, Hash) = (row.get(1)?, row.get(2)?);
        let (entry, action): (String, Option<ActionId>) = (row.get(3)?, row.get(4)?);
        if chain != walked {
            expected = (0, GENESIS);
            walked.clone_from(&chain);
        }
        let (next, previous) = expected;
        let number = u64::try_from(sequence).unwrap_or(u64::MAX);
        let follows = number == next && link(&previous, &chain, number, entry.as_bytes()) == hash;
        if !follows || !belongs(&entry, &chain, action) {
            faults.push(format!("chain {chain}: entry {sequence} does not verify"));
        }
        if faults.len() >= limit {
            break;
        }
        expected = (number.saturating_add(1), hash);
    }
    Ok(faults)
}

fn name(change: &Change) -> &str {
    change.tenant.as_ref().map_or(NO_TENANT, |tenant| tenant.as_str())
}

fn next(db: &Connection, chain: &str) -> Result<(u64, Hash), Fault> {
    let mut newest = db.prepare_cached(
        "SELECT sequence, hash FROM changes WHERE chain = ?1 ORDER BY sequence DESC LIMIT 1",
    )?;
    let newest = newest.query_row([chain], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
    Ok(match newest.optional()? {
        Some((sequence, hash)) => (u64::try_from(sequence).unwrap_or(0) + 1, hash),
        None => (0, GENESIS),
    })
}

fn signed(sequence: u64) -> i64 {
    i64::try_from(sequence).expect("a chain has fewer entries than i64 can count")
}

/// The columns beside an entry say the same as the entry.
fn belongs(entry: &str, chain: &str, about: Option<ActionId>) -> bool {
    serde_json::from_str::<Change>(entry)
        .is_ok_and(|change| name(&change) == chain && action(&change.what) == about)
}
