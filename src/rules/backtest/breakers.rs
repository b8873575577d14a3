//! The breakers that would trip, if a person resumed each at once.

use std::collections::{HashMap, VecDeque};

use super::Effect;
use crate::domain::breaker::{Breaker, Rate, TenantBreakers};
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::time::Wall;

/// Whose breaker it is, and so what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holds<'r> {
    /// By id: actions of this rule, or files that it acts on.
    Rule(&'r str),
    /// By its place: all actions of a tenant.
    Tenant(usize),
}

/// A breaker that would have held what came after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip<'r> {
    pub holds: Holds<'r>,
    pub breaker: Breaker,
    pub rate: Rate,
    /// When it would have tripped first.
    pub at: Wall,
    /// How often, if it was resumed at once each time; over all files and tenants for a rule.
    pub times: u64,
}

/// Everything that breakers count.
#[derive(Default)]
pub(super) struct Gauges<'r> {
    /// By tenant, and for a breaker over files by file: breakers of a rule are each tenant's own.
    gauges: HashMap<(Holds<'r>, Breaker, usize, Option<Sha1>), Gauge>,
    trips: Vec<Trip<'r>>,
}

/// What was counted within the rate, and since it was last resumed.
#[derive(Default)]
struct Gauge {
    acted: VecDeque<(Wall, MachineId)>,
    /// For one that counts each machine once: when it was last acted on.
    machines: HashMap<MachineId, Wall>,
}

impl<'r> Gauges<'r> {
    /// Counts a call for one of the breakers of the rule that decided it.
    pub fn count(&mut self, by: &'r str, breaker: Breaker, rate: Rate, effect: Effect, at: Wall) {
        self.count_for(Holds::Rule(by), breaker, rate, effect, at);
    }

    /// Counts a call for the breakers of its tenant.
    pub fn count_tenant(&mut self, breakers: TenantBreakers, effect: Effect, at: Wall) {
        let holds = Holds::Tenant(effect.tenant);
        self.count_for(holds, Breaker::TenantActions, breakers.actions, effect, at);
        if let Some(rate) = breakers.fleet {
            self.count_for(holds, Breaker::ShareOfFleet, rate, effect, at);
        }
    }

    fn count_for(
        &mut self,
        holds: Holds<'r>,
        breaker: Breaker,
        rate: Rate,
        effect: Effect,
        at: Wall,
    ) {
        let file = (breaker == Breaker::MachinesPerFile).then_some(effect.sha1);
        let gauge = self.gauges.entry((holds, breaker, effect.tenant, file)).or_default();
        let counted = match breaker {
            Breaker::RuleActions | Breaker::TenantActions => {
                gauge.pass(rate, at);
                gauge.acted.push_back((at, effect.machine));
                gauge.acted.len()
            }
            Breaker::MachinesPerFile | Breaker::ShareOfFleet => {
                gauge.pass(rate, at);
                gauge.acted.push_back((at, effect.machine));
                gauge.machines.insert(effect.machine, at);
                gauge.machines.len()
            }
        };
        if counted <= rate.count as usize {
            return;
        }
        *gauge = Gauge::default();
        let is_known = |trip: &&mut Trip<'_>| trip.holds == holds && trip.breaker == breaker;
        match self.trips.iter_mut().find(is_known) {
            Some(trip) => trip.times += 1,
            None => self.trips.push(Trip { holds, breaker, rate, at, times: 1 }),
        }
    }

    /// Those that tripped, in the order of their first time.
    pub fn trips(self) -> Vec<Trip<'r>> {
        self.trips
    }
}

impl Gauge {
    /// Forgets what the rate does not look at any more.
    fn pass(&mut self, rate: Rate, now: Wall) {
        while let Some(&(at, machine)) = self.acted.front()
            && at + rate.per <= now
        {
            self.acted.pop_front();
            if self.machines.get(&machine) == Some(&at) {
                self.machines.remove(&machine);
            }
        }
    }
}
