//! Dedupe by effect: one file on one machine of one tenant has at most one open action, and an
//! ended one may block new ones for a while.

mod deciding;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::action::{Action, Approvals, Class, Endings, HoldWhy, State, StateName};
use super::audit::Change;
use super::breaker::{Gauge, Place, Trip};
use super::decision::{
    AlertAnswer, Answered, CandidateAnswer, Content, Decision, Draft, Fate, Intent, JudgedDelivery,
    Outcome, Receipt,
};
use super::ids::{ActionId, EffectKey, Sha1, TenantName};
use super::planted::{Bug, planted};
use super::time::Wall;
use deciding::Deciding;

/// How many times a file may come back within the window before a person is asked.
const RETURNS_HELD: u32 = 3;

/// The row of one effect: who owns it now and what it blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub owner: Owner,
    /// An owner that was refused or rejected blocks everything until then; `None` while it is
    /// open.
    pub blocks_until: Option<Wall>,
    /// The last quarantine that succeeded, whoever owned the effect since.
    pub success: Option<Success>,
    /// The owner's evidence: that time again, however late by its own clock, brings nothing new.
    pub evidence: Option<Wall>,
    /// The longest window of the rules that matched, fixed when the owner was decided.
    pub window: Duration,
    /// When the first action of this count was decided, and how many there were since.
    pub first: Wall,
    pub times: u32,
}

/// A quarantine that Defender has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Success {
    /// Defender's own last-update time.
    pub completed: Wall,
    /// Until then, evidence from before it is a duplicate.
    pub blocks_until: Wall,
}

/// What the decision needs to know of the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub id: ActionId,
    pub state: StateName,
    pub class: Class,
    /// Held only because fields were unknown.
    pub held_unknown: bool,
}

/// What becomes of a draft, given the effect's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    New {
        hold: Option<HoldWhy>,
        first: Wall,
        times: u32,
    },
    /// The owner is held as unknown, and this evidence settles it.
    Release {
        raise_to: Option<Class>,
    },
    Duplicate {
        why: String,
        raise_to: Option<Class>,
    },
}

/// Decides a draft against its effect's row. An evidence time that is missing counts as before
/// completion. Evidence that a quarantine has dealt with comes first: it neither acts nor releases
/// what newer evidence has made.
pub fn judge(effect: Option<&Effect>, draft: &Draft, now: Wall) -> Verdict {
    let hold = match &draft.intent {
        Intent::Act => None,
        Intent::Hold(why) => Some(why.clone()),
    };
    let Some(effect) = effect else {
        return Verdict::New { hold, first: now, times: 1 };
    };
    let success = effect.success.filter(|success| now < success.blocks_until);
    if let Some(Success { completed, .. }) = success
        && draft.evidence.is_none_or(|at| at <= completed || Some(at) <= effect.evidence)
    {
        let why = match draft.evidence {
            Some(at) => format!("quarantined at {completed}, for evidence of {at} or later"),
            None => format!("quarantined at {completed}; this evidence has no time"),
        };
        return Verdict::Duplicate { why, raise_to: None };
    }
    if effect.owner.state.is_open() && !planted(Bug::OpenDoesNotBlock) {
        let raise_to = (draft.class < effect.owner.class).then_some(draft.class);
        if draft.intent == Intent::Act && effect.owner.held_unknown {
            return Verdict::Release { raise_to };
        }
        let why = format!("the same file on the same machine is {}", effect.owner.state);
        return Verdict::Duplicate { why, raise_to };
    }
    if let Some(until) = effect.blocks_until.filter(|until| now < *until) {
        let why = format!("{} before; asked again after {until}", effect.owner.state);
        return Verdict::Duplicate { why, raise_to: None };
    }
    let counted_anew = now >= effect.first + effect.window;
    let (first, times) =
        if counted_anew { (now, 1) } else { (effect.first, effect.times.saturating_add(1)) };
    let returns = success.is_some() && times >= RETURNS_HELD;
    let hold = if returns { Some(HoldWhy::Returns) } else { hold };
    Verdict::New { hold, first, times }
}

impl Effect {
    fn owned_by(new: &NewAction, before: Option<&Effect>, window: Duration, count: Count) -> Self {
        let owner = Owner {
            id: new.action.id,
            state: new.state.name(),
            class: new.action.class,
            held_unknown: matches!(&new.state, State::Held { why, .. } if why.is_for_evidence()),
        };
        let success = before.and_then(|before| before.success);
        let Count { first, times, evidence } = count;
        Self { owner, blocks_until: None, success, evidence, window, first, times }
    }

    /// What the row becomes when its owner ends at `at`.
    pub fn ended(&mut self, end: &State, at: Wall) {
        self.owner.state = end.name();
        self.owner.held_unknown = false;
        if let State::Succeeded { completed } = end {
            self.success = Some(Success { completed: *completed, blocks_until: at + self.window });
        }
        self.blocks_until = Some(match end {
            State::Refused { .. } | State::Rejected { .. } => at + self.window,
            _ => at,
        });
    }
}

struct Count {
    first: Wall,
    times: u32,
    evidence: Option<Wall>,
}

/// Everything one delivery changes, decided against the rows it touches.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    pub answer: Answered,
    pub actions: Vec<NewAction>,
    pub changes: Vec<Change>,
    /// Breakers that tripped.
    pub trips: Vec<Trip>,
    /// What breakers have to count.
    pub acted: Vec<Acted>,
    pub settled: Vec<Settled>,
    /// What deny rules, by id, cover from now on.
    pub spared: Vec<(EffectKey, Vec<String>)>,
}

/// A held action that evidence has released. What judged that evidence is what the action stands
/// by from now on: a pause, a mode or an approval of the rule that held it means it no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub action: ActionId,
    pub candidate: String,
    pub rules: Vec<String>,
    pub ruleset: String,
    pub approvals: Approvals,
    pub endings: Endings,
    /// Of its effect: never shorter, or earlier, than it was.
    pub window: Duration,
    pub evidence: Option<Wall>,
    pub acted: Wall,
}

/// An action that was decided to act, without a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    pub key: EffectKey,
    pub rule: String,
    /// Whether a breaker counts the machines of its tenant.
    pub by_machine: bool,
    /// When it counts.
    pub at: Wall,
}

#[derive(Clone, Debug)]
pub struct NewAction {
    pub action: Action,
    pub state: State,
    /// When it expires if it is queued now, or held; one that becomes so later has as long from
    /// then.
    pub expires_queued: Wall,
    pub expires_held: Wall,
    /// When breakers count it, where it acts.
    pub acted: Option<Wall>,
}

/// A draft was predicted a duplicate and is none: the delivery has to be prepared and run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPrepared;

/// What is known of everything that one delivery touches: the present rows, and afterwards the new
/// ones; so one alert that names a file twice makes one action.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub effects: HashMap<EffectKey, Effect>,
    pub gauges: HashMap<Place, Gauge>,
    /// Files of which a recall stands.
    pub recalled: HashSet<Sha1>,
    /// What deny rules, by id, have covered a short while ago. A call stops every copy of a file on
    /// a machine, so what covers one of them covers all.
    pub spared: HashMap<EffectKey, Vec<String>>,
    /// Tenants of which as many receipts wait for Defender's answers as may.
    pub asking: HashSet<TenantName>,
}

/// Decides one delivery. What it has left in `view` counts only where this succeeds.
pub fn decide(view: &mut View, delivery: &JudgedDelivery) -> Result<Decided, NotPrepared> {
    let mut decided = Decided::default();
    for receipt in &delivery.receipts {
        deciding::spare(view, delivery, receipt, &mut decided);
    }
    for receipt in &delivery.receipts {
        let answer = decide_receipt(view, delivery, receipt, &mut decided)?;
        decided.answer.alerts.push(answer);
    }
    Ok(decided)
}

fn decide_receipt(
    view: &mut View,
    delivery: &JudgedDelivery,
    receipt: &Receipt,
    decided: &mut Decided,
) -> Result<AlertAnswer, NotPrepared> {
    let without_candidates = |fate, reason: &str| AlertAnswer {
        alert: receipt.alert_id.clone(),
        fate,
        reason: reason.to_owned(),
        candidates: Vec::new(),
    };
    let judged = match &receipt.content {
        Content::Unreadable { why, .. } => return Ok(without_candidates(Fate::Unreadable, why)),
        Content::UnknownTenant { named } => {
            let reason = format!("source {} does not speak for tenant {named}", delivery.source);
            return Ok(without_candidates(Fate::UnknownTenant, &reason));
        }
        Content::Judged(judged) if judged.is_empty() => {
            return Ok(without_candidates(Fate::NoMatch, "no file"));
        }
        Content::Judged(judged) => judged,
        Content::Asks(asked) => match receipt.tenant.as_ref() {
            Some(tenant) if !view.asking.contains(tenant) => {
                let of = asked.asks.first().map(ToString::to_string).unwrap_or_default();
                let why = format!("for what Defender is asked of {of}");
                return Ok(without_candidates(Fate::Waiting, &why));
            }
            _ if !asked.otherwise.is_empty() => &asked.otherwise,
            tenant => {
                let tenant = tenant.map_or("no tenant", TenantName::as_str);
                let why = format!("too many alerts of {tenant} wait for Defender's answers");
                return Ok(without_candidates(Fate::Incomplete, &why));
            }
        },
    };
    let mut candidates = Vec::with_capacity(judged.len());
    for candidate in judged {
        let decision = match &candidate.outcome {
            Outcome::Settled(decision) => decision.clone(),
            Outcome::Draft(draft) => match view.spared.get(&draft.key) {
                Some(by) => Decision::Protected { by: by.clone() },
                None => decide_draft(view, delivery, receipt, draft, decided)?,
            },
            Outcome::Protected { by, .. } => Decision::Protected { by: by.clone() },
        };
        candidates.push(CandidateAnswer {
            machine: candidate.machine.clone(),
            sha1: candidate.sha1.clone(),
            decision,
        });
    }
    let fate = candidates.iter().map(|c| c.decision.fate()).min().unwrap_or(Fate::NoMatch);
    Ok(AlertAnswer { candidates, ..without_candidates(fate, "") })
}

fn decide_draft(
    view: &mut View,
    delivery: &JudgedDelivery,
    receipt: &Receipt,
    draft: &Draft,
    decided: &mut Decided,
) -> Result<Decision, NotPrepared> {
    let verdict = judge(view.effects.get(&draft.key), draft, delivery.received);
    let deciding = Deciding { delivery, receipt, draft, decided };
    match verdict {
        Verdict::New { hold, first, times } => deciding.make(view, hold, first, times),
        Verdict::Release { raise_to } => deciding.release(view, raise_to),
        Verdict::Duplicate { why, raise_to } => Ok(deciding.duplicate(view, why, raise_to)),
    }
}

#[cfg(test)]
mod tests;
