//! What a topic holds, read beside the source that reads it too.

use std::sync::Arc;

use lazaret::domain::time::Wall;
use lazaret::io::Flaw;
use lazaret::io::clock::SystemClock;
use lazaret::io::kafka::{History, Stopped};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::intake::{Intake, settings, until};
use super::{committed, numbers};
use crate::broker::{Broker, LONGEST};

fn open(broker: &Broker, topic: &str) -> History {
    let mut settings = settings(broker);
    settings.body_bytes_max = 4999;
    History::open(&settings, topic, Arc::new(SystemClock::new())).unwrap()
}

/// Partition, offset and body of all messages.
fn all(history: &History) -> Vec<(i32, i64, String)> {
    let mut messages = history.between(None, None).unwrap();
    let mut found = Vec::new();
    while let Some(message) = messages.read().unwrap() {
        let body = String::from_utf8(message.body.to_vec()).unwrap();
        found.push((message.partition, message.offset, body));
    }
    assert_eq!(messages.passed(), messages.total());
    found.sort();
    found
}

#[test]
fn one_message_is_fetched_by_its_place() {
    let broker = Broker::start();
    broker.create_topic("kept", 2);
    numbers(&broker, "kept", 0, 0..20);
    numbers(&broker, "kept", 1, 100..120);
    let large = vec![b'x'; 5000];
    broker.produce("kept", 0, [None, Some(&large[..])]);
    let history = open(&broker, "kept");
    for (partition, offset, body) in [(1, 7, "107"), (0, 19, "19"), (0, 0, "0"), (1, 7, "107")] {
        let message = history.one(partition, offset).unwrap();
        assert_eq!((message.partition, message.offset), (partition, offset));
        assert_eq!((&message.body[..], message.flaw), (body.as_bytes(), None));
    }
    assert_eq!(history.one(0, 20).unwrap().flaw, Some(Flaw::Tombstone));
    let flaw = history.one(0, 21).unwrap().flaw;
    assert_eq!(flaw, Some(Flaw::TooLarge { bytes: 5000, max: 4999 }));
    let why = |partition, offset| history.one(partition, offset).unwrap_err().to_string();
    assert_eq!(why(1, 20), "topic kept: partition 1 has no offset 20 yet");
    assert_eq!(why(2, 0), "topic kept: there is no partition 2");
    broker.delete_before("kept", 1, 8);
    assert!(why(1, 7).contains("partition 1 has no offset 7 any more"), "{}", why(1, 7));
    assert_eq!(&history.one(1, 8).unwrap().body[..], b"108");
    // The rest can be read after it.
    assert_eq!(all(&history).len(), 22 + 12);
}

#[test]
fn all_is_read_that_is_there_and_nothing_that_comes_meanwhile() {
    let broker = Broker::start();
    broker.create_topic("kept", 3);
    numbers(&broker, "kept", 0, 0..300);
    numbers(&broker, "kept", 2, 0..50);
    broker.delete_before("kept", 0, 290);
    let history = open(&broker, "kept");
    let mut messages = history.between(None, None).unwrap();
    assert_eq!(messages.total(), 60);
    numbers(&broker, "kept", 2, 50..60);
    numbers(&broker, "kept", 1, 0..10);
    let mut found = 0;
    while let Some(message) = messages.read().unwrap() {
        assert!(message.offset < 50 || message.partition == 0);
        found += 1;
    }
    assert_eq!((found, messages.passed()), (60, 60));
    assert_eq!(all(&history).len(), 80);
    let later = history.between(Some(Wall(i64::MAX / 4)), None).unwrap();
    assert_eq!(later.total(), 0);
}

/// The marker of a commit has an offset too, and is no message: what is read next comes after the
/// end.
#[test]
fn the_end_holds_where_the_last_offset_is_no_message() {
    let broker = Broker::start();
    broker.create_topic("kept", 1);
    let mut config = broker.client();
    config.set("transactional.id", "writer");
    let writer: ThreadedProducer<_> = config.create().unwrap();
    writer.init_transactions(LONGEST).unwrap();
    let transaction = |body: &str| {
        writer.begin_transaction().unwrap();
        let record = BaseRecord::<(), str>::to("kept").partition(0).payload(body);
        writer.send(record).map_err(|(why, _)| why).unwrap();
        writer.flush(LONGEST).unwrap();
    };
    transaction("meant");
    writer.commit_transaction(LONGEST).unwrap();
    let history = open(&broker, "kept");
    // The broker writes the marker after it has answered.
    until("it is committed", || history.between(None, None).unwrap().total() == 2);
    let mut messages = history.between(None, None).unwrap();
    numbers(&broker, "kept", 0, 0..1);
    let mut read = || messages.read().unwrap().map(|message| message.offset);
    assert_eq!((read(), read()), (Some(0), None));

    transaction("taken back");
    writer.abort_transaction(LONGEST).unwrap();
    until("it is taken back", || history.between(None, None).unwrap().total() == 5);
    let found = all(&history);
    let bodies: Vec<_> = found.iter().map(|(_, _, body)| body.as_str()).collect();
    assert_eq!(bodies, ["meant", "0"]);
}

#[test]
fn a_reader_beside_the_source_takes_nothing_from_it() {
    let broker = Broker::start();
    broker.create_topic("alerts", 2);
    numbers(&broker, "alerts", 0, 0..40);
    numbers(&broker, "alerts", 1, 0..40);
    let mut intake = Intake::start(settings(&broker));
    intake.take(30);
    let history = open(&broker, "alerts");
    assert_eq!(all(&history).len(), 80);
    assert_eq!(&history.one(1, 39).unwrap().body[..], b"39");
    intake.take(50);
    until("nothing lags", || {
        let status = intake.status();
        status.partitions.len() == 2 && status.partitions.values().all(|p| p.lag == Some(0))
    });
    assert_eq!(intake.status().foreign_member, None);
    assert_eq!(intake.stop(), Stopped::Clean);
    assert_eq!(committed(&broker, "alerts"), Some(40));
    drop(history);
    assert_eq!(committed(&broker, "alerts"), Some(40));
}
