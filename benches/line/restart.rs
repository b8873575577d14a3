//! From the start of the real program over a long queue to its first call, and what it holds then.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use lazaret::simulator::{Call, Endpoint, Limit, Settings, Simulator};
use rustix::fs::{Advice, fadvise};
use tokio::sync::broadcast::error::TryRecvError;

use super::process::Process;
use super::queue;
use super::site::{Plan, Site};
use super::table::{self, Rounds, Target};
use super::{Scale, runtime};

const QUEUED: usize = 1_000_000;
/// What the baseline has queued.
const FEW: usize = 1000;
/// When memory is looked at once more.
const LATER: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_millis(200);
const FIRST_CALL_WITHIN: Duration = Duration::from_secs(600);

/// How the run before ended, and what of the store the system still has in memory.
#[derive(Clone, Copy)]
enum Before {
    Stopped,
    Killed,
    /// Killed, and the machine was started anew.
    Cold,
}

/// What is started, and how it was left.
type Turn<'a> = (&'a Site, Before);

pub fn run(scale: Scale) {
    let runtime = runtime();
    let simulator = runtime.block_on(simulator());
    let (queued, few) = (QUEUED / scale.divisor, FEW / scale.divisor);
    let later = LATER / scale.divisor as u32;
    let began = Instant::now();
    let [little, much] =
        [(); 2].map(|()| Site::new(&Plan { rules: 100, defender: simulator.url(), kafka: None }));
    queue::fill(&mut queue::open(&much.load()), 0..queued);
    table::heading(
        &format!("9. From exec to the first call, {} actions queued", table::number(queued as f64)),
        &[
            &format!("baseline: at least {few} queued; the store's file has {}", megabytes(&much)),
            &format!("filled in {:.0} s", began.elapsed().as_secs_f64()),
        ],
    );
    let turns: [Turn<'_>; 4] = [
        (&little, Before::Stopped),
        (&much, Before::Stopped),
        (&much, Before::Killed),
        (&much, Before::Cold),
    ];
    let mut times = [(); 4].map(|()| Rounds::default());
    let refill =
        |round| queue::fill(&mut queue::open(&little.load()), few * round..few * (round + 1));
    for round in 0..scale.pairs {
        refill(round);
        for (turn, (site, before)) in turns.into_iter().enumerate() {
            prepare(site, before);
            let (process, took) = first_call(site, &simulator);
            times[turn].push(took.as_secs_f64() * 1000.0);
            end(process, turns.get(turn + 1));
        }
    }
    // Afterwards: tens of thousands are called meanwhile, and each that is not ended yet is read by
    // the starts that follow.
    refill(scale.pairs);
    let memory = memory(&turns, &simulator, later);
    table::columns("ms", "× few");
    let most = Target::AtMost(2000.0);
    let names = ["few, stopped", "stopped", "killed", "killed, nothing cached"];
    for (name, of) in names.iter().zip(&times) {
        table::row(name, of, &times[0], Target::None);
    }
    println!("  the slowest median in ms: {}", most.verdict(slowest(&times)));
    println!("  {:<24}{:>11}{:>19}{:>9}  in MB", "", "peak at it", "peak 30 s later", "VmRSS");
    for (name, (then, peak, now)) in names.iter().zip(memory) {
        let verdict = Target::AtMost(200.0).verdict(peak);
        println!("  {name:<24}{then:>11.1}{peak:>19.1}{now:>9.1}  {verdict}");
    }
}

/// Of each: the peak at the first call, and some time later the peak and what is held then. What
/// one has called is accepted when the next starts.
fn memory(turns: &[Turn<'_>], simulator: &Simulator, later: Duration) -> Vec<(f64, f64, f64)> {
    let mut found = Vec::new();
    for (turn, &(site, before)) in turns.iter().enumerate() {
        prepare(site, before);
        let (process, _) = first_call(site, simulator);
        let then = process.megabytes("VmHWM");
        std::thread::sleep(later);
        found.push((then, process.megabytes("VmHWM"), process.megabytes("VmRSS")));
        end(process, turns.get(turn + 1));
    }
    found
}

/// So that the next one finds the log as its name says.
fn end(process: Process, next: Option<&Turn<'_>>) {
    match next {
        Some((_, Before::Killed | Before::Cold)) => drop(process),
        _ => process.stop(),
    }
}

fn slowest(times: &[Rounds]) -> f64 {
    times.iter().map(Rounds::median).fold(0.0, f64::max)
}

fn prepare(site: &Site, before: Before) {
    if matches!(before, Before::Cold) {
        for name in ["data/lazaret.db", "data/lazaret.db-wal"] {
            forget(&site.path(name));
        }
    }
}

/// Has the system drop a file's pages from memory, once they are on disk.
fn forget(path: &Path) {
    let file = File::open(path).expect("it is there");
    file.sync_all().expect("it is synced");
    fadvise(&file, 0, None, Advice::DontNeed).expect("Linux drops them");
}

/// Starts the program and waits until Defender has answered a call of it.
fn first_call(site: &Site, simulator: &Simulator) -> (Process, Duration) {
    // What was killed before may have sent calls that are read only now.
    std::thread::sleep(SETTLE);
    let mut arrivals = simulator.subscribe();
    let began = Instant::now();
    let mut process = Process::spawn(&site.config());
    loop {
        match arrivals.try_recv() {
            Ok(Call { endpoint: Endpoint::Quarantine, .. }) => return (process, began.elapsed()),
            Ok(_) => {}
            Err(TryRecvError::Empty) => {
                process.expect_running();
                assert!(began.elapsed() < FIRST_CALL_WITHIN, "nothing was called");
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(why) => panic!("calls were missed: {why}"),
        }
    }
}

fn megabytes(site: &Site) -> String {
    let file = site.path("data/lazaret.db").metadata().expect("it is there");
    format!("{} MB", table::number(file.len() as f64 / 1e6))
}

async fn simulator() -> Simulator {
    let wide = vec![Limit { calls: 1_000_000, per: Duration::from_secs(60) }];
    let settings = Settings { quarantine: wide.clone(), reads: wide, ..Settings::default() };
    Simulator::bind(settings).await.expect("a port is free")
}
