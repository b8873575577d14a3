//! Takes judged deliveries: what they lead to, what is told about them and how far their sources
//! are read become durable together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::slice;

use rusqlite::{Connection, params};

use super::db::Db;
use super::fault::Fault;
use super::offsets::{Positions, Turn};
use super::view::{self, drafts};
use super::{actions, breakers, correlations, effects, lookups, partials, receipts};
use crate::domain::action::{Coordinates, StateName};
use crate::domain::breaker::{Breaker, Gauge, Place};
use crate::domain::decision::{Answered, Content, Counting, Fate, Judge, JudgedDelivery};
use crate::domain::dedupe::{self, Decided, Effect};
use crate::domain::gather::Gathered;
use crate::domain::ids::{ActionId, EffectKey, SourceName, TenantName};
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

/// Ends alerts of streams that have waited long enough, each in one piece.
pub(super) fn mature(db: &mut Db, now: Wall, judge: &dyn Judge) -> Result<Vec<Taken>, Fault> {
    let due = partials::due(&db.connection, now, judge)?;
    let mut taken = Vec::with_capacity(due.len());
    for mut gathered in due {
        let Gathered { kept, receipts, .. } = &mut gathered;
        let (source, coordinates) = (kept.source.clone(), kept.coordinates.clone());
        let receipts = std::mem::take(receipts);
        let delivery = JudgedDelivery::of(source, coordinates, now, judge.ruleset(), receipts);
        let counting = judge.counting();
        match db.savepoint(|db| alone(db, &delivery, slice::from_ref(&gathered), counting)) {
            Ok(one) => taken.push(one),
            Err(fault) if db.transaction_is_lost() || fault.is_io() => return Err(fault),
            Err(fault) => taken.push(Taken::Failed(fault.told(db.place()))),
        }
    }
    Ok(taken)
}

/// Ends a receipt that waited for Defender's answers.
pub(super) fn looked_up(db: &mut Db, receipt: i64, of: &JudgedDelivery) -> Result<Taken, Fault> {
    db.savepoint(|db| {
        if !lookups::end(&db.connection, receipt)? {
            return Ok(Taken::Replayed(Answered::default()));
        }
        match alone(db, of, &[], of.counting.as_deref())? {
            done @ Taken::Done { .. } => Ok(done),
            // Rolled back, so that it waits on.
            Taken::Failed(why) => Err(why.into()),
            _ => Err(Fault::invalid("a receipt that was looked up is not prepared in full")),
        }
    })
}

/// One delivery that no source has just brought, in a piece of its own.
fn alone(
    db: &Db,
    delivery: &JudgedDelivery,
    gathered: &[Gathered],
    counting: Option<&dyn Counting>,
) -> Result<Taken, Fault> {
    let mut piece = Piece::default();
    let taken = piece.judged(&db.connection, db.queue_max, delivery, gathered, counting)?;
    piece.write_counters(&db.connection)?;
    piece.held.write(&db.connection)?;
    Ok(taken)
}

/// Deliveries that are written or rolled back together. Counters and offsets are gathered and
/// written once, at its end.
#[derive(Default)]
struct Piece<'d> {
    fates: BTreeMap<(SourceName, Fate), i64>,
    received: BTreeMap<SourceName, (i64, Wall)>,
    created: BTreeMap<(TenantName, StateName), i64>,
    positions: Positions<'d>,
    held: partials::Held,
    /// Whether a source has just brought it.
    by_source: bool,
    /// Open actions; counted when the first new one comes.
    open: Option<u64>,
    /// Breakers that were asked about, as they stand now.
    gauges: HashMap<Place, Gauge>,
    /// For the breakers over rules and tenants.
    acted: BTreeMap<(TenantName, String), (i64, Wall)>,
}

impl<'d> Piece<'d> {
    fn take(mut self, db: &mut Db, batch: &'d [JudgedDelivery]) -> Result<Vec<Taken>, Fault> {
        self.by_source = true;
        let Db { connection, queue_max, .. } = db;
        let mut taken = Vec::with_capacity(batch.len());
        for delivery in batch {
            taken.push(self.take_one(connection, *queue_max, delivery)?);
        }
        failpoint!("store.intake", Err(Fault::full()));
        self.write_counters(connection)?;
        self.positions.write(connection)?;
        self.held.write(connection)?;
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
        if let Some(answer) = receipts::first_answer(db, delivery)? {
            self.positions.take(delivery);
            return Ok(Taken::Replayed(answer));
        }
        let counting = delivery.counting.as_deref();
        let mut taken = match &delivery.joins {
            None => self.judged(db, queue_max, delivery, &[], counting)?,
            Some(joins) => {
                let mut gathered = partials::gather(db, &mut self.held, delivery, joins)?;
                let mut receipts = delivery.receipts.clone();
                receipts.extend(gathered.iter_mut().flat_map(|one| one.receipts.drain(..)));
                let (source, coordinates) = (delivery.source.clone(), delivery.coordinates.clone());
                let (at, ruleset) = (delivery.received, &delivery.ruleset);
                let joined = JudgedDelivery::of(source, coordinates, at, ruleset, receipts);
                self.judged(db, queue_max, &joined, &gathered, counting)?
            }
        };
        if let Taken::Done { answer, .. } = &mut taken {
            if let Some(replay) = &delivery.replay {
                receipts::remember(db, delivery, replay, answer)?;
            }
            self.positions.take(delivery);
        }
        Ok(taken)
    }

    /// Takes what has been judged, and what correlations make of it.
    fn judged(
        &mut self,
        db: &Connection,
        queue_max: u64,
        delivery: &JudgedDelivery,
        gathered: &[Gathered],
        counting: Option<&dyn Counting>,
    ) -> Result<Taken, Fault> {
        let Some(counting) = counting.filter(|_| delivery.is_counted()) else {
            return self.decide(db, queue_max, delivery, gathered);
        };
        db.execute_batch("SAVEPOINT counted")?;
        let taken = self.counted(db, queue_max, delivery, gathered, counting)?;
        // What is not taken comes again, and must not be known by then.
        match taken {
            Taken::Done { .. } => db.execute_batch("RELEASE counted")?,
            _ => db.execute_batch("ROLLBACK TO counted; RELEASE counted")?,
        }
        Ok(taken)
    }

    fn counted(
        &mut self,
        db: &Connection,
        queue_max: u64,
        delivery: &JudgedDelivery,
        gathered: &[Gathered],
        counting: &dyn Counting,
    ) -> Result<Taken, Fault> {
        let counted = correlations::count(db, delivery, counting)?;
        let JudgedDelivery { source, coordinates, received, ruleset, .. } = delivery;
        let (source, coordinates) = (source.clone(), coordinates.clone());
        let own = JudgedDelivery::of(source, coordinates, *received, ruleset, counted.receipts);
        let mut taken = self.decide(db, queue_max, &own, gathered)?;
        let Taken::Done { answer, effects } = &mut taken else { return Ok(taken) };
        // Other alerts are not heard from their sources now.
        let by_source = std::mem::replace(&mut self.by_source, false);
        for matched in &counted.matched {
            match self.decide(db, queue_max, matched, &[])? {
                Taken::Done { answer: more, effects: owned } => {
                    answer.waiting.extend(more.waiting);
                    // Whoever brought them is told, not another of the tenant's sources.
                    match matched.source == delivery.source {
                        true => answer.alerts.extend(more.alerts),
                        false => answer.acts_elsewhere = true,
                    }
                    effects.extend(owned);
                }
                Taken::Failed(why) => return Err(why.into()),
                _ => return Err(Fault::invalid("what a correlation matched is not prepared")),
            }
        }
        self.by_source = by_source;
        Ok(taken)
    }

    /// Decides what has been judged and writes it, with the alerts that rows have changed.
    fn decide(
        &mut self,
        db: &Connection,
        queue_max: u64,
        delivery: &JudgedDelivery,
        gathered: &[Gathered],
    ) -> Result<Taken, Fault> {
        let mut view = view::read(db, delivery)?;
        view.gauges = self.gauges_of(db, delivery)?;
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
        partials::write(db, &mut self.held, gathered)?;
        self.gauges.extend(view.gauges);
        self.count(&decided);
        self.write_fates(db, delivery, gathered, &decided.answer)?;
        let effects = owners(&view.effects, delivery);
        let mut answer = decided.answer;
        let alerts = delivery.receipts.iter().zip(&answer.alerts);
        let waiting = alerts.filter(|(_, alert)| alert.fate == Fate::Waiting);
        answer.waiting = waiting.filter_map(|(receipt, _)| receipt.tenant.clone()).collect();
        if matches!(delivery.coordinates, Coordinates::Webhook { .. }) {
            answer.alerts.extend(gathered.iter().filter_map(Gathered::answer));
        }
        Ok(Taken::Done { answer, effects })
    }

    fn count(&mut self, decided: &Decided) {
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
        delivery: &JudgedDelivery,
        gathered: &[Gathered],
        answer: &Answered,
    ) -> Result<(), Fault> {
        let mut received = 0;
        for (receipt, alert) in delivery.receipts.iter().zip(&answer.alerts) {
            if let (Content::Asks(asked), Fate::Waiting) = (&receipt.content, alert.fate) {
                lookups::insert(db, delivery, receipt, asked)?;
                received += i64::from(receipt.joined.is_none());
                continue;
            }
            let source = receipt.joined.as_ref().unwrap_or(&delivery.source);
            *self.fates.entry((source.clone(), alert.fate)).or_default() += 1;
            received += i64::from(receipt.joined.is_none());
            if receipt.keep_row {
                receipts::insert(db, delivery, receipt, alert)?;
            }
        }
        // What is ended by the clock, or by Defender's answer, is not heard from its source.
        let at = if self.by_source { delivery.received } else { Wall(0) };
        self.receive(&delivery.source, received, at);
        for one in gathered {
            self.receive(&one.kept.source, one.opened, at);
        }
        Ok(())
    }

    fn receive(&mut self, source: &SourceName, number: i64, at: Wall) {
        let (count, newest) = self.received.entry(source.clone()).or_insert((0, at));
        *count += number;
        *newest = (*newest).max(at);
    }

    fn write_counters(&self, db: &Connection) -> Result<(), Fault> {
        let mut upsert = db.prepare_cached(
            "INSERT INTO counters (source, fate, count) VALUES (?1, ?2, ?3)
             ON CONFLICT (source, fate) DO UPDATE SET count = count + excluded.count",
        )?;
        for ((source, fate), count) in &self.fates {
            upsert.execute(params![source.as_str(), fate, count])?;
        }
        let mut upsert = db.prepare_cached(
            "INSERT INTO received (source, count, newest) VALUES (?1, ?2, ?3)
             ON CONFLICT (source) DO UPDATE
             SET count = count + excluded.count, newest = MAX(newest, excluded.newest)",
        )?;
        for (source, (count, newest)) in &self.received {
            upsert.execute(params![source.as_str(), count, newest])?;
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
