//! What becomes of accepted actions: how far they are, and what their rule wants at their end.

use super::*;
use crate::domain::action::{HoldWhy, OnEnd};
use crate::domain::vote::Say;
use crate::io::recall::Recall;
use crate::io::store::recall;
use crate::io::{Ballot, Which};
use crate::limits::RETRY_WAIT;

/// One action whose rule wants this where it times out, and a person where it fails.
fn wants(timed_out: OnEnd) -> World {
    let mut world = World::new();
    let endings = Endings { timed_out, failed: OnEnd::Hold };
    let approvals = Approvals { count: 2, four_eyes: true, given: Vec::new() };
    world.take(brings(Draft { endings, approvals, ..acts(1, effect(1, 1)) }));
    world
}

fn failed() -> State {
    State::Failed { error: "0x80070005; Access denied".to_owned() }
}

fn says(world: &mut World, say: Say, name: &str) {
    let ballot = Ballot {
        which: Which::Ids(vec![id(1).to_string()]),
        say,
        by: Voter { name: name.to_owned(), personal: true },
        reason: "seen".to_owned(),
        at: world.now.wall,
    };
    world.db.vote(&ballot, &NoGuard).unwrap();
}

fn reasons(world: &mut World) -> Vec<String> {
    let report = world.db.action(&id(1).to_string()).unwrap().unwrap();
    report.changes.into_iter().map(|change| change.reason).collect()
}

#[test]
fn what_times_out_is_called_again_as_often_as_its_rule_said() {
    let mut world = wants(OnEnd::Retry(2));
    for (again, wait) in [(1, RETRY_WAIT.0), (2, 2 * RETRY_WAIT.0)] {
        world.ended(id(1), timed_out());
        let due = world.now.wall + wait;
        assert_eq!(world.state(id(1)), queued(due));
        let told = format!("timed out at Defender: {TOLD}; to be called again, {again} of 2; test");
        assert_eq!(reasons(&mut world).last(), Some(&told));
        let report = world.db.action(&id(1).to_string()).unwrap().unwrap();
        assert_eq!((report.again, report.expires), (again, due + DAY));
        assert_eq!(world.begin(id(1)), Begun::NotQueued(StateName::Queued), "not due yet");
        let again = world.decide(brings(acts(2, effect(1, 1))));
        assert!(is_duplicate(&again, id(1)), "{again:?}");
        world.later(wait);
    }
    world.ended(id(1), timed_out());
    assert_eq!(world.state(id(1)), timed_out());
    assert_eq!(world.count("attempts"), 3, "none before it was due");
    world.expect_sound();
}

const TOLD: &str = "0x80190198, the machine never fetched it";

#[test]
fn a_person_decides_where_the_rule_says_so_and_a_yes_calls_again() {
    for (say, stands) in [(Say::Approve, StateName::Queued), (Say::Reject, StateName::Rejected)] {
        let mut world = wants(OnEnd::GiveUp);
        world.ended(id(1), failed());
        let State::Held { why, approvals } = world.state(id(1)) else { panic!() };
        let error = "0x80070005; Access denied".to_owned();
        assert_eq!(why, HoldWhy::Outcome { end: StateName::Failed, error });
        assert_eq!((approvals.count, approvals.four_eyes), (2, true), "as its rule asks");
        let reasons = reasons(&mut world);
        let told = &reasons[reasons.len() - 2..];
        assert!(told.iter().all(|reason| reason.contains("it failed: 0x80070005")), "{told:?}");
        let held = world.db.summary().unwrap().held;
        assert_eq!(held, [("contoso".to_owned(), "outcome".to_owned(), 1)]);
        says(&mut world, say, "token alice");
        if say == Say::Approve {
            says(&mut world, say, "token bob");
        }
        assert_eq!(world.state(id(1)).name(), stands);
        if say == Say::Approve {
            assert!(matches!(world.begin(id(1)), Begun::Written(_)));
        }
        world.expect_sound();
    }
}

#[test]
fn what_is_cancelled_or_recalled_is_never_called_again() {
    let mut world = wants(OnEnd::Retry(3));
    world.ended(id(1), cancelled());
    assert_eq!(world.state(id(1)), cancelled());

    let mut world = wants(OnEnd::Retry(3));
    world.accepted(id(1));
    let (by, reason) = ("token alice".to_owned(), "wrong".to_owned());
    let recall = Recall { sha1: effect(1, 1).sha1, by, reason, at: world.now.wall };
    let db = &world.db.connection;
    recall::begin(db, &recall).unwrap();
    let open = recall::open(db, recall.sha1).unwrap();
    recall::withdraw(db, &recall, &open).unwrap();
    world.shift(id(1), StateName::Accepted, timed_out());
    assert_eq!(world.state(id(1)), timed_out());
    world.expect_sound();
}

#[test]
fn evidence_that_releases_brings_its_own_rules_wish() {
    let mut world = World::new();
    world.take(brings(holds(1, effect(1, 1), unknown_os())));
    let endings = Endings { timed_out: OnEnd::Retry(1), failed: OnEnd::GiveUp };
    world.take(brings(Draft { endings, ..acts(2, effect(1, 1)) }));
    let report = world.db.action(&id(1).to_string()).unwrap().unwrap();
    assert_eq!(report.endings, endings);
}

#[test]
fn an_earlier_end_of_what_is_called_again_is_remembered() {
    let mut world = wants(OnEnd::Retry(2));
    world.ended(id(1), timed_out());
    let outcomes =
        |world: &mut World| world.db.resume(&contoso(), world.now, HOUR).unwrap().outcomes;
    let ended = MachineActionId::parse("ma-1").unwrap();
    assert_eq!(outcomes(&mut world), std::slice::from_ref(&ended));
    world.later(RETRY_WAIT.0);
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    assert_eq!(outcomes(&mut world), [ended]);
    let to = accepted(world.now.wall);
    world.shift(id(1), StateName::InFlight, to);
    assert_eq!(outcomes(&mut world), [], "it is followed");
}

#[test]
fn what_no_machine_has_fetched_is_counted_until_it_is_fetched_or_ends() {
    let progressed = |world: &mut World, to| {
        let what = What::Progressed { action: id(1), to };
        let change = Change { what, ..world.moved(id(1), StateName::Accepted, timed_out()) };
        world.db.apply(None, &[change]).unwrap().len()
    };
    for ends in [true, false] {
        let mut world = wants(OnEnd::Retry(2));
        assert_eq!(progressed(&mut world, Progress::Unfetched), 1, "left out: it is queued");
        world.accepted(id(1));
        let since = world.now.wall;
        assert_eq!(world.db.summary().unwrap().unfetched, []);
        world.later(HOUR);
        assert_eq!(progressed(&mut world, Progress::Unfetched), 0);
        let told = [("contoso".to_owned(), 1, since)];
        assert_eq!(world.db.summary().unwrap().unfetched, told);
        let State::Accepted { progress, .. } = world.state(id(1)) else { panic!() };
        assert_eq!(progress, Progress::Unfetched);
        let open = world.db.resume(&contoso(), world.now, HOUR).unwrap().open;
        assert_eq!(open[0].state, world.state(id(1)), "a start knows it");
        match ends {
            true => world.shift(id(1), StateName::Accepted, timed_out()),
            false => assert_eq!(progressed(&mut world, Progress::Running), 0),
        }
        assert_eq!(world.db.summary().unwrap().unfetched, []);
        world.expect_sound();
    }
}
