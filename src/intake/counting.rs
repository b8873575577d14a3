//! What candidates count as for correlations, and what becomes of those that these match.

use std::sync::Arc;

use super::Predict;
use super::asked::Later;
use super::judge::{Judging, judged};
use crate::domain::candidate::{Candidate, Field, Fields};
use crate::domain::correlation::{Correlation, Count, Counts, Event, Matched, time_of};
use crate::domain::decision::{Counting, Decision, From, Intent, Outcome, Receipt};
use crate::domain::ids::{EffectKey, TenantName};
use crate::domain::rule::Protection;
use crate::domain::time::Wall;

impl Judging {
    pub(super) fn counts_any(&self) -> bool {
        !self.in_force.ruleset.correlations().is_empty()
    }

    pub(super) fn counts_by(self: &Arc<Self>) -> Option<Arc<dyn Counting>> {
        self.counts_any().then(|| self.clone() as Arc<dyn Counting>)
    }

    /// What correlations count of a candidate that says what it is and when it was.
    pub(super) fn counts(
        &self,
        candidate: &Candidate<'_>,
        created: Option<Wall>,
        now: Wall,
    ) -> Option<Box<Counts>> {
        if !self.counts_any() {
            return None;
        }
        let machine = *candidate.machine.as_ref().ok()?;
        let sha1 = *candidate.sha1.as_ref().ok()?;
        let time = time_of(candidate.evidence, created, now)?;
        let counts = self.in_force.ruleset.counts(&candidate.fields);
        let kept = || serde_json::to_string(&candidate.fields).expect("texts, numbers and lists");
        (!counts.is_empty()).then(|| {
            let (evidence, candidate) = (candidate.evidence, Arc::from(kept()));
            let kept = Vec::new();
            Box::new(Counts { machine, sha1, time, evidence, candidate, counts, kept })
        })
    }

    /// Of what counts and that no rule acts on, whether a deny rule covers it: then that covers
    /// every copy of the file on its machine, whichever a correlation matches.
    pub(super) fn spared(
        &self,
        outcome: Outcome,
        tenant: &TenantName,
        candidate: &Candidate<'_>,
    ) -> Outcome {
        let is_idle = matches!(outcome, Outcome::Settled(Decision::NoMatch { .. }));
        match (is_idle, &candidate.machine, &candidate.sha1) {
            (true, Ok(machine), Ok(sha1)) => {
                match self.in_force.ruleset.protection(&candidate.fields) {
                    Protection::By(by) => {
                        let (machine, sha1) = (*machine, *sha1);
                        let key = EffectKey { tenant: tenant.clone(), machine, sha1 };
                        Outcome::Protected { key, by }
                    }
                    _ => outcome,
                }
            }
            _ => outcome,
        }
    }

    /// What becomes of an event that is matched, and the fields that Defender is asked for first.
    fn judge_event(
        &self,
        candidate: &Candidate<'_>,
        event: &Event,
        from: &From<'_>,
    ) -> (Outcome, Vec<Field>) {
        let too_old = self.too_old(candidate.fields.created(), from.at);
        let (rules, ceiling) = (&self.in_force.ruleset, self.shared.settings.ceiling);
        let (full, fields) = (event.full.as_deref(), &candidate.fields);
        let wanted = rules.judge_correlated(&event.rule, &event.bases, full, fields, ceiling);
        let (outcome, mut asks) = self.opened(wanted, candidate, &too_old, from, Predict::Nothing);
        // What could not be counted waits for a person anyway.
        if full.is_some() {
            asks.clear();
        }
        (outcome, asks)
    }
}

impl Counting for Judging {
    fn correlation(&self, rule: &str) -> Option<&Correlation> {
        self.in_force.ruleset.correlation(rule).map(|one| &one.counts)
    }

    /// As long as what it was could be acted on together with an event of the same window.
    fn kept_until(&self, of: &Correlation, time: Wall) -> Wall {
        time + self.shared.settings.alert_age_max + of.timespan
    }

    fn recount(&self, rule: &str, base: &str, candidate: &str, received: Wall) -> Option<Count> {
        let fields = Fields::from_snapshot(candidate, received)?;
        self.in_force.ruleset.count(rule, base, &fields)
    }

    fn correlated(&self, matched: &Matched, at: Wall) -> Vec<Receipt> {
        let Matched { tenant, source, coordinates, alert, events } = matched;
        let from = From { tenant, source, coordinates, at };
        let (mut decided, mut later) = (Vec::new(), Later::default());
        for event in events {
            let fields = Fields::from_snapshot(&event.candidate, at);
            let reads = fields.is_some();
            let candidate = Candidate {
                machine: Ok(event.machine),
                sha1: Ok(event.sha1),
                evidence: event.evidence,
                fields: fields.unwrap_or_default(),
            };
            if !reads {
                let what = "what was kept of it does not read".to_owned();
                let outcome = Outcome::Settled(Decision::Incomplete { what });
                decided.push(judged(&candidate, outcome));
                continue;
            }
            let (outcome, asks) = self.judge_event(&candidate, event, &from);
            let one = judged(&candidate, outcome);
            let by = Some((event.rule.clone(), event.bases.clone()));
            decided.extend(match asks.is_empty() {
                true => Some(one),
                false => later.add(&candidate, &asks, one, by),
            });
        }
        // What one correlation holds must not keep another from acting.
        decided.sort_by_key(|one| match &one.outcome {
            Outcome::Draft(draft) if draft.intent == Intent::Act => 0,
            Outcome::Draft(_) => 1,
            _ => 2,
        });
        self.both(alert, decided, later, &from)
    }

    fn counted_by(&self) -> &str {
        self.in_force.ruleset.hash()
    }
}
