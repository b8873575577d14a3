//! A store in memory, with the promises of the real one. It outlives every crash.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::action::{
    Approvals, AttemptRow, Begun, Call, Class, ClosedAttempt, Head, Heads, HoldWhy, NewAttempt,
    OpenAction, Resumed, State, StateName,
};
use crate::domain::audit::{Change, What};
use crate::domain::ids::{ActionId, AttemptId, EffectKey, MachineActionId};
use crate::domain::scope::Scope;
use crate::domain::time::{BootId, Now, Wall};

#[derive(Default)]
pub struct Store {
    pub actions: BTreeMap<ActionId, Row>,
    pub open: BTreeSet<ActionId>,
    attempts: BTreeMap<AttemptId, AttemptRow>,
    pub pauses: Vec<Scope>,
    /// What the guard sends to a person.
    pub guarded: bool,
}

pub struct Row {
    pub key: EffectKey,
    pub comment: String,
    pub class: Class,
    pub sequence: i64,
    pub expires: Wall,
    pub state: State,
    pub corrupt: bool,
    /// A nudge or a start came after it was committed.
    pub known: bool,
    /// It came back to its old place, and nothing but a reload can show it.
    pub back: bool,
    /// The last one it was accepted as.
    pub machine_action: Option<MachineActionId>,
}

impl Store {
    /// One open action per effect, as dedupe has it. `false` where there is one.
    pub fn insert(&mut self, id: ActionId, row: Row) -> bool {
        if self.open.iter().any(|open| self.actions[open].key == row.key) {
            return false;
        }
        self.open.insert(id);
        self.actions.insert(id, row);
        true
    }

    pub fn begin(&mut self, attempt: &NewAttempt) -> Begun {
        let row = self.actions.get_mut(&attempt.action).expect("the action is there");
        let now = attempt.written.wall;
        let State::Queued { not_before, tries, busy_since } = row.state else {
            return Begun::NotQueued(row.state.name());
        };
        let covered = |scope: &Scope| covers(scope, row);
        if let Some(scope) = self.pauses.iter().find(|scope| covered(scope)) {
            return match scope {
                Scope::All => Begun::Paused("paused".to_owned()),
                _ => Begun::Aside,
            };
        }
        if row.corrupt {
            return Begun::Corrupt;
        }
        if row.expires <= now {
            return Begun::Expired;
        }
        if not_before > now {
            return Begun::NotQueued(StateName::Queued);
        }
        if self.guarded {
            let (why, approvals) = (HoldWhy::Returns, Approvals::default());
            row.state = State::Held { why, approvals };
            return Begun::Stopped(StateName::Held);
        }
        row.state = State::InFlight { attempt: attempt.id, tries, busy_since };
        let NewAttempt { id, action, written, send_by } = *attempt;
        let new = AttemptRow { id, action, written, send_by, closed: None };
        assert!(self.attempts.insert(id, new).is_none(), "attempt {id} twice");
        Begun::Written(Call { key: row.key.clone(), comment: row.comment.clone() })
    }

    /// Returns what was moved, from and to. Every change has to fit: nobody else is at work here.
    pub fn apply(
        &mut self,
        closed: Option<ClosedAttempt>,
        changes: Vec<Change>,
    ) -> Vec<(ActionId, StateName, State)> {
        if let Some(closed) = closed {
            let row = self.attempts.get_mut(&closed.id).expect("the attempt was written");
            assert!(row.closed.is_none(), "attempt {} closed twice", closed.id);
            row.closed = Some((closed.closed, closed.answered));
        }
        let mut moved = Vec::new();
        for change in changes {
            let What::Moved { action, from, to } = change.what else { panic!("{change:?}") };
            let row = self.actions.get_mut(&action).expect("the action is there");
            assert_eq!(row.state.name(), from, "{action} on its way to {to:?}");
            assert!(from.may_become(to.name()), "{action}: {from} to {to:?}");
            if let State::Accepted { machine_action, .. } = &to {
                row.machine_action = Some(machine_action.clone());
            }
            row.state = to.clone();
            if !to.name().is_open() {
                self.open.remove(&action);
            }
            moved.push((action, from, to));
        }
        moved
    }

    pub fn heads(&self, class: Class, now: Wall, limit: usize) -> Heads {
        let mut heads = Heads::default();
        let mut queued: Vec<(&ActionId, &Row)> =
            self.open.iter().map(|id| (id, &self.actions[id])).collect();
        queued.sort_by_key(|(_, row)| row.sequence);
        for (id, row) in queued {
            let State::Queued { not_before, tries, busy_since } = row.state else { continue };
            let Row { sequence, expires, .. } = *row;
            if row.class != class || self.is_aside(row) {
                continue;
            }
            if not_before > now {
                heads.next_due = Some(heads.next_due.map_or(not_before, |at| at.min(not_before)));
            } else if heads.due.len() == limit {
                heads.more = true;
            } else {
                let action = *id;
                let head = Head { action, class, sequence, not_before, expires, tries, busy_since };
                heads.due.push(head);
            }
        }
        heads
    }

    pub fn expired(&self, now: Wall, limit: usize) -> Vec<(ActionId, StateName)> {
        let over = |id: &&ActionId| {
            let row = &self.actions[*id];
            row.expires <= now && matches!(row.state, State::Queued { .. } | State::Held { .. })
        };
        let named = |id: &ActionId| (*id, self.actions[id].state.name());
        self.open.iter().filter(over).take(limit).map(named).collect()
    }

    pub fn resume(&self) -> Resumed {
        let newest = |id| self.attempts.values().filter(move |row| row.action == id);
        let in_hand = |state: &State| {
            matches!(state, State::InFlight { .. } | State::InDoubt { .. } | State::Accepted { .. })
        };
        let open: Vec<OpenAction> = self
            .open
            .iter()
            .map(|id| (id, &self.actions[id]))
            .filter(|(_, row)| in_hand(&row.state))
            .map(|(id, row)| OpenAction {
                action: *id,
                key: row.key.clone(),
                comment: row.comment.clone(),
                state: row.state.clone(),
                attempt: newest(*id).max_by_key(|row| row.id).cloned(),
            })
            .collect();
        let outcomes = self
            .actions
            .values()
            .filter(|row| !row.state.name().is_open())
            .filter_map(|row| row.machine_action.clone())
            .collect();
        Resumed {
            attempts: self.attempts.values().cloned().collect(),
            open,
            outcomes,
            paused: self.pauses.contains(&Scope::All),
        }
    }

    /// Whoever reads now finds everything.
    pub fn all_shown(&mut self) {
        for row in self.actions.values_mut() {
            (row.known, row.back) = (true, false);
        }
    }

    /// A pause of its rule, machine or file covers it.
    fn is_aside(&self, row: &Row) -> bool {
        self.pauses.iter().any(|scope| *scope != Scope::All && covers(scope, row))
    }

    /// Whether an attempt of that scope may still go on the wire.
    pub fn may_leave(&self, scope: &Scope, boot_id: BootId, now: Now) -> bool {
        self.attempts.values().any(|attempt| {
            let same_boot = attempt.send_by.boot_id == boot_id;
            let open = attempt.closed.is_none() && same_boot && attempt.send_by.boot > now.boot;
            open && covers(scope, &self.actions[&attempt.action])
        })
    }

    /// A person's word moves an action.
    pub fn moves(&mut self, id: ActionId, to: State) -> (StateName, StateName) {
        let row = self.actions.get_mut(&id).expect("the action is there");
        let moved = (row.state.name(), to.name());
        assert!(moved.0.may_become(moved.1), "{moved:?}");
        row.state = to;
        row.back = true;
        if !moved.1.is_open() {
            self.open.remove(&id);
        }
        moved
    }

    /// An action that should have gone before one of that class and sequence, if there is one.
    pub fn overlooked(
        &self,
        (class, sequence): (Class, i64),
        now: Wall,
        in_hand: &BTreeSet<ActionId>,
    ) -> Option<ActionId> {
        let first = |id: &&ActionId| {
            let row = &self.actions[*id];
            let due = matches!(row.state, State::Queued { not_before, .. } if not_before <= now);
            let usable = row.known && !row.back && !row.corrupt && row.expires > now;
            due && usable
                && !self.is_aside(row)
                && !in_hand.contains(id)
                && (row.class, row.sequence) < (class, sequence)
        };
        self.open.iter().find(first).copied()
    }
}

/// Rules stand for classes here: each class has one.
pub fn covers(scope: &Scope, row: &Row) -> bool {
    match scope {
        Scope::All | Scope::Tenant(_) => true,
        Scope::Rule(rule) => rule == row.class.as_str(),
        Scope::Machine(machine) => *machine == row.key.machine,
        Scope::Sha1(sha1) => *sha1 == row.key.sha1,
    }
}
