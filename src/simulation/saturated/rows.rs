//! The actions that are open, as a store has them.

use std::time::Duration;

use super::{Row, Saturated, action};
use crate::domain::action::{Class, Head, Heads, State};
use crate::domain::time::Wall;

impl Saturated {
    pub(super) fn moved(&mut self, n: i64, to: State) {
        let row = self.rows.get_mut(&n).expect("the action is there");
        if let State::Queued { .. } = to {
            self.queued.insert((row.class, n));
        }
        row.state = to;
        if !row.state.name().is_open() {
            self.rows.remove(&n);
        }
    }

    pub(super) fn queue(&mut self, n: i64, class: Class) {
        let state = State::Queued { not_before: Wall(0), tries: 0, busy_since: None };
        self.rows.insert(n, Row { class, came: self.time, state });
        self.queued.insert((class, n));
    }

    pub(super) fn heads(&mut self, class: Class, limit: usize) -> Heads {
        if class == Class::Bulk {
            while self.queued.iter().filter(|(of, _)| *of == class).count() < limit {
                self.queue(self.bulk, class);
                self.bulk += 1;
            }
        }
        let now = self.now().wall;
        let of_class = self.queued.iter().filter(|(of, _)| *of == class).take(limit);
        let due = of_class.map(|(_, n)| Head {
            action: action(*n),
            class,
            sequence: *n,
            queued: now,
            not_before: Wall(0),
            expires: now + Duration::from_secs(86_400),
            tries: 0,
            busy_since: None,
        });
        let behind = if class == Class::Bulk { 20_000 } else { 0 };
        Heads { due: due.collect(), behind, next_due: None }
    }
}
