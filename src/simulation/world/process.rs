//! The process: what the relay does with what the dispatcher says, step by step, with a crash
//! wherever one can be.

use std::collections::VecDeque;
use std::time::Duration;

use super::troubles::Write;
use super::{CLIENT_TIMEOUT, Happening, SECOND, WAIT, World};
use crate::domain::answer::Answer;
use crate::domain::dispatcher::{Called, Dispatcher, DispatcherSettings, Effect, Event};
use crate::domain::limiter::Limit;
use crate::domain::time::Clocks;
use crate::domain::tracker::TrackerSettings;
use crate::limits;
use crate::simulation::history::{self, Crossing, Fault, Invariant, Reach};
use crate::simulation::plan::WallClock;
use crate::simulation::sender;

pub(super) struct Process {
    dispatcher: Dispatcher,
    /// What is still to be done, with the time when it was decided.
    effects: VecDeque<(i64, Effect)>,
    /// What it has not been told yet.
    inbox: VecDeque<Event>,
    /// The store failed, and is asked again later. Nothing else goes on before.
    stalled: bool,
    token: u64,
}

impl Process {
    pub fn is_woken_by(&self, token: u64) -> bool {
        self.token == token && !self.stalled
    }
}

impl World {
    pub(super) fn start(&mut self, reboot: bool) {
        self.run += 1;
        if reboot {
            self.went(Fault::Reboot);
            self.boot_id += 1;
            self.booted = self.time - 20 * SECOND;
        }
        let now = self.now();
        let wall_trusted = self.plan.wall == WallClock::Steady;
        let clocks = Clocks { boot_id: self.boot_id(), wall_trusted };
        let settings = DispatcherSettings {
            tenant: sender::tenant(),
            quarantine: self.limits.clone(),
            reserve: 0,
            machine_actions: vec![Limit::new(100, Duration::from_secs(60)).expect("a limit")],
            client_timeout: Duration::from_micros(CLIENT_TIMEOUT as u64),
            tracker: TrackerSettings {
                every: Duration::from_secs(300),
                wait: Duration::from_micros(WAIT as u64),
                page: self.plan.page,
            },
        };
        let resumed = self.store.resume();
        let open = self.store.open().count();
        self.append(history::Event::Started { boot: self.boot_id, open });
        let (dispatcher, effects) = Dispatcher::resume(settings, resumed, now, clocks);
        self.append(history::Event::Shown);
        let effects = effects.into_iter().map(|effect| (self.time, effect)).collect();
        let inbox = VecDeque::new();
        self.process = Some(Process { dispatcher, effects, inbox, stalled: false, token: 0 });
        self.deliver(Event::Wakeup);
    }

    pub(super) fn crash(&mut self, at: Crossing) {
        self.append(history::Event::Crashed { at });
        self.unanswered.clear();
        self.unsynced.clear();
        self.process = None;
        self.run += 1;
        let reboot = self.dice.chance(200);
        let delay = self.millis(20_000) + if reboot { 30 * SECOND } else { 0 };
        self.at(self.time + delay, Happening::Start { reboot });
    }

    pub(super) fn deliver(&mut self, event: Event) {
        if let Some(process) = &mut self.process {
            process.inbox.push_back(event);
            self.work();
        }
    }

    pub(super) fn again(&mut self) {
        if let Some(process) = &mut self.process {
            process.stalled = false;
            self.work();
        }
    }

    /// Does what is to be done, then takes the next event, as long as there is something.
    fn work(&mut self) {
        loop {
            self.step();
            let now = self.now();
            let Some(process) = &mut self.process else { return };
            if process.stalled || self.history.broken().is_some() {
                return;
            }
            if let Some((decided, effect)) = process.effects.pop_front() {
                self.perform(decided, effect);
            } else if let Some(event) = process.inbox.pop_front() {
                let learnt = learnt(&event);
                let effects = process.dispatcher.step(now, event);
                process.effects.extend(effects.into_iter().map(|effect| (self.time, effect)));
                for event in learnt {
                    self.append(event);
                }
            } else {
                break;
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

    fn perform(&mut self, decided: i64, effect: Effect) {
        if self.crosses(crossing(&effect)) {
            return;
        }
        let wall = self.now().wall;
        match effect {
            Effect::Record { .. } | Effect::Pause { .. } => self.keep(decided, effect),
            Effect::Load { class, depth } => {
                let heads = self.store.heads(class, wall, depth.heads.min(8));
                self.tell(Event::Loaded { class, heads });
            }
            Effect::Sweep => {
                self.append(history::Event::Shown);
                let expired = self.store.expired(wall, limits::SWEEP_BATCH);
                self.tell(Event::Expired(expired));
            }
            Effect::Call { permit, action } => {
                // What happened while the store failed, the decision could not know.
                let boot = self.now().boot;
                self.append(if decided == self.time {
                    history::Event::Chosen { action, boot, wall }
                } else {
                    history::Event::Taken { action }
                });
                let delay = self.millis(5);
                self.later(delay, Happening::Begin { action, permit });
            }
            Effect::List { query, permit: _ } => {
                let sent = self.now().boot;
                let delay = self.millis(300);
                self.later(delay, Happening::List { query, sent });
            }
        }
    }

    /// Before anything that waits already.
    fn tell(&mut self, event: Event) {
        if let Some(process) = &mut self.process {
            process.inbox.push_front(event);
        }
    }

    /// Writes what must be written before anything else goes on, as often as it takes.
    fn keep(&mut self, decided: i64, effect: Effect) {
        let write = self.write();
        if write == Write::Failed {
            let Some(process) = &mut self.process else { return };
            process.stalled = true;
            process.effects.push_front((decided, effect));
            let delay = SECOND / 10 + self.millis(5000);
            return self.later(delay, Happening::Again);
        }
        if write != (Write::Torn { kept: false }) {
            match effect {
                Effect::Record { closed, changes } => {
                    self.store.record(closed.as_ref(), &changes);
                    self.sync();
                }
                Effect::Pause { .. } => self.pause_reach(Reach::All),
                _ => {
                    let what = "only records and pauses are kept".to_owned();
                    self.history.fail(self.time, Invariant::Bounds, what);
                }
            }
        }
        if let Write::Torn { .. } = write {
            self.crash(Crossing::InCommit);
        }
    }
}

/// What the dispatcher knows once it has taken an event, which may have waited for the store.
fn learnt(event: &Event) -> Vec<history::Event> {
    let (action, called) = match event {
        Event::Called { action, called } => (action, called),
        Event::Nudge => return vec![history::Event::Nudged],
        Event::Resumed => return vec![history::Event::Shown],
        _ => return Vec::new(),
    };
    let mut learnt = vec![history::Event::Returned { action: *action }];
    if let Called::Attempted(attempted) = called
        && let Answer::TooMany { retry_after, .. } = &attempted.answer
    {
        let wait = retry_after.unwrap_or(limits::RETRY_AFTER_UNSAID);
        learnt.push(history::Event::TooMany { until: attempted.closed.boot + wait });
    }
    learnt
}

fn crossing(effect: &Effect) -> Crossing {
    match effect {
        Effect::Record { .. } => Crossing::BeforeRecord,
        Effect::Pause { .. } => Crossing::BeforePause,
        Effect::Load { .. } => Crossing::BeforeLoad,
        Effect::Sweep => Crossing::BeforeSweep,
        Effect::Call { .. } => Crossing::BeforeCall,
        Effect::List { .. } => Crossing::BeforeList,
    }
}
