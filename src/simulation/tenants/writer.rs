//! The store's one writer: it takes what waits, all of it, commits once, and everybody hears then.

use crate::domain::action::{Class, NewAttempt};
use crate::domain::audit::Change;
use crate::domain::limiter::Permit;
use crate::domain::time::Wall;
use crate::limits::STORE_GROUP;

/// One sync of the disk, in microseconds: assumed for a cloud disk.
const SYNC: i64 = 2000;

/// A piece of work for the writer.
pub enum Work {
    Intake { tenant: usize, class: Class, actions: u64, at: Wall },
    Begin { tenant: usize, attempt: Box<NewAttempt>, permit: Permit },
    Record { tenant: usize, changes: Vec<Change> },
    Pause { tenant: usize },
    Load { tenant: usize, class: Class },
    Sweep { tenant: usize },
}

impl Work {
    /// What it takes beside the sync, in microseconds: what `cargo bench --bench line --
    /// write-ahead` measured on two cores (an attempt 63, an answer 34, a load of 4 heads 74 and of
    /// 256 213, a sweep 2), rounded up. What intake takes is assumed.
    fn costs(&self) -> i64 {
        match self {
            Work::Intake { actions, .. } => 150 + 100 * i64::try_from(*actions).expect("few"),
            Work::Begin { .. } | Work::Pause { .. } => 80,
            Work::Record { changes, .. } => 50 * i64::try_from(changes.len()).expect("few"),
            Work::Load { .. } => 220,
            Work::Sweep { .. } => 5,
        }
    }

    fn writes(&self) -> bool {
        !matches!(self, Work::Load { .. } | Work::Sweep { .. })
    }
}

#[derive(Default)]
pub struct Writer {
    queue: Vec<Work>,
    group: Vec<Work>,
}

impl Writer {
    pub fn submit(&mut self, work: Work) {
        self.queue.push(work);
    }

    /// Takes what waits and says how long it takes, unless it is at work or nothing waits.
    pub fn begin(&mut self) -> Option<i64> {
        if !self.group.is_empty() || self.queue.is_empty() {
            return None;
        }
        let rest = self.queue.split_off(self.queue.len().min(STORE_GROUP));
        self.group = std::mem::replace(&mut self.queue, rest);
        let costs: i64 = self.group.iter().map(Work::costs).sum();
        let sync = if self.group.iter().any(Work::writes) { SYNC } else { 0 };
        Some(costs + sync)
    }

    /// What it had in hand is durable.
    pub fn done(&mut self) -> Vec<Work> {
        std::mem::take(&mut self.group)
    }
}
