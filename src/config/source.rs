//! Sources: webhook endpoints and Kafka subscriptions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::values::{NotYet, Secret, Span};
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
    pub verify: Verify,
    /// Senders of CloudEvents that are told, on asking, that they may deliver; none where left out.
    #[serde(default)]
    pub origins: Vec<String>,
}

/// How a delivery's signature is checked. Which scheme, and so which algorithm, is never the
/// sender's choice.
#[derive(Debug, Deserialize)]
#[serde(tag = "scheme", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verify {
    StandardWebhooks {
        secrets: Vec<Secret>,
    },
    Github {
        secrets: Vec<Secret>,
    },
    Slack {
        secrets: Vec<Secret>,
    },
    Stripe {
        secrets: Vec<Secret>,
    },
    Hmac {
        secrets: Vec<Secret>,
        /// The header that carries the signature.
        header: String,
        #[serde(default)]
        digest: HmacDigest,
        #[serde(default)]
        encoding: HmacEncoding,
        /// What stands before the signature in its header, such as `sha256=`.
        #[serde(default)]
        prefix: String,
        /// What is signed: text with `{body}`, and `{timestamp}` or `{id}` where their headers
        /// are named.
        #[serde(default = "body_alone")]
        signed: String,
        timestamp_header: Option<String>,
        id_header: Option<String>,
        tolerance: Option<Span>,
    },
    Bearer {
        secrets: Vec<Secret>,
    },
    /// No check at all: only where the listener is on loopback.
    None {},
}

fn body_alone() -> String {
    "{body}".into()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HmacDigest {
    #[default]
    Sha256,
    Sha512,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HmacEncoding {
    #[default]
    Hex,
    Base64,
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
    pub credential: Option<NotYet>,
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

    pub(super) fn check(&self, config: &Config) -> Result<(), String> {
        if self.webhook.is_some() == self.kafka.is_some() {
            return Err("a source is either a webhook or a kafka subscription: give one".into());
        }
        if self.tenants.is_empty() {
            return Err("tenants: name the tenants it speaks for".into());
        }
        for tenant in &self.tenants {
            if !config.tenants.iter().any(|t| t.name == *tenant) {
                return Err(format!("tenants: there is no tenant {tenant}"));
            }
        }
        match self.kind() {
            Kind::Webhook(webhook) => webhook.check(config),
            Kind::Kafka(kafka) => kafka.check(),
        }
    }

    pub(super) fn resolve_paths(&mut self, base: &Path) {
        let name = &self.name;
        if let Some(webhook) = &mut self.webhook {
            let bytes_min = webhook.verify.secret_bytes_min();
            for (at, secret) in webhook.verify.secrets_mut().iter_mut().enumerate() {
                secret.resolve(base, format!("sources[{name}].webhook.verify.secrets[{at}]"));
                secret.at_least(bytes_min);
            }
        }
        if let Some(kafka) = &mut self.kafka {
            kafka.security.resolve_paths(base, &format!("sources[{name}].kafka.security"));
        }
    }
}

impl Webhook {
    fn check(&self, config: &Config) -> Result<(), String> {
        if self.origins.len() > limits::ORIGINS_PER_SOURCE {
            return Err(format!("origins: more than {}", limits::ORIGINS_PER_SOURCE));
        }
        let in_name = |b: u8| b.is_ascii_alphanumeric() || b".-:".contains(&b);
        let is_host =
            |origin: &str| (1..=253).contains(&origin.len()) && origin.bytes().all(in_name);
        match self.origins.iter().find(|origin| !is_host(origin)) {
            Some(origin) => Err(format!(
                "origins: {origin:?} is no host name: write one as the sender does in \
                 WebHook-Request-Origin, such as eventgrid.azure.net"
            )),
            None => self.verify.check(config),
        }
    }
}

impl Verify {
    pub fn secrets(&self) -> &[Secret] {
        match self {
            Verify::StandardWebhooks { secrets }
            | Verify::Github { secrets }
            | Verify::Slack { secrets }
            | Verify::Stripe { secrets }
            | Verify::Hmac { secrets, .. }
            | Verify::Bearer { secrets } => secrets,
            Verify::None {} => &[],
        }
    }

    /// Fewer bytes could be guessed, with one signed delivery to try against. Standard Webhooks,
    /// whose secrets are encoded, has a minimum of its own.
    fn secret_bytes_min(&self) -> usize {
        match self {
            Verify::StandardWebhooks { .. } | Verify::None {} => 1,
            Verify::Github { .. }
            | Verify::Slack { .. }
            | Verify::Stripe { .. }
            | Verify::Hmac { .. }
            | Verify::Bearer { .. } => 16,
        }
    }

    fn secrets_mut(&mut self) -> &mut [Secret] {
        match self {
            Verify::StandardWebhooks { secrets }
            | Verify::Github { secrets }
            | Verify::Slack { secrets }
            | Verify::Stripe { secrets }
            | Verify::Hmac { secrets, .. }
            | Verify::Bearer { secrets } => secrets,
            Verify::None {} => &mut [],
        }
    }

    fn check(&self, config: &Config) -> Result<(), String> {
        let Some(listen) = &config.listen.webhooks else {
            return Err("listen.webhooks is missing: a webhook needs a listener".into());
        };
        if let Verify::None {} = self {
            if listen.address.ip().is_loopback() {
                return Ok(());
            }
            return Err(format!(
                "verify: scheme none is refused on {}: anyone could quarantine files; listen on \
                 127.0.0.1 or choose a scheme",
                listen.address
            ));
        }
        if !(1..=3).contains(&self.secrets().len()) {
            return Err("verify: give one to three secrets".into());
        }
        Ok(())
    }
}

impl Kafka {
    fn check(&self) -> Result<(), String> {
        if self.brokers.is_empty() || self.topics.is_empty() {
            return Err("kafka: name at least one broker and one topic".into());
        }
        let group_fits = self.group.as_ref().is_none_or(|g| !g.is_empty() && g.len() <= 249);
        if !group_fits || !self.topics.iter().all(|t| is_name(&t.replace('.', "_"))) {
            return Err("kafka: group or topics: that is no Kafka name".into());
        }
        self.security.check()
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

    pub(super) fn check(&self) -> Result<(), String> {
        let security = self;
        let sasl = matches!(security.protocol, Protocol::SaslPlaintext | Protocol::SaslSsl);
        match security.mechanism.as_deref() {
            Some("OAUTHBEARER") => {
                return Err("security: mechanism OAUTHBEARER is not in this version".into());
            }
            Some("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512")
                if sasl && (security.username.is_none() || security.password.is_none()) =>
            {
                return Err("security: SASL needs username and password".into());
            }
            Some("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512") if sasl => {}
            Some(other) if sasl => {
                return Err(format!(
                    "security: mechanism {other:?} is unknown: use PLAIN, SCRAM-SHA-256 or \
                     SCRAM-SHA-512"
                ));
            }
            None if sasl => return Err("security: SASL needs a mechanism".into()),
            _ if security.mechanism.is_some()
                || security.username.is_some()
                || security.password.is_some() =>
            {
                return Err(
                    "security: mechanism, username and password need a SASL protocol".into()
                );
            }
            _ => {}
        }
        Ok(())
    }
}
