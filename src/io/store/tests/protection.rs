//! What protects an action, ends it or explains it although its own row says less.

use super::*;
use crate::domain::action::HoldWhy;
use crate::domain::guard::{Due, Stop};
use crate::domain::rule::Protection;
use crate::domain::vote::{Say, Voted};
use crate::io::{ActionFilter, Ballot, Which};

fn protects(key: EffectKey) -> Judged {
    Judged {
        machine: key.machine.to_string(),
        sha1: key.sha1.to_string(),
        outcome: Outcome::Protected { key, by: vec!["deny".to_owned()] },
        counts: None,
    }
}

#[test]
fn evidence_that_protects_ends_what_is_held_or_queued_and_nothing_that_has_left() {
    let by = State::Rejected { by: "rule deny".to_owned() };
    for (draft, sent, is) in [
        (acts(1, effect(1, 1)), false, Some(by.clone())),
        (holds(1, effect(1, 1), unknown_os()), false, Some(by)),
        (acts(1, effect(1, 1)), true, None),
    ] {
        let mut world = World::new();
        world.take(brings(draft));
        if sent {
            world.accepted(id(1));
        }
        let before = world.state(id(1));
        let taken = world.take(webhook(vec![alert(vec![protects(effect(1, 1))])]));
        assert_eq!(fate(&taken), Fate::Protected);
        assert_eq!(world.state(id(1)), is.unwrap_or(before));
        let changes = world.db.action(&id(1).to_string()).unwrap().unwrap().changes;
        let told = changes.iter().any(|change| change.reason.contains("protected by rule deny"));
        assert_eq!(told, !sent);
        world.take(webhook(vec![alert(vec![protects(effect(2, 2))])]));
        world.expect_sound();
    }
}

/// A call stops every copy of a file on a machine.
#[test]
fn what_protects_one_copy_protects_all_for_a_day_in_either_order() {
    let mut world = World::new();
    let copies = [
        vec![protects(effect(1, 1)), judged(acts(1, effect(1, 1)))],
        vec![judged(acts(2, effect(2, 2))), protects(effect(2, 2))],
        vec![protects(effect(3, 3))],
        vec![judged(acts(3, effect(3, 3)))],
    ];
    for copies in copies {
        assert_eq!(fate(&world.take(webhook(vec![alert(copies)]))), Fate::Protected);
    }
    assert_eq!(world.count("actions"), 0);
    let next_day = world.decide(later(DAY + MINUTE, brings(acts(4, effect(3, 3)))));
    assert!(is_act(&next_day, id(4)), "{next_day:?}");
    world.expect_sound();
}

#[test]
fn what_is_protected_while_its_call_is_under_way_is_not_sent_again() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    world.take(webhook(vec![alert(vec![protects(effect(1, 1))])]));
    world.shift(id(1), StateName::InFlight, queued(world.now.wall));
    assert_eq!(world.begin(id(1)), Begun::Stopped(StateName::Rejected));
    world.expect_sound();
    let retention = crate::io::Retention {
        fates: 30 * DAY,
        actions: 400 * DAY,
        unreadable: 7 * DAY,
        partials: DAY,
    };
    world.db.purge(&retention, wall() + DAY).unwrap();
    assert_eq!(world.count("spared"), 0);
}

/// Holds everything, as a deny rule would that lacks a field.
struct Holds;

impl Guard for Holds {
    fn stops(&self, _: &Due<'_>, _: Wall) -> Option<Stop> {
        let (rule, fields) = ("deny".to_owned(), vec!["machine.group".to_owned()]);
        Some(Stop::Hold(
            HoldWhy::Protection { rule, fields, told: String::new() },
            Approvals::default(),
        ))
    }

    fn protection(&self, _: &str, _: Wall) -> Protection {
        Protection::None
    }

    fn approvals(&self, _: &str) -> Approvals {
        Approvals::default()
    }
}

fn approve(world: &mut World) -> Voted {
    let by = Voter { name: "token alice".to_owned(), personal: true };
    let (which, at) = (Which::Ids(vec![id(1).to_string()]), world.now.wall);
    let ballot = Ballot { which, say: Say::Approve, by, reason: "fine".to_owned(), at };
    world.db.vote(&ballot, &NoGuard).unwrap().remove(0).voted
}

/// Whether a yes is remembered for the next look of the guard.
fn released_by(world: &mut World) -> Vec<String> {
    world.db.action(&id(1).to_string()).unwrap().unwrap().released_by
}

#[test]
fn a_yes_ends_with_the_next_hold() {
    let mut world = World::new();
    world.take(brings(holds(1, effect(1, 1), HoldWhy::Approval { rule: "rule-1".to_owned() })));
    assert_eq!(approve(&mut world), Voted::Released);
    assert_eq!(released_by(&mut world), ["token alice"]);
    assert_eq!(world.begin_under(id(1), &Holds), Begun::Stopped(StateName::Held));
    assert_eq!(released_by(&mut world), [""; 0]);
    let released = world.decide(brings(acts(2, effect(1, 1))));
    assert!(is_act(&released, id(1)), "{released:?}");
    assert_eq!(released_by(&mut world), [""; 0], "evidence is no person");
}

#[test]
fn what_is_held_before_its_call_has_as_long_as_what_was_held_at_once() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    let expires = |world: &mut World| {
        world.db.action(&id(1).to_string()).unwrap().unwrap().expires.since(world.now.wall)
    };
    assert_eq!(expires(&mut world), DAY);
    world.later(HOUR);
    assert_eq!(world.begin_under(id(1), &Holds), Begun::Stopped(StateName::Held));
    assert_eq!(expires(&mut world), 3 * DAY);
    world.later(HOUR);
    assert_eq!(approve(&mut world), Voted::Released);
    assert_eq!(expires(&mut world), DAY);
}

#[test]
fn the_evidence_that_released_an_action_counts_as_its_own() {
    let mut world = World::new();
    let at = |minutes: u32, draft| Draft { evidence: Some(wall() + minutes * MINUTE), ..draft };
    world.take(brings(at(0, holds(1, effect(1, 1), unknown_os()))));
    let released = world.decide(brings(at(4, acts(2, effect(1, 1)))));
    assert!(is_act(&released, id(1)), "{released:?}");
    world.later(2 * MINUTE);
    world.succeeded(id(1));
    let again = world.decide(later(3 * MINUTE, brings(at(4, acts(3, effect(1, 1))))));
    assert!(is_duplicate(&again, id(1)), "{again:?}");
}

#[test]
fn a_row_that_does_not_read_blinds_nobody_to_the_others() {
    let mut world = World::new();
    for number in [1, 2] {
        let key = effect(number, 1);
        world.take(brings(holds(number.into(), key, HoldWhy::Returns)));
    }
    let sql = "UPDATE actions SET detail = '{' WHERE id = ?1";
    world.db.connection.execute(sql, [id(1)]).unwrap();
    let held = world.db.summary().unwrap().held;
    let word = |why: &str| ("contoso".to_owned(), why.to_owned(), 1);
    assert_eq!(held, [word("returns"), word("unreadable")]);
    let filter = ActionFilter { limit: 9, why: Some("returns".to_owned()), ..<_>::default() };
    for filter in [filter, ActionFilter { limit: 9, ..<_>::default() }] {
        assert_eq!(world.db.actions(&filter).unwrap().len(), 1);
    }
    let again = world.decide(brings(acts(3, effect(1, 1))));
    assert!(is_duplicate(&again, id(1)), "it is still open: {again:?}");
}

#[test]
fn a_chain_that_was_cut_while_another_went_on_is_seen_without_an_anchor() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    let fabrikam = EffectKey { tenant: TenantName::new("fabrikam"), ..effect(1, 1) };
    world.take(brings(acts(2, fabrikam)));
    assert_eq!(world.db.verify_chains().unwrap(), [""; 0]);
    let sql = "DELETE FROM changes WHERE chain = 'contoso'";
    world.db.connection.execute(sql, []).unwrap();
    let faults = world.db.verify_chains().unwrap();
    assert!(faults[0].contains("entries are missing"), "{faults:?}");
}

/// A rule that asks for two by now, and deny rules that do not know enough.
struct Stricter;

impl Guard for Stricter {
    fn stops(&self, _: &Due<'_>, _: Wall) -> Option<Stop> {
        None
    }

    fn protection(&self, _: &str, _: Wall) -> Protection {
        Protection::Unknown(vec![("deny".to_owned(), vec!["machine.group".to_owned()])])
    }

    fn approvals(&self, rule: &str) -> Approvals {
        assert_eq!(rule, "rule-1");
        Approvals { count: 2, four_eyes: true, given: Vec::new() }
    }
}

#[test]
fn a_rule_that_asks_for_more_by_now_gets_it_and_what_a_yes_passes_over_is_told() {
    let mut world = World::new();
    world.take(brings(holds(1, effect(1, 1), HoldWhy::Approval { rule: "rule-1".to_owned() })));
    let mut yes = |who: &str| {
        let by = Voter { name: who.to_owned(), personal: who.starts_with("token") };
        let (which, at) = (Which::Ids(vec![id(1).to_string()]), world.now.wall);
        let ballot = Ballot { which, say: Say::Approve, by, reason: "fine".to_owned(), at };
        world.db.vote(&ballot, &Stricter).unwrap().remove(0)
    };
    assert_eq!(yes("uid 0").voted, Voted::NotPersonal);
    let first = yes("token alice");
    assert_eq!((first.voted, first.passed), (Voted::Counted { given: 1, of: 2 }, vec![]));
    assert_eq!(yes("token alice").voted, Voted::CountedBefore);
    let second = yes("token bob");
    assert_eq!((second.voted, second.passed), (Voted::Released, vec!["deny".to_owned()]));
    world.expect_sound();
}
