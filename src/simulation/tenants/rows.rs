//! One tenant's rows: its open actions. Ended ones are of no use here.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::action::{Begun, Call, Class, Head, Heads, NewAttempt, State};
use crate::domain::audit::{Change, What};
use crate::domain::ids::{ActionId, EffectKey, MachineId, Sha1, TenantName};
use crate::domain::time::Wall;

pub struct Rows {
    tenant: TenantName,
    open: BTreeMap<ActionId, Row>,
    made: u64,
    pub paused: bool,
}

struct Row {
    key: EffectKey,
    class: Class,
    sequence: i64,
    created: Wall,
    state: State,
    /// When its alert came; `None` once a call was sent.
    since: Option<Wall>,
}

impl Rows {
    pub fn new(tenant: TenantName) -> Self {
        Self { tenant, open: BTreeMap::new(), made: 0, paused: false }
    }

    /// Actions of one alert, each on a machine of its own.
    pub fn insert(&mut self, tenant: usize, class: Class, actions: u64, at: Wall) {
        for _ in 0..actions {
            self.made += 1;
            let id = Uuid::from_u64_pair(tenant as u64, self.made);
            let mut machine = [1; 20];
            machine[..16].copy_from_slice(id.as_bytes());
            let key = EffectKey {
                tenant: self.tenant.clone(),
                machine: MachineId::from_bytes(machine),
                sha1: Sha1::from_bytes(machine),
            };
            let state = State::Queued { not_before: at, tries: 0, busy_since: None };
            let sequence = i64::try_from(self.made).expect("few");
            let row = Row { key, class, sequence, created: at, state, since: Some(at) };
            self.open.insert(ActionId(id), row);
        }
    }

    pub fn heads(&self, class: Class, now: Wall, limit: usize) -> Heads {
        let mut heads = Heads::default();
        for (action, row) in self.open.iter().filter(|(_, row)| row.class == class) {
            let State::Queued { not_before, tries, busy_since } = row.state else { continue };
            if not_before > now {
                heads.next_due = Some(heads.next_due.map_or(not_before, |at| at.min(not_before)));
            } else if heads.due.len() == limit {
                heads.behind += 1;
            } else {
                let (action, sequence, expires) = (*action, row.sequence, Wall(i64::MAX));
                let head = Head {
                    action,
                    class,
                    sequence,
                    queued: row.created,
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

    pub fn begin(&mut self, attempt: &NewAttempt, now: Wall) -> Begun {
        let Some(row) = self.open.get_mut(&attempt.action) else { return Begun::Corrupt };
        if self.paused {
            return Begun::Paused("paused".to_owned());
        }
        match row.state {
            State::Queued { not_before, tries, busy_since } if not_before <= now => {
                row.state = State::InFlight { attempt: attempt.id, tries, busy_since };
                Begun::Written(Call { key: row.key.clone(), comment: String::new() })
            }
            _ => Begun::NotQueued(row.state.name()),
        }
    }

    /// How long it waited, where this is its first call.
    pub fn first_sent(&mut self, action: ActionId, now: Wall) -> Option<Duration> {
        let since = self.open.get_mut(&action)?.since.take()?;
        Some(now.since(since))
    }

    pub fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            let What::Moved { action, from, to } = change.what else { continue };
            let Some(row) = self.open.get_mut(&action) else { continue };
            if row.state.name() != from {
                continue;
            }
            if to.name().is_open() {
                row.state = to;
            } else {
                self.open.remove(&action);
            }
        }
    }
}
