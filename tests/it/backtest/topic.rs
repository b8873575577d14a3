//! Alerts that a topic holds.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{BEGIN, HOUR, alert, change, failed, out, run, time};
use crate::broker::{Broker, LONGEST, block_on};
use crate::world::{Setting, World};

fn world(broker: &Broker, topic: &str) -> World {
    let kafka = Some((broker.address(), topic.to_owned()));
    block_on(World::new(Setting { kafka, ..Setting::default() }))
}

/// Writes a message that says that it was published in that second.
fn publish(broker: &Broker, topic: &str, partition: i32, seconds: i64, body: &str) {
    let producer: ThreadedProducer<_> = broker.client().create().unwrap();
    let millis = (BEGIN + seconds) * 1000;
    let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).timestamp(millis);
    producer.send(record.payload(body.as_bytes())).map_err(|(why, _)| why).unwrap();
    producer.flush(LONGEST).unwrap();
}

#[test]
fn a_topic_is_judged_as_far_as_it_is_held_and_nobody_is_disturbed() {
    let broker = Broker::start();
    broker.create_topic("kept", 3);
    let world = world(&broker, "kept");
    let empty = out(&run(&world, "kafka:kept", &[]));
    assert!(empty.starts_with("0 alerts of topic kept of source stream, 0 unreadable"), "{empty}");
    for n in 0..9 {
        // Seen again after a day, when it counts, and before.
        let body = alert(n * 6 * HOUR, 1, n as u64 % 3).to_string();
        publish(&broker, "kept", n as i32 % 3, n * 6 * HOUR, &body);
    }
    broker.produce("kept", 1, [Some(&b"{"[..]), None]);
    let told = out(&run(&world, "kafka:kept", &[]));
    assert!(told.starts_with("9 alerts of topic kept of source stream, 2 unreadable"), "{told}");
    assert!(told.contains("first unreadable: partition 1, offset 3: "), "{told}");
    // Of each file one at once, and one 36 hours later.
    assert!(told.contains("         6  acted\n         3  duplicate\n"), "{told}");
    assert!(told.contains("6 calls for 1 machine and 3 files"), "{told}");
    let other = out(&run(&world, "kafka:kept", &["--source", "stream"]));
    assert_eq!(other, told);

    let mut config = broker.client();
    config.set("group.id", "lazaret-stream");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range("kept", 0, 2);
    let committed = consumer.committed_offsets(asked, LONGEST).unwrap();
    assert!(committed.elements().iter().all(|of| of.offset() == Offset::Invalid), "{committed:?}");
    let groups = consumer.fetch_group_list(None, LONGEST).unwrap();
    let names: Vec<_> = groups.groups().iter().map(|group| group.name().to_owned()).collect();
    assert_eq!(names, [""; 0], "no group was ever joined");
}

#[test]
fn a_topic_is_narrowed_by_the_times_of_its_messages() {
    let broker = Broker::start();
    broker.create_topic("kept", 2);
    let world = world(&broker, "kept");
    for n in 0..8 {
        // The alerts themselves are all of another time.
        publish(&broker, "kept", n as i32 % 2, n * HOUR, &alert(n, n as u64 + 1, 1).to_string());
    }
    let acted = |more: &[&str]| {
        let told = out(&run(&world, "kafka:kept", more));
        told.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(acted(&[]), 8);
    assert_eq!(acted(&["--from", &time(3 * HOUR)]), 5, "that moment included");
    assert_eq!(acted(&["--to", &time(3 * HOUR)]), 4, "that moment included");
    assert_eq!(acted(&["--from", &time(2 * HOUR), "--to", &time(5 * HOUR)]), 4);
    assert_eq!(acted(&["--from", "36500d"]), 8);
    assert_eq!(acted(&["--from", "1h"]), 0);
}

#[test]
fn a_topic_without_one_source_says_how_to_choose() {
    let broker = Broker::start();
    broker.create_topic("other", 1);
    let world = world(&broker, "kept");
    let said = failed(&run(&world, "kafka:other", &[]), 2);
    assert!(said.contains("no source of the configuration reads the topic other"), "{said}");
    assert!(said.contains("the topics that are read: kept"), "{said}");
    let there = out(&run(&world, "kafka:other", &["--source", "stream"]));
    assert!(there.starts_with("0 alerts of topic other of source stream"), "{there}");
    let said = failed(&run(&world, "kafka:nowhere", &["--source", "stream"]), 1);
    assert!(said.contains("topic nowhere: "), "{said}");
    let said = failed(&run(&world, "kafka:kept", &["--source", "siem"]), 2);
    assert!(said.contains("--source siem is a webhook"), "{said}");
    let said = failed(&run(&world, "kafka:", &[]), 2);
    assert!(said.contains("needs the name of a topic"), "{said}");
    let second = "  - name: second\n    tenants: [contoso]\n    kafka: {brokers: [b:1], topics: \
                  [kept], format: graph-alert}\ntenants:";
    change(&world, "\ntenants:", &format!("\n{second}"));
    let said = failed(&run(&world, "kafka:kept", &[]), 2);
    assert!(said.contains("several sources") && said.contains("of stream, second"), "{said}");

    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lazaret"));
    command.current_dir(&elsewhere).args(["rules", "backtest", "--alerts", "kafka:kept"]);
    let said = failed(&command.output().unwrap(), 2);
    assert!(said.contains("needs the configuration") && said.contains("--config"), "{said}");
}
