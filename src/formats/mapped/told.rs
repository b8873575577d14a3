//! What a format reads of an alert, told to whoever writes it: each field, its value and where it
//! came from, and what nothing reads. Costs nothing where nobody asks.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value as Json;

use super::mapping::{Heard, Kind, Mapping, Said, Words};
use super::path::{self, Node};
use crate::domain::alert::Unreadable;
use crate::domain::candidate::{Candidate, Field, Value};

/// What became of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub name: &'static str,
    /// As rules see it; absent where nothing of use was said.
    pub value: Value<'static>,
    /// Where it stood, or the path by which it was looked for. `None`: the format itself says it,
    /// or no path found anything.
    pub from: Option<String>,
    /// Why what stood there is of no use.
    pub why: Option<String>,
}

/// All of one alert.
pub struct Explained {
    pub id: Result<Cow<'static, str>, Unreadable>,
    pub alert: Vec<Told>,
    /// Each pair with what was read for it.
    pub candidates: Vec<(Candidate<'static>, Vec<Told>)>,
    /// Where values stand that no path of the format leads to.
    pub unread: Vec<String>,
}

/// Collects that, if someone asks.
#[derive(Default)]
pub(super) struct Tale {
    asked: bool,
    pub told: Vec<Told>,
    seen: HashSet<String>,
    last: Option<Told>,
}

impl Tale {
    pub fn begin() -> Self {
        Self { asked: true, ..Self::default() }
    }

    /// The alert's root.
    pub fn node<'v>(&self, value: &'v Json) -> Node<'v> {
        Node { value, place: self.asked.then(|| "$".to_owned()) }
    }

    /// As [`Mapping::hear`], and keeps what came out.
    pub fn hear<'v>(
        &mut self,
        name: &'static str,
        mapping: &Mapping,
        kind: Kind,
        words: &Words,
        root: &Node<'v>,
        here: &Node<'v>,
    ) -> Heard {
        let mut seen = Vec::new();
        let heard = mapping.hear(kind, words, root, here, |node| {
            seen.extend(node.place.clone());
        });
        if self.asked {
            self.seen.extend(seen);
            let (value, why) = match &heard.said {
                Said::Unusable(why) => (Value::Absent, Some(why.clone())),
                Said::Text(text) => (Value::Text(Cow::Owned(text.clone())), None),
                _ => (Value::Absent, None),
            };
            let told = Told { name, value, from: heard.from.clone(), why };
            match Field::parse(name) {
                Some(field) if field != Field::AlertId => self.last = Some(told),
                _ => self.told.push(told),
            }
        }
        heard
    }

    /// What was heard last is of no use. Of the machine and the hash the pair itself says so.
    pub fn not_used(&mut self, field: Field, why: String) {
        if let Some(last) = &mut self.last
            && ![Field::MachineId, Field::FileSha1].contains(&field)
        {
            last.why = Some(why);
        }
    }

    /// What was heard last, with the value that its field gets.
    pub fn last(&mut self, value: &Value<'static>) -> Option<Told> {
        let told = self.last.take()?;
        let raw = *value == Value::Absent && told.why.is_none();
        Some(Told { value: if raw { told.value } else { value.clone() }, ..told })
    }

    /// The places of the values that no path led to, nor to what they are part of.
    pub fn unread(&self, alert: &Json) -> Vec<String> {
        let mut unread = Vec::new();
        self.walk(alert, "$".to_owned(), &mut unread);
        unread
    }

    fn walk(&self, value: &Json, place: String, unread: &mut Vec<String>) {
        if self.seen.contains(&place) {
            return;
        }
        match value {
            Json::Object(entries) => entries.iter().for_each(|(name, value)| {
                let mut place = place.clone();
                path::push_name(&mut place, name);
                self.walk(value, place, unread);
            }),
            Json::Array(items) => items.iter().enumerate().for_each(|(index, value)| {
                self.walk(value, format!("{place}[{index}]"), unread);
            }),
            _ => unread.push(place),
        }
    }
}
