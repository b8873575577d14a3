//! Lazaret turns security alerts into Microsoft Defender `StopAndQuarantineFile` calls: by rules
//! people can read and test, inside the API's budget, with nothing lost and nothing done twice.
//!
//! ```text
//!          ┌──────────────────── intake ───────────────────┐         ┌────── relay ──────┐
//! Kafka ─┐ │                                               │         │                   │
//!        ├─▶ Delivery ─▶ Alert ─▶ Candidate ─▶ Decision ─▶ Action ═══▶ Attempt ─▶ Answer ─▶ End
//! webhook┘   verify      decode   pair file    rules,      durable     dispatcher          tracker
//!            signature            + machine    dedupe                  + limiter
//! ```
//!
//! The modules stand in the order of that line. What decides is pure and lives in [`domain`]; what
//! waits or fails lives in [`io`]; [`intake`] and [`relay`] are the two loops between them, and
//! [`app`] puts everything together.
//!
//! | question | answer |
//! |---|---|
//! | Where is a signature checked? | [`domain::signature::Seal::verify`], for [`io::webhook`] |
//! | Where is an alert decoded? | [`formats`] |
//! | Where do rules judge? | [`domain::rule::Ruleset::judge`] |
//! | Where is a duplicate decided? | [`domain::dedupe::judge`] |
//! | Where is an offset committed? | `io::store::offsets`, with the actions |
//! | Where is a slot of the budget taken? | [`domain::limiter::Limiter::take`] |
//! | Where is a 429 decided? | `domain::dispatcher::endpoint` holds, `verdict` puts back |
//! | Where is a lost answer resolved? | [`domain::tracker`] |

// What is decided: pure, in the order of the line.
pub mod domain;

// How payloads read.
pub mod formats;

// Rule files: read, checked, tested.
pub mod rules;

// The ports, and what stands behind them.
pub mod io;

// The first loop: from deliveries to actions.
pub mod intake;

// The second loop: from actions to outcomes.
pub mod relay;

// Builds, starts and stops all parts.
pub mod app;

// What people set.
pub mod config;

// What nobody should.
pub mod limits;

// What is counted.
pub mod metrics;

// Serving HTTP to strangers.
pub mod serve;

// The command line.
pub mod cli;

// A strict Defender on loopback.
pub mod simulator;

// Days of storms, faults and crashes in virtual time.
pub mod simulation;

// Made-up alerts, and the calls they must lead to.
pub mod traffic;
