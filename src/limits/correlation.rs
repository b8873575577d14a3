//! What correlations count.

use std::time::Duration;

/// Events of one group that are kept; what comes beyond is held. A window of real trouble needs a
/// few dozen, and each new event looks at all of them.
pub const CORRELATION_GROUP_EVENTS: usize = 250;

/// Events of one tenant, over all of its correlations: at some kilobytes each these are a few
/// hundred megabytes. What comes beyond is held.
pub const CORRELATION_TENANT_EVENTS: i64 = 100_000;

/// A longer group or value is compared by its hash.
pub const CORRELATION_TEXT_BYTES: usize = 512;

/// Base rules that one correlation may name, and fields that it may group by.
pub const CORRELATION_RULES: usize = 32;
pub const CORRELATION_FIELDS: usize = 8;

/// How long a correlation's timespan may be. Events are kept for as long as an alert may be old,
/// and this.
pub const CORRELATION_TIMESPAN: Duration = Duration::from_secs(7 * 24 * 3600);
