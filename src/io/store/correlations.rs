//! What correlations count: one row for each alert, machine, file and base rule.
//!
//! A row is found to count by the rules of its time. Where others are in force now, it is judged
//! again before it counts on, and goes where it would count no more.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::sql::Json;
use crate::domain::action::Coordinates;
use crate::domain::correlation::{Correlation, Count, Counts, Event, Kind, Matched, Seen};
use crate::domain::decision::{
    Content, Counting, Decision, Judged, JudgedDelivery, Outcome, Receipt,
};
use crate::domain::ids::{SourceName, TenantName};
use crate::domain::time::Wall;
use crate::limits::{CORRELATION_GROUP_EVENTS, CORRELATION_TENANT_EVENTS, PURGE_PIECE};

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
    let mut tally = Tally { db, counting, now: delivery.received, matched: Vec::new() };
    for receipt in &mut receipts {
        let Receipt { tenant: Some(tenant), alert_id, content, joined, .. } = receipt else {
            continue;
        };
        let Content::Judged(judged) = content else { continue };
        let source = joined.as_ref().unwrap_or(&delivery.source);
        let of = Brought { tenant, source, coordinates: &delivery.coordinates, alert: alert_id };
        for candidate in judged {
            tally.candidate(&of, candidate)?;
        }
    }
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

struct Tally<'t> {
    db: &'t Connection,
    counting: &'t dyn Counting,
    now: Wall,
    matched: Vec<Matched>,
}

/// One row of a group.
struct Near {
    sequence: i64,
    time: Wall,
    says: String,
    matched: bool,
}

impl Tally<'_> {
    fn candidate(&mut self, of: &Brought<'_>, judged: &mut Judged) -> Result<(), Fault> {
        let Some(counts) = judged.counts.take() else { return Ok(()) };
        let mut told = Vec::new();
        for count in &counts.counts {
            if let Some(correlation) = self.counting.correlation(&count.rule) {
                told.push(self.count(of, &counts, count, correlation)?);
            }
        }
        told.dedup();
        if let Outcome::Settled(Decision::NoMatch { why }) = &mut judged.outcome {
            *why = told.join("; ");
        }
        Ok(())
    }

    /// Counts one candidate for one correlation, and says how far that goes.
    fn count(
        &mut self,
        of: &Brought<'_>,
        counts: &Counts,
        count: &Count,
        correlation: &Correlation,
    ) -> Result<String, Fault> {
        let rule = &count.rule;
        let until = self.counting.kept_until(correlation, counts.time);
        if until <= self.now {
            return Ok(format!("too old to count for rule {rule}"));
        }
        let known = known(self.db, of, counts, count)?;
        let (sequence, time) = match known {
            Some(known) => known,
            None => {
                if let Some(bound) = full(self.db, of.tenant, count, self.now)? {
                    let why = format!("rule {rule} has {bound} already");
                    self.add(of.matched(), event(counts, count, Some(bound)));
                    return Ok(why);
                }
                let by = self.counting.counted_by();
                (insert(self.db, of, counts, count, (self.now, until, by))?, counts.time)
            }
        };
        let near = self.near(of.tenant, count, correlation, time)?;
        let seen: Vec<Seen<'_>> =
            near.iter().map(|row| Seen { time: row.time, says: &row.says }).collect();
        let (mut so_far, mut update) =
            (0, self.db.prepare_cached("UPDATE events SET matched = 1 WHERE sequence = ?1")?);
        for (most, row) in correlation.most(&seen).into_iter().zip(&near) {
            so_far = if row.sequence == sequence { most } else { so_far };
            if most >= correlation.at_least && !row.matched {
                update.execute([row.sequence])?;
                let (matched, event) = matched(self.db, row.sequence)?;
                self.add(matched, event);
            }
        }
        Ok(format!("counts for rule {rule}: {}", correlation.shown(so_far)))
    }

    /// One receipt for each alert, one candidate for each correlation.
    fn add(&mut self, of: Matched, event: Event) {
        let same = |one: &&mut Matched| {
            (&one.tenant, &one.source, &one.coordinates, &one.alert)
                == (&of.tenant, &of.source, &of.coordinates, &of.alert)
        };
        let Some(known) = self.matched.iter_mut().find(same) else {
            self.matched.push(Matched { events: vec![event], ..of });
            return;
        };
        let same = |one: &&mut Event| {
            (&one.rule, one.machine, one.sha1, &one.full)
                == (&event.rule, event.machine, event.sha1, &event.full)
        };
        match known.events.iter_mut().find(same) {
            Some(known) => known.bases.extend(event.bases),
            None => known.events.push(event),
        }
    }

    /// The rows of a group that can share a window with that time, by the rules of this moment.
    fn near(
        &self,
        tenant: &TenantName,
        count: &Count,
        of: &Correlation,
        time: Wall,
    ) -> Result<Vec<Near>, Fault> {
        let mut select = self.db.prepare_cached(
            "SELECT sequence, time, base, value, matched, ruleset FROM events
             WHERE tenant = ?1 AND rule = ?2 AND grp = ?3 AND time BETWEEN ?4 AND ?5
               AND until > ?6",
        )?;
        let (from, to) = (time - of.timespan, time + of.timespan);
        let of_group = params![tenant, count.rule, count.group, from, to, self.now];
        let mut rows = select.query(of_group)?;
        let mut near = Vec::new();
        while let Some(row) = rows.next()? {
            let (sequence, base, mut value) = (row.get(0)?, row.get::<_, String>(2)?, row.get(3)?);
            if row.get::<_, String>(5)? != self.counting.counted_by() {
                match self.recount(tenant, count, &base, sequence)? {
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
        count: &Count,
        base: &str,
        sequence: i64,
    ) -> Result<Option<String>, Fault> {
        let mut select =
            self.db.prepare_cached("SELECT candidate, received FROM events WHERE sequence = ?1")?;
        let (candidate, received) =
            select.query_row([sequence], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        let now = self.counting.recount(&count.rule, base, &candidate, received);
        let Some(now) = now.filter(|now| now.group == count.group) else {
            self.db
                .prepare_cached("DELETE FROM events WHERE sequence = ?1")?
                .execute([sequence])?;
            add_to(self.db, tenant, -1)?;
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

fn event(counts: &Counts, count: &Count, full: Option<String>) -> Event {
    Event {
        rule: count.rule.clone(),
        bases: vec![count.base.clone()],
        machine: counts.machine,
        sha1: counts.sha1,
        evidence: counts.evidence,
        candidate: counts.candidate.clone(),
        full,
    }
}

/// The row of this event, and when it was: what comes again is the same event.
fn known(
    db: &Connection,
    of: &Brought<'_>,
    counts: &Counts,
    count: &Count,
) -> Result<Option<(i64, Wall)>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT sequence, time FROM events
         WHERE tenant = ?1 AND rule = ?2 AND grp = ?3 AND alert = ?4 AND machine = ?5
           AND sha1 = ?6 AND base = ?7",
    )?;
    let id = params![
        of.tenant,
        count.rule,
        count.group,
        of.alert,
        counts.machine,
        counts.sha1,
        count.base
    ];
    Ok(select.query_row(id, |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Which bound leaves no room for another event, if one does, once those are gone that are of no
/// use.
fn full(
    db: &Connection,
    tenant: &TenantName,
    count: &Count,
    now: Wall,
) -> Result<Option<String>, Fault> {
    let mut of_tenant = db.prepare_cached("SELECT events FROM counted WHERE tenant = ?1")?;
    let mut of_group = db.prepare_cached(
        "SELECT COUNT(*) FROM events WHERE tenant = ?1 AND rule = ?2 AND grp = ?3",
    )?;
    let mut bound = || -> Result<Option<String>, Fault> {
        let events = of_tenant.query_row([tenant], |row| row.get::<_, i64>(0)).optional()?;
        if events.unwrap_or(0) >= CORRELATION_TENANT_EVENTS {
            return Ok(Some(format!("{CORRELATION_TENANT_EVENTS} events of this tenant")));
        }
        let events: i64 =
            of_group.query_row(params![tenant, count.rule, count.group], |row| row.get(0))?;
        let full = events >= super::limit(CORRELATION_GROUP_EVENTS);
        Ok(full.then(|| format!("{CORRELATION_GROUP_EVENTS} events of one group")))
    };
    if bound()?.is_none() {
        return Ok(None);
    }
    while purge(db, now)? > 0 {}
    bound()
}

fn insert(
    db: &Connection,
    of: &Brought<'_>,
    counts: &Counts,
    count: &Count,
    (received, until, ruleset): (Wall, Wall, &str),
) -> Result<i64, Fault> {
    let mut insert = db.prepare_cached(
        "INSERT INTO events
             (tenant, rule, grp, alert, machine, sha1, base, time, value, matched, until,
              evidence, source, coordinates, received, ruleset, candidate)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    insert.execute(params![
        of.tenant,
        count.rule,
        count.group,
        of.alert,
        counts.machine,
        counts.sha1,
        count.base,
        counts.time,
        count.value,
        until,
        counts.evidence,
        of.source.as_str(),
        Json(of.coordinates),
        received,
        ruleset,
        &*counts.candidate
    ])?;
    let sequence = db.last_insert_rowid();
    add_to(db, of.tenant, 1)?;
    Ok(sequence)
}

fn add_to(db: &Connection, tenant: &TenantName, number: i64) -> Result<(), Fault> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO counted (tenant, events) VALUES (?1, ?2)
         ON CONFLICT (tenant) DO UPDATE SET events = events + excluded.events",
    )?;
    upsert.execute(params![tenant, number])?;
    Ok(())
}

fn matched(db: &Connection, sequence: i64) -> Result<(Matched, Event), Fault> {
    let mut select = db.prepare_cached(
        "SELECT tenant, source, coordinates, alert, rule, base, machine, sha1, evidence, candidate
         FROM events WHERE sequence = ?1",
    )?;
    Ok(select.query_row([sequence], read)?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<(Matched, Event)> {
    let Json(coordinates) = row.get(2)?;
    let matched = Matched {
        tenant: row.get(0)?,
        source: SourceName::new(&row.get::<_, String>(1)?),
        coordinates,
        alert: row.get(3)?,
        events: Vec::new(),
    };
    let event = Event {
        rule: row.get(4)?,
        bases: vec![row.get(5)?],
        machine: row.get(6)?,
        sha1: row.get(7)?,
        evidence: row.get(8)?,
        candidate: Arc::from(row.get::<_, String>(9)?),
        full: None,
    };
    Ok((matched, event))
}

/// Forgets a piece of what is of no use any more.
pub(super) fn purge(db: &Connection, now: Wall) -> Result<u64, Fault> {
    let mut delete = db.prepare_cached(
        "DELETE FROM events WHERE sequence IN (
             SELECT sequence FROM events INDEXED BY events_until WHERE until <= ?1 LIMIT ?2)
         RETURNING tenant",
    )?;
    let gone = delete.query_map(params![now, super::limit(PURGE_PIECE)], |row| row.get(0))?;
    let gone = gone.collect::<Result<Vec<TenantName>, _>>()?;
    for tenant in &gone {
        add_to(db, tenant, -1)?;
    }
    Ok(gone.len() as u64)
}
