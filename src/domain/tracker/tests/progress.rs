//! How often it is looked, and what is told of what has not ended.

use super::*;

/// One page that shows this.
fn shows(tracker: &mut Tracker, second: i64, entry: Entry) -> Found {
    let _ = tracker.query(now(second));
    tracker.page(now(second), vec![entry], 1, false)
}

fn pending() -> Entry {
    entry("a", Status::Pending, 0, 0)
}

#[test]
fn lists_slow_down_with_the_age_of_the_youngest_and_speed_up_for_a_new_one() {
    let mut tracker = tracker(&[]);
    follow(&mut tracker, 1, "a", 0);
    for (second, next) in [(0, 30), (599, 30), (600, 300), (3599, 300), (3600, 900), (200_000, 900)]
    {
        let _ = shows(&mut tracker, second, pending());
        assert_eq!(tracker.wake_at(), Some(now(second + next).boot), "at {second}");
    }
    follow(&mut tracker, 2, "b", 200_010);
    assert_eq!(tracker.wake_at(), Some(now(200_030).boot));
    let _ = shows(&mut tracker, 200_030, pending());
    let doubt = InDoubt { due: now(200_070).boot, decides: now(200_070).boot, ..no_answer() };
    tracker.doubt(action(3), doubt);
    assert_eq!(tracker.wake_at(), Some(now(200_060).boot), "what is young");
    follow(&mut tracker, 2, "b", 0);
    assert_eq!(tracker.wake_at(), Some(now(200_070).boot), "what is looked for");
}

#[test]
fn a_start_counts_the_age_from_the_acceptance() {
    let mut tracker = tracker(&[]);
    tracker.follow(action(1), machine_action("a"), wall(-7200), Progress::Unsaid, now(0));
    let _ = shows(&mut tracker, 0, pending());
    assert_eq!(tracker.wake_at(), Some(now(900).boot));
}

#[test]
fn a_slow_list_that_fails_is_soon_made_up_for() {
    let mut tracker = tracker(&[]);
    follow(&mut tracker, 1, "a", 0);
    let _ = tracker.query(now(9000));
    tracker.failed();
    assert_eq!(tracker.wake_at(), Some(now(9030).boot));
}

#[test]
fn long_lists_leave_the_budget_room() {
    let mut tracker = tracker(&[]);
    follow(&mut tracker, 1, "a", 0);
    let many = (0..200).map(|n| entry(&format!("m{n}"), Status::Pending, 0, 0)).collect();
    assert_eq!(list(&mut tracker, 0, many), []);
    // 101 pages, the last one empty: 450 such an hour.
    assert_eq!(tracker.wake_at(), Some(now(800).boot));
}

#[test]
fn what_no_machine_has_fetched_is_noted_once_and_told_from_what_runs() {
    let mut tracker = tracker(&[]);
    follow(&mut tracker, 1, "a", 0);
    let noted = |progress| Found { moves: Vec::new(), progress: vec![(action(1), progress)] };
    assert_eq!(shows(&mut tracker, 599, pending()), Found::default());
    assert_eq!(shows(&mut tracker, 600, pending()), noted(Progress::Unfetched));
    assert_eq!(shows(&mut tracker, 700, pending()), Found::default());
    let running = || entry("a", Status::InProgress, 0, 800);
    assert_eq!(shows(&mut tracker, 800, running()), noted(Progress::Running));
    assert_eq!(shows(&mut tracker, 900, running()), Found::default());
    assert_eq!(shows(&mut tracker, 950, pending()), Found::default(), "it has begun");
}

#[test]
fn after_a_start_nothing_is_noted_again() {
    let mut tracker = tracker(&[]);
    tracker.follow(action(1), machine_action("a"), wall(0), Progress::Unfetched, now(5000));
    assert_eq!(shows(&mut tracker, 5000, pending()), Found::default());
}

#[test]
fn a_word_that_is_not_known_says_nothing() {
    let mut tracker = tracker(&[]);
    follow(&mut tracker, 1, "a", 0);
    let strange = || entry("a", Status::Other, 0, 0);
    assert_eq!(shows(&mut tracker, 9000, strange()), Found::default());
    assert_eq!(tracker.open(), (1, 0));
}

#[test]
fn an_end_says_what_defender_says_of_it() {
    let error = || Some("0x80190198, the machine never fetched it".to_owned());
    let told = |status, error| {
        let mut tracker = tracker(&[]);
        follow(&mut tracker, 1, "a", 0);
        let found = shows(&mut tracker, 60, Entry { error, ..entry("a", status, 0, 50) });
        found.moves[0].to.clone()
    };
    let text = error().unwrap();
    assert_eq!(told(Status::TimedOut, error()), State::TimedOut { error: text.clone() });
    assert_eq!(told(Status::Failed, error()), State::Failed { error: text.clone() });
    assert_eq!(told(Status::Cancelled, error()), State::Cancelled { why: text });
    let none = "Defender gives no reason".to_owned();
    assert_eq!(told(Status::TimedOut, None), State::TimedOut { error: none.clone() });
    assert_eq!(told(Status::Failed, None), State::Failed { error: none });
    assert_eq!(told(Status::Cancelled, None), State::Cancelled { why: String::new() });
}
