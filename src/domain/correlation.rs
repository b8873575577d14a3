//! What several alerts mean together: events, counted in windows of time that slide.
//!
//! An event is matched once some window of the correlation's length contains it and counts enough.
//! More events only ever match more, so it does not matter in which order they arrive.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::action::Coordinates;
use super::candidate::{Field, Fields, Value};
use super::ids::{MachineId, Sha1, SourceName, TenantName};
use super::time::{Wall, written_span};
use crate::limits::{CLOCK_SKEW, CORRELATION_TEXT_BYTES};

/// What a window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Events.
    Events,
    /// Different values of this field.
    Values(Field),
    /// Different base rules: all of them have to be there.
    Temporal,
}

/// The `correlation` section of a rule, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correlation {
    pub kind: Kind,
    /// Ids of the base rules; each once, at least one.
    pub rules: Vec<String>,
    /// At least one. Events of which these differ have nothing to do with each other, nor have
    /// those of two tenants.
    pub group_by: Vec<Field>,
    /// How long a window is; both of its ends belong to it.
    pub timespan: Duration,
    /// How many are enough, at least 1.
    pub at_least: usize,
}

/// What a candidate that a base rule matches is to one correlation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Id of the correlation.
    pub rule: String,
    /// Id of the base rule that matches for certain.
    pub base: String,
    /// What it is grouped by, as one text.
    pub group: String,
    /// The value that is counted; empty where values are not.
    pub value: String,
}

/// A candidate that counts, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    pub machine: MachineId,
    pub sha1: Sha1,
    /// When the event was.
    pub time: Wall,
    pub evidence: Option<Wall>,
    /// The snapshot of its fields.
    pub candidate: Arc<str>,
    /// Never empty.
    pub counts: Vec<Count>,
    /// What became of each in the store, by the correlation's id.
    pub kept: Vec<(String, Kept)>,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    TooOld,
    /// There is no room, for this bound.
    Full(String),
    /// The number of its row.
    Row(i64),
}

/// What correlations have matched of one alert that came before, or just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    pub tenant: TenantName,
    pub source: SourceName,
    pub coordinates: Coordinates,
    pub alert: String,
    pub events: Vec<Event>,
}

/// One candidate of it, for one correlation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Id of the correlation.
    pub rule: String,
    /// Ids of the base rules that matched it.
    pub bases: Vec<String>,
    pub machine: MachineId,
    pub sha1: Sha1,
    pub evidence: Option<Wall>,
    pub candidate: Arc<str>,
    /// What kept it from being counted, so that a person has to look at it.
    pub full: Option<String>,
}

/// One event of a group, as windows see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'e> {
    pub time: Wall,
    /// Two events that say the same here count once.
    pub says: &'e str,
}

impl Correlation {
    /// What a candidate counts as in this correlation; `None` where a field that it needs is absent
    /// or empty.
    pub fn counts(&self, rule: &str, base: &str, fields: &Fields<'_>) -> Option<Count> {
        let mut group = Vec::with_capacity(self.group_by.len());
        for &field in &self.group_by {
            group.push((field.name(), text(fields.get(field))?));
        }
        let value = match self.kind {
            Kind::Values(field) => text(fields.get(field))?,
            Kind::Events | Kind::Temporal => String::new(),
        };
        let group = serde_json::to_string(&group).expect("pairs of texts");
        let (rule, base) = (rule.to_owned(), base.to_owned());
        Some(Count { rule, base, group: bounded(group), value: bounded(value) })
    }

    /// For each event of one group, the most that any window which contains it counts.
    pub fn most(&self, events: &[Seen<'_>]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..events.len()).collect();
        order.sort_by_key(|&at| events[at].time);
        let mut most = vec![0; events.len()];
        let mut inside: HashMap<&str, usize> = HashMap::new();
        // One past the last event of the window that begins with each event, and what it counts.
        let mut windows: Vec<(usize, usize)> = Vec::with_capacity(events.len());
        let mut end = 0;
        for &first in &order {
            let until = events[first].time + self.timespan;
            while end < order.len() && events[order[end]].time <= until {
                *inside.entry(events[order[end]].says).or_default() += 1;
                end += 1;
            }
            windows.push((end, inside.len()));
            if let Some(times) = inside.get_mut(events[first].says) {
                *times -= 1;
                if *times == 0 {
                    inside.remove(events[first].says);
                }
            }
        }
        // Those that contain the event in hand, of them only such as no later one is as large as.
        let mut largest: VecDeque<usize> = VecDeque::new();
        for (place, &at) in order.iter().enumerate() {
            while largest.back().is_some_and(|&window| windows[window].1 <= windows[place].1) {
                largest.pop_back();
            }
            largest.push_back(place);
            while largest.front().is_some_and(|&window| windows[window].0 <= place) {
                largest.pop_front();
            }
            most[at] = largest.front().map_or(0, |&window| windows[window].1);
        }
        most
    }

    /// How far `number` goes, for people: `2 of 3 machine.id within 1h`.
    pub fn shown(&self, number: usize) -> String {
        let what = match self.kind {
            Kind::Events => "events",
            Kind::Values(field) => field.name(),
            Kind::Temporal => "rules",
        };
        let span = written_span(self.timespan);
        format!("{number} of {} {what} within {span}", self.at_least)
    }
}

/// When a candidate's event was: its evidence, else its alert. `None` where neither is known, or it
/// lies in the future: it counts nowhere.
pub fn time_of(evidence: Option<Wall>, created: Option<Wall>, now: Wall) -> Option<Wall> {
    evidence.or(created).filter(|at| *at <= now + CLOCK_SKEW)
}

/// A value as groups and counts compare it: as rules do, without regard to case.
fn text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Absent | Value::Empty => None,
        Value::Text(text) => Some(text.to_lowercase()),
        Value::Number(number) => Some(number.to_string()),
        Value::List(list) if list.is_empty() => None,
        Value::List(list) => {
            let mut items: Vec<String> = list.iter().map(|item| item.to_lowercase()).collect();
            items.sort_unstable();
            items.dedup();
            Some(serde_json::to_string(&items).expect("texts"))
        }
    }
}

/// A long text by its hash: whoever chooses a path must not choose how long a key is.
fn bounded(text: String) -> String {
    if text.len() <= CORRELATION_TEXT_BYTES {
        return text;
    }
    format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests;
