//! Channels: from the configuration to tasks that tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Parts, StartError, settings};
use crate::config::{self, Config, Receiver, ReceiverUrl, Secret};
use crate::domain::notice::Kind;
use crate::domain::signature::{Scheme, Seal};
use crate::io::notify::{Channel, ChannelStatus, Settings, Target, WebhookSettings};
use crate::io::{Clock, Record as _, kafka};

/// Every channel of the configuration, ready to be run or tested.
pub fn channels(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Channel>, StartError> {
    let of = |of: &config::Channel| {
        channel(config, of, clock)
            .map_err(|why| StartError::new(&format!("notify {}", of.name), why))
    };
    config.notify.iter().map(of).collect()
}

/// One channel. What is wrong with it, such as an empty secret, is found here; nothing is sent.
pub fn channel(
    config: &Config,
    channel: &config::Channel,
    clock: &Arc<dyn Clock>,
) -> Result<Channel, String> {
    let target = match channel.target() {
        config::Target::Webhook(receiver) => Target::Webhook(Box::new(webhook(channel, receiver)?)),
        config::Target::Kafka(topic) => {
            let security = &topic.security;
            let security = settings::security(config, security, &topic.brokers, clock.clone())?;
            let client = kafka::connection(&topic.brokers, &security);
            let client = client.map_err(|why| why.to_string())?;
            let (tokens, topic) = (security.tokens(), topic.topic.clone());
            Target::Topic { client, tokens, topic }
        }
    };
    let (name, node) = (channel.name.clone(), config.node.clone());
    let settings = Settings { channel: name, node, target };
    Channel::new(settings, clock.clone()).map_err(|why| why.to_string())
}

fn webhook(channel: &config::Channel, receiver: &Receiver) -> Result<WebhookSettings, String> {
    let read = |secret: &Secret| secret.read().map_err(|why| why.to_string());
    let read_all = |secrets: &BTreeMap<String, Secret>| {
        secrets.iter().map(|(name, secret)| Ok((name.clone(), read(secret)?))).collect()
    };
    let url = match &receiver.url {
        ReceiverUrl::Plain(url) => SecretString::from(url.as_str()),
        ReceiverUrl::Secret(secret) => read(secret)?,
    };
    let seal = match &receiver.secret {
        Some(secret) => Some(seal(&read(secret)?).map_err(|why| format!("secret: {why}"))?),
        None => None,
    };
    let headers: Result<BTreeMap<_, _>, String> = read_all(&receiver.headers);
    let values: Result<BTreeMap<_, _>, String> = read_all(&receiver.values);
    let kinds: BTreeSet<Kind> = match &channel.kinds {
        Some(kinds) => kinds.iter().copied().collect(),
        None => Kind::ALL.into_iter().filter(|kind| kind.is_told_by_default()).collect(),
    };
    Ok(WebhookSettings {
        url,
        seal,
        headers: headers?.into_iter().collect(),
        body: receiver.body.as_ref().map(|body| body.0.clone()),
        values: values?,
        kinds,
        group: channel.group.unwrap_or(config::Channel::GROUP).0,
        rate: channel.rate.map_or(config::Channel::RATE, |rate| rate.0),
    })
}

/// A key as Standard Webhooks writes it, or bytes as they stand.
fn seal(secret: &SecretString) -> Result<Seal, String> {
    let text = secret.expose_secret();
    let key = match text.starts_with("whsec_") {
        true => secret.clone(),
        false => SecretString::from(format!("whsec_{}", STANDARD.encode(text))),
    };
    Seal::new(Scheme::StandardWebhooks, &[key]).map_err(|why| why.to_string())
}

/// Makes ready what the channels tell. From when this returns on, what happens is told: so it comes
/// before any source takes its first alert.
pub(super) async fn ready(
    config: &Config,
    parts: &Parts,
    stop: &CancellationToken,
) -> Result<Channels, StartError> {
    let clock: Arc<dyn Clock> = parts.clock.clone();
    let channels = channels(config, &clock)?;
    for channel in &channels {
        for cursor in channel.cursors() {
            let placed = parts.store.cursor(&cursor).await;
            let what = format!("notify {}", channel.name());
            placed.map_err(|why| StartError::new(&what, why))?;
        }
    }
    let (statuses, mut tasks) = (channels.iter().map(Channel::status).collect(), Vec::new());
    for channel in channels {
        let running = channel.run(parts.store.clone(), parts.clock.clone(), stop.clone());
        tasks.push(tokio::spawn(running));
    }
    Ok(Channels { tasks, statuses })
}

/// All channels, running.
pub(super) struct Channels {
    pub(super) tasks: Vec<JoinHandle<()>>,
    pub(super) statuses: Vec<Arc<ChannelStatus>>,
}
