//! The composition root: builds every part from the configuration, starts them in the order of
//! need, and stops them in the order of the line, so that what was taken in is finished.

pub mod settings;

mod report;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Kind};
use crate::domain::audit::{Actor, Change, Role, What};
use crate::domain::ids::TenantName;
use crate::domain::rule::Ruleset;
use crate::intake::{Intake, Nudges};
use crate::io::admin::{self, Admin, Token, Tokens};
use crate::io::clock::SystemClock;
use crate::io::defender::DefenderApi;
use crate::io::kafka::KafkaSource;
use crate::io::store::SqliteStore;
use crate::io::webhook;
use crate::io::{Api, Clock, Delivery, Retention, Store};
use crate::limits::{BODIES_IN_MEMORY, IN_FLIGHT, INTAKE_QUEUE};
use crate::metrics::Metrics;
use crate::relay::Relay;

/// In the data directory: a token with role operate for whoever can read that directory, made
/// anew at each start.
pub const LOCAL_TOKEN_FILE: &str = "admin.token";

/// How often old rows are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// Why the service did not start. One message for people, with what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl StartError {
    fn new(what: &str, why: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

/// What the demo and tests turn, and nobody else: how often open machine actions are looked at.
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
    clock: Arc<dyn Clock>,
    stop_sources: CancellationToken,
    stop_relays: CancellationToken,
    stop_admin: CancellationToken,
    kafka: Vec<Arc<KafkaSource>>,
    sources: Vec<JoinHandle<()>>,
    intake: JoinHandle<()>,
    relays: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    reload_tls: Vec<Box<dyn Fn() + Send + Sync>>,
}

/// Opens the store of a configuration. One process at a time: it fails while the service runs.
pub fn open_store(config: &Config) -> Result<SqliteStore, StartError> {
    SqliteStore::open(&config.store.sqlite, config.limits.queue)
        .map_err(|why| StartError::new("the store", why))
}
