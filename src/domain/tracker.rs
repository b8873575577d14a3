//! Follows accepted actions to their end at Defender, and finds out what became of calls without
//! an answer. Both read the same list of machine actions.
//!
//! Two rules hold everywhere here: nothing is reported as done that Defender has not said, and a
//! call counts as lost only when a list that was started after its look-up was due, and was read
//! to its last page, does not show it.

mod again;
mod pace;
mod settle;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::action::{Doubt, Progress, State, StateName};
use super::answer::{Entry, ListQuery};
use super::ids::{ActionId, AttemptId, EffectKey, MachineActionId, MachineId};
use super::planted::{Bug, planted};
use super::time::{Boot, Now, Wall};
use crate::limits;
pub use again::{Kept, led_to};
pub(super) use settle::doubling;

#[derive(Clone, Copy, Debug)]
pub struct TrackerSettings {
    /// Between the starts of two lists while an action is followed that is young; for older ones
    /// see [`limits::LIST_PACES`].
    pub every: Duration,
    /// How long Defender may take to show in its list what it has accepted.
    pub wait: Duration,
    /// Entries on one page.
    pub page: u32,
}

/// An action in doubt, and when its machine action is looked for.
#[derive(Clone, Debug)]
pub struct InDoubt {
    pub key: EffectKey,
    pub comment: String,
    pub attempt: AttemptId,
    /// When the attempt was written.
    pub written: Wall,
    pub tries: u32,
    pub busy_since: Option<Wall>,
    pub doubt: Doubt,
    /// A list started from then on may show it.
    pub due: Boot,
    /// A list started from then on that does not show it proves that there is none.
    pub decides: Boot,
}

/// A change of state that a list led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub action: ActionId,
    pub from: StateName,
    pub to: State,
    pub why: String,
}

/// What a list led to: changes of state first, then how far what stays accepted is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub moves: Vec<Move>,
    /// Only what is new, and each once.
    pub progress: Vec<(ActionId, Progress)>,
}

#[derive(Debug)]
pub struct Tracker {
    settings: TrackerSettings,
    followed: BTreeMap<ActionId, Followed>,
    doubts: BTreeMap<ActionId, Sought>,
    /// Machine actions whose end is already the outcome of an action, newest last.
    outcomes: VecDeque<MachineActionId>,
    started: Option<Boot>,
    /// That the last list had.
    pages: u32,
    /// Lists that failed in a row.
    failures: u32,
    cycle: Option<Cycle>,
}

#[derive(Debug)]
struct Followed {
    machine_action: MachineActionId,
    since: Wall,
    /// `since` on the boot clock; before the boot where it is older.
    accepted: Boot,
    progress: Progress,
    /// Lists started before that may rightly not show it.
    from: Boot,
    /// How far back a list has to go to show it.
    created: Wall,
    sought_far_back: bool,
}

#[derive(Debug)]
struct Sought {
    doubt: InDoubt,
    /// The last list showed a quarantine that held the machine: the oldest such was made then. No
    /// call is spent before a list shows that it has ended.
    behind: Option<Wall>,
}

/// One list, over all its pages.
#[derive(Debug)]
struct Cycle {
    started: Boot,
    pages: u32,
    query: ListQuery,
    /// What somebody here waits for. An entry that two pages show counts as the later one says.
    entries: BTreeMap<MachineActionId, Entry>,
}

impl Tracker {
    /// `outcomes` are machine actions that ended actions already have as their own.
    pub fn new(settings: TrackerSettings, outcomes: Vec<MachineActionId>) -> Self {
        Self {
            settings,
            followed: BTreeMap::new(),
            doubts: BTreeMap::new(),
            outcomes: outcomes.into(),
            started: None,
            pages: 0,
            failures: 0,
            cycle: None,
        }
    }

    /// Follows an action that Defender accepted at `since` under that id. Defender may name one
    /// machine action for several actions; its end is the end of all of them.
    /// `progress` is what is on the record of it.
    pub fn follow(
        &mut self,
        action: ActionId,
        id: MachineActionId,
        since: Wall,
        progress: Progress,
        now: Now,
    ) {
        let followed = Followed {
            machine_action: id,
            since,
            accepted: now.boot - now.wall.since(since),
            progress,
            from: now.boot,
            created: since - limits::CLOCK_SKEW,
            sought_far_back: false,
        };
        self.followed.insert(action, followed);
    }

    pub fn doubt(&mut self, action: ActionId, doubt: InDoubt) {
        self.doubts.insert(action, Sought { doubt, behind: None });
    }

    /// How many actions are followed, and how many are in doubt.
    pub fn open(&self) -> (usize, usize) {
        (self.followed.len(), self.doubts.len())
    }

    /// When the next page is wanted; `None` while nothing is open that a list could show.
    pub fn wake_at(&self) -> Option<Boot> {
        if let Some(cycle) = &self.cycle {
            return Some(cycle.started);
        }
        let look_up = self.doubts.values().map(|sought| sought.doubt.due).min();
        let wanted = self.track_at().into_iter().chain(look_up).min()?;
        Some(self.started.map_or(wanted, |at| wanted.max(at + self.spacing())))
    }

    /// The next page to ask for. Starts a list where none is being read.
    pub fn query(&mut self, now: Now) -> ListQuery {
        if let Some(cycle) = &self.cycle {
            return cycle.query;
        }
        self.started = Some(now.boot);
        let query = ListQuery { since: self.since(now), skip: 0, top: self.settings.page };
        self.cycle = Some(Cycle { started: now.boot, pages: 0, query, entries: BTreeMap::new() });
        query
    }

    /// A page came, with `read` entries on it of which `entries` could be read, and maybe the name
    /// of a `next` one. After the last page returns what the whole list settles.
    pub fn page(&mut self, now: Now, entries: Vec<Entry>, read: u32, next: bool) -> Found {
        let Some(mut cycle) = self.cycle.take() else {
            return Found::default();
        };
        let followed: BTreeSet<_> = self.followed.values().map(|f| &f.machine_action).collect();
        let doubts = || self.doubts.values().map(|sought| &sought.doubt);
        let sought: BTreeSet<_> = doubts().map(|d| (d.key.machine, Some(d.key.sha1))).collect();
        let refused = doubts().filter(|doubt| doubt.doubt != Doubt::NoAnswer);
        let held: BTreeSet<MachineId> = refused.map(|doubt| doubt.key.machine).collect();
        let wanted = |e: &Entry| {
            planted(Bug::AdoptByMachine)
                || followed.contains(&e.id)
                || sought.contains(&(e.machine, e.sha1))
                || held.contains(&e.machine)
        };
        cycle.entries.extend(entries.into_iter().filter(wanted).map(|e| (e.id.clone(), e)));
        cycle.pages = cycle.pages.saturating_add(1);
        if next && read == 0 {
            // Asked for again it would be the same page.
            self.failed();
            return Found::default();
        }
        if (next || read >= cycle.query.top) && !planted(Bug::FirstPageOnly) {
            cycle.query.skip = cycle.query.skip.saturating_add(read);
            self.cycle = Some(cycle);
            return Found::default();
        }
        (self.failures, self.pages) = (0, cycle.pages);
        self.settle(now, &cycle)
    }

    /// The page did not come. The list is begun anew, later each time.
    pub fn failed(&mut self) {
        self.cycle = None;
        self.failures = self.failures.saturating_add(1);
    }

    /// How far back the list has to go so that nothing that is waited for can be missing.
    fn since(&self, now: Now) -> Wall {
        let followed = self.followed.values().map(|followed| followed.created);
        let due = self.doubts.values().filter(|sought| sought.is_due(now.boot));
        let oldest = followed.chain(due.map(Sought::oldest)).min();
        oldest.unwrap_or(now.wall - limits::CLOCK_SKEW)
    }
}

impl Sought {
    /// Whether a list that starts at that time looks for it.
    fn is_due(&self, started: Boot) -> bool {
        self.behind.is_some() || self.doubt.due <= started
    }

    /// What holds the machine was found by a list that went back all the way: whatever matters is
    /// as new as that.
    fn oldest(&self) -> Wall {
        self.behind.unwrap_or_else(|| self.doubt.oldest())
    }
}

impl InDoubt {
    /// The oldest machine action that may be this call's. One that stood in the way of a call may
    /// have waited for its machine as long as Defender lets it.
    fn oldest(&self) -> Wall {
        match self.doubt {
            Doubt::NoAnswer => self.written - limits::CLOCK_SKEW,
            Doubt::ActiveRequest { answered } => {
                answered - limits::MACHINE_ACTION_AGE - limits::CLOCK_SKEW
            }
        }
    }
}

#[cfg(test)]
mod tests;
