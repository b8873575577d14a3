//! What people do: they pause and resume, approve and reject, and deny.

use super::troubles::Write;
use super::{Happening, MINUTE, SECOND, World};
use crate::domain::action::{Class, State};
use crate::domain::dispatcher;
use crate::domain::ids::ActionId;
use crate::simulation::history::{By, Event, Reach};
use crate::simulation::sender;

impl World {
    /// Somebody pauses everything, or a rule, machine or file.
    pub(super) fn pause(&mut self) {
        let reach = match self.dice.below(5) {
            0 => Reach::Rule(Class::ALL[self.dice.below(3) as usize]),
            1 => Reach::Machine(sender::machine(&mut self.dice)),
            2 => Reach::Sha1(sender::sha1(&mut self.dice)),
            _ => Reach::All,
        };
        // Where the disk fails, so does the command.
        if self.write() == Write::Done {
            self.pause_reach(reach);
        }
        if self.is_faulty() {
            self.at(self.time + 45 * MINUTE, Happening::Pause);
        }
    }

    pub(super) fn pause_reach(&mut self, reach: Reach) {
        if self.store.pauses.contains(&reach) {
            return;
        }
        self.store.pauses.push(reach);
        self.append(Event::Paused { reach });
        let delay = MINUTE + self.millis(600_000);
        self.at(self.time + delay, Happening::Unpause { reach });
        self.pause_answers(reach);
    }

    /// As the command does: it looks again until nothing can leave any more, then it says so.
    pub(super) fn pause_answers(&mut self, reach: Reach) {
        if !self.store.pauses.contains(&reach) || self.answered.contains(&reach) {
            return;
        }
        if self.store.may_leave(reach, self.boot_id(), self.now()) {
            self.at(self.time + SECOND / 50, Happening::PauseAnswers { reach });
        } else {
            self.answered.push(reach);
            self.append(Event::PauseAnswered { reach });
        }
    }

    pub(super) fn unpause(&mut self, reach: Reach) {
        if self.write() != Write::Done {
            return self.at(self.time + MINUTE, Happening::Unpause { reach });
        }
        self.store.pauses.retain(|paused| *paused != reach);
        self.answered.retain(|paused| *paused != reach);
        self.append(Event::Resumed { reach });
        if self.dice.chance(500) {
            self.deliver(dispatcher::Event::Resumed);
        }
    }

    /// A deny rule appears, and is in force from now on.
    pub(super) fn deny(&mut self) {
        let sha1 = sender::sha1(&mut self.dice);
        self.store.denied.insert(sha1);
        self.append(Event::Denied { sha1 });
    }

    pub(super) fn person(&mut self) {
        let open: Vec<ActionId> = self.store.open().map(|(id, _)| id).collect();
        let now = self.now().wall;
        for id in open {
            // Some nobody ever looks at: they expire.
            let looks_at_it = id.0.as_u128() % 4 != 0;
            let rejected = || State::Rejected { by: "token alice".to_owned() };
            let to = match self.store.state(id) {
                Some(State::Held { .. }) if looks_at_it => match self.dice.below(8) {
                    0 => rejected(),
                    _ => State::Queued { not_before: now, tries: 0, busy_since: None },
                },
                Some(State::Queued { .. }) if self.is_faulty() && self.dice.chance(50) => {
                    rejected()
                }
                _ => continue,
            };
            if self.write() == Write::Done {
                self.store.moves(id, to, now, By::Others);
                self.sync();
            }
        }
        self.at(self.time + 20 * MINUTE, Happening::Person);
    }
}
