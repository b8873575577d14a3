//! The parts, one function for each: from settings to something that runs.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::report::Reporter;
use super::tenants::{Relays, in_turn};
use super::{Parts, StartError, settings};
use crate::config::{Config, Kind};
use crate::domain::audit::{Actor, Change, What};
use crate::domain::ids::{SourceName, TenantName};
use crate::domain::scope::Scope;
use crate::intake::{Asking, Intake, Nudge, ReadUpTo};
use crate::io::clock::SystemClock;
use crate::io::issuer::EntraIssuer;
use crate::io::kafka::{KafkaSource, StoredOffsets};
use crate::io::store::SqliteStore;
use crate::io::webhook::{self, Webhooks};
use crate::io::{
    Clock as _, Delivery, ITSELF, Pause, Retention, STOP_FILE, Store as _, StoreError, stop_file,
};
use crate::limits::{BODY_WITHIN, PURGE_EVERY, WATCH_EVERY};
use crate::rules::Contents;
use crate::serve::{self, ConnectionLimits, Listening, body::BodyLimits};

type Started<T> = Result<T, StartError>;

/// The issuers of all sources, each once.
pub(super) type Issuers = HashMap<String, Arc<EntraIssuer>>;

/// Starts to keep the keys of every issuer.
pub(super) fn issuers(config: &Config, clock: &Arc<SystemClock>) -> Started<Issuers> {
    let mut issuers = Issuers::new();
    let sources = settings::webhooks(config);
    let sources = sources.map_err(|why| StartError::new("the webhook listener", why))?;
    for settings in sources.into_iter().filter_map(|source| source.issuer) {
        let (url, clock) = (settings.url().to_owned(), clock.clone());
        issuers.entry(url).or_insert_with(|| Arc::new(EntraIssuer::start(settings, clock)));
    }
    Ok(issuers)
}

fn connections(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        total: config.limits.connections,
        per_address: config.limits.connections_per_address,
        ..ConnectionLimits::default()
    }
}

pub(super) async fn bind_webhooks(config: &Config, parts: &Parts) -> Started<Option<Webhooks>> {
    let Some(listen) = &config.listen.webhooks else { return Ok(None) };
    let wrong = |why: &dyn std::fmt::Display| StartError::new("the webhook listener", why);
    let sources = settings::webhooks(config).map_err(|why| wrong(&why))?.into_iter();
    let sources = sources.map(|settings::WebhookSource { name, seal, issuer, origins }| {
        let issuer = issuer.and_then(|issuer| parts.issuers.get(issuer.url()).cloned());
        webhook::Source { name, seal, issuer: issuer.map(|issuer| issuer as _), origins }
    });
    let listener = serve::Settings {
        name: "webhooks",
        address: listen.address,
        tls: listen.tls.as_ref().map(settings::webhook_tls),
        limits: connections(config),
        metrics: parts.metrics.clone(),
    };
    let bytes_max = usize::try_from(config.limits.body.0).unwrap_or(usize::MAX);
    let settings = webhook::Settings {
        listener,
        body: BodyLimits { bytes_max, within: BODY_WITHIN },
        memory: parts.bodies.clone(),
        sources: sources.collect(),
        clock: parts.clock.clone(),
        metrics: parts.metrics.clone(),
    };
    Webhooks::bind(settings).await.map(Some).map_err(|why| wrong(&why))
}

pub(super) async fn bind_admin(config: &Config, parts: &Parts) -> Started<Listening> {
    let settings = serve::Settings {
        name: "admin",
        address: config.listen.admin.address,
        tls: config.listen.admin.tls.as_ref().map(settings::admin_tls),
        limits: ConnectionLimits { strangers_make_room: true, ..connections(config) },
        metrics: parts.metrics.clone(),
    };
    Listening::bind(settings).await.map_err(|why| StartError::new("the admin listener", why))
}

/// Intake, and whoever asks Defender for it.
pub(super) struct Intaking {
    pub task: JoinHandle<()>,
    pub askers: Vec<JoinHandle<()>>,
    pub asking: Arc<Asking>,
}

pub(super) fn intake(
    config: &Config,
    parts: &Parts,
    relays: &Relays,
    deliveries: mpsc::Receiver<Delivery>,
    stop: &CancellationToken,
) -> Started<Intaking> {
    let settings = settings::intake(config).map_err(|why| StartError::new("intake", why))?;
    let names = config.tenants.iter().map(|tenant| TenantName::new(&tenant.name));
    let nudges: HashMap<_, _> = names.zip(relays.nudges.iter().cloned()).collect();
    let nudge: Nudge = Arc::new(move |tenant| {
        if let Some(relay) = nudges.get(tenant) {
            relay.work();
        }
    });
    let kafka = parts.kafka.clone();
    let read_by_sources: ReadUpTo = Arc::new(move |now| {
        let mut sources = kafka.get()?.iter().map(|source| source.read().read_up_to());
        sources.try_fold(now, |until, source| Some(until.min(source?)))
    });
    let intake = Intake::new(
        settings,
        parts.rules.clone(),
        parts.store.clone(),
        parts.clock.clone(),
        nudge,
        read_by_sources,
        parts.metrics.clone(),
    );
    let mut askers = Vec::new();
    for (n, (tenant, api)) in config.tenants.iter().zip(&relays.apis).enumerate() {
        let name = TenantName::new(&tenant.name);
        let budgets = settings::asking(&tenant.budgets);
        let (store, places) = (parts.store.clone(), parts.places.clone());
        let asker = intake.asker(name, store, api.clone(), places, budgets);
        let run = asker.run(stop.clone());
        askers.push(tokio::spawn(in_turn(relays.turns[n], run)));
    }
    let asking = intake.asking();
    Ok(Intaking { task: tokio::spawn(intake.run(deliveries)), askers, asking })
}

pub(super) fn kafka(
    config: &Config,
    parts: &Parts,
    deliveries: &mpsc::Sender<Delivery>,
) -> Started<Vec<(String, KafkaSource)>> {
    let mut sources = Vec::new();
    for source in &config.sources {
        let Kind::Kafka(kafka) = source.kind() else { continue };
        let what = format!("source {}", source.name);
        let settings = settings::kafka(config, source, kafka, parts.clock.clone());
        let settings = settings.map_err(|why| StartError::new(&what, why))?;
        let (store, name) = (parts.store.clone(), SourceName::new(&source.name));
        let stored: StoredOffsets = Arc::new(move || store.offsets(&name));
        let started = KafkaSource::start(
            settings,
            stored,
            deliveries.clone(),
            parts.clock.clone(),
            parts.bodies.clone(),
        );
        let started = started.map_err(|why| StartError::new(&what, why))?;
        sources.push((source.name.clone(), started));
    }
    let statuses = sources.iter().map(|(_, source)| source.status()).collect();
    // Set once: there is one start.
    let _ = parts.kafka.set(statuses);
    Ok(sources)
}

/// Deletes old rows, holds the dispatch where another process reads our consumer group, and says so
/// when the store has closed itself.
pub(super) fn housekeeping(
    config: &Config,
    parts: &Parts,
    reporter: Reporter,
    stop: &CancellationToken,
    failed: &CancellationToken,
) -> JoinHandle<()> {
    let failed = failed.clone();
    let retention = Retention {
        fates: config.retention.fates.0,
        actions: config.retention.actions.0,
        unreadable: config.retention.unreadable.0,
        // Evidence of an older alert would be too old anyway.
        partials: config.limits.alert_age.0.max(config.join.expire.0),
    };
    let (store, clock, stop) = (parts.store.clone(), parts.clock.clone(), stop.clone());
    let file = config.store.sqlite.join(STOP_FILE);
    tokio::spawn(async move {
        let mut purge = interval(PURGE_EVERY);
        let mut watch = interval(WATCH_EVERY);
        purge.set_missed_tick_behavior(MissedTickBehavior::Delay);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held = false;
        let mut was_stopped = false;
        let nobody = SourceName::new("");
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = purge.tick() => {
                    if let Err(why) = store.purge(retention, clock.now().wall).await {
                        tracing::error!(%why, "old rows could not be deleted");
                    }
                }
                _ = watch.tick() => {
                    // Closed by an I/O error: only a new start can tell what is on disk.
                    if let Err(why @ StoreError::Closed) = store.offsets(&nobody).await {
                        tracing::error!(%why, "the service stops");
                        failed.cancel();
                        return;
                    }
                    // What fails is told where it is reported.
                    if store.trouble().is_some() && store.probe(clock.now().wall).await.is_ok() {
                        tracing::info!("the store writes again");
                    }
                    let stopped = stop_file(&file).is_some();
                    if stopped != was_stopped && note_stop_file(&store, &clock, stopped).await {
                        was_stopped = stopped;
                    }
                    let foreign = reporter.foreign_member();
                    if let (Some(reason), false) = (&foreign, held) {
                        let (by, at) = (ITSELF.to_owned(), clock.now().wall);
                        let pause = Pause { scope: Scope::All, by, reason: reason.clone(), at };
                        match store.pause(pause).await {
                            Ok(()) => {
                                tracing::error!(reason, "paused until a person resumes");
                                held = true;
                            }
                            Err(why) => tracing::error!(%why, reason, "the pause is tried again"),
                        }
                    }
                    held &= foreign.is_some();
                }
            }
        }
    })
}

/// Attempts stop by the file itself; here it comes into the log and on the record. `false` where
/// the store can't write.
async fn note_stop_file(store: &SqliteStore, clock: &SystemClock, there: bool) -> bool {
    if there {
        tracing::error!("nothing is sent while the file {STOP_FILE} is in the data directory");
    } else {
        tracing::warn!("the file {STOP_FILE} is gone: calls go on");
    }
    let change = note(clock, What::StopFile { there });
    let noted = store.apply(None, vec![change]).await;
    noted.inspect_err(|why| tracing::error!(%why, "the stop file could not be noted yet")).is_ok()
}

pub(super) fn note(clock: &SystemClock, what: What) -> Change {
    Change {
        tenant: None,
        actor: Actor::Lazaret,
        reason: String::new(),
        at: clock.now().wall,
        what,
    }
}

/// The start goes on the record, with the configuration, the rules in force and how they differ
/// from those of the last run.
pub(super) async fn note_start(config: &Config, parts: &Parts) -> Started<()> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mode = config.mode.0.as_str().to_owned();
    let failed = |why| StartError::new("the start could not be noted", why);
    let before = Contents(parts.store.rules_before().await.map_err(failed)?);
    let set = &parts.known.set;
    let read = What::ConfigLoaded { hash: config.origin.hash.clone() };
    let changes = [What::Started { version, mode }, read, set.loaded(&before)];
    let changes = changes.map(|what| note(&parts.clock, what));
    let hashes = set.contents.0.clone();
    parts.store.rules_in_force(hashes, changes.to_vec()).await.map_err(failed)
}
