//! Of what proves where a delivery comes from.

use std::time::Duration;

/// Secrets of one source at once: the old, the new, and one for the sender who missed both.
pub const SECRETS_PER_SOURCE: usize = 3;

/// Signatures in one header that are compared. A sender that rotates keys sends two or three.
pub const SIGNATURES_PER_HEADER: usize = 8;

/// A signed id: longer ones are no ids but content.
pub const SIGNED_ID_BYTES: usize = 256;

/// How far a signed timestamp may stand from this clock, either way, unless a source says
/// otherwise. The published schemes all say five minutes.
pub const SIGNATURE_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The widest tolerance that a source may set.
pub const SIGNATURE_TOLERANCE_MAX: Duration = Duration::from_secs(450);

/// A longer signed id is kept as its hash, which takes 71 bytes.
pub const REPLAY_ID_BYTES: usize = 64;

/// How long a replay id is kept where the scheme signs a timestamp.
pub const REPLAY_KEEP_TIMED: Duration = Duration::from_secs(15 * 60);

/// How long a replay id is kept where it does not: nothing bounds how late such a copy may come,
/// and beyond this the effect key still holds.
pub const REPLAY_KEEP_UNTIMED: Duration = Duration::from_secs(24 * 60 * 60);

// A timestamp from the far end of the tolerance is good for twice the tolerance: its replay id
// must outlive it.
const _: () = assert!(2 * SIGNATURE_TOLERANCE_MAX.as_secs() <= REPLAY_KEEP_TIMED.as_secs());
const _: () = assert!(SIGNATURE_TOLERANCE.as_secs() <= SIGNATURE_TOLERANCE_MAX.as_secs());

/// A token of Entra. Those of applications have some two thousand; one that lists two hundred
/// groups has eight.
pub const TOKEN_BYTES_MAX: usize = 12 * 1024;

/// How far the issuer's clock may be from ours. Entra makes its tokens valid from five minutes
/// before it issues them.
pub const TOKEN_SKEW: Duration = Duration::from_secs(60);

/// How often an issuer's keys are fetched. Entra says that they may change at any time, and asks
/// for a look once a day at least.
pub const KEYS_EVERY: Duration = Duration::from_secs(3600);

/// How long keys are used after the last time the issuer gave them: a day without it is bridged,
/// and a key that it has taken back is not good for ever.
pub const KEYS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// The shortest time between two fetches for keys that a delivery names and nobody knows: whoever
/// makes them up must not have us ask the issuer each time.
pub const KEYS_APART: Duration = Duration::from_secs(30);

/// One fetch of keys, to its last byte. A delivery may wait for it, and its sender with it.
pub const KEYS_WITHIN: Duration = Duration::from_secs(5);

/// The first and the longest wait before keys are fetched again that could not be.
pub const KEYS_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// An issuer's document of keys. Entra's has some fifteen thousand bytes.
pub const KEYS_BYTES: usize = 256 * 1024;
