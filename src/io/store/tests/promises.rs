//! Promises of correlations and look-ups that a reviewer tried to break.

use std::time::Instant;

use super::correlations::{alert_of, brings_one, counted_by, rules, seen, told, why};
use super::*;
use crate::domain::action::HoldWhy;
use crate::domain::alert::Ask;
use crate::domain::correlation::Count;
use crate::domain::decision::Asked;
use crate::io::store::lookups as rows;
use crate::limits::{CORRELATION_TENANT_EVENTS, LOOKUPS_WAITING};

fn waits_else(id: &str, otherwise: Vec<Judged>) -> Receipt {
    let Receipt { content: Content::Asks(asked), .. } = super::lookups::asks(id) else { panic!() };
    let asked = Asked { otherwise, text: String::new(), ..asked };
    Receipt { alert_id: id.to_owned(), content: Content::Asks(asked), ..alert(Vec::new()) }
}

/// Nothing is lost at a bound: where no more may wait for Defender, the candidate is judged as it
/// is, and what matches for certain by a base rule has to count.
#[test]
fn promise_what_may_not_wait_for_defender_still_counts() {
    let mut world = World::new();
    world.take(webhook(vec![super::lookups::asks("da1")]));
    let full = "UPDATE asking SET alerts = ?1";
    world.db.connection.execute(full, [LOOKUPS_WAITING]).unwrap();
    let receipt = waits_else("da2", vec![seen(1, 1, 0)]);
    let taken = world.take(counted_by(rules(), webhook(vec![receipt])));
    assert_eq!(alerts(&taken)[0].fate, Fate::NoMatch, "it did not wait");
    let select = "SELECT count(*) FROM events";
    let events: i64 = world.db.connection.query_row(select, [], |row| row.get(0)).unwrap();
    assert_eq!(events, 1, "it is told no_match, and counts nowhere: {taken:?}");
}

/// The order does not matter, and an event that counts by the rules of now is counted: an alert
/// that is told again, and only now matches, is dropped with what it was before.
#[test]
fn promise_an_alert_told_again_counts_by_the_rules_of_now() {
    let mut world = World::new();
    world.take(brings_one("a", seen(1, 1, 0)));
    let mut changed = rules();
    changed.hash = "rules-2".to_owned();
    // By what was told first it matches no more.
    changed.gone = vec![1];
    // It is told again, with what the new rules need.
    let mut again = seen(1, 1, 0);
    again.counts.as_mut().unwrap().candidate = "[7,1]".into();
    let taken = world.take(counted_by(changed, webhook(vec![alert_of("a", vec![again])])));
    assert_eq!(why(&taken), "counts for rule spreads: 1 of 3 machine.id within 1h");
    assert_eq!(world.events().0, 1);
}

/// At a bound it holds and nothing vanishes: the event that finds no room is held, and those that
/// it would have matched have to be too.
#[test]
fn promise_at_its_bound_what_would_be_matched_is_held_too() {
    let mut world = World::new();
    world.take(brings_one("a", seen(1, 1, 0)));
    world.take(brings_one("b", seen(2, 1, 0)));
    let most = CORRELATION_TENANT_EVENTS;
    world.db.connection.execute("UPDATE counted SET events = ?1", [most]).unwrap();
    let taken = world.take(brings_one("c", seen(3, 1, 0)));
    let held = told(&taken).iter().filter(|(_, fate)| *fate == Fate::Held).count();
    assert_eq!(held, 3, "one file on three machines: {:?}", told(&taken));
}

/// Act before hold, whatever the order: a base rule that asks for a yes must not keep the
/// correlation of it from acting.
#[test]
fn promise_a_correlation_acts_on_what_its_base_rule_holds_for_a_yes() {
    let mut world = World::new();
    for n in 1..=3 {
        let approval = HoldWhy::Approval { rule: "base".to_owned() };
        let held = judged(holds(100 + u32::from(n), effect(n, 1), approval));
        let one = Judged { counts: seen(n, 1, 0).counts, ..held };
        world.take(brings_one(&format!("a{n}"), one));
    }
    assert_eq!(world.events(), (3, 3));
    let states = (1..=3).map(|n| world.state(id(100 + n)).name()).collect::<Vec<_>>();
    assert_eq!(states, [StateName::Queued; 3], "all are matched, and none acts");
}

/// The order does not matter: an alert that is told twice, with another value each time, counts the
/// value that came first.
#[test]
fn promise_it_does_not_matter_which_value_of_an_event_comes_first() {
    let so_far = |values: [&str; 2]| {
        let mut world = World::new();
        let says = |value: &str| {
            let mut one = seen(1, 1, 0);
            one.counts.as_mut().unwrap().counts[0].value = value.to_owned();
            one
        };
        for value in values {
            world.take(brings_one("a", says(value)));
        }
        // Another machine, whose value is the second.
        let mut other = seen(2, 1, 0);
        other.counts.as_mut().unwrap().counts[0].value = "second".to_owned();
        why(&world.take(brings_one("b", other)))
    };
    assert_eq!(so_far(["first", "second"]), so_far(["second", "first"]));
}

/// One alert must not make the intake transaction slow: 1000 files in a group that is full.
#[test]
fn promise_one_alert_does_not_hold_the_writer() {
    let mut world = World::new();
    let many = |id: &str| {
        let one = |n: u32| {
            let mut one = seen(1, 1, 0);
            let counts = one.counts.as_mut().unwrap();
            counts.sha1 = Sha1::from_bytes(std::array::from_fn(|at| n.to_be_bytes()[at % 4]));
            one
        };
        counted_by(rules(), webhook(vec![alert_of(id, (0..1000).map(one).collect())]))
    };
    let began = Instant::now();
    world.take(many("a"));
    let first = began.elapsed();
    let began = Instant::now();
    world.take(many("a"));
    let again = began.elapsed();
    eprintln!("1000 candidates, one correlation: first {first:?}, told again {again:?}");
    assert!(first.max(again) < Duration::from_secs(1), "first {first:?}, again {again:?}");
}

/// The same with ten correlations, told again each time under another message: nothing is new.
#[test]
fn promise_one_alert_told_again_does_not_hold_the_writer_for_ten_correlations() {
    let mut world = World::new();
    let many = || {
        let one = |n: u32| {
            let mut one = seen(1, 1, 0);
            let counts = one.counts.as_mut().unwrap();
            counts.sha1 = Sha1::from_bytes(std::array::from_fn(|at| n.to_be_bytes()[at % 4]));
            let count = counts.counts[0].clone();
            let of = |number| Count { rule: format!("spreads-{number}"), ..count.clone() };
            counts.counts = (0..10).map(of).collect();
            one
        };
        counted_by(rules(), webhook(vec![alert_of("a", (0..1000).map(one).collect())]))
    };
    world.take(many());
    let began = Instant::now();
    world.take(many());
    let again = began.elapsed();
    eprintln!("1000 candidates, ten correlations, told again: {again:?}");
    assert!(again < Duration::from_secs(1), "{again:?}");
}

/// What one alert makes correlations match is found without looking at each pair of it.
#[test]
fn promise_what_one_alert_matches_does_not_hold_the_writer() {
    let mut world = World::new();
    let mut at_once = rules();
    at_once.of.at_least = 1;
    let one = |n: u32| {
        let mut one = seen(1, 1, 0);
        let counts = one.counts.as_mut().unwrap();
        counts.sha1 = Sha1::from_bytes(std::array::from_fn(|at| n.to_be_bytes()[at % 4]));
        let count = counts.counts[0].clone();
        let group = n.to_string();
        let of = |number| Count {
            rule: format!("spreads-{number}"),
            group: group.clone(),
            ..count.clone()
        };
        counts.counts = (0..20).map(of).collect();
        one
    };
    let delivery = webhook(vec![alert_of("a", (0..1000).map(one).collect())]);
    let began = Instant::now();
    world.take(counted_by(at_once, delivery));
    let took = began.elapsed();
    eprintln!("1000 candidates that each match 20 correlations: {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// A source must not make the writer slow: 256 alerts wait, each asks about 1000 files on 1000
/// machines, and all their questions are read again for each question.
#[test]
fn promise_what_waits_does_not_hold_the_writer() {
    let mut world = World::new();
    let big = |n: usize| {
        let mut receipt = waits_else(&format!("da{n}"), vec![seen(1, 1, 0)]);
        let Content::Asks(asked) = &mut receipt.content else { panic!() };
        let bytes = |at: u32| std::array::from_fn(|place| at.to_be_bytes()[place % 4]);
        let at = |one: usize| u32::try_from(n * 1000 + one).unwrap();
        asked.asks = (0..1000)
            .flat_map(|one| {
                [
                    Ask::File(Sha1::from_bytes(bytes(at(one)))),
                    Ask::Machine(MachineId::from_bytes(bytes(at(one)))),
                ]
            })
            .collect();
        receipt
    };
    for n in 0..64 {
        world.take(webhook((0..4).map(|one| big(n * 4 + one)).collect()));
    }
    let began = Instant::now();
    let wanted = rows::wanted(&world.db.connection, &contoso(), 256).unwrap();
    let read = began.elapsed();
    let asks: usize = wanted.iter().map(|one| one.asks.len()).sum();
    eprintln!("{asks} questions of {} alerts read in {read:?}", wanted.len());
    assert!(read < Duration::from_millis(200), "{read:?} of the writer for each question");
}
