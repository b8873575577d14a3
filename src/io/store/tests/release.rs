//! What is released, by whom, and what it stands by afterwards.

use super::*;
use crate::domain::action::HoldWhy;
use crate::domain::breaker::{Breaker, Rate};
use crate::domain::guard::{Due, Stop};
use crate::domain::rule::Protection;
use crate::domain::vote::Say;
use crate::io::{ActionFilter, Ballot, Pause, Standing, Which};
use crate::limits::RELEASE_PIECE;

fn paused(world: &mut World, scope: &Scope, by: &str, reason: &str) {
    let (by, reason) = (by.to_owned(), reason.to_owned());
    let pause = Pause { scope: scope.clone(), by, reason, at: world.now.wall };
    world.db.pause(&pause).unwrap();
}

fn trips_at(count: u32) -> Vec<(Breaker, Rate)> {
    vec![(Breaker::MachinesPerFile, Rate::per_hours(count, 1))]
}

/// Brings the one file to this machine, by number.
fn outbreak(number: u32) -> JudgedDelivery {
    let mut machine = [0; 20];
    machine[..4].copy_from_slice(&number.to_be_bytes());
    let key = EffectKey { machine: MachineId::from_bytes(machine), ..effect(1, 7) };
    brings(Draft { breakers: trips_at(1), ..acts(number, key) })
}

fn standing(world: &mut World, scope: &Scope) -> (u64, u64) {
    let Standing { held, queued, .. } = world.db.standing(scope).unwrap();
    (held, queued)
}

#[test]
fn a_large_release_leaves_what_others_pause_or_hold_meanwhile() {
    let mut world = World::new();
    let many = RELEASE_PIECE as u32 + 2;
    let batch: Vec<_> = (1..=many + 1).map(outbreak).collect();
    world.db.intake(&batch).unwrap();
    let scope = Scope::Sha1(effect(1, 7).sha1);
    assert_eq!(standing(&mut world, &scope), (many.into(), 1));

    let resumed = world.resume(&scope);
    assert_eq!((resumed.released.len(), resumed.rest.len()), (RELEASE_PIECE, 2));
    paused(&mut world, &scope, "token bob", "it is ours");
    world.later(MINUTE);
    for number in [many + 2, many + 3] {
        world.take(later(MINUTE, outbreak(number)));
    }
    assert_eq!(world.db.summary().unwrap().trips.len(), 1, "it has tripped again");

    let by = Voter { name: "token alice".to_owned(), personal: true };
    let (reason, at) = ("over".to_owned(), world.now.wall);
    let resume = Resume { scope: scope.clone(), by, reason, at };
    let other = Resume { scope: Scope::Tenant(contoso()), ..resume.clone() };
    assert_eq!(world.db.release(&other, &resumed.rest, &NoGuard).unwrap(), [], "held by another");
    let rest = world.db.release(&resume, &resumed.rest, &NoGuard).unwrap();
    assert_eq!(rest.len(), 2);
    let summary = world.db.summary().unwrap();
    assert_eq!((summary.pauses.len(), summary.trips.len()), (1, 1), "both stand");
    assert_eq!(standing(&mut world, &scope), (1, u64::from(many) + 2), "the new one is held");
    assert_eq!(world.begin(id(1)), Begun::Aside);
    assert_eq!(world.db.release(&resume, &resumed.rest, &NoGuard).unwrap(), [], "once only");
    world.expect_sound();
}

#[test]
fn a_row_that_does_not_read_keeps_no_other_from_being_released() {
    let mut world = World::new();
    for number in 1..=3 {
        world.take(outbreak(number));
    }
    let sql = "UPDATE actions SET detail = '{' WHERE id = ?1";
    world.db.connection.execute(sql, [id(2)]).unwrap();
    let resumed = world.resume(&Scope::Sha1(effect(1, 7).sha1));
    assert_eq!(resumed.released.iter().map(|line| line.id).collect::<Vec<_>>(), [id(3)]);
}

/// Remembers what it is asked, and lets everything go on.
struct Asked(std::sync::Mutex<Vec<(String, String, Approvals)>>);

impl Guard for Asked {
    fn stops(&self, due: &Due<'_>, _: Wall) -> Option<Stop> {
        let asked = (due.rule.to_owned(), due.candidate.to_owned(), due.approvals.clone());
        self.0.lock().unwrap().push(asked);
        None
    }

    fn protection(&self, _: &str, _: Wall) -> Protection {
        Protection::None
    }

    fn approvals(&self, _: &str) -> Approvals {
        Approvals::default()
    }
}

fn two() -> Approvals {
    Approvals { count: 2, four_eyes: true, given: Vec::new() }
}

#[test]
fn what_evidence_releases_stands_by_the_rule_that_did() {
    for (covered, scope) in [(true, "rule-2"), (false, "rule-1")] {
        for before in [true, false] {
            let mut world = World::new();
            world.take(brings(holds(1, effect(1, 1), unknown_os())));
            let scope = Scope::Rule(scope.to_owned());
            if before {
                paused(&mut world, &scope, "token alice", "it is wrong");
            }
            let mut draft = acts(2, effect(1, 1));
            draft.rules = vec!["rule-2".to_owned(), "rule-1".to_owned()];
            draft.approvals = two();
            draft.window = 3 * DAY;
            draft.prepared.as_mut().unwrap().candidate = r#"{"machine.os":"x"}"#.to_owned();
            let released = world.decide(brings(draft));
            assert!(is_act(&released, id(1)), "{released:?}");
            if !before {
                paused(&mut world, &scope, "token alice", "it is wrong");
            }
            let guard = Asked(std::sync::Mutex::default());
            let begun = world.begin_under(id(1), &guard);
            assert_eq!(begun == Begun::Aside, covered, "{begun:?}, before: {before}");
            let asked = ("rule-2".to_owned(), r#"{"machine.os":"x"}"#.to_owned(), two());
            let asked = if covered { vec![] } else { vec![asked] };
            assert_eq!(*guard.0.lock().unwrap(), asked);
            let report = world.db.action(&id(1).to_string()).unwrap().unwrap();
            assert_eq!(report.rules, ["rule-2", "rule-1"]);
            let filter =
                ActionFilter { rule: Some("rule-2".to_owned()), limit: 9, ..<_>::default() };
            assert_eq!(world.db.actions(&filter).unwrap().len(), 1);
            world.resume(&scope);
            let sql = "SELECT aside, (SELECT window FROM effects) FROM actions";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
            let window = i64::try_from((3 * DAY).as_micros()).unwrap();
            assert_eq!(world.db.connection.query_row(sql, [], row).unwrap(), (0, window));
            world.expect_sound();
        }
    }
}

#[test]
fn what_a_decision_asked_of_people_is_kept_with_what_it_made() {
    for approvals in [two(), Approvals::default()] {
        let mut world = World::new();
        world.take(brings(Draft { approvals: approvals.clone(), ..acts(1, effect(1, 1)) }));
        let guard = Asked(std::sync::Mutex::default());
        world.begin_under(id(1), &guard);
        assert_eq!(guard.0.lock().unwrap()[0].2, approvals);
    }
}

fn decides(world: &mut World, number: u8, breaker: (Breaker, Rate)) -> bool {
    decides_as(world, number, "rule-1", contoso(), breaker)
}

fn decides_as(
    world: &mut World,
    number: u8,
    rule: &str,
    tenant: TenantName,
    breaker: (Breaker, Rate),
) -> bool {
    // One file on many machines.
    let key = EffectKey { tenant, ..effect(number, 7) };
    let rules = vec![rule.to_owned()];
    let draft = Draft { breakers: vec![breaker], rules, ..acts(number.into(), key) };
    let received = world.now.wall;
    let delivery = JudgedDelivery { received, ..brings(draft) };
    matches!(world.decide(delivery), Decision::Act { .. })
}

/// Alerts are received some time before they are decided, and clocks are set back.
#[test]
fn a_breaker_counts_all_that_is_decided_after_its_resume() {
    for (breaker, scope) in [
        (Breaker::MachinesPerFile, Scope::Sha1(effect(1, 7).sha1)),
        (Breaker::RuleActions, Scope::Rule("rule-1".to_owned())),
        (Breaker::TenantActions, Scope::Tenant(contoso())),
        (Breaker::ShareOfFleet, Scope::Tenant(contoso())),
    ] {
        for back in [Duration::ZERO, Duration::from_secs(1), 3 * HOUR] {
            let mut world = World::new();
            let two = (breaker, Rate::per_hours(2, 1));
            let acted = |world: &mut World, number| decides(world, number, two);
            assert!(acted(&mut world, 1) && acted(&mut world, 2) && !acted(&mut world, 3));
            world.later(HOUR / 2);
            assert_eq!(world.resume(&scope).tripped, 1);
            world.now.wall = world.now.wall - back;
            let decided = [4, 5, 6].map(|number| acted(&mut world, number));
            assert_eq!(decided, [true, true, false], "{breaker}, {back:?}");
        }
    }
}

#[test]
fn a_machine_counts_anew_after_the_fleet_was_resumed() {
    let mut world = World::new();
    let two = (Breaker::ShareOfFleet, Rate::per_hours(2, 24));
    let file =
        |machine, file| Draft { breakers: vec![two], ..acts(file, effect(machine, file as u8)) };
    for machine in 1..=3 {
        world.take(brings(file(machine, machine.into())));
    }
    world.later(MINUTE);
    assert_eq!(world.resume(&Scope::Tenant(contoso())).tripped, 1);
    // Also within one batch.
    let batch = [(1, 11), (2, 12), (9, 13)]
        .map(|(machine, number)| later(2 * MINUTE, brings(file(machine, number))));
    let taken = world.db.intake(&batch).unwrap();
    let acted: Vec<_> = taken.iter().map(|taken| fate(taken) == Fate::Acted).collect();
    assert_eq!(acted, [true, true, false], "those of before are two again");
}

#[test]
fn a_resume_sets_back_what_has_tripped_and_nothing_beside() {
    let rate = Rate::per_hours(2, 1);
    let fabrikam = || TenantName::new("fabrikam");
    let mut world = World::new();
    let rule = (Breaker::RuleActions, rate);
    for number in [1, 2, 3] {
        decides_as(&mut world, number, "rule-1", contoso(), rule);
    }
    assert!(decides_as(&mut world, 4, "rule-1", fabrikam(), rule));
    assert_eq!(world.resume(&Scope::Rule("rule-1".to_owned())).tripped, 1);
    assert!(decides_as(&mut world, 5, "rule-1", fabrikam(), rule));
    assert!(!decides_as(&mut world, 6, "rule-1", fabrikam(), rule), "its third, whoever resumed");

    let mut world = World::new();
    let (fleet, tenant) = ((Breaker::ShareOfFleet, rate), (Breaker::TenantActions, rate));
    for number in [1, 2, 3] {
        decides_as(&mut world, number, "rule-1", contoso(), fleet);
    }
    assert_eq!(world.resume(&Scope::Tenant(contoso())).tripped, 1);
    assert!(!decides_as(&mut world, 4, "rule-1", contoso(), tenant), "the tenant has had two");
}

#[test]
fn everybody_who_pauses_the_same_is_on_the_record() {
    let mut world = World::new();
    let changes = |world: &World| world.count("changes");
    let pauses = [
        ("token alice", "wave of false positives", 1),
        ("token bob", "wave", 1),
        ("token bob", "wave", 0),
        ("token alice", "wave of false positives", 0),
        ("token alice", "wave", 1),
    ];
    for (by, reason, new) in pauses {
        let before = changes(&world);
        paused(&mut world, &Scope::All, by, reason);
        assert_eq!(changes(&world) - before, new, "{by}: {reason}");
    }
    let before = changes(&world);
    for number in 0..8 {
        paused(&mut world, &Scope::All, "token carol", &format!("{number}{}", "x".repeat(900)));
    }
    assert_eq!(changes(&world) - before, 8, "also where the screen shows no more");
    let shown = world.db.summary().unwrap().pauses.remove(0).reason;
    assert!(shown.starts_with("wave of false positives; also by token bob: wave"), "{shown}");
    assert!(shown.len() < 5000, "{}", shown.len());
    world.expect_sound();
}

#[test]
fn an_action_that_is_named_twice_is_voted_on_once_and_no_vote_is_without_bound() {
    let mut world = World::new();
    let why = HoldWhy::Approval { rule: "rule-1".to_owned() };
    world.take(brings(holds(1, effect(1, 1), why)));
    let mut vote = |ids: Vec<String>| {
        let by = Voter { name: "token alice".to_owned(), personal: true };
        let (reason, at) = ("looked at it".to_owned(), world.now.wall);
        let ballot = Ballot { which: Which::Ids(ids), say: Say::Reject, by, reason, at };
        world.db.vote(&ballot, &NoGuard)
    };
    let one = id(1).to_string();
    let many = vec![one.clone(); RELEASE_PIECE + 1];
    assert!(matches!(vote(many), Err(StoreError::Invalid(_))));
    assert_eq!(vote(vec![one.clone(), one[..36].to_owned(), one]).unwrap().len(), 1);
    world.expect_sound();
}
