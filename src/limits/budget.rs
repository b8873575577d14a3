//! How the budget of calls is spent, and what a 429 does to it.

use std::time::Duration;

/// A 429 holds its endpoint at least this long, whatever it says: an early call renews the penalty.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// A 429 holds its endpoint at most this long: the longest window Defender has.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How long a 429 holds that does not say how long.
pub const RETRY_AFTER_UNSAID: Duration = Duration::from_secs(60);

/// What a 429 leaves of our share of a budget, in thousandths, and the least that it leaves.
pub const SHARE_SHRINKS_TO: u32 = 900;
pub const SHARE_MIN: u32 = 200;

/// By how much, in thousandths, our share grows back, and how often: a tenth in 40 minutes.
pub const SHARE_GROWS: u32 = 5;
pub const SHARE_GROWS_EVERY: Duration = Duration::from_secs(120);

/// What is not urgent goes as fast as it can only where it leaves one slot in so many free.
pub const PACE_LEAVES: u64 = 10;

/// How much of an even schedule is made up for after a stop: a restart, or a held minute. More
/// would be a burst, which comes back as another one a window later.
pub const PACE_CATCHES_UP: Duration = Duration::from_secs(60);

/// How long an action of a class is queued before it counts as one of the next higher.
pub const AGES_AFTER: Duration = Duration::from_secs(6 * 3600);
