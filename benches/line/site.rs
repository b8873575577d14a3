//! A directory with everything a service needs, set up as a user would.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use lazaret::app::{self, App, Tuning};
use lazaret::config::Config;
use lazaret::domain::scope::Scope;
use lazaret::io::{Pause, Store as _};
use tempfile::TempDir;

use super::alerts::{self, TENANT_ID};
use super::wire::SECRET;

/// What a part of the program turns.
pub struct Plan {
    pub rules: usize,
    /// Where Defender is.
    pub defender: String,
    /// Broker, topic and consumer group, if Kafka is a source.
    pub kafka: Option<(String, String, String)>,
}

pub struct Site {
    dir: TempDir,
    pub webhooks: SocketAddr,
    pub admin: SocketAddr,
}

impl Site {
    /// On the disk that the build is on: a store in memory would tell nothing.
    pub fn new(plan: &Plan) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let site = Self { dir, webhooks: free_address(), admin: free_address() };
        let at = |name: &str| site.dir.path().join(name);
        alerts::write_rules(&at("rules"), plan.rules).expect("the rules are written");
        std::fs::write(at("siem"), SECRET).expect("the secret is written");
        std::fs::write(at("contoso"), "simulated").expect("the secret is written");
        std::fs::write(at("lazaret.yaml"), site.text(plan)).expect("the file is written");
        site
    }

    /// Of a file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("lazaret.yaml")
    }

    pub fn load(&self) -> Config {
        Config::load(&self.config()).unwrap_or_else(|why| panic!("the configuration: {why}"))
    }

    pub async fn start(&self) -> App {
        let started = App::start(&self.load(), Tuning::default()).await;
        started.unwrap_or_else(|why| panic!("the service: {why}"))
    }

    /// Before a start: actions are made, and none is sent.
    pub async fn pause(&self) {
        let store = app::open_store(&self.load()).unwrap_or_else(|why| panic!("{why}"));
        let reason = "only intake is measured".to_owned();
        let pause = Pause { scope: Scope::All, by: "bench".into(), reason, at: alerts::now() };
        store.pause(pause).await.expect("the pause is written");
        store.close().await;
    }

    fn text(&self, plan: &Plan) -> String {
        let kafka = plan.kafka.as_ref().map_or(String::new(), |(broker, topic, group)| {
            format!(
                "
  - name: stream
    tenants: [contoso]
    kafka:
      brokers: [\"{broker}\"]
      topics: [{topic}]
      group: {group}
      format: defender-alert"
            )
        });
        let Self { webhooks, admin, .. } = self;
        let defender = &plan.defender;
        format!(
            "node: lazaret-1
mode: enforce
rules: rules
store: {{sqlite: data}}
listen:
  webhooks: {{address: \"{webhooks}\"}}
  admin: {{address: \"{admin}\"}}
sources:
  - name: siem
    tenants: [contoso]
    webhook:
      format: defender-alert
      verify: {{scheme: standard-webhooks, secrets: [{{file: siem}}]}}{kafka}
tenants:
  - name: contoso
    id: {TENANT_ID}
    api: {defender}
    login: {defender}
    credential: {{client_id: 66666666-7777-8888-9999-000000000000, secret: {{file: contoso}}}}
    breakers: {{actions: 1000000/1h}}
    budgets:
      quarantine: [{{calls: 100000, per: 60s}}]
"
        )
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it is bound")
}
