//! The admin listener, given what it answers from.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::report::Reporter;
use super::tenants::Relays;
use crate::config::Config;
use crate::domain::ids::TenantName;
use crate::io::admin::{self, Admin, Tokens};
use crate::serve::Listening;

pub(super) fn admin(
    config: &Config,
    parts: &Parts,
    listening: Listening,
    tokens: Arc<Tokens>,
    reporter: Reporter,
    relays: &Relays,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (nudges, cancellers) = (relays.nudges.clone(), relays.cancellers.clone());
    let statuses: HashMap<_, _> = relays.statuses.iter().cloned().collect();
    let resumed = Arc::new(move || nudges.iter().for_each(crate::relay::Nudge::resumed));
    let (rules, rules_dir) = (parts.rules.clone(), super::rules_dir(config));
    let admin = Admin {
        store: parts.store.clone(),
        clock: parts.clock.clone(),
        metrics: parts.metrics.clone(),
        tokens,
        report: Arc::new(move || {
            let reporter = reporter.clone();
            Box::pin(async move { reporter.report().await })
        }),
        forecast: Arc::new(move |tenant| statuses.get(tenant)?.snapshot().forecast),
        resumed,
        guard: parts.guard.clone(),
        no_rule: Arc::new(move |id| {
            let is_none = rules.load().ruleset.mode(id).is_none();
            is_none.then(|| super::no_rule(id, &rules_dir))
        }),
        recalls: parts.store.clone(),
        recalled: Arc::new(move || cancellers.iter().for_each(crate::relay::Nudge::work)),
        glance: admin::Glance::default(),
        tenants: config.tenants.iter().map(|tenant| TenantName::new(&tenant.name)).collect(),
    };
    tokio::spawn(listening.serve(admin::router(admin), stop.clone()))
}
