//! The whole service as a process of its own, between a simulator and senders, so that it can be
//! killed at any moment while both remember what they saw.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use lazaret::domain::signature::{Message, Scheme, Seal};
use lazaret::domain::time::Wall;
use lazaret::io::clock::SystemClock;
use lazaret::io::store::Db;
use lazaret::io::{Clock, Report, Summary};
use lazaret::simulator::{self, Endpoint, Limit, Reckoning, Simulator};
use tempfile::TempDir;

use crate::broker::free_port;

/// How long anything may take that should take a moment.
pub const LONGEST: Duration = Duration::from_secs(180);

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const TENANT_ID: &str = "11111111-2222-3333-4444-555555555555";

/// Acts on every active file of the test alerts.
const RULE: &str = r#"
title: Quarantine every active file
id: 5f4d8d0a-5d0e-4f39-8b0c-6a3f2c7b9e10
logsource: {product: microsoft_defender}
detection:
  active: {file.entity: File, file.detection_status: Detected}
  condition: active
response:
  action: StopAndQuarantineFile
  comment: "Quarantined due to alert {{alert.id}}"
  mode: enforce
  breakers: {machines_per_file: 1000000/1h, actions: 1000000/1h}
"#;

/// What a test turns.
pub struct Setting {
    /// Calls and milliseconds, for both sides.
    pub quarantine: Vec<(u32, u64)>,
    pub reckoning: Reckoning,
    /// Broker and topic, if Kafka is a source.
    pub kafka: Option<(String, String)>,
    pub mode: &'static str,
    /// `contoso`, and so many less one beside it: `t1`, `t2`, …
    pub tenants: u8,
    /// How long an action waits at Defender until its machine begins.
    pub pending_for: Duration,
    /// How long the machine takes then.
    pub running_for: Duration,
    /// From an action's creation until Defender's list shows it.
    pub listed_after: Duration,
    /// The last lines of the configuration.
    pub more: String,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            quarantine: vec![(100, 60_000), (1500, 3_600_000)],
            reckoning: Reckoning::Sliding,
            kafka: None,
            mode: "enforce",
            tenants: 1,
            pending_for: Duration::from_millis(200),
            running_for: Duration::from_millis(200),
            listed_after: Duration::ZERO,
            more: String::new(),
        }
    }
}

/// A directory, a simulator, and the service when it runs.
pub struct World {
    pub dir: TempDir,
    pub simulator: Simulator,
    pub webhooks: u16,
    admin: u16,
    child: Option<Child>,
    pub starts: u32,
    /// What the service is told by `LAZARET_FAILPOINTS`.
    pub failpoints: String,
    http: reqwest::Client,
    seal: Seal,
}

impl World {
    pub async fn new(setting: Setting) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let limit =
            |(calls, ms): &(u32, u64)| Limit { calls: *calls, per: Duration::from_millis(*ms) };
        let simulator = Simulator::bind(simulator::Settings {
            quarantine: setting.quarantine.iter().map(limit).collect(),
            reads: vec![Limit { calls: 6000, per: Duration::from_secs(60) }],
            reckoning: setting.reckoning,
            pending_for: setting.pending_for,
            running_for: setting.running_for,
            listed_after: setting.listed_after,
            unknown_files: simulator::UnknownFiles::NotFound,
            ..simulator::Settings::default()
        })
        .await
        .unwrap();
        let (webhooks, admin) = (free_port(), free_port());
        let url = simulator.url();
        write(dir.path(), &config(&setting, webhooks, admin, &url));
        let seal = Seal::new(Scheme::StandardWebhooks, &[SECRET.into()]).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (child, failpoints) = (None, String::new());
        Self { dir, simulator, webhooks, admin, child, starts: 0, failpoints, http, seal }
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("lazaret.yaml")
    }

    /// The built program, with this world's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret"));
        command.args(arguments).env("LAZARET_CONFIG", self.config());
        command
    }

    pub fn admin_address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.admin)
    }

    /// Starts the service and waits until it is ready.
    pub async fn start(&mut self) {
        self.spawn();
        let began = Instant::now();
        while !self.is_ready().await {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the service ended: {}", self.log());
            assert!(began.elapsed() < LONGEST, "the service is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts the service and waits for nothing.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        self.starts += 1;
        let log = std::fs::File::create(self.dir.path().join(format!("log.{}", self.starts)));
        let mut command = self.command(&["run"]);
        command.env("LAZARET_FAILPOINTS", &self.failpoints).stderr(Stdio::from(log.unwrap()));
        self.child = Some(command.spawn().unwrap());
    }

    pub async fn is_ready(&self) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.admin);
        self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// The end of the service, where it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        Some(status)
    }

    /// Holds the service still: SIGSTOP. What is seen then is what it dies with.
    pub fn freeze(&self) {
        let id = i32::try_from(self.child.as_ref().expect("it runs").id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::STOP).unwrap();
        let stopped = rustix::process::waitpid(Some(id), rustix::process::WaitOptions::UNTRACED);
        assert!(stopped.unwrap().is_some_and(|(_, status)| status.stopped()), "{}", self.log());
    }

    /// The problems that anybody may see, without a token.
    pub async fn ready(&self) -> serde_json::Value {
        let url = format!("http://127.0.0.1:{}/readyz", self.admin);
        let answer = self.http.get(&url).send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice::<serde_json::Value>(&answer).unwrap()["problems"].clone()
    }

    /// Ends the service as a power cut would: SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the service as an operator would: SIGTERM. It must end well.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let asked = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(asked.success());
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Tells the service to read its files again: SIGHUP.
    pub fn hang_up(&self) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    /// What the service has logged since its last start.
    pub fn log(&self) -> String {
        let path = self.dir.path().join(format!("log.{}", self.starts));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// The same since the first.
    pub fn logs(&self) -> String {
        let read = |start| std::fs::read_to_string(self.dir.path().join(format!("log.{start}")));
        (1..=self.starts).map(|start| read(start).unwrap_or_default()).collect()
    }

    /// Signs and posts, once. `None`: nobody answered.
    pub async fn post(&self, id: &str, body: &str) -> Option<(u16, String)> {
        let url = format!("http://127.0.0.1:{}/webhooks/siem", self.webhooks);
        post_with(&self.http, &self.seal, &url, id, body).await
    }

    pub async fn report(&self) -> Report {
        self.asked().await.expect("it answers")
    }

    /// The same, where it answers.
    pub async fn asked(&self) -> Option<Report> {
        let url = format!("http://127.0.0.1:{}/api/v1/status", self.admin);
        let token = std::fs::read_to_string(self.dir.path().join("data/admin.token")).ok()?;
        let answer = self.http.get(url).bearer_auth(token).send().await.ok()?;
        answer.json().await.ok()
    }

    /// Every checksum, every chain and every balance of the store holds. The service does not run.
    pub fn assert_verifies(&self) {
        let mut db = Db::open(&self.dir.path().join("data"), 1).unwrap();
        assert_eq!(db.verify_rows().unwrap(), [""; 0]);
        assert_eq!(db.verify_chains().unwrap(), [""; 0]);
        drop(db);
        let verified = self.command(&["audit", "verify"]).output().unwrap();
        assert!(verified.status.success(), "{verified:?}");
    }

    pub async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Quarantine calls by (path, body), with how often each arrived.
    pub fn calls(&self) -> BTreeMap<(String, String), usize> {
        let mut calls = BTreeMap::new();
        for call in self.simulator.calls_to(Endpoint::Quarantine) {
            *calls.entry((call.target, call.body)).or_insert(0) += 1;
        }
        calls
    }

    /// Waits until something holds, and says what did not.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self).await {
            assert!(began.elapsed() < LONGEST, "never came: {what}; log: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub async fn post_with(
    http: &reqwest::Client,
    seal: &Seal,
    url: &str,
    id: &str,
    body: &str,
) -> Option<(u16, String)> {
    let at = SystemClock::new().now().wall;
    let message = Message { id, at, body: body.as_bytes() };
    let mut request = http.post(url).header("content-type", "application/json");
    for (name, value) in seal.sign(&message) {
        request = request.header(name, value);
    }
    let answer = request.body(body.to_owned()).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.ok()?))
}

/// Runs a command of the program to its end, beside the running service.
pub async fn run(world: &World, arguments: &[&str]) -> std::process::Output {
    let mut command = world.command(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What a command printed with `--json`.
pub fn json(output: &std::process::Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text} {said}"))
}

/// Signs with [`SECRET`] and posts, from nowhere in particular.
pub async fn post_signed(url: &str, id: &str, body: &str) -> Option<(u16, String)> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let seal = Seal::new(Scheme::StandardWebhooks, &[SECRET.into()]).unwrap();
    post_with(&http, &seal, url, id, body).await
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// The balance: every alert received has a fate.
pub fn assert_balance(summary: &Summary) {
    for (source, received) in &summary.received {
        let fates = summary.fates.iter().filter(|of| of.source == *source);
        assert_eq!(*received, fates.map(|of| of.count).sum::<u64>(), "{summary:?}");
    }
}

fn write(dir: &Path, config: &str) {
    std::fs::create_dir(dir.join("rules")).unwrap();
    std::fs::write(dir.join("rules/rule.yml"), format!("{}{TESTS}", RULE.trim_start())).unwrap();
    std::fs::create_dir(dir.join("rules/samples")).unwrap();
    std::fs::write(dir.join("rules/samples/alert.json"), alert(1)).unwrap();
    std::fs::write(dir.join("siem"), SECRET).unwrap();
    std::fs::write(dir.join("contoso"), "simulated").unwrap();
    std::fs::write(dir.join("lazaret.yaml"), config).unwrap();
}

const TESTS: &str = r#"tests:
  - name: an active file acts
    alert: samples/alert.json
    expect:
      act: [{machine: "0000000000000000000000000000000000000001", sha1: "1000000000000000000000000000000000000001"}]
  - name: a blocked one is spared
    alert: samples/alert.json
    set: {file.detection_status: Blocked}
    expect: {no_match: active}
"#;

/// Alert number `n`, of one file on one machine, all its own. Sent again it is the same: its
/// evidence is not newer than what was done about it.
pub fn alert(n: usize) -> String {
    alert_of(n, n)
}

/// Alert number `n`, of a file that others may name too.
pub fn alert_of(n: usize, file: usize) -> String {
    static CREATED: LazyLock<Wall> = LazyLock::new(|| SystemClock::new().now().wall);
    alert_at(n, file, *CREATED)
}

fn alert_at(n: usize, file: usize, created: Wall) -> String {
    serde_json::json!({
        "id": format!("da{n:018}_1"),
        "severity": "High",
        "category": "Malware",
        "title": "Malware was detected",
        "alertCreationTime": created.to_string(),
        "machineId": format!("{n:040x}"),
        "computerDnsName": format!("pc{n}.contoso.example"),
        "aadTenantId": TENANT_ID,
        "evidence": [{
            "entityType": "File",
            "evidenceCreationTime": created.to_string(),
            "sha1": format!("1{file:039x}"),
            "fileName": "bad.exe",
            "filePath": "C:\\Users\\Public",
            "detectionStatus": "Detected",
        }],
    })
    .to_string()
}

/// What the configuration calls tenant number `at`.
pub fn tenant_name(at: u8) -> String {
    if at == 0 { "contoso".to_owned() } else { format!("t{at}") }
}

pub fn tenant_id(at: u8) -> String {
    TENANT_ID.replace("11111111-", &format!("1111111{:x}-", at + 1))
}

/// The call that alert number `n` leads to: path and body.
pub fn call_of(n: usize) -> (String, String) {
    let target = format!("/api/machines/{n:040x}/StopAndQuarantineFile");
    let comment = format!("Quarantined due to alert da{n:018}_1");
    (target, serde_json::json!({ "Comment": comment, "Sha1": format!("1{n:039x}") }).to_string())
}

fn config(setting: &Setting, webhooks: u16, admin: u16, simulator: &str) -> String {
    let limits: Vec<_> = setting
        .quarantine
        .iter()
        .map(|(calls, ms)| format!("{{calls: {calls}, per: {ms}ms}}"))
        .collect();
    let kafka = setting.kafka.as_ref().map_or(String::new(), |(broker, topic)| {
        format!(
            "
  - name: stream
    tenants: [contoso]
    kafka:
      brokers: [\"{broker}\"]
      topics: [{topic}]
      group: lazaret-{topic}
      format: defender-alert
      librdkafka: {{socket.timeout.ms: \"10000\"}}"
        )
    });
    let tenants: String = (0..setting.tenants)
        .map(|at| {
            let (name, id) = (tenant_name(at), tenant_id(at));
            format!(
                "
  - name: {name}
    id: {id}
    api: {simulator}
    login: {simulator}
    credential: {{client_id: 66666666-7777-8888-9999-000000000000, secret: {{file: contoso}}}}
    breakers: {{actions: 1000000/1h}}
    budgets:
      quarantine: [{}]
      machine-actions: [{{calls: 6000, per: 60s}}]",
                limits.join(", ")
            )
        })
        .collect();
    let names: Vec<_> = (0..setting.tenants).map(tenant_name).collect();
    format!(
        "node: lazaret-1
mode: {mode}
rules: rules
store: {{sqlite: data}}
listen:
  webhooks: {{address: 127.0.0.1:{webhooks}}}
  admin: {{address: 127.0.0.1:{admin}}}
sources:
  - name: siem
    tenants: [{names}]
    webhook:
      format: defender-alert
      verify: {{scheme: standard-webhooks, secrets: [{{file: siem}}]}}{kafka}
tenants:{tenants}
reconcile: {{wait: 1s}}
limits: {{connections_per_address: 1024}}
{more}",
        more = setting.more,
        mode = setting.mode,
        names = names.join(", "),
    )
}
