//! Sources: webhook endpoints and Kafka subscriptions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::values::{Secret, Span};
use super::verify::Verify;
use super::{Config, is_name};
use crate::limits;

/// A source, and the tenants it speaks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub name: String,
    pub tenants: Vec<String>,
    /// With no receipt for so long it counts as silent; never, where left out.
    pub silent_after: Option<Span>,
    webhook: Option<Webhook>,
    kafka: Option<Kafka>,
}

/// What a source is.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    Webhook(&'a Webhook),
    Kafka(&'a Kafka),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub format: String,
    verify: Spanned<Verify>,
    /// Senders of CloudEvents that are told, on asking, that they may deliver; none where left out.
    #[serde(default)]
    pub origins: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    pub brokers: Vec<String>,
    pub topics: Vec<String>,
    /// `lazaret-<source>` where left out.
    pub group: Option<String>,
    #[serde(default)]
    pub start: Start,
    pub format: String,
    #[serde(default)]
    pub security: Security,
    /// Passed to librdkafka as they are; keys that safety owns are refused.
    #[serde(default)]
    pub librdkafka: BTreeMap<String, String>,
}

/// Where to begin with a partition that the store does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    #[default]
    Earliest,
    Latest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    pub protocol: Protocol,
    pub mechanism: Option<String>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// PEM file of the authorities to trust; the system's where left out.
    pub ca: Option<PathBuf>,
    /// The tenant whose credential gets the tokens, for OAUTHBEARER.
    pub credential: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    #[default]
    #[serde(rename = "PLAINTEXT")]
    Plaintext,
    #[serde(rename = "SSL")]
    Ssl,
    #[serde(rename = "SASL_PLAINTEXT")]
    SaslPlaintext,
    #[serde(rename = "SASL_SSL")]
    SaslSsl,
}

impl Source {
    pub fn kind(&self) -> Kind<'_> {
        match (&self.webhook, &self.kafka) {
            (Some(webhook), _) => Kind::Webhook(webhook),
            (None, Some(kafka)) => Kind::Kafka(kafka),
            (None, None) => unreachable!("checked when the file was loaded"),
        }
    }

    pub fn format(&self) -> &str {
        match self.kind() {
            Kind::Webhook(webhook) => &webhook.format,
            Kind::Kafka(kafka) => &kafka.format,
        }
    }

    pub(super) fn check(&self, config: &Config) -> Result<(), Wrong> {
        if self.webhook.is_some() == self.kafka.is_some() {
            let why = "a source is either a webhook or a kafka subscription: give one";
            return Err(why.to_owned().into());
        }
        if self.tenants.is_empty() {
            return Err("tenants: name the tenants it speaks for".to_owned().into());
        }
        for tenant in &self.tenants {
            if !config.tenants.iter().any(|t| t.name == *tenant) {
                return Err(format!("tenants: there is no tenant {tenant}").into());
            }
        }
        match self.kind() {
            Kind::Webhook(webhook) => webhook.check(config),
            Kind::Kafka(kafka) => kafka.check(config).map_err(Wrong::from),
        }
    }

    pub(super) fn resolve_paths(&mut self, base: &Path) {
        let name = &self.name;
        if let Some(webhook) = &mut self.webhook {
            let verify = &mut webhook.verify.value;
            let bytes_min = verify.secret_bytes_min();
            for (at, secret) in verify.secrets_mut().iter_mut().enumerate() {
                secret.resolve(base, format!("sources[{name}].webhook.verify.secrets[{at}]"));
                secret.at_least(bytes_min);
            }
        }
        if let Some(kafka) = &mut self.kafka {
            kafka.security.resolve_paths(base, &format!("sources[{name}].kafka.security"));
        }
    }
}

/// What is wrong with a source, and where that is known.
#[derive(Debug)]
pub(super) struct Wrong {
    pub why: String,
    pub at: Option<Location>,
}

impl From<String> for Wrong {
    fn from(why: String) -> Self {
        Self { why, at: None }
    }
}

impl Webhook {
    pub fn verify(&self) -> &Verify {
        &self.verify.value
    }

    fn check(&self, config: &Config) -> Result<(), Wrong> {
        if self.origins.len() > limits::ORIGINS_PER_SOURCE {
            return Err(format!("origins: more than {}", limits::ORIGINS_PER_SOURCE).into());
        }
        let in_name = |b: u8| b.is_ascii_alphanumeric() || b".-:".contains(&b);
        let is_host =
            |origin: &str| (1..=253).contains(&origin.len()) && origin.bytes().all(in_name);
        match self.origins.iter().find(|origin| !is_host(origin)) {
            Some(origin) => Err(format!(
                "origins: {origin:?} is no host name: write one as the sender does in \
                 WebHook-Request-Origin, such as eventgrid.azure.net"
            )
            .into()),
            None => self.verify.value.check(config).map_err(|why| Wrong {
                why: format!("verify: {why}"),
                at: Some(self.verify.referenced),
            }),
        }
    }
}

impl Kafka {
    fn check(&self, config: &Config) -> Result<(), String> {
        if self.brokers.is_empty() || self.topics.is_empty() {
            return Err("kafka: name at least one broker and one topic".into());
        }
        let group_fits = self.group.as_ref().is_none_or(|g| !g.is_empty() && g.len() <= 249);
        if !group_fits || !self.topics.iter().all(|t| is_name(&t.replace('.', "_"))) {
            return Err("kafka: group or topics: that is no Kafka name".into());
        }
        self.security.check(&self.brokers, config)
    }
}

impl Security {
    pub(super) fn resolve_paths(&mut self, base: &Path, key: &str) {
        if let Some(password) = &mut self.password {
            password.resolve(base, format!("{key}.password"));
        }
        if let Some(ca) = &mut self.ca {
            *ca = base.join(&*ca);
        }
    }

    /// `brokers` are those that it is for.
    pub(super) fn check(&self, brokers: &[String], config: &Config) -> Result<(), String> {
        let sasl = matches!(self.protocol, Protocol::SaslPlaintext | Protocol::SaslSsl);
        let password = self.username.is_some() || self.password.is_some();
        if !sasl && (self.mechanism.is_some() || password || self.credential.is_some()) {
            let why = "mechanism, username, password and credential need a SASL protocol";
            return Err(format!("security: {why}"));
        }
        match self.mechanism.as_deref() {
            _ if !sasl => Ok(()),
            Some("OAUTHBEARER") => self.check_token(brokers, config),
            Some("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512") => {
                if self.credential.is_some() {
                    return Err("security: credential is for the mechanism OAUTHBEARER".into());
                }
                if self.username.is_none() || self.password.is_none() {
                    return Err("security: SASL needs username and password".into());
                }
                Ok(())
            }
            Some(other) => Err(format!(
                "security: mechanism {other:?} is unknown: use PLAIN, SCRAM-SHA-256, \
                 SCRAM-SHA-512 or OAUTHBEARER"
            )),
            None => Err("security: SASL needs a mechanism".into()),
        }
    }

    fn check_token(&self, brokers: &[String], config: &Config) -> Result<(), String> {
        if self.protocol != Protocol::SaslSsl {
            let why = "a token may not go over an open connection: use the protocol SASL_SSL";
            return Err(format!("security: {why}"));
        }
        if self.username.is_some() || self.password.is_some() {
            let why = "OAUTHBEARER takes tokens: leave username and password out";
            return Err(format!("security: {why}"));
        }
        let Some(tenant) = &self.credential else {
            let why = "OAUTHBEARER needs credential: name the tenant whose credential gets tokens";
            return Err(format!("security: {why}"));
        };
        if !config.tenants.iter().any(|known| known.name == *tenant) {
            return Err(format!("security: credential: there is no tenant {tenant}"));
        }
        let first = brokers.first().map(|broker| host(broker));
        if brokers.iter().any(|broker| Some(host(broker)) != first) {
            let why = "a token is for one host: name brokers of one, such as one namespace";
            return Err(format!("brokers: {why}"));
        }
        Ok(())
    }
}

/// The host of a broker, without its port.
pub fn host(broker: &str) -> &str {
    broker.rsplit_once(':').map_or(broker, |(host, _)| host)
}
