//! How far Kafka partitions are taken.

use super::*;

fn at(offset: i64) -> JudgedDelivery {
    from_kafka(offset, webhook(vec![alert(vec![no_match()])]))
}

/// The first of its partition that the store ever sees.
fn first(offset: i64) -> JudgedDelivery {
    JudgedDelivery { follows: None, ..at(offset) }
}

fn acts_at(offset: i64) -> JudgedDelivery {
    let number = u32::try_from(offset).unwrap();
    from_kafka(offset, brings(acts(number, effect(1, number as u8))))
}

fn unprepared_at(offset: i64) -> JudgedDelivery {
    let draft = Draft { prepared: None, ..acts(9, effect(1, offset as u8)) };
    from_kafka(offset, brings(draft))
}

impl World {
    fn next(&mut self) -> Option<i64> {
        let offsets = self.db.offsets(&SourceName::new("xdr")).unwrap();
        offsets.get(&("defender".to_owned(), 3)).copied()
    }

    fn received(&mut self) -> u64 {
        self.db.summary().unwrap().received.iter().map(|(_, count)| count).sum()
    }
}

#[test]
fn offsets_commit_with_what_they_led_to() {
    let mut world = World::new();
    assert_eq!(world.next(), None);
    let begun = JudgedDelivery { follows: None, ..acts_at(41) };
    world.db.intake(&[begun, acts_at(42)]).unwrap();
    assert_eq!((world.next(), world.count("actions")), (Some(43), 2));
}

#[test]
fn offsets_never_go_back_and_a_redelivery_counts_once() {
    let mut world = World::new();
    world.db.intake(&[first(5), at(6), at(7)]).unwrap();
    let again = world.db.intake(&[at(5), at(8), at(6)]).unwrap();
    assert!(matches!(again[0], Taken::Replayed(_)) && done(&again[1]));
    assert!(matches!(again[2], Taken::Replayed(_)));
    assert_eq!((world.next(), world.received()), (Some(9), 4));
    assert!(matches!(world.take(at(5)), Taken::Replayed(_)));
    assert_eq!(world.next(), Some(9));
    world.expect_sound();
}

#[test]
fn what_has_to_come_again_is_not_passed_by_what_overtook_it() {
    let mut world = World::new();
    let taken = world.db.intake(&[first(5), unprepared_at(6), at(7)]).unwrap();
    assert_eq!(taken[1..], [Taken::NotPrepared, Taken::Behind]);
    assert_eq!(world.next(), Some(6), "a new start would read it again");
    let taken = world.db.intake(&[at(8), at(9)]).unwrap();
    assert_eq!(taken, [Taken::Behind, Taken::Behind]);
    assert_eq!(world.next(), Some(6));

    let again = world.db.intake(&[acts_at(6), at(7), at(8), at(9)]).unwrap();
    assert!(again.iter().all(done), "{again:?}");
    assert_eq!((world.next(), world.received()), (Some(10), 5));
    assert!(matches!(world.take(acts_at(6)), Taken::Replayed(_)));
    world.expect_sound();
}

#[test]
fn offsets_may_have_gaps() {
    let mut world = World::new();
    let sparse = |offset, follows| JudgedDelivery { follows, ..at(offset) };
    let taken = world.db.intake(&[sparse(5, None), sparse(9, Some(6)), sparse(20, Some(10))]);
    assert!(taken.unwrap().iter().all(done));
    assert_eq!(world.next(), Some(21));
}

#[test]
fn a_batch_that_fails_whole_is_not_passed_by_the_next_one() {
    let mut world = World::new();
    world.take(first(4));
    let pages: i64 =
        world.db.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    world.db.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let big = Receipt {
        raw: Some(vec![0; 100_000].into()),
        ..alert(vec![judged(acts(5, effect(5, 5)))])
    };
    let failing = || from_kafka(5, webhook(vec![big.clone()]));
    let failed = world.db.intake(&[failing(), from_kafka(6, webhook(vec![big.clone()]))]);
    assert!(!matches!(&failed, Ok(taken) if taken.iter().any(done)), "{failed:?}");
    world.db.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();

    assert_eq!(world.take(at(7)), Taken::Behind);
    assert_eq!(world.next(), Some(5));
    assert!(done(&world.take(failing())));
    assert!(done(&world.take(at(6))));
    assert_eq!(world.next(), Some(7));
    world.expect_sound();
}

#[test]
fn a_log_that_began_anew_is_read_from_its_start() {
    let mut world = World::new();
    world.take(first(100));
    let anew = JudgedDelivery { follows: Some(101), ..at(0) };
    assert!(done(&world.take(anew)), "it says which offset it comes after");
    assert_eq!(world.next(), Some(1));
    assert!(done(&world.take(at(1))));
}

#[test]
fn a_delivery_that_fails_keeps_its_place() {
    let mut world = World::with(Db::in_memory(1).unwrap());
    let begun = JudgedDelivery { follows: None, ..acts_at(1) };
    let taken = world.db.intake(&[begun, acts_at(2), at(3)]).unwrap();
    assert!(done(&taken[0]) && full(&taken[1]) && taken[2] == Taken::Behind);
    assert_eq!(world.next(), Some(2));
    world.ended(id(1), timed_out());
    assert!(done(&world.take(acts_at(2))));
    assert_eq!(world.next(), Some(3));
}
