//! From a delivery's bytes to judged receipts: split, decode, judge, guard. Touches no store.

use std::sync::Arc;

use super::{Intake, Predict};
use crate::domain::action::Coordinates;
use crate::domain::alert::Alert;
use crate::domain::breaker::{Breaker, Rate};
use crate::domain::candidate::Candidate;
use crate::domain::decision::{
    Content, Decision, Draft, Intent, Judged, JudgedDelivery, Outcome, Prepared, Receipt,
};
use crate::domain::ids::{ActionId, EffectKey, MachineId, Sha1, TenantName};
use crate::domain::rule::{Judgement, Ruleset};
use crate::domain::time::Wall;
use crate::formats::{self, Refused};
use crate::io::{Delivery, NotTaken};
use crate::limits::{CLOCK_SKEW, UNREADABLE_HEAD_BYTES};

/// What one source delivers, and for whom it speaks.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) format: String,
    /// Name and Entra tenant id.
    pub(super) tenants: Vec<(TenantName, uuid::Uuid)>,
}

/// How many rows of one kind may still be kept in this second.
pub(super) struct RowAllowance {
    per_second: u32,
    second: i64,
    used: u32,
}

impl RowAllowance {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, second: 0, used: 0 }
    }

    fn take(&mut self, now: Wall) -> bool {
        let second = now.0.div_euclid(1_000_000);
        if second > self.second {
            self.second = second;
            self.used = 0;
        }
        let allowed = self.used < self.per_second;
        self.used += u32::from(allowed);
        allowed
    }
}

impl Intake {
    /// Decodes and judges one delivery. Only a body that is not JSON at all, from a sender who can
    /// be told, is refused; everything else becomes receipts.
    pub(super) fn judge(
        &mut self,
        delivery: &Delivery,
        predict: Predict,
    ) -> Result<JudgedDelivery, NotTaken> {
        let in_force = self.rules.load_full();
        let rules = &in_force.ruleset;
        let mut judged = JudgedDelivery {
            source: delivery.source.clone(),
            coordinates: delivery.coordinates.clone(),
            received: delivery.received.wall,
            replay: delivery.replay.clone(),
            follows: delivery.follows,
            ruleset: rules.hash().to_owned(),
            receipts: Vec::new(),
        };
        if let Some(flaw) = &delivery.flaw {
            judged.receipts.push(self.unreadable(delivery, flaw.to_string(), &delivery.body));
            return Ok(judged);
        }
        let name = &self.settings.sources[&delivery.source].format;
        let format = match in_force.formats.find(name) {
            Ok(format) => format,
            // A set without it is refused; it can't be in force.
            Err(why) => {
                judged.receipts.push(self.unreadable(delivery, why.to_string(), &delivery.body));
                return Ok(judged);
            }
        };
        if let Some((text, alert)) = format.decode_only(&delivery.body) {
            judged.receipts.push(self.judge_alert(rules, delivery, text, alert, predict));
            return Ok(judged);
        }
        match formats::split(&delivery.body) {
            Ok(cuts) => {
                judged.receipts.reserve(cuts.len());
                for cut in &cuts {
                    let text = cut.text();
                    judged.receipts.push(match format.decode_cut(cut) {
                        Ok(alert) => self.judge_alert(rules, delivery, text, alert, predict),
                        Err(why) => self.unreadable(delivery, why.to_string(), text.as_bytes()),
                    });
                }
            }
            Err(why) if matches!(delivery.coordinates, Coordinates::Kafka { .. }) => {
                judged.receipts.push(self.unreadable(delivery, why.to_string(), &delivery.body));
            }
            Err(why @ Refused::TooMany) => return Err(NotTaken::TooMany(why.to_string())),
            Err(why) => return Err(NotTaken::NotJson(why.to_string())),
        }
        Ok(judged)
    }

    fn judge_alert(
        &mut self,
        rules: &Ruleset,
        delivery: &Delivery,
        text: &str,
        alert: Alert<'_>,
        predict: Predict,
    ) -> Receipt {
        // Borrows from here on also what is not of the delivery.
        let mut alert = alert;
        let source = &self.settings.sources[&delivery.source];
        let alert_id = alert.id.clone().into_owned();
        let tenant = match source.tenant_of(&alert) {
            Ok(tenant) => tenant,
            Err(named) => {
                let content = Content::UnknownTenant { named };
                let keep_row = self.odd_rows.take(delivery.received.wall);
                return Receipt { tenant: None, alert_id, content, raw: None, keep_row };
            }
        };
        let now = delivery.received.wall;
        formats::came_by(&mut alert, tenant.as_str(), delivery.source.as_str(), now);
        let too_old = self.too_old(&alert, now);
        let judged: Vec<_> = alert
            .candidates
            .iter()
            .map(|candidate| Judged {
                machine: candidate.machine.as_ref().map(MachineId::to_string).unwrap_or_default(),
                sha1: candidate.sha1.as_ref().map(Sha1::to_string).unwrap_or_default(),
                outcome: self.judge_candidate(rules, tenant, candidate, &too_old, now, predict),
            })
            .collect();
        let by_webhook = matches!(delivery.coordinates, Coordinates::Webhook { .. });
        let drafted = judged.iter().any(|j| matches!(j.outcome, Outcome::Draft(_)));
        let tenant = tenant.clone();
        let keep_row = self.keeps_row(&judged, now);
        Receipt {
            tenant: Some(tenant),
            alert_id,
            raw: (by_webhook && drafted).then(|| Arc::from(text.as_bytes())),
            keep_row,
            content: Content::Judged(judged),
        }
    }

    /// What stands against acting on an alert of this age, if anything does. An alert that does
    /// not say when it was created could be a year old.
    fn too_old(&self, alert: &Alert<'_>, now: Wall) -> Option<Decision> {
        let Some(created) = alert.created else {
            let what = "the alert names no creation time, so its age is unknown".to_owned();
            return Some(Decision::Incomplete { what });
        };
        if created > now + CLOCK_SKEW {
            let what = format!("the alert says that it was created in the future, at {created}");
            return Some(Decision::Incomplete { what });
        }
        let (age, limit) = (now.since(created), self.settings.alert_age_max);
        (age > limit).then(|| {
            let (age, limit) = (age.as_secs(), limit.as_secs());
            Decision::TooOld { why: format!("created {age} s ago; the limit is {limit} s") }
        })
    }

    fn judge_candidate(
        &self,
        rules: &Ruleset,
        tenant: &TenantName,
        candidate: &Candidate<'_>,
        too_old: &Option<Decision>,
        now: Wall,
        predict: Predict,
    ) -> Outcome {
        let judged = match rules.judge(&candidate.fields, self.settings.ceiling) {
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
        let predicted = predict == Predict::FromCache && self.predicted.contains_key(&key);
        let prepared = (!predicted).then(|| Prepared {
            id: ActionId(self.clock.new_id()),
            comment: wanted.comment.render(&candidate.fields),
            candidate: serde_json::to_string(&candidate.fields)
                .expect("fields are texts, numbers and lists"),
            expires_queued: now + self.settings.expire_queued,
            expires_held: now + self.settings.expire_held,
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
            breakers: [wanted.breakers, self.breakers(tenant)].concat(),
            prepared,
        }))
    }
}

impl Intake {
    /// What led to something always has its row.
    fn keeps_row(&mut self, judged: &[Judged], now: Wall) -> bool {
        let of = |judged: &Judged, no_match: bool| match &judged.outcome {
            Outcome::Settled(Decision::NoMatch { .. }) => true,
            Outcome::Settled(Decision::Incomplete { .. } | Decision::TooOld { .. }) => !no_match,
            _ => false,
        };
        if judged.iter().all(|judged| of(judged, true)) {
            return self.rows.take(now);
        }
        !judged.iter().all(|judged| of(judged, false)) || self.odd_rows.take(now)
    }

    fn unreadable(&mut self, delivery: &Delivery, why: String, bytes: &[u8]) -> Receipt {
        let head = &bytes[..bytes.len().min(UNREADABLE_HEAD_BYTES)];
        let head = String::from_utf8_lossy(head).into_owned();
        let keep_row = self.odd_rows.take(delivery.received.wall);
        let content = Content::Unreadable { why, head };
        Receipt { tenant: None, alert_id: String::new(), content, raw: None, keep_row }
    }

    /// The breakers over all actions of a tenant.
    fn breakers(&self, tenant: &TenantName) -> Vec<(Breaker, Rate)> {
        let of = self.settings.breakers.get(tenant).copied().unwrap_or_default();
        let mut breakers = vec![(Breaker::TenantActions, of.actions)];
        breakers.extend(of.fleet.map(|rate| (Breaker::ShareOfFleet, rate)));
        breakers
    }
}

impl Source {
    /// The tenant an alert belongs to, or what it names that this source does not speak for.
    fn tenant_of(&self, alert: &Alert<'_>) -> Result<&TenantName, String> {
        match (&alert.tenant_id, &self.tenants[..]) {
            (Some(named), tenants) => {
                let id = uuid::Uuid::try_parse(named).ok();
                let known = tenants.iter().find(|(_, known)| Some(*known) == id);
                known.map(|(name, _)| name).ok_or_else(|| bounded(named, 64))
            }
            (None, [(only, _)]) => Ok(only),
            (None, _) => Err("(none: this source speaks for several)".to_owned()),
        }
    }
}

/// The start of untrusted text, without control characters.
fn bounded(text: &str, chars: usize) -> String {
    text.chars().take(chars).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
