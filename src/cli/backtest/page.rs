//! What a backtest says.

use std::fmt::Write as _;
use std::path::Path;

use super::super::actions::shortened;
use super::super::style::{COLUMNS, beside, clean, counted, table, wrap};
use crate::domain::decision::Fate;
use crate::domain::rule::Ruleset;
use crate::rules::backtest::{Effect, Holds, Outcome, Part, Tenants};

/// Calls that a comparison lists; the rest is counted.
const LISTED: usize = 20;

/// What was read, and what of it can't be judged.
pub fn head(part: &Part<'_>, place: &str, format: &str, dir: &Path) -> String {
    let unreadable = part.unreadable;
    let said = format!(
        "{} of {place}, {unreadable} unreadable as {format}, judged by {}",
        counted(part.alerts as usize, "alert"),
        dir.display()
    );
    let mut text = filled(&said);
    for (number, what) in [
        (part.outside, "not of the time from --from to --to"),
        (part.undated, "of no time, or of one in the future: incomplete where a rule matches"),
        (part.asking, "with files that only Defender could tell of: those are not judged"),
        (part.strangers, "of tenants that the source does not speak for"),
        (part.headless, "without the row of the alert itself: not judged"),
    ] {
        if number > 0 {
            text.push_str(&filled(&format!("{} {what}", counted(number as usize, "alert"))));
        }
    }
    text
}

/// The first that can't be read, with its place.
pub fn first_unreadable(why: &str) -> String {
    filled(&format!("first unreadable: {why}"))
}

/// In lines that fit.
fn filled(said: &str) -> String {
    wrap(&clean(said), COLUMNS).into_iter().map(|line| line + "\n").collect()
}

fn title(rules: &Ruleset, id: &str) -> String {
    clean(rules.title(id).unwrap_or(id))
}

/// What a rule set would have done.
pub fn shown(came: &Outcome<'_>, rules: &Ruleset, tenants: &Tenants, budget: u64) -> String {
    let calls = came.calls();
    let (machines, files) = came.touched();
    let mut text = String::from("\n");
    for (fate, count) in &came.fates {
        let fate = match fate {
            Fate::Waiting => "waiting for what Defender is asked".to_owned(),
            fate => fate.as_str().replace('_', " "),
        };
        let _ = writeln!(text, "{count:10}  {fate}");
    }
    let said = format!(
        "\n{} for {} and {}: {:.1} hours of a budget of {budget} calls an hour",
        counted(calls as usize, "call"),
        counted(machines, "machine"),
        counted(files, "file"),
        calls as f64 / budget.max(1) as f64
    );
    text.push_str(&beside("", 0, &said));
    if let Some((at, calls)) = came.busiest_minute() {
        let _ = writeln!(text, "Busiest minute: {} from {at}", counted(calls as usize, "call"));
    }
    let mut rows: Vec<Vec<String>> = vec![
        ["calls", "held", "asked", "protected", "machines", "files", "rule"]
            .map(String::from)
            .to_vec(),
    ];
    for (id, of) in &came.rules {
        let (machines, files) = (of.machines.len() as u64, of.files.len() as u64);
        let numbers = [of.acts, of.held, of.asked, of.protected, machines, files];
        let mut row: Vec<String> = numbers.iter().map(u64::to_string).collect();
        row.push(shortened(&title(rules, id), 31));
        rows.push(row);
    }
    if rows.len() > 1 {
        text.push('\n');
        text.push_str(&table(&rows));
    }
    for trip in &came.trips {
        let (breaker, rate, at) = (trip.breaker, trip.rate, trip.at);
        let whose = match trip.holds {
            Holds::Rule(rule) => title(rules, rule),
            Holds::Tenant(place) => format!("tenant {}", tenants.name(place)),
        };
        let often = match trip.times {
            1 => String::new(),
            times => format!(", and {times} times in all if it was resumed each time at once"),
        };
        let said = format!("{whose}: breaker {breaker} ({rate}) would have held from {at}{often}");
        text.push_str(&filled(&said));
    }
    text
}

/// Calls that only one of two rule sets would have made.
pub fn compared(
    first: &Outcome<'_>,
    of_first: &Ruleset,
    second: &Outcome<'_>,
    of_second: &Ruleset,
) -> String {
    let mut text = String::from("\n");
    let mut list = |sign: &str, these: &Outcome<'_>, rules: &Ruleset, those: &Outcome<'_>| {
        let is_more =
            |effect: &Effect, calls: usize| calls > those.calls.get(effect).map_or(0, Vec::len);
        let more = these.calls.iter().filter(|(effect, calls)| is_more(effect, calls.len()));
        let mut more: Vec<_> = more.collect();
        more.sort_by_key(|(effect, calls)| (calls[0].0, effect.machine, effect.sha1));
        for (effect, calls) in more.iter().take(LISTED) {
            let ((at, rule), Effect { machine, sha1, .. }) = (&calls[0], effect);
            let said = format!("{at} {machine} {sha1} {}", title(rules, rule));
            text.push_str(&beside(&format!("{sign} "), 2, &said));
        }
        if more.len() > LISTED {
            let _ = writeln!(text, "{sign} … {} more", more.len() - LISTED);
        }
        more.len()
    };
    let gone = list("-", first, of_first, second);
    let new = list("+", second, of_second, first);
    let _ = writeln!(text, "{gone} of the first only, {new} of the second only");
    text
}
