//! The last look before an attempt is written, and before a person's yes counts: whether the rules
//! of this moment still let the action go on.

use serde::{Deserialize, Serialize};

use super::action::{Approvals, HoldWhy};
use super::candidate::Fields;
use super::rule::{Mode, Protection, Ruleset};
use super::time::Wall;

/// Who released an action, and what they knowingly passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    pub by: Vec<String>,
    /// Deny rules that did not know enough when they said yes.
    pub passed: Vec<String>,
}

/// An action that is about to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// The candidate's fields as they were kept with the action.
    pub candidate: &'a str,
    /// Id of the rule that decided.
    pub rule: &'a str,
    /// What the rules that decided asked of people then. They may be gone by now.
    pub approvals: &'a Approvals,
    /// Where people have released it.
    pub released: Option<&'a Released>,
}

/// Why an action must not be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing of any tenant may be sent; the action stays as it is.
    Shut(String),
    /// These deny rules cover it: it ends as rejected.
    Protected(Vec<String>),
    /// A person has to look at it.
    Hold(HoldWhy, Approvals),
}

/// Asked by the store inside the transaction that writes an attempt, or takes an approval.
pub trait Guard: Send + Sync {
    /// `None` where the action may be sent.
    fn stops(&self, due: &Due<'_>, now: Wall) -> Option<Stop>;

    /// What deny rules say of a candidate that a person wants to release.
    fn protection(&self, candidate: &str, now: Wall) -> Protection;

    /// What a hold of this rule's actions needs from people by now.
    fn approvals(&self, rule: &str) -> Approvals;
}

/// Judges an action again, by the rules and lists and the age of this moment.
pub fn stops(rules: &Ruleset, ceiling: Mode, due: &Due<'_>, now: Wall) -> Option<Stop> {
    if ceiling == Mode::Observe {
        let why = "the configuration's mode is observe: nothing is sent".to_owned();
        return Some(Stop::Shut(why));
    }
    let hold = |why| Some(Stop::Hold(why, due.approvals.and(&rules.approvals(due.rule))));
    let passed = due.released.map_or(&[][..], |released| &released.passed);
    match protection(rules, due.candidate, now) {
        Protection::By(rules) => return Some(Stop::Protected(rules)),
        Protection::Unknown(unknown) => {
            let new = unknown.into_iter().find(|(rule, _)| !passed.contains(rule));
            if let Some((rule, fields)) = new {
                return hold(HoldWhy::Protection { rule, fields, told: String::new() });
            }
        }
        Protection::None => {}
    }
    if due.released.is_some() {
        return None;
    }
    let rule = due.rule.to_owned();
    let fields = Fields::from_snapshot(due.candidate, now);
    let matches = fields.is_some_and(|fields| rules.still(due.rule, &fields));
    let why = match rules.mode(due.rule) {
        Some(mode) if matches => match mode.min(ceiling) {
            Mode::Enforce => return None,
            Mode::Approve => mode.approval(rule),
            Mode::Observe => HoldWhy::Withdrawn { rule },
        },
        _ => HoldWhy::Withdrawn { rule },
    };
    hold(why)
}

/// What deny rules say of a kept candidate. One that does not read is unknown to all of them.
pub fn protection(rules: &Ruleset, candidate: &str, now: Wall) -> Protection {
    match Fields::from_snapshot(candidate, now) {
        Some(fields) => rules.protection(&fields),
        None => Protection::Unknown(vec![("all".to_owned(), vec!["the candidate".to_owned()])]),
    }
}

#[cfg(test)]
mod tests;

/// Lets everything go on.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub struct NoGuard;

#[cfg(test)]
impl Guard for NoGuard {
    fn stops(&self, _: &Due<'_>, _: Wall) -> Option<Stop> {
        None
    }

    fn protection(&self, _: &str, _: Wall) -> Protection {
        Protection::None
    }

    fn approvals(&self, _: &str) -> Approvals {
        Approvals::default()
    }
}
