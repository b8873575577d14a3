//! From a delivery's bytes to judged receipts: split, decode, judge, guard. Touches no store.

use std::borrow::Cow;
use std::time::Duration;

use super::{Intake, Predict};
use crate::domain::action::{Class, Coordinates, HoldWhy};
use crate::domain::alert::Alert;
use crate::domain::candidate::{Candidate, Field, Value};
use crate::domain::decision::{
    Content, Decision, Draft, Intent, Judged, JudgedDelivery, Outcome, Prepared, Receipt,
};
use crate::domain::ids::{ActionId, EffectKey, MachineId, Sha1, TenantName};
use crate::domain::rule::{Judgement, Matched, Ruleset};
use crate::domain::time::Wall;
use crate::formats::{self, Format};
use crate::io::{Delivery, NotTaken};
use crate::limits::UNREADABLE_HEAD_BYTES;

/// What one source delivers, and for whom it speaks.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) format: Format,
    /// Name and Entra tenant id.
    pub(super) tenants: Vec<(TenantName, uuid::Uuid)>,
}

/// How many rows of `no match` may still be kept in this second.
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
        if second != self.second {
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
        let rules = self.rules.load();
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
            judged.receipts.push(unreadable(flaw.to_string(), &delivery.body));
            return Ok(judged);
        }
        match formats::split(&delivery.body) {
            Ok(alerts) => {
                judged.receipts.reserve(alerts.len());
                for alert in alerts {
                    judged.receipts.push(self.judge_alert(&rules, delivery, alert, predict));
                }
            }
            Err(why) if matches!(delivery.coordinates, Coordinates::Kafka { .. }) => {
                judged.receipts.push(unreadable(why.to_string(), &delivery.body));
            }
            Err(why) => return Err(NotTaken::NotJson(why.to_string())),
        }
        Ok(judged)
    }

    fn judge_alert(
        &mut self,
        rules: &Ruleset,
        delivery: &Delivery,
        bytes: &[u8],
        predict: Predict,
    ) -> Receipt {
        let source = &self.settings.sources[&delivery.source];
        let mut alert = match source.format.decode(bytes) {
            Ok(alert) => alert,
            Err(why) => return unreadable(why.to_string(), bytes),
        };
        let alert_id = alert.id.clone().into_owned();
        let tenant = match source.tenant_of(&alert) {
            Ok(tenant) => tenant.clone(),
            Err(named) => {
                let content = Content::UnknownTenant { named };
                return Receipt { tenant: None, alert_id, content, raw: None, keep_row: true };
            }
        };
        let now = delivery.received.wall;
        let age = alert.created.map(|created| now.since(created));
        let mut judged = Vec::with_capacity(alert.candidates.len());
        for candidate in &mut alert.candidates {
            let fields = &mut candidate.fields;
            fields.set_text(Field::AlertTenant, Cow::Owned(tenant.as_str().to_owned()));
            fields.set_text(Field::AlertSource, Cow::Owned(delivery.source.as_str().to_owned()));
            if let Some(age) = age {
                let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
                fields.set(Field::AlertAge, Value::Number(seconds));
            }
            let outcome = self.judge_candidate(rules, &tenant, candidate, age, now, predict);
            judged.push(Judged {
                machine: candidate.machine.as_ref().map(MachineId::to_string).unwrap_or_default(),
                sha1: candidate.sha1.as_ref().map(Sha1::to_string).unwrap_or_default(),
                outcome,
            });
        }
        let by_webhook = matches!(delivery.coordinates, Coordinates::Webhook { .. });
        let drafted = judged.iter().any(|j| matches!(j.outcome, Outcome::Draft(_)));
        let matched_nothing =
            judged.iter().all(|j| matches!(j.outcome, Outcome::Settled(Decision::NoMatch { .. })));
        Receipt {
            tenant: Some(tenant),
            alert_id,
            raw: (by_webhook && drafted).then(|| bytes.to_vec()),
            keep_row: !matched_nothing || self.rows.take(now),
            content: Content::Judged(judged),
        }
    }

    fn judge_candidate(
        &self,
        rules: &Ruleset,
        tenant: &TenantName,
        candidate: &Candidate<'_>,
        age: Option<Duration>,
        now: Wall,
        predict: Predict,
    ) -> Outcome {
        let settled = Outcome::Settled;
        let (matched, intent) = match rules.judge(&candidate.fields, self.settings.ceiling) {
            Judgement::NoMatch { why } => return settled(Decision::NoMatch { why }),
            Judgement::Observe { rules } => (Err(rules), Intent::Act),
            Judgement::Act(matched) => (Ok(matched), Intent::Act),
            Judgement::Hold { fields, matched } => {
                let rule = matched.rules.first().cloned().unwrap_or_default();
                (Ok(matched), Intent::Hold(HoldWhy::Unknown { rule, fields }))
            }
        };
        let (machine, sha1) = match (&candidate.machine, &candidate.sha1) {
            (Ok(machine), Ok(sha1)) => (*machine, *sha1),
            (Err(what), _) | (_, Err(what)) => {
                return settled(Decision::Incomplete { what: what.to_string() });
            }
        };
        match age {
            None => {
                let what = "the alert names no creation time, so its age is unknown".to_owned();
                return settled(Decision::Incomplete { what });
            }
            Some(age) if age > self.settings.alert_age_max => {
                let limit = self.settings.alert_age_max.as_secs();
                let why = format!("created {} s ago; the limit is {limit} s", age.as_secs());
                return settled(Decision::TooOld { why });
            }
            Some(_) => {}
        }
        let matched = match matched {
            Ok(matched) => matched,
            Err(rules) => return settled(Decision::Observe { rules }),
        };
        let key = EffectKey { tenant: tenant.clone(), machine, sha1 };
        Outcome::Draft(Box::new(self.draft(rules, candidate, key, matched, intent, now, predict)))
    }

    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
    fn draft(
        &self,
        rules: &Ruleset,
        candidate: &Candidate<'_>,
        key: EffectKey,
        matched: Matched,
        intent: Intent,
        now: Wall,
        predict: Predict,
    ) -> Draft {
        let predicted = predict == Predict::FromCache && self.predicted.contains_key(&key);
        let prepared = (!predicted).then(|| Prepared {
            id: ActionId(self.clock.new_id()),
            comment: rules.comment(&matched, &candidate.fields),
            candidate: serde_json::to_string(&candidate.fields)
                .expect("fields are texts, numbers and lists"),
            expires_queued: now + self.settings.expire_queued,
            expires_held: now + self.settings.expire_held,
        });
        let rank = match candidate.fields.get(Field::AlertSeverityRank) {
            Value::Number(rank) => *rank,
            _ => 0,
        };
        Draft {
            key,
            evidence: candidate.evidence,
            class: matched.priority.unwrap_or(Class::of_severity(rank)),
            window: matched.window,
            intent,
            rules: matched.rules,
            prepared,
        }
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

fn unreadable(why: String, bytes: &[u8]) -> Receipt {
    let head = &bytes[..bytes.len().min(UNREADABLE_HEAD_BYTES)];
    let content = Content::Unreadable { why, head: String::from_utf8_lossy(head).into_owned() };
    Receipt { tenant: None, alert_id: String::new(), content, raw: None, keep_row: true }
}

/// The start of untrusted text, without control characters.
fn bounded(text: &str, chars: usize) -> String {
    text.chars().take(chars).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
