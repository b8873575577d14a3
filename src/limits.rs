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

/// How long a Kafka source waits for room before it pauses its partitions. A pause throws away
/// what was fetched ahead, so short waits are better waited out.
pub const KAFKA_PAUSE_AFTER: Duration = Duration::from_secs(1);

/// From a refusal by intake to the next try of the same message.
pub const KAFKA_RETRY_AFTER: Duration = Duration::from_secs(1);

/// From a try to place a partition that failed to the next.
pub const KAFKA_PLACE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long a partition that is taken away waits for what is in hand. Far below the five minutes
/// after which the broker would give the member up.
pub const KAFKA_REVOKE: Duration = Duration::from_secs(5);

/// One question to the broker or the store while a partition is placed. After it the partition
/// waits and is tried again.
pub const KAFKA_ASK: Duration = Duration::from_secs(10);

/// Between two hints to the broker of how far a partition is. Event Hubs takes four commits a
/// second for each partition; the commits themselves are one second apart.
pub const KAFKA_HINT_EVERY: Duration = Duration::from_millis(200);

/// Between two looks at the members of a consumer group that is ours alone, and when it is not.
pub const KAFKA_MEMBERS_EVERY: Duration = Duration::from_secs(30);
pub const KAFKA_FOREIGN_MEMBERS_EVERY: Duration = Duration::from_secs(3);
