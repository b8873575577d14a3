//! Where the fields of candidates stand in an alert, found out by trying: one value of the alert is
//! changed at a time, and what then reads otherwise comes from there. So it is true of every
//! format, and costs a decoding for each value: for somebody who asks about one alert.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Reader;
use super::mapped::push_name;
use crate::domain::alert::Alert;
use crate::domain::candidate::{Field, Value};
use crate::domain::time::Wall;
use crate::limits::TRACED_VALUES;

/// Of each candidate, in the order of the alert, its fields that come from the payload, and the
/// places of the values that they are made of.
pub type Places = Vec<BTreeMap<Field, Vec<String>>>;

/// Finds the places of all fields of an alert, as a sample is cut: one object, or rows, one a line.
/// A place is a JSONPath, for a row with its number before it. `Err` says why it can't be told.
pub fn traced(reader: &Reader, alert: &str) -> Result<Places, String> {
    let mut document = Document::read(alert).ok_or("it is no JSON that can be written again")?;
    let leaves = document.leaves();
    if leaves.len() > TRACED_VALUES {
        return Err(format!("it has {} values, more than {TRACED_VALUES}", leaves.len()));
    }
    let whole = document.text();
    let read = |text| reader.decode(text).map_err(|why| why.to_string());
    let (first, again) = (read(alert)?, read(&whole)?);
    if !are_same(&first, &again) {
        return Err("it reads otherwise when it is written again: a key may stand twice".into());
    }
    let mut tries = Vec::new();
    for leaf in &leaves {
        let value = document.value(leaf).clone();
        let was_empty = is_empty(&value);
        let mut one = Try::new(&leaf.place, first.candidates.len());
        for other in others(&value) {
            let text = document.with(leaf, other);
            // What no longer reads, or pairs otherwise, tells nothing of single fields.
            let read = reader.decode(&text).ok();
            let same = read.filter(|other| other.candidates.len() == first.candidates.len());
            same.iter().for_each(|other| one.add(&first, other, was_empty));
        }
        tries.push(one);
    }
    Ok((0..first.candidates.len()).map(|at| places(&tries, at)).collect())
}

fn are_same(one: &Alert<'_>, other: &Alert<'_>) -> bool {
    one.candidates.len() == other.candidates.len()
        && one.candidates.iter().zip(&other.candidates).all(|(one, other)| {
            one.fields == other.fields && one.machine == other.machine && one.sha1 == other.sha1
        })
}

/// What changes of one value make of the alert.
struct Try<'l> {
    place: &'l str,
    /// Of each candidate, the fields that read otherwise, and whether they still have a value.
    changed: Vec<BTreeMap<Field, bool>>,
}

impl<'l> Try<'l> {
    fn new(place: &'l str, candidates: usize) -> Self {
        Self { place, changed: vec![BTreeMap::new(); candidates] }
    }

    /// What was empty is where a field came from only if that was empty too.
    fn add(&mut self, first: &Alert<'_>, other: &Alert<'_>, was_empty: bool) {
        let pairs = first.candidates.iter().zip(&other.candidates);
        for ((first, other), changed) in pairs.zip(&mut self.changed) {
            for (field, value) in first.fields.present() {
                let now = other.fields.get(field);
                if value != now && (!was_empty || *value == Value::Empty) {
                    *changed.entry(field).or_default() |= *now != Value::Absent;
                }
            }
        }
    }
}

/// The places of one candidate's fields. What makes another value of a field is where it comes
/// from; where a change only ever takes it away, what takes the least with it: the rest steers.
fn places(tries: &[Try<'_>], at: usize) -> BTreeMap<Field, Vec<String>> {
    let mut best: BTreeMap<Field, (usize, Vec<String>)> = BTreeMap::new();
    for one in tries {
        let changed = &one.changed[at];
        for (&field, &has_another) in changed {
            let rank = if has_another { 0 } else { changed.len() };
            let found = best.entry(field).or_insert((rank, Vec::new()));
            if rank < found.0 {
                *found = (rank, Vec::new());
            }
            if rank == found.0 {
                found.1.push(one.place.to_owned());
            }
        }
    }
    best.into_iter().map(|(field, (_, places))| (field, places)).collect()
}

/// An alert as it was parsed: one value, or one for each row.
struct Document(Vec<Json>);

/// A value that has no others in it.
struct Leaf {
    row: usize,
    /// A JSON Pointer.
    pointer: String,
    place: String,
}

impl Document {
    fn read(text: &str) -> Option<Self> {
        if let Ok(one) = serde_json::from_str(text) {
            return Some(Self(vec![one]));
        }
        let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        rows.ok().map(Self)
    }

    fn text(&self) -> String {
        self.0.iter().map(Json::to_string).collect::<Vec<_>>().join("\n")
    }

    fn leaves(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        for (row, value) in self.0.iter().enumerate() {
            let root = if self.0.len() == 1 { "$".into() } else { format!("row {}: $", row + 1) };
            walk(row, value, (String::new(), root), &mut leaves);
        }
        leaves
    }

    fn value(&self, leaf: &Leaf) -> &Json {
        self.0[leaf.row].pointer(&leaf.pointer).expect("it was found there")
    }

    /// The text with another value there. Nothing is changed after it.
    fn with(&mut self, leaf: &Leaf, other: Json) -> String {
        let was = self.replace(leaf, other);
        let text = self.text();
        self.replace(leaf, was);
        text
    }

    fn replace(&mut self, leaf: &Leaf, by: Json) -> Json {
        let slot = self.0[leaf.row].pointer_mut(&leaf.pointer).expect("it was found there");
        std::mem::replace(slot, by)
    }
}

fn is_empty(value: &Json) -> bool {
    matches!(value, Json::Null | Json::Array(_)) || value == ""
}

fn walk(row: usize, value: &Json, at: (String, String), leaves: &mut Vec<Leaf>) {
    let (pointer, place) = at;
    match value {
        Json::Object(entries) => entries.iter().for_each(|(name, value)| {
            let mut place = place.clone();
            push_name(&mut place, name);
            let name = name.replace('~', "~0").replace('/', "~1");
            walk(row, value, (format!("{pointer}/{name}"), place), leaves);
        }),
        Json::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, value)| {
                let at = (format!("{pointer}/{index}"), format!("{place}[{index}]"));
                walk(row, value, at, leaves);
            });
        }
        _ => leaves.push(Leaf { row, pointer, place }),
    }
}

/// Other values of the same kind, which fit wherever this one does, as far as can be told by it.
fn others(value: &Json) -> Vec<Json> {
    match value {
        Json::Null => vec!["other".into()],
        Json::Bool(yes) => vec![(!yes).into()],
        // A format may make one word of many numbers.
        Json::Number(number) => {
            let near = number.as_i64().map(|number| number.saturating_add(1).into());
            near.into_iter().chain([0.into(), 1.into(), 50.into(), 100.into()]).collect()
        }
        Json::String(text) => {
            let mut others = vec![other_text(text).into()];
            if text.parse::<f64>().is_ok() {
                others.extend(["0", "1", "50", "100"].map(Json::from));
            }
            others.extend(other_kind(text).into_iter().chain(other_hashes(text)));
            others
        }
        Json::Array(_) => vec![Json::Array(vec!["other".into()])],
        Json::Object(_) => Vec::new(),
    }
}

/// For a text with hashes among other things: each of them changed, and nothing else.
fn other_hashes(text: &str) -> Option<Json> {
    const SHORTEST: usize = 32;
    let (mut other, mut found) = (String::new(), false);
    for word in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let is_hash = word.trim_end_matches(|c: char| !c.is_ascii_hexdigit()).len() >= SHORTEST;
        found |= is_hash;
        other.push_str(&if is_hash { next(word) } else { word.to_owned() });
    }
    found.then(|| other.into())
}

/// For what says of what kind a thing is: another kind that has a file too.
fn other_kind(text: &str) -> Option<Json> {
    let kinds =
        [("File", "Process"), ("file", "process"), ("Process", "File"), ("process", "file")];
    let (from, to) = kinds.into_iter().find(|(from, _)| text.contains(from))?;
    Some(text.replacen(from, to, 1).into())
}

fn other_text(text: &str) -> String {
    if let Some(Wall(at)) = Wall::parse(text) {
        return Wall(at - 1_000_000).to_string();
    }
    // Of a path, which may be read as two things, both.
    let name = text.rfind(['\\', '/']).map_or(0, |at| at + 1);
    let (directory, name) = (next(&text[..name]), next(&text[name..]));
    let other = format!("{directory}{name}");
    if other == text { format!("{text}other") } else { other }
}

/// With the next letter or digit for the last one. A hash stays one, a number too, and a name keeps
/// its length and the case of its letters.
fn next(text: &str) -> String {
    let Some((at, last)) = text.char_indices().rfind(|(_, c)| c.is_ascii_alphanumeric()) else {
        return text.to_owned();
    };
    let next = match last {
        '0'..='8' | 'a'..='e' | 'A'..='E' | 'g'..='y' | 'G'..='Y' => char::from(last as u8 + 1),
        '9' => '8',
        'f' => 'e',
        'F' => 'E',
        'Z' => 'Y',
        _ => 'y',
    };
    format!("{}{next}{}", &text[..at], &text[at + 1..])
}

#[cfg(test)]
mod tests;
