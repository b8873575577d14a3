//! Long runs with violence: the service is killed while work is in hand, the broker is restarted,
//! and at the end every expected call was made exactly once and everything adds up.
//!
//! `LAZARET_FULL` in the environment makes them as long as the promises are written for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lazaret::domain::decision::Fate;
use lazaret::io::Summary;
use lazaret::simulator::{Endpoint, Reckoning};

use crate::broker::Broker;
use crate::world::{LONGEST, Setting, World, alert, assert_balance, call_of};

fn full() -> bool {
    std::env::var_os("LAZARET_FULL").is_some()
}

/// How much a run is.
struct Size {
    alerts: usize,
    kills: usize,
    broker_restarts: usize,
}

impl Size {
    fn of_run() -> Self {
        if full() {
            Self { alerts: 10_000, kills: 20, broker_restarts: 2 }
        } else {
            Self { alerts: 1_500, kills: 4, broker_restarts: 1 }
        }
    }
}

/// 20 % of the messages repeat an earlier alert, and one in 500 can't be read.
enum Sent {
    Alert(usize),
    Unreadable,
}

fn plan(alerts: usize) -> Vec<Sent> {
    let mut fresh = 0;
    (0..alerts)
        .map(|at| {
            if at % 500 == 250 {
                Sent::Unreadable
            } else if at % 5 == 4 {
                Sent::Alert(1 + (at * 7919) % fresh)
            } else {
                fresh += 1;
                Sent::Alert(fresh)
            }
        })
        .collect()
}

fn expected(plan: &[Sent]) -> BTreeSet<(String, String)> {
    let numbers = plan.iter().filter_map(|sent| match sent {
        Sent::Alert(n) => Some(*n),
        Sent::Unreadable => None,
    });
    numbers.map(call_of).collect()
}

fn count(summary: &Summary, source: &str, fate: Fate) -> u64 {
    let of = summary.fates.iter().find(|of| of.source == source && of.fate == fate);
    of.map_or(0, |of| of.count)
}

/// Limits small enough that they bind, and large enough that a run ends.
const SCALED: [(u32, u64); 2] = [(100, 1_000), (900, 10_000)];

fn assert_windows(world: &World) {
    for (calls, ms) in SCALED {
        let window = Duration::from_millis(ms);
        let worst = world.simulator.worst_window(Endpoint::Quarantine, window);
        assert!(worst <= calls as usize, "{worst} calls within {window:?}, at most {calls}");
    }
    let refused = world.simulator.calls_to(Endpoint::Quarantine);
    let refused: Vec<_> = refused.into_iter().filter(|call| call.status == Some(429)).collect();
    assert_eq!(refused, [], "the simulator refused calls");
}

fn assert_once_each(world: &World, expected: &BTreeSet<(String, String)>) {
    let calls = world.calls();
    let missing: Vec<_> = expected.iter().filter(|call| !calls.contains_key(*call)).collect();
    assert!(missing.is_empty(), "{} calls missing, such as {:?}", missing.len(), missing[0]);
    for (call, times) in &calls {
        assert!(expected.contains(call), "nobody asked for {call:?}");
        assert_eq!(*times, 1, "{call:?} was made {times} times");
    }
}

/// Kills the service each time when it has calls to make and has made some since its start.
async fn kill_while_at_work(world: &mut World, all: usize, kills: usize, nth: usize) {
    let before = world.simulator.calls_to(Endpoint::Quarantine).len();
    let goal = (all * nth / (kills + 1)).max(before + 3);
    world
        .until("calls before a kill", async |world| {
            world.simulator.calls_to(Endpoint::Quarantine).len() >= goal
        })
        .await;
    assert!(world.simulator.calls_to(Endpoint::Quarantine).len() < all, "too late to kill");
    world.kill();
}

async fn settle(world: &World, expected: usize) {
    let began = Instant::now();
    loop {
        let summary = world.report().await.summary;
        let succeeded: u64 = summary
            .states
            .iter()
            .filter(|of| of.state == lazaret::domain::action::StateName::Succeeded)
            .map(|of| of.count)
            .sum();
        if succeeded == expected as u64 {
            return;
        }
        let limit = LONGEST * if full() { 5 } else { 1 };
        assert!(began.elapsed() < limit, "{succeeded} of {expected} ended: {summary:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn kafka_campaign(reckoning: Reckoning) {
    let size = Size::of_run();
    let mut broker = Broker::start_on_fixed_ports();
    tokio::task::block_in_place(|| broker.create_topic("alerts", 4));
    let kafka = Some((broker.address(), "alerts".to_owned()));
    let quarantine = SCALED.to_vec();
    let mut world =
        World::new(Setting { quarantine, reckoning, kafka, ..Setting::default() }).await;
    let plan = plan(size.alerts);
    let expected = expected(&plan);
    let bodies: Vec<Vec<u8>> = plan
        .iter()
        .map(|sent| match sent {
            Sent::Alert(n) => alert(*n).into_bytes(),
            Sent::Unreadable => b"{\"id\": not json".to_vec(),
        })
        .collect();
    for partition in 0..4 {
        let own = bodies.iter().skip(partition).step_by(4).map(|body| Some(&body[..]));
        broker.produce("alerts", i32::try_from(partition).unwrap(), own);
    }
    for nth in 1..=size.kills {
        world.start().await;
        kill_while_at_work(&mut world, expected.len(), size.kills, nth).await;
        let every = size.kills.div_ceil(size.broker_restarts + 1);
        if nth % every == 0 {
            broker.kill();
            broker.restart();
        }
    }
    world.start().await;
    settle(&world, expected.len()).await;
    assert_once_each(&world, &expected);
    assert_windows(&world);
    let summary = world.report().await.summary;
    assert_balance(&summary);
    let received = summary.received.iter().find(|(source, _)| source == "stream").unwrap().1;
    assert_eq!(received, plan.len() as u64);
    let unreadable = plan.iter().filter(|sent| matches!(sent, Sent::Unreadable)).count() as u64;
    assert_eq!(count(&summary, "stream", Fate::Unreadable), unreadable);
    let acted = count(&summary, "stream", Fate::Acted);
    assert_eq!(acted, expected.len() as u64);
    world.stop();
    world.assert_verifies();
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_through_kills_and_restarts_under_a_sliding_window() {
    kafka_campaign(Reckoning::Sliding).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_through_kills_and_restarts_under_fixed_windows() {
    if full() {
        kafka_campaign(Reckoning::Fixed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_through_kills_and_restarts_under_a_token_bucket() {
    if full() {
        kafka_campaign(Reckoning::TokenBucket).await;
    }
}

/// 250 alerts at once, a budget of 100 in a window, SIGKILL in the middle of it.
async fn storm(window: Duration, kill_after: Duration) {
    let ms = u64::try_from(window.as_millis()).unwrap();
    let quarantine = vec![(100, ms), (1500, 3_600_000)];
    let mut world = World::new(Setting { quarantine, ..Setting::default() }).await;
    world.start().await;
    let posts = (1..=250).map(|n| {
        let world = &world;
        async move { world.post(&format!("msg_{n}"), &alert(n)).await.map(|(status, _)| status) }
    });
    let answers = futures_util::future::join_all(posts).await;
    let accepted = answers.iter().filter(|status| **status == Some(202)).count();
    assert_eq!(accepted, 250);
    tokio::time::sleep(kill_after).await;
    world.kill();
    world.start().await;
    settle(&world, 250).await;
    assert_once_each(&world, &(1..=250).map(call_of).collect());
    let worst = world.simulator.worst_window(Endpoint::Quarantine, window);
    assert!(worst <= 100, "{worst} calls in {window:?}");
    let refused = world.simulator.calls_to(Endpoint::Quarantine);
    assert_eq!(refused.iter().filter(|call| call.status == Some(429)).count(), 0);
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_and_a_kill_lose_nothing_and_break_no_window() {
    if full() {
        storm(Duration::from_secs(60), Duration::from_secs(10)).await;
    } else {
        storm(Duration::from_secs(10), Duration::from_secs(2)).await;
    }
}
