//! A file turns out to be harmless while its actions stand in every state: the program, its command
//! and a strict Defender.

use std::process::Output;

use lazaret::domain::action::StateName;
use lazaret::simulator::{Effect, Endpoint, Fault, Machine, Trouble};
use serde_json::Value;

use crate::world::{Setting, World, alert_of};

/// The file that all of these alerts name.
const FILE: usize = 7;

fn sha1() -> String {
    format!("1{FILE:039x}")
}

fn machine(n: usize) -> String {
    format!("{n:040x}")
}

fn offline() -> Machine {
    Machine { offline: true, ..Machine::default() }
}

async fn run(world: &World, arguments: &[&str]) -> Output {
    let mut command = world.command(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn recall(world: &World, more: &[&str]) -> Value {
    let sha1 = sha1();
    let mut arguments = vec!["recall", "--sha1", &sha1, "--json"];
    arguments.extend(more);
    let output = run(world, &arguments).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {said}"))
}

const WHY: [&str; 2] = ["--reason", "it is our own installer"];

async fn send(world: &World, machines: std::ops::RangeInclusive<usize>) {
    for n in machines {
        let (status, answer) = world.post(&format!("msg_{n}"), &alert_of(n, FILE)).await.unwrap();
        assert_eq!(status, 202, "{answer}");
    }
}

/// Waits until so many actions stand in that state.
async fn until(world: &World, state: StateName, wanted: u64) {
    world
        .until(state.as_str(), async |world| {
            let states = world.report().await.summary.states;
            let of = states.iter().filter(|of| of.state == state);
            of.map(|of| of.count).sum::<u64>() == wanted
        })
        .await;
}

/// The state of each machine's action, from a report.
fn states(report: &Value) -> Vec<(String, String)> {
    let lines = report["actions"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines.map(|line| (text(&line["machine"]), text(&line["state"]))).collect()
}

fn cancels(world: &World) -> Vec<lazaret::simulator::Call> {
    world.simulator.calls_to(Endpoint::Cancel)
}

async fn until_cancelled(world: &World, wanted: u64) {
    until(world, StateName::Cancelled, wanted).await;
    assert_eq!(recall(world, &["--status"]).await["cancels"]["open"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_state_an_action_is_in_its_recall_leads_to_the_right_end() {
    // Two calls in an hour: the third action stays queued.
    let quarantine = vec![(2, 3_600_000)];
    let mut world = World::new(Setting { quarantine, ..Setting::default() }).await;
    world.simulator.set_machine(&machine(2), offline());
    world.start().await;
    send(&world, 1..=1).await;
    until(&world, StateName::Succeeded, 1).await;
    send(&world, 2..=2).await;
    until(&world, StateName::Accepted, 1).await;
    send(&world, 3..=3).await;
    until(&world, StateName::Queued, 1).await;

    let recalled = recall(&world, &WHY).await;
    assert_eq!((&recalled["rejected"], &recalled["asked"]), (&1.into(), &1.into()));
    let found = states(&recalled);
    assert_eq!(found[0], (machine(1), "succeeded".to_owned()));
    assert_eq!(found[2], (machine(3), "rejected".to_owned()));
    until_cancelled(&world, 1).await;
    let cancel = &cancels(&world)[0];
    let id = world.simulator.machine_actions()[1]["id"].as_str().unwrap().to_owned();
    assert_eq!(cancel.target, format!("/api/machineactions/{id}/cancel"));
    assert!(cancel.body.contains("it is our own installer"), "{}", cancel.body);
    assert_eq!(cancels(&world).len(), 1);

    let csv = world.dir.path().join("out.csv");
    let (sha1, csv) = (sha1(), csv.to_str().unwrap());
    let page = run(&world, &["recall", "--sha1", &sha1, "--status", "--csv", csv]).await;
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("1 quarantined already"), "{page}");
    assert!(page.contains("pc1.contoso.examp…  ") && page.contains(&machine(1)), "{page}");
    assert!(page.contains("MpCmdRun.exe\" -Restore"), "{page}");
    let rows = std::fs::read_to_string(csv).unwrap();
    assert_eq!(rows.split("\r\n").filter(|row| row.contains("contoso")).count(), 3, "{rows}");

    let again = recall(&world, &WHY).await;
    assert_eq!((&again["rejected"], again["actions"].as_array().unwrap().len()), (&0.into(), 3));
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_are_cancelled_once_defender_has_accepted_them() {
    let mut world = World::new(Setting::default()).await;
    for n in 1..=8 {
        world.simulator.set_machine(&machine(n), offline());
    }
    let slow = Trouble::Delay { millis: 5000 };
    world.simulator.fault(Fault::next(Endpoint::Quarantine, Effect::None, slow).times(8));
    world.start().await;
    send(&world, 1..=8).await;
    until(&world, StateName::InFlight, 8).await;
    let recalled = recall(&world, &WHY).await;
    assert_eq!((&recalled["asked"], &recalled["cancels"]["asked"]), (&8.into(), &8.into()));
    let before = world.simulator.calls_to(Endpoint::Quarantine).len();
    until_cancelled(&world, 8).await;
    assert_eq!(cancels(&world).len(), 8);
    send(&world, 9..=9).await;
    until(&world, StateName::Held, 1).await;
    assert_eq!(world.simulator.calls_to(Endpoint::Quarantine).len(), before, "nothing more left");
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_service_stopped_the_cancel_goes_out_at_its_next_start_pause_or_not() {
    let mut world = World::new(Setting::default()).await;
    world.simulator.set_machine(&machine(1), offline());
    world.start().await;
    send(&world, 1..=1).await;
    until(&world, StateName::Accepted, 1).await;
    world.stop();
    let sha1 = sha1();
    let page = run(&world, &["recall", "--sha1", &sha1, WHY[0], WHY[1]]).await;
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("is recalled: paused") && page.contains("is stopped"), "{page}");
    let paused = run(&world, &["pause", "--reason", "looking"]).await;
    assert!(paused.status.success());
    assert_eq!(cancels(&world), []);
    world.start().await;
    until_cancelled(&world, 1).await;
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_recall_and_cancel_loses_nothing() {
    let mut world = World::new(Setting::default()).await;
    world.simulator.set_machine(&machine(1), offline());
    world.start().await;
    send(&world, 1..=1).await;
    until(&world, StateName::Accepted, 1).await;
    // The first call never comes to an end.
    world.simulator.fault(Fault::next(Endpoint::Cancel, Effect::None, Trouble::Hang));
    recall(&world, &WHY).await;
    world.until("the call", async |world| !cancels(world).is_empty()).await;
    world.kill();
    world.start().await;
    until_cancelled(&world, 1).await;
    assert_eq!(cancels(&world).len(), 2);
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_defender_is_shown_and_tried_again() {
    let mut world = World::new(Setting::default()).await;
    world.simulator.set_machine(&machine(1), offline());
    world.start().await;
    send(&world, 1..=1).await;
    until(&world, StateName::Accepted, 1).await;
    let trouble = Trouble::status(503);
    world.simulator.fault(Fault::next(Endpoint::Cancel, Effect::None, trouble));
    recall(&world, &WHY).await;
    let shown = async |world: &World| {
        let report = recall(world, &["--status"]).await;
        report["actions"][0]["cancel"]["trouble"] == "503"
    };
    world.until("the trouble", shown).await;
    until_cancelled(&world, 1).await;
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_never_seen_is_paused_all_the_same_and_wrong_usage_is_said() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let page = run(&world, &["recall", "--sha1", &sha1(), WHY[0], WHY[1]]).await;
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("Nothing was ever sent for it."), "{page}");
    send(&world, 1..=1).await;
    until(&world, StateName::Held, 1).await;
    assert_eq!(world.simulator.calls_to(Endpoint::Quarantine), []);
    for (arguments, says) in [
        (&["recall", "--reason", "x"][..], "--sha1"),
        (&["recall", "--sha1", "c41d", "--reason", "x"], "40 hex digits"),
        (&["recall", "--sha1", &"a".repeat(64), "--reason", "x"], "SHA-256"),
        (&["recall", "--sha1", &sha1()], "--reason"),
        (&["recall", "--sha1", &sha1(), "--reason", " "], "say why"),
        (&["recall", "--sha1", &sha1(), "--reason", "x", "--csv", "/no/such/file"], "--csv"),
    ] {
        let output = run(&world, arguments).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    world.stop();
}
