//! The join of a stream's rows.

use std::time::Duration;

/// Files, and machines, that one alert may name in a stream; no real alert has as many. Each
/// further row ends as incomplete.
pub const JOIN_FILES_PER_ALERT: usize = 1000;

/// Bytes of all files of one alert: each row writes them anew.
pub const JOIN_BYTES_PER_ALERT: usize = 1024 * 1024;

/// Bytes of the alerts that are ended at once.
pub const JOIN_PIECE_BYTES: i64 = 4 * 1024 * 1024;

/// How often it is looked whether rows have waited long enough.
pub const JOIN_LOOK_EVERY: Duration = Duration::from_millis(500);

/// How much more than the time that has passed a clock may show until it counts as put forward.
pub const JOIN_CLOCK_STEP: Duration = Duration::from_secs(5);

/// Alerts whose waiting is ended at once: some milliseconds of the writer.
pub const JOIN_PIECE: usize = 500;
