//! A crash at every point in turn, and the table of what came of them.

use super::run_all;
use crate::simulation::plan::{Crashes, Plan};
use crate::simulation::report::Tally;

/// Between two crashes of one run; over so many runs, every point of a seed is hit.
const EVERY: u64 = 60;

/// Seeds whose points are all hit, and how many crashes that has to be.
fn campaign() -> (u64, u64) {
    if std::env::var("LAZARET_FULL").is_ok() { (4, 10_000) } else { (1, 500) }
}

#[test]
fn a_crash_at_every_effect_in_turn_loses_nothing() {
    let (seeds, enough) = campaign();
    let runs = (0..seeds).flat_map(|seed| (0..EVERY).map(move |first| (seed, first)));
    let plans = runs.map(|(seed, first)| {
        let crashes = Crashes::Every { first, every: EVERY };
        Plan { crashes, bad_disk: true, hides: true, ..Plan::of(seed) }
    });
    let all = run_all(&plans.collect::<Vec<_>>());
    print!("{}", table(&all));
    let crashes: u64 = all.crashes.values().sum();
    assert!(crashes >= enough, "{crashes} crashes");
    // Few seeds come to a pause that Defender causes.
    assert!(all.crashes.len() >= 10, "not at every point: {:?}", all.crashes);
}

/// Lost is what was acknowledged and has neither ended nor is open: a run with one fails.
fn table(all: &Tally) -> String {
    let mut text = String::from("crashes  at\n");
    for (at, crashes) in &all.crashes {
        text.push_str(&format!("{crashes:>7}  {at:?}\n"));
    }
    let crashes: u64 = all.crashes.values().sum();
    let doubles = all.doubles.hidden + all.doubles.by_clock;
    text.push_str(&format!(
        "{crashes:>7}  in all: 0 alerts lost, {} calls, {doubles} double calls, of which {} were \
         hidden longer than a look-up waits and {} behind a wall clock that was off\n",
        all.calls, all.doubles.hidden, all.doubles.by_clock
    ));
    text
}
