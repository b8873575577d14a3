//! What a verdict on one draft makes: a new action, a release, or a link to the owner.

use super::{Acted, Count, Decided, Effect, NewAction, NotPrepared, Settled, View};
use crate::domain::action::{Action, Class, HoldWhy, Origin, State, StateName};
use crate::domain::audit::{Actor, Change, What};
use crate::domain::breaker::{Breaker, Place, Says};
use crate::domain::decision::{Decision, Draft, JudgedDelivery, Outcome, Prepared, Receipt};
use crate::domain::ids::ActionId;
use crate::domain::time::Wall;

/// One draft on its way to a decision.
pub(super) struct Deciding<'a> {
    pub delivery: &'a JudgedDelivery,
    pub receipt: &'a Receipt,
    pub draft: &'a Draft,
    pub decided: &'a mut Decided,
}

impl Deciding<'_> {
    fn note(&mut self, reason: String, what: What) {
        let tenant = Some(self.draft.key.tenant.clone());
        let at = self.delivery.received;
        self.decided.changes.push(Change { tenant, actor: Actor::Lazaret, reason, at, what });
    }

    pub fn make(
        mut self,
        view: &mut View,
        hold: Option<HoldWhy>,
        first: Wall,
        times: u32,
    ) -> Result<Decision, NotPrepared> {
        let Self { delivery, receipt, draft, .. } = self;
        if draft.prepared.is_none() {
            return Err(NotPrepared);
        }
        let asked = match hold {
            Some(why) => Err(why),
            None => self.may_act(view),
        };
        let new = new_action(delivery, receipt, draft, asked)?;
        let id = new.action.id;
        let rules = draft.rules.clone();
        let decision = match &new.state {
            State::Held { why, .. } => Decision::Hold { action: id, why: why.clone(), rules },
            _ => Decision::Act { action: id, rules, released: false },
        };
        let reason = format!("alert {}, rule {}", receipt.alert_id, draft.rules.join(", "));
        self.note(reason, What::Created { action: id, state: new.state.clone() });
        let before = view.effects.get(&draft.key);
        let count = Count { first, times, evidence: draft.evidence };
        let effect = Effect::owned_by(&new, before, draft.window, count);
        view.effects.insert(draft.key.clone(), effect);
        self.decided.actions.push(new);
        Ok(decision)
    }

    pub fn release(
        mut self,
        view: &mut View,
        raise_to: Option<Class>,
    ) -> Result<Decision, NotPrepared> {
        let Self { delivery, receipt, draft, .. } = self;
        let prepared = draft.prepared.as_ref().ok_or(NotPrepared)?;
        let acted = match self.may_act(view) {
            Ok(acted) => acted,
            Err(why) => {
                let why = format!("the same file on the same machine is held, and {why}");
                return Ok(self.duplicate(view, why, raise_to));
            }
        };
        let effect = view.effects.get_mut(&draft.key).expect("a released owner has a row");
        let action = effect.owner.id;
        effect.owner.state = StateName::Queued;
        effect.owner.held_unknown = false;
        effect.window = effect.window.max(draft.window);
        effect.evidence = effect.evidence.max(draft.evidence);
        let settled = Settled {
            action,
            candidate: prepared.candidate.clone(),
            rules: draft.rules.clone(),
            ruleset: delivery.ruleset.clone(),
            approvals: draft.approvals.clone(),
            endings: draft.endings,
            window: effect.window,
            evidence: effect.evidence,
            acted,
        };
        let to = State::Queued { not_before: delivery.received, tries: 0, busy_since: None };
        let (alert, rules) = (&receipt.alert_id, draft.rules.join(", "));
        let reason = format!("settled by the evidence of alert {alert}, rule {rules}");
        self.note(reason, What::Moved { action, from: StateName::Held, to });
        self.raise(view, action, raise_to);
        self.decided.settled.push(settled);
        Ok(Decision::Act { action, rules: draft.rules.clone(), released: true })
    }

    pub fn duplicate(mut self, view: &mut View, why: String, raise_to: Option<Class>) -> Decision {
        let effect = &view.effects[&self.draft.key];
        let of = effect.owner.id;
        let alert = self.receipt.alert_id.clone();
        self.note(why.clone(), What::DuplicateLinked { action: of, alert });
        self.raise(view, of, raise_to);
        Decision::Duplicate { of, why }
    }

    fn raise(&mut self, view: &mut View, action: ActionId, to: Option<Class>) {
        let Some(to) = to else { return };
        view.effects.get_mut(&self.draft.key).expect("an owner has a row").owner.class = to;
        let reason = format!("alert {} is of a higher class", self.receipt.alert_id);
        self.note(reason, What::ClassRaised { action, to });
    }

    /// Counts what would act, as of which time, or says why a recall or a breaker holds it.
    fn may_act(&mut self, view: &mut View) -> Result<Wall, HoldWhy> {
        if view.recalled.contains(&self.draft.key.sha1) {
            return Err(HoldWhy::Recalled);
        }
        let load = self.draft.load();
        // It counts since the last resume although it came before, or the clock was set back.
        let since = load.places().filter_map(|(place, _)| view.gauges.get(&place)?.since).max();
        let at = since.map_or(self.delivery.received, |at| at.max(self.delivery.received));
        match load.put_on(&mut view.gauges) {
            Says::Act => {
                let by_machine = load.breakers.iter().any(|(b, _)| *b == Breaker::ShareOfFleet);
                let (key, rule) = (load.key.clone(), load.rule.to_owned());
                self.decided.acted.push(Acted { key, rule, by_machine, at });
                Ok(at)
            }
            Says::Hold(Place { breaker, scope, .. }, trip) => {
                if let Some(trip) = trip {
                    let Place { breaker, scope, .. } = trip.place.clone();
                    self.note(trip.why.clone(), What::Tripped { breaker, scope });
                    self.decided.trips.push(trip);
                }
                Err(HoldWhy::Breaker { breaker, scope })
            }
        }
    }
}

/// Protection that comes with later evidence also covers what is held or queued for the effect: the
/// candidate that this was made of may not have said enough. What is on its way is not sent again.
pub(super) fn spare(
    view: &mut View,
    delivery: &JudgedDelivery,
    receipt: &Receipt,
    decided: &mut Decided,
) {
    for outcome in receipt.outcomes() {
        let Outcome::Protected { key, by } = outcome else { continue };
        if view.spared.insert(key.clone(), by.clone()).as_ref() != Some(by) {
            decided.spared.push((key.clone(), by.clone()));
        }
        let Some(effect) = view.effects.get_mut(key) else { continue };
        let (action, from, at) = (effect.owner.id, effect.owner.state, delivery.received);
        if !matches!(from, StateName::Held | StateName::Queued) {
            continue;
        }
        let by = format!("rule {}", by.join(", "));
        let reason = format!("by alert {}, it is protected by {by}", receipt.alert_id);
        let to = State::Rejected { by };
        effect.ended(&to, at);
        let (tenant, what) = (Some(key.tenant.clone()), What::Moved { action, from, to });
        decided.changes.push(Change { tenant, actor: Actor::Lazaret, reason, at, what });
    }
}

fn new_action(
    delivery: &JudgedDelivery,
    receipt: &Receipt,
    draft: &Draft,
    asked: Result<Wall, HoldWhy>,
) -> Result<NewAction, NotPrepared> {
    let prepared = draft.prepared.as_ref().ok_or(NotPrepared)?;
    let acted = asked.as_ref().ok().copied();
    let (state, expires) = match asked {
        Err(why) => {
            let approvals = draft.approvals.clone();
            (State::Held { why, approvals }, prepared.expires_held)
        }
        Ok(_) => {
            let not_before = delivery.received;
            let state = State::Queued { not_before, tries: 0, busy_since: None };
            (state, prepared.expires_queued)
        }
    };
    let action = Action {
        id: prepared.id,
        key: draft.key.clone(),
        alert_id: receipt.alert_id.clone(),
        comment: prepared.comment.clone(),
        class: draft.class,
        created: delivery.received,
        expires,
        origin: Origin {
            candidate: prepared.candidate.clone(),
            rules: draft.rules.clone(),
            ruleset: delivery.ruleset.clone(),
            approvals: draft.approvals.clone(),
            endings: draft.endings,
            delivery: delivery.coordinates.clone(),
            raw: receipt.raw.clone(),
        },
    };
    let Prepared { expires_queued, expires_held, .. } = *prepared;
    Ok(NewAction { action, state, expires_queued, expires_held, acted })
}
