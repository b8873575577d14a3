//! Where queued actions stand in line.

use super::*;
use crate::domain::action::Class;
use crate::io::{ActionFilter, Place};

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
    let places = |filter: &ActionFilter| -> Vec<Option<Place>> {
        let lines = super::super::report::actions(reader, filter).unwrap();
        lines.iter().map(|line| line.place).collect()
    };
    let place = |before| Some(Place { before, urgent: 2, others: 4 });
    assert_eq!(places(&filter), [2, 0, 0, 3, 1, 1].map(place));
    let newest = ActionFilter { limit: 2, oldest: false, ..filter.clone() };
    assert_eq!(places(&newest), [1, 1].map(place));
    let all = ActionFilter { state: None, ..filter };
    assert_eq!(places(&all), [None; 7]);
    let report = super::super::report::action(reader, &id(4).to_string()).unwrap().unwrap();
    assert_eq!(report.line.place, place(3));
    let held = super::super::report::action(reader, &id(7).to_string()).unwrap().unwrap();
    assert_eq!(held.line.place, None);
}
