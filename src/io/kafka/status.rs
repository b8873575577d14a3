//! What a Kafka source tells about itself, for readiness, metrics and the hold on the dispatch.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::time::{Boot, Wall};

/// The state of one source, written by its thread and read by anyone.
#[derive(Debug, Default)]
pub struct KafkaStatus(Mutex<Snapshot>);

impl Snapshot {
    /// Until when all is durable here that brokers had: every partition that is this process's has
    /// said so, and its broker was heard then. `None` where something is not, or nobody knows.
    pub fn read_up_to(&self) -> Option<Boot> {
        let of_one = |one: &PartitionStatus| one.heard.filter(|_| one.lag == Some(0));
        self.partitions.values().map(of_one).min().flatten()
    }
}

/// One look at a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By topic and partition; only what is assigned to this process.
    pub partitions: BTreeMap<(String, i32), PartitionStatus>,
    /// Errors since the start, of the broker and of the client.
    pub errors: u64,
    /// The newest of them. It stays when the trouble is over: compare its time.
    pub last_error: Option<LastError>,
    /// How often an offset lay outside its log, so that messages may be lost. A person must look
    /// when this is not zero.
    pub offsets_out_of_log: u64,
    /// Somebody else reads with this consumer group. With SQLite one process owns the whole group:
    /// while this is set, nothing may be dispatched.
    pub foreign_member: Option<String>,
    /// Why the source reads no more, though nobody stopped it. It does not start again by itself.
    pub ended: Option<String>,
    /// It has ended by what a new start mends, not a person: a panic, or partitions that could not
    /// be taken or let go.
    pub broken: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The first offset that is not durable.
    pub next: i64,
    /// Messages that the broker has and that are not durable here; `None` until it is known.
    pub lag: Option<u64>,
    /// When the partition's broker has answered something, and so told of all that there was.
    pub heard: Option<Boot>,
    pub reading: Reading,
}

/// Whether messages of a partition flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Flowing,
    /// The queue to intake, or the memory for bodies, is full.
    Full,
    /// A message was not taken and will be offered again.
    Refused,
    /// The store or the broker has not said yet where to read.
    Unplaced,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    pub text: String,
    pub at: Wall,
}

impl KafkaStatus {
    pub fn read(&self) -> Snapshot {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn count_error(&self) {
        self.change(|status| status.errors += 1);
    }

    pub(super) fn error(&self, text: String, at: Wall) {
        self.change(|status| {
            status.errors += 1;
            status.last_error = Some(LastError { text, at });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_read_as_long_ago_as_the_partition_that_was_heard_last() {
        let of = |partitions: &[(Option<u64>, Option<i64>)]| {
            let status = |&(lag, heard): &(_, Option<i64>)| PartitionStatus {
                next: 0,
                lag,
                heard: heard.map(Boot),
                reading: Reading::Flowing,
            };
            let named = partitions.iter().map(status).enumerate();
            let partitions = named.map(|(at, one)| (("t".to_owned(), at as i32), one)).collect();
            Snapshot { partitions, ..Snapshot::default() }.read_up_to()
        };
        assert_eq!(of(&[(Some(0), Some(7)), (Some(0), Some(5))]), Some(Boot(5)));
        assert_eq!(of(&[(Some(0), Some(7)), (Some(1), Some(7))]), None, "one lies there unread");
        assert_eq!(of(&[(Some(0), Some(7)), (None, Some(7))]), None, "nobody knows of one");
        assert_eq!(of(&[(Some(0), None)]), None, "its broker is gone");
        assert_eq!(of(&[]), None, "no partition is this process's yet");
    }
}
