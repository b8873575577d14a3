//! What a recall asks of Defender: to cancel machine actions that no machine has begun.
//!
//! Which one is asked for next, and what its answer means. A cancel that Defender took is no end:
//! the action itself moves only when the tracker sees how its machine action ended.

use std::collections::BTreeMap;

use super::action::StateName;
use super::answer::CancelAnswer;
use super::ids::{ActionId, MachineActionId};
use super::limiter::{Limit, Limiter, NotNow, Permit, Slot};
use super::rule::harmless;
use super::time::{Boot, Now};
use super::tracker::doubling;
use crate::limits;

/// A cancel that is still open, and where its action stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub action: ActionId,
    /// The recall's, for Defender's record.
    pub reason: String,
    pub stands: StateName,
    /// The last one it had.
    pub machine_action: Option<MachineActionId>,
}

/// What is to be written about a cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It goes on; this is why it is not over, for people.
    Troubled { action: ActionId, text: String },
    /// Nothing more is asked.
    Closed { action: ActionId, answer: String },
    /// The call left no trace at Defender, and the action would be sent again: it ends here.
    Rejected { action: ActionId, from: StateName },
}

/// One call to make. The slot goes back with its answer.
#[derive(Debug)]
pub struct Ask {
    pub permit: Permit,
    pub slot: Slot,
    pub action: ActionId,
    pub machine_action: MachineActionId,
    pub comment: String,
}

/// What is to be done now, and when to look again where that is nothing.
#[derive(Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub ask: Option<Ask>,
    pub wake: Boot,
}

/// The cancels of one tenant: one call at a time, within a budget of its own.
#[derive(Debug)]
pub struct Cancels {
    limiter: Limiter,
    waits: BTreeMap<ActionId, Wait>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    tries: u32,
    until: Boot,
}

impl Cancels {
    /// `limits` are those of Defender's endpoint; what an earlier run used of them is not known.
    pub fn new(limits: Vec<Limit>, now: Boot) -> Self {
        Self { limiter: Limiter::paced(limits, now), waits: BTreeMap::new() }
    }

    /// What the open cancels, all of the tenant's, lead to at this moment.
    pub fn plan(&mut self, now: Now, wanted: &[Wanted]) -> Plan {
        self.waits.retain(|action, _| wanted.iter().any(|w| w.action == *action));
        let mut plan = Plan { steps: Vec::new(), ask: None, wake: now.boot + limits::SWEEP_EVERY };
        let mut next = None;
        for wanted in wanted {
            let action = wanted.action;
            match (wanted.stands, &wanted.machine_action) {
                (StateName::Accepted, Some(machine_action)) => {
                    let due = self.waits.get(&action).map_or(now.boot, |wait| wait.until);
                    if due > now.boot {
                        plan.wake = plan.wake.min(due);
                    } else if next.is_none() {
                        next = Some((wanted, machine_action));
                    }
                }
                // What Defender says of its call decides: it is soon known.
                (StateName::InFlight | StateName::InDoubt, _) => {
                    plan.wake = plan.wake.min(now.boot + limits::CANCEL_POLL);
                }
                (from @ (StateName::Held | StateName::Queued), _) => {
                    plan.steps.push(Step::Rejected { action, from });
                }
                (ended, _) => {
                    let answer = format!("not asked any more: the action has {}", end(ended));
                    plan.steps.push(Step::Closed { action, answer });
                }
            }
        }
        if let Some((wanted, machine_action)) = next {
            match self.limiter.take(now.boot) {
                Ok((permit, slot)) => {
                    let (machine_action, comment) =
                        (machine_action.clone(), comment(&wanted.reason));
                    let action = wanted.action;
                    plan.ask = Some(Ask { permit, slot, action, machine_action, comment });
                }
                Err(NotNow::Until(at)) => plan.wake = plan.wake.min(at),
                Err(NotNow::Busy) => {}
            }
        }
        plan
    }

    /// What an answer means. `now` is when it was seen.
    pub fn answered(
        &mut self,
        now: Now,
        slot: Slot,
        action: ActionId,
        answer: CancelAnswer,
    ) -> Step {
        // Without an answer the call may be counted later.
        let failed = matches!(answer, CancelAnswer::Failed { .. });
        let late = if failed { limits::COUNTED_LATE } else { std::time::Duration::ZERO };
        self.limiter.release(slot, now.boot + late);
        let text = match answer {
            CancelAnswer::Done => {
                return Step::Closed { action, answer: "taken by Defender".to_owned() };
            }
            CancelAnswer::Refused { text } => {
                return Step::Closed { action, answer: format!("refused by Defender: {text}") };
            }
            CancelAnswer::NotFound { text } => {
                if self.wait(now, action) >= limits::NOT_FOUND_TRIES {
                    return Step::Closed { action, answer: format!("refused by Defender: {text}") };
                }
                text
            }
            CancelAnswer::TooMany { retry_after, text } => {
                let wait = retry_after.unwrap_or(limits::RETRY_AFTER_UNSAID);
                self.limiter.block_until(now.boot + wait);
                text
            }
            CancelAnswer::Unauthorized { text } => {
                self.limiter.block_until(now.boot + limits::UNAUTHORIZED_HOLD.0);
                text
            }
            CancelAnswer::Failed { text } => {
                self.wait(now, action);
                text
            }
        };
        Step::Troubled { action, text }
    }

    /// Puts it off, each time for longer. Says how often it was asked.
    fn wait(&mut self, now: Now, action: ActionId) -> u32 {
        let wait = self.waits.entry(action).or_insert(Wait { tries: 0, until: now.boot });
        wait.until = now.boot + doubling(limits::TRY_AGAIN, wait.tries);
        wait.tries = wait.tries.saturating_add(1);
        wait.tries
    }
}

/// How an action ended, as a sentence goes on.
fn end(state: StateName) -> String {
    match state {
        StateName::Refused | StateName::Cancelled | StateName::Rejected => format!("been {state}"),
        StateName::GaveUp => "been given up".to_owned(),
        StateName::Accepted => "no machine action".to_owned(),
        state => state.to_string(),
    }
}

/// As it goes on the wire: bounded, and without characters that hide others.
fn comment(reason: &str) -> String {
    let text: String = format!("Recalled by Lazaret: {reason}").chars().map(harmless).collect();
    text[..text.floor_char_boundary(limits::COMMENT_BYTES)].to_owned()
}

#[cfg(test)]
mod tests;
