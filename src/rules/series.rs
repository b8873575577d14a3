//! The tests of a correlation: what it has to do with several sample alerts together.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;
use std::ops::Range;

use super::case::{self, Expect, Set};
use super::notes::{Notes, find};
use super::trial::{Came, Wrong, compare, mismatch, prepare};
use super::yaml::{At, Node};
use crate::domain::alert::Alert;
use crate::domain::candidate::{Candidate, Field};
use crate::domain::correlation::{Correlation, Kind, Seen, time_of};
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::rule::Ruleset;
use crate::domain::time::Wall;
use crate::formats::{self, Format, Formats, Reader};

/// One test of a correlation.
pub(super) struct Series {
    pub name: String,
    /// In the order in which they arrive; at least one.
    pub alerts: Vec<Sample>,
    pub expect: Expect,
    pub place: Range<usize>,
}

/// One alert of a series.
pub(super) struct Sample {
    pub alert: At<String>,
    pub format: Option<At<String>>,
    pub set: Vec<(Field, Set)>,
}

const KEYS: [&str; 3] = ["name", "alerts", "expect"];

const SAMPLE_KEYS: [&str; 4] = ["alert", "format", "set", "absent"];

/// Reads the section.
pub(super) fn read(notes: &mut Notes<'_>, node: &At<Node>) -> Vec<Series> {
    let items = notes.items(node, "tests").unwrap_or_default();
    items.iter().filter_map(|item| read_series(notes, item)).collect()
}

fn read_series(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Series> {
    let entries = notes.entries(node, "a test")?;
    for (key, _) in entries {
        if SAMPLE_KEYS.contains(&key.value.as_str()) {
            let why = format!("a correlation's test has no {}: it has several alerts", key.value);
            notes.error(&key.place, format!("{why}; write alerts: [{{alert: FILE}}, …]"));
        } else if !KEYS.contains(&key.value.as_str()) {
            notes.unknown_key(key, "a test", &KEYS);
        }
    }
    let name = notes.required(node, entries, "the test", "name");
    let name = name.and_then(|node| notes.text(node, "name"));
    let alerts = find(entries, "alerts").and_then(|node| {
        let items = notes.items(node, "alerts")?;
        if items.is_empty() {
            notes.error(&node.place, "alerts is empty; name at least one sample");
        }
        let read: Vec<_> = items.iter().map(|item| read_sample(notes, item)).collect();
        read.into_iter().collect::<Option<Vec<_>>>()
    });
    let told = ["alert", "alerts"].iter().any(|key| find(entries, key).is_some());
    if !told {
        let how = "write alerts: [{alert: samples/defender-malware.json}, …]";
        notes.error(&node.place, format!("the test has no alerts; {how}"));
    }
    let expect = notes
        .required(node, entries, "the test", "expect")
        .and_then(|n| case::read_expect(notes, n, Some(&[])).map(|expect| (expect, &n.place)));
    let (expect, place) = expect?;
    if !expect.hold.is_empty() {
        notes.error(place, "what is not known does not count, and is not held; remove hold");
    }
    Some(Series { name: name?.to_owned(), alerts: alerts?, expect, place: place.clone() })
}

fn read_sample(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Sample> {
    let entries = notes.entries(node, "an alert of a test")?;
    for (key, _) in entries {
        if !SAMPLE_KEYS.contains(&key.value.as_str()) {
            notes.unknown_key(key, "an alert of a test", &SAMPLE_KEYS);
        }
    }
    let alert = notes.required(node, entries, "the test", "alert");
    let alert = alert.and_then(|node| case::read_path(notes, node));
    let format = find(entries, "format").and_then(|node| case::read_format(notes, node));
    let set = case::read_changes(notes, entries);
    for (key, value) in find(entries, "set").and_then(map).unwrap_or_default() {
        if let (Some(Field::AlertCreated), Node::Text(text)) =
            (Field::parse(&key.value), &value.value)
            && Wall::parse(text).is_none()
        {
            let why = "alert.created is no time; write it as 2026-05-01T12:00:00Z";
            notes.error(&value.place, why);
        }
    }
    Some(Sample { alert: alert?, format, set })
}

fn map(node: &At<Node>) -> Option<&[(At<String>, At<Node>)]> {
    match &node.value {
        Node::Map(entries) => Some(entries),
        _ => None,
    }
}

/// One event of a series.
struct Event {
    target: (MachineId, Sha1),
    group: String,
    time: Wall,
    says: String,
}

/// Runs one test of the only correlation in `rules`. `texts` are those of its samples.
pub(super) fn run(
    rules: &Ruleset,
    formats: &Formats,
    series: &Series,
    texts: &[String],
) -> Result<(), Wrong> {
    let [correlated] = rules.correlations() else { return Ok(()) };
    let of = &correlated.counts;
    let (mut came, mut events) = (Came::default(), Vec::new());
    let mut known = HashSet::new();
    for (sample, text) in series.alerts.iter().zip(texts) {
        for (alert, candidate) in candidates(formats, sample, text)? {
            let target = target(&candidate);
            let time = time_of(candidate.evidence, alert, Wall(i64::MAX / 2));
            let counts = rules.counts(&candidate.fields);
            let (Some(target), Some(time), false) = (target, time, counts.is_empty()) else {
                let why = match (time, counts.is_empty()) {
                    (_, false) => "it has no time, or no machine, and does not count",
                    _ => "no base rule matches it for certain, or it lacks a field of group-by",
                };
                came.keep(&candidate, [why.to_owned()]);
                continue;
            };
            for count in counts {
                let alert = candidate.fields.get(Field::AlertId);
                let id = format!("{alert:?} {} {} {}", target.0, target.1, count.base);
                // What comes again is the same event.
                if !known.insert((id.clone(), count.group.clone())) {
                    continue;
                }
                let says = match of.kind {
                    Kind::Events => id,
                    Kind::Values(_) => count.value,
                    Kind::Temporal => count.base,
                };
                events.push(Event { target, group: count.group, time, says });
            }
        }
    }
    count(of, &events, &mut came);
    compare(&series.expect, false, &came).map_err(|why| {
        let mismatch = mismatch(&series.expect, false, came);
        Wrong::Outcome(why, Box::new(mismatch))
    })
}

fn count(of: &Correlation, events: &[Event], came: &mut Came) {
    let mut groups: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        groups.entry(&event.group).or_default().push(event);
    }
    for group in groups.values() {
        let seen: Vec<Seen<'_>> =
            group.iter().map(|event| Seen { time: event.time, says: &event.says }).collect();
        for (most, event) in of.most(&seen).into_iter().zip(group) {
            if most >= of.at_least {
                came.targets.insert(event.target);
            } else {
                came.against.entry(event.target).or_default().push(of.shown(most));
            }
        }
    }
}

fn target(candidate: &Candidate<'_>) -> Option<(MachineId, Sha1)> {
    Some((*candidate.machine.as_ref().ok()?, *candidate.sha1.as_ref().ok()?))
}

/// The candidates of a sample, each with when its alert was created.
fn candidates<'t>(
    formats: &'t Formats,
    sample: &'t Sample,
    text: &'t str,
) -> Result<Vec<(Option<Wall>, Candidate<'t>)>, Wrong> {
    let named = sample.format.as_ref().and_then(|name| formats.find(&name.value).ok());
    let format = named.unwrap_or(&Reader::BuiltIn(Format::DefenderAlert));
    let bad = |why: &dyn Display| Wrong::Sample(format!("{}: {why}", sample.alert.value));
    let cuts = format.cut(text.as_bytes()).map_err(|why| bad(&why))?;
    let mut all = Vec::new();
    for cut in cuts {
        let mut alert: Alert<'t> = format.decode_cut(&cut).map_err(|why| bad(&why))?.into_owned();
        moved(&mut alert, &sample.set);
        // As if it had come at once, so that `alert.age` is 0 unless the test sets it.
        let now = alert.created.unwrap_or(Wall(0));
        formats::came_by(&mut alert, super::trial::NAMED, super::trial::NAMED, now);
        let created = alert.created;
        for mut candidate in alert.candidates {
            prepare(&mut candidate, &sample.set);
            all.push((created, candidate));
        }
    }
    if all.is_empty() {
        return Err(bad(&"the sample has no file, so there is nothing to judge"));
    }
    Ok(all)
}

/// A test that sets when an alert was created sets when its evidence was: else the sample's own
/// would count on.
fn moved(alert: &mut Alert<'_>, set: &[(Field, Set)]) {
    let Some((_, created)) = set.iter().find(|(field, _)| *field == Field::AlertCreated) else {
        return;
    };
    alert.created = match created {
        Set::Text(text) => Wall::parse(text),
        _ => None,
    };
    for candidate in &mut alert.candidates {
        candidate.evidence = alert.created;
    }
}
