//! What one candidate costs to judge, beside the parsing of what it came with.

use std::hint::black_box;
use std::time::{Duration, Instant};

use lazaret::domain::alert::Alert;
use lazaret::domain::rule::{Mode, Ruleset};
use lazaret::domain::time::Wall;
use lazaret::formats::{self, Format};

use super::Scale;
use super::alerts::{self, ACTS, IDLE, Mix};
use super::table::{self, Rounds, Target};

const ALERTS: usize = 64;
const EVIDENCE: usize = 6;

/// How many rules of what kind, and what a candidate may cost in microseconds.
const SETS: [(usize, Mix, Target); 5] = [
    (1, Mix::Tenth, Target::None),
    (1000, Mix::Tenth, Target::AtMost(1.0)),
    (10_000, Mix::Tenth, Target::AtMost(1.0)),
    (1000, Mix::Bare, Target::None),
    (10_000, Mix::Bare, Target::None),
];

pub fn run(scale: Scale) {
    let created = alerts::now();
    // One alert in four has a file that acts.
    let status = |n: usize| if n.is_multiple_of(4) { ACTS } else { IDLE };
    let texts: Vec<String> =
        (0..ALERTS).map(|n| alerts::alert(n + 1, EVIDENCE, status(n), created)).collect();
    let read: Vec<Alert<'_>> = texts.iter().map(|text| decode(text)).collect();
    let candidates: usize = read.iter().map(|alert| alert.candidates.len()).sum();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for rules");
    let sets: Vec<Ruleset> = SETS
        .iter()
        .enumerate()
        .map(|(at, (count, mix, _))| {
            let rules = dir.path().join(at.to_string());
            alerts::write_mix(&rules, *count, *mix).expect("the rules are written");
            let loaded = lazaret::rules::load(&rules, Wall(0));
            loaded.unwrap_or_else(|why| panic!("the rules: {why}")).ruleset
        })
        .collect();

    let each = Duration::from_millis(1000 / scale.divisor as u64);
    let [mut parse, mut typed] = [Rounds::default(), Rounds::default()];
    let mut judge = vec![Rounds::default(); sets.len()];
    let mut unit = Rounds::default();
    unit.push(1.0);
    for _ in 0..scale.pairs {
        parse.push(micros(each, candidates, || {
            for text in &texts {
                black_box(serde_json::from_str::<serde_json::Value>(text).expect("JSON"));
            }
        }));
        typed.push(micros(each, candidates, || {
            texts.iter().for_each(|text| drop(black_box(decode(text))));
        }));
        for (rounds, rules) in judge.iter_mut().zip(&sets) {
            rounds.push(micros(each, candidates, || {
                for candidate in read.iter().flat_map(|alert| &alert.candidates) {
                    black_box(rules.judge(&candidate.fields, Mode::Enforce));
                }
            }));
        }
    }
    table::heading(
        "7. A candidate judged",
        &[
            "one thread; one in four alerts has a file that one rule matches, no other match",
            "so many rules: 9 in 10 with an equality condition, or all with bare contains",
        ],
    );
    table::columns("µs", "µs");
    table::row("serde_json::Value", &parse, &unit, Target::None);
    table::row("decoded", &typed, &unit, Target::None);
    for ((count, mix, target), rounds) in SETS.iter().zip(&judge) {
        let count = table::number(*count as f64);
        let mix = match mix {
            Mix::Tenth => "9 in 10 equal",
            Mix::Bare => "contain only",
        };
        let name = format!("{}, {mix}", count.trim_end_matches(".00"));
        table::row(&name, rounds, &unit, *target);
    }
}

fn decode(text: &str) -> Alert<'_> {
    let mut alert = Format::DefenderAlert.decode(text).expect("an alert");
    formats::came_by(&mut alert, "contoso", "siem", alerts::now());
    alert
}

/// Microseconds for each candidate.
fn micros(each: Duration, candidates: usize, mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed() < each {
        work();
        done += candidates;
    }
    began.elapsed().as_secs_f64() * 1e6 / done as f64
}
