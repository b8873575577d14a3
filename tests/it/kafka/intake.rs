//! What stands behind the source in these tests: an intake that takes one delivery at a time, and
//! a store that keeps offsets and refuses what does not follow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lazaret::domain::action::Coordinates;
use lazaret::domain::decision::Answered;
use lazaret::domain::ids::SourceName;
use lazaret::io::clock::SystemClock;
use lazaret::io::kafka::{KafkaError, KafkaSource, Security, Settings, Snapshot, Start, Stopped};
use lazaret::io::{Acknowledged, Delivery, Flaw, NotTaken, Offsets};
use lazaret::limits;
use tokio::sync::{Semaphore, mpsc};

use crate::broker::{Broker, LONGEST};

/// Room between the source and the intake: small, so that it is often full.
const QUEUE: usize = 8;

pub fn settings(broker: &Broker) -> Settings {
    settings_for(broker.address())
}

fn settings_for(broker: String) -> Settings {
    // What makes tests wait less.
    let passed_through = [
        ("statistics.interval.ms", "200"),
        ("reconnect.backoff.max.ms", "500"),
        ("heartbeat.interval.ms", "300"),
    ];
    Settings {
        source: SourceName::new("siem"),
        node: "node-1".to_owned(),
        brokers: vec![broker],
        topics: vec!["alerts".to_owned()],
        group: "lazaret-siem".to_owned(),
        start: Start::Earliest,
        security: Security::Plaintext,
        body_bytes_max: 1024 * 1024,
        passed_through: passed_through.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    }
}

pub struct Intake {
    source: Option<KafkaSource>,
    deliveries: mpsc::Receiver<Delivery>,
    store: Arc<Mutex<Offsets>>,
    pub taken: Vec<Taken>,
}

#[derive(Clone, Debug)]
pub struct Taken {
    pub place: (String, i32),
    pub offset: i64,
    pub body: Bytes,
    pub flaw: Option<Flaw>,
}

impl Intake {
    pub fn start(settings: Settings) -> Self {
        Self::start_with(settings, [])
    }

    pub fn start_with<const N: usize>(settings: Settings, stored: [(&str, i32, i64); N]) -> Self {
        Self::build(settings, stored.as_slice(), limits::BODIES_IN_MEMORY)
    }

    pub fn start_with_budget(settings: Settings, bytes: usize) -> Self {
        Self::build(settings, &[], bytes)
    }

    fn build(settings: Settings, stored: &[(&str, i32, i64)], budget: usize) -> Self {
        let offsets: Offsets =
            stored.iter().map(|(topic, p, at)| ((topic.to_string(), *p), *at)).collect();
        Self::connect(settings, Arc::new(Mutex::new(offsets)), budget)
    }

    fn connect(settings: Settings, store: Arc<Mutex<Offsets>>, budget: usize) -> Self {
        let (sender, deliveries) = mpsc::channel(QUEUE);
        let offsets = Arc::clone(&store);
        let source = KafkaSource::start(
            settings,
            Arc::new(move || {
                let now = offsets.lock().unwrap().clone();
                Box::pin(async { Ok(now) })
            }),
            sender,
            Arc::new(SystemClock::new()),
            Arc::new(Semaphore::new(budget)),
        );
        Self { source: Some(source.unwrap()), deliveries, store, taken: vec![] }
    }

    pub fn status(&self) -> Snapshot {
        self.source.as_ref().expect("the source runs").status().read()
    }

    pub fn waiting(&self) -> usize {
        self.deliveries.len()
    }

    /// Takes deliveries until `count` more have been taken.
    pub fn take(&mut self, count: usize) {
        let goal = self.taken.len() + count;
        while self.taken.len() < goal {
            let delivery = self.next();
            self.offer(delivery);
        }
    }

    /// Does something, and takes the one delivery that comes of it.
    pub fn take_body(&mut self, act: impl FnOnce(&Broker), broker: &Broker) -> String {
        act(broker);
        self.take(1);
        String::from_utf8(self.taken.last().unwrap().body.to_vec()).unwrap()
    }

    pub fn refuse(&mut self, why: NotTaken) {
        (self.next().ack)(Err(why));
    }

    pub fn drop_one(&mut self) {
        drop(self.next());
    }

    pub fn offsets_taken(&self, topic: &str, partition: i32) -> Vec<i64> {
        let here = |taken: &&Taken| taken.place.0 == topic && taken.place.1 == partition;
        self.taken.iter().filter(here).map(|taken| taken.offset).collect()
    }

    pub fn stored(&self) -> BTreeMap<(String, i32), i64> {
        self.store.lock().unwrap().clone()
    }

    /// Takes what has come so far.
    pub fn take_what_is_there(&mut self) {
        while let Ok(delivery) = self.deliveries.try_recv() {
            self.offer(delivery);
        }
    }

    /// Stops the source. Deliveries that were not taken stay untaken.
    pub fn stop(&mut self) -> Stopped {
        self.stop_within(LONGEST)
    }

    pub fn stop_within(&mut self, deadline: Duration) -> Stopped {
        self.deliveries.close();
        while self.deliveries.try_recv().is_ok() {}
        self.source.take().expect("the source runs").stop(deadline)
    }

    /// Deliveries that intake works on.
    pub fn hold(&mut self, count: usize) -> Vec<Delivery> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Stops the source, and takes what is in hand when the stop has begun.
    pub fn stop_while_taking(&mut self, in_hand: Vec<Delivery>) -> Stopped {
        let source = self.source.take().expect("the source runs");
        let (begun, has_begun) = std::sync::mpsc::channel();
        let stopping = std::thread::spawn(move || {
            begun.send(()).unwrap();
            source.stop(LONGEST)
        });
        has_begun.recv().unwrap();
        in_hand.into_iter().for_each(|delivery| self.offer(delivery));
        self.deliveries.close();
        while self.deliveries.try_recv().is_ok() {}
        stopping.join().unwrap()
    }

    /// Whether a source with this property starts.
    pub fn try_start(key: &str, broker: &str) -> Result<(), KafkaError> {
        let mut settings = settings_for(broker.to_owned());
        settings.passed_through.insert(key.to_owned(), "1".to_owned());
        let (sender, _deliveries) = mpsc::channel(QUEUE);
        KafkaSource::start(
            settings,
            Arc::new(|| Box::pin(async { Ok(Offsets::new()) })),
            sender,
            Arc::new(SystemClock::new()),
            Arc::new(Semaphore::new(1)),
        )
        .map(drop)
    }

    /// Another process on another day: the same store, and nothing else.
    pub fn restart(&mut self, settings: Settings) {
        *self = Self::connect(settings, Arc::clone(&self.store), limits::BODIES_IN_MEMORY);
    }

    /// The next delivery, which must come.
    fn next(&mut self) -> Delivery {
        let began = Instant::now();
        loop {
            match self.deliveries.try_recv() {
                Ok(delivery) => return delivery,
                Err(_) if began.elapsed() < LONGEST => std::thread::sleep(Duration::from_millis(1)),
                Err(why) => panic!("no delivery ({why}); {:?}", self.status()),
            }
        }
    }

    /// Takes a delivery as the store would: together with its offset, if it follows.
    fn offer(&mut self, delivery: Delivery) {
        let Coordinates::Kafka { topic, partition, offset, .. } = delivery.coordinates else {
            panic!("not from Kafka");
        };
        let place = (topic, partition);
        let mut stored = self.store.lock().unwrap();
        if stored.get(&place).copied() != delivery.follows {
            drop(stored);
            (delivery.ack)(Err(NotTaken::Store("another offset".to_owned())));
            return;
        }
        stored.insert(place.clone(), offset + 1);
        drop(stored);
        self.taken.push(Taken { place, offset, body: delivery.body, flaw: delivery.flaw });
        (delivery.ack)(Ok(Acknowledged::Taken(Answered::default())));
    }
}

/// Waits for a condition that must come true.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONGEST, "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
