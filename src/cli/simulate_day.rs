//! `lazaret simulate-day`: hours of storms, faults and crashes in virtual time, from a seed.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::{Value, json};

use super::style::{Style, beside, print_json};
use super::{Failure, Outcome};
use crate::simulation::history::{Broken, clock};
use crate::simulation::report::{Report, Tally};

const USE: &str = "\
Six hours in which senders repeat themselves, the process crashes, the disk
fails, clocks jump, people pause and Defender does everything it is feared to
do; then calm, until every action has ended. What Lazaret promises is checked
after every event. Nothing is sent anywhere and no file is touched.

The same seed of the same version gives the same run, to the last event.";

/// Simulates a day of one tenant in a moment, and checks what Lazaret promises
#[derive(Debug, clap::Args)]
#[command(after_help = USE)]
pub struct Args {
    /// The same seed gives the same run
    #[arg(long, value_name = "S")]
    seed: u64,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Exits with 1 where something did not hold.
pub fn run(args: Args) -> Outcome {
    let seed = args.seed;
    // What decides never panics; should it, that is one more thing that did not hold.
    let report = std::panic::catch_unwind(|| crate::simulation::run(seed)).map_err(|_| {
        let again = format!("lazaret simulate-day --seed {seed}");
        Failure::wrong(format!(
            "seed {seed}: the code itself panics, as said above; to go on: {again}"
        ))
    })?;
    if args.json {
        print_json(&as_json(&report));
    } else {
        print!("{}", screen(Style::of_stdout(), &report));
    }
    match report.broken {
        Some(_) => Err(Failure::wrong("")),
        None => Ok(()),
    }
}

fn replay(report: &Report) -> String {
    format!("lazaret simulate-day --seed {}", report.seed)
}

/// Every line of what happened stands beside one word.
fn screen(style: Style, report: &Report) -> String {
    let Tally { deliveries, again, acknowledged, created, duplicates, spared, .. } = &report.tally;
    let Tally { attempts, calls, too_many, crashes, faults, ended, .. } = &report.tally;
    let Tally { doubles, checked, events, pauses, .. } = &report.tally;
    let hours = report.time as f64 / 3_600_000_000.0;
    let head = match &report.broken {
        None => style.good(format!("seed {}: everything held", report.seed)),
        Some(_) => style.bad(format!("seed {}: something did not hold", report.seed)),
    };
    let counted = |what: String| if what.is_empty() { "none".to_owned() } else { what };
    let lines = [
        ("simulated", format!("{hours:.1} hours, {events} events")),
        (
            "deliveries",
            format!(
                "{} of which {} were acknowledged, sent {again} times again",
                deliveries.len(),
                acknowledged.len()
            ),
        ),
        (
            "candidates",
            format!("{created} actions, {duplicates} duplicates, {spared} under a deny rule"),
        ),
        ("ended", counted(list(ended))),
        (
            "calls",
            format!(
                "{calls} of {attempts} attempts; {too_many} answered with 429 (Defender counts by \
                 {})",
                report.model.as_str()
            ),
        ),
        ("people", format!("{pauses} pauses")),
        ("crashes", counted(list(crashes))),
        ("faults", counted(list(faults))),
        (
            "called twice",
            format!(
                "{} that Defender hid longer than a look-up waits, {} behind a wall clock that was \
                 off",
                doubles.hidden, doubles.by_clock
            ),
        ),
        ("checked", format!("{} promises, {} times", checked.len(), checked.values().sum::<u64>())),
        ("digest", format!("{:016x}", report.digest)),
    ];
    const WIDTH: usize = 14;
    let mut text = format!("{head}\n");
    for (word, said) in lines {
        text.push_str(&beside(&format!("{word:<WIDTH$}"), WIDTH, &said));
    }
    if let Some(broken) = &report.broken {
        text.push_str(&what_broke(broken));
        text.push_str(&format!("run it again: {}\n", replay(report)));
    }
    text
}

fn what_broke(broken: &Broken) -> String {
    let Broken { invariant, what, time, before } = broken;
    let before: String = before.iter().map(|event| format!("  {event}\n")).collect();
    let held = invariant.as_str();
    format!("\nbroken at {}: {held}\n{what}\nthe events before it:\n{before}", clock(*time))
}

/// `3 before intake, 1 in commit`.
fn list<K: Debug>(numbers: &BTreeMap<K, u64>) -> String {
    let shown: Vec<_> = numbers.iter().map(|(key, n)| format!("{n} {}", words(key, ' '))).collect();
    shown.join(", ")
}

/// The name of a variant as words: `BeforeIntake` is `before intake`.
fn words(variant: &impl Debug, between: char) -> String {
    let mut text = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push(between);
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn as_json(report: &Report) -> Value {
    fn object<K: Debug>(numbers: &BTreeMap<K, u64>) -> Value {
        let entries = numbers.iter().map(|(key, n)| (words(key, '_'), Value::from(*n)));
        Value::Object(entries.collect())
    }
    let tally = &report.tally;
    let broken = report.broken.as_ref().map(|broken| {
        json!({
            "invariant": broken.invariant.as_str(),
            "what": broken.what,
            "at": clock(broken.time),
            "before": broken.before,
            "replay": replay(report),
        })
    });
    json!({
        "seed": report.seed,
        "held": report.broken.is_none(),
        "broken": broken,
        "simulated_seconds": report.time / 1_000_000,
        "events": tally.events,
        "deliveries": tally.deliveries.len(),
        "acknowledged": tally.acknowledged.len(),
        "sent_again": tally.again,
        "actions": tally.created,
        "duplicates": tally.duplicates,
        "protected": tally.spared,
        "ended": object(&tally.ended),
        "server": report.model.as_str(),
        "attempts": tally.attempts,
        "calls": tally.calls,
        "too_many": tally.too_many,
        "pauses": tally.pauses,
        "crashes": object(&tally.crashes),
        "faults": object(&tally.faults),
        "called_twice": {"hidden": tally.doubles.hidden, "by_clock": tally.doubles.by_clock},
        "checked": object(&tally.checked),
        "digest": format!("{:016x}", report.digest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::planted::{Bug, plant};
    use crate::simulation;

    #[test]
    fn the_screen_fits_and_is_the_same_for_the_same_seed() {
        let shown = || screen(Style::plain(), &simulation::run(7));
        let text = shown();
        assert!(text.starts_with("seed 7: everything held\n"), "{text}");
        assert!(text.lines().count() <= 24, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text, shown());
    }

    #[test]
    fn what_broke_is_told_with_the_line_that_replays_it() {
        plant(Some(Bug::AcknowledgeBeforeCommit));
        let report = simulation::run(7);
        plant(None);
        let text = screen(Style::plain(), &report);
        assert!(text.contains("3: nothing is acknowledged before it is durable"), "{text}");
        assert!(text.ends_with("run it again: lazaret simulate-day --seed 7\n"), "{text}");
        let json = as_json(&report);
        assert_eq!(json["held"], false);
        assert_eq!(json["broken"]["replay"], "lazaret simulate-day --seed 7");
    }
}
