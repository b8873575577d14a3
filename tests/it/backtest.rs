//! `lazaret rules backtest`, as people run it.

mod topic;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::world::{Setting, TENANT_ID, World};

const HOUR: i64 = 3600;

/// The 3rd of August 2026, in seconds.
const BEGIN: i64 = 1_785_715_200;

/// As in RFC 3339.
fn time(seconds: i64) -> String {
    lazaret::domain::time::Wall((BEGIN + seconds) * 1_000_000).to_string()
}

/// An alert of that second, of a file on a machine, whose evidence is as old as everything.
fn alert(seconds: i64, machine: u64, file: u64) -> Value {
    json!({
        "id": format!("da{seconds}-{machine}-{file}"),
        "severity": "High",
        "category": "Malware",
        "title": "Malware was detected",
        "alertCreationTime": time(seconds),
        "machineId": format!("{machine:040x}"),
        "aadTenantId": TENANT_ID,
        "evidence": [{
            "entityType": "File",
            "evidenceCreationTime": time(0),
            "sha1": format!("1{file:039x}"),
            "fileName": "bad.exe",
            "filePath": "C:\\Users\\Public",
            "detectionStatus": "Detected",
        }],
    })
}

fn lines<'v>(alerts: impl IntoIterator<Item = &'v Value>) -> String {
    alerts.into_iter().map(|alert| format!("{alert}\n")).collect()
}

/// Runs a backtest in this world, with the alerts of that text.
fn backtest(world: &World, text: impl AsRef<[u8]>, more: &[&str]) -> Output {
    let file = world.dir.path().join("alerts.ndjson");
    std::fs::write(&file, text).unwrap();
    run(world, file.to_str().unwrap(), more)
}

fn run(world: &World, alerts: &str, more: &[&str]) -> Output {
    let arguments = [&["rules", "backtest", "--alerts", alerts], more].concat();
    world.command(&arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let fits = |line: &str| line.chars().count() <= 80 || !line.contains(' ');
    assert!(text.lines().all(fits), "{text}");
    text
}

fn failed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code));
    // Lines are cut where they are full.
    let said = String::from_utf8_lossy(&output.stderr);
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_the_lines_does_not_matter_however_many_threads_judge_them() {
    let world = World::new(Setting::default()).await;
    let mut dice = Dice(1);
    // More than three chunks, of four days.
    let mut all: Vec<(i64, u64, u64)> = (0..8000)
        .map(|_| (dice.below(96 * 3600) as i64, dice.below(40) + 1, dice.below(40)))
        .collect();
    all.sort_unstable();
    let (mut last, mut acted) = (HashMap::new(), 0);
    for (at, machine, file) in &all {
        let blocked = last.get(&(machine, file)).is_some_and(|last| at - last < 24 * HOUR);
        if !blocked {
            acted += 1;
            last.insert((machine, file), *at);
        }
    }
    let mut alerts: Vec<Value> =
        all.iter().map(|(at, machine, file)| alert(*at, *machine, *file)).collect();
    let sorted = lines(&alerts);
    assert!(sorted.len() > 3 * 1024 * 1024);
    let told = out(&backtest(&world, sorted, &[]));
    let duplicates = 8000 - acted;
    let counts = format!("{acted:10}  acted\n{duplicates:10}  duplicate\n");
    assert!(acted > 1600 && told.contains(&counts), "{counts}{told}");
    for _ in 0..2 {
        dice.shuffle(&mut alerts);
        assert_eq!(out(&backtest(&world, lines(&alerts), &[])), told);
    }
    // Several in a line, as an array.
    let arrays = alerts.chunks(7).map(|some| json!(some)).collect::<Vec<_>>();
    assert_eq!(out(&backtest(&world, lines(&arrays), &[])), told);
}

#[test]
fn the_order_of_rows_does_not_matter_either() {
    let dir = tempfile::tempdir().unwrap();
    let program = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret"));
        command.args(arguments).current_dir(dir.path()).output().unwrap()
    };
    let arguments = "generate --incidents 800 --seed 5 --as defender-xdr --rules rules \
                     --now 2026-08-03T00:00:00Z --truth truth";
    let made = program(&arguments.split_whitespace().collect::<Vec<_>>());
    assert!(made.stdout.len() > 2 * 1024 * 1024, "more than one chunk");
    let text = String::from_utf8(made.stdout).unwrap();
    let told = |text: &str| {
        std::fs::write(dir.path().join("rows"), text).unwrap();
        let alerts = ["rules", "backtest", "--alerts", "rows", "--format", "defender-xdr"];
        out(&program(&alerts))
    };
    let first = told(&text);
    let files = |text: &str| text.lines().filter(|line| line.contains("calls for")).count();
    assert!(files(&first) == 1 && !first.contains("\n0 calls"), "{first}");
    assert!(first.contains("without the row of the alert itself"), "{first}");
    let mut rows: Vec<&str> = text.lines().collect();
    Dice(2).shuffle(&mut rows);
    assert_eq!(told(&rows.join("\n")), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_read_is_told_with_its_line_and_stops_nothing() {
    let world = World::new(Setting::default()).await;
    let good = |n| alert(n, n as u64 + 1, 1).to_string();
    let odd = format!("\u{feff}{}\r\n\r\n{{\r\n{}\r\nnull\n{}", good(1), good(2), good(3));
    let told = out(&backtest(&world, odd, &[]));
    assert!(told.starts_with("3 alerts of ") && told.contains(", 2 unreadable"), "{told}");
    assert!(told.contains("         3  acted\n"), "{told}");
    assert!(told.contains("\nfirst unreadable: line 3: "), "{told}");
    let mut bytes = good(1).into_bytes();
    bytes.extend(b"\n\xff\xfe\n");
    bytes.extend(good(2).into_bytes());
    let told = out(&backtest(&world, bytes, &[]));
    assert!(told.contains("2 alerts of") && told.contains("first unreadable: line 2: "), "{told}");

    for empty in ["", "\n \r\n"] {
        let told = out(&backtest(&world, empty, &[]));
        assert!(told.starts_with("0 alerts of ") && told.contains("0 calls for"), "{told}");
    }
    // One alert over many lines is none, and exit code 0 would say that nothing happens.
    let pretty = serde_json::to_string_pretty(&alert(1, 1, 1)).unwrap();
    let said = failed(&backtest(&world, pretty, &[]), 1);
    assert!(said.contains("line 1: ") && said.contains("has to stand whole in its line"), "{said}");
    let said = failed(&run(&world, "no-such-file", &[]), 2);
    assert!(said.contains("no-such-file can't be read"), "{said}");
    let said = failed(&run(&world, "/", &[]), 2);
    assert!(said.contains("is a directory"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unreadable_is_the_first_in_the_file_whatever_thread_meets_it() {
    let world = World::new(Setting::default()).await;
    let mut all: Vec<String> = (0..12_000).map(|n| alert(n, n as u64 + 1, 1).to_string()).collect();
    for at in [1111, 3333, 5555, 7777, 9999, 11_111] {
        all[at - 1] = "{".to_owned();
    }
    let text = all.join("\n");
    assert!(text.len() > 4 * 1024 * 1024);
    for _ in 0..5 {
        let told = out(&backtest(&world, &text, &[]));
        assert!(told.contains(", 6 unreadable"), "{told}");
        assert!(told.contains("first unreadable: line 1111: "), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_without_a_time_or_of_the_future_leads_to_nothing() {
    let world = World::new(Setting::default()).await;
    let mut timeless = alert(1, 1, 1);
    timeless.as_object_mut().unwrap().remove("alertCreationTime");
    let mut coming = alert(1, 2, 1);
    coming["alertCreationTime"] = json!("9999-01-01T00:00:00Z");
    let all = lines(&[timeless, alert(5, 3, 1), coming]);
    let told = out(&backtest(&world, &all, &[]));
    assert!(told.contains("         1  acted\n         2  incomplete\n"), "{told}");
    assert!(told.contains("\n2 alerts of no time, or of one in the future"), "{told}");
    let told = out(&backtest(&world, &all, &["--to", "2026-08-04"]));
    assert!(told.starts_with("1 alert of ") && !told.contains("incomplete\n"), "{told}");

    let mut without = alert(1, 1, 1);
    without.as_object_mut().unwrap().remove("evidence");
    let told = out(&backtest(&world, lines(&[without]), &[]));
    assert!(told.contains("\n1 alert with files that only Defender could tell of"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_narrowed_by_the_times_of_its_alerts() {
    let world = World::new(Setting::default()).await;
    let all: Vec<Value> = (0..10).map(|n| alert(n * 12 * HOUR, n as u64 + 1, 1)).collect();
    let all = lines(&all);
    let acted = |more: &[&str]| {
        let told = out(&backtest(&world, &all, more));
        let calls = told.lines().find(|line| line.contains(" for ")).unwrap();
        let calls: u64 = calls.split(' ').next().unwrap().parse().unwrap();
        let outside = format!("{} alert{} not of", 10 - calls, if calls == 9 { "" } else { "s" });
        assert_eq!(told.contains(&outside), calls < 10, "{told}");
        calls
    };
    assert_eq!(acted(&[]), 10);
    assert_eq!(acted(&["--from", &time(12 * HOUR)]), 9, "that moment included");
    assert_eq!(acted(&["--to", &time(12 * HOUR)]), 2, "that moment included");
    assert_eq!(acted(&["--from", "2026-08-04", "--to", "2026-08-05"]), 4, "whole days");
    assert_eq!(acted(&["--from", "36500d"]), 10);
    assert_eq!(acted(&["--to", "36500d"]), 0);
    let said = failed(&backtest(&world, &all, &["--from", "1h", "--to", "2h"]), 2);
    assert!(said.contains("--from is later than --to"), "{said}");
    let said = failed(&backtest(&world, &all, &["--from", "yesterday"]), 2);
    assert!(said.contains("a span back from now such as 24h"), "{said}");
}

/// Replaces a part of the configuration.
fn change(world: &World, from: &str, to: &str) {
    let text = std::fs::read_to_string(world.config()).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(world.config(), text.replacen(from, to, 1)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breakers_of_tenants_count_what_the_configuration_says() {
    let world = World::new(Setting { tenants: 2, ..Setting::default() }).await;
    let breakers = "breakers: {actions: 4/1h, share_of_fleet: 20%/24h}\n    fleet: 15";
    change(&world, "breakers: {actions: 1000000/1h}", breakers);
    // Ten calls on five machines within an hour.
    let all: Vec<Value> = (0..10).map(|n| alert(n * 60, n as u64 % 5 + 1, n as u64)).collect();
    let told = out(&backtest(&world, lines(&all), &[]));
    let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "tenant contoso: breaker tenant_actions (4/1h) would have held from \
         2026-08-03T00:04:00.000Z, and 2 times in all if it was resumed each time at once",
        "tenant contoso: breaker share_of_fleet (3/24h) would have held from \
         2026-08-03T00:03:00.000Z, and 2 times in all",
    ] {
        assert!(words.contains(said), "{told}");
    }
    // Neither the other tenant's, which has others, nor those of nobody.
    for id in [crate::world::tenant_id(1), "99999999-2222-3333-4444-555555555555".to_owned()] {
        let mut theirs = all.clone();
        theirs.iter_mut().for_each(|alert| alert["aadTenantId"] = json!(id));
        let told = out(&backtest(&world, lines(&theirs), &[]));
        assert!(told.contains("10 calls for") && !told.contains("breaker"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_says_format_and_tenants() {
    let world = World::new(Setting { tenants: 2, ..Setting::default() }).await;
    change(&world, "tenants: [contoso, t1]", "tenants: [contoso]");
    let mut theirs = alert(1, 1, 1);
    theirs["aadTenantId"] = json!(crate::world::tenant_id(1));
    let all = lines(&[theirs, alert(2, 2, 2)]);
    let told = out(&backtest(&world, &all, &[]));
    assert!(told.contains("         2  acted"), "{told}");
    let told = out(&backtest(&world, &all, &["--source", "siem"]));
    assert!(told.contains("         1  acted\n         1  unknown tenant\n"), "{told}");
    assert!(told.contains("\n1 alert of tenants that the source does not speak for"), "{told}");
    change(&world, "format: defender-alert", "format: graph-alert");
    let told = out(&backtest(&world, &all, &["--source", "siem"]));
    assert!(told.contains("unreadable as graph-alert") && !told.contains("acted"), "{told}");
    let named = ["--source", "siem", "--format", "defender-alert"];
    assert!(out(&backtest(&world, &all, &named)).contains("         1  acted\n"));
    let said = failed(&backtest(&world, &all, &["--source", "sime"]), 2);
    assert!(said.contains("no source sime") && said.contains("known: siem"), "{said}");
}

/// Runs a command with a terminal for standard error and for what `out` says, and returns what came
/// on it.
const ON_TERMINAL: &str = "\
import os, pty, subprocess, sys
above, below = pty.openpty()
out = below if sys.argv[1] == 'terminal' else subprocess.DEVNULL
child = subprocess.Popen(sys.argv[2:], stdout=out, stderr=below)
os.close(below)
shown = b''
while True:
    try:
        piece = os.read(above, 65536)
    except OSError:
        break
    if not piece:
        break
    shown += piece
sys.stdout.buffer.write(shown)
sys.exit(child.wait())
";

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_how_far_it_is_and_nothing_else_does() {
    let world = World::new(Setting::default()).await;
    let all: Vec<Value> = (0..4000).map(|n| alert(n, n as u64 + 1, 1)).collect();
    let told = out(&backtest(&world, lines(&all), &[]));
    assert!(!told.contains('%') && !told.contains('\r'), "{told}");
    let python = std::env::var_os("LAZARET_TEST_PYTHON")
        .map_or_else(|| Path::new("target/clients/bin/python").to_owned(), Into::into);
    let on_terminal = |out: &str| {
        let output = Command::new(&python)
            .args(["-c", ON_TERMINAL, out, env!("CARGO_BIN_EXE_lazaret"), "rules", "backtest"])
            .arg("--alerts")
            .arg(world.dir.path().join("alerts.ndjson"))
            .env("LAZARET_CONFIG", world.config())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = on_terminal("terminal");
    let (bar, page) = shown.rsplit_once("\r\u{1b}[K").expect(&shown);
    assert!(bar.contains(" 50 %, ") && bar.contains("] 100 %, 1 of 1 MB"), "{bar}");
    assert_eq!(page.replace("\r\n", "\n"), told, "no trace is left of it");
    assert_eq!(on_terminal("file"), "");
}

/// Alerts at these minutes, each of its own machine.
fn at_minutes(minutes: &[(i64, u64, u64)]) -> Vec<Value> {
    let one = |(minute, machine, file): &(i64, u64, u64)| {
        let mut alert = alert(minute * 60, *machine, *file);
        alert["evidence"][0]["evidenceCreationTime"] = time(minute * 60).into();
        alert
    };
    minutes.iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn correlations_count_as_they_do_in_the_service_in_whatever_order_of_the_lines() {
    let world = World::new(Setting::default()).await;
    crate::correlations::correlate(&world);
    // Within an hour of each other: machines 1, 2 and 3, and 2, 3 and 4; 5 is too late, and the
    // other file on two machines only. The last is machine 3 again, with evidence that is newer.
    let mut alerts = at_minutes(&[
        (0, 1, 7),
        (30, 2, 7),
        (60, 3, 7),
        (90, 4, 7),
        (200, 5, 7),
        (1, 1, 8),
        (2, 2, 8),
        (61, 3, 7),
    ]);
    let mut dice = Dice(11);
    let mut said = None;
    for _ in 0..3 {
        let text = out(&backtest(&world, lines(&alerts), &[]));
        assert!(
            text.contains("8  no match\n") && text.contains("5 calls for 4 machines"),
            "{text}"
        );
        let of_rule = text.lines().find(|line| line.contains("Quarantine a file")).unwrap();
        assert!(of_rule.starts_with("5 "), "{text}");
        assert_eq!(said.get_or_insert(text.clone()), &text);
        dice.shuffle(&mut alerts);
    }
    let without = at_minutes(&[(0, 1, 7), (30, 2, 7), (61, 3, 7)]);
    let text = out(&backtest(&world, lines(&without), &[]));
    assert!(text.contains("0 calls"), "{text}");
}
