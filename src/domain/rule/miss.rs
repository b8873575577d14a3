//! Why nothing matches a candidate, in one phrase: the rule that comes nearest, and where it fails.

use std::fmt;

use rsigma_eval::explain::explain_rule;

use super::Ruleset;
use super::unknown::{self, Absent, Against};
use crate::limits::{MISS_RULES, MISS_TEXT_CHARS};

/// The rule that comes nearest to a candidate that nothing matches, and the first leaf that stands
/// against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss<'r> {
    /// Of the rule.
    pub title: &'r str,
    pub selection: String,
    pub field: String,
    /// What the candidate has, as JSON.
    pub saw: Option<String>,
    /// Whether the set has more rules that act than are looked at.
    pub has_more: bool,
}

impl Ruleset {
    /// The nearest rule to a candidate that nothing matches. It traces rules one by one, which is
    /// far dearer than to judge: only for what somebody may read, and over the first
    /// [`MISS_RULES`] alone.
    pub fn miss<'r>(&'r self, fields: &super::Fields<'_>) -> Option<Miss<'r>> {
        let acting = &self.rules[..self.rules.len() - self.denying.len()];
        let looked_at = acting.iter().take(MISS_RULES).enumerate();
        let against = looked_at.map(|(place, rule)| {
            let trace = explain_rule(self.compiled(place), fields);
            (rule, unknown::standing(&trace, Absent::For))
        });
        let (rule, against) = against.min_by_key(|(_, against)| distance(against))?;
        let first = against.into_iter().find(|one| one.decides)?;
        let (field, saw) = first.leaves.into_iter().next()?;
        let has_more = acting.len() > MISS_RULES;
        Some(Miss { title: &rule.title, selection: first.selection, field, saw, has_more })
    }
}

/// How far a rule is from matching: selections that stand against it, and their leaves.
pub(super) fn distance(against: &[Against]) -> (usize, usize) {
    let decides = against.iter().filter(|one| one.decides);
    (decides.clone().count(), decides.map(|one| one.leaves.len()).sum())
}

/// What stands in a rule, or in an alert, may be long; this stands in a row for each of many.
fn short(text: &str) -> String {
    match text.char_indices().nth(MISS_TEXT_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_more {
            write!(f, "of the first {MISS_RULES} rules ")?;
        }
        let leaves = vec![(self.field.clone(), self.saw.as_deref().map(short))];
        let selection = short(&self.selection);
        let against = Against { selection, decides: true, leaves };
        write!(f, "the nearest is {:?}: {against}", short(self.title))
    }
}
