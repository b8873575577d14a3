//! Every call, as it came and as it was answered.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// Calls kept. Beyond that the older half is forgotten.
const CALLS_KEPT: usize = 1_000_000;

/// Calls a slow subscriber may be behind.
const SUBSCRIBER_LAG: usize = 1024;

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// `POST /{tenant}/oauth2/v2.0/token`
    Token,
    /// `POST /api/machines/{id}/StopAndQuarantineFile`
    Quarantine,
    /// `GET /api/machineactions`
    List,
    /// `GET /api/machineactions/{id}`
    One,
    /// `POST /api/machineactions/{id}/cancel`
    Cancel,
    /// `GET /api/alerts/{id}`
    Alerts,
    /// `GET /api/machines` and `GET /api/machines/{id}`
    Machines,
    /// `GET /api/files/{sha1}`
    Files,
    /// Anything else: answered with 404.
    Other,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Its number, from 0, in order of arrival.
    pub seq: u64,
    /// Microseconds from the simulator's start to the arrival, on a clock that never jumps.
    pub at_us: u64,
    /// The same on the wall clock.
    pub time: String,
    pub endpoint: Endpoint,
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Name and value, names in lower case. A bearer token or secret is not kept.
    pub headers: Vec<(String, String)>,
    /// Empty for the token endpoint, whose body holds a secret.
    pub body: String,
    /// Tenant and application of the token, once it was found valid.
    pub caller: Option<(String, String)>,
    /// `None` while it is not answered, and for good if it was dropped.
    pub status: Option<u16>,
    /// The answer's body, but for one that holds a token.
    pub answer: String,
    /// The machine action that this call made or was given.
    pub machine_action: Option<String>,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn at(&self) -> Duration {
        Duration::from_micros(self.at_us)
    }
}

/// The calls kept, in order of arrival.
#[derive(Debug)]
pub struct Record {
    calls: Vec<Call>,
    next: u64,
    answered: broadcast::Sender<Call>,
}

impl Default for Record {
    fn default() -> Self {
        Self { calls: Vec::new(), next: 0, answered: broadcast::Sender::new(SUBSCRIBER_LAG) }
    }
}

impl Record {
    /// Keeps a call that has just arrived, under the next number.
    pub fn arrived(&mut self, call: Call) -> u64 {
        if self.calls.len() == CALLS_KEPT {
            self.calls.drain(..CALLS_KEPT / 2);
        }
        let seq = self.next;
        self.next += 1;
        self.calls.push(Call { seq, ..call });
        seq
    }

    /// Changes a call that is still kept.
    pub fn update(&mut self, seq: u64, change: impl FnOnce(&mut Call)) {
        let index = self.calls.binary_search_by_key(&seq, |call| call.seq);
        if let Ok(index) = index {
            change(&mut self.calls[index]);
        }
    }

    /// Tells subscribers that a call is over.
    pub fn over(&self, seq: u64) {
        if let Ok(index) = self.calls.binary_search_by_key(&seq, |call| call.seq) {
            // Fails only when nobody listens.
            let _ = self.answered.send(self.calls[index].clone());
        }
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Call> {
        self.answered.subscribe()
    }

    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub fn calls_from(&self, seq: u64) -> &[Call] {
        &self.calls[self.calls.partition_point(|call| call.seq < seq)..]
    }

    pub fn clear(&mut self) {
        self.calls.clear();
    }

    pub fn calls_to(&self, endpoint: Endpoint) -> Vec<Call> {
        self.calls.iter().filter(|call| call.endpoint == endpoint).cloned().collect()
    }

    /// See [`super::Simulator::worst_window`].
    pub fn worst_window(&self, endpoint: Endpoint, window: Duration) -> usize {
        let mut times: HashMap<_, Vec<Duration>> = HashMap::new();
        for call in self.calls.iter().filter(|call| call.endpoint == endpoint) {
            times.entry(&call.caller).or_default().push(call.at());
        }
        let worst = |times: &Vec<Duration>| {
            let within = |(first, at): (usize, &Duration)| {
                times[first..].iter().take_while(|later| **later < *at + window).count()
            };
            times.iter().enumerate().map(within).max()
        };
        times.values().filter_map(worst).max().unwrap_or(0)
    }
}
