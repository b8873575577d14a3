//! The token of one tenant: fetched in the background, ready when a call needs it.
//!
//! azure_identity refreshes late and under a lock that every caller waits for. So it is asked here
//! by a task of its own, early in a token's life; a caller takes what is there. Only a caller that
//! finds no valid token waits, and no longer than it may.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::{Notify, watch};

use crate::domain::ids::TenantName;
use crate::domain::time::Boot;
use crate::io::Clock;

/// A token is renewed when this much of its life, in percent, is over: long before its end, so
/// that a login that is down for a while stops nothing.
const RENEW_AT_PERCENT: u32 = 60;

/// The shortest time between two requests for a token, and the first wait after a failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest wait after failures in a row.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A refused token is replaced at most this often: an API that refuses every token must not make
/// us hammer the login.
const REFUSALS_APART: Duration = Duration::from_secs(30);

/// Where tokens come from: a client secret today, other credentials later.
pub trait TokenSource: Send + Sync {
    /// Asks for a new token, every time: what was refused must not come back from a cache.
    fn fetch(&self) -> BoxFuture<'static, Result<Token, NoToken>>;
}

/// A new token and how long it is good for.
#[derive(Debug)]
pub struct Token {
    pub text: SecretString,
    pub life: Duration,
}

/// Why there is no token, in a line without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no token: {0}")]
pub struct NoToken(pub String);

/// A token in use. Its text is shown nowhere.
#[derive(Debug)]
pub struct Bearer {
    header: HeaderValue,
    roles: Vec<String>,
    valid_until: Boot,
}

impl Bearer {
    /// `asked` is when the request for it was made: its life counts from before it began.
    fn new(token: &Token, asked: Boot) -> Result<Self, NoToken> {
        let text = token.text.expose_secret();
        let mut header = HeaderValue::try_from(format!("Bearer {text}"))
            .map_err(|_| NoToken("the login's answer holds characters no token has".to_owned()))?;
        header.set_sensitive(true);
        Ok(Self { header, roles: roles(text), valid_until: asked + token.life })
    }

    /// The value of the `Authorization` header, marked as sensitive.
    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// The application's permissions, as the token claims them. Empty if it claims none.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }
}

/// Keeps one tenant's token fresh for as long as it lives.
pub struct Tokens {
    clock: Arc<dyn Clock>,
    state: Arc<watch::Sender<State>>,
    /// The first token is. Heard once, and never again.
    wanted: Arc<Notify>,
    renew: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct State {
    bearer: Option<Arc<Bearer>>,
    /// Why the last request failed. An older token stays in use until its end.
    error: Option<NoToken>,
    refused: Option<Boot>,
}

impl Tokens {
    /// Starts the task that fetches tokens; it ends with this value. Needs a tokio runtime. It
    /// fetches the first one after that time, or as soon as a caller waits for it.
    pub fn start(
        tenant: TenantName,
        source: Arc<dyn TokenSource>,
        after: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let state = Arc::new(watch::Sender::new(State::default()));
        let (wanted, renew) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let task = Keeper {
            tenant,
            source,
            clock: clock.clone(),
            state: state.clone(),
            wanted: wanted.clone(),
            renew: renew.clone(),
        };
        Self { clock, state, wanted, renew, task: tokio::spawn(task.run(after)) }
    }

    /// A valid token: at once if there is one, else the next one, if it comes in time.
    pub async fn bearer(&self, patience: Duration) -> Result<Arc<Bearer>, NoToken> {
        match tokio::time::timeout(patience, self.next_bearer()).await {
            Ok(found) => found,
            Err(_) => Err(NoToken("the login has not answered in time".to_owned())),
        }
    }

    async fn next_bearer(&self) -> Result<Arc<Bearer>, NoToken> {
        let mut changes = self.state.subscribe();
        self.wanted.notify_one();
        loop {
            {
                let state = changes.borrow_and_update();
                let now = self.clock.now().boot;
                match &state.bearer {
                    Some(bearer) if now < bearer.valid_until => return Ok(bearer.clone()),
                    // Expired while this machine slept: the task sleeps on by another clock.
                    Some(_) if state.error.is_none() => self.renew.notify_one(),
                    _ => {}
                }
                if let Some(error) = &state.error {
                    return Err(error.clone());
                }
            }
            // Can't fail: this value owns a sender.
            let _ = changes.changed().await;
        }
    }

    /// Drops a token that was answered with 401 and asks for another. Of many calls that were
    /// refused with the same token the first one does it; soon after that none does.
    pub fn refused(&self, bearer: &Arc<Bearer>) {
        let now = self.clock.now().boot;
        let dropped = self.state.send_if_modified(|state| {
            let in_use = state.bearer.as_ref().is_some_and(|known| Arc::ptr_eq(known, bearer));
            let early = state.refused.is_some_and(|last| now.since(last) < REFUSALS_APART);
            if !in_use || early {
                return false;
            }
            *state = State { bearer: None, error: None, refused: Some(now) };
            true
        });
        if dropped {
            self.renew.notify_one();
        }
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task behind [`Tokens`].
struct Keeper {
    tenant: TenantName,
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    state: Arc<watch::Sender<State>>,
    /// The first token is. Heard once, and never again.
    wanted: Arc<Notify>,
    renew: Arc<Notify>,
}

impl Keeper {
    /// Other people's code that panics has failed, and is asked again: without this task no call
    /// would ever be made any more.
    async fn fetch(&self) -> Result<Token, NoToken> {
        let fetched = AssertUnwindSafe(async {
            failpoint!("token.fetch", Err(NoToken("a failpoint struck".to_owned())));
            self.source.fetch().await
        });
        let panicked = |_| Err(NoToken("whoever asks for it panicked; see the log".to_owned()));
        fetched.catch_unwind().await.unwrap_or_else(panicked)
    }

    async fn run(self, after: Duration) {
        // Elapsed or wanted: either way it is time for the first one.
        let _ = tokio::time::timeout(after, self.wanted.notified()).await;
        let mut failures = 0;
        loop {
            let asked = self.clock.now().boot;
            let token = self.fetch().await;
            let fetched = token.and_then(|token| Ok((Bearer::new(&token, asked)?, token.life)));
            let pause = match fetched {
                Ok((bearer, life)) => {
                    failures = 0;
                    self.state.send_modify(|state| {
                        state.bearer = Some(Arc::new(bearer));
                        state.error = None;
                    });
                    (life * RENEW_AT_PERCENT / 100).max(PAUSE_MIN)
                }
                Err(error) => {
                    tracing::warn!(tenant = %self.tenant, %error, "the login gives no token");
                    self.state.send_modify(|state| state.error = Some(error));
                    let pause = PAUSE_MIN.saturating_mul(1 << failures).min(PAUSE_MAX);
                    failures = (failures + 1).min(16);
                    pause
                }
            };
            // Elapsed or woken: either way it is time for the next one.
            let _ = tokio::time::timeout(pause, self.renew.notified()).await;
        }
    }
}

/// What Defender is asked for, besides machines.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reads {
    pub alerts: bool,
    pub files: bool,
}

/// What the roles lack for Lazaret's work. The first two are needed by every call that quarantines:
/// observed, where Microsoft's page says "one of". The others only where alerts or files are read.
pub fn missing_roles(roles: &[String], reads: Reads) -> Vec<&'static str> {
    let has = |wanted: &str| roles.iter().any(|role| role == wanted);
    let mut missing = Vec::new();
    if !has("Machine.StopAndQuarantine") {
        missing.push("Machine.StopAndQuarantine");
    }
    if !has("Machine.Read.All") && !has("Machine.ReadWrite.All") {
        missing.push("Machine.Read.All or Machine.ReadWrite.All");
    }
    if reads.files && !has("File.Read.All") {
        missing.push("File.Read.All");
    }
    if reads.alerts && !has("Alert.Read.All") && !has("Alert.ReadWrite.All") {
        missing.push("Alert.Read.All or Alert.ReadWrite.All");
    }
    missing
}

/// Reads the `roles` claim without verifying the token: Defender is its audience, not we, and
/// nothing is decided by it. A token of a shape we don't know has no roles that we know of.
fn roles(token: &str) -> Vec<String> {
    #[derive(Default, Deserialize)]
    struct Claims {
        #[serde(default)]
        roles: Vec<String>,
    }
    let claims = token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let claims = claims.and_then(|bytes| serde_json::from_slice::<Claims>(&bytes).ok());
    claims.unwrap_or_default().roles
}
