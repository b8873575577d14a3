//! The problems of one file as they are found, and the questions every section of it asks.

use std::collections::HashSet;
use std::ops::Range;

use super::list::Lists;
use super::problem::{Problem, Severity, Source};
use super::suggest::{did_you_mean, quoted};
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
    /// Whether Defender is asked for what the rule does not know.
    pub asks: bool,
    /// Whether it counts what others match.
    pub correlates: bool,
    /// Whether there are correlations, which may count the rule.
    pub may_count: bool,
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
            asks: false,
            correlates: false,
            may_count: false,
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
            other => {
                let is = match other {
                    Node::Map(_) | Node::Null => "empty",
                    other => other.kind(),
                };
                let why = format!("{what} is {is}; it has to be a mapping");
                self.error(&node.place, format!("{why}{}", example(what)));
                None
            }
        }
    }

    /// The items of a node that has to be a list.
    pub fn items<'n>(&mut self, node: &'n At<Node>, what: &str) -> Option<&'n [At<Node>]> {
        match &node.value {
            Node::List(items) => Some(items),
            other => {
                let example = match other {
                    Node::Text(text) if example(what).is_empty() => {
                        format!(", such as [{}]", quoted(text).trim_matches('"'))
                    }
                    _ => example(what).to_owned(),
                };
                let kind = other.kind();
                let why = format!("{what} is {kind}; it has to be a list{example}");
                self.error(&node.place, why);
                None
            }
        }
    }

    /// The text of a node that has to be one and not empty.
    pub fn text<'n>(&mut self, node: &'n At<Node>, what: &str) -> Option<&'n str> {
        match &node.value {
            Node::Text(text) if !text.trim().is_empty() => Some(text),
            Node::Text(_) | Node::Null => {
                self.error(&node.place, format!("{what} is empty; write a text there"));
                None
            }
            other => {
                let (kind, written) = (other.kind(), self.source.text.get(node.place.clone()));
                let texts = |items: &[At<Node>]| {
                    let text = |item: &At<Node>| match &item.value {
                        Node::Text(text) => Some(text.clone()),
                        _ => None,
                    };
                    items.iter().map(text).collect::<Option<Vec<_>>>()
                };
                let how = match (other, written) {
                    (Node::Integer(_) | Node::Float(_) | Node::Bool(_), Some(text)) => {
                        format!(": write it in quotes, as {}", quoted(text))
                    }
                    (Node::List(items), _) => texts(items).map_or(String::new(), |all| {
                        format!(", such as {}", quoted(&all.join(", ")))
                    }),
                    _ => String::new(),
                };
                let why = format!("{what} is {kind}; it has to be a text{how}");
                self.error(&node.place, why);
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
        // A key that is misspelt has been told already.
        if found.is_none() && !is_misspelt(entries, key) {
            self.error(&node.place, format!("{what} has no {key}{}", remedy(what, key)));
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
        self.error(&key.place, format!("{section} has no key {}{meant}", quoted(name)));
    }

    /// One of a closed set of words.
    pub fn one_of<'k>(
        &mut self,
        node: &At<Node>,
        what: &str,
        known: &[&'k str],
    ) -> Option<&'k str> {
        let (is, meant) = match &node.value {
            Node::Text(text) => match known.iter().copied().find(|word| word == text) {
                Some(found) => return Some(found),
                None => (quoted(text), did_you_mean(text, known.iter().copied())),
            },
            other => (other.kind().to_owned(), String::new()),
        };
        let known = known.join(", ");
        self.error(&node.place, format!("{what} is {is}; it has to be one of {known}{meant}"));
        None
    }

    /// The file and line of a byte, for a message about another file.
    pub fn at(&self, byte: usize) -> String {
        format!("{}:{}", self.source.name, self.source.line(byte))
    }

    /// The place of a byte within a text, exactly where the file writes the text as it is.
    pub fn inside(&self, node: &At<Node>, text: &str, offset: usize) -> Range<usize> {
        self.part(&node.place, text, offset..offset)
    }

    /// The place of a part of the text that stands at `place`, likewise.
    pub fn part(&self, place: &Range<usize>, text: &str, part: Range<usize>) -> Range<usize> {
        for start in [place.start, place.start + 1] {
            if self.source.text.get(start..).is_some_and(|rest| rest.starts_with(text)) {
                return start + part.start..start + part.end;
            }
        }
        place.clone()
    }
}

/// How something is written that has to be a mapping or a list, as an example.
fn example(what: &str) -> &'static str {
    match what {
        "the rule" => " that begins with title:",
        "logsource" => ", such as {product: windows, service: microsoft_defender}",
        "detection" => " of selections and a condition",
        "the selection" => ", such as {alert.category: Malware}",
        "response" => " that begins with action: StopAndQuarantineFile",
        "breakers" => ", such as {machines_per_file: 25/1h, actions: 200/1h}",
        "correlation" => " that begins with type: value_count",
        "an alert of a test" => ", such as {alert: samples/defender-malware.json}",
        "group-by" => ", such as [file.sha1]",
        "tests" => ": begin each test with - name:",
        "a test" => " with name, alert and expect",
        "set" => ", such as {alert.severity: High}",
        "expect" => ", such as {no_match: true}",
        "absent" | "hold" => ", such as [file.path]",
        "act" | "protected" => ", such as [{machine: ID, sha1: HASH}]",
        _ => "",
    }
}

/// What to write where a key is missing.
fn remedy(what: &str, key: &str) -> &'static str {
    match (what, key) {
        ("the rule", "title") => "; begin it with title: and what it does, in a few words",
        ("the rule", "id") => "; make one with uuidgen",
        ("the rule", "logsource") => {
            "; write logsource: {product: windows, service: microsoft_defender}"
        }
        ("the rule", "detection") => "; it says what to look for: selections and a condition",
        ("the rule", "response") => "; it says what to do, such as action: StopAndQuarantineFile",
        ("the format", "format") => "; it is the file's name, without .yml",
        ("the format", "alert") => "; it says where the alert's fields stand, such as id: $.id",
        ("the format", "candidates") => "; it says where files and their machines stand",
        ("the test", "name") => "; say in a few words what it shows",
        ("the test", "alert") => "; name a sample, such as samples/defender-malware.json",
        ("the test", "expect") => "; write what has to come out, such as {no_match: true}",
        ("the test", "machine") => "; write the machine's id in Defender, of 40 hex digits",
        ("the test", "sha1") => "; write the file's SHA-1, of 40 hex digits",
        _ => "",
    }
}

/// Whether some other key is so near to this one that it stands for it.
pub(super) fn is_misspelt(entries: &Entries, key: &str) -> bool {
    entries
        .iter()
        .any(|(name, _)| name.value != key && !did_you_mean(&name.value, [key]).is_empty())
}

/// The value of a key.
pub(super) fn find<'n>(entries: &'n Entries, key: &str) -> Option<&'n At<Node>> {
    entries.iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
}
