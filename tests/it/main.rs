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
mod enrich;
mod hygiene;
mod issuer;
mod kafka;
mod line;
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
