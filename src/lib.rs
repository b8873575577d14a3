//! (the map comes here)

pub mod domain;

pub mod formats;

pub mod io;

pub mod rules;

pub mod limits;

pub mod metrics;

pub mod simulator;

pub mod cli;
