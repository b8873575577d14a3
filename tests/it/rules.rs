//! Rules that change while the service runs: what they stop, and what a mistake in them does not.

mod explain;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::world::{Setting, World, alert};
use explain::flat;

/// Runs a command of the program to its end, beside the running service.
async fn run(world: &World, arguments: &[&str]) -> Value {
    let mut command = world.command(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {said}"))
}

fn rules(world: &World, name: &str) -> PathBuf {
    world.dir.path().join("rules").join(name)
}

/// Denies the file of alert 1, by a list.
const DENY: &str = "\
title: Spare the files of the list
id: 0d9c1b7e-4f5a-4c8d-9b1e-2a3f4c5d6e7f
logsource: {product: microsoft_defender}
detection:
  listed: {file.sha1|expand: '%spared%'}
  condition: listed
response:
  action: deny
tests:
  - name: the listed file is spared
    alert: samples/alert.json
    expect:
      protected: [{machine: '0000000000000000000000000000000000000001', sha1: '1000000000000000000000000000000000000001'}]
";

/// Spares the file of alert 1, and returns its hash.
fn spare(world: &World) -> String {
    let sha1 = format!("1{:039x}", 1);
    std::fs::create_dir(rules(world, "lists")).unwrap();
    std::fs::write(rules(world, "lists/spared.txt"), format!("{sha1} # ours\n")).unwrap();
    std::fs::write(rules(world, "deny.yml"), DENY).unwrap();
    sha1
}

async fn state_of(world: &World, alert: usize) -> Value {
    let listed = run(world, &["actions", "list", "--json"]).await;
    let sha1 = format!("1{alert:039x}");
    let found =
        listed.as_array().unwrap().iter().find(|action| {
            action["sha1"] == sha1.as_str() || action["key"]["sha1"] == sha1.as_str()
        });
    found.unwrap_or_else(|| panic!("{listed}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_denies_stops_what_is_queued_and_nothing_else() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let before = world.report().await;
    run(&world, &["pause", "--reason", "an exercise", "--json"]).await;
    for n in [1, 2] {
        let (_, answer) = world.post(&format!("msg_{n}"), &alert(n)).await.unwrap();
        assert!(answer.contains("acted"), "{answer}");
    }
    let sha1 = spare(&world);
    world.until("the new rules", async |world| world.report().await.rules == 2).await;
    assert_ne!(world.report().await.ruleset, before.ruleset);
    run(&world, &["resume", "--reason", "over", "--json"]).await;
    world
        .until("both ends", async |world| {
            let states = world.report().await.summary.states;
            let ended =
                |name: &str| states.iter().any(|s| s.state.as_str() == name && s.count == 1);
            ended("rejected") && ended("succeeded")
        })
        .await;
    let calls: Vec<String> = world.calls().into_keys().map(|(_, body)| body).collect();
    assert_eq!(calls.len(), 1);
    assert!(!calls[0].contains(&sha1), "{calls:?}");
    let action = state_of(&world, 1).await;
    let shown = run(&world, &["actions", "show", action["id"].as_str().unwrap(), "--json"]).await;
    let why = shown.to_string();
    assert!(why.contains("protected by rule 0d9c1b7e-4f5a-4c8d-9b1e-2a3f4c5d6e7f"), "{why}");

    // And what comes now is not even queued.
    let (_, answer) = world.post("msg_3", &alert(1).replace("_1\"", "_2\"")).await.unwrap();
    assert!(answer.contains("protected") && answer.contains("0d9c1b7e"), "{answer}");
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_leaves_the_rules_that_are_in_force_and_shows_until_it_is_mended() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let before = world.report().await;
    std::fs::write(rules(&world, "deny.yml"), DENY).unwrap();
    world.until("the refusal", async |world| world.report().await.rules_refused.is_some()).await;
    let report = world.report().await;
    assert_eq!((report.rules, report.ruleset), (1, before.ruleset));
    let problem = &report.problems[0];
    let wanted = "the rules on disk are refused, the set before stays in force: ";
    assert!(problem.starts_with(wanted), "{problem}");
    assert!(problem.contains("deny.yml:5:30: error: there is no list spared"), "{problem}");
    assert!(problem.contains("lazaret rules check "), "{problem}");
    assert!(world.metrics().await.contains("lazaret_rules_refused 1"));
    assert_eq!(world.ready().await, json!(["the rules on disk are refused"]));
    let (_, answer) = world.post("msg_1", &alert(1)).await.unwrap();
    assert!(answer.contains("acted"), "the old rules judge: {answer}");

    std::fs::create_dir(rules(&world, "lists")).unwrap();
    std::fs::write(rules(&world, "lists/spared.txt"), format!("1{:039x}", 1)).unwrap();
    world.until("the new rules", async |world| world.report().await.rules == 2).await;
    let report = world.report().await;
    assert_eq!(report.rules_refused, None);
    assert!(!report.problems.iter().any(|problem| problem.contains("refused")));
    assert!(world.metrics().await.contains("lazaret_rules_refused 0"));
    world.stop();
    assert_eq!(world.log().matches("the rules on disk are refused").count(), 1, "said once");
    // In the log of the database, or in itself.
    let data = std::fs::read_dir(world.dir.path().join("data")).unwrap();
    let record: String = data
        .map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    for part in ["rules_refused", "there is no list spared", r#""list spared"]"#] {
        assert!(record.contains(part), "{part} is not on the record");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_rules_at_once_and_says_what_came_of_it() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    world.hang_up();
    world.until("the answer", async |world| world.log().contains("say what they said")).await;
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_while_it_was_stopped_is_on_the_record_of_the_start() {
    let mut world = World::new(Setting::default()).await;
    for spared in [false, true, true] {
        if spared && !rules(&world, "lists").exists() {
            spare(&world);
        }
        world.start().await;
        world.stop();
    }
    let output = world.command(&["audit", "export"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let loaded: Vec<Value> = lines
        .filter(|line| line["what"] == "rules_loaded")
        .map(|line| line["entry"]["what"]["added"].clone())
        .collect();
    let [first, second, third] = &loaded[..] else { panic!("{loaded:?}") };
    assert_eq!(first.as_array().unwrap().len(), 1, "all there is: {first}");
    assert_eq!(*second, json!(["0d9c1b7e-4f5a-4c8d-9b1e-2a3f4c5d6e7f", "list spared"]));
    assert_eq!(*third, json!([]));
}

/// A format of a home-made sender, with a word that says how files are listed.
fn format(files: &str) -> String {
    let (machine, sha1) = (format!("{:040x}", 7), format!("1{:039x}", 7));
    format!(
        "\
format: home
alert:
  id: $.number
  created: $.at
  category: {{always: Malware}}
candidates:
  - each: $.{files}[*]
    machine.id: '@.machine'
    file.sha1: '@.hash'
    file.entity: {{always: File}}
    file.detection_status: {{always: Detected}}
tests:
  - name: one file on one machine
    alert: samples/home.json
    expect: [{{machine: '{machine}', sha1: '{sha1}'}}]
"
    )
}

fn home(files: &str, n: usize) -> String {
    let at = alert(n).split("alertCreationTime\":\"").nth(1).unwrap()[..24].to_owned();
    let file = json!({"machine": format!("{n:040x}"), "hash": format!("1{n:039x}")});
    json!({"number": n, "at": at, files: [file]}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_of_a_file_acts_and_changes_while_the_service_runs() {
    let mut world = World::new(Setting::default()).await;
    let config = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), config.replace("defender-alert", "home")).unwrap();
    let refused = world.command(&["run"]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("source siem: format: there is no format \"home\""), "{said}");
    assert_eq!(refused.status.code(), Some(2), "{said}");
    let doctor = world.command(&["doctor"]).output().unwrap();
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("there is no format \"home\""));

    std::fs::create_dir(rules(&world, "formats")).unwrap();
    std::fs::write(rules(&world, "samples/home.json"), home("files", 7)).unwrap();
    std::fs::write(rules(&world, "formats/home.yml"), format("files")).unwrap();
    world.start().await;
    let before = world.report().await;
    let (_, answer) = world.post("msg_1", &home("files", 1)).await.unwrap();
    assert!(answer.contains("acted"), "{answer}");
    let call = async |world: &World, n: usize| {
        let target = format!("/api/machines/{n:040x}/StopAndQuarantineFile");
        let calls = world.calls();
        calls.keys().any(|(to, body)| *to == target && body.contains(&format!("alert {n}\"")))
    };
    world.until("the call", async |world| call(world, 1).await).await;

    // A format whose tests fail refuses all of the set, a rule that came with it too.
    std::fs::write(rules(&world, "formats/home.yml"), format("objects")).unwrap();
    world.until("the refusal", async |world| world.report().await.rules_refused.is_some()).await;
    let report = world.report().await;
    assert_eq!(report.ruleset, before.ruleset);
    let problem = &report.problems[0];
    let why =
        "home.yml:15:13: error: test \"one file on one machine\" fails: 1 pair should come out";
    assert!(problem.contains(why), "{problem}");
    let (_, answer) = world.post("msg_2", &home("files", 2)).await.unwrap();
    assert!(answer.contains("acted"), "the format before reads: {answer}");

    // Nor may one go away that a source names.
    std::fs::remove_file(rules(&world, "formats/home.yml")).unwrap();
    world
        .until("the refusal", async |world| {
            let why = world.report().await.rules_refused.unwrap_or_default();
            why.contains("source siem: format: there is no format \"home\"")
        })
        .await;

    std::fs::write(rules(&world, "samples/home.json"), home("objects", 7)).unwrap();
    std::fs::write(rules(&world, "formats/home.yml"), format("objects")).unwrap();
    world
        .until("the new set", async |world| {
            let report = world.report().await;
            report.rules_refused.is_none() && report.ruleset != before.ruleset
        })
        .await;
    let (_, answer) = world.post("msg_3", &home("files", 3)).await.unwrap();
    assert!(!answer.contains("acted"), "nothing is there any more: {answer}");
    let (_, answer) = world.post("msg_4", &home("objects", 4)).await.unwrap();
    assert!(answer.contains("acted"), "{answer}");
    world.until("the call", async |world| call(world, 4).await).await;
    assert_eq!(world.calls().len(), 3);
    world.stop();
    let record = world.command(&["audit", "export"]).output().unwrap();
    let record = String::from_utf8(record.stdout).unwrap();
    assert!(record.contains(r#""changed":["format home"]"#), "{record}");
}

async fn page(world: &World, arguments: &[&str]) -> String {
    let mut command = world.command(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_explained_on_a_sample_and_on_what_was_decided() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    world.post("m-1", &alert(1)).await.unwrap();
    let sample = world.dir.path().join("sample.json");
    std::fs::write(&sample, alert(1).replace("\"Detected\"", "\"Blocked\"")).unwrap();
    let (dir, sample) = (world.dir.path().join("rules"), sample.display().to_string());
    let dir = dir.display().to_string();
    let of_sample = ["rules", "explain", "--rules", &dir, "--alert", &sample];
    let told = page(&world, &of_sample).await;
    assert!(told.contains("fail       file.detection_status is detected: \"Blocked\""), "{told}");
    let nothing = "So: the rules would do nothing: no rule matches. The nearest is";
    assert!(flat(&told).contains(nothing) && !told.contains("became"), "{told}");
    // The sender of the same is told so too, and the row that is kept of it says so.
    let (_, answer) = world.post("m-2", &std::fs::read_to_string(&sample).unwrap()).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let receipts = run(&world, &["actions", "receipts", "--fate", "no_match", "--json"]).await;
    let near = "active stands against it: file.detection_status is \"Blocked\"";
    for why in [&answer["alerts"][0]["candidates"][0]["why"], &receipts[0]["reason"]] {
        let why = why.as_str().unwrap();
        assert!(
            why.starts_with("no rule matches; the nearest is \"") && why.ends_with(near),
            "{why}"
        );
    }
    // Of what was decided: from the store, by the rules of then and of now.
    let id = state_of(&world, 1).await["id"].as_str().unwrap().to_owned();
    let of_action = ["rules", "explain", "--rules", &dir, "--action", &id];
    let told = page(&world, &of_action).await;
    assert!(told.contains("the one here. It is"), "{told}");
    assert!(flat(&told).contains("So: the rules would let it act, as"), "{told}");
    assert!(flat(&told).contains("What became of it: it "), "{told}");
    spare(&world);
    let told = page(&world, &of_action).await;
    assert!(told.contains("the one here is another") && told.contains("protects it."), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_says_what_would_be_done_and_what_other_rules_would_change() {
    let world = World::new(Setting::default()).await;
    let file = world.dir.path().join("alerts.ndjson");
    std::fs::write(&file, [alert(2), alert(1), "{".to_owned(), alert(1)].join("\n")).unwrap();
    let (file, ours) = (file.display().to_string(), world.dir.path().join("rules"));
    let ours = ours.display().to_string();
    let told = page(&world, &["rules", "backtest", "--rules", &ours, "--alerts", &file]).await;
    assert!(told.starts_with("3 alerts of ") && told.contains("1 unreadable"), "{told}");
    assert!(told.contains("         2  acted\n         1  duplicate\n"), "{told}");
    assert!(told.contains("2 calls for 2 machines and 2 files"), "{told}");
    assert!(told.contains("first unreadable: line 3: "), "{told}");
    // Rules that spare one of the files, beside those.
    let theirs = world.dir.path().join("theirs");
    spare(&world);
    std::fs::rename(world.dir.path().join("rules"), &theirs).unwrap();
    std::fs::create_dir_all(rules(&world, "samples")).unwrap();
    for file in ["rule.yml", "samples/alert.json"] {
        std::fs::copy(theirs.join(file), rules(&world, file)).unwrap();
    }
    let theirs = theirs.display().to_string();
    let both = ["rules", "backtest", "--rules", &ours, "--alerts", &file, "--against", &theirs];
    let told = page(&world, &both).await;
    assert!(told.contains("1 of the first only, 0 of the second only"), "{told}");
    let line = told.lines().find(|line| line.starts_with("- ")).unwrap();
    assert!(told.contains(&format!("1{:039x}", 1)), "{line}");
}
