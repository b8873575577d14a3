//! The HTTP client of all tenants.
//!
//! One for all: tenants mostly share a host, and a thousand clients would each keep connections
//! that only one tenant may use, and settings for TLS of their own. Every call carries its tenant's
//! own `Authorization`, and a connection carries one call at a time, so nothing of one tenant
//! stands before a call of another.

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;

/// A connection that takes longer is none. Longer than a `send by`, so that a slow first
/// connection is there for the next attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections are dropped before the other side does it: one that it closes just when a call is
/// written leaves that call in doubt.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The client. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Http {
    pub(super) client: reqwest::Client,
    pub(super) timeout: Duration,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client can't be made: {0}")]
pub struct HttpError(reqwest::Error);

impl Http {
    /// A call takes at most `timeout` from its start to the end of its answer. Of each host, at
    /// most `idle_per_host` connections are kept while no call uses them; a call beyond opens its
    /// own.
    ///
    /// HTTP/1.1 only: the gate before the wire rests on it.
    pub fn new(timeout: Duration, idle_per_host: usize) -> Result<Self, HttpError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let client = reqwest::Client::builder()
            .http1_only()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_per_host)
            .user_agent(concat!("lazaret/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .build()
            .map_err(HttpError)?;
        Ok(Self { client, timeout })
    }
}
