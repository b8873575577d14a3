//! Tenants: where their Defender stands, who we are there, and what we may call.

use std::path::Path;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::credential::Credential;
use super::source::Wrong;
use super::values::Span;
use crate::domain::breaker::{Rate, TenantBreakers};
use crate::domain::cloud::{Cloud, Region};
use crate::domain::limiter::Limit;
use crate::domain::time::written_span;

/// One Entra tenant with its Defender.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    pub name: String,
    /// The Entra tenant id.
    pub id: uuid::Uuid,
    #[serde(default)]
    pub cloud: Cloud,
    pub region: Option<Region>,
    /// These three override what cloud and region say.
    pub api: Option<String>,
    pub login: Option<String>,
    pub scope: Option<String>,
    credential: Spanned<Credential>,
    #[serde(default)]
    pub budgets: Budgets,
    /// Calls of the scarcest window that are kept for what comes as urgent: of the one that
    /// allows the fewest for its length.
    #[serde(default)]
    pub reserve: u32,
    /// What all its actions together may come to before a person is asked.
    #[serde(default)]
    pub breakers: Breakers,
    /// How many machines it has, for `breakers.share_of_fleet`.
    pub fleet: Option<u32>,
}

/// The breakers over all actions of a tenant; a rule has its own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Breakers {
    /// `1000/1h` where left out.
    pub actions: Option<RateOf>,
    /// Such as `2%/24h`, of the machines that `fleet` says. No breaker where left out.
    pub share_of_fleet: Option<Share>,
}

/// So many within such a time: `1000/1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateOf(pub Rate);

impl<'de> Deserialize<'de> for RateOf {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Rate::parse(&text).map(Self).ok_or_else(|| {
            let how = "write 1 to 1000000 within 1m to 7d, such as 1000/1h";
            D::Error::custom(format!("{text:?} is no rate of a breaker: {how}"))
        })
    }
}

/// A share of all machines within such a time: `2%/24h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    pub percent: f64,
    pub per: Duration,
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let read = || {
            let (percent, per) = text.split_once("%/")?;
            let percent = percent.parse().ok().filter(|p| (0.01..=100.0).contains(p))?;
            // The time as every rate has it.
            Rate::parse(&format!("1/{per}")).map(|rate| Self { percent, per: rate.per })
        };
        read().ok_or_else(|| {
            let how = "write 0.01% to 100% within 1m to 7d, such as 2%/24h";
            D::Error::custom(format!("{text:?} is no share: {how}"))
        })
    }
}

impl Tenant {
    /// Its breakers, with the share as a number of machines, at least one.
    pub fn breakers(&self) -> TenantBreakers {
        let default = TenantBreakers::default();
        let machines = |share: Share, fleet: u32| {
            let machines = (f64::from(fleet) * share.percent / 100.0).floor().max(1.0);
            Rate { count: machines as u32, per: share.per }
        };
        let share = self.breakers.share_of_fleet.zip(self.fleet);
        TenantBreakers {
            actions: self.breakers.actions.map_or(default.actions, |of| of.0),
            fleet: share.map(|(share, fleet)| machines(share, fleet)),
        }
    }
}

/// Calls a tenant may make to each endpoint. The defaults are Defender's documented limits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Budgets {
    pub quarantine: Vec<Budget>,
    pub machine_actions: Vec<Budget>,
    pub alerts: Vec<Budget>,
    pub machines: Vec<Budget>,
    pub files: Vec<Budget>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub calls: u32,
    pub per: Span,
}

impl Default for Budgets {
    fn default() -> Self {
        let documented = vec![
            Budget { calls: 100, per: Span::seconds(60) },
            Budget { calls: 1500, per: Span::hours(1) },
        ];
        Self {
            quarantine: documented.clone(),
            machine_actions: documented.clone(),
            alerts: documented.clone(),
            machines: documented.clone(),
            files: documented,
        }
    }
}

impl Tenant {
    /// Who Lazaret is there.
    pub fn credential(&self) -> &Credential {
        &self.credential.value
    }

    pub(super) fn resolve_paths(&mut self, base: &Path) {
        let key = format!("tenants[{}].credential", self.name);
        self.credential.value.resolve(base, &key);
    }

    pub(super) fn check(&self) -> Result<(), Wrong> {
        let credential = self.credential.value.check();
        credential.map_err(|why| Wrong {
            why: format!("credential: {why}"),
            at: Some(self.credential.referenced),
        })?;
        if self.breakers.share_of_fleet.is_some() && self.fleet.is_none_or(|fleet| fleet == 0) {
            let how = "say how many machines the tenant has, such as fleet: 12000";
            let why = format!("breakers.share_of_fleet needs the key fleet: {how}");
            return Err(why.into());
        }
        for (name, budget) in [
            ("quarantine", &self.budgets.quarantine),
            ("machine-actions", &self.budgets.machine_actions),
            ("alerts", &self.budgets.alerts),
            ("machines", &self.budgets.machines),
            ("files", &self.budgets.files),
        ] {
            let fits = |b: &Budget| {
                (1..=100_000).contains(&b.calls) && b.per.0 <= Duration::from_secs(86_400)
            };
            if budget.is_empty() || budget.len() > 4 || !budget.iter().all(fits) {
                let how = "give one to four limits of 1 to 100000 calls per at most 1d";
                return Err(format!("budgets.{name}: {how}").into());
            }
        }
        self.check_reserve()?;
        Ok(self.check_tracker()?)
    }

    fn check_reserve(&self) -> Result<(), String> {
        let budgets = self.budgets.quarantine.iter();
        let limits = budgets.filter_map(|budget| Limit::new(budget.calls, budget.per.0));
        let scarcest = limits.max_by_key(|limit| limit.scarcity());
        let calls = scarcest.map_or(0, |limit| limit.calls.get());
        if self.reserve > calls / 2 {
            return Err(format!(
                "reserve: {} of {calls} calls leaves too few for the rest: keep half at most",
                self.reserve
            ));
        }
        Ok(())
    }

    /// Two calls a minute are for following actions to their end. A list of more pages than that
    /// goes on in the next minute.
    fn check_tracker(&self) -> Result<(), String> {
        let scarce =
            |budget: &&Budget| f64::from(budget.calls) * 60.0 < 2.0 * budget.per.0.as_secs_f64();
        match self.budgets.machine_actions.iter().find(scarce) {
            Some(budget) => Err(format!(
                "budgets.machine-actions: {} calls per {} are fewer than the two a minute that \
                 following actions to their end takes",
                budget.calls,
                written_span(budget.per.0)
            )),
            None => Ok(()),
        }
    }
}
