//! A candidate as it is kept while it waits.

use serde::{Deserialize, Serialize};

use super::{Candidate, Fields};
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::time::Wall;

/// A candidate that names its machine and its file. Texts that the snapshot cuts are absent when it
/// is read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    machine: MachineId,
    sha1: Sha1,
    evidence: Option<Wall>,
    /// The snapshot of its fields.
    fields: String,
    /// The correlation that has matched it, and of its base rules those that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<(String, Vec<String>)>,
}

impl Kept {
    pub fn new(
        machine: MachineId,
        sha1: Sha1,
        evidence: Option<Wall>,
        fields: &Fields<'_>,
    ) -> Self {
        let fields =
            serde_json::to_string(fields).expect("fields are texts, numbers and lists of texts");
        Self { machine, sha1, evidence, fields, by: None }
    }

    /// With the age that its alert has `now`. `None` where it does not read.
    pub fn read(&self, now: Wall) -> Option<Candidate<'static>> {
        Some(Candidate {
            machine: Ok(self.machine),
            sha1: Ok(self.sha1),
            evidence: self.evidence,
            fields: Fields::from_snapshot(&self.fields, now)?,
        })
    }
}
