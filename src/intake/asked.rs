//! Alerts for which Defender is asked first, and what they come to with its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Predict;
use super::judge::{Judging, judged};
use crate::domain::action::Coordinates;
use crate::domain::alert::{Alert, Ask, Unreadable};
use crate::domain::candidate::{Candidate, Field, Kept, Subject};
use crate::domain::decision::{
    Asked, Content, Decision, From, Intent, Judge as _, Judged, Outcome, Receipt,
};
use crate::domain::lookup::Told;
use crate::domain::time::Wall;
use crate::formats;
use crate::io::Delivery;
use crate::limits::{
    ENRICH_CANDIDATES, ENRICH_TEXT_BYTES, ENRICH_WAIT, LOOKUP_ASKS, LOOKUP_BEFORE_TOO_OLD,
    LOOKUP_TEXT_BYTES,
};

/// Candidates of one alert that Defender is asked about first, each by itself: what it tells of one
/// keeps no other waiting.
#[derive(Default)]
pub(super) struct Later(Vec<Waits>);

/// One of them.
struct Waits {
    asks: Vec<Ask>,
    kept: Kept,
    /// What becomes of it if not.
    otherwise: Judged,
    created: Option<Wall>,
}

impl Later {
    /// Adds one that names its machine and its file, with the fields that decide, and the
    /// correlation that has matched it. Comes back, with the reason, where it can't wait.
    pub fn add(
        &mut self,
        candidate: &Candidate<'_>,
        asks: &[Field],
        mut otherwise: Judged,
        by: Option<(String, Vec<String>)>,
    ) -> Option<Judged> {
        let (Ok(machine), Ok(sha1)) = (&candidate.machine, &candidate.sha1) else {
            return Some(otherwise);
        };
        let why = if self.0.len() >= ENRICH_CANDIDATES {
            format!("Defender is asked about {ENRICH_CANDIDATES} files of an alert at most")
        } else if let Some(field) = candidate.fields.cut_by_snapshot() {
            format!("{} is too long to be kept until Defender has answered", field.name())
        } else {
            let mut kept = Kept::new(*machine, *sha1, candidate.evidence, &candidate.fields);
            kept.by = by;
            let ask = |subject| match subject {
                Subject::Machine => Ask::Machine(*machine),
                Subject::File => Ask::File(*sha1),
            };
            let asks: BTreeSet<Ask> =
                asks.iter().filter_map(|field| field.told_of()).map(ask).collect();
            let (asks, created) = (asks.into_iter().collect(), candidate.fields.created());
            self.0.push(Waits { asks, kept, otherwise, created });
            return None;
        };
        not_told(&mut otherwise, &why);
        Some(otherwise)
    }
}

/// Says in a hold why Defender has not told what is unknown.
fn not_told(judged: &mut Judged, why: &str) {
    if let Outcome::Draft(draft) = &mut judged.outcome
        && let Intent::Hold(hold) = &mut draft.intent
    {
        hold.asked(why);
    }
}

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
            || alert.asks.len() > LOOKUP_ASKS
            || text.len() > LOOKUP_TEXT_BYTES
            || self.too_old(alert.created, from.at).is_some()
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
        let (candidates, otherwise) = Default::default();
        let text = text.to_owned();
        let asked = Asked { alert: id, asks, text, format, candidates, otherwise, due };
        is_worth_it.then(|| Receipt {
            tenant: Some(from.tenant.clone()),
            alert_id: alert.id.into_owned(),
            content: Content::Asks(asked),
            raw: None,
            keep_row: true,
            joined: None,
        })
    }

    /// A receipt for each candidate of an alert that Defender is asked about first.
    pub(super) fn enriches<'r>(
        &'r self,
        alert_id: &'r str,
        later: Later,
        from: &'r From<'_>,
    ) -> impl Iterator<Item = Receipt> + 'r {
        later.0.into_iter().map(move |one| {
            let Waits { asks, kept, mut otherwise, created } = one;
            not_told(&mut otherwise, "too many alerts wait for Defender's answers");
            let created = created.unwrap_or(from.at).min(from.at);
            let too_old = created + self.shared.settings.alert_age_max - LOOKUP_BEFORE_TOO_OLD;
            let asked = Asked {
                alert: alert_id.to_owned(),
                asks,
                text: String::new(),
                format: String::new(),
                candidates: vec![kept],
                otherwise: vec![otherwise],
                due: too_old.min(from.at + ENRICH_WAIT),
            };
            Receipt {
                tenant: Some(from.tenant.clone()),
                alert_id: alert_id.to_owned(),
                content: Content::Asks(asked),
                raw: None,
                keep_row: true,
                joined: None,
            }
        })
    }

    /// Judges what waited, with what Defender has told. The first receipt was counted when it came.
    pub(super) fn answered(
        &self,
        asked: Asked,
        answers: &BTreeMap<Ask, Told>,
        from: &From<'_>,
    ) -> Vec<Receipt> {
        let mut receipts = match asked.candidates.is_empty() {
            true => self.completed(&asked, answers, from),
            false => self.enriched(&asked, answers, from),
        };
        receipts[0].joined = Some(from.source.clone());
        self.keep_raw(&mut receipts, from, &asked.text);
        receipts
    }

    /// An alert read again.
    fn completed(
        &self,
        asked: &Asked,
        answers: &BTreeMap<Ask, Told>,
        from: &From<'_>,
    ) -> Vec<Receipt> {
        let reader = self.in_force.formats.find(&asked.format);
        let completed = match reader {
            Ok(reader) => formats::completed(reader, &asked.text, answers),
            Err(why) => Err(Unreadable(why.to_string())),
        };
        match completed {
            Ok((alert, Some(lacks))) if alert.candidates.is_empty() => {
                self.judge(alert, Some(lacks), from)
            }
            Ok((alert, _)) => self.receipts(alert, from, Predict::Nothing),
            Err(Unreadable(why)) => vec![self.lacking(asked.alert.clone(), why, from)],
        }
    }

    /// Candidates with what Defender knows of their machines and files. What the alert itself says
    /// stays.
    fn enriched(
        &self,
        asked: &Asked,
        answers: &BTreeMap<Ask, Told>,
        from: &From<'_>,
    ) -> Vec<Receipt> {
        let (mut facts, mut whys) = (BTreeMap::new(), Vec::new());
        for (ask, told) in answers {
            let read = match told {
                Told::Facts(text) => formats::facts(ask, text),
                Told::Nothing(why) => Err(why.clone()),
                _ => Err("that is not what was asked".to_owned()),
            };
            match read {
                Ok(fields) => drop(facts.insert(ask.clone(), fields)),
                Err(why) => whys.push(format!("{ask}: {why}")),
            }
        }
        let mut decided = Vec::with_capacity(asked.candidates.len());
        for kept in &asked.candidates {
            let Some(mut candidate) = kept.read(from.at) else {
                let what = "what was kept of it does not read".to_owned();
                return vec![self.lacking(asked.alert.clone(), what, from)];
            };
            if let (Ok(machine), Ok(sha1)) = (&candidate.machine, &candidate.sha1) {
                let told = [Ask::Machine(*machine), Ask::File(*sha1)];
                for known in told.iter().filter_map(|ask| facts.get(ask)) {
                    candidate.fields.fill(known.clone());
                }
            }
            decided.push(self.judge_enriched(kept, &candidate, from));
        }
        let why = whys.join("; ");
        decided.iter_mut().for_each(|one| not_told(one, &why));
        vec![self.settled(asked.alert.clone(), decided, from)]
    }

    fn judge_enriched(&self, kept: &Kept, candidate: &Candidate<'_>, from: &From<'_>) -> Judged {
        let (rules, ceiling) = (&self.in_force.ruleset, self.shared.settings.ceiling);
        let (fields, created) = (&candidate.fields, candidate.fields.created());
        let wanted = match &kept.by {
            None => rules.judge(fields, ceiling),
            Some((rule, bases)) => rules.judge_correlated(rule, bases, None, fields, ceiling),
        };
        let too_old = self.too_old(created, from.at);
        let (outcome, _) = self.opened(wanted, candidate, &too_old, from, Predict::Nothing);
        // What a correlation has matched is counted.
        let is_new = kept.by.is_none();
        let counts = is_new.then(|| self.counts(candidate, created, from.at)).flatten();
        Judged { counts, ..judged(candidate, outcome) }
    }

    /// Keeps an alert that came by webhook with what it leads to.
    pub(super) fn keep_raw(&self, receipts: &mut [Receipt], from: &From<'_>, text: &str) {
        if !matches!(from.coordinates, Coordinates::Webhook { .. }) || text.is_empty() {
            return;
        }
        // One copy for each file of an alert, as long as these are not much.
        let mut room = ENRICH_TEXT_BYTES;
        for receipt in receipts {
            let drafted = receipt.outcomes().any(|one| matches!(one, Outcome::Draft(_)));
            receipt.raw = drafted.then(|| Arc::from(text.as_bytes()));
            if let Content::Asks(asked) = &mut receipt.content
                && asked.text.is_empty()
                && text.len() <= room
            {
                text.clone_into(&mut asked.text);
                room -= text.len();
            }
        }
    }

    /// The receipt of an alert that can't be judged at all.
    pub(super) fn lacking(&self, alert_id: String, what: String, from: &From<'_>) -> Receipt {
        let (machine, sha1) = Default::default();
        let outcome = Outcome::Settled(Decision::Incomplete { what });
        self.settled(alert_id, vec![Judged { machine, sha1, outcome, counts: None }], from)
    }
}
