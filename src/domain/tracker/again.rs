//! What an end by Defender leads to: the rule that decided may want the action called again, or a
//! person to say whether it is.

use super::Move;
use super::settle::doubling;
use crate::domain::action::{Approvals, Endings, HoldWhy, OnEnd, State, StateName};
use crate::domain::time::Wall;
use crate::limits;

/// What is kept with an action for its end.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub endings: Endings,
    /// How often it was called again already because of an end.
    pub again: u32,
    /// What a hold of it needs from people.
    pub approvals: Approvals,
    /// A recall has asked to cancel it: it is never called again.
    pub cancelled: bool,
}

/// The moves that an end of an accepted action leads to, which belong in one transaction: the end
/// alone; queued for another call; or queued and at once held. All but what has timed out or failed
/// ends as Defender said, whatever the rule wants.
pub fn led_to(end: Move, kept: &Kept, now: Wall) -> Vec<Move> {
    let (wants, error) = match &end.to {
        State::TimedOut { error } => (kept.endings.timed_out, error.clone()),
        State::Failed { error } => (kept.endings.failed, error.clone()),
        _ => return vec![end],
    };
    if kept.cancelled {
        return vec![end];
    }
    let (action, ended) = (end.action, end.to.name());
    let queued = |not_before, why| Move {
        action,
        from: end.from,
        to: State::Queued { not_before, tries: 0, busy_since: None },
        why,
    };
    match wants {
        OnEnd::Retry(times) if kept.again < times => {
            let not_before = now + doubling(limits::RETRY_WAIT, kept.again);
            let time = kept.again + 1;
            let why =
                format!("{ended} at Defender: {error}; to be called again, {time} of {times}");
            vec![queued(not_before, format!("{why}; {}", end.why))]
        }
        OnEnd::GiveUp => vec![end],
        // What the other end has used of the same count is used up too.
        OnEnd::Retry(times) => {
            let why = format!("{}; retries used up ({times} of {times})", end.why);
            vec![Move { why, ..end }]
        }
        OnEnd::Hold => {
            let why = HoldWhy::Outcome { end: ended, error };
            let reason = format!("{why}; {}", end.why);
            let approvals = Approvals { given: Vec::new(), ..kept.approvals.clone() };
            let held = Move {
                action,
                from: StateName::Queued,
                to: State::Held { why, approvals },
                why: reason.clone(),
            };
            vec![queued(now, reason), held]
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::ActionId;

    const NOW: Wall = Wall(1_000_000);

    fn after(to: State, timed_out: OnEnd, failed: OnEnd, again: u32) -> Vec<State> {
        let kept = Kept { endings: Endings { timed_out, failed }, again, ..Kept::default() };
        led(to, &kept)
    }

    fn led(to: State, kept: &Kept) -> Vec<State> {
        let action = ActionId(Uuid::nil());
        let why = "Defender's status of a".to_owned();
        let end = Move { action, from: StateName::Accepted, to, why };
        led_to(end, kept, NOW).into_iter().map(|moved| moved.to).collect()
    }

    fn timed_out() -> State {
        State::TimedOut { error: "0x80190198".to_owned() }
    }

    fn failed() -> State {
        State::Failed { error: "0x80070005".to_owned() }
    }

    #[test]
    fn what_was_not_done_ends_so_where_the_rule_wants_nothing_else() {
        use OnEnd::*;
        assert_eq!(after(timed_out(), GiveUp, Hold, 0), [timed_out()]);
        assert_eq!(after(failed(), Retry(3), GiveUp, 0), [failed()]);
    }

    #[test]
    fn it_is_called_again_as_often_as_the_rule_says_and_waits_longer_each_time() {
        let (first, longest) = limits::RETRY_WAIT;
        for (again, wait) in [(0, first), (1, 2 * first), (2, 4 * first), (9, longest)] {
            let queued = State::Queued { not_before: NOW + wait, tries: 0, busy_since: None };
            assert_eq!(after(timed_out(), OnEnd::Retry(10), OnEnd::GiveUp, again), [queued]);
        }
        assert_eq!(after(timed_out(), OnEnd::Retry(10), OnEnd::GiveUp, 10), [timed_out()]);
        assert!(first > limits::CLOCK_SKEW);
    }

    #[test]
    fn what_is_said_of_a_retry_is_true_when_it_is_said() {
        let both = Endings { timed_out: OnEnd::Retry(2), failed: OnEnd::Retry(1) };
        let why = |to: State, again| {
            let kept = Kept { endings: both, again, ..Kept::default() };
            let (action, why) = (ActionId(Uuid::nil()), "seen".to_owned());
            let end = Move { action, from: StateName::Accepted, to, why };
            led_to(end, &kept, NOW).pop().unwrap().why
        };
        let told = "timed out at Defender: 0x80190198; to be called again, 2 of 2; seen";
        assert_eq!(why(timed_out(), 1), told);
        assert_eq!(why(timed_out(), 2), "seen; retries used up (2 of 2)");
        assert_eq!(why(failed(), 2), "seen; retries used up (1 of 1)");
    }

    #[test]
    fn a_person_is_asked_with_what_defender_said() {
        let moves = after(failed(), OnEnd::GiveUp, OnEnd::Hold, 7);
        let [State::Queued { .. }, State::Held { why, .. }] = &moves[..] else {
            panic!("{moves:?}")
        };
        assert_eq!(why.to_string(), "Defender says that it failed: 0x80070005");
    }

    #[test]
    fn nothing_else_is_ever_called_again() {
        let all = Endings { timed_out: OnEnd::Retry(3), failed: OnEnd::Retry(3) };
        let kept = Kept { endings: all, ..Kept::default() };
        let cancelled = State::Cancelled { why: String::new() };
        for end in [cancelled, State::Succeeded { completed: NOW }] {
            assert_eq!(led(end.clone(), &kept), [end]);
        }
        let recalled = Kept { cancelled: true, ..kept };
        assert_eq!(led(timed_out(), &recalled), [timed_out()]);
    }
}
