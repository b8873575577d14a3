//! Alerts for which Defender is asked first, and what they come to with its answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Predict;
use super::judge::Judging;
use crate::domain::action::Coordinates;
use crate::domain::alert::{Alert, Ask, Unreadable};
use crate::domain::decision::{
    Asked, Content, Decision, From, Judge as _, Judged, Outcome, Receipt,
};
use crate::domain::lookup::Told;
use crate::formats;
use crate::io::Delivery;
use crate::limits::{LOOKUP_BEFORE_TOO_OLD, LOOKUP_TEXT_BYTES};

impl Judging {
    /// The receipt of an alert for which Defender is to be asked first, since a rule could match
    /// what it would tell.
    pub(super) fn asks(
        &self,
        delivery: &Delivery,
        text: &str,
        alert: &Alert<'_>,
        from: &From<'_>,
    ) -> Option<Receipt> {
        if alert.asks.is_empty()
            || text.len() > LOOKUP_TEXT_BYTES
            || self.too_old(alert, from.at).is_some()
        {
            return None;
        }
        let mut alert = alert.clone();
        let (tenant, source) = (from.tenant.as_str(), from.source.as_str());
        formats::came_by(&mut alert, tenant, source, from.at);
        let could_match = |fields| self.in_force.ruleset.could_match(fields);
        let is_worth_it = match &alert.known {
            Some(known) => could_match(known),
            None if alert.candidates.is_empty() => true,
            None => {
                let mut lacking = alert.candidates.iter().filter(|one| one.machine.is_err());
                lacking.any(|one| could_match(&one.fields))
            }
        };
        let format = self.shared.settings.sources[&delivery.source].format.clone();
        // Before it is too old for what it states itself.
        let created = alert.created.unwrap_or(from.at).min(from.at);
        let due = created + self.shared.settings.alert_age_max - LOOKUP_BEFORE_TOO_OLD;
        let (asks, id) = (alert.asks, alert.id.clone().into_owned());
        let asked = Asked { alert: id, asks, text: text.to_owned(), format, due };
        is_worth_it.then(|| Receipt {
            tenant: Some(from.tenant.clone()),
            alert_id: alert.id.into_owned(),
            content: Content::Asks(asked),
            raw: None,
            keep_row: true,
            joined: None,
        })
    }

    /// Judges an alert again, with what Defender has told.
    pub(super) fn completed(
        &self,
        asked: &Asked,
        answers: &BTreeMap<Ask, Told>,
        from: &From<'_>,
    ) -> Receipt {
        let reader = self.in_force.formats.find(&asked.format);
        let completed = match reader {
            Ok(reader) => formats::completed(reader, &asked.text, answers),
            Err(why) => Err(Unreadable(why.to_string())),
        };
        let mut receipt = match completed {
            Ok((alert, Some(lacks))) if alert.candidates.is_empty() => {
                self.judge(alert, Some(lacks), from)
            }
            Ok((alert, _)) => self.receipt(alert, from, Predict::Nothing),
            Err(Unreadable(why)) => self.lacking(asked.alert.clone(), why, from),
        };
        let drafted = receipt.outcomes().any(|outcome| matches!(outcome, Outcome::Draft(_)));
        let by_webhook = matches!(from.coordinates, Coordinates::Webhook { .. });
        receipt.raw = (by_webhook && drafted).then(|| Arc::from(asked.text.as_bytes()));
        receipt.joined = Some(from.source.clone());
        receipt
    }

    /// The receipt of an alert that can't be judged at all.
    pub(super) fn lacking(&self, alert_id: String, what: String, from: &From<'_>) -> Receipt {
        let (machine, sha1) = Default::default();
        let outcome = Outcome::Settled(Decision::Incomplete { what });
        self.settled(alert_id, vec![Judged { machine, sha1, outcome }], from)
    }
}
