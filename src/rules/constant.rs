//! Conditions that say the same of every candidate: such a rule acts on everything, or on nothing.

use std::collections::HashMap;

use rsigma_parser::ast::Modifier;
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Quantifier, SigmaValue};

/// With more leaves, selections are looked at as wholes, and with more of those nothing is: the
/// number of cases doubles with each.
const MOST: usize = 12;

/// A longer condition, with its selections in place of their names, is not looked at.
const PARTS: usize = 4096;

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
        let mut reading = Reading { named, within, leaves: HashMap::new(), parts: 0 };
        let formula = reading.condition(expression);
        if reading.is_too_much() {
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
    parts: usize,
}

impl Reading<'_> {
    fn is_too_much(&self) -> bool {
        self.leaves.len() > MOST || self.parts > PARTS
    }

    fn leaf(&mut self, name: String) -> Formula {
        self.parts += 1;
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
                let mut parts = Vec::new();
                for name in names {
                    parts.push(self.selection(name));
                    if self.is_too_much() {
                        break;
                    }
                }
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
            Some(detection) if self.within && !self.is_too_much() => self.detection(detection),
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

#[cfg(test)]
mod tests {
    use rsigma_parser::{FieldSpec, SigmaString, parse_condition};

    use super::*;

    fn item(field: &str, modifiers: Vec<Modifier>, value: SigmaValue) -> Detection {
        let field = FieldSpec::new(Some(field.to_owned()), modifiers);
        Detection::AllOf(vec![DetectionItem { field, values: vec![value] }])
    }

    fn of(condition: &str) -> Option<bool> {
        let text = |text: &str| SigmaValue::String(SigmaString::new(text));
        let exists = |is| item("x", vec![Modifier::Exists], SigmaValue::Bool(is));
        let mut named = HashMap::from([
            ("a".to_owned(), item("f", vec![], text("a"))),
            ("same".to_owned(), item("f", vec![], text("a"))),
            ("b".to_owned(), item("f", vec![], text("b"))),
            ("there".to_owned(), exists(true)),
            ("gone".to_owned(), exists(false)),
            ("either".to_owned(), Detection::AnyOf(vec![exists(true), exists(false)])),
        ]);
        named.extend((0..20).map(|n| (format!("m{n}"), item("m", vec![], text(&n.to_string())))));
        value(&parse_condition(condition).unwrap(), &named)
    }

    #[test]
    fn what_is_always_or_never_true_is_found() {
        for always in [
            "a or not a",
            "not (a and not a)",
            "a or not same",
            "there or gone",
            "either",
            "either or a and b",
            "not (1 of m1*) or 1 of m1*",
            "1 of m1* or not all of m1*",
        ] {
            assert_eq!(of(always), Some(true), "{always}");
        }
        for never in ["a and not same", "there and gone", "not either", "a and b and not (a or b)"]
        {
            assert_eq!(of(never), Some(false), "{never}");
        }
    }

    #[test]
    fn what_depends_on_the_candidate_is_not() {
        for some in ["a", "not a", "a or not b", "a and b", "1 of them", "2 of m*", "there and a"] {
            assert_eq!(of(some), None, "{some}");
        }
        assert_eq!(of(&format!("a{}", " or 1 of m*".repeat(340))), None, "and not in a lifetime");
    }
}
