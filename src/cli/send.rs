//! `lazaret send`: signs an alert and posts it, as a sender would.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::client::ConfigArg;
use super::{Failure, Outcome, runtime};
use crate::app::settings;
use crate::config::{Config, Kind, Webhook};
use crate::domain::signature::Message;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The webhook source to send to: its scheme and first secret sign
    #[arg(long)]
    source: String,
    /// The alert, or alerts, as JSON
    #[arg(long)]
    file: PathBuf,
    /// Where to, when it is not the listener of the configuration
    #[arg(long)]
    url: Option<String>,
    /// PEM file of the authority to trust
    #[arg(long)]
    ca: Option<PathBuf>,
}

/// Prints the answer. Exits with 1 when it is no 2xx.
pub fn run(args: Args) -> Outcome {
    let config = args.config.load()?;
    let webhook = find(&config, &args.source)?;
    let body = std::fs::read(&args.file)
        .map_err(|why| Failure::usage(format!("cannot read {}: {why}", args.file.display())))?;
    let url = match &args.url {
        Some(url) => url.clone(),
        None => default_url(&config, &args.source)?,
    };
    let (status, answer) = runtime(1)?.block_on(async {
        let ca = args.ca.as_ref().map(std::fs::read).transpose().map_err(Failure::usage)?;
        post(webhook, &url, body, ca).await
    })?;
    println!("{status}\n{}", pretty(&answer));
    if status.is_success() { Ok(()) } else { Err(Failure::wrong("the alert was not taken")) }
}

/// Indented, where it is JSON.
fn pretty(answer: &str) -> String {
    serde_json::from_str::<serde_json::Value>(answer)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| answer.to_owned())
}

fn find<'a>(config: &'a Config, name: &str) -> Result<&'a Webhook, Failure> {
    let source = config.sources.iter().find(|source| source.name == name);
    match source.map(|source| source.kind()) {
        Some(Kind::Webhook(webhook)) => Ok(webhook),
        Some(Kind::Kafka(_)) => {
            Err(Failure::usage(format!("source {name} is a Kafka subscription: produce to it")))
        }
        None => Err(Failure::usage(format!("there is no source {name} in the configuration"))),
    }
}

fn default_url(config: &Config, source: &str) -> Result<String, Failure> {
    let listen =
        config.listen.webhooks.as_ref().ok_or_else(|| {
            Failure::usage("the configuration has no webhook listener: give --url")
        })?;
    let scheme = if listen.tls.is_some() { "https" } else { "http" };
    let port = listen.address.port();
    let host = if listen.address.ip().is_unspecified() {
        "127.0.0.1".to_owned()
    } else {
        listen.address.ip().to_string()
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("{scheme}://{host}:{port}/webhooks/{source}"))
}

/// Signs with the source's first secret, posts, and gives back status and body.
pub async fn post(
    webhook: &Webhook,
    url: &str,
    body: Vec<u8>,
    ca: Option<Vec<u8>>,
) -> Result<(reqwest::StatusCode, String), Failure> {
    let clock = SystemClock::new();
    let seal = settings::seal(&webhook.verify).map_err(Failure::usage)?;
    let id = format!("msg_{}", clock.new_id().simple());
    let headers = seal.sign(&Message { id: &id, at: clock.now().wall, body: &body });
    let mut client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30));
    if let Some(pem) = ca {
        let certificate = reqwest::Certificate::from_pem(&pem).map_err(Failure::usage)?;
        client = client.add_root_certificate(certificate);
    }
    let client = client.build().map_err(Failure::usage)?;
    let mut request = client.post(url).header("content-type", "application/json").body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let failed = |why| Failure::wrong(format!("{url} does not answer: {why}"));
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    Ok((status, response.text().await.map_err(failed)?))
}
