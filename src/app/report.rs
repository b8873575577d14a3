//! The report of the moment, gathered from all parts.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::reload::Refused;
use super::{Parts, watch};
use crate::config::{Config, Origin};
use crate::domain::ids::TenantName;
use crate::domain::time::Wall;
use crate::intake::{Asking, InForce};
use crate::io::clock::SystemClock;
use crate::io::defender::DefenderApi;
use crate::io::issuer::EntraIssuer;
use crate::io::kafka::KafkaStatus;
use crate::io::notify::ChannelStatus;
use crate::io::store::SqliteStore;
use crate::io::{
    Clock as _, CredentialLine, KafkaLine, RelayLine, Report, STOP_FILE, Store as _, StoreError,
    WindowLine, stop_file,
};
use crate::limits;
use crate::relay::RelayStatus;

/// Knows where every part keeps its status. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reporter(Arc<Sources>);

struct Sources {
    node: String,
    mode: &'static str,
    queue: u64,
    stop_file: PathBuf,
    origin: Origin,
    started: Wall,
    rules: Arc<ArcSwap<InForce>>,
    rules_dir: PathBuf,
    refused: Refused,
    store: Arc<SqliteStore>,
    clock: Arc<SystemClock>,
    watched: Watched,
    issuers: Vec<Arc<EntraIssuer>>,
}

/// What tells of itself.
pub(super) struct Watched {
    pub relays: Vec<(TenantName, Arc<RelayStatus>)>,
    pub kafka: Vec<(String, Arc<KafkaStatus>)>,
    pub channels: Vec<Arc<ChannelStatus>>,
    pub asking: Arc<Asking>,
    pub apis: Vec<Arc<DefenderApi>>,
}

impl Reporter {
    pub(super) fn new(config: &Config, parts: &Parts, watched: Watched) -> Self {
        Self(Arc::new(Sources {
            node: config.node.clone(),
            mode: config.mode.0.as_str(),
            queue: config.limits.queue,
            stop_file: config.store.sqlite.join(STOP_FILE),
            origin: config.origin.clone(),
            started: parts.clock.now().wall,
            rules: parts.rules.clone(),
            rules_dir: super::rules_dir(config),
            refused: parts.refused.clone(),
            store: parts.store.clone(),
            clock: parts.clock.clone(),
            watched,
            issuers: parts.issuers.values().cloned().collect(),
        }))
    }

    pub(super) async fn report(&self) -> Result<Report, StoreError> {
        let from = &self.0;
        let now = from.clock.now().wall;
        let in_force = from.rules.load();
        let rules = &in_force.ruleset;
        let mut report = Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: from.node.clone(),
            mode: from.mode.to_owned(),
            rules: rules.len(),
            ruleset: rules.hash().to_owned(),
            rules_refused: from.refused.load().as_deref().cloned(),
            store_trouble: from.store.trouble(),
            started: from.started,
            now,
            summary: from.store.summary().await?,
            relays: from
                .watched
                .relays
                .iter()
                .map(|(tenant, status)| relay(tenant, status))
                .collect(),
            credentials: from.credentials().await,
            kafka: from
                .watched
                .kafka
                .iter()
                .map(|(source, status)| kafka(source, status, now))
                .collect(),
            channels: from.watched.channels.iter().map(|channel| channel.line()).collect(),
            problems: Vec::new(),
        };
        report.problems.extend(report.store_trouble.clone());
        report.problems.extend(full(&report, from.queue));
        report.problems.extend(stop_file(&from.stop_file));
        report.problems.extend(problems(&report));
        let named = report.relays.iter().map(|relay| relay.tenant.as_str());
        report.problems.extend(report.summary.of_no_tenant(named));
        let untold = from.watched.asking.troubles().into_iter().map(|(tenant, why)| {
            format!("Defender does not tell what alerts of tenant {tenant} need: {why}")
        });
        report.problems.extend(untold);
        let origin = from.origin.clone();
        let changed = tokio::task::spawn_blocking(move || origin.changed()).await;
        report.problems.extend(changed.unwrap_or_default());
        report.problems.extend(from.issuers.iter().filter_map(|issuer| issuer.trouble()));
        if let Some(why) = &report.rules_refused {
            let what = "the rules on disk are refused, the set before stays in force";
            let how = format!("lazaret rules check {}", from.rules_dir.display());
            report.problems.push(format!("{what}: {why}; to go on: {how}"));
        }
        Ok(report)
    }

    /// Names another reader of a consumer group that must be ours alone.
    pub(super) fn foreign_member(&self) -> Option<String> {
        self.0.watched.kafka.iter().find_map(|(source, status)| {
            let member = status.read().foreign_member?;
            Some(format!(
                "another process reads the consumer group of source {source}: {member}; stop one \
                 of the two, then resume"
            ))
        })
    }
}

impl Sources {
    /// Each tenant's, in the order of the configuration. It reads files.
    async fn credentials(&self) -> Vec<CredentialLine> {
        let apis = self.watched.apis.clone();
        let lines = move || apis.iter().map(|api| api.credential()).collect();
        tokio::task::spawn_blocking(lines).await.unwrap_or_default()
    }
}

/// Where no new action fits, so that senders are told to wait.
fn full(report: &Report, queue: u64) -> Option<String> {
    let open = report.summary.states.iter().filter(|of| of.state.is_open());
    let open: u64 = open.map(|of| of.count).sum();
    (open >= queue).then(|| {
        format!(
            "{open} actions are open, the limit of limits.queue is {queue}: what would act is \
             not taken, its senders are told to come again; to go on: lazaret actions list --held"
        )
    })
}

fn relay(tenant: &TenantName, status: &RelayStatus) -> RelayLine {
    let snapshot = status.snapshot();
    let windows = snapshot.used.iter().map(|used| WindowLine {
        used: used.calls as usize,
        calls: used.limit.calls.get() as usize,
        per_seconds: used.limit.per.as_secs_f64(),
    });
    let (blocked_until, blocked) = match (snapshot.blocked, snapshot.shut) {
        (Some((until, why)), _) => (Some(until), Some(why)),
        (None, shut) => (None, shut),
    };
    let (list_failing_since, list_error) = snapshot.unlisted.unzip();
    RelayLine {
        tenant: tenant.to_string(),
        in_flight: snapshot.in_flight,
        in_doubt: snapshot.in_doubt,
        accepted: snapshot.followed,
        windows: windows.collect(),
        share: f64::from(snapshot.share) / 10.0,
        ends: Vec::new(),
        blocked,
        blocked_until,
        list_failing_since,
        list_error,
        stuck: status.why_stuck(),
        answers: status.answers().iter().map(|(kind, of)| (kind.to_string(), *of)).collect(),
    }
}

/// Where nobody knows how actions end, and has not for a while.
fn unlisted(relay: &RelayLine, now: Wall) -> Option<String> {
    let since = relay.list_failing_since.filter(|at| now.since(*at) >= limits::LIST_FAILING)?;
    Some(format!(
        "tenant {}: {} actions that were sent have no end, and will have none, while Defender's \
         list of machine actions fails, since {since}: {}; to go on: lazaret doctor",
        relay.tenant,
        relay.accepted + relay.in_doubt,
        relay.list_error.as_deref().unwrap_or_default(),
    ))
}

/// In percent: below, more than two refusals in a short time say that others call too.
const SHARED: f64 = 80.0;

/// Errors older than this are history.
const RECENT_US: i64 = 60_000_000;

fn kafka(source: &str, status: &KafkaStatus, now: Wall) -> KafkaLine {
    let status = status.read();
    let recent = status.last_error.filter(|error| now.0 - error.at.0 < RECENT_US);
    KafkaLine {
        source: source.to_owned(),
        partitions: status.partitions.len(),
        lag: status.partitions.values().filter_map(|partition| partition.lag).sum(),
        offsets_out_of_log: status.offsets_out_of_log,
        foreign_member: status.foreign_member,
        error: status.ended.or(recent.map(|error| error.text)),
    }
}

/// The worst first: what was lost or runs twice, what keeps calls from leaving, what waits.
fn problems(report: &Report) -> Vec<String> {
    let mut problems = Vec::new();
    for source in &report.kafka {
        if let Some(member) = &source.foreign_member {
            problems.push(format!("another process reads for source {}: {member}", source.source));
        }
        if let Some(error) = &source.error {
            problems.push(format!("source {}: {error}", source.source));
        }
        if source.offsets_out_of_log > 0 {
            problems.push(format!(
                "source {}: {} times an offset lay outside its log: messages were lost before they \
                 could be read; lengthen the topic's retention",
                source.source, source.offsets_out_of_log
            ));
        }
    }
    for relay in &report.relays {
        for why in &relay.stuck {
            problems.push(format!("nothing goes on for tenant {}: {why}", relay.tenant));
        }
        if let Some(why) = &relay.blocked {
            problems.push(format!("nothing is sent for tenant {}: {why}", relay.tenant));
        }
        problems.extend(unlisted(relay, report.now));
        if (0.1..SHARED).contains(&relay.share) {
            problems.push(format!(
                "tenant {}: Defender refused calls that its limits allow, so that {} % of the \
                 budget is used: another program calls with the same application; give it one of \
                 its own, or set budgets.quarantine to what is left for this one",
                relay.tenant, relay.share
            ));
        }
    }
    for credential in &report.credentials {
        problems.extend(watch::of_credential(credential, report.now));
    }
    for channel in &report.channels {
        let long = |since: Wall| report.now.since(since) >= limits::NOTIFY_FAILING;
        if let (Some(since), Some(why)) =
            (channel.failing_since.filter(|s| long(*s)), &channel.error)
        {
            problems.push(format!(
                "channel {name}: messages are not delivered since {since}: {why}; to go on: \
                 lazaret notify test --channel {name}",
                name = channel.name
            ));
        }
    }
    problems.extend(report.summary.problems());
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dispatcher::Snapshot;

    #[test]
    fn a_list_that_fails_is_a_problem_after_some_minutes() {
        let relay = RelayLine {
            tenant: "contoso".to_owned(),
            accepted: 2,
            in_doubt: 1,
            list_failing_since: Some(Wall(0)),
            list_error: Some("403 Forbidden".to_owned()),
            ..RelayLine::default()
        };
        let at = Wall(0) + limits::LIST_FAILING;
        assert_eq!(unlisted(&relay, Wall(at.0 - 1)), None);
        let told = unlisted(&relay, at).unwrap();
        assert!(
            told.contains("contoso: 3 actions") && told.contains(": 403 Forbidden; "),
            "{told}"
        );
        assert_eq!(unlisted(&RelayLine::default(), at), None);
    }

    #[test]
    fn what_keeps_a_tenant_from_going_on_is_a_problem() {
        let relay = RelayLine {
            tenant: "contoso".to_owned(),
            stuck: vec!["could not record what happened: it does not read".to_owned()],
            list_failing_since: Some(Wall(0)),
            ..RelayLine::default()
        };
        let told = problems(&Report::of_relays(vec![relay], Wall(0) + limits::LIST_FAILING));
        let stuck = "nothing goes on for tenant contoso: could not record what happened: it does";
        assert!(told[0].starts_with(stuck), "{told:?}");
        assert!(told[1].contains("list of machine actions fails"), "{told:?}");
    }

    #[test]
    fn a_relay_tells_since_when_lists_fail_and_what_the_store_does_not_do() {
        let status = RelayStatus::default();
        let unlisted = Some((Wall(1), "403 Forbidden".to_owned()));
        status.set(Snapshot { unlisted, ..Snapshot::default() });
        status.stuck("record what happened", Some(&StoreError::Io("no".to_owned())));
        let line = relay(&TenantName::new("contoso"), &status);
        assert_eq!(line.list_failing_since, Some(Wall(1)));
        assert_eq!(line.list_error.as_deref(), Some("403 Forbidden"));
        assert_eq!(line.stuck, status.why_stuck());
        assert_eq!(line.stuck.len(), 1);
    }
}
