mod held;
mod progress;

use uuid::Uuid;

use super::*;
use crate::domain::answer::Status;
use crate::domain::ids::{MachineId, Sha1, TenantName};

const SECOND: i64 = 1_000_000;

fn now(second: i64) -> Now {
    Now { boot: Boot(second * SECOND), wall: wall(second) }
}

fn wall(second: i64) -> Wall {
    Wall((1_000_000 + second) * SECOND)
}

fn action(n: u128) -> ActionId {
    ActionId(Uuid::from_u128(n))
}

fn machine_action(name: &str) -> MachineActionId {
    MachineActionId::parse(name).unwrap()
}

fn key() -> EffectKey {
    EffectKey {
        tenant: TenantName::new("contoso"),
        machine: MachineId::from_bytes([1; 20]),
        sha1: Sha1::from_bytes([2; 20]),
    }
}

fn tracker(outcomes: &[&str]) -> Tracker {
    let every = Duration::from_secs(30);
    let settings = TrackerSettings { every, wait: Duration::from_secs(60), page: 2 };
    Tracker::new(settings, outcomes.iter().map(|name| machine_action(name)).collect())
}

/// Written at 100 s and due at 200 s.
fn no_answer() -> InDoubt {
    InDoubt {
        key: key(),
        comment: "alert 1".to_owned(),
        attempt: AttemptId(Uuid::nil()),
        written: wall(100),
        tries: 0,
        busy_since: None,
        doubt: Doubt::NoAnswer,
        due: now(200).boot,
        decides: now(200).boot,
    }
}

/// Answered at 100 s: looked for at once, and again at 160 s.
fn active_request() -> InDoubt {
    let doubt = Doubt::ActiveRequest { answered: wall(100) };
    InDoubt { doubt, due: now(100).boot, decides: now(160).boot, ..no_answer() }
}

fn entry(id: &str, status: Status, created: i64, updated: i64) -> Entry {
    Entry {
        id: machine_action(id),
        status,
        machine: key().machine,
        sha1: Some(key().sha1),
        comment: String::new(),
        created: wall(created),
        updated: wall(updated),
        error: None,
    }
}

/// A list begun at that second that shows just these.
fn list(tracker: &mut Tracker, second: i64, entries: Vec<Entry>) -> Vec<State> {
    let mut moves = Vec::new();
    let mut pages = entries.chunks(2).map(<[Entry]>::to_vec).collect::<Vec<_>>();
    if pages.last().is_none_or(|page| page.len() == 2) {
        pages.push(Vec::new());
    }
    for (n, page) in pages.into_iter().enumerate() {
        assert_eq!(tracker.query(now(second)).skip as usize, 2 * n);
        let read = u32::try_from(page.len()).unwrap();
        moves.extend(tracker.page(now(second), page, read, false).moves);
    }
    moves.into_iter().map(|moved| moved.to).collect()
}

fn doubted(doubt: InDoubt, outcomes: &[&str]) -> Tracker {
    let mut tracker = tracker(outcomes);
    tracker.doubt(action(1), doubt);
    tracker
}

fn follow(tracker: &mut Tracker, n: u128, id: &str, second: i64) {
    let (since, now) = (wall(second), now(second));
    tracker.follow(action(n), machine_action(id), since, Progress::Unsaid, now);
}

fn accepted(id: &str, second: i64) -> State {
    let progress = Progress::Unsaid;
    State::Accepted { machine_action: machine_action(id), since: wall(second), progress }
}

#[test]
fn a_lost_call_that_the_list_shows_is_adopted_with_its_end() {
    let mut tracker = doubted(no_answer(), &[]);
    let moves = list(&mut tracker, 200, vec![entry("a", Status::Succeeded, 101, 150)]);
    assert_eq!(moves, [accepted("a", 200), State::Succeeded { completed: wall(150) }]);
    assert_eq!(tracker.open(), (0, 0));
}

#[test]
fn a_lost_call_that_the_list_does_not_show_is_tried_again() {
    let mut tracker = doubted(no_answer(), &[]);
    let not_before = wall(200) + limits::TRY_AGAIN.0;
    let again = State::Queued { not_before, tries: 1, busy_since: None };
    assert_eq!(list(&mut tracker, 200, vec![]), [again]);
    let tries = limits::TRIES_MAX - 1;
    let mut tracker = doubted(InDoubt { tries, ..no_answer() }, &[]);
    let moves = list(&mut tracker, 200, vec![]);
    assert!(matches!(moves[..], [State::GaveUp { .. }]), "{moves:?}");
}

#[test]
fn a_list_that_was_begun_too_early_decides_nothing() {
    let mut tracker = doubted(no_answer(), &[]);
    assert_eq!(tracker.wake_at(), Some(now(200).boot));
    assert_eq!(list(&mut tracker, 199, vec![]), []);
    // Nor in favour of what it shows: the one that is ours may not be there yet.
    assert_eq!(list(&mut tracker, 199, vec![entry("a", Status::Pending, 90, 90)]), []);
    assert_eq!(tracker.open(), (0, 1));
}

#[test]
fn a_list_that_was_not_read_to_its_end_decides_nothing() {
    let mut tracker = doubted(no_answer(), &[]);
    let _ = tracker.query(now(200));
    let other =
        Entry { machine: MachineId::from_bytes([9; 20]), ..entry("x", Status::Pending, 1, 1) };
    assert_eq!(tracker.page(now(200), vec![other.clone(), other], 2, false), Found::default());
    tracker.failed();
    assert_eq!(tracker.open(), (0, 1));
    assert_eq!(tracker.query(now(220)).skip, 0);
}

#[test]
fn a_short_page_that_names_a_next_one_is_not_the_last() {
    let mut tracker = doubted(no_answer(), &[]);
    let _ = tracker.query(now(200));
    let other =
        Entry { machine: MachineId::from_bytes([9; 20]), ..entry("x", Status::Pending, 101, 101) };
    assert_eq!(tracker.page(now(200), vec![other], 1, true), Found::default());
    assert_eq!(tracker.query(now(201)).skip, 1);
    let found = tracker.page(now(201), vec![entry("a", Status::Pending, 101, 101)], 1, false);
    assert_eq!(found.moves[0].to, accepted("a", 201));
}

#[test]
fn an_empty_page_that_names_a_next_one_is_no_list() {
    let mut tracker = doubted(no_answer(), &[]);
    let _ = tracker.query(now(200));
    assert_eq!(tracker.page(now(200), vec![], 0, true), Found::default());
    assert_eq!(tracker.open(), (0, 1));
    assert!(tracker.wake_at() > Some(now(200).boot));
}

#[test]
fn an_older_or_foreign_machine_action_is_not_adopted() {
    let others = [
        entry("old", Status::Pending, 100 - 301, 0),
        Entry { machine: MachineId::from_bytes([9; 20]), ..entry("m", Status::Pending, 101, 101) },
        Entry { sha1: Some(Sha1::from_bytes([9; 20])), ..entry("s", Status::Pending, 101, 101) },
        Entry { sha1: None, ..entry("n", Status::Pending, 101, 101) },
    ];
    let moves = list(&mut doubted(no_answer(), &[]), 200, others.to_vec());
    assert!(matches!(moves[..], [State::Queued { .. }]), "{moves:?}");
}

#[test]
fn another_actions_end_is_never_adopted() {
    let before = vec![entry("before", Status::Succeeded, 90, 95)];
    let moves = list(&mut doubted(no_answer(), &["before"]), 200, before.clone());
    assert!(matches!(moves[..], [State::Queued { .. }]), "{moves:?}");
    // The same without a restart between.
    let mut tracker = tracker(&[]);
    follow(&mut tracker, 7, "before", 90);
    assert_eq!(list(&mut tracker, 96, before.clone()).len(), 1);
    tracker.doubt(action(1), no_answer());
    let moves = list(&mut tracker, 200, before);
    assert!(matches!(moves[..], [State::Queued { .. }]), "{moves:?}");
}

#[test]
fn the_comment_chooses_among_several_and_nothing_more() {
    let ours = Entry { comment: "alert 1".to_owned(), ..entry("ours", Status::Pending, 101, 101) };
    let newer = entry("newer", Status::Pending, 120, 120);
    let both = vec![ours, newer.clone()];
    assert_eq!(list(&mut doubted(no_answer(), &[]), 200, both), [accepted("ours", 200)]);
    let moves = list(&mut doubted(no_answer(), &[]), 200, vec![newer]);
    assert_eq!(moves, [accepted("newer", 200)]);
}

#[test]
fn an_active_request_adopts_what_had_not_ended_when_it_was_answered() {
    // However old it is, and also if it has ended since.
    let pending = vec![entry("a", Status::Pending, -200_000, 0)];
    assert_eq!(list(&mut doubted(active_request(), &[]), 100, pending), [accepted("a", 100)]);
    let ended = vec![entry("a", Status::Failed, 50, 101)];
    let moves = list(&mut doubted(active_request(), &[]), 160, ended);
    assert!(matches!(moves[..], [State::Accepted { .. }, State::Failed { .. }]), "{moves:?}");
    let before = vec![entry("a", Status::Succeeded, 50, 99)];
    let moves = list(&mut doubted(active_request(), &[]), 160, before);
    assert!(matches!(moves[..], [State::Queued { .. }]), "{moves:?}");
}

#[test]
fn an_active_request_looks_twice_then_backs_off_and_gives_up_after_a_day() {
    let mut tracker = doubted(active_request(), &[]);
    assert_eq!(list(&mut tracker, 100, vec![]), []);
    assert_eq!(tracker.wake_at(), Some(now(160).boot));
    let busy = |busy_since: i64, wait: u64| State::Queued {
        not_before: wall(160) + Duration::from_secs(wait),
        tries: 0,
        busy_since: Some(wall(busy_since)),
    };
    assert_eq!(list(&mut tracker, 160, vec![]), [busy(100, 300)]);
    for (since, wait) in [(-440, 600), (-3440, 3600), (-80_000, 3600)] {
        let doubt = InDoubt { busy_since: Some(wall(since)), ..active_request() };
        assert_eq!(list(&mut doubted(doubt, &[]), 160, vec![]), [busy(since, wait)]);
    }
    let doubt = InDoubt { busy_since: Some(wall(160 - 24 * 3600)), ..active_request() };
    let moves = list(&mut doubted(doubt, &[]), 160, vec![]);
    assert!(matches!(moves[..], [State::GaveUp { .. }]), "{moves:?}");
}

#[test]
fn a_shared_machine_action_ends_all_that_have_it() {
    let mut tracker = tracker(&[]);
    for n in 1..=2 {
        follow(&mut tracker, n, "a", 0);
    }
    assert_eq!(list(&mut tracker, 1, vec![entry("a", Status::InProgress, 0, 1)]), []);
    let moves = list(&mut tracker, 31, vec![entry("a", Status::Cancelled, 0, 20)]);
    let end = || State::Cancelled { why: String::new() };
    assert_eq!(moves, [end(), end()]);
    assert_eq!(tracker.wake_at(), None);
}

#[test]
fn what_was_accepted_during_a_list_is_not_missed_by_it() {
    let mut tracker = tracker(&[]);
    follow(&mut tracker, 1, "a", 0);
    let _ = tracker.query(now(1));
    follow(&mut tracker, 2, "b", 2);
    let pending = vec![entry("a", Status::Pending, 0, 0)];
    assert_eq!(tracker.page(now(3), pending, 1, false), Found::default());
    assert_eq!(tracker.query(now(31)).since, wall(0).min(wall(2) - limits::CLOCK_SKEW));
}

#[test]
fn a_machine_action_that_the_list_does_not_show_is_looked_for_further_back() {
    let mut tracker = tracker(&[]);
    follow(&mut tracker, 1, "a", 0);
    assert_eq!(tracker.wake_at().map(|at| at <= now(0).boot), Some(true));
    // Defender may take a minute to show what it has accepted.
    for second in [0, 30] {
        assert_eq!(list(&mut tracker, second, vec![]), []);
        assert_eq!(tracker.wake_at(), Some(now(second + 30).boot));
        assert_eq!(tracker.since(now(second)), wall(0) - limits::CLOCK_SKEW);
    }
    assert_eq!(list(&mut tracker, 60, vec![]), []);
    let far = wall(0) - limits::MACHINE_ACTION_AGE - limits::CLOCK_SKEW;
    assert_eq!(tracker.query(now(90)).since, far);
    let found = vec![entry("a", Status::Pending, -5000, -5000)];
    assert_eq!(tracker.page(now(90), found, 1, false), Found::default());
    assert_eq!(tracker.query(now(120)).since, wall(-5000));
}

#[test]
fn without_an_end_by_defender_it_times_out_by_our_clock() {
    let age = i64::try_from(limits::MACHINE_ACTION_AGE.as_secs()).unwrap();
    let mut tracker = tracker(&[]);
    follow(&mut tracker, 1, "a", 0);
    let pending = vec![entry("a", Status::Pending, 0, 0)];
    assert_eq!(list(&mut tracker, age - 1, pending.clone()), []);
    let moves = list(&mut tracker, age + 29, pending);
    let [State::TimedOut { error }] = &moves[..] else { panic!("{moves:?}") };
    assert!(error.starts_with("Defender has told no end since"), "{error}");
}

#[test]
fn lists_that_fail_come_later_each_time() {
    let mut tracker = doubted(no_answer(), &[]);
    let mut at = 200;
    for wait in [10, 20, 40, 80, 160, 300, 300] {
        let _ = tracker.query(now(at));
        tracker.failed();
        assert_eq!(tracker.wake_at(), Some(now(at + wait).boot));
        at += wait;
    }
}
