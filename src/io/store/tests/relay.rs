//! What the relay asks: attempts, transitions, heads, and where to start from.

use super::super::{callers, positions};
use super::*;
use crate::domain::action::Doubt;
use crate::domain::scope::Scope;
use crate::domain::time::Clocks;
use crate::io::Pause;

fn one_queued() -> World {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    world
}

fn pause(scope: Scope) -> Pause {
    Pause { scope, by: "alice".to_owned(), reason: "storm".to_owned(), at: wall() }
}

#[test]
fn a_call_is_read_back_from_the_row_that_its_attempt_is_for() {
    let mut world = one_queued();
    let Begun::Written(call) = world.begin(id(1)) else { panic!() };
    assert_eq!(call.key, effect(1, 1));
    assert_eq!(call.comment, "Stop and quarantine file on machine due to alert a-1");
    let attempt = attempt_id(1);
    assert_eq!(world.state(id(1)), State::InFlight { attempt, tries: 0, busy_since: None });
    assert_eq!(world.begin(id(1)), Begun::NotQueued(StateName::InFlight));
    assert_eq!(world.count("attempts"), 1);
    world.expect_sound();
}

#[test]
fn the_time_that_it_was_held_is_not_time_in_the_queue() {
    let mut world = World::new();
    world.take(brings(holds(1, effect(1, 1), unknown_os())));
    world.later(2 * DAY);
    world.shift(id(1), StateName::Held, queued(world.now.wall));
    let released = world.now.wall;
    world.later(HOUR);
    let now = world.now.wall;
    let heads = world.db.heads(&contoso(), Class::Normal, now, first(10)).unwrap();
    assert_eq!(heads.due[0].queued, released);
}

#[test]
fn nothing_begins_while_its_tenant_or_everything_is_paused() {
    for scope in [Scope::All, Scope::Tenant(contoso())] {
        let mut world = one_queued();
        world.db.pause(&pause(scope.clone())).unwrap();
        world.db.pause(&pause(scope.clone())).unwrap();
        assert!(matches!(world.begin(id(1)), Begun::Paused(_)));
        assert!(world.db.resume(&contoso(), world.now, HOUR).unwrap().paused);
        assert_eq!(world.count("attempts"), 0);
        assert_eq!(world.db.summary().unwrap().pauses, [pause(scope.clone())]);

        assert!(world.resume(&scope).paused.is_some());
        assert!(world.resume(&scope).paused.is_none());
        assert!(matches!(world.begin(id(1)), Begun::Written(_)));
        assert_eq!(world.count("changes WHERE entry LIKE '%alice%'"), 2, "once each");
        world.expect_sound();
    }
}

#[test]
fn a_pause_of_another_tenant_stops_nothing() {
    let mut world = one_queued();
    world.db.pause(&pause(Scope::Tenant(TenantName::new("fabrikam")))).unwrap();
    assert!(world.resume(&Scope::All).paused.is_none(), "exactly its scope");
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
}

#[test]
fn nothing_begins_past_its_expiry() {
    let mut world = one_queued();
    world.later(DAY);
    assert_eq!(world.begin(id(1)), Begun::Expired);
    assert_eq!(
        world.db.expired(&contoso(), world.now.wall, 10).unwrap(),
        [(id(1), StateName::Queued)]
    );
    world.shift(id(1), StateName::Queued, State::Expired);
    assert_eq!(world.begin(id(1)), Begun::NotQueued(StateName::Expired));
    assert_eq!(world.db.expired(&contoso(), world.now.wall, 10).unwrap(), []);
    assert_eq!(world.count("attempts"), 0);
}

#[test]
fn nothing_begins_before_it_is_due() {
    let mut world = one_queued();
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    let not_before = wall() + 5 * MINUTE;
    world.shift(id(1), StateName::InFlight, queued(not_before));
    assert_eq!(world.begin(id(1)), Begun::NotQueued(StateName::Queued));
    let heads = world.db.heads(&contoso(), Class::Normal, wall(), first(10)).unwrap();
    assert_eq!((heads.due.len(), heads.next_due), (0, Some(not_before)));
    world.later(5 * MINUTE);
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
}

#[test]
fn what_does_not_exist_can_not_begin() {
    let mut world = World::new();
    let new = NewAttempt {
        id: attempt_id(1),
        action: id(1),
        written: world.stamp(),
        send_by: world.stamp(),
    };
    assert_eq!(world.db.begin(&new, &NoGuard), Err(StoreError::NoAction(id(1))));
}

#[test]
fn a_transition_that_does_not_exist_is_refused_with_all_that_came_with_it() {
    let mut world = one_queued();
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    for (from, to) in [
        (StateName::InFlight, State::Succeeded { completed: wall() }),
        (StateName::Queued, accepted(wall())),
        (StateName::TimedOut, queued(wall())),
    ] {
        let closed = world.closed(201);
        let change = world.moved(id(1), from, to);
        let refused = world.db.apply(Some(&closed), &[change]);
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    let report = world.db.action(&id(1).to_string()).unwrap().unwrap();
    assert_eq!(report.attempts[0].closed, None, "the attempt was not closed either");
    assert_eq!(report.changes.len(), 2);
    world.expect_sound();
}

#[test]
fn a_change_that_comes_too_late_is_left_out_and_told() {
    let mut world = one_queued();
    world.shift(id(1), StateName::Queued, State::Rejected { by: "alice".to_owned() });
    let late = world.moved(id(1), StateName::Queued, State::Expired);
    let raise =
        Change { what: What::ClassRaised { action: id(1), to: Class::Urgent }, ..late.clone() };
    let left_out = world.db.apply(None, &[late.clone(), raise.clone()]).unwrap();
    assert_eq!(left_out, [late, raise]);
    assert_eq!(world.state(id(1)), State::Rejected { by: "alice".to_owned() });
    world.expect_sound();
}

#[test]
fn a_change_of_another_tenant_and_a_made_up_creation_are_refused() {
    let mut world = one_queued();
    let foreign = Change {
        tenant: Some(TenantName::new("fabrikam")),
        ..world.moved(id(1), StateName::Queued, State::Expired)
    };
    let state = queued(wall());
    let made_up = Change { what: What::Created { action: id(2), state }, ..foreign.clone() };
    for change in [foreign, made_up] {
        assert!(matches!(world.db.apply(None, &[change]), Err(StoreError::Invalid(_))));
    }
    let missing = world.moved(id(5), StateName::Queued, State::Expired);
    assert_eq!(world.db.apply(None, &[missing]), Err(StoreError::NoAction(id(5))));
}

#[test]
fn of_two_closings_the_first_stands() {
    let mut world = one_queued();
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    let (first, second) = (world.closed(201), world.closed(500));
    world.db.apply(Some(&first), &[]).unwrap();
    world.db.apply(Some(&second), &[]).unwrap();
    let report = world.db.action(&id(1).to_string()).unwrap().unwrap();
    assert_eq!(report.attempts[0].status, Some(201));
    world.attempts += 1;
    let unheard_of = world.closed(201);
    assert!(matches!(world.db.apply(Some(&unheard_of), &[]), Err(StoreError::Invalid(_))));
}

#[test]
fn heads_come_in_order_of_arrival_and_say_how_many_are_behind() {
    let mut world = World::new();
    for number in 1..=5 {
        world.take(brings(acts(number, effect(1, number as u8))));
    }
    world.take(brings(Draft { class: Class::Urgent, ..acts(6, effect(1, 6)) }));
    assert!(matches!(world.begin(id(2)), Begun::Written(_)));
    world.shift(id(2), StateName::InFlight, queued(wall() + HOUR));

    let heads = world.db.heads(&contoso(), Class::Normal, wall(), first(2)).unwrap();
    let ids: Vec<_> = heads.due.iter().map(|head| head.action).collect();
    assert_eq!((ids, heads.behind), (vec![id(1), id(3)], 2));
    assert_eq!(heads.next_due, Some(wall() + HOUR));
    let heads = world.db.heads(&contoso(), Class::Normal, wall() + HOUR, first(9)).unwrap();
    let ids: Vec<_> = heads.due.iter().map(|head| head.action).collect();
    assert_eq!((ids, heads.behind), (vec![id(1), id(2), id(3), id(4), id(5)], 0));
    assert_eq!(heads.next_due, None);
    let elsewhere = world.db.heads(&TenantName::new("fabrikam"), Class::Normal, wall(), first(9));
    assert_eq!(elsewhere.unwrap().due, []);
}

#[test]
fn a_clock_set_back_delays_actions_and_loses_none() {
    let mut world = one_queued();
    let heads = world.db.heads(&contoso(), Class::Normal, wall() - HOUR, first(9)).unwrap();
    assert_eq!((heads.due.len(), heads.next_due), (0, Some(wall())));
}

#[test]
fn a_start_finds_what_is_open_and_what_the_budget_has_spent() {
    let mut world = World::new();
    for number in 1..=5 {
        world.take(brings(acts(number, effect(1, number as u8))));
    }
    world.take(brings(holds(6, effect(1, 6), unknown_os())));
    world.succeeded(id(1));
    world.accepted(id(2));
    assert!(matches!(world.begin(id(3)), Begun::Written(_)));
    let in_flight = world.state(id(3));
    assert!(matches!(world.begin(id(4)), Begun::Written(_)));
    let doubt = State::InDoubt {
        attempt: attempt_id(4),
        tries: 1,
        busy_since: None,
        doubt: Doubt::NoAnswer,
    };
    world.shift(id(4), StateName::InFlight, doubt.clone());

    let resumed = world.db.resume(&contoso(), world.now, HOUR).unwrap();
    assert!(!resumed.paused);
    let attempts: Vec<_> = resumed.attempts.iter().map(|a| (a.id, a.closed.is_some())).collect();
    let expected = [(1, true), (2, true), (3, false), (4, false)];
    assert_eq!(attempts, expected.map(|(number, closed)| (attempt_id(number), closed)));
    let open: Vec<_> = resumed.open.iter().map(|o| (o.action, o.state.clone())).collect();
    let expected = [(id(2), accepted(wall())), (id(3), in_flight), (id(4), doubt)];
    assert_eq!(open, expected);
    assert_eq!(resumed.open[1].attempt.as_ref().unwrap().id, attempt_id(3));
    assert_eq!(resumed.open[1].key, effect(1, 3));
}

#[test]
fn only_attempts_that_may_still_be_sent_are_waited_for() {
    let mut world = World::new();
    for number in 1..=3 {
        world.take(brings(acts(number, effect(1, number as u8))));
    }
    world.accepted(id(1));
    assert!(matches!(world.begin(id(2)), Begun::Written(_)));
    let clocks = Clocks { boot_id: BOOT, wall_trusted: true };
    let now = world.now;
    let mut unsent = |scope, now| world.db.unsent(&scope, clocks, now).unwrap();
    assert_eq!(unsent(Scope::All, now), 1);
    assert_eq!(unsent(Scope::Tenant(contoso()), now), 1);
    assert_eq!(unsent(Scope::Tenant(TenantName::new("fabrikam")), now), 0);
    assert_eq!(unsent(Scope::All, now.later(Duration::from_secs(2))), 0, "past `send by`");
}

#[test]
fn each_tenant_with_a_queue_is_told_with_its_most_urgent_class() {
    let mut world = World::new();
    let asked = |world: &World| positions::tenants_with_queue(&world.db.connection).unwrap();
    assert_eq!(asked(&world), []);
    let queued = [
        ("contoso", Class::Bulk),
        ("contoso", Class::Normal),
        ("fabrikam", Class::Urgent),
        ("adatum", Class::Bulk),
    ];
    for (number, (tenant, class)) in (1..).zip(queued) {
        let key = EffectKey { tenant: TenantName::new(tenant), ..effect(number, 1) };
        world.take(brings(Draft { class, ..acts(number.into(), key) }));
    }
    let of = |tenant, class| (TenantName::new(tenant), class);
    let all =
        [of("adatum", Class::Bulk), of("contoso", Class::Normal), of("fabrikam", Class::Urgent)];
    assert_eq!(asked(&world), all);
    // Neither what is called nor what a pause of its file covers waits in the queue.
    assert!(matches!(world.begin(id(3)), Begun::Written(_)));
    world.db.pause(&pause(Scope::Machine(effect(2, 1).machine))).unwrap();
    assert_eq!(asked(&world), [of("adatum", Class::Bulk), of("contoso", Class::Bulk)]);
}

#[test]
fn who_has_made_calls_is_told_with_those_of_the_window_and_what_is_open() {
    let mut world = World::new();
    let names = |world: &World| callers::names(&world.db.connection).unwrap();
    assert_eq!(names(&world), []);
    for (number, tenant) in (1..).zip(["contoso", "contoso", "adatum", "contoso", "fabrikam"]) {
        let key = EffectKey { tenant: TenantName::new(tenant), ..effect(number, 1) };
        world.take(brings(acts(number.into(), key)));
    }
    for number in 1..=3 {
        assert!(matches!(world.begin(id(number)), Begun::Written(_)));
        world.later(20 * MINUTE);
    }
    assert_eq!(names(&world), [TenantName::new("adatum"), contoso()]);
    let asked = |world: &World, tenant: TenantName| {
        callers::caller(&world.db.connection, tenant, world.now, HOUR).unwrap()
    };
    let caller = asked(&world, contoso());
    assert_eq!((caller.calls, caller.open), (vec![wall() + 20 * MINUTE], 3));
    // Of a damaged attempt nobody knows whose it is.
    let damage = "UPDATE attempts SET tenant = 'contosp' WHERE sequence = 2";
    assert_eq!(world.db.connection.execute(damage, []).unwrap(), 1);
    let caller = asked(&world, TenantName::new("contosp"));
    assert_eq!((caller.calls, caller.open), (vec![], 0));
}

#[test]
fn a_call_that_was_answered_is_in_the_window_from_its_answer_on() {
    let mut world = one_queued();
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    world.later(MINUTE);
    let closed = world.closed(201);
    assert_eq!(world.db.apply(Some(&closed), &[]).unwrap(), []);
    let caller = callers::caller(&world.db.connection, contoso(), world.now, HOUR).unwrap();
    assert_eq!(caller.calls, [world.now.wall]);
}
