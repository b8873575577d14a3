//! `lazaret doctor` at real brokers, and beside a service that runs.

use std::time::Instant;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::Value;

use crate::broker::{Broker, LONGEST};
use crate::world::{Setting, World, alert, call_of, json, run};

/// What it says of the check: health and text.
async fn of(world: &World, check: &str) -> (String, String) {
    let found = json(&run(world, &["doctor", "--json"]).await);
    let found = found.as_array().unwrap().clone();
    let finding = found.iter().find(|finding| finding["check"] == check);
    let finding: &Value = finding.unwrap_or_else(|| panic!("{check}: {found:?}"));
    let text = |name: &str| finding[name].as_str().unwrap().to_owned();
    (text("health"), text("text"))
}

/// Clients of brokers wait in a runtime of their own, which may not stand in another.
fn apart(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

async fn reading_from(broker: &Broker) -> World {
    let kafka = Some((broker.address(), "alerts".to_owned()));
    World::new(Setting { kafka, ..Setting::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_and_what_lies_unread_is_told() {
    let broker = Broker::start();
    let mut world = reading_from(&broker).await;
    let (health, text) = of(&world, "kafka stream").await;
    assert!(
        health == "fail" && text.starts_with("topic alerts: the brokers do not have it"),
        "{health} {text}"
    );
    apart(|| broker.create_topic("alerts", 2));
    let values: Vec<_> = (1..=3).map(alert).collect();
    broker.produce("alerts", 0, values.iter().map(|text| Some(text.as_bytes())));
    let (health, text) = of(&world, "kafka stream").await;
    assert!(health == "ok" && text.ends_with("alerts with 2 partitions; 3 unread"), "{text}");

    world.start().await;
    world.until("the calls", async |world| world.calls().contains_key(&call_of(3))).await;
    let (health, text) = of(&world, "kafka stream").await;
    assert!(health == "ok" && text.ends_with("; 0 unread"), "{health} {text}");
    let (health, text) = of(&world, "budget contoso").await;
    assert!(health == "ok" && text.starts_with("3 of 100 calls in 1m"), "{health} {text}");
    world.stop();
    let (health, text) = of(&world, "budget contoso").await;
    assert!(health == "ok" && text.starts_with("3 of 100 calls in 1m"), "{health} {text}");

    broker.produce("alerts", 0, values.iter().map(|text| Some(text.as_bytes())));
    apart(|| broker.delete_before("alerts", 0, 5));
    let (health, text) = of(&world, "kafka stream").await;
    assert!(health == "fail" && text.starts_with("2 messages were deleted"), "{health} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_in_the_group_is_named() {
    let broker = Broker::start();
    apart(|| broker.create_topic("alerts", 1));
    let world = reading_from(&broker).await;
    let (health, text) = of(&world, "kafka stream").await;
    assert_eq!(health, "ok", "{text}");
    let mut config = broker.client();
    config.set("group.id", "lazaret-alerts").set("client.id", "somebody-else");
    let other: BaseConsumer = config.create().unwrap();
    other.subscribe(&["alerts"]).unwrap();
    let began = Instant::now();
    while other.assignment().unwrap().count() == 0 {
        let _ = other.poll(std::time::Duration::from_millis(100));
        assert!(began.elapsed() < LONGEST);
    }
    let (health, text) = of(&world, "kafka stream").await;
    assert!(health == "fail" && text.contains("somebody-else at"), "{health} {text}");
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_is_that_of_the_worst_and_a_warning_alone_is_none() {
    let mut world = World::new(Setting::default()).await;
    std::fs::set_permissions(
        world.dir.path().join("contoso"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    world.start().await;
    let output = run(&world, &["doctor"]).await;
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.lines().all(|line| line.chars().count() <= 80 || !line.contains(' ')), "{page}");
    assert!(page.contains("warn  secret") && page.contains("chmod 600"), "{page}");
    assert!(page.contains("\n0 fail, ") && page.contains("Look first at: secret: "), "{page}");
    assert_eq!(output.status.code(), Some(0), "{page}");
    assert!(world.calls().is_empty(), "no check ever calls");
    world.stop();
    std::fs::remove_file(world.dir.path().join("contoso")).unwrap();
    let output = run(&world, &["doctor"]).await;
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("Mend first: secret: "), "{page}");
    assert_eq!(output.status.code(), Some(1), "{page}");
}
