//! Everything a simulator knows, behind one lock that is held for one step of one call.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::actions::{Actions, Machine};
use super::entra::Bearer;
use super::faults::Faults;
use super::record::{Endpoint, Record};
use super::settings::Settings;
use super::windows::{Exceeded, Windows};

/// The settings, the clock, and behind the lock what changes.
pub struct World {
    pub settings: Settings,
    start: Instant,
    started: Timestamp,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub struct Inner {
    pub actions: Actions,
    /// Alerts by their id.
    pub alerts: BTreeMap<String, Map<String, Value>>,
    /// Files by their SHA-1.
    pub files: BTreeMap<String, Map<String, Value>>,
    pub faults: Faults,
    pub record: Record,
    /// Valid bearer tokens by their text.
    pub tokens: HashMap<String, Bearer>,
    /// Roles of applications, where they have changed since the start.
    pub roles: HashMap<String, Vec<String>>,
    /// Ids of assertions that were used: each counts once.
    pub assertions: HashSet<String>,
    windows: HashMap<(String, String, Endpoint), Windows>,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let (start, started) = (Instant::now(), Timestamp::now());
        Self { settings, start, started, inner: Mutex::default() }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the start: every time in the simulator is one.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub fn wall(&self, at: Duration) -> Timestamp {
        let span = SignedDuration::try_from(at).unwrap_or(SignedDuration::MAX);
        self.started.checked_add(span).unwrap_or(Timestamp::MAX)
    }

    /// The wall clock with the seven digits of fraction that Defender writes.
    pub fn shown_time(&self, at: Duration) -> String {
        format!("{:.7}", self.wall(at))
    }

    pub fn set_machine(&self, id: &str, machine: Machine) {
        let now = self.now();
        let mut inner = self.lock();
        inner.actions.advance(&self.settings, now);
        inner.actions.set_machine(id, machine, now);
    }

    /// The alert goes by this id, whatever it says itself.
    pub fn put_alert(&self, id: &str, mut alert: Map<String, Value>) {
        alert.insert("id".to_owned(), id.into());
        self.lock().alerts.insert(id.to_owned(), alert);
    }

    /// The file goes by this SHA-1, whatever it says itself.
    pub fn put_file(&self, sha1: &str, mut file: Map<String, Value>) {
        let sha1 = sha1.to_ascii_lowercase();
        file.insert("sha1".to_owned(), sha1.as_str().into());
        self.lock().files.insert(sha1, file);
    }

    pub fn shown_actions(&self) -> Vec<Value> {
        let mut inner = self.lock();
        inner.actions.advance(&self.settings, self.now());
        inner.actions.iter().map(|action| action.shown(|at| self.shown_time(at))).collect()
    }

    /// Takes one call from the budget of that tenant and application.
    pub fn take(
        &self,
        inner: &mut Inner,
        bearer: &Bearer,
        endpoint: Endpoint,
    ) -> Result<(), Exceeded> {
        let limits = match endpoint {
            Endpoint::Quarantine => &self.settings.quarantine,
            _ => &self.settings.reads,
        };
        let key = (bearer.tenant.clone(), bearer.client_id.clone(), endpoint);
        let fresh = || Windows::new(limits, self.settings.reckoning);
        inner.windows.entry(key).or_insert_with(fresh).take(self.now())
    }
}
