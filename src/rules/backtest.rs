//! What rules would have done with alerts of the past: judged one after the other by the times of
//! the alerts, as if every call had succeeded at once. Rules in `observe` count as enforced.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::domain::alert::Alert;
use crate::domain::breaker::{Breaker, Rate};
use crate::domain::decision::Fate;
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::rule::{Judgement, Mode, Ruleset, Wanted};
use crate::domain::time::Wall;

/// A machine and a file of it.
pub type Effect = (MachineId, Sha1);

/// What one rule would have done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfRule {
    /// Calls that it decided.
    pub acts: u64,
    /// What would have waited for a person.
    pub held: u64,
    /// What another rule would have done, and this one as a deny rule did not let.
    pub protected: u64,
    pub machines: HashSet<MachineId>,
    pub files: HashSet<Sha1>,
}

/// A breaker that would have held what came after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    pub rule: String,
    pub breaker: Breaker,
    pub rate: Rate,
    /// When it would have tripped first.
    pub at: Wall,
}

/// What a run over alerts came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub alerts: u64,
    /// Files of alerts, by what would have become of each.
    pub fates: BTreeMap<Fate, u64>,
    /// By id; rules that did nothing are not there.
    pub rules: BTreeMap<String, OfRule>,
    /// Each call that would have been made, with its time and the rule that decided it.
    pub calls: HashMap<Effect, Vec<(Wall, String)>>,
    pub trips: Vec<Trip>,
}

/// By rule, and for a breaker over files by file.
type Counter = (String, Breaker, Option<Sha1>);

/// A run over alerts, which have to come in the order of their times for the windows to be right.
pub struct Backtest<'r> {
    rules: &'r Ruleset,
    outcome: Outcome,
    /// Per rule and breaker: what was counted within its rate.
    counted: HashMap<Counter, VecDeque<(Wall, MachineId)>>,
    /// Until when an effect blocks the same one.
    blocks: HashMap<Effect, Wall>,
}

impl<'r> Backtest<'r> {
    pub fn new(rules: &'r Ruleset) -> Self {
        let (counted, blocks) = Default::default();
        Self { rules, outcome: Outcome::default(), counted, blocks }
    }

    /// Judges an alert as if it had come when it was created.
    pub fn take(&mut self, alert: &Alert<'_>) {
        self.outcome.alerts += 1;
        let now = alert.created.unwrap_or(Wall(0));
        for candidate in &alert.candidates {
            let judged = self.rules.judge(&candidate.fields, Mode::Enforce);
            let effect = candidate.machine.as_ref().ok().zip(candidate.sha1.as_ref().ok());
            let effect = effect.map(|(machine, sha1)| (*machine, *sha1));
            let evidence = candidate.evidence.unwrap_or(now);
            let fate = self.fate(judged, effect, evidence, now);
            *self.outcome.fates.entry(fate).or_default() += 1;
        }
    }

    fn fate(
        &mut self,
        judged: Judgement<'_>,
        effect: Option<Effect>,
        evidence: Wall,
        now: Wall,
    ) -> Fate {
        match (judged, effect) {
            (Judgement::NoMatch { .. }, _) => Fate::NoMatch,
            (Judgement::Protected { by }, _) => {
                for rule in by {
                    self.outcome.rules.entry(rule).or_default().protected += 1;
                }
                Fate::Protected
            }
            (_, None) => Fate::Incomplete,
            (Judgement::Observe { .. }, _) => Fate::Observed,
            (Judgement::Hold { wanted, .. }, _) => {
                self.outcome.rules.entry(wanted.by.to_owned()).or_default().held += 1;
                Fate::Held
            }
            // What Defender would have told, nobody knows any more.
            (Judgement::Enrich { otherwise, .. }, effect) => {
                self.fate(*otherwise, effect, evidence, now)
            }
            (Judgement::Act(wanted), Some(effect)) => self.act(&wanted, effect, evidence, now),
        }
    }

    fn act(&mut self, wanted: &Wanted<'_>, effect: Effect, evidence: Wall, now: Wall) -> Fate {
        // Evidence that is no newer than the last call says nothing new within the window.
        let last = self.outcome.calls.get(&effect).and_then(|calls| calls.last());
        let is_newer = last.is_some_and(|(at, _)| evidence > *at);
        if self.blocks.get(&effect).is_some_and(|until| now < *until) && !is_newer {
            return Fate::Duplicate;
        }
        self.blocks.insert(effect, now + wanted.window);
        let (machine, sha1) = effect;
        let rule = wanted.by.to_owned();
        let of_rule = self.outcome.rules.entry(rule.clone()).or_default();
        of_rule.acts += 1;
        of_rule.machines.insert(machine);
        of_rule.files.insert(sha1);
        self.outcome.calls.entry(effect).or_default().push((now, rule));
        for (breaker, rate) in &wanted.breakers {
            self.count(wanted.by, *breaker, *rate, effect, now);
        }
        Fate::Acted
    }

    fn count(&mut self, rule: &str, breaker: Breaker, rate: Rate, effect: Effect, now: Wall) {
        let (machine, sha1) = effect;
        let per_file = breaker == Breaker::MachinesPerFile;
        let of = (rule.to_owned(), breaker, per_file.then_some(sha1));
        let counted = self.counted.entry(of).or_default();
        while counted.front().is_some_and(|(at, _)| *at + rate.per <= now) {
            counted.pop_front();
        }
        if !per_file || counted.iter().all(|(_, known)| *known != machine) {
            counted.push_back((now, machine));
        }
        let trips = &mut self.outcome.trips;
        let is_known = |trip: &Trip| trip.rule == rule && trip.breaker == breaker;
        if counted.len() > rate.count as usize && !trips.iter().any(is_known) {
            trips.push(Trip { rule: rule.to_owned(), breaker, rate, at: now });
        }
    }

    pub fn outcome(self) -> Outcome {
        self.outcome
    }
}

impl Outcome {
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
        let machines: HashSet<_> = self.calls.keys().map(|(machine, _)| machine).collect();
        let files: HashSet<_> = self.calls.keys().map(|(_, sha1)| sha1).collect();
        (machines.len(), files.len())
    }
}
