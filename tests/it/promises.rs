//! Promises of enrichment and correlations that a reviewer tried to break, in the whole service.

use std::time::{Duration, Instant};

use lazaret::domain::decision::Fate;
use lazaret::io::Clock as _;
use lazaret::io::clock::SystemClock;
use lazaret::simulator::{Endpoint, Machine};
use serde_json::{Value, json};

use crate::correlations::{correlate, post};
use crate::world::{Setting, World, alert_of, assert_balance, run};

const TRUSTED: &str = "title: Spare what is installed
id: 1b6c2b2e-6d0e-4f57-9f0f-2a3b1c0d4e5f
logsource: {product: x}
detection:
  trusted: {file.path|startswith: 'C:\\Trusted'}
  condition: trusted
response: {action: deny}
";

async fn quiet(world: &World, span: Duration) {
    let began = Instant::now();
    while began.elapsed() < span {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = world.calls();
    }
}

fn called(world: &World, n: usize) -> bool {
    let target = format!("/api/machines/{n:040x}/StopAndQuarantineFile");
    world.calls().keys().any(|(to, _)| *to == target)
}

/// What covers one copy of a file on a machine covers all: a call stops every copy.
#[tokio::test(flavor = "multi_thread")]
async fn promise_a_copy_that_is_protected_protects_all_of_one_alert() {
    let mut world = World::new(Setting::default()).await;
    correlate(&world);
    std::fs::write(world.dir.path().join("rules/trusted.yml"), TRUSTED).unwrap();
    world.start().await;
    let mut two: Value = serde_json::from_str(&alert_of(1, 7)).unwrap();
    let mut trusted = two["evidence"][0].clone();
    trusted["filePath"] = "C:\\Trusted".into();
    two["evidence"].as_array_mut().unwrap().push(trusted);
    world.post("m-1", &two.to_string()).await.unwrap();
    for n in [2, 3] {
        post(&world, n, 7).await;
    }
    world.until("two calls", async |world| called(world, 2) && called(world, 3)).await;
    quiet(&world, Duration::from_secs(3)).await;
    assert!(!called(&world, 1), "the file that a deny rule covers was stopped on machine 1");
    assert_balance(&world.report().await.summary);
}

/// The same, told by two alerts before anything is matched.
#[tokio::test(flavor = "multi_thread")]
async fn promise_a_copy_that_is_protected_protects_all_of_two_alerts() {
    let mut world = World::new(Setting::default()).await;
    correlate(&world);
    std::fs::write(world.dir.path().join("rules/trusted.yml"), TRUSTED).unwrap();
    world.start().await;
    post(&world, 1, 7).await;
    let trusted = alert_of(1, 7)
        .replace("C:\\\\Users\\\\Public", "C:\\\\Trusted")
        .replace("da000000000000000001_1", "da000000000000000009_1");
    assert!(trusted.contains("Trusted"));
    world.post("m-9", &trusted).await.unwrap();
    for n in [2, 3] {
        post(&world, n, 7).await;
    }
    world.until("two calls", async |world| called(world, 2) && called(world, 3)).await;
    quiet(&world, Duration::from_secs(3)).await;
    assert!(!called(&world, 1), "the file that a deny rule covers was stopped on machine 1");
    assert_balance(&world.report().await.summary);
}

const NO_FALSE_ALARMS: &str = "title: Spare what was a false alarm
id: 2b6c2b2e-6d0e-4f57-9f0f-2a3b1c0d4e5f
logsource: {product: x}
detection:
  false_alarm: {alert.classification: FalsePositive}
  condition: false_alarm
response: {action: deny}
";

/// What is known by now counts: the alert was told again, and is a false alarm.
#[tokio::test(flavor = "multi_thread")]
async fn promise_an_alert_told_again_as_a_false_alarm_is_not_acted_on() {
    let mut world = World::new(Setting::default()).await;
    correlate(&world);
    std::fs::write(world.dir.path().join("rules/false.yml"), NO_FALSE_ALARMS).unwrap();
    world.start().await;
    let classified = |n: usize, as_what: &str| {
        let mut alert: Value = serde_json::from_str(&alert_of(n, 7)).unwrap();
        alert["classification"] = as_what.into();
        alert.to_string()
    };
    world.post("m-1", &classified(1, "TruePositive")).await.unwrap();
    world.post("m-1b", &classified(1, "FalsePositive")).await.unwrap();
    for n in [2, 3] {
        world.post(&format!("m-{n}"), &classified(n, "TruePositive")).await.unwrap();
    }
    world.until("two calls", async |world| called(world, 2) && called(world, 3)).await;
    quiet(&world, Duration::from_secs(3)).await;
    assert!(!called(&world, 1), "its alert is a false alarm, and a deny rule says so");
}

const ASKS: &str = r#"title: Quarantine unsigned files
id: 0b6c2b2e-6d0e-4f57-9f0f-2a3b1c0d4e5f
logsource: {product: microsoft_defender}
detection:
  active: {file.entity: File, file.detection_status: Detected}
  signed: {file.signer: '*'}
  condition: active and not signed
response:
  action: StopAndQuarantineFile
  comment: "Quarantined due to alert {{alert.id}}"
  mode: enforce
  unknown: enrich
tests:
  - name: what nobody signed
    alert: samples/alert.json
    set: {file.signer: null}
    expect:
      act: [{machine: "0000000000000000000000000000000000000001", sha1: "1000000000000000000000000000000000000001"}]
  - name: what somebody signed
    alert: samples/alert.json
    set: {file.signer: Contoso}
    expect: {no_match: signed}
"#;

/// One file's question holds up no other file, of the same alert neither.
#[tokio::test(flavor = "multi_thread")]
async fn promise_one_files_question_holds_up_no_other_file_of_its_alert() {
    let mut world = World::new(Setting::default()).await;
    std::fs::write(world.dir.path().join("rules/rule.yml"), ASKS).unwrap();
    let unsigned = json!({"isPeFile": true, "signer": null, "isValidCertificate": null});
    world.simulator.put_file(&format!("1{:039x}", 1), unsigned);
    world.simulator.set_machine(&format!("{:040x}", 1), Machine::default());
    world.start().await;
    let mut two: Value = serde_json::from_str(&alert_of(1, 1)).unwrap();
    let mut other = two["evidence"][0].clone();
    // Defender does not know this one; it is asked about it three times.
    other["sha1"] = format!("2{:039x}", 1).into();
    two["evidence"].as_array_mut().unwrap().push(other);
    world.post("m-1", &two.to_string()).await.unwrap();
    let both = async |world: &World| world.simulator.calls_to(Endpoint::Files).len() >= 2;
    world.until("both questions", both).await;
    quiet(&world, Duration::from_secs(4)).await;
    assert!(called(&world, 1), "Defender has told of the first file, and it waits for the second");
}

/// The reason of a hold tells of its own file, and is not as long as its alert has files.
#[tokio::test(flavor = "multi_thread")]
async fn promise_the_reason_of_a_hold_tells_of_its_own_file() {
    let mut world = World::new(Setting::default()).await;
    std::fs::write(world.dir.path().join("rules/rule.yml"), ASKS).unwrap();
    world.start().await;
    let mut alert: Value = serde_json::from_str(&alert_of(1, 1)).unwrap();
    // So old that it waits for some seconds only.
    let at = SystemClock::new().now().wall - Duration::from_secs(24 * 3600 - 64);
    alert["alertCreationTime"] = at.to_string().into();
    let one = alert["evidence"][0].clone();
    let files = (0..100).map(|n| {
        let mut file = one.clone();
        file["sha1"] = format!("3{n:039x}").into();
        file
    });
    alert["evidence"] = files.collect();
    let body = alert.to_string();
    world.post("m-1", &body).await.unwrap();
    let held = async |world: &World| {
        let fates = world.report().await.summary.fates;
        fates.iter().any(|of| of.fate == Fate::Held && of.count == 1)
    };
    world.until("the hold", held).await;
    let told = run(&world, &["actions", "list", "--held", "--json", "--limit", "100"]).await;
    let receipts = run(&world, &["actions", "receipts", "--fate", "held", "--json"]).await;
    let text = String::from_utf8_lossy(&receipts.stdout).into_owned();
    let one = String::from_utf8_lossy(&told.stdout).into_owned();
    eprintln!("alert {} bytes, receipt {} bytes, list {} bytes", body.len(), text.len(), one.len());
    eprintln!("{}", text.chars().take(900).collect::<String>());
    assert!(text.len() < 4 * body.len(), "{} bytes of reasons for {}", text.len(), body.len());
}

/// One alert, of 200 kB, must not fill the store.
#[tokio::test(flavor = "multi_thread")]
async fn promise_one_alert_that_waits_in_vain_does_not_fill_the_store() {
    let mut world = World::new(Setting::default()).await;
    std::fs::write(world.dir.path().join("rules/rule.yml"), ASKS).unwrap();
    world.start().await;
    let mut alert: Value = serde_json::from_str(&alert_of(1, 1)).unwrap();
    let at = SystemClock::new().now().wall - Duration::from_secs(24 * 3600 - 64);
    alert["alertCreationTime"] = at.to_string().into();
    let one = alert["evidence"][0].clone();
    let files = (0..1000).map(|n| {
        let mut file = one.clone();
        file["sha1"] = format!("3{n:039x}").into();
        file
    });
    alert["evidence"] = files.collect();
    world.post("m-1", &alert.to_string()).await.unwrap();
    let began = Instant::now();
    let held = async |world: &World| {
        let fates = world.report().await.summary.fates;
        fates.iter().any(|of| of.fate == Fate::Held && of.count == 1)
    };
    world.until("the hold", held).await;
    world.stop();
    let mut size = 0;
    let mut left = vec![world.dir.path().to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => left.push(entry.path()),
                false => size += entry.metadata().unwrap().len(),
            }
        }
    }
    let (took, megabytes) = (began.elapsed(), size / 1_000_000);
    assert!(megabytes < 20, "{megabytes} MB in the store for one alert, after {took:?}");
}
