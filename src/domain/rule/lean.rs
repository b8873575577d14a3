//! A rule without what nearly every candidate has: what the engine is asked in place of a rule that
//! names something telling, since it finds rules by one of their conditions, and takes
//! `file.entity: File` before a part of a path.
//!
//! A prefilter: it matches whenever the rule does. The rule's own trace says the rest.

use std::collections::HashMap;

use rsigma_parser::ast::Modifier;
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, SigmaRule};

use super::twin::always;
use crate::domain::candidate::Field;

/// `None` where nothing is gained.
pub(super) fn of(rule: &SigmaRule) -> Option<SigmaRule> {
    let named = &rule.detection.named;
    let tells = rule.detection.conditions.iter().all(|part| tells(part, named));
    if !tells || !named.values().any(|detection| has(detection, &is_common)) {
        return None;
    }
    let mut lean = rule.clone();
    let copies = named.iter().map(|(name, detection)| (copy_of(name), thinned(detection)));
    lean.detection.named.extend(copies);
    lean.detection.conditions.iter_mut().for_each(thin);
    Some(lean)
}

/// The name of a selection without what is common; no rule file can have it.
fn copy_of(name: &str) -> String {
    format!("_ {name}")
}

/// Whether it can match only where something telling does. A pattern of names may mean the copies
/// too, so a rule with one is left alone.
fn tells(part: &ConditionExpr, named: &HashMap<String, Detection>) -> bool {
    fn is_plain(part: &ConditionExpr) -> bool {
        match part {
            ConditionExpr::And(parts) | ConditionExpr::Or(parts) => parts.iter().all(is_plain),
            ConditionExpr::Not(part) => is_plain(part),
            ConditionExpr::Identifier(_) => true,
            ConditionExpr::Selector { .. } => false,
        }
    }
    fn needs(part: &ConditionExpr, named: &HashMap<String, Detection>) -> bool {
        match part {
            ConditionExpr::And(parts) => parts.iter().any(|part| needs(part, named)),
            ConditionExpr::Or(parts) => parts.iter().all(|part| needs(part, named)),
            ConditionExpr::Identifier(name) => named.get(name).is_some_and(selection_tells),
            ConditionExpr::Not(_) | ConditionExpr::Selector { .. } => false,
        }
    }
    is_plain(part) && needs(part, named)
}

fn selection_tells(detection: &Detection) -> bool {
    match detection {
        Detection::AllOf(items) => items.iter().any(is_telling),
        Detection::AnyOf(parts) => !parts.is_empty() && parts.iter().all(selection_tells),
        _ => false,
    }
}

/// Takes the copies, but under a `not`, where less would be more.
fn thin(part: &mut ConditionExpr) {
    match part {
        ConditionExpr::And(parts) | ConditionExpr::Or(parts) => parts.iter_mut().for_each(thin),
        ConditionExpr::Identifier(name) => *name = copy_of(name),
        ConditionExpr::Not(_) | ConditionExpr::Selector { .. } => {}
    }
}

fn thinned(detection: &Detection) -> Detection {
    match detection {
        Detection::AllOf(items) => {
            let rest: Vec<_> = items.iter().filter(|item| !is_common(item)).cloned().collect();
            if rest.is_empty() { always() } else { Detection::AllOf(rest) }
        }
        Detection::AnyOf(parts) => Detection::AnyOf(parts.iter().map(thinned).collect()),
        other => other.clone(),
    }
}

fn has(detection: &Detection, what: &impl Fn(&DetectionItem) -> bool) -> bool {
    match detection {
        Detection::AllOf(items) => items.iter().any(what),
        Detection::AnyOf(parts) => parts.iter().any(|part| has(part, what)),
        _ => false,
    }
}

fn field_of(item: &DetectionItem) -> Option<Field> {
    item.field.name.as_deref().and_then(Field::parse)
}

fn is_telling(item: &DetectionItem) -> bool {
    let asks_text = item.field.modifiers.iter().all(|modifier| {
        matches!(
            modifier,
            Modifier::Contains
                | Modifier::StartsWith
                | Modifier::EndsWith
                | Modifier::All
                | Modifier::Cased
        )
    });
    asks_text && field_of(item).is_some_and(|field| !holds_few(field))
}

fn is_common(item: &DetectionItem) -> bool {
    field_of(item).is_some_and(holds_few)
}

/// Whether a field has only a few values, which very many candidates share.
fn holds_few(field: Field) -> bool {
    matches!(
        field,
        Field::AlertSeverity
            | Field::AlertSeverityRank
            | Field::AlertCategory
            | Field::AlertStatus
            | Field::AlertClassification
            | Field::AlertDetermination
            | Field::AlertInvestigation
            | Field::AlertServiceSource
            | Field::AlertDetectionSource
            | Field::AlertAge
            | Field::AlertTenant
            | Field::AlertFormat
            | Field::AlertSource
            | Field::AlertMachines
            | Field::AlertFiles
            | Field::MachineOs
            | Field::MachineHealth
            | Field::MachineOnboarding
            | Field::MachineRisk
            | Field::MachineExposure
            | Field::MachineValue
            | Field::MachineAvStatus
            | Field::FileEntity
            | Field::FileRole
            | Field::FileVerdict
            | Field::FileRemediation
            | Field::FileDetectionStatus
            | Field::FileDetermination
            | Field::FilePe
    )
}
