//! One endpoint of one tenant: its budget, and whether it can be used at all.

use std::time::Duration;

use crate::domain::action::AttemptRow;
use crate::domain::limiter::Limiter;
use crate::domain::planted::{Bug, planted};
use crate::domain::time::{Boot, Clocks, Now};
use crate::domain::tracker::doubling;
use crate::limits;

#[derive(Debug)]
pub(super) struct Endpoint {
    pub limiter: Limiter,
    /// Calls in a row of which nothing reached Defender, or that it left without an answer.
    failed: u32,
    /// Tokens in a row that were refused, and when the last one was.
    unauthorized: u32,
    unauthorized_at: Option<Boot>,
    shrunk_at: Option<Boot>,
    /// The last answer was a 429.
    refuses: bool,
    why_blocked: String,
}

impl Endpoint {
    pub fn new(limiter: Limiter) -> Self {
        Self {
            limiter,
            failed: 0,
            unauthorized: 0,
            unauthorized_at: None,
            shrunk_at: None,
            refuses: false,
            why_blocked: String::new(),
        }
    }

    /// Until when no call is made and why, if so.
    pub fn blocked(&self, now: Boot) -> Option<(Boot, &str)> {
        self.limiter.blocked_until(now).map(|until| (until, self.why_blocked.as_str()))
    }

    /// It has failed just now in a way that the next call would fail too: one at a time is enough
    /// to find out when it works again.
    pub fn ailing(&self) -> bool {
        self.refuses || self.failed >= limits::FAILED_IN_A_ROW || self.unauthorized > 0
    }

    /// Defender took the call or refused it for what it was.
    pub fn answered(&mut self) {
        self.refuses = false;
        self.failed = 0;
        self.unauthorized = 0;
        self.unauthorized_at = None;
    }

    /// A call sent at `sent` was one too many, although it was not by our log. Calls that were
    /// under way together met the same refusal and shrink the budget once.
    pub fn too_many(&mut self, now: Boot, sent: Boot, retry_after: Option<Duration>, text: &str) {
        self.failed = 0;
        if self.shrunk_at.is_none_or(|at| sent >= at) {
            self.limiter.shrink(now);
            self.shrunk_at = Some(now);
        }
        self.refuses = true;
        let wait = retry_after.unwrap_or(limits::RETRY_AFTER_UNSAID);
        if !planted(Bug::IgnoreRetryAfter) {
            self.block(now + wait, text);
        }
    }

    /// The token of a call sent at `sent` was refused. Calls that were under way together had the
    /// same token and count once. The first refusal costs no wait: a new token may do.
    pub fn unauthorized(&mut self, now: Boot, sent: Boot, text: &str) {
        self.failed = 0;
        if self.unauthorized_at.is_some_and(|at| sent < at) {
            return;
        }
        self.unauthorized += 1;
        self.unauthorized_at = Some(now);
        if self.unauthorized > 1 {
            let wait = doubling(limits::UNAUTHORIZED_HOLD, self.unauthorized - 2);
            self.block(now + wait, text);
        }
    }

    /// Nothing reached Defender, or it left the call without an answer. After some in a row it is
    /// given time, else an outage would take the whole budget.
    pub fn failed(&mut self, now: Boot, why: &str) {
        self.failed += 1;
        if self.failed >= limits::FAILED_IN_A_ROW {
            self.block(now + limits::FAILED_HOLD, why);
        }
    }

    /// Goes on after a start from how the newest call ended. How long a 429 has said to wait is
    /// not on record: one call finds out, a minute after it.
    pub fn resume(&mut self, attempts: &[AttemptRow], now: Now, clocks: Clocks) {
        let closed = attempts.iter().filter_map(|row| row.closed);
        let ends = closed.map(|closed| (closed.at.on_boot_clock(now, clocks), closed.status));
        if let Some((at, Some(429))) = ends.max_by_key(|(at, _)| *at) {
            self.too_many(at, at, None, "429 before the start");
        }
    }

    fn block(&mut self, until: Boot, why: &str) {
        self.limiter.block_until(until);
        self.why_blocked = why.to_owned();
    }
}
