//! What a row of a stream tells.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{MachineId, Sha1};
use crate::domain::time::Wall;

/// One row of a stream about one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub alert: String,
    /// When the stream published it: of two versions of one thing the newer one holds.
    pub time: Wall,
    pub part: Part,
}

/// What a row tells. Fields are snapshots, as [`Fields`](crate::domain::candidate::Fields)
/// serialise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The alert itself.
    Alert {
        created: Option<Wall>,
        fields: String,
    },
    /// `Err` says why its id is of no use: then the alert has a machine that nobody can name.
    Machine {
        machine: Result<MachineId, String>,
        fields: String,
    },
    /// A machine that other evidence names in passing. It gives no file its machine, but there is
    /// another one.
    Mention(Result<MachineId, String>),
    File(File),
}

/// A file that an alert names, with what its row says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What this is another version of, where it is one: machine, hash, path and the like.
    pub key: String,
    pub machine: Stated,
    pub sha1: Result<Sha1, String>,
    /// When this evidence came to be.
    pub since: Option<Wall>,
    pub fields: String,
}

/// What a file's own row says of its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stated {
    Is(MachineId),
    /// Nothing: the alert's only machine, if it has only one.
    Nothing,
    /// Something of no use: no other row can make up for it.
    Unusable(String),
}
