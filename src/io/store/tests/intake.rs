//! What a delivery leads to.

use super::*;
use crate::domain::action::HoldWhy;
use crate::io::Summary;

#[test]
fn the_same_alert_twice_makes_one_action() {
    let mut world = World::new();
    assert!(is_act(&world.decide(brings(acts(1, effect(1, 1)))), id(1)));
    assert!(is_duplicate(&world.decide(brings(acts(2, effect(1, 1)))), id(1)));
    assert_eq!(world.count("actions"), 1);
    world.expect_sound();
}

#[test]
fn two_evidence_items_of_one_file_make_one_action() {
    let mut world = World::new();
    let twice = vec![judged(acts(1, effect(1, 1))), judged(acts(2, effect(1, 1)))];
    let taken = world.take(webhook(vec![alert(twice)]));
    let decisions: Vec<_> =
        alerts(&taken)[0].candidates.iter().map(|c| c.decision.clone()).collect();
    assert!(is_act(&decisions[0], id(1)) && is_duplicate(&decisions[1], id(1)), "{decisions:?}");
    assert_eq!((fate(&taken), world.count("actions")), (Fate::Acted, 1));
}

#[test]
fn a_delivery_sees_what_its_neighbour_in_the_batch_did() {
    let mut world = World::new();
    let batch = [brings(acts(1, effect(1, 1))), brings(acts(2, effect(1, 1)))];
    let taken = world.db.intake(&batch).unwrap();
    assert!(is_act(&decision(&taken[0]), id(1)));
    assert!(is_duplicate(&decision(&taken[1]), id(1)));
    let Taken::Done { effects, .. } = &taken[1] else { panic!() };
    assert_eq!(*effects, [(effect(1, 1), id(1))]);
}

#[test]
fn evidence_that_settles_releases_what_is_held_as_unknown() {
    let mut world = World::new();
    world.take(brings(holds(1, effect(1, 1), unknown_os())));
    let held = world.db.action(&id(1).to_string()).unwrap().unwrap();
    assert_eq!(held.expires, wall() + 3 * DAY);

    let mut settles = acts(2, effect(1, 1));
    settles.prepared.as_mut().unwrap().candidate = r#"{"machine.os":"Windows11"}"#.to_owned();
    let decision = world.decide(brings(settles));
    assert!(
        matches!(decision, Decision::Act { action, released: true, .. } if action == id(1)),
        "{decision:?}"
    );
    let released = world.db.action(&id(1).to_string()).unwrap().unwrap();
    assert_eq!(released.line.state, queued(wall()));
    assert_eq!(released.expires, wall() + DAY, "it now expires as a queued action");
    assert_eq!(released.candidate["machine.os"], "Windows11", "it is judged again by this");
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    world.expect_sound();
}

#[test]
fn a_hold_that_is_released_late_has_as_long_as_a_new_action() {
    let mut world = World::new();
    world.take(brings(holds(1, effect(1, 1), unknown_os())));
    world.decide(later(2 * DAY, brings(acts(2, effect(1, 1)))));
    let released = world.db.action(&id(1).to_string()).unwrap().unwrap();
    assert_eq!(released.expires, wall() + 3 * DAY);
}

#[test]
fn evidence_that_a_quarantine_has_dealt_with_does_not_release_what_came_after() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    world.ended(id(1), State::Succeeded { completed: wall() + MINUTE });
    let newer =
        Draft { evidence: Some(wall() + 2 * MINUTE), ..holds(2, effect(1, 1), unknown_os()) };
    world.take(brings(newer));
    assert_eq!(world.state(id(2)), held(unknown_os()));
    let old = Draft { evidence: Some(wall()), ..acts(3, effect(1, 1)) };
    assert!(is_duplicate(&world.decide(brings(old)), id(2)));
    assert_eq!(world.state(id(2)), held(unknown_os()));
}

#[test]
fn what_is_held_for_its_returns_stays_held() {
    let mut world = World::new();
    world.take(brings(holds(1, effect(1, 1), HoldWhy::Returns)));
    assert!(is_duplicate(&world.decide(brings(acts(2, effect(1, 1)))), id(1)));
    assert_eq!(world.state(id(1)), held(HoldWhy::Returns));
}

#[test]
fn a_duplicate_of_a_higher_class_raises_its_owner() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    world.take(brings(Draft { class: Class::Urgent, ..acts(2, effect(1, 1)) }));
    let heads = world.db.heads(&contoso(), Class::Urgent, wall(), first(10)).unwrap();
    assert_eq!(heads.due[0].action, id(1));
    let report = world.db.action(&id(1).to_string()).unwrap().unwrap();
    assert!(report.changes.iter().any(|c| matches!(c.what, What::DuplicateLinked { .. })));
    assert!(report.changes.iter().any(|c| matches!(c.what, What::ClassRaised { .. })));
    world.expect_sound();
}

#[test]
fn refused_blocks_for_the_window_and_no_longer() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    let code = "DisallowedOperation".to_owned();
    world.shift(id(1), StateName::InFlight, State::Refused { code });

    let within = later(DAY - MINUTE, brings(acts(2, effect(1, 1))));
    assert!(is_duplicate(&world.decide(within), id(1)));
    let after = later(DAY + MINUTE, brings(acts(3, effect(1, 1))));
    assert!(is_act(&world.decide(after), id(3)));
    world.expect_sound();
}

#[test]
fn a_failed_action_blocks_nothing() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    world.ended(id(1), State::Failed { error: "no such file".to_owned() });
    assert!(is_act(&world.decide(brings(acts(2, effect(1, 1)))), id(2)));
}

#[test]
fn a_file_that_comes_back_acts_again_and_is_held_the_third_time() {
    let mut world = World::new();
    let came_back = |number, world: &World| {
        let evidence = Some(world.now.wall + MINUTE);
        let draft = Draft { evidence, ..acts(number, effect(1, 1)) };
        JudgedDelivery { received: world.now.wall + MINUTE, ..brings(draft) }
    };
    world.take(brings(acts(1, effect(1, 1))));
    world.succeeded(id(1));

    let old = Draft { evidence: Some(wall()), ..acts(2, effect(1, 1)) };
    assert!(is_duplicate(&world.decide(brings(old)), id(1)), "evidence of before");
    assert!(is_duplicate(&world.decide(brings(acts(2, effect(1, 1)))), id(1)), "of no time");

    let second = came_back(3, &world);
    assert!(is_act(&world.decide(second), id(3)));
    world.later(2 * MINUTE);
    world.succeeded(id(3));
    let third = came_back(4, &world);
    let decision = world.decide(third);
    assert!(matches!(&decision, Decision::Hold { why: HoldWhy::Returns, .. }), "{decision:?}");
    assert!(matches!(world.begin(id(4)), Begun::NotQueued(StateName::Held)));
    world.expect_sound();
}

#[test]
fn a_replayed_id_gets_its_first_answer_until_it_is_forgotten() {
    let mut world = World::new();
    let first = world.take(with_replay(1, brings(acts(1, effect(1, 1)))));
    let Taken::Done { answer, .. } = first else { panic!() };
    let again = with_replay(1, brings(acts(2, effect(2, 2))));
    assert_eq!(world.take(again.clone()), Taken::Replayed(answer.clone()));
    let kept = later(15 * MINUTE, again.clone());
    assert_eq!(world.take(kept), Taken::Replayed(answer), "to the last moment");
    assert_eq!((world.count("actions"), world.count("receipts")), (1, 1));

    let elsewhere = JudgedDelivery { source: SourceName::new("other"), ..again.clone() };
    assert!(done(&world.take(elsewhere)), "each source has its own ids");
    assert!(done(&world.take(later(16 * MINUTE, again))));
    world.expect_sound();
}

#[test]
fn a_replay_within_one_batch_is_one_too() {
    let mut world = World::new();
    let batch = [1, 2].map(|number| with_replay(1, brings(acts(number, effect(1, number as u8)))));
    let taken = world.db.intake(&batch).unwrap();
    assert!(done(&taken[0]) && matches!(taken[1], Taken::Replayed(_)));
}

#[test]
fn what_was_received_is_what_has_a_fate() {
    let mut world = World::new();
    let quiet = Receipt { keep_row: false, ..alert(vec![no_match()]) };
    let unknown_tenant = Receipt {
        content: Content::UnknownTenant { named: "fabrikam".to_owned() },
        ..alert(Vec::new())
    };
    world.take(webhook(vec![alert(vec![judged(acts(1, effect(1, 1)))]), unreadable()]));
    world.take(webhook(vec![quiet.clone(), quiet, alert(vec![no_match()]), unknown_tenant]));
    world.take(webhook(vec![alert(Vec::new())]));
    world.take(later(MINUTE, webhook(Vec::new())));

    let Summary { fates, received, last_received, .. } = world.db.summary().unwrap();
    let count = |fate| fates.iter().find(|f| f.fate == fate).map_or(0, |f| f.count);
    assert_eq!(count(Fate::NoMatch), 4);
    assert_eq!(count(Fate::Acted), 1);
    assert_eq!((count(Fate::Unreadable), count(Fate::UnknownTenant)), (1, 1));
    assert_eq!(received, [("siem".to_owned(), 7)]);
    assert_eq!(last_received, [("siem".to_owned(), wall() + MINUTE)]);
    assert_eq!(world.count("receipts"), 5, "two of `no match` are only counted");
    world.expect_sound();
}

#[test]
fn a_predicted_duplicate_that_is_none_leaves_no_trace() {
    let mut world = World::new();
    let unprepared = Draft { prepared: None, ..acts(1, effect(1, 1)) };
    let both = vec![alert(vec![judged(acts(2, effect(2, 2))), judged(unprepared.clone())])];
    let batch = [with_replay(1, webhook(both)), brings(acts(3, effect(3, 3))), brings(unprepared)];
    let taken = world.db.intake(&batch).unwrap();
    assert_eq!(taken[0], Taken::NotPrepared);
    assert!(is_act(&decision(&taken[1]), id(3)));
    assert_eq!(taken[2], Taken::NotPrepared);
    let counts = ["actions", "effects", "receipts", "changes"].map(|table| world.count(table));
    assert_eq!((counts, world.count("replays")), ([1, 1, 1, 1], 0));
    world.expect_sound();
}

#[test]
fn a_full_queue_takes_what_makes_no_new_action() {
    let mut world = World::with(Db::in_memory(2).unwrap());
    let batch = [1, 2, 3, 1].map(|file| brings(acts(file, effect(1, file as u8))));
    let taken = world.db.intake(&batch).unwrap();
    assert!(done(&taken[0]) && done(&taken[1]));
    assert_eq!(taken[2], Taken::Failed(StoreError::Full(2)));
    assert!(is_duplicate(&decision(&taken[3]), id(1)));
    assert!(full(&world.take(brings(acts(3, effect(1, 3))))));

    world.ended(id(1), timed_out());
    assert!(is_act(&world.decide(brings(acts(3, effect(1, 3)))), id(3)));
    world.expect_sound();
}

#[test]
fn a_delivery_that_fails_does_not_stop_its_neighbours() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    // Its action's id is taken: no row can be written for it.
    let failing = webhook(vec![
        alert(vec![judged(acts(2, effect(2, 2)))]),
        alert(vec![judged(acts(1, effect(3, 3)))]),
    ]);
    let batch = [brings(acts(4, effect(4, 4))), failing, brings(acts(5, effect(5, 5)))];
    let taken = world.db.intake(&batch).unwrap();
    assert!(done(&taken[0]) && done(&taken[2]));
    assert!(matches!(&taken[1], Taken::Failed(StoreError::Io(_))), "{:?}", taken[1]);
    assert_eq!((world.count("actions"), world.count("receipts")), (3, 3));
    world.expect_sound();
}
