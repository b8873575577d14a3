//! Alerts read from a real broker, beside a consumer that only polls and one that parses.

use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::alerts::{self, ACTS, IDLE};
use super::broker::Broker;
use super::site::{Plan, Site};
use super::table::{self, Rounds, Target};
use super::{Scale, runtime};

const TOPIC: &str = "alerts";
const PARTITIONS: usize = 4;
const MESSAGES: usize = 200_000;
/// Messages written to one partition before the next has its turn.
const STRETCH: usize = 500;
const EVIDENCE: usize = 6;

pub fn run(scale: Scale) {
    if std::env::var_os("LAZARET_TEST_KAFKA").is_none() {
        println!("\n4. Kafka: left out, since LAZARET_TEST_KAFKA is not set (`./test --prepare`)");
        return;
    }
    let broker = Broker::start();
    broker.create_topic(TOPIC, PARTITIONS as i32);
    let messages = MESSAGES / scale.divisor;
    let bytes = fill(&broker, messages);
    let (mut bare, mut parsing, mut lazaret) =
        (Rounds::default(), Rounds::default(), Rounds::default());
    for round in 0..=scale.pairs {
        let polled = consume(&broker, messages, |_| {});
        let parsed = consume(&broker, messages, |value| {
            std::hint::black_box(serde_json::from_slice::<serde_json::Value>(value)).expect("JSON");
        });
        let taken = take(&broker, messages, round);
        // The first round warms up.
        if round > 0 {
            bare.push(polled);
            parsing.push(parsed);
            lazaret.push(taken);
        }
    }
    table::heading(
        "4. Kafka alerts",
        &[
            &format!("{messages} messages of {bytes} bytes in {PARTITIONS} partitions"),
            "94 % match nothing, 5 % are duplicates, 1 % acts; 100 rules; relay paused",
            "Lazaret: taken when durable; the others keep nothing",
        ],
    );
    table::columns("alerts/s", "× parsing");
    table::row("bare consumer", &bare, &parsing, Target::None);
    table::row("parsing to Value", &parsing, &parsing, Target::None);
    table::row("Lazaret", &lazaret, &parsing, Target::AtLeast(1.2));
}

/// Fills the topic and gives back the length of a message.
fn fill(broker: &Broker, messages: usize) -> usize {
    let created = alerts::now();
    let value = |n: usize| match n % 100 {
        0 => alerts::alert(n + 1, EVIDENCE, ACTS, created),
        1..=5 => alerts::alert(n - n % 100 + 1, EVIDENCE, ACTS, created),
        _ => alerts::alert(n + 1, EVIDENCE, IDLE, created),
    };
    for first in (0..messages).step_by(STRETCH) {
        let values: Vec<String> = (first..messages.min(first + STRETCH)).map(value).collect();
        let partition = (first / STRETCH % PARTITIONS) as i32;
        broker.produce(TOPIC, partition, values.iter().map(|value| Some(value.as_bytes())));
    }
    value(10).len()
}

/// Messages in a second, from the first to the last.
fn consume(broker: &Broker, messages: usize, mut each: impl FnMut(&[u8])) -> f64 {
    let mut config = broker.client();
    config.set("group.id", "bench").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        all.add_partition_offset(TOPIC, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&all).expect("assigned");
    let (mut seen, mut began) = (0, Instant::now());
    while seen < messages {
        let polled = consumer.poll(Duration::from_secs(30)).expect("a message in time");
        if seen == 0 {
            began = Instant::now();
        }
        each(polled.expect("a message").payload().expect("a value"));
        seen += 1;
    }
    messages as f64 / began.elapsed().as_secs_f64()
}

/// Alerts that a service has taken in a second, from the first to the last.
fn take(broker: &Broker, messages: usize, round: usize) -> f64 {
    let runtime = runtime();
    runtime.block_on(async {
        let group = format!("lazaret-{round}");
        let site = Site::new(&Plan {
            rules: 100,
            defender: "http://127.0.0.1:9".into(),
            kafka: Some((broker.address(), TOPIC.into(), group)),
        });
        site.pause().await;
        let app = site.start().await;
        let taken = async || {
            let summary = app.store().summary().await.expect("a summary");
            summary.received.iter().map(|(_, count)| *count).sum::<u64>() as usize
        };
        let (mut first, mut began) = (0, Instant::now());
        let mut last = 0;
        while last < messages {
            tokio::time::sleep(Duration::from_millis(10)).await;
            last = taken().await;
            if first == 0 {
                (first, began) = (last, Instant::now());
            }
        }
        let rate = (last - first) as f64 / began.elapsed().as_secs_f64();
        app.stop().await;
        rate
    })
}
