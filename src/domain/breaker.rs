//! Breakers: how many actions may be decided within a time before a person is asked. One that
//! trips holds its scope and nothing else, until a person resumes it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::parse_span;

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
        let seconds = self.per.as_secs();
        let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
        let fits = |(size, _): &&(u64, char)| seconds.is_multiple_of(*size);
        let (size, unit) = units.iter().find(fits).unwrap_or(&(1, 's'));
        write!(f, "{}/{}{unit}", self.count, seconds / size)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        for good in ["25/1h", "200/90m", "1/1d", "1000000/7d"] {
            assert_eq!(Rate::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(Rate::parse("25/60m").unwrap().to_string(), "25/1h");
        for bad in ["", "25", "/1h", "0/1h", "-1/1h", "25/1s", "25/8d", "25/1h ", "1000001/1h"] {
            assert_eq!(Rate::parse(bad), None, "{bad}");
        }
    }
}
