//! Which action goes before which.

use std::collections::BTreeSet;

use super::Reach;
use super::actions::{Actions, Known};
use crate::domain::action::Class;
use crate::domain::ids::ActionId;
use crate::domain::time::Wall;

/// Where an action stands: whatever ranks lower goes first.
fn rank(known: &Known, now: Wall) -> (Class, i64) {
    (known.class.aged(known.created, now), known.sequence)
}

/// What the dispatcher can know of when it chooses.
pub struct Sight<'a> {
    pub looks: u64,
    pub shows: u64,
    pub paused: &'a [Reach],
    pub in_hand: &'a BTreeSet<ActionId>,
}

/// An action that should have gone before that one, if there is one.
pub fn overlooked(
    actions: &Actions,
    chosen: ActionId,
    now: Wall,
    sight: &Sight<'_>,
) -> Option<ActionId> {
    let Sight { looks, shows, paused, in_hand } = *sight;
    let chosen = actions.all.get(&chosen)?;
    let last = rank(chosen, now);
    let goes_first = |id: &&ActionId| {
        let Some(known) = actions.all.get(id) else { return false };
        // A pause of everything stops both.
        let aside = |reach: &Reach| *reach != Reach::All && reach.covers(known.rule, known.file);
        // What came as urgent goes beside what has risen to it, which is spread over the hour.
        let beside = chosen.class == Class::Urgent && known.class != Class::Urgent;
        rank(known, now) < last
            && !beside
            && known.not_before <= now
            && known.expires > now
            && !known.corrupt
            && known.looks < looks
            && known.shows < shows
            && !in_hand.contains(id)
            && !paused.iter().any(aside)
    };
    actions.queued.iter().find(goes_first).copied()
}
