//! A call came back: its slot, its action, and what it says about the calls after it.

use std::time::Duration;

use super::{Attempted, Called, Dispatcher, Effect, InFlight, NotBegun, Shut, verdict};
use crate::domain::action::{
    Begun, Call, ClosedAttempt, Doubt, Head, NewAttempt, State, StateName,
};
use crate::domain::answer::Answer;
use crate::domain::ids::ActionId;
use crate::domain::limiter::Slot;
use crate::domain::planted::{Bug, planted};
use crate::domain::time::Now;
use crate::domain::tracker::{InDoubt, Move};
use crate::limits;

impl Dispatcher {
    pub(super) fn called(
        &mut self,
        now: Now,
        id: ActionId,
        called: Called,
        effects: &mut Vec<Effect>,
    ) {
        let Some(InFlight { head, slot }) = self.calls.remove(&id) else { return };
        match called {
            Called::NotBegun(why) => {
                self.quarantine.limiter.give_back(slot);
                self.paces.not_called(head.class);
                self.not_begun(now, head, why);
            }
            Called::Attempted(attempted) => {
                if self.shut.as_ref().is_some_and(|s| attempted.attempt.written.boot > s.since) {
                    self.shut = None;
                }
                self.settle_slot(slot, &attempted);
                // An outage of the endpoint is not the action's fault: it costs no try.
                let outage = matches!(attempted.answer, Answer::Unclear { .. });
                let costs = u32::from(outage && self.quarantine.ailing());
                let head = Head { tries: head.tries.saturating_sub(costs), ..head };
                self.answered(now, head, *attempted, effects);
            }
        }
    }

    fn not_begun(&mut self, now: Now, head: Head, why: NotBegun) {
        match why {
            NotBegun::Refused(Begun::Paused(why)) => {
                self.shut(now, why);
                self.queue.queued(head.not_before);
            }
            NotBegun::StoreFailed(error) => {
                self.shut(now, error);
                self.queue.queued(head.not_before);
            }
            // It is where a person finds it, and no load brings it before that is over. What the
            // store says of one action alone it says only where nothing shuts the whole tenant.
            NotBegun::Refused(Begun::Aside | Begun::Stopped(_)) => self.shut = None,
            NotBegun::Refused(Begun::Expired) => {
                self.shut = None;
                self.sweep_at = now.boot;
            }
            NotBegun::Refused(Begun::Corrupt) => {
                self.queue.set_aside(head.action);
                if let Some(shut) = &mut self.shut {
                    shut.probe_at = now.boot;
                }
            }
            // Somebody else moved it: if it is still to be called, a load will tell.
            NotBegun::Refused(Begun::NotQueued(_) | Begun::Written(_)) => {
                self.queue.queued(now.wall + limits::SHUT_PROBE);
            }
        }
    }

    fn shut(&mut self, now: Now, why: String) {
        let probe_at = now.boot + limits::SHUT_PROBE;
        self.shut = Some(Shut { why, since: now.boot, probe_at });
    }

    fn settle_slot(&mut self, slot: Slot, attempted: &Attempted) {
        let Attempted { attempt, answer, closed, .. } = attempted;
        let late = if answer.is_definite() { Duration::ZERO } else { limits::COUNTED_LATE };
        let free = match answer {
            Answer::TooMany { .. } => planted(Bug::FreeOnTooMany),
            Answer::Unclear { status: None, .. } => planted(Bug::FreeOnTimeout),
            _ => false,
        };
        if free {
            self.quarantine.limiter.give_back(slot);
        } else if planted(Bug::StampAtSend) {
            self.quarantine.limiter.release(slot, attempt.written.boot);
        } else {
            self.quarantine.limiter.release(slot, closed.boot + late);
        }
        match answer {
            Answer::TooMany { retry_after, text } => {
                let sent = attempt.written.boot;
                self.quarantine.too_many(closed.boot, sent, *retry_after, text);
            }
            Answer::Unauthorized { text } => {
                self.quarantine.unauthorized(closed.boot, attempt.written.boot, text);
            }
            Answer::Unsent { text } => {
                self.quarantine.failed(closed.boot, &format!("unreachable: {text}"));
            }
            Answer::Unclear { text, .. } => {
                self.quarantine.failed(closed.boot, &format!("no answer: {text}"));
            }
            Answer::Accepted { .. } | Answer::Refused { .. } => self.quarantine.answered(),
        }
    }

    fn answered(&mut self, now: Now, head: Head, done: Attempted, effects: &mut Vec<Effect>) {
        let verdict = verdict::verdict(&head, &done);
        let Attempted { attempt, call, answer, closed } = done;
        match &verdict.to {
            State::Accepted { machine_action, since, progress } => {
                self.tracker.follow(head.action, machine_action.clone(), *since, *progress, now);
            }
            State::InDoubt { doubt, .. } => {
                let doubt = self.in_doubt(now, &head, &attempt, call, *doubt);
                self.tracker.doubt(head.action, doubt);
            }
            State::Queued { not_before, .. } => self.queue.queued(*not_before),
            _ => {}
        }
        let closed = ClosedAttempt {
            id: attempt.id,
            closed,
            answered: answer.is_definite(),
            status: answer.status(),
            text: verdict.why.clone(),
        };
        let moved = Move {
            action: head.action,
            from: StateName::InFlight,
            to: verdict.to,
            why: verdict.why,
        };
        let changes = vec![self.change(now, moved)];
        effects.push(Effect::Record { closed: Some(closed), changes });
        if let Some(reason) = verdict.pause {
            self.shut(now, reason.clone());
            effects.push(Effect::Pause { reason });
        }
    }

    fn in_doubt(
        &self,
        now: Now,
        head: &Head,
        attempt: &NewAttempt,
        call: Call,
        doubt: Doubt,
    ) -> InDoubt {
        let (due, decides) = self.look_up_at(now, attempt.send_by.boot, doubt);
        InDoubt {
            key: call.key,
            comment: call.comment,
            attempt: attempt.id,
            written: attempt.written.wall,
            tries: head.tries,
            busy_since: head.busy_since,
            doubt,
            due,
            decides,
        }
    }
}
