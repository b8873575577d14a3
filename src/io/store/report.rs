//! What people and metrics ask of the store. Read on a connection of its own, so that no question
//! delays a commit.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::{Fault, is_unreadable_value};
use super::sql::Json;
use super::{breakers, feed, pauses, waiting};
use crate::domain::action::{Coordinates, State, StateName};
use crate::domain::audit::Change;
use crate::domain::decision::Fate;
use crate::domain::guard::Released;
use crate::domain::ids::{ActionId, EffectKey};
use crate::domain::time::{Stamp, Wall};
use crate::io::{
    ActionFilter, ActionLine, ActionReport, AttemptReport, FateCount, Noted, QueueLine,
    ReceiptFilter, ReceiptLine, StateCount, Summary,
};

pub(super) fn summary(db: &Connection) -> Result<Summary, Fault> {
    let fates = all(db, "SELECT source, fate, count FROM counters", |row| {
        Ok(FateCount { source: row.get(0)?, fate: row.get(1)?, count: counted(row, 2)? })
    })?;
    let received =
        all(db, "SELECT source, count FROM received", |row| Ok((row.get(0)?, counted(row, 1)?)))?;
    let last_received = last_received(db)?;
    let states = all(db, "SELECT tenant, state, count FROM states", |row| {
        Ok(StateCount { tenant: row.get(0)?, state: row.get(1)?, count: counted(row, 2)? })
    })?;
    // The index alone counts the queue; the first in order of arrival is the oldest.
    let queues = all(
        db,
        "SELECT q.tenant, q.class, q.depth, a.created, q.last_due FROM (
             SELECT tenant, class, COUNT(*) AS depth, MIN(sequence) AS first,
                    MAX(not_before) AS last_due
             FROM actions INDEXED BY actions_queue WHERE state = 'queued' AND aside = 0
             GROUP BY tenant, class
         ) q JOIN actions a ON a.sequence = q.first ORDER BY q.tenant, q.class",
        |row| {
            let (tenant, class, depth) = (row.get(0)?, row.get(1)?, counted(row, 2)?);
            Ok(QueueLine { tenant, class, depth, oldest: row.get(3)?, last_due: row.get(4)? })
        },
    )?;
    let held = all(db, HELD, |row| Ok((row.get(0)?, row.get(1)?, counted(row, 2)?)))?;
    let sql = "SELECT tenant, COUNT(*) FROM actions INDEXED BY actions_aside
               WHERE state = 'queued' AND aside > 0 GROUP BY tenant";
    let aside = all(db, sql, |row| Ok((row.get(0)?, counted(row, 1)?)))?;
    let sql = "SELECT tenant, COUNT(*), MIN(unfetched) FROM actions INDEXED BY actions_unfetched
               WHERE unfetched IS NOT NULL GROUP BY tenant";
    let unfetched = all(db, sql, |row| Ok((row.get(0)?, counted(row, 1)?, row.get(2)?)))?;
    let (pauses, trips) = (pauses::all(db)?, breakers::tripped(db)?);
    // One that was heard since is silent no more, though that is not on the record yet.
    let heard = |source: &str, noted: Wall| {
        last_received.iter().any(|(name, newest)| name == source && *newest > noted)
    };
    let silent = feed::noted(db)?.into_iter().filter_map(|(noted, at)| match noted {
        Noted::Silent(source) if !heard(&source, at) => Some((source, at)),
        Noted::Silent(_) | Noted::Expiring(_) => None,
    });
    let silent = silent.collect();
    Ok(Summary {
        fates,
        received,
        states,
        queues,
        pauses,
        trips,
        held,
        aside,
        unfetched,
        last_received,
        silent,
    })
}

/// When the newest receipt of each source came.
pub(super) fn last_received(db: &Connection) -> Result<Vec<(String, Wall)>, Fault> {
    all(db, "SELECT source, newest FROM received", |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Why an action is held, in the word of [`crate::domain::action::HoldWhy::as_str`], as SQL: what
/// `why` of its state is or has as its only key.
/// A row that does not read must not blind people to the others.
macro_rules! held_why {
    () => {
        "CASE WHEN NOT json_valid(detail) THEN 'unreadable'
              WHEN detail ->> '$.why' = 'service_approval' THEN 'approval'
              WHEN json_type(detail, '$.why') = 'object'
              THEN (SELECT key FROM json_each(detail, '$.why')) ELSE detail ->> '$.why' END"
    };
}

const HELD_WHY_IS: &str = concat!("state = 'held' AND ", held_why!(), " = ?");

const HELD: &str = concat!(
    "SELECT tenant, ",
    held_why!(),
    " AS why, COUNT(*)
    FROM actions INDEXED BY actions_open
    WHERE state IN ('held', 'in_flight', 'in_doubt', 'accepted') AND state = 'held'
    GROUP BY tenant, why ORDER BY tenant, why"
);

/// Newest first.
pub(super) fn actions(db: &Connection, filter: &ActionFilter) -> Result<Vec<ActionLine>, Fault> {
    let mut conditions = Conditions::default();
    if let Some(tenant) = &filter.tenant {
        conditions.and("tenant = ?", tenant);
    }
    if let Some(rule) = &filter.rule {
        conditions.and("rule = ?", rule);
    }
    if let Some(machine) = &filter.machine {
        conditions.and("machine = ?", machine);
    }
    if let Some(sha1) = &filter.sha1 {
        conditions.and("sha1 = ?", sha1);
    }
    if let Some(why) = &filter.why {
        conditions.and(HELD_WHY_IS, why);
    }
    if let Some(state) = &filter.state {
        conditions.and("state = ?", state);
        // Said so that SQLite takes the index that has just these.
        match state {
            StateName::Held | StateName::InFlight | StateName::InDoubt | StateName::Accepted => {
                conditions.say("state IN ('held', 'in_flight', 'in_doubt', 'accepted')");
            }
            StateName::Queued => conditions.say("state IN ('held', 'queued')"),
            _ => {}
        }
    }
    let order = if filter.oldest { "ASC" } else { "DESC" };
    let sql = format!("SELECT {LINE} FROM actions {} ORDER BY sequence {order}", conditions.sql());
    let lines = conditions.select(db, &sql, filter.limit, |row| match line(row) {
        Err(error) if is_unreadable_value(&error) => {
            tracing::error!(%error, "an action's row does not read, and is not listed");
            Ok(None)
        }
        read => read.map(Some),
    })?;
    Ok(lines.into_iter().flatten().collect())
}

/// One action by its id, or by a start of it that no other has.
pub(super) fn action(db: &Connection, id: &str) -> Result<Option<ActionReport>, Fault> {
    only(db, id)?.map(|sequence| report(db, sequence)).transpose()
}

/// The sequence of the only action whose id begins like this.
pub(super) fn only(db: &Connection, id: &str) -> Result<Option<i64>, Fault> {
    let Some((first, last)) = range(id) else { return Ok(None) };
    let mut select =
        db.prepare_cached("SELECT sequence FROM actions WHERE id BETWEEN ?1 AND ?2 LIMIT 2")?;
    let found = select.query_map([first, last], |row| row.get::<_, i64>(0))?;
    match found.collect::<Result<Vec<_>, _>>()?[..] {
        [] => Ok(None),
        [sequence] => Ok(Some(sequence)),
        _ => Err(Fault::invalid(format!("several actions begin with {id}; give more of it"))),
    }
}

/// Newest first. Alerts that wait have none yet: they go first where one alert or they are asked
/// for.
pub(super) fn receipts(db: &Connection, filter: &ReceiptFilter) -> Result<Vec<ReceiptLine>, Fault> {
    let mut lines = match (filter.fate, &filter.alert_id) {
        (Some(Fate::Waiting), _) => return waiting::receipts(db, filter),
        (None, Some(_)) => waiting::receipts(db, filter)?,
        _ => Vec::new(),
    };
    lines.extend(settled(db, filter)?);
    lines.truncate(filter.limit);
    Ok(lines)
}

fn settled(db: &Connection, filter: &ReceiptFilter) -> Result<Vec<ReceiptLine>, Fault> {
    let mut conditions = Conditions::default();
    if let Some(alert) = &filter.alert_id {
        conditions.and("alert = ?", alert);
    }
    if let Some(fate) = &filter.fate {
        conditions.and("fate = ?", fate);
    }
    if let Some(source) = &filter.source {
        conditions.and("source = ?", source);
    }
    let sql = format!(
        "SELECT at, source, tenant, alert, fate, reason, delivery, candidates, head, ruleset
         FROM receipts {} ORDER BY sequence DESC",
        conditions.sql()
    );
    conditions.select(db, &sql, filter.limit, |row| {
        Ok(ReceiptLine {
            at: row.get(0)?,
            source: row.get(1)?,
            tenant: row.get(2)?,
            alert: row.get(3)?,
            fate: row.get(4)?,
            reason: row.get(5)?,
            delivery: row.get::<_, Json<Coordinates>>(6)?.0,
            candidates: row.get::<_, Json<serde_json::Value>>(7)?.0,
            head: row.get(8)?,
            ruleset: row.get(9)?,
            raw: None,
        })
    })
}

/// The newest time in the store: a wall clock behind it can't be trusted. Looks at the newest
/// attempts and receipts.
pub(super) fn newest(db: &Connection) -> Result<Option<Wall>, Fault> {
    let received: Option<Wall> =
        db.query_row("SELECT MAX(newest) FROM received", [], |row| row.get(0))?;
    let sql = "SELECT written, closed FROM attempts ORDER BY sequence DESC LIMIT 100";
    let attempts = all(db, sql, |row| {
        let (written, closed): (Stamp, Option<Stamp>) = (row.get(0)?, row.get(1)?);
        Ok(closed.map_or(written.wall, |at| at.wall.max(written.wall)))
    })?;
    Ok(attempts.into_iter().chain(received).max())
}

/// `WHERE` clauses and their values, in order.
#[derive(Default)]
struct Conditions<'a> {
    said: Vec<&'static str>,
    values: Vec<&'a dyn ToSql>,
}

impl<'a> Conditions<'a> {
    fn and(&mut self, condition: &'static str, value: &'a dyn ToSql) {
        self.say(condition);
        self.values.push(value);
    }

    fn say(&mut self, condition: &'static str) {
        self.said.push(condition);
    }

    fn sql(&self) -> String {
        match self.said[..] {
            [] => String::new(),
            _ => format!("WHERE {}", self.said.join(" AND ")),
        }
    }

    fn select<T>(
        &self,
        db: &Connection,
        sql: &str,
        limit: usize,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Fault> {
        let mut select = db.prepare_cached(&format!("{sql} LIMIT {}", super::limit(limit)))?;
        let rows = select.query_map(&self.values[..], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

const LINE: &str = "id, tenant, machine, sha1, alert, class, created, changed, detail";

fn line(row: &Row<'_>) -> rusqlite::Result<ActionLine> {
    Ok(ActionLine {
        id: row.get(0)?,
        key: EffectKey { tenant: row.get(1)?, machine: row.get(2)?, sha1: row.get(3)? },
        alert_id: row.get(4)?,
        class: row.get(5)?,
        created: row.get(6)?,
        changed: row.get(7)?,
        state: row.get::<_, Json<State>>(8)?.0,
        position: None,
        expected: None,
    })
}

fn report(db: &Connection, sequence: i64) -> Result<ActionReport, Fault> {
    let mut select = db.prepare_cached(&format!(
        "SELECT {LINE}, comment, expires, rules, ruleset, delivery, candidate,
                (SELECT body FROM payloads WHERE payloads.sequence = payload) AS raw, released,
                endings, again
         FROM actions JOIN origins USING (sequence) WHERE sequence = ?1"
    ))?;
    let found = select.query_row([sequence], |row| {
        Ok(ActionReport {
            line: line(row)?,
            comment: row.get(9)?,
            expires: row.get(10)?,
            rules: row.get::<_, Json<Vec<String>>>(11)?.0,
            ruleset: row.get(12)?,
            delivery: row.get::<_, Json<Coordinates>>(13)?.0,
            candidate: row.get::<_, Json<serde_json::Value>>(14)?.0,
            raw: row
                .get::<_, Option<Vec<u8>>>(15)?
                .map(|raw| String::from_utf8_lossy(&raw).into_owned()),
            attempts: Vec::new(),
            changes: Vec::new(),
            released_by: row.get::<_, Option<Json<Released>>>(16)?.map_or(vec![], |r| r.0.by),
            waits_for: None,
            endings: row.get::<_, Option<Json<_>>>(17)?.map(|Json(e)| e).unwrap_or_default(),
            again: row.get(18)?,
            on_machine: Vec::new(),
            of_file: Vec::new(),
            of_file_in_all: 0,
        })
    });
    let Some(mut report) = found.optional()? else {
        return Err(Fault::corrupt(format!("action row {sequence} has lost its origin")));
    };
    report.attempts = attempts_of(db, report.line.id)?;
    report.changes = changes_of(db, report.line.id)?;
    neighbours(db, &mut report)?;
    Ok(report)
}

/// What else happened on the machine and with the file.
fn neighbours(db: &Connection, report: &mut ActionReport) -> Result<(), Fault> {
    let EffectKey { tenant, machine, sha1 } = &report.line.key;
    let id = report.line.id;
    let mut select = db.prepare_cached(&format!(
        "SELECT {LINE} FROM actions WHERE id IN
             (SELECT owner FROM effects WHERE tenant = ?1 AND machine = ?2) AND id <> ?3
         ORDER BY sequence DESC LIMIT 10"
    ))?;
    let rows = select.query_map(params![tenant, machine, id], line)?;
    report.on_machine = rows.collect::<Result<_, _>>()?;
    let mut select = db.prepare_cached(&format!(
        "SELECT {LINE} FROM actions INDEXED BY actions_file
         WHERE tenant = ?1 AND sha1 = ?2 AND id <> ?3 ORDER BY sequence DESC LIMIT 10"
    ))?;
    let rows = select.query_map(params![tenant, sha1, id], line)?;
    report.of_file = rows.collect::<Result<_, _>>()?;
    let mut count = db.prepare_cached(
        "SELECT COUNT(*) FROM actions INDEXED BY actions_file WHERE tenant = ?1 AND sha1 = ?2",
    )?;
    report.of_file_in_all = count.query_row(params![tenant, sha1], |row| counted(row, 0))? - 1;
    Ok(())
}

fn attempts_of(db: &Connection, action: ActionId) -> Result<Vec<AttemptReport>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT id, written, closed, status, text FROM attempts WHERE action = ?1
         ORDER BY sequence",
    )?;
    let rows = select.query_map([action], |row| {
        Ok(AttemptReport {
            id: row.get(0)?,
            written: row.get::<_, Stamp>(1)?.wall,
            closed: row.get::<_, Option<Stamp>>(2)?.map(|at| at.wall),
            status: row.get(3)?,
            text: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn changes_of(db: &Connection, action: ActionId) -> Result<Vec<Change>, Fault> {
    let mut select =
        db.prepare_cached("SELECT entry FROM changes WHERE action = ?1 ORDER BY chain, sequence")?;
    let rows = select.query_map(params![action], |row| row.get::<_, Json<Change>>(0))?;
    rows.map(|row| Ok(row?.0)).collect()
}

/// The first and the last id that begin like this; `None` where none can.
fn range(start: &str) -> Option<([u8; 16], [u8; 16])> {
    let digits: String = start.chars().filter(|c| *c != '-').collect();
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    let ends = [format!("{digits:0<32}"), format!("{digits:f<32}")].map(|text| {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
    });
    Some((ends[0]?, ends[1]?))
}

fn all<T>(
    db: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Fault> {
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn counted(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}
