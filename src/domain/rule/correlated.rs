//! Rules that other rules' matches lead to.

use rsigma_eval::explain::explain_rule;

use super::unknown::{self, Counted};
use super::{Judgement, Match, Merged, Mode, Rule, Ruleset, merge};
use crate::domain::action::HoldWhy;
use crate::domain::candidate::Fields;
use crate::domain::correlation::{Correlation, Count, Kind};

/// A rule that looks at several alerts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correlated {
    /// Its response is always a quarantine.
    pub rule: Rule,
    pub counts: Correlation,
}

impl Ruleset {
    /// The same rules, with these correlations of them.
    pub fn with_correlations(mut self, correlations: Vec<Correlated>) -> Self {
        self.correlations = correlations;
        self.correlations.sort_by(|a, b| a.rule.id.cmp(&b.rule.id));
        self
    }

    /// By id.
    pub fn correlations(&self) -> &[Correlated] {
        &self.correlations
    }

    /// The correlation of this id.
    pub fn correlation(&self, id: &str) -> Option<&Correlated> {
        self.correlations.iter().find(|one| one.rule.id == id)
    }

    /// What a candidate counts as: once for each correlation and each of its base rules that
    /// matches for certain. What is not known never counts.
    pub fn counts(&self, fields: &Fields<'_>) -> Vec<Count> {
        if self.correlations.is_empty() {
            return Vec::new();
        }
        let mut counts = Vec::new();
        for result in self.engine.evaluate(fields) {
            let base = result.header.rule_id.as_deref().unwrap_or_default();
            let mut of = self.correlations.iter().filter(|one| one.names(base)).peekable();
            if of.peek().is_some() && self.matches(base, fields) {
                for one in of {
                    let rule = &one.rule.id;
                    // One file of one alert is one event, however many of the rules match it.
                    let is_new = |counts: &[Count]| counts.iter().all(|known| known.rule != *rule);
                    if one.counts.kind == Kind::Temporal || is_new(&counts) {
                        counts.extend(one.counts.counts(rule, base, fields));
                    }
                }
            }
        }
        counts
    }

    /// What a kept candidate counts as by these rules; `None` where it does no more.
    pub fn count(&self, correlation: &str, base: &str, fields: &Fields<'_>) -> Option<Count> {
        let one = self.correlation(correlation).filter(|one| one.names(base))?;
        let is_base = |rule: &&String| rule.as_str() == base || one.counts.kind != Kind::Temporal;
        let mut bases = one.counts.rules.iter().filter(is_base);
        let base = bases.find(|rule| self.matches(rule, fields))?;
        one.counts.counts(correlation, base, fields)
    }

    /// What is wanted of a candidate that a correlation has matched by these base rules. `full`
    /// says what keeps it from counting: then a person decides.
    pub fn judge_correlated(
        &self,
        correlation: &str,
        bases: &[String],
        full: Option<&str>,
        fields: &Fields<'_>,
        ceiling: Mode,
    ) -> Judgement<'_> {
        let found = self.correlation(correlation);
        let Some((one, response)) = found.and_then(|one| Some((one, one.rule.quarantine()?)))
        else {
            return Judgement::NoMatch { why: "the correlation is gone".into() };
        };
        let (unknown, asks) = (None, Vec::new());
        let matched = Match { id: &one.rule.id, response, unknown, asks };
        let mut judged = merge(vec![matched], fields, ceiling).judged;
        if let (Some(bound), Judgement::Act(wanted) | Judgement::Hold { wanted, .. }) =
            (full, &judged)
        {
            let (rule, bound) = (one.rule.id.clone(), bound.to_owned());
            let why = HoldWhy::Correlation { rule, bound };
            judged = Judgement::Hold { why, wanted: wanted.clone() };
        }
        if let Judgement::Act(wanted) | Judgement::Hold { wanted, .. } = &mut judged {
            wanted.rules.extend(bases.iter().cloned());
        } else if let Judgement::Observe { rules } = &mut judged {
            rules.extend(bases.iter().cloned());
        }
        self.guarded(Merged::of(judged), fields)
    }

    /// Whether that rule of this set, which does not deny, matches for certain.
    pub(super) fn matches(&self, rule: &str, fields: &Fields<'_>) -> bool {
        let Some(&place) = self.places.get(rule) else { return false };
        let counted = unknown::count(&explain_rule(self.compiled(place), fields));
        !self.rules[place].denies() && matches!(counted, Counted::Matches)
    }
}

impl Correlated {
    fn names(&self, base: &str) -> bool {
        self.counts.rules.iter().any(|rule| rule == base)
    }
}
