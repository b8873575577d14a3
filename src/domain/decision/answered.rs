//! What senders are told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Decision, Fate};
use crate::domain::ids::TenantName;

/// What a delivery's sender is told: each alert's fate, each candidate's decision and reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    pub alerts: Vec<AlertAnswer>,
    /// Whether something acts beside these, of which this sender is not told.
    #[serde(skip)]
    pub acts_elsewhere: bool,
    /// Of whom something waits now for what Defender is asked.
    #[serde(skip)]
    pub waiting: BTreeSet<TenantName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertAnswer {
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub alert: String,
    pub fate: Fate,
    /// Why, where no candidate says it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub candidates: Vec<CandidateAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateAnswer {
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub machine: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub sha1: String,
    #[serde(flatten)]
    pub decision: Decision,
}
