use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::domain::time::Wall;

const SECOND: Duration = Duration::from_secs(1);

fn now(seconds: i64) -> Now {
    Now { boot: Boot(seconds * 1_000_000), wall: Wall(1_790_000_000_000_000 + seconds * 1_000_000) }
}

fn wanted(number: u128, stands: StateName) -> Wanted {
    Wanted {
        action: ActionId(Uuid::from_u128(number)),
        reason: "a false positive".to_owned(),
        stands,
        machine_action: MachineActionId::parse(&format!("ma-{number}")),
    }
}

/// Sixty calls a minute: paced, one each second.
fn cancels() -> Cancels {
    Cancels::new(vec![Limit::new(60, 60 * SECOND).unwrap()], now(0).boot)
}

fn failed() -> CancelAnswer {
    CancelAnswer::Failed { text: "503".to_owned() }
}

#[test]
fn only_what_is_accepted_is_cancelled_and_what_came_back_is_rejected() {
    let mut cancels = cancels();
    for stands in StateName::ALL {
        let one = wanted(1, stands);
        let Plan { steps, ask, wake } = cancels.plan(now(0), std::slice::from_ref(&one));
        match stands {
            StateName::Accepted => {
                let ask = ask.expect("a call");
                assert_eq!(
                    (ask.action, Some(ask.machine_action)),
                    (one.action, one.machine_action)
                );
                assert_eq!(ask.comment, "Recalled by Lazaret: a false positive");
                cancels.limiter.give_back(ask.slot);
            }
            StateName::InFlight | StateName::InDoubt => {
                assert!(ask.is_none() && steps.is_empty(), "{stands}");
                assert_eq!(wake, now(0).boot + limits::CANCEL_POLL, "{stands}");
            }
            StateName::Held | StateName::Queued => {
                assert!(ask.is_none(), "{stands}");
                assert_eq!(steps, [Step::Rejected { action: one.action, from: stands }]);
            }
            ended => {
                assert!(ask.is_none(), "{ended}");
                assert!(matches!(&steps[..], [Step::Closed { .. }]), "{ended}: {steps:?}");
            }
        }
    }
}

#[test]
fn one_is_asked_at_a_time_and_never_faster_than_the_budget() {
    let mut cancels = cancels();
    let all = [1, 2, 3].map(|number| wanted(number, StateName::Accepted));
    let ask = cancels.plan(now(0), &all).ask.unwrap();
    let closed = cancels.answered(now(0), ask.slot, ask.action, CancelAnswer::Done);
    let answer = "taken by Defender".to_owned();
    assert_eq!(closed, Step::Closed { action: all[0].action, answer });
    let plan = cancels.plan(now(0), &all[1..]);
    assert!(plan.ask.is_none());
    assert_eq!(plan.wake, now(1).boot);
    assert_eq!(cancels.plan(now(1), &all[1..]).ask.unwrap().action, all[1].action);
}

#[test]
fn a_failure_is_tried_again_later_each_time_and_another_one_goes_before_it() {
    let mut cancels = cancels();
    let all = [1, 2].map(|number| wanted(number, StateName::Accepted));
    let ask = cancels.plan(now(0), &all).ask.unwrap();
    let step = cancels.answered(now(0), ask.slot, ask.action, failed());
    assert_eq!(step, Step::Troubled { action: all[0].action, text: "503".to_owned() });
    let ask = cancels.plan(now(1), &all).ask.unwrap();
    assert_eq!(ask.action, all[1].action, "the first waits");
    cancels.limiter.give_back(ask.slot);
    let alone = &all[..1];
    let ask = cancels.plan(now(2), alone).ask.expect("two seconds later");
    cancels.answered(now(2), ask.slot, ask.action, failed());
    let plan = cancels.plan(now(4), alone);
    assert!(plan.ask.is_none(), "the second wait is longer");
    assert_eq!(plan.wake, now(6).boot);
    assert!(cancels.plan(now(6), alone).ask.is_some());
}

#[test]
fn a_429_and_a_401_hold_all_of_them() {
    let too_many = CancelAnswer::TooMany { retry_after: Some(9 * SECOND), text: String::new() };
    let unauthorized = CancelAnswer::Unauthorized { text: String::new() };
    for (answer, until) in [(too_many, 9), (unauthorized, 30)] {
        let mut cancels = cancels();
        let all = [1, 2].map(|number| wanted(number, StateName::Accepted));
        let ask = cancels.plan(now(0), &all).ask.unwrap();
        cancels.answered(now(0), ask.slot, ask.action, answer);
        let plan = cancels.plan(now(until - 1), &all);
        assert!(plan.ask.is_none());
        assert_eq!(plan.wake, now(until).boot);
        assert!(cancels.plan(now(until), &all).ask.is_some());
    }
}

#[test]
fn a_404_is_believed_the_third_time_and_a_refusal_at_once() {
    let mut cancels = cancels();
    let one = [wanted(1, StateName::Accepted)];
    let not_found = || CancelAnswer::NotFound { text: "404".to_owned() };
    for (at, over) in [(0, false), (10, false), (20, true)] {
        let ask = cancels.plan(now(at), &one).ask.unwrap();
        let step = cancels.answered(now(at), ask.slot, ask.action, not_found());
        assert_eq!(matches!(step, Step::Closed { .. }), over, "at {at}");
    }
    let ask = cancels.plan(now(60), &one).ask.unwrap();
    let refused = CancelAnswer::Refused { text: "400 BadRequest".to_owned() };
    let answer = "refused by Defender: 400 BadRequest".to_owned();
    let step = cancels.answered(now(60), ask.slot, ask.action, refused);
    assert_eq!(step, Step::Closed { action: one[0].action, answer });
}

#[test]
fn a_comment_is_bounded_and_hides_nothing() {
    let long = comment(&"ä\u{202e}\n".repeat(200));
    assert!(long.len() <= limits::COMMENT_BYTES);
    assert!(!long.contains(['\u{202e}', '\n']), "{long}");
}
