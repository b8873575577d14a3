//! Every bound in the program, each with its reason. Those that people may set stand in the
//! configuration; these are the ones nobody should.

use std::time::Duration;

/// Deliveries in one intake transaction: enough that a sync of the disk is shared by many, few
/// enough that one transaction stays under some milliseconds.
pub const INTAKE_BATCH: usize = 256;

/// Deliveries waiting between the sources and intake. A source that finds it full waits, and
/// answers 503 or pauses its partitions.
pub const INTAKE_QUEUE: usize = 1024;

/// Bytes of delivery bodies held at once, over all sources.
pub const BODIES_IN_MEMORY: usize = 64 * 1024 * 1024;

/// From the commit of an attempt to the last moment its first byte may be written.
pub const SEND_BY: Duration = Duration::from_secs(2);

/// A rendered comment. Defender documents no limit; this is what fits a table cell.
pub const COMMENT_BYTES: usize = 256;

/// An alert id: longer ones are no Defender ids.
pub const ALERT_ID_BYTES: usize = 128;

/// Candidates of one alert. More are `unreadable`: no real alert has so many files.
pub const CANDIDATES_PER_ALERT: usize = 1000;

/// Alerts in one delivery. More are refused as too large.
pub const ALERTS_PER_DELIVERY: usize = 10_000;

/// First bytes of an unreadable delivery that its row keeps.
pub const UNREADABLE_HEAD_BYTES: usize = 256;

/// Actions of one class that a dispatcher holds in memory. More stay in the store.
pub const HEADS_PER_CLASS: usize = 256;

/// Calls in flight for one tenant: bounds what a crash leaves in doubt.
pub const IN_FLIGHT_PER_TENANT: usize = 16;

/// Calls in flight in the whole process.
pub const IN_FLIGHT: usize = 256;

/// Pieces of work waiting for the store's writer. A caller that finds it full waits.
pub const STORE_QUEUE: usize = 1024;

/// Deliveries and changes that share one commit: one sync serves them all, and none of them waits
/// for more than some tens of milliseconds.
pub const STORE_GROUP: usize = 512;

/// Page cache of the store's writer, in KiB: the upper levels of every index.
pub const STORE_CACHE_KIB: i64 = 8192;

/// Page cache of the store's reader, in KiB.
pub const STORE_READER_CACHE_KIB: i64 = 1024;

/// Pages of write-ahead log after which SQLite moves them into the database: 16 MB, so that the
/// stop it makes stays some tens of milliseconds.
pub const STORE_LOG_PAGES: i64 = 4000;

/// Bytes of write-ahead log that stay allocated once it has been moved.
pub const STORE_LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// Rows of one kind that one purge deletes: it shares the writer with everything else.
pub const PURGE_PIECE: usize = 500;

/// Ended actions are kept at least this long whatever `retention` says: their attempts are the
/// log of the limiter, whose longest window is far shorter.
pub const ENDED_ACTIONS_KEPT_MIN: Duration = Duration::from_secs(24 * 3600);

/// Newest attempts that a start looks at however old they seem, for a wall clock that jumped.
/// More than any budget allows within its window.
pub const RESUME_ATTEMPTS_MIN: usize = 4096;

/// Faults of rows and chains that one verification names.
pub const FAULTS_NAMED: usize = 100;
