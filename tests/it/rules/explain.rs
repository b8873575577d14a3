//! `lazaret rules explain`: why something was done, and why not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;

use lazaret::domain::candidate::{Candidate, Field, Value as FieldValue};
use lazaret::formats::mapped::Told;
use lazaret::io::Clock as _;
use serde_json::{Value, json};

use super::{page, rules, run, spare, state_of};
use crate::broker::{Broker, block_on};
use crate::world::{Setting, TENANT_ID, World, alert, tenant_id};

/// Alert `n`, of a file that was blocked.
fn blocked(n: usize) -> String {
    alert(n).replace("\"Detected\"", "\"Blocked\"")
}

/// Whatever line it stands in.
pub fn flat(told: &str) -> String {
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn id_of(alert: &str) -> String {
    serde_json::from_str::<Value>(alert).unwrap()["id"].as_str().unwrap().to_owned()
}

/// Without a service, on one of the rules that are shipped.
fn explain(arguments: &[&str]) -> Output {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("samples")).unwrap();
    for name in ["quarantine-active-malware.yml", "samples/defender-malware.json"] {
        std::fs::copy(shipped.join(name), dir.path().join(name)).unwrap();
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lazaret"));
    command.current_dir(dir.path()).args(["rules", "explain", "--rules", "."]).args(arguments);
    command.output().unwrap()
}

const SAMPLE: [&str; 2] = ["--alert", "samples/defender-malware.json"];

#[test]
fn each_value_has_its_place_and_the_page_says_what_the_json_does() {
    let output = explain(&SAMPLE);
    let told = String::from_utf8(output.stdout).unwrap();
    for line in [
        "pass       alert.category is malware: \"Malware\", at $.category",
        "pass       alert.severity_rank is >= 3: 3, follows from alert.severity",
        "fail       file.entity is file: \"Process\", at $.evidence[1].entityType",
        "informationalexpecteda…: empty, at $.classification",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");

    let output = explain(&[&SAMPLE[..], &["--json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["payload"]["from"], "file");
    let candidates = report["alerts"][0]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    let outcomes: Vec<_> = candidates.iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["no_match", "observe"]);
    let said = flat(&told);
    for candidate in candidates {
        for rule in candidate["rules"].as_array().unwrap() {
            assert!(rule["parts"].as_array().is_some_and(|parts| !parts.is_empty()), "{rule}");
        }
        assert!(said.contains(candidate["sentence"].as_str().unwrap()), "{candidate}");
    }
    let first = &candidates[0];
    assert_eq!(first["nearest"], first["rules"][0]["id"]);
    let parts = first["rules"][0]["parts"].as_array().unwrap();
    let leaf = parts.iter().find(|part| part["field"] == "file.entity").unwrap();
    assert_eq!((&leaf["seen"], &leaf["has"]), (&"fail".into(), &"Process".into()));
    assert_eq!(leaf["at"][0], "$.evidence[1].entityType");
    let leaf = parts.iter().find(|part| part["field"] == "alert.severity_rank").unwrap();
    assert_eq!((leaf["has"].as_i64(), leaf.get("at")), (Some(3), None));
    assert_eq!(leaf["by"], "follows from alert.severity");
}

/// All keys of objects in it.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| {
            found.insert(key.clone());
            keys(value, found);
        }),
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_json_is_documented() {
    let output = explain(&[&SAMPLE[..], &["--json"]].concat());
    let mut all = BTreeSet::new();
    keys(&serde_json::from_slice(&output.stdout).unwrap(), &mut all);
    assert!(all.len() > 20, "{all:?}");
    let docs = include_str!("../../../docs/rules.md");
    let (_, section) = docs.split_once("## Why did it do that?").unwrap();
    let words: BTreeSet<_> = section.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let missing: Vec<_> = all.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_rule_that_is_none_is_refused_with_the_one_that_may_be_meant() {
    for (name, meant) in [
        ("Quarantine activ malware", "did you mean Quarantine active malware?"),
        ("nothing like it", "lazaret rules list"),
    ] {
        let output = explain(&[&SAMPLE[..], &["--rule", name]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        let said = flat(&said);
        assert!(said.contains("there is no such rule") && said.contains(meant), "{said}");
    }
    let output = explain(&[&SAMPLE[..], &["--rule", "quarantine active"]].concat());
    assert!(output.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_an_alert_is_told_with_the_rules_of_then_and_of_now() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    // So that its action stays what it is, whenever it is looked at.
    page(&world, &["pause", "--reason", "a drill"]).await;
    world.post("m-1", &alert(1)).await.unwrap();
    world.post("m-2", &blocked(2)).await.unwrap();
    let dir = world.dir.path().join("rules").display().to_string();
    let of = |id: String| {
        let arguments = ["rules", "explain", "--rules", &dir, "--alert-id", &id];
        arguments.map(str::to_owned)
    };
    let (acted, missed) = (of(id_of(&alert(1))), of(id_of(&alert(2))));
    let (acted, missed) = (acted.each_ref().map(|s| &**s), missed.each_ref().map(|s| &**s));
    let told = page(&world, &acted).await;
    let receipts = run(&world, &["actions", "receipts", "--json"]).await;
    let hash = receipts[0]["ruleset"].as_str().unwrap().to_owned();
    let set = format!("by the rule set {}, the one here.", &hash[..12]);
    for said in [set.as_str(), "acted for tenant contoso", "Its payload is in the store."] {
        assert!(flat(&told).contains(said), "{said}: {told}");
    }
    assert!(flat(&told).contains("\"Detected\", at $.evidence[0].detectionStatus"), "{told}");
    assert!(flat(&told).contains("So: the rules would let it act, as"), "{told}");
    assert!(flat(&told).contains("What became of it: it is queued, and not called yet"), "{told}");
    // Nothing came of it, and no payload of it is kept.
    let told = page(&world, &missed).await;
    assert!(flat(&told).contains(": no match: no rule matches; the nearest is"), "{told}");
    assert!(flat(&told).contains("Its payload is not here: it came by webhook"), "{told}");
    assert!(!told.contains("So:"), "{told}");
    // The rules change, and the service is stopped: from the store the same is told.
    let running = run(&world, &[&acted[..], &["--json"]].concat()).await;
    world.stop();
    spare(&world);
    let told = page(&world, &acted).await;
    assert!(flat(&told).contains("the one here is another."), "{told}");
    assert!(told.contains("protects it."), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    let stopped = run(&world, &[&acted[..], &["--json"]].concat()).await;
    assert_eq!(stopped["receipts"], running["receipts"]);
    assert_eq!(running["receipts"][0]["ruleset"], hash.as_str());
    assert_eq!(
        (&running["ruleset"], running["payload"]["from"].as_str()),
        (&hash.into(), Some("store"))
    );
    assert_ne!(stopped["ruleset"], running["ruleset"]);
    assert_eq!(stopped["alerts"][0]["candidates"][0]["outcome"], "protected");
    // What never came, and what came for another tenant.
    let other = [&acted[..], &["--tenant", "fabrikam"]].concat();
    for arguments in [&of("da9".to_owned()).each_ref().map(|s| &**s)[..], &other] {
        let output = world.command(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("there is no receipt of an alert"), "{said}");
    }
    std::fs::remove_file(rules(&world, "deny.yml")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_several_tenants_is_explained_of_the_one_that_is_named() {
    let mut world = World::new(Setting { tenants: 2, ..Setting::default() }).await;
    world.start().await;
    world.post("m-1", &alert(1)).await.unwrap();
    world.post("m-2", &alert(1).replace(TENANT_ID, &tenant_id(1))).await.unwrap();
    let id = id_of(&alert(1));
    let of_both = ["rules", "explain", "--alert-id", &id, "--json"];
    let output = world.command(&of_both).output().unwrap();
    let said = flat(&String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("choose with --tenant, of contoso, t1"), "{said}");
    let report = run(&world, &[&of_both[..], &["--tenant", "t1"]].concat()).await;
    let receipts = report["receipts"].as_array().unwrap();
    assert_eq!((receipts.len(), &receipts[0]["tenant"]), (1, &"t1".into()));
}

#[test]
fn a_payload_is_read_again_from_kafka() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    let kafka = Some((broker.address(), "alerts".to_owned()));
    let mut world = block_on(World::new(Setting { kafka, ..Setting::default() }));
    block_on(world.start());
    let both = format!("{}\n{}", blocked(1), blocked(2));
    broker.produce("alerts", 0, [Some(both.as_bytes()), Some(alert(3).as_bytes())]);
    block_on(world.until("all three are judged", async |world| {
        let listed = run(world, &["actions", "receipts", "--json"]).await;
        listed.as_array().unwrap().len() == 3
    }));
    let dir = world.dir.path().join("rules").display().to_string();
    let explain = |more: &[&str]| {
        let arguments = [&["rules", "explain", "--rules", &dir], more].concat();
        world.command(&arguments).output().unwrap().stdout
    };
    let told = String::from_utf8(explain(&["--alert-id", &id_of(&alert(2))])).unwrap();
    for said in [
        "Its payload was read again, from kafka stream,",
        "topic alerts, partition 0, offset 0.",
        "detected: \"Blocked\", at $.evidence[0].detectionStatus",
        // It is that one of the two which is judged.
        &format!("sha1 1{:039x}", 2),
        "So: the rules would do nothing",
    ] {
        assert!(flat(&told).contains(said), "{said}: {told}");
    }
    let id = block_on(state_of(&world, 3))["id"].as_str().unwrap().to_owned();
    let of_action =
        || -> Value { serde_json::from_slice(&explain(&["--action", &id, "--json"])).unwrap() };
    let report = of_action();
    assert_eq!(report["action"]["id"], id.as_str());
    assert_eq!(report["payload"]["from"], "kafka");
    let candidate = &report["alerts"][0]["candidates"][0];
    assert!(candidate.to_string().contains("$.evidence[0].detectionStatus"), "{candidate}");
    // Once the topic has lost it, what the action kept is all there is.
    broker.delete_before("alerts", 0, 2);
    let report = of_action();
    assert_eq!(report["payload"]["from"], "snapshot");
    let said = report["payload"]["said"].as_str().unwrap();
    assert!(said.contains("offset 1") && said.contains("any more"), "{said}");
    let candidate = &report["alerts"][0]["candidates"][0];
    assert_eq!(candidate["outcome"], "act");
    assert!(!candidate.to_string().contains("$.evidence"), "{candidate}");
}

/// One row of the stream, of the same alert as the others.
fn row(table: &str, mut properties: Value) -> String {
    properties["AlertId"] = "da638720000000000000_1".into();
    let now = lazaret::io::clock::SystemClock::new().now().wall.to_string();
    properties["Timestamp"] = now.into();
    let category = format!("AdvancedHunting-{table}");
    json!({"category": category, "tenantId": TENANT_ID, "properties": properties}).to_string()
}

#[test]
fn of_rows_that_lie_in_several_messages_it_says_that_one_has_not_all() {
    let broker = Broker::start();
    broker.create_topic("rows", 1);
    let kafka = Some((broker.address(), "rows".to_owned()));
    let mut world = block_on(World::new(Setting { kafka, ..Setting::default() }));
    let config = std::fs::read_to_string(world.config()).unwrap();
    let config = config.replace("format: defender-alert", "format: defender-xdr");
    std::fs::write(world.config(), config).unwrap();
    block_on(world.start());
    let file = json!({"EntityType": "File", "SHA1": format!("1{:039x}", 7), "FileName": "a.exe"});
    let info = json!({"Title": "Malware", "Severity": "High", "Category": "Malware"});
    let rows = [row("AlertEvidence", file), row("AlertInfo", info)];
    broker.produce("rows", 0, rows.iter().map(|row| Some(row.as_bytes())));
    let mut told = String::new();
    block_on(world.until("both are read", async |world| {
        let arguments = ["rules", "explain", "--alert-id", "da638720000000000000_1"];
        let mut command = world.command(&arguments);
        let run = tokio::task::spawn_blocking(move || command.output().unwrap());
        told = String::from_utf8(run.await.unwrap().stdout).unwrap();
        told.contains("waiting")
    }));
    let said = "That message has only some of the alert's rows";
    assert!(flat(&told).contains(said), "{told}");
    assert!(flat(&told).contains("topic rows, partition 0, offset"), "{told}");
}

/// A mapped format says itself where it read each field: trying finds the same.
#[test]
fn places_that_are_found_by_trying_are_those_that_formats_tell() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let loaded = lazaret::rules::load(&root, lazaret::domain::time::Wall(0)).unwrap();
    let samples = std::fs::read_dir(root.join("samples")).unwrap();
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(entry.unwrap().path()).unwrap()
    };
    let samples: Vec<String> = samples.map(read).collect();
    let mut compared = 0;
    for mapped in loaded.formats.mapped() {
        let reader = loaded.formats.find(&mapped.name).unwrap();
        for text in &samples {
            let Ok(explained) = mapped.explain(text) else { continue };
            if explained.id.is_err() {
                continue;
            }
            let places = lazaret::formats::traced(reader, text).unwrap();
            for ((candidate, told), places) in explained.candidates.iter().zip(&places) {
                for told in explained.alert.iter().chain(told) {
                    compared += usize::from(expect_told(candidate, told, places));
                }
            }
        }
    }
    assert!(compared > 50, "{compared}");
}

/// Whether there was something to compare.
fn expect_told(
    candidate: &Candidate<'_>,
    told: &Told,
    places: &BTreeMap<Field, Vec<String>>,
) -> bool {
    let Some((field, from)) = Field::parse(told.name).zip(told.from.as_ref()) else { return false };
    if *candidate.fields.get(field) == FieldValue::Absent {
        return false;
    }
    let found = places.get(&field).map_or(&[][..], Vec::as_slice);
    let is_within = found.iter().all(|place| place.starts_with(from.as_str()));
    assert!(!found.is_empty() && is_within, "{told:?}: {found:?}");
    true
}

/// Most of all it is asked when a test fails.
#[test]
fn a_rule_whose_test_fails_is_explained_all_the_same() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("samples")).unwrap();
    let name = "quarantine-active-malware.yml";
    let rule = std::fs::read_to_string(shipped.join(name)).unwrap();
    std::fs::copy(shipped.join(SAMPLE[1]), dir.path().join(SAMPLE[1])).unwrap();
    let explain = |rule: &str| {
        std::fs::write(dir.path().join(name), rule).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lazaret"));
        command.current_dir(dir.path()).args(["rules", "explain", "--rules", "."]).args(SAMPLE);
        command.output().unwrap()
    };
    let failing = rule.replacen("alert.category: Malware", "alert.category: Discovery", 1);
    assert_ne!(rule, failing);
    let output = explain(&failing);
    let said = flat(&String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && said.contains("A test fails"), "{said}");
    let told = flat(&String::from_utf8(output.stdout).unwrap());
    assert!(told.contains("fail alert.category is discovery: \"Malware\""), "{told}");
    // What is wrong otherwise is told alone.
    let output = explain(&rule.replacen("alert.category", "alert.catgory", 1));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_file_of_an_alert_it_is_told_what_became_of_its_own_action() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    run(&world, &["pause", "--reason", "an exercise", "--json"]).await;
    let mut both: Value = serde_json::from_str(&alert(1)).unwrap();
    let mut other = both["evidence"][0].clone();
    other["sha1"] = format!("1{:039x}", 2).into();
    both["evidence"].as_array_mut().unwrap().push(other.clone());
    world.post("m-1", &both.to_string()).await.unwrap();
    let listed = run(&world, &["actions", "list", "--json"]).await;
    let mut listed = listed.as_array().unwrap().iter();
    let rejected = listed.find(|action| action["sha1"] == other["sha1"]).unwrap();
    let reject = ["actions", "reject", rejected["id"].as_str().unwrap(), "--reason", "no"];
    run(&world, &[&reject[..], &["--json"]].concat()).await;
    let dir = world.dir.path().join("rules").display().to_string();
    let of_alert = ["rules", "explain", "--rules", &dir, "--alert-id", &id_of(&alert(1)), "--json"];
    let told = run(&world, &of_alert).await;
    let candidates = told["alerts"][0]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "{told}");
    for one in candidates {
        let is_rejected = one["sha1"] == other["sha1"];
        let became = if is_rejected { "it was rejected by token local" } else { "it is queued" };
        let said = one["sentence"].as_str().unwrap();
        assert!(said.contains(&format!("What became of it: {became}")), "{said}");
    }
    world.stop();
}
