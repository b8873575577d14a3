//! Where a dispatcher stands: for status and metrics.

use super::Dispatcher;
use crate::domain::limiter::{Forecast, Used};
use crate::domain::time::{Now, Wall};

/// As of one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub used: Vec<Used>,
    /// What of the budget is ours, in thousandths: less where others use the same application.
    pub share: u32,
    /// `None` while nothing is called.
    pub forecast: Option<Forecast>,
    pub in_flight: usize,
    /// Until when no call is made and why, where Defender is the reason.
    pub blocked: Option<(Wall, String)>,
    /// Why no attempt can be written, where the reason is here.
    pub shut: Option<String>,
    pub followed: usize,
    pub in_doubt: usize,
    /// Since when Defender's list of machine actions fails and why, while one is needed: meanwhile
    /// nothing ends, and no doubt is resolved.
    pub unlisted: Option<(Wall, String)>,
}

impl Dispatcher {
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let (followed, in_doubt) = self.tracker.open();
        let blocked = self.quarantine.blocked(now.boot);
        let limiter = &self.quarantine.limiter;
        let forecast = || Forecast::new(limiter, &self.paces.all, now);
        Snapshot {
            used: limiter.used(now.boot),
            share: limiter.share(now.boot),
            forecast: self.shut.is_none().then(forecast),
            in_flight: self.calls.len(),
            blocked: blocked.map(|(until, why)| (now.wall + until.since(now.boot), why.to_owned())),
            shut: self.shut.as_ref().map(|shut| shut.why.clone()),
            followed,
            in_doubt,
            unlisted: self.unlisted.clone().filter(|_| followed + in_doubt > 0),
        }
    }
}
