//! Tokens from Entra, through azure_identity over our own HTTP client.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::Error;
use azure_core::http::{ClientMethodOptions, ClientOptions, RetryOptions, Transport};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId,
};
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::credential::{Credential, Proof};
use super::text::one_line;
use super::token::{NoToken, Token, TokenSource};
use super::transport::{Place, Wire};
use super::url::Base;
use crate::io::Clock;

/// One tenant's way to tokens for one scope. Cheap to clone.
#[derive(Clone)]
pub struct Entra {
    pub credential: Arc<Credential>,
    pub tenant: Uuid,
    pub scope: String,
    pub place: LoginPlace,
    pub client: reqwest::Client,
    pub clock: Arc<dyn Clock>,
}

/// Who is asked for tokens.
#[derive(Clone)]
pub enum LoginPlace {
    Login(Base),
    /// The machine's metadata service; one at this address, for tests.
    Metadata(Option<Base>),
}

impl TokenSource for Entra {
    fn fetch(&self) -> BoxFuture<'static, Result<Token, NoToken>> {
        let it = self.clone();
        Box::pin(async move {
            let scope = it.scope.clone();
            // It reads files, and may sign.
            let credential = tokio::task::spawn_blocking(move || it.azure()).await;
            let credential = credential.map_err(|_| "what was shown last time can't be read");
            let credential = credential.map_err(|why| NoToken(why.to_owned()))?.map_err(NoToken)?;
            let token = credential.get_token(&[&scope], None).await;
            let token = token.map_err(|error| NoToken(told(&error)))?;
            // Negative if the login says so: then it is not good for any time.
            let life = token.expires_on - OffsetDateTime::now_utc();
            let life = Duration::try_from(life).unwrap_or_default();
            Ok(Token { text: SecretString::from(token.token.secret()), life })
        })
    }
}

impl Entra {
    /// A new one for every token: its cache would hand back the token that was refused.
    fn azure(&self) -> Result<Arc<dyn TokenCredential>, String> {
        let tenant = self.tenant.to_string();
        let made: azure_core::Result<Arc<dyn TokenCredential>> = match &self.credential.proof {
            Proof::Secret(client_id, secret) => ClientSecretCredential::new(
                &tenant,
                client_id.to_string(),
                Secret::new(secret.now().expose_secret().to_owned()),
                Some(ClientSecretCredentialOptions { client_options: self.options() }),
            )
            .map(|made| made as _),
            Proof::Certificate(client_id, certificate) => {
                let (now, id) = (self.clock.now().wall, self.clock.new_id());
                let endpoint = self.endpoint();
                let signed = certificate.now().assertion(*client_id, &endpoint, now, id)?;
                self.asserting(*client_id, signed)
            }
            Proof::Federated(client_id, token) => {
                let token = token.now().expose_secret().trim().to_owned();
                self.asserting(*client_id, SecretString::from(token))
            }
            Proof::Managed(client_id) => {
                let assigned = client_id.map(|id| UserAssignedId::ClientId(id.to_string()));
                let options = ManagedIdentityCredentialOptions {
                    user_assigned_id: assigned,
                    client_options: self.options(),
                };
                ManagedIdentityCredential::new(Some(options)).map(|made| made as _)
            }
        };
        made.map_err(|error| told(&error))
    }

    fn asserting(
        &self,
        client_id: Uuid,
        assertion: SecretString,
    ) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let (tenant, client_id) = (self.tenant.to_string(), client_id.to_string());
        let options = ClientAssertionCredentialOptions { client_options: self.options() };
        ClientAssertionCredential::new(tenant, client_id, Assertion(assertion), Some(options))
            .map(|made| made as _)
    }

    fn endpoint(&self) -> String {
        match &self.place {
            LoginPlace::Login(login) => login.token(self.tenant).to_string(),
            LoginPlace::Metadata(_) => String::new(),
        }
    }

    fn options(&self) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        let place = match &self.place {
            LoginPlace::Login(login) => {
                cloud.authority_host = login.as_https();
                Place::Login { plain: !login.is_https() }
            }
            LoginPlace::Metadata(at) => Place::Metadata(at.clone()),
        };
        let wire = Wire { client: self.client.clone(), place };
        ClientOptions {
            // Retries are the token task's, which says when and logs why.
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(wire))),
            cloud: Some(Arc::new(cloud.into())),
            ..ClientOptions::default()
        }
    }
}

/// A finished assertion.
struct Assertion(SecretString);

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assertion")
    }
}

type Asserted<'a> = Pin<Box<dyn Future<Output = azure_core::Result<String>> + Send + 'a>>;

impl ClientAssertion for Assertion {
    fn secret<'a, 'b, 'c>(&'a self, _: Option<ClientMethodOptions<'b>>) -> Asserted<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async { Ok(self.0.expose_secret().to_owned()) })
    }
}

/// What a person does about some of Entra's errors, by their numbers.
const ADVICE: &[(&str, &str)] = &[
    ("AADSTS7000215", "put the secret's value in its place, not its id"),
    ("AADSTS7000222", "make a new client secret in Entra and put it in its place"),
    ("AADSTS700016", "name an application of this tenant with client_id, and consent to it there"),
    ("AADSTS700027", "upload the certificate to the application in Entra"),
    ("AADSTS70021", "add a federated credential to the application that matches the token"),
    ("AADSTS700211", "add a federated credential with the token's issuer to the application"),
    ("AADSTS700212", "add a federated credential with the token's audience to the application"),
    ("AADSTS700213", "add a federated credential with the token's subject to the application"),
    ("AADSTS700024", "the clock is wrong, or the token in the file has expired"),
    ("AADSTS90002", "the tenant's id, or its cloud, is another"),
    ("AADSTS500011", "the scope names what this tenant does not know: see cloud and scope"),
];

/// What azure_core says of an error that it does not try again, in place of that.
const HIDES: &str = "non-transport error occurred";

/// The line that helps: Entra's code and first sentence, without trace ids and links, and what to
/// do.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while text.contains(HIDES)
        && let Some(hidden) = cause
    {
        text = hidden.to_string();
        cause = hidden.source();
    }
    let line = text.lines().next().unwrap_or_default();
    let line = line.split(" Trace ID:").next().unwrap_or_default();
    let line = line.split_once(" authentication failed. ").map_or(line, |(_, why)| why);
    let code = line.split(':').next().unwrap_or_default();
    match ADVICE.iter().find(|(known, _)| *known == code) {
        Some((_, advice)) => format!("{}; {advice}", one_line(line).trim_end_matches('.')),
        None => one_line(line),
    }
}
