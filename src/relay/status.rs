//! Where a relay stands, for whoever wants to look: the console, the status command, the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::answer::Answer;
use crate::domain::dispatcher::Snapshot;

/// The newest snapshot, and what was counted since the start.
#[derive(Debug, Default)]
pub struct RelayStatus {
    snapshot: Mutex<Snapshot>,
    answers: Mutex<BTreeMap<&'static str, u64>>,
}

impl RelayStatus {
    /// As of the last step, which is at most half a minute ago.
    pub fn snapshot(&self) -> Snapshot {
        lock(&self.snapshot).clone()
    }

    /// By [`Answer::kind`].
    pub fn answers(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.answers).clone()
    }

    pub(super) fn set(&self, snapshot: Snapshot) {
        *lock(&self.snapshot) = snapshot;
    }

    pub(super) fn answered(&self, answer: &Answer) {
        *lock(&self.answers).entry(answer.kind()).or_default() += 1;
    }
}

/// What a panic left behind here is whole: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
