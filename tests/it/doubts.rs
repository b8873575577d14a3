//! Calls that are lost on the way there or back, in the whole service: what Defender has done is
//! never called for again, and what it has not done is, once.

use std::time::Duration;

use lazaret::domain::action::StateName;
use lazaret::simulator::{Effect, Endpoint, Fault, Trouble};
use serde_json::Value;

use crate::world::{
    Setting, TENANT_ID, World, alert, alert_of, assert_balance, call_of, tenant_id,
};

/// An answer that says nothing of what was done.
fn answer(status: u16, body: &str) -> Trouble {
    Trouble::Answer { status, retry_after: None, body: body.to_owned() }
}

const ACTIVE: &str = r#"{"error": {"code": "ActiveRequestAlreadyExists",
    "message": "Action is already in progress", "target": "t"}}"#;

/// What may become of an answer.
fn troubles() -> Vec<Trouble> {
    vec![
        Trouble::Drop,
        Trouble::Hang,
        Trouble::status(500),
        Trouble::status(503),
        answer(502, "<html>Bad gateway</html>"),
        answer(200, "<html>Sign in</html>"),
        answer(201, ""),
        answer(201, r#"{"status": "Pending"}"#),
        answer(201, r#"{"id": "6b001073-5500-42"#),
    ]
}

/// A world of a tenant for each alert: what fails several times in a row is given time, and here
/// each trouble is to be met at once and alone.
async fn world_of(alerts: usize) -> World {
    let tenants = u8::try_from(alerts).unwrap();
    // What has ended before its refusal was heard is not taken for what holds the machine.
    let running_for = Duration::from_secs(5);
    World::new(Setting { tenants, running_for, ..Setting::default() }).await
}

/// Alert `n` meets the n-th of these, counted from 1.
fn meet(world: &World, effect: Effect, troubles: &[Trouble]) {
    for (n, trouble) in (1..).zip(troubles) {
        let fault = Fault::next(Endpoint::Quarantine, effect, trouble.clone());
        world.simulator.fault(fault.on_machine(&format!("{n:040x}")));
    }
}

async fn succeeded(world: &World) -> u64 {
    let states = world.report().await.summary.states;
    states.iter().filter(|of| of.state == StateName::Succeeded).map(|of| of.count).sum()
}

/// Posts these alerts, each of its own tenant, and waits for the end of each.
async fn all_succeed(world: &World, alerts: usize) {
    for n in 1..=alerts {
        let tenant = tenant_id(u8::try_from(n - 1).unwrap());
        let body = alert(n).replace(TENANT_ID, &tenant);
        let (status, answer) = world.post(&format!("m-{n}"), &body).await.unwrap();
        assert_eq!(status, 202, "{answer}");
    }
    let all = async |world: &World| succeeded(world).await == alerts as u64;
    world.until("each succeeds", all).await;
    assert_balance(&world.report().await.summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_defender_has_done_is_called_for_once_whatever_comes_back() {
    let mut troubles = troubles();
    troubles.push(answer(400, ACTIVE));
    let mut world = world_of(troubles.len()).await;
    meet(&world, Effect::Done, &troubles);
    world.start().await;
    all_succeed(&world, troubles.len()).await;
    for n in 1..=troubles.len() {
        assert_eq!(world.calls()[&call_of(n)], 1, "{:?}", troubles[n - 1]);
    }
    assert_eq!(world.simulator.machine_actions().len(), troubles.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_defender_has_not_done_is_called_for_once_more() {
    let troubles = troubles();
    let mut world = world_of(troubles.len()).await;
    meet(&world, Effect::None, &troubles);
    world.start().await;
    all_succeed(&world, troubles.len()).await;
    for n in 1..=troubles.len() {
        assert_eq!(world.calls()[&call_of(n)], 2, "{:?}", troubles[n - 1]);
    }
    assert_eq!(world.simulator.machine_actions().len(), troubles.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_crash_left_without_its_answer_is_not_made_again() {
    let mut world = World::new(Setting::default()).await;
    meet(&world, Effect::Done, &[Trouble::Hang]);
    world.start().await;
    world.post("m-1", &alert(1)).await.unwrap();
    world.until("the call", async |world| world.calls().contains_key(&call_of(1))).await;
    world.kill();
    world.start().await;
    world.until("it succeeds", async |world| succeeded(world).await == 1).await;
    assert_eq!(world.calls()[&call_of(1)], 1);
}

/// The simulator takes one action for a machine at a time.
#[tokio::test(flavor = "multi_thread")]
async fn several_files_on_one_machine_go_one_after_the_other_within_a_minute_or_two() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let mut three: Value = serde_json::from_str(&alert_of(1, 1)).unwrap();
    for file in 2..=3 {
        let mut other = three["evidence"][0].clone();
        other["sha1"] = format!("1{file:039x}").into();
        three["evidence"].as_array_mut().unwrap().push(other);
    }
    world.post("m-1", &three.to_string()).await.unwrap();
    world.until("all three", async |world| succeeded(world).await == 3).await;
    let calls = world.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls.values().sum::<usize>() <= 5, "no call while another one is open: {calls:?}");
    assert_eq!(world.simulator.machine_actions().len(), 3);
}
