//! When each queued action is expected to start, by the same log and pace that decide it.

use std::time::Duration;

use super::log::Log;
use super::{Limiter, Pace};
use crate::domain::action::Class;
use crate::domain::time::{Boot, Now, Wall};

/// Where the budget of an endpoint stood at one moment. Cheap enough to be made at every step, as
/// the log is not copied: what costs is looking ahead.
#[derive(Clone, Debug)]
pub struct Forecast {
    log: Log,
    pace: Pace,
    now: Now,
}

/// Expected starts by position. What comes later and goes before moves them back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starts {
    now: Now,
    urgent: Cycle,
    others: Cycle,
}

/// The first starts one by one; those after them repeat the last window of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cycle {
    starts: Vec<Boot>,
    calls: usize,
    window: Duration,
}

impl Forecast {
    pub fn new(limiter: &Limiter, pace: &Pace, now: Now) -> Self {
        Self { log: limiter.log.clone(), pace: pace.clone(), now }
    }

    /// The starts of so many urgent actions that are due, and of so many others behind them.
    pub fn starts(&self, urgent: u64, others: u64) -> Starts {
        let mut ahead = Ahead { log: self.log.clone(), pace: self.pace.clone(), at: self.now.boot };
        ahead.log.settle(ahead.at);
        let (mut first, mut then) = (self.cycle(0), self.cycle(self.pace.reserve()));
        for _ in 0..first.looked_at(urgent) {
            let start = ahead.next(|log, _, at| log.free_at(at, 0));
            first.starts.push(start);
            ahead.pace.called_evenly(start);
        }
        for n in 0..then.looked_at(others) {
            let start = ahead.next(|log, pace, at| pace.free_in(log, others - n, at));
            then.starts.push(start);
            let again = (then.calls / 100).max(1);
            match then.starts.len().is_multiple_of(again) {
                true => ahead.pace.called_in(&ahead.log, start),
                false => ahead.pace.called_evenly(start),
            }
        }
        Starts { now: self.now, urgent: first, others: then }
    }

    fn cycle(&self, kept: u32) -> Cycle {
        let (calls, window) = self.log.whole(kept);
        Cycle { starts: Vec::new(), calls, window }
    }
}

/// The log and the pace as they will be.
struct Ahead {
    log: Log,
    pace: Pace,
    at: Boot,
}

impl Ahead {
    fn next(&mut self, free_at: impl Fn(&Log, &Pace, Boot) -> Option<Boot>) -> Boot {
        // A share that grows gives a time to ask again.
        while let Some(free) = free_at(&self.log, &self.pace, self.at).filter(|at| *at > self.at) {
            self.at = free;
        }
        self.log.take(self.at);
        self.log.release(self.at);
        self.at
    }
}

impl Starts {
    /// Of an action that so many of its kind go before: urgent ones, or all others. `None` past
    /// what was asked for.
    pub fn start(&self, class: Class, before: u64) -> Option<Boot> {
        let cycle = if class == Class::Urgent { &self.urgent } else { &self.others };
        cycle.start(before)
    }

    /// The same on the wall clock.
    pub fn wall(&self, class: Class, before: u64) -> Option<Wall> {
        let start = self.start(class, before)?;
        Some(self.now.wall + start.since(self.now.boot))
    }
}

impl Cycle {
    /// How many starts are found one by one: two windows of them.
    fn looked_at(&self, wanted: u64) -> u64 {
        wanted.min(2 * self.calls as u64)
    }

    fn start(&self, before: u64) -> Option<Boot> {
        let known = self.starts.len() as u64;
        if before < known {
            return self.starts.get(usize::try_from(before).ok()?).copied();
        }
        let calls = self.calls as u64;
        let windows = (before - known) / calls.max(1) + 1;
        let like = before.checked_sub(windows * calls)?;
        let start = self.starts.get(usize::try_from(like).ok()?)?;
        Some(*start + self.window * u32::try_from(windows).unwrap_or(u32::MAX))
    }
}
