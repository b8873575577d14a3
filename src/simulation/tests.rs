//! The seeds, what they have to have come across, and how to replay one.

mod crashes;
mod planted;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::plan::Plan;
use super::report::{Report, Tally};
use crate::domain::action::StateName;

/// Seeds of `./test`; `./test --full` asks for more.
const SEEDS: u64 = 200;

/// Seeds that have failed once, one a line: they are always run.
const FAILED_ONCE: &str = include_str!("tests/failed-once.txt");

pub(super) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn failed_once() -> Vec<u64> {
    let lines = FAILED_ONCE.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.parse().expect("a seed on each line")).collect()
}

/// Runs the plan of a seed, and says how to run it again where something does not hold.
fn run(plan: Plan) -> Report {
    let seed = plan.seed;
    let again = format!(
        "run it alone: LAZARET_SIMULATION_SEED={seed} cargo test --lib -- simulation::tests::what\n\
         or, for its own plan: lazaret simulate-day --seed {seed}"
    );
    let run = catch_unwind(AssertUnwindSafe(|| super::run_plan(plan.clone())));
    let report = run.unwrap_or_else(|panic| {
        eprintln!("seed {seed} panics with {plan:?}\n{again}");
        resume_unwind(panic)
    });
    if let Some(broken) = &report.broken {
        let before = broken.before.join("\n  ");
        let held = broken.invariant.as_str();
        panic!("seed {seed}: {held}\n{}\n  {before}\n{plan:?}\n{again}", broken.what);
    }
    report
}

/// Runs all of them on both cores, and adds up what happened.
fn run_all(plans: &[Plan]) -> Tally {
    let next = AtomicU64::new(0);
    let all = Mutex::new(Tally::default());
    let work = || {
        while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let report = run(plan.clone());
            all.lock().unwrap_or_else(PoisonError::into_inner).add(&report.tally);
        }
    };
    std::thread::scope(|threads| {
        let other = threads.spawn(work);
        work();
        other.join().unwrap_or_else(|panic| resume_unwind(panic));
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn whatever_happens_everything_holds_and_every_action_ends() {
    if let Some(seed) = number("LAZARET_SIMULATION_SEED") {
        run(Plan::of(seed));
        return;
    }
    let seeds = number("LAZARET_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let seeds = (0..seeds).chain(failed_once());
    let all = run_all(&seeds.map(Plan::of).collect::<Vec<_>>());
    println!("{all:#?}");
    // A run that never came to the point proves nothing about it.
    let mut moves = all.moves;
    for (from, to) in every_move() {
        assert!(moves.remove(&(from, to)), "no seed moved {from} to {to}");
    }
    assert!(moves.is_empty(), "nobody asked for {moves:?}");
    assert_eq!(all.faults.len(), 22, "not every fault happened: {:?}", all.faults);
    assert_eq!(all.checked.len(), 13, "not everything was checked: {:?}", all.checked);
    assert!(all.doubles.hidden > 0 && all.doubles.by_clock > 0, "{:?}", all.doubles);
}

/// The moves that a dispatcher, people and intake make in this version.
fn every_move() -> impl Iterator<Item = (StateName, StateName)> {
    use StateName::*;
    let from = |from: StateName, to: &'static [StateName]| to.iter().map(move |to| (from, *to));
    from(Queued, &[InFlight, Expired, Held, Rejected])
        .chain(from(Held, &[Queued, Expired, Rejected]))
        .chain(from(InFlight, &[Accepted, InDoubt, Queued, Refused]))
        .chain(from(InDoubt, &[Accepted, Queued, GaveUp]))
        .chain(from(Accepted, &[Succeeded, Failed, TimedOut, Cancelled, Queued]))
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..4 {
        assert_eq!(run(Plan::of(seed)), run(Plan::of(seed)), "seed {seed}");
    }
    assert_ne!(run(Plan::of(1)).digest, run(Plan::of(2)).digest);
}
