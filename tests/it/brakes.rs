//! A person stops the program and lets it go on, as one would with the command line.

use std::collections::BTreeSet;
use std::time::Duration;

use lazaret::io::{Report, STOP_FILE};
use lazaret::simulator::{Effect, Endpoint, Fault, Trouble};
use serde_json::Value;

use crate::world::{Setting, World, alert, json, run, tenant_id, tenant_name};

const TENANTS: u8 = 8;
/// Three times a tenant's calls in flight.
const EACH: usize = 48;

fn runs() -> usize {
    if std::env::var_os("LAZARET_FULL").is_some() { 50 } else { 10 }
}

/// Alert `k` of a tenant in one run: machine and alert are its own, the file is the run's.
fn loaded(run: usize, tenant: u8, k: usize) -> String {
    let n = run * 1000 + usize::from(tenant) * 100 + k;
    alert(n)
        .replace(&tenant_id(0), &tenant_id(tenant))
        .replace(&format!("1{n:039x}"), &format!("2{run:039x}"))
}

/// Machines that were called for, of that run; the tenant's alone where one is named.
fn called(world: &World, run: usize, tenant: Option<u8>) -> BTreeSet<usize> {
    let calls = world.simulator.calls_to(Endpoint::Quarantine);
    let machine = |call: &lazaret::simulator::Call| {
        let id = call.target.split('/').nth(3).unwrap();
        usize::from_str_radix(id, 16).unwrap()
    };
    let of = |n: &usize| {
        n / 1000 == run && tenant.is_none_or(|tenant| (n % 1000) / 100 == usize::from(tenant))
    };
    calls.iter().map(machine).filter(of).collect()
}

fn in_flight(report: &Report) -> usize {
    report.relays.iter().map(|relay| relay.in_flight).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_after_a_pause_has_answered_with_a_hundred_calls_in_flight() {
    let quarantine = vec![(100_000, 60_000)];
    let mut world =
        World::new(Setting { quarantine, tenants: TENANTS, ..Setting::default() }).await;
    // Each call stays in flight for a while.
    let slow = Trouble::delay(Duration::from_millis(500));
    world.simulator.fault(Fault::next(Endpoint::Quarantine, Effect::Done, slow).times(u32::MAX));
    world.start().await;
    let mut most = 0;
    for at in 1..=runs() {
        for tenant in 0..TENANTS {
            let alerts: Vec<_> = (0..EACH).map(|k| loaded(at, tenant, k)).collect();
            let id = format!("msg_{at}_{tenant}");
            let (status, answer) =
                world.post(&id, &format!("[{}]", alerts.join(","))).await.unwrap();
            assert_eq!(status, 202, "{answer}");
        }
        world
            .until("calls in flight", async |world| {
                let flying = in_flight(&world.report().await);
                most = most.max(flying);
                flying >= 100
            })
            .await;
        let (scope, only) = match at % 3 {
            0 => (vec![], None),
            1 => (vec!["--tenant".to_owned(), tenant_name(3)], Some(3)),
            _ => (vec!["--sha1".to_owned(), format!("2{at:039x}")], None),
        };
        let with = |word: &str| {
            let words = [word, "--reason", "a drill", "--json"].map(str::to_owned);
            words.into_iter().chain(scope.clone()).collect::<Vec<_>>()
        };
        let command = |words: Vec<String>| {
            let mut command = world.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
            async { tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap() }
        };
        let paused = command(with("pause")).await;
        let left = called(&world, at, only);
        assert!(paused.status.success(), "{paused:?}");
        let standing = json(&paused)["standing"].clone();
        let count = |key: &str| standing[key].as_u64().unwrap();
        let all = if only.is_some() { EACH } else { EACH * usize::from(TENANTS) };
        assert!(left.len() < all, "run {at} came too late to show anything");
        world
            .until("what was in flight is answered", async |world| {
                let report = world.report().await;
                match only {
                    Some(_) => {
                        report.relays.iter().all(|r| r.tenant != tenant_name(3) || r.in_flight == 0)
                    }
                    None => in_flight(&report) == 0,
                }
            })
            .await;
        assert_eq!(called(&world, at, only), left, "run {at}: left after the answer");
        assert_eq!(count("in_flight"), 0, "what was in flight was answered or never left");
        // What the answer says of this run; runs before it may still wait at Defender.
        assert_eq!(count("queued") as usize, all - left.len(), "run {at}: {standing}");

        let resumed = command(with("resume")).await;
        assert!(resumed.status.success(), "{resumed:?}");
        world
            .until("all of them are called", async |world| {
                called(world, at, None).len() == EACH * usize::from(TENANTS)
            })
            .await;
    }
    assert!(most > 100, "only {most} calls were ever in flight");
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_stops_everything_for_hands_that_have_nothing_else() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let file = world.dir.path().join("data").join(STOP_FILE);
    std::fs::write(&file, "").unwrap();
    world.post("msg_1", &alert(1)).await.unwrap();
    world
        .until("the relay has met it", async |world| {
            world.report().await.relays[0]
                .blocked
                .as_ref()
                .is_some_and(|why| why.contains(STOP_FILE))
        })
        .await;
    assert!(world.calls().is_empty());
    let listed = json(&run(&world, &["actions", "list", "--json"]).await);
    let show = ["actions", "show", listed[0]["id"].as_str().unwrap(), "--json"];
    let waits = async |world: &World| {
        json(&run(world, &show).await)["waits_for"].as_str().unwrap_or_default().to_owned()
    };
    let by_file = waits(&world).await;
    assert!(by_file.contains(&file.display().to_string()), "{by_file}");
    world.stop();
    assert_eq!(waits(&world).await, format!("the service is stopped; and {by_file}"));
    world.start().await;
    let status = run(&world, &["status"]).await;
    let screen = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(screen.contains(&format!("rm {}", file.display())), "{screen}");
    nothing_to_resume_but(&world, &file).await;
    std::fs::remove_file(&file).unwrap();
    world.until("the call", async |world| world.calls().len() == 1).await;
    world.stop();
    std::fs::write(&file, "").unwrap();
    nothing_to_resume_but(&world, &file).await;
}

/// Whoever resumes against the file is told of it.
async fn nothing_to_resume_but(world: &World, file: &std::path::Path) {
    let resumed = run(world, &["resume", "--reason", "go on"]).await;
    assert_eq!(resumed.status.code(), Some(1), "{resumed:?}");
    let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(said.contains("to resume"), "{said}");
    assert!(said.ends_with(&format!("\n  → rm {}\n", file.display())), "{said}");
}

/// Changes one word of the configuration.
fn set_mode(world: &World, from: &str, to: &str) {
    let config = std::fs::read_to_string(world.config()).unwrap();
    let changed = config.replace(&format!("mode: {from}\n"), &format!("mode: {to}\n"));
    assert_ne!(changed, config);
    std::fs::write(world.config(), changed).unwrap();
}

async fn states(world: &World, of: &[&str]) -> Vec<u64> {
    let states = world.report().await.summary.states;
    let count =
        |name: &&str| states.iter().find(|s| s.state.as_str() == *name).map_or(0, |s| s.count);
    of.iter().map(count).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configurations_mode_is_the_ceiling_and_a_change_of_it_releases_nothing() {
    let mut world = World::new(Setting { mode: "observe", ..Setting::default() }).await;
    world.start().await;
    world.post("msg_1", &alert(1)).await.unwrap();
    world.stop();
    set_mode(&world, "observe", "approve");
    world.start().await;
    let (_, answer) = world.post("msg_2", &alert(2)).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["alerts"][0]["fate"], "held", "{answer}");
    assert_eq!(states(&world, &["held", "queued"]).await, [1, 0], "what was observed stays so");
    let id = answer["alerts"][0]["candidates"][0]["action"].as_str().unwrap().to_owned();
    world.stop();

    set_mode(&world, "approve", "enforce");
    world.start().await;
    assert_eq!(states(&world, &["held"]).await, [1], "a person is still asked");
    // Paused, so that something is queued when the mode goes down.
    assert!(run(&world, &["pause", "--reason", "a drill"]).await.status.success());
    world.post("msg_3", &alert(3)).await.unwrap();
    assert_eq!(states(&world, &["held", "queued"]).await, [1, 1]);
    world.stop();

    set_mode(&world, "enforce", "observe");
    assert!(run(&world, &["resume", "--reason", "over"]).await.status.success());
    world.start().await;
    world
        .until("the relay says why", async |world| {
            world.report().await.relays[0]
                .blocked
                .as_ref()
                .is_some_and(|why| why.contains("observe"))
        })
        .await;
    world.stop();
    set_mode(&world, "observe", "approve");
    world.start().await;
    world
        .until("it is held now", async |world| states(world, &["held", "queued"]).await == [2, 0])
        .await;
    assert!(world.calls().is_empty());

    let approved = run(&world, &["actions", "approve", &id, "--reason", "looked at it"]).await;
    let said = String::from_utf8_lossy(&approved.stdout).into_owned();
    assert!(approved.status.success() && said.contains("released"), "{approved:?}");
    world.until("the call", async |world| world.calls().len() == 1).await;
    let again = run(&world, &["actions", "approve", &id, "--reason", "again"]).await;
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    let why = ["actions", "reject", "--why", "approval", "--reason", "no"];
    let preview = run(&world, &why).await;
    let said = String::from_utf8_lossy(&preview.stdout).into_owned();
    assert!(preview.status.success() && said.contains("Nothing was done"), "{said}");
    let rejected = run(&world, &[&why[..], &["--yes"]].concat()).await;
    assert!(rejected.status.success(), "{rejected:?}");
    assert_eq!(states(&world, &["held", "rejected"]).await, [0, 1]);
    world.stop();
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_with_a_clear_word_and_changes_nothing() {
    let mut world = World::new(Setting { mode: "approve", ..Setting::default() }).await;
    world.start().await;
    world.post("msg_1", &alert(1)).await.unwrap();
    for running in [true, false] {
        if !running {
            world.stop();
        }
        for (words, code, says) in [
            (&["pause", "--tenant", "nobody"][..], 2, "no tenant nobody"),
            (&["pause", "--rule", "nothing"], 2, "no rule nothing"),
            (&["pause", "--sha1", "12"], 2, "40 hex digits"),
            (&["pause", "--machine", "pc1.contoso.example"], 2, "lazaret actions show"),
            (&["actions", "approve", "--machine", "pc1"], 2, "address of the device's page"),
            (&["pause", "--tenant", "contoso", "--sha1", "12"], 2, "cannot be used"),
            (&["resume", "--tenant", "contoso"], 1, "nothing to resume"),
            (&["actions", "approve"], 2, "name actions"),
            (&["actions", "approve", "--tenant", "nobody", "--yes"], 2, "known: contoso"),
            (&["actions", "reject", "--tenant", "nobody"], 2, "known: contoso"),
            (&["actions", "approve", ""], 2, "an id is empty"),
            (&["actions", "approve", "zz"], 1, "no action begins with zz"),
            (&["actions", "approve", "--why", "boredom"], 2, "there are approval"),
            (&["actions", "approve", "0", "--why", "approval"], 2, "not both"),
            (&["actions", "reject", "--sha1", &"a".repeat(40)], 1, "nothing to do"),
            (
                &["actions", "approve", "--why", "approval", "--at-most", "0", "--yes"],
                1,
                "--at-most 1",
            ),
        ] {
            let words = [words, &["--reason", "a drill"]].concat();
            let output = run(&world, &words).await;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
            let ours = said.starts_with("lazaret: ");
            assert!(!ours || said.lines().all(|line| line.chars().count() <= 80), "{said}");
            let said = said.replace('\n', " ");
            assert!(said.contains(says), "{words:?}: {said}");
        }
    }
    let left = json(&run(&world, &["status", "--json"]).await);
    assert_eq!(left["summary"]["held"][0][2], 1, "{left}");
    assert_eq!(left["summary"]["pauses"], Value::Array(vec![]));
}

/// Anybody may open connections to the admin listener; that must keep nobody from pausing.
#[tokio::test(flavor = "multi_thread")]
async fn who_idles_on_the_admin_listener_keeps_no_operator_out() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let mut idle = Vec::new();
    for _ in 0..80 {
        idle.push(tokio::net::TcpStream::connect(world.admin_address()).await.unwrap());
    }
    let output = run(&world, &["pause", "--reason", "a flood"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    world.stop();
}
