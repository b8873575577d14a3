//! Where an action stands and what happened to it, in words.

use crate::domain::action::{Coordinates, Doubt, OnEnd, Progress, State};
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
pub(super) fn ending_text(wants: OnEnd, again: u32) -> Option<String> {
    match wants {
        OnEnd::GiveUp => None,
        OnEnd::Hold => Some("a person decides".to_owned()),
        OnEnd::Retry(times) => {
            Some(format!("called again, {times} times at most; so far {again} times"))
        }
    }
}
