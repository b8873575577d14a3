//! Rules: Sigma detections with a `response`. A rule set judges candidates one at a time and says
//! what the rules want; what the store then makes of it is another matter.
//!
//! *Invariant:* nothing acts while some value of its absent fields would make the rule not match,
//! or a deny rule match (`rule/unknown.rs`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use rsigma_eval::explain::explain_rule;
use rsigma_eval::{CompiledRule, Engine, compile_rule};
use rsigma_parser::SigmaRule;

use super::action::{Approvals, Class, Endings, HoldWhy};
use super::breaker::{Breaker, Rate};
use super::candidate::{Field, Fields, Subject};

mod comment;

mod correlated;

mod event;

mod explain;

mod lean;

mod merge;

mod miss;

mod response;

mod twin;

mod unknown;

pub use comment::{BadTemplate, Template, harmless};
pub use correlated::Correlated;
pub use explain::{Explained, Part, Seen, Step, nearest};
pub use miss::Miss;
pub use response::{Deny, Mode, OnUnknown, Quarantine, Response, Rule};
pub use unknown::{Absent, Against};

use merge::{Match, Merged, held, merge};
use unknown::Counted;

/// Why there is [`Judgement::NoMatch`], where no rule came so far as to say more.
pub const NO_RULE: &str = "no rule matches";

/// What rules that decide ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted<'r> {
    /// Id of the deciding rule.
    pub by: &'r str,
    /// That rule's, for the call.
    pub comment: &'r Template,
    /// Ids of all rules that matched: the deciding one first, then by id.
    pub rules: Vec<String>,
    pub class: Class,
    /// The longest of those that decide.
    pub window: Duration,
    /// The most that one of those that decide asks for.
    pub approvals: Approvals,
    /// The deciding rule's.
    pub endings: Endings,
    /// The deciding rule's, each with its rate.
    pub breakers: Vec<(Breaker, Rate)>,
}

/// What the rules want of one candidate.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement<'r> {
    NoMatch {
        why: Cow<'static, str>,
    },
    /// Something matched, and these deny rules, by id, cover it.
    Protected {
        by: Vec<String>,
    },
    /// Something matched, but it only watches, or the ceiling is [`Mode::Observe`].
    Observe {
        rules: Vec<String>,
    },
    Act(Wanted<'r>),
    /// It would act, but for what `why` says.
    Hold {
        why: HoldWhy,
        wanted: Wanted<'r>,
    },
    /// Defender could tell these fields, and they decide; `otherwise` is what comes of it as long
    /// as it has not. Sorted, each once; never empty.
    Enrich {
        fields: Vec<Field>,
        otherwise: Box<Judgement<'r>>,
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
/// condition than for one. Deny rules are asked only about what another rule matches. Never
/// changes; a reload makes a new one.
pub struct Ruleset {
    /// Compiled detections of those that act or count, in the order of `rules`: of some, what the
    /// engine is asked in their place.
    engine: Engine,
    /// Of these, the rules themselves, by place.
    own: HashMap<usize, CompiledRule>,
    /// Of those that deny, in the order of `rules`, whose end they are.
    denying: Vec<CompiledRule>,
    /// Those that act or count, by id, then those that deny, by id.
    rules: Vec<Rule>,
    places: HashMap<String, usize>,
    /// What some rule asks Defender about.
    asks: Vec<Subject>,
    /// By id.
    correlations: Vec<Correlated>,
    hash: String,
}

impl Ruleset {
    /// Compiles rules whose ids differ. `hash` names their content, see [`Ruleset::hash`].
    pub fn compile(rules: Vec<(Rule, SigmaRule)>, hash: String) -> Result<Self, Vec<NotCompiled>> {
        let mut rules = rules;
        rules.sort_by(|(a, _), (b, _)| (a.denies(), &a.id).cmp(&(b.denies(), &b.id)));
        let (acting, denying) = rules.split_at(rules.partition_point(|(rule, _)| !rule.denies()));
        let not = |rule: &Rule, why: rsigma_eval::EvalError| NotCompiled {
            rule: rule.id.clone(),
            why: why.to_string(),
        };
        let mut engine = Engine::new();
        let others: Vec<Option<SigmaRule>> = acting.iter().map(asked_instead).collect();
        let asked =
            acting.iter().zip(&others).map(|((_, own), other)| other.as_ref().unwrap_or(own));
        let errors = engine.add_rules(asked);
        let mut failed: Vec<NotCompiled> =
            errors.into_iter().map(|(i, why)| not(&acting[i].0, why)).collect();
        let mut own = HashMap::new();
        for (place, (rule, detection)) in acting.iter().enumerate() {
            if others[place].is_some() {
                match compile_rule(detection) {
                    Ok(one) => drop(own.insert(place, one)),
                    Err(why) => failed.push(not(rule, why)),
                }
            }
        }
        let mut compiled = Vec::with_capacity(denying.len());
        for (rule, detection) in denying {
            match compile_rule(detection) {
                Ok(one) => compiled.push(one),
                Err(why) => failed.push(not(rule, why)),
            }
        }
        if !failed.is_empty() {
            return Err(failed);
        }
        let subjects = [Subject::Machine, Subject::File].into_iter();
        let asks =
            |subject| rules.iter().any(|(rule, own)| rule.asks() && twin::names(own, subject));
        let asks = subjects.filter(|subject| asks(*subject)).collect();
        let rules: Vec<Rule> = rules.into_iter().map(|(rule, _)| rule).collect();
        let places = rules.iter().enumerate().map(|(i, rule)| (rule.id.clone(), i)).collect();
        let correlations = Vec::new();
        Ok(Self { engine, own, denying: compiled, rules, places, asks, correlations, hash })
    }

    /// Judges one candidate. `ceiling` is the configuration's mode.
    pub fn judge(&self, fields: &Fields<'_>, ceiling: Mode) -> Judgement<'_> {
        let merged = self.judge_acting(fields, ceiling);
        match merged.judged {
            Judgement::NoMatch { .. } => merged.judged,
            _ => self.guarded(merged, fields),
        }
    }

    /// What deny rules leave of what others want.
    fn guarded<'r>(&'r self, merged: Merged<'r>, fields: &Fields<'_>) -> Judgement<'r> {
        let Merged { judged, mut asks } = merged;
        let judged = match self.protection(fields) {
            Protection::None => judged,
            Protection::By(by) => return Judgement::Protected { by },
            Protection::Unknown(unknown) => {
                // What a person has to look at anyway is not asked for.
                let waits = matches!(&judged, Judgement::Hold { why: HoldWhy::Unknown { .. }, .. });
                if !waits || !asks.is_empty() {
                    let fields = unknown.iter().flat_map(|(_, fields)| fields);
                    let fields = fields.filter_map(|name| Field::parse(name));
                    asks.extend(fields.filter(|field| field.told_of().is_some()));
                }
                held(unknown, judged)
            }
        };
        if asks.is_empty() {
            return judged;
        }
        asks.sort_unstable();
        asks.dedup();
        Judgement::Enrich { fields: asks, otherwise: Box::new(judged) }
    }

    /// What the rules that act want, as if none denied.
    fn judge_acting(&self, fields: &Fields<'_>, ceiling: Mode) -> Merged<'_> {
        let results = self.engine.evaluate(fields);
        let mut matches = Vec::with_capacity(results.len());
        let mut skipped = None;
        for result in &results {
            let id = result.header.rule_id.as_deref().unwrap_or_default();
            let Some(&place) = self.places.get(id) else { continue };
            let rule = &self.rules[place];
            let Some(response) = rule.quarantine() else { continue };
            let trace = explain_rule(self.compiled(place), fields);
            let is_own = !self.own.contains_key(&place);
            let (unknown, asks) = match unknown::count(&trace) {
                Counted::Matches => (None, Vec::new()),
                Counted::Depends { fields, asks } if rule.asks() && !asks.is_empty() => {
                    (Some(fields), asks)
                }
                // What was asked in its place matched, and the rule does not.
                _ if !is_own && !trace.matched => continue,
                Counted::Depends { fields, .. } => (Some(fields), Vec::new()),
                // The engine and its trace are one; if they ever are not, nothing acts.
                Counted::Fails => (Some(Vec::new()), Vec::new()),
            };
            match unknown {
                Some(fields) if response.unknown == OnUnknown::Skip => {
                    skipped.get_or_insert((&rule.id, fields));
                }
                unknown => matches.push(Match { id: &rule.id, response, unknown, asks }),
            }
        }
        if let (true, Some((rule, fields))) = (matches.is_empty(), skipped) {
            let why = format!("rule {rule} skips: {} is unknown", fields.join(", "));
            return Merged::of(Judgement::NoMatch { why: Cow::Owned(why) });
        }
        merge(matches, fields, ceiling)
    }

    fn compiled(&self, place: usize) -> &CompiledRule {
        let acting = self.engine.rules();
        let own = self.own.get(&place).or_else(|| acting.get(place));
        own.unwrap_or_else(|| &self.denying[place - acting.len()])
    }

    /// Selections that stand against a rule for this candidate: absent fields count against one
    /// that acts, and for one that denies. Empty for an id that is not in the set.
    pub fn against(&self, rule: &str, fields: &Fields<'_>) -> Vec<Against> {
        let Some(&place) = self.places.get(rule) else { return Vec::new() };
        let absent = match self.rules[place].response {
            Response::Quarantine(_) | Response::Count => Absent::Against,
            Response::Deny(_) => Absent::For,
        };
        unknown::against(&explain_rule(self.compiled(place), fields), absent)
    }

    /// The same rules, of which those that only watch act: what they would do.
    pub fn as_if_enforced(mut self) -> Self {
        let correlated = self.correlations.iter_mut().map(|one| &mut one.rule);
        for rule in self.rules.iter_mut().chain(correlated) {
            if let Response::Quarantine(response) = &mut rule.response
                && response.mode == Mode::Observe
            {
                response.mode = Mode::Enforce;
            }
        }
        self
    }

    /// How every rule stands to a candidate, in the order of [`Ruleset::rules`].
    pub fn explain(&self, fields: &Fields<'_>) -> Vec<Explained<'_>> {
        let explained = |(place, rule): (usize, _)| {
            explain::explained(rule, &explain_rule(self.compiled(place), fields))
        };
        self.rules.iter().enumerate().map(explained).collect()
    }

    /// What deny rules say of a candidate. One that is certain beats those that do not know.
    pub fn protection(&self, fields: &Fields<'_>) -> Protection {
        let (mut by, mut unknown) = (Vec::new(), Vec::new());
        let first = self.rules.len() - self.denying.len();
        for (rule, compiled) in self.rules[first..].iter().zip(&self.denying) {
            match (unknown::count(&explain_rule(compiled, fields)), &rule.response) {
                (Counted::Matches, _) => by.push(rule.id.clone()),
                (Counted::Depends { fields, .. }, Response::Deny(Deny { holds_unknown: true })) => {
                    unknown.push((rule.id.clone(), fields))
                }
                (Counted::Depends { .. } | Counted::Fails, _) => {}
            }
        }
        match (by.is_empty(), unknown.is_empty()) {
            (false, _) => Protection::By(by),
            (true, false) => Protection::Unknown(unknown),
            (true, true) => Protection::None,
        }
    }

    /// Whether some rule may ask Defender about this.
    pub fn may_ask(&self, subject: Subject) -> bool {
        self.asks.contains(&subject)
    }

    fn quarantine(&self, rule: &str) -> Option<&Quarantine> {
        self.rule(rule)?.quarantine()
    }

    fn rule(&self, id: &str) -> Option<&Rule> {
        let correlated = || self.correlation(id).map(|one| &one.rule);
        self.places.get(id).map(|&place| &self.rules[place]).or_else(correlated)
    }

    /// The title of a rule of this set.
    pub fn title(&self, rule: &str) -> Option<&str> {
        self.rule(rule).map(|rule| rule.title.as_str())
    }

    /// The mode of a rule of this set that acts.
    pub fn mode(&self, rule: &str) -> Option<Mode> {
        self.quarantine(rule).map(|response| response.mode)
    }

    /// Whether that rule of this set, which acts, matches for certain; of a correlation, whether
    /// one of its base rules does: how many others there were does not change any more.
    pub fn still(&self, rule: &str, fields: &Fields<'_>) -> bool {
        match self.correlation(rule) {
            Some(one) => one.counts.rules.iter().any(|base| self.matches(base, fields)),
            None => self.quarantine(rule).is_some() && self.matches(rule, fields),
        }
    }

    /// Whether a rule that acts or counts could match, whatever the absent fields turn out to be.
    pub fn could_match(&self, fields: &Fields<'_>) -> bool {
        let counted = |rule| unknown::count(&explain_rule(rule, fields));
        self.engine.rules().iter().any(|rule| !matches!(counted(rule), Counted::Fails))
    }

    /// What a hold of this rule's actions needs from people; one yes where it is not in the set.
    pub fn approvals(&self, rule: &str) -> Approvals {
        self.quarantine(rule).map(|response| response.approvals.clone()).unwrap_or_default()
    }

    /// The rules with a detection: those that act or count, by id, then those that deny, by id.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// SHA-256, in hex, over names and contents of the rule files and lists: two sets with the
    /// same hash judge alike.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn len(&self) -> usize {
        self.rules.len() + self.correlations.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the engine is asked in place of a rule, if anything.
fn asked_instead((rule, detection): &(Rule, SigmaRule)) -> Option<SigmaRule> {
    let acts = rule.quarantine().is_some();
    let twin = (acts && rule.asks()).then(|| twin::of(detection)).flatten();
    lean::of(twin.as_ref().unwrap_or(detection)).or(twin)
}

#[cfg(test)]
mod tests;
