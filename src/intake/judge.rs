//! From a delivery's bytes to judged receipts: split, decode, judge, guard. Touches no store.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::asked::Later;
use super::{InForce, Predict, Shared};
use crate::domain::action::Coordinates;
use crate::domain::alert::Alert;
use crate::domain::breaker::{Breaker, Rate};
use crate::domain::candidate::{Candidate, Field};
use crate::domain::decision::{
    Content, Counting, Decision, Draft, From, Intent, JoinBounds, Joins, Judge, Judged,
    JudgedDelivery, Outcome, Prepared, Receipt,
};
use crate::domain::ids::{ActionId, EffectKey, MachineId, Sha1, TenantName};
use crate::domain::rule::Judgement;
use crate::domain::time::{Wall, rough_span, written_span};
use crate::formats::{self, PassedOver, ReadRow, Refused, Streamed};
use crate::io::{Delivery, NotTaken};
use crate::limits::CLOCK_SKEW;
use crate::metrics::PassedLabels;

/// Judges by the rules and formats of one moment.
pub(super) struct Judging {
    pub(super) shared: Arc<Shared>,
    pub(super) in_force: Arc<InForce>,
    pub(super) predict: Predict,
    /// Whether Defender may be asked first what candidates lack.
    pub(super) asks: bool,
}

impl Judging {
    /// Decodes and judges one delivery. Only a body that is not JSON at all, from a sender who can
    /// be told, is refused; everything else becomes receipts.
    pub(super) fn judge(self: &Arc<Self>, delivery: &Delivery) -> Result<JudgedDelivery, NotTaken> {
        failpoint!("intake.judge", Err(NotTaken::Full));
        let mut judged = JudgedDelivery {
            source: delivery.source.clone(),
            coordinates: delivery.coordinates.clone(),
            received: delivery.received.wall,
            replay: delivery.replay.clone(),
            follows: delivery.follows,
            ruleset: self.in_force.ruleset.hash().to_owned(),
            receipts: Vec::new(),
            joins: None,
            counting: self.counts_by(),
        };
        if let Some(flaw) = &delivery.flaw {
            judged.receipts.push(self.unreadable(delivery, flaw.to_string(), &delivery.body));
            return Ok(judged);
        }
        let name = &self.shared.settings.sources[&delivery.source].format;
        let format = match self.in_force.formats.find(name) {
            Ok(format) => format,
            // A set without it is refused; it can't be in force.
            Err(why) => {
                judged.receipts.push(self.unreadable(delivery, why.to_string(), &delivery.body));
                return Ok(judged);
            }
        };
        if let Some((text, alert)) = format.decode_only(&delivery.body) {
            judged.receipts = self.judge_alert(delivery, text, alert);
            return Ok(judged);
        }
        if format.has_rows() {
            match formats::rows(&delivery.body) {
                Ok(rows) => self.read_rows(delivery, rows, &mut judged),
                Err(why) => judged.receipts.push(self.refused(delivery, why)?),
            }
            return Ok(judged);
        }
        let cuts = match formats::split(&delivery.body) {
            Ok(cuts) => cuts,
            Err(why) => {
                judged.receipts.push(self.refused(delivery, why)?);
                return Ok(judged);
            }
        };
        judged.receipts.reserve(cuts.len());
        for cut in &cuts {
            let text = cut.text();
            match format.decode_cut(cut) {
                Ok(alert) => judged.receipts.extend(self.judge_alert(delivery, text, alert)),
                Err(why) => {
                    let unreadable = self.unreadable(delivery, why.to_string(), text.as_bytes());
                    judged.receipts.push(unreadable);
                }
            }
        }
        Ok(judged)
    }

    /// A body that can't be cut: told to whoever waits for an answer, else a receipt.
    fn refused(&self, delivery: &Delivery, why: Refused) -> Result<Receipt, NotTaken> {
        match why {
            why if matches!(delivery.coordinates, Coordinates::Kafka { .. }) => {
                Ok(self.unreadable(delivery, why.to_string(), &delivery.body))
            }
            why @ Refused::TooMany => Err(NotTaken::TooMany(why.to_string())),
            why => Err(NotTaken::NotJson(why.to_string())),
        }
    }

    /// Takes rows of a stream: those of alerts are for the join, all others are passed over.
    fn read_rows(
        self: &Arc<Self>,
        delivery: &Delivery,
        read: Vec<ReadRow>,
        to: &mut JudgedDelivery,
    ) {
        let source = &self.shared.settings.sources[&delivery.source];
        let (mut rows, mut strangers) = (Vec::new(), HashSet::new());
        for streamed in read {
            match streamed {
                Ok(Streamed { row: Err(PassedOver(table)), .. }) => {
                    self.pass_over(delivery, table);
                }
                Ok(Streamed { tenant_id, row: Ok(mut row) }) => {
                    // What says that it is of next year must not be newer than all to come.
                    row.time = row.time.min(delivery.received.wall + CLOCK_SKEW);
                    match source.tenant_of(tenant_id.as_deref()) {
                        Ok(tenant) => rows.push((tenant.clone(), row)),
                        // Once for each alert, however many rows it has.
                        Err(named) if strangers.insert((named.clone(), row.alert.clone())) => {
                            to.receipts.push(self.unknown_tenant(delivery, row.alert, named));
                        }
                        Err(_) => {}
                    }
                }
                Err((text, why)) => {
                    to.receipts.push(self.unreadable(delivery, why.to_string(), text.as_bytes()));
                }
            }
        }
        if !rows.is_empty() {
            to.joins = Some(Joins { rows, judge: self.clone() });
        }
    }

    fn pass_over(&self, delivery: &Delivery, table: &'static str) {
        // What is judged a second time is counted already.
        if self.predict == Predict::FromCache {
            let source = delivery.source.to_string();
            let of = PassedLabels { source, table };
            self.shared.metrics.intake.passed_over.get_or_create(&of).inc();
        }
    }

    fn judge_alert(&self, delivery: &Delivery, text: &str, alert: Alert<'_>) -> Vec<Receipt> {
        let source = &self.shared.settings.sources[&delivery.source];
        let tenant = match source.tenant_of(alert.tenant_id.as_deref()) {
            Ok(tenant) => tenant,
            Err(named) => {
                return vec![self.unknown_tenant(delivery, alert.id.into_owned(), named)];
            }
        };
        let from = From {
            tenant,
            source: &delivery.source,
            coordinates: &delivery.coordinates,
            at: delivery.received.wall,
        };
        if let Some(receipt) = self.asks(delivery, text, &alert, &from) {
            return vec![receipt];
        }
        let mut receipts = self.receipts(alert, &from, self.predict);
        self.keep_raw(&mut receipts, &from, text);
        receipts
    }

    /// Of what is decided now and, if there is any, of what Defender is asked about first.
    pub(super) fn receipts(
        &self,
        alert: Alert<'_>,
        from: &From<'_>,
        predict: Predict,
    ) -> Vec<Receipt> {
        // Borrows from here on also what is not of the delivery.
        let mut alert = alert;
        let &From { tenant, source, at: now, .. } = from;
        formats::came_by(&mut alert, tenant.as_str(), source.as_str(), now);
        let too_old = self.too_old(alert.created, now);
        let ceiling = self.shared.settings.ceiling;
        let mut later = Later::default();
        let mut decided = Vec::with_capacity(alert.candidates.len());
        let mut of = Vec::with_capacity(alert.candidates.len());
        for candidate in &alert.candidates {
            let wanted = self.in_force.ruleset.judge(&candidate.fields, ceiling);
            let (outcome, asks) = self.opened(wanted, candidate, &too_old, from, predict);
            let counts = self.counts(candidate, alert.created, now);
            let outcome = match &counts {
                Some(_) => self.spared(outcome, tenant, candidate),
                None => outcome,
            };
            let one = Judged { counts, ..judged(candidate, outcome) };
            let now = match asks.is_empty() {
                true => Some(one),
                false => later.add(candidate, &asks, one, None),
            };
            if let Some(one) = now {
                decided.push(one);
                of.push(candidate);
            }
        }
        let mut receipts = self.both(&alert.id, decided, later, from);
        self.say_nearest(&mut receipts, &of, from);
        receipts
    }

    /// The receipt of what is decided and, where there are any, those of what waits for Defender.
    pub(super) fn both(
        &self,
        alert: &str,
        decided: Vec<Judged>,
        later: Later,
        from: &From<'_>,
    ) -> Vec<Receipt> {
        let mut waits = self.enriches(alert, later, from).peekable();
        let mut receipts = Vec::with_capacity(1);
        if waits.peek().is_none() || !decided.is_empty() {
            receipts.push(self.settled(alert.to_owned(), decided, from));
        }
        receipts.extend(waits);
        receipts
    }

    pub(super) fn settled(
        &self,
        alert_id: String,
        judged: Vec<Judged>,
        from: &From<'_>,
    ) -> Receipt {
        let keep_row = self.keeps_row(&judged, from.at);
        let (tenant, content) = (Some(from.tenant.clone()), Content::Judged(judged));
        Receipt { tenant, alert_id, content, raw: None, keep_row, joined: None }
    }

    /// What stands against acting on an alert of this age, if anything does. An alert that does
    /// not say when it was created could be a year old.
    pub(super) fn too_old(&self, created: Option<Wall>, now: Wall) -> Option<Decision> {
        let Some(created) = created else {
            let what = "the alert names no creation time, so its age is unknown".to_owned();
            return Some(Decision::Incomplete { what });
        };
        if created > now + CLOCK_SKEW {
            let what = format!("the alert says that it was created in the future, at {created}");
            return Some(Decision::Incomplete { what });
        }
        let (age, limit) = (now.since(created), self.shared.settings.alert_age_max);
        (age > limit).then(|| {
            let (age, limit) = (rough_span(age), written_span(limit));
            Decision::TooOld { why: format!("created {age} ago; the limit is {limit}") }
        })
    }

    /// What a judgement comes to, and the fields that Defender is to be asked for first.
    pub(super) fn opened(
        &self,
        wanted: Judgement<'_>,
        candidate: &Candidate<'_>,
        too_old: &Option<Decision>,
        from: &From<'_>,
        predict: Predict,
    ) -> (Outcome, Vec<Field>) {
        let (judged, mut asks) = match wanted {
            Judgement::Enrich { fields, otherwise } => (*otherwise, fields),
            judged => (judged, Vec::new()),
        };
        let outcome = self.outcome(judged, from.tenant, candidate, too_old, from.at, predict);
        let is_open =
            matches!(outcome, Outcome::Draft(_) | Outcome::Settled(Decision::Observe { .. }));
        if !self.asks || !is_open {
            asks.clear();
        }
        (outcome, asks)
    }

    /// What a judgement comes to, given what can be acted on.
    pub(super) fn outcome(
        &self,
        judged: Judgement<'_>,
        tenant: &TenantName,
        candidate: &Candidate<'_>,
        too_old: &Option<Decision>,
        now: Wall,
        predict: Predict,
    ) -> Outcome {
        let judged = match judged {
            Judgement::NoMatch { why } => {
                return Outcome::Settled(Decision::NoMatch { why: why.into_owned() });
            }
            Judgement::Protected { by } => {
                return match (candidate.machine.as_ref(), candidate.sha1.as_ref()) {
                    (Ok(machine), Ok(sha1)) => {
                        let (machine, sha1) = (*machine, *sha1);
                        let key = EffectKey { tenant: tenant.clone(), machine, sha1 };
                        Outcome::Protected { key, by }
                    }
                    _ => Outcome::Settled(Decision::Protected { by }),
                };
            }
            Judgement::Observe { rules } => Err(Decision::Observe { rules }),
            Judgement::Act(wanted) => Ok((wanted, Intent::Act)),
            Judgement::Hold { why, wanted } => Ok((wanted, Intent::Hold(why))),
            Judgement::Enrich { otherwise, .. } => {
                return self.outcome(*otherwise, tenant, candidate, too_old, now, predict);
            }
        };
        let (machine, sha1) = match (&candidate.machine, &candidate.sha1) {
            (Ok(machine), Ok(sha1)) => (*machine, *sha1),
            (Err(what), _) | (_, Err(what)) => {
                return Outcome::Settled(Decision::Incomplete { what: what.to_string() });
            }
        };
        if let Some(decision) = too_old {
            return Outcome::Settled(decision.clone());
        }
        let (wanted, intent) = match judged {
            Ok(judged) => judged,
            Err(decision) => return Outcome::Settled(decision),
        };
        let key = EffectKey { tenant: tenant.clone(), machine, sha1 };
        let predicted = predict == Predict::FromCache && self.shared.predicted.contains_key(&key);
        let prepared = (!predicted).then(|| Prepared {
            id: ActionId(self.shared.clock.new_id()),
            comment: wanted.comment.render(&candidate.fields),
            candidate: serde_json::to_string(&candidate.fields)
                .expect("fields are texts, numbers and lists"),
            expires_queued: now + self.shared.settings.expire_queued,
            expires_held: now + self.shared.settings.expire_held,
        });
        // A time in the future would count as newer than any quarantine; it is no time.
        let evidence = candidate.evidence.filter(|at| *at <= now + CLOCK_SKEW);
        Outcome::Draft(Box::new(Draft {
            key,
            evidence,
            class: wanted.class,
            window: wanted.window,
            intent,
            rules: wanted.rules,
            approvals: wanted.approvals,
            endings: wanted.endings,
            breakers: [wanted.breakers, self.breakers(tenant)].concat(),
            prepared,
        }))
    }
}

impl Judging {
    /// The breakers over all actions of a tenant.
    fn breakers(&self, tenant: &TenantName) -> Vec<(Breaker, Rate)> {
        let of = self.shared.settings.breakers.get(tenant).copied().unwrap_or_default();
        let mut breakers = vec![(Breaker::TenantActions, of.actions)];
        breakers.extend(of.fleet.map(|rate| (Breaker::ShareOfFleet, rate)));
        breakers
    }
}

impl Judge for Judging {
    fn judge(&self, alert: Alert<'_>, lacks: Option<String>, from: &From<'_>) -> Vec<Receipt> {
        let Some(what) = lacks else { return self.receipts(alert, from, Predict::Nothing) };
        let outcome = || Outcome::Settled(Decision::Incomplete { what: what.clone() });
        if alert.candidates.is_empty() {
            return vec![self.lacking(alert.id.into_owned(), what, from)];
        }
        let all = alert.candidates.iter().map(|one| judged(one, outcome())).collect();
        vec![self.settled(alert.id.into_owned(), all, from)]
    }

    fn bounds(&self) -> &JoinBounds {
        &self.shared.settings.join
    }

    fn read_up_to(&self) -> Wall {
        Wall(self.shared.read_up_to.load(Ordering::Acquire))
    }

    fn keeps_odd_row(&self, now: Wall) -> bool {
        self.shared.odd_rows.take(now)
    }

    fn ruleset(&self) -> &str {
        self.in_force.ruleset.hash()
    }

    fn counting(&self) -> Option<&dyn Counting> {
        self.counts_any().then_some(self)
    }
}

pub(super) fn judged(candidate: &Candidate<'_>, outcome: Outcome) -> Judged {
    Judged {
        machine: candidate.machine.as_ref().map(MachineId::to_string).unwrap_or_default(),
        sha1: candidate.sha1.as_ref().map(Sha1::to_string).unwrap_or_default(),
        outcome,
        counts: None,
    }
}
