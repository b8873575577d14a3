//! The Kafka source against a real broker, with a small intake and store behind it.

mod faults;
mod history;
mod intake;
mod security;

use lazaret::io::kafka::{Reading, Start, Stopped};
use lazaret::io::{Flaw, NotTaken};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::broker::{Broker, LONGEST};
use intake::{Intake, settings, until};

/// Values `from..to` as text, for one partition.
fn numbers(broker: &Broker, topic: &str, partition: i32, range: std::ops::Range<i64>) {
    let values: Vec<String> = range.map(|n| n.to_string()).collect();
    broker.produce(topic, partition, values.iter().map(|v| Some(v.as_bytes())));
}

#[test]
fn everything_is_delivered_once_and_in_order() {
    let broker = Broker::start();
    broker.create_topic("alerts", 3);
    for partition in 0..3 {
        numbers(&broker, "alerts", partition, 0..200);
    }
    let mut intake = Intake::start(settings(&broker));
    intake.take(600);
    for partition in 0..3 {
        let expected: Vec<_> = (0..200).collect();
        assert_eq!(intake.offsets_taken("alerts", partition), expected);
    }
    assert_eq!(intake.take_body(|b| numbers(b, "alerts", 1, 200..201), &broker), "200");
    until("nothing lags", || {
        let status = intake.status();
        status.partitions.len() == 3 && status.partitions.values().all(|p| p.lag == Some(0))
    });
    assert_eq!(intake.status().foreign_member, None);
    assert_eq!(intake.stop(), Stopped::Clean);
}

#[test]
fn the_stores_offset_wins_over_the_groups() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..100);
    let mut intake = Intake::start(settings(&broker));
    intake.take(100);
    assert_eq!(intake.stop(), Stopped::Clean);
    assert_eq!(committed(&broker, "alerts"), Some(100));

    // Behind the group's offset.
    let mut intake = Intake::start_with(settings(&broker), [("alerts", 0, 40)]);
    intake.take(60);
    assert_eq!(intake.offsets_taken("alerts", 0), (40..100).collect::<Vec<_>>());
    intake.stop();

    // A store that has lost its offsets reads on where the group is.
    numbers(&broker, "alerts", 0, 100..110);
    let mut intake = Intake::start(settings(&broker));
    intake.take(10);
    assert_eq!(intake.offsets_taken("alerts", 0), (100..110).collect::<Vec<_>>());
}

#[test]
fn an_offset_outside_the_log_is_counted_and_read_from_the_beginning() {
    let broker = Broker::start();
    broker.create_topic("alerts", 2);
    numbers(&broker, "alerts", 0, 0..10);
    numbers(&broker, "alerts", 1, 0..10);
    broker.delete_before("alerts", 1, 6);
    let stored = [("alerts", 0, 1000), ("alerts", 1, 3)];
    let mut intake = Intake::start_with(settings(&broker), stored);
    intake.take(14);
    assert_eq!(intake.offsets_taken("alerts", 0), (0..10).collect::<Vec<_>>());
    assert_eq!(intake.offsets_taken("alerts", 1), (6..10).collect::<Vec<_>>());
    assert_eq!(intake.status().offsets_out_of_log, 2);
}

#[test]
fn latest_reads_only_what_comes_after_the_first_start() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..10);
    let mut latest = settings(&broker);
    latest.start = Start::Latest;
    let mut intake = Intake::start(latest.clone());
    until("the partition is placed", || {
        intake.status().partitions.values().any(|p| p.reading == Reading::Flowing)
    });
    intake.stop();
    // Stopped before the first message: those that came meanwhile are not skipped.
    numbers(&broker, "alerts", 0, 10..20);
    let mut intake = Intake::start(latest);
    intake.take(10);
    assert_eq!(intake.offsets_taken("alerts", 0), (10..20).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_read_is_handed_on_with_its_flaw() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    let large = vec![b'x'; 5000];
    broker.produce("alerts", 0, [None, Some(&b""[..]), Some(&large), Some(&b"fine"[..])]);
    let mut settings = settings(&broker);
    settings.body_bytes_max = 4999;
    let mut intake = Intake::start(settings);
    intake.take(4);
    let seen: Vec<_> = intake.taken.iter().map(|t| (t.flaw, t.body.len())).collect();
    assert_eq!(
        seen,
        [
            (Some(Flaw::Tombstone), 0),
            (Some(Flaw::Empty), 0),
            (Some(Flaw::TooLarge { bytes: 5000, max: 4999 }), 256),
            (None, 4),
        ]
    );
}

#[test]
fn a_full_queue_pauses_and_loses_nothing() {
    let broker = Broker::start();
    broker.create_topic("alerts", 2);
    numbers(&broker, "alerts", 0, 0..500);
    numbers(&broker, "alerts", 1, 0..500);
    let mut intake = Intake::start(settings(&broker));
    for _ in 0..3 {
        until("the partitions are paused", || {
            intake.status().partitions.values().any(|p| p.reading == Reading::Full)
        });
        intake.take(100);
    }
    intake.take(700);
    for partition in 0..2 {
        let expected: Vec<_> = (0..500).collect();
        assert_eq!(intake.offsets_taken("alerts", partition), expected);
    }
}

#[test]
fn bodies_in_memory_are_bounded() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    let large = vec![b'x'; 1000];
    broker.produce("alerts", 0, std::iter::repeat_n(Some(&large[..]), 20));
    let mut intake = Intake::start_with_budget(settings(&broker), 3500);
    until("the partition is paused", || {
        intake.status().partitions.values().any(|p| p.reading == Reading::Full)
    });
    assert_eq!(intake.waiting(), 3);
    intake.take(20);
    assert_eq!(intake.offsets_taken("alerts", 0), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_message_that_was_not_taken_comes_again_before_those_behind_it() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..40);
    let mut intake = Intake::start(settings(&broker));
    intake.take(5);
    intake.refuse(NotTaken::Full);
    // The store takes nothing that does not follow.
    intake.take(35);
    assert_eq!(intake.offsets_taken("alerts", 0), (0..40).collect::<Vec<_>>());
    assert!(intake.status().last_error.unwrap().text.contains("the queue is full"));

    numbers(&broker, "alerts", 0, 40..50);
    intake.drop_one();
    intake.take(10);
    assert_eq!(intake.offsets_taken("alerts", 0), (0..50).collect::<Vec<_>>());
}

#[test]
fn stopping_waits_for_what_is_in_hand_and_commits_no_more_than_was_taken() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..500);
    let mut intake = Intake::start(settings(&broker));
    intake.take(5);
    let in_hand = intake.hold(3);
    // One more has a place in the queue and is never taken.
    until("more waits", || intake.waiting() > 0);
    assert_eq!(intake.stop_while_taking(in_hand), Stopped::Clean);
    assert_eq!(committed(&broker, "alerts"), Some(8));
}

#[test]
fn a_second_member_of_the_group_is_named_until_it_leaves() {
    let broker = Broker::start();
    broker.create_topic("alerts", 2);
    let intake = Intake::start(settings(&broker));
    until("both partitions are ours", || intake.status().partitions.len() == 2);
    assert_eq!(intake.status().foreign_member, None);

    let mut other = broker.client();
    other.set("group.id", "lazaret-siem").set("client.id", "intruder");
    other.set("partition.assignment.strategy", "cooperative-sticky");
    other.set("heartbeat.interval.ms", "300").set("session.timeout.ms", "6000");
    let other: BaseConsumer = other.create().unwrap();
    other.subscribe(&["alerts"]).unwrap();
    until("the other member is named", || {
        other.poll(std::time::Duration::from_millis(10));
        intake.status().foreign_member.is_some_and(|name| name.contains("intruder"))
    });
    drop(other);
    until("the group is ours again", || {
        let status = intake.status();
        status.foreign_member.is_none() && status.partitions.len() == 2
    });
}

#[test]
fn a_second_process_with_the_same_node_ends_the_first_with_its_name() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    let first = Intake::start(settings(&broker));
    until("the first has the partition", || first.status().partitions.len() == 1);
    let second = Intake::start(settings(&broker));
    until("one of the two is fenced", || {
        [first.status(), second.status()].iter().any(|status| {
            status.ended.is_some()
                && status.foreign_member.as_deref().is_some_and(|name| name.contains("node-1"))
        })
    });
}

/// The offset of the group for partition 0.
fn committed(broker: &Broker, topic: &str) -> Option<i64> {
    let mut config = broker.client();
    config.set("group.id", "lazaret-siem");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    match consumer.committed_offsets(asked, LONGEST).unwrap().elements()[0].offset() {
        Offset::Offset(at) => Some(at),
        _ => None,
    }
}
