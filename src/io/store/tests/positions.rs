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
    let reader = &world.db.connection;
    let positions = |filter: &ActionFilter| -> Vec<Option<Position>> {
        let lines = super::super::report::actions(reader, filter).unwrap();
        lines.iter().map(|line| line.position).collect()
    };
    let position = |before| Some(Position { before, urgent: 2, others: 4 });
    assert_eq!(positions(&filter), [2, 0, 0, 3, 1, 1].map(position));
    let newest = ActionFilter { limit: 2, oldest: false, ..filter.clone() };
    assert_eq!(positions(&newest), [1, 1].map(position));
    let all = ActionFilter { state: None, ..filter };
    assert_eq!(positions(&all), [None; 7]);
    let report = super::super::report::action(reader, &id(4).to_string()).unwrap().unwrap();
    assert_eq!(report.line.position, position(3));
    let held = super::super::report::action(reader, &id(7).to_string()).unwrap().unwrap();
    assert_eq!(held.line.position, None);
}
