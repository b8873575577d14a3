//! Rules that ask Defender for what an alert does not say, against a strict stand-in for it.

use lazaret::domain::decision::Fate;
use lazaret::simulator::{Endpoint, Machine};
use serde_json::{Value, json};

use crate::world::{Setting, World, alert, assert_balance, call_of, json as json_of, run};

const RULE: &str = r#"title: Quarantine unsigned files on clients
id: 0b6c2b2e-6d0e-4f57-9f0f-2a3b1c0d4e5f
logsource: {product: microsoft_defender}
detection:
  active: {file.entity: File, file.detection_status: Detected}
  client: {machine.os: [Windows10, Windows11]}
  signed: {file.signer: '*'}
  condition: active and client and not signed
response:
  action: StopAndQuarantineFile
  comment: "Quarantined due to alert {{alert.id}}"
  mode: enforce
  unknown: enrich
tests:
  - name: what nobody signed acts on a client
    alert: samples/alert.json
    set: {machine.os: Windows11, file.signer: null}
    expect:
      act: [{machine: "0000000000000000000000000000000000000001", sha1: "1000000000000000000000000000000000000001"}]
  - name: a server is spared
    alert: samples/alert.json
    set: {machine.os: WindowsServer2022}
    expect: {no_match: client}
  - name: the alert does not say
    alert: samples/alert.json
    expect: {enrich: [machine.os, file.signer]}
"#;

const CROWN_JEWELS: &str = "title: Spare the crown jewels
id: 1b6c2b2e-6d0e-4f57-9f0f-2a3b1c0d4e5f
logsource: {product: microsoft_defender}
detection:
  dear: {machine.tags: crown-jewel}
  condition: dear
response: {action: deny}
";

async fn world() -> World {
    let world = World::new(Setting::default()).await;
    let rules = world.dir.path().join("rules");
    std::fs::write(rules.join("rule.yml"), RULE).unwrap();
    std::fs::write(rules.join("dear.yml"), CROWN_JEWELS).unwrap();
    world
}

/// Defender knows machine `n` so, and the file of alert `n`.
fn knows(world: &World, n: usize, machine: Value, file: Value) {
    let Value::Object(says) = machine else { panic!("{machine}") };
    world.simulator.set_machine(&format!("{n:040x}"), Machine { says, ..Machine::default() });
    world.simulator.put_file(&format!("1{n:039x}"), file);
}

fn unsigned() -> Value {
    json!({"isPeFile": true, "signer": null, "isValidCertificate": null})
}

fn signed() -> Value {
    json!({"isPeFile": true, "signer": "Contoso", "isValidCertificate": true})
}

async fn fate(world: &World, fate: Fate) -> u64 {
    let fates = world.report().await.summary.fates;
    fates.iter().filter(|of| of.fate == fate).map(|of| of.count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_alert_does_not_say_is_asked_for_and_decides() {
    let mut world = world().await;
    let windows = |os: &str| json!({"osPlatform": os, "machineTags": []});
    knows(&world, 1, windows("Windows11"), unsigned());
    knows(&world, 2, windows("WindowsServer2022"), unsigned());
    knows(&world, 3, windows("Windows10"), signed());
    let dear = json!({"osPlatform": "Windows11", "machineTags": ["crown-jewel"]});
    knows(&world, 4, dear, unsigned());
    world.start().await;
    for n in 1..=4 {
        let (status, answer) = world.post(&format!("m-{n}"), &alert(n)).await.unwrap();
        assert_eq!(status, 202);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["alerts"][0]["fate"], "waiting", "{answer}");
    }
    world.until("all ends", async |world| fate(world, Fate::NoMatch).await == 2).await;
    world.until("the call", async |world| world.calls().contains_key(&call_of(1))).await;
    world.until("the protection", async |world| fate(world, Fate::Protected).await == 1).await;
    assert_eq!(world.calls().len(), 1);
    assert_balance(&world.report().await.summary);
    // Each thing is asked about once.
    let asked = |endpoint| world.simulator.calls_to(endpoint).len();
    assert_eq!((asked(Endpoint::Machines), asked(Endpoint::Files)), (4, 4));
    // What is known needs no call.
    let again = alert(1).replace("da000000000000000001_1", "da000000000000000009_1");
    world.post("m-9", &again).await.unwrap();
    world.until("the duplicate", async |world| fate(world, Fate::Duplicate).await == 1).await;
    assert_eq!((asked(Endpoint::Machines), asked(Endpoint::Files)), (4, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_defender_does_not_tell_waits_for_a_person() {
    let mut world = world().await;
    // The file is another one, and the machine has no platform.
    knows(&world, 1, json!({"osPlatform": null}), json!({"isPeFile": "?"}));
    world.start().await;
    world.post("m-1", &alert(1)).await.unwrap();
    world.until("the hold", async |world| fate(world, Fate::Held).await == 1).await;
    let told = run(&world, &["actions", "receipts", "--fate", "held", "--json"]).await;
    let text = json_of(&told).to_string();
    assert!(text.contains(r#""fields":["file.signer","machine.os"]"#), "{text}");
    assert!(text.contains("invalid type"), "why Defender did not tell: {text}");
    assert!(world.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_a_kill_and_holds_up_no_other_file() {
    let mut world = world().await;
    knows(&world, 1, json!({"osPlatform": "Windows11"}), unsigned());
    world.start().await;
    let fault = json!({"endpoint": "machines", "effect": "none", "times": 1, "trouble": "hang"});
    world.simulator.fault(serde_json::from_value(fault).unwrap());
    // Two files: for one all is known that matters.
    let mut two: Value = serde_json::from_str(&alert(1)).unwrap();
    let mut blocked = two["evidence"][0].clone();
    blocked["sha1"] = format!("2{:039x}", 1).into();
    blocked["detectionStatus"] = "Blocked".into();
    two["evidence"].as_array_mut().unwrap().push(blocked);
    let (_, answer) = world.post("m-1", &two.to_string()).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let fates: Vec<&Value> =
        answer["alerts"].as_array().unwrap().iter().map(|one| &one["fate"]).collect();
    assert_eq!(fates, ["no_match", "waiting"], "{answer}");
    world
        .until("a question", async |world| !world.simulator.calls_to(Endpoint::Machines).is_empty())
        .await;
    world.kill();
    world.start().await;
    world.until("the call", async |world| world.calls().contains_key(&call_of(1))).await;
    assert_eq!(world.calls().len(), 1);
    assert_balance(&world.report().await.summary);
}
