//! Unknown never acts: two-valued `not` would turn a missing field into a match, so each leaf on an
//! absent field is counted against acting, each occurrence by itself.

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

/// Selections that stood against the rule, counted in the same way: those it needs that did not
/// match, and those under a `not` that did. Sorted, each once.
pub(super) fn failed_selections(trace: &RuleExplanation) -> Vec<String> {
    let mut walk = Walk::default();
    let _ = any(&trace.conditions, |condition| walk.condition(condition, Under::Even));
    walk.failed.sort_unstable();
    walk.failed.dedup();
    walk.failed
}

/// Like `Iterator::any` and `all`, but every item is visited.
fn any<T>(items: &[T], mut verdict: impl FnMut(&T) -> bool) -> bool {
    items.iter().fold(false, |sum, item| verdict(item) | sum)
}

fn all<T>(items: &[T], mut verdict: impl FnMut(&T) -> bool) -> bool {
    items.iter().fold(true, |sum, item| verdict(item) & sum)
}

#[derive(Default)]
struct Walk {
    /// Absent fields below nodes whose counted verdict is not the engine's.
    turned: Vec<String>,
    failed: Vec<String>,
}

impl Walk {
    fn condition(&mut self, node: &ConditionTrace, under: Under) -> bool {
        let mark = self.turned.len();
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
        counted
    }

    fn selection(&mut self, name: &str, detection: &DetectionTrace, under: Under) -> bool {
        let counted = self.detection(detection, under);
        if counted == under.against() {
            self.failed.push(name.to_owned());
        }
        counted
    }

    fn detection(&mut self, node: &DetectionTrace, under: Under) -> bool {
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

    fn leaf(&mut self, item: &ItemTrace, under: Under) -> bool {
        let known = item.actual.is_some() || item.matcher == MatcherKind::Exists;
        if known {
            return item.matched;
        }
        if item.matched != under.against() {
            self.turned.push(item.field.clone().unwrap_or_default());
        }
        under.against()
    }
}
