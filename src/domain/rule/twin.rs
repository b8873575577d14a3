//! A rule as it would match if Defender's answers fitted: what the engine is asked in place of a
//! rule with `unknown: enrich`, whose own leaves on fields that are not there match nothing.
//!
//! A prefilter: it matches whenever the rule does, and whenever the rule could once Defender has
//! told. The rule's own trace says the rest.

use std::collections::HashMap;

use rsigma_parser::ast::{FieldSpec, Modifier};
use rsigma_parser::value::SigmaValue;
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, SigmaRule};

use crate::domain::candidate::{Field, Subject};

/// The name of the selection that every candidate matches; no rule file can have it.
const ALWAYS: &str = "_ always";

/// `None` where the rule asks for nothing that Defender can tell.
pub(super) fn of(rule: &SigmaRule) -> Option<SigmaRule> {
    let named = &rule.detection.named;
    if !named.values().any(can_be_told) {
        return None;
    }
    let mut twin = rule.clone();
    for condition in &mut twin.detection.conditions {
        open(condition, named);
    }
    twin.detection.named.values_mut().for_each(open_leaves);
    twin.detection.named.insert(ALWAYS.to_owned(), always());
    Some(twin)
}

/// Whether the rule asks for what Defender can tell of this.
pub(super) fn names(rule: &SigmaRule, subject: Subject) -> bool {
    rule.detection
        .named
        .values()
        .any(|detection| has(detection, &|item| told_of(item) == Some(subject)))
}

/// Takes out what stands under a `not` and Defender could tell: it would be false then.
fn open(condition: &mut ConditionExpr, named: &HashMap<String, Detection>) {
    match condition {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => {
            parts.iter_mut().for_each(|part| open(part, named));
        }
        ConditionExpr::Not(part) if has_told(part, named) => {
            *condition = ConditionExpr::Identifier(ALWAYS.to_owned());
        }
        ConditionExpr::Not(_) | ConditionExpr::Identifier(_) | ConditionExpr::Selector { .. } => {}
    }
}

/// Whether a part of the condition names a selection that Defender could tell of.
fn has_told(part: &ConditionExpr, named: &HashMap<String, Detection>) -> bool {
    match part {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => {
            parts.iter().any(|part| has_told(part, named))
        }
        ConditionExpr::Not(part) => has_told(part, named),
        ConditionExpr::Identifier(name) => named.get(name).is_some_and(can_be_told),
        // Which ones a pattern means is the engine's to say: all of them may be meant.
        ConditionExpr::Selector { .. } => named.values().any(can_be_told),
    }
}

fn can_be_told(detection: &Detection) -> bool {
    has(detection, &is_told)
}

fn has(detection: &Detection, what: &impl Fn(&DetectionItem) -> bool) -> bool {
    match detection {
        Detection::AllOf(items) => items.iter().any(what),
        Detection::AnyOf(parts) => parts.iter().any(|part| has(part, what)),
        _ => false,
    }
}

fn open_leaves(detection: &mut Detection) {
    match detection {
        Detection::AllOf(items) => {
            items.retain(|item| !is_told(item));
            if items.is_empty() {
                *detection = always();
            }
        }
        Detection::AnyOf(parts) => parts.iter_mut().for_each(open_leaves),
        _ => {}
    }
}

fn is_told(item: &DetectionItem) -> bool {
    told_of(item).is_some()
}

/// `|exists` asks what is there now, and is never unknown.
fn told_of(item: &DetectionItem) -> Option<Subject> {
    let exists = item.field.modifiers.contains(&Modifier::Exists);
    let field = item.field.name.as_deref().and_then(Field::parse);
    field.filter(|_| !exists)?.told_of()
}

/// What every candidate matches: a field is there or it is not.
pub(super) fn always() -> Detection {
    let name = Some(Field::AlertId.name().to_owned());
    let exists = |is| DetectionItem {
        field: FieldSpec::new(name.clone(), vec![Modifier::Exists]),
        values: vec![SigmaValue::Bool(is)],
    };
    Detection::AnyOf([true, false].map(|is| Detection::AllOf(vec![exists(is)])).to_vec())
}
