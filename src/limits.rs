//! Every bound in the program, each with its reason. Those that people may set stand in the
//! configuration; these are the ones nobody should.

use std::time::Duration;

/// Deliveries in one intake transaction: enough that a sync of the disk is shared by many, few
/// enough that one transaction stays under some milliseconds.
pub const INTAKE_BATCH: usize = 256;

/// Deliveries waiting between the sources and intake. A source that finds it full waits, and
/// answers 503 or pauses its partitions.
pub const INTAKE_QUEUE: usize = 1024;

/// Bytes of delivery bodies held at once, over all sources.
pub const BODIES_IN_MEMORY: usize = 64 * 1024 * 1024;

/// From the commit of an attempt to the last moment its first byte may be written.
pub const SEND_BY: Duration = Duration::from_secs(2);

/// A rendered comment. Defender documents no limit; this is what fits a table cell.
pub const COMMENT_BYTES: usize = 256;

/// An alert id: longer ones are no Defender ids.
pub const ALERT_ID_BYTES: usize = 128;

/// Candidates of one alert. More are `unreadable`: no real alert has so many files.
pub const CANDIDATES_PER_ALERT: usize = 1000;

/// Alerts in one delivery. More are refused as too large.
pub const ALERTS_PER_DELIVERY: usize = 10_000;

/// First bytes of an unreadable delivery that its row keeps.
pub const UNREADABLE_HEAD_BYTES: usize = 256;

/// Actions of one class that a dispatcher holds in memory. More stay in the store.
pub const HEADS_PER_CLASS: usize = 256;

/// Calls in flight for one tenant: bounds what a crash leaves in doubt.
pub const IN_FLIGHT_PER_TENANT: usize = 16;

/// Calls in flight in the whole process.
pub const IN_FLIGHT: usize = 256;

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

/// How long a replay id is kept where the scheme signs a timestamp.
pub const REPLAY_KEEP_TIMED: Duration = Duration::from_secs(15 * 60);

/// How long a replay id is kept where it does not: nothing bounds how late such a copy may come,
/// and beyond this the effect key still holds.
pub const REPLAY_KEEP_UNTIMED: Duration = Duration::from_secs(24 * 60 * 60);

// A timestamp from the far end of the tolerance is good for twice the tolerance: its replay id
// must outlive it.
const _: () = assert!(2 * SIGNATURE_TOLERANCE_MAX.as_secs() <= REPLAY_KEEP_TIMED.as_secs());
const _: () = assert!(SIGNATURE_TOLERANCE.as_secs() <= SIGNATURE_TOLERANCE_MAX.as_secs());

/// A request's head, from the moment the connection waits for it: what a slow sender may take,
/// and how long a connection may idle between two requests.
pub const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Headers of one request. Real senders need about ten.
pub const HEADERS: usize = 64;

/// Bytes of one request's head, and of the buffer that a connection reads into.
pub const HEAD_BYTES: usize = 32 * 1024;

/// A request's body, from its head to its last byte.
pub const BODY_WITHIN: Duration = Duration::from_secs(10);

/// A TLS handshake, from the accepted connection.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// How long a closed connection goes on discarding what its client still sends. Closing at once
/// would reset it, and the client would lose the answer that it has not read yet.
pub const LINGER: Duration = Duration::from_secs(1);

/// From the stop to the moment unfinished connections are cut: enough for a body and its commit.
pub const FINISH_WITHIN: Duration = Duration::from_secs(15);

/// After a failed accept, which mostly means that file descriptors have run out.
pub const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Between looks at the certificate's files.
pub const CERTIFICATE_POLL: Duration = Duration::from_secs(60);

/// How long a sender waits for its commit. Most give up themselves after 15 to 30 s; what commits
/// later is answered as a replay when they send it again.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(12);

/// What `Retry-After` says when a delivery can't be taken now.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Between two log lines about refused signatures: anyone can cause one, and the metric counts
/// them all.
pub const REFUSAL_LOGGED_EVERY: Duration = Duration::from_secs(1);
