//! What Defender answered, read from status and body alone. Nothing here touches a socket.

mod cancel;
mod entry;
mod fetched;
mod read;

use std::time::Duration;

pub use cancel::CancelAnswer;
pub use fetched::{Fetched, MACHINES_PAGE, Machine, Machines};

use super::ids::{MachineActionId, MachineId, Sha1};
use super::time::Wall;

/// What became of one `StopAndQuarantineFile` call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 201: queued at Defender under this id. Not done yet.
    Accepted { machine_action: MachineActionId },
    /// 429. Charges no try.
    TooMany { retry_after: Option<Duration>, text: String },
    /// 401: the token is not accepted (any more).
    Unauthorized { text: String },
    /// Any other definite refusal, with Defender's `error.code`.
    Refused { status: u16, code: String, text: String },
    /// The call may or may not have had its effect: timeout, reset, 5xx, an answer that can't be
    /// read.
    Unclear { status: Option<u16>, text: String },
    /// Nothing was written to a socket: no token, no connection, past `send by`.
    Unsent { text: String },
}

impl Answer {
    /// Its kind in one word, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Answer::Accepted { .. } => "accepted",
            Answer::TooMany { .. } => "too_many",
            Answer::Unauthorized { .. } => "unauthorized",
            Answer::Refused { .. } => "refused",
            Answer::Unclear { .. } => "unclear",
            Answer::Unsent { .. } => "unsent",
        }
    }

    /// Its HTTP status, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Answer::Accepted { .. } => Some(201),
            Answer::TooMany { .. } => Some(429),
            Answer::Unauthorized { .. } => Some(401),
            Answer::Refused { status, .. } => Some(*status),
            Answer::Unclear { status, .. } => *status,
            Answer::Unsent { .. } => None,
        }
    }

    /// The server has counted the call by the time this was seen, or never will.
    pub fn is_definite(&self) -> bool {
        !matches!(self, Answer::Unclear { status: None, .. })
    }
}

/// Which machine actions to list: those of type `StopAndQuarantineFile` created at `since` or
/// later, a page of `top` after the first `skip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListQuery {
    pub since: Wall,
    pub skip: u32,
    pub top: u32,
}

/// One page of machine actions, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The last page where it has fewer entries than asked for and names no next one. Entries
    /// that can't be read are left out of `entries` and counted in `read`, so that paging still
    /// adds up.
    Page {
        entries: Vec<Entry>,
        read: u32,
        /// It names a next page, as a server does that gives fewer entries than asked for.
        next: bool,
    },
    TooMany {
        retry_after: Option<Duration>,
        text: String,
    },
    Unauthorized {
        text: String,
    },
    Failed {
        text: String,
    },
}

/// One of Defender's machine actions, as far as Lazaret cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: MachineActionId,
    pub status: Status,
    pub machine: MachineId,
    /// `None` where the entry names its file by another hash.
    pub sha1: Option<Sha1>,
    pub comment: String,
    pub created: Wall,
    pub updated: Wall,
    /// What Defender says of how it ended, on one line: its code, known ones in words, who
    /// cancelled it, its error texts. `None` where it says nothing.
    pub error: Option<String>,
}

/// Status of a machine action. Nothing is reported as done that Defender has not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Pending,
    InProgress,
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    /// A word that this version does not know: neither an end nor a machine that waits.
    Other,
}

impl Status {
    pub fn has_ended(self) -> bool {
        !matches!(self, Status::Pending | Status::InProgress | Status::Other)
    }
}
