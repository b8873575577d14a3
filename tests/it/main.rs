//! Tests of whole stations against the real parts: one binary, one module for each.

#![allow(clippy::disallowed_methods, reason = "tests wait for other processes")]

mod audit;
mod authoring;
mod backtest;
mod brakes;
mod broken;
mod broker;
mod campaign;
mod compose;
mod configuration;
mod corpus;
mod correlations;
mod credentials;
mod dependencies;
mod doctor;
mod doubts;
mod enrich;
#[cfg(debug_assertions)]
mod failpoints;
mod hygiene;
mod issuer;
mod kafka;
mod kills;
mod line;
mod load;
mod lookups;
mod notify;
mod promises;
mod readme;
mod recall;
mod reload;
mod rules;
mod schema;
mod senders;
mod sigma;
mod streams;
mod tidy;
mod webhook;
mod world;
