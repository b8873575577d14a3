//! What the history says of each action.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Created, File, Moved, Unseen};
use crate::domain::action::{Class, StateName};
use crate::domain::ids::ActionId;
use crate::domain::time::Wall;

/// An action, as its events have left it.
#[derive(Debug)]
pub struct Known {
    pub file: File,
    pub rule: Class,
    pub class: Class,
    pub sequence: i64,
    /// How long it may wait in the queue before it expires.
    pub queued_for: Duration,
    pub state: StateName,
    pub not_before: Wall,
    pub expires: Wall,
    pub corrupt: bool,
    /// The dispatcher has looked so often when it became what it is; it knows of it once it has
    /// looked again, and read everything anew again.
    pub looks: u64,
    pub shows: u64,
    /// A look-up could have seen a machine action that its calls have made, if there is one.
    pub made: Option<Option<Unseen>>,
}

#[derive(Default)]
pub struct Actions {
    pub all: BTreeMap<ActionId, Known>,
    pub queued: BTreeSet<ActionId>,
    /// The open action of each effect.
    owners: BTreeMap<File, ActionId>,
    /// When the last quarantine of each was completed, by Defender's clock.
    completed: BTreeMap<File, Wall>,
    /// What each delivery has made actions for.
    made: BTreeSet<(u32, File)>,
}

impl Actions {
    pub fn open(&self) -> usize {
        self.owners.len()
    }

    /// Takes a new action up, or says why there must not be one.
    pub fn create(&mut self, new: &Created, looks: u64) -> Result<(), String> {
        let Created { action, delivery, file, evidence, .. } = *new;
        if let Some(owner) = self.owners.insert(file, action) {
            return Err(format!("{action} while {owner} is open for the same effect"));
        }
        if !self.made.insert((delivery, file)) {
            return Err(format!("{action} is the second one of delivery {delivery}"));
        }
        if let Some(at) = self.completed.get(&file).filter(|at| evidence <= **at) {
            return Err(format!("{action} for evidence that was dealt with at {at}"));
        }
        let Created {
            rule, class, sequence, queued_for, state, not_before, expires, corrupt, ..
        } = *new;
        let (shows, made) = (0, None);
        let known = Known {
            file,
            rule,
            class,
            sequence,
            queued_for,
            state,
            not_before,
            expires,
            corrupt,
            looks,
            shows,
            made,
        };
        if state == StateName::Queued {
            self.queued.insert(action);
        }
        self.all.insert(action, known);
        Ok(())
    }

    /// Applies a move, or says why it is none.
    pub fn moves(&mut self, moved: &Moved) -> Result<&mut Known, String> {
        let Moved { action, from, to, .. } = *moved;
        let known = self.all.get_mut(&action).ok_or_else(|| format!("{action} is unknown"))?;
        if known.state != from || !from.may_become(to) {
            return Err(format!("{action} from {from} to {to}, and it is {}", known.state));
        }
        known.state = to;
        known.not_before = moved.not_before;
        known.expires = moved.expires;
        if from == StateName::Accepted && to == StateName::Queued {
            // By a retry policy: the next call is another one.
            known.made = None;
        }
        match to {
            StateName::Queued => self.queued.insert(action),
            _ => self.queued.remove(&action),
        };
        if !to.is_open() {
            self.owners.remove(&known.file);
        }
        if let Some(at) = moved.completed {
            self.completed.insert(known.file, at);
        }
        Ok(known)
    }
}
