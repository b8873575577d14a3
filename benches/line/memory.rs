//! What the real program holds in memory.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::alerts::{self, ACTS};
use super::broker::Broker;
use super::site::{Plan, Site};
use super::table::{self, Target};
use super::wire::{self, Wire};
use super::{Scale, runtime};

const WAITING: usize = 100_000;
const ALERTS_PER_REQUEST: usize = 200;
const EVIDENCE: usize = 3;
/// After this, what a start or a load used for a moment is given back, if it ever is.
const SETTLED: Duration = Duration::from_secs(5);
/// Where no Defender is: nothing is called.
const NOWHERE: &str = "http://127.0.0.1:9";

pub fn run(scale: Scale) {
    table::heading(
        "5. Memory of the program, in MB",
        &["VmRSS: all resident pages; RssAnon: without the pages of its file, which others share"],
    );
    println!("  {:<36}{:>10}{:>10}  target", "", "VmRSS", "RssAnon");
    let plan = |kafka| Plan { rules: 100, defender: NOWHERE.into(), kafka };

    let service = Service::start(Site::new(&plan(None)));
    std::thread::sleep(SETTLED);
    service.row("idle, webhooks only", 20.0);

    if std::env::var_os("LAZARET_TEST_KAFKA").is_some() {
        let broker = Broker::start();
        broker.create_topic("alerts", 4);
        let source = (broker.address(), "alerts".to_owned(), "lazaret-idle".to_owned());
        let service = Service::start(Site::new(&plan(Some(source))));
        std::thread::sleep(SETTLED);
        service.row("idle, with a Kafka source", 28.0);
    } else {
        println!("  idle, with a Kafka source: left out, LAZARET_TEST_KAFKA is not set");
    }

    let waiting = WAITING / scale.divisor;
    let site = Site::new(&plan(None));
    runtime().block_on(site.pause());
    let service = Service::start(site);
    service.fill(waiting);
    std::thread::sleep(SETTLED);
    service.row(&format!("{} actions waiting", table::number(waiting as f64)), 60.0);
}

struct Service {
    site: Site,
    child: Child,
}

impl Service {
    fn start(site: Site) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_lazaret"))
            .args(["run", "--config"])
            .arg(site.config())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program was built with the benches");
        let mut service = Self { site, child };
        let began = Instant::now();
        while !is_ready(service.site.admin) {
            let ended = service.child.try_wait().expect("it is ours");
            assert!(ended.is_none(), "the service ended: {ended:?}");
            assert!(began.elapsed() < Duration::from_secs(60), "the service is not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }

    fn fill(&self, waiting: usize) {
        let (seal, created) = (wire::seal(), alerts::now());
        let mut wire = Wire::connect(self.site.webhooks).expect("it listens");
        for first in (0..waiting).step_by(ALERTS_PER_REQUEST) {
            let alert = |n| alerts::alert(n + 1, EVIDENCE, ACTS, created);
            let alerts: Vec<String> =
                (first..waiting.min(first + ALERTS_PER_REQUEST)).map(alert).collect();
            let body = format!("[{}]", alerts.join(","));
            let (status, answer) =
                wire.ask(&wire::request(&seal, &format!("msg_{first}"), &body)).expect("an answer");
            assert_eq!(status, 202, "{}", String::from_utf8_lossy(answer));
        }
    }

    fn row(&self, name: &str, most: f64) {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("Linux shows what a process holds");
        let megabytes = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key));
            let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
            kib.unwrap_or(f64::NAN) * 1024.0 / 1e6
        };
        let (all, anonymous) = (megabytes("VmRSS:"), megabytes("RssAnon:"));
        let verdict = Target::AtMost(most).verdict(all);
        println!("  {name:<36}{all:>10.1}{anonymous:>10.1}  {verdict}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn is_ready(admin: SocketAddr) -> bool {
    let asked = Wire::connect(admin).and_then(|mut wire| {
        let (status, _) = wire.ask(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        Ok(status)
    });
    asked.is_ok_and(|status| status == 200)
}
