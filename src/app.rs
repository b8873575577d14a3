//! The composition root: builds every part from the configuration, starts them in the order of
//! need, and stops them in the order of the line, so that what was taken in is finished.

pub mod files;
pub mod settings;

mod admin;
pub mod audit;
pub mod credential;
pub mod notify;
mod reload;

mod report;

mod start;

mod tenants;

mod vital;

mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::action::Approvals;
use crate::domain::audit::What;
use crate::domain::guard::{self, Due, Guard, Stop};
use crate::domain::rule::{Mode, Protection};
use crate::domain::time::Wall;
use crate::intake::{Asking, InForce};
use crate::io::clock::SystemClock;
use crate::io::kafka::{KafkaSource, KafkaStatus};
use crate::io::notify::ChannelStatus;
use crate::io::places::Places;
use crate::io::store::SqliteStore;
use crate::io::{Clock as _, Delivery, Store};
use crate::limits::{BODIES_IN_MEMORY, INTAKE_QUEUE, KAFKA_STOP};
use crate::metrics::Metrics;
use crate::rules::Loaded;
use crate::serve::Certificate;

/// In the data directory: a token with role operate for whoever can read that directory, made
/// anew at each start.
pub const LOCAL_TOKEN_FILE: &str = "admin.token";

/// Why the service did not start. One message for people, with what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl StartError {
    fn new(what: &str, why: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

/// What the demo and tests turn, and nobody else: how often machine actions are looked at while
/// one of them is young. For older ones it is multiplied, see [`crate::limits::LIST_PACES`].
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    pub track_every: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { track_every: Duration::from_secs(30) }
    }
}

/// A running service.
pub struct App {
    pub webhooks: Option<SocketAddr>,
    pub admin: SocketAddr,
    store: Arc<SqliteStore>,
    clock: Arc<SystemClock>,
    stop_sources: CancellationToken,
    stop_relays: CancellationToken,
    stop_channels: CancellationToken,
    stop_others: CancellationToken,
    failed: CancellationToken,
    kafka: Vec<KafkaSource>,
    receiver: Option<JoinHandle<()>>,
    intake: JoinHandle<()>,
    relays: Vec<JoinHandle<()>>,
    channels: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    certificates: Vec<Arc<Certificate>>,
    reload_rules: Arc<Notify>,
}

/// Opens the store of a configuration. One process at a time: it fails while the service runs.
pub fn open_store(config: &Config) -> Result<SqliteStore, StartError> {
    SqliteStore::open(&config.store.sqlite, config.limits.queue)
        .map_err(|why| StartError::new("the store", why))
}

/// The directory of the rules as it can be named from anywhere: in what other processes, or people
/// elsewhere, read.
fn rules_dir(config: &Config) -> PathBuf {
    std::path::absolute(&config.rules).unwrap_or_else(|_| config.rules.clone())
}

/// That there is no rule of this id in the directory, and how to see those that are.
pub fn no_rule(id: &str, dir: &Path) -> String {
    format!("there is no rule {id}; to go on: lazaret rules list {}", dir.display())
}

/// Judges actions again by the rules on disk, for a person who works on the store itself.
pub fn guard(config: &Config) -> Result<Arc<dyn Guard>, StartError> {
    let now = SystemClock::new().now().wall;
    let loaded = settings::rules(config, now).map_err(|why| StartError::new("the rules", why))?;
    let Loaded { ruleset, formats, .. } = loaded;
    let rules = Arc::new(ArcSwap::from_pointee(InForce { ruleset, formats }));
    Ok(Arc::new(RulesGuard { rules, ceiling: config.mode.0 }))
}

fn watched(
    relays: &tenants::Relays,
    kafka: &[(String, KafkaSource)],
    channels: Vec<Arc<ChannelStatus>>,
    asking: Arc<Asking>,
) -> report::Watched {
    let statuses = kafka.iter().map(|(name, source)| (name.clone(), source.status()));
    report::Watched {
        relays: relays.statuses.clone(),
        kafka: statuses.collect(),
        channels,
        asking,
        apis: relays.apis.clone(),
    }
}

impl App {
    /// Builds and starts everything. On an error nothing is left running.
    pub async fn start(config: &Config, tuning: Tuning) -> Result<Self, StartError> {
        let parts = Parts::new(config)?;
        tenants::require_names(config, &parts).await?;
        let (send, receive) = mpsc::channel::<Delivery>(INTAKE_QUEUE);
        let stop_sources = CancellationToken::new();
        let stop_relays = CancellationToken::new();
        let stop_channels = CancellationToken::new();
        let stop_others = CancellationToken::new();
        let failed = CancellationToken::new();
        let stop_if_failed = [&stop_sources, &stop_relays, &stop_channels, &stop_others]
            .map(|s| s.clone().drop_guard());

        let channels = notify::ready(config, &parts, &stop_channels).await?;
        let webhooks = start::bind_webhooks(config, &parts).await?;
        let admin = start::bind_admin(config, &parts).await?;
        // Before anything that may act, or change the rules.
        start::note_start(config, &parts).await?;
        let relays = tenants::relays(config, &parts, tuning, &stop_relays).await?;
        let intake = start::intake(config, &parts, &relays, receive, &stop_relays)?;
        let kafka = start::kafka(config, &parts, &send)?;

        let watched = watched(&relays, &kafka, channels.statuses, intake.asking);
        let reporter = report::Reporter::new(config, &parts, watched);
        let mut certificates = Vec::new();
        certificates.extend(webhooks.as_ref().and_then(|listening| listening.certificate()));
        certificates.extend(admin.certificate());
        let webhook_address = webhooks.as_ref().map(|listening| listening.local_addr());
        let admin_address = admin.local_addr();
        let tokens = Arc::new(audit::tokens(config, &parts)?);
        let reload_rules = Arc::new(Notify::new());
        let others = vec![
            audit::keep(&parts, tokens.clone(), &stop_others),
            reload::watch(config, &parts, reload_rules.clone(), &stop_others),
            admin::admin(config, &parts, admin, tokens, reporter.clone(), &relays, &stop_others),
            start::housekeeping(config, &parts, reporter, &stop_others, &failed),
            watch::start(config, &parts, &relays.apis, &stop_others),
            vital::kafka(&parts, &failed, &stop_others),
        ];
        let receiver = webhooks
            .map(|listening| tokio::spawn(listening.serve(send.clone(), stop_sources.clone())))
            .map(|task| vital::task("the webhook listener", task, &failed));
        drop(send);
        let (relays, askers) = (relays.tasks, intake.askers);
        let intake = vital::task("intake", intake.task, &failed);
        let relays = vital::tasks("a relay", relays.into_iter().chain(askers), &failed);
        let channels = vital::tasks("a channel", channels.tasks, &failed);
        let others = vital::tasks("a part", others, &failed);
        for guard in stop_if_failed {
            guard.disarm();
        }
        Ok(Self {
            webhooks: webhook_address,
            admin: admin_address,
            store: parts.store,
            clock: parts.clock,
            stop_sources,
            stop_relays,
            stop_channels,
            stop_others,
            failed,
            kafka: kafka.into_iter().map(|(_, source)| source).collect(),
            receiver,
            intake,
            relays,
            channels,
            others,
            certificates,
            reload_rules,
        })
    }

    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Reads the rules again, soon, also where their files look as they did.
    pub fn reload_rules(&self) {
        self.reload_rules.notify_one();
    }

    /// Reads the certificates of both listeners again.
    pub fn reload_certificates(&self) {
        for certificate in &self.certificates {
            match certificate.reload() {
                Ok(_) => tracing::info!("certificates were read again"),
                Err(why) => tracing::error!(%why, "the old certificate stays"),
            }
        }
    }

    /// Stops in the order of the line: sources, intake, relays, channels, the rest. What was taken
    /// in is durable and acknowledged; calls in flight are answered and recorded, or left in doubt
    /// for the next start.
    pub async fn stop(self) {
        self.stop_sources.cancel();
        for source in self.kafka {
            let stopped = tokio::task::spawn_blocking(move || source.stop(KAFKA_STOP));
            join("a Kafka source", stopped).await;
        }
        if let Some(receiver) = self.receiver {
            join("the webhook listener", receiver).await;
        }
        join("intake", self.intake).await;
        self.stop_relays.cancel();
        for relay in self.relays {
            join("a relay", relay).await;
        }
        let what = What::Stopped;
        if let Err(why) = self.store.apply(None, vec![start::note(&self.clock, what)]).await {
            tracing::error!(%why, "the stop could not be noted");
        }
        self.stop_channels.cancel();
        for channel in self.channels {
            join("a channel", channel).await;
        }
        self.stop_others.cancel();
        for task in self.others {
            join("a listener", task).await;
        }
        self.store.close().await;
    }

    /// Returns when the service can't go on: the store has closed itself after an I/O error, so
    /// that only a new start can tell what is on disk; or a part of it has panicked.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }
}

async fn join<T>(what: &str, task: JoinHandle<T>) {
    if let Err(why) = task.await {
        tracing::error!(%why, "{what} did not end well");
    }
}

/// What several parts share.
struct Parts {
    clock: Arc<SystemClock>,
    store: Arc<SqliteStore>,
    metrics: Arc<Metrics>,
    rules: Arc<ArcSwap<InForce>>,
    known: reload::Known,
    refused: reload::Refused,
    bodies: Arc<Semaphore>,
    places: Places,
    /// Of the Kafka sources, once they are started.
    kafka: Arc<OnceLock<Vec<Arc<KafkaStatus>>>>,
    guard: Arc<dyn Guard>,
    issuers: start::Issuers,
}

/// Judges actions again by the rules in force.
struct RulesGuard {
    rules: Arc<ArcSwap<InForce>>,
    ceiling: Mode,
}

impl Guard for RulesGuard {
    fn stops(&self, due: &Due<'_>, now: Wall) -> Option<Stop> {
        guard::stops(&self.rules.load().ruleset, self.ceiling, due, now)
    }

    fn protection(&self, candidate: &str, now: Wall) -> Protection {
        guard::protection(&self.rules.load().ruleset, candidate, now)
    }

    fn approvals(&self, rule: &str) -> Approvals {
        self.rules.load().ruleset.approvals(rule)
    }
}

impl Parts {
    fn new(config: &Config) -> Result<Self, StartError> {
        let clock = Arc::new(SystemClock::new());
        let (rules, known) = reload::first(config, clock.now().wall)?;
        let rules = Arc::new(ArcSwap::from_pointee(rules));
        let store = Arc::new(open_store(config)?);
        let guard = Arc::new(RulesGuard { rules: rules.clone(), ceiling: config.mode.0 });
        let issuers = start::issuers(config, &clock)?;
        Ok(Self {
            clock,
            store,
            metrics: Arc::new(Metrics::new()),
            rules,
            known,
            refused: reload::Refused::default(),
            bodies: Arc::new(Semaphore::new(BODIES_IN_MEMORY)),
            places: Places::default(),
            kafka: Arc::default(),
            guard,
            issuers,
        })
    }
}
