//! What Lazaret decides, and nothing else: no await, no clock, no dice, no file, no socket.
//!
//! Time comes in as [`time::Now`], randomness as ready-made ids. Each module uses only those that
//! stand before it: first what the others speak of, then the order of the line. A delivery's
//! signature is checked, an alert becomes candidates, rules judge them, what is decided becomes an
//! action, and the dispatcher turns actions into attempts.

pub(crate) mod dice;

pub(crate) mod planted;

pub mod time;

pub mod ids;

pub mod scope;

pub mod breaker;

pub mod action;

pub mod candidate;

pub mod alert;

pub mod correlation;

pub mod join;

pub mod decision;

pub mod gather;

pub mod signature;

pub mod rule;

pub mod guard;

pub mod vote;

pub mod audit;

pub mod notice;

pub mod dedupe;

pub mod cloud;

pub mod answer;

pub mod limiter;

pub mod tracker;

pub mod cancel;

pub mod lookup;

pub mod pool;

pub mod dispatcher;
