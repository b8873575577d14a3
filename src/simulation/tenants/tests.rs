use super::*;

const TENANTS: usize = 1000;
/// Of these, so many have ten times the alerts of the others, and may be sick.
const BUSY: usize = 100;

/// Beside a tenth more, this much more is let pass over all: a part of what one sync takes.
const FLOOR: Duration = Duration::from_millis(2);

/// The same for the tenant that lost most. It has some ten calls, so that its p99 is the one that
/// waited longest: there a group of the writer is fuller by chance.
const FLOOR_OF_ONE: Duration = Duration::from_millis(20);

fn plan(sick: usize, trouble: Trouble) -> Plan {
    let lasts = Duration::from_secs(90);
    Plan { seed: 7, tenants: TENANTS, busy: BUSY, sick, trouble, lasts }
}

/// The value below which 99 of 100 lie.
fn p99(waits: &[Duration]) -> Duration {
    let mut sorted = waits.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

/// How others fared: overall, and the tenant that lost most against the run in which all are well.
struct Others {
    overall: (Duration, Duration),
    worst: (Duration, Duration),
}

impl Others {
    fn of(well: &Waits, with: &Waits, sick: usize) -> Self {
        let all = |waits: &Waits| p99(&waits.0[sick..].concat());
        let each = well.0.iter().zip(&with.0).skip(sick).map(|(w, s)| (p99(w), p99(s)));
        let worst = each.max_by_key(|(well, with)| with.saturating_sub(*well));
        Self { overall: (all(well), all(with)), worst: worst.unwrap_or_default() }
    }
}

/// Whether it is more than a tenth and the floor above what it was.
fn lost((well, with): (Duration, Duration), floor: Duration) -> bool {
    with > well * 11 / 10 + floor
}

#[test]
fn the_troubles_of_some_tenants_delay_no_other() {
    let well = run(plan(0, Trouble::None));
    let calls: usize = well.0.iter().map(Vec::len).sum();
    println!("{TENANTS} tenants, {calls} calls; p99 from alert to call, well → with the sick");
    let cases: Vec<(usize, Trouble)> =
        [1, BUSY].iter().flat_map(|sick| Trouble::ALL.map(|trouble| (*sick, trouble))).collect();
    let half = |from: usize| {
        let cases = cases.iter().skip(from).step_by(2);
        cases.map(|(sick, trouble)| (*sick, *trouble, run(plan(*sick, *trouble)))).collect()
    };
    let mut ran: Vec<(usize, Trouble, Waits)> = std::thread::scope(|threads| {
        let other = threads.spawn(|| half(1));
        let mut ran: Vec<_> = half(0);
        ran.extend::<Vec<_>>(other.join().expect("its runs pass"));
        ran
    });
    ran.sort_by_key(|(sick, trouble, _)| (*sick, format!("{trouble:?}")));
    let mut wrong = Vec::new();
    for (sick, trouble, with) in &ran {
        let Others { overall, worst } = Others::of(&well, with, *sick);
        let line = format!(
            "{sick:>4} {:<14} all {:>9.1?} → {:>9.1?}   the worst {:>9.1?} → {:>9.1?}",
            format!("{trouble:?}"),
            overall.0,
            overall.1,
            worst.0,
            worst.1
        );
        println!("{line}");
        if lost(overall, FLOOR) || lost(worst, FLOOR_OF_ONE) {
            wrong.push(line);
        }
        // Else nothing is shown.
        let calls = |waits: &Waits| waits.0[*sick..].iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(calls(with), calls(&well), "{sick} {trouble:?}: the others' actions are called");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let short = |seed| Plan {
        seed,
        tenants: 50,
        busy: 10,
        sick: 10,
        trouble: Trouble::Slow,
        lasts: Duration::from_secs(60),
    };
    assert_eq!(run(short(1)).0, run(short(1)).0);
    assert_ne!(run(short(1)).0, run(short(2)).0);
}
