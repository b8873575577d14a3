//! Made-up traffic of the XDR stream against its own truth: the calls that are made are exactly
//! those that must be, whatever the order, the cuts and the repetitions of the rows.
//!
//! The truth comes from `lazaret::traffic`, which shares nothing with the formats or the join.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use lazaret::domain::action::{Coordinates, StateName};
use lazaret::domain::decision::{Fate, JoinBounds};
use lazaret::domain::ids::{SourceName, TenantName};
use lazaret::domain::join::Waits;
use lazaret::domain::rule::Mode;
use lazaret::domain::time::{Boot, BootId, Now, Wall};
use lazaret::intake::{InForce, Intake, Settings, Source};
use lazaret::io::clock::SystemClock;
use lazaret::io::store::SqliteStore;
use lazaret::io::{ActionFilter, Clock, Delivery, Store, Summary};
use lazaret::metrics::Metrics;
use lazaret::rules;
use lazaret::simulator::{self, Endpoint};
use lazaret::traffic::{self, Call, RULE, SAMPLE, Shape, Traffic};
use tokio::sync::mpsc;

use crate::broker::Broker;
use crate::world::{LONGEST, Setting, World, tenant_id};

const TENANTS: u64 = 3;

/// A clock that stands until it is turned.
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> Now {
        let at = self.0.load(Ordering::Acquire);
        Now { boot: Boot(at), wall: Wall(at) }
    }

    fn boot_id(&self) -> BootId {
        BootId([1; 16])
    }

    fn new_id(&self) -> uuid::Uuid {
        uuid::Uuid::now_v7()
    }
}

/// How many incidents each seed has.
fn incidents(usually: u64, in_full: u64) -> u64 {
    let asked = std::env::var("LAZARET_INCIDENTS").ok().and_then(|text| text.parse().ok());
    let full = std::env::var_os("LAZARET_FULL").is_some();
    asked.unwrap_or(if full { in_full } else { usually })
}

/// Everything but Kafka and Defender, in this process.
struct Site {
    dir: tempfile::TempDir,
    clock: Arc<Turned>,
    store: Arc<SqliteStore>,
    metrics: Arc<Metrics>,
    /// Whether its sources have nothing that lies unread.
    is_read_up: Arc<AtomicBool>,
    /// How often that was asked.
    asked: Arc<AtomicUsize>,
    deliveries: mpsc::Sender<Delivery>,
    intake: tokio::task::JoinHandle<()>,
    offset: i64,
}

impl Site {
    fn start(dir: tempfile::TempDir, now: i64, offset: i64) -> Self {
        let rules_dir = dir.path().join("rules");
        let sample = rules_dir.join(SAMPLE.0);
        std::fs::create_dir_all(sample.parent().unwrap()).unwrap();
        std::fs::write(sample, SAMPLE.1).unwrap();
        std::fs::write(rules_dir.join("generated.yml"), RULE).unwrap();
        let loaded = rules::load(&rules_dir, Wall(now)).unwrap_or_else(|why| panic!("{why}"));
        let in_force = InForce { ruleset: loaded.ruleset, formats: loaded.formats };
        let clock = Arc::new(Turned(AtomicI64::new(now)));
        let store = Arc::new(SqliteStore::open(&dir.path().join("data"), 1 << 40).unwrap());
        let tenants = (0..TENANTS).map(|number| {
            let id = uuid::Uuid::try_parse(&traffic::tenant(number)).unwrap();
            (TenantName::new(&format!("t{number}")), id)
        });
        let source = Source::new("defender-xdr", tenants.collect());
        let hour = Duration::from_secs(3600);
        let settings = Settings {
            sources: HashMap::from([(SourceName::new("xdr"), source)]),
            ceiling: Mode::Enforce,
            breakers: HashMap::new(),
            alert_age_max: 24 * hour,
            expire_queued: 24 * hour,
            expire_held: 72 * hour,
            no_match_rows_per_second: 1000,
            cache: 20_000,
            join: JoinBounds {
                remembers: 24 * hour,
                waits: Waits { settle: Duration::from_secs(120), expire: hour / 2 },
                alerts: 1_000_000,
                bytes: 4 << 30,
            },
        };
        let metrics = Arc::new(Metrics::new());
        let is_read_up = Arc::new(AtomicBool::new(true));
        let asked = Arc::new(AtomicUsize::new(0));
        let (read, by) = (is_read_up.clone(), asked.clone());
        let intake = Intake::new(
            settings,
            Arc::new(ArcSwap::from_pointee(in_force)),
            store.clone(),
            clock.clone(),
            Arc::new(|_| {}),
            Arc::new(move |now| {
                by.fetch_add(1, Ordering::AcqRel);
                read.load(Ordering::Acquire).then_some(now)
            }),
            metrics.clone(),
        );
        let (deliveries, received) = mpsc::channel(1024);
        let intake = tokio::spawn(intake.run(received));
        Self { dir, clock, store, metrics, is_read_up, asked, deliveries, intake, offset }
    }

    /// Sends messages and waits until they are taken.
    async fn take(&mut self, messages: &[String]) {
        let (acknowledged, mut acks) = mpsc::unbounded_channel();
        for message in messages {
            let acknowledged = acknowledged.clone();
            let offset = self.offset;
            let delivery = Delivery {
                source: SourceName::new("xdr"),
                body: Bytes::copy_from_slice(message.as_bytes()),
                coordinates: Coordinates::Kafka {
                    source: "xdr".to_owned(),
                    topic: "defender".to_owned(),
                    partition: 0,
                    offset,
                },
                received: self.clock.now(),
                replay: None,
                flaw: None,
                follows: (offset > 0).then_some(offset),
                ack: Box::new(move |taken| acknowledged.send(taken.is_ok()).unwrap()),
            };
            self.offset += 1;
            self.deliveries.send(delivery).await.unwrap();
        }
        for _ in messages {
            assert!(acks.recv().await.unwrap(), "every message is taken");
        }
    }

    /// Turns the clock until nothing waits, and waits for that.
    async fn mature(&self) -> Summary {
        self.clock.0.fetch_add(2 * 3600 * 1_000_000, Ordering::AcqRel);
        let began = Instant::now();
        loop {
            let summary = self.store.summary().await.unwrap();
            let received: u64 = summary.received.iter().map(|(_, count)| count).sum();
            let fates: u64 = summary.fates.iter().map(|of| of.count).sum();
            if received == fates {
                return summary;
            }
            assert!(began.elapsed() < LONGEST, "{received} received, {fates} fates");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Records of tables other than those of alerts.
    fn passed_over(&self) -> usize {
        let page = self.metrics.encode();
        let counters = page.lines().filter(|line| {
            line.starts_with("lazaret_stream_records_passed_over_total")
                && !line.contains("table=\"AlertEvidence\"")
        });
        counters.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }

    async fn calls(&self) -> Vec<Call> {
        let filter = ActionFilter { limit: 1 << 40, ..ActionFilter::default() };
        let ids: HashMap<String, String> =
            (0..TENANTS).map(|number| (format!("t{number}"), traffic::tenant(number))).collect();
        let call = |line: lazaret::io::ActionLine| Call {
            tenant: ids[line.key.tenant.as_str()].clone(),
            machine: line.key.machine.to_string(),
            sha1: line.key.sha1.to_string(),
        };
        self.store.actions(filter).await.unwrap().into_iter().map(call).collect()
    }

    async fn stop(self) -> tempfile::TempDir {
        drop(self.deliveries);
        self.intake.await.unwrap();
        self.store.close().await;
        self.dir
    }
}

fn made_up(seed: u64, incidents: u64) -> (Traffic, i64) {
    let now = Duration::from_secs(1_790_000_000);
    let settings =
        traffic::Settings { seed, incidents, shape: Shape::DefenderXdr, tenants: TENANTS, now };
    (traffic::generate(&settings), i64::try_from(now.as_micros()).unwrap())
}

fn assert_truth(seed: u64, made: Vec<Call>, traffic: &Traffic) {
    let calls: BTreeSet<Call> = made.iter().cloned().collect();
    assert_eq!(calls.len(), made.len(), "seed {seed}: one action for each effect");
    let truth = &traffic.expected.truth;
    let missing: Vec<_> = truth.difference(&calls).take(3).collect();
    let wrong: Vec<_> = calls.difference(truth).take(3).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "seed {seed}: of {} calls some are missing, such as {missing:?}, or wrong: {wrong:?}",
        truth.len()
    );
}

/// Fifty seeds, each stopped and started again in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_stream_equal_the_truth_over_fifty_seeds() {
    let incidents = incidents(60, 1000);
    let (mut calls, mut rows) = (0, 0);
    for seed in 0..50 {
        let (traffic, now) = made_up(seed, incidents);
        let half = traffic.messages.len() / 2;
        let mut site = Site::start(tempfile::tempdir().unwrap(), now, 0);
        site.take(&traffic.messages[..half]).await;
        let offset = site.offset;
        let passed_over = site.passed_over();
        let dir = site.stop().await;
        let mut site = Site::start(dir, now, offset);
        site.take(&traffic.messages[half..]).await;
        let summary = site.mature().await;
        assert_truth(seed, site.calls().await, &traffic);
        let count = |fate| summary.fates.iter().find(|of| of.fate == fate).map_or(0, |of| of.count);
        assert!(count(Fate::Incomplete) >= traffic.expected.incomplete.len() as u64 / 2);
        let records_of = |table: &str| -> usize {
            let category = format!("\"category\":\"AdvancedHunting-{table}");
            traffic.messages.iter().map(|one| one.matches(&category).count()).sum()
        };
        let of_alerts = records_of("AlertInfo") + records_of("AlertEvidence");
        assert!(of_alerts > 0 && records_of("Device") > 0, "seed {seed}");
        assert_eq!(passed_over + site.passed_over(), records_of("") - of_alerts, "seed {seed}");
        calls += traffic.expected.truth.len();
        rows +=
            traffic.messages.iter().map(|one| one.matches("\"category\"").count()).sum::<usize>();
        site.stop().await;
    }
    println!(
        "50 seeds of {incidents} incidents: {rows} records, {calls} calls as the truth has them"
    );
}

/// What lies unread could be what is missing: a stop or a backlog ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_ends_while_messages_lie_unread() {
    let (traffic, now) = made_up(7, 20);
    let mut site = Site::start(tempfile::tempdir().unwrap(), now, 0);
    site.is_read_up.store(false, Ordering::Release);
    // A file alone: its alert never comes.
    let row = |one: &&String| one.contains("\"EntityType\":\"File\"");
    site.take(&[traffic.messages.iter().find(row).unwrap().clone()]).await;
    let waiting = async |site: &Site| {
        let summary = site.store.summary().await.unwrap();
        summary.received.iter().map(|(source, _)| summary.waiting(source)).sum::<u64>()
    };
    let waits = waiting(&site).await;
    assert!(waits > 0);
    site.clock.0.fetch_add(2 * 3600 * 1_000_000, Ordering::AcqRel);
    // When it asks again, it is through with what it was told before.
    let (asked, began) = (site.asked.load(Ordering::Acquire), Instant::now());
    while site.asked.load(Ordering::Acquire) < asked + 3 {
        assert!(began.elapsed() < LONGEST, "nobody asks whether something lies unread");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(waiting(&site).await, waits);
    site.is_read_up.store(true, Ordering::Release);
    site.mature().await;
    site.stop().await;
}

/// What a broker's topic leads to in the real program, which is killed twice on the way.
async fn through_two_kills(broker: &Broker, seed: u64, incidents: u64) -> usize {
    let topic = format!("defender-{seed}");
    tokio::task::block_in_place(|| broker.create_topic(&topic, 2));
    let now = SystemClock::new().now().wall;
    let settings = traffic::Settings {
        seed,
        incidents,
        shape: Shape::DefenderXdr,
        tenants: TENANTS,
        now: Duration::from_micros(u64::try_from(now.0).unwrap()),
    };
    let traffic = traffic::generate(&settings);
    for partition in 0..2 {
        let own = traffic.messages.iter().skip(partition).step_by(2);
        let own = own.map(|message| Some(message.as_bytes()));
        broker.produce(&topic, i32::try_from(partition).unwrap(), own);
    }
    let mut world = World::new(Setting {
        quarantine: vec![(100_000, 60_000)],
        kafka: Some((broker.address(), topic)),
        tenants: u8::try_from(TENANTS).unwrap(),
        // A machine takes one action at a time, and here one may have many files.
        pending_for: Duration::ZERO,
        running_for: Duration::ZERO,
        ..Setting::default()
    })
    .await;
    let rules = world.dir.path().join("rules");
    std::fs::write(rules.join("rule.yml"), RULE).unwrap();
    std::fs::write(rules.join(SAMPLE.0), SAMPLE.1).unwrap();
    let mut config = std::fs::read_to_string(world.config()).unwrap();
    for number in 0..TENANTS {
        let id = tenant_id(u8::try_from(number).unwrap());
        config = config.replace(&id, &traffic::tenant(number));
    }
    let config = config
        .replace("tenants: [contoso]\n    kafka", "tenants: [contoso, t1, t2]\n    kafka")
        .replace(
            "format: defender-alert\n      librdkafka",
            "format: defender-xdr\n      librdkafka",
        );
    // Longer than a kill and a start take, so that no row is late.
    std::fs::write(world.config(), config + "join: {settle: 30s, expire: 60s}\n").unwrap();
    let truth = &traffic.expected.truth;
    for nth in 1..=2 {
        world.start().await;
        let goal = truth.len() * nth / 4;
        world
            .until("calls before a kill", async |world| {
                world.simulator.calls_to(Endpoint::Quarantine).len() >= goal
            })
            .await;
        world.kill();
    }
    world.start().await;
    let began = Instant::now();
    loop {
        let summary = world.report().await.summary;
        let received: u64 = summary.received.iter().map(|(_, count)| count).sum();
        let fates: u64 = summary.fates.iter().map(|of| of.count).sum();
        let acted = summary.states.iter().filter(|of| of.state == StateName::Succeeded);
        let acted: u64 = acted.map(|of| of.count).sum();
        if received == fates && acted >= truth.len() as u64 {
            break;
        }
        let what = format!("{received} received, {fates} fates, {acted} of {} acted", truth.len());
        assert!(began.elapsed() < LONGEST * 5, "seed {seed}: {what}; log: {}", world.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let call = |call: simulator::Call| Call {
        tenant: call.caller.expect("it had a token").0,
        machine: call.target.split('/').nth(3).unwrap().to_owned(),
        sha1: serde_json::from_str::<serde_json::Value>(&call.body).unwrap()["Sha1"]
            .as_str()
            .unwrap()
            .to_owned(),
    };
    let calls = world.simulator.calls_to(Endpoint::Quarantine).into_iter().map(call).collect();
    assert_truth(seed, calls, &traffic);
    world.stop();
    truth.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_stream_through_the_broker_equal_the_truth_in_spite_of_kills() {
    let incidents = incidents(400, 4000);
    let broker = Broker::start();
    let seeds = [101, 102, 103].map(|seed| through_two_kills(&broker, seed, incidents));
    let calls = futures_util::future::join_all(seeds).await;
    println!(
        "3 seeds of {incidents} incidents through the broker: {calls:?} calls as the truth has them"
    );
}
