//! What part of a budget is ours. Defender counts calls by application, and others may use the
//! same one: a 429 is the only sign of them. Then our part shrinks at once and grows back slowly,
//! as TCP shares a line; measured beside others this leaves two refusals an hour of 37.

use crate::domain::time::Boot;
use crate::limits::{SHARE_GROWS, SHARE_GROWS_EVERY, SHARE_MIN, SHARE_SHRINKS_TO};

/// In thousandths of each limit, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    permille: u32,
    since: Boot,
}

impl Share {
    pub const FULL: Self = Self { permille: 1000, since: Boot(0) };

    pub fn shrink(&mut self, now: Boot) {
        let permille = (self.at(now) * SHARE_SHRINKS_TO / 1000).max(SHARE_MIN);
        *self = Self { permille, since: now };
    }

    pub fn at(self, now: Boot) -> u32 {
        let steps = now.since(self.since).as_secs() / SHARE_GROWS_EVERY.as_secs();
        let grown = u32::try_from(steps).unwrap_or(u32::MAX).saturating_mul(SHARE_GROWS);
        self.permille.saturating_add(grown).min(1000)
    }

    pub fn of(self, calls: u32, now: Boot) -> usize {
        let ours = u64::from(calls) * u64::from(self.at(now)) / 1000;
        usize::try_from(ours).unwrap_or(usize::MAX).max(1)
    }

    /// When it is larger again; `None` where it is whole.
    pub fn grows_at(self, now: Boot) -> Option<Boot> {
        let every = SHARE_GROWS_EVERY;
        let steps = now.since(self.since).as_secs() / every.as_secs();
        let next = u32::try_from(steps + 1).unwrap_or(u32::MAX);
        (self.at(now) < 1000).then(|| self.since + every * next)
    }
}
