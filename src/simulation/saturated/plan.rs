//! What is simulated, and what came of it.

use std::collections::BTreeMap;

use super::HOUR;
use crate::simulation::servers::Model;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// The server whose refusals are answered. Without one all of them count, and none answers.
    pub model: Option<Model>,
    pub reserve: u32,
    pub hours: i64,
    /// Restarts in an hour, within the same boot and with a clock that says so.
    pub restarts: u32,
    /// Every so many restarts the machine boots, and its wall clock is trusted or not.
    pub reboots: u32,
    /// Hours by which the wall clock jumps at times.
    pub wall_jumps: i64,
    /// Parts per million by which the boot clock is fast.
    pub drift: i64,
    /// Calls that an earlier run made in the hour before, the last one just now.
    pub inherited: u32,
    /// Urgent actions in an hour, beside the bulk.
    pub urgent: u32,
    /// Calls of others in an hour, on the same budget.
    pub others: u32,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        Self {
            seed,
            model: None,
            reserve: 0,
            hours: 6,
            restarts: 0,
            reboots: 0,
            wall_jumps: 0,
            drift: 0,
            inherited: 0,
            urgent: 0,
            others: 0,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// When our calls reached the server, ascending.
    pub counted: Vec<i64>,
    /// Of our calls, those that a server refused or would have, by its model.
    pub refused: BTreeMap<Model, u64>,
    /// Of the calls of others.
    pub refused_others: u64,
    /// How long each urgent action waited, ascending.
    pub waits: Vec<i64>,
    /// When each bulk action was called first, by its place in the queue.
    pub starts: BTreeMap<i64, i64>,
    pub restarts: u32,
}

impl Outcome {
    /// Of any hour between these times, the fewest calls that were made in it.
    pub fn fewest_in_an_hour(&self, since: i64, until: i64) -> usize {
        let within = |from: i64| {
            let before = self.counted.partition_point(|at| *at < from);
            self.counted.partition_point(|at| *at < from + HOUR) - before
        };
        // An hour has the fewest calls where it begins just after one.
        let begins = self.counted.iter().map(|at| at + 1);
        let begins = begins.filter(|from| *from > since && from + HOUR <= until);
        begins.map(within).min().unwrap_or_default()
    }
}
