//! A store in memory, with the promises of the real one. It outlives every crash.

mod ends;
mod intake;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::history::{By, Event, File, Moved, Reach};
use super::sender;
use crate::domain::action::{
    Approvals, AttemptRow, Begun, Call, Class, ClosedAttempt, Head, Heads, HoldWhy, NewAttempt,
    OpenAction, Progress, Resumed, State, StateName,
};
use crate::domain::audit::{Change, What};
use crate::domain::dedupe::Effect;
use crate::domain::ids::{ActionId, AttemptId, EffectKey, MachineActionId, Sha1};
use crate::domain::planted::{Bug, planted};
use crate::domain::time::{BootId, Now, Wall};

#[derive(Default)]
pub struct Store {
    actions: BTreeMap<ActionId, Row>,
    open: BTreeSet<ActionId>,
    attempts: BTreeMap<AttemptId, AttemptRow>,
    effects: BTreeMap<EffectKey, Effect>,
    /// What deny rules have covered.
    spared: BTreeMap<EffectKey, Vec<String>>,
    /// Deliveries that were taken.
    replays: BTreeSet<u32>,
    pub pauses: Vec<Reach>,
    /// Files that a deny rule covers: rules, which are not in the store, but outlive a crash too.
    pub denied: BTreeSet<Sha1>,
    /// Whether the guard sends the next one to a person.
    pub guarded: bool,
    sequence: i64,
    /// What has become durable since somebody looked.
    told: Vec<Event>,
}

struct Row {
    key: EffectKey,
    comment: String,
    /// Of the rule, whatever it was raised to.
    rule: Class,
    class: Class,
    sequence: i64,
    expires: Wall,
    /// How long it may be queued, and held.
    queued_for: Duration,
    held_for: Duration,
    state: State,
    corrupt: bool,
    /// The last one it was accepted as.
    machine_action: Option<MachineActionId>,
    /// How often it was called again since it had timed out or failed.
    again: u32,
}

impl Row {
    fn file(&self) -> File {
        sender::file(&self.key)
    }

    fn is_covered(&self, reach: &Reach) -> bool {
        reach.covers(self.rule, self.file())
    }
}

impl Store {
    /// What has become durable since the last time.
    pub fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.told)
    }

    pub fn state(&self, action: ActionId) -> Option<&State> {
        self.actions.get(&action).map(|row| &row.state)
    }

    pub fn open(&self) -> impl Iterator<Item = (ActionId, &State)> {
        self.open.iter().map(|id| (*id, &self.actions[id].state))
    }

    /// Writes an attempt, or says why not. Checked in one transaction with it.
    pub fn begin(&mut self, attempt: &NewAttempt) -> Begun {
        let Some(row) = self.actions.get(&attempt.action) else { return Begun::Corrupt };
        let now = attempt.written.wall;
        let State::Queued { not_before, tries, busy_since } = row.state else {
            return Begun::NotQueued(row.state.name());
        };
        let paused = self.pauses.iter().find(|reach| row.is_covered(reach));
        if let Some(reach) = paused.filter(|_| !planted(Bug::PauseNotChecked)) {
            return match reach {
                Reach::All => Begun::Paused("paused".to_owned()),
                _ => Begun::Aside,
            };
        }
        if row.corrupt {
            return Begun::Corrupt;
        }
        if row.expires <= now && !planted(Bug::SendExpired) {
            return Begun::Expired;
        }
        if not_before > now {
            return Begun::NotQueued(StateName::Queued);
        }
        if self.denied.contains(&row.key.sha1) && !planted(Bug::DenyNotChecked) {
            let by = "rule deny".to_owned();
            self.moves(attempt.action, State::Rejected { by }, now, By::Dispatcher);
            return Begun::Stopped(StateName::Rejected);
        }
        if std::mem::take(&mut self.guarded) {
            let (why, approvals) = (HoldWhy::Returns, Approvals::default());
            self.moves(attempt.action, State::Held { why, approvals }, now, By::Dispatcher);
            return Begun::Stopped(StateName::Held);
        }
        let call = Call { key: row.key.clone(), comment: row.comment.clone() };
        let NewAttempt { id, action, written, send_by } = *attempt;
        self.moves(action, State::InFlight { attempt: id, tries, busy_since }, now, By::Dispatcher);
        self.attempts.insert(id, AttemptRow { id, action, written, send_by, closed: None });
        let send_by = send_by.boot;
        self.told.push(Event::Written { attempt: id, action, at: now, send_by });
        Begun::Written(call)
    }

    /// Closes an attempt and applies what still fits: somebody else may have moved an action.
    pub fn record(&mut self, closed: Option<&ClosedAttempt>, changes: &[Change]) {
        if let Some(closed) = closed
            && let Some(row) = self.attempts.get_mut(&closed.id)
        {
            row.closed.get_or_insert(closed.kept());
        }
        for change in changes {
            match &change.what {
                What::Moved { action, from, to } => self.shifts(*action, *from, to, change.at),
                What::Progressed { action, to } => self.progresses(*action, *to),
                _ => {}
            }
        }
    }

    fn progresses(&mut self, action: ActionId, to: Progress) {
        let row = self.actions.get_mut(&action);
        if let Some(State::Accepted { progress, .. }) = row.map(|row| &mut row.state) {
            *progress = to;
        }
    }

    /// Moves an action, and its effect where it ends.
    pub fn moves(&mut self, action: ActionId, to: State, at: Wall, by: By) {
        let row = self.actions.get_mut(&action).expect("whoever moves it has found it here");
        let from = row.state.name();
        if let State::Accepted { machine_action, .. } = &to {
            row.machine_action = Some(machine_action.clone());
        }
        match (from, &to) {
            (StateName::Held, State::Queued { .. }) => row.expires = at + row.queued_for,
            (StateName::Queued, State::Held { .. }) => row.expires = at + row.held_for,
            _ => {}
        }
        if !to.name().is_open() {
            self.open.remove(&action);
            let effect = self.effects.get_mut(&row.key);
            if let Some(effect) = effect.filter(|effect| effect.owner.id == action) {
                effect.ended(&to, at);
            }
        }
        row.state = to;
        let moved = moved(action, row, from, by);
        self.told.push(Event::Moved(moved));
    }

    pub fn heads(&self, class: Class, now: Wall, limit: usize) -> Heads {
        let mut heads = Heads::default();
        let rows = self.open.iter().map(|id| (id, &self.actions[id]));
        let mut queued: Vec<(&ActionId, &Row)> = rows
            .filter(|(_, row)| row.class == class && row.state.name() == StateName::Queued)
            .filter(|(_, row)| !self.is_aside(row))
            .collect();
        queued.sort_by_key(|(_, row)| row.sequence);
        for (id, row) in queued {
            let State::Queued { not_before, tries, busy_since } = row.state else { continue };
            let Row { sequence, expires, queued_for, .. } = *row;
            if not_before > now {
                heads.next_due = Some(heads.next_due.map_or(not_before, |at| at.min(not_before)));
            } else if heads.due.len() == limit {
                heads.behind += 1;
            } else {
                let action = *id;
                let head = Head {
                    action,
                    class,
                    sequence,
                    queued: expires - queued_for,
                    not_before,
                    expires,
                    tries,
                    busy_since,
                };
                heads.due.push(head);
            }
        }
        heads
    }

    pub fn expired(&self, now: Wall, limit: usize) -> Vec<(ActionId, StateName)> {
        let waits = |state: &State| matches!(state, State::Queued { .. } | State::Held { .. });
        let rows = self.open.iter().map(|id| (*id, &self.actions[id]));
        rows.filter(|(_, row)| row.expires <= now && waits(&row.state))
            .take(limit)
            .map(|(id, row)| (id, row.state.name()))
            .collect()
    }

    /// What a start finds.
    pub fn resume(&self) -> Resumed {
        let mut newest: BTreeMap<ActionId, &AttemptRow> = BTreeMap::new();
        // Their ids sort by time.
        for row in self.attempts.values() {
            newest.insert(row.action, row);
        }
        let in_hand = |state: &State| {
            matches!(state, State::InFlight { .. } | State::InDoubt { .. } | State::Accepted { .. })
        };
        let open = self
            .open
            .iter()
            .map(|id| (id, &self.actions[id]))
            .filter(|(_, row)| in_hand(&row.state))
            .map(|(id, row)| OpenAction {
                action: *id,
                key: row.key.clone(),
                comment: row.comment.clone(),
                state: row.state.clone(),
                attempt: newest.get(id).map(|row| (*row).clone()),
            })
            .collect();
        let outcomes = self
            .actions
            .values()
            .filter(|row| row.state.name() != StateName::Accepted)
            .filter_map(|row| row.machine_action.clone())
            .collect();
        Resumed {
            attempts: self.attempts.values().cloned().collect(),
            open,
            outcomes,
            paused: self.pauses.contains(&Reach::All),
        }
    }

    /// A pause of its rule, machine or file covers it.
    fn is_aside(&self, row: &Row) -> bool {
        self.pauses.iter().any(|reach| *reach != Reach::All && row.is_covered(reach))
    }

    /// Whether an attempt of that reach may still go on the wire.
    pub fn may_leave(&self, reach: Reach, boot_id: BootId, now: Now) -> bool {
        self.attempts.values().rev().any(|attempt| {
            let same_boot = attempt.send_by.boot_id == boot_id;
            let open = attempt.closed.is_none() && same_boot && attempt.send_by.boot > now.boot;
            open && self.actions[&attempt.action].is_covered(&reach)
        })
    }
}

/// The number in a machine action's id, as the simulated Defender makes it.
fn number(id: &MachineActionId) -> Option<u32> {
    id.as_str().rsplit('-').next()?.parse().ok()
}

fn moved(action: ActionId, row: &Row, from: StateName, by: By) -> Moved {
    let not_before = match row.state {
        State::Queued { not_before, .. } => not_before,
        _ => Wall(0),
    };
    let completed = match row.state {
        State::Succeeded { completed } => Some(completed),
        _ => None,
    };
    Moved {
        action,
        from,
        to: row.state.name(),
        by,
        not_before,
        expires: row.expires,
        machine_action: row.machine_action.as_ref().and_then(number),
        completed,
    }
}
