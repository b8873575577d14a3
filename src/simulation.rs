//! A deterministic simulation of one tenant: a dispatcher with its store, its clocks and a faulty
//! Defender, in virtual time, with crashes between any two effects.
//!
//! What is checked after every step stands where it happens: the windows where a call is counted,
//! the order of classes where a call is decided, transitions where they are applied.

mod defender;
mod plan;
#[cfg(test)]
mod saturated;
pub mod servers;
mod store;
pub mod tenants;
mod world;

use std::collections::BTreeSet;

use crate::domain::action::StateName;
use plan::Plan;
use world::World;

/// The epoch of the simulation's true time, as a wall clock shows it.
const EPOCH: i64 = 1_760_000_000_000_000;

/// What happened in the run of one seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Moves that were made, by names.
    pub moves: BTreeSet<(StateName, StateName)>,
    /// Of everything that happened, in order.
    pub digest: u64,
}

/// Runs one seed to its end. Panics where something that must hold does not.
pub fn run(seed: u64) -> Run {
    let mut world = World::new(Plan::of(seed));
    world.run();
    Run { moves: world.moves, digest: world.digest }
}

#[cfg(test)]
mod tests;
