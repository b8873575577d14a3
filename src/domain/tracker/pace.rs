//! When the next list is due: soon while something young is followed, and never so often that the
//! budget of the list would bind.

use std::time::Duration;

use super::Tracker;
use crate::domain::time::Boot;
use crate::limits;

impl Tracker {
    /// When the list that follows accepted actions is due; `None` where there are none.
    pub(super) fn track_at(&self) -> Option<Boot> {
        let youngest = self.followed.values().map(|followed| followed.accepted).max()?;
        Some(self.started.map_or(Boot(i64::MIN), |at| at + self.pace(at, youngest)))
    }

    /// How long the list after one begun at `started` may wait for what is there since `since`. One
    /// that failed says nothing, and is made up for as if all were young.
    pub(super) fn pace(&self, started: Boot, since: Boot) -> Duration {
        if self.failures > 0 {
            return self.settings.every;
        }
        let age = started.since(since);
        let times = limits::LIST_PACES.iter().rev().find(|(from, _)| age >= *from);
        self.settings.every * times.map_or(1, |(_, times)| *times)
    }

    /// The shortest time between the starts of two lists.
    pub(super) fn spacing(&self) -> Duration {
        let (first, longest) = limits::LIST_SPACING;
        let factor = 1_u32 << self.failures.min(16);
        let spacing =
            (first.min(self.settings.every) * factor).min(longest.max(self.settings.every));
        // The first page is paid for by the time between any two lists.
        spacing.max(limits::LIST_PAGE_EVERY * self.pages.saturating_sub(1))
    }
}
