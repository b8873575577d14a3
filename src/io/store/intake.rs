//! Takes judged deliveries: what they lead to, what is told about them and how far their sources
//! are read become durable together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::slice;

use rusqlite::{Connection, OptionalExtension, params};

use super::db::Db;
use super::fault::Fault;
use super::offsets::{Positions, Turn};
use super::sql::{Json, json};
use super::{actions, breakers, effects, pauses};
use crate::domain::action::StateName;
use crate::domain::breaker::{Breaker, Gauge, Place};
use crate::domain::decision::{
    AlertAnswer, Answered, Content, Decision, Draft, Fate, JudgedDelivery, Outcome, Receipt, Replay,
};
use crate::domain::dedupe::{self, Decided, Effect, View};
use crate::domain::ids::{ActionId, EffectKey, Sha1, TenantName};
use crate::domain::time::Wall;
use crate::io::{StoreError, Taken};

/// Takes a batch in one piece; where that fails, each delivery by itself.
pub(super) fn take(db: &mut Db, batch: &[JudgedDelivery]) -> Result<Vec<Taken>, Fault> {
    match db.savepoint(|db| Piece::default().take(db, batch)) {
        Err(fault) if db.transaction_is_lost() || fault.is_io() => return Err(fault),
        Err(_) => {}
        taken => return taken,
    }
    let mut taken = Vec::with_capacity(batch.len());
    for delivery in batch {
        match db.savepoint(|db| Piece::default().take(db, slice::from_ref(delivery))) {
            Ok(one) => taken.extend(one),
            Err(fault) if db.transaction_is_lost() || fault.is_io() => return Err(fault),
            Err(fault) => taken.push(Taken::Failed(fault.told(db.place()))),
        }
    }
    Ok(taken)
}

/// Deliveries that are written or rolled back together. Counters and offsets are gathered and
/// written once, at its end.
#[derive(Default)]
struct Piece<'d> {
    fates: BTreeMap<(&'d str, Fate), i64>,
    received: BTreeMap<&'d str, (i64, Wall)>,
    created: BTreeMap<(TenantName, StateName), i64>,
    positions: Positions<'d>,
    /// Open actions; counted when the first new one comes.
    open: Option<u64>,
    /// Breakers that were asked about, as they stand now.
    gauges: HashMap<Place, Gauge>,
    /// For the breakers over rules and tenants.
    acted: BTreeMap<(TenantName, String), (i64, Wall)>,
}

impl<'d> Piece<'d> {
    fn take(mut self, db: &mut Db, batch: &'d [JudgedDelivery]) -> Result<Vec<Taken>, Fault> {
        let Db { connection, queue_max, .. } = db;
        let mut taken = Vec::with_capacity(batch.len());
        for delivery in batch {
            taken.push(self.take_one(connection, *queue_max, delivery)?);
        }
        self.write_counters(connection)?;
        self.positions.write(connection)?;
        Ok(taken)
    }

    fn take_one(
        &mut self,
        db: &Connection,
        queue_max: u64,
        delivery: &'d JudgedDelivery,
    ) -> Result<Taken, Fault> {
        match self.positions.turn(db, delivery)? {
            Turn::Now => {}
            // Its answer went with its first commit; no broker waits for one.
            Turn::Redelivered => return Ok(Taken::Replayed(Answered::default())),
            Turn::Behind => return Ok(Taken::Behind),
        }
        if let Some(answer) = first_answer(db, delivery)? {
            self.positions.take(delivery);
            return Ok(Taken::Replayed(answer));
        }
        let mut view = View {
            effects: rows_of(db, delivery)?,
            gauges: self.gauges_of(db, delivery)?,
            recalled: recalled(db, delivery)?,
            spared: spared(db, delivery)?,
        };
        let Ok(decided) = dedupe::decide(&mut view, delivery) else {
            return Ok(Taken::NotPrepared);
        };
        if !decided.actions.is_empty() {
            let open = match self.open {
                Some(open) => open,
                None => actions::open(db)?,
            };
            if open >= queue_max {
                self.open = Some(open);
                return Ok(Taken::Failed(StoreError::Full(open)));
            }
            self.open = Some(open + decided.actions.len() as u64);
        }
        write(db, &view.effects, &decided, delivery.received)?;
        self.gauges.extend(view.gauges);
        for acted in &decided.acted {
            for rule in [acted.rule.as_str(), ""] {
                let of = (acted.key.tenant.clone(), rule.to_owned());
                let (count, newest) = self.acted.entry(of).or_insert((0, acted.at));
                *count += 1;
                *newest = (*newest).max(acted.at);
            }
        }
        for new in &decided.actions {
            let of = (new.action.key.tenant.clone(), new.state.name());
            *self.created.entry(of).or_default() += 1;
        }
        self.write_fates(db, delivery, &decided.answer)?;
        if let Some(replay) = &delivery.replay {
            remember(db, delivery, replay, &decided.answer)?;
        }
        self.positions.take(delivery);
        Ok(Taken::Done { answer: decided.answer, effects: owners(&view.effects, delivery) })
    }

    /// How the breakers of all drafts stand: as this piece left them, else as the rows say.
    fn gauges_of(
        &self,
        db: &Connection,
        delivery: &JudgedDelivery,
    ) -> Result<HashMap<Place, Gauge>, Fault> {
        let mut gauges = HashMap::new();
        let now = delivery.received;
        for draft in drafts(delivery).filter(|draft| draft.prepared.is_some()) {
            for (place, rate) in draft.load().places() {
                let so_far = || self.gauges.get(&place).cloned().unwrap_or_default();
                let gauge = gauges.entry(place.clone()).or_insert_with(so_far);
                let since = breakers::read(db, &place, rate, now, gauge)?;
                let key = &draft.key;
                if place.breaker == Breaker::ShareOfFleet
                    && breakers::is_counted(db, &key.tenant, &key.machine, since)?
                {
                    gauge.counted.insert(key.machine);
                }
            }
        }
        Ok(gauges)
    }

    fn write_fates(
        &mut self,
        db: &Connection,
        delivery: &'d JudgedDelivery,
        answer: &Answered,
    ) -> Result<(), Fault> {
        let source = delivery.source.as_str();
        for (receipt, alert) in delivery.receipts.iter().zip(&answer.alerts) {
            *self.fates.entry((source, alert.fate)).or_default() += 1;
            if receipt.keep_row {
                insert_receipt(db, delivery, receipt, alert)?;
            }
        }
        let received = i64::try_from(delivery.receipts.len()).unwrap_or(i64::MAX);
        let (count, newest) = self.received.entry(source).or_insert((0, delivery.received));
        *count += received;
        *newest = (*newest).max(delivery.received);
        Ok(())
    }

    fn write_counters(&self, db: &Connection) -> Result<(), Fault> {
        let mut upsert = db.prepare_cached(
            "INSERT INTO counters (source, fate, count) VALUES (?1, ?2, ?3)
             ON CONFLICT (source, fate) DO UPDATE SET count = count + excluded.count",
        )?;
        for ((source, fate), count) in &self.fates {
            upsert.execute(params![source, fate, count])?;
        }
        let mut upsert = db.prepare_cached(
            "INSERT INTO received (source, count, newest) VALUES (?1, ?2, ?3)
             ON CONFLICT (source) DO UPDATE
             SET count = count + excluded.count, newest = MAX(newest, excluded.newest)",
        )?;
        for (source, (count, newest)) in &self.received {
            upsert.execute(params![source, count, newest])?;
        }
        for ((tenant, rule), (number, newest)) in &self.acted {
            breakers::count(db, tenant, rule, *newest, *number)?;
        }
        for ((tenant, state), number) in &self.created {
            actions::count(db, tenant, *state, *number)?;
        }
        Ok(())
    }
}

/// The answer that a delivery with this replay id got before.
fn first_answer(db: &Connection, delivery: &JudgedDelivery) -> Result<Option<Answered>, Fault> {
    let Some(replay) = &delivery.replay else { return Ok(None) };
    let mut select = db.prepare_cached(
        "SELECT answer FROM replays WHERE source = ?1 AND id = ?2 AND keep_until >= ?3",
    )?;
    let answer = select
        .query_row(params![delivery.source.as_str(), replay.id, delivery.received], |row| {
            row.get::<_, Json<Answered>>(0)
        });
    Ok(answer.optional()?.map(|Json(answer)| answer))
}

fn remember(
    db: &Connection,
    delivery: &JudgedDelivery,
    replay: &Replay,
    answer: &Answered,
) -> Result<(), Fault> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO replays (source, id, keep_until, answer) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let source = delivery.source.as_str();
    insert.execute(params![source, replay.id, replay.keep_until, json(answer)])?;
    Ok(())
}

/// The rows of all effects that a delivery may touch.
fn rows_of(
    db: &Connection,
    delivery: &JudgedDelivery,
) -> Result<HashMap<EffectKey, Effect>, Fault> {
    let mut rows = HashMap::new();
    for key in keys(delivery) {
        if !rows.contains_key(key)
            && let Some(effect) = effects::load(db, key)?
        {
            rows.insert(key.clone(), effect);
        }
    }
    Ok(rows)
}

fn spared(
    db: &Connection,
    delivery: &JudgedDelivery,
) -> Result<HashMap<EffectKey, Vec<String>>, Fault> {
    let mut spared = HashMap::new();
    for key in keys(delivery) {
        if let Some(by) = effects::spared(db, key, delivery.received)? {
            spared.insert(key.clone(), by);
        }
    }
    Ok(spared)
}

fn recalled(db: &Connection, delivery: &JudgedDelivery) -> Result<HashSet<Sha1>, Fault> {
    let mut recalled = HashSet::new();
    for draft in drafts(delivery).filter(|draft| draft.prepared.is_some()) {
        if pauses::is_recalled(db, draft.key.sha1)? {
            recalled.insert(draft.key.sha1);
        }
    }
    Ok(recalled)
}

fn write(
    db: &Connection,
    rows: &HashMap<EffectKey, Effect>,
    decided: &Decided,
    at: Wall,
) -> Result<(), Fault> {
    let mut kept = actions::Kept::default();
    for new in &decided.actions {
        actions::insert(db, new, &mut kept)?;
        effects::own(db, &new.action.key, &rows[&new.action.key])?;
    }
    for change in &decided.changes {
        actions::record(db, change)?;
    }
    for (key, by) in &decided.spared {
        effects::spare(db, key, by, at)?;
    }
    for settled in &decided.settled {
        actions::settle(db, settled)?;
    }
    for trip in &decided.trips {
        breakers::trip(db, trip, at)?;
    }
    for acted in decided.acted.iter().filter(|acted| acted.by_machine) {
        breakers::touch(db, acted)?;
    }
    Ok(())
}

/// Who owns the effects of a delivery now, for the cache that predicts duplicates.
fn owners(
    rows: &HashMap<EffectKey, Effect>,
    delivery: &JudgedDelivery,
) -> Vec<(EffectKey, ActionId)> {
    let mut seen = HashSet::new();
    drafts(delivery)
        .filter(|draft| seen.insert(&draft.key))
        .filter_map(|draft| Some((draft.key.clone(), rows.get(&draft.key)?.owner.id)))
        .collect()
}

fn drafts(delivery: &JudgedDelivery) -> impl Iterator<Item = &Draft> {
    delivery.receipts.iter().flat_map(Receipt::outcomes).filter_map(|outcome| match outcome {
        Outcome::Draft(draft) => Some(&**draft),
        _ => None,
    })
}

/// Of all effects that it may touch, some of them more than once.
fn keys(delivery: &JudgedDelivery) -> impl Iterator<Item = &EffectKey> {
    delivery.receipts.iter().flat_map(Receipt::outcomes).filter_map(|outcome| match outcome {
        Outcome::Draft(draft) => Some(&draft.key),
        Outcome::Protected { key, .. } => Some(key),
        Outcome::Settled(_) => None,
    })
}

fn insert_receipt(
    db: &Connection,
    delivery: &JudgedDelivery,
    receipt: &Receipt,
    alert: &AlertAnswer,
) -> Result<(), Fault> {
    let head = match &receipt.content {
        Content::Unreadable { head, .. } => Some(head),
        _ => None,
    };
    let mut insert = db.prepare_cached(
        "INSERT INTO receipts (at, source, tenant, alert, fate, reason, delivery, candidates, head)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    insert.execute(params![
        delivery.received,
        delivery.source.as_str(),
        receipt.tenant,
        receipt.alert_id,
        alert.fate,
        reason(alert),
        Json(&delivery.coordinates),
        json(&alert.candidates),
        head
    ])?;
    Ok(())
}

/// Why the alert has its fate: its own reason, else that of the first candidate that gave it.
fn reason(alert: &AlertAnswer) -> String {
    let decisive = alert.candidates.iter().find(|c| c.decision.fate() == alert.fate);
    match decisive.map(|candidate| &candidate.decision) {
        None => alert.reason.clone(),
        Some(
            Decision::Act { rules, .. }
            | Decision::Hold { rules, .. }
            | Decision::Observe { rules },
        ) => format!("rule {}", rules.join(", ")),
        Some(Decision::Protected { by }) => format!("by rule {}", by.join(", ")),
        Some(Decision::Duplicate { of, why }) => format!("of {of}: {why}"),
        Some(Decision::Incomplete { what }) => what.clone(),
        Some(Decision::TooOld { why } | Decision::NoMatch { why }) => why.clone(),
    }
}
