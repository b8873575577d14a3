//! One message to one receiver: one HTTP call, signed, without redirects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};

use super::{NotifyError, WebhookSettings};
use crate::domain::notice::{Fill, Message, Template};
use crate::domain::rule::harmless;
use crate::domain::signature::{self, Seal};
use crate::io::Clock;
use crate::limits;

/// A receiver, with everything that a message to it needs.
pub(super) struct Webhook {
    channel: String,
    node: String,
    client: reqwest::Client,
    url: Url,
    seal: Option<Seal>,
    headers: HeaderMap,
    body: Option<Template>,
    values: BTreeMap<String, SecretString>,
    clock: Arc<dyn Clock>,
}

/// What became of a message.
pub(super) enum Sent {
    Delivered,
    /// Worth another try, after this time if the receiver said one.
    Failed {
        after: Option<Duration>,
    },
    /// The same message would be refused again.
    Refused,
}

/// That, and what the receiver said.
pub(super) struct Posted {
    pub(super) sent: Sent,
    /// The status, or why there is none: fit for a log.
    pub(super) said: String,
    /// May repeat what was sent to it: only for whoever asks for a test.
    pub(super) body: String,
}

impl Posted {
    fn failed(said: String) -> Self {
        Self { sent: Sent::Failed { after: None }, said, body: String::new() }
    }
}

impl Webhook {
    pub(super) fn new(
        channel: String,
        node: String,
        settings: WebhookSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NotifyError> {
        let WebhookSettings { url, seal, headers: given, body, values, .. } = settings;
        let url = Url::parse(url.expose_secret()).map_err(|_| NotifyError::Url("is no URL"))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            _ => return Err(NotifyError::Url("use https://; http:// is for loopback only")),
        }
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            let wrong = || NotifyError::Header(name.clone());
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::try_from(&name).map_err(|_| wrong())?, value);
        }
        let client = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .timeout(limits::NOTIFY_WITHIN)
            .user_agent(concat!("lazaret/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| NotifyError::Client(why.to_string()))?;
        Ok(Self { channel, node, client, url, seal, headers, body, values, clock })
    }

    /// One call.
    pub(super) async fn post(&self, message: &Message) -> Posted {
        failpoint!("notify.post", Posted::failed("a failpoint struck".to_owned()));
        let id = self.id(message);
        let body = self.text(message, &id);
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .headers(self.headers.clone());
        let at = self.clock.now().wall;
        let signed = signature::Message { id: &id, at, body: body.as_bytes() };
        match &self.seal {
            Some(seal) => {
                for (name, value) in seal.sign(&signed) {
                    request = request.header(name, value);
                }
            }
            // The id alone still lets a receiver recognise a message that it has.
            None => request = request.header("webhook-id", id),
        }
        match request.body(body).send().await {
            Ok(response) => answered(response).await,
            Err(why) => Posted::failed(chain(&why.without_url())),
        }
    }

    /// The same for the same message, also after a restart; of characters that can be signed.
    fn id(&self, message: &Message) -> String {
        let Message { position, first, .. } = message;
        format!("{}-{position}-{}", self.channel, first.0)
    }

    fn text(&self, message: &Message, id: &str) -> String {
        let details = super::details(message, id, &self.node);
        match &self.body {
            None => details,
            Some(template) => {
                let (node, values, details) = (&*self.node, &self.values, &*details);
                template.fill(&Fill { message, id, node, details, values })
            }
        }
    }
}

async fn answered(response: Response) -> Posted {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let sent = match status {
        _ if status.is_success() => Sent::Delivered,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Sent::Failed { after: after.map(|span| span.min(limits::NOTIFY_RETRY_AFTER_MAX)) }
        }
        _ if status.is_server_error() => {
            Sent::Failed { after: after.map(|span| span.min(limits::NOTIFY_RETRY_AFTER_MAX)) }
        }
        _ => Sent::Refused,
    };
    Posted { sent, said: format!("answered {status}"), body: body(response).await }
}

/// The first of a body, as one line.
async fn body(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < limits::NOTIFY_ANSWER_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let room = limits::NOTIFY_ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    String::from_utf8_lossy(&body).trim().chars().map(harmless).collect()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// An error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text.chars().take(256).map(harmless).collect()
}
