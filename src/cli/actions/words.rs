//! Where an action stands and what happened to it, in words.

use crate::domain::action::{Coordinates, Doubt, HoldWhy, OnEnd, Progress, State};
use crate::domain::audit::{Actor, Change, What};
use crate::domain::time::Wall;

/// Where the delivery came from, in words.
pub fn delivery_text(delivery: &Coordinates) -> String {
    match delivery {
        Coordinates::Webhook { source, id: None } => format!("webhook {source}"),
        Coordinates::Webhook { source, id: Some(id) } => format!("webhook {source}, id {id}"),
        Coordinates::Kafka { source, topic, partition, offset } => {
            format!("kafka {source}, topic {topic}, partition {partition}, offset {offset}")
        }
    }
}

/// A state in one phrase, with what it carries.
pub fn state_text(state: &State) -> String {
    match state {
        State::Queued { not_before, tries, .. } if *tries > 0 => {
            format!("queued, not before {not_before}, after {tries} tries")
        }
        State::Accepted { machine_action, since, progress } => {
            let how_far = match progress {
                Progress::Unsaid => String::new(),
                Progress::Unfetched => unfetched(*since),
                Progress::Running => "; the machine is at it".to_owned(),
            };
            format!("accepted by Defender as machine action {machine_action}{how_far}")
        }
        State::InDoubt { doubt: Doubt::ActiveRequest { answered }, busy_since, .. } => {
            let since = busy_since.unwrap_or(*answered);
            format!("in doubt: another action holds the machine since {since}")
        }
        State::InDoubt { doubt: Doubt::NoAnswer, .. } => {
            "in doubt: its call had no answer; looked for at Defender before any other".to_owned()
        }
        State::Succeeded { completed } => format!("succeeded at {completed}"),
        State::Failed { error } => format!("failed: {error}"),
        State::TimedOut { error } if !error.is_empty() => format!("timed out: {error}"),
        State::Cancelled { why } if !why.is_empty() => format!("cancelled: {why}"),
        State::Refused { code } => format!("refused: {code}"),
        State::Rejected { by } => format!("rejected by {by}"),
        State::GaveUp { why } => format!("gave up: {why}"),
        State::Held { why, approvals } => {
            let given = match &approvals.given[..] {
                [] => String::new(),
                given => format!(
                    "; {} of {} have approved it: {}",
                    given.len(),
                    approvals.count,
                    given.join(", ")
                ),
            };
            format!("held: {why}{given}")
        }
        other => other.name().to_string(),
    }
}

/// What became of an action, as the end of a sentence. Only one that Defender says was done is
/// called quarantined.
pub fn became_text(state: &State, called: bool) -> String {
    let never = if called { "" } else { ", and was never called" };
    let of = |why: &str| if why.is_empty() { String::new() } else { format!(": {why}") };
    match state {
        State::Held { why: HoldWhy::Outcome { end, error }, .. } => {
            format!(
                "it {end} at Defender{}; a person decides whether it is called again",
                of(error)
            )
        }
        State::Held { why, .. } => format!("it waits for a person: {why}"),
        State::Queued { .. } if called => "it is queued, to be called again".to_owned(),
        State::Queued { .. } => "it is queued, and not called yet".to_owned(),
        State::InFlight { .. } => "its call is on the way to Defender".to_owned(),
        State::InDoubt { .. } => format!("it is {}", state_text(state)),
        State::Accepted { .. } => format!("it is {}; not ended yet", state_text(state)),
        State::Succeeded { completed } => format!("it was quarantined at {completed}"),
        State::Failed { error } => format!("it failed at Defender{}", of(error)),
        State::TimedOut { error } => format!("it timed out at Defender{}", of(error)),
        State::Cancelled { why } => format!("it was cancelled at Defender{}", of(why)),
        State::Refused { code } => format!("Defender refused it{}", of(code)),
        State::Rejected { by } => format!("it was rejected by {by}{never}"),
        State::Expired => format!("it expired{never}"),
        State::GaveUp { why } => format!("it was given up{}", of(why)),
    }
}

/// That no machine has fetched it, which is no failure.
fn unfetched(since: Wall) -> String {
    format!(
        "; its machine has not fetched it since {since}, most likely it is offline: Defender waits \
         up to 72 h for it"
    )
}

pub(super) fn change_text(change: &Change) -> String {
    let what = match &change.what {
        What::Created { state, .. } => format!("created, {}", state_text(state)),
        What::Moved { from, to, .. } => format!("{from} → {}", state_text(to)),
        What::ClassRaised { to, .. } => format!("class raised to {to:?}").to_lowercase(),
        What::DuplicateLinked { alert, .. } => format!("duplicate: alert {alert}"),
        What::Approved { .. } => "approved, and waits for another".to_owned(),
        What::Progressed { to: Progress::Running, .. } => "the machine is at it".to_owned(),
        What::Progressed { .. } => "its machine has not fetched it yet".to_owned(),
        What::CancelAsked { .. } => "to be cancelled at Defender".to_owned(),
        What::CancelAnswered { answer, .. } => format!("cancelling it: {answer}"),
        other => format!("{other:?}"),
    };
    let by = match &change.actor {
        Actor::Lazaret => String::new(),
        Actor::Person(name) if what.ends_with(&format!("by {name}")) => String::new(),
        Actor::Person(name) => format!(" by {name}"),
    };
    if what.contains(&change.reason) {
        return format!("{what}{by}");
    }
    format!("{what}{by} ({})", change.reason)
}

/// A state in one word, and for one that is accepted how far it is.
pub(super) fn state_word(state: &State) -> String {
    let progress = match state {
        State::Accepted { progress, .. } => progress.as_str(),
        _ => None,
    };
    progress.map_or_else(|| state.name().to_string(), str::to_owned)
}

/// What its rule wants of it at such an end; `None` where that is nothing.
pub(super) fn ending_text(wants: OnEnd) -> Option<String> {
    match wants {
        OnEnd::GiveUp => None,
        OnEnd::Hold => Some("a person decides".to_owned()),
        OnEnd::Retry(times) => Some(format!("called again, {times} times at most")),
    }
}

/// How often it was called again after such an end, whichever it was. What waits for that call, or
/// ended while it waited, has not been.
pub(super) fn again_text(state: &State, again: u32) -> Option<String> {
    let waits = matches!(state, State::Queued { tries: 0, .. } | State::Held { .. });
    let ended_so = matches!(state, State::Rejected { .. } | State::Expired);
    let made = if waits || ended_so { again.checked_sub(1)? } else { again };
    let so_far = match made {
        0 => "not yet".to_owned(),
        1 => "once so far".to_owned(),
        made => format!("{made} times so far"),
    };
    match (again, waits) {
        (0, _) => None,
        (_, true) if matches!(state, State::Held { .. }) => {
            Some(format!("{so_far}; a person decides on the next time"))
        }
        (_, true) => Some(format!("{so_far}; to be called again")),
        (_, false) => Some(so_far),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::{Approvals, StateName};
    use crate::domain::ids::{AttemptId, MachineActionId};

    /// Every state, with what it carries, and what became of an action that stands there.
    fn all() -> Vec<(State, &'static str)> {
        let attempt = AttemptId(uuid::Uuid::from_u128(1));
        let (tries, busy_since, approvals) = (1, None, Approvals::default());
        let error = "0x80070002".to_owned();
        let in_doubt = |doubt| State::InDoubt { attempt, tries, busy_since, doubt };
        let accepted = |progress| State::Accepted {
            machine_action: MachineActionId::parse("5382f7ea-7557-4ab7-9782-d50480024a4e").unwrap(),
            since: Wall(0),
            progress,
        };
        let outcome = HoldWhy::Outcome { end: StateName::TimedOut, error: error.clone() };
        let (why, by) = ("404 three times".to_owned(), "token ana".to_owned());
        let held = |why| State::Held { why, approvals: approvals.clone() };
        vec![
            (held(HoldWhy::Returns), "it waits for a person: the file keeps coming back"),
            (held(outcome), "it timed out at Defender: 0x80070002; a person decides"),
            (State::Queued { not_before: Wall(0), tries, busy_since }, "to be called again"),
            (State::InFlight { attempt, tries, busy_since }, "its call is on the way to Defender"),
            (in_doubt(Doubt::NoAnswer), "it is in doubt: its call had no answer"),
            (in_doubt(Doubt::ActiveRequest { answered: Wall(0) }), "another action holds"),
            (accepted(Progress::Unfetched), "has not fetched it"),
            (accepted(Progress::Running), "it is accepted by Defender as machine action 5382f7ea"),
            (State::Succeeded { completed: Wall(0) }, "it was quarantined at 1970-01-01"),
            (State::Failed { error: error.clone() }, "it failed at Defender: 0x80070002"),
            (State::TimedOut { error }, "it timed out at Defender: 0x80070002"),
            (State::Cancelled { why: String::new() }, "it was cancelled at Defender"),
            (State::Refused { code: "BadRequest".to_owned() }, "Defender refused it: BadRequest"),
            (State::Rejected { by }, "it was rejected by token ana"),
            (State::Expired, "it expired"),
            (State::GaveUp { why }, "it was given up: 404 three times"),
        ]
    }

    #[test]
    fn what_is_to_be_called_again_is_not_counted_as_called() {
        let queued = |tries| State::Queued { not_before: Wall(0), tries, busy_since: None };
        let says = |state: &State, again| again_text(state, again).unwrap_or_default();
        assert_eq!(says(&queued(0), 0), "");
        assert_eq!(says(&queued(0), 1), "not yet; to be called again");
        assert_eq!(says(&queued(0), 2), "once so far; to be called again");
        assert_eq!(says(&queued(1), 2), "2 times so far");
        assert_eq!(says(&State::TimedOut { error: String::new() }, 2), "2 times so far");
        assert_eq!(says(&State::Expired, 2), "once so far");
        let why = HoldWhy::Outcome { end: StateName::Failed, error: String::new() };
        let held = State::Held { why, approvals: Approvals::default() };
        assert_eq!(says(&held, 1), "not yet; a person decides on the next time");
    }

    #[test]
    fn only_what_has_succeeded_is_said_to_be_quarantined() {
        let all = all();
        for name in StateName::ALL {
            assert!(all.iter().any(|(state, _)| state.name() == name), "{name} is not tried");
        }
        for (state, wanted) in all {
            let said = became_text(&state, true);
            assert!(said.contains(wanted), "{state:?}: {said}");
            let quarantined = said.contains("quarantined");
            assert_eq!(quarantined, state.name() == StateName::Succeeded, "{said}");
            assert!(!said.contains("never called"), "{said}");
        }
        for state in [State::Expired, State::Rejected { by: "lazaret".to_owned() }] {
            assert!(became_text(&state, false).ends_with(", and was never called"));
        }
    }
}
