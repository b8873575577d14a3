//! The `detection` section: selections and the condition, checked against what a candidate can have
//! before the engine sees them, since most of its own errors carry no place.

use std::collections::HashMap;

use rsigma_eval::compiler::compile_detection;
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Detections};

use super::notes::{Notes, find};
use super::suggest::{did_you_mean, quoted};
use super::yaml::{At, Node};
use super::{condition, constant, leaf};

/// The names that the section gives to selections, whatever is in them; `None` where there is no
/// such section, or a name is none.
pub(super) fn names(node: Option<&At<Node>>) -> Option<Vec<&str>> {
    let Node::Map(entries) = &node?.value else { return None };
    let names = entries.iter().map(|(key, _)| key.value.as_str());
    let names: Vec<&str> = names.filter(|name| !OTHERS.contains(name)).collect();
    names.iter().all(|name| condition::can_be_named(name)).then_some(names)
}

/// The keys that are no selections.
const OTHERS: [&str; 2] = ["condition", "timeframe"];

/// Reads the section. `None` comes with an error.
pub(super) fn read(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Detections> {
    let entries = notes.entries(node, "detection")?;
    let condition = find(entries, "condition");
    let mut named = HashMap::new();
    let mut names = Vec::new();
    for (key, value) in entries {
        let meant = did_you_mean(&key.value, ["condition"]);
        if key.value == "timeframe" {
            let why = "a rule looks at one alert; what happens within a time is a correlation, in \
                       a file of its own, with timespan (docs/correlations.md)";
            notes.error(&key.place, why);
        } else if condition.is_none() && !meant.is_empty() && matches!(value.value, Node::Text(_)) {
            notes.error(&key.place, format!("detection has no key {}{meant}", quoted(&key.value)));
            return None;
        } else if key.value != "condition" {
            names.push(key);
            if !condition::can_be_named(&key.value) {
                let why = format!("a selection can't be called {}", quoted(&key.value));
                let how = match condition::is_reserved(&key.value) {
                    true => "in a condition the word means something else; rename it",
                    false => "use letters, digits, _ and -, as in malware_1",
                };
                notes.error(&key.place, format!("{why}; {how}"));
                continue;
            }
            if let Some(selection) = read_selection(notes, value) {
                named.insert(key.value.clone(), selection);
            }
        }
    }
    notes.refuse_left();
    let Some(node_of_condition) = condition else {
        let how = format!("write condition: {}", condition::example(&names));
        notes.error(&node.place, format!("detection has no condition; {how}"));
        return None;
    };
    if names.iter().any(|name| !condition::can_be_named(&name.value)) {
        return None;
    }
    let expression = condition::read(notes, node_of_condition, &names)?;
    if !check_names(notes, node_of_condition, &expression, &names) {
        return None;
    }
    // One that names a list which can't be read has no error here.
    if named.len() < names.len() {
        return None;
    }
    refuse_constant(notes, node_of_condition, &expression, &named)?;
    Some(Detections {
        named,
        condition_strings: vec![match &node_of_condition.value {
            Node::Text(text) => text.clone(),
            _ => expression.to_string(),
        }],
        conditions: vec![expression],
        timeframe: None,
    })
}

/// Checks the condition and the selections against each other, and says whether they fit. Where the
/// condition names none that there is, the one it does not name is most likely that one.
fn check_names(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    expression: &ConditionExpr,
    names: &[&At<String>],
) -> bool {
    let mut used = Vec::new();
    let before = notes.problems.len();
    condition::check_references(notes, node, expression, names, &mut used);
    if notes.problems.len() > before {
        return false;
    }
    for name in names.iter().filter(|name| !used.contains(&name.value.as_str())) {
        let why = format!("selection {} is not used in the condition", name.value);
        notes.error(&name.place, format!("{why}; name it there, or remove it"));
    }
    notes.problems.len() == before
}

/// Refuses a condition that every candidate fulfils, or none.
fn refuse_constant(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    expression: &ConditionExpr,
    named: &HashMap<String, Detection>,
) -> Option<()> {
    let why = match constant::value(expression, named) {
        None => return Some(()),
        Some(true) if notes.denies => {
            "the condition is always true, so nothing would ever act; pause does that"
        }
        Some(true) => {
            "the condition is always true, so every file of every alert would be quarantined; \
             join selections with and, so that it says which files are meant"
        }
        Some(false) => {
            "the condition can never be true, since it asks for something and for its contrary; \
             remove one of the two"
        }
    };
    notes.error(&node.place, why);
    None
}

/// A mapping, all of whose leaves have to match, or a list of them, one of which has to.
fn read_selection(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Detection> {
    match &node.value {
        Node::List(items) => {
            if items.is_empty() {
                let why = "the selection is empty; write what it looks for, or remove it";
                notes.error(&node.place, why);
                return None;
            }
            // Told once, however many there are.
            if let Some(word) = items.iter().find(|item| !matches!(item.value, Node::Map(_))) {
                refuse_keyword(notes, word);
                return None;
            }
            let maps: Vec<_> = items.iter().map(|item| read_map(notes, item)).collect();
            maps.into_iter().collect::<Option<Vec<_>>>().map(Detection::AnyOf)
        }
        Node::Map(_) | Node::Null => read_map(notes, node),
        _ => {
            refuse_keyword(notes, node);
            None
        }
    }
}

fn refuse_keyword(notes: &mut Notes<'_>, node: &At<Node>) {
    let why = "keywords search every field, which no rule here may; name a field";
    let how = match &node.value {
        Node::Text(text) => format!(", such as alert.title|contains: {}", quoted(text)),
        _ => String::new(),
    };
    notes.error(&node.place, format!("{why}{how}"));
}

fn read_map(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Detection> {
    let entries = notes.entries(node, "the selection")?;
    let leaves: Vec<Option<DetectionItem>> = entries
        .iter()
        .map(|(key, value)| {
            let item = leaf::read(notes, key, value)?;
            // Alone, so that the engine's error, which has no place, gets one.
            let alone = Detection::AllOf(vec![item.clone()]);
            match compile_detection(&alone) {
                Ok(_) => Some(item),
                Err(why) => {
                    notes.error(&key.place, why.to_string());
                    None
                }
            }
        })
        .collect();
    leaves.into_iter().collect::<Option<Vec<_>>>().map(Detection::AllOf)
}
