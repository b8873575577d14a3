//! A Kafka topic that gets every change of an action's state, at least once.

use std::error::Error;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::producer::{FutureProducer, FutureRecord};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::status::ChannelStatus;
use super::{NotifyError, longer, rest, store_failed};
use crate::domain::audit::What;
use crate::domain::notice::Message;
use crate::domain::time::Wall;
use crate::io::{BrokerTokens, Clock, Cursor, Fed, Record, StoreError};
use crate::limits;

pub(super) struct Topic {
    producer: FutureProducer<Signer>,
    topic: String,
}

/// Signs in where the brokers want tokens.
struct Signer(Option<BrokerTokens>);

impl ClientContext for Signer {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let tokens = self.0.as_ref().ok_or("the security of these brokers has no credential")?;
        let token = tokens.token()?;
        Ok(OAuthToken {
            token: token.text.expose_secret().to_owned(),
            // Brokers go by the token; librdkafka only wants some name.
            principal_name: "lazaret".to_owned(),
            lifetime_ms: token.until.0 / 1000,
        })
    }
}

/// Key and value of one Kafka message.
type Entry = (String, String);

impl Topic {
    pub(super) fn new(
        mut client: ClientConfig,
        tokens: Option<BrokerTokens>,
        topic: String,
    ) -> Result<Self, NotifyError> {
        // Idempotent, so that a retry of librdkafka neither doubles nor reorders.
        client.set("enable.idempotence", "true");
        client.set("acks", "all");
        client.set("linger.ms", "5");
        client.set("message.timeout.ms", limits::NOTIFY_WITHIN.as_millis().to_string());
        let producer = client.create_with_context(Signer(tokens));
        let producer = producer.map_err(|why| NotifyError::Client(why.to_string()))?;
        Ok(Self { producer, topic })
    }

    pub(super) async fn test(&self, message: &Message) -> Result<String, String> {
        let value = json!({
            "type": "lazaret.test", "timestamp": message.first.to_string(),
            "data": {"summary": message.summary}
        });
        self.send(vec![("test".to_owned(), value.to_string())]).await?;
        Ok(format!("topic {} has it", self.topic))
    }

    /// Until the service stops and everything is told, or the store is closed.
    pub(super) async fn run(
        &self,
        channel: &str,
        record: &dyn Record,
        clock: &dyn Clock,
        status: &ChannelStatus,
        stop: &CancellationToken,
    ) {
        while let Err(why) = self.pages(channel, record, clock, status, stop).await {
            if !store_failed(channel, &why, stop).await {
                return;
            }
        }
    }

    async fn pages(
        &self,
        channel: &str,
        record: &dyn Record,
        clock: &dyn Clock,
        status: &ChannelStatus,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let mut next = record.cursor(channel).await?.next;
        let mut wait = Duration::ZERO;
        loop {
            let stopping = stop.is_cancelled();
            let feed = record.changes(next, limits::NOTIFY_PAGE).await?;
            if feed.next == next {
                status.lags(channel, 0);
                if stopping {
                    return Ok(());
                }
                rest(stop, limits::NOTIFY_LOOK_EVERY).await;
                continue;
            }
            let entries: Vec<Entry> = feed.changes.iter().filter_map(entry).collect();
            let count = entries.len() as u64;
            match self.send(entries).await {
                Ok(()) => {
                    next = feed.next;
                    record.advance(channel, Cursor::at(next)).await?;
                    if count > 0 {
                        status.delivered(count, clock.now().wall);
                    }
                    wait = Duration::ZERO;
                }
                Err(why) => {
                    if status.failing(&why, clock.now().wall) {
                        tracing::warn!(channel, why, "changes are not delivered");
                    }
                    if stopping {
                        return Ok(());
                    }
                    wait = longer(wait);
                    rest(stop, wait).await;
                }
            }
            status.lags(channel, record.end().await? - next);
        }
    }

    /// All of them, in their order, or an error.
    async fn send(&self, entries: Vec<Entry>) -> Result<(), String> {
        let mut sent = Vec::new();
        for (key, value) in &entries {
            let record = FutureRecord::to(&self.topic).key(key).payload(value);
            sent.push(self.producer.send_result(record).map_err(|(why, _)| why.to_string())?);
        }
        for delivery in sent {
            let delivered = delivery.await.map_err(|_| "the producer has ended".to_owned())?;
            delivered.map_err(|(why, _)| why.to_string())?;
        }
        Ok(())
    }
}

/// `None` for what is no change of an action's state.
fn entry(fed: &Fed) -> Option<Entry> {
    let (action, from, state) = match &fed.change.what {
        What::Created { action, state } => (action, None, state),
        What::Moved { action, from, to } => (action, Some(from), to),
        _ => return None,
    };
    let key = match &fed.key {
        Some(key) => format!("{}/{}/{}", key.tenant, key.machine, key.sha1),
        None => action.to_string(),
    };
    let mut data = json!({
        "position": fed.position,
        "action": action,
        "tenant": fed.change.tenant,
        "machine": fed.key.as_ref().map(|key| key.machine),
        "sha1": fed.key.as_ref().map(|key| key.sha1),
        "from": from,
        "actor": fed.change.actor,
        "reason": fed.change.reason,
    });
    let state = serde_json::to_value(state).ok()?;
    if let (Some(data), Value::Object(mut state)) = (data.as_object_mut(), state) {
        // Times for people, not microseconds.
        for key in ["not_before", "busy_since", "since", "completed"] {
            if let Some(at) = state.get_mut(key).filter(|at| at.is_i64()) {
                *at = Wall(at.as_i64().unwrap_or_default()).to_string().into();
            }
        }
        data.extend(state);
    }
    let at = fed.change.at.to_string();
    let value = json!({ "type": "lazaret.action", "timestamp": at, "data": data });
    Some((key, value.to_string()))
}
