//! Who may ask a running service, and the record of it: verified and exported while it runs and
//! after.

use std::process::{Command, Output};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::world::{Setting, World, alert};

const ALICE: &str = "alice-has-this-token";
const BOB: &str = "bob-has-this-token";
const CAROL: &str = "carol-had-this-token";

/// Alice may view, Bob operate; Carol's token has expired. Of Alice's, only the hash is known.
fn let_in(world: &World) {
    let alice = hex::encode(Sha256::digest(ALICE));
    let bob = world.dir.path().join("bob");
    std::fs::write(&bob, BOB).unwrap();
    std::fs::write(world.dir.path().join("carol"), CAROL).unwrap();
    let tokens = format!(
        "    tokens:
      - {{name: alice, role: view, sha256: {alice}, expires: 2999-12-31}}
      - {{name: bob, role: operate, token: {{file: bob}}}}
      - {{name: carol, role: admin, token: {{file: carol}}, expires: 2020-01-31}}
sources:
"
    );
    let text = std::fs::read_to_string(world.config()).unwrap();
    let (before, after) = text.split_once("sources:\n").unwrap();
    let admin = before.find("  admin: {").unwrap();
    let line = before[admin..].lines().next().unwrap();
    let address = line.trim_start_matches("  admin: {").trim_end_matches('}');
    let before = before.replace(line, &format!("  admin:\n    {address}"));
    std::fs::write(world.config(), format!("{before}{tokens}{after}")).unwrap();
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn run(world: &World, arguments: &[&str]) -> (Option<i32>, String, String) {
    run_as(world, "", arguments).await
}

/// Exit code, standard output and standard error.
async fn run_as(world: &World, token: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = world.command(arguments);
    command.env("LAZARET_TOKEN", token);
    let output = output(command).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // In one line, wherever it was wrapped.
    let said = text(&output.stderr).replace('\n', " ");
    (output.status.code(), text(&output.stdout), said)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn what(lines: &[Value]) -> Vec<(&str, &str)> {
    lines.iter().map(|l| (l["what"].as_str().unwrap(), l["actor"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_do_stands_on_the_record_under_their_names() {
    let mut world = World::new(Setting { mode: "observe", ..Setting::default() }).await;
    let_in(&world);
    world.start().await;
    assert!(world.log().contains("carol") && world.log().contains("expired"), "{}", world.log());
    assert_eq!(run_as(&world, ALICE, &["status"]).await.0, Some(0));
    let (code, _, said) = run_as(&world, ALICE, &["pause", "--reason", "no"]).await;
    assert!(code == Some(1) && said.contains("this needs operate"), "{said}");
    let file = world.dir.path().join("bob");
    let pause = ["pause", "--token-file", file.to_str().unwrap(), "--reason", "=1+1"];
    assert_eq!(run_as(&world, ALICE, &pause).await.0, Some(0), "the file wins");
    let (code, _, said) = run_as(&world, CAROL, &["status"]).await;
    assert!(code == Some(1) && said.contains("token carol expired on 2020-01-31"), "{said}");
    let (code, _, said) = run(&world, &["status", "--token-file", "/nowhere/token"]).await;
    assert!(code == Some(2) && said.contains("/nowhere/token can't be read"), "{said}");
    // After ten, unless they took longer than a minute.
    let mut said = String::new();
    for _ in 0..50 {
        said = run_as(&world, "wrong-and-long-enough", &["status"]).await.2;
        if said.contains("429") {
            break;
        }
        assert!(said.contains("401"), "{said}");
    }
    assert!(said.contains("429"), "{said}");
    assert_eq!(run_as(&world, BOB, &["resume", "--reason", "over"]).await.0, Some(0));
    world.stop();

    let (code, exported, said) = run(&world, &["audit", "export"]).await;
    assert_eq!(code, Some(0), "{said}");
    let exported = lines(&exported);
    let told = [
        ("started", "lazaret"),
        ("config_loaded", "lazaret"),
        ("rules_loaded", "lazaret"),
        ("signed_in", "token alice"),
        ("signed_in", "token bob"),
        ("paused", "token bob"),
        ("resumed", "token bob"),
        ("stopped", "lazaret"),
    ];
    // Refusals come once a minute and at the stop, so anywhere.
    let (refused, seen): (Vec<_>, Vec<_>) =
        what(&exported).into_iter().partition(|line| line.0 == "sign_in_refused");
    assert_eq!(seen, told);
    assert!(!refused.is_empty() && refused.iter().all(|line| line.1 == "lazaret"));
    let config = std::fs::read(world.config()).unwrap();
    let hash = hex::encode(Sha256::digest(config));
    assert_eq!(exported[1]["entry"]["what"]["hash"], hash.as_str());
    assert!(exported.iter().all(|line| !line.to_string().contains(BOB)));
    let log = world.log();
    assert!(!log.contains(BOB) && !log.contains(ALICE) && !log.contains(CAROL));

    let (code, csv, _) = run(&world, &["audit", "export", "--format", "csv", "--chain", "*"]).await;
    assert!(code == Some(0) && csv.starts_with("position,chain,sequence,at,"), "{csv}");
    assert!(csv.contains(",token bob,paused,'=1+1,,"), "no formula: {csv}");
    assert_eq!(csv.matches("\r\n").count(), exported.len() + 1, "{csv}");
    let range = ["audit", "export", "--from", "2999-01-02", "--to", "2999-01-01"];
    assert_eq!(run(&world, &range).await.0, Some(2), "an end before the beginning");
    let (_, later, _) = run(&world, &["audit", "export", "--from", "2999-01-02"]).await;
    assert_eq!(later, "");
    let (code, _, said) = run(&world, &["audit", "export", "--chain", "tailspin"]).await;
    assert!(code == Some(2) && said.contains("no chain \"tailspin\""), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_verifies_beside_the_service_and_an_anchor_finds_what_was_cut() {
    let mut world = World::new(Setting { mode: "observe", ..Setting::default() }).await;
    let (code, _, said) = run(&world, &["audit", "verify"]).await;
    assert!(code == Some(2) && said.contains("there is no store"), "{said}");
    world.start().await;
    world.post("msg_1", &alert(1)).await.unwrap();
    for word in ["pause", "resume"] {
        let asked = [word, "--tenant", "contoso", "--reason", "a drill"];
        assert_eq!(run(&world, &asked).await.0, Some(0));
    }
    let (code, page, said) = run(&world, &["audit", "verify"]).await;
    assert_eq!(code, Some(0), "{page} {said}");
    assert!(page.contains("ok    contoso  2 entries") && page.contains("--anchor"), "{page}");
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    let (_, heads, _) = run(&world, &["audit", "head", "--json"]).await;
    let anchors = world.dir.path().join("anchors");
    std::fs::write(&anchors, &heads).unwrap();
    let verify = ["audit", "verify", "--json", "--anchor", anchors.to_str().unwrap()];
    world.stop();
    let (code, found, said) = run(&world, &verify).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(lines(&found)[0]["chains"][1]["anchored"], 1, "{found}");

    // The log has the last heads, so it is an anchor as well.
    let log = world.dir.path().join("log.1");
    let by_log = ["audit", "verify", "--anchor", log.to_str().unwrap()];
    let (code, page, said) = run(&world, &by_log).await;
    assert!(code == Some(0) && page.contains("anchors found: "), "{page} {said}");

    let database = world.dir.path().join("data/lazaret.db");
    let cut = "DELETE FROM changes WHERE position >=
        (SELECT position FROM changes WHERE chain = 'contoso' AND sequence = 1)";
    rusqlite::Connection::open(&database).unwrap().execute_batch(cut).unwrap();
    assert_eq!(run(&world, &["audit", "verify"]).await.0, Some(0), "it looks whole");
    for arguments in [&verify[..], &by_log] {
        let (code, found, _) = run(&world, arguments).await;
        assert_eq!(code, Some(1), "{found}");
        assert!(found.contains("the anchor of entry 1 is of no"), "{found}");
    }
    let changed = "UPDATE changes SET entry = replace(entry, 'a drill', 'a spill')";
    rusqlite::Connection::open(&database).unwrap().execute_batch(changed).unwrap();
    let (code, page, said) = run(&world, &["audit", "verify"]).await;
    assert!(code == Some(1) && page.contains("FAIL  contoso"), "{page}");
    assert!(page.contains("entry 0 is not what was written") && said.contains("backup"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_is_shown_once_with_the_lines_that_let_it_in() {
    let world = World::new(Setting::default()).await;
    let new = ["token", "new", "--name", "dora", "--role", "approve", "--expires", "2999-01-31"];
    let (code, page, said) = run(&world, &new).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    let token = page.lines().map(str::trim).find(|line| line.len() == 64).unwrap();
    let line = format!("    sha256: {}\n", hex::encode(Sha256::digest(token)));
    assert!(page.contains(&line) && page.contains("    role: approve\n"), "{page}");
    let (code, other, _) = run(&world, &new).await;
    assert!(code == Some(0) && !other.contains(token), "each is new");

    let_in(&world);
    for (bob, says) in [(ALICE, "tokens alice and bob are the same"), ("short", "tokens[bob]")] {
        std::fs::write(world.dir.path().join("bob"), bob).unwrap();
        let (code, _, said) = run(&world, &["run"]).await;
        assert!(code == Some(2) && said.contains(says), "{said}");
    }
}
