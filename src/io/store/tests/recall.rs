//! Recalls: nothing of the file is sent any more, whatever it stood in, and all of it is on record.

use super::*;
use crate::domain::cancel::{Step, Wanted};
use crate::domain::scope::Scope;
use crate::io::recall::{CancelCount, FileReport, Recall, Withdrawn};
use crate::io::store::recall;

/// The file that is recalled.
fn file() -> Sha1 {
    Sha1::from_bytes([7; 20])
}

impl World {
    fn recall(&mut self) -> Withdrawn {
        let (by, reason) = ("token alice".to_owned(), "a false positive".to_owned());
        let recall = Recall { sha1: file(), by, reason, at: self.now.wall };
        let db = &self.db.connection;
        recall::begin(db, &recall).unwrap();
        let open = recall::open(db, file()).unwrap();
        recall::withdraw(db, &recall, &open).unwrap()
    }

    fn file(&self) -> FileReport {
        recall::file(&self.db.connection, file(), 0, 1000).unwrap()
    }

    fn cancels(&self) -> Vec<Wanted> {
        recall::cancels(&self.db.connection, &contoso(), 1000).unwrap()
    }

    fn settle(&self, step: Step) {
        recall::settle(&self.db.connection, &step, self.now.wall).unwrap();
    }

    fn resume_file(&mut self) {
        let scope = Scope::Sha1(file());
        assert!(self.resume(&scope).paused.is_some());
    }
}

fn rejected() -> State {
    State::Rejected { by: "token alice".to_owned() }
}

#[test]
fn what_waits_is_rejected_and_what_was_sent_is_to_be_cancelled() {
    let mut world = World::new();
    for machine in 1..=6 {
        world.decide(brings(acts(machine, effect(u8::try_from(machine).unwrap(), 7))));
    }
    world.decide(brings(holds(7, effect(7, 7), unknown_os())));
    world.decide(brings(acts(8, effect(1, 8))));
    world.begin(id(2));
    world.begin(id(3));
    let in_doubt = State::InDoubt {
        attempt: attempt_id(2),
        tries: 0,
        busy_since: None,
        doubt: crate::domain::action::Doubt::NoAnswer,
    };
    world.shift(id(3), StateName::InFlight, in_doubt);
    world.accepted(id(4));
    world.succeeded(id(5));
    world.ended(id(6), timed_out());

    assert_eq!(world.recall(), Withdrawn { rejected: 2, asked: 3 });
    assert_eq!(world.state(id(1)), rejected());
    assert_eq!(world.state(id(7)), rejected());
    assert_eq!(world.state(id(8)).name(), StateName::Queued, "another file");
    let cancels: Vec<_> = world.cancels().iter().map(|c| (c.action, c.stands)).collect();
    let expected =
        [(id(2), StateName::InFlight), (id(3), StateName::InDoubt), (id(4), StateName::Accepted)];
    assert_eq!(cancels, expected);
    assert_eq!(world.cancels()[2].machine_action, MachineActionId::parse("ma-1"));

    assert_eq!(world.recall(), Withdrawn::default(), "a second time there is nothing to do");
    let report = world.file();
    assert_eq!(report.cancels, CancelCount { asked: 3, open: 3 });
    assert_eq!(report.count(&[StateName::Rejected]), 2);
    assert_eq!(report.name.as_deref(), Some("evil.exe"));
    assert!(report.pause.unwrap().reason.starts_with("recalled: a false positive"));
    let whats: Vec<What> = world
        .db
        .action(&id(4).to_string())
        .unwrap()
        .unwrap()
        .changes
        .into_iter()
        .map(|change| change.what)
        .collect();
    assert_eq!(whats.iter().filter(|w| matches!(w, What::CancelAsked { .. })).count(), 1);
    world.expect_sound();
}

#[test]
fn a_recalled_action_is_never_sent_again_also_once_its_file_is_resumed() {
    let mut world = World::new();
    world.decide(brings(acts(1, effect(1, 7))));
    world.begin(id(1));
    world.recall();
    let back = queued(world.now.wall);
    world.shift(id(1), StateName::InFlight, back);
    assert_eq!(world.begin(id(1)), Begun::Aside);
    world.resume_file();
    assert_eq!(world.begin(id(1)), Begun::Aside, "the pause is over, its recall is not");
    let due = world.db.heads(&contoso(), Class::Normal, world.now.wall, first(10)).unwrap();
    assert_eq!(due.due, [], "and the queue passes over it");

    world.settle(Step::Rejected { action: id(1), from: StateName::Queued });
    assert_eq!(world.state(id(1)), rejected());
    assert_eq!(world.cancels(), []);
    world.expect_sound();
}

#[test]
fn what_comes_during_a_recall_waits_for_a_person_also_after_its_end() {
    let mut world = World::new();
    world.decide(brings(holds(9, effect(9, 7), unknown_os())));
    recall::begin(
        &world.db.connection,
        &Recall {
            sha1: file(),
            by: "token alice".to_owned(),
            reason: "a false positive".to_owned(),
            at: world.now.wall,
        },
    )
    .unwrap();
    let held = world.decide(brings(acts(1, effect(1, 7))));
    let Decision::Hold { why, .. } = held else { panic!("{held:?}") };
    assert_eq!(why.as_str(), "recalled");
    let settles = world.decide(brings(acts(2, effect(9, 7))));
    assert!(is_duplicate(&settles, id(9)), "evidence releases nothing either: {settles:?}");
    assert!(is_act(&world.decide(brings(acts(3, effect(1, 8)))), id(3)), "another file goes on");
    world.resume_file();
    assert_eq!(world.begin(id(1)), Begun::NotQueued(StateName::Held));
    assert!(is_act(&world.decide(brings(acts(4, effect(2, 7)))), id(4)), "what comes then acts");
    assert_eq!(world.recall(), Withdrawn { rejected: 3, asked: 0 });
    world.expect_sound();
}

#[test]
fn an_answer_closes_a_cancel_once_and_the_action_stays_until_defender_says_how_it_ended() {
    let mut world = World::new();
    world.decide(brings(acts(1, effect(1, 7))));
    world.accepted(id(1));
    world.recall();
    world.settle(Step::Troubled { action: id(1), text: "503".to_owned() });
    let trouble = |world: &World| world.file().actions[0].cancel.clone().unwrap();
    assert_eq!(trouble(&world).trouble.as_deref(), Some("503"));
    for answer in ["taken by Defender", "something else"] {
        world.settle(Step::Closed { action: id(1), answer: answer.to_owned() });
    }
    assert_eq!(trouble(&world).answer.as_deref(), Some("taken by Defender"));
    assert_eq!(world.state(id(1)).name(), StateName::Accepted, "taken is not cancelled");
    assert_eq!(world.cancels(), []);
    assert_eq!(world.recall(), Withdrawn { rejected: 0, asked: 1 }, "it may be asked for anew");
    assert_eq!(trouble(&world).trouble, None);
    world.shift(id(1), StateName::Accepted, cancelled());
    let changes = world.db.action(&id(1).to_string()).unwrap().unwrap().changes;
    let answered = |c: &&Change| matches!(c.what, What::CancelAnswered { .. });
    assert_eq!(changes.iter().filter(answered).count(), 1);
    world.expect_sound();
}

#[test]
fn a_report_names_what_else_was_quarantined_on_a_machine_and_comes_in_pieces() {
    let mut world = World::new();
    for (number, machine, of) in [(1, 1, 7), (2, 1, 8), (3, 1, 9), (4, 2, 7), (5, 2, 8)] {
        world.decide(brings(acts(number, effect(machine, of))));
    }
    for number in [1, 2, 4] {
        world.succeeded(id(number));
    }
    let actions = world.file().actions;
    let others = |line: &crate::io::recall::FileLine| -> Vec<_> {
        line.others.iter().map(|other| other.sha1).collect()
    };
    assert_eq!(others(&actions[0]), [Sha1::from_bytes([8; 20])], "the third did not succeed");
    assert_eq!(others(&actions[1]), []);
    let first = recall::file(&world.db.connection, file(), 0, 1).unwrap();
    assert_eq!(first.actions, actions[..1]);
    let rest = recall::file(&world.db.connection, file(), first.next.unwrap(), 5).unwrap();
    assert_eq!((&rest.actions[..], rest.next), (&actions[1..], None));
}
