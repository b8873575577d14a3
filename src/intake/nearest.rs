//! The reason of a `no match`, for whoever reads it: in the row that is kept, and in the answer.

use super::judge::Judging;
use crate::domain::action::Coordinates;
use crate::domain::candidate::Candidate;
use crate::domain::decision::{Content, Decision, From, Judged, Outcome, Receipt};
use crate::domain::rule::NO_RULE;
use crate::limits::MISS_CANDIDATES;

impl Judging {
    /// Names the rule that comes nearest to what none matches. Most alerts match nothing, and of
    /// most nobody reads why: it is looked for only where a row is kept, or a sender is answered.
    pub(super) fn say_nearest(
        &self,
        receipts: &mut [Receipt],
        candidates: &[&Candidate<'_>],
        from: &From<'_>,
    ) {
        let is_answered = matches!(from.coordinates, Coordinates::Webhook { .. });
        let Some(receipt) = receipts.first_mut() else { return };
        let Content::Judged(judged) = &mut receipt.content else { return };
        let is_missed = |one: &Judged| match &one.outcome {
            Outcome::Settled(Decision::NoMatch { why }) => why == NO_RULE,
            _ => false,
        };
        let is_read = is_answered || receipt.keep_row;
        if !is_read || !judged.iter().any(is_missed) || !self.shared.misses.take(from.at) {
            return;
        }
        let reasons = candidates.iter().zip(judged).filter_map(|(candidate, judged)| {
            match &mut judged.outcome {
                Outcome::Settled(Decision::NoMatch { why }) if why == NO_RULE => {
                    Some((candidate, why))
                }
                _ => None,
            }
        });
        for (candidate, why) in reasons.take(MISS_CANDIDATES) {
            if let Some(miss) = self.in_force.ruleset.miss(&candidate.fields) {
                *why = format!("{why}; {miss}");
            }
        }
    }
}
