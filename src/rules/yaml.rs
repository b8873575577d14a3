//! YAML as a tree in which every key and value knows its place, so that all errors of a file can be
//! told at once and where they stand.

use std::fmt;
use std::ops::Range;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use super::problem::{Problem, Severity, Source};

/// A value and where it stands, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct At<T> {
    pub value: T,
    pub place: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<At<Node>>),
    Map(Vec<(At<String>, At<Node>)>),
}

impl Node {
    /// For messages: what stands where something else should.
    pub fn kind(&self) -> &'static str {
        match self {
            Node::Null => "nothing",
            Node::Bool(_) => "a boolean",
            Node::Integer(_) | Node::Float(_) => "a number",
            Node::Text(_) => "a text",
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
        }
    }
}

/// Reads one YAML document. Duplicate keys, several documents and alias bombs are errors.
pub(super) fn parse(source: &Source) -> Result<At<Node>, Problem> {
    // As in YAML 1.2: `yes`, `no`, `on` and `off` are texts.
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Spanned<Node>>(&source.text, options) {
        Ok(root) => Ok(at(root)),
        Err(e) => {
            let e = e.without_snippet();
            let place = e.location().map(|location| {
                let place = bytes(location);
                if place == (0..0) { by_line(&source.text, location) } else { place }
            });
            let message = e.to_string();
            // The place is shown by the problem itself.
            let message = message.split(" at line ").next().unwrap_or(&message);
            let message = match message.lines().next().unwrap_or_default() {
                // The reader's own words are for those who call it.
                text if text.contains("DuplicateKeyPolicy") => "this key stands twice",
                text if text.contains("from_str_multiple") => {
                    "one rule a file: remove the second document"
                }
                text => text,
            };
            Err(Problem::new(Severity::Error, source, place, message))
        }
    }
}

fn at<T>(spanned: Spanned<T>) -> At<T> {
    At { value: spanned.value, place: bytes(spanned.referenced) }
}

fn bytes(location: Location) -> Range<usize> {
    let start = location.span().byte_offset().unwrap_or(0);
    let length = location.span().byte_len().unwrap_or(0);
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    size(start)..size(start.saturating_add(length))
}

/// The byte that a line and a column, both from 1, point at.
fn by_line(text: &str, location: Location) -> Range<usize> {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let (line, column) = (size(location.line()), size(location.column()));
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let within: usize =
        text[start..].chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
    let start = (start + within).min(text.len());
    start..start
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        Node::deserialize(from)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::Float(value as f64), Node::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Node>>()? {
            items.push(at(item));
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            entries.push((at(key), at(map.next_value::<Spanned<Node>>()?)));
        }
        Ok(Node::Map(entries))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor)
    }
}
