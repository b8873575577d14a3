use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::dice::Dice;
use crate::domain::ids::{ActionId, AttemptId};
use crate::domain::time::{BootId, Stamp, Wall};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn limit(calls: u32, per: u64) -> Limit {
    Limit::new(calls, seconds(per)).unwrap()
}

fn at(second: i64) -> Boot {
    Boot(second * 1_000_000)
}

#[test]
fn a_slot_is_free_again_a_window_after_the_call_was_completed() {
    let mut limiter = Limiter::new(vec![limit(1, 60)]);
    let (_, slot) = limiter.take(at(0)).unwrap();
    assert_eq!(limiter.take(at(1000)).unwrap_err(), NotNow::Busy);
    limiter.release(slot, at(1000));
    let free = at(1060) + Duration::from_millis(60);
    assert_eq!(limiter.take(at(1030)).unwrap_err(), NotNow::Until(free));
    assert!(limiter.take(free).is_ok());
}

#[test]
fn a_slot_that_was_given_back_was_never_used() {
    let mut limiter = Limiter::new(vec![limit(1, 60)]);
    let (_, slot) = limiter.take(at(0)).unwrap();
    limiter.give_back(slot);
    assert!(limiter.take(at(0)).is_ok());
}

#[test]
fn every_window_counts_at_once() {
    let mut limiter = Limiter::new(vec![limit(2, 60), limit(3, 3600)]);
    for second in [0, 1, 100] {
        let (_, slot) = limiter.take(at(second)).unwrap();
        limiter.release(slot, at(second));
    }
    let free = at(3600) + Duration::from_millis(3600);
    assert_eq!(limiter.take(at(200)).unwrap_err(), NotNow::Until(free));
    let used: Vec<u32> = limiter.used(at(150)).iter().map(|used| used.calls).collect();
    assert_eq!(used, [1, 3]);
}

#[test]
fn the_later_of_two_holds_counts() {
    let mut limiter = Limiter::new(vec![limit(10, 60)]);
    limiter.block_until(at(50));
    limiter.block_until(at(20));
    assert_eq!(limiter.take(at(30)).unwrap_err(), NotNow::Until(at(50)));
    assert_eq!(limiter.blocked_until(at(30)), Some(at(50)));
    assert!(limiter.take(at(50)).is_ok());
}

#[test]
fn a_forgotten_log_is_spread_evenly_for_its_longest_window() {
    let mut limiter = Limiter::paced(vec![limit(100, 60), limit(1500, 3600)], at(0));
    let (_, slot) = limiter.take(at(0)).unwrap();
    limiter.release(slot, at(0));
    let next = at(2) + Duration::from_millis(400);
    assert_eq!(limiter.take(at(1)).unwrap_err(), NotNow::Until(next));
    assert!(limiter.take(at(3604)).is_ok());
    assert!(limiter.take(at(3604)).is_ok());
}

fn row(stamp: Stamp, closed: Option<(Stamp, bool)>) -> AttemptRow {
    let send_by = Stamp { boot: stamp.boot + seconds(2), wall: stamp.wall + seconds(2), ..stamp };
    let (id, action) = (AttemptId(Uuid::nil()), ActionId(Uuid::nil()));
    let closed = closed.map(|(at, answered)| Closed { at, answered, status: None });
    AttemptRow { id, action, written: stamp, send_by, closed }
}

#[test]
fn a_restart_forgets_nothing() {
    let boot_id = BootId([1; 16]);
    let stamp = |second| Stamp { boot_id, boot: at(second), wall: Wall(0) + seconds(7000) };
    let now = Now { boot: at(100), wall: Wall(0) + seconds(9000) };
    let same = Clocks { boot_id, wall_trusted: false };
    let free_after = |row: AttemptRow, clocks| {
        let limiter = Limiter::resume(vec![limit(1, 1000)], &[row], now, clocks);
        limiter.free_at(now.boot).unwrap() - seconds(1001)
    };
    assert_eq!(free_after(row(stamp(40), Some((stamp(50), true))), same), at(50));
    assert_eq!(free_after(row(stamp(40), Some((stamp(50), false))), same), at(80));
    // Its connection may have been open for 30 s, but not longer than until now.
    assert_eq!(free_after(row(stamp(40), None), same), at(42 + 30 + 30));
    assert_eq!(free_after(row(stamp(90), None), same), at(100 + 30));
    assert_eq!(free_after(row(stamp(99), None), same), at(101 + 30));
    // Another boot, and a wall clock that can't be trusted or went back: as if it were just now.
    let other = BootId([2; 16]);
    let doubtful = Clocks { boot_id: other, wall_trusted: false };
    assert_eq!(free_after(row(stamp(40), Some((stamp(50), true))), doubtful), at(100));
    let trusted = Clocks { boot_id: other, wall_trusted: true };
    let recent = Stamp { wall: now.wall - seconds(500), ..stamp(50) };
    assert_eq!(free_after(row(recent, Some((recent, true))), trusted), at(100 - 500));
    let mut ahead = stamp(40);
    ahead.wall = now.wall + seconds(1);
    assert_eq!(free_after(row(ahead, Some((ahead, true))), trusted), at(100));
    // One time that is ahead makes all of them doubtful.
    let rows = [row(stamp(40), Some((stamp(50), true))), row(ahead, Some((ahead, true)))];
    let limiter = Limiter::resume(vec![limit(2, 1000)], &rows, now, trusted);
    assert_eq!(limiter.free_at(now.boot), Some(at(100) + seconds(1001)));
}

/// How a server may count. Each says whether it still takes a call at that time.
enum Server {
    Fixed { limit: Limit, first: i64, calls: u32 },
    Sliding { limit: Limit, times: Vec<i64> },
    Bucket { limit: Limit, level: f64, last: i64 },
}

impl Server {
    fn takes(&mut self, now: i64) -> bool {
        match self {
            Server::Fixed { limit, first, calls } => {
                if now >= *first + micros(limit.per) {
                    (*first, *calls) = (now, 0);
                }
                *calls += 1;
                *calls <= limit.calls.get()
            }
            Server::Sliding { limit, times } => {
                times.retain(|time| *time > now - micros(limit.per));
                times.push(now);
                times.len() <= limit.calls.get() as usize
            }
            Server::Bucket { limit, level, last } => {
                let capacity = f64::from(limit.calls.get());
                let refill = (now - *last) as f64 * capacity / micros(limit.per) as f64;
                *level = (*level + refill).min(capacity) - 1.0;
                *last = now;
                *level >= -1e-6
            }
        }
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap()
}

/// When the server counts calls that a client makes as fast as its limiter lets it, restarts and
/// reboots included. `drift` is in parts per million.
fn counted(limits: &[Limit], seed: u64, drift: i64, calls: usize) -> Vec<i64> {
    let mut dice = Dice::new(seed);
    let clock = |time: i64| Boot(time + time * drift / 1_000_000);
    let wall = |time: i64| Wall(1_700_000_000_000_000 + time);
    let mut boot_id = 1;
    let mut limiter = Limiter::new(limits.to_vec());
    let mut rows: Vec<AttemptRow> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut counted = Vec::new();
    let mut time = 0_i64;
    let stamp =
        |id: u8, time| Stamp { boot_id: BootId([id; 16]), boot: clock(time), wall: wall(time) };
    while counted.len() < calls {
        open.sort_by_key(|call| call.closes);
        while open.first().is_some_and(|call| call.closes <= time) {
            let Open { row, slot, closes, answered } = open.remove(0);
            let late = if answered { Duration::ZERO } else { limits::COUNTED_LATE };
            limiter.release(slot, clock(closes) + late);
            let at = stamp(boot_id, closes);
            rows[row].closed = Some(Closed { at, answered, status: None });
        }
        if dice.chance(15) {
            boot_id += u8::from(dice.chance(300));
            open.clear();
            let clocks = Clocks { boot_id: BootId([boot_id; 16]), wall_trusted: dice.chance(700) };
            time += micros(dice.between(seconds(0), seconds(4)));
            let now = Now { boot: clock(time), wall: wall(time) };
            limiter = Limiter::resume(limits.to_vec(), &rows, now, clocks);
        }
        match limiter.take(clock(time)) {
            Ok((_, slot)) => {
                rows.push(row(stamp(boot_id, time), None));
                let sent = time + micros(dice.between(seconds(0), seconds(1)));
                let reaches = micros(dice.between(seconds(0), Duration::from_millis(300)));
                let spike = if dice.chance(20) { micros(seconds(25)) } else { 0 };
                let arrives = sent + reaches + spike;
                let answer = arrives + micros(dice.between(seconds(0), Duration::from_millis(300)));
                let gives_up = sent + micros(seconds(10));
                // One in twenty never reaches the server, and the client knows it.
                let unsent = dice.chance(50);
                if !unsent {
                    counted.push(arrives);
                }
                let answered = answer <= gives_up || unsent;
                let closes = if answered { answer } else { gives_up };
                open.push(Open { row: rows.len() - 1, slot, closes, answered });
                time += micros(dice.between(seconds(0), Duration::from_millis(20)));
            }
            Err(NotNow::Until(free)) => {
                let wait = free.since(clock(time));
                let wait = wait.saturating_sub(wait / 3000);
                let next = open.iter().map(|call| call.closes - time).min().unwrap_or(i64::MAX);
                time += micros(wait).min(next).max(1);
            }
            Err(NotNow::Busy) => {
                let next = open.iter().map(|call| call.closes).min();
                time = next.expect("a busy limiter has calls in flight").max(time + 1);
            }
        }
    }
    counted.sort_unstable();
    counted
}

/// A call whose end lies ahead.
struct Open {
    row: usize,
    slot: Slot,
    closes: i64,
    answered: bool,
}

fn check(limits: &[Limit], counted: &[i64]) {
    for limit in limits {
        // Brute force: no window that ends with a call holds more than the limit.
        for (i, end) in counted.iter().enumerate() {
            let calls = counted[..=i].iter().rev().take_while(|t| **t > end - micros(limit.per));
            assert!(calls.count() <= limit.calls.get() as usize, "{limit:?} at {end}");
        }
        let servers = [
            Server::Fixed { limit: *limit, first: i64::MIN / 2, calls: 0 },
            Server::Sliding { limit: *limit, times: Vec::new() },
            Server::Bucket { limit: *limit, level: f64::from(limit.calls.get()), last: 0 },
        ];
        for mut server in servers {
            assert!(counted.iter().all(|time| server.takes(*time)), "{limit:?}");
        }
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_server_counts_more_than_it_allows(
        seed: u64,
        drift in -500_i64..=500,
        minute in 1_u32..8,
        hour in 2_u32..30,
    ) {
        let limits = [limit(minute, 60), limit(hour, 600)];
        check(&limits, &counted(&limits, seed, drift, 60));
    }
}
