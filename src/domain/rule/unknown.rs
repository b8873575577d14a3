//! Unknown never acts: two-valued `not` would turn a missing field into a match, so each leaf on an
//! absent field is counted against acting, each occurrence by itself.

use std::fmt;

use rsigma_eval::explain::{ConditionTrace, DetectionTrace, ItemTrace, RuleExplanation};
use rsigma_eval::result::MatcherKind;

/// Whether a node of the trace stands under an even or an odd number of `not`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Under {
    Even,
    Odd,
}

impl Under {
    fn flipped(self) -> Self {
        match self {
            Under::Even => Under::Odd,
            Under::Odd => Under::Even,
        }
    }

    /// What a leaf nobody knows counts as: whatever makes the rule match less.
    fn against(self) -> bool {
        self == Under::Odd
    }
}

/// What a rule's trace says once every leaf on an absent field counts against acting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub matches: bool,
    /// Absent fields whose counting turned the engine's verdict; sorted, each once.
    pub fields: Vec<String>,
}

/// Counts a trace. With no absent field in it, this is the engine's own verdict.
pub(super) fn count(trace: &RuleExplanation) -> Counted {
    let mut walk = Walk::default();
    let matches = any(&trace.conditions, |condition| walk.condition(condition, Under::Even));
    let mut fields = walk.turned;
    fields.sort_unstable();
    fields.dedup();
    Counted { matches, fields }
}

/// A selection that stands against a rule for one candidate: one that the rule needs and that does
/// not match, or one under a `not` that does. Shows itself with what it saw.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Against {
    pub selection: String,
    /// Whether it keeps the rule from acting, and no part of the condition makes up for it.
    pub decides: bool,
    /// Its leaves that stand against the rule: the field, and its value as JSON; `None` is unknown.
    pub leaves: Vec<(String, Option<String>)>,
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stands against it", self.selection)?;
        for (i, (field, saw)) in self.leaves.iter().enumerate() {
            let between = if i == 0 { ": " } else { " and " };
            let saw = match saw.as_deref() {
                None => "unknown",
                Some("null") => "empty",
                Some(saw) => saw,
            };
            write!(f, "{between}{field} is {saw}")?;
        }
        Ok(())
    }
}

/// The selections that stood against the rule, counted in the same way. Sorted, each once.
pub(super) fn against(trace: &RuleExplanation) -> Vec<Against> {
    let mut walk = Walk::default();
    let _ = any(&trace.conditions, |condition| walk.condition(condition, Under::Even));
    let leaf = |item: &&ItemTrace| {
        let saw = item.actual.as_ref().map(ToString::to_string);
        (item.field.clone().unwrap_or_default(), saw)
    };
    let failed = walk.failed.into_iter();
    let mut against: Vec<Against> = failed
        .map(|failed| {
            let mut leaves: Vec<_> = failed.leaves.iter().map(leaf).collect();
            leaves.dedup();
            Against { selection: failed.name.to_owned(), decides: failed.decides, leaves }
        })
        .collect();
    against.sort_unstable();
    against.dedup();
    against
}

/// Like `Iterator::any` and `all`, but every item is visited.
fn any<'t, T>(items: &'t [T], mut verdict: impl FnMut(&'t T) -> bool) -> bool {
    items.iter().fold(false, |sum, item| verdict(item) | sum)
}

fn all<'t, T>(items: &'t [T], mut verdict: impl FnMut(&'t T) -> bool) -> bool {
    items.iter().fold(true, |sum, item| verdict(item) & sum)
}

/// A selection that stands against the rule, with its leaves that do.
struct Failed<'t> {
    name: &'t str,
    decides: bool,
    leaves: Vec<&'t ItemTrace>,
}

#[derive(Default)]
struct Walk<'t> {
    /// Absent fields below nodes whose counted verdict is not the engine's.
    turned: Vec<String>,
    failed: Vec<Failed<'t>>,
    /// Such leaves of the selection that is being read.
    leaves: Vec<&'t ItemTrace>,
}

impl<'t> Walk<'t> {
    fn condition(&mut self, node: &'t ConditionTrace, under: Under) -> bool {
        let mark = self.turned.len();
        let before = self.failed.len();
        let counted = match node {
            ConditionTrace::Selection { name, detection, .. } => {
                self.selection(name, detection, under)
            }
            ConditionTrace::And { children, .. } => all(children, |c| self.condition(c, under)),
            ConditionTrace::Or { children, .. } => any(children, |c| self.condition(c, under)),
            ConditionTrace::Not { child, .. } => !self.condition(child, under.flipped()),
            ConditionTrace::Quantified { need, branches, .. } => {
                let matched = branches
                    .iter()
                    .map(|branch| self.selection(&branch.name, &branch.detection, under))
                    .filter(|matched| *matched)
                    .count();
                matched as u64 >= *need
            }
        };
        if counted == node.matched() {
            self.turned.truncate(mark);
        }
        if counted != under.against() {
            self.failed[before..].iter_mut().for_each(|failed| failed.decides = false);
        }
        counted
    }

    fn selection(&mut self, name: &'t str, detection: &'t DetectionTrace, under: Under) -> bool {
        let mark = self.leaves.len();
        let counted = self.detection(detection, under);
        let leaves = self.leaves.split_off(mark);
        if counted == under.against() {
            self.failed.push(Failed { name, decides: true, leaves });
        }
        counted
    }

    fn detection(&mut self, node: &'t DetectionTrace, under: Under) -> bool {
        let mark = self.turned.len();
        let counted = match node {
            DetectionTrace::AllOf { items, .. } => all(items, |item| self.leaf(item, under)),
            DetectionTrace::AnyOf { branches, .. } => any(branches, |b| self.detection(b, under)),
            DetectionTrace::And { branches, .. } => all(branches, |b| self.detection(b, under)),
            DetectionTrace::Conditional { condition, .. } => self.condition(condition, under),
            // Keywords and array selectors are refused at load, and an engine that knows other
            // kinds is not one we have read: nobody knows what they need, so they don't act.
            DetectionTrace::Keywords { .. }
            | DetectionTrace::ArrayMatch { .. }
            | DetectionTrace::Other { .. } => under.against(),
        };
        if counted == node.matched() {
            self.turned.truncate(mark);
        }
        counted
    }

    fn leaf(&mut self, item: &'t ItemTrace, under: Under) -> bool {
        let known = item.actual.is_some() || item.matcher == MatcherKind::Exists;
        if !known || item.matched == under.against() {
            self.leaves.push(item);
        }
        if known {
            return item.matched;
        }
        if item.matched != under.against() {
            self.turned.push(item.field.clone().unwrap_or_default());
        }
        under.against()
    }
}
