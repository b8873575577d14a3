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

/// A rule file, or a sample that its tests read: people write these by hand.
pub const RULE_FILE_BYTES: usize = 1024 * 1024;

/// Rule files in a directory: more than anyone has, few enough that a wrong path ends at once.
pub const RULE_FILES: usize = 100_000;

/// The longest window a rule may ask for: actions are kept about that long.
pub const RULE_WINDOW: Duration = Duration::from_secs(366 * 24 * 3600);
