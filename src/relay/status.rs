//! Where a relay stands, for whoever wants to look: the console, the status command, the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::answer::Answer;
use crate::domain::dispatcher::Snapshot;
use crate::io::StoreError;

/// The newest snapshot, and what was counted since the start.
#[derive(Debug, Default)]
pub struct RelayStatus {
    snapshot: Mutex<Snapshot>,
    answers: Mutex<BTreeMap<&'static str, u64>>,
    /// What the store does not do, with its reason.
    stuck: Mutex<BTreeMap<&'static str, String>>,
}

impl RelayStatus {
    /// As of the last step: at most half a minute ago, unless the relay is stuck.
    pub fn snapshot(&self) -> Snapshot {
        lock(&self.snapshot).clone()
    }

    /// By [`Answer::kind`].
    pub fn answers(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.answers).clone()
    }

    /// Why nothing goes on, as far as the store is the reason: what it does not do, each with why
    /// and what to do.
    pub fn why_stuck(&self) -> Vec<String> {
        lock(&self.stuck).iter().map(|(what, why)| format!("could not {what}: {why}")).collect()
    }

    /// The store does not do that for this reason, or has done it now.
    pub(crate) fn stuck(&self, what: &'static str, error: Option<&StoreError>) {
        let Some(error) = error else {
            lock(&self.stuck).remove(what);
            return;
        };
        let advice = match error {
            StoreError::Corrupt(_) | StoreError::Invalid(_) | StoreError::NoAction(_) => {
                "; no retry mends that: `lazaret doctor` names the rows that do not verify, \
                 restore the directory from a backup; where it names none, start again"
            }
            StoreError::Io(_) | StoreError::Full(_) | StoreError::Closed => "",
        };
        lock(&self.stuck).insert(what, format!("{error}{advice}"));
    }

    pub(crate) fn set(&self, snapshot: Snapshot) {
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
