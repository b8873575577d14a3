//! Where the fields of a format come from: paths, and what is made of the values there.

use crate::domain::candidate::Field;
use crate::formats::mapped::{
    DERIVED, HashName, Kind, Mapping, Part, Path, Read, Start, Time, Values, kind,
};
use crate::formats::spelling;
use crate::rules::notes::{Notes, find};
use crate::rules::suggest::did_you_mean;
use crate::rules::yaml::{At, Node};

/// The section `alert`.
pub(super) struct AlertFields {
    pub id: Option<Mapping>,
    pub tenant_id: Option<Mapping>,
    pub fields: Vec<(Field, Mapping)>,
}

/// Where a path may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Alert,
    Candidate,
}

const TENANT: &str = "tenant_id";

/// Reads the section `alert`, whose keys are the fields `alert.*` without that, and `tenant_id`.
pub(super) fn alert(notes: &mut Notes<'_>, node: &At<Node>) -> Option<AlertFields> {
    let entries = notes.entries(node, "alert")?;
    let mut read = AlertFields { id: None, tenant_id: None, fields: Vec::new() };
    for (key, value) in entries {
        if key.value == TENANT {
            read.tenant_id = mapping(notes, value, None, Scope::Alert);
            continue;
        }
        let field = Field::parse(&format!("alert.{}", key.value));
        match field.filter(|field| !DERIVED.contains(field)) {
            Some(Field::AlertId) => {
                read.id = mapping(notes, value, Some(Field::AlertId), Scope::Alert);
            }
            Some(field) => {
                let mapping = mapping(notes, value, Some(field), Scope::Alert);
                read.fields.extend(mapping.map(|mapping| (field, mapping)));
            }
            None => refuse_key(notes, key, "alert.", field.is_some()),
        }
    }
    if find(entries, "id").is_none() {
        notes.error(&node.place, "alert has no id: an alert without one is unreadable");
    }
    if find(entries, "created").is_none() {
        let why = "alert has no created, so its age is unknown and nothing will ever act on it";
        notes.warning(&node.place, why);
    }
    Some(read)
}

/// Refuses a key that is no field that a format can give.
pub(super) fn refuse_key(notes: &mut Notes<'_>, key: &At<String>, prefix: &str, derived: bool) {
    let name = &key.value;
    if derived {
        let why = format!("{prefix}{name} can't be mapped: it follows from the rest");
        return notes.error(&key.place, why);
    }
    let own = |field: &&Field| match prefix {
        "" => !field.name().starts_with("alert."),
        prefix => field.name().starts_with(prefix) && !DERIVED.contains(field),
    };
    let names = Field::ALL.iter().filter(own).map(|field| &field.name()[prefix.len()..]);
    let meant = match prefix {
        "" => did_you_mean(name, names),
        _ => did_you_mean(name, names.chain([TENANT])),
    };
    notes.error(&key.place, format!("there is no field {prefix}{name}{meant}"));
}

const KEYS: [&str; 7] = ["path", "values", "hash", "part", "time", "default", "always"];

/// Reads how a field gets its value; `None` as the field is the tenant.
pub(super) fn mapping(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    field: Option<Field>,
    scope: Scope,
) -> Option<Mapping> {
    let plain = |paths| {
        let time = Time::default();
        Mapping::Read(Read { paths, values: None, hash: None, part: None, time, default: None })
    };
    let Node::Map(_) = &node.value else { return paths(notes, node, scope).map(plain) };
    let entries = notes.entries(node, field.map_or(TENANT, Field::name))?;
    for (key, _) in entries {
        if !KEYS.contains(&key.value.as_str()) {
            notes.unknown_key(key, "a field", &KEYS);
        }
    }
    if let Some(value) = find(entries, "always") {
        if let Some((key, _)) = entries.iter().find(|(key, _)| key.value != "always") {
            let why = format!("{} has no meaning beside always", key.value);
            notes.error(&key.place, why);
        }
        return fixed(notes, value, field, "always").map(Mapping::Always);
    }
    let Some(path) = find(entries, "path") else {
        notes.error(&node.place, "a field has a path, or always");
        return None;
    };
    let paths = paths(notes, path, scope);
    let values = find(entries, "values").and_then(|node| read_values(notes, node, field));
    let hash = find(entries, "hash").and_then(|node| read_hash(notes, node, field));
    let part = find(entries, "part").and_then(|node| read_part(notes, node, field));
    let time = find(entries, "time").and_then(|node| read_time(notes, node, field));
    let default = find(entries, "default").and_then(|node| fixed(notes, node, field, "default"));
    Some(Mapping::Read(Read {
        paths: paths?,
        values,
        hash,
        part,
        time: time.unwrap_or_default(),
        default,
    }))
}

/// One path, or several of which the first counts that leads to something.
pub(super) fn paths(notes: &mut Notes<'_>, node: &At<Node>, scope: Scope) -> Option<Vec<Path>> {
    let items = match &node.value {
        Node::List(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let paths: Vec<Option<Path>> = items.iter().map(|item| read_path(notes, item, scope)).collect();
    paths.into_iter().collect()
}

fn read_path(notes: &mut Notes<'_>, node: &At<Node>, scope: Scope) -> Option<Path> {
    let text = notes.text(node, "a path")?;
    match Path::parse(text) {
        Ok(path) if path.start() == Start::Here && scope == Scope::Alert => {
            notes.error(&node.place, "paths of the alert's own fields begin with $");
            None
        }
        Ok(path) => Some(path),
        Err(no) => {
            let place = notes.inside(node, text, no.at);
            notes.error(&place, no.why);
            None
        }
    }
}

/// A text that the format itself gives a field.
fn fixed(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    field: Option<Field>,
    what: &str,
) -> Option<String> {
    let text = notes.text(node, what)?.trim();
    let Some(field) = field.filter(|field| kind(*field) == Kind::Text && !is_id(*field)) else {
        let why = format!("{what} is for fields that are texts, and no ids, hashes or times");
        notes.error(&node.place, why);
        return None;
    };
    check_value(notes, node, field, text);
    Some(text.to_owned())
}

fn is_id(field: Field) -> bool {
    [Field::MachineId, Field::FileSha1, Field::FileSha256].contains(&field)
}

fn check_value(notes: &mut Notes<'_>, node: &At<Node>, field: Field, text: &str) {
    let known = spelling::known(field);
    let spelled = spelling::one(field, text.into());
    if known.is_empty() || spelled.is_some_and(|spelled| known.contains(&&*spelled)) {
        return;
    }
    let meant = did_you_mean(text, known.iter().copied());
    let name = field.name();
    match field {
        Field::AlertSeverity => {
            notes.error(&node.place, format!("{text:?} is no value of {name}{meant}"));
        }
        _ => {
            // So that nobody has to guess; the long lists are in the documentation of Defender.
            let has = match (meant.is_empty(), known.len()) {
                (true, ..=12) => format!("; it has {}", known.join(", ")),
                _ => String::new(),
            };
            let why = format!("{text:?} is no known value of {name}{meant}{has}");
            notes.warning(&node.place, why);
        }
    }
}

fn read_values(notes: &mut Notes<'_>, node: &At<Node>, field: Option<Field>) -> Option<Values> {
    let Some(field) = field.filter(|field| matches!(kind(*field), Kind::Text | Kind::List)) else {
        notes.error(&node.place, "values are for fields that are texts");
        return None;
    };
    let mut values = Values::default();
    for (key, value) in notes.entries(node, "values")? {
        let Some(text) = notes.text(value, "a value") else { continue };
        check_value(notes, value, field, text);
        let Some((from, to)) = key.value.split_once("..") else {
            values.texts.push((key.value.trim().to_lowercase(), text.to_owned()));
            continue;
        };
        let number = |side: &str, open: f64| match side.trim() {
            "" => Ok(open),
            side => side.parse::<f64>(),
        };
        match (number(from, f64::NEG_INFINITY), number(to, f64::INFINITY)) {
            (Ok(from), Ok(to)) if from <= to => {
                let meets = |(a, b, _): &(f64, f64, String)| from <= *b && *a <= to;
                if values.ranges.iter().any(meets) {
                    let why = format!("{} shares numbers with a range above", key.value);
                    notes.error(&key.place, why);
                }
                values.ranges.push((from, to, text.to_owned()));
            }
            _ => {
                let why = format!("{:?} is no range of numbers, such as 4..6 or 12..", key.value);
                notes.error(&key.place, why);
            }
        }
    }
    Some(values)
}

fn read_hash(notes: &mut Notes<'_>, node: &At<Node>, field: Option<Field>) -> Option<HashName> {
    let name = notes.one_of(node, "hash", &["sha1", "sha256"])?;
    let (hash, of) = match name {
        "sha1" => (HashName::Sha1, Field::FileSha1),
        _ => (HashName::Sha256, Field::FileSha256),
    };
    if field != Some(of) {
        notes.error(&node.place, format!("hash: {name} is for {}", of.name()));
        return None;
    }
    Some(hash)
}

fn read_part(notes: &mut Notes<'_>, node: &At<Node>, field: Option<Field>) -> Option<Part> {
    let name = notes.one_of(node, "part", &["directory", "name"])?;
    let (part, of) = match name {
        "directory" => (Part::Directory, Field::FilePath),
        _ => (Part::Name, Field::FileName),
    };
    if field != Some(of) {
        notes.error(&node.place, format!("part: {name} is for {}", of.name()));
        return None;
    }
    Some(part)
}

fn read_time(notes: &mut Notes<'_>, node: &At<Node>, field: Option<Field>) -> Option<Time> {
    let unit = notes.one_of(node, "time", &["seconds", "milliseconds"])?;
    if field.is_none_or(|field| kind(field) != Kind::Time) {
        notes.error(&node.place, "time is for fields that are times");
        return None;
    }
    Some(if unit == "seconds" { Time::Seconds } else { Time::Milliseconds })
}
