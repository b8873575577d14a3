//! Rules: Sigma detections with a `response`. A rule set judges candidates one at a time and says
//! what the rules want; what the store then makes of it is another matter.
//!
//! *Invariant:* nothing acts while some value of its absent fields would make the rule not match
//! (`rule/unknown.rs`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use rsigma_eval::Engine;
use rsigma_eval::explain::explain_rule;
use rsigma_parser::SigmaRule;
use serde::{Deserialize, Serialize};

use super::action::{Approvals, Class, HoldWhy};
use super::candidate::{Field, Fields, Value};

mod comment;

mod event;

mod unknown;

pub use comment::{BadTemplate, Template, harmless};
pub use unknown::Against;

/// How far a rule, or the whole service, may go. The lower of the two counts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everything but the call: the decision is written, no action is made.
    #[default]
    Observe,
    /// Holds each action for a person.
    Approve,
    /// Acts.
    Enforce,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Observe => "observe",
            Mode::Approve => "approve",
            Mode::Enforce => "enforce",
        }
    }
}

/// What a rule does with a candidate of which it knows too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnUnknown {
    /// As if it did not match.
    Skip,
    /// A person decides.
    #[default]
    Hold,
}

impl OnUnknown {
    pub fn as_str(self) -> &'static str {
        match self {
            OnUnknown::Skip => "skip",
            OnUnknown::Hold => "hold",
        }
    }
}

/// What a rule asks for: the `response` section, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub mode: Mode,
    pub unknown: OnUnknown,
    /// How long a quarantine blocks the same file on the same machine.
    pub window: Duration,
    /// Overrides the class that the alert's severity gives.
    pub priority: Option<Class>,
    pub comment: Template,
}

/// A rule, without its detection: that is compiled into the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A UUID; unique in a set.
    pub id: String,
    pub title: String,
    pub response: Response,
}

impl Rule {
    /// The comment of a call that this rule decided, for this candidate. Bounded and harmless.
    pub fn comment(&self, fields: &Fields<'_>) -> String {
        self.response.comment.render(fields)
    }
}

/// What the rules want of one candidate. `rules` are the ids of all that matched: the deciding one
/// first, then by id.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement<'r> {
    NoMatch {
        why: Cow<'static, str>,
    },
    /// Something matched, but it only watches, or the ceiling is [`Mode::Observe`].
    Observe {
        rules: Vec<String>,
    },
    /// `by` decided; its comment goes with the action. `window` is the longest of those that
    /// act.
    Act {
        by: &'r Rule,
        rules: Vec<String>,
        class: Class,
        window: Duration,
    },
    /// `by` would act if it knew the fields in `why`.
    Hold {
        by: &'r Rule,
        why: HoldWhy,
        rules: Vec<String>,
        class: Class,
        window: Duration,
    },
}

/// What deny rules say of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// None covers it, whatever is not known.
    None,
    /// Only fields that are not known keep these rules, by id, from covering it. Never empty.
    Unknown(Vec<(String, Vec<String>)>),
    /// These rules, by id, cover it, whatever is not known. Never empty.
    By(Vec<String>),
}

/// A detection that the engine can't take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {why}")]
pub struct NotCompiled {
    pub rule: String,
    pub why: String,
}

/// Rules, compiled and indexed: judging costs little more for a thousand rules with an equality
/// condition than for one. Never changes; a reload makes a new one.
pub struct Ruleset {
    /// Compiled detections, in the order of `rules`.
    engine: Engine,
    /// By id.
    rules: Vec<Rule>,
    places: HashMap<String, usize>,
    hash: String,
}

/// How one rule stands to one candidate.
struct Match<'r> {
    rule: &'r Rule,
    /// `Some` names the absent fields that it would have to know.
    unknown: Option<Vec<String>>,
}

impl Ruleset {
    /// Compiles rules whose ids differ. `hash` names their content, see [`Ruleset::hash`].
    pub fn compile(rules: Vec<(Rule, SigmaRule)>, hash: String) -> Result<Self, Vec<NotCompiled>> {
        let mut rules = rules;
        rules.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let mut engine = Engine::new();
        let errors = engine.add_rules(rules.iter().map(|(_, detection)| detection));
        if !errors.is_empty() {
            let failed = |(i, why): (usize, rsigma_eval::EvalError)| NotCompiled {
                rule: rules[i].0.id.clone(),
                why: why.to_string(),
            };
            return Err(errors.into_iter().map(failed).collect());
        }
        let rules: Vec<Rule> = rules.into_iter().map(|(rule, _)| rule).collect();
        let places = rules.iter().enumerate().map(|(i, rule)| (rule.id.clone(), i)).collect();
        Ok(Self { engine, rules, places, hash })
    }

    /// Judges one candidate. `ceiling` is the configuration's mode.
    pub fn judge(&self, fields: &Fields<'_>, ceiling: Mode) -> Judgement<'_> {
        let results = self.engine.evaluate(fields);
        if results.is_empty() {
            return Judgement::NoMatch { why: Cow::Borrowed("no rule matches") };
        }
        let mut matches = Vec::with_capacity(results.len());
        let mut skipped = None;
        for result in &results {
            let id = result.header.rule_id.as_deref().unwrap_or_default();
            let Some(&place) = self.places.get(id) else { continue };
            let rule = &self.rules[place];
            let counted = unknown::count(&explain_rule(&self.engine.rules()[place], fields));
            if counted.matches {
                matches.push(Match { rule, unknown: None });
            } else if rule.response.unknown == OnUnknown::Hold {
                matches.push(Match { rule, unknown: Some(counted.fields) });
            } else {
                skipped.get_or_insert((rule, counted.fields));
            }
        }
        if let (true, Some((rule, fields))) = (matches.is_empty(), skipped) {
            let why = format!("rule {} skips: {} is unknown", rule.id, fields.join(", "));
            return Judgement::NoMatch { why: Cow::Owned(why) };
        }
        merge(matches, fields, ceiling)
    }

    /// Selections that stand against a rule for this candidate; absent fields count against
    /// acting. Empty for an id that is not in the set.
    pub fn against(&self, rule: &str, fields: &Fields<'_>) -> Vec<Against> {
        let Some(&place) = self.places.get(rule) else { return Vec::new() };
        unknown::against(&explain_rule(&self.engine.rules()[place], fields))
    }

    /// What deny rules say of a candidate.
    pub fn protection(&self, _fields: &Fields<'_>) -> Protection {
        Protection::None
    }

    /// The mode of a rule of this set.
    pub fn mode(&self, rule: &str) -> Option<Mode> {
        self.places.get(rule).map(|&place| self.rules[place].response.mode)
    }

    /// What a hold of this rule's actions needs from people; one yes where it is not in the set.
    pub fn approvals(&self, rule: &str) -> Approvals {
        let _ = rule;
        Approvals::default()
    }

    /// The rules, by id.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// SHA-256, in hex, over names and contents of the rule files: two sets with the same hash
    /// judge alike.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Several rules: act before hold before observe, whatever their order.
fn merge<'r>(matches: Vec<Match<'r>>, fields: &Fields<'_>, ceiling: Mode) -> Judgement<'r> {
    let mut matches = matches;
    matches.sort_by(|a, b| rank(a, ceiling).cmp(&rank(b, ceiling)).then(a.rule.id.cmp(&b.rule.id)));
    let Some(first) = matches.first() else {
        return Judgement::NoMatch { why: Cow::Borrowed("no rule matches") };
    };
    let (by, decided) = (first.rule, rank(first, ceiling));
    let mut rules: Vec<String> = matches.iter().map(|m| m.rule.id.clone()).collect();
    rules[1..].sort_unstable();
    if decided == Rank::Observe {
        return Judgement::Observe { rules };
    }
    let severity = match fields.get(Field::AlertSeverityRank) {
        Value::Number(rank) => *rank,
        _ => 0,
    };
    // Those that only watch change nothing, not even how the others act.
    let deciding = || matches.iter().filter(|m| rank(m, ceiling) == decided);
    let class = deciding()
        .map(|m| m.rule.response.priority.unwrap_or(Class::of_severity(severity)))
        .min()
        .unwrap_or(Class::Bulk);
    let window = deciding().map(|m| m.rule.response.window).max().unwrap_or_default();
    match &first.unknown {
        None if decided == Rank::Act => Judgement::Act { by, rules, class, window },
        None => {
            let why = HoldWhy::Approval { rule: by.id.clone() };
            Judgement::Hold { by, why, rules, class, window }
        }
        Some(fields) => {
            let why = HoldWhy::Unknown { rule: by.id.clone(), fields: fields.clone() };
            Judgement::Hold { by, why, rules, class, window }
        }
    }
}

/// What one match wants, the strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Act,
    /// Matches for certain, and waits for a person's yes.
    Approve,
    Hold,
    Observe,
}

fn rank(one: &Match<'_>, ceiling: Mode) -> Rank {
    match (one.rule.response.mode.min(ceiling), &one.unknown) {
        (Mode::Observe, _) => Rank::Observe,
        (Mode::Enforce, None) => Rank::Act,
        (Mode::Approve, None) => Rank::Approve,
        (Mode::Enforce | Mode::Approve, Some(_)) => Rank::Hold,
    }
}

#[cfg(test)]
mod tests;
