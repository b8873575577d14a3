//! What a complete list says about the actions that are followed and in doubt.

use std::time::Duration;

use super::{Cycle, Followed, InDoubt, Move, Tracker};
use crate::domain::action::{Doubt, State, StateName};
use crate::domain::answer::{Entry, Status};
use crate::domain::ids::{ActionId, MachineActionId};
use crate::domain::planted::{Bug, planted};
use crate::domain::time::{Now, Wall};
use crate::limits;

impl Tracker {
    /// Look-ups first: what they adopt may have ended in the same list.
    pub(super) fn settle(&mut self, now: Now, cycle: &Cycle) -> Vec<Move> {
        let mut moves = Vec::new();
        let due: Vec<ActionId> = self
            .doubts
            .iter()
            .filter(|(_, doubt)| doubt.due <= cycle.started)
            .map(|(action, _)| *action)
            .collect();
        for action in due {
            moves.extend(self.look_up(now, cycle, action));
        }
        moves.extend(self.follow_up(now, cycle));
        moves
    }

    fn look_up(&mut self, now: Now, cycle: &Cycle, action: ActionId) -> Option<Move> {
        let doubt = self.doubts.get(&action)?;
        let to = if let Some(entry) = self.adoptable(doubt, cycle) {
            let followed = Followed {
                machine_action: entry.id.clone(),
                since: now.wall,
                from: cycle.started,
                created: entry.created,
                sought_far_back: false,
            };
            self.followed.insert(action, followed);
            State::Accepted { machine_action: entry.id.clone(), since: now.wall }
        } else if doubt.decides <= cycle.started {
            doubt.not_found(now.wall)
        } else {
            let doubt = self.doubts.get_mut(&action)?;
            doubt.due = doubt.decides;
            return None;
        };
        let why = match (&to, doubt.doubt) {
            (State::Accepted { .. }, _) => "found in the list of machine actions",
            (_, Doubt::NoAnswer) => "not in the list of machine actions",
            (_, Doubt::ActiveRequest { .. }) => "another action holds the machine",
        };
        let why = why.to_owned();
        self.doubts.remove(&action);
        Some(Move { action, from: StateName::InDoubt, to, why })
    }

    /// The machine action that the call in doubt made or met. The comment only chooses among
    /// several: it need not be unique. One that is another action's already is never taken.
    fn adoptable<'a>(&self, doubt: &InDoubt, cycle: &'a Cycle) -> Option<&'a Entry> {
        let taken = |id: &MachineActionId| {
            !planted(Bug::AdoptTaken)
                && (self.outcomes.contains(id)
                    || self.followed.values().any(|f| f.machine_action == *id))
        };
        cycle
            .entries
            .values()
            .filter(|entry| doubt.fits(entry) && !taken(&entry.id))
            .max_by_key(|entry| (entry.comment == doubt.comment, entry.created))
    }

    fn follow_up(&mut self, now: Now, cycle: &Cycle) -> Vec<Move> {
        let mut moves = Vec::new();
        for (action, followed) in &mut self.followed {
            if followed.from > cycle.started {
                continue;
            }
            let entry = cycle.entries.get(&followed.machine_action);
            if let Some((to, why)) = followed.ended(now.wall, entry) {
                moves.push(Move { action: *action, from: StateName::Accepted, to, why });
            }
        }
        for moved in &moves {
            let ended = self.followed.remove(&moved.action);
            if let Some(followed) = ended
                && cycle.entries.get(&followed.machine_action).is_some_and(|e| e.status.has_ended())
            {
                self.outcomes.push_back(followed.machine_action);
            }
        }
        let surplus = self.outcomes.len().saturating_sub(limits::OUTCOMES_KEPT);
        self.outcomes.drain(..surplus);
        moves
    }
}

impl Followed {
    /// Whether it has ended, by what a complete list says of it.
    fn ended(&mut self, now: Wall, entry: Option<&Entry>) -> Option<(State, String)> {
        let Some(entry) = entry else {
            // A 201 may name a machine action made long before: look as far back as one can live.
            let sought_far_back = std::mem::replace(&mut self.sought_far_back, true);
            self.created = self.since - limits::MACHINE_ACTION_AGE - limits::CLOCK_SKEW;
            return self.too_old(now).filter(|_| sought_far_back);
        };
        self.created = entry.created;
        let to = match entry.status {
            Status::Pending if planted(Bug::PendingIsDone) => {
                State::Succeeded { completed: entry.updated }
            }
            Status::Pending | Status::InProgress => return self.too_old(now),
            Status::Succeeded => State::Succeeded { completed: entry.updated },
            Status::Failed => {
                let error = entry.error.clone();
                State::Failed { error: error.unwrap_or_else(|| "Defender gives no reason".into()) }
            }
            Status::TimedOut => State::TimedOut,
            Status::Cancelled => State::Cancelled,
        };
        Some((to, format!("Defender's status of {} at {}", entry.id, entry.updated)))
    }

    fn too_old(&self, now: Wall) -> Option<(State, String)> {
        let too_old = now.since(self.since) >= limits::MACHINE_ACTION_AGE;
        too_old.then(|| (State::TimedOut, format!("no end since {}", self.since)))
    }
}

impl InDoubt {
    fn fits(&self, entry: &Entry) -> bool {
        let same_sha1 = entry.sha1 == Some(self.key.sha1) || planted(Bug::AdoptByMachine);
        let same_file = entry.machine == self.key.machine && same_sha1;
        same_file
            && match self.doubt {
                Doubt::NoAnswer => entry.created >= self.oldest(),
                Doubt::ActiveRequest { answered } => {
                    !entry.status.has_ended() || entry.updated >= answered
                }
            }
    }

    fn not_found(&self, now: Wall) -> State {
        match self.doubt {
            Doubt::NoAnswer => {
                let tries = self.tries.saturating_add(1);
                if tries >= limits::TRIES_MAX {
                    return State::GaveUp { why: format!("{tries} calls left no trace") };
                }
                let not_before = now + doubling(limits::TRY_AGAIN, self.tries);
                State::Queued { not_before, tries, busy_since: self.busy_since }
            }
            Doubt::ActiveRequest { answered } => {
                let since = self.busy_since.unwrap_or(answered);
                let busy = now.since(since);
                if busy >= limits::BUSY_MAX {
                    return State::GaveUp {
                        why: format!("another action holds the machine since {since}"),
                    };
                }
                // As long again as it has been busy: that doubles from try to try.
                let (first, longest) = limits::BUSY_WAIT;
                let not_before = now + busy.clamp(first, longest);
                State::Queued { not_before, tries: self.tries, busy_since: Some(since) }
            }
        }
    }
}

/// The wait after `times` waits before: it doubles from the first to the longest.
pub(in crate::domain) fn doubling((first, longest): (Duration, Duration), times: u32) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(longest)
}
