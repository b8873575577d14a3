//! Tokens from Entra by a client secret, through azure_identity over our own HTTP client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{
    AsyncRawResponse, Body, ClientOptions, HttpClient, Request, RetryOptions, Transport,
};
use azure_core::time::OffsetDateTime;
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::body::bounded;
use super::text::{chain, one_line};
use super::token::{NoToken, Token, TokenSource};
use super::url::Base;

/// Bytes of a token answer. Real ones have two or three thousand.
const TOKEN_BYTES: usize = 64 * 1024;

/// The client credentials flow with a secret.
pub struct ClientSecret {
    pub entra_tenant: Uuid,
    pub client_id: Uuid,
    pub secret: SecretString,
    pub scope: String,
    pub login: Base,
    pub client: reqwest::Client,
}

impl TokenSource for ClientSecret {
    fn fetch(&self) -> BoxFuture<'static, Result<Token, NoToken>> {
        let credential = self.credential();
        let scope = self.scope.clone();
        Box::pin(async move {
            let credential = credential.map_err(|error| NoToken(told(&error)))?;
            let token = credential.get_token(&[&scope], None).await;
            let token = token.map_err(|error| NoToken(told(&error)))?;
            // Negative if the login says so: then it is not good for any time.
            let life = token.expires_on - OffsetDateTime::now_utc();
            let life = Duration::try_from(life).unwrap_or_default();
            Ok(Token { text: SecretString::from(token.token.secret()), life })
        })
    }
}

impl ClientSecret {
    /// A new one for every token: its cache would hand back the token that was refused.
    fn credential(&self) -> azure_core::Result<Arc<ClientSecretCredential>> {
        let login = Login { client: self.client.clone(), plain: !self.login.is_https() };
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host = self.login.as_https();
        let client_options = ClientOptions {
            // Retries are the token task's, which says when and logs why.
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(login))),
            cloud: Some(Arc::new(cloud.into())),
            ..ClientOptions::default()
        };
        ClientSecretCredential::new(
            &self.entra_tenant.to_string(),
            self.client_id.to_string(),
            Secret::new(self.secret.expose_secret().to_owned()),
            Some(ClientSecretCredentialOptions { client_options }),
        )
    }
}

/// Our HTTP client in the shape azure_core wants.
///
/// azure_identity takes no authority but https. For a login on loopback, which is a simulator, it
/// is given an https one, and the scheme is put right here, just before the wire. [`Base`] has
/// made sure that http means loopback.
#[derive(Debug)]
struct Login {
    client: reqwest::Client,
    plain: bool,
}

type Executed<'a> = Pin<Box<dyn Future<Output = azure_core::Result<AsyncRawResponse>> + Send + 'a>>;

impl HttpClient for Login {
    fn execute_request<'a, 'b, 'c>(&'a self, request: &'b Request) -> Executed<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(self.execute(request))
    }
}

impl Login {
    async fn execute(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut url = request.url().clone();
        if self.plain {
            // Both are schemes the URL library knows, so this can't fail.
            let _ = url.set_scheme("http");
        }
        let mut post = self.client.post(url);
        for (name, value) in request.headers().iter() {
            post = post.header(name.as_str(), value.as_str());
        }
        let Body::Bytes(body) = request.body() else {
            return Err(Error::with_message(ErrorKind::Other, "a token request has no stream"));
        };
        let response = post
            .body(body.clone())
            .send()
            .await
            .map_err(|error| Error::with_message(ErrorKind::Io, chain(&error.without_url())))?;
        let status = response.status().as_u16().into();
        let mut headers = Headers::new();
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                let name = HeaderName::from(name.as_str().to_owned());
                headers.insert(name, HeaderValue::from(value.to_owned()));
            }
        }
        let body = bounded(response, TOKEN_BYTES).await;
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

/// The line that helps: Entra's code and first sentence, without trace ids and links.
fn told(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.split(" Trace ID:").next().unwrap_or_default();
    one_line(line.trim_start_matches("ClientSecretCredential authentication failed. "))
}
