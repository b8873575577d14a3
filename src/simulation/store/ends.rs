//! What the end of an accepted action leads to, as the rule of its class has it: it is called once
//! more, or a person is asked.

use super::Store;
use crate::domain::action::{Class, Endings, OnEnd, State, StateName};
use crate::domain::ids::ActionId;
use crate::domain::time::Wall;
use crate::domain::tracker::{Kept, Move, led_to};
use crate::simulation::history::By;

fn endings(rule: Class) -> Endings {
    match rule {
        Class::Urgent => Endings { timed_out: OnEnd::Retry(1), failed: OnEnd::Retry(2) },
        Class::Normal => Endings::default(),
        Class::Bulk => Endings { timed_out: OnEnd::GiveUp, failed: OnEnd::Hold },
    }
}

impl Store {
    /// Moves an action as the dispatcher says, if it still stands where that begins.
    pub(super) fn shifts(&mut self, action: ActionId, from: StateName, to: &State, at: Wall) {
        let Some(row) = self.actions.get(&action).filter(|row| row.state.name() == from) else {
            return;
        };
        if from != StateName::Accepted {
            return self.moves(action, to.clone(), at, By::Dispatcher);
        }
        let kept = Kept { endings: endings(row.rule), again: row.again, ..Kept::default() };
        let end = Move { action, from, to: to.clone(), why: String::new() };
        for Move { to, .. } in led_to(end, &kept, at) {
            let row = self.actions.get_mut(&action).expect("it was there");
            if let State::Queued { not_before, .. } = to {
                row.again += 1;
                row.expires = row.expires.max(not_before + row.queued_for);
            }
            // The dispatcher has said how it ended, and does not know what follows.
            let by = if to.name().is_open() { By::Others } else { By::Dispatcher };
            self.moves(action, to, at, by);
        }
    }
}
