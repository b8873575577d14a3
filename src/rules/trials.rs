//! Runs the tests of rule files and tells what came out.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use rsigma_parser::SigmaRule;

use super::case::Case;
use super::file::{Body, RuleFile};
use super::mismatch::Mismatch;
use super::problem::{Problem, Severity, Source};
use super::series::{self, Series};
use super::trial::{self, Wrong};
use super::yaml::At;
use super::{Checked, Trial};
use crate::domain::action::{Approvals, Endings};
use crate::domain::breaker::RuleBreakers;
use crate::domain::rule::{
    Correlated, Mode, OnUnknown, Quarantine, Response, Rule, Ruleset, Template,
};

/// Reads a sample by its path.
pub(super) type Sample<'s> = &'s dyn Fn(&str) -> std::io::Result<String>;

/// The text of the sample that a test of this file names, or that it can't be read.
pub(super) fn text_of(
    source: &Source,
    alert: &At<String>,
    sample: Sample<'_>,
) -> Result<String, Problem> {
    sample(&alert.value).map_err(|why| {
        let why = match why.kind() {
            std::io::ErrorKind::NotFound => {
                format!("there is no {} below the rules; put the sample there", alert.value)
            }
            _ => format!("{} can't be read: {why}", alert.value),
        };
        Problem::new(Severity::Error, source, Some(alert.place.clone()), why)
    })
}

impl RuleFile {
    /// As a set takes it; `None` for a correlation.
    pub(super) fn detection(&self) -> Option<(Rule, SigmaRule)> {
        match &self.body {
            Body::Detection(detection, _) => Some((self.rule.clone(), (**detection).clone())),
            Body::Correlation(..) => None,
        }
    }
}

impl Checked {
    /// Runs the tests of one file with a detection, its rule alone and in `enforce`.
    pub(super) fn trial(&mut self, source: &Source, file: &RuleFile, sample: Sample<'_>) {
        let Body::Detection(detection, cases) = &file.body else { return };
        if cases.is_empty() {
            return;
        }
        let rules = vec![(enforced(&file.rule), (**detection).clone())];
        let alone = match Ruleset::compile(rules, String::new()) {
            Ok(alone) => alone,
            Err(errors) => {
                for error in errors {
                    self.refuse(source, Some(file.places.body.clone()), &error.why);
                }
                return;
            }
        };
        let mut bad_samples = HashSet::new();
        for case in cases {
            let text = match text_of(source, &case.alert, sample) {
                Ok(text) => text,
                Err(problem) => {
                    if bad_samples.insert(&case.alert.value) {
                        self.problems.push(problem);
                    }
                    continue;
                }
            };
            let Case { name, place, alert, .. } = case;
            let outcome = trial::run(&alone, &self.formats, case, &text);
            let bad_sample = matches!(outcome, Err(Wrong::Sample(_)));
            let is_told = bad_sample && !bad_samples.insert(&alert.value);
            let place = if bad_sample { &alert.place } else { place };
            self.came_out(source, name, place, outcome, is_told);
        }
    }

    /// Runs the tests of correlations, each with its base rules and in `enforce`.
    pub(super) fn series(
        &mut self,
        files: &[(&Source, RuleFile)],
        correlations: &[Correlated],
        sample: Sample<'_>,
    ) {
        for one in correlations {
            let of = files.iter().find(|(_, file)| file.rule.id == one.rule.id);
            let Some((source, RuleFile { body: Body::Correlation(_, series), .. })) = of else {
                continue;
            };
            let bases = files.iter().filter(|(_, file)| one.counts.rules.contains(&file.rule.id));
            let bases = bases.filter_map(|(_, file)| file.detection());
            let wrong =
                |problem: &Problem| problem.severity == Severity::Error && !problem.is_failed_test;
            // What is wrong with a base rule is told at the rule itself.
            let Ok(rules) = Ruleset::compile(bases.collect(), String::new()) else { continue };
            if self.problems.iter().any(wrong) {
                return;
            }
            let rules = rules.with_correlations(vec![one.clone()]);
            for series in series {
                self.one_series(source, series, &rules, sample);
            }
        }
    }

    fn one_series(
        &mut self,
        source: &Source,
        series: &Series,
        rules: &Ruleset,
        sample: Sample<'_>,
    ) {
        let texts = series.alerts.iter().map(|one| text_of(source, &one.alert, sample));
        match texts.collect::<Result<Vec<String>, Problem>>() {
            Ok(texts) => {
                let outcome = series::run(rules, &self.formats, series, &texts);
                self.came_out(source, &series.name, &series.place, outcome, false);
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    fn came_out(
        &mut self,
        source: &Source,
        name: &str,
        place: &Range<usize>,
        outcome: Result<(), Wrong>,
        is_told: bool,
    ) {
        let has_lists = source.text.contains("|expand");
        let (outcome, mismatch) = match outcome {
            Ok(()) => (Ok(()), None),
            Err(Wrong::Sample(why)) => (Err(why), None),
            Err(Wrong::Outcome(why, mismatch)) => {
                // A new entry is what may have made it fail.
                let lists = "lists count as they stand on disk: a new entry may match";
                let why = if has_lists { format!("{why}; {lists}") } else { why };
                (Err(why), Some(Mismatch { has_lists, ..*mismatch }))
            }
        };
        let failed = outcome.as_ref().err().filter(|_| !is_told);
        self.problems
            .extend(failed.map(|why| Problem::failed_test(source, place.clone(), name, why)));
        let (file, name) = (source.name.to_string(), name.to_owned());
        self.trials.push(Trial { file, name, outcome, mismatch });
    }
}

/// As its tests see it: one that only counts shows what it counts as what it acts on.
fn enforced(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    match &mut rule.response {
        Response::Quarantine(response) => response.mode = Mode::Enforce,
        Response::Deny(_) => {}
        Response::Count => {
            rule.response = Response::Quarantine(Quarantine {
                mode: Mode::Enforce,
                unknown: OnUnknown::Hold,
                window: Duration::from_secs(1),
                priority: None,
                comment: Template::parse("counts").expect("a text without fields"),
                approvals: Approvals::default(),
                endings: Endings::default(),
                breakers: RuleBreakers::default(),
            });
        }
    }
    rule
}
