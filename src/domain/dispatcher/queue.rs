//! The first due actions of each class, as far as they are held in memory. The store has all of
//! them; what is here is read again whenever it may have become wrong.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::domain::action::{Class, Head, Heads};
use crate::domain::ids::ActionId;
use crate::domain::planted::{Bug, planted};
use crate::domain::time::Wall;

/// Between two loads that bring nothing although the store says something is due.
const LOAD_SPACING: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Queue {
    lines: [Line; Class::ALL.len()],
    /// Actions whose row does not verify. They are never called, and end as expired.
    corrupt: BTreeSet<ActionId>,
}

#[derive(Debug)]
struct Line {
    class: Class,
    heads: VecDeque<Head>,
    /// How many more the store had behind them, as of the last load.
    behind: u64,
    /// The store may have due actions behind the last one here.
    stale: bool,
    /// When an action becomes due that is not here, maybe in front of those that are.
    reload_at: Option<Wall>,
}

/// What the budget allows to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayGo {
    All,
    /// What came as urgent, or has become so by its age.
    Risen,
    /// What came as urgent.
    Urgent,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// That class has to be loaded before any may go on: one of it may have aged.
    Load(Class),
    /// The first action of that class is due.
    Due(Class),
    Nothing,
}

impl Queue {
    pub fn new() -> Self {
        let line =
            |class| Line { class, heads: VecDeque::new(), behind: 0, stale: true, reload_at: None };
        Self { lines: Class::ALL.map(line), corrupt: BTreeSet::new() }
    }

    /// There may be new work, of any class.
    pub fn nudge(&mut self) {
        for line in &mut self.lines {
            line.stale = true;
        }
    }

    /// An action of some class is queued in the store and becomes due at `due`.
    pub fn queued(&mut self, due: Wall) {
        for line in &mut self.lines {
            line.reload_by(due);
        }
    }

    pub fn loaded(
        &mut self,
        now: Wall,
        class: Class,
        heads: Heads,
        in_hand: impl Fn(ActionId) -> bool,
    ) {
        let usable = |head: &Head| !in_hand(head.action) && !self.corrupt.contains(&head.action);
        let due = heads.due.into_iter().filter(usable).collect();
        let line = self.line(class);
        line.heads = due;
        line.behind = heads.behind;
        line.stale = heads.behind > 0;
        line.reload_at = heads.next_due.map(|at| if at > now { at } else { now + LOAD_SPACING });
        if line.stale && line.heads.is_empty() {
            line.stale = false;
            line.reload_by(now + LOAD_SPACING);
        }
    }

    /// Classes strictly in order, by the age of each action: a lower one goes only when nothing of
    /// a higher one is due.
    pub fn next(&mut self, now: Wall, may: MayGo) -> Next {
        for line in &mut self.lines {
            line.drop_what_is_not_due(now);
            if line.reload_at.is_some_and(|at| at <= now) || line.stale && line.heads.is_empty() {
                return Next::Load(line.class);
            }
        }
        let fronts = self.lines.iter().filter_map(|line| Some((line.class, line.heads.front()?)));
        let fronts = fronts.filter(|(class, head)| match may {
            MayGo::All => true,
            MayGo::Risen => head.has_risen(now),
            MayGo::Urgent => *class == Class::Urgent,
        });
        let rank = |head: &Head| match planted(Bug::OrderByArrival) {
            true => (Class::Urgent, head.sequence),
            false => (head.class.aged(head.queued, now), head.sequence),
        };
        let first = fronts.min_by_key(|(_, head)| rank(head));
        first.map_or(Next::Nothing, |(class, _)| Next::Due(class))
    }

    /// How many actions are known to be due.
    pub fn due(&self) -> u64 {
        self.lines.iter().map(|line| line.heads.len() as u64 + line.behind).sum()
    }

    /// Takes the first of a class. A copy in another class, where it stood before it was raised,
    /// goes with it.
    pub fn take(&mut self, class: Class) -> Option<Head> {
        let head = self.line(class).heads.pop_front()?;
        for line in &mut self.lines {
            line.heads.retain(|other| other.action != head.action);
        }
        Some(head)
    }

    pub fn set_aside(&mut self, action: ActionId) {
        self.corrupt.insert(action);
    }

    /// Something is due that has become urgent by its age alone.
    pub fn has_risen(&self, now: Wall) -> bool {
        let [_, others @ ..] = &self.lines;
        others.iter().filter_map(|line| line.heads.front()).any(|head| head.has_risen(now))
    }

    /// When [`Queue::next`] may have something that came as urgent, and something else; `now` if it
    /// has already.
    pub fn wake_at(&self, now: Wall) -> (Option<Wall>, Option<Wall>) {
        let waits = |line: &Line| match line.heads.is_empty() && !line.stale {
            true => line.reload_at,
            false => Some(now),
        };
        let [urgent, others @ ..] = &self.lines;
        (waits(urgent), others.iter().filter_map(waits).min())
    }

    fn line(&mut self, class: Class) -> &mut Line {
        &mut self.lines[class as usize]
    }
}

impl Head {
    fn has_risen(&self, now: Wall) -> bool {
        self.class.aged(self.queued, now) == Class::Urgent
    }
}

impl Line {
    /// Those in front whose time is over, and those whose time has not come since the wall clock
    /// was set back.
    fn drop_what_is_not_due(&mut self, now: Wall) {
        while let Some(head) = self.heads.front() {
            let over = head.expires <= now && !planted(Bug::SendExpired);
            let again = match (over, head.not_before > now) {
                (true, _) => now + LOAD_SPACING,
                (false, true) => head.not_before,
                (false, false) => return,
            };
            self.heads.pop_front();
            self.reload_by(again);
        }
    }

    fn reload_by(&mut self, at: Wall) {
        self.reload_at = Some(self.reload_at.map_or(at, |earlier| earlier.min(at)));
    }
}
