//! The budget: an exact sliding log over every window at once.
//!
//! A slot is taken before a call is sent and is free again 1.001 × window after the call was
//! completed. A server that counts the call anywhere between these two moments then counts no more
//! than the limit in any window, fixed or sliding, and a token bucket of that capacity never runs
//! dry: of the calls in such a window take the one sent last; every other one was completed less
//! than a window before, so it still had its slot. The 0.1 % is for clocks that run at different
//! speeds, of which synchronised ones use half at most.

mod forecast;
mod log;
mod pace;
mod share;

use std::cmp::Reverse;
use std::num::NonZeroU32;
use std::time::Duration;

use super::action::{AttemptRow, Closed};
use super::planted::{Bug, planted};
use super::time::{Boot, Clocks, Now};
use crate::limits;
pub use forecast::{Forecast, Starts};
use log::Log;
pub use pace::Pace;

/// At most so many calls in any window of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub calls: NonZeroU32,
    pub per: Duration,
}

impl Limit {
    /// `None` where there is nothing to allow or no time to allow it in.
    pub fn new(calls: u32, per: Duration) -> Option<Self> {
        let calls = NonZeroU32::new(calls)?;
        (!per.is_zero()).then_some(Self { calls, per })
    }

    /// The larger, the fewer calls it allows for its length; of equals the shorter is scarcer.
    /// The scarcest of several is what binds where calls are made all the time.
    pub fn scarcity(self) -> impl Ord {
        (self.per / self.calls.get(), Reverse(self.per))
    }

    /// How long a slot stays taken after its call was completed.
    fn occupied(self) -> Duration {
        self.per + self.per / 1000
    }
}

/// The right to make one call. Only the limiter makes one, and a call consumes it.
#[derive(Debug)]
pub struct Permit {
    _private: (),
}

#[cfg(test)]
impl Permit {
    /// A permit out of thin air, for tests of what spends them.
    pub(crate) fn for_tests() -> Self {
        Self { _private: () }
    }
}

/// The place that a call takes in the log from before it is sent. It can be released once, and
/// stays taken where it never is.
#[derive(Debug)]
#[must_use]
pub struct Slot {
    _private: (),
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// Full, blocked or paced until then, if nothing else happens before.
    Until(Boot),
    /// As many calls are in flight as a whole window allows: a slot becomes free only some time
    /// after one of them is answered.
    Busy,
}

/// How full one window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub limit: Limit,
    pub calls: u32,
}

/// The budget of one endpoint of one tenant.
#[derive(Debug)]
pub struct Limiter {
    log: Log,
}

impl Limiter {
    /// A log that remembers nothing of earlier runs: right only where there were none.
    pub fn new(limits: Vec<Limit>) -> Self {
        Self { log: Log::new(limits) }
    }

    /// A log whose earlier runs are forgotten: for the length of its longest window calls are
    /// spread evenly.
    pub fn paced(limits: Vec<Limit>, now: Boot) -> Self {
        Self { log: Log::forgotten(limits, now) }
    }

    /// The log as the durable attempts tell it. The connection of one without an answer may have
    /// been open for as long as a call may take, at most until now, and the server may count it
    /// [`limits::COUNTED_LATE`] after that.
    pub fn resume(limits: Vec<Limit>, attempts: &[AttemptRow], now: Now, clocks: Clocks) -> Self {
        let behind = |row: &AttemptRow| {
            row.written.wall > now.wall
                || row.closed.is_some_and(|closed| closed.at.wall > now.wall)
        };
        let wall_trusted = clocks.wall_trusted && !attempts.iter().any(behind);
        let clocks = Clocks { wall_trusted, ..clocks };
        let mut log = Log::new(limits);
        for row in attempts {
            let unanswered = row.closed.is_none() && planted(Bug::ForgetUnanswered);
            if unanswered || planted(Bug::ForgetWindows) {
                continue;
            }
            let completed = match row.closed {
                Some(Closed { at, answered: true, .. }) => at.on_boot_clock(now, clocks),
                Some(Closed { at, .. }) => at.on_boot_clock(now, clocks) + limits::COUNTED_LATE,
                None => {
                    let send_by = row.send_by.on_boot_clock(now, clocks);
                    let open = (send_by + limits::CALL_TIMEOUT).min(now.boot);
                    send_by.max(open) + limits::COUNTED_LATE
                }
            };
            log.insert(completed);
        }
        log.forget_old(now.boot);
        Self { log }
    }

    /// Takes a slot in every window, or says why there is none.
    pub fn take(&mut self, now: Boot) -> Result<(Permit, Slot), NotNow> {
        let free_at = self.free_at(now).ok_or(NotNow::Busy)?;
        if free_at > now {
            return Err(NotNow::Until(free_at));
        }
        self.log.take(now);
        Ok((Permit { _private: () }, Slot { _private: () }))
    }

    /// The call was completed at `at`: an answer or a definite failure was seen, or the server
    /// can't count it later than that.
    pub fn release(&mut self, slot: Slot, at: Boot) {
        let Slot { _private: () } = slot;
        self.log.release(at);
    }

    /// Nothing was sent, nor will be: the slot was never used.
    pub fn give_back(&mut self, slot: Slot) {
        let Slot { _private: () } = slot;
        self.log.give_back();
    }

    /// No call before `until`. The latest of several counts.
    pub fn block_until(&mut self, until: Boot) {
        self.log.block_until(until);
    }

    /// Until when no call is made, if so.
    pub fn blocked_until(&self, now: Boot) -> Option<Boot> {
        self.log.blocked(now)
    }

    /// The server refused a call for their number although none was too many: others use the same
    /// budget. What is ours of every limit is smaller from now on, and grows back.
    pub fn shrink(&mut self, now: Boot) {
        self.log.shrink(now);
    }

    /// What of every limit is ours, in thousandths.
    pub fn share(&self, now: Boot) -> u32 {
        self.log.share(now)
    }

    /// When to ask again for a slot if nothing is released before; `None` where only a release can
    /// help.
    pub fn free_at(&self, now: Boot) -> Option<Boot> {
        self.log.free_at(now, 0)
    }

    /// How full each window is, calls in flight included.
    pub fn used(&self, now: Boot) -> Vec<Used> {
        self.log.used(now)
    }
}

#[cfg(test)]
mod tests;
