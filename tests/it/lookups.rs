//! What Defender is asked before an alert can be judged, against a strict stand-in for it.

use lazaret::domain::decision::Fate;
use lazaret::simulator::{Endpoint, Machine};
use serde_json::{Value, json};

use crate::world::{Setting, World, alert, call_of};

/// An alert as a list has it that was not asked for evidence.
fn thin(n: usize) -> String {
    let mut alert: Value = serde_json::from_str(&alert(n)).unwrap();
    alert["evidence"] = json!([]);
    alert.to_string()
}

fn id(n: usize) -> String {
    format!("da{n:018}_1")
}

fn tell(world: &World, n: usize) {
    world.simulator.put_alert(&id(n), serde_json::from_str(&alert(n)).unwrap());
}

async fn fate(world: &World, fate: Fate) -> u64 {
    let fates = world.report().await.summary.fates;
    fates.iter().filter(|of| of.fate == fate).map(|of| of.count).sum()
}

fn asked(world: &World) -> Vec<String> {
    world.simulator.calls_to(Endpoint::Alerts).into_iter().map(|call| call.target).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_without_evidence_is_fetched_and_then_acts() {
    let mut world = World::new(Setting::default()).await;
    tell(&world, 1);
    world.start().await;
    let (status, answer) = world.post("m-1", &thin(1)).await.unwrap();
    assert_eq!(status, 202);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["alerts"][0]["fate"], "waiting", "{answer}");
    world.until("the call", async |world| world.calls().contains_key(&call_of(1))).await;
    assert_eq!(asked(&world), [format!("/api/alerts/{}?$expand=evidence", id(1))]);
    assert_eq!(fate(&world, Fate::Acted).await, 1);
    // One of low severity can match nothing, so nothing is asked for it.
    let harmless = thin(2).replace("Malware", "Other").replace("\"High\"", "\"Low\"");
    let rule = std::fs::read_to_string(world.dir.path().join("rules/rule.yml")).unwrap();
    assert!(!rule.contains("severity"), "this rule takes any severity");
    std::fs::write(
        world.dir.path().join("rules/rule.yml"),
        rule.replace("active: {", "active: {alert.severity: High, "),
    )
    .unwrap();
    world.stop();
    world.start().await;
    let (_, answer) = world.post("m-2", &harmless).await.unwrap();
    assert!(answer.contains("no_match"), "{answer}");
    assert_eq!(asked(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_defender_outlives_a_kill_and_is_said() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    // Defender is away.
    let fault = json!({"endpoint": "alerts", "effect": "none", "times": 2, "trouble": "drop"});
    world.simulator.fault(serde_json::from_value(fault).unwrap());
    world.post("m-1", &thin(1)).await.unwrap();
    world
        .until("a problem", async |world| {
            world.report().await.problems.iter().any(|one| one.contains("does not tell"))
        })
        .await;
    let summary = world.report().await.summary;
    let received: u64 = summary.received.iter().map(|(_, count)| count).sum();
    let fates: u64 = summary.fates.iter().map(|of| of.count).sum();
    assert_eq!((received, fates), (1, 0), "it waits");
    world.kill();
    tell(&world, 1);
    world.start().await;
    world.until("the call", async |world| world.calls().contains_key(&call_of(1))).await;
    assert_eq!(fate(&world, Fate::Acted).await, 1);
}

const FORMAT: &str = r#"
format: own
description: A home-made sender that knows machines by their names.
alert:
  id: $.id
  severity: $.severity
  created: $.at
candidates:
  - machine.id: $.host
    file.sha1: $.sha1
    file.entity: {path: $.entity, default: File}
    file.detection_status: {path: $.status, default: Detected}
machine: {defender: true}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_looked_up_and_is_exactly_one_machine_or_none() {
    let mut world = World::new(Setting::default()).await;
    let config = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), config.replacen("format: defender-alert", "format: own", 1))
        .unwrap();
    std::fs::create_dir(world.dir.path().join("rules/formats")).unwrap();
    std::fs::write(world.dir.path().join("rules/formats/own.yml"), FORMAT.trim_start()).unwrap();
    let machine = |name: &str, health: &str| Machine {
        computer_dns_name: Some(name.to_owned()),
        health_status: Some(health.to_owned()),
        ..Machine::default()
    };
    for (n, name, health) in [
        (1, "pc1.contoso.example", "Active"),
        (2, "pc1.contoso.example", "Inactive"),
        (3, "pc10.contoso.example", "Active"),
        (4, "pc4.contoso.example", "Active"),
        (5, "pc4.fabrikam.example", "Active"),
    ] {
        world.simulator.set_machine(&format!("{n:040x}"), machine(name, health));
    }
    world.start().await;
    let sent = |n: usize, host: &str| {
        let at = serde_json::from_str::<Value>(&alert(n)).unwrap()["alertCreationTime"].clone();
        let sha1 = format!("1{n:039x}");
        json!({"id": id(n), "severity": "High", "at": at, "host": host, "sha1": sha1}).to_string()
    };
    let (_, answer) = world.post("m-1", &sent(1, "PC1.contoso.example.")).await.unwrap();
    assert!(answer.contains("waiting"), "{answer}");
    world.until("the call", async |world| world.calls().contains_key(&call_of(1))).await;
    // Two are active, by that label; none has exactly this name.
    world.post("m-2", &sent(2, "pc4")).await.unwrap();
    world.post("m-3", &sent(3, "pc1.fabrikam.example")).await.unwrap();
    world.until("their end", async |world| fate(world, Fate::Incomplete).await == 2).await;
    assert_eq!(world.calls().len(), 1);
    let asked: Vec<_> = world.simulator.calls_to(Endpoint::Machines);
    assert_eq!(asked.len(), 3, "{asked:?}");
}
