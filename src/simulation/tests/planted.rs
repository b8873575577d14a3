//! Each mistake, planted, is caught: else the seeds would be too few or the checks too weak.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::SEEDS;
use crate::domain::planted::{Bug, plant};
use crate::simulation::plan::Plan;

/// With the seed that is tried first: the one by which it was caught last.
const BUGS: [(Bug, u64); 25] = [
    (Bug::StampAtSend, 1),
    (Bug::ForgetUnanswered, 22),
    (Bug::ForgetInFlight, 3),
    (Bug::ForgetWindows, 0),
    (Bug::FreeOnTooMany, 0),
    (Bug::FreeOnTimeout, 0),
    (Bug::TokenBucket, 0),
    (Bug::WallForWindows, 9),
    (Bug::IgnoreRetryAfter, 0),
    (Bug::OrderByArrival, 0),
    (Bug::SendExpired, 126),
    (Bug::RetryUnseen, 2),
    (Bug::LookUpTooEarly, 10),
    (Bug::AdoptByMachine, 5),
    (Bug::AdoptTaken, 89),
    (Bug::FirstPageOnly, 0),
    (Bug::PendingIsDone, 0),
    (Bug::OpenDoesNotBlock, 0),
    (Bug::NoSendBy, 1),
    (Bug::AcknowledgeBeforeCommit, 0),
    (Bug::AcknowledgeWhatFailed, 2),
    (Bug::CommitBeforeSync, 0),
    (Bug::HalfATransaction, 19),
    (Bug::PauseNotChecked, 0),
    (Bug::DenyNotChecked, 9),
];

/// A seed that catches it, and by what.
fn caught(bug: Bug, first: u64) -> Option<(u64, String)> {
    plant(Some(bug));
    let found = std::iter::once(first).chain(0..SEEDS).find_map(|seed| {
        let run = catch_unwind(AssertUnwindSafe(|| crate::simulation::run_plan(Plan::of(seed))));
        match run {
            Ok(report) => Some((seed, report.broken?.invariant.as_str().to_owned())),
            Err(_) => Some((seed, "the code itself: it panics".to_owned())),
        }
    });
    plant(None);
    found
}

fn caught_all(bugs: &[(Bug, u64)]) -> Vec<(Bug, Option<(u64, String)>)> {
    bugs.iter().map(|(bug, first)| (*bug, caught(*bug, *first))).collect()
}

#[test]
fn every_planted_bug_is_caught_within_the_seeds() {
    assert_eq!(BUGS.len(), Bug::DenyNotChecked as usize + 1, "the last one in its list");
    let (half, other) = BUGS.split_at(BUGS.len() / 2);
    let found = std::thread::scope(|threads| {
        let other = threads.spawn(|| caught_all(other));
        let mut found = caught_all(half);
        found.extend(other.join().expect("it catches panics itself"));
        found
    });
    println!("{:<24} {:>4}  caught by", "planted", "seed");
    for (bug, caught) in &found {
        let (seed, by) = match caught {
            Some((seed, by)) => (seed.to_string(), by.as_str()),
            None => ("-".to_owned(), "nothing"),
        };
        println!("{:<24} {seed:>4}  {by}", format!("{bug:?}"));
    }
    let missed: Vec<Bug> =
        found.iter().filter(|(_, caught)| caught.is_none()).map(|(bug, _)| *bug).collect();
    assert!(missed.is_empty(), "not caught within {SEEDS} seeds: {missed:?}");
}
