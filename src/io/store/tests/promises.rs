//! Promises of correlations and look-ups that a reviewer tried to break.

use super::correlations::{alert_of, brings_one, counted_by, rules, seen, told, why};
use super::*;
use crate::domain::decision::Asked;
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

/// An alert that is told twice, with another value each time, counts as it was told last.
#[test]
fn an_event_that_is_told_again_counts_as_it_was_told_last() {
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
    assert!(so_far(["first", "second"]).contains(": 1 of 3"));
    assert!(so_far(["second", "first"]).contains(": 2 of 3"));
}
