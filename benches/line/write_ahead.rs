//! What it costs that each call's attempt is durable before it is made, beside the least that
//! anything durable costs; and what each kind of work takes of the store's writer.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use lazaret::app::{self, open_store};
use lazaret::domain::action::{Class, ClosedAttempt, Depth, NewAttempt, State, StateName};
use lazaret::domain::audit::{Actor, Change, What};
use lazaret::domain::guard::Guard;
use lazaret::domain::ids::{ActionId, AttemptId, MachineActionId, TenantName};
use lazaret::domain::time::Stamp;
use lazaret::io::clock::SystemClock;
use lazaret::io::store::{Db, SqliteStore};
use lazaret::io::{Clock as _, Store as _};
use lazaret::limits::{HEADS_PER_CLASS, SEND_BY, SWEEP_BATCH};
use tokio::runtime::Runtime;

use super::queue;
use super::site::{Plan, Site};
use super::table::{self, Rounds, Target, quantile};
use super::{Scale, runtime};

const QUEUED: usize = 100_000;
/// Attempts of one round, each beside an append.
const ATTEMPTS: usize = 500;
/// Pieces of work that are asked for at once, so that few commits serve them all.
const AT_ONCE: usize = 256;

pub fn run(scale: Scale) {
    let site = Site::new(&Plan { rules: 100, defender: "http://127.0.0.1:9".into(), kafka: None });
    let config = site.load();
    let guard = app::guard(&config).unwrap_or_else(|why| panic!("{why}"));
    let mut db = queue::open(&config);
    let mut ids = queue::fill(&mut db, 0..QUEUED / scale.divisor).into_iter();
    drop(db);
    // The log is folded in, so that its length tells what an attempt writes.
    let mut db = queue::open(&config);
    alone(scale, &site, &mut db, &*guard, &mut ids);
    drop(db);
    let store = open_store(&config).unwrap_or_else(|why| panic!("{why}"));
    together(scale, &store, &guard, &mut ids);
}

fn alone(
    scale: Scale,
    site: &Site,
    db: &mut Db,
    guard: &dyn Guard,
    ids: &mut impl Iterator<Item = ActionId>,
) {
    let attempts = ATTEMPTS / scale.divisor;
    let clock = SystemClock::new();
    let log = site.path("data/lazaret.db-wal");
    let length = || log.metadata().map_or(0, |log| log.len());
    let mut begin = || {
        let attempt = attempt(&clock, ids.next().expect("enough are queued"));
        let began = Instant::now();
        db.begin(&attempt, guard).unwrap_or_else(|why| panic!("{why}"));
        began.elapsed().as_secs_f64() * 1000.0
    };
    let before = length();
    let first: Vec<f64> = (0..attempts.min(100)).map(|_| begin()).collect();
    let bytes = (length() - before) as usize / first.len();
    let file = OpenOptions::new().create(true).append(true).open(site.path("data/floor"));
    let mut file = file.expect("a file");
    let mut sides = [[Rounds::default(), Rounds::default()], Default::default()];
    for _ in 0..scale.pairs {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..attempts {
            times[0].push(append(&mut file, bytes));
            times[1].push(begin());
        }
        for (side, times) in sides.iter_mut().zip(&times) {
            side[0].push(quantile(times, 0.5));
            side[1].push(quantile(times, 0.99));
        }
    }
    let [floor, lazaret] = &sides;
    table::heading(
        "10. An attempt made durable, one at a time",
        &[
            &format!("floor: an append of as many bytes ({bytes}) and fdatasync, beside it"),
            &format!("{attempts} of each a round, by turns; the p50 and p99 of each round"),
        ],
    );
    table::columns("ms", "× floor");
    for (at, share) in ["p50", "p99"].into_iter().enumerate() {
        table::row(&format!("floor {share}"), &floor[at], &floor[at], Target::None);
        table::row(&format!("begin {share}"), &lazaret[at], &floor[at], Target::None);
    }
}

fn append(file: &mut File, bytes: usize) -> f64 {
    let block = vec![7; bytes];
    let began = Instant::now();
    file.write_all(&block).expect("it is written");
    file.sync_data().expect("it is synced");
    began.elapsed().as_secs_f64() * 1000.0
}

fn attempt(clock: &SystemClock, action: ActionId) -> NewAttempt {
    let written = Stamp::new(clock.boot_id(), clock.now());
    let send_by = Stamp { boot: written.boot + SEND_BY, wall: written.wall + SEND_BY, ..written };
    NewAttempt { id: AttemptId(clock.new_id()), action, written, send_by }
}

/// Many at once share commits: what is left is what each takes of the writer.
fn together(
    scale: Scale,
    store: &SqliteStore,
    guard: &Arc<dyn Guard>,
    ids: &mut impl Iterator<Item = ActionId>,
) {
    let (runtime, clock) = (runtime(), SystemClock::new());
    let tenant = TenantName::new("contoso");
    let mut times = [(); 5].map(|()| Rounds::default());
    for _ in 0..scale.pairs {
        let attempts: Vec<NewAttempt> =
            ids.by_ref().take(AT_ONCE).map(|action| attempt(&clock, action)).collect();
        let made = attempts.iter().cloned();
        let begun = made.map(|attempt| store.begin(Box::new(|| attempt), guard.clone()));
        times[0].push(each(&runtime, begun));
        let answers = attempts.iter().map(|attempt| {
            let (closed, change) = accepted(&clock, attempt);
            store.apply(Some(closed), vec![change])
        });
        times[1].push(each(&runtime, answers));
        let now = clock.now();
        let depth = |heads| Depth { heads, counted: 1500 };
        let loads = |heads| {
            let (store, tenant) = (&store, &tenant);
            (0..AT_ONCE).map(move |_| store.heads(tenant, Class::Bulk, now.wall, depth(heads)))
        };
        times[2].push(each(&runtime, loads(4)));
        times[3].push(each(&runtime, loads(HEADS_PER_CLASS)));
        let sweeps = (0..AT_ONCE).map(|_| store.expired(&tenant, now.wall, SWEEP_BATCH));
        times[4].push(each(&runtime, sweeps));
    }
    runtime.block_on(store.close());
    table::heading(
        "    What the writer takes for each of many that share its commits",
        &[&format!("{AT_ONCE} at once; the queue has {QUEUED}")],
    );
    table::columns("µs", "× begin");
    let names = ["begin", "record an answer", "load 4 of many", "load 256 of many", "sweep"];
    for (name, of) in names.iter().zip(&times) {
        table::row(name, of, &times[0], Target::None);
    }
}

/// Microseconds for each.
fn each<T>(
    runtime: &Runtime,
    asked: impl Iterator<Item = impl Future<Output = Result<T, lazaret::io::StoreError>>>,
) -> f64 {
    let began = Instant::now();
    let done = runtime.block_on(join_all(asked));
    let took = began.elapsed();
    let number = done.len();
    assert!(done.into_iter().all(|one| one.is_ok()));
    took.as_secs_f64() * 1e6 / number as f64
}

fn accepted(clock: &SystemClock, attempt: &NewAttempt) -> (ClosedAttempt, Change) {
    let closed = Stamp::new(clock.boot_id(), clock.now());
    let machine_action = MachineActionId::parse(&attempt.id.to_string()).expect("a short word");
    let to = State::Accepted {
        machine_action,
        since: closed.wall,
        progress: lazaret::domain::action::Progress::Unsaid,
    };
    let change = Change {
        tenant: Some(TenantName::new("contoso")),
        actor: Actor::Lazaret,
        reason: "answered with 201".to_owned(),
        at: closed.wall,
        what: What::Moved { action: attempt.action, from: StateName::InFlight, to },
    };
    let (id, status, text) = (attempt.id, Some(201), String::new());
    (ClosedAttempt { id, closed, answered: true, status, text }, change)
}
