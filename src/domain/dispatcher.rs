//! The heart of the relay, one for each tenant: what is called next, and what an answer means.
//!
//! [`Dispatcher::step`] takes one event and returns what is to be done about it. It waits for
//! nothing and asks no clock, so a day of storms and crashes can be run in milliseconds. Whoever
//! does the effects does them in order, each before the next and all before the next step; only
//! `Call` and `List` go on beside, and come back as events.

mod called;
mod endpoint;
mod queue;
mod start;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::{Begun, Call, Class, ClosedAttempt, Head, Heads, NewAttempt, State, StateName};
use super::answer::{Answer, ListQuery, Listing};
use super::audit::{Actor, Change, What};
use super::ids::{ActionId, TenantName};
use super::limiter::{Limit, Permit, Slot, Used};
use super::time::{Boot, Now, Stamp, Wall};
use super::tracker::{Move, Tracker, TrackerSettings};
use crate::limits;
use endpoint::Endpoint;
use queue::{Next, Queue};

#[derive(Clone, Debug)]
pub struct DispatcherSettings {
    pub tenant: TenantName,
    /// Of `StopAndQuarantineFile`.
    pub quarantine: Vec<Limit>,
    /// Of the list of machine actions.
    pub machine_actions: Vec<Limit>,
    /// The longest that a call takes from its first byte until the client gives up.
    pub client_timeout: Duration,
    pub tracker: TrackerSettings,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Time has passed: [`Dispatcher::next_wakeup`] has come.
    Wakeup,
    /// There may be new work in the store. Too many of them do no harm.
    Nudge,
    /// A pause may be over.
    Resumed,
    Loaded {
        class: Class,
        heads: Heads,
    },
    Called {
        action: ActionId,
        called: Called,
    },
    Listed {
        /// When the call was begun.
        sent: Boot,
        listing: Listing,
    },
    /// Queued and held actions whose time is over.
    Expired(Vec<(ActionId, StateName)>),
    /// Begin nothing more; go on with what is in hand.
    Stop,
}

/// How a `Call` went.
#[derive(Debug)]
pub enum Called {
    /// No attempt was written, hence nothing sent.
    NotBegun(NotBegun),
    Attempted(Box<Attempted>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotBegun {
    /// The store's reason; never [`Begun::Written`].
    Refused(Begun),
    /// The store failed; nothing was written.
    StoreFailed(String),
}

/// An attempt that was written, and its answer.
#[derive(Debug)]
pub struct Attempted {
    pub attempt: NewAttempt,
    pub call: Call,
    pub answer: Answer,
    /// When the answer was seen.
    pub closed: Stamp,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Close an attempt and apply changes, durably, in this order.
    Record { closed: Option<ClosedAttempt>, changes: Vec<Change> },
    /// Pause this tenant, durably.
    Pause { reason: String },
    /// Read the first due actions of a class.
    Load { class: Class },
    /// Read the actions whose time is over.
    Sweep,
    /// Write an attempt for that action and, if it is written, send it.
    Call { permit: Permit, action: ActionId },
    /// Read a page of machine actions.
    List { permit: Permit, query: ListQuery },
}

#[derive(Debug)]
pub struct Dispatcher {
    settings: DispatcherSettings,
    quarantine: Endpoint,
    machine_actions: Endpoint,
    queue: Queue,
    tracker: Tracker,
    calls: BTreeMap<ActionId, InFlight>,
    list: Option<Slot>,
    /// A load whose result has not come back yet.
    loading: bool,
    sweeping: bool,
    sweep_at: Boot,
    shut: Option<Shut>,
    stopping: bool,
    wakeup: Option<Boot>,
}

#[derive(Debug)]
struct InFlight {
    head: Head,
    slot: Slot,
}

/// No attempt can be written: a pause covers the tenant, or the store fails. One is tried now and
/// then, since only the store knows when that is over.
#[derive(Debug)]
struct Shut {
    why: String,
    since: Boot,
    probe_at: Boot,
}

/// Where a dispatcher stands: for status and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub used: Vec<Used>,
    pub in_flight: usize,
    /// Until when no call is made and why, where Defender is the reason.
    pub held: Option<(Wall, String)>,
    /// Why no attempt can be written, where the reason is here.
    pub shut: Option<String>,
    pub followed: usize,
    pub in_doubt: usize,
}

impl Dispatcher {
    /// Takes one event. Effects come in the order in which they have to be done.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Wakeup => {}
            Event::Nudge => self.queue.nudge(),
            Event::Resumed => {
                self.shut = None;
                // What was passed over may stand before what is here.
                self.queue.queued(now.wall);
            }
            Event::Loaded { class, heads } => {
                self.loading = false;
                let calls = &self.calls;
                self.queue.loaded(now.wall, class, heads, |action| calls.contains_key(&action));
            }
            Event::Called { action, called } => self.called(now, action, called, &mut effects),
            Event::Listed { sent, listing } => self.listed(now, sent, listing, &mut effects),
            Event::Expired(expired) => self.expired(now, expired, &mut effects),
            Event::Stop => self.stopping = true,
        }
        if !self.stopping {
            self.sweep(now, &mut effects);
            self.track(now, &mut effects);
            self.dispatch(now, &mut effects);
        }
        self.wakeup = self.wake_at(now);
        effects
    }

    /// When to send a `Wakeup` if nothing else happens before. Ages run on the wall clock, so a
    /// clock that is set forward makes this late, at most until the next sweep.
    pub fn next_wakeup(&self) -> Option<Boot> {
        self.wakeup
    }

    /// Nothing is in flight: a stopping dispatcher may be dropped.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.list.is_none()
    }

    pub fn snapshot(&self, now: Now) -> Snapshot {
        let (followed, in_doubt) = self.tracker.open();
        let held = self.quarantine.held(now.boot);
        Snapshot {
            used: self.quarantine.limiter.used(now.boot),
            in_flight: self.calls.len(),
            held: held.map(|(until, why)| (now.wall + until.since(now.boot), why.to_owned())),
            shut: self.shut.as_ref().map(|shut| shut.why.clone()),
            followed,
            in_doubt,
        }
    }

    fn sweep(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if now.boot >= self.sweep_at && !self.sweeping {
            self.sweeping = true;
            self.sweep_at = now.boot + limits::SWEEP_EVERY;
            // A nudge may have been lost, or its sender.
            self.queue.queued(now.wall);
            effects.push(Effect::Sweep);
        }
    }

    fn track(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.list.is_some() || self.tracker.wake_at().is_none_or(|at| at > now.boot) {
            return;
        }
        if let Ok((permit, slot)) = self.machine_actions.limiter.take(now.boot) {
            self.list = Some(slot);
            effects.push(Effect::List { permit, query: self.tracker.query(now) });
        }
    }

    fn dispatch(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while self.may_call(now) {
            match self.queue.next(now.wall) {
                Next::Nothing => return,
                Next::Load(class) => {
                    self.loading = true;
                    effects.push(Effect::Load { class });
                }
                Next::Due(class) => {
                    let Ok((permit, slot)) = self.quarantine.limiter.take(now.boot) else { return };
                    let Some(head) = self.queue.take(class) else { return };
                    effects.push(Effect::Call { permit, action: head.action });
                    self.calls.insert(head.action, InFlight { head, slot });
                    if let Some(shut) = &mut self.shut {
                        shut.probe_at = now.boot + limits::SHUT_PROBE;
                    }
                }
            }
        }
    }

    fn may_call(&self, now: Now) -> bool {
        let shut = self.shut.as_ref().is_some_and(|shut| shut.probe_at > now.boot);
        let free = self.quarantine.limiter.free_at(now.boot).is_some_and(|at| at <= now.boot);
        !self.loading && !shut && free && self.calls.len() < self.in_flight_max()
    }

    fn in_flight_max(&self) -> usize {
        if self.quarantine.ailing() { 1 } else { limits::IN_FLIGHT_PER_TENANT }
    }

    fn listed(&mut self, now: Now, sent: Boot, listing: Listing, effects: &mut Vec<Effect>) {
        let Some(slot) = self.list.take() else { return };
        // A list that failed may not even have arrived yet.
        let failed = matches!(listing, Listing::Failed { .. });
        let late = if failed { limits::COUNTED_LATE } else { Duration::ZERO };
        self.machine_actions.limiter.release(slot, now.boot + late);
        let moves = match listing {
            Listing::Page { entries, read } => {
                self.machine_actions.answered();
                self.tracker.page(now, entries, read)
            }
            Listing::TooMany { retry_after, text } => {
                self.machine_actions.too_many(now.boot, retry_after, &text);
                self.tracker.failed();
                return;
            }
            Listing::Unauthorized { text } => {
                self.machine_actions.unauthorized(now.boot, sent, &text);
                self.tracker.failed();
                return;
            }
            Listing::Failed { .. } => {
                self.tracker.failed();
                return;
            }
        };
        for moved in &moves {
            if let State::Queued { not_before, .. } = &moved.to {
                self.queue.queued(*not_before);
            }
        }
        self.record(now, moves, effects);
    }

    fn expired(
        &mut self,
        now: Now,
        expired: Vec<(ActionId, StateName)>,
        effects: &mut Vec<Effect>,
    ) {
        self.sweeping = false;
        if expired.len() >= limits::SWEEP_BATCH {
            self.sweep_at = now.boot;
        }
        let moved = |(action, from)| Move {
            action,
            from,
            to: State::Expired,
            why: "its time was over before it could be sent".to_owned(),
        };
        self.record(now, expired.into_iter().map(moved).collect(), effects);
    }

    fn record(&self, now: Now, moves: Vec<Move>, effects: &mut Vec<Effect>) {
        let mut changes = moves.into_iter().map(|moved| self.change(now, moved)).peekable();
        while changes.peek().is_some() {
            let changes = changes.by_ref().take(limits::RECORD_BATCH).collect();
            effects.push(Effect::Record { closed: None, changes });
        }
    }

    fn change(&self, now: Now, moved: Move) -> Change {
        let Move { action, from, to, why } = moved;
        Change {
            tenant: Some(self.settings.tenant.clone()),
            actor: Actor::Lazaret,
            reason: why,
            at: now.wall,
            what: What::Moved { action, from, to },
        }
    }

    fn wake_at(&self, now: Now) -> Option<Boot> {
        if self.stopping {
            return None;
        }
        let sweep = (!self.sweeping).then_some(self.sweep_at);
        let track = self
            .tracker
            .wake_at()
            .filter(|_| self.list.is_none())
            .and_then(|at| Some(at.max(self.machine_actions.limiter.free_at(now.boot)?)));
        let dispatch = self.queue.wake_at(now.wall).and_then(|due| {
            let idle = !self.loading && self.calls.len() < self.in_flight_max();
            let free = self.quarantine.limiter.free_at(now.boot).filter(|_| idle)?;
            let probe = self.shut.as_ref().map_or(free, |shut| shut.probe_at);
            Some(now.boot_at(due).max(free).max(probe))
        });
        [sweep, track, dispatch].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
