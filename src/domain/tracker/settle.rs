//! What a complete list says about the actions that are followed and in doubt.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Cycle, Followed, Found, InDoubt, Move, Tracker};
use crate::domain::action::{Doubt, Progress, State, StateName};
use crate::domain::answer::{Entry, Status};
use crate::domain::ids::{ActionId, MachineActionId, MachineId};
use crate::domain::planted::{Bug, planted};
use crate::domain::time::{Boot, Now, Wall};
use crate::limits;

impl Tracker {
    /// Look-ups first: what they adopt may have ended in the same list.
    pub(super) fn settle(&mut self, now: Now, cycle: &Cycle) -> Found {
        let mut moves = Vec::new();
        let due = self.doubts.iter().filter(|(_, sought)| sought.is_due(cycle.started));
        let due: Vec<ActionId> = due.map(|(action, _)| *action).collect();
        let mut freed = BTreeSet::new();
        for action in due {
            moves.extend(self.look_up(now, cycle, action, &mut freed));
        }
        let mut found = self.follow_up(now, cycle);
        found.moves.splice(..0, moves);
        found
    }

    /// `freed` are the machines on which this list has queued one that waited for another's end.
    fn look_up(
        &mut self,
        now: Now,
        cycle: &Cycle,
        action: ActionId,
        freed: &mut BTreeSet<MachineId>,
    ) -> Option<Move> {
        let sought = self.doubts.get(&action)?;
        let (doubt, behind) = (&sought.doubt, sought.behind);
        let decides = doubt.decides;
        let holder = doubt.holder(cycle);
        let again = cycle.started + self.pace(cycle.started, decides);
        let (to, why) = if let Some(entry) = self.adoptable(doubt, cycle) {
            let accepted = State::Accepted {
                machine_action: entry.id.clone(),
                since: now.wall,
                progress: Progress::Unsaid,
            };
            self.followed.insert(action, Followed::adopted(entry, now, cycle));
            (accepted, "found in the list of machine actions")
        } else if cycle.started < decides {
            return match holder {
                Some(_) => self.wait(action, again, holder),
                None => self.wait(action, decides, behind),
            };
        } else if let Some(gone) = doubt.held_too_long(now.wall) {
            (gone, "another action holds the machine")
        } else if holder.is_some() {
            return self.wait(action, again, holder);
        } else if behind.is_none() && !doubt.was_held(cycle) {
            let why = match doubt.doubt {
                Doubt::NoAnswer => "not in the list of machine actions",
                Doubt::ActiveRequest { .. } => "another action holds the machine",
            };
            (doubt.not_found(now.wall), why)
        } else if freed.insert(doubt.key.machine) {
            let busy_since = doubt.held_since();
            let to = State::Queued { not_before: now.wall, tries: doubt.tries, busy_since };
            (to, "the quarantine that held the machine has ended")
        } else {
            // Defender takes one at a time there, as it has said: the next list frees the next.
            return self.wait(action, again, behind);
        };
        self.doubts.remove(&action);
        Some(Move { action, from: StateName::InDoubt, to, why: why.to_owned() })
    }

    /// Looks again by then, without a call before.
    fn wait(&mut self, action: ActionId, due: Boot, behind: Option<Wall>) -> Option<Move> {
        let sought = self.doubts.get_mut(&action)?;
        (sought.doubt.due, sought.behind) = (due, behind);
        None
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

    fn follow_up(&mut self, now: Now, cycle: &Cycle) -> Found {
        let mut found = Found::default();
        let wait = self.settings.wait;
        for (action, followed) in &mut self.followed {
            let entry = cycle.entries.get(&followed.machine_action);
            let shown_from = followed.accepted + wait;
            if followed.from > cycle.started || entry.is_none() && shown_from > cycle.started {
                continue;
            }
            if let Some((to, why)) = followed.ended(now.wall, entry) {
                found.moves.push(Move { action: *action, from: StateName::Accepted, to, why });
            } else if let Some(progress) = entry.and_then(|e| followed.progressed(now.wall, e)) {
                found.progress.push((*action, progress));
            }
        }
        for moved in &found.moves {
            let ended = self.followed.remove(&moved.action);
            if let Some(followed) = ended
                && cycle.entries.get(&followed.machine_action).is_some_and(|e| e.status.has_ended())
            {
                self.outcomes.push_back(followed.machine_action);
            }
        }
        let surplus = self.outcomes.len().saturating_sub(limits::OUTCOMES_KEPT);
        self.outcomes.drain(..surplus);
        found
    }
}

impl Followed {
    /// A machine action that a list has shown to be the one of a call in doubt.
    fn adopted(entry: &Entry, now: Now, cycle: &Cycle) -> Self {
        Self {
            machine_action: entry.id.clone(),
            since: now.wall,
            accepted: now.boot,
            progress: Progress::Unsaid,
            from: cycle.started,
            created: entry.created,
            sought_far_back: false,
        }
    }

    /// Whether it has ended, by what a complete list says of it.
    fn ended(&mut self, now: Wall, entry: Option<&Entry>) -> Option<(State, String)> {
        let Some(entry) = entry else {
            // A 201 may name a machine action made long before: look as far back as one can live.
            let sought_far_back = std::mem::replace(&mut self.sought_far_back, true);
            self.created = self.since - limits::MACHINE_ACTION_AGE - limits::CLOCK_SKEW;
            return self.too_old(now).filter(|_| sought_far_back);
        };
        self.created = entry.created;
        let said = || entry.error.clone();
        let error = || said().unwrap_or_else(|| "Defender gives no reason".to_owned());
        let to = match entry.status {
            Status::Pending if planted(Bug::PendingIsDone) => {
                State::Succeeded { completed: entry.updated }
            }
            Status::Pending | Status::InProgress | Status::Other => return self.too_old(now),
            Status::Succeeded => State::Succeeded { completed: entry.updated },
            Status::Failed => State::Failed { error: error() },
            Status::TimedOut => State::TimedOut { error: error() },
            Status::Cancelled => State::Cancelled { why: said().unwrap_or_default() },
        };
        Some((to, format!("Defender's status of {} at {}", entry.id, entry.updated)))
    }

    /// What is new about how far it is. What a machine has begun it goes on with.
    fn progressed(&mut self, now: Wall, entry: &Entry) -> Option<Progress> {
        let late = || now.since(self.since) >= limits::UNFETCHED_AFTER;
        let progress = match entry.status {
            Status::InProgress => Progress::Running,
            Status::Pending if self.progress == Progress::Unsaid && late() => Progress::Unfetched,
            _ => return None,
        };
        (std::mem::replace(&mut self.progress, progress) != progress).then_some(progress)
    }

    fn too_old(&self, now: Wall) -> Option<(State, String)> {
        let too_old = now.since(self.since) >= limits::MACHINE_ACTION_AGE;
        too_old.then(|| {
            let error = format!("Defender has told no end since {}", self.since);
            (State::TimedOut { error: error.clone() }, error)
        })
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
                // As long again as it has been busy: that doubles from try to try.
                let (first, longest) = limits::BUSY_WAIT;
                let not_before = now + now.since(since).clamp(first, longest);
                State::Queued { not_before, tries: self.tries, busy_since: Some(since) }
            }
        }
    }

    /// Since when another action has held the machine, where one has.
    fn held_since(&self) -> Option<Wall> {
        match self.doubt {
            Doubt::NoAnswer => None,
            Doubt::ActiveRequest { answered } => Some(self.busy_since.unwrap_or(answered)),
        }
    }

    fn held_too_long(&self, now: Wall) -> Option<State> {
        let since = self.held_since().filter(|since| now.since(*since) >= limits::BUSY_MAX)?;
        Some(State::GaveUp { why: format!("another action holds the machine since {since}") })
    }

    /// When the oldest quarantine was made, ours or somebody else's, that has not ended on the
    /// machine that Defender has said to be held.
    fn holder(&self, cycle: &Cycle) -> Option<Wall> {
        self.held_since()?;
        let holds = |e: &&Entry| e.machine == self.key.machine && !e.status.has_ended();
        cycle.entries.values().filter(holds).map(|entry| entry.created).min()
    }

    /// Whether a quarantine has ended there since Defender said that the machine is held.
    fn was_held(&self, cycle: &Cycle) -> bool {
        let Doubt::ActiveRequest { answered } = self.doubt else { return false };
        let held = |e: &Entry| e.machine == self.key.machine && e.updated >= answered;
        cycle.entries.values().any(held)
    }
}

/// The wait after `times` waits before: it doubles from the first to the longest.
pub(in crate::domain) fn doubling((first, longest): (Duration, Duration), times: u32) -> Duration {
    first.saturating_mul(1 << times.min(20)).min(longest)
}
