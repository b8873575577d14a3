//! Where a value stands in an alert: a JSONPath (RFC 9535), from the alert's root with `$` or, with
//! `@`, from what the pairs are made of.

use serde_json::Value;
use serde_json_path::{JsonPath, PathElement};

/// A path of a format.
#[derive(Clone, Debug)]
pub struct Path {
    text: String,
    start: Start,
    query: JsonPath,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// `$`: the alert.
    Root,
    /// `@`: the match of the nearest `each`, or the alert where there is none.
    Here,
}

/// Why a text is no path, and at which byte of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPath {
    pub at: usize,
    pub why: String,
}

/// A value of an alert, and where it stands if someone asks.
#[derive(Clone, Debug)]
pub(super) struct Node<'v> {
    pub value: &'v Value,
    pub place: Option<String>,
}

impl Path {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, NoPath> {
        let start = match text.as_bytes().first() {
            Some(b'$') => Start::Root,
            Some(b'@') => Start::Here,
            _ => {
                let why = "a path begins with $ or @; for a fixed text write {always: TEXT}";
                return Err(NoPath { at: 0, why: why.to_owned() });
            }
        };
        if let (Start::Here, Some(at)) = (start, second_root(text)) {
            let why = "a path from @ can't look at the alert's root, here $, too";
            return Err(NoPath { at, why: why.to_owned() });
        }
        let from_root = text.replacen('@', "$", usize::from(start == Start::Here));
        let query = JsonPath::parse(&from_root).map_err(|e| NoPath {
            at: text.floor_char_boundary(e.position()),
            why: match e.message() {
                "parser error" => "that is no JSONPath (RFC 9535)".to_owned(),
                why => format!("that is no JSONPath (RFC 9535): {why}"),
            },
        })?;
        Ok(Self { text: text.to_owned(), start, query })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn start(&self) -> Start {
        self.start
    }

    /// All that stands there, in the order of the alert.
    pub(super) fn select<'v>(&self, root: &Node<'v>, here: &Node<'v>) -> Vec<Node<'v>> {
        let from = match self.start {
            Start::Root => root,
            Start::Here => here,
        };
        let Some(place) = &from.place else {
            let nodes = self.query.query(from.value).all();
            return nodes.into_iter().map(|value| Node { value, place: None }).collect();
        };
        let located = self.query.query_located(from.value).all();
        let node = |node: serde_json_path::LocatedNode<'v>| Node {
            value: node.node(),
            place: Some(node.location().iter().fold(place.clone(), |mut place, step| {
                match step {
                    PathElement::Name(name) => push_name(&mut place, name),
                    PathElement::Index(index) => place.push_str(&format!("[{index}]")),
                }
                place
            })),
        };
        located.into_iter().map(node).collect()
    }
}

/// The first `$` outside of quotes.
fn second_root(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '$') => return Some(at),
            _ => {}
        }
    }
    None
}

/// Goes on to a key, written as short as a path may.
pub(in crate::formats) fn push_name(place: &mut String, name: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    let starts = !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
    if starts && name.chars().all(plain) {
        place.push('.');
        place.push_str(name);
    } else {
        let name = name.replace('\\', "\\\\").replace('\'', "\\'");
        place.push_str(&format!("['{name}']"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_at_the_root_or_here_and_says_where_it_is_wrong() {
        assert_eq!(Path::parse("$.a['b c'][0]").unwrap().start(), Start::Root);
        assert_eq!(Path::parse("@['$id'][?@.x == '$']").unwrap().start(), Start::Here);
        assert_eq!(Path::parse("a.b").unwrap_err().at, 0);
        assert_eq!(Path::parse("@.a[?@.b == $.c]").unwrap_err().at, 12);
        let wrong = Path::parse("$.a[b]").unwrap_err();
        assert!(wrong.at > 2 && wrong.why.contains("JSONPath"), "{wrong:?}");
    }

    #[test]
    fn places_are_paths_that_lead_there() {
        let alert = serde_json::json!({"a b": [{"c": 1}, {"it's": 2}], "0": {"": 3}});
        let root = Node { value: &alert, place: Some("$".to_owned()) };
        let leaves = Path::parse("$..*").unwrap().select(&root, &root);
        let places: Vec<String> = leaves.iter().map(|node| node.place.clone().unwrap()).collect();
        assert!(places.contains(&"$['a b'][1]['it\\'s']".to_owned()), "{places:?}");
        for (place, node) in places.iter().zip(&leaves) {
            let found = Path::parse(place).unwrap().select(&root, &root);
            assert_eq!(found.len(), 1, "{place}");
            assert_eq!(found[0].value, node.value);
        }
    }
}
