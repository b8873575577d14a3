//! The keys of an issuer of tokens: fetched in the background, at hand when a delivery comes.
//!
//! A task of its own fetches them at the start, then every [`limits::KEYS_EVERY`], so that no
//! delivery waits for the issuer. Only one that names an unknown key does: the task looks at once
//! then, but no more often than every [`limits::KEYS_APART`], whatever strangers send.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::Url;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{Clock, Issuer};
use crate::domain::signature::{KeySet, NoKeySet};
use crate::domain::time::Boot;
use crate::limits;

/// Whose keys, and from where.
#[derive(Clone, Debug)]
pub struct Settings {
    directory: Uuid,
    url: Url,
    client: reqwest::Client,
    /// [`limits::KEYS_EVERY`], but for tests.
    pub every: Duration,
}

/// Why an issuer can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    #[error(
        "login: give scheme, host and port only, such as https://login.microsoftonline.com; \
         http:// is for loopback only"
    )]
    Login,
    #[error("there can be no HTTP client: {0}")]
    Client(String),
}

/// Why a fetch brought no keys, in a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys at {url} can't be had: {why}")]
pub struct NoKeys {
    url: String,
    why: String,
}

impl Settings {
    /// Of a directory of Entra. `login` is the base URL of its cloud's login.
    pub fn new(directory: Uuid, login: &str) -> Result<Self, IssuerError> {
        let mut url = Url::parse(login).map_err(|_| IssuerError::Login)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        let safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
        if !bare || !safe {
            return Err(IssuerError::Login);
        }
        let path = ["discovery", "v2.0", "keys"];
        let mut segments = url.path_segments_mut().map_err(|()| IssuerError::Login)?;
        segments.clear().push(&directory.to_string()).extend(path);
        drop(segments);
        let client = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .timeout(limits::KEYS_WITHIN)
            .user_agent(concat!("lazaret/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| IssuerError::Client(why.to_string()))?;
        Ok(Self { directory, url, client, every: limits::KEYS_EVERY })
    }

    /// Where the keys are published.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Fetches the keys once.
    pub async fn fetch(&self) -> Result<KeySet, NoKeys> {
        let failed = |why: String| NoKeys { url: self.url.to_string(), why };
        let told = |why: reqwest::Error| failed(cause(&why.without_url()));
        let mut response = self.client.get(self.url.clone()).send().await.map_err(told)?;
        if !response.status().is_success() {
            return Err(failed(format!("it answers {}", response.status())));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            document.extend_from_slice(&chunk);
            if document.len() > limits::KEYS_BYTES {
                return Err(failed(format!("it has more than {} bytes", limits::KEYS_BYTES)));
            }
        }
        let read = KeySet::read(&document, self.directory);
        read.map_err(|why: NoKeySet| failed(why.to_string()))
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What lies at the bottom of an error, in one line.
fn cause(why: &dyn std::error::Error) -> String {
    let bottom = std::iter::successors(Some(why), |why| why.source()).last().unwrap_or(why);
    bottom.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// An issuer whose keys are kept fresh for as long as this value lives.
pub struct EntraIssuer {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    settings: Settings,
    clock: Arc<dyn Clock>,
    state: watch::Sender<State>,
    /// Somebody waits for keys that are not known.
    wanted: Notify,
}

#[derive(Default)]
struct State {
    /// The last ones that were had, and when they were asked for.
    keys: Option<(Arc<KeySet>, Boot)>,
    /// When the last fetch ended.
    looked: Option<Boot>,
    /// Why it brought nothing.
    failed: Option<NoKeys>,
}

impl EntraIssuer {
    /// Starts the task that fetches keys; it ends with this value. Needs a tokio runtime.
    pub fn start(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let (state, wanted) = (watch::Sender::default(), Notify::new());
        let shared = Arc::new(Shared { settings, clock, state, wanted });
        let task = tokio::spawn(Arc::clone(&shared).keep());
        Self { shared, task }
    }

    /// What is wrong with it now, for people: the last fetch failed.
    pub fn trouble(&self) -> Option<String> {
        let failed = self.shared.state.borrow().failed.clone()?;
        Some(match self.keys() {
            Some(_) => format!("{failed}; tokens are checked with older ones, for a day at most"),
            None => format!("{failed}; deliveries with tokens are answered 503"),
        })
    }
}

impl Drop for EntraIssuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Issuer for EntraIssuer {
    fn keys(&self) -> Option<Arc<KeySet>> {
        self.shared.state.borrow().keys(self.shared.clock.now().boot)
    }

    fn renewed(&self) -> BoxFuture<'_, Option<Arc<KeySet>>> {
        Box::pin(async {
            let mut changes = self.shared.state.subscribe();
            let fresh = async {
                loop {
                    let now = self.shared.clock.now().boot;
                    {
                        let state = changes.borrow_and_update();
                        if state.is_recent(now) {
                            return state.keys(now).filter(|_| state.failed.is_none());
                        }
                    }
                    self.shared.wanted.notify_one();
                    // Can't fail: this value owns the sender.
                    let _ = changes.changed().await;
                }
            };
            // Twice: a fetch may be under way whose end is too early already.
            timeout(limits::KEYS_WITHIN * 2, fresh).await.ok().flatten()
        })
    }
}

impl State {
    fn keys(&self, now: Boot) -> Option<Arc<KeySet>> {
        let (keys, asked) = self.keys.as_ref()?;
        (now.since(*asked) <= limits::KEYS_KEPT).then(|| Arc::clone(keys))
    }

    /// Looked so short a while ago that nobody may look again because of a delivery.
    fn is_recent(&self, now: Boot) -> bool {
        self.looked.is_some_and(|looked| now.since(looked) < limits::KEYS_APART)
    }
}

impl Shared {
    async fn keep(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            let asked = self.clock.now().boot;
            let fetched = self.settings.fetch().await;
            let looked = Some(self.clock.now().boot);
            let pause = match fetched {
                Ok(keys) => {
                    failures = 0;
                    let keys = Some((Arc::new(keys), asked));
                    self.state.send_modify(|state| *state = State { keys, looked, failed: None });
                    self.settings.every
                }
                Err(error) => {
                    tracing::warn!(%error, "tokens may not be checked");
                    self.state.send_modify(|state| {
                        (state.looked, state.failed) = (looked, Some(error));
                    });
                    let (first, longest) = limits::KEYS_RETRY;
                    let pause = first.saturating_mul(1 << failures).min(longest);
                    failures = (failures + 1).min(16);
                    pause
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.wanted_again() => {}
            }
        }
    }

    /// A wish that came while keys were fetched is fulfilled by them.
    async fn wanted_again(&self) {
        loop {
            self.wanted.notified().await;
            if !self.state.borrow().is_recent(self.clock.now().boot) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(login: &str) -> Result<String, IssuerError> {
        let directory = "11111111-2222-3333-4444-555555555555".parse().unwrap();
        Settings::new(directory, login).map(|settings| settings.url().to_owned())
    }

    #[test]
    fn keys_come_from_the_directory_at_its_login() {
        let path = "11111111-2222-3333-4444-555555555555/discovery/v2.0/keys";
        for login in ["https://login.microsoftonline.us", "http://127.0.0.1:1", "http://[::1]:1/"] {
            let base = login.trim_end_matches('/');
            assert_eq!(settings(login), Ok(format!("{base}/{path}")));
        }
        for login in [
            "http://login.microsoftonline.com",
            "http://127.0.0.1.contoso.com",
            "ftp://127.0.0.1",
            "https://a/b",
            "https://a?b",
            "https://u:secret@a",
            "login.microsoftonline.com",
            "",
        ] {
            assert_eq!(settings(login), Err(IssuerError::Login), "{login}");
        }
    }
}
