//! What is refused, in the log: the cause, and how often. Only so many lines, since strangers can
//! cause them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use axum::extract::Request;

use super::answer::Refusal;
use crate::domain::time::Boot;
use crate::limits;
use crate::serve::Peer;

/// A refusal, and what only the log is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub answer: Refusal,
    /// One of a few. Those of one source and cause share lines.
    pub cause: &'static str,
    pub why: String,
}

impl From<Refusal> for Refused {
    /// Where the log is told what the sender is.
    fn from(answer: Refusal) -> Self {
        Self { cause: answer.cause(), why: answer.text().to_owned(), answer }
    }
}

/// Who asked, and where: kept until the answer is known.
pub struct Asking {
    path: String,
    peer: Option<SocketAddr>,
}

/// Of a path or an origin that is not known: enough to see a mistyped name.
pub const LOGGED_CHARS: usize = 80;

impl Asking {
    pub fn of(request: &Request) -> Self {
        Self {
            path: request.uri().path().chars().take(LOGGED_CHARS).collect(),
            peer: request.extensions().get::<Peer>().map(|Peer(address)| *address),
        }
    }
}

/// When refusals of each source and cause were last logged. Bounded by the configuration: all that
/// is no source's shares one name.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<(String, &'static str), Kind>>);

#[derive(Debug)]
struct Kind {
    logged: Boot,
    /// Since then.
    suppressed: u64,
}

impl Refusals {
    /// Logs it, unless one of its kind was logged a moment ago: then it is counted for the next.
    /// `source` is empty where the request named none.
    pub fn log(&self, source: &str, asking: &Asking, refused: &Refused, now: Boot) {
        let Refused { answer, cause, why } = refused;
        let Some(suppressed) = self.due(source, cause, now) else { return };
        let (Asking { path, peer }, status) = (asking, answer.status().as_u16());
        tracing::warn!(source, status, cause, why, ?path, ?peer, suppressed, "refused a request");
    }

    /// `Some` where this one is to be logged, with how many of its kind were not since the last.
    fn due(&self, source: &str, cause: &'static str, now: Boot) -> Option<u64> {
        // Whole between any two statements that could panic.
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source.to_owned(), cause);
        match kinds.get_mut(&key) {
            Some(kind) if now.since(kind.logged) < limits::REFUSAL_LOGGED_EVERY => {
                kind.suppressed += 1;
                None
            }
            known => {
                let suppressed = known.map_or(0, |kind| kind.suppressed);
                kinds.insert(key, Kind { logged: now, suppressed: 0 });
                Some(suppressed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_of_each_source_is_logged_at_once_and_then_counted() {
        let (refusals, start) = (Refusals::default(), Boot(1));
        let soon = start + limits::REFUSAL_LOGGED_EVERY / 2;
        let then = start + limits::REFUSAL_LOGGED_EVERY;
        assert_eq!(refusals.due("siem", "not_json", start), Some(0));
        for _ in 0..500 {
            assert_eq!(refusals.due("siem", "not_json", soon), None);
        }
        // None hides another.
        assert_eq!(refusals.due("siem", "too_large", soon), Some(0));
        assert_eq!(refusals.due("soar", "not_json", soon), Some(0));
        assert_eq!(refusals.due("siem", "not_json", then), Some(500));
        assert_eq!(refusals.due("siem", "not_json", then), None);
        let later = then + limits::REFUSAL_LOGGED_EVERY;
        assert_eq!(refusals.due("siem", "not_json", later), Some(1), "counted anew");
        assert_eq!(refusals.0.lock().unwrap().len(), 3);
    }
}
