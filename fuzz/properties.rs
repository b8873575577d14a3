//! What holds of any body, whatever a sender has put into it. The fuzz targets make bodies up;
//! `tests/it/corpus.rs` replays those that are kept in `corpus/`. Both call [`check`].
//!
//! What a format may act on is found here a second time, in another way: by looking through the
//! parsed JSON for every text that may name a file or a machine.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::LazyLock;

use lazaret::domain::alert::{Alert, Unreadable};
use lazaret::domain::candidate::{Candidate, Field, Fields, Value as Known};
use lazaret::domain::ids::MachineId;
use lazaret::domain::join::{Part, Row, Stated};
use lazaret::domain::time::Wall;
use lazaret::formats::{self, Cut, Format, Formats, Reader, split};
use lazaret::{limits, rules};
use serde_json::value::RawValue;
use serde_json::{Value, json};

type Check = fn(&[u8]);

/// What is fuzzed, by the name of its target and of its folder in `corpus/`.
pub const TARGETS: [(&str, Check); 7] = [
    ("defender-alert", |body| alerts(&Reader::BuiltIn(Format::DefenderAlert), body)),
    ("graph-alert", |body| alerts(&Reader::BuiltIn(Format::GraphAlert), body)),
    ("sentinel-incident", |body| alerts(&Reader::BuiltIn(Format::SentinelIncident), body)),
    ("mapped", mapped),
    ("defender-xdr", rows),
    ("additional-fields", additional_fields),
    ("envelopes", envelopes),
];

/// Panics where something does not hold of this body.
pub fn check(target: &str, body: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, check) = found.expect("a target stands in TARGETS");
    check(body);
}

/// The formats that ship, those of files among them.
static FORMATS: LazyLock<Formats> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dirs = here.ancestors().map(|dir| dir.join("rules"));
    let dir = dirs.into_iter().find(|dir| dir.is_dir()).expect("the rules ship with the source");
    let checked = rules::check_formats(&dir, Wall(0));
    assert!(checked.is_sound() && checked.formats.mapped().next().is_some());
    checked.formats
});

fn mapped(body: &[u8]) {
    for format in FORMATS.mapped() {
        alerts(&Reader::Mapped(format.clone()), body);
    }
}

/// A body that is one alert, read as it is and as one of a delivery.
fn alerts(reader: &Reader, body: &[u8]) {
    only_is_as_cut(reader, body);
    let Ok(text) = std::str::from_utf8(body) else { return };
    match reader.decode(text) {
        Ok(alert) => {
            is_sound(&alert);
            assert_eq!(shown(&alert), shown(&reader.decode(text).unwrap()), "read twice");
            if let Ok(json) = serde_json::from_str(text) {
                names_only(reader, &alert, &texts_of(&json, &["parentProcessImageFile"]));
            }
        }
        Err(why) => {
            is_fit_to_show(&why.0);
            assert_eq!(reader.decode(text).unwrap_err(), why, "read twice");
        }
    }
}

/// The short way for a body of one alert ends where the long one does.
fn only_is_as_cut(reader: &Reader, body: &[u8]) {
    let Some((text, alert)) = reader.decode_only(body) else { return };
    let cuts = split(body).expect("what reads as one alert can be cut");
    assert_eq!(cuts, [Cut::Alert(text.into())]);
    assert_eq!(shown(&alert), shown(&reader.decode_cut(&cuts[0]).unwrap()));
}

fn shown(alert: &Alert<'_>) -> String {
    format!("{alert:?}")
}

fn is_sound(alert: &Alert<'_>) {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
    assert!(!alert.id.is_empty() && alert.id.len() <= limits::ALERT_ID_BYTES);
    assert!(alert.id.bytes().all(fits), "{:?}", alert.id);
    assert!(alert.candidates.len() <= limits::CANDIDATES_PER_ALERT);
    assert!(alert.asks.len() <= limits::ASKS_PER_ALERT);
    for Candidate { machine, sha1, fields, .. } in &alert.candidates {
        for (id, field) in [
            (machine.as_ref().map(ToString::to_string), Field::MachineId),
            (sha1.as_ref().map(ToString::to_string), Field::FileSha1),
        ] {
            match (&id, fields.get(field)) {
                (Ok(id), Known::Text(told)) => assert_eq!(told, id, "{field:?}"),
                (Ok(id), told) => panic!("{field:?} is {told:?} and not {id}"),
                (Err(why), _) => is_fit_to_show(&why.0),
            }
            if let Ok(id) = id {
                is_40_digits(&id);
            }
        }
        are_bounded(fields);
    }
    alert.known.iter().for_each(|known| are_bounded(known));
}

/// Every candidate has a copy of what they share.
fn are_bounded(fields: &Fields<'_>) {
    for (field, value) in fields.present() {
        let own = field.name().starts_with("file.");
        match value {
            Known::Text(text) => assert!(own || text.len() <= limits::SHARED_TEXT_BYTES),
            Known::List(list) => {
                assert!(list.len() <= limits::LIST_TEXTS);
                assert!(list.iter().map(|text| text.len()).sum::<usize>() <= limits::LIST_BYTES);
            }
            _ => {}
        }
    }
}

fn is_40_digits(id: &str) {
    let fits = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    assert!(id.len() == 40 && id.bytes().all(fits), "{id:?}");
}

/// A reason goes into a line of the log and a row of the store.
fn is_fit_to_show(why: &str) {
    assert!(why.len() <= 2048 && !why.chars().any(char::is_control), "{why:?}");
}

/// An alert's machines and files are named by it: whole, or within a text where a format of a file
/// can cut them out. Its list of hosts can name a machine that the alert does not.
fn names_only(reader: &Reader, alert: &Alert<'_>, said: &HashSet<String>) {
    let (within, listed) = match reader {
        Reader::BuiltIn(_) => (false, false),
        Reader::Mapped(format) => (true, format.hosts.is_some()),
    };
    let is_named =
        |id: &str| said.contains(id) || (within && said.iter().any(|text| text.contains(id)));
    for Candidate { machine, sha1, .. } in &alert.candidates {
        let machine = machine.as_ref().ok().filter(|_| !listed).map(ToString::to_string);
        let sha1 = sha1.as_ref().ok().map(ToString::to_string);
        for id in machine.into_iter().chain(sha1) {
            assert!(is_named(&id), "nothing names {id}");
        }
    }
}

/// Rows of a stream: each by itself, and all as one sample.
fn rows(body: &[u8]) {
    let reader = Reader::BuiltIn(Format::DefenderXdr);
    let Ok(text) = std::str::from_utf8(body) else { return };
    row(text);
    let mut said = Some(HashSet::new());
    for cut in split(body).unwrap_or_default() {
        row(cut.text());
        said = said.zip(row_texts(cut.text())).map(|(said, more)| &said | &more);
    }
    match reader.decode(text) {
        Ok(alert) => {
            is_sound(&alert);
            assert_eq!(shown(&alert), shown(&reader.decode(text).unwrap()), "read twice");
            if let Some(said) = said {
                names_only(&reader, &alert, &said);
            }
        }
        Err(why) => is_fit_to_show(&why.0),
    }
}

/// One record; `None` where it can't be read or is passed over.
fn row(record: &str) -> Option<Row> {
    let read = formats::row(record);
    assert_eq!(read, formats::row(record), "read twice");
    let row = match read {
        Ok(streamed) => streamed.row.ok()?,
        Err(Unreadable(why)) => {
            is_fit_to_show(&why);
            return None;
        }
    };
    let (named, fields) = named_by(&row.part);
    let said = row_texts(record);
    for one in named {
        match one {
            Ok(id) => {
                is_40_digits(&id);
                assert!(said.as_ref().is_none_or(|said| said.contains(&id)), "nothing names {id}");
            }
            Err(why) => is_fit_to_show(&why),
        }
    }
    if let Some(fields) = fields {
        assert!(fields.len() <= 2 * record.len() + 4096, "fields of {} bytes", fields.len());
        assert!(Fields::from_snapshot(fields, Wall(0)).is_some(), "{fields}");
    }
    Some(row)
}

/// The machine and the file of a row, or why it has none, and its fields.
fn named_by(part: &Part) -> (Vec<Result<String, String>>, Option<&str>) {
    let text = |machine: &Result<MachineId, String>| machine.clone().map(|id| id.to_string());
    match part {
        Part::Alert { fields, .. } => (vec![], Some(fields)),
        Part::Machine { machine, fields } => (vec![text(machine)], Some(fields)),
        Part::Mention(machine) => (vec![text(machine)], None),
        Part::File(file) => {
            let machine = match &file.machine {
                Stated::Is(id) => Some(Ok(id.to_string())),
                Stated::Unusable(why) => Some(Err(why.clone())),
                Stated::Nothing => None,
            };
            let sha1 = file.sha1.clone().map(|hash| hash.to_string());
            (machine.into_iter().chain([sha1]).collect(), Some(&file.fields))
        }
    }
}

/// What stands in `AdditionalFields` of each kind of row, which says nothing else.
fn additional_fields(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let object = serde_json::from_str::<&RawValue>(text).ok();
    let object = object.map(RawValue::get).filter(|object| object.starts_with('{'));
    for entity in ["File", "Process", "Machine"] {
        let with = |added: &str| {
            format!(
                r#"{{"AlertId":"da1_-1","Timestamp":"2026-01-13T09:28:36Z","EntityType":"{entity}",
                    "AdditionalFields":{added}}}"#
            )
        };
        let quoted = row(&with(&json!(text).to_string()));
        if let Some(object) = object {
            assert_eq!(row(&with(object)), quoted, "an object reads as its text does");
        }
    }
}

/// Any body, as a delivery of any format.
fn envelopes(body: &[u8]) {
    let cuts = split(body);
    assert_eq!(cuts, split(body), "cut twice");
    for name in FORMATS.names() {
        only_is_as_cut(FORMATS.find(name).unwrap(), body);
    }
    let Ok(cuts) = cuts else { return };
    assert!(cuts.len() <= limits::ALERTS_PER_DELIVERY);
    let bytes: usize = cuts.iter().map(|cut| cut.text().len()).sum();
    assert!(bytes <= body.len(), "{bytes} bytes out of {}", body.len());
    for cut in &cuts {
        assert!(serde_json::from_str::<&RawValue>(cut.text()).is_ok(), "{cut:?}");
        match FORMATS.find("defender-alert").unwrap().decode_cut(cut) {
            Ok(alert) => is_sound(&alert),
            Err(why) => is_fit_to_show(&why.0),
        }
    }
}

/// All texts in it, trimmed and in lower case, but for what stands under these keys.
fn texts_of(json: &Value, but: &[&str]) -> HashSet<String> {
    let mut texts = HashSet::new();
    let mut pending = vec![json];
    while let Some(value) = pending.pop() {
        match value {
            Value::String(text) => _ = texts.insert(text.trim().to_ascii_lowercase()),
            Value::Array(list) => pending.extend(list),
            Value::Object(map) => {
                let read = map.iter().filter(|(key, _)| !but.contains(&key.as_str()));
                pending.extend(read.map(|(_, value)| value));
            }
            _ => {}
        }
    }
    texts
}

/// The texts in which a row can name its file and machine: all but those of a parent process, and
/// those of what it refers to, wherever that stands. `None` where it is not JSON by every rule.
fn row_texts(record: &str) -> Option<HashSet<String>> {
    let record: Value = serde_json::from_str(record).ok()?;
    let mut row = match record.get("properties") {
        None | Some(Value::Null) => record,
        Some(properties) => properties.clone(),
    };
    let Some(columns) = row.as_object_mut() else { return Some(HashSet::new()) };
    let added = match columns.remove("AdditionalFields") {
        Some(Value::String(text)) if !text.is_empty() => serde_json::from_str(&text).ok()?,
        added => added.unwrap_or_default(),
    };
    let mut said = texts_of(&row, &[]);
    let mut marked: HashMap<&str, Vec<&Value>> = HashMap::new();
    for object in objects_of(&added, &[]) {
        if let Some(mark) = object.get("$id").and_then(Value::as_str) {
            marked.entry(mark).or_default().push(object);
        }
    }
    let mut pending = vec![&added];
    while let Some(value) = pending.pop() {
        said.extend(texts_of(value, &["ParentProcess"]));
        for object in objects_of(value, &["ParentProcess"]) {
            let reference = object.get("$ref").and_then(Value::as_str);
            // Each is followed once.
            pending.extend(reference.and_then(|mark| marked.remove(mark)).into_iter().flatten());
        }
    }
    Some(said)
}

/// The objects in a value, itself included, but for those under these keys.
fn objects_of<'v>(json: &'v Value, but: &[&str]) -> Vec<&'v Value> {
    let (mut objects, mut pending) = (Vec::new(), vec![json]);
    while let Some(value) = pending.pop() {
        match value {
            Value::Array(list) => pending.extend(list),
            Value::Object(map) => {
                objects.push(value);
                let read = map.iter().filter(|(key, _)| !but.contains(&key.as_str()));
                pending.extend(read.map(|(_, value)| value));
            }
            _ => {}
        }
    }
    objects
}
