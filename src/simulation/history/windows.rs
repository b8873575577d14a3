//! The server's own counts, as strictly as any server could keep them.

use std::collections::VecDeque;

use crate::domain::limiter::Limit;

/// One limit: the exact sliding log, and a bucket of that capacity.
pub struct Window {
    limit: Limit,
    per: i64,
    counted: VecDeque<i64>,
    level: f64,
    last: i64,
}

impl Window {
    pub fn new(limit: &Limit) -> Self {
        let per = i64::try_from(limit.per.as_micros()).expect("a window of less than ages");
        let level = f64::from(limit.calls.get());
        Self { limit: *limit, per, counted: VecDeque::new(), level, last: 0 }
    }

    /// Counts a call, or says how it exceeds the limit.
    pub fn count(&mut self, time: i64) -> Result<(), String> {
        while self.counted.front().is_some_and(|at| *at <= time - self.per) {
            self.counted.pop_front();
        }
        self.counted.push_back(time);
        if self.counted.len() > self.limit.calls.get() as usize {
            return Err(format!("{} calls within {:?}", self.counted.len(), self.limit.per));
        }
        let capacity = f64::from(self.limit.calls.get());
        let refill = (time - self.last) as f64 * capacity / self.per as f64;
        (self.level, self.last) = ((self.level + refill).min(capacity) - 1.0, time);
        if self.level < -1e-6 {
            return Err(format!("the bucket of {:?} runs dry", self.limit));
        }
        Ok(())
    }
}
