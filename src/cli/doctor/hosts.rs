//! Every host that tenants call, once each: its name, a connection, TLS, an answer, and what time
//! it is there. No call of the API is made: the root of a host is asked for, without a token.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Url;
use reqwest::header::DATE;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Finding, Health, certificates};
use crate::app::settings;
use crate::config::Config;
use crate::domain::time::Wall;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::io::defender::Base;
use crate::limits::{DOCTOR_ASK, DOCTOR_SIDE_BY_SIDE, DOCTOR_WITHIN};

/// How far the clock of this machine is ahead of a host's, by its `Date`: whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub host: String,
    pub seconds: i64,
}

/// What was seen of all hosts.
#[derive(Default)]
pub(super) struct Seen {
    pub findings: Vec<Finding>,
    /// Base URLs at which nothing answers.
    down: BTreeSet<String>,
    offsets: Vec<Offset>,
}

impl Seen {
    pub(super) fn is_down(&self, url: &str) -> bool {
        self.down.contains(url)
    }

    pub(super) fn clocks(&self) -> Vec<Offset> {
        self.offsets.clone()
    }
}

/// Why a host can't be called: at which step, and what to do.
#[derive(Debug, PartialEq, Eq)]
struct Down(String);

struct Up {
    millis: u128,
    offset: Option<Offset>,
    /// When its certificate ends.
    until: Option<String>,
}

/// Takes at most [`DOCTOR_WITHIN`].
pub(super) async fn all(config: &Config) -> Seen {
    ask(uses(config), client()).await
}

/// The base URLs that tenants call, and what for.
fn uses(config: &Config) -> BTreeMap<String, &'static str> {
    let mut uses = BTreeMap::new();
    for tenant in &config.tenants {
        // Settings that are wrong are told at their tenant, and hosts that calls would not go to:
        // such a URL may hold a password.
        let Ok(hosts) = settings::hosts(tenant) else { continue };
        let login = hosts.login.map(|url| (url, "login", "API"));
        for (url, what, both) in login.into_iter().chain([(hosts.api, "API", "login")]) {
            if Base::parse(&url).is_err() {
                continue;
            }
            let use_of = uses.entry(url).or_insert(what);
            if *use_of == both {
                *use_of = "API and login";
            }
        }
    }
    uses
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    // As the calls themselves: no proxy, no redirect.
    reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_info(true)
        .timeout(DOCTOR_ASK)
        .user_agent(concat!("lazaret/", env!("CARGO_PKG_VERSION")))
        .build()
}

async fn ask(
    uses: BTreeMap<String, &str>,
    client: Result<reqwest::Client, reqwest::Error>,
) -> Seen {
    let mut seen = Seen::default();
    let client = match client {
        Ok(client) => client,
        Err(why) => {
            let text = format!("no host could be asked: {}", cause(&why));
            seen.findings.push(Finding::new("host", Health::Fail, text));
            return seen;
        }
    };
    let all = tokio::time::sleep(DOCTOR_WITHIN);
    let until = all.deadline();
    let asked = uses.into_iter().map(|(url, what)| {
        let client = &client;
        async move {
            let asked = tokio::time::timeout_at(until, probe(client, &url)).await;
            (url, what, asked)
        }
    });
    let asked: Vec<_> =
        futures_util::stream::iter(asked).buffered(DOCTOR_SIDE_BY_SIDE).collect().await;
    for (url, what, asked) in asked {
        let check = format!("host {}", url.split("://").nth(1).unwrap_or(&url));
        let (health, text) = match asked {
            Ok(Ok(up)) => {
                seen.offsets.extend(up.offset);
                let until = up.until.map(|at| format!(", its certificate is good until {at}"));
                let until = until.unwrap_or_default();
                (Health::Ok, format!("{what}: answers after {} ms{until}", up.millis))
            }
            Ok(Err(Down(why))) => {
                seen.down.insert(url);
                (Health::Fail, format!("{what}: {why}"))
            }
            Err(_) => (Health::Warn, format!("{what}: not asked, there was no time left")),
        };
        seen.findings.push(Finding::new(&check, health, text));
    }
    seen
}

async fn probe(client: &reqwest::Client, url: &str) -> Result<Up, Down> {
    let clock = SystemClock::new();
    let began = clock.now();
    let parsed = Url::parse(url).map_err(|why| Down(format!("{url} is no URL: {why}")))?;
    let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = parsed.port_or_known_default().unwrap_or(443);
    let addresses = resolve(&host, port).await?;
    connect(&addresses).await?;
    let asked = clock.now();
    let answer = client.get(parsed.clone()).send().await.map_err(|why| spoken(&parsed, &why))?;
    let now = clock.now();
    let offset = answer.headers().get(DATE).and_then(|date| {
        let date = jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok()?.timestamp().as_second();
        // Half way between question and answer, in the whole seconds that the header has.
        let middle = (asked.wall.0 / 2 + now.wall.0 / 2).div_euclid(1_000_000);
        Some(Offset { host: host.clone(), seconds: middle - date })
    });
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>();
    let until = info.and_then(|info| certificates::ends(info.peer_certificate()?));
    let until = until.map(|at| format!("{:.10}", at.to_string()));
    Ok(Up { millis: now.boot.since(began.boot).as_millis(), offset, until })
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Down> {
    let how = "mend the resolver of this machine (/etc/resolv.conf), or the URL in `tenants[]`";
    let failed = |why: String| Down(format!("DNS: {host} has no address: {why}; {how}"));
    match timeout(DOCTOR_ASK, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let found: Vec<_> = found.collect();
            if found.is_empty() { Err(failed("none is known".into())) } else { Ok(found) }
        }
        Ok(Err(why)) => Err(failed(why.to_string())),
        Err(_) => Err(failed(format!("no answer for {} s", DOCTOR_ASK.as_secs()))),
    }
}

/// One of the addresses has to take a connection, all of them within [`DOCTOR_ASK`].
async fn connect(addresses: &[SocketAddr]) -> Result<(), Down> {
    let each = DOCTOR_ASK / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = String::new();
    for address in addresses {
        match timeout(each.max(Duration::from_millis(100)), TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(why)) => last = format!("{address}: {why}"),
            Err(_) => last = format!("{address}: no answer"),
        }
    }
    let how = "let this machine out to it; Lazaret uses no proxy";
    Err(Down(format!("TCP: no connection to {last}; {how}")))
}

/// What went wrong after the connection.
fn spoken(url: &Url, why: &reqwest::Error) -> Down {
    let cause = cause(why);
    if url.scheme() == "https" && why.is_connect() {
        let how = "is the clock right, and does something in between open TLS? Its authority then \
                   belongs into this system's certificates";
        return Down(format!("TLS: {cause}; {how}"));
    }
    let why = if why.is_timeout() { "no answer".to_owned() } else { cause };
    let how = "the connection works; ask whoever runs it, or what stands in between";
    Down(format!("HTTP: {why} within {} s; {how}", DOCTOR_ASK.as_secs()))
}

/// What lies at the bottom of an error; what is wrong with a certificate in words.
fn cause(why: &(dyn std::error::Error + 'static)) -> String {
    let mut bottom = why;
    for why in std::iter::successors(Some(why), |why| why.source()) {
        bottom = why;
        if let Some(text) = of_tls(why).and_then(of_certificate) {
            return text;
        }
    }
    bottom.to_string()
}

/// IO errors hide what they carry, some of them another IO error.
fn of_tls<'e>(why: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    why.downcast_ref().or_else(|| of_tls(why.downcast_ref::<std::io::Error>()?.get_ref()?))
}

fn of_certificate(why: &rustls::Error) -> Option<String> {
    use rustls::CertificateError::{ExpiredContext, NotValidForNameContext, UnknownIssuer};
    let rustls::Error::InvalidCertificate(why) = why else { return None };
    Some(match why {
        ExpiredContext { not_after, .. } => {
            let at = Wall(0) + Duration::from_secs(not_after.as_secs());
            format!("its certificate has expired on {:.10}", at.to_string())
        }
        UnknownIssuer => "this system does not know who issued its certificate".to_owned(),
        NotValidForNameContext { .. } => "its certificate is for another name".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
