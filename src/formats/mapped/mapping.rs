//! From what stands in an alert to one field's value. What can't be used is said with its reason,
//! and the field is absent: nothing is guessed, and of several values none is chosen.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::path::{Node, Path};
use crate::domain::candidate::{Field, Value};
use crate::domain::time::Wall;
use crate::formats::{read, spelling};
use crate::limits::{LIST_BYTES, LIST_TEXTS, SHARED_TEXT_BYTES};

/// How a field gets its value.
#[derive(Clone, Debug)]
pub enum Mapping {
    /// This text, whatever the alert says.
    Always(String),
    Read(Read),
}

/// A field that is read from the alert.
#[derive(Clone, Debug)]
pub struct Read {
    /// The first of them at which the alert says something counts.
    pub paths: Vec<Path>,
    pub values: Option<Values>,
    pub hash: Option<HashName>,
    pub part: Option<Part>,
    pub time: Time,
    /// What it is where the alert says nothing.
    pub default: Option<String>,
}

/// What becomes of a value: the texts and the ranges of numbers that have a meaning. Any other is
/// of no use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// In small letters.
    pub texts: Vec<(String, String)>,
    /// From the first number to the second, both included.
    pub ranges: Vec<(f64, f64, String)>,
}

/// Which hash is taken out of a text such as `SHA1=…,MD5=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashName {
    Sha1,
    Sha256,
}

/// Which part of a path that ends with the file's name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Directory,
    Name,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    #[default]
    Text,
    /// Since 1970, as a number or as its text.
    Seconds,
    Milliseconds,
}

/// What kind of value a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A text or a whole number.
    Id,
    Number,
    Time,
    List,
}

/// The kind of a field that a format can give.
pub fn kind(field: Field) -> Kind {
    match field {
        Field::AlertId => Kind::Id,
        Field::AlertCreated | Field::AlertUpdated | Field::FileCreated | Field::MachineLastSeen => {
            Kind::Time
        }
        Field::AlertTechniques | Field::MachineTags | Field::MachineUsers => Kind::List,
        Field::FilePrevalence | Field::FileSize => Kind::Number,
        _ => Kind::Text,
    }
}

/// The texts that say nothing, and those that say "none"; both in small letters. `None` is `null`.
#[derive(Clone, Debug, Default)]
pub struct Words {
    pub absent: Vec<Option<String>>,
    pub empty: Vec<Option<String>>,
}

/// What an alert says of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Nothing,
    /// That there is none.
    Empty,
    Text(String),
    Number(i64),
    List(Vec<String>),
    /// Something of no use. The reason goes after the field's name.
    Unusable(String),
}

/// What was said, and by which path or place.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub said: Said,
    pub from: Option<String>,
}

impl Mapping {
    /// Reads a field from an alert, seen from one match of `each`.
    pub(super) fn hear<'v>(
        &self,
        kind: Kind,
        words: &Words,
        root: &Node<'v>,
        here: &Node<'v>,
        mut seen: impl FnMut(&Node<'v>),
    ) -> Heard {
        let read = match self {
            Mapping::Always(text) => return Heard { said: Said::Text(text.clone()), from: None },
            Mapping::Read(read) => read,
        };
        for path in &read.paths {
            let nodes = path.select(root, here);
            nodes.iter().for_each(&mut seen);
            let said = match kind {
                Kind::List => read.list(words, &nodes),
                _ => read.single(kind, words, &nodes),
            };
            if said != Said::Nothing {
                let place = nodes.first().filter(|_| nodes.len() == 1);
                let place = place.and_then(|node| node.place.clone());
                return Heard { said, from: Some(place.unwrap_or_else(|| path.text().to_owned())) };
            }
        }
        let default = read.default.clone();
        Heard { said: default.map_or(Said::Nothing, Said::Text), from: None }
    }
}

impl Read {
    fn single(&self, kind: Kind, words: &Words, nodes: &[Node<'_>]) -> Said {
        match nodes {
            [] => Said::Nothing,
            [node] => self.scalar(kind, words, node.value),
            more => Said::Unusable(format!(
                "has {} values, and only one can be: choose it with a filter",
                more.len()
            )),
        }
    }

    /// Part of a list is not the list: a rule that says "not one of these" must not act on it.
    fn list(&self, words: &Words, nodes: &[Node<'_>]) -> Said {
        let items: Vec<&Json> = match nodes {
            [] => return Said::Nothing,
            [Node { value: Json::Array(items), .. }] if items.is_empty() => return Said::Empty,
            [Node { value: Json::Array(items), .. }] => items.iter().collect(),
            nodes => nodes.iter().map(|node| node.value).collect(),
        };
        if items.len() > LIST_TEXTS {
            return Said::Unusable(format!("has more than {LIST_TEXTS} values"));
        }
        let mut texts = Vec::new();
        for item in &items {
            match self.scalar(Kind::Text, words, item) {
                Said::Text(text) => texts.push(text),
                said if items.len() == 1 => return said,
                _ => return Said::Unusable("has items in its list that are no texts".to_owned()),
            }
        }
        if texts.iter().map(String::len).sum::<usize>() > LIST_BYTES {
            return Said::Unusable(format!("is longer than {LIST_BYTES} bytes"));
        }
        Said::List(texts)
    }

    fn scalar(&self, kind: Kind, words: &Words, value: &Json) -> Said {
        let said = match value {
            Json::Null => words.of_null(),
            Json::String(text) => words.of_text(text),
            Json::Number(number) => match kind {
                _ if self.values.is_some() => Said::Text(number.to_string()),
                Kind::Id if number.is_i64() || number.is_u64() => Said::Text(number.to_string()),
                Kind::Number if number.is_i64() => Said::Text(number.to_string()),
                Kind::Time if self.time != Time::Text => Said::Text(number.to_string()),
                Kind::Time => {
                    Said::Unusable("is a number; is it time: seconds or milliseconds?".to_owned())
                }
                _ => Said::Unusable("is a number".to_owned()),
            },
            Json::Bool(value) if self.values.is_some() => Said::Text(value.to_string()),
            Json::Bool(_) => Said::Unusable("is a boolean".to_owned()),
            Json::Array(_) if kind == Kind::List => Said::Unusable("is a list in a list".into()),
            Json::Array(_) => Said::Unusable("is a list, and only one value can be".to_owned()),
            Json::Object(_) => Said::Unusable("is an object".to_owned()),
        };
        match said {
            Said::Text(text) => self.made_of(kind, text),
            said => said,
        }
    }

    fn made_of(&self, kind: Kind, text: String) -> Said {
        let text = match self.hash.map(|name| name.within(&text)) {
            Some(Err(why)) => return why,
            Some(Ok(hash)) => hash,
            None => text,
        };
        let text = match self.part.map(|part| part.of(&text)) {
            Some(Err(why)) => return why,
            Some(Ok(part)) => part.to_owned(),
            None => text,
        };
        if let Some(values) = &self.values {
            let known = values.of(&text).map(|value| Said::Text(value.to_owned()));
            return known.unwrap_or_else(|| {
                Said::Unusable(format!("is {:?}, which is none of its values", brief(&text)))
            });
        }
        match kind {
            Kind::Number => match text.parse() {
                Ok(number) => Said::Number(number),
                Err(_) => Said::Unusable("is no whole number".to_owned()),
            },
            Kind::Time => self.time.read(&text),
            Kind::Text | Kind::Id | Kind::List => Said::Text(text),
        }
    }
}

impl Values {
    fn of(&self, text: &str) -> Option<&str> {
        let lower = text.to_lowercase();
        if let Some((_, value)) = self.texts.iter().find(|(from, _)| *from == lower) {
            return Some(value);
        }
        let number: f64 = text.parse().ok()?;
        let within = |(from, to, _): &&(f64, f64, String)| *from <= number && number <= *to;
        self.ranges.iter().find(within).map(|(.., value)| value.as_str())
    }

    /// What can come out.
    pub fn results(&self) -> impl Iterator<Item = &str> {
        let texts = self.texts.iter().map(|(_, value)| value.as_str());
        texts.chain(self.ranges.iter().map(|(.., value)| value.as_str()))
    }
}

impl HashName {
    /// The hash of this name in `NAME=VALUE` or `NAME:VALUE` pairs.
    fn within(self, text: &str) -> Result<String, Said> {
        let (own, shown) = match self {
            HashName::Sha1 => ("sha1", "SHA1"),
            HashName::Sha256 => ("sha256", "SHA256"),
        };
        let parts = text.split([',', ';', '|', ' ', '\t', '\n', '\r']);
        let named = parts.filter_map(|part| part.split_once(['=', ':'])).filter(|(name, _)| {
            let name: String = name.chars().filter(|c| !matches!(c, '-' | '_')).collect();
            name.eq_ignore_ascii_case(own)
        });
        match &named.map(|(_, value)| value).collect::<Vec<_>>()[..] {
            [] => Err(Said::Unusable(format!("names no {shown} among its hashes"))),
            [only] => Ok((*only).to_owned()),
            _ => Err(Said::Unusable(format!("names more than one {shown}"))),
        }
    }
}

impl Part {
    fn of(self, path: &str) -> Result<&str, Said> {
        match (self, path.rfind(['\\', '/'])) {
            (Part::Name, at) => Ok(&path[at.map_or(0, |at| at + 1)..]),
            // The root keeps its own separator.
            (Part::Directory, Some(at)) if at == 0 || path[..at].ends_with(':') => Ok(&path[..=at]),
            (Part::Directory, Some(at)) => Ok(&path[..at]),
            (Part::Directory, None) => {
                Err(Said::Unusable(format!("is {:?}, which has no directory", brief(path))))
            }
        }
    }
}

impl Time {
    fn read(self, text: &str) -> Said {
        let parsed = match self {
            Time::Text => Wall::parse(text),
            Time::Seconds => since_1970(text, 1e6),
            Time::Milliseconds => since_1970(text, 1e3),
        };
        match parsed {
            // A time of the epoch's own kind would say nothing to whoever reads the field.
            Some(at) if self != Time::Text => Said::Text(at.to_string()),
            Some(_) => Said::Text(text.to_owned()),
            None => Said::Unusable(format!("is {:?}, which is no time", brief(text))),
        }
    }
}

/// Only from 2001 to 2286: what lies outside is in another unit.
fn since_1970(text: &str, micros: f64) -> Option<Wall> {
    let number: f64 = text.parse().ok()?;
    let seconds = number * micros / 1e6;
    ((1e9..1e10).contains(&seconds)).then_some(Wall((number * micros) as i64))
}

impl Words {
    fn of_null(&self) -> Said {
        if self.empty.contains(&None) { Said::Empty } else { Said::Nothing }
    }

    /// A blank text and the word "null" say nothing, unless a list says otherwise.
    fn of_text(&self, text: &str) -> Said {
        let text = text.trim();
        let lower = Some(text.to_lowercase());
        match lower.as_deref() {
            _ if self.empty.contains(&lower) => Said::Empty,
            _ if self.absent.contains(&lower) => Said::Nothing,
            Some("" | "null") => self.of_null(),
            _ => Said::Text(text.to_owned()),
        }
    }
}

impl Said {
    /// The field's value in its one spelling. What is no value of the field is of no use.
    pub(super) fn value(self, field: Field) -> Result<Value<'static>, String> {
        match self {
            Said::Nothing => Ok(Value::Absent),
            Said::Empty => Ok(Value::Empty),
            Said::Number(number) => Ok(Value::Number(number)),
            Said::List(texts) => Ok(Value::List(texts.into_iter().map(Cow::Owned).collect())),
            Said::Text(text) if !read::fits(field, &text) => {
                Err(format!("is longer than {SHARED_TEXT_BYTES} bytes"))
            }
            Said::Text(text) => {
                let shown = brief(&text);
                let spelled = match field {
                    Field::AlertSeverity => spelling::known_one(field, Cow::Owned(text)),
                    _ => spelling::one(field, Cow::Owned(text)),
                };
                let none = || format!("is {shown:?}, which is no value of it");
                spelled.map(Value::Text).ok_or_else(none)
            }
            Said::Unusable(why) => Err(why),
        }
    }
}

/// The start of a text of the alert, for a reason.
fn brief(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
