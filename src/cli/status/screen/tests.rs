use super::*;
use crate::domain::action::Class;
use crate::domain::breaker::Breaker;
use crate::domain::ids::{Sha1, TenantName};
use crate::domain::scope::Scope;
use crate::io::{QueueLine, StateCount, TripLine, WindowLine};

const RESUME: &str = "lazaret resume --sha1 c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13 --reason TEXT";

fn report() -> Report {
    let scope = Scope::Sha1(Sha1::parse("c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13").unwrap());
    let state = |state, count| StateCount { tenant: "contoso".to_owned(), state, count };
    let summary = Summary {
        states: vec![state(StateName::Held, 475), state(StateName::Succeeded, 25)],
        pauses: vec![Pause {
            scope: scope.clone(),
            by: "token alice".to_owned(),
            reason: "a false positive".to_owned(),
            at: Wall(1),
        }],
        trips: vec![TripLine {
            tenant: TenantName::new("contoso"),
            breaker: Breaker::MachinesPerFile,
            scope,
            at: Wall(1),
            why: format!("it was met on more machines than 25/1h; to go on: {RESUME}"),
        }],
        held: vec![("contoso".to_owned(), "breaker".to_owned(), 475)],
        received: vec![("siem".to_owned(), 500)],
        last_received: vec![("siem".to_owned(), Wall(1))],
        ..Summary::default()
    };
    let window = |used, calls, per_seconds| WindowLine { used, calls, per_seconds };
    let relays = vec![RelayLine {
        tenant: "contoso".to_owned(),
        windows: vec![window(0, 100, 60.0), window(25, 1500, 3600.0)],
        ..RelayLine::default()
    }];
    Report {
        version: "0.1.0".to_owned(),
        node: "lazaret-1".to_owned(),
        mode: "enforce".to_owned(),
        rules: 3,
        ruleset: "ab".repeat(32),
        started: Wall(1),
        now: Wall(60_000_001),
        problems: summary.problems(),
        summary,
        relays,
        credentials: Vec::new(),
        kafka: Vec::new(),
        channels: Vec::new(),
        rules_refused: None,
        store_trouble: None,
    }
}

#[test]
fn every_question_is_answered_within_80_columns_and_names_a_command() {
    let report = report();
    let stopped = stopped(Style::plain(), "enforce", &report.summary, &report.problems, report.now);
    for screen in [running(Style::plain(), &report), stopped] {
        for question in ["stopped?", "doing?", "waiting?", "wrong?", "silent?"] {
            let row = screen.lines().position(|line| line.starts_with(question));
            assert!(row.is_some(), "{question}\n{screen}");
        }
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
        assert!(screen.contains("lazaret actions list --held"), "{screen}");
        assert!(screen.contains("lazaret resume --sha1 c41d"), "{screen}");
    }
}

#[test]
fn each_pause_has_its_command_and_nothing_is_said_twice() {
    let mut report = report();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        let scope = Scope::Tenant(TenantName::new(name));
        let (by, reason) = ("token alice".to_owned(), format!("reason {name}"));
        report.summary.pauses.push(Pause { scope, by, reason, at: Wall(n as i64) });
    }
    report.problems = vec![format!("{BY_FILE} /srv/STOP is there; to go on: rm /srv/STOP")];
    report.problems.extend(report.summary.problems());
    for why in ["stopped by the file /srv/STOP", "paused", "tenant a is paused by token alice"] {
        report.problems.push(format!("nothing is sent for tenant contoso: {why}"));
    }
    let down = [vec![format!("{STOPPED}: start it")], report.problems.clone()].concat();
    let stopped = stopped(Style::plain(), "enforce", &report.summary, &down, report.now);
    for screen in [running(Style::plain(), &report), stopped] {
        for once in [RESUME, "resume --tenant a", "resume --tenant b", "STOP is there", HELD] {
            assert_eq!(screen.matches(once).count(), 1, "{once}\n{screen}");
        }
        for once in ["a false positive", "reason a", "reason b", "breaker machines_per_file"] {
            assert_eq!(screen.matches(once).count(), 1, "{once}\n{screen}");
        }
        assert!(screen.contains("and 1 more") && !screen.contains("reason c"));
        assert!(!screen.contains("start it") && !screen.contains("lazaret pause"), "{screen}");
    }
    report.summary.trips.clear();
    report.problems = report.summary.problems();
    assert!(running(Style::plain(), &report).contains("wrong?      nothing else"));
}

#[test]
fn a_full_queue_is_wrong_although_the_same_command_goes_on_from_it() {
    let mut report = report();
    let full = "9 actions are open, the limit of limits.queue is 9";
    report.problems.insert(0, format!("{full}; to go on: {HELD}"));
    let screen = running(Style::plain(), &report);
    assert!(screen.contains(&format!("wrong?      {full}")), "{screen}");
    assert_eq!(screen.matches(HELD).count(), 1, "{screen}");
    assert!(!screen.contains("475 actions"), "another question has told it: {screen}");
}

#[test]
fn what_defender_holds_says_until_when_and_why() {
    let mut report = report();
    report.relays[0].blocked = Some("429 TooManyRequests".to_owned());
    report.relays[0].blocked_until = Some(Wall(90_000_000));
    let screen = running(Style::plain(), &report);
    let says = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = format!("contoso: waits until {}: 429 TooManyRequests; budget", Wall(90_000_000));
    assert!(says.contains(&wanted), "{screen}");
}

#[test]
fn each_class_says_when_its_last_action_starts() {
    let mut report = report();
    let minutes = |n: u64| report.now + Duration::from_secs(60 * n);
    let ends = [(Class::Urgent, minutes(1)), (Class::Bulk, minutes(150))];
    let queue = |class, depth| QueueLine {
        tenant: "contoso".to_owned(),
        class,
        depth,
        oldest: Some(Wall(1)),
        last_due: None,
    };
    report.summary.queues = vec![queue(Class::Urgent, 3), queue(Class::Bulk, 3000)];
    (report.relays[0].ends, report.relays[0].share) = (ends.to_vec(), 72.9);
    let screen = running(Style::plain(), &report);
    let says = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "contoso urgent: 3 queued, the oldest for 60s, the last starts within two minutes",
        "contoso bulk: 3000 queued, the oldest for 60s, the last starts in about 2h",
        "contoso: all called in about 2h; budget used (72.9 % of it ours): 0 of 100 per minute",
    ] {
        assert!(says.contains(wanted), "{wanted}\n{screen}");
    }
}
