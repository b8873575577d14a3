//! Where queued actions stand among those of their tenant, so that it can be said when they start.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::report::counted;
use crate::domain::action::{Class, State};
use crate::domain::ids::TenantName;
use crate::domain::time::Wall;
use crate::io::{ActionLine, Position};

/// Tells each line that is queued its position; those that a pause covers have none.
pub(super) fn position(db: &Connection, lines: &mut [ActionLine], now: Wall) -> Result<(), Fault> {
    let mut select = db.prepare_cached(
        "SELECT sequence FROM actions WHERE id = ?1 AND state = 'queued' AND aside = 0",
    )?;
    let mut queued = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let State::Queued { .. } = line.state
            && let Some(sequence) = select.query_row([line.id], |row| row.get(0)).optional()?
        {
            queued.push((line.key.tenant.clone(), line.class, sequence, at));
        }
    }
    // In order, so that each row of the index is counted once, however many lines there are.
    queued.sort();
    for of_tenant in queued.chunk_by(|(one, ..), (other, ..)| one == other) {
        let (tenant, ..) = &of_tenant[0];
        let between = |class, from, until| due_between(db, tenant, class, from..until, now);
        let all = |class| between(class, i64::MIN, i64::MAX);
        let [urgent, normal, bulk] = [all(Class::Urgent)?, all(Class::Normal)?, all(Class::Bulk)?];
        for of_class in of_tenant.chunk_by(|(_, one, ..), (_, other, ..)| one == other) {
            let (mut from, mut before) = (i64::MIN, 0);
            for (_, class, sequence, at) in of_class {
                before += between(*class, from, *sequence)?;
                from = *sequence;
                let higher = if *class == Class::Bulk { normal } else { 0 };
                let (before, others) = (higher + before, normal + bulk);
                lines[*at].position = Some(Position { before, urgent, others });
            }
        }
    }
    Ok(())
}

fn due_between(
    db: &Connection,
    tenant: &TenantName,
    class: Class,
    sequences: Range<i64>,
    now: Wall,
) -> Result<u64, Fault> {
    let mut count = db.prepare_cached(
        "SELECT COUNT(*) FROM actions INDEXED BY actions_queue
         WHERE tenant = ?1 AND class = ?2 AND state = 'queued' AND aside = 0
           AND sequence >= ?3 AND sequence < ?4 AND not_before <= ?5",
    )?;
    Ok(count.query_row(params![tenant, class, sequences.start, sequences.end, now], |row| {
        counted(row, 0)
    })?)
}

/// Each tenant that has something queued, with the most urgent class of that.
pub(super) fn tenants_with_queue(db: &Connection) -> Result<Vec<(TenantName, Class)>, Fault> {
    // Steps from one tenant to the next along the index: a start must not read the whole queue.
    let mut select = db.prepare_cached(
        "WITH RECURSIVE names (tenant) AS (
             SELECT MIN(tenant) FROM actions INDEXED BY actions_queue
             WHERE state = 'queued' AND aside = 0
             UNION ALL
             SELECT (SELECT MIN(tenant) FROM actions INDEXED BY actions_queue
                     WHERE state = 'queued' AND aside = 0 AND tenant > names.tenant)
             FROM names WHERE names.tenant IS NOT NULL
         )
         SELECT tenant, (SELECT MIN(class) FROM actions INDEXED BY actions_queue
                         WHERE state = 'queued' AND aside = 0 AND tenant = names.tenant)
         FROM names WHERE tenant IS NOT NULL",
    )?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
