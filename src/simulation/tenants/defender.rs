//! Defenders that do one thing each.

use std::time::Duration;

use super::{CLIENT_TIMEOUT, MILLI, SECOND, micros};
use crate::domain::action::Call;
use crate::domain::answer::{Answer, Entry, ListQuery, Listing, Status};
use crate::domain::dice::Dice;
use crate::domain::ids::MachineActionId;
use crate::domain::time::Wall;

/// What ails a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// Every call is answered with 429 and a short `Retry-After`, the most calls that leads to.
    TooMany,
    /// 403: a permission is missing.
    Forbidden,
    /// The login gives no token: nothing is sent.
    NoToken,
    /// Every token is refused.
    Unauthorized,
    /// Answers come, after half a minute.
    Slow,
    /// No answer comes.
    Silent,
}

impl Trouble {
    /// All but none.
    pub const ALL: [Trouble; 6] = [
        Trouble::TooMany,
        Trouble::Forbidden,
        Trouble::NoToken,
        Trouble::Unauthorized,
        Trouble::Slow,
        Trouble::Silent,
    ];
}

pub struct Defender {
    trouble: Trouble,
    made: Vec<Made>,
}

struct Made {
    id: MachineActionId,
    call: Call,
    created: Wall,
}

/// How long a machine action takes.
const LASTS: Duration = Duration::from_secs(10);

impl Defender {
    pub fn new(trouble: Trouble) -> Self {
        Self { trouble, made: Vec::new() }
    }

    /// How long an answer takes, in microseconds.
    pub fn takes(&self, dice: &mut Dice) -> i64 {
        // The dice are rolled whatever ails it: two runs of a seed must not drift apart.
        let slow = dice.chance(10);
        let usual = (100 + dice.below(if slow { 2000 } else { 200 }) as i64) * MILLI;
        match self.trouble {
            Trouble::None | Trouble::TooMany | Trouble::Forbidden | Trouble::Unauthorized => usual,
            Trouble::NoToken => MILLI,
            Trouble::Slow => micros(CLIENT_TIMEOUT) - SECOND,
            Trouble::Silent => micros(CLIENT_TIMEOUT),
        }
    }

    /// The answer and how long it takes.
    pub fn call(&mut self, dice: &mut Dice, call: &Call, now: Wall) -> (Answer, i64) {
        let text = || "a trouble".to_owned();
        let takes = self.takes(dice);
        let answer = match self.trouble {
            Trouble::None | Trouble::Slow => {
                let id = format!("machine-action-{}", self.made.len());
                let id = MachineActionId::parse(&id).expect("a short word");
                self.made.push(Made { id: id.clone(), call: call.clone(), created: now });
                Answer::Accepted { machine_action: id }
            }
            Trouble::TooMany => {
                Answer::TooMany { retry_after: Some(Duration::from_secs(1)), text: text() }
            }
            Trouble::Forbidden => {
                Answer::Refused { status: 403, code: "Forbidden".to_owned(), text: text() }
            }
            Trouble::NoToken => Answer::Unsent { text: text() },
            Trouble::Unauthorized => Answer::Unauthorized { text: text() },
            Trouble::Silent => Answer::Unclear { status: None, text: text() },
        };
        (answer, takes)
    }

    pub fn list(&mut self, now: Wall, query: ListQuery) -> Listing {
        let text = "a trouble".to_owned();
        match self.trouble {
            Trouble::None | Trouble::Slow => {}
            Trouble::TooMany => {
                return Listing::TooMany { retry_after: Some(Duration::from_secs(1)), text };
            }
            Trouble::Unauthorized => return Listing::Unauthorized { text },
            Trouble::Forbidden | Trouble::NoToken | Trouble::Silent => {
                return Listing::Failed { text };
            }
        }
        let newest = self.made.iter().rev().take_while(|made| made.created >= query.since);
        let entries: Vec<Entry> = newest
            .skip(query.skip as usize)
            .take(query.top as usize)
            .map(|made| made.entry(now))
            .collect();
        let read = u32::try_from(entries.len()).expect("a page");
        Listing::Page { entries, read, next: false }
    }
}

impl Made {
    fn entry(&self, now: Wall) -> Entry {
        let ended = now >= self.created + LASTS;
        Entry {
            id: self.id.clone(),
            status: if ended { Status::Succeeded } else { Status::Pending },
            machine: self.call.key.machine,
            sha1: Some(self.call.key.sha1),
            comment: self.call.comment.clone(),
            created: self.created,
            updated: if ended { self.created + LASTS } else { self.created },
            error: None,
        }
    }
}
