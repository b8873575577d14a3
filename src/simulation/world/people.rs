//! What people do: they pause and resume, reject and release.

use super::{CALM, Happening, MINUTE, SECOND, World};
use crate::domain::action::{Class, State};
use crate::domain::dispatcher::Event;
use crate::domain::ids::{ActionId, MachineId, Sha1};
use crate::domain::scope::Scope;
use crate::domain::time::BootId;
use crate::simulation::store::covers;

impl World {
    /// Somebody pauses everything, or a rule, machine or file.
    pub(super) fn pause(&mut self) {
        let byte = |n: u64| [u8::try_from(n + 1).expect("few"); 20];
        let scope = match self.dice.below(5) {
            0 => Scope::Rule(Class::ALL[self.dice.below(3) as usize].as_str().to_owned()),
            1 => Scope::Machine(MachineId::from_bytes(byte(self.dice.below(12)))),
            2 => Scope::Sha1(Sha1::from_bytes(byte(self.dice.below(3)))),
            _ => Scope::All,
        };
        self.pause_scope(scope);
        if self.time < CALM {
            self.at(self.time + 45 * MINUTE, Happening::Pause);
        }
    }

    pub(super) fn pause_scope(&mut self, scope: Scope) {
        if self.store.pauses.contains(&scope) {
            return;
        }
        self.store.pauses.push(scope.clone());
        self.note(&format!("pause {scope}"));
        let delay = MINUTE + self.millis(600_000);
        self.at(self.time + delay, Happening::Unpause { scope: scope.clone() });
        self.pause_answers(scope);
    }

    /// As the command does: it looks again until nothing can leave any more, then it says so.
    pub(super) fn pause_answers(&mut self, scope: Scope) {
        if !self.store.pauses.contains(&scope) || self.answered.contains(&scope) {
            return;
        }
        if self.store.may_leave(&scope, BootId([self.boot_id; 16]), self.now()) {
            self.at(self.time + SECOND / 50, Happening::PauseAnswers { scope });
        } else {
            self.answered.push(scope);
        }
    }

    pub(super) fn unpause(&mut self, scope: &Scope) {
        self.note(&format!("unpause {scope}"));
        self.store.pauses.retain(|paused| paused != scope);
        self.answered.retain(|paused| paused != scope);
        let covered = self.store.actions.values_mut().filter(|row| covers(scope, row));
        if *scope != Scope::All {
            covered.for_each(|row| row.back = true);
        }
        if self.dice.chance(500) {
            self.store.all_shown();
            self.deliver(Event::Resumed);
        }
    }

    pub(super) fn person(&mut self) {
        let open: Vec<ActionId> = self.store.open.iter().copied().collect();
        for id in open {
            // Some nobody ever looks at: they expire.
            let looks_at_it = id.0.as_u128() % 4 != 0;
            let to = match self.store.actions[&id].state {
                State::Held { .. } if looks_at_it => {
                    State::Queued { not_before: self.now().wall, tries: 0, busy_since: None }
                }
                State::Queued { .. } if self.dice.chance(50) && self.time < CALM => {
                    State::Rejected { by: "token alice".to_owned() }
                }
                _ => continue,
            };
            let moved = self.store.moves(id, to);
            self.note(&format!("person {id} {moved:?}"));
            self.moves.insert(moved);
        }
        self.at(self.time + 20 * MINUTE, Happening::Person);
    }

    /// Nothing that a pause covers leaves once its command has answered.
    pub(super) fn check_pauses(&self, action: ActionId) {
        let row = &self.store.actions[&action];
        let paused = self.answered.iter().find(|scope| covers(scope, row));
        assert_eq!(paused, None, "{action} leaves past a pause");
    }
}
