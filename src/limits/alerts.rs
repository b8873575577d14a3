//! What an alert and a delivery may hold.

/// An alert id: longer ones are no Defender ids.
pub const ALERT_ID_BYTES: usize = 128;

/// Candidates of one alert. More are `unreadable`: no real alert has so many files.
pub const CANDIDATES_PER_ALERT: usize = 1000;

/// What one alert may ask Defender for, and the provider's alerts that one incident may list: more
/// would cost more calls than it is worth.
pub const ASKS_PER_ALERT: usize = 20;

/// Values of an alert that a mapped format's paths may look at, and levels of pairs inside pairs.
pub const MAPPED_VALUES: usize = 100_000;
pub const MAPPED_LEVELS: usize = 4;

/// Alerts in one delivery. More are refused as too large.
pub const ALERTS_PER_DELIVERY: usize = 10_000;
