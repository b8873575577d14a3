//! Tests of whole stations against the real parts: one binary, one module for each.

mod broker;
mod campaign;
mod compose;
mod dependencies;
mod kafka;
mod tidy;
mod webhook;
mod world;
