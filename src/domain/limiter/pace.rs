//! When what is not urgent may go: at once while the scarcest window has room for all of it, else
//! evenly over that window. Spent as fast as it allows, the hour would be gone in a quarter of it,
//! and an urgent action would wait for the rest; spent evenly, a slot comes back every few seconds.

use std::time::Duration;

use super::Limiter;
use super::log::Log;
use crate::domain::time::Boot;
use crate::limits::{PACE_CATCHES_UP, PACE_LEAVES};

/// The even schedule of one endpoint.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Slots of the scarcest window that only urgent calls take.
    reserve: u32,
    /// The gap after the newest call, and when the schedule has the next one.
    gap: Duration,
    next: Boot,
    last: Boot,
}

impl Pace {
    /// Goes on from the newest call that the log knows of.
    pub fn new(reserve: u32, limiter: &Limiter, now: Boot) -> Self {
        let gap = limiter.log.gap(now, reserve);
        let last = limiter.log.newest().map_or(now - gap, |newest| newest.min(now));
        Self { reserve, gap, next: last + gap, last }
    }

    /// When a call that is not urgent may be made, if `backlog` of them are due; `None` where only
    /// an answer can help.
    pub fn free_at(&self, limiter: &Limiter, backlog: u64, now: Boot) -> Option<Boot> {
        self.free_in(&limiter.log, backlog, now)
    }

    /// A call was made.
    pub fn called(&mut self, limiter: &Limiter, now: Boot) {
        self.called_in(&limiter.log, now);
    }

    /// Nothing was sent by the newest call: its turn is the next one's.
    pub fn not_called(&mut self) {
        self.next = self.next - self.gap;
        self.last = self.last - self.gap;
    }

    pub(super) fn reserve(&self) -> u32 {
        self.reserve
    }

    pub(super) fn free_in(&self, log: &Log, backlog: u64, now: Boot) -> Option<Boot> {
        let free = log.free_at(now, self.reserve)?;
        let (calls, room) = log.room(now, self.reserve);
        let (calls, room) = (calls as u64, room as u64);
        if backlog.saturating_add(calls / PACE_LEAVES) <= room {
            return Some(free);
        }
        // Late calls are made up for, at most twice as fast.
        Some(free.max(self.next).max(self.last + self.gap / 2))
    }

    pub(super) fn called_in(&mut self, log: &Log, now: Boot) {
        self.gap = log.gap(now, self.reserve);
        self.called_evenly(now);
    }

    /// The same with the gap before: for looking ahead, where finding it each time costs too much.
    pub(super) fn called_evenly(&mut self, now: Boot) {
        self.next = self.next.clamp(now - PACE_CATCHES_UP, now) + self.gap;
        self.last = now;
    }
}
