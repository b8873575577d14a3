//! How commands reach what they ask about: a running service through its admin listener, or the
//! store itself when the service is stopped.

mod pinned;

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::Failure;
use crate::app::{self, LOCAL_TOKEN_FILE};
use crate::config::Config;
use crate::domain::audit::Role;
use crate::io::StoreError;
use crate::io::admin::ALIVE;
use crate::io::store::SqliteStore;

/// The configuration where none is named.
pub const CONFIG_FILE: &str = "lazaret.yaml";

/// The option that commands on a service share.
#[derive(Debug, Args)]
pub struct ConfigArg {
    /// The configuration file of the service
    #[arg(long, short, default_value = CONFIG_FILE, env = "LAZARET_CONFIG")]
    pub config: PathBuf,
    /// A file with your own token, for what is asked of a running service; also as the variable
    /// LAZARET_TOKEN. Default: the token in the data directory
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
}

/// Holds a token of one's own, instead of a file.
const TOKEN_VARIABLE: &str = "LAZARET_TOKEN";

impl ConfigArg {
    pub fn load(&self) -> Result<Config, Failure> {
        let mut config = Config::load(&self.config).map_err(Failure::usage)?;
        config.personal = self.personal()?;
        Ok(config)
    }

    /// The token of whoever types, so that what they do stands on the record under their name.
    fn personal(&self) -> Result<Option<SecretString>, Failure> {
        let (text, place) = match &self.token_file {
            Some(file) => {
                let place = format!("--token-file {}", file.display());
                let text = std::fs::read_to_string(file)
                    .map_err(|why| Failure::usage(format!("{place} can't be read: {why}")))?;
                (text, place)
            }
            None => match std::env::var(TOKEN_VARIABLE) {
                Ok(text) if !text.is_empty() => (text, TOKEN_VARIABLE.to_owned()),
                _ => return Ok(None),
            },
        };
        let token = text.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = format!("{place} holds no token: one is a single word, as given to you");
            return Err(Failure::usage(why));
        }
        Ok(Some(SecretString::from(token)))
    }
}

/// For requests without one.
pub const NO_QUERY: &[(&str, &str)] = &[];

/// A service that answers.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: SecretString,
}

/// Whether there is a service to ask.
pub enum Service {
    Running(Client),
    /// Nothing listens: the store may be opened directly.
    Stopped,
}

/// Finds the service of this configuration. Whatever is wrong with one that listens is no reason to
/// call it stopped.
pub async fn find(config: &Config, role: Role) -> Result<Service, Failure> {
    let address = reached_at(config.listen.admin.address);
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30));
    let mut scheme = "http";
    if let Some(tls) = &config.listen.admin.tls {
        let pinned = match pinned::to(&tls.certificate) {
            Ok(pinned) => pinned,
            // Who is stopped needs no certificate to be paused.
            Err(_) if is_closed(address).await => return Ok(Service::Stopped),
            Err(why) => return Err(why),
        };
        builder = builder.tls_backend_preconfigured(pinned);
        scheme = "https";
    }
    let http = builder
        .build()
        .map_err(|why| Failure::usage(format!("cannot make an HTTP client: {why}")))?;
    let base = format!("{scheme}://{address}");
    match http.get(format!("{base}/livez")).send().await {
        Ok(answer) => {
            if !is_ours(answer).await {
                return Err(Failure::wrong(format!(
                    "what listens at {address} is not Lazaret, by its answer to /livez: see who \
                     has the port with `ss -ltnp`, or give listen.admin another address"
                )));
            }
        }
        Err(why) if causes(&why).any(is_refused) => return Ok(Service::Stopped),
        Err(why) => {
            let why = causes(&why).last().map(ToString::to_string).unwrap_or_default();
            return Err(Failure::wrong(format!("the admin listener at {base} fails: {why}")));
        }
    }
    let token = token(config, role).await?;
    Ok(Service::Running(Client { http, base, token }))
}

/// Whether this is how the service says that it lives. Whatever else listens there, such as another
/// program that took the port, is shown nobody's token.
async fn is_ours(answer: reqwest::Response) -> bool {
    let fits =
        answer.status() == StatusCode::OK && answer.content_length() == Some(ALIVE.len() as u64);
    fits && answer.bytes().await.is_ok_and(|body| body == ALIVE)
}

/// Where this machine reaches what listens at an address, such as on all of its own.
pub fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, address.port())
}

/// An error, and what lies below it.
fn causes(why: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(why as &(dyn Error + 'static)), |why| (*why).source())
}

async fn is_closed(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err_and(|why| is_refused(&why))
}

fn is_refused(why: &(dyn Error + 'static)) -> bool {
    let why = why.downcast_ref::<std::io::Error>();
    why.is_some_and(|why| why.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// The token that the person gave, else the one that the service made for whoever may read its data
/// directory. To read, also one of the configuration's; but nobody changes anything in the name of
/// somebody else whose token they happen to be able to read.
async fn token(config: &Config, role: Role) -> Result<SecretString, Failure> {
    if let Some(token) = &config.personal {
        return Ok(token.clone());
    }
    let local: &Path = &config.store.sqlite.join(LOCAL_TOKEN_FILE);
    // Where the disk hangs, whoever asks may give up.
    if let Ok(token) = tokio::fs::read_to_string(local).await {
        return Ok(SecretString::from(token.trim()));
    }
    if role == Role::View {
        let secrets = config.listen.admin.tokens.iter().filter_map(|token| token.secret());
        if let Some(secret) = secrets.filter_map(|secret| secret.read().ok()).next() {
            return Ok(secret);
        }
    }
    Err(Failure::usage(format!(
        "no token for the admin listener: {} is not readable; give your own with --token-file or \
         {TOKEN_VARIABLE}",
        local.display()
    )))
}

impl Client {
    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.base
    }

    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &(impl Serialize + ?Sized),
    ) -> Result<T, Failure> {
        let request = self.http.get(format!("{}/api/v1{path}", self.base)).query(query);
        self.answer(request).await
    }

    /// The same of something that may not be there.
    pub async fn get_if_there<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Option<T>, Failure> {
        let request = self.http.get(format!("{}/api/v1{path}", self.base));
        let (status, body) = self.send(request).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => read(status, &body).map(Some),
        }
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.http.post(format!("{}/api/v1{path}", self.base)).json(body);
        self.answer(request).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, Failure> {
        let (status, body) = self.send(request).await?;
        read(status, &body)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Bytes), Failure> {
        let failed = |why| Failure::wrong(format!("the service does not answer: {why}"));
        let request = request.bearer_auth(self.token.expose_secret());
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        Ok((status, response.bytes().await.map_err(failed)?))
    }
}

fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, Failure> {
    if !status.is_success() {
        let error: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let why = error["error"].as_str().unwrap_or("no reason given").to_owned();
        let why = format!("the service answers {status}: {why}");
        // A name on the command line that is none, as where the service is stopped.
        return Err(match status {
            StatusCode::NOT_FOUND => Failure::usage(why),
            _ => Failure::wrong(why),
        });
    }
    serde_json::from_slice(body)
        .map_err(|why| Failure::wrong(format!("the service's answer can't be read: {why}")))
}

/// Works on the store of a service that is stopped, and returns once it is closed, so that the next
/// may open it.
pub async fn with_store<T>(
    config: &Config,
    work: impl AsyncFnOnce(&SqliteStore) -> Result<T, StoreError>,
) -> Result<T, Failure> {
    let store = app::open_store(config).map_err(Failure::usage)?;
    let done = work(&store).await;
    store.close().await;
    done.map_err(Failure::wrong)
}

/// Who works on the store itself, for the record: `uid 1000`, the account as the kernel knows it
/// and not as the environment says. Who asks the running service stands there as `token alice`,
/// or, with the token of the data directory, as `token local`.
pub fn account() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

#[cfg(test)]
mod tests;
