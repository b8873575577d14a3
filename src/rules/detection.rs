//! The `detection` section: selections and the condition, checked against what a candidate can have
//! before the engine sees them, since most of its own errors carry no place.

use std::collections::HashMap;

use rsigma_eval::compiler::compile_detection;
use rsigma_parser::parse_condition;
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Detections, Quantifier};

use super::leaf;
use super::notes::{Notes, find};
use super::suggest::did_you_mean;
use super::yaml::{At, Node};
use crate::limits;

/// Reads the section. `None` comes with an error.
pub(super) fn read(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Detections> {
    let entries = notes.entries(node, "detection")?;
    let mut named = HashMap::new();
    let mut names = Vec::new();
    for (key, value) in entries {
        match key.value.as_str() {
            "condition" => {}
            "timeframe" => {
                notes.error(&key.place, "timeframe belongs to correlations, not in this version");
            }
            _ => {
                names.push(key);
                if let Some(selection) = read_selection(notes, value) {
                    named.insert(key.value.clone(), selection);
                }
            }
        }
    }
    notes.refuse_left();
    let Some(condition) = find(entries, "condition") else {
        notes.error(&node.place, "detection has no condition");
        return None;
    };
    let text = notes.text(condition, "condition")?;
    let expression = read_condition(notes, condition, text)?;
    let mut used = Vec::new();
    check_references(notes, condition, &expression, &names, &mut used);
    for name in &names {
        if !used.contains(&name.value.as_str()) {
            let message = format!("selection {} is not used in the condition", name.value);
            notes.error(&name.place, message);
        }
    }
    Some(Detections {
        named,
        conditions: vec![expression],
        condition_strings: vec![text.to_owned()],
        timeframe: None,
    })
}

/// A mapping, all of whose leaves have to match, or a list of them, one of which has to.
fn read_selection(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Detection> {
    match &node.value {
        Node::List(items) => {
            if items.is_empty() {
                notes.error(&node.place, "the selection is empty");
                return None;
            }
            let maps: Vec<_> = items.iter().map(|item| read_map(notes, item)).collect();
            maps.into_iter().collect::<Option<Vec<_>>>().map(Detection::AnyOf)
        }
        _ => read_map(notes, node),
    }
}

fn read_map(notes: &mut Notes<'_>, node: &At<Node>) -> Option<Detection> {
    if !matches!(node.value, Node::Map(_)) {
        let why = "keywords search every field, which no rule here may; name a field";
        notes.error(&node.place, why);
        return None;
    }
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

fn read_condition(notes: &mut Notes<'_>, node: &At<Node>, text: &str) -> Option<ConditionExpr> {
    // Before the engine's parser, which recurses, sees it.
    if text.len() > limits::CONDITION_BYTES {
        let most = limits::CONDITION_BYTES;
        notes.error(&node.place, format!("the condition is longer than {most} bytes"));
        return None;
    }
    let words = text.split(|c: char| !(c.is_alphanumeric() || "_-*.".contains(c)));
    let nots = words.filter(|word| word.eq_ignore_ascii_case("not")).count();
    if nots + text.matches('(').count() > limits::CONDITION_NESTS {
        let most = limits::CONDITION_NESTS;
        let why = format!("the condition has more than {most} nots and parentheses");
        notes.error(&node.place, format!("{why}; put more into its selections"));
        return None;
    }
    match parse_condition(text) {
        Ok(expression) => Some(expression),
        Err(why) => {
            let offset = why.location().map_or(0, |at| {
                let column = usize::try_from(at.col).unwrap_or(1).saturating_sub(1);
                let before = text.lines().take(at.line.saturating_sub(1) as usize);
                let line: usize = before.map(|l| l.len() + 1).sum();
                line + column
            });
            let place = notes.inside(node, text, offset);
            let knows = "and, or, not, parentheses, 1 of NAME*, all of NAME*";
            notes.error(&place, format!("the condition can't be read here; it knows {knows}"));
            None
        }
    }
}

/// Checks that every name in the condition is a selection, and notes which are used.
fn check_references<'n>(
    notes: &mut Notes<'_>,
    node: &At<Node>,
    expression: &ConditionExpr,
    names: &[&'n At<String>],
    used: &mut Vec<&'n str>,
) {
    let all = || names.iter().map(|name| name.value.as_str());
    match expression {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => {
            for part in parts {
                check_references(notes, node, part, names, used);
            }
        }
        ConditionExpr::Not(part) => check_references(notes, node, part, names, used),
        ConditionExpr::Identifier(name) => match all().find(|n| n == name) {
            Some(found) => used.push(found),
            None => {
                let meant = did_you_mean(name, all());
                let place = place_of(notes, node, name);
                notes.error(&place, format!("there is no selection {name}{meant}"));
            }
        },
        ConditionExpr::Selector { quantifier, pattern } => {
            let found: Vec<&str> = all().filter(|n| pattern.matches_detection_name(n)).collect();
            let most = found.len() as u64;
            match quantifier {
                _ if found.is_empty() => {
                    let place = place_of(notes, node, &pattern.to_string());
                    notes.error(&place, format!("no selection is named {pattern}"));
                }
                Quantifier::Count(0) => {
                    notes.error(&node.place, format!("0 of {pattern} is always true"));
                }
                Quantifier::Count(n) if *n > most => {
                    let why = format!("{n} of {pattern} can't be: there are {most}");
                    notes.error(&node.place, why);
                }
                _ => {}
            }
            used.extend(found);
        }
    }
}

fn place_of(notes: &Notes<'_>, node: &At<Node>, word: &str) -> std::ops::Range<usize> {
    let Node::Text(text) = &node.value else { return node.place.clone() };
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let whole = |at: &usize| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    };
    let at = text.match_indices(word).map(|(at, _)| at).find(whole);
    at.map_or_else(|| node.place.clone(), |at| notes.inside(node, text, at))
}
