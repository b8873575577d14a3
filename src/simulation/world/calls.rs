//! A call on its way: the attempt, the socket, the answer.

use uuid::Uuid;

use super::troubles::Write;
use super::{CLIENT_TIMEOUT, Happening, SECOND, WAIT, World};
use crate::domain::action::{Begun, Call, NewAttempt};
use crate::domain::answer::{Answer, ListQuery};
use crate::domain::dispatcher::{self, Attempted, Called, NotBegun};
use crate::domain::ids::{ActionId, AttemptId};
use crate::domain::limiter::Permit;
use crate::domain::planted::{Bug, planted};
use crate::domain::time::{Boot, Stamp};
use crate::limits;
use crate::simulation::defender::{Arriving, Reply};
use crate::simulation::history::{Crossing, Event, Fault};

impl World {
    pub(super) fn begin(&mut self, action: ActionId, permit: Permit) {
        if self.crosses(Crossing::BeforeAttempt) {
            return;
        }
        let written = self.stamp();
        let send_by = Stamp {
            boot: written.boot + limits::SEND_BY,
            wall: written.wall + limits::SEND_BY,
            ..written
        };
        let id = AttemptId(Uuid::from_u128(u128::from(self.sequence)));
        let attempt = NewAttempt { id, action, written, send_by };
        let not_begun = |why| dispatcher::Event::Called { action, called: Called::NotBegun(why) };
        let write = self.write();
        if write == (Write::Torn { kept: false }) {
            return self.crash(Crossing::InCommit);
        }
        if write == Write::Failed {
            let error = NotBegun::StoreFailed("disk full".to_owned());
            return self.deliver(not_begun(error));
        }
        self.store.guarded = self.is_faulty() && self.dice.chance(15);
        let begun = self.store.begin(&attempt);
        self.sync();
        if write != Write::Done {
            return self.crash(Crossing::InCommit);
        }
        match begun {
            Begun::Written(call) => {
                let slow = self.is_faulty() && self.dice.chance(10);
                if slow {
                    self.went(Fault::SlowSender);
                }
                let delay = if slow { 3 * SECOND } else { self.millis(50) };
                self.later(delay, Happening::Send { attempt, call, permit });
            }
            other => self.deliver(not_begun(NotBegun::Refused(other))),
        }
    }

    /// The last check, and then the socket.
    pub(super) fn send(&mut self, attempt: NewAttempt, call: Call, _permit: Permit) {
        if self.crosses(Crossing::BeforeSend) {
            return;
        }
        let unreachable =
            self.time < self.outage_until || (self.is_faulty() && self.dice.chance(20));
        let late = self.now().boot > attempt.send_by.boot && !planted(Bug::NoSendBy);
        self.unanswered.insert(attempt.id);
        if late || unreachable {
            if unreachable {
                self.went(Fault::Unreachable);
            }
            let answer = Answer::Unsent { text: "no connection".to_owned() };
            let delay = self.millis(500);
            return self.later(delay, Happening::Close { attempt, call, answer });
        }
        self.append(Event::Sent { attempt: attempt.id, at: self.now().boot });
        let spike = if self.is_faulty() && self.dice.chance(20) { 20_000 } else { 300 };
        let delay = self.millis(spike);
        let look_up = self.true_time(attempt.send_by.boot) + CLIENT_TIMEOUT + WAIT;
        let arrive = Happening::Arrive { attempt: attempt.clone(), call: call.clone(), look_up };
        // Once it is on the wire it arrives, whatever becomes of its sender.
        self.at(self.time + delay, arrive);
        let answer = Answer::Unclear { status: None, text: "timeout".to_owned() };
        self.later(CLIENT_TIMEOUT, Happening::Close { attempt, call, answer });
    }

    pub(super) fn arrive(&mut self, attempt: NewAttempt, call: Call, look_up: i64) {
        let NewAttempt { id, action, written, .. } = attempt;
        let written = written.wall;
        let arriving = Arriving { attempt: id, action, call: &call, written, look_up };
        let reply = self.defender.call(&mut self.dice, self.time, &arriving);
        self.hear();
        let Reply::Answer(answer) = reply else { return };
        let late = self.is_faulty() && self.dice.chance(20);
        if late {
            self.went(Fault::AnswerLate);
        }
        let delay = self.millis(if late { 20_000 } else { 300 });
        // A process that has crashed meanwhile knows nothing of it.
        if self.unanswered.contains(&id) {
            self.later(delay, Happening::Close { attempt, call, answer });
        }
    }

    /// What Defender has done.
    fn hear(&mut self) {
        for event in self.defender.told() {
            self.append(event);
        }
    }

    /// The first answer counts; a client that gave up sees no other.
    pub(super) fn close(&mut self, attempt: NewAttempt, call: Call, answer: Answer) {
        if !self.unanswered.remove(&attempt.id) {
            return;
        }
        let closed = self.stamp();
        let action = attempt.action;
        let called = Called::Attempted(Box::new(Attempted { attempt, call, answer, closed }));
        self.deliver(dispatcher::Event::Called { action, called });
    }

    pub(super) fn list(&mut self, query: ListQuery, sent: Boot) {
        let listing = self.defender.list(&mut self.dice, self.time, query);
        self.hear();
        let delay = self.millis(300);
        self.later(delay, Happening::Deliver(dispatcher::Event::Listed { sent, listing }));
    }
}
