//! Kafka topics as a source. One thread of its own reads with one consumer, hands messages to
//! intake over a bounded queue, and tells the broker how far it is only after intake's commit.
//!
//! What is read next is decided by the store, never by the broker: the offset that was committed
//! together with what the messages led to. The consumer group's offset is a hint for people and
//! tools, and counts only where the store has none.

mod assignment;
mod config;
mod context;
mod history;
mod lane;
mod members;
mod place;
mod probe;
mod reader;
mod signer;
mod status;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::{Semaphore, mpsc};

use super::{BrokerTokens, Clock, Delivery, Offsets, StoreError};
use crate::domain::ids::SourceName;

pub use config::{OwnedKey, check_passed_through, connection};
pub use history::{History, Message, Messages};
pub use probe::{Group, NO_TOPIC, Partition, Probed, probe};
pub use status::{KafkaStatus, LastError, PartitionStatus, Reading, Snapshot};

/// What a Kafka source is told. Nothing in it changes while the source runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub source: SourceName,
    /// This process among those of the group: the static member id is made of it.
    pub node: String,
    /// `host:port`, at least one.
    pub brokers: Vec<String>,
    pub topics: Vec<String>,
    pub group: String,
    pub start: Start,
    pub security: Security,
    /// A larger value is handed on as [`super::Flaw::TooLarge`], with its first bytes only.
    pub body_bytes_max: usize,
    /// Other librdkafka properties. Those that safety owns are refused.
    pub passed_through: BTreeMap<String, String>,
}

/// Where a topic is read from that neither the store nor the group knows. A partition added to a
/// topic that one of them does know is read from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

/// How the broker is spoken to.
#[derive(Clone, Debug)]
pub enum Security {
    Plaintext,
    /// `ca` is a PEM file; without one the system's authorities count.
    Ssl {
        ca: Option<PathBuf>,
    },
    SaslPlaintext(Login),
    SaslSsl {
        login: Login,
        ca: Option<PathBuf>,
    },
    /// SASL_SSL with OAUTHBEARER.
    Token {
        tokens: BrokerTokens,
        ca: Option<PathBuf>,
    },
}

impl Security {
    /// Where tokens come from, for a client that signs in with them.
    pub fn tokens(&self) -> Option<BrokerTokens> {
        match self {
            Security::Token { tokens, .. } => Some(tokens.clone()),
            _ => None,
        }
    }

    fn is_over_tls_with_a_login(&self) -> bool {
        matches!(self, Security::SaslSsl { .. } | Security::Token { .. })
    }
}

#[derive(Clone, Debug)]
pub struct Login {
    pub mechanism: Mechanism,
    pub username: String,
    pub password: SecretString,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

/// Why a source could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    #[error("{0}")]
    OwnedKey(#[from] OwnedKey),
    #[error(
        "node {node:?} and source {source_name} make no Kafka member id: only letters, digits, \
         `.`, `_` and `-`, at most 249 of them"
    )]
    MemberId { node: String, source_name: SourceName },
    #[error("{broker} is Azure Event Hubs, which takes only security.protocol SASL_SSL")]
    EventHubs { broker: String },
    /// librdkafka's own words; they name the property.
    #[error("Kafka client of source {source_name}: {why}")]
    Client { source_name: SourceName, why: String },
    /// What is held can't be read beside the service.
    #[error("topic {topic}: {why}")]
    History { topic: String, why: String },
    #[error("no thread for source {source_name}: {why}")]
    Thread { source_name: SourceName, why: String },
}

/// The offsets that the store has for this source.
pub type StoredOffsets =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Offsets, StoreError>> + Send + Sync>;

/// How a source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everything in hand was answered and the offsets are with the broker, as far as it could be
    /// reached.
    Clean,
    /// The deadline came first. The consumer is left behind; what was not acknowledged comes again.
    LeftBehind,
}

/// A running Kafka source. Dropping it tells its thread to stop and waits for nothing.
pub struct KafkaSource {
    status: Arc<KafkaStatus>,
    stopping: Arc<AtomicBool>,
    ended: std_mpsc::Receiver<()>,
}

impl KafkaSource {
    /// Starts to read. A broker that can't be reached is no error here: the status tells of it,
    /// and the source tries for as long as it runs.
    ///
    /// `budget` has one permit for each byte of delivery bodies that may be in memory.
    pub fn start(
        settings: Settings,
        stored: StoredOffsets,
        deliveries: mpsc::Sender<Delivery>,
        clock: Arc<dyn Clock>,
        budget: Arc<Semaphore>,
    ) -> Result<Self, KafkaError> {
        let status = Arc::new(KafkaStatus::default());
        let stopping = Arc::new(AtomicBool::new(false));
        let (sender, ended) = std_mpsc::channel();
        let end = End { status: Arc::clone(&status), _sender: sender };
        let source_name = settings.source.clone();
        let ports = reader::Ports { stored, deliveries, clock, budget };
        let reader =
            reader::Reader::new(settings, ports, Arc::clone(&status), Arc::clone(&stopping))?;
        thread::Builder::new()
            .name(format!("kafka-{source_name}"))
            .spawn(move || {
                reader.run();
                drop(end);
            })
            .map_err(|why| KafkaError::Thread { source_name, why: why.to_string() })?;
        Ok(Self { status, stopping, ended })
    }

    pub fn status(&self) -> Arc<KafkaStatus> {
        Arc::clone(&self.status)
    }

    /// Reads no more, waits for what is in hand, commits, and leaves. Blocks for at most
    /// `deadline`: never call it on a worker of the async runtime.
    ///
    /// The static member keeps its partitions until the session times out, so that a restart
    /// within half a minute moves none.
    pub fn stop(self, deadline: Duration) -> Stopped {
        self.stopping.store(true, Ordering::Release);
        match self.ended.recv_timeout(deadline) {
            Err(std_mpsc::RecvTimeoutError::Timeout) => {
                tracing::warn!("a Kafka consumer did not end in time and is left behind");
                Stopped::LeftBehind
            }
            Ok(()) | Err(std_mpsc::RecvTimeoutError::Disconnected) => Stopped::Clean,
        }
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
    }
}

/// Goes with the thread, however that ends.
struct End {
    status: Arc<KafkaStatus>,
    /// Its receiver learns of the end when this is dropped.
    _sender: std_mpsc::Sender<()>,
}

impl Drop for End {
    fn drop(&mut self) {
        if thread::panicking() {
            self.status.change(|status| {
                status.ended = Some("its thread panicked".to_owned());
                status.broken = true;
            });
        }
    }
}
