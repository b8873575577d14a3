//! A sender that gives up nothing, and what must hold of all that it has sent, whatever became of
//! the service meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lazaret::domain::action::StateName;
use lazaret::domain::signature::{Scheme, Seal};
use lazaret::simulator::{Call, Endpoint};
use tokio::task::JoinSet;

use crate::world::{LONGEST, SECRET, World, alert, assert_balance, call_of, post_with};

/// SplitMix64: the same seed gives the same moments.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// A moment within this many milliseconds.
    pub fn millis(&mut self, end: u64) -> Duration {
        Duration::from_micros(self.below(end * 1000))
    }
}

/// How long a sender waits for an answer before it sends again: longer than the service takes at
/// most.
const GIVES_UP: Duration = Duration::from_secs(30);

/// Sends again, under the same id, whatever was not acknowledged.
pub struct Sender {
    http: reqwest::Client,
    seal: Arc<Seal>,
    url: String,
    /// Deliveries that were sent and are not acknowledged.
    open: Arc<AtomicUsize>,
    acknowledged: Arc<Mutex<BTreeSet<usize>>>,
    sent: usize,
    tasks: JoinSet<()>,
}

impl Sender {
    pub fn to(world: &World) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().timeout(GIVES_UP).build().unwrap(),
            seal: Arc::new(Seal::new(Scheme::StandardWebhooks, &[SECRET.into()]).unwrap()),
            url: format!("http://127.0.0.1:{}/webhooks/siem", world.webhooks),
            open: Arc::default(),
            acknowledged: Arc::default(),
            sent: 0,
            tasks: JoinSet::new(),
        }
    }

    /// Sends alert number `n`, beside whatever else is on its way.
    pub fn send(&mut self, n: usize) {
        self.send_body(Some(n), alert(n));
    }

    /// JSON that is no alert.
    pub fn send_unreadable(&mut self) {
        self.send_body(None, "{\"id\": \"no id at all\"}".to_owned());
    }

    fn send_body(&mut self, number: Option<usize>, body: String) {
        self.sent += 1;
        let id = format!("msg_{}", self.sent);
        let (http, seal, url) = (self.http.clone(), self.seal.clone(), self.url.clone());
        let (open, acknowledged) = (self.open.clone(), self.acknowledged.clone());
        open.fetch_add(1, Ordering::SeqCst);
        self.tasks.spawn(async move {
            loop {
                match post_with(&http, &seal, &url, &id, &body).await {
                    Some((200 | 202, _)) => break,
                    Some((status, answer)) if status < 500 && status != 429 => {
                        panic!("{id}: {status} {answer}")
                    }
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            acknowledged.lock().unwrap().extend(number);
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub fn sent(&self) -> usize {
        self.sent
    }

    /// The alerts that the service has said it has.
    pub fn acknowledged(&self) -> BTreeSet<usize> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// A sender that has failed fails the test.
    pub fn check(&mut self) {
        while let Some(done) = self.tasks.try_join_next() {
            done.unwrap();
        }
    }
}

/// The alert that a quarantine call is for.
pub fn number_of(call: &Call) -> Option<usize> {
    let machine = call.target.strip_prefix("/api/machines/")?.split('/').next()?;
    usize::from_str_radix(machine, 16).ok()
}

/// Whether every action has been called for and is known to be with Defender.
async fn is_settled(world: &World) -> bool {
    let Some(report) = world.asked().await else { return false };
    let open = [StateName::Queued, StateName::InFlight, StateName::InDoubt];
    report.summary.states.iter().all(|of| of.count == 0 || !open.contains(&of.state))
}

/// What is still on its way, if anything is.
pub async fn unsettled(
    world: &World,
    sender: &mut Sender,
    wanted: &BTreeSet<usize>,
) -> Option<String> {
    sender.check();
    let called: BTreeSet<_> = called(world).into_keys().collect();
    let lacking = wanted.difference(&called).count();
    if sender.open() == 0 && lacking == 0 && is_settled(world).await {
        return None;
    }
    let states = world.asked().await.map(|report| report.summary.states);
    let open = sender.open();
    Some(format!("{open} not acknowledged, {lacking} without a call, {states:?}: {}", world.log()))
}

/// Waits until nothing is on its way any more.
pub async fn settle(world: &World, sender: &mut Sender, wanted: &BTreeSet<usize>) {
    let began = Instant::now();
    while let Some(what) = unsettled(world, sender, wanted).await {
        assert!(began.elapsed() < LONGEST, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn called(world: &World) -> BTreeMap<usize, Vec<Call>> {
    let mut called: BTreeMap<usize, Vec<Call>> = BTreeMap::new();
    for call in world.simulator.calls_to(Endpoint::Quarantine) {
        let number = number_of(&call).expect("a call for a machine of a test");
        called.entry(number).or_default().push(call);
    }
    called
}

/// Whether Defender's list keeps what it has for longer than it may.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Hides {
    Nothing,
    EachForLong,
}

/// What came of a run.
#[derive(Default)]
pub struct Found {
    pub calls: usize,
    /// Made since Defender had not done the one before: it was cut off, or refused.
    pub again: usize,
    /// Made since Defender hid the one before for longer than it may.
    pub hidden: usize,
}

/// Every alert has its call, as it should be. Another call for it is there only where the one
/// before left nothing at Defender, or where that was hidden.
pub fn assert_promises(world: &World, wanted: &BTreeSet<usize>, hides: Hides) -> Found {
    let called = called(world);
    let lost: Vec<_> = wanted.iter().filter(|n| !called.contains_key(n)).collect();
    assert!(lost.is_empty(), "{} alerts without a call: {lost:?}", lost.len());
    let mut found = Found::default();
    for (n, calls) in &called {
        assert!(wanted.contains(n), "nobody asked for {n}: {calls:?}");
        found.calls += calls.len();
        for call in calls {
            assert_eq!((call.target.clone(), call.body.clone()), call_of(*n));
            assert_ne!(call.status, Some(429), "over the budget: {call:?}");
        }
        assert!(calls.iter().any(|call| call.machine_action.is_some()), "nothing came of {n}");
        let mut done = false;
        for call in calls {
            match (done, hides) {
                (true, Hides::Nothing) => {
                    panic!("{n} was called for again: {calls:?}\n{}", world.log())
                }
                (true, Hides::EachForLong) => found.hidden += 1,
                (false, _) => {}
            }
            done |= call.machine_action.is_some();
        }
        found.again += calls.iter().take_while(|call| call.machine_action.is_none()).count();
    }
    found
}

/// Every delivery counts once, and has its fate.
pub async fn assert_counted(world: &World, source: &str, sent: usize) {
    let summary = world.report().await.summary;
    assert_balance(&summary);
    let received = summary.received.iter().find(|(of, _)| of == source).map_or(0, |of| of.1);
    assert_eq!(received, sent as u64, "{source}: {summary:?}\n{}", world.logs());
}
