//! The tests of a format: each reads a sample, and says which pairs come out, in the order of the
//! alert, and what they have.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::domain::alert::Ask;
use crate::domain::candidate::{Candidate, Field, Value};
use crate::domain::ids::{MachineId, Sha1};
use crate::formats::mapped::{Hosts, Mapped};
use crate::formats::{Reader, ToldHosts, split};
use crate::rules::case::{self, Set};
use crate::rules::notes::{Notes, find};
use crate::rules::yaml::{At, Node};

/// One test of a format.
pub(super) struct Case {
    pub name: String,
    /// The sample's path, relative to the rules.
    pub alert: At<String>,
    pub place: Range<usize>,
    /// The hosts that the lookup knows in this test: what users list must not matter to it.
    machines: Vec<(String, MachineId)>,
    expect: Vec<Pair>,
}

/// What one pair has to be.
#[derive(Default)]
struct Pair {
    machine: Option<MachineId>,
    sha1: Option<Sha1>,
    fields: Vec<(Field, Set)>,
    /// Parts of the reasons why it is incomplete. None: it is complete.
    incomplete: Vec<String>,
}

const KEYS: [&str; 4] = ["name", "alert", "expect", "machines"];
const PAIR: [&str; 5] = ["machine", "sha1", "fields", "absent", "incomplete"];

/// Reads the section.
pub(super) fn read(notes: &mut Notes<'_>, node: &At<Node>) -> Vec<Case> {
    let items = notes.items(node, "tests").unwrap_or_default();
    items.iter().filter_map(|item| read_case(notes, item)).collect()
}

fn read_case(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Case> {
    let entries = notes.entries(node, "a test")?;
    for (key, _) in entries {
        if !KEYS.contains(&key.value.as_str()) {
            notes.unknown_key(key, "a test", &KEYS);
        }
    }
    let [name, alert, expect] =
        ["name", "alert", "expect"].map(|key| notes.required(node, entries, "the test", key));
    let name = name.and_then(|node| notes.text(node, "name"));
    let alert = alert.and_then(|node| case::read_path(notes, node));
    let mut machines = Vec::new();
    if let Some(node) = find(entries, "machines") {
        for (host, id) in notes.entries(node, "machines").unwrap_or_default() {
            let text = notes.text(id, "a machine's id");
            let id = text.and_then(|text| parsed(notes, id, MachineId::parse(text)));
            machines.extend(id.map(|id| (host.value.clone(), id)));
        }
    }
    let expect = expect?;
    let pairs = notes.items(expect, "expect")?;
    let pairs: Vec<Option<Pair>> = pairs.iter().map(|pair| read_pair(notes, pair)).collect();
    let pairs: Option<Vec<Pair>> = pairs.into_iter().collect();
    let place = expect.place.clone();
    Some(Case { name: name?.to_owned(), alert: alert?, place, machines, expect: pairs? })
}

fn read_pair(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Pair> {
    let entries = notes.entries(node, "a pair of expect")?;
    let before = notes.problems.len();
    let mut pair = Pair::default();
    for (key, value) in entries {
        match key.value.as_str() {
            "machine" => {
                let text = notes.text(value, "machine");
                pair.machine = text.and_then(|text| parsed(notes, value, MachineId::parse(text)));
            }
            "sha1" => {
                let text = notes.text(value, "sha1");
                pair.sha1 = text.and_then(|text| parsed(notes, value, Sha1::parse(text)));
            }
            "fields" => {
                for (key, value) in notes.entries(value, "fields").unwrap_or_default() {
                    let field = case::read_field(notes, &key.value, &key.place);
                    let set = field.and_then(|field| case::read_set(notes, field, value));
                    pair.fields.extend(field.zip(set));
                }
            }
            "absent" => {
                let fields = case::read_fields(notes, value, "absent");
                pair.fields.extend(fields.into_iter().map(|field| (field, Set::Absent)));
            }
            "incomplete" => {
                let parts = notes.items(value, "incomplete").unwrap_or_default();
                let parts = parts.iter().filter_map(|part| notes.text(part, "a reason"));
                pair.incomplete = parts.map(str::to_owned).collect();
            }
            _ => notes.unknown_key(key, "a pair of expect", &PAIR),
        }
    }
    let complete = pair.machine.is_some() && pair.sha1.is_some();
    if notes.problems.len() == before && complete != pair.incomplete.is_empty() {
        let why = "a pair has machine and sha1, or says in incomplete why one of them is none";
        notes.error(&node.place, why);
    }
    (notes.problems.len() == before).then_some(pair)
}

fn parsed<T, E: ToString>(notes: &mut Notes<'_>, node: &At<Node>, read: Result<T, E>) -> Option<T> {
    read.map_err(|why| notes.error(&node.place, format!("this {}", why.to_string()))).ok()
}

/// Runs one test, with its own hosts in place of those listed. `Err` says what came out instead.
pub(super) fn run(mapped: &Mapped, case: &Case, sample: &str) -> Result<(), String> {
    let cuts = split(sample.as_bytes()).map_err(|e| format!("the sample: {e}"))?;
    let mut mapped = mapped.clone();
    let hosts = case.machines.iter().map(|(host, id)| (host.as_str(), *id));
    mapped.hosts = mapped.hosts.map(|listed| Hosts::new(&listed.list, hosts));
    let mut candidates = Vec::new();
    let format = Reader::Mapped(Arc::new(mapped));
    for cut in &cuts {
        let alert = format.decode_cut(cut).map_err(|e| format!("the sample: {e}"))?;
        let asked = alert.asks.iter().filter_map(|ask| match ask {
            Ask::Host(host) => Some((host.as_str(), &case.machines[..])),
            Ask::Alert(_) | Ask::Machine(_) | Ask::File(_) => None,
        });
        let told = ToldHosts::new(asked);
        let alert = format.decode_knowing(cut.text(), &told).map_err(|e| e.to_string())?;
        candidates.extend(alert.candidates);
    }
    let mut wrong = Vec::new();
    for (at, (pair, candidate)) in case.expect.iter().zip(&candidates).enumerate() {
        let differs = compare(pair, candidate);
        wrong.extend(differs.into_iter().map(|why| format!("pair {}: {why}", at + 1)));
    }
    if candidates.len() != case.expect.len() {
        let (should, do_) = (case.expect.len(), candidates.len());
        let pairs = if should == 1 { "pair" } else { "pairs" };
        let mut why = format!("{should} {pairs} should come out, and {do_} do");
        for candidate in candidates.iter().skip(case.expect.len()) {
            let _ = write!(why, "; also {}", shown(candidate));
        }
        wrong.push(why);
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn shown(candidate: &Candidate<'_>) -> String {
    let machine = candidate.machine.as_ref().map_or_else(|e| format!("({e})"), |m| m.to_string());
    let sha1 = candidate.sha1.as_ref().map_or_else(|e| format!("({e})"), |s| s.to_string());
    format!("{{machine: {machine}, sha1: {sha1}}}")
}

fn compare(pair: &Pair, candidate: &Candidate<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(machine) = pair.machine
        && candidate.machine.as_ref().ok() != Some(&machine)
    {
        wrong.push(format!("machine should be {machine} in {}", shown(candidate)));
    }
    if let Some(sha1) = pair.sha1
        && candidate.sha1.as_ref().ok() != Some(&sha1)
    {
        wrong.push(format!("sha1 should be {sha1} in {}", shown(candidate)));
    }
    let reasons = [candidate.machine.as_ref().err(), candidate.sha1.as_ref().err()];
    let reasons: Vec<String> = reasons.into_iter().flatten().map(ToString::to_string).collect();
    if let ([], [_, ..]) = (&reasons[..], &pair.incomplete[..]) {
        wrong.push(format!("it should be incomplete and is {}", shown(candidate)));
    }
    for part in &pair.incomplete {
        if !reasons.is_empty() && !reasons.iter().any(|reason| reason.contains(part)) {
            wrong.push(format!("{part:?} is no reason; there is {:?}", reasons.join("; ")));
        }
    }
    for (field, set) in &pair.fields {
        let value = candidate.fields.get(*field);
        if !equal(set, value) {
            let name = field.name();
            let (want, is) = (wanted(set), case::shown(value));
            wrong.push(format!("{name} should be {want} and is {is}"));
        }
    }
    wrong
}

fn equal(set: &Set, value: &Value<'_>) -> bool {
    match (set, value) {
        (Set::Absent, Value::Absent) | (Set::Empty, Value::Empty) => true,
        (Set::Text(set), Value::Text(text)) => set == text,
        (Set::Number(set), Value::Number(number)) => set == number,
        (Set::Number(set), Value::Text(text)) => set.to_string() == *text,
        (Set::List(set), Value::List(list)) => set == list,
        _ => false,
    }
}

fn wanted(set: &Set) -> String {
    match set {
        Set::Absent => "absent".to_owned(),
        Set::Empty => "empty".to_owned(),
        Set::Text(text) => format!("{text:?}"),
        Set::Number(number) => number.to_string(),
        Set::List(list) => format!("{list:?}"),
    }
}
