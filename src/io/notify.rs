//! Channels: they read the record and tell people of it. Each has cursors of its own and shares
//! nothing else with what it tells of, so that its failure delays no action.
//!
//! A webhook channel reads in two lanes, each with its own cursor: what is urgent goes at once,
//! the rest gathers for a while. A topic gets every change of an action's state.

mod lane;

mod pace;

mod status;

mod topic;

mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use self::lane::Lane;
use self::pace::Pace;
use self::topic::Topic;
use self::webhook::{Posted, Sent, Webhook};
use super::{BrokerTokens, Clock, Record, StoreError};
use crate::domain::breaker::Rate;
use crate::domain::notice::{Kind, Message, Template};
use crate::domain::signature::Seal;
use crate::limits;

pub use status::ChannelStatus;

/// One channel.
pub struct Settings {
    pub channel: String,
    /// This process, for the messages.
    pub node: String,
    pub target: Target,
}

/// Where a channel tells.
pub enum Target {
    Webhook(Box<WebhookSettings>),
    Topic {
        /// Brokers and security; the rest is set here.
        client: rdkafka::ClientConfig,
        /// For brokers that are signed in at with tokens.
        tokens: Option<BrokerTokens>,
        topic: String,
    },
}

/// A receiver of messages.
pub struct WebhookSettings {
    /// https, or http on loopback; may itself be a secret, and is in no log.
    pub url: SecretString,
    /// Signs each message, where the receiver can verify it.
    pub seal: Option<Seal>,
    pub headers: Vec<(String, SecretString)>,
    /// `None`: the whole message.
    pub body: Option<Template>,
    pub values: BTreeMap<String, SecretString>,
    pub kinds: BTreeSet<Kind>,
    /// How long a message waits for more of its kind.
    pub group: Duration,
    pub rate: Rate,
}

/// Why there can be no channel with these settings. Shows no URL.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("url: {0}")]
    Url(&'static str),
    #[error("headers: {0} is no name of a header, or its value can't be one")]
    Header(String),
    #[error("the client can't be made: {0}")]
    Client(String),
}

/// A channel that can be run, or asked for one test message.
pub struct Channel {
    name: String,
    status: Arc<ChannelStatus>,
    means: Means,
}

enum Means {
    Webhook { webhook: Box<Webhook>, kinds: BTreeSet<Kind>, group: Duration, rate: Rate },
    Topic(Topic),
}

impl Channel {
    /// Checks the settings; nothing is connected yet.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, NotifyError> {
        let Settings { channel, node, target } = settings;
        let means = match target {
            Target::Webhook(target) => {
                let (kinds, group, rate) = (target.kinds.clone(), target.group, target.rate);
                let webhook = Box::new(Webhook::new(channel.clone(), node, *target, clock)?);
                Means::Webhook { webhook, kinds, group, rate }
            }
            Target::Topic { client, tokens, topic } => {
                Means::Topic(Topic::new(client, tokens, topic)?)
            }
        };
        let status = Arc::new(ChannelStatus::new(&channel));
        Ok(Self { name: channel, status, means })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its cursors.
    pub fn cursors(&self) -> Vec<String> {
        match &self.means {
            Means::Webhook { .. } => vec![format!("{}{URGENT}", self.name), self.name.clone()],
            Means::Topic(_) => vec![self.name.clone()],
        }
    }

    pub fn status(&self) -> Arc<ChannelStatus> {
        self.status.clone()
    }

    /// Sends one test message, once, and says what the receiver answered.
    pub async fn test(&self, clock: &dyn Clock) -> Result<String, String> {
        let message = Message::test(clock.now().wall);
        match &self.means {
            Means::Webhook { webhook, .. } => {
                let Posted { sent, mut said, body } = webhook.post(&message).await;
                if !body.is_empty() {
                    said = format!("{said}: {body}");
                }
                match sent {
                    Sent::Delivered => Ok(said),
                    Sent::Failed { .. } | Sent::Refused => Err(said),
                }
            }
            Means::Topic(topic) => topic.test(&message).await,
        }
    }

    /// Tells until `stop`, then what happened last, for some seconds at most.
    pub async fn run(
        self,
        record: Arc<dyn Record>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let name = self.name.clone();
        let out_of_time = async {
            stop.cancelled().await;
            tokio::time::sleep(limits::NOTIFY_STOP).await;
        };
        tokio::select! {
            () = self.tell(record, clock, &stop) => {}
            () = out_of_time => {
                tracing::warn!(channel = name, "what is left to tell is told after the next start");
            }
        }
    }

    async fn tell(self, record: Arc<dyn Record>, clock: Arc<dyn Clock>, stop: &CancellationToken) {
        let status = &self.status;
        match &self.means {
            Means::Webhook { webhook, kinds, group, rate } => {
                let pace = Pace::new(*rate, clock.clone());
                let (urgent, rest): (BTreeSet<Kind>, BTreeSet<Kind>) =
                    kinds.iter().partition(|kind| kind.is_urgent());
                let lane = |suffix: &str, kinds| Lane {
                    channel: &self.name,
                    cursor: format!("{}{suffix}", self.name),
                    kinds,
                    at_once: suffix == URGENT,
                    group: *group,
                    pace: &pace,
                    webhook,
                    status,
                    record: &*record,
                    clock: &*clock,
                    stop,
                };
                let (urgent, rest) = (lane(URGENT, urgent), lane("", rest));
                tokio::join!(urgent.run(), rest.run());
            }
            Means::Topic(topic) => topic.run(&self.name, &*record, &*clock, status, stop).await,
        }
    }
}

/// What the cursor of the urgent lane is called, after the name of its channel.
const URGENT: &str = "!";

/// Waits, unless the service stops before.
async fn rest(stop: &CancellationToken, span: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(span) => {}
    }
}

/// Twice as long as before, within bounds.
fn longer(wait: Duration) -> Duration {
    (wait * 2).clamp(limits::NOTIFY_RETRY.0, limits::NOTIFY_RETRY.1)
}

/// After a failure of the store: whether it is worth another try.
async fn store_failed(channel: &str, why: &StoreError, stop: &CancellationToken) -> bool {
    if *why == StoreError::Closed || stop.is_cancelled() {
        return false;
    }
    tracing::error!(channel, %why, "the record can't be read or the cursor not be kept");
    rest(stop, limits::STORE_RETRY.1).await;
    true
}

/// A whole message as JSON: what is sent where no template says otherwise.
fn details(message: &Message, id: &str, node: &str) -> String {
    let mut data = serde_json::to_value(message).expect("a message is plain data");
    data["message_id"] = id.into();
    data["node"] = node.into();
    // Times for people, not microseconds.
    for (key, at) in [("first", message.first), ("last", message.last)] {
        data[key] = at.to_string().into();
    }
    let kind = format!("lazaret.{}", message.kind);
    let at = message.last.to_string();
    serde_json::json!({ "type": kind, "timestamp": at, "data": data }).to_string()
}
