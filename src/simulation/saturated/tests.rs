use super::*;

/// A budget that is used to the full.
struct Case {
    name: &'static str,
    plan: fn(u64) -> Plan,
    /// Of what the budget allows in any hour, at least so much is used, in percent.
    used: f64,
}

const CASES: [Case; 8] = [
    Case { name: "steady", plan: Plan::of, used: 99.5 },
    Case {
        name: "boot clock 500 ppm fast",
        plan: |seed| Plan { drift: 500, ..Plan::of(seed) },
        used: 99.5,
    },
    Case {
        name: "boot clock 500 ppm slow",
        plan: |seed| Plan { drift: -500, ..Plan::of(seed) },
        used: 99.5,
    },
    Case {
        name: "6 restarts an hour",
        plan: |seed| Plan { restarts: 6, ..Plan::of(seed) },
        used: 99.5,
    },
    Case {
        name: "restarts, wall clock jumps 2 h",
        plan: |seed| Plan { restarts: 6, wall_jumps: 2, ..Plan::of(seed) },
        used: 99.5,
    },
    Case {
        name: "1400 calls inherited",
        plan: |seed| Plan { inherited: 1400, ..Plan::of(seed) },
        used: 99.5,
    },
    Case {
        name: "reserve 75, 20 urgent an hour",
        plan: |seed| Plan { reserve: 75, urgent: 20, ..Plan::of(seed) },
        used: 99.5,
    },
    Case {
        name: "reboots, clock not to be trusted",
        plan: |seed| Plan { restarts: 2, reboots: 2, wall_jumps: 2, ..Plan::of(seed) },
        used: 0.0,
    },
];

fn ran(plan: Plan) -> (Saturated, f64) {
    let mut world = Saturated::new(plan);
    world.run();
    let fewest = world.outcome.fewest_in_an_hour(world.begins(), world.ends());
    (world, 100.0 * fewest as f64 / f64::from(1500 - plan.reserve))
}

#[test]
fn any_hour_uses_all_of_the_budget_and_no_server_refuses_a_call() {
    let seeds = super::super::tests::number("LAZARET_SATURATED_SEEDS").unwrap_or(1);
    println!("{:<34} {:>7}  refused by the {} servers", "", "used %", Model::ALL.len());
    for Case { name, plan, used } in CASES {
        let (mut least, mut refused) = (f64::INFINITY, BTreeMap::new());
        for seed in 0..seeds {
            let (world, percent) = ran(plan(seed));
            least = least.min(percent);
            for (model, count) in world.outcome.refused {
                *refused.entry(model).or_insert(0) += count;
            }
        }
        let by = Model::ALL.map(|model| {
            format!("{} {}", model.as_str(), refused.get(&model).copied().unwrap_or(0))
        });
        println!("{name:<34} {least:>7.2}  {}", by.join(", "));
        assert_eq!(refused, BTreeMap::new(), "{name}");
        assert!(least >= used, "{name}: {least:.2} %");
    }
}

#[test]
fn each_queued_action_starts_about_when_it_was_said_to() {
    let mut world = Saturated::new(Plan { hours: 9, ..Plan::of(3) });
    world.begin();
    world.run_until(world.begins() + HOUR / 3);
    let (asked, waiting) = (world.now(), world.waiting());
    let forecast = world.dispatcher().unwrap().snapshot(asked).forecast.unwrap();
    let starts = forecast.starts(0, waiting.len() as u64);
    world.run_until(world.ends());
    let (mut compared, mut worst) = (0, 0.0_f64);
    for (place, n) in waiting.iter().enumerate() {
        let Some(started) = world.outcome.starts.get(n) else { continue };
        let said = world.true_time(starts.start(Class::Bulk, place as u64).unwrap());
        let wait = (started - asked.boot.0) as f64;
        let off = ((said - started).abs() - 3 * SECOND).max(0) as f64 / wait.max(1.0);
        (compared, worst) = (compared + 1, worst.max(off));
    }
    println!("{compared} starts, at most {:.2} % off", 100.0 * worst);
    assert!(compared > 12_000, "{compared}");
    assert!(worst <= 0.05, "{:.2} % off", 100.0 * worst);
}

#[test]
fn urgent_actions_wait_seconds_beside_an_endless_backlog() {
    println!("{:>8} {:>8} {:>8} {:>8} {:>8}", "reserve", "used %", "p50 s", "p99 s", "max s");
    for (reserve, most) in [(0, 60), (15, 30), (45, 10)] {
        let plan = Plan { reserve, urgent: 20, hours: 12, ..Plan::of(5) };
        let (mut world, used) = ran(plan);
        let waits = &mut world.outcome.waits;
        waits.sort_unstable();
        let at = |permille: usize| waits[(waits.len() - 1) * permille / 1000] as f64 / 1e6;
        let (half, most_waits, longest) = (at(500), at(990), at(1000));
        println!("{reserve:>8} {used:>8.2} {half:>8.1} {most_waits:>8.1} {longest:>8.1}");
        assert!(longest <= f64::from(most), "{longest} s with a reserve of {reserve}");
    }
}

#[test]
fn beside_others_on_the_same_budget_few_calls_are_refused() {
    let model = Some(Model::SlidingLog);
    let plan = Plan { model, others: 300, hours: 12, ..Plan::of(7) };
    let (world, used) = ran(plan);
    let Outcome { counted, refused, refused_others, .. } = &world.outcome;
    let refused: u64 = refused.values().sum();
    println!(
        "{} calls an hour, {used:.1} % in the worst; refused: {refused} of ours, {refused_others} \
         of theirs in 12 h",
        counted.len() / 12
    );
    assert!(refused <= 12 * 5, "{refused} refused in 12 hours");
    assert!(counted.len() >= 12 * 900, "{} calls", counted.len());
}
