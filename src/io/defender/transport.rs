//! Our HTTP client in the shape azure_core wants.

use std::future::Future;
use std::pin::Pin;

use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::body::bounded;
use super::text::{chain, one_line};
use super::url::Base;

/// Bytes of a token answer. Real ones have two or three thousand.
const TOKEN_BYTES: usize = 64 * 1024;

/// Whom a request is for.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// azure_identity takes no authority but https. For a login on loopback, which is a simulator,
    /// it is given an https one, and the scheme is put right here, just before the wire. [`Base`]
    /// has made sure that http means loopback.
    Login { plain: bool },
    /// The machine's metadata service, whose address azure_identity knows or has from the
    /// environment; one elsewhere, for tests.
    Metadata(Option<Base>),
}

#[derive(Debug)]
pub(super) struct Wire {
    pub client: reqwest::Client,
    pub place: Place,
}

type Executed<'a> = Pin<Box<dyn Future<Output = azure_core::Result<AsyncRawResponse>> + Send + 'a>>;

impl HttpClient for Wire {
    fn execute_request<'a, 'b, 'c>(&'a self, request: &'b Request) -> Executed<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(self.execute(request))
    }
}

impl Wire {
    async fn execute(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let url = match &self.place {
            Place::Login { plain: false } | Place::Metadata(None) => request.url().clone(),
            Place::Login { plain: true } => {
                let mut url = request.url().clone();
                // Both are schemes the URL library knows, so this can't fail.
                let _ = url.set_scheme("http");
                url
            }
            Place::Metadata(Some(base)) => base.instead_of(request.url()),
        };
        let mut call = match request.method() {
            Method::Get => self.client.get(url),
            _ => self.client.post(url),
        };
        for (name, value) in request.headers().iter() {
            call = call.header(name.as_str(), value.as_str());
        }
        let Body::Bytes(body) = request.body() else {
            return Err(Error::with_message(ErrorKind::Other, "a token request has no stream"));
        };
        let failed = |error: reqwest::Error| {
            let text = chain(&error.without_url());
            match self.place {
                Place::Login { .. } => Error::with_message(ErrorKind::Io, text),
                Place::Metadata(_) => Error::with_message(
                    // It would be tried again for more than a minute, were it of the kind `Io`.
                    ErrorKind::Other,
                    format!(
                        "the metadata service of this machine does not answer ({text}): managed \
                         identities are for machines in Azure that have one"
                    ),
                ),
            }
        };
        let response = call.body(body.clone()).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut headers = Headers::new();
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                let name = HeaderName::from(name.as_str().to_owned());
                headers.insert(name, HeaderValue::from(value.to_owned()));
            }
        }
        let body = bounded(response, TOKEN_BYTES).await;
        match self.unfit(status, &body) {
            Some(text) => Err(Error::with_message(ErrorKind::Other, text)),
            None => Ok(AsyncRawResponse::from_bytes(status.into(), headers, body)),
        }
    }

    /// What to say of an answer that azure_identity would not pass on: it would ask the metadata
    /// service again and again, and of what is no JSON it tells only that.
    fn unfit(&self, status: u16, body: &[u8]) -> Option<String> {
        let refusal = serde_json::from_slice::<Refusal>(body);
        let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
        let said = match &refusal {
            Ok(refusal) => format!("{}: {}", refusal.error, refusal.error_description),
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        let place = match self.place {
            Place::Metadata(_) if status != 200 => "metadata service",
            Place::Login { .. } if !is_json || (status != 200 && refusal.is_err()) => "login",
            _ => return None,
        };
        let text = format!("the {place} answers {status}: {}", one_line(said.trim()));
        Some(text.trim_end_matches([':', ' ']).to_owned())
    }
}

/// What is wrong, as OAuth has it.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}
