//! Where a relay stands, for whoever wants to look: the console, the status command, the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::answer::Answer;
use crate::domain::dispatcher::Snapshot;

/// The newest snapshot, and what was counted since the start.
#[derive(Debug, Default)]
pub struct RelayStatus {
    snapshot: Mutex<Snapshot>,
    answers: Mutex<BTreeMap<&'static str, Answers>>,
}

/// Answers of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    pub count: u64,
    /// From writing the attempts to seeing their answers, added up.
    pub took: Duration,
}

impl RelayStatus {
    /// As of the last step, which is at most half a minute ago.
    pub fn snapshot(&self) -> Snapshot {
        lock(&self.snapshot).clone()
    }

    /// By [`Answer::kind`].
    pub fn answers(&self) -> BTreeMap<&'static str, Answers> {
        lock(&self.answers).clone()
    }

    pub(super) fn set(&self, snapshot: Snapshot) {
        *lock(&self.snapshot) = snapshot;
    }

    pub(super) fn answered(&self, answer: &Answer, took: Duration) {
        let mut answers = lock(&self.answers);
        let answers = answers.entry(answer.kind()).or_default();
        answers.count += 1;
        answers.took += took;
    }
}

/// What a panic left behind here is whole: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
