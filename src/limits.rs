//! Every bound in the program, each with its reason. Those that people may set stand in the
//! configuration; these are the ones nobody should.

mod alerts;
mod budget;
mod correlation;
mod doctor;
mod join;
mod lookup;
mod notify;
mod senders;
mod tenants;

use std::time::Duration;

pub use alerts::*;
pub use budget::*;
pub use correlation::*;
pub use doctor::*;
pub use join::*;
pub use lookup::*;
pub use notify::*;
pub use senders::*;
pub use tenants::*;

/// Deliveries in one intake transaction: enough that a sync of the disk is shared by many, few
/// enough that one transaction stays under some milliseconds.
pub const INTAKE_BATCH: usize = 256;

/// Files, rows, and alerts that name no file, in one intake transaction, or one delivery's where
/// that has more: a call that waits for the writer has two seconds, and each may take some
/// kilobytes of memory.
pub const INTAKE_WEIGHT: usize = 1000;

/// Batches that intake has in the store at once: one commits while the next is judged.
pub const INTAKE_PIPELINE: usize = 2;

/// Deliveries waiting between the sources and intake. A source that finds it full waits, and
/// answers 503 or pauses its partitions.
pub const INTAKE_QUEUE: usize = 1024;

/// Bytes of delivery bodies held at once, over all sources.
pub const BODIES_IN_MEMORY: usize = 64 * 1024 * 1024;

/// Of these, what the bodies of one host may take, or one body if that is more.
pub const BODIES_OF_ONE_HOST: usize = BODIES_IN_MEMORY / 4;

/// For how long what a deny rule covered stays covered, although other evidence says less.
pub const SPARED_FOR: Duration = Duration::from_secs(24 * 3600);

/// From the writing of an attempt's row to the last moment its first byte may be written. The
/// commit of that row is within it, waiting for the writer is not.
pub const SEND_BY: Duration = Duration::from_secs(2);

/// A rendered comment. Defender documents no limit; this is what fits a table cell.
pub const COMMENT_BYTES: usize = 256;

/// A rule's condition: a parser that recurses must not meet what no person wrote.
pub const CONDITION_BYTES: usize = 4096;

/// `not` and opening parentheses in one condition, for the same reason: they nest.
pub const CONDITION_NESTS: usize = 64;

/// What a regular expression of a rule may take, compiled: matching takes time and memory in
/// proportion. Those that people write take a tenth of it.
pub const REGEX_BYTES: usize = 256 * 1024;

/// A text in the snapshot that is kept with each action of an alert.
pub const SNAPSHOT_TEXT_BYTES: usize = 1024;

/// The same for the name and path of its file: no path of Windows is longer, and whoever drops a
/// file must not be able to choose one that rules can't judge again. Each stands for one action
/// alone, so a delivery can't multiply it.
pub const SNAPSHOT_PATH_BYTES: usize = 128 * 1024;

/// Rows kept in a second of alerts that are unreadable, incomplete, too old or of an unknown
/// tenant: beyond, they are only counted, or one sender could fill the disk.
pub const ODD_ROWS_PER_SECOND: u32 = 1000;

/// First bytes of an unreadable delivery that its row keeps.
pub const UNREADABLE_HEAD_BYTES: usize = 256;

/// Actions of one class that a dispatcher holds in memory. More stay in the store.
pub const HEADS_PER_CLASS: usize = 256;

/// Calls in flight for one tenant: bounds what a crash leaves in doubt.
pub const IN_FLIGHT_PER_TENANT: usize = 16;

/// How long a call may take from its first byte to the end of its answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// After a connection was closed without an answer, the latest that the server counts its call.
pub const COUNTED_LATE: Duration = Duration::from_secs(30);

/// Characters of an answer that are kept for people.
pub const ANSWER_TEXT_CHARS: usize = 256;

/// Calls in a row that never reached Defender, or that it left without an answer, before its
/// endpoint is held: one call at a time then finds out whether it is over.
pub const FAILED_IN_A_ROW: u32 = 3;

/// How long it is held before it is tried again.
pub const FAILED_HOLD: Duration = Duration::from_secs(30);

/// The first and the longest hold after tokens that were refused one after the other.
pub const UNAUTHORIZED_HOLD: (Duration, Duration) =
    (Duration::from_secs(30), Duration::from_secs(300));

/// Calls of one action that may be lost without a trace at Defender before it gives up: about
/// two hours of them. Those that an outage of the whole endpoint has lost do not count.
pub const TRIES_MAX: u32 = 20;

/// The first and the longest wait before a call is tried again that left no trace.
pub const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// Calls until a 404 is believed: machines have been not found under load, and files for a while.
pub const NOT_FOUND_TRIES: u32 = 3;

/// Between two calls that are answered with 404.
pub const NOT_FOUND_WAIT: Duration = Duration::from_secs(300);

/// The first and the longest wait while another action holds the machine.
pub const BUSY_WAIT: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(3600));

/// How long another action may hold the machine before ours gives up.
pub const BUSY_MAX: Duration = Duration::from_secs(24 * 3600);

/// Defender's list of machine actions fails for so long until a person is told: short troubles
/// mend themselves, and while it fails nothing is called twice.
pub const LIST_FAILING: Duration = Duration::from_secs(5 * 60);

/// While a pause covers the tenant or the store fails, how often one call is tried.
pub const SHUT_PROBE: Duration = Duration::from_secs(5);

/// How often expired actions are looked for, and new ones without a nudge.
pub const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Expired actions that are ended in one go.
pub const SWEEP_BATCH: usize = 256;

/// Changes in one transaction of the dispatcher.
pub const RECORD_BATCH: usize = 256;

/// Machine actions on one page of a list. Defender allows 10,000, of about 1 KB each.
pub const LIST_PAGE: u32 = 1000;

/// How the lists slow down: from that age of the youngest action that is followed on, so many times
/// the usual time lies between two. Most machines act within a minute; one that has not within an
/// hour is offline, and may be so for days.
pub const LIST_PACES: [(Duration, u32); 3] =
    [(Duration::ZERO, 1), (Duration::from_secs(600), 10), (Duration::from_secs(3600), 30)];

/// Time that lies between two lists for each page of the last one at least: a third of what the
/// default budget of 1500 calls an hour would allow, whatever the number of actions.
pub const LIST_PAGE_EVERY: Duration = Duration::from_secs(8);

/// How long Defender may call a machine action pending before it is told that its machine has not
/// fetched it. Machines that are online do so within a minute or two.
pub const UNFETCHED_AFTER: Duration = Duration::from_secs(600);

/// How often an action may be called again that timed out or failed: each one that times out takes
/// three days.
pub const RETRIES_MAX: u32 = 10;

/// The first and the longest wait before such an action is called again. The first is longer than
/// [`CLOCK_SKEW`]: so no look-up takes what ended before for what is called then.
pub const RETRY_WAIT: (Duration, Duration) =
    (Duration::from_secs(900), Duration::from_secs(6 * 3600));

/// The shortest time between the starts of two lists, and the longest while they fail.
pub const LIST_SPACING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// How far Defender's clock may be from ours when machine actions are matched with attempts.
pub const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Defender ends what a machine did not fetch within 72 hours, give or take a sweep. Past this
/// age without an end by Defender it counts as timed out.
pub const MACHINE_ACTION_AGE: Duration = Duration::from_secs(72 * 3600 + 1800);

/// Machine actions remembered as the outcome of an ended action: more than are made in the time
/// within which another look-up could take one for its own.
pub const OUTCOMES_KEPT: usize = 4096;

/// How often a cancel is looked at whose action's call is not answered yet.
pub const CANCEL_POLL: Duration = Duration::from_secs(2);

/// Open cancels of one tenant that are read at once. Of more, the rest waits for these.
pub const CANCELS_AT_ONCE: usize = 1000;

/// Actions that one transaction of a recall withdraws: it shares the writer with everything else.
pub const RECALL_PIECE: usize = 1000;

/// Actions of one file in one piece of its report.
pub const FILE_PAGE: usize = 5000;

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

/// Requests a minute that a sender of CloudEvents is told it may make: a small part of what one
/// listener acknowledges, and more than any sender of alerts has. Nothing is refused beyond it.
pub const ALLOWED_RATE: u32 = 6000;

/// Origins that one webhook source may list: a source is one sender.
pub const ORIGINS_PER_SOURCE: usize = 8;

/// Between two log lines about what one source refused for one cause, since anyone can cause one.
/// The next says how many there were.
pub const REFUSAL_LOGGED_EVERY: Duration = Duration::from_secs(10);

/// How long a Kafka source waits for room before it pauses its partitions. A pause throws away
/// what was fetched ahead, so short waits are better waited out.
pub const KAFKA_PAUSE_AFTER: Duration = Duration::from_secs(1);

/// From a refusal by intake to the next try of the same message.
pub const KAFKA_RETRY_AFTER: Duration = Duration::from_secs(1);

/// From a try to place a partition that failed to the next.
pub const KAFKA_PLACE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long a partition that is taken away waits for what is in hand. Far below the five minutes
/// after which the broker would give the member up.
pub const KAFKA_REVOKE: Duration = Duration::from_secs(5);

/// One question to the broker or the store while a partition is placed. After it the partition
/// waits and is tried again.
pub const KAFKA_ASK: Duration = Duration::from_secs(10);

/// How long a reader of what a topic holds waits for the next message of it, reconnecting all the
/// while, before it gives up: somebody sits before it.
pub const KAFKA_HISTORY_SILENCE: Duration = Duration::from_secs(30);

/// Between two hints to the broker of how far a partition is. Event Hubs takes four commits a
/// second for each partition; the commits themselves are one second apart.
pub const KAFKA_HINT_EVERY: Duration = Duration::from_millis(200);

/// Between two looks at the members of a consumer group that is ours alone, and when it is not.
pub const KAFKA_MEMBERS_EVERY: Duration = Duration::from_secs(30);
pub const KAFKA_FOREIGN_MEMBERS_EVERY: Duration = Duration::from_secs(3);

/// How long a stopping Kafka source may take to finish what is in hand and to leave.
pub const KAFKA_STOP: Duration = Duration::from_secs(10);

/// How often the directory of rules is looked at.
pub const RULES_EVERY: Duration = Duration::from_secs(1);

/// How long after rules were refused they are read again, though their files look the same.
pub const RULES_AGAIN: Duration = Duration::from_secs(60);

/// How often rules that change while they are read are read at one look.
pub const RULES_READ_TRIES: u32 = 3;

/// How long a stopping relay waits for the answers of its calls in flight.
pub const RELAY_STOP: Duration = Duration::from_secs(35);

/// How often old rows are deleted.
pub const PURGE_EVERY: Duration = Duration::from_secs(60);

/// How often the service looks after itself: another member in its consumer group holds the
/// dispatch.
pub const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The first and the longest wait before the store is asked again for what it failed to do.
pub const STORE_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Pieces of work waiting for the store's writer. A caller that finds it full waits.
pub const STORE_QUEUE: usize = 1024;

/// Deliveries and changes that share one commit: one sync serves them all, and none of them waits
/// for more than some tens of milliseconds.
pub const STORE_GROUP: usize = 512;

/// Page cache of the store's writer, in KiB: the upper levels of every index.
pub const STORE_CACHE_KIB: i64 = 8192;

/// Page cache of the store's reader, in KiB.
pub const STORE_READER_CACHE_KIB: i64 = 1024;

/// Pages of write-ahead log after which SQLite moves them into the database: 16 MB, so that the
/// stop it makes stays some tens of milliseconds.
pub const STORE_LOG_PAGES: i64 = 4000;

/// Bytes of write-ahead log that stay allocated once it has been moved.
pub const STORE_LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;

/// Bytes of the store's file up to which all of it is looked at before a start: some tenths of a
/// second. A longer one is looked at while the store works, so long after its opening.
pub const STORE_CHECKED_FIRST: u64 = 64 * 1024 * 1024;
pub const STORE_CHECKED_AFTER: Duration = Duration::from_secs(10);

/// Rows of one kind that one purge deletes: it shares the writer with everything else.
pub const PURGE_PIECE: usize = 500;

/// Ended actions are kept at least this long whatever `retention` says: their attempts are the
/// log of the limiter, whose longest window is a day and a little more.
pub const ENDED_ACTIONS_KEPT_MIN: Duration = Duration::from_secs(25 * 3600);

/// Newest attempts that a start looks at however old they seem, for a wall clock that jumped.
/// More than twice what the default budget allows within its hour; where a budget allows more, the
/// others are looked at as far as they seem young.
pub const RESUME_ATTEMPTS_MIN: usize = 4096;

/// Faults of rows and chains that one verification names.
pub const FAULTS_NAMED: usize = 100;

/// A rule file, or a sample that its tests read: people write these by hand.
pub const RULE_FILE_BYTES: usize = 1024 * 1024;

/// Rule files in a directory: more than anyone has, few enough that a wrong path ends at once.
pub const RULE_FILES: usize = 100_000;

/// The longest window a rule may ask for: actions are kept about that long.
pub const RULE_WINDOW: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long a connection may leave an answer unread before it is cut: clients that never read
/// would otherwise hold their places for good.
pub const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// A secret in a file. The longest real ones are keys of some kilobytes.
pub const SECRET_BYTES: u64 = 64 * 1024;

/// Actions that one vote or one piece of a resume releases or rejects: some tens of milliseconds of
/// the writer.
pub const RELEASE_PIECE: usize = 1000;

/// A token of the admin listener: shorter ones could be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;

/// Requests with a wrong, expired or missing token that one address may send within
/// [`SIGN_IN_WINDOW`]; beyond, it is told to wait.
pub const SIGN_IN_FAILURES: u32 = 10;

/// The window of [`SIGN_IN_FAILURES`], how long an address then waits, and how often refused
/// requests go on the record.
pub const SIGN_IN_WINDOW: Duration = Duration::from_secs(60);

/// Addresses whose failures are counted apart. Those beyond share one count.
pub const SIGN_IN_ADDRESSES: usize = 1024;

/// Addresses with an entry of their own on the record each [`SIGN_IN_WINDOW`]: who is refused must
/// not be able to fill the disk. The others share one entry.
pub const SIGN_IN_NAMED: usize = 10;

/// While the application lacks roles, a token is renewed this often: what is granted is only in
/// tokens that are made after it, and a person who has just granted it waits.
pub const ROLES_LOOK_EVERY: Duration = Duration::from_secs(5 * 60);

/// How long a client of a broker waits for its first token. It asks from inside its poll, which
/// must come back well within the broker's patience, and asks again by itself.
pub const BROKER_TOKEN_WAIT: Duration = Duration::from_secs(2);

/// How often the heads of the hash chains go to the log, where they have changed.
pub const CHAIN_HEADS_EVERY: Duration = Duration::from_secs(5 * 60);

/// How often it is looked whether a source is silent or a credential about to expire.
pub const SILENCE_LOOK_EVERY: Duration = Duration::from_secs(5);

/// After a start a silent source gets this long to speak, if `silent_after` is not shorter: while
/// the service was stopped, nothing could come.
pub const SILENCE_AFTER_START: Duration = Duration::from_secs(15 * 60);

/// How long before its end a credential is noted as expiring.
pub const CREDENTIAL_EXPIRING: Duration = Duration::from_secs(30 * 86_400);

/// How often an expiring credential is noted again.
pub const CREDENTIAL_NOTED_EVERY: Duration = Duration::from_secs(86_400);
