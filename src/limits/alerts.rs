//! What an alert and a delivery may hold.

/// An alert id: longer ones are no Defender ids.
pub const ALERT_ID_BYTES: usize = 128;

/// Candidates of one alert. More are `unreadable`: no real alert has so many files.
pub const CANDIDATES_PER_ALERT: usize = 1000;

/// What one alert may ask Defender for, and the provider's alerts that one incident may list: more
/// would cost more calls than it is worth.
pub const ASKS_PER_ALERT: usize = 20;

/// Objects in a list of an alert that is read, such as its evidence. More make it unreadable: each
/// takes far more memory than its text.
pub const LIST_OBJECTS: usize = 10_000;

/// Objects in all of an incident, which nest in each other, for the same reason.
pub const INCIDENT_OBJECTS: usize = 50_000;

/// Texts in a list that is a field, such as techniques, and their bytes. Every candidate of an
/// alert has its own copy, so that a longer list is an absent field.
pub const LIST_TEXTS: usize = 256;
pub const LIST_BYTES: usize = 16 * 1024;

/// A text of a field that all candidates of an alert, or of a machine, have a copy of. A longer one
/// is an absent field.
pub const SHARED_TEXT_BYTES: usize = 4096;

/// Values of an alert that a mapped format's paths may look at, and levels of pairs inside pairs.
pub const MAPPED_VALUES: usize = 100_000;
pub const MAPPED_LEVELS: usize = 4;

/// Alerts in one delivery. More are refused as too large.
pub const ALERTS_PER_DELIVERY: usize = 10_000;

/// What is looked at to say why nothing matches an alert: its first candidates, and the first rules
/// for each. A rule takes some microseconds, so in a second only so many alerts are told of.
pub const MISSES_PER_SECOND: u32 = 50;
pub const MISS_CANDIDATES: usize = 4;
pub const MISS_RULES: usize = 16;

/// Characters of a title, and of a value, in what is said then: it stands in a row for each.
pub const MISS_TEXT_CHARS: usize = 64;

/// Values of an alert that are changed one by one to see which fields come from them.
pub const TRACED_VALUES: usize = 2000;
