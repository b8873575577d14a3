//! Each mistake, planted, is caught: else the seeds would be too few or the checks too weak.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::SEEDS;
use crate::domain::planted::{Bug, plant};
use crate::simulation::plan::Plan;

const BUGS: [Bug; 25] = [
    Bug::StampAtSend,
    Bug::ForgetUnanswered,
    Bug::ForgetInFlight,
    Bug::ForgetWindows,
    Bug::FreeOnTooMany,
    Bug::FreeOnTimeout,
    Bug::TokenBucket,
    Bug::WallForWindows,
    Bug::IgnoreRetryAfter,
    Bug::OrderByArrival,
    Bug::SendExpired,
    Bug::RetryUnseen,
    Bug::LookUpTooEarly,
    Bug::AdoptByMachine,
    Bug::AdoptTaken,
    Bug::FirstPageOnly,
    Bug::PendingIsDone,
    Bug::OpenDoesNotBlock,
    Bug::NoSendBy,
    Bug::AcknowledgeBeforeCommit,
    Bug::AcknowledgeWhatFailed,
    Bug::CommitBeforeSync,
    Bug::HalfATransaction,
    Bug::PauseNotChecked,
    Bug::DenyNotChecked,
];

/// The first seed that catches it, and by what.
fn caught(bug: Bug) -> Option<(u64, String)> {
    plant(Some(bug));
    let found = (0..SEEDS).find_map(|seed| {
        let run = catch_unwind(AssertUnwindSafe(|| crate::simulation::run_plan(Plan::of(seed))));
        match run {
            Ok(report) => Some((seed, report.broken?.invariant.as_str().to_owned())),
            Err(_) => Some((seed, "the code itself: it panics".to_owned())),
        }
    });
    plant(None);
    found
}

fn caught_all(bugs: &[Bug]) -> Vec<(Bug, Option<(u64, String)>)> {
    bugs.iter().map(|bug| (*bug, caught(*bug))).collect()
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
