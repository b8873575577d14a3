//! Breakers: how many actions may be decided within a time before a person is asked. One that
//! trips holds its scope and nothing else, until a person resumes it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{EffectKey, MachineId, TenantName};
use super::scope::Scope;
use super::time::{Wall, parse_span, written_span};

/// So many within such a time: `25/1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

impl Rate {
    pub const fn per_hours(count: u32, hours: u64) -> Self {
        Self { count, per: Duration::from_secs(hours * 3600) }
    }

    /// Reads `25/1h`: a whole number from 1 to a million, and a time from a minute to a week.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let digits = count.bytes().all(|b| b.is_ascii_digit());
        let count = digits.then(|| count.parse().ok())?.filter(|n| (1..=1_000_000).contains(n))?;
        let (shortest, longest) = (Duration::from_secs(60), Duration::from_secs(7 * 86_400));
        let per = parse_span(per).filter(|per| (shortest..=longest).contains(per))?;
        Some(Self { count, per })
    }
}

/// As it is written: `25/1h`, `25/90m`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, written_span(self.per))
    }
}

/// What a breaker counts, and with it what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breaker {
    /// Machines on which one file is acted on. Holds that file.
    MachinesPerFile,
    /// Actions that one rule decided. Holds that rule's.
    RuleActions,
    /// Actions of one tenant. Holds the tenant's.
    TenantActions,
    /// Machines of one tenant that are acted on. Holds the tenant's.
    ShareOfFleet,
}

impl Breaker {
    pub const ALL: [Breaker; 4] = [
        Breaker::MachinesPerFile,
        Breaker::RuleActions,
        Breaker::TenantActions,
        Breaker::ShareOfFleet,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Breaker::MachinesPerFile => "machines_per_file",
            Breaker::RuleActions => "rule_actions",
            Breaker::TenantActions => "tenant_actions",
            Breaker::ShareOfFleet => "share_of_fleet",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|breaker| breaker.as_str() == name)
    }
}

impl fmt::Display for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The breakers of a rule's own actions, as its `response` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleBreakers {
    pub machines_per_file: Rate,
    pub actions: Rate,
}

impl Default for RuleBreakers {
    fn default() -> Self {
        Self { machines_per_file: Rate::per_hours(25, 1), actions: Rate::per_hours(200, 1) }
    }
}

/// The breakers over all actions of a tenant, as the configuration has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantBreakers {
    pub actions: Rate,
    /// In machines: the share has been applied to the size of the fleet.
    pub fleet: Option<Rate>,
}

impl Default for TenantBreakers {
    fn default() -> Self {
        Self { actions: Rate::per_hours(1000, 1), fleet: None }
    }
}

/// One breaker of one tenant: what it counts, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub tenant: TenantName,
    pub breaker: Breaker,
    pub scope: Scope,
}

/// How a breaker stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// For each rate that it is asked about: decided within that time, and since it was last
    /// resumed. Counting may stop at the rate.
    pub acted: Vec<(Rate, u32)>,
    /// It has tripped, and nobody has resumed it.
    pub tripped: bool,
    /// The first moment after it was last resumed: nothing counts that is older.
    pub since: Option<Wall>,
    /// Of the machines that are asked about, those counted already: only for a breaker that counts
    /// each machine once.
    pub counted: BTreeSet<MachineId>,
}

/// A breaker that has just tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    pub place: Place,
    /// What happened and how to go on, for people.
    pub why: String,
}

/// An action as breakers see it.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    pub key: &'a EffectKey,
    /// Id of the rule that decides.
    pub rule: &'a str,
    pub breakers: &'a [(Breaker, Rate)],
}

/// What the breakers say of one more action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// It may act, and has been counted.
    Act,
    /// This one holds it, and has tripped by it if there is a trip.
    Hold(Place, Option<Trip>),
}

impl Load<'_> {
    /// The places of all its breakers, with their rates.
    pub fn places(&self) -> impl Iterator<Item = (Place, Rate)> {
        self.breakers.iter().map(|(breaker, rate)| {
            let scope = match breaker {
                Breaker::MachinesPerFile => Scope::Sha1(self.key.sha1),
                Breaker::RuleActions => Scope::Rule(self.rule.to_owned()),
                Breaker::TenantActions | Breaker::ShareOfFleet => {
                    Scope::Tenant(self.key.tenant.clone())
                }
            };
            (Place { tenant: self.key.tenant.clone(), breaker: *breaker, scope }, *rate)
        })
    }

    /// Asks all breakers, and counts the action in each of them if it may act. `gauges` has all of
    /// [`Load::places`].
    pub fn put_on(&self, gauges: &mut HashMap<Place, Gauge>) -> Says {
        for (place, rate) in self.places() {
            let gauge = gauges.entry(place.clone()).or_default();
            if gauge.tripped {
                return Says::Hold(place, None);
            }
            let acted = gauge.acted.iter().find(|(of, _)| *of == rate).map_or(0, |(_, n)| *n);
            if acted >= rate.count && !gauge.counted.contains(&self.key.machine) {
                gauge.tripped = true;
                let why = why(&place, rate);
                return Says::Hold(place.clone(), Some(Trip { place, why }));
            }
        }
        for (place, rate) in self.places() {
            let each_once = place.breaker == Breaker::ShareOfFleet;
            let gauge = gauges.entry(place).or_default();
            if each_once && !gauge.counted.insert(self.key.machine) {
                continue;
            }
            if !gauge.acted.iter().any(|(of, _)| *of == rate) {
                gauge.acted.push((rate, 0));
            }
            gauge.acted.iter_mut().for_each(|(_, n)| *n = n.saturating_add(1));
        }
        Says::Act
    }
}

fn why(place: &Place, rate: Rate) -> String {
    let Place { tenant, breaker, scope } = place;
    let what = match breaker {
        Breaker::MachinesPerFile => format!(
            "{scope} was met on more machines of tenant {tenant} than {rate}: beyond {} machines \
             add a file indicator in Defender",
            rate.count
        ),
        Breaker::RuleActions => {
            format!("{scope} decided more actions for tenant {tenant} than {rate}")
        }
        Breaker::TenantActions => format!("more actions were decided for {scope} than {rate}"),
        Breaker::ShareOfFleet => {
            format!("more machines of {scope} would be touched than {rate}, its share of the fleet")
        }
    };
    format!("{what}; to go on: lazaret resume{} --reason TEXT", scope.option())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        for good in ["25/1h", "200/90m", "1/24h", "1000000/7d"] {
            assert_eq!(Rate::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(Rate::parse("25/60m").unwrap().to_string(), "25/1h");
        for bad in ["", "25", "/1h", "0/1h", "-1/1h", "25/1s", "25/8d", "25/1h ", "1000001/1h"] {
            assert_eq!(Rate::parse(bad), None, "{bad}");
        }
    }

    fn key(machine: u8, sha1: u8) -> EffectKey {
        EffectKey {
            tenant: TenantName::new("contoso"),
            machine: MachineId::from_bytes([machine; 20]),
            sha1: crate::domain::ids::Sha1::from_bytes([sha1; 20]),
        }
    }

    #[test]
    fn the_one_too_many_trips_and_only_its_own_scope() {
        let breakers = [
            (Breaker::MachinesPerFile, Rate::per_hours(2, 1)),
            (Breaker::RuleActions, Rate::per_hours(100, 1)),
        ];
        let mut gauges = HashMap::new();
        let mut put = |machine, sha1| {
            let key = key(machine, sha1);
            Load { key: &key, rule: "r", breakers: &breakers }.put_on(&mut gauges)
        };
        assert_eq!((put(1, 7), put(2, 7)), (Says::Act, Says::Act));
        let Says::Hold(place, Some(trip)) = put(3, 7) else { panic!("the third trips") };
        assert_eq!((&place, place.breaker), (&trip.place, Breaker::MachinesPerFile));
        assert!(trip.why.contains("add a file indicator"), "{}", trip.why);
        assert_eq!(put(4, 7), Says::Hold(place, None), "it has tripped already");
        assert_eq!(put(4, 8), Says::Act, "another file goes on");
        let rule = gauges.iter().find(|(place, _)| place.breaker == Breaker::RuleActions).unwrap();
        assert_eq!(rule.1.acted[0].1, 3, "what is held has not acted");
    }

    #[test]
    fn a_share_of_the_fleet_counts_each_machine_once() {
        let breakers = [(Breaker::ShareOfFleet, Rate::per_hours(2, 24))];
        let mut gauges = HashMap::new();
        let mut put = |machine, sha1| {
            let key = key(machine, sha1);
            Load { key: &key, rule: "r", breakers: &breakers }.put_on(&mut gauges)
        };
        for (machine, sha1) in [(1, 1), (1, 2), (1, 3), (2, 1)] {
            assert_eq!(put(machine, sha1), Says::Act);
        }
        assert!(matches!(put(3, 1), Says::Hold(_, Some(_))));
    }
}
