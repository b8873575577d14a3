//! Bounds of what many tenants share.

use std::time::Duration;

/// Calls of one tenant that may be in flight whatever other tenants do. Enough for the actions of
/// one alert; in the worst case, with all tenants' answers hanging, each of these is a socket.
pub const OWN_PLACES: usize = 4;

/// Calls in flight beyond those, of all tenants together.
pub const SHARED_PLACES: usize = 1024;

/// Of the shared places that are free, a tenant may hold this part, one in so many. A hundred
/// tenants whose answers hang so leave eight each to those that are well.
pub const SHARED_PLACES_SHARE: usize = 8;

/// Calls that one tenant can have in flight at all: attempts, a list, a cancel and a question.
pub const PLACES_PER_TENANT: usize = super::IN_FLIGHT_PER_TENANT + 3;

/// Idle connections to Defender and the login, of all tenants together: they share one client.
pub const IDLE_CONNECTIONS: usize = 256;

/// Between the starts of two tenants' loops: each begins by reading the store, and goes on to look
/// at it in step with its start. A thousand tenants so take two seconds.
pub const START_SPACING: Duration = Duration::from_millis(2);

/// Between two requests for the first tokens of tenants that need none yet: a start must not storm
/// the login. Whoever needs one asks at once.
pub const TOKEN_SPACING: Duration = Duration::from_millis(20);

/// Connections that one Kafka source may have: to each broker of a large cluster, with what the
/// library keeps beside each.
pub const KAFKA_FILES: usize = 64;

/// Connections that one channel of notifications or one issuer of tokens may have.
pub const CHANNEL_FILES: usize = 4;

/// Files that are open for the rest: the store's, the logs, rules and certificates as they are
/// read, the runtime's own.
pub const OTHER_FILES: usize = 64;
