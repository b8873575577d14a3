use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::Run;
use crate::domain::action::StateName;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(seed: u64) -> Run {
    catch_unwind(AssertUnwindSafe(|| super::run(seed))).unwrap_or_else(|panic| {
        eprintln!("seed {seed} failed: LAZARET_SIMULATION_SEED={seed} runs it alone");
        resume_unwind(panic)
    })
}

/// Every other seed from `first` on, and the moves that were made.
fn run_half(first: u64, seeds: u64) -> BTreeSet<(StateName, StateName)> {
    (first..seeds).step_by(2).flat_map(|seed| run(seed).moves).collect()
}

#[test]
fn whatever_happens_every_action_ends_as_it_should() {
    if let Some(seed) = number("LAZARET_SIMULATION_SEED") {
        run(seed);
        return;
    }
    let seeds = number("LAZARET_SIMULATION_SEEDS").unwrap_or(300);
    let mut moves = std::thread::scope(|threads| {
        let half = threads.spawn(|| run_half(1, seeds));
        let mut moves = run_half(0, seeds);
        moves.extend(half.join().expect("its seeds pass"));
        moves
    });
    // A run that never came to the point proves nothing about it. Writing the attempt is what
    // moves an action to in flight.
    for (from, to) in every_move() {
        assert!(moves.remove(&(from, to)), "no seed moved {from} to {to}");
    }
    assert!(moves.is_empty(), "nobody asked for {moves:?}");
}

/// The moves that a dispatcher makes in this version.
fn every_move() -> impl Iterator<Item = (StateName, StateName)> {
    use StateName::*;
    let from = |from: StateName, to: &'static [StateName]| to.iter().map(move |to| (from, *to));
    // Held, rejected and released: a person, or the guard.
    from(Queued, &[Expired, Held, Rejected])
        .chain(from(Held, &[Queued, Expired]))
        .chain(from(InFlight, &[Accepted, InDoubt, Queued, Refused]))
        .chain(from(InDoubt, &[Accepted, Queued, GaveUp]))
        .chain(from(Accepted, &[Succeeded, Failed, TimedOut, Cancelled]))
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..4 {
        assert_eq!(run(seed).digest, run(seed).digest, "seed {seed}");
    }
    assert_ne!(run(1).digest, run(2).digest);
}
