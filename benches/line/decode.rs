//! From bytes to judgements, beside plain parsing of the same bytes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use lazaret::domain::rule::{Judgement, Mode, Ruleset};
use lazaret::domain::time::Wall;
use lazaret::formats::Format;

use super::Scale;
use super::alerts::{self, ACTS, IDLE};
use super::table::{self, Rounds, Target};

const RULES: [usize; 4] = [1, 100, 1000, 10_000];
const ALERTS: usize = 256;
const EVIDENCE: usize = 6;

pub fn run(scale: Scale) {
    let created = alerts::now();
    // One alert in sixteen acts.
    let status = |n: usize| if n.is_multiple_of(16) { ACTS } else { IDLE };
    let alerts: Vec<String> =
        (0..ALERTS).map(|n| alerts::alert(n + 1, EVIDENCE, status(n), created)).collect();
    let bytes = alerts.iter().map(String::len).sum::<usize>() / ALERTS;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for rules");
    let sets: Vec<Ruleset> = RULES
        .iter()
        .map(|count| {
            let rules = dir.path().join(count.to_string());
            alerts::write_rules(&rules, *count).expect("the rules are written");
            let loaded = lazaret::rules::load(&rules, Wall(0));
            loaded.unwrap_or_else(|why| panic!("the rules: {why}")).ruleset
        })
        .collect();

    let each = Duration::from_millis(1000 / scale.divisor as u64);
    let mut parse = Rounds::default();
    let mut judge = vec![Rounds::default(); sets.len()];
    for _ in 0..scale.pairs {
        parse.push(rate(&alerts, each, |alert| {
            black_box(serde_json::from_slice::<serde_json::Value>(alert).expect("JSON"));
        }));
        for (rounds, rules) in judge.iter_mut().zip(&sets) {
            rounds.push(rate(&alerts, each, |alert| {
                black_box(decode_and_judge(alert, rules));
            }));
        }
    }
    let size = format!("{bytes} bytes each, {EVIDENCE} items of evidence; one thread");
    table::heading(
        "1. Alerts decoded and judged",
        &[&size, "decode, judge each candidate; an equality condition in 49 of 50 rules"],
    );
    table::columns("alerts/s", "× Value");
    table::row("serde_json::Value", &parse, &parse, Target::None);
    for (count, rounds) in RULES.iter().zip(&judge) {
        let target = if *count == 1000 { Target::AtLeast(1.0) } else { Target::None };
        let name = format!("{} rules", table::number(*count as f64).trim_end_matches(".00"));
        table::row(&name, rounds, &parse, target);
    }
}

/// How many candidates act. Bodies of one alert are read as intake reads them, without being cut.
fn decode_and_judge(body: &[u8], rules: &Ruleset) -> usize {
    let (_, alert) = Format::DefenderAlert.decode_only(body).expect("an alert");
    let judgements =
        alert.candidates.iter().map(|candidate| rules.judge(&candidate.fields, Mode::Enforce));
    judgements.filter(|judgement| matches!(judgement, Judgement::Act(_))).count()
}

fn rate(alerts: &[String], each: Duration, mut work: impl FnMut(&[u8])) -> f64 {
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed() < each {
        alerts.iter().for_each(|alert| work(alert.as_bytes()));
        done += alerts.len();
    }
    done as f64 / began.elapsed().as_secs_f64()
}
