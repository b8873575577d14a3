//! The problems of one file as they are found, and the questions every section of it asks.

use std::collections::HashSet;
use std::ops::Range;

use super::list::Lists;
use super::problem::{Problem, Severity, Source};
use super::suggest::did_you_mean;
use super::yaml::{At, Node};
use crate::formats::Formats;

/// The entries of a mapping.
pub(super) type Entries = [(At<String>, At<Node>)];

/// Collects what is wrong with a file, so that nothing stops at the first error.
pub(super) struct Notes<'s> {
    pub source: &'s Source,
    pub lists: &'s Lists,
    pub formats: &'s Formats,
    /// Whether the rule denies.
    pub denies: bool,
    pub problems: Vec<Problem>,
    /// Entries of lists, by list and place, that some leaf of the rule took, and what was wrong
    /// with them for others.
    pub taken: HashSet<(String, usize)>,
    pub left: Vec<((String, usize), Vec<Problem>)>,
}

impl<'s> Notes<'s> {
    pub fn new(source: &'s Source, lists: &'s Lists, formats: &'s Formats) -> Self {
        Self {
            source,
            lists,
            formats,
            denies: false,
            problems: Vec::new(),
            taken: HashSet::new(),
            left: Vec::new(),
        }
    }

    pub fn error(&mut self, place: &Range<usize>, message: impl Into<String>) {
        self.add(Severity::Error, place, message.into());
    }

    pub fn warning(&mut self, place: &Range<usize>, message: impl Into<String>) {
        self.add(Severity::Warning, place, message.into());
    }

    fn add(&mut self, severity: Severity, place: &Range<usize>, message: String) {
        self.problems.push(Problem::new(severity, self.source, Some(place.clone()), message));
    }

    /// The entries of a node that has to be a mapping with something in it.
    pub fn entries<'n>(&mut self, node: &'n At<Node>, what: &str) -> Option<&'n Entries> {
        match &node.value {
            Node::Map(entries) if !entries.is_empty() => Some(entries),
            Node::Map(_) => {
                self.error(&node.place, format!("{what} is empty"));
                None
            }
            other => {
                let kind = other.kind();
                self.error(&node.place, format!("{what} is {kind}; it has to be a mapping"));
                None
            }
        }
    }

    /// The items of a node that has to be a list.
    pub fn items<'n>(&mut self, node: &'n At<Node>, what: &str) -> Option<&'n [At<Node>]> {
        match &node.value {
            Node::List(items) => Some(items),
            other => {
                let kind = other.kind();
                self.error(&node.place, format!("{what} is {kind}; it has to be a list"));
                None
            }
        }
    }

    /// The text of a node that has to be one and not empty.
    pub fn text<'n>(&mut self, node: &'n At<Node>, what: &str) -> Option<&'n str> {
        match &node.value {
            Node::Text(text) if !text.trim().is_empty() => Some(text),
            Node::Text(_) => {
                self.error(&node.place, format!("{what} is empty"));
                None
            }
            other => {
                let kind = other.kind();
                self.error(&node.place, format!("{what} is {kind}; it has to be a text"));
                None
            }
        }
    }

    /// The value of a key that `what`, the mapping at `node`, has to have.
    pub fn required<'n>(
        &mut self,
        node: &At<Node>,
        entries: &'n Entries,
        what: &str,
        key: &str,
    ) -> Option<&'n At<Node>> {
        let found = find(entries, key);
        if found.is_none() {
            let how = match (what, key) {
                ("the rule", "id") => "; make one with uuidgen",
                ("the rule", "response") => {
                    "; it says what to do, such as action: StopAndQuarantineFile"
                }
                ("the format", "format") => "; it is the file's name, without .yml",
                ("the format", "alert") => {
                    "; it says where the alert's fields stand, such as id: $.id"
                }
                ("the format", "candidates") => "; it says where files and their machines stand",
                _ => "",
            };
            self.error(&node.place, format!("{what} has no {key}{how}"));
        }
        found
    }

    /// Tells of the entries that no leaf of the rule could take: one list may hold hashes and
    /// names, each for a leaf of its own.
    pub fn refuse_left(&mut self) {
        for (entry, problems) in std::mem::take(&mut self.left) {
            if self.taken.insert(entry) {
                self.problems.extend(problems);
            }
        }
    }

    /// Refuses a key that is none of `known`.
    pub fn unknown_key(&mut self, key: &At<String>, section: &str, known: &[&str]) {
        let name = &key.value;
        let meant = did_you_mean(name, known.iter().copied());
        let meant =
            if meant.is_empty() { format!("; known are {}", known.join(", ")) } else { meant };
        self.error(&key.place, format!("{section} has no key {name:?}{meant}"));
    }

    /// One of a closed set of words.
    pub fn one_of<'k>(
        &mut self,
        node: &At<Node>,
        what: &str,
        known: &[&'k str],
    ) -> Option<&'k str> {
        let text = self.text(node, what)?;
        let found = known.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let meant = did_you_mean(text, known.iter().copied());
            let known = known.join(", ");
            self.error(
                &node.place,
                format!("{what} is {text:?}; it has to be one of {known}{meant}"),
            );
        }
        found
    }

    /// The place of a byte within a text, exactly where the file writes the text as it is.
    pub fn inside(&self, node: &At<Node>, text: &str, offset: usize) -> Range<usize> {
        let start = node.place.start;
        for quote in [0, 1] {
            if self.source.text.get(start + quote..).is_some_and(|s| s.starts_with(text)) {
                return start + quote + offset..start + quote + offset;
            }
        }
        node.place.clone()
    }
}

/// The value of a key.
pub(super) fn find<'n>(entries: &'n Entries, key: &str) -> Option<&'n At<Node>> {
    entries.iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
}
