//! Pauses, breakers, a person's yes and no, and the guard, on the store itself.

use super::*;
use crate::domain::action::HoldWhy;
use crate::domain::breaker::{Breaker, Rate};
use crate::domain::guard::{Due, Released, Stop};
use crate::domain::rule::Protection;
use crate::domain::vote::{Say, Voted};
use crate::io::{ActionFilter, Ballot, Pause, STOP_FILE, Standing, Which};

fn paused(world: &mut World, scope: &Scope) {
    let (by, reason) = ("token alice".to_owned(), "why".to_owned());
    let pause = Pause { scope: scope.clone(), by, reason, at: world.now.wall };
    world.db.pause(&pause).unwrap();
}

fn heads(world: &mut World) -> Vec<ActionId> {
    let heads = world.db.heads(&contoso(), Class::Normal, world.now.wall, first(10)).unwrap();
    heads.due.into_iter().map(|head| head.action).collect()
}

fn narrow() -> [Scope; 3] {
    [
        Scope::Rule("rule-1".to_owned()),
        Scope::Machine(effect(1, 1).machine),
        Scope::Sha1(effect(1, 1).sha1),
    ]
}

#[test]
fn a_pause_of_a_rule_machine_or_file_stops_just_that() {
    for scope in narrow() {
        let mut world = World::new();
        world.take(brings(acts(1, effect(1, 1))));
        let other = Draft { rules: vec!["rule-2".to_owned()], ..acts(2, effect(2, 2)) };
        world.take(brings(other));
        paused(&mut world, &scope);
        assert_eq!(world.begin(id(1)), Begun::Aside, "{scope}");
        assert_eq!(heads(&mut world), [id(2)], "the queue passes over it: {scope}");
        assert!(matches!(world.begin(id(2)), Begun::Written(_)), "{scope}");
        let standing = world.db.standing(&scope).unwrap();
        assert_eq!(standing, Standing { queued: 1, ..Standing::default() }, "{scope}");
        assert!(world.resume(&scope).paused.is_some());
        assert_eq!(heads(&mut world), [id(1)], "{scope}");
        assert!(matches!(world.begin(id(1)), Begun::Written(_)), "{scope}");
        world.expect_sound();
    }
}

#[test]
fn what_comes_during_a_pause_is_paused_and_two_pauses_are_two() {
    let mut world = World::new();
    let [rule, machine, sha1] = narrow();
    for scope in [&rule, &machine, &machine, &sha1] {
        paused(&mut world, scope);
    }
    world.take(brings(acts(1, effect(1, 1))));
    for scope in [&sha1, &rule, &machine] {
        assert_eq!((world.begin(id(1)), heads(&mut world)), (Begun::Aside, vec![]), "{scope}");
        assert!(world.resume(scope).paused.is_some());
        assert!(world.resume(scope).paused.is_none(), "it is over");
    }
    assert_eq!(heads(&mut world), [id(1)]);
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
}

#[test]
fn a_pause_holds_what_comes_back_to_the_queue() {
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    paused(&mut world, &Scope::Sha1(effect(1, 1).sha1));
    world.shift(id(1), StateName::InFlight, queued(world.now.wall));
    assert_eq!((world.begin(id(1)), heads(&mut world)), (Begun::Aside, vec![]));
}

#[test]
fn the_file_stop_stops_every_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::with(Db::open(dir.path(), 10).unwrap());
    world.take(brings(acts(1, effect(1, 1))));
    std::fs::write(dir.path().join(STOP_FILE), "").unwrap();
    let Begun::Paused(why) = world.begin(id(1)) else { panic!("has to stop") };
    assert!(why.contains(STOP_FILE), "{why}");
    std::fs::remove_file(dir.path().join(STOP_FILE)).unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.path().join(STOP_FILE)).unwrap();
    assert!(matches!(world.begin(id(1)), Begun::Paused(_)), "also a link to nothing");
    std::fs::remove_file(dir.path().join(STOP_FILE)).unwrap();
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
}

fn fused(number: u32, key: EffectKey, breakers: &[(Breaker, Rate)]) -> Draft {
    Draft { breakers: breakers.to_vec(), ..acts(number, key) }
}

#[test]
fn one_file_on_too_many_machines_is_held_and_one_word_releases_it() {
    let mut world = World::new();
    let breakers = [(Breaker::MachinesPerFile, Rate::per_hours(2, 1))];
    let decide = |world: &mut World, number: u8, file: u8| {
        world.decide(brings(fused(number.into(), effect(number, file), &breakers)))
    };
    for number in 1..=2 {
        assert!(is_act(&decide(&mut world, number, 7), id(number.into())));
    }
    let scope = Scope::Sha1(effect(1, 7).sha1);
    for number in 3..=5 {
        let held = decide(&mut world, number, 7);
        let Decision::Hold { why, .. } = held else { panic!("{held:?}") };
        let breaker = Breaker::MachinesPerFile;
        assert_eq!(why, HoldWhy::Breaker { breaker, scope: scope.clone() });
    }
    assert!(is_act(&decide(&mut world, 6, 8), id(6)), "another file goes on");
    let trips = world.db.summary().unwrap().trips;
    assert_eq!((trips.len(), &trips[0].scope), (1, &scope));

    let resumed = world.resume(&scope);
    assert_eq!((resumed.paused, resumed.tripped), (None, 1));
    assert!(resumed.released.iter().all(|line| line.voted == Voted::Released));
    assert_eq!(resumed.released.len(), 3);
    assert_eq!(world.db.summary().unwrap().trips, []);
    world.later(Duration::from_secs(1));
    let mut again = |number: u8| {
        let draft = fused(number.into(), effect(number, 7), &breakers);
        world.decide(later(Duration::from_secs(1), brings(draft)))
    };
    assert!(is_act(&again(7), id(7)) && is_act(&again(8), id(8)), "it counts anew");
    assert!(matches!(again(9), Decision::Hold { .. }));
    world.expect_sound();
}

#[test]
fn breakers_count_within_their_time_and_over_batches() {
    let rule = (Breaker::RuleActions, Rate::per_hours(2, 1));
    let tenant = (Breaker::TenantActions, Rate::per_hours(2, 1));
    let fleet = (Breaker::ShareOfFleet, Rate::per_hours(2, 24));
    for breaker in [rule, tenant, fleet] {
        let mut world = World::new();
        let brought = |number: u8, span| {
            let draft = fused(number.into(), effect(number, number), &[breaker]);
            later(span, brings(draft))
        };
        let batch = [1, 2, 3].map(|number| brought(number, Duration::ZERO));
        let taken = world.db.intake(&batch).unwrap();
        assert!(is_act(&decision(&taken[1]), id(2)), "{breaker:?}");
        assert!(matches!(decision(&taken[2]), Decision::Hold { .. }), "in one batch: {breaker:?}");
        let mut world = World::new();
        let decided = [(1, 0), (2, 0), (3, 60), (4, 25 * 60)]
            .map(|(number, minutes)| world.decide(brought(number, minutes * MINUTE)));
        let acted = decided.map(|decision| matches!(decision, Decision::Act { .. }));
        let slow = breaker == fleet;
        assert_eq!(acted, [true, true, false, false], "{breaker:?}, {slow}");
        let mut world = World::new();
        world.decide(brought(1, Duration::ZERO));
        world.decide(brought(2, Duration::ZERO));
        let late = world.decide(brought(3, 25 * 60 * MINUTE));
        assert!(is_act(&late, id(3)), "{breaker:?}: those before are long ago");
    }
}

/// Says no for this reason, as the rules would.
struct Says(Option<Stop>, Protection);

impl Guard for Says {
    fn stops(&self, _: &Due<'_>, _: Wall) -> Option<Stop> {
        self.0.clone()
    }

    fn protection(&self, _: &str, _: Wall) -> Protection {
        self.1.clone()
    }

    fn approvals(&self, _: &str) -> Approvals {
        Approvals::default()
    }
}

#[test]
fn what_the_guard_stops_is_not_sent_and_stands_where_it_says() {
    let withdrawn = HoldWhy::Withdrawn { rule: "rule-1".to_owned() };
    for (stop, stands) in [
        (Stop::Protected(vec!["deny".to_owned()]), StateName::Rejected),
        (Stop::Hold(withdrawn, Approvals::default()), StateName::Held),
    ] {
        let mut world = World::new();
        world.take(brings(acts(1, effect(1, 1))));
        let begun = world.begin_under(id(1), &Says(Some(stop), Protection::None));
        assert_eq!(begun, Begun::Stopped(stands));
        assert_eq!((world.state(id(1)).name(), world.count("attempts")), (stands, 0));
        world.expect_sound();
    }
    let mut world = World::new();
    world.take(brings(acts(1, effect(1, 1))));
    let begun =
        world.begin_under(id(1), &Says(Some(Stop::Shut("observe".into())), Protection::None));
    assert_eq!(begun, Begun::Paused("observe".to_owned()));
    assert_eq!((world.state(id(1)).name(), world.count("attempts")), (StateName::Queued, 0));
}

fn ballot(world: &World, which: Which, say: Say, who: &str) -> Ballot {
    let by = Voter { name: who.to_owned(), personal: who.starts_with("token") };
    Ballot { which, say, by, reason: "looked at it".to_owned(), at: world.now.wall }
}

fn vote(world: &mut World, action: u32, say: Say, who: &str) -> Voted {
    let ids = Which::Ids(vec![id(action).to_string()]);
    let ballot = ballot(world, ids, say, who);
    world.db.vote(&ballot, &NoGuard).unwrap().remove(0).voted
}

fn asks(number: u32, key: EffectKey, count: u8, four_eyes: bool) -> Draft {
    let why = HoldWhy::Approval { rule: "rule-1".to_owned() };
    let approvals = Approvals { count, four_eyes, given: Vec::new() };
    Draft { approvals, ..holds(number, key, why) }
}

#[test]
fn two_different_people_release_what_asks_for_two() {
    let mut world = World::new();
    world.take(brings(asks(1, effect(1, 1), 2, true)));
    assert_eq!(vote(&mut world, 1, Say::Approve, "uid 1000"), Voted::NotPersonal);
    let counted = Voted::Counted { given: 1, of: 2 };
    assert_eq!(vote(&mut world, 1, Say::Approve, "token alice"), counted);
    assert_eq!(vote(&mut world, 1, Say::Approve, "token alice"), Voted::CountedBefore);
    assert_eq!(world.state(id(1)).name(), StateName::Held);
    assert_eq!(vote(&mut world, 1, Say::Approve, "token bob"), Voted::Released);
    let stands = Voted::Stands { state: StateName::Queued };
    assert_eq!(vote(&mut world, 1, Say::Approve, "token carol"), stands);
    let json: String =
        world.db.connection.query_row("SELECT released FROM actions", [], |r| r.get(0)).unwrap();
    let released: Released = serde_json::from_str(&json).unwrap();
    assert_eq!(released.by, ["token alice", "token bob"]);
    assert!(matches!(world.begin(id(1)), Begun::Written(_)));
    world.expect_sound();
}

#[test]
fn a_yes_to_what_is_protected_by_now_ends_it() {
    let mut world = World::new();
    world.take(brings(asks(1, effect(1, 1), 1, false)));
    let by = vec!["deny".to_owned()];
    let ids = Which::Ids(vec![id(1).to_string()]);
    let ballot = ballot(&world, ids, Say::Approve, "token alice");
    let voted = world.db.vote(&ballot, &Says(None, Protection::By(by.clone()))).unwrap();
    assert_eq!(voted[0].voted, Voted::Protected { by });
    assert_eq!(world.state(id(1)), State::Rejected { by: "rule deny".to_owned() });
    world.expect_sound();
}

#[test]
fn a_filter_does_no_more_than_was_allowed_for() {
    let mut world = World::new();
    for number in 1..=5 {
        world.take(brings(asks(number, effect(number as u8, 7), 1, false)));
    }
    world.take(brings(asks(6, effect(6, 8), 1, false)));
    let filter = ActionFilter { sha1: Some(effect(1, 7).sha1), ..ActionFilter::default() };
    let all = |at_most, first| Which::All { filter: filter.clone(), at_most, first };
    let too_many = ballot(&world, all(4, None), Say::Approve, "token alice");
    let refused = world.db.vote(&too_many, &NoGuard).unwrap_err();
    assert!(refused.to_string().starts_with("5 actions match, more than 4"), "{refused}");
    assert_eq!(world.state(id(1)).name(), StateName::Held);
    let two = ballot(&world, all(4, Some(2)), Say::Approve, "token alice");
    let ids: Vec<_> = world.db.vote(&two, &NoGuard).unwrap().iter().map(|line| line.id).collect();
    assert_eq!(ids, [id(1), id(2)], "the oldest");
    let rest = ballot(&world, all(9, None), Say::Reject, "token alice");
    assert_eq!(world.db.vote(&rest, &NoGuard).unwrap().len(), 5, "held and queued ones alike");
    assert_eq!(world.state(id(6)).name(), StateName::Held, "it is of another file");
    for wrong in [vec![id(1).to_string(), "0".repeat(32)], vec!["zz".to_owned()]] {
        let none = ballot(&world, Which::Ids(wrong), Say::Reject, "token alice");
        assert!(matches!(world.db.vote(&none, &NoGuard), Err(StoreError::Invalid(_))));
    }
    let by_mode = crate::domain::action::HoldWhy::ServiceApproval;
    world.take(brings(holds(8, effect(8, 9), by_mode)));
    let held = ActionFilter { why: Some("approval".to_owned()), limit: 9, ..Default::default() };
    assert_eq!(world.db.actions(&held).unwrap().len(), 2);
    assert_eq!(world.db.summary().unwrap().held, [("contoso".into(), "approval".into(), 2)]);
    world.expect_sound();
}

/// Every state, and what each command of a person does to an action that stands there.
#[test]
fn every_state_and_every_command() {
    use StateName::*;
    for state in StateName::ALL {
        for (say, does) in [
            (Say::Approve, matches!(state, Held).then_some(Voted::Released)),
            (Say::Reject, matches!(state, Held | Queued).then_some(Voted::Rejected)),
        ] {
            let mut world = World::new();
            bring_to(&mut world, state);
            assert_eq!(world.state(id(1)).name(), state);
            let expected = does.unwrap_or(Voted::Stands { state });
            assert_eq!(vote(&mut world, 1, say, "token alice"), expected, "{state} {say:?}");
            world.expect_sound();
        }
        for scope in [Scope::All, Scope::Tenant(contoso())].into_iter().chain(narrow()) {
            let mut world = World::new();
            bring_to(&mut world, state);
            paused(&mut world, &scope);
            assert!(
                !matches!(world.begin_under(id(1), &NoGuard), Begun::Written(_)),
                "{state} {scope}"
            );
            assert_eq!(world.state(id(1)).name(), state, "a pause moves nothing: {scope}");
            world.resume(&scope);
            let begun = matches!(world.begin_under(id(1), &NoGuard), Begun::Written(_));
            assert_eq!(begun, state == Queued, "{state} {scope}");
            world.expect_sound();
        }
    }
}

fn bring_to(world: &mut World, state: StateName) {
    use StateName::*;
    // Attempts of this test's own begin at 1.
    world.attempts = 100;
    let one = id(1);
    let draft = match state {
        Held => asks(1, effect(1, 1), 1, false),
        _ => acts(1, effect(1, 1)),
    };
    world.take(brings(draft));
    let now = world.now.wall;
    let attempt = |world: &World| State::InDoubt {
        attempt: attempt_id(world.attempts),
        tries: 0,
        busy_since: None,
        doubt: crate::domain::action::Doubt::NoAnswer,
    };
    match state {
        Held | Queued => {}
        Rejected => world.shift(one, Queued, State::Rejected { by: "token alice".to_owned() }),
        Expired => world.shift(one, Queued, State::Expired),
        InFlight | InDoubt | Refused | GaveUp => {
            assert!(matches!(world.begin(one), Begun::Written(_)));
            match state {
                InDoubt => world.shift(one, InFlight, attempt(world)),
                Refused => world.shift(one, InFlight, State::Refused { code: "x".to_owned() }),
                GaveUp => world.shift(one, InFlight, State::GaveUp { why: "x".to_owned() }),
                _ => {}
            }
        }
        Accepted => world.accepted(one),
        Succeeded => world.ended(one, State::Succeeded { completed: now }),
        Failed => world.ended(one, State::Failed { error: "x".to_owned() }),
        TimedOut => world.ended(one, timed_out()),
        Cancelled => world.ended(one, cancelled()),
    }
}
