//! Tokens for brokers that know Entra, such as Event Hubs: the same credentials, another scope.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::entra::Entra;
use super::token::{NoToken, Tokens};
use super::{Credential, Http, SettingsError, place};
use crate::domain::ids::TenantName;
use crate::io::{BrokerToken, BrokerTokens, Clock};
use crate::limits::BROKER_TOKEN_WAIT;

/// Who signs in at a broker, and where the tokens come from.
pub struct BrokerSettings {
    /// Whose credential it is.
    pub tenant: TenantName,
    pub entra_tenant: Uuid,
    pub credential: Arc<Credential>,
    /// As in [`super::Settings`].
    pub login: Option<String>,
    /// The broker's host, for which the tokens are: `https://HOST/.default` is their scope.
    pub host: String,
    /// A client of its own: connections belong to the thread that they were made on.
    pub http: Http,
    pub clock: Arc<dyn Clock>,
}

/// Keeps a token for one host fresh, on a thread of its own: clients of brokers ask from threads
/// that know no async runtime, and may not wait for long. It ends with the last clone.
pub fn broker_tokens(settings: BrokerSettings) -> Result<BrokerTokens, SettingsError> {
    let BrokerSettings { tenant, entra_tenant, credential, login, host, http, clock } = settings;
    let source = Entra {
        place: place(&tenant, &credential, login.as_deref())?,
        credential,
        tenant: entra_tenant,
        scope: format!("https://{host}/.default"),
        client: http.client,
        clock: clock.clone(),
    };
    let thread = || Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = thread().map_err(|error| SettingsError::Thread(tenant.clone(), error))?;
    let keeper = {
        let _inside = runtime.enter();
        Keeper {
            tokens: Arc::new(Tokens::start(tenant, Arc::new(source), Duration::ZERO, clock, None)),
            runtime: Some(runtime),
        }
    };
    Ok(BrokerTokens::new(move || keeper.token().map_err(|why| format!("{why} (for {host})"))))
}

struct Keeper {
    tokens: Arc<Tokens>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Keeper {
    fn token(&self) -> Result<BrokerToken, NoToken> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let tokens = self.tokens.clone();
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // Nobody may wait any more: then it is not needed.
                let _ = send.send(tokens.bearer(BROKER_TOKEN_WAIT).await);
            });
        }
        let none = || NoToken("the login has not answered in time".to_owned());
        let bearer = receive.recv_timeout(BROKER_TOKEN_WAIT * 2).map_err(|_| none())??;
        Ok(BrokerToken { text: bearer.text(), until: self.tokens.ends(&bearer) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // A runtime may not be waited for inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
