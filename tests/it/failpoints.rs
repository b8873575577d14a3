//! Every failpoint strikes once as an error, once as a panic and once as a delay, on the real
//! program at work. Whatever that does to it, nothing is lost and nothing is done twice, and the
//! service is whole afterwards: by itself, or once it is started again where it has ended.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::broker::Broker;
use crate::load::{Hides, Sender, assert_counted, assert_promises, unsettled};
use crate::world::{Setting, World, alert};

/// Services that run side by side.
const AT_ONCE: usize = 10;

/// A part that has panicked is noticed within a second, and the service then takes some to end.
const NOTICED: Duration = Duration::from_secs(3);

/// How long a service may take until all is well again.
const LONGEST: Duration = Duration::from_secs(60);

/// What makes a place be passed, beside alerts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Alerts,
    /// Alerts that come from a broker.
    Kafka,
    /// A channel whose receiver is not there.
    Channel,
    /// SIGHUP.
    Reload,
}

/// Each place, and the pass at which it strikes: the third, unless one process has fewer.
const PLACES: &[(&str, u64, By)] = &[
    ("store.open", 3, By::Alerts),
    ("store.start", 3, By::Alerts),
    ("store.started", 3, By::Alerts),
    ("store.commit", 3, By::Alerts),
    ("store.committed", 3, By::Alerts),
    ("store.intake", 3, By::Alerts),
    ("store.attempt", 3, By::Alerts),
    ("store.close", 3, By::Alerts),
    ("store.apply", 3, By::Alerts),
    ("store.heads", 3, By::Alerts),
    ("store.resume", 3, By::Alerts),
    ("store.sweep", 3, By::Alerts),
    ("store.purge", 1, By::Alerts),
    ("intake.judge", 3, By::Alerts),
    ("intake.commit", 3, By::Alerts),
    ("intake.acknowledge", 3, By::Alerts),
    ("intake.mature", 3, By::Alerts),
    ("relay.begin", 3, By::Alerts),
    ("relay.send", 3, By::Alerts),
    ("relay.sent", 3, By::Alerts),
    ("relay.record", 3, By::Alerts),
    ("relay.list", 1, By::Alerts),
    ("defender.connect", 3, By::Alerts),
    ("defender.write", 3, By::Alerts),
    ("defender.read", 3, By::Alerts),
    ("token.fetch", 3, By::Alerts),
    ("webhook.acknowledge", 3, By::Alerts),
    ("kafka.poll", 3, By::Kafka),
    ("kafka.hint", 3, By::Kafka),
    ("kafka.assign", 1, By::Kafka),
    ("rules.reload", 3, By::Reload),
    ("notify.post", 3, By::Channel),
];

const HOW: [&str; 3] = ["error", "panic", "delay"];

#[test]
fn each_failpoint_of_the_code_is_tried() {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let after = text.split("failpoint!(").skip(1).map(str::trim_start);
            let names = after.filter_map(|rest| rest.strip_prefix('"')?.split('"').next());
            found.extend(names.map(str::to_owned));
        }
    }
    let tried: BTreeSet<String> = PLACES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(found, tried);
}

/// A service with one failpoint armed.
struct Struck {
    world: World,
    sender: Sender,
    name: &'static str,
    by: By,
    broker: Option<(Arc<Broker>, String)>,
    alerts: usize,
    messages: usize,
}

impl Struck {
    async fn new(name: &'static str, armed: &str, by: By, broker: Option<Arc<Broker>>) -> Self {
        let broker = broker.map(|broker| (broker, armed.replace(['.', '=', '@'], "-")));
        let mut setting = Setting { tenants: 3, ..Setting::default() };
        if let Some((broker, topic)) = &broker {
            tokio::task::block_in_place(|| broker.create_topic(topic, 1));
            setting.kafka = Some((broker.address(), topic.clone()));
        }
        if by == By::Channel {
            let url = "http://127.0.0.1:9";
            setting.more =
                format!("notify: [{{name: soc, kinds: [started], webhook: {{url: \"{url}\"}}}}]\n");
        }
        let mut world = World::new(setting).await;
        world.failpoints = format!("{armed},defender.timeout=2000ms");
        let sender = Sender::to(&world);
        Self { world, sender, name, by, broker, alerts: 0, messages: 0 }
    }

    /// Some alerts, from wherever they come.
    fn give(&mut self) {
        for _ in 0..2 {
            self.alerts += 1;
            match &self.broker {
                None => self.sender.send(self.alerts),
                Some((broker, topic)) => {
                    self.messages += 1;
                    let body = alert(self.alerts).into_bytes();
                    tokio::task::block_in_place(|| broker.produce(topic, 0, [Some(&body[..])]));
                }
            }
        }
    }

    fn has_struck(&self) -> bool {
        let struck = format!("\"failpoint\":\"{}\"", self.name);
        self.log_of_first().contains(&struck)
    }

    fn is_ending(&self) -> bool {
        self.log_of_first().contains("the service stops")
    }

    fn log_of_first(&self) -> String {
        std::fs::read_to_string(self.world.dir.path().join("log.1")).unwrap_or_default()
    }

    /// Starts the service again where it has ended, with nothing armed, as an operator's
    /// supervisor does. Whether it had ended.
    fn start_again(&mut self) -> bool {
        let Some(status) = self.world.ended() else { return false };
        assert!(!status.success(), "it ended as if nothing had happened: {}", self.world.log());
        assert!(self.has_struck(), "it ended by itself: {}", self.world.log());
        self.world.failpoints = "defender.timeout=2000ms".to_owned();
        self.world.spawn();
        true
    }

    /// Gives work until the failpoint has struck.
    async fn strike(&mut self) {
        self.world.spawn();
        let began = Instant::now();
        while !self.has_struck() {
            self.sender.check();
            assert!(self.world.ended().is_none(), "it ended: {}", self.world.log());
            assert!(began.elapsed() < LONGEST, "it never struck");
            // One after the other, so that each is a transaction of its own.
            if self.alerts < 40 && self.sender.open() == 0 {
                self.give();
            }
            if self.by == By::Reload && self.world.is_ready().await {
                self.world.hang_up();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What comes after it finds a whole service. Whether it had to be started again.
    async fn recover(&mut self) -> bool {
        let mut ended = false;
        self.give();
        let wanted = (1..=self.alerts).collect();
        let began = Instant::now();
        loop {
            ended |= self.start_again();
            let unsettled = unsettled(&self.world, &mut self.sender, &wanted).await;
            let is_ending = self.is_ending() && !ended;
            if unsettled.is_none() && !is_ending && began.elapsed() > NOTICED {
                break;
            }
            assert!(began.elapsed() < LONGEST, "{unsettled:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_promises(&self.world, &wanted, Hides::Nothing);
        assert_counted(&self.world, "siem", self.sender.sent()).await;
        assert_counted(&self.world, "stream", self.messages).await;
        assert!(self.world.is_ready().await, "{}", self.world.log());
        tokio::task::block_in_place(|| {
            self.world.stop();
            self.world.assert_verifies();
        });
        ended
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_nothing_is_lost_and_the_service_is_whole_again() {
    let only = std::env::var("LAZARET_FAILPOINT").unwrap_or_default();
    // Started only where a case asks for it.
    let broker = LazyLock::new(|| Arc::new(tokio::task::block_in_place(Broker::start)));
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut cases = Vec::new();
    for (name, pass, by) in PLACES {
        for how in HOW {
            let armed = format!("{name}={how}@{pass}");
            if !armed.starts_with(&only) {
                continue;
            }
            let broker = (*by == By::Kafka).then(|| Arc::clone(&broker));
            let (room, armed_here) = (room.clone(), armed.clone());
            let case = tokio::spawn(async move {
                let _room = room.acquire_owned().await.unwrap();
                let mut struck = Struck::new(name, &armed_here, *by, broker).await;
                struck.strike().await;
                struck.recover().await
            });
            cases.push((armed, case));
        }
    }
    assert!(!cases.is_empty(), "there is no failpoint {only}");
    let mut failed = Vec::new();
    for (armed, case) in cases {
        match case.await {
            Ok(true) => println!("{armed:<28} ended, and was started again"),
            Ok(false) => println!("{armed:<28} went on"),
            Err(why) => failed.push(format!("{armed}: {why}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
