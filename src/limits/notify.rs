//! Messages to people.

use std::time::Duration;

/// Between two looks of a channel at the record: what nobody notices, and costs one short read.
pub const NOTIFY_LOOK_EVERY: Duration = Duration::from_secs(1);

/// Changes that a channel reads at once.
pub const NOTIFY_PAGE: usize = 500;

/// Changes not for a channel that it passes before it writes down how far it is: what a restart
/// reads again.
pub const NOTIFY_PASSED: i64 = 5000;

/// From the start of a message to the end of its receiver's answer.
pub const NOTIFY_WITHIN: Duration = Duration::from_secs(10);

/// The first and the longest wait before a message is tried again.
pub const NOTIFY_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The longest that a receiver's `Retry-After` is believed.
pub const NOTIFY_RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How long a stopping channel may take to tell what happened last.
pub const NOTIFY_STOP: Duration = Duration::from_secs(5);

/// A channel that fails for longer is a problem that a person should look at.
pub const NOTIFY_FAILING: Duration = Duration::from_secs(60);

/// Bytes of a receiver's answer that `lazaret notify test` shows.
pub const NOTIFY_ANSWER_BYTES: usize = 1024;
