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

/// After a connection was closed without an answer, the latest that the server counts its call.
pub const COUNTED_LATE: Duration = Duration::from_secs(30);

/// A 429 holds its endpoint at least this long, whatever it says: an early call renews the penalty.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// A 429 holds its endpoint at most this long: the longest window Defender has.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How long a 429 holds that does not say how long.
pub const RETRY_AFTER_UNSAID: Duration = Duration::from_secs(60);

/// Characters of an answer that are kept for people.
pub const ANSWER_TEXT_CHARS: usize = 256;

/// Calls in a row that never reached Defender before its endpoint counts as unreachable.
pub const UNSENT_IN_A_ROW: u32 = 3;

/// How long an endpoint is held as unreachable before it is tried again.
pub const UNREACHABLE_HOLD: Duration = Duration::from_secs(30);

/// The first and the longest hold after tokens that were refused one after the other.
pub const UNAUTHORIZED_HOLD: (Duration, Duration) =
    (Duration::from_secs(30), Duration::from_secs(300));

/// Calls of one action that may be lost without a trace at Defender before it gives up: about
/// two hours of them.
pub const TRIES_MAX: u32 = 20;

/// The first and the longest wait before a call is tried again that left no trace.
pub const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// Calls until a 404 is believed: machines have been not found under load, and files for a while.
pub const NOT_FOUND_TRIES: u32 = 3;

/// Between two calls that are answered with 404.
pub const NOT_FOUND_WAIT: Duration = Duration::from_secs(300);

/// The first and the longest wait while another action holds the machine.
pub const BUSY_WAIT: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(3600));

/// How long another action may hold the machine before ours gives up.
pub const BUSY_MAX: Duration = Duration::from_secs(24 * 3600);

/// While a pause covers the tenant or the store fails, how often one call is tried.
pub const SHUT_PROBE: Duration = Duration::from_secs(5);

/// How often expired actions are looked for, and new ones without a nudge.
pub const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Expired actions that are ended in one go.
pub const SWEEP_BATCH: usize = 256;

/// Changes in one transaction of the dispatcher.
pub const RECORD_BATCH: usize = 256;

/// Machine actions on one page of a list. Defender allows 10,000, of about 1 KB each.
pub const LIST_PAGE: u32 = 1000;

/// The shortest time between the starts of two lists, and the longest while they fail.
pub const LIST_SPACING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// How far Defender's clock may be from ours when machine actions are matched with attempts.
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Defender ends what a machine did not fetch within 72 hours, give or take a sweep. Past this
/// age without an end by Defender it counts as timed out.
pub const MACHINE_ACTION_AGE: Duration = Duration::from_secs(72 * 3600 + 1800);

/// Machine actions remembered as the outcome of an ended action: more than are made in the time
/// within which another look-up could take one for its own.
pub const OUTCOMES_KEPT: usize = 4096;

/// The first and the longest wait before the store is asked again for what it failed to do.
pub const STORE_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
