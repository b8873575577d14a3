//! What a thousand tenants cost the real program, and what the troubles of fifty of them cost one
//! that is well.

mod fleet;

use std::time::{Duration, Instant};

use lazaret::simulator::{App, Effect, Endpoint, Fault, Limit, Settings, Simulator, Trouble};

use super::table::{self, quantile};
use super::{Scale, runtime};
use fleet::{CLIENT_ID, Fleet, id_of};

const TENANTS: usize = 1000;
/// Of each kind.
const SICK: usize = 50;
/// Alerts for each that is sick: as many as may be in flight for it.
const BACKLOG: usize = 16;
/// Alerts for the one that is well, in each phase.
const ALERTS: usize = 250;
const EVERY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_secs(60);

/// What ails fifty tenants. The first fifty are well.
const TROUBLES: [&str; 4] = ["dead credentials", "429", "403", "answers after 30 s"];

pub fn run(scale: Scale) {
    let tenants = (TENANTS / scale.divisor).max(5 * (SICK / scale.divisor));
    let sick = SICK / scale.divisor;
    let runtime = runtime();
    let simulator = runtime.block_on(simulator(tenants, sick));
    let fleet = Fleet::new(tenants, &simulator.url(), |tenant| trouble(tenant, sick) == Some(0));
    table::heading(
        &format!("8. {tenants} tenants in one process"),
        &["the program beside a simulator on the same machine; each measured once"],
    );
    let began = Instant::now();
    let service = fleet.start();
    row("ready after, ms", began.elapsed().as_secs_f64() * 1000.0);
    let tokens = || simulator.calls_to(Endpoint::Token).len();
    while tokens() < tenants {
        std::thread::sleep(Duration::from_millis(20));
    }
    row("a token asked for each, ms", began.elapsed().as_secs_f64() * 1000.0);
    row("most token requests in 0.1 s", most_within(&simulator, 100_000) as f64);
    std::thread::sleep(IDLE / 4 / scale.divisor as u32);
    row("VmRSS, MB", service.megabytes("VmRSS"));
    row("open files", service.open_files() as f64);
    let (used, idle) = (service.cpu(), IDLE / scale.divisor as u32);
    std::thread::sleep(idle);
    let share = (service.cpu() - used).as_secs_f64() / idle.as_secs_f64();
    row("idle, % of a core", share * 100.0);

    println!("  from alert to call for one that is well, 50 alerts/s, ms");
    let alerts = ALERTS / scale.divisor;
    let mut next = 0;
    let mut measure = |name: &str| {
        let times = fleet.alerts_to_calls(&simulator, next, alerts, EVERY);
        next += alerts;
        let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| quantile(&times, share));
        println!("  {name:<36} p50 {p50:>8.2}  p99 {p99:>8.2}  most {most:>8.2}");
    };
    measure("(the first ones)");
    measure("all are well");
    for (kind, name) in TROUBLES.iter().enumerate() {
        for tenant in sick * (kind + 1)..sick * (kind + 2) {
            for alert in 0..BACKLOG {
                if let Some(trouble) = fault(kind) {
                    let machine = Fleet::machine(tenant, alert);
                    let fault = Fault::next(Endpoint::Quarantine, Effect::None, trouble);
                    simulator.fault(fault.on_machine(&machine).times(u32::MAX));
                }
            }
        }
        fleet.send(sick * (kind + 1)..sick * (kind + 2), BACKLOG);
        measure(&format!("{sick} with {name}"));
    }
    row("open files", service.open_files() as f64);
    row("VmRSS, MB", service.megabytes("VmRSS"));
}

/// Which trouble a tenant has.
fn trouble(tenant: usize, sick: usize) -> Option<usize> {
    (tenant / sick).checked_sub(1).filter(|kind| *kind < TROUBLES.len())
}

fn fault(kind: usize) -> Option<Trouble> {
    let answer = |status, retry_after: Option<&str>, body: &str| Trouble::Answer {
        status,
        retry_after: retry_after.map(str::to_owned),
        body: body.to_owned(),
    };
    match kind {
        1 => Some(answer(429, Some("1"), "")),
        2 => Some(answer(403, None, r#"{"error": {"code": "Forbidden", "message": "no"}}"#)),
        3 => Some(Trouble::delay(Duration::from_secs(30))),
        _ => None,
    }
}

/// One that knows every application but those with dead credentials.
async fn simulator(tenants: usize, sick: usize) -> Simulator {
    let app = |tenant| App {
        tenant: id_of(tenant),
        client_id: CLIENT_ID.to_owned(),
        secret: "simulated".to_owned(),
        roles: ["Machine.StopAndQuarantine", "Machine.Read.All"].map(str::to_owned).to_vec(),
    };
    let wide = vec![Limit { calls: 1_000_000, per: Duration::from_secs(60) }];
    let settings = Settings {
        quarantine: wide.clone(),
        reads: wide,
        apps: (0..tenants).filter(|tenant| trouble(*tenant, sick) != Some(0)).map(app).collect(),
        ..Settings::default()
    };
    Simulator::bind(settings).await.expect("a port is free")
}

/// The most token requests, of all tenants, within so many microseconds.
fn most_within(simulator: &Simulator, window: u64) -> usize {
    let times: Vec<u64> =
        simulator.calls_to(Endpoint::Token).iter().map(|call| call.at_us).collect();
    let within = |(first, at): (usize, &u64)| {
        times[first..].iter().take_while(|later| **later < at + window).count()
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}

fn row(name: &str, value: f64) {
    println!("  {name:<36}{:>10}", table::number(value));
}
