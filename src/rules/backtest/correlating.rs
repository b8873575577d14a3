//! What correlations would have made of alerts of the past.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::{Came, Effect, Judged};
use crate::domain::alert::Alert;
use crate::domain::candidate::Candidate;
use crate::domain::correlation::{Correlation, Count, Kind, Seen, time_of};
use crate::domain::decision::Fate;
use crate::domain::rule::Mode;
use crate::domain::time::Wall;
use crate::limits::CORRELATION_GROUP_EVENTS;

/// A candidate that counts, with what becomes of it once it is matched.
pub(super) struct Event<'r> {
    at: Wall,
    order: u64,
    time: Wall,
    tenant: usize,
    count: Count,
    /// What it is: the same alert, file and machine counts once.
    id: u64,
    came: Came<'r>,
}

/// Events of one group, by their time.
#[derive(Default)]
struct Group<'e, 'r> {
    events: BTreeMap<(Wall, usize), &'e Event<'r>>,
    known: HashSet<u64>,
    matched: HashSet<usize>,
}

impl<'r> Judged<'r> {
    /// Keeps what a candidate counts as.
    pub(super) fn count_events(
        &mut self,
        alert: &Alert<'_>,
        candidate: &Candidate<'_>,
        tenant: usize,
        at: Option<Wall>,
        order: u64,
    ) {
        let (Ok(machine), Ok(sha1), Some(at)) = (&candidate.machine, &candidate.sha1, at) else {
            return;
        };
        let Some(time) = time_of(candidate.evidence, alert.created, at) else { return };
        let effect = Effect { tenant, machine: *machine, sha1: *sha1 };
        for count in self.rules.counts(&candidate.fields) {
            let bases = [count.base.clone()];
            let (rules, fields) = (self.rules, &candidate.fields);
            let wanted = rules.judge_correlated(&count.rule, &bases, None, fields, Mode::Enforce);
            let came = self.came(wanted, effect, candidate.evidence.unwrap_or(at));
            let id = id((alert.id.as_ref(), effect, &count.base));
            self.events.push(Event { at, order, time, tenant, count, id, came });
        }
    }

    /// Lets correlations look at all events, in the order in which they came.
    pub(super) fn correlate(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        events.sort_by_key(|event| (event.at, event.order));
        let mut groups: HashMap<(usize, &str, &str), Group<'_, 'r>> = HashMap::new();
        let mut came = Vec::new();
        for (number, event) in events.iter().enumerate() {
            let Some(of) = self.rules.correlation(&event.count.rule) else { continue };
            let key = (event.tenant, event.count.rule.as_str(), event.count.group.as_str());
            came.extend(groups.entry(key).or_default().add(&of.counts, number, event));
        }
        let came: Vec<(Wall, u64, Came<'r>)> = came;
        for (at, order, one) in came {
            self.settle(one, at, order);
        }
    }
}

impl<'e, 'r> Group<'e, 'r> {
    /// Adds an event, and says what comes of all that are matched now and were not before.
    fn add(
        &mut self,
        of: &Correlation,
        number: usize,
        event: &'e Event<'r>,
    ) -> Vec<(Wall, u64, Came<'r>)> {
        if !self.known.insert(event.id) {
            return Vec::new();
        }
        let window = (event.time - of.timespan, 0)..=(event.time + of.timespan, usize::MAX);
        if self.events.range(window.clone()).count() >= CORRELATION_GROUP_EVENTS {
            let rule = event.count.rule.clone();
            return vec![(event.at, event.order, Came::Is(Fate::Held, vec![rule]))];
        }
        self.events.insert((event.time, number), event);
        let near: Vec<(usize, &Event<'r>)> =
            self.events.range(window).map(|((_, number), event)| (*number, *event)).collect();
        let ids: Vec<String> = near.iter().map(|(_, event)| event.id.to_string()).collect();
        let says = |place: usize, event: &'e Event<'r>| match of.kind {
            Kind::Events => ids[place].as_str(),
            Kind::Values(_) => event.count.value.as_str(),
            Kind::Temporal => event.count.base.as_str(),
        };
        let seen: Vec<Seen<'_>> = near
            .iter()
            .enumerate()
            .map(|(place, (_, event))| Seen { time: event.time, says: says(place, event) })
            .collect();
        let matched = of.most(&seen).into_iter().zip(&near);
        let matched = matched
            .filter(|(most, (number, _))| *most >= of.at_least && self.matched.insert(*number));
        // Done once the last that was needed has come.
        matched.map(|(_, (_, of))| (event.at, event.order, of.came.clone())).collect()
    }
}

/// The same on every thread.
fn id(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
