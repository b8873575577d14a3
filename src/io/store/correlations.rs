//! What correlations count: one row for each alert, machine, file and base rule.
//!
//! A row is found to count by the rules of its time. Where others are in force now, it is judged
//! again before it counts on, and goes where it would count no more.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::lookups;
use crate::domain::action::Coordinates;
use crate::domain::correlation::{Correlation, Count, Counts, Event, Kept, Kind, Matched, Seen};
use crate::domain::decision::{
    Content, Counting, Decision, Judged, JudgedDelivery, Outcome, Receipt,
};
use crate::domain::ids::{MachineId, Sha1, SourceName, TenantName};
use crate::domain::time::Wall;
use crate::limits::{CORRELATION_GROUP_EVENTS, CORRELATION_TENANT_EVENTS};

mod rows;

pub(super) use rows::purge;
use rows::{event, insert, known, matched, remove, update};

/// Rows among which the other base rules of an event are looked for.
const EVENT_BASES: usize = 32;

/// A delivery whose candidates are counted.
pub(super) struct Counted {
    /// Its receipts, each with how far what it brought counts.
    pub receipts: Vec<Receipt>,
    /// What is matched by now, of this alert and of others.
    pub matched: Vec<JudgedDelivery>,
}

/// Counts what a delivery brings. What it writes has to be undone where the delivery is not taken.
pub(super) fn count(
    db: &Connection,
    delivery: &JudgedDelivery,
    counting: &dyn Counting,
) -> Result<Counted, Fault> {
    let mut receipts = delivery.receipts.clone();
    let mut tally = Tally::new(db, counting, delivery.received);
    for receipt in &mut receipts {
        let Receipt { tenant: Some(tenant), alert_id, content, joined, .. } = receipt else {
            continue;
        };
        let source = joined.as_ref().unwrap_or(&delivery.source);
        let judged = match content {
            Content::Judged(judged) => judged,
            // It is judged as it is.
            Content::Asks(asked) if lookups::is_full(db, tenant, source)? => &mut asked.otherwise,
            _ => continue,
        };
        let of = Brought { tenant, source, coordinates: &delivery.coordinates, alert: alert_id };
        for candidate in judged.iter_mut() {
            tally.take(&of, candidate)?;
        }
        tally.forget(&of, judged)?;
    }
    tally.look()?;
    let judged = receipts.iter_mut().flat_map(|receipt| match &mut receipt.content {
        Content::Judged(judged) => judged.as_mut_slice(),
        Content::Asks(asked) => asked.otherwise.as_mut_slice(),
        _ => &mut [],
    });
    judged.for_each(|one| tally.tell(one));
    let deliver = |matched: Matched| {
        let receipts = counting.correlated(&matched, delivery.received);
        let Matched { source, coordinates, .. } = matched;
        let by = counting.counted_by();
        JudgedDelivery::of(source, coordinates, delivery.received, by, receipts)
    };
    let matched = tally.matched.into_iter().map(deliver).collect();
    Ok(Counted { receipts, matched })
}

/// Where what is counted came from.
struct Brought<'d> {
    tenant: &'d TenantName,
    source: &'d SourceName,
    coordinates: &'d Coordinates,
    alert: &'d str,
}

/// A group of one tenant and correlation.
type Group = (TenantName, String, String);

struct Tally<'t> {
    db: &'t Connection,
    counting: &'t dyn Counting,
    now: Wall,
    /// Groups that are to be looked at, each with the times of what came.
    touched: BTreeMap<Group, Vec<Wall>>,
    /// Groups that have no room, and the bound.
    full: HashMap<Group, String>,
    /// Rows that this delivery has told of.
    told: HashSet<i64>,
    /// How far each of them counts.
    so_far: HashMap<i64, usize>,
    matched: Vec<Matched>,
    /// Where in `matched` an alert stands.
    places: HashMap<(TenantName, SourceName, String, String), usize>,
}

/// One row of a group.
struct Near {
    sequence: i64,
    time: Wall,
    says: String,
    matched: bool,
}

impl<'t> Tally<'t> {
    fn new(db: &'t Connection, counting: &'t dyn Counting, now: Wall) -> Self {
        let (touched, full, told) = Default::default();
        let (so_far, matched, places) = Default::default();
        Self { db, counting, now, touched, full, told, so_far, matched, places }
    }

    /// Keeps what a candidate counts as. Told again it is the same event, as it was told last.
    fn take(&mut self, of: &Brought<'_>, judged: &mut Judged) -> Result<(), Fault> {
        let Some(mut counts) = judged.counts.take() else { return Ok(()) };
        for place in 0..counts.counts.len() {
            let count = counts.counts[place].clone();
            let Some(correlation) = self.counting.correlation(&count.rule) else { continue };
            let kept = self.keep(of, &counts, &count, correlation)?;
            counts.kept.push((count.rule, kept));
        }
        judged.counts = Some(counts);
        Ok(())
    }

    fn keep(
        &mut self,
        of: &Brought<'_>,
        counts: &Counts,
        count: &Count,
        correlation: &Correlation,
    ) -> Result<Kept, Fault> {
        let until = self.counting.kept_until(correlation, counts.time);
        if until <= self.now {
            return Ok(Kept::TooOld);
        }
        let group = (of.tenant.clone(), count.rule.clone(), count.group.clone());
        let by = self.counting.counted_by();
        let any_base = correlation.kind != Kind::Temporal;
        let (sequence, time) = match known(self.db, of, counts, count, any_base)? {
            Some((sequence, time)) => {
                update(self.db, sequence, counts, count, (self.now, by))?;
                (sequence, time)
            }
            None => {
                // Once in a delivery: a group that is full stays so.
                if let Some(bound) = self.full.get(&group).cloned() {
                    self.add(of.matched(), event(counts, count, Some(bound.clone())));
                    return Ok(Kept::Full(bound));
                }
                if let Some(bound) = self.full(of.tenant, count, correlation, counts.time)? {
                    self.hold(of, counts, count, correlation, &bound)?;
                    self.full.insert(group, bound.clone());
                    return Ok(Kept::Full(bound));
                }
                (insert(self.db, of, counts, count, (self.now, until, by))?, counts.time)
            }
        };
        self.told.insert(sequence);
        self.touched.entry(group).or_default().push(time);
        Ok(Kept::Row(sequence))
    }

    /// Forgets what an alert told before and tells no more, as long as nothing came of it.
    fn forget(&self, of: &Brought<'_>, judged: &[Judged]) -> Result<(), Fault> {
        let mut select = self.db.prepare_cached(
            "SELECT sequence, machine, sha1 FROM events
             WHERE tenant = ?1 AND alert = ?2 AND matched = 0",
        )?;
        let rows = select.query_map(params![of.tenant, of.alert], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, MachineId>(1)?, row.get::<_, Sha1>(2)?))
        })?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        for (sequence, machine, sha1) in rows {
            let (machine, sha1) = (machine.to_string(), sha1.to_string());
            let is_told = judged.iter().any(|one| one.machine == machine && one.sha1 == sha1);
            if is_told && !self.told.contains(&sequence) {
                remove(self.db, of.tenant, sequence)?;
            }
        }
        Ok(())
    }

    /// Looks at each group once, whatever came of it.
    fn look(&mut self) -> Result<(), Fault> {
        for ((tenant, rule, group), times) in std::mem::take(&mut self.touched) {
            let Some(of) = self.counting.correlation(&rule) else { continue };
            let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
                continue;
            };
            let span = (*first - of.timespan, *last + of.timespan);
            let near = self.near(&tenant, (&rule, &group), of, span)?;
            let seen: Vec<Seen<'_>> =
                near.iter().map(|row| Seen { time: row.time, says: &row.says }).collect();
            let mut update =
                self.db.prepare_cached("UPDATE events SET matched = 1 WHERE sequence = ?1")?;
            for (most, row) in of.most(&seen).into_iter().zip(&near) {
                self.so_far.insert(row.sequence, most);
                if most >= of.at_least && !row.matched {
                    update.execute([row.sequence])?;
                    let (matched, event) = matched(self.db, row.sequence)?;
                    self.add(matched, event);
                }
            }
        }
        Ok(())
    }

    /// Says how far what a candidate was counted as goes.
    fn tell(&self, judged: &mut Judged) {
        let Some(counts) = judged.counts.take() else { return };
        let mut told = Vec::new();
        for (rule, kept) in &counts.kept {
            let Some(of) = self.counting.correlation(rule) else { continue };
            told.push(match kept {
                Kept::TooOld => format!("too old to count for rule {rule}"),
                Kept::Full(bound) => format!("rule {rule} has {bound} already"),
                Kept::Row(sequence) => {
                    let so_far = self.so_far.get(sequence).copied().unwrap_or(0);
                    format!("counts for rule {rule}: {}", of.shown(so_far))
                }
            });
        }
        told.dedup();
        if let (Outcome::Settled(Decision::NoMatch { why }), false) =
            (&mut judged.outcome, told.is_empty())
        {
            *why = told.join("; ");
        }
    }

    /// Which bound leaves no room for another event, if one does, once those are gone that are of
    /// no use.
    fn full(
        &self,
        tenant: &TenantName,
        count: &Count,
        of: &Correlation,
        time: Wall,
    ) -> Result<Option<String>, Fault> {
        let mut of_tenant =
            self.db.prepare_cached("SELECT events FROM counted WHERE tenant = ?1")?;
        let mut of_group = self.db.prepare_cached(
            "SELECT COUNT(*) FROM events
             WHERE tenant = ?1 AND rule = ?2 AND grp = ?3 AND time BETWEEN ?4 AND ?5",
        )?;
        let (from, to) = (time - of.timespan, time + of.timespan);
        let mut bound = || -> Result<Option<String>, Fault> {
            let events = of_tenant.query_row([tenant], |row| row.get::<_, i64>(0)).optional()?;
            if events.unwrap_or(0) >= CORRELATION_TENANT_EVENTS {
                return Ok(Some(format!("{CORRELATION_TENANT_EVENTS} events of this tenant")));
            }
            let group = params![tenant, count.rule, count.group, from, to];
            let events: i64 = of_group.query_row(group, |row| row.get(0))?;
            let full = events >= super::limit(CORRELATION_GROUP_EVENTS);
            Ok(full.then(|| format!("{CORRELATION_GROUP_EVENTS} events of one group")))
        };
        if bound()?.is_none() {
            return Ok(None);
        }
        while purge(self.db, self.now)? > 0 {}
        bound()
    }

    /// Holds what there is no room for, and what it would have matched.
    fn hold(
        &mut self,
        of: &Brought<'_>,
        counts: &Counts,
        count: &Count,
        correlation: &Correlation,
        bound: &str,
    ) -> Result<(), Fault> {
        self.add(of.matched(), event(counts, count, Some(bound.to_owned())));
        let span = (counts.time - correlation.timespan, counts.time + correlation.timespan);
        let near = self.near(of.tenant, (&count.rule, &count.group), correlation, span)?;
        let says = match correlation.kind {
            Kind::Events => "this",
            Kind::Values(_) => count.value.as_str(),
            Kind::Temporal => count.base.as_str(),
        };
        let mut seen: Vec<Seen<'_>> =
            near.iter().map(|row| Seen { time: row.time, says: &row.says }).collect();
        seen.push(Seen { time: counts.time, says });
        for (most, row) in correlation.most(&seen).into_iter().zip(&near) {
            if most >= correlation.at_least && !row.matched {
                let mut update =
                    self.db.prepare_cached("UPDATE events SET matched = 1 WHERE sequence = ?1")?;
                update.execute([row.sequence])?;
                let (matched, event) = matched(self.db, row.sequence)?;
                self.add(matched, Event { full: Some(bound.to_owned()), ..event });
            }
        }
        Ok(())
    }

    /// One receipt for each alert, one candidate for each correlation.
    fn add(&mut self, of: Matched, event: Event) {
        let coordinates = serde_json::to_string(&of.coordinates).expect("our own type");
        let key = (of.tenant.clone(), of.source.clone(), coordinates, of.alert.clone());
        let place = *self.places.entry(key).or_insert_with(|| {
            self.matched.push(of);
            self.matched.len() - 1
        });
        let events = &mut self.matched[place].events;
        // Rows of one event come one after the other, for each of its base rules.
        match events.iter_mut().rev().take(EVENT_BASES).find(|one| {
            (&one.rule, one.machine, one.sha1, &one.full)
                == (&event.rule, event.machine, event.sha1, &event.full)
        }) {
            Some(known) => known.bases.extend(event.bases),
            None => events.push(event),
        }
    }

    /// The rows of a group that can share a window with that time, by the rules of this moment.
    fn near(
        &self,
        tenant: &TenantName,
        (rule, group): (&str, &str),
        of: &Correlation,
        (from, to): (Wall, Wall),
    ) -> Result<Vec<Near>, Fault> {
        let mut select = self.db.prepare_cached(
            "SELECT sequence, time, base, value, matched, ruleset FROM events
             WHERE tenant = ?1 AND rule = ?2 AND grp = ?3 AND time BETWEEN ?4 AND ?5
               AND until > ?6",
        )?;
        let of_group = params![tenant, rule, group, from, to, self.now];
        let mut rows = select.query(of_group)?;
        let mut near = Vec::new();
        while let Some(row) = rows.next()? {
            let (sequence, base, mut value) = (row.get(0)?, row.get::<_, String>(2)?, row.get(3)?);
            if row.get::<_, String>(5)? != self.counting.counted_by() {
                match self.recount(tenant, (rule, group), &base, sequence)? {
                    Some(now) => value = now,
                    None => continue,
                }
            }
            let says = match of.kind {
                Kind::Events => sequence.to_string(),
                Kind::Values(_) => value,
                Kind::Temporal => base,
            };
            near.push(Near { sequence, time: row.get(1)?, says, matched: row.get(4)? });
        }
        Ok(near)
    }

    /// What a row says by the rules of this moment. One that counts no more is gone.
    fn recount(
        &self,
        tenant: &TenantName,
        (rule, group): (&str, &str),
        base: &str,
        sequence: i64,
    ) -> Result<Option<String>, Fault> {
        let mut select =
            self.db.prepare_cached("SELECT candidate, received FROM events WHERE sequence = ?1")?;
        let (candidate, received) =
            select.query_row([sequence], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        let now = self.counting.recount(rule, base, &candidate, received);
        let Some(now) = now.filter(|now| now.group == group) else {
            remove(self.db, tenant, sequence)?;
            return Ok(None);
        };
        let mut update = self
            .db
            .prepare_cached("UPDATE events SET value = ?2, ruleset = ?3 WHERE sequence = ?1")?;
        update.execute(params![sequence, now.value, self.counting.counted_by()])?;
        Ok(Some(now.value))
    }
}

impl Brought<'_> {
    fn matched(&self) -> Matched {
        Matched {
            tenant: self.tenant.clone(),
            source: self.source.clone(),
            coordinates: self.coordinates.clone(),
            alert: self.alert.to_owned(),
            events: Vec::new(),
        }
    }
}
