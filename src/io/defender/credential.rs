//! What Lazaret shows to get a token, read anew for each request: what is put in its place on disk
//! counts from the next token on, without a restart.

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;
use uuid::Uuid;

use super::certificate::Certificate;
use crate::domain::time::Wall;
use crate::io::{CredentialKind, Expiry};

/// Reads a secret from where it stands now. Blocks. The text of an error holds no secret.
pub type ReadSecret = Arc<dyn Fn() -> Result<SecretString, String> + Send + Sync>;

/// One tenant's credential. Every use of it reads files: never on a worker of the async runtime.
pub struct Credential {
    pub(super) proof: Proof,
    expires: Option<Wall>,
}

/// What is shown, and by which application.
pub(super) enum Proof {
    Secret(Uuid, Kept<SecretString>),
    Certificate(Uuid, Kept<Certificate>),
    /// A token of another issuer, which the application trusts.
    Federated(Uuid, Kept<SecretString>),
    /// Nothing: the machine's own metadata service vouches for it. `None` is the machine's own
    /// identity.
    Managed(Option<Uuid>),
}

impl Credential {
    /// A client secret. `expires` is when it ends, where somebody has said so.
    pub fn secret(
        client_id: Uuid,
        read: ReadSecret,
        expires: Option<Wall>,
    ) -> Result<Self, String> {
        let secret = Kept::new("the client secret", move || read())?;
        Ok(Self { proof: Proof::Secret(client_id, secret), expires })
    }

    /// A certificate that the application in Entra knows, in PEM. Without `key` its private key
    /// stands beside it. The two are read as one: a certificate whose key has not come yet is not
    /// taken. `place` is where it stands, for errors.
    pub fn certificate(
        client_id: Uuid,
        place: String,
        pem: ReadSecret,
        key: Option<ReadSecret>,
    ) -> Result<Self, String> {
        let read = move || {
            let certificate = pem()?;
            let key = key.as_ref().map(|read| read()).transpose()?;
            let parsed = Certificate::parse(&certificate, key.as_ref().unwrap_or(&certificate));
            parsed.map_err(|why| format!("{place}: {why}"))
        };
        let certificate = Kept::new("the certificate", read)?;
        Ok(Self { proof: Proof::Certificate(client_id, certificate), expires: None })
    }

    /// A token in a file that somebody else keeps fresh, such as Kubernetes.
    pub fn federated(client_id: Uuid, read: ReadSecret) -> Result<Self, String> {
        let token = Kept::new("the federated token", move || read())?;
        Ok(Self { proof: Proof::Federated(client_id, token), expires: None })
    }

    /// A managed identity of this machine: its own, or one that was assigned to it.
    pub fn managed(client_id: Option<Uuid>) -> Self {
        Self { proof: Proof::Managed(client_id), expires: None }
    }

    /// When it ends, as of the files now; `None` where nothing tells.
    pub fn expires(&self) -> Option<Expiry> {
        let (kind, at) = match &self.proof {
            Proof::Secret(..) => (CredentialKind::Secret, self.expires?),
            Proof::Certificate(_, kept) => (CredentialKind::Certificate, kept.now().expires),
            Proof::Federated(..) | Proof::Managed(_) => return None,
        };
        Some(Expiry { kind, at })
    }
}

/// Something that is read each time it is needed. While it can't be, the one before serves.
pub(super) struct Kept<T> {
    what: &'static str,
    read: Box<dyn Fn() -> Result<T, String> + Send + Sync>,
    last: Mutex<Last<T>>,
}

struct Last<T> {
    good: Arc<T>,
    /// The newest try failed, which was said.
    broken: bool,
}

impl<T> Kept<T> {
    /// Reads it for the first time: an error here must stop the start.
    fn new(
        what: &'static str,
        read: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let good = Arc::new(read()?);
        Ok(Self { what, read: Box::new(read), last: Mutex::new(Last { good, broken: false }) })
    }

    /// As it is now, or as it last was when it could be read. That it can't be is logged once.
    pub fn now(&self) -> Arc<T> {
        let read = (self.read)();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(good) => {
                if last.broken {
                    tracing::info!("{} can be read again, and is in use", self.what);
                }
                *last = Last { good: Arc::new(good), broken: false };
            }
            Err(why) if !last.broken => {
                tracing::error!(why, "{} can't be read: the one before stays in use", self.what);
                last.broken = true;
            }
            Err(_) => {}
        }
        last.good.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn what_can_not_be_read_any_more_serves_as_it_last_was() {
        let script = [Ok(1), Ok(2), Err("gone"), Err("gone"), Ok(3)];
        let script = Mutex::new(VecDeque::from(script));
        let next = move || script.lock().unwrap().pop_front().unwrap().map_err(str::to_owned);
        let kept = Kept::new("the number", next).unwrap();
        let seen: Vec<i32> = (0..4).map(|_| *kept.now()).collect();
        assert_eq!(seen, [2, 2, 2, 3]);
        assert!(!kept.last.lock().unwrap().broken);
    }

    #[test]
    fn what_can_not_be_read_at_first_is_an_error() {
        let client_id = Uuid::nil();
        let none: ReadSecret = Arc::new(|| Err("no such file".to_owned()));
        assert!(Credential::secret(client_id, none.clone(), None).is_err());
        assert!(Credential::certificate(client_id, String::new(), none.clone(), None).is_err());
        assert!(Credential::federated(client_id, none).is_err());
    }
}
