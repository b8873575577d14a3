//! What people are told, and what is deleted when it has been kept long enough.

use super::*;
use crate::io::{ActionFilter, QueueLine, ReceiptFilter, Retention};

#[test]
fn an_action_is_explained_from_its_alert_to_its_end() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    world.succeeded(id(1));
    let report = world.db.action(&id(1).to_string()).unwrap().unwrap();
    assert_eq!(report.line.alert_id, "a-1");
    assert_eq!(report.rules, ["rule-1"]);
    assert_eq!(report.ruleset, "hash-of-rules");
    assert_eq!(report.candidate["machine.group"], serde_json::Value::Null);
    assert_eq!(report.raw.as_deref(), Some("{\"id\":\"a-1\"}"));
    assert_eq!(report.attempts[0].status, Some(201));
    let states: Vec<_> = report
        .changes
        .iter()
        .map(|change| match &change.what {
            What::Created { state, .. } | What::Moved { to: state, .. } => state.name(),
            other => panic!("{other:?}"),
        })
        .collect();
    use StateName::*;
    assert_eq!(states, [Queued, InFlight, Accepted, Succeeded]);
}

#[test]
fn an_action_is_found_by_a_start_of_its_id_that_no_other_has() {
    let mut world = World::new();
    for number in [0x11, 0x12, 0x21] {
        world.take(brings(acts(number, effect(1, number as u8))));
    }
    let text = id(0x21).to_string();
    let found = world.db.action(&text[..text.len() - 1]).unwrap().unwrap();
    assert_eq!(found.line.id, id(0x21));
    let ambiguous = world.db.action(&id(0x11).to_string()[..35]);
    assert!(matches!(ambiguous, Err(StoreError::Invalid(_))), "{ambiguous:?}");
    for nothing in ["", "-", "0198", "xyz", "%", &format!("{text}0")] {
        assert_eq!(world.db.action(nothing).unwrap(), None, "{nothing}");
    }
}

#[test]
fn actions_are_listed_newest_first_by_tenant_and_state() {
    let mut world = World::new();
    for number in 1..=4 {
        world.take(brings(acts(number, effect(1, number as u8))));
    }
    world.take(brings(holds(5, effect(1, 5), unknown_os())));
    world.accepted(id(2));
    let mut list = |tenant: Option<&str>, state, limit| -> Vec<ActionId> {
        let filter = ActionFilter {
            tenant: tenant.map(str::to_owned),
            state,
            limit,
            ..ActionFilter::default()
        };
        world.db.actions(&filter).unwrap().into_iter().map(|line| line.id).collect()
    };
    assert_eq!(list(None, None, 2), [id(5), id(4)]);
    assert_eq!(list(Some("contoso"), Some(StateName::Queued), 9), [id(4), id(3), id(1)]);
    assert_eq!(list(None, Some(StateName::Held), 9), [id(5)]);
    assert_eq!(list(Some("contoso"), Some(StateName::Accepted), 9), [id(2)]);
    assert_eq!(list(Some("fabrikam"), None, 9), []);
}

#[test]
fn receipts_say_why_an_alert_did_not_act() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    world.take(brings(acts(2, effect(1, 1))));
    world.take(webhook(vec![alert(vec![no_match()]), unreadable()]));
    let mut find = |alert_id: Option<&str>, fate| {
        let alert_id = alert_id.map(str::to_owned);
        let filter = ReceiptFilter { alert_id, fate, source: Some("siem".into()), limit: 9 };
        world.db.receipts(&filter).unwrap()
    };
    let fates: Vec<_> = find(Some("a-1"), None).iter().map(|line| line.fate).collect();
    assert_eq!(fates, [Fate::NoMatch, Fate::Duplicate, Fate::Acted]);
    assert_eq!(find(None, Some(Fate::NoMatch))[0].reason, "rule-1: client");
    let judged = find(Some("a-1"), None).into_iter().chain(find(None, Some(Fate::Unreadable)));
    for line in judged {
        assert_eq!(line.ruleset.as_deref(), Some("hash-of-rules"), "{line:?}");
    }
    assert!(find(None, Some(Fate::Duplicate))[0].reason.contains(&id(1).to_string()));
    let unreadable = &find(None, Some(Fate::Unreadable))[0];
    assert_eq!(
        (unreadable.reason.as_str(), unreadable.head.as_deref()),
        ("it has no id", Some("{\"x\":1}"))
    );
}

#[test]
fn the_summary_counts_queues_and_states() {
    let mut world = World::new();
    for number in 1..=3 {
        let delivery = brings(acts(number, effect(1, number as u8)));
        world.take(later(number * MINUTE, delivery));
    }
    world.now = world.now.later(HOUR);
    world.succeeded(id(1));
    let summary = world.db.summary().unwrap();
    let (tenant, oldest) = ("contoso".to_owned(), Some(wall() + 2 * MINUTE));
    let last_due = Some(wall() + 3 * MINUTE);
    let line = QueueLine { tenant, class: Class::Normal, depth: 2, oldest, last_due };
    assert_eq!(summary.queues, [line]);
    let count = |state| summary.states.iter().find(|s| s.state == state).map(|s| s.count);
    assert_eq!(count(StateName::Succeeded), Some(1));
    assert_eq!(count(StateName::Queued), Some(2));
    assert_eq!(count(StateName::Accepted), Some(0));
}

#[test]
fn what_has_been_kept_long_enough_goes_and_its_changes_stay() {
    let mut world = World::new();
    world.take(with_replay(1, brings(acts(1, effect(1, 1)))));
    world.take(brings(acts(2, effect(1, 2))));
    world.take(webhook(vec![unreadable()]));
    world.succeeded(id(1));
    let retention =
        Retention { fates: 30 * DAY, actions: 400 * DAY, unreadable: 7 * DAY, partials: DAY };
    let counts = |world: &World| {
        ["receipts", "replays", "effects", "actions", "origins", "attempts"]
            .map(|table| world.count(table))
    };
    let changes = world.count("changes");
    let mut purged = |days: u32| {
        let gone = world.db.purge(&retention, wall() + days * DAY).unwrap();
        assert_eq!(world.db.purge(&retention, wall() + days * DAY).unwrap(), 0, "all at once");
        (gone, counts(&world))
    };
    assert_eq!(purged(0), (0, [3, 1, 2, 2, 2, 1]));
    assert_eq!(purged(6), (2, [3, 0, 1, 2, 2, 1]), "the replay id and the ended effect");
    assert_eq!(purged(8), (1, [2, 0, 1, 2, 2, 1]), "what was unreadable");
    assert_eq!(purged(31), (4, [0, 0, 1, 2, 2, 1]), "the other receipts; breakers");
    assert_eq!(purged(401), (3, [0, 0, 1, 1, 1, 0]), "the ended action, never the open one");
    assert_eq!(world.count("changes"), changes);
    assert_eq!(world.db.summary().unwrap().received[0].1, 3, "counters stay");
    world.expect_sound();
}

#[test]
fn receipts_of_every_fate_go_in_the_end() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    for fate in Fate::ALL {
        let sql =
            "INSERT INTO receipts (at, source, alert, fate, reason, delivery, candidates, ruleset)
            SELECT at, source, alert, ?1, reason, delivery, candidates, ruleset
            FROM receipts LIMIT 1";
        world.db.connection.execute(sql, [fate]).unwrap();
    }
    let retention =
        Retention { fates: 30 * DAY, actions: 400 * DAY, unreadable: 7 * DAY, partials: DAY };
    world.db.purge(&retention, wall() + 31 * DAY).unwrap();
    assert_eq!(world.count("receipts"), 0);
}

#[test]
fn the_log_of_the_limiter_outlives_the_shortest_retention() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    world.succeeded(id(1));
    let nothing = Duration::ZERO;
    let retention =
        Retention { fates: nothing, actions: nothing, unreadable: nothing, partials: nothing };
    world.db.purge(&retention, wall() + DAY + HOUR / 2).unwrap();
    assert_eq!(world.count("attempts"), 1, "the longest window is a day");
}

#[test]
fn an_alert_is_kept_once_and_as_long_as_any_of_its_actions() {
    let mut world = World::new();
    world.take(webhook(vec![
        alert(vec![judged(acts(1, effect(1, 1))), no_match(), judged(acts(2, effect(1, 2)))]),
        alert(vec![judged(acts(3, effect(1, 3)))]),
    ]));
    assert_eq!(world.count("payloads"), 2);
    world.succeeded(id(1));
    let retention = Retention { fates: DAY, actions: 2 * DAY, unreadable: DAY, partials: DAY };
    world.db.purge(&retention, wall() + 3 * DAY).unwrap();
    assert_eq!(world.count("actions"), 2);
    for open in [2, 3] {
        let report = world.db.action(&id(open).to_string()).unwrap().unwrap();
        assert_eq!(report.raw.as_deref(), Some("{\"id\":\"a-1\"}"), "{open}");
    }
    world.succeeded(id(2));
    world.db.purge(&retention, wall() + 6 * DAY).unwrap();
    assert_eq!(world.count("payloads"), 1);
}
