//! An alert, decoded by a format from one payload.

use std::borrow::Cow;

use super::candidate::Candidate;
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
