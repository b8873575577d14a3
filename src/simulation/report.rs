//! What happened in a run, counted from its history.

use std::collections::{BTreeMap, BTreeSet};

use super::history::checker::Doubles;
use super::history::{Broken, Crossing, Event, Fault, Invariant, Moved};
use super::servers::Model;
use crate::domain::action::StateName;

/// How the run of one seed went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    pub model: Model,
    /// True time that passed, in microseconds.
    pub time: i64,
    pub tally: Tally,
    /// Of everything that happened, in order: the same in every run of that seed.
    pub digest: u64,
    /// Where something that must hold did not, and the run ended.
    pub broken: Option<Broken>,
}

/// Numbers of what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub events: u64,
    pub deliveries: BTreeSet<u32>,
    /// How often a delivery was handed over again.
    pub again: u64,
    pub acknowledged: BTreeSet<u32>,
    pub created: u64,
    /// Candidates that belong to an action that was there.
    pub duplicates: u64,
    /// Candidates that a deny rule covers.
    pub spared: u64,
    /// Actions by how they ended.
    pub ended: BTreeMap<StateName, u64>,
    /// Moves that were made.
    pub moves: BTreeSet<(StateName, StateName)>,
    pub attempts: u64,
    pub calls: u64,
    /// Calls that were answered with 429.
    pub too_many: u64,
    pub crashes: BTreeMap<Crossing, u64>,
    pub faults: BTreeMap<Fault, u64>,
    pub pauses: u64,
    pub doubles: Doubles,
    /// How often each was checked.
    pub checked: BTreeMap<Invariant, u64>,
}

impl Tally {
    pub(super) fn count(&mut self, event: &Event) {
        self.events += 1;
        match *event {
            Event::Delivered { delivery, .. } => {
                self.again += u64::from(!self.deliveries.insert(delivery));
            }
            Event::Acknowledged { delivery } => {
                self.acknowledged.insert(delivery);
            }
            Event::Created(_) => self.created += 1,
            Event::Linked { .. } => self.duplicates += 1,
            Event::Spared { .. } => self.spared += 1,
            Event::Moved(Moved { from, to, .. }) => {
                self.moves.insert((from, to));
                if !to.is_open() {
                    *self.ended.entry(to).or_default() += 1;
                }
            }
            Event::Written { .. } => self.attempts += 1,
            Event::Counted { .. } => self.calls += 1,
            Event::TooMany { .. } => self.too_many += 1,
            Event::Crashed { at } => *self.crashes.entry(at).or_default() += 1,
            Event::Went(fault) => *self.faults.entry(fault).or_default() += 1,
            Event::Paused { .. } => self.pauses += 1,
            _ => {}
        }
    }

    /// Adds another run.
    pub fn add(&mut self, other: &Tally) {
        self.events += other.events;
        self.again += other.again;
        self.created += other.created;
        self.duplicates += other.duplicates;
        self.spared += other.spared;
        self.attempts += other.attempts;
        self.calls += other.calls;
        self.too_many += other.too_many;
        self.pauses += other.pauses;
        self.doubles.hidden += other.doubles.hidden;
        self.doubles.by_clock += other.doubles.by_clock;
        self.moves.extend(&other.moves);
        add(&mut self.ended, &other.ended);
        add(&mut self.crashes, &other.crashes);
        add(&mut self.faults, &other.faults);
        add(&mut self.checked, &other.checked);
    }
}

fn add<K: Copy + Ord>(to: &mut BTreeMap<K, u64>, other: &BTreeMap<K, u64>) {
    for (key, number) in other {
        *to.entry(*key).or_default() += number;
    }
}
