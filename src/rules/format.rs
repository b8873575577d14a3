//! A format file: where an alert's fields and its pairs of file and machine stand, which texts say
//! nothing, and tests. Every key is checked, and all that is wrong is said at once.

use std::collections::HashMap;

use super::Trial;
use super::list::{self, Lists};
use super::notes::{Entries, Notes, find};
use super::problem::{self, Problem, Severity, Source};
use super::trials::{Sample, text_of};
use super::yaml::{self, At, Node};
use crate::domain::ids::MachineId;
use crate::formats::mapped::{Hosts, Mapped, Words};
use crate::formats::{Format, Formats};

mod fields;

mod pairs;

mod trial;

use trial::Case;

/// A format, for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFormat {
    pub file: String,
    pub name: String,
    pub description: String,
    pub tests: usize,
}

/// What a check of format files found.
#[derive(Default)]
pub struct CheckedFormats {
    /// The built-in ones, and those whose files have no error.
    pub formats: Formats,
    pub problems: Vec<Problem>,
    pub listed: Vec<ListedFormat>,
    pub trials: Vec<Trial>,
    pub(super) sources: Vec<(String, Source)>,
}

/// A format file that reads well.
struct FormatFile {
    mapped: Mapped,
    description: String,
    cases: Vec<Case>,
}

impl CheckedFormats {
    pub fn is_sound(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity == Severity::Warning)
    }
}

/// Checks format files, each with the name that it has to give itself, and runs their tests if
/// there are samples.
pub(super) fn check(
    sources: Vec<(String, Source)>,
    lists: &Lists,
    sample: Option<Sample<'_>>,
) -> CheckedFormats {
    let mut checked = CheckedFormats::default();
    let mut names: HashMap<&str, &Source> = HashMap::new();
    for (name, source) in &sources {
        let (file, mut problems) = read(source, name, lists);
        if let Some(first) = names.insert(name, source) {
            let why = format!("{} is the format {name} too; remove one", first.name);
            problems.push(Problem::new(Severity::Error, source, None, why));
        }
        let errors = problems.iter().any(|problem| problem.severity == Severity::Error);
        checked.problems.extend(problem::few(source, problems));
        let Some(file) = file.filter(|_| !errors) else { continue };
        checked.listed.push(ListedFormat {
            file: source.name.to_string(),
            name: name.clone(),
            description: file.description.clone(),
            tests: file.cases.len(),
        });
        if let Some(sample) = sample {
            for case in &file.cases {
                checked.trial(source, &file.mapped, case, sample);
            }
        }
        checked.formats.add(file.mapped);
    }
    checked.sources = sources;
    checked
}

impl CheckedFormats {
    fn trial(&mut self, source: &Source, mapped: &Mapped, case: &Case, sample: Sample<'_>) {
        let text = match text_of(source, &case.alert, sample) {
            Ok(text) => text,
            Err(problem) => return self.problems.push(problem),
        };
        let outcome = trial::run(mapped, case, &text);
        let failed = outcome.as_ref().err();
        self.problems.extend(
            failed.map(|why| Problem::failed_test(source, case.place.clone(), &case.name, why)),
        );
        let (file, name) = (source.name.to_string(), case.name.clone());
        self.trials.push(Trial { file, name, outcome, mismatch: None });
    }
}

const KEYS: [&str; 8] =
    ["format", "description", "alert", "candidates", "absent", "empty", "machine", "tests"];

/// Reads a format file and says everything that is wrong with it.
fn read(source: &Source, name: &str, lists: &Lists) -> (Option<FormatFile>, Vec<Problem>) {
    let root = match yaml::parse(source) {
        Ok(root) => root,
        Err(problems) => return (None, problems),
    };
    let formats = Formats::default();
    let mut notes = Notes::new(source, lists, &formats);
    let file = read_root(&mut notes, &root, name);
    (file, notes.problems)
}

fn read_root(notes: &mut Notes<'_>, root: &At<Node>, name: &str) -> Option<FormatFile> {
    let entries = notes.entries(root, "the format")?;
    for (key, _) in entries {
        if !KEYS.contains(&key.value.as_str()) {
            notes.unknown_key(key, "a format", &KEYS);
        }
    }
    if let Some(node) = notes.required(root, entries, "the format", "format") {
        check_name(notes, node, name);
    }
    let description = find(entries, "description");
    let description = description.and_then(|node| notes.text(node, "description"));
    // All sections are read before any gives up, so that one run tells all.
    let alert = notes
        .required(root, entries, "the format", "alert")
        .and_then(|node| fields::alert(notes, node));
    let candidates = notes.required(root, entries, "the format", "candidates");
    let candidates = candidates.map(|node| pairs::read(notes, node));
    let words = read_words(notes, entries);
    let machine = find(entries, "machine").map(|node| read_machine(notes, node));
    let machine = machine.unwrap_or_default();
    let cases = find(entries, "tests").map(|node| trial::read(notes, node)).unwrap_or_default();
    if cases.is_empty() {
        notes.warning(&root.place, "the format has no tests, so nobody knows what it reads");
    }
    let alert = alert?;
    let mapped = Mapped {
        name: name.to_owned(),
        alert: alert.fields,
        id: alert.id?,
        tenant_id: alert.tenant_id,
        candidates: candidates?,
        words,
        hosts: machine.hosts,
        asks_defender: machine.asks_defender,
        told: None,
    };
    let description = description.unwrap_or_default().trim().to_owned();
    Some(FormatFile { mapped, description, cases })
}

fn check_name(notes: &mut Notes<'_>, node: &At<Node>, name: &str) {
    match notes.text(node, "format") {
        Some(text) if text != name => {
            let why = format!("the file's name says {name}, and here is {text}; make them one");
            notes.error(&node.place, why);
        }
        Some(text) if Format::ALL.iter().any(|format| format.as_str() == text) => {
            let why = format!("{text} is built in; give the file and the format another name");
            notes.error(&node.place, why);
        }
        _ => {}
    }
}

fn read_words(notes: &mut Notes<'_>, entries: &Entries) -> Words {
    let mut words = Words::default();
    for (key, into) in [("absent", &mut words.absent), ("empty", &mut words.empty)] {
        let Some(node) = find(entries, key) else { continue };
        for item in notes.items(node, key).unwrap_or_default() {
            match &item.value {
                Node::Null => into.push(None),
                Node::Text(text) => into.push(Some(text.trim().to_lowercase())),
                other => {
                    let kind = other.kind();
                    let why = format!("{key} has {kind}; it has to be a text, or null");
                    notes.error(&item.place, why);
                }
            }
        }
    }
    if let Some(both) = words.absent.iter().find(|word| words.empty.contains(word))
        && let Some(node) = find(entries, "empty")
    {
        let both = both.as_deref().map_or("null".to_owned(), |word| format!("{word:?}"));
        let why = format!("{both} can't say both nothing and none: it is in absent too");
        notes.error(&node.place, why);
    }
    words
}

/// How a host becomes a machine.
#[derive(Default)]
struct Machine {
    hosts: Option<Hosts>,
    asks_defender: bool,
}

/// `machine: {lookup: LIST.csv, defender: true}`, one of them or both.
fn read_machine(notes: &mut Notes<'_>, node: &At<Node>) -> Machine {
    let mut machine = Machine::default();
    for (key, value) in notes.entries(node, "machine").unwrap_or_default() {
        match (key.value.as_str(), &value.value) {
            ("lookup", _) => machine.hosts = read_hosts(notes, value),
            ("defender", Node::Bool(does)) => machine.asks_defender = *does,
            ("defender", _) => notes.error(&value.place, "defender is true or false"),
            _ => notes.unknown_key(key, "machine", &["lookup", "defender"]),
        }
    }
    machine
}

fn read_hosts(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Hosts> {
    let text = notes.text(node, "lookup")?;
    let name = text.strip_suffix(".csv").filter(|name| list::is_name(name));
    let found = name.and_then(|name| notes.lists.get(name)).filter(|list| list.is_csv());
    let Some(list) = found else {
        let why = format!("there is no lists/{text}; lookup names a file such as machines.csv");
        notes.error(&node.place, why);
        return None;
    };
    if !list.has_machines {
        let why = format!("lists/{text} has no column machine_id; begin it with host,machine_id");
        notes.error(&node.place, why);
        return None;
    }
    let mut hosts = Vec::new();
    for entry in &list.entries {
        let id = entry.machine.as_ref().map(|(id, place)| (MachineId::parse(id), place));
        let why = match id {
            Some((Ok(id), _)) => {
                hosts.push((entry.text.as_str(), id));
                continue;
            }
            Some((Err(why), _)) => format!("machine_id {why}"),
            None => "this host has no machine_id".to_owned(),
        };
        let place = id.map_or(&entry.place, |(_, place)| place).clone();
        notes.problems.push(Problem::new(Severity::Error, &list.source, Some(place), why));
    }
    Some(Hosts::new(text, hosts))
}
