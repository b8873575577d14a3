//! The same file on three machines, told by three alerts, through a kill and a restart.

use std::time::Duration;

use lazaret::domain::decision::Fate;
use lazaret::io::Clock as _;
use lazaret::io::clock::SystemClock;
use lazaret::simulator::Machine;
use serde_json::{Value, json};

use crate::world::{Setting, World, alert_of, assert_balance};

/// Counts what the rule of the world matches.
const SPREADS: &str = r#"
title: Quarantine a file that spreads
id: 5f4d8d0a-5d0e-4f39-8b0c-6a3f2c7b9e11
correlation:
  type: value_count
  rules: [active]
  group-by: [file.sha1]
  timespan: 1h
  condition: {field: machine.id, gte: 3}
response:
  action: StopAndQuarantineFile
  comment: "It spreads: alert {{alert.id}}"
  mode: enforce
tests:
  - name: on three machines
    alerts:
      - {alert: samples/alert.json}
      - {alert: samples/alert.json, set: {machine.id: 000000000000000000000000000000000000000a}}
      - {alert: samples/alert.json, set: {machine.id: 000000000000000000000000000000000000000b}}
    expect:
      act:
        - {machine: "0000000000000000000000000000000000000001", sha1: "1000000000000000000000000000000000000001"}
        - {machine: 000000000000000000000000000000000000000a, sha1: "1000000000000000000000000000000000000001"}
        - {machine: 000000000000000000000000000000000000000b, sha1: "1000000000000000000000000000000000000001"}
  - name: on one machine
    alerts: [{alert: samples/alert.json}, {alert: samples/alert.json, set: {alert.id: a-2}}]
    expect: {no_match: true}
"#;

/// The world's own rule does nothing any more but count.
pub fn correlate(world: &World) {
    let rules = world.dir.path().join("rules");
    let text = std::fs::read_to_string(rules.join("rule.yml")).unwrap();
    let (from, to) = (text.find("response:").unwrap(), text.find("tests:").unwrap());
    let counts = format!("name: active\n{}{}", &text[..from], &text[to..]);
    std::fs::write(rules.join("rule.yml"), counts).unwrap();
    std::fs::write(rules.join("spreads.yml"), SPREADS.trim_start()).unwrap();
}

/// The call for alert number `n` of file number `file`.
fn call_of(n: usize, file: usize) -> (String, String) {
    let target = format!("/api/machines/{n:040x}/StopAndQuarantineFile");
    let comment = format!("It spreads: alert da{n:018}_1");
    (target, json!({ "Comment": comment, "Sha1": format!("1{file:039x}") }).to_string())
}

pub async fn post(world: &World, n: usize, file: usize) -> Value {
    let (status, answer) = world.post(&format!("m-{n}"), &alert_of(n, file)).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

fn reason(answer: &Value) -> String {
    answer["alerts"][0]["candidates"][0]["why"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_on_three_machines_is_quarantined_on_each_also_after_a_kill() {
    let mut world = World::new(Setting::default()).await;
    correlate(&world);
    world.start().await;
    let first = post(&world, 1, 7).await;
    assert!(reason(&first).ends_with(": 1 of 3 machine.id within 1h"), "{first}");
    let second = post(&world, 2, 7).await;
    assert!(reason(&second).ends_with(": 2 of 3 machine.id within 1h"), "{second}");
    // Another file does not join them.
    post(&world, 4, 8).await;
    assert!(world.calls().is_empty());
    world.kill();
    world.start().await;
    let third = post(&world, 3, 7).await;
    assert_eq!(third["alerts"].as_array().unwrap().len(), 4, "{third}");
    let wanted = [1, 2, 3].map(|n| call_of(n, 7));
    world.until("three calls", async |world| world.calls().len() == 3).await;
    let calls = world.calls();
    assert!(wanted.iter().all(|call| calls.get(call) == Some(&1)), "{calls:?}");
    // Told again, under another message, it is what is known.
    let (_, again) = world.post("m-again", &alert_of(3, 7)).await.unwrap();
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["alerts"].as_array().unwrap().len(), 1, "{again}");
    let summary = world.report().await.summary;
    assert_balance(&summary);
    let acted = summary.fates.iter().filter(|of| of.fate == Fate::Acted).map(|of| of.count);
    assert_eq!(acted.sum::<u64>(), 3);
    world.stop();
    assert_eq!(world.calls().len(), 3);
}

/// Alert number `n`, created so many minutes ago.
fn aged(n: usize, file: usize, minutes: u64) -> String {
    let mut alert: Value = serde_json::from_str(&alert_of(n, file)).unwrap();
    let at = SystemClock::new().now().wall - Duration::from_secs(60 * minutes);
    alert["alertCreationTime"] = at.to_string().into();
    alert["evidence"][0]["evidenceCreationTime"] = at.to_string().into();
    alert.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_to_act_on_counts_for_its_neighbours() {
    let mut world = World::new(Setting::default()).await;
    correlate(&world);
    world.start().await;
    // The limit is a day; the window is an hour.
    for (n, minutes) in [(1, 24 * 60 + 20), (2, 24 * 60 - 10), (3, 24 * 60 - 20)] {
        world.post(&format!("m-{n}"), &aged(n, 7, minutes)).await.unwrap();
    }
    world.until("two calls", async |world| world.calls().len() == 2).await;
    let calls = world.calls();
    assert!([2, 3].iter().all(|n| calls.contains_key(&call_of(*n, 7))), "{calls:?}");
    let summary = world.report().await.summary;
    assert_balance(&summary);
    let old = summary.fates.iter().filter(|of| of.fate == Fate::TooOld).map(|of| of.count);
    assert_eq!(old.sum::<u64>(), 1);
}

#[test]
fn the_rules_of_the_documentation_load_and_pass_their_tests() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/correlations.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("samples")).unwrap();
    let sample = "samples/defender-malware.json";
    std::fs::copy(root.join("rules").join(sample), dir.path().join(sample)).unwrap();
    let blocks = page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    for (n, block) in blocks.enumerate() {
        std::fs::write(dir.path().join(format!("{n}.yml")), block).unwrap();
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lazaret"));
    let tested = command.args(["rules", "test"]).arg(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&tested.stdout).into_owned();
    assert!(said.contains("3 passed, 0 failed, 0 errors"), "{said}");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lazaret"));
    let listed = command.args(["rules", "list"]).arg(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        said.contains("\n  correlation: value_count\n") && said.contains("  count  "),
        "{said}"
    );
}

/// The directory and file of a rule that protects the first machine.
const PROTECTS: (&str, &str) = (
    "protects.yml",
    r#"
title: Protect the first machine
id: 5f4d8d0a-5d0e-4f39-8b0c-6a3f2c7b9e12
logsource: {product: microsoft_defender}
detection:
  first: {machine.id: "0000000000000000000000000000000000000001"}
  condition: first
response: {action: deny}
"#,
);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_is_judged_by_the_rules_of_now() {
    let mut world = World::new(Setting::default()).await;
    correlate(&world);
    world.start().await;
    for n in [1, 2] {
        post(&world, n, 7).await;
    }
    // One of the two is protected by now.
    let rules = world.dir.path().join("rules");
    std::fs::write(rules.join(PROTECTS.0), PROTECTS.1.trim_start()).unwrap();
    world.stop();
    world.start().await;
    let third = post(&world, 3, 7).await;
    let fates = third["alerts"].as_array().unwrap().iter().map(|alert| &alert["fate"]);
    let mut fates: Vec<String> = fates.map(ToString::to_string).collect();
    fates.sort();
    assert_eq!(fates, ["\"acted\"", "\"acted\"", "\"no_match\"", "\"protected\""], "{third}");
    world.until("two calls", async |world| world.calls().len() == 2).await;
    // A base rule that looks for something else drops what it counted.
    for n in [11, 12] {
        post(&world, n, 8).await;
    }
    let text = std::fs::read_to_string(rules.join("rule.yml")).unwrap();
    let other = text.replace("detection_status: Detected}", "detection_status: Prevented}");
    assert_ne!(text, other);
    let (untested, _) = other.split_once("tests:").unwrap();
    std::fs::write(rules.join("rule.yml"), untested).unwrap();
    let spreads = std::fs::read_to_string(rules.join("spreads.yml")).unwrap();
    let (untested, _) = spreads.split_once("tests:").unwrap();
    let observed = untested.replace("mode: enforce", "mode: approve").replace("gte: 3", "gte: 1");
    std::fs::write(rules.join("spreads.yml"), observed).unwrap();
    world.stop();
    world.start().await;
    let body = alert_of(13, 8).replace("Detected", "Prevented");
    let (_, answer) = world.post("m-13", &body).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let told: Vec<&str> = answer["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["alert"].as_str().unwrap())
        .collect();
    let own = format!("da{:018}_1", 13);
    assert_eq!(told, [&own, &own], "the two before count no more: {answer}");
    assert_balance(&world.report().await.summary);
    assert_eq!(world.calls().len(), 2);
}

/// Deny rules ask Defender also about what a correlation has matched.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_matched_waits_for_what_a_deny_rule_asks_defender() {
    let mut world = World::new(Setting::default()).await;
    correlate(&world);
    let dear = "title: Spare the crown jewels\nid: 1b6c2b2e-6d0e-4f57-9f0f-2a3b1c0d4e5f\nlogsource: \
        {product: x}\ndetection:\n  dear: {machine.tags: crown-jewel}\n  condition: dear\nresponse: \
        {action: deny}\n";
    std::fs::write(world.dir.path().join("rules/dear.yml"), dear).unwrap();
    let says = json!({"machineTags": ["crown-jewel"]}).as_object().unwrap().clone();
    world.simulator.set_machine(&format!("{:040x}", 2), Machine { says, ..Machine::default() });
    world.start().await;
    for n in 1..=3 {
        post(&world, n, 7).await;
    }
    world.until("two calls", async |world| world.calls().len() == 2).await;
    let protected = async |world: &World| {
        let fates = world.report().await.summary.fates;
        fates.iter().any(|of| of.fate == Fate::Protected && of.count == 1)
    };
    world.until("the protection", protected).await;
    let calls = world.calls();
    assert!([1, 3].iter().all(|n| calls.contains_key(&call_of(*n, 7))), "{calls:?}");
    assert_balance(&world.report().await.summary);
}
