//! A Defender that does everything it is known or feared to do.

use std::time::Duration;

use crate::domain::action::{Call, StateName};
use crate::domain::answer::{Answer, Entry, ListQuery, Listing, Status};
use crate::domain::dice::Dice;
use crate::domain::ids::{ActionId, AttemptId, EffectKey, MachineActionId};
use crate::domain::limiter::Limit;
use crate::domain::time::Wall;
use crate::limits;
use crate::simulation::history::{Event, Fault, Unseen};
use crate::simulation::plan::Plan;
use crate::simulation::sender;
use crate::simulation::servers::Server;

pub struct Defender {
    /// What it refuses calls by.
    servers: Vec<Server>,
    /// Its wall clock is that much ahead, in microseconds.
    skew: i64,
    made: Vec<Made>,
    /// Whether faults happen.
    pub faulty: bool,
    offline: bool,
    hides: bool,
    dark: bool,
    /// Whether a person has to give it the permission back.
    pub forbidden: bool,
    told: Vec<Event>,
}

struct Made {
    id: MachineActionId,
    number: u32,
    key: EffectKey,
    comment: String,
    created: i64,
    visible: i64,
    ends: i64,
    end: Status,
    /// Its list has shown how it ended.
    told: bool,
}

/// A call as it arrives.
pub struct Arriving<'a> {
    pub attempt: AttemptId,
    pub action: ActionId,
    pub call: &'a Call,
    /// When its attempt was written, by the sender's clock.
    pub written: Wall,
    /// When its sender would look for it at the earliest.
    pub look_up: i64,
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
    pub fn new(limits: &[Limit], plan: &Plan) -> Self {
        Self {
            servers: limits.iter().map(|limit| Server::new(plan.model, *limit)).collect(),
            skew: plan.skew,
            made: Vec::new(),
            faulty: true,
            offline: plan.offline,
            hides: plan.hides,
            dark: plan.dark,
            forbidden: false,
            told: Vec::new(),
        }
    }

    /// What has happened here since the last time.
    pub fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.told)
    }

    fn went(&mut self, fault: Fault, reply: Reply) -> Reply {
        self.told.push(Event::Went(fault));
        reply
    }

    pub fn call(&mut self, dice: &mut Dice, time: i64, arriving: &Arriving<'_>) -> Reply {
        self.told.push(Event::Counted { attempt: arriving.attempt });
        // Each counts, whatever the other says.
        let over = self.servers.iter_mut().map(|server| server.count(time));
        if over.fold(false, |any, over| any | over) {
            return too_many(dice);
        }
        if self.forbidden {
            return Reply::Answer(refused(403, "Forbidden"));
        }
        if self.dark && arriving.call.key.machine.as_bytes()[0] == 1 {
            return self.went(Fault::ServerError, Reply::Answer(unclear(504)));
        }
        if self.faulty
            && let Some((fault, reply)) = fails(dice)
        {
            self.forbidden |= fault == Fault::Forbidden;
            return self.went(fault, reply);
        }
        if let Some(reply) = self.busy(dice, time, arriving) {
            return reply;
        }
        let machine_action = self.make(dice, time, arriving);
        if self.faulty {
            match dice.below(1000) {
                0..40 => return self.went(Fault::AnswerLost, Reply::Lost),
                40..60 => return self.went(Fault::ServerError, Reply::Answer(unclear(502))),
                _ => {}
            }
        }
        Reply::Answer(Answer::Accepted { machine_action })
    }

    /// Another request is under way: for this file its id comes back or a refusal, for another
    /// file on that machine often a refusal.
    fn busy(&mut self, dice: &mut Dice, time: i64, arriving: &Arriving<'_>) -> Option<Reply> {
        let key = &arriving.call.key;
        let pending = |m: &&Made| m.key.machine == key.machine && m.ends > time;
        let active = Reply::Answer(refused(400, "ActiveRequestAlreadyExists"));
        let same = self.made.iter().rev().filter(pending).find(|m| m.key == *key);
        if let Some(same) = same {
            if dice.chance(500) {
                return Some(active);
            }
            let machine_action = same.id.clone();
            let (action, number) = (arriving.action, same.number);
            self.told.push(Event::Named { action, number });
            return Some(Reply::Answer(Answer::Accepted { machine_action }));
        }
        let other = self.made.iter().any(|m| pending(&m));
        (other && dice.chance(300)).then_some(active)
    }

    fn make(&mut self, dice: &mut Dice, time: i64, arriving: &Arriving<'_>) -> MachineActionId {
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
        let number = self.made.len() as u32;
        let id = MachineActionId::parse(&format!("machine-action-{number}")).expect("a short word");
        let Arriving { action, call, written, look_up, .. } = *arriving;
        let unseen = if visible + SECOND > look_up {
            self.told.push(Event::Went(Fault::HiddenTooLong));
            Some(Unseen::Hidden)
        } else {
            (self.wall(time) < written - limits::CLOCK_SKEW).then_some(Unseen::ByClock)
        };
        let file = sender::file(&call.key);
        self.told.push(Event::Made { action, number, file, unseen });
        self.made.push(Made {
            id: id.clone(),
            number,
            key: call.key.clone(),
            comment: call.comment.clone(),
            created: time,
            visible,
            ends: time + lasts,
            end,
            told: false,
        });
        id
    }

    pub fn list(&mut self, dice: &mut Dice, time: i64, query: ListQuery) -> Listing {
        if self.faulty
            && let Some(listing) = list_fails(dice)
        {
            self.told.push(Event::Went(Fault::ListFailed));
            return listing;
        }
        // The newest come first, and they are made in the order of time.
        let first = self.made.partition_point(|m| self.wall(m.created) < query.since);
        let visible = (first..self.made.len()).rev().filter(|at| self.made[*at].visible <= time);
        let page = visible.skip(query.skip as usize).take(query.top as usize);
        let page: Vec<usize> = page.collect();
        for at in &page {
            let made = &mut self.made[*at];
            if made.ends <= time && !std::mem::replace(&mut made.told, true) {
                let (number, end) = (made.number, name(made.end));
                self.told.push(Event::Told { number, end });
            }
        }
        let entries: Vec<Entry> = page.iter().map(|at| self.entry(&self.made[*at], time)).collect();
        let read = u32::try_from(entries.len()).expect("a page");
        Listing::Page { entries, read, next: false }
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
}

/// The fault that a call meets before it has an effect, if it meets one.
fn fails(dice: &mut Dice) -> Option<(Fault, Reply)> {
    let answer = |fault, answer| Some((fault, Reply::Answer(answer)));
    match dice.below(1000) {
        0..30 => Some((Fault::TooManyForNoReason, too_many(dice))),
        30..50 => answer(Fault::ServerError, unclear(503)),
        50..65 => answer(Fault::TokenRefused, Answer::Unauthorized { text: "expired".to_owned() }),
        65..85 => answer(Fault::NotFound, refused(404, "ResourceNotFound")),
        85..95 => answer(Fault::Refused, refused(400, "InvalidHashValue")),
        95..100 => answer(Fault::Refused, refused(403, "DisallowedOperation")),
        100..102 => answer(Fault::Forbidden, refused(403, "Forbidden")),
        102..115 => Some((Fault::RequestLost, Reply::Lost)),
        _ => None,
    }
}

fn list_fails(dice: &mut Dice) -> Option<Listing> {
    let text = "a fault".to_owned();
    match dice.below(1000) {
        0..20 => {
            let retry_after = Some(Duration::from_secs(dice.below(90)));
            Some(Listing::TooMany { retry_after, text })
        }
        20..30 => Some(Listing::Unauthorized { text }),
        30..80 => Some(Listing::Failed { text }),
        _ => None,
    }
}

fn name(end: Status) -> StateName {
    match end {
        Status::Failed => StateName::Failed,
        Status::Cancelled => StateName::Cancelled,
        Status::TimedOut => StateName::TimedOut,
        Status::Succeeded | Status::Pending | Status::InProgress | Status::Other => {
            StateName::Succeeded
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
