//! Several files on one machine, where Defender takes one quarantine at a time.

use super::*;

/// Somebody's quarantine of another file on the machine.
fn other(id: &str, status: Status, created: i64, updated: i64) -> Entry {
    Entry { sha1: Some(Sha1::from_bytes([9; 20])), ..entry(id, status, created, updated) }
}

fn queued_at_once(second: i64) -> State {
    let busy_since = Some(wall(100));
    State::Queued { not_before: wall(second), tries: 0, busy_since }
}

#[test]
fn no_call_is_spent_while_a_quarantine_holds_the_machine_and_one_is_made_once_it_has_ended() {
    let mut tracker = doubted(active_request(), &[]);
    let open = |second| vec![other("p", Status::InProgress, 40, second)];
    assert_eq!(list(&mut tracker, 100, open(100)), []);
    // Past the second look, where it would have backed off: it goes on looking.
    for second in [160, 190, 220] {
        assert_eq!(tracker.wake_at().map(|at| at <= now(second).boot), Some(true), "{second}");
        assert_eq!(list(&mut tracker, second, open(second)), []);
    }
    assert_eq!(tracker.query(now(250)).since, wall(40), "no further back than what holds it");
    let ended = vec![other("p", Status::Succeeded, 40, 230)];
    let moves: Vec<_> = tracker.page(now(250), ended, 1, false).moves;
    assert_eq!(moves[0].to, queued_at_once(250));
    assert_eq!(tracker.open(), (0, 0));
}

#[test]
fn an_end_seen_before_the_list_is_sure_to_show_all_is_believed_only_then() {
    let mut tracker = doubted(active_request(), &[]);
    assert_eq!(list(&mut tracker, 100, vec![other("p", Status::Pending, 40, 40)]), []);
    let ended = || vec![other("p", Status::Failed, 40, 120)];
    assert_eq!(list(&mut tracker, 130, ended()), []);
    assert_eq!(tracker.wake_at(), Some(now(160).boot));
    assert_eq!(list(&mut tracker, 160, ended()), [queued_at_once(160)]);
}

#[test]
fn what_held_it_may_have_ended_before_the_first_look() {
    let ended = vec![other("p", Status::Succeeded, 40, 120)];
    let mut tracker = doubted(active_request(), &[]);
    assert_eq!(list(&mut tracker, 130, ended.clone()), []);
    assert_eq!(list(&mut tracker, 160, ended), [queued_at_once(160)]);
}

#[test]
fn one_at_a_time_is_let_go() {
    let mut tracker = tracker(&[]);
    for n in 1..=3_u8 {
        let key = EffectKey { sha1: Sha1::from_bytes([n; 20]), ..key() };
        tracker.doubt(action(n.into()), InDoubt { key, ..active_request() });
    }
    assert_eq!(list(&mut tracker, 100, vec![other("p", Status::Pending, 40, 40)]), []);
    let ended = || vec![other("p", Status::Succeeded, 40, 150)];
    for (second, left) in [(170, 2), (200, 1)] {
        assert_eq!(list(&mut tracker, second, ended()), [queued_at_once(second)]);
        assert_eq!(tracker.open(), (0, left));
    }
    // What was let go holds the machine in its turn.
    let ours =
        Entry { sha1: Some(Sha1::from_bytes([2; 20])), ..other("q", Status::Pending, 210, 0) };
    assert_eq!(list(&mut tracker, 230, vec![ours]), []);
    assert_eq!(tracker.open(), (0, 1));
}

#[test]
fn our_own_file_is_adopted_also_while_it_waits() {
    let mut tracker = doubted(active_request(), &[]);
    assert_eq!(list(&mut tracker, 160, vec![other("p", Status::Pending, 40, 40)]), []);
    let both = vec![other("p", Status::Pending, 40, 40), entry("o", Status::Pending, 170, 170)];
    assert_eq!(list(&mut tracker, 190, both), [accepted("o", 190)]);
}

#[test]
fn another_kind_of_action_or_machine_makes_it_back_off_as_before() {
    let elsewhere =
        Entry { machine: MachineId::from_bytes([7; 20]), ..other("p", Status::Pending, 40, 40) };
    for entries in [vec![], vec![elsewhere], vec![other("p", Status::Succeeded, 40, 90)]] {
        let mut tracker = doubted(active_request(), &[]);
        assert_eq!(list(&mut tracker, 100, entries.clone()), []);
        let moves = list(&mut tracker, 160, entries);
        let [State::Queued { not_before, .. }] = moves[..] else { panic!("{moves:?}") };
        assert_eq!(not_before, wall(160) + limits::BUSY_WAIT.0);
    }
}

#[test]
fn it_waits_a_day_at_most() {
    let day = 24 * 3600;
    let mut tracker = doubted(active_request(), &[]);
    let open = || vec![other("p", Status::Pending, 40, 40)];
    assert_eq!(list(&mut tracker, 100 + day - 1, open()), []);
    let moves = list(&mut tracker, 100 + day, open());
    assert!(matches!(moves[..], [State::GaveUp { .. }]), "{moves:?}");
}

#[test]
fn a_call_without_an_answer_never_waits_for_another_file() {
    let moves =
        list(&mut doubted(no_answer(), &[]), 200, vec![other("p", Status::Pending, 90, 90)]);
    assert!(matches!(moves[..], [State::Queued { tries: 1, .. }]), "{moves:?}");
}
