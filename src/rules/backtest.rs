//! What rules would have done with alerts of the past, as if each had come when it was created and
//! every call had succeeded at once. Rules in `observe` count as enforced.
//!
//! Judging needs no order, so many threads can do it. Windows and breakers need the order of the
//! alerts' times: what would act is kept, small, and counted at the end.

mod breakers;
mod correlating;
mod judging;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::domain::alert::Alert;
use crate::domain::breaker::{Breaker, Rate, TenantBreakers};
use crate::domain::candidate::Candidate;
use crate::domain::decision::Fate;
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::rule::{Judgement, Mode, Ruleset};
use crate::domain::time::Wall;

use correlating::Event;

pub use breakers::{Holds, Trip};
pub use judging::{Joins, Judging, OfStream, Part, Range};

/// Whose alerts these are, and what they came by.
#[derive(Debug)]
pub struct Tenants {
    /// What `alert.source` is.
    pub source: String,
    /// Those that are known.
    pub known: Vec<Tenant>,
    /// What `alert.tenant` is of alerts of others, which no breaker of a tenant counts; `None`:
    /// they are not judged, as the source does not speak for them.
    pub others: Option<String>,
}

/// A tenant whose alerts are judged.
#[derive(Debug)]
pub struct Tenant {
    pub name: String,
    /// The Entra tenant id.
    pub id: uuid::Uuid,
    pub breakers: TenantBreakers,
}

impl Tenants {
    /// The place of the tenant that an alert names; of the only one if it names none.
    fn place(&self, tenant_id: Option<&str>) -> Option<usize> {
        let known = match (tenant_id, &self.known[..]) {
            (Some(named), known) => {
                let id = uuid::Uuid::try_parse(named).ok();
                known.iter().position(|tenant| Some(tenant.id) == id)
            }
            (None, [_]) => Some(0),
            (None, _) => None,
        };
        known.or(self.others.is_some().then_some(self.known.len()))
    }

    /// What the tenant of that place is called.
    pub fn name(&self, place: usize) -> &str {
        let known = self.known.get(place).map(|tenant| tenant.name.as_str());
        known.or(self.others.as_deref()).unwrap_or_default()
    }
}

/// A file on a machine of a tenant, by its place among the [`Tenants`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Effect {
    pub tenant: usize,
    pub machine: MachineId,
    pub sha1: Sha1,
}

/// What one rule would have done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfRule {
    /// Calls that it decided.
    pub acts: u64,
    /// What would have waited for a person.
    pub held: u64,
    /// Candidates for which Defender would have been asked first.
    pub asked: u64,
    /// What another rule would have done, and this one as a deny rule did not let.
    pub protected: u64,
    pub machines: HashSet<(usize, MachineId)>,
    pub files: HashSet<Sha1>,
}

/// What a rule set says of alerts, in any order: all that is counted already, and what would act.
pub struct Judged<'r> {
    rules: &'r Ruleset,
    fates: BTreeMap<Fate, u64>,
    of_rules: BTreeMap<String, OfRule>,
    /// Of each rule that decided.
    breakers: HashMap<&'r str, Vec<(Breaker, Rate)>>,
    acts: Vec<Act<'r>>,
    /// What correlations count.
    events: Vec<Event<'r>>,
}

/// What comes of a candidate.
#[derive(Clone)]
enum Came<'r> {
    /// It would act, if nothing stands against it at its turn.
    Acts { effect: Effect, evidence: Wall, window: Duration, by: &'r str },
    /// It ends so, by these rules.
    Is(Fate, Vec<String>),
}

/// What would be done, if nothing stood against it that was done before.
struct Act<'r> {
    at: Wall,
    /// Of two at the same time, the one that came first in the input has the smaller one.
    order: u64,
    effect: Effect,
    evidence: Wall,
    window: Duration,
    by: &'r str,
}

impl<'r> Judged<'r> {
    fn new(rules: &'r Ruleset) -> Self {
        let (fates, of_rules, breakers) = Default::default();
        let (acts, events) = Default::default();
        Self { rules, fates, of_rules, breakers, acts, events }
    }

    fn count(&mut self, fate: Fate, number: usize) {
        if number > 0 {
            *self.fates.entry(fate).or_default() += number as u64;
        }
    }

    /// Judges an alert. `at` is when it was created; one that does not say leads to nothing.
    fn take(&mut self, alert: &Alert<'_>, tenant: usize, at: Option<Wall>, order: u64) {
        for candidate in &alert.candidates {
            self.judge(candidate, tenant, at, order);
            self.count_events(alert, candidate, tenant, at, order);
        }
    }

    fn judge(&mut self, candidate: &Candidate<'_>, tenant: usize, at: Option<Wall>, order: u64) {
        let judged = self.rules.judge(&candidate.fields, Mode::Enforce);
        let (Ok(machine), Ok(sha1), Some(at)) = (&candidate.machine, &candidate.sha1, at) else {
            let came = match judged {
                Judgement::NoMatch { .. } => Came::Is(Fate::NoMatch, Vec::new()),
                Judgement::Protected { by } => Came::Is(Fate::Protected, by),
                _ => Came::Is(Fate::Incomplete, Vec::new()),
            };
            return self.settle(came, Wall(0), order);
        };
        let effect = Effect { tenant, machine: *machine, sha1: *sha1 };
        let came = self.came(judged, effect, candidate.evidence.unwrap_or(at));
        self.settle(came, at, order);
    }

    /// What comes of a judgement.
    fn came(&mut self, judged: Judgement<'r>, effect: Effect, evidence: Wall) -> Came<'r> {
        match judged {
            Judgement::NoMatch { .. } => Came::Is(Fate::NoMatch, Vec::new()),
            Judgement::Protected { by } => Came::Is(Fate::Protected, by),
            Judgement::Observe { .. } => Came::Is(Fate::Observed, Vec::new()),
            Judgement::Hold { wanted, .. } => Came::Is(Fate::Held, vec![wanted.by.to_owned()]),
            // What Defender would have told, nobody knows any more.
            Judgement::Enrich { otherwise, .. } => match self.came(*otherwise, effect, evidence) {
                Came::Is(Fate::Held, rules) => Came::Is(Fate::Waiting, rules),
                came => came,
            },
            Judgement::Act(wanted) => {
                let (by, window) = (wanted.by, wanted.window);
                self.breakers.entry(by).or_insert(wanted.breakers);
                Came::Acts { effect, evidence, window, by }
            }
        }
    }

    fn settle(&mut self, came: Came<'r>, at: Wall, order: u64) {
        let (fate, rules) = match came {
            Came::Is(fate, rules) => (fate, rules),
            // Only its turn tells.
            Came::Acts { effect, evidence, window, by } => {
                return self.acts.push(Act { at, order, effect, evidence, window, by });
            }
        };
        for rule in rules {
            let of = self.of_rules.entry(rule).or_default();
            match fate {
                Fate::Held => of.held += 1,
                Fate::Waiting => of.asked += 1,
                _ => of.protected += 1,
            }
        }
        self.count(fate, 1);
    }

    /// Takes over what another thread has judged by the same rules.
    fn add(&mut self, other: Self) {
        for (fate, number) in other.fates {
            *self.fates.entry(fate).or_default() += number;
        }
        for (rule, of) in other.of_rules {
            let known = self.of_rules.entry(rule).or_default();
            known.held += of.held;
            known.asked += of.asked;
            known.protected += of.protected;
        }
        self.breakers.extend(other.breakers);
        self.acts.extend(other.acts);
        self.events.extend(other.events);
    }

    /// What it comes to, in the order of the alerts' times.
    pub fn outcome(mut self, tenants: &Tenants) -> Outcome<'r> {
        self.correlate();
        self.acts.sort_by_key(|act| (act.at, act.order));
        let mut outcome = Outcome { rules: self.of_rules, ..Outcome::default() };
        outcome.fates = self.fates;
        let mut gauges = breakers::Gauges::default();
        // Until when an effect blocks the same one.
        let mut blocks: HashMap<Effect, Wall> = HashMap::new();
        for act in &self.acts {
            let calls = outcome.calls.entry(act.effect).or_default();
            // Evidence that is no newer than the last call says nothing new within the window.
            let is_newer = calls.last().is_some_and(|(at, _)| act.evidence > *at);
            let is_blocked = blocks.get(&act.effect).is_some_and(|until| act.at < *until);
            if is_blocked && !is_newer {
                *outcome.fates.entry(Fate::Duplicate).or_default() += 1;
                continue;
            }
            calls.push((act.at, act.by));
            blocks.insert(act.effect, act.at + act.window);
            *outcome.fates.entry(Fate::Acted).or_default() += 1;
            if !outcome.rules.contains_key(act.by) {
                outcome.rules.insert(act.by.to_owned(), OfRule::default());
            }
            if let Some(of_rule) = outcome.rules.get_mut(act.by) {
                of_rule.acts += 1;
                of_rule.machines.insert((act.effect.tenant, act.effect.machine));
                of_rule.files.insert(act.effect.sha1);
            }
            for (breaker, rate) in &self.breakers[act.by] {
                gauges.count(act.by, *breaker, *rate, act.effect, act.at);
            }
            if let Some(tenant) = tenants.known.get(act.effect.tenant) {
                gauges.count_tenant(tenant.breakers, act.effect, act.at);
            }
        }
        outcome.trips = gauges.trips();
        outcome
    }
}

/// What a run over alerts came to.
#[derive(Debug, Default)]
pub struct Outcome<'r> {
    /// Files of alerts, by what would have become of each.
    pub fates: BTreeMap<Fate, u64>,
    /// By id; rules that did nothing are not there.
    pub rules: BTreeMap<String, OfRule>,
    /// Each call that would have been made, with its time and the rule that decided it.
    pub calls: HashMap<Effect, Vec<(Wall, &'r str)>>,
    /// Breakers that would have held what came after, those that trip first before others.
    pub trips: Vec<Trip<'r>>,
}

impl Outcome<'_> {
    /// The most calls within a minute, by the clock.
    pub fn busiest_minute(&self) -> Option<(Wall, u64)> {
        const MINUTE: i64 = 60_000_000;
        let mut minutes: BTreeMap<i64, u64> = BTreeMap::new();
        for (at, _) in self.calls.values().flatten() {
            *minutes.entry(at.0.div_euclid(MINUTE)).or_default() += 1;
        }
        let (minute, calls) = minutes.into_iter().max_by_key(|(at, calls)| (*calls, -at))?;
        Some((Wall(minute * MINUTE), calls))
    }

    pub fn calls(&self) -> u64 {
        self.calls.values().map(|calls| calls.len() as u64).sum()
    }

    /// Machines and files that would have been called for.
    pub fn touched(&self) -> (usize, usize) {
        let machines: HashSet<_> = self.calls.keys().map(|of| (of.tenant, of.machine)).collect();
        let files: HashSet<_> = self.calls.keys().map(|of| of.sha1).collect();
        (machines.len(), files.len())
    }
}

#[cfg(test)]
mod tests;
