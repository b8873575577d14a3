//! SIGKILL, many times, at random moments, on the real program: each while work is in hand. At the
//! end every alert has its call, none has two, and the store verifies.
//!
//! 50 kills, or 1,000 with `LAZARET_FULL`. The moments come of a seed that is printed;
//! `LAZARET_KILLS_SEED` sets it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lazaret::simulator::{Effect, Endpoint, Fault, Trouble};

use crate::broker::Broker;
use crate::load::{Dice, Found, Hides, Sender, assert_counted, assert_promises, number_of, settle};
use crate::world::{Setting, World, alert};

/// Calls and milliseconds. What a kill left without an answer keeps its place for half a minute,
/// so that ten kills in a row must not use up the budget.
const BUDGET: [(u32, u64); 2] = [(500, 1_000), (3_000, 10_000)];

/// Of Defender's answer: longer than any that is held back here.
const TIMEOUT: &str = "defender.timeout=2000ms";

/// Longer than an action may be hidden: 2 s to send it, 2 s for its answer, 1 s of `reconcile.wait`.
const HIDDEN: Duration = Duration::from_secs(9);

const PARTITIONS: i32 = 2;

/// A broker and a topic, where messages come from there.
type Stream = Option<(Arc<Broker>, String)>;

/// When a kill strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Before the service says that it is ready.
    Starting,
    /// Within the first moments after that.
    Ready,
    /// While it is at work.
    Working,
    /// While Defender holds an answer back.
    HeldBack,
    /// As soon as it is there again after a kill, which is the first of the two.
    Twice,
}

/// What a frozen service had in hand.
#[derive(Clone, Copy, Debug, Default)]
struct InHand {
    /// Deliveries that it has not acknowledged.
    unacknowledged: usize,
    /// Calls that Defender has not answered.
    unanswered: usize,
    /// Alerts that it has acknowledged, for which no call has come.
    queued: usize,
    /// Messages of the topic for which no call has come: not committed, or queued.
    unread: usize,
}

impl InHand {
    fn is_something(self) -> bool {
        self.unacknowledged + self.unanswered + self.queued + self.unread > 0
    }
}

/// Kills that count, and those among them that found each kind of work.
#[derive(Clone, Copy, Default)]
struct Row {
    kills: usize,
    unacknowledged: usize,
    unanswered: usize,
    queued: usize,
    unread: usize,
}

impl Row {
    fn add(&mut self, more: &Self) {
        self.kills += more.kills;
        self.unacknowledged += more.unacknowledged;
        self.unanswered += more.unanswered;
        self.queued += more.queued;
        self.unread += more.unread;
    }
}

#[derive(Default)]
struct Tally {
    rows: BTreeMap<Moment, Row>,
    /// Kills that found nothing in hand: they do not count.
    idle: usize,
    alerts: usize,
    found: Found,
}

/// One service that is killed again and again.
struct Lane {
    world: World,
    sender: Sender,
    broker: Stream,
    dice: Dice,
    /// How long a start took, in milliseconds.
    start: u64,
    /// Alerts so far, by their numbers from 1 on.
    alerts: usize,
    produced: BTreeSet<usize>,
    messages: usize,
    called: BTreeSet<usize>,
    /// The number of the simulator's next call that was not looked at.
    seen: u64,
    /// The same at the last start.
    began: u64,
    tally: Tally,
}

impl Lane {
    async fn new(seed: u64, hides: Hides, broker: Stream) -> Self {
        let setting = Setting {
            quarantine: BUDGET.to_vec(),
            kafka: broker.as_ref().map(|(broker, topic)| (broker.address(), topic.clone())),
            listed_after: if hides == Hides::EachForLong { HIDDEN } else { Duration::ZERO },
            ..Setting::default()
        };
        let mut world = World::new(setting).await;
        world.failpoints = TIMEOUT.to_owned();
        let sender = Sender::to(&world);
        Self {
            world,
            sender,
            broker,
            dice: Dice(seed),
            start: 300,
            alerts: 0,
            produced: BTreeSet::new(),
            messages: 0,
            called: BTreeSet::new(),
            seen: 0,
            began: 0,
            tally: Tally::default(),
        }
    }

    /// New work: some alerts, a fifth of them once more, now and then what is none.
    fn give(&mut self) {
        let mut values = Vec::new();
        for _ in 0..=self.dice.below(8) {
            let repeated = self.alerts > 0 && self.dice.below(5) == 0;
            if !repeated {
                self.alerts += 1;
            }
            let n = if repeated {
                1 + usize::try_from(self.dice.below(self.alerts as u64)).unwrap()
            } else {
                self.alerts
            };
            match self.broker {
                // Not those that the other way has had: which of the two is first is no matter.
                Some(_) if self.dice.below(4) > 0 => {
                    self.produced.insert(n);
                    values.push(alert(n).into_bytes());
                }
                _ => self.sender.send(n),
            }
        }
        if self.dice.below(20) == 0 {
            self.sender.send_unreadable();
        }
        let Some((broker, topic)) = &self.broker else { return };
        self.messages += values.len();
        let partition = i32::try_from(self.dice.below(PARTITIONS as u64)).unwrap();
        tokio::task::block_in_place(|| {
            broker.produce(topic, partition, values.iter().map(|value| Some(&value[..])));
        });
    }

    fn look(&mut self) {
        for call in self.world.simulator.calls_from(self.seen) {
            self.seen = call.seq + 1;
            if call.endpoint == Endpoint::Quarantine {
                self.called.extend(number_of(&call));
            }
        }
    }

    fn unanswered(&self) -> usize {
        let calls = self.world.simulator.calls_from(self.began).into_iter();
        calls.filter(|call| call.endpoint == Endpoint::Quarantine && call.status.is_none()).count()
    }

    fn in_hand(&mut self) -> InHand {
        self.look();
        let acknowledged = self.sender.acknowledged();
        InHand {
            unacknowledged: self.sender.open(),
            unanswered: self.unanswered(),
            queued: acknowledged.difference(&self.called).count(),
            unread: self.produced.difference(&self.called).count(),
        }
    }

    /// Freezes the service, looks at what it has in hand, and kills it.
    fn kill(&mut self, moment: Moment) {
        self.world.freeze();
        let in_hand = self.in_hand();
        self.world.kill();
        self.look();
        self.began = self.seen;
        if !in_hand.is_something() {
            self.tally.idle += 1;
            return;
        }
        let row = self.tally.rows.entry(moment).or_default();
        row.add(&Row {
            kills: 1,
            unacknowledged: usize::from(in_hand.unacknowledged > 0),
            unanswered: usize::from(in_hand.unanswered > 0),
            queued: usize::from(in_hand.queued > 0),
            unread: usize::from(in_hand.unread > 0),
        });
    }

    fn kills(&self) -> usize {
        self.tally.rows.values().map(|row| row.kills).sum()
    }

    async fn start(&mut self) {
        let began = Instant::now();
        self.world.start().await;
        self.start = u64::try_from(began.elapsed().as_millis()).unwrap().clamp(50, 2_000);
    }

    async fn wait(&mut self, millis: u64) {
        let span = self.dice.millis(millis);
        tokio::time::sleep(span).await;
    }

    /// A consumer has first to join its group.
    fn working(&self) -> u64 {
        if self.broker.is_some() { 600 } else { 150 }
    }

    async fn strike(&mut self) {
        self.sender.check();
        self.give();
        match self.dice.below(10) {
            0..=2 => {
                self.world.spawn();
                self.wait(self.start).await;
                self.kill(Moment::Starting);
            }
            3..=4 => {
                self.start().await;
                self.wait(15).await;
                self.kill(Moment::Ready);
            }
            5..=6 => {
                self.start().await;
                self.give();
                self.wait(self.working()).await;
                self.kill(Moment::Working);
            }
            7..=8 => self.hold_back().await,
            _ => {
                self.start().await;
                self.wait(self.working()).await;
                self.kill(Moment::Twice);
                self.give();
                self.world.spawn();
                self.wait(self.start).await;
                self.kill(Moment::Twice);
            }
        }
    }

    /// Defender has done what it was asked for, or not yet, and does not say so before the kill.
    async fn hold_back(&mut self) {
        let effect = if self.dice.below(3) == 0 { Effect::None } else { Effect::Done };
        let fault = Fault::next(Endpoint::Quarantine, effect, Trouble::delay(TIMEOUT_HALF));
        self.world.simulator.fault(fault.times(1 + u32::try_from(self.dice.below(3)).unwrap()));
        self.start().await;
        self.give();
        let began = Instant::now();
        while self.unanswered() == 0 && began.elapsed() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.kill(Moment::HeldBack);
    }

    /// Lets the service finish, and holds all promises against what it did.
    async fn finish(mut self, hides: Hides) -> Tally {
        self.start().await;
        let wanted: BTreeSet<usize> = (1..=self.alerts).collect();
        settle(&self.world, &mut self.sender, &wanted).await;
        self.tally.alerts = self.alerts;
        self.tally.found = assert_promises(&self.world, &wanted, hides);
        for (calls, ms) in BUDGET {
            let window = Duration::from_millis(ms);
            let worst = self.world.simulator.worst_window(Endpoint::Quarantine, window);
            assert!(worst <= calls as usize, "{worst} calls within {window:?}, at most {calls}");
        }
        if let Some((broker, topic)) = &self.broker {
            let held = tokio::task::block_in_place(|| broker.length(topic, PARTITIONS));
            assert_eq!(held, self.messages as i64, "the broker has what was produced");
        }
        assert_counted(&self.world, "siem", self.sender.sent()).await;
        assert_counted(&self.world, "stream", self.messages).await;
        tokio::task::block_in_place(|| {
            self.world.stop();
            self.world.assert_verifies();
        });
        self.tally
    }
}

/// How long an answer is held back: it comes in time if the service lives.
const TIMEOUT_HALF: Duration = Duration::from_secs(1);

async fn lane(seed: u64, kills: usize, hides: Hides, broker: Stream) -> Tally {
    let mut lane = Lane::new(seed, hides, broker).await;
    while lane.kills() < kills {
        lane.strike().await;
        assert!(lane.tally.idle <= kills, "the service has nothing to do when it is killed");
    }
    lane.finish(hides).await
}

fn print(tallies: &[Tally], seed: u64, took: Duration) {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for (moment, row) in tallies.iter().flat_map(|tally| &tally.rows) {
        rows.entry(format!("{moment:?}")).or_default().add(row);
        rows.entry("all".to_owned()).or_default().add(row);
    }
    println!("kills, and in how many of them there was something");
    println!("moment     kills  unacknowledged  unanswered  queued  unread");
    for (moment, row) in &rows {
        let Row { kills, unacknowledged, unanswered, queued, unread } = row;
        println!(
            "{moment:<10} {kills:>5}  {unacknowledged:>14}  {unanswered:>10}  {queued:>6}  {unread:>6}"
        );
    }
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    println!(
        "{} alerts, {} calls: {} again since nothing was done, {} explained by hiding, 0 lost, \
         0 unexplained; {} kills found nothing; seed {seed}, {took:.0?}",
        sum(|tally| tally.alerts),
        sum(|tally| tally.found.calls),
        sum(|tally| tally.found.again),
        sum(|tally| tally.found.hidden),
        sum(|tally| tally.idle),
    );
}

/// Kills each of some services that often, side by side, and prints what was seen.
async fn campaign(lanes: Vec<(usize, Hides, Stream)>) -> Vec<Tally> {
    let seed = std::env::var("LAZARET_KILLS_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("LAZARET_KILLS_SEED={seed}");
    let began = Instant::now();
    let lanes = lanes.into_iter().enumerate().map(|(at, (kills, hides, broker))| {
        let seed = seed.wrapping_mul(1_000).wrapping_add(at as u64);
        tokio::spawn(lane(seed, kills, hides, broker))
    });
    let tallies = futures_util::future::join_all(lanes).await;
    let tallies: Vec<Tally> = tallies.into_iter().map(Result::unwrap).collect();
    print(&tallies, seed, began.elapsed());
    tallies
}

fn is_full() -> bool {
    std::env::var_os("LAZARET_FULL").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_nothing_and_repeat_nothing() {
    let kills: &[usize] = if is_full() { &[170; 5] } else { &[14, 13, 13] };
    let mut lanes: Vec<_> = kills.iter().map(|kills| (*kills, Hides::Nothing, None)).collect();
    lanes.push((if is_full() { 50 } else { 5 }, Hides::EachForLong, None));
    let tallies = campaign(lanes).await;
    let held_back = tallies.iter().filter_map(|tally| tally.rows.get(&Moment::HeldBack));
    assert!(held_back.map(|row| row.unanswered).sum::<usize>() > 0, "no answer was held back");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_between_the_messages_of_a_broker_lose_nothing_and_repeat_nothing() {
    let broker = Arc::new(tokio::task::block_in_place(Broker::start));
    let kills: &[usize] = if is_full() { &[34, 33, 33] } else { &[5] };
    let lanes = kills.iter().enumerate().map(|(at, kills)| {
        let topic = format!("alerts{at}");
        tokio::task::block_in_place(|| broker.create_topic(&topic, PARTITIONS));
        (*kills, Hides::Nothing, Some((broker.clone(), topic)))
    });
    campaign(lanes.collect()).await;
}
