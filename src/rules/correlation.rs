//! The `correlation` section: which rules' matches count together, and how many are enough.

use std::ops::Range;
use std::time::Duration;

use rsigma_parser::{CorrelationType, Timespan};

use super::case::read_field;
use super::notes::{Entries, Notes, find, is_misspelt};
use super::problem::Source;
use super::suggest::quoted;
use super::yaml::{self, At, Node};
use crate::domain::candidate::Field;
use crate::domain::correlation::Kind;
use crate::domain::time::written_span;
use crate::limits;

/// The section, before its base rules are found.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub kind: Kind,
    /// As the file names them, at least one, each once.
    pub rules: Vec<At<String>>,
    pub group_by: Vec<Field>,
    pub timespan: Duration,
    /// `None` where all base rules have to be there.
    pub at_least: Option<usize>,
}

const KEYS: [&str; 5] = ["type", "rules", "group-by", "timespan", "condition"];

const TYPES: [&str; 3] = ["event_count", "value_count", "temporal"];

/// What Sigma's correlations have besides, and why it is not here.
const NOT_HERE: [(&str, &str); 3] = [
    ("aliases", "a field has one name here, whatever the rule; remove it"),
    ("generate", "a base rule acts by itself where it has a response; remove it"),
    ("gap", "gap is not in this version; remove it, or write a shorter timespan"),
];

impl Section {
    /// The type, as rules write it.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Events => TYPES[0],
            Kind::Values(_) => TYPES[1],
            Kind::Temporal => TYPES[2],
        }
    }
}

/// Whether one of these files is a correlation, however wrong it is: then a rule without a response
/// may be one that it counts.
pub(super) fn any(sources: &[Source]) -> bool {
    sources.iter().filter(|source| source.text.contains("correlation")).any(|source| {
        let root = yaml::parse(source).map(|root| root.value);
        matches!(root, Ok(Node::Map(entries)) if find(&entries, "correlation").is_some())
    })
}

/// Reads the section. `None` comes with an error.
pub(super) fn read(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Section> {
    let entries = notes.entries(node, "correlation")?;
    for (key, _) in entries {
        let name = key.value.as_str();
        if let Some((_, why)) = NOT_HERE.iter().find(|(other, _)| *other == name) {
            notes.error(&key.place, *why);
        } else if name == "timeframe" {
            notes.error(&key.place, "correlation has no timeframe; write timespan");
        } else if !KEYS.contains(&name) {
            notes.unknown_key(key, "correlation", &KEYS);
        }
    }
    // All are read before any gives up, so that one run tells all.
    let sort = required(notes, node, entries, "type").and_then(|node| read_type(notes, node));
    let rules = required(notes, node, entries, "rules").and_then(|node| read_rules(notes, node));
    let group_by =
        required(notes, node, entries, "group-by").and_then(|node| read_group_by(notes, node));
    let timespan =
        required(notes, node, entries, "timespan").and_then(|node| read_timespan(notes, node));
    let condition = find(entries, "condition");
    let (kind, at_least) = read_condition(notes, node, entries, sort?, condition)?;
    let group_by = group_by?;
    if let (Kind::Values(field), Some(condition)) = (kind, condition)
        && group_by.contains(&field)
    {
        let why = format!("all events of a group have the same {}, so there is", field.name());
        let how = "never a second one; count another field, or leave it out of group-by";
        notes.error(&condition.place, format!("{why} {how}"));
        return None;
    }
    let rules = rules?;
    if let (Kind::Temporal, [only]) = (kind, &rules[..]) {
        let why = "type temporal needs at least two rules, which have to match together";
        notes.error(&only.place, format!("{why}; name another, or act by that rule alone"));
        return None;
    }
    Some(Section { kind, rules, group_by, timespan: timespan?, at_least })
}

fn required<'n>(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    entries: &'n Entries,
    key: &str,
) -> Option<&'n At<Node>> {
    let found = find(entries, key);
    let as_sigma_has_it = key == "timespan" && find(entries, "timeframe").is_some();
    if found.is_none() && !is_misspelt(entries, key) && !as_sigma_has_it {
        let how = match key {
            "type" => "write event_count, value_count or temporal",
            "rules" => "name the rules whose matches count, by name or id",
            "group-by" => "write what events must have in common, such as [file.sha1]",
            _ => "write how long a window is, such as 1h",
        };
        notes.error(&node.place, format!("correlation has no {key}; {how}"));
    }
    found
}

fn read_type(notes: &mut Notes<'_>, node: &At<Node>) -> Option<CorrelationType> {
    if let Node::Text(text) = &node.value
        && let Ok(sort) = text.parse::<CorrelationType>()
    {
        if TYPES.contains(&sort.as_str()) {
            return Some(sort);
        }
        let why = format!("type {text} is not in this version; there are {}", TYPES.join(", "));
        notes.error(&node.place, why);
        return None;
    }
    notes.one_of(node, "type", &TYPES);
    None
}

fn read_rules(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Vec<At<String>>> {
    let items = notes.items(node, "rules")?;
    let mut rules: Vec<At<String>> = Vec::with_capacity(items.len());
    let before = notes.problems.len();
    for item in items {
        let Some(text) = notes.text(item, "a rule's name") else { continue };
        if rules.iter().any(|known| known.value == text) {
            notes.error(&item.place, format!("{} stands here twice; remove one", quoted(text)));
        }
        rules.push(At { value: text.to_owned(), place: item.place.clone() });
    }
    let most = limits::CORRELATION_RULES;
    if items.is_empty() {
        notes.error(&node.place, "rules is empty; name the rules whose matches count");
    } else if items.len() > most {
        notes.error(&node.place, format!("rules names more than {most}; write one rule for some"));
    }
    (notes.problems.len() == before).then_some(rules)
}

fn read_group_by(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Vec<Field>> {
    let items = notes.items(node, "group-by")?;
    let before = notes.problems.len();
    let mut fields = Vec::with_capacity(items.len());
    for item in items {
        let Some(name) = notes.text(item, "a field's name") else { continue };
        let Some(field) = read_given(notes, name, &item.place) else { continue };
        if fields.contains(&field) {
            notes.error(&item.place, format!("{name} stands here twice; remove one"));
        }
        fields.push(field);
    }
    let most = limits::CORRELATION_FIELDS;
    if items.is_empty() {
        let why = "group-by is empty, so files that have nothing in common would count together";
        notes.error(&node.place, format!("{why}; name a field, such as file.sha1"));
    } else if items.len() > most {
        notes.error(&node.place, format!("group-by has more than {most} fields; remove some"));
    }
    (notes.problems.len() == before).then_some(fields)
}

/// A field that some format of this version gives.
fn read_given(notes: &mut Notes<'_>, name: &str, place: &Range<usize>) -> Option<Field> {
    let field = read_field(notes, name, place)?;
    if !notes.formats.given(field) {
        let why = format!("no format of this version gives {name}, so nothing would ever count");
        notes.error(place, format!("{why}; name another"));
        return None;
    }
    Some(field)
}

fn read_timespan(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Duration> {
    let most = limits::CORRELATION_TIMESPAN;
    let how = format!("write 1s to {}, such as 1h", written_span(most));
    let text = match &node.value {
        Node::Integer(number) => {
            let why = format!("timespan is {number}, a number without its unit");
            notes.error(&node.place, format!("{why}; {how}"));
            return None;
        }
        _ => notes.text(node, "timespan")?,
    };
    let is_plain = text.starts_with(|c: char| c.is_ascii_digit());
    let span = Timespan::parse(text).ok().filter(|_| is_plain);
    match span.map(|span| Duration::from_secs(span.seconds)) {
        None => {
            notes.error(&node.place, format!("timespan {} is no time; {how}", quoted(text)));
            None
        }
        Some(span) if span.is_zero() || span > most => {
            notes.error(&node.place, format!("timespan is {text}; {how}"));
            None
        }
        span => span,
    }
}

fn read_condition(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    section: &Entries,
    sort: CorrelationType,
    condition: Option<&At<Node>>,
) -> Option<(Kind, Option<usize>)> {
    let (name, of_values) = (sort.as_str(), sort == CorrelationType::ValueCount);
    if sort == CorrelationType::Temporal {
        if let Some(condition) = condition {
            let why = "type temporal has no condition: all of its rules have to match";
            notes.error(&condition.place, format!("{why}; remove it"));
            return None;
        }
        return Some((Kind::Temporal, None));
    }
    let example = if of_values { "{field: machine.id, gte: 3}" } else { "{gte: 3}" };
    let Some(condition) = condition else {
        if !is_misspelt(section, "condition") {
            let why = format!("correlation has no condition; write how many {name} asks for");
            notes.error(&node.place, format!("{why}, as {example}"));
        }
        return None;
    };
    let Node::Map(entries) = &condition.value else {
        let why = "condition is a mapping here: how many are enough, as";
        notes.error(&condition.place, format!("{why} {example}"));
        return None;
    };
    let before = notes.problems.len();
    let (mut at_least, mut field) = (None, None);
    for (key, value) in entries {
        match key.value.as_str() {
            word @ ("gte" | "gt") => {
                if at_least.is_some() {
                    notes.error(&key.place, "condition says how many twice; write gte alone");
                }
                at_least = read_number(notes, word, value);
            }
            word @ ("lt" | "lte" | "eq" | "neq") => {
                let why = format!("{word} would make a later event undo what was acted on");
                notes.error(&key.place, format!("{why}; write gte, how many are enough"));
            }
            "field" if of_values => {
                let name = notes.text(value, "field");
                field = name.and_then(|name| read_given(notes, name, &value.place));
            }
            "field" => {
                let why = "event_count counts events, not values of a field; remove it";
                notes.error(&key.place, format!("{why}, or write type: value_count"));
            }
            _ if of_values => notes.unknown_key(key, "condition", &["field", "gte", "gt"]),
            _ => notes.unknown_key(key, "condition", &["gte", "gt"]),
        }
    }
    if notes.problems.len() > before {
        return None;
    }
    if of_values && field.is_none() {
        let why = "condition has no field whose different values are counted";
        notes.error(&condition.place, format!("{why}; write it, as {example}"));
        return None;
    }
    if at_least.is_none() {
        let why = format!("condition does not say how many are enough; write it, as {example}");
        notes.error(&condition.place, why);
    }
    Some((field.map_or(Kind::Events, Kind::Values), Some(at_least?)))
}

fn read_number(notes: &mut Notes<'_>, word: &str, node: &At<Node>) -> Option<usize> {
    let more = i64::from(word == "gt");
    let most = limits::CORRELATION_GROUP_EVENTS as i64;
    match &node.value {
        Node::Integer(number) if (1..=most).contains(&(number.saturating_add(more))) => {
            usize::try_from(number + more).ok()
        }
        _ => {
            let (least, most) = (1 - more, most - more);
            let why = format!("{word} is how many are enough: a whole number from {least}");
            notes.error(&node.place, format!("{why} to {most}"));
            None
        }
    }
}
