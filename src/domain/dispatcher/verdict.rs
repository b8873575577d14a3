//! What an answer means for its action, and for the calls after it.

use super::Attempted;
use crate::domain::action::{Doubt, Head, Progress, State};
use crate::domain::answer::Answer;
use crate::domain::planted::{Bug, planted};
use crate::domain::time::Wall;
use crate::limits;

/// What becomes of the action, and why.
#[derive(Debug)]
pub(super) struct Verdict {
    pub to: State,
    pub why: String,
    /// Why nothing may be called for this tenant until a person says so, if that is so.
    pub pause: Option<String>,
}

/// Decides by status and code alone: the texts are for people and change.
pub(super) fn verdict(head: &Head, attempted: &Attempted) -> Verdict {
    let now = attempted.closed.wall;
    let Head { tries, busy_since, .. } = *head;
    let again = |tries, not_before: Wall| State::Queued { not_before, tries, busy_since };
    let doubt = |doubt| State::InDoubt { attempt: attempted.attempt.id, tries, busy_since, doubt };
    let (to, why) = match &attempted.answer {
        Answer::Accepted { machine_action } => {
            let why = format!("accepted as machine action {machine_action}");
            let (machine_action, progress) = (machine_action.clone(), Progress::Unsaid);
            (State::Accepted { machine_action, since: now, progress }, why)
        }
        Answer::TooMany { text, .. } | Answer::Unauthorized { text } | Answer::Unsent { text } => {
            (again(tries, head.not_before), text.clone())
        }
        Answer::Unclear { text, .. } if planted(Bug::RetryUnseen) => {
            (again(tries, head.not_before), text.clone())
        }
        Answer::Unclear { text, .. } => (doubt(Doubt::NoAnswer), text.clone()),
        Answer::Refused { status, code, text } => {
            let to = match (status, code.as_str()) {
                (400, "ActiveRequestAlreadyExists") => {
                    doubt(Doubt::ActiveRequest { answered: now })
                }
                (404, _) if tries + 1 < limits::NOT_FOUND_TRIES => {
                    again(tries + 1, now + limits::NOT_FOUND_WAIT)
                }
                (403, "Forbidden" | "DisabledFeature" | "") => {
                    // No more of it: the rest differs from call to call, and the same again is to
                    // be no change.
                    let pause = Some(format!("Defender answers {status} {code}").trim_end().into());
                    return Verdict { to: again(tries, head.not_before), why: text.clone(), pause };
                }
                (status, "") => State::Refused { code: format!("http {status}") },
                (_, code) => State::Refused { code: code.to_owned() },
            };
            (to, text.clone())
        }
    };
    Verdict { to, why, pause: None }
}
