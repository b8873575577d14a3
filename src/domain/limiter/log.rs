//! The log itself: which slots are taken, when the next one is free, and how evenly those that are
//! left can be spent. It gives no permits, so that a copy of it may be used to look ahead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::share::Share;
use super::{Limit, Used};
use crate::domain::planted::{Bug, planted};
use crate::domain::time::Boot;

/// The slots of every window of one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Log {
    limits: Vec<Limit>,
    in_flight: usize,
    /// When each call was completed, ascending. No older than the longest window. Whoever looks on
    /// shares it until the next call.
    completed: Arc<VecDeque<Boot>>,
    blocked_until: Option<Boot>,
    share: Share,
    forgotten: Option<Forgotten>,
}

/// Calls are spread evenly until what an earlier run used has left every window.
#[derive(Clone, Debug)]
struct Forgotten {
    until: Boot,
    every: Duration,
    next: Boot,
}

impl Log {
    pub fn new(limits: Vec<Limit>) -> Self {
        let (completed, share) = (Arc::default(), Share::FULL);
        Self { limits, in_flight: 0, completed, blocked_until: None, share, forgotten: None }
    }

    pub fn forgotten(limits: Vec<Limit>, now: Boot) -> Self {
        let every = limits.iter().map(|limit| limit.per / limit.calls.get()).max();
        let until = now + limits.iter().map(|limit| limit.occupied()).max().unwrap_or_default();
        let forgotten = every.map(|every| Forgotten { until, every, next: now });
        Self { forgotten, ..Self::new(limits) }
    }

    pub fn take(&mut self, now: Boot) {
        self.forget_old(now);
        self.in_flight += 1;
        if let Some(forgotten) = &mut self.forgotten {
            forgotten.next = now + forgotten.every;
        }
    }

    pub fn release(&mut self, at: Boot) {
        self.in_flight -= 1;
        self.insert(at);
    }

    pub fn give_back(&mut self) {
        self.in_flight -= 1;
    }

    /// Counts everything in flight as completed at `at`: for looking ahead.
    pub fn settle(&mut self, at: Boot) {
        while self.in_flight > 0 {
            self.release(at);
        }
    }

    pub fn block_until(&mut self, until: Boot) {
        self.blocked_until = self.blocked_until.max(Some(until));
    }

    pub fn blocked(&self, now: Boot) -> Option<Boot> {
        self.blocked_until.filter(|until| *until > now)
    }

    pub fn shrink(&mut self, now: Boot) {
        self.share.shrink(now);
    }

    /// In thousandths.
    pub fn share(&self, now: Boot) -> u32 {
        self.share.at(now)
    }

    /// When the newest call was completed, as far as it is known.
    pub fn newest(&self) -> Option<Boot> {
        self.completed.back().copied()
    }

    /// When a call may be made that leaves `kept` slots of the scarcest window untouched, if
    /// nothing is released before; where the share grows before that, then. `None` where only a
    /// release can help.
    pub fn free_at(&self, now: Boot, kept: u32) -> Option<Boot> {
        let mut free_at = self.blocked_until.unwrap_or(now).max(now);
        if let Some(forgotten) = self.forgotten.as_ref().filter(|of| now < of.until) {
            free_at = free_at.max(forgotten.next);
        }
        for limit in &self.limits {
            if planted(Bug::TokenBucket) {
                // Full at first, and then one every so often: it lets through twice the limit.
                let every = limit.per / limit.calls.get();
                let burst = self.completed.len() + self.in_flight < limit.calls.get() as usize;
                let next = self.newest().filter(|_| !burst).map(|last| last + every);
                free_at = free_at.max(next.unwrap_or(now));
                continue;
            }
            // So many of the newest may still be in the window when the next call is sent.
            let spare = (self.calls(limit, now, kept) - 1).checked_sub(self.in_flight)?;
            if let Some(last) = self.completed.len().checked_sub(spare + 1) {
                free_at = free_at.max(self.completed[last] + limit.occupied());
            }
        }
        let grows = self.share.grows_at(now).filter(|_| free_at > now);
        Some(grows.map_or(free_at, |grows| free_at.min(grows)))
    }

    /// The slots of the scarcest window beside `kept`: how many there are, and how many of them are
    /// free.
    pub fn room(&self, now: Boot, kept: u32) -> (usize, usize) {
        let Some(scarcest) = self.scarcest() else { return (usize::MAX, usize::MAX) };
        let calls = self.calls(scarcest, now, kept);
        (calls, calls.saturating_sub(self.taken(scarcest, now)))
    }

    /// The gap between calls with which the slots beside `kept` that are free now, and those that
    /// become free, last evenly: a call after each such gap always finds one.
    pub fn gap(&self, now: Boot, kept: u32) -> Duration {
        let Some(scarcest) = self.scarcest() else { return Duration::ZERO };
        let calls = self.calls(scarcest, now, kept);
        let even = scarcest.occupied() / u32::try_from(calls).unwrap_or(u32::MAX);
        let missing = self.taken(scarcest, now).saturating_sub(calls);
        let free = calls.saturating_sub(self.taken(scarcest, now));
        // Before the nth slot comes back so many calls may have been made, and this one.
        let back = self.completed.iter().map(|at| (*at + scarcest.occupied()).since(now));
        let back = back.filter(|wait| !wait.is_zero()).skip(missing);
        let gaps = back
            .zip(free + 1..)
            .map(|(wait, calls)| wait / u32::try_from(calls).unwrap_or(u32::MAX));
        gaps.fold(even, Duration::max)
    }

    /// The calls of the scarcest window beside `kept`, were nothing of it anybody else's, and how
    /// long it is.
    pub fn whole(&self, kept: u32) -> (usize, Duration) {
        let Some(scarcest) = self.scarcest() else { return (usize::MAX, Duration::ZERO) };
        let calls = scarcest.calls.get().saturating_sub(kept).max(1);
        (calls as usize, scarcest.occupied())
    }

    /// How full each window is, calls in flight included.
    pub fn used(&self, now: Boot) -> Vec<Used> {
        let used = |limit: &Limit| Used {
            limit: *limit,
            calls: u32::try_from(self.taken(limit, now)).unwrap_or(u32::MAX),
        };
        self.limits.iter().map(used).collect()
    }

    fn longest(&self) -> Option<&Limit> {
        self.limits.iter().max_by_key(|limit| limit.per)
    }

    fn scarcest(&self) -> Option<&Limit> {
        self.limits.iter().max_by_key(|limit| limit.scarcity())
    }

    /// What of a limit is ours, at least one call; of the scarcest one without `kept`.
    fn calls(&self, limit: &Limit, now: Boot, kept: u32) -> usize {
        let kept = if self.scarcest() == Some(limit) { kept as usize } else { 0 };
        self.share.of(limit.calls.get(), now).saturating_sub(kept).max(1)
    }

    fn taken(&self, limit: &Limit, now: Boot) -> usize {
        let since = now - limit.occupied();
        let old = self.completed.partition_point(|at| *at <= since);
        self.in_flight + self.completed.len() - old
    }

    pub fn insert(&mut self, completed: Boot) {
        let place = self.completed.partition_point(|at| *at <= completed);
        Arc::make_mut(&mut self.completed).insert(place, completed);
    }

    pub fn forget_old(&mut self, now: Boot) {
        let longest = self.longest().map(|limit| limit.occupied()).unwrap_or_default();
        let old = self.completed.partition_point(|at| *at + longest <= now);
        if old > 0 {
            Arc::make_mut(&mut self.completed).drain(..old);
        }
    }
}
