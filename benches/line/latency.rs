//! From a webhook's first byte to the call on the wire, beside the least that two commits and one
//! round trip can cost.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lazaret::simulator::{Endpoint, Limit, Settings, Simulator};
use tokio::runtime::Runtime;

use super::alerts::{self, ACTS};
use super::site::{Plan, Site};
use super::table::{self, Rounds, Target, quantile};
use super::wire::{self, Wire};
use super::{Scale, naive, runtime};

const EVERY: Duration = Duration::from_millis(20);
const ALERTS: usize = 500;
const EVIDENCE: usize = 3;
/// Senders by turns, so that one slow answer does not delay the next alert.
const SENDERS: usize = 4;

pub fn run(scale: Scale) {
    let runtime = runtime();
    let alerts = ALERTS / scale.divisor;
    let (simulator, clock) = runtime.block_on(simulator());
    let site = Site::new(&Plan { rules: 100, defender: simulator.url(), kafka: None });
    let app = runtime.block_on(site.start());
    let sink = runtime.block_on(naive::sink());
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let log = OpenOptions::new().create(true).append(true).open(dir.path().join("log"));
    let mut log = log.expect("a file");

    // A token is fetched and connections are made before it counts.
    send_alerts(&runtime, &site, 0, alerts.min(50), &simulator, clock);
    let mut sides = [[Rounds::default(), Rounds::default()], Default::default()];
    for round in 0..scale.pairs {
        let first = (round + 1) * ALERTS;
        let measured = [
            floor(&runtime, alerts, &mut log, sink),
            send_alerts(&runtime, &site, first, alerts, &simulator, clock),
        ];
        for (side, times) in sides.iter_mut().zip(measured) {
            side[0].push(quantile(&times, 0.5));
            side[1].push(quantile(&times, 0.99));
        }
    }
    runtime.block_on(app.stop());
    let [floor, lazaret] = &sides;
    table::heading(
        "2. From the webhook to the call on the wire, 50 alerts/s, open loop",
        &[
            "floor: two appends of 4 KiB with fdatasync, then one loopback HTTP round trip",
            &format!("{alerts} alerts a round; the p50 and p99 of each round"),
        ],
    );
    table::columns("ms", "× floor");
    for (at, (share, most)) in [("p50", 2.0), ("p99", 6.0)].into_iter().enumerate() {
        table::row(&format!("floor {share}"), &floor[at], &floor[at], Target::None);
        table::row(&format!("Lazaret {share}"), &lazaret[at], &floor[at], Target::AtMost(most));
    }
}

/// A Defender with wide budgets, and the moment when its clock stood at zero.
async fn simulator() -> (Simulator, Instant) {
    let wide = vec![Limit { calls: 1_000_000, per: Duration::from_secs(60) }];
    let settings = Settings { quarantine: wide.clone(), reads: wide, ..Settings::default() };
    let simulator = Simulator::bind(settings).await.expect("a port is free");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    // It notes each arrival between our sending and the answer: the narrowest bounds hold.
    let start = Instant::now();
    let (mut least, mut most) = (f64::MIN, f64::MAX);
    for _ in 0..100 {
        let sent = start.elapsed();
        http.get(simulator.url()).send().await.expect("it answers");
        let answered = start.elapsed();
        let arrived = simulator.calls().last().expect("it was noted").at_us as f64;
        least = least.max(sent.as_micros() as f64 - arrived);
        most = most.min(answered.as_micros() as f64 - arrived);
    }
    // Its clock started before ours, so the difference is below zero.
    let behind = Duration::from_micros((-(least + most) / 2.0).max(0.0) as u64);
    (simulator, start - behind)
}

/// Milliseconds from when each alert was due to the arrival of its call.
fn send_alerts(
    runtime: &Runtime,
    site: &Site,
    first: usize,
    count: usize,
    simulator: &Simulator,
    clock: Instant,
) -> Vec<f64> {
    let (seal, created) = (wire::seal(), alerts::now());
    let requests: Vec<Vec<u8>> = (first..first + count)
        .map(|n| {
            let body = alerts::alert(n + 1, EVIDENCE, ACTS, created);
            wire::request(&seal, &format!("msg_{n}"), &body)
        })
        .collect();
    let before = simulator.calls_to(Endpoint::Quarantine).len();
    let mut wires: Vec<Wire> =
        (0..SENDERS).map(|_| Wire::connect(site.webhooks).expect("it listens")).collect();
    let began = Instant::now() + EVERY;
    let due = |at: usize| began + EVERY * u32::try_from(at).expect("few alerts");
    std::thread::scope(|scope| {
        for (sender, wire) in wires.iter_mut().enumerate() {
            let requests = &requests;
            scope.spawn(move || {
                for (at, request) in requests.iter().enumerate().skip(sender).step_by(SENDERS) {
                    wait_until(due(at));
                    let (status, _) = wire.ask(request).expect("an answer");
                    assert_eq!(status, 202);
                }
            });
        }
    });
    runtime.block_on(async {
        while simulator.calls_to(Endpoint::Quarantine).len() < before + count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let calls = simulator.calls_to(Endpoint::Quarantine).split_off(before);
    let ms = calls.iter().map(|call| {
        let machine = call.target.split('/').nth(3).expect("a machine");
        let n = usize::from_str_radix(machine, 16).expect("one of ours");
        let arrived = clock + Duration::from_micros(call.at_us);
        arrived.duration_since(due(n - 1 - first)).as_secs_f64() * 1000.0
    });
    ms.collect()
}

/// Milliseconds of each turn, at the same pace.
fn floor(runtime: &Runtime, count: usize, log: &mut File, sink: SocketAddr) -> Vec<f64> {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("http://{sink}/api/machines/{:040x}/StopAndQuarantineFile", 1);
    let call = serde_json::json!({"Comment": "floor", "Sha1": format!("{:040x}", 1)});
    let began = Instant::now() + EVERY;
    let turn = |at: usize| {
        let due = began + EVERY * u32::try_from(at).expect("few turns");
        wait_until(due);
        for _ in 0..2 {
            log.write_all(&[7; 4096]).expect("it is written");
            log.sync_data().expect("it is synced");
        }
        runtime.block_on(async { http.post(&url).json(&call).send().await }).expect("an answer");
        due.elapsed().as_secs_f64() * 1000.0
    };
    (0..count).map(turn).collect()
}

/// Sleeps, and spins at the end: a sleep alone wakes late.
fn wait_until(due: Instant) {
    const SPIN: Duration = Duration::from_micros(150);
    std::thread::sleep((due - SPIN).saturating_duration_since(Instant::now()));
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}
