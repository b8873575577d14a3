//! Many tenants set up as a user would, and the program that serves them.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::time::{Duration, Instant};

use lazaret::simulator::{Endpoint, Simulator};
use tempfile::TempDir;

use crate::alerts::{self, ACTS, TENANT_ID};
use crate::process::Process;
use crate::wire::{self, SECRET, Wire};

pub const CLIENT_ID: &str = "66666666-7777-8888-9999-000000000000";
/// The tenant that is well, of which alerts are timed.
const WELL: usize = 0;
/// Machines of one tenant.
const MACHINES: usize = 1 << 16;

pub fn id_of(tenant: usize) -> String {
    format!("11111111-2222-3333-4444-{tenant:012x}")
}

pub struct Fleet {
    dir: TempDir,
    webhooks: SocketAddr,
    admin: SocketAddr,
}

impl Fleet {
    pub fn new(tenants: usize, defender: &str, dead: impl Fn(usize) -> bool) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let (webhooks, admin) = (free_address(), free_address());
        let at = |name: &str| dir.path().join(name);
        alerts::write_rules(&at("rules"), 10).expect("the rules are written");
        for (name, text) in [("siem", SECRET), ("alive", "simulated"), ("dead", "revoked")] {
            std::fs::write(at(name), text).expect("the secret is written");
        }
        let (mut names, mut texts) = (String::new(), String::new());
        for tenant in 0..tenants {
            let secret = if dead(tenant) { "dead" } else { "alive" };
            write!(names, "t{tenant},").expect("a text takes it");
            write!(
                texts,
                "
  - name: t{tenant}
    id: {}
    api: {defender}
    login: {defender}
    credential: {{client_id: {CLIENT_ID}, secret: {{file: {secret}}}}}
    breakers: {{actions: 1000000/1h}}
    budgets: {{quarantine: [{{calls: 100000, per: 60s}}]}}",
                id_of(tenant)
            )
            .expect("a text takes it");
        }
        let text = format!(
            "node: lazaret-1
mode: enforce
rules: rules
store: {{sqlite: data}}
listen:
  webhooks: {{address: \"{webhooks}\"}}
  admin: {{address: \"{admin}\"}}
sources:
  - name: siem
    tenants: [{names}]
    webhook:
      format: defender-alert
      verify: {{scheme: standard-webhooks, secrets: [{{file: siem}}]}}
tenants:{texts}
"
        );
        std::fs::write(at("lazaret.yaml"), text).expect("the file is written");
        Self { dir, webhooks, admin }
    }

    /// Returns once the program says that it is ready.
    pub fn start(&self) -> Process {
        Process::start(&self.dir.path().join("lazaret.yaml"), self.admin)
    }

    pub fn machine(tenant: usize, alert: usize) -> String {
        format!("{:040x}", number(tenant, alert))
    }

    /// The same number of alerts for each of these tenants.
    pub fn send(&self, tenants: Range<usize>, each: usize) {
        let mut wire = Wire::connect(self.webhooks).expect("it listens");
        for tenant in tenants {
            let bodies: Vec<String> = (0..each).map(|alert| body(tenant, alert)).collect();
            ask(&mut wire, &format!("msg_{tenant}"), &format!("[{}]", bodies.join(",")));
        }
    }

    /// Milliseconds from when each alert of the tenant that is well was due to the arrival of its
    /// call.
    pub fn alerts_to_calls(
        &self,
        simulator: &Simulator,
        first: usize,
        count: usize,
        every: Duration,
    ) -> Vec<f64> {
        let mut arrivals = simulator.subscribe();
        let mut wire = Wire::connect(self.webhooks).expect("it listens");
        let began = Instant::now() + every;
        let due = |at: usize| began + every * u32::try_from(at).expect("few alerts");
        let mut times = vec![f64::NAN; count];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for at in 0..count {
                    std::thread::sleep(due(at).saturating_duration_since(Instant::now()));
                    let alert = first + at;
                    ask(&mut wire, &format!("well_{alert}"), &body(WELL, alert));
                }
            });
            let mut missing = count;
            while missing > 0 {
                let call = match arrivals.blocking_recv() {
                    Ok(call) => call,
                    Err(why) => panic!("a call was not seen: {why}"),
                };
                let arrived = Instant::now();
                if call.endpoint != Endpoint::Quarantine {
                    continue;
                }
                let machine = call.target.split('/').nth(3).expect("a machine");
                let n = usize::from_str_radix(machine, 16).expect("one of ours");
                let Some(at) = n.checked_sub(number(WELL, first)).filter(|at| *at < count) else {
                    continue;
                };
                times[at] = arrived.saturating_duration_since(due(at)).as_secs_f64() * 1000.0;
                missing -= 1;
            }
        });
        times
    }
}

fn number(tenant: usize, alert: usize) -> usize {
    tenant * MACHINES + alert + 1
}

fn body(tenant: usize, alert: usize) -> String {
    let text = alerts::alert(number(tenant, alert), 3, ACTS, alerts::now());
    text.replace(TENANT_ID, &id_of(tenant))
}

fn ask(wire: &mut Wire, id: &str, body: &str) {
    let request = wire::request(&wire::seal(), id, body);
    let (status, answer) = wire.ask(&request).expect("an answer");
    assert_eq!(status, 202, "{}", String::from_utf8_lossy(answer));
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it is bound")
}
