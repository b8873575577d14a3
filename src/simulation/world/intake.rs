//! Senders, and what intake does with what they send.

use super::troubles::Write;
use super::{Happening, SECOND, World};
use crate::domain::decision::JudgedDelivery;
use crate::domain::ids::ActionId;
use crate::domain::planted::{Bug, planted};
use crate::simulation::history::{Crossing, Event, Fault};
use crate::simulation::sender::Letter;

impl World {
    pub(super) fn alert(&mut self) {
        self.letters_left -= 1;
        let known = self.letters.len() as u64;
        // Defender sends alerts again as their evidence grows.
        let letter = if known > 0 && self.dice.chance(100) {
            self.letters[self.dice.below(known) as usize].copied()
        } else {
            Letter::write(&mut self.dice, self.time)
        };
        let delivery = self.letters.len() as u32;
        self.letters.push(letter);
        self.at(self.time, Happening::Post { delivery });
        if self.letters_left > 0 {
            // Storms, and quiet times between them.
            let next =
                if self.dice.chance(850) { self.millis(3000) } else { self.millis(1_800_000) };
            self.at(self.time + next, Happening::Alert);
        }
    }

    /// Again and again, until it is acknowledged.
    pub(super) fn post(&mut self, delivery: u32) {
        let letter = &self.letters[delivery as usize];
        if letter.acknowledged {
            return;
        }
        let candidates = letter.candidates();
        self.append(Event::Delivered { delivery, candidates });
        let twice = self.is_faulty() && self.dice.chance(50);
        if twice {
            self.went(Fault::DeliveryTwice);
        }
        for _ in 0..=u8::from(twice) {
            if self.is_faulty() && self.dice.chance(20) {
                self.went(Fault::DeliveryLost);
            } else {
                // One may well overtake another.
                let delay = self.millis(2000);
                self.at(self.time + delay, Happening::Arrives { delivery });
            }
        }
        let again = 10 * SECOND + self.millis(60_000);
        self.at(self.time + again, Happening::Post { delivery });
    }

    pub(super) fn arrives(&mut self, delivery: u32) {
        if self.process.is_none() {
            return;
        }
        if self.store.has_taken(delivery) || planted(Bug::AcknowledgeBeforeCommit) {
            self.acknowledge(delivery);
        }
        let now = self.now().wall;
        let Self { letters, store, ids, .. } = self;
        let letter = &letters[delivery as usize];
        let denied = |sha1| store.denied.contains(&sha1);
        let next_id = || {
            *ids += 1;
            ActionId(uuid::Uuid::from_u128(u128::from(*ids)))
        };
        let judged = Box::new(letter.judge(delivery, now, denied, next_id));
        let delay = self.millis(20);
        self.later(delay, Happening::Commit { number: delivery, judged });
    }

    pub(super) fn commit(&mut self, number: u32, judged: &JudgedDelivery) {
        if self.store.has_taken(number) {
            return;
        }
        if self.crosses(Crossing::BeforeIntake) {
            return;
        }
        match self.write() {
            // Its sender is told to come again.
            Write::Failed if planted(Bug::AcknowledgeWhatFailed) => self.acknowledge(number),
            Write::Failed => {}
            Write::Torn { kept: false } => {
                if planted(Bug::HalfATransaction) {
                    self.store.has_taken_half(number);
                }
                self.crash(Crossing::InCommit);
            }
            Write::Torn { kept: true } => {
                self.store.take(number, judged);
                self.sync();
                self.crash(Crossing::InCommit);
            }
            Write::Done => {
                self.store.take(number, judged);
                self.sync();
                if self.crosses(Crossing::BeforeAcknowledge) {
                    return;
                }
                let delay = self.millis(5);
                self.later(delay, Happening::Acknowledge { delivery: number });
                self.nudge();
            }
        }
    }

    fn nudge(&mut self) {
        if self.is_faulty() && self.dice.chance(50) {
            return self.went(Fault::NudgeLost);
        }
        let delay = self.millis(50);
        self.later(delay, Happening::Nudge);
    }

    pub(super) fn acknowledge(&mut self, delivery: u32) {
        self.append(Event::Acknowledged { delivery });
        if self.is_faulty() && self.dice.chance(30) {
            return self.went(Fault::AcknowledgementLost);
        }
        let delay = self.millis(500);
        self.at(self.time + delay, Happening::Acknowledged { delivery });
    }
}
