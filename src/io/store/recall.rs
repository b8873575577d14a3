//! Recalls: a file's actions withdrawn, the cancels asked of Defender for them, and the report on
//! the file.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::actions::{self, Recorded};
use super::fault::Fault;
use super::report::counted;
use super::sql::Json;
use super::{SqliteStore, chain, pauses};
use crate::domain::action::{State, StateName};
use crate::domain::audit::{Actor, Change, What};
use crate::domain::cancel::{Step, Wanted};
use crate::domain::ids::{ActionId, MachineActionId, MachineId, Sha1, TenantName};
use crate::domain::scope::Scope;
use crate::domain::time::Wall;
use crate::io::recall::{
    CancelCount, CancelLine, FileLine, FileReport, OtherFile, Recall, RecallStore, Withdrawn,
};
use crate::io::{Pause, StoreError};

type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

impl RecallStore for SqliteStore {
    fn recall(&self, recall: Recall) -> Answer<()> {
        self.write(move |db| begin(db, &recall))
    }

    fn open_actions(&self, sha1: Sha1) -> Answer<Vec<ActionId>> {
        self.read(move |db| open(db, sha1))
    }

    fn withdraw(&self, recall: Recall, actions: Vec<ActionId>) -> Answer<Withdrawn> {
        self.write(move |db| withdraw(db, &recall, &actions))
    }

    fn cancels(&self, tenant: &TenantName, limit: usize) -> Answer<Vec<Wanted>> {
        let tenant = tenant.clone();
        self.write(move |db| cancels(db, &tenant, limit))
    }

    fn settle(&self, steps: Vec<Step>, at: Wall) -> Answer<()> {
        let steps: Arc<[Step]> = steps.into();
        self.write(move |db| steps.iter().try_for_each(|step| settle(db, step, at)))
    }

    fn file(&self, sha1: Sha1, after: i64, limit: usize) -> Answer<FileReport> {
        self.read(move |db| file(db, sha1, after, limit))
    }
}

pub(super) fn begin(db: &Connection, recall: &Recall) -> Result<(), Fault> {
    let Recall { sha1, by, reason, at } = recall;
    let scope = Scope::Sha1(*sha1);
    let why = format!("recalled: {reason}");
    let pause = Pause { scope: scope.clone(), by: by.clone(), reason: why, at: *at };
    pauses::pause(db, &pause)?;
    pauses::recalled(db, &scope)?;
    let what = What::Recalled { sha1: *sha1 };
    chain::append(db, &pauses::change(&scope, by, reason, *at, what))
}

pub(super) fn open(db: &Connection, sha1: Sha1) -> Result<Vec<ActionId>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT id FROM actions INDEXED BY actions_file
         WHERE sha1 = ?1 AND state IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted')",
    )?;
    let ids = select.query_map([sha1], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

pub(super) fn withdraw(
    db: &Connection,
    recall: &Recall,
    actions: &[ActionId],
) -> Result<Withdrawn, Fault> {
    let mut done = Withdrawn::default();
    for action in actions {
        let mut select = db.prepare_cached("SELECT tenant, state FROM actions WHERE id = ?1")?;
        let found = select.query_row([action], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((tenant, stands)) = found.optional()? else { continue };
        match stands {
            StateName::Held | StateName::Queued => {
                let why = format!("recalled: {}", recall.reason);
                let rejected = reject(db, *action, tenant, stands, &recall.by, why, recall.at)?;
                done.rejected += u64::from(rejected == Recorded::Written);
            }
            StateName::InFlight | StateName::InDoubt | StateName::Accepted => {
                done.asked += u64::from(ask(db, recall, *action, tenant)?);
            }
            _ => {}
        }
    }
    Ok(done)
}

fn reject(
    db: &Connection,
    action: ActionId,
    tenant: TenantName,
    from: StateName,
    by: &str,
    reason: String,
    at: Wall,
) -> Result<Recorded, Fault> {
    let to = State::Rejected { by: by.to_owned() };
    let what = What::Moved { action, from, to };
    let actor = Actor::Person(by.to_owned());
    actions::record(db, &Change { tenant: Some(tenant), actor, reason, at, what })
}

/// Whether it is asked for now and was not before. From then on the queue passes over the action,
/// as it does over a paused one.
fn ask(
    db: &Connection,
    recall: &Recall,
    action: ActionId,
    tenant: TenantName,
) -> Result<bool, Fault> {
    let Recall { by, reason, at, .. } = recall;
    let mut insert = db.prepare_cached(
        "INSERT INTO cancels (action, tenant, by, reason, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (action) DO NOTHING",
    )?;
    if insert.execute(params![action, tenant, by, reason, at])? == 1 {
        db.prepare_cached("UPDATE actions SET aside = aside + 1 WHERE id = ?1")?
            .execute([action])?;
    } else {
        let mut again = db.prepare_cached(
            "UPDATE cancels SET by = ?2, reason = ?3, at = ?4, trouble = NULL, answer = NULL
             WHERE action = ?1 AND answer IS NOT NULL",
        )?;
        if again.execute(params![action, by, reason, at])? == 0 {
            return Ok(false);
        }
    }
    let (actor, what) = (Actor::Person(by.clone()), What::CancelAsked { action });
    let reason = format!("recalled: {reason}");
    chain::append(db, &Change { tenant: Some(tenant), actor, reason, at: *at, what })?;
    Ok(true)
}

pub(super) fn cancels(
    db: &Connection,
    tenant: &TenantName,
    limit: usize,
) -> Result<Vec<Wanted>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT action, reason, state, machine_action
         FROM cancels INDEXED BY cancels_open JOIN actions ON id = action
         WHERE cancels.tenant = ?1 AND answer IS NULL LIMIT ?2",
    )?;
    let wanted = select.query_map(params![tenant, super::limit(limit)], |row| {
        let machine_action: Option<String> = row.get(3)?;
        let machine_action = machine_action.and_then(|id| MachineActionId::parse(&id));
        Ok(Wanted { action: row.get(0)?, reason: row.get(1)?, stands: row.get(2)?, machine_action })
    })?;
    Ok(wanted.collect::<Result<_, _>>()?)
}

pub(super) fn settle(db: &Connection, step: &Step, at: Wall) -> Result<(), Fault> {
    match step {
        Step::Troubled { action, text } => {
            let mut update = db.prepare_cached(
                "UPDATE cancels SET trouble = ?2 WHERE action = ?1 AND answer IS NULL",
            )?;
            update.execute(params![action, text])?;
        }
        Step::Closed { action, answer } => close(db, *action, answer, at)?,
        Step::Rejected { action, from } => {
            let mut select =
                db.prepare_cached("SELECT tenant, by, reason FROM cancels WHERE action = ?1")?;
            let (tenant, by, reason): (_, String, String) =
                select.query_row([action], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let why = format!("recalled: {reason}");
            if reject(db, *action, tenant, *from, &by, why, at)? == Recorded::Written {
                close(db, *action, "not needed: its call left no trace at Defender", at)?;
            }
        }
    }
    Ok(())
}

fn close(db: &Connection, action: ActionId, answer: &str, at: Wall) -> Result<(), Fault> {
    let mut update = db.prepare_cached(
        "UPDATE cancels SET answer = ?2 WHERE action = ?1 AND answer IS NULL RETURNING tenant",
    )?;
    let tenant = update.query_row(params![action, answer], |row| row.get(0)).optional()?;
    // Closed meanwhile, there is nothing to note.
    let Some(tenant) = tenant else { return Ok(()) };
    let what = What::CancelAnswered { action, answer: answer.to_owned() };
    let (actor, reason) = (Actor::Lazaret, String::new());
    chain::append(db, &Change { tenant: Some(tenant), actor, reason, at, what })
}

pub(super) fn file(
    db: &Connection,
    sha1: Sha1,
    after: i64,
    limit: usize,
) -> Result<FileReport, Fault> {
    let mut states = db.prepare_cached(
        "SELECT state, COUNT(*) FROM actions INDEXED BY actions_file WHERE sha1 = ?1
         GROUP BY state",
    )?;
    let states = states.query_map([sha1], |row| Ok((row.get(0)?, counted(row, 1)?)))?;
    let mut states = states.collect::<Result<Vec<(StateName, u64)>, _>>()?;
    states.sort_unstable();
    let mut cancels = db.prepare_cached(
        "SELECT COUNT(*), COALESCE(SUM(answer IS NULL), 0)
         FROM actions INDEXED BY actions_file JOIN cancels ON action = id WHERE sha1 = ?1",
    )?;
    let cancels = cancels.query_row([sha1], |row| {
        Ok(CancelCount { asked: counted(row, 0)?, open: counted(row, 1)? })
    })?;
    let mut name = db.prepare_cached(
        "SELECT candidate ->> '$.\"file.name\"' FROM origins WHERE sequence =
         (SELECT MAX(sequence) FROM actions INDEXED BY actions_file WHERE sha1 = ?1)",
    )?;
    let name = name.query_row([sha1], |row| row.get(0)).optional()?.flatten();
    let (actions, next) = lines(db, sha1, after, limit)?;
    let pause = pauses::one(db, &Scope::Sha1(sha1))?;
    Ok(FileReport { sha1, name, pause, states, cancels, actions, next })
}

fn lines(
    db: &Connection,
    sha1: Sha1,
    after: i64,
    limit: usize,
) -> Result<(Vec<FileLine>, Option<i64>), Fault> {
    let mut select = db.prepare_cached(
        "SELECT sequence, id, a.tenant, machine, candidate ->> '$.\"machine.name\"', changed,
                detail, c.at, c.trouble, c.answer
         FROM actions a INDEXED BY actions_file LEFT JOIN origins USING (sequence)
         LEFT JOIN cancels c ON c.action = id
         WHERE sha1 = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3",
    )?;
    let page = params![sha1, after, super::limit(limit)];
    let found = select.query_map(page, |row| Ok((row.get(0)?, line(row)?)))?;
    let found = found.collect::<Result<Vec<(i64, FileLine)>, _>>()?;
    let last = found.last().map(|(sequence, _)| *sequence);
    let next = last.filter(|_| found.len() >= limit.max(1));
    let mut lines: Vec<FileLine> = found.into_iter().map(|(_, line)| line).collect();
    for line in &mut lines {
        if line.state.name() == StateName::Succeeded {
            line.others = others(db, &line.tenant, line.machine, sha1)?;
        }
    }
    Ok((lines, next))
}

fn line(row: &Row<'_>) -> rusqlite::Result<FileLine> {
    let asked: Option<Wall> = row.get(7)?;
    let (trouble, answer) = (row.get(8)?, row.get(9)?);
    Ok(FileLine {
        id: row.get(1)?,
        tenant: row.get(2)?,
        machine: row.get(3)?,
        name: row.get(4)?,
        changed: row.get(5)?,
        state: row.get::<_, Json<State>>(6)?.0,
        cancel: asked.map(|at| CancelLine { at, trouble, answer }),
        others: Vec::new(),
    })
}

fn others(
    db: &Connection,
    tenant: &str,
    machine: MachineId,
    but: Sha1,
) -> Result<Vec<OtherFile>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT sha1, candidate ->> '$.\"file.name\"'
         FROM actions INDEXED BY actions_done LEFT JOIN origins USING (sequence)
         WHERE machine = ?1 AND state = 'succeeded' AND tenant = ?2 AND sha1 <> ?3
         GROUP BY sha1 ORDER BY MIN(sequence)",
    )?;
    let others = select.query_map(params![machine, tenant, but], |row| {
        Ok(OtherFile { sha1: row.get(0)?, name: row.get(1)? })
    })?;
    Ok(others.collect::<Result<_, _>>()?)
}
