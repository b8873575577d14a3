//! An alert, decoded by a format from one payload.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Fields};
use super::ids::{MachineId, Sha1};
use super::time::Wall;

/// One decoded alert, borrowed from its payload.
#[derive(Clone, Debug)]
pub struct Alert<'a> {
    /// Opaque; 1 to 128 characters of `[A-Za-z0-9_.:-]`. A format refuses any other as unreadable,
    /// since it goes into comments, filters and log lines.
    pub id: Cow<'a, str>,
    /// The Entra tenant id that the payload names, if it names one.
    pub tenant_id: Option<Cow<'a, str>>,
    /// Creation of the alert; its age is counted from here.
    pub created: Option<Wall>,
    /// One for each pair of machine and file. Empty: the alert names no file.
    pub candidates: Vec<Candidate<'a>>,
    /// What Defender is to be asked before rules can judge it.
    pub asks: Vec<Ask>,
    /// For an alert that came without its evidence: what is known of each file that it may have.
    /// Where no rule can match that, nothing is asked.
    pub known: Option<Box<Fields<'a>>>,
}

impl Alert<'_> {
    /// Borrows nothing any more.
    pub fn into_owned(self) -> Alert<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let candidates = self.candidates.into_iter().map(|one| Candidate {
            machine: one.machine,
            sha1: one.sha1,
            evidence: one.evidence,
            fields: one.fields.into_owned(),
        });
        Alert {
            id: owned(self.id),
            tenant_id: self.tenant_id.map(owned),
            created: self.created,
            candidates: candidates.collect(),
            asks: self.asks,
            known: self.known.map(|known| Box::new(known.into_owned())),
        }
    }
}

/// What only Defender can tell of an alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// An alert of Defender for Endpoint, by its id, with its evidence.
    Alert(String),
    /// The machine of a host, by the name that it has elsewhere.
    Host(String),
    /// What Defender knows of a machine.
    Machine(MachineId),
    /// What Defender knows of a file, wherever it is.
    File(Sha1),
}

/// As a person reads it.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Alert(id) => write!(f, "alert {id}"),
            Ask::Host(name) => write!(f, "host {name}"),
            Ask::Machine(id) => write!(f, "machine {id}"),
            Ask::File(sha1) => write!(f, "file {sha1}"),
        }
    }
}

/// Why bytes are no alert of their format. Bounded, one line, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Severity as a number, so that rules can compare it: 0 Unknown to 5 Critical.
pub fn severity_rank(severity: &str) -> i64 {
    match severity {
        "Informational" => 1,
        "Low" => 2,
        "Medium" => 3,
        "High" => 4,
        "Critical" => 5,
        _ => 0,
    }
}
