//! What formats have in common: a payload's values read into types and fields, or not at all. What
//! is of no use is an absent field, or the reason why a candidate is incomplete.

use std::borrow::Cow;

use serde::Deserialize;

use super::lenient::{Object, Text, Texts};
use super::spelling;
use crate::domain::alert::{Unreadable, severity_rank};
use crate::domain::candidate::{Field, Fields, Incomplete, Value};
use crate::domain::ids::{HashError, MachineId, Sha1};
use crate::domain::time::Wall;
use crate::limits;

/// The alert's object. Two equal keys that are read make it unreadable.
pub(super) fn object<'a, T: Deserialize<'a>>(alert: &'a str) -> Result<T, Unreadable> {
    read::<Object<T>>(alert).map(|Object(read)| read)
}

/// The whole of a text, as whatever reads it.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unreadable> {
    // serde's own words, which name the key and the place but never quote a value at length.
    serde_json::from_str(text).map_err(|e| {
        Unreadable(e.to_string().chars().filter(|c| !c.is_control()).take(160).collect())
    })
}

pub(super) fn id(text: Text<'_>) -> Result<Cow<'_, str>, Unreadable> {
    let id = text.known().ok_or_else(|| Unreadable("the alert has no id".to_owned()))?;
    if id.len() > limits::ALERT_ID_BYTES {
        let most = limits::ALERT_ID_BYTES;
        return Err(Unreadable(format!("the alert's id is longer than {most} bytes")));
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
    if !id.bytes().all(fits) {
        return Err(Unreadable(format!(
            "{:?} is no alert id: letters, digits and _.:- only; take another field that is unique",
            id
        )));
    }
    Ok(id)
}

/// What is no text names a tenant all the same, one that nobody knows: only an alert that is silent
/// about it may fall to the only tenant there is.
pub(super) fn tenant(text: Text<'_>) -> Option<Cow<'_, str>> {
    match text {
        Text::Other => Some(Cow::Borrowed("(not a text)")),
        text => text.known(),
    }
}

/// How many files an alert names, unless they are more than any real alert has.
pub(super) fn file_count(files: usize) -> Result<Value<'static>, Unreadable> {
    if files > limits::CANDIDATES_PER_ALERT {
        let most = limits::CANDIDATES_PER_ALERT;
        return Err(Unreadable(format!("{files} files; no real alert has over {most}")));
    }
    Ok(count(files))
}

pub(super) fn count(things: usize) -> Value<'static> {
    Value::Number(i64::try_from(things).unwrap_or(i64::MAX))
}

pub(super) fn time(text: &Text<'_>) -> Option<Wall> {
    let Text::Is(text) = text else { return None };
    Wall::parse(text)
}

/// Defender's id or, for the things that stand under that key in its place, what they are.
pub(super) fn machine(key: &str, text: &Text<'_>) -> Result<MachineId, Incomplete> {
    let Some(id) = text.clone().known() else {
        let what = if *text == Text::Other { "is no text" } else { "is missing" };
        return Err(Incomplete(format!("{key} {what}")));
    };
    MachineId::parse(&id).map_err(|why| {
        let digits = id.bytes().all(|b| b.is_ascii_hexdigit());
        let shape = match id.len() {
            _ if why == HashError::Zeros => "is all zeros",
            36 if uuid::Uuid::try_parse(&id).is_ok() => {
                "is a GUID: Defender's ids are 40 hex digits"
            }
            32 if digits => "is 32 hex digits: Defender's ids are 40",
            _ if digits => "is not 40 hex digits",
            _ => "is a name: Defender's ids are 40 hex digits",
        };
        Incomplete(format!("{key} {shape}"))
    })
}

pub(super) fn sha1(text: &Text<'_>) -> Result<Sha1, Incomplete> {
    match text.clone().known() {
        Some(hash) => Sha1::parse(&hash).map_err(|why| Incomplete(format!("sha1 {why}"))),
        None if *text == Text::Other => Err(Incomplete("sha1 is no text".to_owned())),
        None => Err(Incomplete("sha1 is missing".to_owned())),
    }
}

/// Sets a field, unless nothing usable stands there: that is unknown, and unknown never acts.
pub(super) fn set_known<'a>(fields: &mut Fields<'a>, field: Field, text: Text<'a>) {
    let text = text.known().filter(|text| fits(field, text));
    if let Some(text) = text.and_then(|text| spelling::one(field, text)) {
        fields.set(field, Value::Text(text));
    }
}

/// Whether a text is short enough for a field. Those of a file are its own: no other candidate has
/// a copy, and whoever drops a file chooses its name and path.
pub(super) fn fits(field: Field, text: &str) -> bool {
    text.len() <= limits::SHARED_TEXT_BYTES || field.name().starts_with("file.")
}

/// As [`set_known`] for an enumeration whose every word is known: another is of no use.
pub(super) fn set_listed<'a>(fields: &mut Fields<'a>, field: Field, text: Text<'a>) {
    if let Some(text) = text.known().and_then(|text| spelling::known_one(field, text)) {
        fields.set(field, Value::Text(text));
    }
}

/// As [`set_known`], where `null` says "none".
pub(super) fn set_known_or_none<'a>(fields: &mut Fields<'a>, field: Field, text: Text<'a>) {
    match text {
        Text::Null => fields.set(field, Value::Empty),
        text => set_known(fields, field, text),
    }
}

/// Sets a list, where `null` and `[]` say "none".
pub(super) fn set_list_or_none<'a>(fields: &mut Fields<'a>, field: Field, texts: Texts<'a>) {
    match texts {
        Texts::Null => fields.set(field, Value::Empty),
        Texts::Are(list) if list.is_empty() => fields.set(field, Value::Empty),
        Texts::Are(list) => fields.set(field, Value::List(list)),
        Texts::Missing | Texts::Other => {}
    }
}

/// Sets what follows from the severity.
pub(super) fn set_severity_rank(fields: &mut Fields<'_>) {
    if let Value::Text(severity) = fields.get(Field::AlertSeverity) {
        let rank = severity_rank(severity);
        fields.set(Field::AlertSeverityRank, Value::Number(rank));
    }
}
