//! What the real program holds in memory.

use std::time::Duration;

use super::alerts::{self, ACTS};
use super::broker::Broker;
use super::process::Process;
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
    process: Process,
}

impl Service {
    fn start(site: Site) -> Self {
        let process = Process::start(&site.config(), site.admin);
        Self { site, process }
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
        let [all, anonymous] = ["VmRSS", "RssAnon"].map(|key| self.process.megabytes(key));
        let verdict = Target::AtMost(most).verdict(all);
        println!("  {name:<36}{all:>10.1}{anonymous:>10.1}  {verdict}");
    }
}
