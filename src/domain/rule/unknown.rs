//! Unknown never acts, and unknown protects: two-valued `not` would turn a missing field into a
//! match, so each leaf on an absent field is counted both ways, against the rule and for it, each
//! occurrence by itself.

use std::fmt;

use rsigma_eval::explain::{ConditionTrace, DetectionTrace, ItemTrace, RuleExplanation};
use rsigma_eval::result::MatcherKind;

use super::explain::{self, Part, Seen, Step};
use crate::domain::candidate::Field;

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

    /// The verdict that makes the rule match less.
    fn against(self) -> bool {
        self == Under::Odd
    }
}

/// Which way leaves on absent fields count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// What then still matches does so whatever the fields are.
    Against,
    /// What then still does not match can't, whatever the fields are.
    For,
}

/// What a node of the trace says, counted both ways, and with only those fields counted for it that
/// Defender could tell.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Verdict {
    against: bool,
    told: bool,
    for_it: bool,
}

impl Verdict {
    fn known(matched: bool) -> Self {
        Self { against: matched, told: matched, for_it: matched }
    }

    /// Of a leaf nobody knows, but perhaps Defender.
    fn unknown(under: Under, can_be_told: bool) -> Self {
        let against = under.against();
        Self { against, told: against ^ can_be_told, for_it: !against }
    }

    /// `None` where it depends on what is absent.
    fn seen(self) -> Option<Seen> {
        let known = self.against == self.for_it;
        known.then_some(if self.against { Seen::Pass } else { Seen::Fail })
    }

    fn counted(self, absent: Absent) -> bool {
        match absent {
            Absent::Against => self.against,
            Absent::For => self.for_it,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            against: self.against & other.against,
            told: self.told & other.told,
            for_it: self.for_it & other.for_it,
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            against: self.against | other.against,
            told: self.told | other.told,
            for_it: self.for_it | other.for_it,
        }
    }

    fn not(self) -> Self {
        Self { against: !self.against, told: !self.told, for_it: !self.for_it }
    }
}

/// What a rule's trace says once every leaf on an absent field counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// It matches, whatever is absent.
    Matches,
    /// It depends on these absent fields; sorted, each once.
    Depends {
        fields: Vec<String>,
        /// Those of them that Defender could tell, where it would match if they fitted, whatever
        /// the others are; sorted, each once.
        asks: Vec<Field>,
    },
    /// It does not match, whatever is absent.
    Fails,
}

/// Counts a trace. With no absent field in it, this is the engine's own verdict.
pub(super) fn count(trace: &RuleExplanation) -> Counted {
    let mut walk = Walk::new(Absent::Against);
    match any(&trace.conditions, |condition| walk.condition(condition, Under::Even)) {
        Verdict { against: true, .. } => Counted::Matches,
        Verdict { for_it: false, .. } => Counted::Fails,
        Verdict { told, .. } => {
            let sorted = |mut fields: Vec<String>| {
                fields.sort_unstable();
                fields.dedup();
                fields
            };
            let asks = if told { sorted(walk.asks) } else { Vec::new() };
            let asks = asks.iter().filter_map(|name| Field::parse(name)).collect();
            Counted::Depends { fields: sorted(walk.depends), asks }
        }
    }
}

/// A selection that stands against a rule for one candidate: one that the rule needs and that does
/// not match, or one under a `not` that does. Shows itself with what it saw.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Against {
    pub selection: String,
    /// Whether it keeps the rule from matching, and no part of the condition makes up for it.
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

/// The selections that stood against the rule, absent fields counted one way. Sorted, each once.
pub(super) fn against(trace: &RuleExplanation, absent: Absent) -> Vec<Against> {
    let mut against = standing(trace, absent);
    against.sort_unstable();
    against.dedup();
    against
}

/// The same in the order of the condition, as often as they stand there.
pub(super) fn standing(trace: &RuleExplanation, absent: Absent) -> Vec<Against> {
    let mut walk = Walk::new(absent);
    let _ = any(&trace.conditions, |condition| walk.condition(condition, Under::Even));
    let leaf = |item: &&ItemTrace| {
        let saw = item.actual.as_ref().map(ToString::to_string);
        (item.field.clone().unwrap_or_default(), saw)
    };
    let failed = walk.failed.into_iter().map(|failed| {
        let mut leaves: Vec<_> = failed.leaves.iter().map(leaf).collect();
        leaves.dedup();
        Against { selection: failed.name.to_owned(), decides: failed.decides, leaves }
    });
    failed.collect()
}

/// Every part of the condition, with how it stands.
pub(super) fn steps(trace: &RuleExplanation) -> Vec<Step> {
    let mut walk = Walk { steps: Some(Vec::new()), ..Walk::new(Absent::Against) };
    let _ = any(&trace.conditions, |condition| walk.condition(condition, Under::Even));
    walk.steps.unwrap_or_default()
}

/// Like `Iterator::any` and `all`, but every item is visited.
fn any<'t, T>(items: &'t [T], mut verdict: impl FnMut(&'t T) -> Verdict) -> Verdict {
    items.iter().fold(Verdict::known(false), |sum, item| verdict(item).or(sum))
}

fn all<'t, T>(items: &'t [T], mut verdict: impl FnMut(&'t T) -> Verdict) -> Verdict {
    items.iter().fold(Verdict::known(true), |sum, item| verdict(item).and(sum))
}

/// A selection that stands against the rule, with its leaves that do.
struct Failed<'t> {
    name: &'t str,
    decides: bool,
    leaves: Vec<&'t ItemTrace>,
}

struct Walk<'t> {
    /// Which way absent leaves count in `failed` and `leaves`.
    absent: Absent,
    /// Absent fields below nodes whose verdict depends on them.
    depends: Vec<String>,
    /// Of these, the ones that Defender could tell, below nodes that they could turn.
    asks: Vec<String>,
    failed: Vec<Failed<'t>>,
    /// Such leaves of the selection that is being read.
    leaves: Vec<&'t ItemTrace>,
    /// What people are shown, where somebody asks.
    steps: Option<Vec<Step>>,
    depth: usize,
}

impl<'t> Walk<'t> {
    fn new(absent: Absent) -> Self {
        let (depends, asks) = (Vec::new(), Vec::new());
        let (failed, leaves) = (Vec::new(), Vec::new());
        Self { absent, depends, asks, failed, leaves, steps: None, depth: 0 }
    }

    /// Shows a part and, below it, those that `read` reads.
    fn step(
        &mut self,
        part: impl Fn() -> Part,
        read: impl FnOnce(&mut Self) -> Verdict,
    ) -> Verdict {
        let Some(steps) = &mut self.steps else { return read(self) };
        let (at, depth) = (steps.len(), self.depth);
        steps.push(Step { depth, part: part(), seen: Seen::Unknown });
        self.depth += 1;
        let verdict = read(self);
        self.depth -= 1;
        if let (Some(steps), Some(seen)) = (&mut self.steps, verdict.seen()) {
            steps[at].seen = seen;
        }
        verdict
    }

    fn condition(&mut self, node: &'t ConditionTrace, under: Under) -> Verdict {
        match node {
            // A selection shows itself, and that the parts of a condition go together is plain.
            ConditionTrace::Selection { .. } => self.read_condition(node, under),
            ConditionTrace::And { .. } if self.depth == 0 => self.read_condition(node, under),
            _ => self.step(|| explain::of_condition(node), |walk| walk.read_condition(node, under)),
        }
    }

    fn read_condition(&mut self, node: &'t ConditionTrace, under: Under) -> Verdict {
        let mark = self.mark();
        let before = self.failed.len();
        let verdict = match node {
            ConditionTrace::Selection { name, detection, .. } => {
                self.selection(name, detection, under)
            }
            ConditionTrace::And { children, .. } => all(children, |c| self.condition(c, under)),
            ConditionTrace::Or { children, .. } => any(children, |c| self.condition(c, under)),
            ConditionTrace::Not { child, .. } => self.condition(child, under.flipped()).not(),
            ConditionTrace::Quantified { need, branches, .. } => {
                let (mut against, mut told, mut for_it) = (0, 0, 0);
                for branch in branches {
                    let one = self.selection(&branch.name, &branch.detection, under);
                    against += u64::from(one.against);
                    told += u64::from(one.told);
                    for_it += u64::from(one.for_it);
                }
                Verdict { against: against >= *need, told: told >= *need, for_it: for_it >= *need }
            }
        };
        self.settle(mark, verdict);
        if verdict.counted(self.absent) != under.against() {
            self.failed[before..].iter_mut().for_each(|failed| failed.decides = false);
        }
        verdict
    }

    fn mark(&self) -> (usize, usize) {
        (self.depends.len(), self.asks.len())
    }

    /// Forgets what stood below a node and makes no difference to it.
    fn settle(&mut self, (depends, asks): (usize, usize), verdict: Verdict) {
        if verdict.against == verdict.for_it {
            self.depends.truncate(depends);
        }
        if verdict.against == verdict.told {
            self.asks.truncate(asks);
        }
    }

    fn selection(&mut self, name: &'t str, detection: &'t DetectionTrace, under: Under) -> Verdict {
        let mark = self.leaves.len();
        let part = || Part::Selection(name.to_owned());
        let verdict = self.step(part, |walk| walk.detection(detection, under));
        let leaves = self.leaves.split_off(mark);
        if verdict.counted(self.absent) == under.against() {
            self.failed.push(Failed { name, decides: true, leaves });
        }
        verdict
    }

    fn detection(&mut self, node: &'t DetectionTrace, under: Under) -> Verdict {
        let mark = self.mark();
        let verdict = match node {
            DetectionTrace::AllOf { items, .. } => all(items, |item| self.leaf(item, under)),
            DetectionTrace::AnyOf { branches, .. } => {
                self.step(|| Part::Any, |walk| any(branches, |b| walk.detection(b, under)))
            }
            DetectionTrace::And { branches, .. } => all(branches, |b| self.detection(b, under)),
            DetectionTrace::Conditional { condition, .. } => self.condition(condition, under),
            // Keywords and array selectors are refused at load, and an engine that knows other
            // kinds is not one we have read: nobody knows what they need.
            DetectionTrace::Keywords { .. }
            | DetectionTrace::ArrayMatch { .. }
            | DetectionTrace::Other { .. } => Verdict::unknown(under, false),
        };
        self.settle(mark, verdict);
        verdict
    }

    fn leaf(&mut self, item: &'t ItemTrace, under: Under) -> Verdict {
        let known = item.actual.is_some() || item.matcher == MatcherKind::Exists;
        let field = item.field.as_deref().and_then(Field::parse);
        let can_be_told = field.is_some_and(|field| field.told_of().is_some());
        let verdict = match known {
            true => Verdict::known(item.matched),
            false => Verdict::unknown(under, can_be_told),
        };
        let _ = self.step(|| explain::of_leaf(item), |_| verdict);
        if verdict.counted(self.absent) == under.against() {
            self.leaves.push(item);
        }
        if !known {
            let name = item.field.clone().unwrap_or_default();
            self.asks.extend(can_be_told.then(|| name.clone()));
            self.depends.push(name);
        }
        verdict
    }
}
