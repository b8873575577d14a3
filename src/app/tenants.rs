//! What each tenant has for itself: its client, its relay, and who cancels for it. They start one
//! after the other, who has the most urgent work first.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Parts, StartError, Tuning, credential, settings};
use crate::config::{Config, Tenant};
use crate::domain::action::Class;
use crate::domain::dispatcher::DispatcherSettings;
use crate::domain::ids::TenantName;
use crate::domain::time::{Clocks, written_span};
use crate::domain::tracker::TrackerSettings;
use crate::io::Clock as _;
use crate::io::defender::{DefenderApi, Http};
use crate::io::store::Caller;
use crate::limits::{LIST_PAGE, RELAY_STOP, START_SPACING, TOKEN_SPACING};
use crate::relay::{Canceller, Nudge, Ports, Relay, RelayStatus};

/// All relays, and the bells that wake them, in the order of the configuration.
pub(super) struct Relays {
    pub tasks: Vec<JoinHandle<()>>,
    pub nudges: Arc<[Nudge]>,
    /// Of those who cancel.
    pub cancellers: Arc<[Nudge]>,
    pub statuses: Vec<(TenantName, Arc<RelayStatus>)>,
    pub apis: Vec<Arc<DefenderApi>>,
    /// Whose turn it is to start.
    pub turns: Vec<u32>,
}

pub(super) async fn relays(
    config: &Config,
    parts: &Parts,
    tuning: Tuning,
    stop: &CancellationToken,
) -> Result<Relays, StartError> {
    let newest = parts.store.newest_at_open();
    let behind = newest.is_some_and(|newest| newest > parts.clock.now().wall);
    let wall_trusted = parts.clock.wall_is_synchronised() && !behind;
    let clocks = Clocks { boot_id: parts.clock.boot_id(), wall_trusted };
    let http = settings::http(config).map_err(|why| StartError::new("the calls", why))?;
    let turns = turns(config, parts).await?;
    let (mut tasks, mut nudges, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cancellers, mut apis) = (Vec::new(), Vec::new());
    for (tenant, turn) in config.tenants.iter().zip(&turns) {
        let api = Arc::new(api(config, tenant, parts, &http, *turn)?);
        apis.push(api.clone());
        let ports = Ports {
            store: parts.store.clone(),
            guard: parts.guard.clone(),
            api: api.clone(),
            clock: parts.clock.clone(),
        };
        let settings = dispatcher(config, tenant, tuning);
        let name = settings.tenant.clone();
        let (places, metrics) = (parts.places.clone(), parts.metrics.clone());
        let relay = Relay::new(settings, clocks, ports, places, metrics);
        nudges.push(relay.nudge());
        let canceller = canceller(tenant, parts, api, relay.status());
        cancellers.push(canceller.nudge.clone());
        tasks.push(tokio::spawn(in_turn(*turn, cancel(canceller, stop.clone()))));
        statuses.push((name.clone(), relay.status()));
        let (stop, nudge, turn) = (stop.clone(), relay.nudge(), *turn);
        tasks.push(tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(START_SPACING * turn) => {}
                () = nudge.rings() => {}
                () = stop.cancelled() => {}
            }
            if let Err(why) = relay.run(stop, RELAY_STOP).await {
                tracing::error!(tenant = %name, %why, "the relay ended");
            }
        }));
    }
    let (nudges, cancellers) = (nudges.into(), cancellers.into());
    Ok(Relays { tasks, nudges, cancellers, statuses, apis, turns })
}

/// Refuses a start where a tenant may only have another name now: its budget, its open actions and
/// what blocks its files are kept by name, so that it would begin with an empty window. Whoever
/// takes a tenant out and brings no new one is believed.
pub(super) async fn require_names(config: &Config, parts: &Parts) -> Result<(), StartError> {
    let failed = |why| StartError::new("who has made calls could not be read", why);
    let callers = parts.store.tenants_with_calls().await.map_err(failed)?;
    let called = |tenant: &&Tenant| callers.iter().any(|name| name.as_str() == tenant.name);
    let Some(new) = config.tenants.iter().find(|tenant| !called(tenant)) else { return Ok(()) };
    let budgets = config.tenants.iter().filter(|tenant| !called(tenant));
    let limits = budgets.flat_map(|tenant| settings::limits(&tenant.budgets.quarantine));
    let window = limits.map(|limit| limit.per).max().unwrap_or_default();
    let named = |name: &TenantName| config.tenants.iter().any(|of| of.name == name.as_str());
    for name in callers.iter().filter(|name| !named(name)) {
        let caller = parts.store.caller(name.clone(), parts.clock.now(), window);
        let Caller { tenant, calls, open } = caller.await.map_err(failed)?;
        if let Some(newest) = calls.last() {
            return Err(StartError::new(
                "the tenants",
                format!(
                    "{} calls of the last {} in the store are of tenant {tenant}, which the \
                     configuration does not name; it names {}, which has made none. If that is \
                     the same tenant, give it back the name {tenant}: the budget and {open} open \
                     actions are kept by name. If {tenant} is gone, keep it configured until {}, \
                     when its last call is out of the window (`lazaret pause` stops it)",
                    calls.len(),
                    written_span(window),
                    new.name,
                    *newest + window,
                ),
            ));
        }
    }
    Ok(())
}

/// Does it when the turn has come. A thousand that started at once would also go on to look at the
/// store all at once.
pub(super) async fn in_turn<T>(turn: u32, run: impl Future<Output = T>) -> T {
    tokio::time::sleep(START_SPACING * turn).await;
    run.await
}

/// Of each tenant, in the order of the configuration: how many start before it.
async fn turns(config: &Config, parts: &Parts) -> Result<Vec<u32>, StartError> {
    let failed = |why| StartError::new("what is queued could not be read", why);
    let queued = parts.store.tenants_with_queue().await.map_err(failed)?;
    let names: Vec<_> = config.tenants.iter().map(|tenant| TenantName::new(&tenant.name)).collect();
    Ok(by_urgency(&names, &queued.into_iter().collect()))
}

/// Who has the most urgent work starts first, who has none last; else as they come.
fn by_urgency(tenants: &[TenantName], queued: &HashMap<TenantName, Class>) -> Vec<u32> {
    let mut order: Vec<usize> = (0..tenants.len()).collect();
    order.sort_by_key(|n| {
        let class = queued.get(&tenants[*n]);
        (class.is_none(), class.copied())
    });
    let mut turns = vec![0; order.len()];
    for (turn, n) in (0..).zip(order) {
        turns[n] = turn;
    }
    turns
}

fn api(
    config: &Config,
    tenant: &Tenant,
    parts: &Parts,
    http: &Http,
    turn: u32,
) -> Result<DefenderApi, StartError> {
    let what = format!("tenant {}", tenant.name);
    let (http, clock) = (http.clone(), parts.clock.clone());
    let needs = Some(credential::needs(config, tenant, parts));
    let settings = settings::defender(tenant, TOKEN_SPACING * turn, http, clock, needs);
    let settings = settings.map_err(|why| StartError::new(&what, why))?;
    DefenderApi::new(settings).map_err(|why| StartError::new(&what, why))
}

fn dispatcher(config: &Config, tenant: &Tenant, tuning: Tuning) -> DispatcherSettings {
    DispatcherSettings {
        tenant: TenantName::new(&tenant.name),
        quarantine: settings::limits(&tenant.budgets.quarantine),
        reserve: tenant.reserve,
        machine_actions: settings::limits(&tenant.budgets.machine_actions),
        client_timeout: settings::call_timeout(),
        tracker: TrackerSettings {
            every: tuning.track_every,
            wait: config.reconcile.wait.0,
            page: LIST_PAGE,
        },
    }
}

fn canceller(
    tenant: &Tenant,
    parts: &Parts,
    api: Arc<DefenderApi>,
    status: Arc<RelayStatus>,
) -> Canceller {
    Canceller {
        tenant: TenantName::new(&tenant.name),
        // Each endpoint for machine actions has the same limits, and a count of its own.
        limits: settings::limits(&tenant.budgets.machine_actions),
        store: parts.store.clone(),
        api,
        clock: parts.clock.clone(),
        places: parts.places.clone(),
        nudge: Nudge::default(),
        status,
    }
}

async fn cancel(canceller: Canceller, stop: CancellationToken) {
    let tenant = canceller.tenant.clone();
    if let Err(why) = canceller.run(stop).await {
        tracing::error!(%tenant, %why, "nothing is cancelled any more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_most_urgent_work_starts_first() {
        let names = ["idle", "bulk", "urgent", "idle too", "normal", "urgent too"];
        let names = names.map(TenantName::new);
        let queued = [(1, Class::Bulk), (2, Class::Urgent), (4, Class::Normal), (5, Class::Urgent)];
        let queued = queued.map(|(n, class)| (names[n].clone(), class)).into();
        assert_eq!(by_urgency(&names, &queued), [4, 3, 0, 5, 2, 1]);
        assert_eq!(by_urgency(&names, &HashMap::new()), [0, 1, 2, 3, 4, 5]);
    }
}
