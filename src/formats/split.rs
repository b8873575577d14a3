//! A delivery's body cut into alerts, each still as its own bytes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;

use super::envelope;
use crate::domain::alert::Unreadable;
use crate::limits;

/// Why nothing of a body is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The envelope, or a line of NDJSON, is not JSON. Line and column count from 1.
    #[error("line {line}, column {column}: {why}")]
    NotJson { line: usize, column: usize, why: String },
    /// More than [`limits::ALERTS_PER_DELIVERY`].
    #[error("more than {} alerts in one delivery", limits::ALERTS_PER_DELIVERY)]
    TooMany,
}

/// One alert of a delivery, by its own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// For a format to read. Borrowed, unless the body has it as JSON in a text or in Base64.
    Alert(Cow<'a, str>),
    /// No format can read it: its envelope can't be opened.
    Bad { text: Cow<'a, str>, why: Unreadable },
}

impl Cut<'_> {
    pub fn text(&self) -> &str {
        match self {
            Cut::Alert(text) | Cut::Bad { text, .. } => text,
        }
    }
}

/// Cuts a body into alerts: one object, an array, or NDJSON; a byte order mark and blank lines are
/// fine. Each may be an envelope of alerts, see [`super::envelope`]. An element that is no object
/// is handed on as it is, for the format to find unreadable: it does not stop its neighbours.
///
/// The nesting of a body is bounded by its size only; nothing here or in a format recurses over it.
pub fn split(body: &[u8]) -> Result<Vec<Cut<'_>>, Refused> {
    let text = std::str::from_utf8(body).map_err(|e| not_utf8(body, e.valid_up_to()))?;
    let text = unmarked(text);
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        if values.len() == limits::ALERTS_PER_DELIVERY {
            return Err(Refused::TooMany);
        }
        values.push(value.map_err(not_json)?.get());
    }
    match values[..] {
        [] => Err(Refused::NotJson { line: 1, column: 1, why: "the body is empty".to_owned() }),
        [only] if only.starts_with('[') => envelope::unwrap(elements(only)?),
        _ => envelope::unwrap(values),
    }
}

/// The text of a body that may be one alert and nothing else, so that it need not be cut; most are.
/// Whoever decodes it finds out: what is more than one value, or an envelope, or no JSON, is for
/// [`split()`].
pub(super) fn perhaps_one(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let text = unmarked(text).trim_matches(JSON_BLANKS);
    text.starts_with('{').then_some(text)
}

/// The elements of a body that is `{"records": […]}` and nothing else, as most messages of a stream
/// are, read in one go: it need not be looked through for envelopes, nor cut. `None` is any other
/// body, and one with an element that can't be read so: [`split()`] tells what it is.
pub(super) fn records<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<Vec<T>> {
    let text = perhaps_one(body)?;
    let mut input = serde_json::Deserializer::from_str(text);
    let found = input.deserialize_map(RecordsVisitor(PhantomData)).ok()??;
    input.end().ok()?;
    Some(found)
}

struct RecordsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for RecordsVisitor<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if map.next_key::<Cow<'de, str>>()?.as_deref() != Some("records") {
            return Err(A::Error::custom("something else"));
        }
        let found = map.next_value_seed(Elements::new())?;
        // Which of two keys is meant is for whoever knows envelopes.
        Ok(if map.next_key::<IgnoredAny>()?.is_some() { None } else { found })
    }
}

/// Without a byte order mark.
pub(super) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

const JSON_BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

pub(super) fn elements(array: &str) -> Result<Vec<&str>, Refused> {
    let mut input = serde_json::Deserializer::from_str(array);
    match Elements::<&RawValue>::new().deserialize(&mut input) {
        Ok(Some(found)) => Ok(found.into_iter().map(RawValue::get).collect()),
        Ok(None) => Err(Refused::TooMany),
        Err(e) => Err(not_json(e)),
    }
}

/// Collects elements up to the limit; `None` is one too many.
struct Elements<T> {
    found: Vec<T>,
}

impl<T> Elements<T> {
    fn new() -> Self {
        Self { found: Vec::new() }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Elements<T> {
    type Value = Option<Vec<T>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of alerts")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
        while let Some(element) = seq.next_element()? {
            if self.found.len() == limits::ALERTS_PER_DELIVERY {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            self.found.push(element);
        }
        Ok(Some(self.found))
    }
}

fn not_json(e: serde_json::Error) -> Refused {
    let (line, column) = (e.line(), e.column());
    let why = e.to_string();
    let why = why.split(" at line ").next().unwrap_or(&why).to_owned();
    Refused::NotJson { line, column, why }
}

fn not_utf8(body: &[u8], at: usize) -> Refused {
    let before = &body[..at];
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
    Refused::NotJson { line, column, why: "not UTF-8".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &[u8]) -> Vec<String> {
        let text = |cut| match cut {
            Cut::Alert(text) => text.into_owned(),
            Cut::Bad { why, .. } => panic!("{why}"),
        };
        split(body).unwrap().into_iter().map(text).collect()
    }

    #[test]
    fn every_shape_gives_the_same_alerts() {
        let a = r#"{"id":"a","value":1}"#;
        let b = r#"{"id":"b"}"#;
        let both = vec![a, b];
        for body in [
            format!("[{a},{b}]"),
            format!(r#"{{"@odata.context":"x","value":[{a}, {b}]}}"#),
            format!("{a}\n{b}"),
            format!("\u{feff}{a}\r\n\n  \n{b}\n\n"),
        ] {
            assert_eq!(texts(body.as_bytes()), both, "{body}");
        }
        assert_eq!(texts(a.as_bytes()), vec![a]);
        assert_eq!(split(b"{\n \"id\": 1\n}").unwrap().len(), 1);
        assert!(split(b"[]").unwrap().is_empty());
        assert!(split(b"{\"value\":[]}").unwrap().is_empty());
    }

    #[test]
    fn an_element_that_is_no_object_does_not_stop_its_neighbours() {
        let alerts = texts(b"[{\"id\":\"a\"}, null, 7, \"x\", []]");
        assert_eq!(alerts, vec!["{\"id\":\"a\"}", "null", "7", "\"x\"", "[]"]);
    }

    #[test]
    fn one_bad_line_refuses_the_whole_and_says_where() {
        let refused = split(b"{\"id\":\"a\"}\n{\"id\":}\n").unwrap_err();
        let Refused::NotJson { line, column, why } = refused else { panic!("{refused}") };
        assert_eq!((line, column), (2, 7), "{why}");
        let places: Vec<bool> = ["", " \n", "[1", "{\"a\"", "[1]x", "\u{1}", "nul"]
            .iter()
            .map(|body| matches!(split(body.as_bytes()), Err(Refused::NotJson { .. })))
            .collect();
        assert_eq!(places, vec![true; places.len()]);
        let refused = split(b"{}\n{\"\xff\"").unwrap_err();
        assert_eq!(refused, Refused::NotJson { line: 2, column: 3, why: "not UTF-8".to_owned() });
    }

    #[test]
    fn too_many_alerts_are_refused_in_every_shape() {
        let fits = vec!["{}"; limits::ALERTS_PER_DELIVERY];
        let over = vec!["{}"; limits::ALERTS_PER_DELIVERY + 1];
        for (open, between, close) in [("[", ",", "]"), ("{\"value\":[", ",", "]}"), ("", "\n", "")]
        {
            let body = |alerts: &[&str]| format!("{open}{}{close}", alerts.join(between));
            assert_eq!(split(body(&fits).as_bytes()).unwrap().len(), fits.len());
            assert_eq!(split(body(&over).as_bytes()), Err(Refused::TooMany));
        }
    }

    #[test]
    fn a_million_brackets_are_no_stack_overflow() {
        let deep = "[".repeat(1_000_000);
        assert!(matches!(split(deep.as_bytes()), Err(Refused::NotJson { .. })));
        let closed = deep.clone() + &"]".repeat(1_000_000);
        assert_eq!(split(closed.as_bytes()).unwrap().len(), 1);
    }
}
