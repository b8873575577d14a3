//! Where queued actions stand in line.

use super::*;
use crate::domain::action::Class;
use crate::io::{ActionFilter, Position};

#[test]
fn each_queued_action_knows_how_many_go_first() {
    let mut world = World::new();
    let classes =
        [Class::Bulk, Class::Normal, Class::Urgent, Class::Bulk, Class::Normal, Class::Urgent];
    for (number, class) in (1..).zip(classes) {
        world.take(brings(Draft { class, ..acts(number, effect(1, number as u8)) }));
    }
    world.take(brings(holds(7, effect(1, 7), unknown_os())));
    let filter = ActionFilter {
        state: Some(StateName::Queued),
        limit: 10,
        oldest: true,
        ..ActionFilter::default()
    };
    let positions = |world: &World, filter: &ActionFilter| -> Vec<Option<Position>> {
        let reader = &world.db.connection;
        let mut lines = super::super::report::actions(reader, filter).unwrap();
        super::super::positions::position(reader, &mut lines, world.now.wall).unwrap();
        lines.iter().map(|line| line.position).collect()
    };
    let position = |before| Some(Position { before, urgent: 2, others: 4 });
    assert_eq!(positions(&world, &filter), [2, 0, 0, 3, 1, 1].map(position));
    let newest = ActionFilter { limit: 2, oldest: false, ..filter.clone() };
    assert_eq!(positions(&world, &newest), [1, 1].map(position));
    let all = ActionFilter { state: None, ..filter.clone() };
    assert_eq!(positions(&world, &all)[6], None, "it is held");

    // The first normal one is called again in an hour: until then it goes before nothing.
    assert!(matches!(world.begin(id(2)), Begun::Written(_)));
    let attempt = attempt_id(2);
    let doubt = crate::domain::action::Doubt::NoAnswer;
    let lost = State::InDoubt { attempt, tries: 0, busy_since: None, doubt };
    world.shift(id(2), StateName::InFlight, lost);
    let waits = queued(world.now.wall + HOUR);
    world.shift(id(2), StateName::InDoubt, waits);
    let position = |before| Some(Position { before, urgent: 2, others: 3 });
    assert_eq!(positions(&world, &filter), [1, 0, 0, 2, 0, 1].map(position));
    assert_eq!(world.db.summary().unwrap().queues[1].last_due, Some(world.now.wall + HOUR));
}
