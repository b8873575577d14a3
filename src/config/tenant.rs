//! Tenants: where their Defender stands, who we are there, and what we may call.

use std::time::Duration;

use serde::Deserialize;

use super::values::{Date, NotYet, Secret, Span};
use crate::domain::cloud::{Cloud, Region};

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
    pub credential: Credential,
    #[serde(default)]
    pub budgets: Budgets,
    #[serde(default)]
    pub reserve: Option<NotYet>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    pub client_id: uuid::Uuid,
    pub secret: Secret,
    /// When the client secret ends, as Entra showed it: no token tells.
    pub expires: Option<Date>,
    #[serde(default)]
    pub certificate: Option<NotYet>,
    #[serde(default)]
    pub workload_identity: Option<NotYet>,
    #[serde(default)]
    pub managed_identity: Option<NotYet>,
}

/// Calls a tenant may make to each endpoint. The defaults are Defender's documented limits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Budgets {
    pub quarantine: Vec<Budget>,
    pub machine_actions: Vec<Budget>,
    pub machines: Option<NotYet>,
    pub files: Option<NotYet>,
    pub alerts: Option<NotYet>,
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
            machine_actions: documented,
            machines: None,
            files: None,
            alerts: None,
        }
    }
}

impl Tenant {
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, budget) in [
            ("quarantine", &self.budgets.quarantine),
            ("machine-actions", &self.budgets.machine_actions),
        ] {
            let fits = |b: &Budget| {
                (1..=100_000).contains(&b.calls) && b.per.0 <= Duration::from_secs(86_400)
            };
            if budget.is_empty() || budget.len() > 4 || !budget.iter().all(fits) {
                return Err(format!(
                    "budgets.{name}: give one to four limits of 1 to 100000 calls per at most 1d"
                ));
            }
        }
        Ok(())
    }
}
