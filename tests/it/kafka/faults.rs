//! Brokers that go away, consumers that die, logs that are cut.

use std::time::{Duration, Instant};

use lazaret::io::kafka::{KafkaError, Reading, Stopped, check_passed_through};

use super::intake::{Intake, settings, until};
use super::numbers;
use crate::broker::Broker;

#[test]
fn a_broker_that_restarts_loses_and_doubles_nothing() {
    let mut broker = Broker::start_on_fixed_ports();
    broker.create_topic("alerts", 2);
    numbers(&broker, "alerts", 0, 0..100);
    numbers(&broker, "alerts", 1, 0..100);
    let mut intake = Intake::start(settings(&broker));
    intake.take(70);
    broker.stop();
    broker.restart();
    numbers(&broker, "alerts", 0, 100..150);
    intake.take(50);
    broker.kill();
    broker.restart();
    intake.take(130);
    assert_eq!(intake.offsets_taken("alerts", 0), (0..150).collect::<Vec<_>>());
    assert_eq!(intake.offsets_taken("alerts", 1), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_broker_that_is_gone_may_have_more_than_was_read() {
    let mut broker = Broker::start_on_fixed_ports();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..5);
    let mut intake = Intake::start(settings(&broker));
    until("all is read", || {
        intake.take_what_is_there();
        intake.status().read_up_to().is_some()
    });
    broker.kill();
    until("nobody knows whether all is read", || intake.status().read_up_to().is_none());
    broker.restart();
    until("all is read again", || intake.status().read_up_to().is_some());
}

#[test]
fn a_consumer_that_dies_is_followed_by_one_that_misses_nothing() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..60);
    let mut intake = Intake::start(settings(&broker));
    let mut seen = vec![];
    for _ in 0..3 {
        intake.take(20);
        seen.extend(intake.offsets_taken("alerts", 0));
        // Deliveries that are on their way are lost with their process.
        intake.restart(settings(&broker));
    }
    assert_eq!(seen, (0..60).collect::<Vec<_>>());
    assert_eq!(intake.stored()[&("alerts".to_owned(), 0)], 60);
}

#[test]
fn a_log_that_is_cut_while_it_is_read_is_counted() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    let large = vec![b'x'; 10_000];
    broker.produce("alerts", 0, std::iter::repeat_n(Some(&large[..]), 100));
    let mut intake = Intake::start(settings(&broker));
    // A pause throws away what was fetched ahead, so that it is fetched again.
    until("the partition is paused", || {
        intake.status().partitions.values().any(|p| p.reading == Reading::Full)
    });
    broker.delete_before("alerts", 0, 60);
    until("all that is left is taken", || {
        intake.take_what_is_there();
        intake.offsets_taken("alerts", 0).last() == Some(&99)
    });
    let taken = intake.offsets_taken("alerts", 0);
    assert!(taken.windows(2).all(|pair| pair[0] < pair[1]), "{taken:?}");
    assert!(taken.ends_with(&(60..100).collect::<Vec<_>>()), "{taken:?}");
    assert!(taken.len() < 60, "{taken:?}");
    assert_eq!(intake.status().offsets_out_of_log, 1);
}

#[test]
fn stopping_without_a_broker_ends_by_the_deadline() {
    let mut broker = Broker::start();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..5);
    let mut intake = Intake::start(settings(&broker));
    intake.take(5);
    broker.kill();
    let began = Instant::now();
    let stopped = intake.stop_within(Duration::from_secs(2));
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(matches!(stopped, Stopped::Clean | Stopped::LeftBehind));
}

#[test]
fn what_safety_owns_is_refused() {
    let broker = "localhost:9".to_owned();
    let refused = Intake::try_start("auto.offset.reset", &broker);
    assert!(matches!(refused, Err(KafkaError::OwnedKey(_))), "{refused:?}");
    let unknown = Intake::try_start("no.such.property", &broker);
    assert!(matches!(unknown, Err(KafkaError::Client { .. })), "{unknown:?}");
    assert!(check_passed_through("fetch.min.bytes").is_ok());
}
