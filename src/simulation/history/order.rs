//! Which action goes before which.

use std::collections::BTreeSet;

use super::Reach;
use super::actions::{Actions, Known};
use crate::domain::action::Class;
use crate::domain::ids::ActionId;
use crate::domain::time::Wall;

/// Where an action stands: whatever ranks lower goes first.
fn rank(known: &Known, now: Wall) -> (Class, i64) {
    (known.class.aged(known.expires - known.queued_for, now), known.sequence)
}

/// What the dispatcher can know of when it chooses.
pub struct Sight<'a> {
    pub looks: u64,
    pub shows: u64,
    pub paused: &'a [Reach],
    pub in_hand: &'a BTreeSet<ActionId>,
}

/// An action that should have gone before that one, if there is one. Of each class only the first
/// that is due is compared: within a class they go as they came, whatever the wall clock did since.
pub fn overlooked(
    actions: &Actions,
    chosen: ActionId,
    now: Wall,
    sight: &Sight<'_>,
) -> Option<ActionId> {
    let Sight { looks, shows, paused, in_hand } = *sight;
    let chosen = actions.all.get(&chosen)?;
    let is_due = |id: &ActionId, known: &Known| {
        // A pause of everything stops both.
        let aside = |reach: &Reach| *reach != Reach::All && reach.covers(known.rule, known.file);
        known.not_before <= now
            && known.expires > now
            && !known.corrupt
            && !in_hand.contains(id)
            && !paused.iter().any(aside)
    };
    let queued = actions.queued.iter().filter_map(|id| Some((*id, actions.all.get(id)?)));
    let due: Vec<(ActionId, &Known)> = queued.filter(|(id, known)| is_due(id, known)).collect();
    let fronts = Class::ALL.into_iter().filter_map(|class| {
        let of_class = due.iter().filter(|(_, known)| known.class == class);
        of_class.min_by_key(|(_, known)| known.sequence)
    });
    let goes_first = |(_, known): &&(ActionId, &Known)| {
        let is_seen = known.looks < looks && known.shows < shows;
        // What came as urgent goes beside what has risen to it, which is spread over the hour.
        let beside = chosen.class == Class::Urgent && known.class != Class::Urgent;
        let before = match known.class == chosen.class {
            true => known.sequence < chosen.sequence,
            false => rank(known, now) < rank(chosen, now),
        };
        is_seen && !beside && before
    };
    fronts.into_iter().find(goes_first).map(|(id, _)| *id)
}
