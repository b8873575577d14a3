//! Whose turn it is where the budget is scarce.

use super::*;
use crate::domain::action::Begun;
use crate::domain::limiter::Pace;

/// With so many calls of 40 a minute kept for urgent actions.
fn keeping(reserve: u32) -> Desk {
    let mut desk = Desk::new(40);
    desk.dispatcher.paces = Paces::new(reserve, &desk.dispatcher.quarantine.limiter, desk.now.boot);
    desk
}

#[test]
fn what_was_stopped_before_it_was_called_gives_its_turn_to_the_next() {
    let mut desk = Desk::new(40);
    let mut due: Vec<Head> = (1..=100).map(|n| desk.head(n, Class::Bulk)).collect();
    let mut effects = desk.load(Event::Wakeup, &due);
    for n in 1..=50 {
        assert_eq!(calls(&effects), [action(n)]);
        due.remove(0);
        let stopped = NotBegun::Refused(Begun::Stopped(StateName::Held));
        let called = Called::NotBegun(stopped);
        effects = desk.load(Event::Called { action: action(n), called }, &due);
    }
    assert_eq!(calls(&effects), [action(51)], "in the same moment");
    assert_eq!(calls(&desk.load(Event::Nudge, &due[1..])), [], "one that is called is spread");
}

#[test]
fn what_has_risen_to_urgent_goes_beside_an_urgent_backlog_that_never_ends() {
    let mut desk = keeping(10);
    let twelve_hours = seconds(12 * 3600);
    let old =
        Head { queued: desk.now.wall - twelve_hours, sequence: 0, ..desk.head(1, Class::Bulk) };
    let mut urgent: Vec<Head> = (2..=200).map(|n| desk.head(n, Class::Urgent)).collect();
    // The urgent ones take all there is: five calls now, and the rest half a minute later.
    let mut started = calls(&desk.load(Event::Wakeup, &urgent));
    for n in 0.. {
        let Some(action) = started.pop() else { break };
        if n == 5 {
            desk.later(seconds(30));
        }
        let at = urgent.iter().position(|head| head.action == action).unwrap();
        let machine_action = MachineActionId::parse("a").unwrap();
        let called = desk.attempted(&urgent.remove(at), Answer::Accepted { machine_action });
        started.extend(calls(&desk.load(Event::Called { action, called }, &urgent)));
    }
    assert_eq!(desk.dispatcher.snapshot(desk.now).used[0].calls, 40);
    desk.later(Duration::from_micros(30_060_000));
    assert_eq!(desk.dispatcher.snapshot(desk.now).used[0].calls, 35);
    urgent.insert(0, old);
    let started = calls(&desk.load(Event::Nudge, &urgent));
    assert_eq!(started[0], action(1), "it is the oldest of what counts as urgent");
}

#[test]
fn the_window_that_allows_the_least_is_the_one_that_is_spread() {
    let limit = |calls, per| Limit::new(calls, seconds(per)).unwrap();
    let mut desk = Desk::new(40);
    for (limits, gap) in [
        (vec![limit(100, 60), limit(1500, 3600), limit(36_000, 86_400)], 2_402_400),
        (vec![limit(10, 60), limit(1500, 3600)], 6_006_000),
    ] {
        let mut limiter = crate::domain::limiter::Limiter::new(limits);
        let mut pace = Pace::new(0, &limiter, desk.now.boot);
        let (_, slot) = limiter.take(desk.now.boot).unwrap();
        pace.called(&limiter, desk.now.boot);
        limiter.release(slot, desk.now.boot);
        let next = pace.free_at(&limiter, 5000, desk.now.boot).unwrap();
        assert_eq!(next - desk.now.boot.since(Boot(0)), Boot(gap));
        desk.later(seconds(100));
    }
}
