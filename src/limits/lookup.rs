//! Questions to Defender that alerts wait for.

use std::time::Duration;

/// Receipts that are looked at, of each source the oldest first, when the next question is chosen.
pub const LOOKUPS_AT_ONCE: usize = 256;

/// Receipts of one tenant and source that may wait for answers, and their bytes. Each further one
/// ends as incomplete: at Defender's 1500 calls in an hour these are half a day.
pub const LOOKUPS_WAITING: i64 = 20_000;
pub const LOOKUPS_WAITING_BYTES: i64 = 256 * 1024 * 1024;

/// Bytes of an alert that may wait for answers; a larger one is judged as it is.
pub const LOOKUP_TEXT_BYTES: usize = 256 * 1024;

/// Answers kept in memory.
pub const LOOKUPS_KNOWN: usize = 1000;

/// How long an alert's answer serves others that ask for it: its evidence grows.
pub const LOOKUP_KEPT: Duration = Duration::from_secs(60);

/// How long it is known which machine a host is.
pub const LOOKUP_MACHINES_KEPT: Duration = Duration::from_secs(15 * 60);

/// How long what Defender knows of a machine or a file is taken for true.
pub const LOOKUP_FACTS_KEPT: Duration = Duration::from_secs(15 * 60);

/// How long a candidate waits for what Defender knows of its machine and its file, before it is
/// judged without.
pub const ENRICH_WAIT: Duration = Duration::from_secs(15 * 60);

/// Files of one alert about which Defender is asked; what it does not say of others is held.
pub const ENRICH_CANDIDATES: usize = 50;

/// Bytes of an alert's text that are kept for all of them together.
pub const ENRICH_TEXT_BYTES: usize = 1024 * 1024;

/// Questions that one alert may need before it is judged; one with more is judged as it is.
pub const LOOKUP_ASKS: usize = 200;

/// The first and the longest wait before a question is asked again.
pub const LOOKUP_AGAIN: (Duration, Duration) =
    (Duration::from_secs(5), Duration::from_secs(15 * 60));

/// Questions without a usable answer, such as one that is too large, until the alert goes on
/// without it: with the waits between them more than two hours.
pub const LOOKUP_TRIES: u32 = 16;

/// How long before an alert would be too old it is judged without what is still missing.
pub const LOOKUP_BEFORE_TOO_OLD: Duration = Duration::from_secs(60);

/// How long nothing is asked after a 403: the role that is missing is given by a person.
pub const LOOKUP_FORBIDDEN_HOLD: Duration = Duration::from_secs(5 * 60);
