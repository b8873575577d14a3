//! A deterministic simulation of one tenant in virtual time: senders, intake, a real dispatcher
//! with its store and clocks, people, and a faulty Defender, with crashes wherever one can be.
//!
//! Six hours with faults, then calm until everything has ended. All that happens is appended to a
//! [`history`], which checks after every event what must hold. The same seed gives the same run.

mod defender;
pub mod history;
pub mod plan;
pub mod report;
#[cfg(test)]
mod saturated;
mod sender;
pub mod servers;
mod store;
pub mod tenants;
mod world;

use plan::Plan;
use report::Report;
use world::World;

/// The epoch of the simulation's true time, as a wall clock shows it.
const EPOCH: i64 = 1_760_000_000_000_000;

/// Runs one seed to its end, or to the first thing that must hold and does not.
pub fn run(seed: u64) -> Report {
    run_plan(Plan::of(seed))
}

/// Runs a plan, which may be another than its seed's.
pub fn run_plan(plan: Plan) -> Report {
    World::new(plan).run()
}

#[cfg(test)]
mod tests;
