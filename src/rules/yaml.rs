//! YAML as a tree in which every key and value knows its place, so that all errors of a file can be
//! told at once and where they stand.

use std::fmt;
use std::ops::Range;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned, Tagged};

use super::problem::{Problem, Severity, Source};

mod said;

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
    /// Something with this tag, one outside YAML's core schema; never in a tree that is given out.
    Foreign(String),
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
            Node::Foreign(_) => "a value with a tag",
        }
    }
}

/// Reads one YAML document. Duplicate keys, several documents, alias bombs and tags outside the
/// core schema are errors: a tag such as `!!binary` makes a value something else than is written.
pub(super) fn parse(source: &Source) -> Result<At<Node>, Vec<Problem>> {
    // As in YAML 1.2: `yes`, `no`, `on` and `off` are texts.
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Spanned<Tagged<Node>>>(&source.text, options) {
        Ok(root) => {
            let root = value(root);
            let mut problems = Vec::new();
            refuse_tags(source, &root, &mut problems);
            if problems.is_empty() { Ok(root) } else { Err(problems) }
        }
        Err(e) => {
            let e = e.without_snippet();
            let place = e.location().map(|location| {
                let place = bytes(location);
                if place == (0..0) { by_line(&source.text, location) } else { place }
            });
            let message = e.to_string();
            // The place is shown by the problem itself.
            let message = message.split(" at line ").next().unwrap_or(&message);
            let message = message.lines().next().unwrap_or_default();
            let (place, message) = match place {
                Some(place) => {
                    let (place, message) = said::plain(&source.text, message, place);
                    (Some(place), message)
                }
                None => (None, message.to_owned()),
            };
            Err(vec![Problem::new(Severity::Error, source, place, message)])
        }
    }
}

fn refuse_tags(source: &Source, node: &At<Node>, problems: &mut Vec<Problem>) {
    match &node.value {
        Node::Foreign(tag) => {
            let why = format!(
                "the tag {tag} is none that a rule may have; remove it, or write the text in quotes"
            );
            problems.push(Problem::new(Severity::Error, source, Some(node.place.clone()), why));
        }
        Node::List(items) => items.iter().for_each(|item| refuse_tags(source, item, problems)),
        Node::Map(entries) => {
            entries.iter().for_each(|(_, value)| refuse_tags(source, value, problems));
        }
        Node::Null | Node::Bool(_) | Node::Integer(_) | Node::Float(_) | Node::Text(_) => {}
    }
}

/// The tag, as rules write it, where it is none of YAML's core schema.
fn foreign(tag: Option<String>) -> Option<String> {
    const CORE: [&str; 7] = ["null", "bool", "int", "float", "str", "seq", "map"];
    let tag = tag?;
    match tag.strip_prefix("tag:yaml.org,2002:") {
        Some(name) if CORE.contains(&name) => None,
        Some(name) => Some(format!("!!{name}")),
        None => Some(tag),
    }
}

fn value(spanned: Spanned<Tagged<Node>>) -> At<Node> {
    let Tagged(value, tag) = spanned.value;
    let value = foreign(tag).map_or(value, Node::Foreign);
    At { value, place: bytes(spanned.referenced) }
}

/// A key and its value. Where the key has a foreign tag, the value stands for it.
fn entry(key: Spanned<Tagged<String>>, value: At<Node>) -> (At<String>, At<Node>) {
    let place = bytes(key.referenced);
    let Tagged(name, tag) = key.value;
    let value = match foreign(tag) {
        Some(tag) => At { value: Node::Foreign(tag), place: place.clone() },
        None => value,
    };
    (At { value: name, place }, value)
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
        while let Some(item) = seq.next_element::<Spanned<Tagged<Node>>>()? {
            items.push(value(item));
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<Tagged<String>>>()? {
            let value = value(map.next_value::<Spanned<Tagged<Node>>>()?);
            entries.push(entry(key, value));
        }
        Ok(Node::Map(entries))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor)
    }
}
