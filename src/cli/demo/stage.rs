//! What the demo plays on: a directory that goes away with it, a simulator, and the service, set up
//! from a configuration file as a user would write it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;

use super::super::{Failure, send};
use crate::app::{App, Tuning};
use crate::config::{Config, Kind, Webhook};
use crate::io::clock::SystemClock;
use crate::io::{ActionReport, Clock as _};
use crate::simulator::{self, Simulator};

const RULE: &str = include_str!("../../../rules/demo/quarantine.yml");

pub struct Stage {
    home: tempfile::TempDir,
    config: Config,
    /// The sample, with the time of the demo's start in it.
    alert: String,
    pub simulator: Simulator,
    pub app: App,
}

impl Stage {
    /// Sets everything up. Ports are whatever is free.
    pub async fn set() -> Result<Self, Failure> {
        // There are secrets among the files, though only of the demo.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let home = tempfile::Builder::new()
            .prefix("lazaret-demo-")
            .tempdir()
            .map_err(|why| Failure::usage(format!("cannot make a temporary directory: {why}")))?;
        let settings = simulator::Settings {
            pending_for: Duration::from_millis(300),
            running_for: Duration::from_millis(700),
            ..simulator::Settings::default()
        };
        let simulator = Simulator::bind(settings).await.map_err(Failure::usage)?;
        let alert = fresh(super::SAMPLE);
        write(home.path(), &simulator.url(), &alert).map_err(|why| {
            Failure::usage(format!("cannot write to {}: {why}", home.path().display()))
        })?;
        let config = Config::load(&home.path().join("lazaret.yaml")).map_err(Failure::usage)?;
        let tuning = Tuning { track_every: Duration::from_millis(400) };
        let app = App::start(&config, tuning).await.map_err(Failure::usage)?;
        Ok(Self { home, config, alert, simulator, app })
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn config_path(&self) -> PathBuf {
        self.home.path().join("lazaret.yaml")
    }

    pub fn webhooks(&self) -> String {
        self.app.webhooks.map(|at| format!("http://{at}/webhooks/demo")).unwrap_or_default()
    }

    fn webhook(&self) -> Result<&Webhook, Failure> {
        match self.config.sources[0].kind() {
            Kind::Webhook(webhook) => Ok(webhook),
            Kind::Kafka(_) => Err(Failure::usage("the demo's source is a webhook")),
        }
    }

    /// Signs the sample and posts it, as `lazaret send` does: each time the same bytes in a new
    /// delivery.
    pub async fn send(&self) -> Result<(StatusCode, String), Failure> {
        let body = self.alert.clone().into_bytes();
        send::post(self.webhook()?, &self.webhooks(), body, send::Means::default()).await
    }

    /// The title of the one rule there is.
    pub fn rule(&self) -> &'static str {
        let title = RULE.lines().find_map(|line| line.strip_prefix("title: "));
        title.unwrap_or("the demo's rule")
    }

    pub async fn action(&self, id: &str) -> Result<ActionReport, Failure> {
        let report = self.app.store().action(id).await.map_err(Failure::wrong)?;
        report.ok_or_else(|| Failure::wrong(format!("action {id} is not in the store")))
    }

    pub async fn strike(self) {
        self.app.stop().await;
        self.simulator.stop();
    }
}

/// The sample with the present time in it, as a sender would have it: old alerts are not acted on.
fn fresh(alert: &str) -> String {
    alert.replace("2026-01-01T00:00:00.0000000Z", &SystemClock::new().now().wall.to_string())
}

fn write(home: &Path, simulator: &str, alert: &str) -> std::io::Result<()> {
    let clock = SystemClock::new();
    let rules = home.join("rules");
    std::fs::create_dir_all(rules.join("samples"))?;
    std::fs::write(rules.join("quarantine.yml"), RULE)?;
    std::fs::write(rules.join("samples/demo-alert.json"), alert)?;
    let key = [clock.new_id().into_bytes(), clock.new_id().into_bytes()].concat();
    let secret = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key);
    std::fs::write(home.join("webhook.secret"), format!("whsec_{secret}"))?;
    std::fs::write(home.join("defender.secret"), "simulated")?;
    // Not where another demo begins.
    let webhooks = free_port(PORTS.start + (std::process::id() % 12_000) as u16)?;
    let admin = free_port(webhooks + 1)?;
    std::fs::write(home.join("lazaret.yaml"), config(webhooks, admin, simulator))
}

/// No connection is given one of these on its way out, so that they stay free until the service
/// listens.
const PORTS: Range<u16> = 20_000..32_768;

/// The first free one from there on.
fn free_port(from: u16) -> std::io::Result<u16> {
    let mut ports = (from..PORTS.end).chain(PORTS.start..from);
    let free = ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.ok_or_else(|| ErrorKind::AddrInUse.into())
}

fn config(webhooks: u16, admin: u16, simulator: &str) -> String {
    format!(
        "node: demo
mode: enforce
rules: rules
store: {{sqlite: data}}
listen:
  webhooks: {{address: 127.0.0.1:{webhooks}}}
  admin: {{address: 127.0.0.1:{admin}}}
sources:
  - name: demo
    tenants: [contoso]
    webhook:
      format: defender-alert
      verify: {{scheme: standard-webhooks, secrets: [{{file: webhook.secret}}]}}
tenants:
  - name: contoso
    id: 11111111-2222-3333-4444-555555555555
    api: {simulator}
    login: {simulator}
    credential:
      client_id: 66666666-7777-8888-9999-000000000000
      secret: {{file: defender.secret}}
    budgets:
      machine-actions: [{{calls: 100, per: 60s}}]
"
    )
}
