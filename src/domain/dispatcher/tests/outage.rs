//! An endpoint that fails for all, and what a start still knows of one that refused.

use super::*;

fn unclear() -> Answer {
    Answer::Unclear { status: Some(503), text: "503".to_owned() }
}

#[test]
fn an_outage_is_given_time_and_costs_its_actions_no_tries() {
    let mut desk = Desk::new(100);
    for n in 1..=3 {
        let head = Head { tries: 7, ..desk.head(n, Class::Urgent) };
        let (to, _) = desk.answer(&head, unclear());
        let State::InDoubt { tries, .. } = to else { panic!("{to:?}") };
        // One that finds no trace of the call counts one more.
        assert_eq!(tries, if n < 3 { 7 } else { 6 }, "call {n}");
    }
    let due: Vec<Head> = (4..=9).map(|n| desk.head(n, Class::Urgent)).collect();
    assert_eq!(calls(&desk.load(Event::Nudge, &due)), []);
    let blocked = desk.dispatcher.snapshot(desk.now).blocked;
    assert_eq!(blocked.map(|(_, why)| why).as_deref(), Some("no answer: 503"));
    desk.later(limits::FAILED_HOLD);
    assert_eq!(calls(&desk.load(Event::Nudge, &due)), [action(4)], "one finds out");
    let machine_action = MachineActionId::parse("a").unwrap();
    let called = desk.attempted(&due[0], Answer::Accepted { machine_action });
    let effects = desk.load(Event::Called { action: action(4), called }, &due);
    assert_eq!(calls(&effects).len(), 5, "it is over");
}

#[test]
fn a_start_soon_after_a_429_waits_and_then_calls_once() {
    let now = Desk::new(100).now;
    let attempt = |second, status| {
        let at = Stamp::new(BOOT, Now { boot: now.boot - seconds(second), ..now });
        let closed = Some(Closed { at, answered: true, status: Some(status) });
        let id = AttemptId(Uuid::nil());
        AttemptRow { id, action: action(9), written: at, send_by: at, closed }
    };
    let started = |attempts| Desk::resumed(100, Resumed { attempts, ..Resumed::default() }).0;
    let due = |desk: &Desk| [1, 2, 3].map(|n| desk.head(n, Class::Urgent));

    let mut desk = started(vec![attempt(20, 201), attempt(10, 429)]);
    let heads = due(&desk);
    assert_eq!(calls(&desk.load(Event::Wakeup, &heads)), []);
    assert_eq!(desk.dispatcher.snapshot(desk.now).share, 900);
    desk.later(limits::RETRY_AFTER_UNSAID - seconds(10));
    assert_eq!(calls(&desk.load(Event::Nudge, &heads)), [action(1)]);

    let mut desk = started(vec![attempt(20, 429), attempt(10, 201)]);
    let heads = due(&desk);
    assert_eq!(calls(&desk.load(Event::Wakeup, &heads)).len(), 3, "it was over before");
}
