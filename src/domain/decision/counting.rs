//! Who judges what correlations match.

use std::fmt;

use super::Receipt;
use crate::domain::correlation::{Correlation, Count, Matched};
use crate::domain::time::Wall;

/// Judges what correlations match, by the rules that were in force when the delivery came that
/// completes it. Asked in the intake transaction, since only there all events are known: it must
/// not wait.
pub trait Counting: Send + Sync {
    /// The correlation of this id, where there is one.
    fn correlation(&self, rule: &str) -> Option<&Correlation>;

    /// Until when an event of that time is of use.
    fn kept_until(&self, of: &Correlation, time: Wall) -> Wall;

    /// What a candidate that came at `received` counts as by these rules; `None` where it does no
    /// more, or does not read.
    fn recount(&self, rule: &str, base: &str, candidate: &str, received: Wall) -> Option<Count>;

    /// Another receipt of an alert, for what correlations have matched of it.
    fn correlated(&self, matched: &Matched, at: Wall) -> Vec<Receipt>;

    /// Content hash of the rule set.
    fn counted_by(&self) -> &str;
}

impl fmt::Debug for dyn Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counting").field("ruleset", &self.counted_by()).finish_non_exhaustive()
    }
}
