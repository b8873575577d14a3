//! What is asked about what the store has on record: an action, or an alert by its id.

use std::collections::BTreeSet;

use super::origin::{self, Origins};
use super::payload::{Found, Search};
use super::report::{Acted, Asked, From, OfAlert, OfCandidate, Payload, Report};
use crate::cli::Failure;
use crate::cli::actions;
use crate::cli::client::ConfigArg;
use crate::config::Config;
use crate::domain::candidate::{Candidate, Fields};
use crate::domain::decision::{CandidateAnswer, Decision};
use crate::domain::ids::ActionId;
use crate::domain::time::Wall;
use crate::formats::{self, Formats};
use crate::io::{ActionReport, ReceiptFilter, ReceiptLine};

/// The newest receipts of an alert that are shown.
const RECEIPTS: usize = 100;

/// Actions of an alert that are looked at.
const ACTIONS: usize = 50;

/// What is asked with, whatever is asked about.
pub struct Asking<'a> {
    pub asked: Asked<'a>,
    pub formats: &'a Formats,
    pub format: Option<&'a str>,
    pub config: &'a ConfigArg,
    pub now: Wall,
}

impl Asking<'_> {
    /// An action, and its candidate by the rules here.
    pub async fn of_action(&self, id: &str) -> Result<Report, Failure> {
        let config = self.config.load()?;
        let search = self.search(&config);
        let action = actions::show(self.config, id).await?;
        let found = match &action.raw {
            Some(raw) => search.kept(raw, &action.delivery, &action.line.alert_id),
            None => search.read_again(&action.delivery, &action.line.alert_id),
        };
        let (payload, format, (candidate, untraced)) = match found {
            Ok(found) => {
                let judged = self.of_snapshot(&action, Some(&found))?;
                (found.payload, Some(found.format), judged)
            }
            Err(why) => {
                let said =
                    format!("This is told without its payload: {why}. Its fields were kept.");
                let judged = self.of_snapshot(&action, None)?;
                (Payload { from: From::Snapshot, said }, None, judged)
            }
        };
        let alert = action.line.alert_id.clone();
        let alerts = vec![OfAlert { alert, format, untraced, candidates: vec![candidate] }];
        let ActionReport { line, rules, ruleset, .. } = action;
        let action = Some(Acted { line, rules, ruleset });
        Ok(self.report(action, Vec::new(), payload, alerts))
    }

    /// All that was decided of an alert, and what the rules here say of it.
    pub async fn of_alert(&self, id: &str, tenant: Option<&str>) -> Result<Report, Failure> {
        let config = self.config.load()?;
        let search = self.search(&config);
        let mut receipts = self.receipts(id, tenant).await?;
        let (actions, unread) = self.actions(&config, id, &receipts).await;
        let found = find(&search, id, &receipts, &actions).and_then(|found| {
            let is_all = actions.iter().all(|action| makes(&found, action));
            let why = "it alone does not make the pairs that led to actions: more was told of it";
            if is_all { Ok(found) } else { Err(why.to_owned()) }
        });
        receipts.iter_mut().for_each(|receipt| receipt.raw = None);
        let newest = receipts.last().expect("there is one");
        let (mut payload, alerts) = match found {
            Ok(mut found) => {
                let alert = self.of_text(&mut found, newest, &actions)?;
                (found.payload, vec![alert])
            }
            Err(why) if actions.is_empty() => {
                let said = format!("Its payload is not here: {why}.");
                (Payload { from: From::Nowhere, said }, Vec::new())
            }
            Err(why) => {
                let kept = "Of what led to actions the fields were kept.";
                let said = format!("This is told without its payload: {why}. {kept}");
                let judged = actions.iter().map(|action| self.of_snapshot(action, None));
                let judged: Result<Vec<_>, _> = judged.collect();
                let candidates = judged?.into_iter().map(|(candidate, _)| candidate).collect();
                let (alert, format, untraced) = (id.to_owned(), None, None);
                let alert = OfAlert { alert, format, untraced, candidates };
                (Payload { from: From::Snapshot, said }, vec![alert])
            }
        };
        payload.said.push_str(&unread);
        Ok(self.report(None, receipts, payload, alerts))
    }

    fn search<'c>(&'c self, config: &'c crate::config::Config) -> Search<'c> {
        Search { config, formats: self.formats, format: self.format }
    }

    fn report(
        &self,
        action: Option<Acted>,
        receipts: Vec<ReceiptLine>,
        payload: Payload,
        alerts: Vec<OfAlert>,
    ) -> Report {
        let ruleset = self.asked.rules.hash().to_owned();
        Report { ruleset, action, receipts, payload, alerts }
    }

    /// Of one tenant, the oldest first.
    async fn receipts(&self, id: &str, tenant: Option<&str>) -> Result<Vec<ReceiptLine>, Failure> {
        let (alert_id, limit) = (Some(id.to_owned()), RECEIPTS);
        let filter = ReceiptFilter { alert_id, fate: None, source: None, limit };
        let mut lines = actions::receipts(self.config, filter).await?;
        lines.retain(|line| tenant.is_none() || line.tenant.as_deref() == tenant);
        lines.sort_by_key(|line| line.at);
        let of: BTreeSet<&str> = lines.iter().filter_map(|line| line.tenant.as_deref()).collect();
        if of.len() > 1 {
            let names = of.into_iter().collect::<Vec<_>>().join(", ");
            let why = format!("several tenants have an alert {id}: choose with --tenant, of");
            return Err(Failure::usage(format!("{why} {names}")));
        }
        if lines.is_empty() {
            let of = tenant.map(|name| format!(" of tenant {name}")).unwrap_or_default();
            return Err(Failure::usage(format!(
                "there is no receipt of an alert {id}{of}: it has not come, or its row has gone \
                 by age, or many came that no rule matches and were only counted"
            )));
        }
        Ok(lines)
    }

    /// The actions that this alert led to, and what is to be said of those that can't be read. One
    /// that is gone says nothing.
    async fn actions(
        &self,
        config: &Config,
        id: &str,
        receipts: &[ReceiptLine],
    ) -> (Vec<ActionReport>, String) {
        let mut ids: Vec<ActionId> = Vec::new();
        for receipt in receipts {
            let candidates: Vec<CandidateAnswer> =
                serde_json::from_value(receipt.candidates.clone()).unwrap_or_default();
            for candidate in candidates {
                if let Decision::Act { action, .. } | Decision::Hold { action, .. } =
                    candidate.decision
                    && !ids.contains(&action)
                {
                    ids.push(action);
                }
            }
        }
        let (mut found, mut unread) = (Vec::new(), String::new());
        for action in ids.iter().take(ACTIONS) {
            match actions::find(config, &action.to_string()).await {
                Ok(report) => found.extend(report.filter(|report| report.line.alert_id == id)),
                Err(why) => unread.push_str(&format!(" Action {action} can't be read: {why}.")),
            }
        }
        (found, unread)
    }

    /// By what an action keeps of its candidate, with the places that its payload tells.
    fn of_snapshot(
        &self,
        action: &ActionReport,
        found: Option<&Found<'_>>,
    ) -> Result<(OfCandidate, Option<String>), Failure> {
        let unread = || Failure::wrong("what was kept of its candidate does not read");
        let kept = Fields::from_snapshot(&action.candidate.to_string(), self.now);
        let mut fields = kept.ok_or_else(unread)?;
        let (mut origins, mut untraced) = (Origins::default(), None);
        let key = &action.line.key;
        if let Some(found) = found
            && let Ok(alert) = found.reader.decode(&found.text)
        {
            let at = alert.candidates.iter().position(|one| is_of(one, action));
            let (mut all, why) = origin::of_all(found.reader, &found.text, &alert.candidates);
            match at {
                Some(at) => {
                    origins = all.swap_remove(at);
                    untraced = why;
                    // Long texts were cut.
                    fields.fill(alert.candidates[at].fields.clone().into_owned());
                }
                None => untraced = Some("its payload alone does not make this pair".to_owned()),
            }
        }
        let (machine, sha1) = (key.machine.to_string(), key.sha1.to_string());
        let mut judged = self.asked.judged(machine, sha1, &fields, None, &origins);
        judged.led_to(action);
        Ok((judged, untraced))
    }

    /// By its payload, as it would be judged now.
    fn of_text(
        &self,
        found: &mut Found<'_>,
        receipt: &ReceiptLine,
        actions: &[ActionReport],
    ) -> Result<OfAlert, Failure> {
        let (tenant, source) = (receipt.tenant.as_deref().unwrap_or(""), receipt.source.as_str());
        let read = found.reader.decode(&found.text);
        let mut alert = read.map_err(|why| Failure::wrong(format!("its payload: {why}")))?;
        formats::came_by(&mut alert, tenant, source, self.now);
        if !alert.asks.is_empty() {
            found
                .payload
                .said
                .push_str(" Of such an alert Defender is asked more, but not by this.");
        }
        let (origins, untraced) = origin::of_all(found.reader, &found.text, &alert.candidates);
        let candidates = alert.candidates.iter().zip(&origins);
        let candidates = candidates.map(|(one, origins)| {
            let mut judged = self.asked.candidate(one, origins);
            let newest = actions.iter().rev().find(|action| is_of(one, action));
            newest.inspect(|action| judged.led_to(action));
            judged
        });
        let (alert, format) = (alert.id.to_string(), Some(found.format.clone()));
        Ok(OfAlert { alert, format, untraced, candidates: candidates.collect() })
    }
}

/// Whether the payload alone makes the pair of this action.
fn makes(found: &Found<'_>, action: &ActionReport) -> bool {
    let read = found.reader.decode(&found.text);
    read.is_ok_and(|alert| alert.candidates.iter().any(|one| is_of(one, action)))
}

fn is_of(candidate: &Candidate<'_>, action: &ActionReport) -> bool {
    let key = &action.line.key;
    candidate.machine == Ok(key.machine) && candidate.sha1 == Ok(key.sha1)
}

/// What is at hand first, the newest first of what is alike.
fn find<'c>(
    search: &Search<'c>,
    id: &str,
    receipts: &[ReceiptLine],
    actions: &[ActionReport],
) -> Result<Found<'c>, String> {
    let raw = actions.iter().rev().find_map(|one| Some((one.raw.as_ref()?, &one.delivery)));
    let waits = || {
        let texts = receipts.iter().rev().filter_map(|one| Some((one.raw.as_ref()?, one)));
        let mut texts = texts.filter(|(raw, _)| !raw.is_empty());
        texts.next().map(|(raw, one)| (raw, &one.delivery))
    };
    if let Some((raw, delivery)) = raw.or_else(waits) {
        return search.kept(raw, delivery, id);
    }
    let newest = &receipts.last().ok_or("there is no receipt")?.delivery;
    if search.has_rows(newest) && !actions.is_empty() {
        return Err("one message has only some of its rows".to_owned());
    }
    search.read_again(newest, id)
}
