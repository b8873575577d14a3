//! The `tests` section: what a rule has to do with a sample alert.

use std::borrow::Cow;
use std::ops::Range;

use super::condition;
use super::notes::{Entries, Notes, find};
use super::suggest::{did_you_mean, no_field, quoted};
use super::value;
use super::yaml::{At, Node};
use crate::domain::candidate::{Field, Value};
use crate::domain::ids::{HashError, MachineId, Sha1};
use crate::formats::spelling;

/// One test of a rule.
pub(super) struct Case {
    pub name: String,
    /// The sample's path, relative to the rules.
    pub alert: At<String>,
    /// The name of the format that it is in; `defender-alert` where left out.
    pub format: Option<At<String>>,
    /// Fields that every candidate of the sample gets, or loses, before it is judged.
    pub set: Vec<(Field, Set)>,
    pub expect: Expect,
    pub place: Range<usize>,
}

/// What a test makes of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Set {
    Absent,
    /// Known to be empty.
    Empty,
    Text(String),
    Number(i64),
    List(Vec<String>),
}

/// What has to come out. A key that is not given is an empty list: nothing else may act, be
/// protected or be held.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Expect {
    /// What a rule acts on, or protects where it denies.
    pub targets: Vec<(MachineId, Sha1)>,
    /// The fields over which candidates are held.
    pub hold: Vec<Field>,
    /// The fields for which Defender is asked first.
    pub enrich: Vec<Field>,
    pub no_match: Option<NoMatch>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum NoMatch {
    /// Nothing acts, is protected or is held.
    Any,
    /// The same, and this selection is among those that stand against the rule.
    Because(String),
}

const KEYS: [&str; 6] = ["name", "alert", "format", "set", "absent", "expect"];

/// Reads the section; `selections` are the names a `no_match` can give, where they are known.
pub(super) fn read(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    selections: Option<&[&str]>,
) -> Vec<Case> {
    let items = notes.items(node, "tests").unwrap_or_default();
    items.iter().filter_map(|item| read_case(notes, item, selections)).collect()
}

fn read_case(notes: &mut Notes<'_>, node: &At<Node>, selections: Option<&[&str]>) -> Option<Case> {
    let entries = notes.entries(node, "a test")?;
    for (key, _) in entries {
        if !KEYS.contains(&key.value.as_str()) {
            notes.unknown_key(key, "a test", &KEYS);
        }
    }
    let name = notes.required(node, entries, "the test", "name").and_then(|n| {
        let name = notes.text(n, "name")?;
        if name.chars().any(char::is_control) {
            notes.error(&n.place, "the name has control characters; remove them");
        }
        Some(name)
    });
    let alert =
        notes.required(node, entries, "the test", "alert").and_then(|n| read_path(notes, n));
    let format = find(entries, "format").and_then(|node| read_format(notes, node));
    let set = read_changes(notes, entries);
    let expect = notes
        .required(node, entries, "the test", "expect")
        .and_then(|n| read_expect(notes, n, selections).map(|expect| (expect, n.place.clone())));
    let (expect, place) = expect?;
    Some(Case { name: name?.to_owned(), alert: alert?, format, set, expect, place })
}

/// What `set` and `absent` make of the fields of a sample.
pub(super) fn read_changes(notes: &mut Notes<'_>, entries: &Entries) -> Vec<(Field, Set)> {
    let mut set = Vec::new();
    if let Some(node) = find(entries, "set") {
        for (key, value) in notes.entries(node, "set").unwrap_or_default() {
            if let Some(field) = read_field(notes, &key.value, &key.place)
                && let Some(value) = read_set(notes, field, value)
            {
                set.push((field, value));
            }
        }
    }
    if let Some(node) = find(entries, "absent") {
        for field in read_fields(notes, node, "absent") {
            set.push((field, Set::Absent));
        }
    }
    set
}

/// The name of one of the formats there are.
pub(super) fn read_format(notes: &mut Notes<'_>, node: &At<Node>) -> Option<At<String>> {
    let name = notes.text(node, "format")?;
    if let Err(why) = notes.formats.find(name) {
        let meant = did_you_mean(name, notes.formats.names());
        notes.error(&node.place, format!("{why}{meant}"));
    }
    Some(At { value: name.to_owned(), place: node.place.clone() })
}

/// A field's value, for messages.
pub(super) fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Absent => "absent".to_owned(),
        Value::Empty => "empty".to_owned(),
        Value::Text(text) => format!("{text:?}"),
        Value::Number(number) => number.to_string(),
        Value::List(list) => format!("{list:?}"),
    }
}

/// A relative path that stays below the rules: a rule file comes from elsewhere as often as not.
pub(super) fn read_path(notes: &mut Notes<'_>, node: &At<Node>) -> Option<At<String>> {
    let path = notes.text(node, "alert")?;
    let inside = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    if !path.split('/').all(inside) {
        let why = "alert is a path below the rules, such as samples/defender-malware.json";
        notes.error(&node.place, why);
        return None;
    }
    Some(At { value: path.to_owned(), place: node.place.clone() })
}

pub(super) fn read_field(notes: &mut Notes<'_>, name: &str, place: &Range<usize>) -> Option<Field> {
    let found = Field::parse(name);
    if found.is_none() {
        notes.error(place, no_field(name));
    }
    found
}

pub(super) fn read_fields(notes: &mut Notes<'_>, node: &At<Node>, what: &str) -> Vec<Field> {
    let items = notes.items(node, what).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| {
            let name = notes.text(item, "a field's name")?;
            read_field(notes, name, &item.place)
        })
        .collect()
}

pub(super) fn read_set(notes: &mut Notes<'_>, field: Field, node: &At<Node>) -> Option<Set> {
    match &node.value {
        Node::Null => Some(Set::Empty),
        Node::List(items) if items.is_empty() => Some(Set::Empty),
        Node::Text(text) if field == Field::AlertAge && value::seconds(text).is_some() => {
            value::seconds(text).map(Set::Number)
        }
        Node::Text(text) if !text.trim().is_empty() => {
            let spelled = spelling::one(field, Cow::Borrowed(text.trim()));
            let known = spelling::known(field);
            let closed = field == Field::AlertSeverity;
            match spelled {
                Some(value) if !closed || known.contains(&&*value) => {
                    Some(Set::Text(value.into_owned()))
                }
                _ => {
                    let meant = match did_you_mean(text, known.iter().copied()) {
                        meant if meant.is_empty() => value::known(field),
                        meant => meant,
                    };
                    let why = format!("{} is no value of {}{meant}", quoted(text), field.name());
                    notes.error(&node.place, why);
                    None
                }
            }
        }
        Node::Integer(number) => Some(Set::Number(*number)),
        Node::Bool(is) if field == Field::FilePe => Some(Set::Text(value::pe(*is).to_owned())),
        Node::List(items) => {
            let texts: Vec<Option<&str>> =
                items.iter().map(|item| notes.text(item, field.name())).collect();
            let texts: Option<Vec<&str>> = texts.into_iter().collect();
            Some(Set::List(texts?.into_iter().map(str::to_owned).collect()))
        }
        other => {
            let kind = other.kind();
            let known = value::known(field);
            let name = field.name();
            let why = format!("{name} can't be set to {kind}; null means known and empty{known}");
            notes.error(&node.place, why);
            None
        }
    }
}

pub(super) fn read_expect(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    selections: Option<&[&str]>,
) -> Option<Expect> {
    let (own, does) = match notes.denies {
        true => ("protected", "is protected"),
        false => ("act", "acts"),
    };
    let entries = notes.entries(node, "expect")?;
    let mut expect = Expect::default();
    let before = notes.problems.len();
    for (key, value) in entries {
        match key.value.as_str() {
            name if name == own => {
                let items = notes.items(value, own).unwrap_or_default();
                let targets = items.iter().filter_map(|item| read_target(notes, item, own));
                expect.targets = targets.collect();
            }
            "hold" => expect.hold = read_fields(notes, value, "hold"),
            "no_match" => expect.no_match = read_no_match(notes, value, selections),
            "act" => notes.error(&key.place, "a rule that denies never acts; write protected"),
            "protected" => {
                let why = "a rule's tests run with that rule alone, and this one denies nothing; \
                           write act, or no_match: true";
                notes.error(&key.place, why);
            }
            "enrich" if notes.denies => {
                let why =
                    "a rule that denies asks only about what another would act on; write hold";
                notes.error(&key.place, why);
            }
            "enrich" => expect.enrich = read_fields(notes, value, "enrich"),
            "observe" => {
                let why = "tests judge in enforce, where nothing is only observed; write act";
                notes.error(&key.place, why);
            }
            _ if notes.denies => notes.unknown_key(key, "expect", &[own, "hold", "no_match"]),
            _ => notes.unknown_key(key, "expect", &[own, "hold", "enrich", "no_match"]),
        }
    }
    let nothing = expect.targets.is_empty() && expect.hold.is_empty() && expect.enrich.is_empty();
    if expect.no_match.is_some() && !nothing {
        let why = format!("no_match says that nothing {does} and nothing is held");
        notes.error(&node.place, format!("{why}; remove it, or the rest"));
    }
    (notes.problems.len() == before).then_some(expect)
}

fn read_target(notes: &mut Notes<'_>, node: &At<Node>, what: &str) -> Option<(MachineId, Sha1)> {
    let entries = notes.entries(node, what)?;
    for (key, _) in entries {
        if !["machine", "sha1"].contains(&key.value.as_str()) {
            notes.unknown_key(key, what, &["machine", "sha1"]);
        }
    }
    let machine = notes
        .required(node, entries, "the test", "machine")
        .and_then(|n| notes.text(n, "machine").map(|text| (n, MachineId::parse(text))));
    let sha1 = notes
        .required(node, entries, "the test", "sha1")
        .and_then(|n| notes.text(n, "sha1").map(|text| (n, Sha1::parse(text))));
    if let Some((n, Err(why))) = &machine {
        let how = "it is the machine's id in Defender, not its name";
        notes.error(&n.place, format!("machine {why}; {how}"));
    }
    if let Some((n, Err(why))) = &sha1 {
        let written = notes.text(n, "sha1").unwrap_or_default();
        let has = match (why, written.len()) {
            (HashError::Malformed, has) if has != 40 => format!(": this has {has} characters"),
            _ => String::new(),
        };
        notes.error(&n.place, format!("sha1 {why}{has}"));
    }
    Some((machine?.1.ok()?, sha1?.1.ok()?))
}

fn read_no_match(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    selections: Option<&[&str]>,
) -> Option<NoMatch> {
    match &node.value {
        Node::Bool(true) => Some(NoMatch::Any),
        Node::Text(name) if selections.is_none_or(|names| names.contains(&name.as_str())) => {
            Some(NoMatch::Because(name.clone()))
        }
        Node::Text(_) if selections.is_some_and(<[_]>::is_empty) => {
            let why = "a correlation has no selections; write no_match: true";
            notes.error(&node.place, why);
            None
        }
        Node::Text(name) => {
            let meant = condition::meant(name, selections.into_iter().flatten().copied());
            notes.error(&node.place, format!("there is no selection {name}{meant}"));
            None
        }
        _ => {
            notes
                .error(&node.place, "no_match is true, or the name of a selection that is to fail");
            None
        }
    }
}
