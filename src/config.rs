//! The configuration file: one YAML document, parsed once, every key enforced or refused.
//!
//! A key of a later version is known here and refused as such; any other unknown key is refused
//! with file, line and column. Paths are relative to the file that names them.

mod bounds;
mod credential;
mod mistake;
mod notify;
mod origin;
mod source;
mod tenant;
mod tokens;
mod values;
mod verify;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use crate::domain::rule::Mode;
use mistake::{located, placed};
use source::Wrong;

pub use bounds::{Dedupe, Expire, Join, Limits, Reconcile, RetentionConfig};
pub use credential::{Credential, Identity, Proof};
pub use notify::{Body, Channel, MessageRate, Receiver, ReceiverUrl, Target, Topic};
pub use origin::Origin;
pub use source::{Kafka, Kind, Protocol, Security, Source, Start, Webhook, host};
pub use tenant::{Budget, Budgets, Tenant};
pub use tokens::{AdminToken, TokenKind};
pub use values::{Date, NotYet, PerSecond, Secret, SecretError, Size, Span};
pub use verify::{HmacDigest, HmacEncoding, Verify};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Also the Kafka static member id: unique in a consumer group.
    pub node: String,
    /// The ceiling over every rule's own mode.
    #[serde(default)]
    pub mode: Ceiling,
    pub rules: PathBuf,
    pub store: StoreConfig,
    pub listen: Listen,
    pub sources: Vec<Source>,
    pub tenants: Vec<Tenant>,
    /// Who is told of what happens.
    #[serde(default)]
    pub notify: Vec<Channel>,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub join: Join,
    #[serde(default)]
    pub expire: Expire,
    #[serde(default)]
    pub reconcile: Reconcile,
    #[serde(default)]
    pub dedupe: Dedupe,
    #[serde(default)]
    pub retention: RetentionConfig,
    /// Which configuration it was.
    #[serde(skip)]
    pub origin: Origin,
    /// The token of the person at the command line, where one is given; never from the file.
    #[serde(skip)]
    pub personal: Option<SecretString>,
}

/// As rules write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceiling(pub Mode);

impl<'de> Deserialize<'de> for Ceiling {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            "observe" => Ok(Self(Mode::Observe)),
            "enforce" => Ok(Self(Mode::Enforce)),
            "approve" => Ok(Self(Mode::Approve)),
            other => Err(serde::de::Error::custom(format!(
                "unknown mode {other:?}: expected observe, approve or enforce"
            ))),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The directory of the database. Created if missing; only one process may use it.
    pub sqlite: PathBuf,
    #[serde(default)]
    pub postgres: Option<NotYet>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// May be left out where every source is a Kafka subscription.
    pub webhooks: Option<ListenWebhooks>,
    pub admin: ListenAdmin,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenWebhooks {
    pub address: SocketAddr,
    pub tls: Option<WebhookTls>,
}

/// PEM files. Re-read when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The authorities that sign certificates of senders, for the scheme `mutual-tls`.
    pub client_ca: Option<PathBuf>,
}

/// PEM files. Re-read when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenAdmin {
    pub address: SocketAddr,
    pub tls: Option<Tls>,
    /// For `/api/v1`, besides the token that the service puts into its data directory. `/livez`,
    /// `/readyz` and `/metrics` tell no secrets and need none.
    #[serde(default)]
    pub tokens: Vec<AdminToken>,
}

/// Why a configuration can't be used: one message for people, with place and remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Config {
    /// Reads and checks the file; relative paths in it become relative to its directory.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|why| {
            let path = path.display();
            ConfigError(match why.kind() {
                std::io::ErrorKind::NotFound => format!(
                    "there is no configuration {path}: copy lazaret.example.yaml there and make it \
                     yours, or name another with --config"
                ),
                _ => format!("cannot read the configuration {path}: {why}"),
            })
        })?;
        let mut config = Self::parse(&text, path)?;
        config.origin.read_from(path);
        Ok(config)
    }

    /// Parses `text` as if it stood in the file `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        let mut config: Self = serde_saphyr::from_str_with_options(text, options)
            .map_err(|why| ConfigError(located(path, text, &why)))?;
        config.check(path, text)?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.resolve_paths(base);
        config.origin = Origin::new(text);
        Ok(config)
    }

    fn resolve_paths(&mut self, base: &Path) {
        let fix = |path: &mut PathBuf| *path = base.join(&*path);
        fix(&mut self.rules);
        fix(&mut self.store.sqlite);
        if let Some(tls) = &mut self.listen.admin.tls {
            fix(&mut tls.certificate);
            fix(&mut tls.key);
        }
        if let Some(tls) = self.listen.webhooks.as_mut().and_then(|listen| listen.tls.as_mut()) {
            fix(&mut tls.certificate);
            fix(&mut tls.key);
            tls.client_ca.iter_mut().for_each(fix);
        }
        for token in &mut self.listen.admin.tokens {
            token.resolve(base);
        }
        for source in &mut self.sources {
            source.resolve_paths(base);
        }
        for channel in &mut self.notify {
            channel.resolve_paths(base);
        }
        for tenant in &mut self.tenants {
            tenant.resolve_paths(base);
        }
    }

    /// What single keys can't see: names that must be unique or must exist elsewhere.
    fn check(&self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let refuse = |text: String| Err(ConfigError(format!("{}: {text}", path.display())));
        if self.node.is_empty() {
            return refuse("node: give this process a name, such as lazaret-1".into());
        }
        if self.tenants.is_empty() {
            return refuse("tenants: name at least one tenant".into());
        }
        if self.sources.is_empty() {
            return refuse("sources: name at least one source".into());
        }
        for (place, names) in [
            ("sources", self.sources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>()),
            ("tenants", self.tenants.iter().map(|t| t.name.as_str()).collect()),
            ("notify", self.notify.iter().map(|c| c.name.as_str()).collect()),
            ("tokens", self.listen.admin.tokens.iter().map(|t| t.name.as_str()).collect()),
        ] {
            for (at, name) in names.iter().enumerate() {
                if !is_name(name) {
                    return refuse(format!(
                        "{place}: {name:?} is no name: use 1 to 64 letters, digits, - and _"
                    ));
                }
                if names[..at].contains(name) {
                    return refuse(format!("{place}: {name} is named twice"));
                }
            }
        }
        for (at, tenant) in self.tenants.iter().enumerate() {
            if let Some(same) = self.tenants[..at].iter().find(|other| other.id == tenant.id) {
                return refuse(format!(
                    "tenants: {} and {} have the same id: one tenant has one budget, one name",
                    same.name, tenant.name
                ));
            }
        }
        for token in &self.listen.admin.tokens {
            token.check().or_else(|why| refuse(format!("tokens: {why}")))?;
        }
        for source in &self.sources {
            let what = format!("source {}", source.name);
            source.check(self).map_err(|wrong| wrong.told(&what, path, text))?;
        }
        for channel in &self.notify {
            let checked = channel.check(self);
            checked.or_else(|why| refuse(format!("notify {}: {why}", channel.name)))?;
        }
        for tenant in &self.tenants {
            let what = format!("tenant {}", tenant.name);
            tenant.check().map_err(|wrong| wrong.told(&what, path, text))?;
        }
        Ok(())
    }
}

impl Wrong {
    /// With the place, where it is known.
    fn told(self, what: &str, path: &Path, text: &str) -> ConfigError {
        let why = format!("{what}: {}", self.why);
        ConfigError(match self.at {
            Some(at) => placed(path, text, at, &why),
            None => format!("{}: {why}", path.display()),
        })
    }
}

/// Names that stand on the record for the service itself and for its local token.
pub fn is_own(name: &str) -> bool {
    ["lazaret", "local"].contains(&name)
}

/// A name may stand in paths, headers, metrics and file names.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests;
