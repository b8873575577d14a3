//! How the deliveries of a webhook source are checked.

use serde::Deserialize;
use uuid::Uuid;

use super::Config;
use super::values::{Secret, Span};
use crate::domain::cloud::Cloud;
use crate::domain::signature::Subjects;

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
    /// A token that Microsoft Entra has signed.
    Entra {
        /// The directory that issues it: its Entra tenant id.
        tenant: Uuid,
        /// The claim `aud`: whom it is for.
        audience: String,
        /// Client ids of the applications and managed identities that may send.
        applications: Vec<Uuid>,
        #[serde(default)]
        cloud: Cloud,
        /// Overrides the login of the cloud.
        login: Option<String>,
    },
    /// A certificate that an authority of `listen.webhooks.tls.client_ca` has signed.
    MutualTls {
        /// Whole subjects, or DNS names, of those that may send.
        subjects: Vec<String>,
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

impl Verify {
    pub fn secrets(&self) -> &[Secret] {
        match self {
            Verify::StandardWebhooks { secrets }
            | Verify::Github { secrets }
            | Verify::Slack { secrets }
            | Verify::Stripe { secrets }
            | Verify::Hmac { secrets, .. }
            | Verify::Bearer { secrets } => secrets,
            Verify::Entra { .. } | Verify::MutualTls { .. } | Verify::None {} => &[],
        }
    }

    /// Fewer bytes could be guessed, with one signed delivery to try against. Standard Webhooks,
    /// whose secrets are encoded, has a minimum of its own.
    pub(super) fn secret_bytes_min(&self) -> usize {
        match self {
            Verify::StandardWebhooks { .. }
            | Verify::Entra { .. }
            | Verify::MutualTls { .. }
            | Verify::None {} => 1,
            Verify::Github { .. }
            | Verify::Slack { .. }
            | Verify::Stripe { .. }
            | Verify::Hmac { .. }
            | Verify::Bearer { .. } => 16,
        }
    }

    pub(super) fn secrets_mut(&mut self) -> &mut [Secret] {
        match self {
            Verify::StandardWebhooks { secrets }
            | Verify::Github { secrets }
            | Verify::Slack { secrets }
            | Verify::Stripe { secrets }
            | Verify::Hmac { secrets, .. }
            | Verify::Bearer { secrets } => secrets,
            Verify::Entra { .. } | Verify::MutualTls { .. } | Verify::None {} => &mut [],
        }
    }

    pub(super) fn check(&self, config: &Config) -> Result<(), String> {
        let Some(listen) = &config.listen.webhooks else {
            return Err("listen.webhooks is missing: a webhook needs a listener".into());
        };
        let asks = listen.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        match self {
            Verify::None {} if listen.address.ip().is_loopback() => Ok(()),
            Verify::None {} => Err(format!(
                "scheme none is refused on {}: anyone could quarantine files; listen on 127.0.0.1 \
                 or choose a scheme",
                listen.address
            )),
            Verify::Entra { applications, .. } if applications.is_empty() => {
                Err("applications: name one at least, by its client id".into())
            }
            Verify::Entra { audience, .. } if audience.is_empty() => {
                Err("audience: name it, such as api://lazaret".into())
            }
            Verify::Entra { .. } => Ok(()),
            Verify::MutualTls { .. } if !asks => {
                Err("scheme mutual-tls needs listen.webhooks.tls.client_ca: the PEM file of the \
                     authority that signs the senders' certificates"
                    .into())
            }
            Verify::MutualTls { subjects } => {
                Subjects::parse(subjects).map(|_| ()).map_err(|why| format!("subjects: {why}"))
            }
            _ if !(1..=3).contains(&self.secrets().len()) => {
                Err("give one to three secrets".into())
            }
            _ => Ok(()),
        }
    }
}
