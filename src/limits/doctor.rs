//! What `lazaret doctor` takes its time for, and from where it calls something amiss.

use std::time::Duration;

/// One look at a host, a broker or the service. A healthy one answers within a second.
pub const DOCTOR_ASK: Duration = Duration::from_secs(5);

/// All hosts, all tenants after them, and all that is read of the store, each: with two looks at
/// the service before, whoever waits at night waits less than half a minute, however many tenants
/// there are. What is not reached by then is told as not asked.
pub const DOCTOR_WITHIN: Duration = Duration::from_secs(9);

/// Hosts or tenants asked side by side: a thousand tokens take some seconds, and no login sees a
/// storm.
pub const DOCTOR_SIDE_BY_SIDE: usize = 32;

/// Lines of one kind, such as tenants, that are shown each; and of more, how many of those that
/// fail and of those that warn.
pub const DOCTOR_LINES: usize = 10;
pub const DOCTOR_SAMPLES: usize = 3;

/// Before its end a token or a certificate is told to end soon: two on-call weeks.
pub const DOCTOR_EXPIRING: Duration = Duration::from_secs(14 * 86_400);

/// How far the clock may be off: signatures of senders are good for five minutes, which is also
/// what matching with machine actions allows ([`CLOCK_SKEW`](super::CLOCK_SKEW)).
pub const DOCTOR_CLOCK: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));

/// Synced writes that are timed, and the longest that all of them may take.
pub const DOCTOR_SYNCS: usize = 20;
pub const DOCTOR_SYNCS_WITHIN: Duration = Duration::from_secs(5);

/// A sync of the disk, half of them at most. Every acknowledgement waits for one or two: at the
/// first, bursts queue; at the second, a call that is written may miss its `send by` behind others.
pub const DOCTOR_SYNC: (Duration, Duration) =
    (Duration::from_millis(20), Duration::from_millis(200));

/// Free bytes: below the first is a warning, below the second the log of one busy hour may not fit.
pub const DOCTOR_FREE_BYTES: (u64, u64) = (2 * 1024 * 1024 * 1024, 256 * 1024 * 1024);

/// Free inodes, likewise. The store needs four files, a turn of rules or logs some more.
pub const DOCTOR_FREE_INODES: (u64, u64) = (1000, 50);

/// A write-ahead log larger than this is not moved into the database as it should be
/// ([`STORE_LOG_PAGES`](super::STORE_LOG_PAGES) are 16 MB): somebody reads the store for long.
pub const DOCTOR_LOG_BYTES: u64 = 512 * 1024 * 1024;

/// Memory that the service needs besides what rules and tenants take: bodies, the store's pages,
/// the queue to intake. With less it may be killed in a burst.
pub const DOCTOR_MEMORY: u64 = 256 * 1024 * 1024;

/// What lies unread is near its deletion where less than one in so many of a partition's messages
/// lies before it.
pub const DOCTOR_RETENTION_PART: i64 = 10;
