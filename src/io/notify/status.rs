//! How a channel fares, for status and metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::domain::time::Wall;
use crate::io::ChannelLine;

/// Written by the channel, read by whoever asks.
pub struct ChannelStatus {
    state: Mutex<State>,
}

struct State {
    line: ChannelLine,
    /// By lane.
    lag: BTreeMap<String, u64>,
}

impl ChannelStatus {
    pub(super) fn new(name: &str) -> Self {
        let line = ChannelLine { name: name.to_owned(), ..ChannelLine::default() };
        Self { state: Mutex::new(State { line, lag: BTreeMap::new() }) }
    }

    pub fn line(&self) -> ChannelLine {
        let state = self.lock();
        let lag = state.lag.values().copied().max().unwrap_or(0);
        ChannelLine { lag, ..state.line.clone() }
    }

    pub(super) fn delivered(&self, count: u64, at: Wall) {
        let line = &mut self.lock().line;
        line.delivered += count;
        line.last_delivered = Some(at);
        (line.failing_since, line.error) = (None, None);
    }

    /// `true` where this is the first failure in a row.
    pub(super) fn failing(&self, why: &str, at: Wall) -> bool {
        let line = &mut self.lock().line;
        let first = line.failing_since.is_none();
        line.failing_since = line.failing_since.or(Some(at));
        line.error = Some(why.to_owned());
        first
    }

    pub(super) fn gave_up(&self, why: &str, at: Wall) {
        self.failing(why, at);
        self.lock().line.given_up += 1;
    }

    pub(super) fn lags(&self, lane: &str, changes: i64) {
        let changes = u64::try_from(changes).unwrap_or(0);
        self.lock().lag.insert(lane.to_owned(), changes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }
}
