//! How a rule stands to one candidate, part by part, for people.

use std::fmt;

use rsigma_eval::explain::{ConditionTrace, ItemTrace, RuleExplanation};
use rsigma_eval::result::MatcherKind;

use super::Rule;
use super::miss::distance;
use super::unknown::{self, Absent, Against, Counted};

/// How a part of a rule stands to a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Pass,
    Fail,
    /// It depends on fields that are absent.
    Unknown,
}

/// One part of a rule's condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Selection(String),
    Not,
    /// All of the parts below.
    All,
    /// One of the parts below.
    Any,
    /// Such as `1 of`, of the selections below.
    Of(String),
    Leaf {
        field: String,
        /// What is asked of it, such as `contains "x"`.
        asks: String,
        /// What the candidate has, as JSON; `None` where it is absent.
        has: Option<String>,
    },
}

/// One part, in the order of the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many parts it stands in.
    pub depth: usize,
    pub part: Part,
    pub seen: Seen,
}

/// How one rule stands to one candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained<'r> {
    pub rule: &'r Rule,
    pub seen: Seen,
    /// What [`Seen::Unknown`] depends on; sorted, each once.
    pub unknown: Vec<String>,
    pub steps: Vec<Step>,
    /// Selections that stand against it in the order of the condition, those that decide first.
    pub against: Vec<Against>,
}

/// The rule that acts and is nearest to doing so, where none does for certain.
pub fn nearest<'e, 'r>(explained: &'e [Explained<'r>]) -> Option<&'e Explained<'r>> {
    let acts = |one: &&Explained<'_>| one.rule.quarantine().is_some();
    explained.iter().filter(acts).min_by_key(|one| distance(&one.against))
}

pub(super) fn explained<'r>(rule: &'r Rule, trace: &RuleExplanation) -> Explained<'r> {
    let (seen, unknown) = match unknown::count(trace) {
        Counted::Matches => (Seen::Pass, Vec::new()),
        Counted::Depends { fields, .. } => (Seen::Unknown, fields),
        Counted::Fails => (Seen::Fail, Vec::new()),
    };
    // Where it fails whatever is absent, what is absent is not why.
    let absent = if seen == Seen::Fail { Absent::For } else { Absent::Against };
    let mut against = unknown::standing(trace, absent);
    against.sort_by_key(|one| !one.decides);
    Explained { rule, seen, unknown, steps: unknown::steps(trace), against }
}

/// What a node of the condition shows as; the leaves of a selection stand below it.
pub(super) fn of_condition(node: &ConditionTrace) -> Part {
    match node {
        ConditionTrace::Selection { name, .. } => Part::Selection(name.clone()),
        ConditionTrace::And { .. } => Part::All,
        ConditionTrace::Or { .. } => Part::Any,
        ConditionTrace::Not { .. } => Part::Not,
        ConditionTrace::Quantified { quantifier, .. } => Part::Of(quantifier.clone()),
    }
}

pub(super) fn of_leaf(item: &ItemTrace) -> Part {
    Part::Leaf {
        field: item.field.clone().unwrap_or_default(),
        asks: asks(item),
        has: item.actual.as_ref().map(ToString::to_string),
    }
}

fn asks(item: &ItemTrace) -> String {
    let verb = match item.matcher {
        MatcherKind::Exact | MatcherKind::Numeric | MatcherKind::Bool | MatcherKind::Null => "is",
        MatcherKind::Contains => "contains",
        MatcherKind::StartsWith => "starts with",
        MatcherKind::EndsWith => "ends with",
        MatcherKind::Regex => "matches",
        MatcherKind::OneOf => "is one of",
        MatcherKind::Cidr => "is in",
        MatcherKind::Exists => "exists",
        // Refused at load.
        MatcherKind::FieldRef
        | MatcherKind::Expand
        | MatcherKind::Timestamp
        | MatcherKind::Keyword => "fits",
    };
    match item.pattern.as_deref() {
        None => verb.to_owned(),
        // What the engine makes of `*`.
        Some("(?i)^.*$") => "is anything".to_owned(),
        Some(pattern) if is_turned(item, pattern) => format!("is not {pattern}"),
        Some(pattern) => format!("{verb} {pattern}"),
    }
}

/// Whether the leaf has `neq`, which its trace does not say but by its verdict.
fn is_turned(item: &ItemTrace, pattern: &str) -> bool {
    let saw = item.actual.as_ref().and_then(|saw| saw.as_str());
    item.matcher == MatcherKind::Exact
        && saw.is_some_and(|saw| (saw.to_lowercase() == pattern.to_lowercase()) != item.matched)
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Seen::Pass => "pass",
            Seen::Fail => "fail",
            Seen::Unknown => "unknown",
        })
    }
}
