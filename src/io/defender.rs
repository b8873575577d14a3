//! Defender's API for one tenant, over HTTP.
//!
//! One method call is at most one wire call: no redirects, no retries, no proxy from the
//! environment. What an answer means is read by pure code; what is decided here is only whether
//! anything left for the wire at all.

mod body;

mod broker;

mod certificate;

mod credential;

mod entra;

mod gate;

mod http;

mod reads;

mod roles;

mod text;

mod token;

mod transport;

mod url;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use serde::Serialize;
use uuid::Uuid;

pub use self::broker::{BrokerSettings, broker_tokens};
pub use self::credential::{Credential, ReadSecret};
pub use self::http::{Http, HttpError};
pub use self::roles::{Needs, Reads, missing_roles};
pub use self::token::{NoToken, Token, TokenSource};
pub use self::url::{Base, UrlError};

use self::credential::Proof;
use self::entra::{Entra, LoginPlace};
use self::gate::Gate;
use self::token::{Bearer, Tokens};
use super::{Api, Clock, CredentialLine, Expiry};
use crate::domain::action::Call;
use crate::domain::answer::{Answer, CancelAnswer, Fetched, ListQuery, Listing, Machines};
use crate::domain::ids::{MachineActionId, MachineId, Sha1, TenantName};
use crate::domain::limiter::Permit;
use crate::domain::time::Boot;

/// Bytes of the answer to one call. A machine action has one or two thousand.
const ANSWER_BYTES: usize = 64 * 1024;

/// What failpoints say.
const STRUCK: &str = "a failpoint struck";

/// One tenant's API and login.
pub struct Settings {
    pub tenant: TenantName,
    pub entra_tenant: Uuid,
    pub credential: Arc<Credential>,
    /// Base URLs: https, or http on loopback. `domain::cloud` has the real ones.
    pub api: String,
    /// May be left out with a managed identity, for which nobody signs in: then it is the
    /// machine's metadata service that is asked, which a test may have elsewhere.
    pub login: Option<String>,
    pub scope: String,
    /// Which roles are looked for in tokens; `None` looks for none.
    pub needs: Option<Needs>,
    /// When to ask for the first token where no call asks before.
    pub token_after: Duration,
    /// Shared by all tenants.
    pub http: Http,
    pub clock: Arc<dyn Clock>,
}

/// Why there can be no client with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("tenant {tenant}: {name}: {error}")]
    Url {
        tenant: TenantName,
        /// `api` or `login`.
        name: &'static str,
        error: UrlError,
    },
    #[error("tenant {0}: there is no thread for its tokens: {1}")]
    Thread(TenantName, std::io::Error),
    #[error("tenant {0}: login: name the login that its credential signs in at")]
    NoLogin(TenantName),
}

/// The client. Cheap to clone; the token task ends with the last clone.
#[derive(Clone)]
pub struct DefenderApi(Arc<Inner>);

struct Inner {
    api: Base,
    http: Http,
    tokens: Tokens,
    tenant: TenantName,
    credential: Arc<Credential>,
    needs: Option<Needs>,
    clock: Arc<dyn Clock>,
}

impl DefenderApi {
    /// Checks the settings and keeps a token from then on. Needs a tokio runtime.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let source = Entra {
            credential: settings.credential.clone(),
            tenant: settings.entra_tenant,
            scope: settings.scope.clone(),
            place: place(&settings.tenant, &settings.credential, settings.login.as_deref())?,
            client: settings.http.client.clone(),
            clock: settings.clock.clone(),
        };
        Self::with_tokens(settings, Arc::new(source))
    }

    /// The same with tokens from elsewhere; login and scope are not used.
    pub fn with_tokens(
        settings: Settings,
        source: Arc<dyn TokenSource>,
    ) -> Result<Self, SettingsError> {
        let Settings { tenant, api, credential, needs, token_after, http, clock, .. } = settings;
        let api = base(&tenant, "api", &api)?;
        let tokens =
            Tokens::start(tenant.clone(), source, token_after, clock.clone(), needs.clone());
        let inner = Inner { api, http, tokens, tenant, credential, needs, clock };
        Ok(Self(Arc::new(inner)))
    }

    /// When its secret or certificate ends, as of the files now. Reads them: never on a worker of
    /// the async runtime.
    pub fn expires(&self) -> Option<Expiry> {
        self.0.credential.expires()
    }

    /// How its credential does. Reads files, as [`DefenderApi::expires`].
    pub fn credential(&self) -> CredentialLine {
        let (roles, error) = self.0.tokens.at_hand();
        let missing = roles.zip(self.0.needs.as_ref());
        let missing = missing.map(|(roles, needs)| missing_roles(&roles, needs()));
        let missing = missing.unwrap_or_default().into_iter().map(str::to_owned).collect();
        CredentialLine {
            tenant: self.0.tenant.to_string(),
            expires: self.expires(),
            roles_missing: missing,
            error: error.map(|error| error.to_string()),
        }
    }

    /// The application's roles, as its token claims them; see [`missing_roles`]. Waits for a token
    /// as long as a call would.
    pub async fn roles(&self) -> Result<Vec<String>, NoToken> {
        Ok(self.0.tokens.bearer(self.0.http.timeout).await?.roles().to_vec())
    }
}

impl Api for DefenderApi {
    fn quarantine(&self, permit: Permit, call: Call, send_by: Boot) -> BoxFuture<'static, Answer> {
        let inner = self.0.clone();
        Box::pin(async move { inner.quarantine(permit, &call, send_by).await })
    }

    fn machine_actions(&self, permit: Permit, query: ListQuery) -> BoxFuture<'static, Listing> {
        let inner = self.0.clone();
        Box::pin(async move { inner.machine_actions(permit, query).await })
    }

    fn cancel(
        &self,
        permit: Permit,
        id: MachineActionId,
        comment: String,
    ) -> BoxFuture<'static, CancelAnswer> {
        let inner = self.0.clone();
        Box::pin(async move { inner.cancel(permit, &id, &comment).await })
    }

    fn alert(&self, permit: Permit, id: String) -> BoxFuture<'static, Fetched<String>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.alert(permit, &id).await })
    }

    fn machine(&self, permit: Permit, id: MachineId) -> BoxFuture<'static, Fetched<String>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.machine(permit, id).await })
    }

    fn file(&self, permit: Permit, sha1: Sha1) -> BoxFuture<'static, Fetched<String>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.file(permit, sha1).await })
    }

    fn machines(&self, permit: Permit, label: String) -> BoxFuture<'static, Fetched<Machines>> {
        let inner = self.0.clone();
        Box::pin(async move { inner.machines(permit, &label).await })
    }
}

/// Exactly what Defender takes: its names are case-sensitive.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct QuarantineBody<'a> {
    comment: &'a str,
    sha1: Sha1,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CancelBody<'a> {
    comment: &'a str,
}

impl Inner {
    /// Spends the permit, whatever becomes of the call.
    async fn quarantine(&self, _spent: Permit, call: &Call, send_by: Boot) -> Answer {
        let patience = send_by.since(self.clock.now().boot);
        let bearer = match self.tokens.bearer(patience).await {
            Ok(bearer) => bearer,
            Err(error) => return Answer::Unsent { text: error.to_string() },
        };
        let body = QuarantineBody { comment: &call.comment, sha1: call.key.sha1 };
        let body = serde_json::to_vec(&body).expect("two texts are JSON");
        let length = body.len();
        let gate = Gate::new();
        let request = self
            .http
            .client
            .post(self.api.quarantine(call.key.machine))
            .header(AUTHORIZATION, bearer.header())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, length)
            .body(gate.body(Bytes::from(body), self.clock.clone(), send_by));
        failpoint!("defender.connect", Answer::Unsent { text: STRUCK.to_owned() });
        let sent = request.send().await;
        if gate.shut() {
            let text = match sent {
                Err(error) => text::chain(&error.without_url()),
                Ok(_) => "answered before the call was written".to_owned(),
            };
            return Answer::Unsent { text };
        }
        match sent {
            Ok(response) => {
                failpoint!("defender.read", Answer::Unclear { status: None, text: STRUCK.into() });
                let (status, retry_after, body) = self.read(response, ANSWER_BYTES, &bearer).await;
                Answer::read(status, retry_after.as_deref(), &body, self.clock.now().wall)
            }
            Err(error) => Answer::Unclear { status: None, text: text::chain(&error.without_url()) },
        }
    }

    async fn cancel(&self, _spent: Permit, id: &MachineActionId, comment: &str) -> CancelAnswer {
        let Some(url) = self.api.cancel(id) else {
            let text = format!("the id {id} can stand in no URL: cancel it in the portal");
            return CancelAnswer::Refused { text };
        };
        let bearer = match self.tokens.bearer(self.http.timeout).await {
            Ok(bearer) => bearer,
            Err(error) => return CancelAnswer::Failed { text: error.to_string() },
        };
        let request = self.http.client.post(url).header(AUTHORIZATION, bearer.header());
        match request.json(&CancelBody { comment }).send().await {
            Ok(response) => {
                let (status, retry_after, body) = self.read(response, ANSWER_BYTES, &bearer).await;
                CancelAnswer::read(status, retry_after.as_deref(), &body, self.clock.now().wall)
            }
            Err(error) => CancelAnswer::Failed { text: text::chain(&error.without_url()) },
        }
    }

    /// Status, `Retry-After` and body. A 401 costs the token it came with.
    async fn read(
        &self,
        response: reqwest::Response,
        bytes_max: usize,
        bearer: &Arc<Bearer>,
    ) -> (u16, Option<String>, Bytes) {
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = body::bounded(response, bytes_max).await;
        if status == 401 {
            self.tokens.refused(bearer);
        }
        (status, retry_after, body.freeze())
    }
}

fn base(tenant: &TenantName, name: &'static str, text: &str) -> Result<Base, SettingsError> {
    Base::parse(text).map_err(|error| SettingsError::Url { tenant: tenant.clone(), name, error })
}

fn place(
    tenant: &TenantName,
    credential: &Credential,
    login: Option<&str>,
) -> Result<LoginPlace, SettingsError> {
    let login = login.map(|login| base(tenant, "login", login)).transpose()?;
    match (&credential.proof, login) {
        (Proof::Managed(_), at) => Ok(LoginPlace::Metadata(at)),
        (_, Some(login)) => Ok(LoginPlace::Login(login)),
        (_, None) => Err(SettingsError::NoLogin(tenant.clone())),
    }
}
