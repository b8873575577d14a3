//! Conditions that say the same of every candidate: such a rule acts on everything, or on nothing.

use std::collections::HashMap;

use rsigma_parser::ast::Modifier;
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Quantifier, SigmaValue};

/// With more leaves, selections are looked at as wholes, and with more of those nothing is: the
/// number of cases doubles with each.
const MOST: usize = 12;

/// What a condition asks, of leaves or selections that are true or false.
enum Formula {
    Leaf(usize),
    Not(Box<Formula>),
    AtLeast(usize, Vec<Formula>),
}

impl Formula {
    fn all(parts: Vec<Formula>) -> Self {
        Formula::AtLeast(parts.len(), parts)
    }

    /// `case` has a bit for each leaf that is true.
    fn holds(&self, case: u32) -> bool {
        match self {
            Formula::Leaf(leaf) => case & (1 << leaf) != 0,
            Formula::Not(part) => !part.holds(case),
            Formula::AtLeast(least, parts) => {
                parts.iter().filter(|part| part.holds(case)).take(*least).count() == *least
            }
        }
    }
}

/// Whether the condition is true of everything, or false of everything. `None` where neither is
/// known to be so. It never takes a condition for constant that is not.
pub(super) fn value(
    expression: &ConditionExpr,
    named: &HashMap<String, Detection>,
) -> Option<bool> {
    [true, false].into_iter().find_map(|within| {
        let mut reading = Reading { named, within, leaves: HashMap::new() };
        let formula = reading.condition(expression);
        if reading.leaves.len() > MOST {
            return None;
        }
        let first = formula.holds(0);
        let all = 1..1 << reading.leaves.len();
        all.into_iter().all(|case| formula.holds(case) == first).then_some(first)
    })
}

struct Reading<'n> {
    named: &'n HashMap<String, Detection>,
    /// Whether to look at the leaves within selections.
    within: bool,
    leaves: HashMap<String, usize>,
}

impl Reading<'_> {
    fn leaf(&mut self, name: String) -> Formula {
        let next = self.leaves.len();
        Formula::Leaf(*self.leaves.entry(name).or_insert(next))
    }

    fn condition(&mut self, expression: &ConditionExpr) -> Formula {
        match expression {
            ConditionExpr::And(parts) => {
                Formula::all(parts.iter().map(|part| self.condition(part)).collect())
            }
            ConditionExpr::Or(parts) => {
                Formula::AtLeast(1, parts.iter().map(|part| self.condition(part)).collect())
            }
            ConditionExpr::Not(part) => Formula::Not(Box::new(self.condition(part))),
            ConditionExpr::Identifier(name) => self.selection(name),
            ConditionExpr::Selector { quantifier, pattern } => {
                let named = self.named;
                let names = named.keys().filter(|name| pattern.matches_detection_name(name));
                let parts: Vec<Formula> = names.map(|name| self.selection(name)).collect();
                match quantifier {
                    Quantifier::Any => Formula::AtLeast(1, parts),
                    Quantifier::All => Formula::all(parts),
                    Quantifier::Count(n) => {
                        Formula::AtLeast(usize::try_from(*n).unwrap_or(usize::MAX), parts)
                    }
                }
            }
        }
    }

    fn selection(&mut self, name: &str) -> Formula {
        match self.named.get(name) {
            Some(detection) if self.within => self.detection(detection),
            _ => self.leaf(name.to_owned()),
        }
    }

    fn detection(&mut self, detection: &Detection) -> Formula {
        match detection {
            Detection::AllOf(items) => {
                Formula::all(items.iter().map(|item| self.item(item)).collect())
            }
            Detection::AnyOf(parts) => {
                Formula::AtLeast(1, parts.iter().map(|part| self.detection(part)).collect())
            }
            other => self.leaf(format!("{other:?}")),
        }
    }

    /// That a field is there and that it is not are one question.
    fn item(&mut self, item: &DetectionItem) -> Formula {
        match (&item.field.modifiers[..], &item.values[..]) {
            ([Modifier::Exists], [SigmaValue::Bool(expected)]) => {
                let is_there = self.leaf(format!("{:?} is there", item.field.name));
                if *expected { is_there } else { Formula::Not(Box::new(is_there)) }
            }
            _ => self.leaf(format!("{item:?}")),
        }
    }
}
