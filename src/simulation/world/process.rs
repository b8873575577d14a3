//! The process: what the relay does, step by step, with a crash wherever one can be.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::{CALM, CLIENT_TIMEOUT, Happening, Process, SECOND, WAIT, World, quarantine_limits};
use crate::domain::action::{Begun, Call, NewAttempt, State, StateName};
use crate::domain::answer::{Answer, Status};
use crate::domain::dispatcher::{
    Attempted, Called, Dispatcher, DispatcherSettings, Effect, Event, NotBegun,
};
use crate::domain::ids::{ActionId, AttemptId, TenantName};
use crate::domain::limiter::{Limit, Permit};
use crate::domain::scope::Scope;
use crate::domain::time::{BootId, Clocks, Stamp};
use crate::domain::tracker::TrackerSettings;
use crate::limits;
use crate::simulation::defender::Reply;

impl World {
    pub(super) fn start(&mut self, reboot: bool) {
        assert!(self.process.is_none());
        self.run += 1;
        if reboot {
            self.boot_id += 1;
        }
        let now = self.now();
        let boot_id = BootId([self.boot_id; 16]);
        let clocks = Clocks { boot_id, wall_trusted: self.plan.steady_wall };
        let settings = DispatcherSettings {
            tenant: TenantName::new("contoso"),
            quarantine: quarantine_limits(),
            machine_actions: vec![Limit::new(100, Duration::from_secs(60)).expect("a limit")],
            client_timeout: Duration::from_micros(CLIENT_TIMEOUT as u64),
            tracker: TrackerSettings {
                every: Duration::from_secs(300),
                wait: Duration::from_micros(WAIT as u64),
                page: 2 + (self.plan.seed % 7) as u32,
            },
        };
        let resumed = self.store.resume();
        let (dispatcher, effects) = Dispatcher::resume(settings, resumed, now, clocks);
        self.process = Some(Process { dispatcher, in_hand: BTreeSet::new(), token: 0 });
        self.store.all_shown();
        if self.perform(effects, &mut VecDeque::new()) {
            self.deliver(Event::Wakeup);
        }
    }

    pub(super) fn crash(&mut self) {
        self.note("crash");
        self.unanswered.clear();
        self.process = None;
        self.run += 1;
        let reboot = self.dice.chance(200);
        let delay = self.millis(20_000) + if reboot { 30 * SECOND } else { 0 };
        self.at(self.time + delay, Happening::Start { reboot });
    }

    pub(super) fn deliver(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.steps += 1;
            assert!(self.steps < 1_000_000, "it turns in circles");
            let now = self.now();
            let Some(process) = &mut self.process else { return };
            if let Event::Called { action, .. } = &event {
                process.in_hand.remove(action);
            }
            let effects = process.dispatcher.step(now, event);
            if !self.perform(effects, &mut events) {
                return;
            }
        }
        let Some(process) = &mut self.process else { return };
        if let Some(boot) = process.dispatcher.next_wakeup() {
            process.token += 1;
            let token = process.token;
            let time = self.true_time(boot).max(self.time + 1);
            self.schedule(time, self.run, Happening::Wake { token });
        }
    }

    /// `false` where the process crashed on the way.
    fn perform(&mut self, effects: Vec<Effect>, events: &mut VecDeque<Event>) -> bool {
        for effect in effects {
            if self.dice.chance(self.plan.crash_permille) && self.time < CALM {
                self.crash();
                return false;
            }
            let wall = self.now().wall;
            match effect {
                Effect::Record { closed, changes } => {
                    for (action, from, to) in self.store.apply(closed, changes) {
                        self.note(&format!("{action} {to:?}"));
                        self.moves.insert((from, to.name()));
                        self.check_end(action, &to);
                    }
                }
                Effect::Pause { .. } => self.pause_scope(Scope::All),
                Effect::Load { class } => {
                    let heads = self.store.heads(class, wall, limits::HEADS_PER_CLASS.min(8));
                    events.push_back(Event::Loaded { class, heads });
                }
                Effect::Sweep => {
                    self.store.all_shown();
                    let expired = self.store.expired(wall, limits::SWEEP_BATCH);
                    events.push_back(Event::Expired(expired));
                }
                Effect::Call { permit, action } => {
                    self.note(&format!("call {action}"));
                    self.check_order(action);
                    let delay = self.millis(5);
                    self.later(delay, Happening::Begin { action, permit });
                }
                Effect::List { query, permit: _ } => {
                    self.note(&format!("{query:?}"));
                    let sent = self.now().boot;
                    let delay = self.millis(300);
                    self.later(delay, Happening::List { query, sent });
                }
            }
        }
        true
    }

    pub(super) fn begin(&mut self, action: ActionId, permit: Permit) {
        let written = self.stamp();
        let send_by = Stamp {
            boot: written.boot + limits::SEND_BY,
            wall: written.wall + limits::SEND_BY,
            ..written
        };
        let id = AttemptId(Uuid::from_u128(u128::from(self.sequence)));
        let attempt = NewAttempt { id, action, written, send_by };
        let not_begun = |why| Event::Called { action, called: Called::NotBegun(why) };
        if self.defender.faulty && self.dice.chance(10) {
            let error = NotBegun::StoreFailed("disk full".to_owned());
            return self.deliver(not_begun(error));
        }
        self.store.guarded = self.defender.faulty && self.dice.chance(15);
        match self.store.begin(&attempt) {
            Begun::Stopped(state) => {
                self.moves.insert((StateName::Queued, state));
                self.deliver(not_begun(NotBegun::Refused(Begun::Stopped(state))));
            }
            Begun::Written(call) => {
                let slow = self.defender.faulty && self.dice.chance(10);
                let delay = if slow { 3 * SECOND } else { self.millis(50) };
                self.later(delay, Happening::Send { attempt, call, permit });
            }
            other => self.deliver(not_begun(NotBegun::Refused(other))),
        }
    }

    /// The last check, and then the socket.
    pub(super) fn send(&mut self, attempt: NewAttempt, call: Call, _permit: Permit) {
        let unreachable = self.time < self.outage_until;
        let fails = self.defender.faulty && self.dice.chance(20);
        if self.now().boot > attempt.send_by.boot || unreachable || fails {
            let answer = Answer::Unsent { text: "no connection".to_owned() };
            let delay = self.millis(500);
            self.unanswered.insert(attempt.id);
            return self.later(delay, Happening::Close { attempt, call, answer });
        }
        let state = &self.store.actions[&attempt.action].state;
        let written = matches!(state, State::InFlight { attempt: id, .. } if *id == attempt.id);
        assert!(written, "{attempt:?} was sent and not written: {state:?}");
        assert!(self.sent.insert(attempt.id), "{attempt:?} was sent twice");
        self.check_pauses(attempt.action);
        self.unanswered.insert(attempt.id);
        let spike = if self.defender.faulty && self.dice.chance(20) { 20_000 } else { 300 };
        let delay = self.millis(spike);
        let look_up = self.true_time(attempt.send_by.boot) + CLIENT_TIMEOUT + WAIT;
        let arrive = Happening::Arrive { attempt: attempt.clone(), call: call.clone(), look_up };
        // Once it is on the wire it arrives, whatever becomes of its sender.
        self.at(self.time + delay, arrive);
        let answer = Answer::Unclear { status: None, text: "timeout".to_owned() };
        self.later(CLIENT_TIMEOUT, Happening::Close { attempt, call, answer });
    }

    pub(super) fn arrive(&mut self, attempt: NewAttempt, call: Call, look_up: i64) {
        let action = attempt.action;
        let reply = self.defender.call(&mut self.dice, self.time, action, &call, look_up);
        if let Reply::Answer(answer) = reply {
            let slow = self.defender.faulty && self.dice.chance(20);
            let delay = self.millis(if slow { 20_000 } else { 300 });
            self.later(delay, Happening::Close { attempt, call, answer });
        }
    }

    /// The first answer counts; a client that gave up sees no other.
    pub(super) fn close(&mut self, attempt: NewAttempt, call: Call, answer: Answer) {
        if self.unanswered.remove(&attempt.id) {
            let action = attempt.action;
            let closed = self.stamp();
            let attempted = Box::new(Attempted { attempt, call, answer, closed });
            self.deliver(Event::Called { action, called: Called::Attempted(attempted) });
        }
    }

    fn check_order(&mut self, action: ActionId) {
        let wall = self.now().wall;
        let process = self.process.as_mut().expect("it decides");
        assert!(process.in_hand.insert(action), "{action} is in hand already");
        assert!(process.in_hand.len() <= limits::IN_FLIGHT_PER_TENANT);
        let row = &self.store.actions[&action];
        let first = self.store.overlooked((row.class, row.sequence), wall, &process.in_hand);
        assert_eq!(first, None, "goes before {action}");
    }

    /// Nothing has ended that Defender has not ended so, and no other action's end is taken.
    fn check_end(&self, action: ActionId, state: &State) {
        let end = match state {
            State::Succeeded { .. } => Status::Succeeded,
            State::Failed { .. } => Status::Failed,
            State::Cancelled => Status::Cancelled,
            _ => return,
        };
        let row = &self.store.actions[&action];
        let id = row.machine_action.as_ref().expect("it was accepted");
        assert!(self.defender.has_ended(id, self.time, end), "{action}: {id} is not {end:?}");
        let named = self.defender.named.contains(&(action, id.clone()));
        let taken = self
            .store
            .actions
            .iter()
            .any(|(other, row)| *other != action && row.machine_action.as_ref() == Some(id));
        assert!(named || !taken, "{id} is another action's end");
    }
}
