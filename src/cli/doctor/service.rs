//! Whether the service runs, what it says of itself, whether its ports are its own, and what stops
//! its calls.

use std::net::SocketAddr;
use std::path::Path;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Finding, Health};
use crate::cli::client;
use crate::config::Config;
use crate::domain::audit::Role;
use crate::io::store::Chains;
use crate::io::{Report, STOP_FILE, stop_file};
use crate::limits::DOCTOR_ASK;

/// What answers at the admin listener's address.
pub(super) enum Service {
    Running {
        url: String,
        report: Box<Report>,
    },
    Stopped,
    /// Something answers, and tells nothing.
    Silent(String),
}

impl Service {
    pub(super) fn report(&self) -> Option<&Report> {
        match self {
            Self::Running { report, .. } => Some(report),
            _ => None,
        }
    }
}

pub(super) async fn ask(config: &Config) -> Service {
    let asked = timeout(DOCTOR_ASK, async {
        match client::find(config, Role::View).await? {
            client::Service::Stopped => Ok(Service::Stopped),
            client::Service::Running(service) => {
                let report = service.get("/status", client::NO_QUERY).await?;
                Ok(Service::Running { url: service.url().to_owned(), report: Box::new(report) })
            }
        }
    });
    match asked.await {
        Ok(Ok(service)) => service,
        Ok::<Result<_, crate::cli::Failure>, _>(Err(why)) => Service::Silent(why.to_string()),
        Err(_) => {
            let (address, seconds) = (config.listen.admin.address, DOCTOR_ASK.as_secs());
            Service::Silent(format!(
                "something listens at {address} and does not answer within {seconds} s: if it is \
                 Lazaret, see its log; if not, give listen.admin another address"
            ))
        }
    }
}

pub(super) async fn told(config: &Config, service: &Service) -> Vec<Finding> {
    let finding = |health, text: String| Finding::new("service", health, text);
    let mut findings = Vec::new();
    let webhooks = config.listen.webhooks.as_ref().map(|listen| listen.address);
    match service {
        Service::Running { url, report } => {
            let problems = report.problems.iter().cloned();
            findings.extend(problems.map(|text| finding(Health::Warn, text)));
            if report.problems.is_empty() {
                findings.push(finding(Health::Ok, format!("running at {url}, no problems")));
            }
            if let Some(address) = webhooks {
                findings.extend(is_served(address).await);
            }
        }
        Service::Silent(why) => findings.push(finding(Health::Fail, why.clone())),
        Service::Stopped => {
            let text = format!("stopped: nothing listens at {}", config.listen.admin.address);
            findings.push(finding(Health::Ok, text));
            let admin = ("listen.admin", config.listen.admin.address);
            for (key, address) in
                webhooks.map(|at| ("listen.webhooks", at)).into_iter().chain([admin])
            {
                findings.push(is_free(key, address).await);
            }
            let dir = config.store.sqlite.clone();
            let tenants = config.tenants.iter().map(|tenant| tenant.name.clone());
            let tenants: Vec<String> = tenants.collect();
            // What is wrong with the store, or its disk, is told there.
            let stopped =
                timeout(DOCTOR_ASK, spawn_blocking(move || stopped_by(&dir, &tenants))).await;
            let stopped = stopped.ok().and_then(Result::ok).unwrap_or_default();
            findings.extend(stopped.into_iter().map(|text| finding(Health::Warn, text)));
        }
    }
    findings
}

/// The stop file, pauses, breakers and what waits for a person, of a service that is stopped.
fn stopped_by(dir: &Path, tenants: &[String]) -> Vec<String> {
    let file = stop_file(&dir.join(STOP_FILE));
    let store = Chains::open(dir);
    let summary = store.and_then(|store| store.summary());
    let mut told: Vec<_> = file.into_iter().collect();
    if let Ok(summary) = summary {
        told.extend(summary.problems());
        told.extend(summary.of_no_tenant(tenants.iter().map(String::as_str)));
    }
    told
}

async fn is_free(key: &str, address: SocketAddr) -> Finding {
    let port = format!("port {}", address.port());
    match TcpListener::bind(address).await {
        Ok(_) => Finding::new(&port, Health::Ok, format!("free for {key}, {address}")),
        Err(why) => {
            let how = "see who has it with `ss -ltnp`, or give another address";
            let text = format!("{key} can't listen at {address}: {why}; {how}");
            Finding::new(&port, Health::Fail, text)
        }
    }
}

/// Whether the service that runs has the webhook listener where the configuration says.
async fn is_served(address: SocketAddr) -> Option<Finding> {
    let connected = timeout(DOCTOR_ASK, TcpStream::connect(client::reached_at(address)));
    let why = match connected.await {
        Ok(Ok(_)) => return None,
        Ok(Err(why)) => why.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    let port = format!("port {}", address.port());
    let how = "was listen.webhooks changed since the start? Restart, or see the log";
    let text = format!("the service runs, but not its webhooks at {address}: {why}; {how}");
    Some(Finding::new(&port, Health::Fail, text))
}
