//! Credentials as parts other than their owner see them.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::domain::time::Wall;

/// How one tenant's credential does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialLine {
    pub tenant: String,
    /// When a secret or a certificate ends, where that is known.
    pub expires: Option<Expiry>,
    /// The application's roles that are needed and that its token does not have, each as a person
    /// would grant it. Empty while no token has come.
    pub roles_missing: Vec<String>,
    /// Why the last request for a token failed, if it did. An older token may still serve.
    pub error: Option<String>,
}

/// The end of what is shown to get tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    pub kind: CredentialKind,
    pub at: Wall,
}

/// What has an end of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    Secret,
    Certificate,
}

impl CredentialKind {
    /// As metrics have it.
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialKind::Secret => "secret",
            CredentialKind::Certificate => "certificate",
        }
    }

    /// What a person does before the end, and after.
    pub fn renewal(self) -> &'static str {
        match self {
            CredentialKind::Secret => {
                "make a new client secret in Entra, put it in its place, and set `expires`"
            }
            CredentialKind::Certificate => {
                "upload a new certificate to the application in Entra, then put it and its key in \
                 their place: they are read again by themselves"
            }
        }
    }
}

/// A token to sign in at a broker.
pub struct BrokerToken {
    pub text: SecretString,
    pub until: Wall,
}

/// Gives tokens to clients of brokers, from any thread. It blocks for a moment while there is none
/// yet; the text of an error says why there is none and what to do.
#[derive(Clone)]
pub struct BrokerTokens(Arc<Give>);

type Give = dyn Fn() -> Result<BrokerToken, String> + Send + Sync;

impl BrokerTokens {
    pub fn new(give: impl Fn() -> Result<BrokerToken, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(give))
    }

    pub fn token(&self) -> Result<BrokerToken, String> {
        (self.0)()
    }
}

impl fmt::Debug for BrokerTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrokerTokens")
    }
}
