//! What a failed test expected and what it got, line by line as `diff` shows it.

use std::collections::BTreeSet;

use crate::cli::style::{beside, clean};
use crate::rules::Mismatch;

/// `-` is expected and not there, `+` is there and not expected; what is both has neither.
pub(super) fn shown(mismatch: &Mismatch) -> String {
    let (expected, got) = (&mismatch.expected, &mismatch.got);
    let verb = if mismatch.denies { "protect" } else { "act" };
    let mut text = beside(&" ".repeat(10), 10, "- expected, + got");
    for pair in expected.targets.union(&got.targets) {
        let mark = mark(expected.targets.contains(pair), got.targets.contains(pair));
        text.push_str(&line(mark, verb, &format!("machine {}", pair.0)));
        text.push_str(&line(' ', "", &format!("sha1    {}", pair.1)));
        if mark == '-' {
            let none = ["the sample has no such file on such a machine".to_owned()];
            let why = mismatch.against.get(pair).map_or(none.as_slice(), Vec::as_slice);
            for why in why.iter().collect::<BTreeSet<_>>() {
                text.push_str(&line(' ', "", why));
            }
        }
    }
    for field in expected.hold.union(&got.hold) {
        let mark = mark(expected.hold.contains(field), got.hold.contains(field));
        text.push_str(&line(mark, "hold", field.name()));
    }
    for field in expected.enrich.union(&got.enrich) {
        let mark = mark(expected.enrich.contains(field), got.enrich.contains(field));
        text.push_str(&line(mark, "enrich", field.name()));
    }
    // What stands against a rule matters only where the test names it.
    for name in expected.no_match.difference(&got.no_match) {
        text.push_str(&line('-', "no_match", name));
        for name in &got.no_match {
            text.push_str(&line('+', "no_match", name));
        }
    }
    if mismatch.has_lists {
        let said = "lists count as they stand on disk: a new entry may match";
        text.push_str(&beside(&" ".repeat(10), 10, said));
    }
    text
}

fn mark(is_expected: bool, is_got: bool) -> char {
    match (is_expected, is_got) {
        (true, false) => '-',
        (false, true) => '+',
        _ => ' ',
    }
}

fn line(mark: char, verb: &str, said: &str) -> String {
    let width = if verb.len() > 5 { 8 } else { 5 };
    beside(&format!("{:10}{mark} {verb:width$} ", ""), 13 + width, &clean(said))
}
