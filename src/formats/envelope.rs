//! Envelopes: what carries alerts of any format and is none itself.
//!
//! | envelope | known by | alerts |
//! |---|---|---|
//! | list | `value`, without `id` | its elements |
//! | diagnostic records | `records`, without `id` | its elements |
//! | CloudEvents 1.0 | `specversion`, `id`, `source`, `type` | `data` or `data_base64` |
//! | Azure Event Grid | `id`, `eventType`, `eventTime`, `dataVersion` | `data` |
//!
//! Never an object that has `evidence` or `machineId` beside these keys: that is an alert. `data`
//! is one alert or a list of them, also as JSON in a text or in Base64. What is wrong with one
//! envelope is said of it alone; its neighbours are read.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::split::{Cut, Refused, elements, unmarked};
use crate::domain::alert::Unreadable;
use crate::limits;

/// Envelopes around an alert, such as Event Grid around CloudEvents. An array is none: it has no
/// keys that could be read wrongly.
const NESTED: usize = 2;

/// Whether there may be an envelope in a text. A search is far cheaper than a second parse.
pub(super) fn perhaps(text: &str) -> bool {
    MARKS.iter().any(|mark| text.contains(mark))
}

/// One of these each envelope has. Written with escapes, a key makes no envelope.
const MARKS: [&str; 4] = ["\"value\"", "\"records\"", "\"specversion\"", "\"dataVersion\""];

/// Takes the alerts out of their envelopes, in their order. What is no envelope comes back as it
/// is. More than [`limits::ALERTS_PER_DELIVERY`] in all are refused.
pub(super) fn unwrap(values: Vec<&str>) -> Result<Vec<Cut<'_>>, Refused> {
    let mut cut = Vec::with_capacity(values.len());
    // Depth first; each entry with how many envelopes are around it.
    let mut pending: Vec<(Cow<'_, str>, usize)> =
        values.into_iter().rev().map(|text| (Cow::Borrowed(text), 0)).collect();
    while let Some((text, around)) = pending.pop() {
        let one = match open(&text, around) {
            Ok(Some(inside)) => {
                pending.extend(inside.into_iter().rev().map(|text| (text, around + 1)));
                continue;
            }
            Ok(None) => Cut::Alert(text),
            Err(Unopened::Bad(why)) => Cut::Bad { text, why: Unreadable(why) },
            Err(Unopened::TooMany) => return Err(Refused::TooMany),
        };
        if cut.len() == limits::ALERTS_PER_DELIVERY {
            return Err(Refused::TooMany);
        }
        cut.push(one);
    }
    Ok(cut)
}

/// Why an envelope can't be opened.
enum Unopened {
    Bad(String),
    TooMany,
}

impl From<Refused> for Unopened {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooMany => Unopened::TooMany,
            Refused::NotJson { why, .. } => Unopened::Bad(why),
        }
    }
}

/// What an envelope holds; `None` is no envelope.
fn open<'a>(text: &Cow<'a, str>, around: usize) -> Result<Option<Vec<Cow<'a, str>>>, Unopened> {
    if !text.starts_with('{') || !perhaps(text) {
        return Ok(None);
    }
    match text {
        Cow::Borrowed(text) => held(text, around),
        Cow::Owned(text) => {
            let inside = held(text, around)?;
            let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
            Ok(inside.map(|inside| inside.into_iter().map(own).collect()))
        }
    }
}

fn held(text: &str, around: usize) -> Result<Option<Vec<Cow<'_, str>>>, Unopened> {
    // What does not even have readable keys is for the format to find unreadable.
    let mut input = serde_json::Deserializer::from_str(text);
    let Ok(keys) = input.deserialize_map(KeysVisitor) else { return Ok(None) };
    let Some(kind) = keys.kind() else { return Ok(None) };
    if around == NESTED {
        return bad(format!("{} in more than {NESTED} other envelopes", kind.name()));
    }
    if let Some(key) = kind.reads().iter().find(|key| keys.twice[**key as usize]) {
        return bad(format!("{} with two keys {:?}", kind.name(), key.name()));
    }
    let inside = match kind {
        Kind::List => keys.text(Key::Value),
        Kind::Records => keys.text(Key::Records),
        Kind::EventGrid => return spread(data(kind, keys.text(Key::Data))?).map(Some),
        Kind::CloudEvent => return spread(event_data(&keys)?).map(Some),
    };
    if kind == Kind::List && keys.has(Key::Records) {
        return bad("value and records: which of them holds the alerts?".to_owned());
    }
    spread(Cow::Borrowed(inside)).map(Some)
}

fn bad<T>(why: String) -> Result<T, Unopened> {
    Err(Unopened::Bad(why))
}

/// The data of a CloudEvent.
fn event_data<'a>(keys: &Keys<'a>) -> Result<Cow<'a, str>, Unopened> {
    if keys.text(Key::SpecVersion) != "\"1.0\"" {
        return bad("a CloudEvent of another version than 1.0".to_owned());
    }
    match (keys.has(Key::Data), keys.has(Key::DataBase64)) {
        (true, true) => {
            bad("a CloudEvent with data and data_base64: which of them is meant?".to_owned())
        }
        (_, false) => data(Kind::CloudEvent, keys.text(Key::Data)),
        (false, true) => {
            let decoded = unquoted(keys.text(Key::DataBase64))
                .and_then(|encoded| BASE64.decode(encoded.trim()).ok())
                .and_then(|bytes| String::from_utf8(bytes).ok());
            match decoded {
                Some(text) => json_in("data_base64", &text),
                None => bad("data_base64 is no Base64 of a UTF-8 text".to_owned()),
            }
        }
    }
}

/// Padding may be missing: some encoders leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `data` as it is or, where it is a text, the JSON in that text. Only once: a text in that text
/// stays one.
fn data(kind: Kind, data: &str) -> Result<Cow<'_, str>, Unopened> {
    if data == NULL {
        return bad(format!("{} without data", kind.name()));
    }
    if !data.starts_with('"') {
        return Ok(Cow::Borrowed(data));
    }
    match unquoted(data) {
        Some(text) => json_in("data", &text),
        None => bad("data is a text with a broken escape".to_owned()),
    }
}

fn unquoted(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

fn json_in<'a>(key: &str, text: &str) -> Result<Cow<'a, str>, Unopened> {
    match serde_json::from_str::<&RawValue>(unmarked(text)) {
        Ok(json) => Ok(Cow::Owned(json.get().to_owned())),
        Err(why) => bad(format!("the text of {key} is not JSON: {why}")),
    }
}

/// The elements of an array; anything else is the only one.
fn spread(inside: Cow<'_, str>) -> Result<Vec<Cow<'_, str>>, Unopened> {
    Ok(match inside {
        Cow::Borrowed(text) if text.starts_with('[') => {
            elements(text)?.into_iter().map(Cow::Borrowed).collect()
        }
        Cow::Owned(text) if text.starts_with('[') => {
            elements(&text)?.into_iter().map(|text| Cow::Owned(text.to_owned())).collect()
        }
        one => vec![one],
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    List,
    Records,
    CloudEvent,
    EventGrid,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::List => "a list",
            Kind::Records => "diagnostic records",
            Kind::CloudEvent => "a CloudEvent",
            Kind::EventGrid => "an Event Grid event",
        }
    }

    /// The keys that are read, of which there must not be two.
    fn reads(self) -> &'static [Key] {
        match self {
            Kind::List => &[Key::Value],
            Kind::Records => &[Key::Records],
            Kind::CloudEvent => {
                &[Key::SpecVersion, Key::Id, Key::Source, Key::Type, Key::Data, Key::DataBase64]
            }
            Kind::EventGrid => {
                &[Key::Id, Key::EventType, Key::EventTime, Key::DataVersion, Key::Data]
            }
        }
    }
}

/// A key that tells something about an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Value,
    Records,
    SpecVersion,
    Id,
    Source,
    Type,
    Data,
    DataBase64,
    EventType,
    EventTime,
    DataVersion,
    Evidence,
    MachineId,
}

impl Key {
    const ALL: [Key; 13] = [
        Key::Value,
        Key::Records,
        Key::SpecVersion,
        Key::Id,
        Key::Source,
        Key::Type,
        Key::Data,
        Key::DataBase64,
        Key::EventType,
        Key::EventTime,
        Key::DataVersion,
        Key::Evidence,
        Key::MachineId,
    ];

    fn name(self) -> &'static str {
        match self {
            Key::Value => "value",
            Key::Records => "records",
            Key::SpecVersion => "specversion",
            Key::Id => "id",
            Key::Source => "source",
            Key::Type => "type",
            Key::Data => "data",
            Key::DataBase64 => "data_base64",
            Key::EventType => "eventType",
            Key::EventTime => "eventTime",
            Key::DataVersion => "dataVersion",
            Key::Evidence => "evidence",
            Key::MachineId => "machineId",
        }
    }
}

const NULL: &str = "null";

/// What stands at the keys of one object, and which of them stand there twice.
#[derive(Default)]
struct Keys<'a> {
    texts: [Option<&'a str>; Key::ALL.len()],
    twice: [bool; Key::ALL.len()],
}

impl<'a> Keys<'a> {
    /// The value's own text; `null` too where the key is missing.
    fn text(&self, key: Key) -> &'a str {
        self.texts[key as usize].unwrap_or(NULL)
    }

    /// Of two equal keys nobody knows which is meant, also where one of them is `null`.
    fn has(&self, key: Key) -> bool {
        self.text(key) != NULL || self.twice[key as usize]
    }

    fn kind(&self) -> Option<Kind> {
        let all = |keys: &[Key]| keys.iter().all(|key| self.has(*key));
        let list = |key| !self.has(Key::Id) && self.text(key).starts_with('[');
        if self.has(Key::Evidence) || self.has(Key::MachineId) {
            None
        } else if all(&[Key::SpecVersion, Key::Id, Key::Source, Key::Type]) {
            Some(Kind::CloudEvent)
        } else if all(&[Key::Id, Key::EventType, Key::EventTime, Key::DataVersion]) {
            Some(Kind::EventGrid)
        } else if list(Key::Value) {
            Some(Kind::List)
        } else if list(Key::Records) {
            Some(Kind::Records)
        } else {
            None
        }
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let Some(key) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let before = keys.texts[key as usize].replace(map.next_value::<&RawValue>()?.get());
            keys.twice[key as usize] |= before.is_some();
        }
        Ok(keys)
    }
}

/// Reads a key without keeping it.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<Key>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<Key>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Key::ALL.into_iter().find(|key| key.name() == name))
    }
}

#[cfg(test)]
mod tests;
