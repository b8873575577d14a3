//! What a test of a rule expected and what came out, to be shown side by side.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::candidate::Field;
use crate::domain::ids::{MachineId, Sha1};

/// A test that failed: both sides of it, each as the whole of what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Whether the rule protects what its targets name, instead of acting on it.
    pub denies: bool,
    /// Whether the rule names lists, whose entries may have made it fail.
    pub has_lists: bool,
    pub expected: Side,
    pub got: Side,
    /// Why each file on each machine of the sample is no target, where it is none.
    pub against: BTreeMap<(MachineId, Sha1), Vec<String>>,
}

/// One side of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Files on machines that the rule acts on, or protects.
    pub targets: BTreeSet<(MachineId, Sha1)>,
    /// Unknown fields over which files are held.
    pub hold: BTreeSet<Field>,
    /// Unknown fields for which Defender is asked first.
    pub enrich: BTreeSet<Field>,
    /// Selections that stand against the rule: the one expected, or all that do.
    pub no_match: BTreeSet<String>,
}
