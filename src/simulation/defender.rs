//! A Defender that does everything it is known or feared to do, and counts calls as strictly as
//! any server could.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::action::Call;
use crate::domain::answer::{Answer, Entry, ListQuery, Listing, Status};
use crate::domain::dice::Dice;
use crate::domain::ids::{ActionId, EffectKey, MachineActionId};
use crate::domain::limiter::Limit;
use crate::domain::time::Wall;

pub struct Defender {
    limits: Vec<Limit>,
    /// Defender's wall clock is that much ahead, in microseconds.
    skew: i64,
    /// When calls were counted, refused ones too.
    counted: Vec<i64>,
    /// A token bucket for each limit: its level, and when that was.
    buckets: Vec<(f64, i64)>,
    made: Vec<Made>,
    /// Whether faults happen.
    pub faulty: bool,
    /// Whether machines may be offline until Defender gives up on them.
    pub offline: bool,
    /// Whether it may take longer than promised to show in its list what it accepted.
    pub hides: bool,
    /// Whether every call for one of the machines is lost before it is accepted.
    pub dark: bool,
    /// Whether a person has to give it the permission back.
    pub forbidden: bool,
    /// Ids that a 201 named to an action, beside the one made for it.
    pub named: Vec<(ActionId, MachineActionId)>,
}

struct Made {
    id: MachineActionId,
    by: ActionId,
    key: EffectKey,
    comment: String,
    created: i64,
    visible: i64,
    ends: i64,
    end: Status,
    /// A look-up that came in time could not have seen it.
    hidden_too_long: bool,
}

/// What comes back from a call.
pub enum Reply {
    Answer(Answer),
    /// Accepted or not, nothing comes back.
    Lost,
}

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;

impl Defender {
    pub fn new(limits: Vec<Limit>, skew: i64) -> Self {
        let full = |limit: &Limit| (f64::from(limit.calls.get()), 0);
        Self {
            buckets: limits.iter().map(full).collect(),
            limits,
            skew,
            counted: Vec::new(),
            made: Vec::new(),
            faulty: true,
            offline: false,
            hides: false,
            dark: false,
            forbidden: false,
            named: Vec::new(),
        }
    }

    /// A call arrives. `look_up` is when its sender would look for it at the earliest.
    pub fn call(
        &mut self,
        dice: &mut Dice,
        time: i64,
        by: ActionId,
        call: &Call,
        look_up: i64,
    ) -> Reply {
        self.count(time);
        if self.forbidden {
            return Reply::Answer(refused(403, "Forbidden"));
        }
        if self.dark && call.key.machine.as_bytes()[0] == 1 {
            return Reply::Answer(unclear(504));
        }
        if self.faulty {
            match dice.below(1000) {
                0..30 => return too_many(dice),
                30..50 => return Reply::Answer(unclear(503)),
                50..65 => {
                    return Reply::Answer(Answer::Unauthorized { text: "expired".to_owned() });
                }
                65..85 => return Reply::Answer(refused(404, "ResourceNotFound")),
                85..95 => return Reply::Answer(refused(400, "InvalidHashValue")),
                95..100 => return Reply::Answer(refused(403, "DisallowedOperation")),
                100..102 => {
                    self.forbidden = true;
                    return Reply::Answer(refused(403, "Forbidden"));
                }
                102..115 => return Reply::Lost,
                _ => {}
            }
        }
        if let Some(reply) = self.busy(dice, time, by, call) {
            return reply;
        }
        let machine_action = self.make(dice, time, by, call, look_up);
        if self.faulty {
            match dice.below(1000) {
                0..40 => return Reply::Lost,
                40..60 => return Reply::Answer(unclear(502)),
                _ => {}
            }
        }
        Reply::Answer(Answer::Accepted { machine_action })
    }

    /// Another request is under way: for this file its id comes back or a refusal, for another
    /// file on that machine often a refusal.
    fn busy(&mut self, dice: &mut Dice, time: i64, by: ActionId, call: &Call) -> Option<Reply> {
        let pending =
            |m: &&Made| m.key.machine == call.key.machine && m.created <= time && m.ends > time;
        let active = Reply::Answer(refused(400, "ActiveRequestAlreadyExists"));
        let same = self.made.iter().filter(pending).find(|m| m.key == call.key);
        if let Some(same) = same {
            if dice.chance(500) {
                return Some(active);
            }
            let machine_action = same.id.clone();
            self.named.push((by, machine_action.clone()));
            return Some(Reply::Answer(Answer::Accepted { machine_action }));
        }
        let other = self.made.iter().any(|m| pending(&m));
        (other && dice.chance(300)).then_some(active)
    }

    fn make(
        &mut self,
        dice: &mut Dice,
        time: i64,
        by: ActionId,
        call: &Call,
        look_up: i64,
    ) -> MachineActionId {
        let hides = self.hides && dice.chance(100);
        let hidden = dice.below(if hides { 200 } else { 20 }) as i64 * SECOND;
        let visible = time + hidden;
        let lasts = dice.below(600) as i64 * SECOND + SECOND;
        let (lasts, end) = match dice.below(100) {
            0..2 if self.offline => (72 * HOUR, Status::TimedOut),
            2..12 => (lasts, Status::Failed),
            12..15 => (lasts, Status::Cancelled),
            _ => (lasts, Status::Succeeded),
        };
        let id = format!("machine-action-{}", self.made.len());
        let id = MachineActionId::parse(&id).expect("a short word");
        self.made.push(Made {
            id: id.clone(),
            by,
            key: call.key.clone(),
            comment: call.comment.clone(),
            created: time,
            visible,
            ends: time + lasts,
            end,
            hidden_too_long: visible + SECOND > look_up,
        });
        id
    }

    pub fn list(&mut self, dice: &mut Dice, time: i64, query: ListQuery) -> Listing {
        if self.faulty {
            let text = "a fault".to_owned();
            match dice.below(1000) {
                0..20 => {
                    let retry_after = Some(Duration::from_secs(dice.below(90)));
                    return Listing::TooMany { retry_after, text };
                }
                20..30 => return Listing::Unauthorized { text },
                30..80 => return Listing::Failed { text },
                _ => {}
            }
        }
        let mut visible: Vec<&Made> = self
            .made
            .iter()
            .filter(|m| m.visible <= time && self.wall(m.created) >= query.since)
            .collect();
        visible.sort_by_key(|m| std::cmp::Reverse(m.created));
        let page = visible.into_iter().skip(query.skip as usize).take(query.top as usize);
        let entries: Vec<Entry> = page.map(|m| self.entry(m, time)).collect();
        let read = u32::try_from(entries.len()).expect("a page");
        Listing::Page { entries, read }
    }

    fn entry(&self, made: &Made, time: i64) -> Entry {
        let ended = made.ends <= time;
        Entry {
            id: made.id.clone(),
            status: if ended { made.end } else { Status::Pending },
            machine: made.key.machine,
            sha1: Some(made.key.sha1),
            comment: made.comment.clone(),
            created: self.wall(made.created),
            updated: self.wall(if ended { made.ends } else { made.created }),
            error: None,
        }
    }

    fn wall(&self, time: i64) -> Wall {
        Wall(super::EPOCH + time + self.skew)
    }

    /// By now that machine action has ended so.
    pub fn has_ended(&self, id: &MachineActionId, time: i64, end: Status) -> bool {
        self.made.iter().any(|m| m.id == *id && m.ends <= time && m.end == end)
    }

    /// Actions with more machine actions than their own calls explain: one, and one for each that
    /// was hidden longer than its look-up waited.
    pub fn made_twice(&self) -> Vec<ActionId> {
        let mut spare: BTreeMap<ActionId, i64> = BTreeMap::new();
        for made in &self.made {
            *spare.entry(made.by).or_insert(1) -= i64::from(!made.hidden_too_long);
        }
        spare.into_iter().filter(|(_, spare)| *spare < 0).map(|(action, _)| action).collect()
    }

    fn count(&mut self, time: i64) {
        self.counted.push(time);
        for (limit, (level, last)) in self.limits.iter().zip(&mut self.buckets) {
            let per = i64::try_from(limit.per.as_micros()).expect("a window");
            let in_window = self.counted.iter().rev().take_while(|at| **at > time - per).count();
            assert!(in_window <= limit.calls.get() as usize, "{limit:?} exceeded");
            let capacity = f64::from(limit.calls.get());
            let refill = (time - *last) as f64 * capacity / per as f64;
            (*level, *last) = ((*level + refill).min(capacity) - 1.0, time);
            assert!(*level >= -1e-6, "the bucket of {limit:?} ran dry");
        }
    }
}

fn too_many(dice: &mut Dice) -> Reply {
    let retry_after = dice.chance(700).then(|| Duration::from_secs(1 + dice.below(120)));
    Reply::Answer(Answer::TooMany { retry_after, text: "busy".to_owned() })
}

fn unclear(status: u16) -> Answer {
    Answer::Unclear { status: Some(status), text: "gateway".to_owned() }
}

fn refused(status: u16, code: &str) -> Answer {
    Answer::Refused { status, code: code.to_owned(), text: format!("{status} {code}") }
}
