//! The join of a stream's rows.

use std::time::Duration;

/// Files, and machines, that one alert may name in a stream; no real alert has as many. Each
/// further row ends as incomplete.
pub const JOIN_FILES_PER_ALERT: usize = 1000;

/// How often it is looked whether rows have waited long enough.
pub const JOIN_LOOK_EVERY: Duration = Duration::from_millis(500);

/// Alerts whose waiting is ended at once: some milliseconds of the writer.
pub const JOIN_PIECE: usize = 500;
