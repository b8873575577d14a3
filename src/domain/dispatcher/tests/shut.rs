//! What no attempt can be written for: a pause, a store that fails, one action alone.

use super::*;

#[test]
fn while_paused_one_call_is_tried_now_and_then() {
    let mut desk = Desk::new(100);
    let heads = [1, 2].map(|n| desk.head(n, Class::Urgent));
    let begun = calls(&desk.load(Event::Wakeup, &heads));
    for action in begun {
        let called = Called::NotBegun(NotBegun::Refused(Begun::Paused("paused".to_owned())));
        assert_eq!(calls(&desk.load(Event::Called { action, called }, &heads)), []);
    }
    // Nothing was written, so nothing was used.
    assert_eq!(desk.dispatcher.snapshot(desk.now).used[0].calls, 0);
    assert_eq!(calls(&desk.load(Event::Nudge, &heads)), []);
    desk.later(limits::SHUT_PROBE);
    assert_eq!(calls(&desk.load(Event::Wakeup, &heads)), [action(1)]);
    // It was written: the pause is over.
    let answer = Answer::Accepted { machine_action: MachineActionId::parse("a").unwrap() };
    let called = desk.attempted(&heads[0], answer);
    let effects = desk.load(Event::Called { action: action(1), called }, &heads[1..]);
    assert_eq!(calls(&effects), [action(2)]);
}

#[test]
fn a_row_that_does_not_verify_is_never_called_again() {
    let mut desk = Desk::new(100);
    let head = desk.head(1, Class::Urgent);
    assert_eq!(desk.calls_at(&head), [head.action]);
    let called = Called::NotBegun(NotBegun::Refused(Begun::Corrupt));
    let effects =
        desk.load(Event::Called { action: head.action, called }, std::slice::from_ref(&head));
    assert_eq!(calls(&effects), []);
    desk.later(seconds(60));
    assert_eq!(desk.calls_at(&head), []);
}

#[test]
fn what_the_store_says_of_one_action_alone_does_not_keep_the_tenant_shut() {
    let alone = [Begun::Aside, Begun::Stopped(StateName::Held), Begun::Expired, Begun::Corrupt];
    for begun in alone {
        let mut desk = Desk::new(100);
        let heads = [1, 2].map(|n| desk.head(n, Class::Urgent));
        let not = |begun| Called::NotBegun(NotBegun::Refused(begun));
        for action in calls(&desk.load(Event::Wakeup, &heads)) {
            let called = not(Begun::Paused("paused".to_owned()));
            desk.load(Event::Called { action, called }, &heads);
        }
        desk.later(limits::SHUT_PROBE);
        assert_eq!(calls(&desk.load(Event::Wakeup, &heads)), [action(1)]);
        let called = not(begun.clone());
        let effects = desk.load(Event::Called { action: action(1), called }, &heads[1..]);
        assert_eq!(calls(&effects), [action(2)], "at once: {begun:?}");
    }
}
