//! What Defender is asked so that an alert can be judged: its evidence, or which machine a host is.
//!
//! Which question comes next, and when a receipt has all the answers it can get. A question that
//! several receipts have is asked once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::alert::Ask;
use super::answer::Fetched;
use super::ids::{MachineId, SourceName};
use super::limiter::{Limit, Limiter, NotNow, Permit, Slot};
use super::time::{Boot, Now, Wall};
use super::tracker::doubling;
use crate::limits;

/// A receipt that waits for answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub receipt: i64,
    pub source: SourceName,
    pub asks: Vec<Ask>,
    /// When it ends without them.
    pub due: Wall,
}

/// What a question came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The alert's own text, with its evidence.
    Alert(String),
    /// Machines that are active and onboarded, by their names, of which one may be meant.
    Machines(Vec<(String, MachineId)>),
    /// What Defender has of a machine or a file, in its own text.
    Facts(String),
    /// It can't be told, and why.
    Nothing(String),
}

/// One call to make. The slot goes back with its answer.
#[derive(Debug)]
pub struct Question {
    pub permit: Permit,
    pub slot: Slot,
    pub ask: Ask,
}

/// The limits of the endpoints that are asked.
#[derive(Clone, Debug)]
pub struct Budgets {
    pub alerts: Vec<Limit>,
    /// One machine and lists of them.
    pub machines: Vec<Limit>,
    pub files: Vec<Limit>,
}

/// What is to be done now, and when to look again where that is nothing.
#[derive(Debug)]
pub struct Plan {
    /// Receipts that have their answers.
    pub done: Vec<(i64, BTreeMap<Ask, Told>)>,
    pub question: Option<Question>,
    pub wake: Boot,
}

/// The questions of one tenant: one call at a time, each endpoint within a budget of its own.
#[derive(Debug)]
pub struct Lookups {
    alerts: Limiter,
    machines: Limiter,
    files: Limiter,
    /// Answers, until they are too old to be used again.
    known: BTreeMap<Ask, (Told, Boot)>,
    waits: BTreeMap<Ask, Wait>,
    /// For whose receipt was asked last: sources take turns, so that one with many does not keep
    /// the others waiting.
    last: Option<SourceName>,
    /// Why the last question has no answer, until one has.
    trouble: Option<String>,
}

#[derive(Clone, Debug)]
struct Wait {
    /// Answers that Defender does not know it.
    not_found: u32,
    tries: u32,
    until: Boot,
    text: String,
}

impl Lookups {
    /// What an earlier run used of these budgets is not known.
    pub fn new(budgets: Budgets, now: Boot) -> Self {
        Self {
            alerts: Limiter::paced(budgets.alerts, now),
            machines: Limiter::paced(budgets.machines, now),
            files: Limiter::paced(budgets.files, now),
            known: BTreeMap::new(),
            waits: BTreeMap::new(),
            last: None,
            trouble: None,
        }
    }

    /// Why Defender does not answer, for people.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// What those that wait, of each source the oldest first, lead to at this moment.
    pub fn plan(&mut self, now: Now, wanted: &[Wanted]) -> Plan {
        let asked: BTreeSet<&Ask> = wanted.iter().flat_map(|wanted| &wanted.asks).collect();
        self.waits.retain(|ask, _| asked.contains(ask));
        // What a receipt has is not asked for again while it gathers the rest.
        let knows = |ask: &Ask| self.known.contains_key(ask);
        let gathers =
            |wanted: &&Wanted| wanted.asks.iter().any(knows) && !wanted.asks.iter().all(knows);
        let gathering: BTreeSet<Ask> =
            wanted.iter().filter(gathers).flat_map(|wanted| wanted.asks.clone()).collect();
        self.known.retain(|ask, (_, until)| {
            let kept =
                if gathering.contains(ask) { limits::LOOKUP_AGAIN.1 } else { Duration::ZERO };
            *until + kept > now.boot
        });
        let wake = now.boot + limits::SWEEP_EVERY;
        let mut plan = Plan { done: Vec::new(), question: None, wake };
        let mut open: BTreeMap<&SourceName, Vec<&Ask>> = BTreeMap::new();
        for wanted in wanted {
            let missing = wanted.asks.iter().filter(|ask| !self.known.contains_key(ask));
            let missing: Vec<&Ask> = missing.collect();
            if missing.is_empty() || now.wall >= wanted.due {
                plan.done.push((wanted.receipt, self.answers(&wanted.asks)));
                continue;
            }
            plan.wake = plan.wake.min(now.boot_at(wanted.due));
            open.entry(&wanted.source).or_default().extend(missing);
        }
        for (source, ask) in self.in_turn(open) {
            let until = self.waits.get(ask).map_or(now.boot, |wait| wait.until);
            if until > now.boot {
                plan.wake = plan.wake.min(until);
                continue;
            }
            match self.limiter(ask).take(now.boot) {
                Ok((permit, slot)) => {
                    plan.question = Some(Question { permit, slot, ask: ask.clone() });
                    self.last = Some(source.clone());
                    break;
                }
                Err(NotNow::Until(at)) => plan.wake = plan.wake.min(at),
                Err(NotNow::Busy) => {}
            }
        }
        plan
    }

    /// One of each source, beginning behind the last one, then the next of each.
    fn in_turn<'w>(
        &self,
        open: BTreeMap<&'w SourceName, Vec<&'w Ask>>,
    ) -> Vec<(&'w SourceName, &'w Ask)> {
        let mut turns = Vec::new();
        for (source, asks) in open {
            let has_had_its_turn = self.last.as_ref().is_some_and(|last| source <= last);
            let turn = |(at, ask)| (at, has_had_its_turn, source, ask);
            turns.extend(asks.into_iter().enumerate().map(turn));
        }
        turns.sort_by_key(|(at, has_had_its_turn, source, _)| (*at, *has_had_its_turn, *source));
        turns.into_iter().map(|(_, _, source, ask)| (source, ask)).collect()
    }

    /// Notes an answer. `Err` is why there is none yet. `now` is when it was seen.
    pub fn answered(
        &mut self,
        now: Now,
        slot: Slot,
        ask: Ask,
        answer: Fetched<Told>,
    ) -> Result<(), String> {
        // Without an answer the call may be counted later.
        let failed = matches!(answer, Fetched::Failed { .. });
        let late = if failed { limits::COUNTED_LATE } else { Duration::ZERO };
        let limiter = self.limiter(&ask);
        limiter.release(slot, now.boot + late);
        let text = match answer {
            Fetched::Is(told) => {
                self.keep(now, ask, told);
                self.trouble = None;
                return Ok(());
            }
            Fetched::NotFound { text } => {
                let wait = self.wait(now, ask.clone(), &text);
                wait.not_found += 1;
                if wait.not_found >= limits::NOT_FOUND_TRIES {
                    self.keep(
                        now,
                        ask,
                        Told::Nothing(format!("Defender does not know it: {text}")),
                    );
                }
                self.trouble = None;
                return Err(text);
            }
            Fetched::TooMany { retry_after, text } => {
                limiter.block_until(now.boot + retry_after.unwrap_or(limits::RETRY_AFTER_UNSAID));
                text
            }
            Fetched::Unauthorized { text } => {
                limiter.block_until(now.boot + limits::UNAUTHORIZED_HOLD.0);
                text
            }
            Fetched::Refused { status: 403, text, .. } => {
                // A role that is missing is missing for all.
                limiter.block_until(now.boot + limits::LOOKUP_FORBIDDEN_HOLD);
                text
            }
            Fetched::Refused { text, .. } => {
                self.keep(now, ask, Told::Nothing(format!("Defender refuses to tell: {text}")));
                return Err(text);
            }
            Fetched::Failed { text } => text,
        };
        let tries = self.wait(now, ask.clone(), &text).tries;
        if failed && tries >= limits::LOOKUP_TRIES {
            self.keep(now, ask, Told::Nothing(format!("Defender did not tell: {text}")));
        }
        self.trouble = Some(text.clone());
        Err(text)
    }

    fn limiter(&mut self, ask: &Ask) -> &mut Limiter {
        match ask {
            Ask::Alert(_) => &mut self.alerts,
            Ask::Host(_) | Ask::Machine(_) => &mut self.machines,
            Ask::File(_) => &mut self.files,
        }
    }

    fn keep(&mut self, now: Now, ask: Ask, told: Told) {
        self.waits.remove(&ask);
        let kept = match (&ask, &told) {
            (Ask::Host(_), Told::Machines(_)) => limits::LOOKUP_MACHINES_KEPT,
            (_, Told::Facts(_)) => limits::LOOKUP_FACTS_KEPT,
            _ => limits::LOOKUP_KEPT,
        };
        if self.known.len() >= limits::LOOKUPS_KNOWN {
            let oldest = self.known.iter().min_by_key(|(_, (_, until))| *until);
            let oldest = oldest.map(|(ask, _)| ask.clone());
            oldest.map(|ask| self.known.remove(&ask));
        }
        self.known.insert(ask, (told, now.boot + kept));
    }

    /// Puts it off, each time for longer.
    fn wait(&mut self, now: Now, ask: Ask, text: &str) -> &mut Wait {
        let new = Wait { not_found: 0, tries: 0, until: now.boot, text: String::new() };
        let wait = self.waits.entry(ask).or_insert(new);
        wait.until = now.boot + doubling(limits::LOOKUP_AGAIN, wait.tries);
        wait.tries = wait.tries.saturating_add(1);
        text.clone_into(&mut wait.text);
        wait
    }

    fn answers(&self, asks: &[Ask]) -> BTreeMap<Ask, Told> {
        let told = |ask: &Ask| match (self.known.get(ask), self.waits.get(ask)) {
            (Some((told, _)), _) => told.clone(),
            (None, Some(wait)) => Told::Nothing(format!("Defender did not tell: {}", wait.text)),
            (None, None) => Told::Nothing("Defender could not be asked in time".to_owned()),
        };
        asks.iter().map(|ask| (ask.clone(), told(ask))).collect()
    }
}

#[cfg(test)]
mod tests;
