//! The heart of the relay, one for each tenant: what is called next, and what an answer means.
//!
//! [`Dispatcher::step`] takes one event and returns what is to be done about it. It waits for
//! nothing and asks no clock, so a day of storms and crashes can be run in milliseconds. Whoever
//! does the effects does them in order, each before the next and all before the next step; only
//! `Call` and `List` go on beside, and come back as events.

mod called;
mod endpoint;
mod paces;
mod queue;
mod snapshot;
mod start;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::{
    Begun, Call, Class, ClosedAttempt, Depth, Head, Heads, NewAttempt, State, StateName,
};
use super::answer::{Answer, ListQuery, Listing};
use super::audit::{Actor, Change, What};
use super::ids::{ActionId, TenantName};
use super::limiter::{Limit, Permit, Slot};
use super::time::{Boot, Now, Stamp, Wall};
use super::tracker::{Found, Move, Tracker, TrackerSettings};
use crate::limits;
use endpoint::Endpoint;
use paces::Paces;
use queue::{Next, Queue};
pub use snapshot::Snapshot;

#[derive(Clone, Debug)]
pub struct DispatcherSettings {
    pub tenant: TenantName,
    /// Of `StopAndQuarantineFile`.
    pub quarantine: Vec<Limit>,
    /// Calls of its scarcest window that are kept for what came as urgent.
    pub reserve: u32,
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
    Load { class: Class, depth: Depth },
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
    paces: Paces,
    machine_actions: Endpoint,
    queue: Queue,
    tracker: Tracker,
    calls: BTreeMap<ActionId, InFlight>,
    list: Option<Slot>,
    /// Since when lists fail, and why the last one did.
    unlisted: Option<(Wall, String)>,
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
            let limiter = &mut self.quarantine.limiter;
            let may = self.paces.may_go(limiter, self.queue.due(), now.boot);
            match self.queue.next(now.wall, may) {
                Next::Nothing => return,
                Next::Load(class) => {
                    self.loading = true;
                    effects.push(Effect::Load { class, depth: self.depth() });
                }
                Next::Due(class) => {
                    let Ok((permit, slot)) = limiter.take(now.boot) else { return };
                    let Some(head) = self.queue.take(class) else { return };
                    self.paces.called(class, limiter, now.boot);
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

    /// More behind the heads than the longest window has are not told apart.
    fn depth(&self) -> Depth {
        let calls = self.settings.quarantine.iter().map(|limit| limit.calls.get());
        let counted = calls.max().unwrap_or_default().into();
        Depth { heads: limits::HEADS_PER_CLASS, counted }
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
        let Found { moves, progress } = match listing {
            Listing::Page { entries, read, next } => {
                self.machine_actions.answered();
                self.unlisted = None;
                self.tracker.page(now, entries, read, next)
            }
            Listing::TooMany { retry_after, text } => {
                self.machine_actions.too_many(now.boot, sent, retry_after, &text);
                return self.unlisted(now, text);
            }
            Listing::Unauthorized { text } => {
                self.machine_actions.unauthorized(now.boot, sent, &text);
                return self.unlisted(now, text);
            }
            Listing::Failed { text } => return self.unlisted(now, text),
        };
        for moved in &moves {
            if let State::Queued { not_before, .. } = &moved.to {
                self.queue.queued(*not_before);
            }
        }
        self.record(now, moves, effects);
        let progressed = |(action, to)| {
            let reason = "Defender's list of machine actions".to_owned();
            self.note(now, reason, What::Progressed { action, to })
        };
        effects.extend(records(progress.into_iter().map(progressed)));
    }

    fn unlisted(&mut self, now: Now, why: String) {
        self.tracker.failed();
        let since = self.unlisted.take().map_or(now.wall, |(since, _)| since);
        self.unlisted = Some((since, why));
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
        effects.extend(records(moves.into_iter().map(|moved| self.change(now, moved))));
    }

    fn change(&self, now: Now, moved: Move) -> Change {
        let Move { action, from, to, why } = moved;
        self.note(now, why, What::Moved { action, from, to })
    }

    fn note(&self, now: Now, reason: String, what: What) -> Change {
        let tenant = Some(self.settings.tenant.clone());
        Change { tenant, actor: Actor::Lazaret, reason, at: now.wall, what }
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
        let dispatch = self.dispatch_at(now);
        [sweep, track, dispatch].into_iter().flatten().min()
    }

    fn dispatch_at(&self, now: Now) -> Option<Boot> {
        if self.loading || self.calls.len() >= self.in_flight_max() {
            return None;
        }
        let (urgent, others) = self.queue.wake_at(now.wall);
        let (limiter, due) = (&self.quarantine.limiter, self.queue.due());
        let has_risen = self.queue.has_risen(now.wall);
        let urgent = urgent.zip(limiter.free_at(now.boot));
        let others = others.zip(self.paces.others_free_at(has_risen, limiter, due, now.boot));
        let (due, free) = urgent
            .into_iter()
            .chain(others)
            .min_by_key(|(due, free)| now.boot_at(*due).max(*free))?;
        let probe = self.shut.as_ref().map_or(free, |shut| shut.probe_at);
        Some(now.boot_at(due).max(free).max(probe))
    }
}

/// In pieces that each fit one transaction.
fn records(changes: impl Iterator<Item = Change>) -> Vec<Effect> {
    let mut changes = changes.peekable();
    let mut effects = Vec::new();
    while changes.peek().is_some() {
        let changes = changes.by_ref().take(limits::RECORD_BATCH).collect();
        effects.push(Effect::Record { closed: None, changes });
    }
    effects
}

#[cfg(test)]
mod tests;
