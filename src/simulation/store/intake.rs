//! The intake transaction: what it reads, what the domain decides on it, what it writes.

use super::{Row, Store};
use crate::domain::action::{Class, State, StateName};
use crate::domain::audit::What;
use crate::domain::decision::{Decision, Draft, JudgedDelivery, Outcome, Receipt};
use crate::domain::dedupe::{self, Decided, NewAction, View};
use crate::domain::ids::{ActionId, EffectKey};
use crate::domain::time::Wall;
use crate::simulation::history::{By, Created, Event};
use crate::simulation::sender;

impl Store {
    /// Whether that delivery was taken before.
    pub fn has_taken(&self, number: u32) -> bool {
        self.replays.contains(&number)
    }

    /// Where that mistake is planted: the half of a transaction that says it was taken.
    pub fn has_taken_half(&mut self, number: u32) {
        self.replays.insert(number);
    }

    /// Takes a delivery. All of it is durable afterwards.
    pub fn take(&mut self, number: u32, delivery: &JudgedDelivery) {
        let keys = keys(delivery);
        let mut view = self.view(&keys);
        let decided = dedupe::decide(&mut view, delivery).expect("every draft is prepared");
        self.apply(number, delivery, &decided);
        for key in keys {
            if let Some(effect) = view.effects.remove(&key) {
                self.effects.insert(key, effect);
            }
        }
        self.replays.insert(number);
        self.told.push(Event::Committed { delivery: number });
    }

    fn view(&self, keys: &[EffectKey]) -> View {
        let mut view = View::default();
        for key in keys {
            if let Some(effect) = self.effects.get(key) {
                let mut effect = effect.clone();
                let row = self.actions.get(&effect.owner.id);
                if let Some(row) = row.filter(|row| row.state.name().is_open()) {
                    effect.owner.state = row.state.name();
                    effect.owner.class = row.class;
                    effect.owner.held_unknown =
                        matches!(&row.state, State::Held { why, .. } if why.is_for_evidence());
                }
                view.effects.insert(key.clone(), effect);
            }
            if let Some(by) = self.spared.get(key) {
                view.spared.insert(key.clone(), by.clone());
            }
        }
        view
    }

    fn apply(&mut self, delivery: u32, judged: &JudgedDelivery, decided: &Decided) {
        let at = judged.received;
        for change in &decided.changes {
            match &change.what {
                What::Created { action, .. } => {
                    let new = decided.actions.iter().find(|new| new.action.id == *action);
                    let new = new.expect("what was created is there");
                    let evidence = evidence(judged, *action).unwrap_or(at);
                    self.create(delivery, at, evidence, new);
                }
                What::Moved { action, to, .. } => self.moves(*action, to.clone(), at, By::Others),
                What::ClassRaised { action, to } => {
                    let row = self.actions.get_mut(action).expect("an owner has a row");
                    row.class = *to;
                    self.told.push(Event::Raised { action: *action, to: *to });
                }
                What::DuplicateLinked { action, .. } => {
                    self.told.push(Event::Linked { delivery, action: *action });
                }
                _ => {}
            }
        }
        self.spared.extend(decided.spared.iter().cloned());
        let alerts = decided.answer.alerts.iter();
        for candidate in alerts.flat_map(|alert| &alert.candidates) {
            match &candidate.decision {
                Decision::Act { action, released: true, .. } => {
                    self.told.push(Event::Linked { delivery, action: *action });
                }
                Decision::Protected { .. } => self.told.push(Event::Spared { delivery }),
                _ => {}
            }
        }
    }

    fn create(&mut self, delivery: u32, at: Wall, evidence: Wall, new: &NewAction) {
        let NewAction { action, state, expires_queued, expires_held, .. } = new;
        self.sequence += 1;
        let rule = action.origin.rules.first().map_or("", String::as_str);
        let rule = Class::ALL.into_iter().find(|class| class.as_str() == rule);
        let row = Row {
            key: action.key.clone(),
            comment: action.comment.clone(),
            rule: rule.unwrap_or(action.class),
            class: action.class,
            sequence: self.sequence,
            expires: action.expires,
            queued_for: expires_queued.since(at),
            held_for: expires_held.since(at),
            state: state.clone(),
            // One in a hundred or so.
            corrupt: action.id.0.as_u128() % 97 == 96,
            machine_action: None,
            again: 0,
        };
        let queued = state.name() == StateName::Queued;
        self.told.push(Event::Created(Created {
            action: action.id,
            delivery,
            file: sender::file(&row.key),
            rule: row.rule,
            class: row.class,
            sequence: row.sequence,
            queued_for: row.queued_for,
            state: state.name(),
            not_before: if queued { at } else { Wall(0) },
            expires: row.expires,
            evidence,
            corrupt: row.corrupt,
        }));
        self.open.insert(action.id);
        self.actions.insert(action.id, row);
    }
}

fn outcomes(delivery: &JudgedDelivery) -> impl Iterator<Item = &Outcome> {
    delivery.receipts.iter().flat_map(Receipt::outcomes)
}

fn keys(delivery: &JudgedDelivery) -> Vec<EffectKey> {
    let keys = outcomes(delivery).filter_map(|outcome| match outcome {
        Outcome::Draft(draft) => Some(draft.key.clone()),
        Outcome::Protected { key, .. } => Some(key.clone()),
        Outcome::Settled(_) => None,
    });
    keys.collect()
}

/// When the evidence of the candidate arose that an action was made for.
fn evidence(delivery: &JudgedDelivery, action: ActionId) -> Option<Wall> {
    let drafts = outcomes(delivery).filter_map(|outcome| match outcome {
        Outcome::Draft(draft) => Some(draft),
        _ => None,
    });
    let prepared = |draft: &Draft| draft.prepared.as_ref().is_some_and(|p| p.id == action);
    drafts.into_iter().find(|draft| prepared(draft))?.evidence
}
