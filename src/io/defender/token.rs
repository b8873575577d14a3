//! The token of one tenant: fetched in the background, ready when a call needs it.
//!
//! azure_identity refreshes late and under a lock that every caller waits for. So it is asked here
//! by a task of its own, early in a token's life; a caller takes what is there. Only a caller that
//! finds no valid token waits, and no longer than it may.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Notify, watch};

use super::roles::{self, Needs, missing_roles, stops_calls};
use crate::domain::ids::TenantName;
use crate::domain::time::{Boot, Wall};
use crate::io::Clock;
use crate::limits::ROLES_LOOK_EVERY;

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

/// Where tokens come from.
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
    text: SecretString,
    roles: Vec<String>,
    valid_until: Boot,
}

impl Bearer {
    /// `asked` is when the request for it was made: its life counts from before it began. One that
    /// has ended already is none: else it would be replaced at once, again and again.
    fn new(token: &Token, asked: Boot) -> Result<Self, NoToken> {
        if token.life < PAUSE_MIN {
            return Err(NoToken("the token has ended already: is the clock right?".to_owned()));
        }
        let text = token.text.expose_secret();
        let mut header = HeaderValue::try_from(format!("Bearer {text}"))
            .map_err(|_| NoToken("the login's answer holds characters no token has".to_owned()))?;
        header.set_sensitive(true);
        let (roles, text) = (roles::of(text)?, token.text.clone());
        Ok(Self { header, text, roles, valid_until: asked + token.life })
    }

    /// The token itself, for what takes no header.
    pub fn text(&self) -> SecretString {
        self.text.clone()
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
    /// fetches the first one after that time, or as soon as a caller waits for it. With `needs` it
    /// looks in each token for the roles that they ask for.
    pub fn start(
        tenant: TenantName,
        source: Arc<dyn TokenSource>,
        after: Duration,
        clock: Arc<dyn Clock>,
        needs: Option<Needs>,
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
            needs,
            missing: Vec::new(),
            look_every: ROLES_LOOK_EVERY,
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

    /// The roles of the newest token, while none is known `None`; and why the last request failed,
    /// if it did.
    pub fn at_hand(&self) -> (Option<Vec<String>>, Option<NoToken>) {
        let state = self.state.borrow();
        (state.bearer.as_ref().map(|bearer| bearer.roles.clone()), state.error.clone())
    }

    /// When a token ends, by the wall clock.
    pub fn ends(&self, bearer: &Bearer) -> Wall {
        let now = self.clock.now();
        now.wall + bearer.valid_until.since(now.boot)
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
    needs: Option<Needs>,
    /// Roles that the newest token lacks, as they were logged.
    missing: Vec<&'static str>,
    look_every: Duration,
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

    async fn run(mut self, after: Duration) {
        // Elapsed or wanted: either way it is time for the first one.
        let _ = tokio::time::timeout(after, self.wanted.notified()).await;
        let mut failures = 0;
        loop {
            let asked = self.clock.now().boot;
            let token = self.fetch().await;
            let fetched = token.and_then(|token| Ok((Bearer::new(&token, asked)?, token.life)));
            match fetched {
                Ok((bearer, life)) => {
                    failures = 0;
                    let bearer = Arc::new(bearer);
                    self.look_for_roles(&bearer);
                    self.state.send_modify(|state| {
                        state.bearer = Some(bearer.clone());
                        state.error = None;
                    });
                    self.serve(&bearer, life).await;
                }
                Err(error) => {
                    tracing::warn!(tenant = %self.tenant, %error, "the login gives no token");
                    self.state.send_modify(|state| state.error = Some(error));
                    let pause = PAUSE_MIN.saturating_mul(1 << failures).min(PAUSE_MAX);
                    failures = (failures + 1).min(16);
                    // Elapsed or woken: either way it is time for the next one.
                    let _ = tokio::time::timeout(pause, self.renew.notified()).await;
                }
            }
        }
    }

    /// Waits until this token, of this life, is to be renewed. While it lacks a role that is soon:
    /// what is granted now is only in tokens that are made from now on. The rules may have come to
    /// need one since it was made.
    async fn serve(&mut self, bearer: &Bearer, life: Duration) {
        let mut left = (life * RENEW_AT_PERCENT / 100).max(PAUSE_MIN);
        while !left.is_zero() {
            let pause = left.min(self.look_every);
            if tokio::time::timeout(pause, self.renew.notified()).await.is_ok() {
                return;
            }
            left -= pause;
            self.look_for_roles(bearer);
            if !self.missing.is_empty() {
                return;
            }
        }
    }

    /// Says what the roles lack, where that has changed since it was last looked for.
    fn look_for_roles(&mut self, bearer: &Bearer) {
        let Some(needs) = &self.needs else { return };
        let missing = missing_roles(&bearer.roles, needs());
        if missing == self.missing {
            return;
        }
        let (tenant, list) = (&self.tenant, missing.join(", and "));
        if missing.is_empty() {
            tracing::info!(%tenant, "the application has every role that is needed");
        } else if missing.iter().any(|role| stops_calls(role)) {
            tracing::error!(
                %tenant, missing = list,
                "the application lacks roles, so that Defender refuses every call: grant them to \
                 it in Entra as application permissions, with admin consent"
            );
        } else {
            tracing::warn!(
                %tenant, missing = list,
                "the application lacks roles, so that Defender does not tell what alerts or rules \
                 ask for: grant them to it in Entra as application permissions, with admin consent"
            );
        }
        self.missing = missing;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::mpsc;

    use super::super::Reads;
    use super::*;
    use crate::io::clock::SystemClock;

    /// Gives tokens of this life that have every role but that for files, and says so each time.
    struct NoFiles(Duration, mpsc::UnboundedSender<()>);

    impl TokenSource for NoFiles {
        fn fetch(&self) -> BoxFuture<'static, Result<Token, NoToken>> {
            let claims = r#"{"roles": ["Machine.StopAndQuarantine", "Machine.Read.All"]}"#;
            let claims = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims);
            let token = Token { text: format!("e30.{claims}.").into(), life: self.0 };
            self.1.send(()).unwrap();
            Box::pin(async { Ok(token) })
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_role_that_a_rule_comes_to_need_is_looked_for_in_the_token_at_hand() {
        let (asked, mut asks) = mpsc::unbounded_channel();
        let files = Arc::new(AtomicBool::new(false));
        let needs = files.clone();
        let keeper = Keeper {
            tenant: TenantName::new("contoso"),
            source: Arc::new(NoFiles(Duration::from_secs(3600), asked)),
            clock: Arc::new(SystemClock::new()),
            state: Arc::default(),
            wanted: Arc::default(),
            renew: Arc::default(),
            needs: Some(Arc::new(move || Reads {
                files: needs.load(Ordering::SeqCst),
                ..Reads::default()
            })),
            missing: Vec::new(),
            look_every: Duration::from_millis(10),
        };
        let task = tokio::spawn(keeper.run(Duration::ZERO));
        asks.recv().await.unwrap();
        files.store(true, Ordering::SeqCst);
        let again = tokio::time::timeout(Duration::from_secs(10), asks.recv()).await;
        assert_eq!(again, Ok(Some(())), "it is asked for a new one");
        task.abort();
    }
}
