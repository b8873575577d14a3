//! What a rule leads to: it acts, it denies what others would do, or it counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::comment::Template;
use crate::domain::action::{Approvals, Class, Endings, HoldWhy};
use crate::domain::breaker::RuleBreakers;

/// How far a rule, or the whole service, may go. The lower of the two counts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everything but the call: the decision is written, no action is made.
    #[default]
    Observe,
    /// Holds each action for a person.
    Approve,
    /// Acts.
    Enforce,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Observe => "observe",
            Mode::Approve => "approve",
            Mode::Enforce => "enforce",
        }
    }

    /// Why an action waits for a yes that this rule decided, whose own mode this is: where it would
    /// enforce, the service's mode asks for it.
    pub(in crate::domain) fn approval(self, rule: String) -> HoldWhy {
        match self {
            Mode::Enforce => HoldWhy::ServiceApproval,
            Mode::Approve | Mode::Observe => HoldWhy::Approval { rule },
        }
    }
}

/// What a rule does with a candidate of which it knows too little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnUnknown {
    /// As if it did not match.
    Skip,
    /// A person decides.
    #[default]
    Hold,
    /// Defender is asked, where it can tell; what then is still unknown waits for a person.
    Enrich,
}

impl OnUnknown {
    pub fn as_str(self) -> &'static str {
        match self {
            OnUnknown::Skip => "skip",
            OnUnknown::Hold => "hold",
            OnUnknown::Enrich => "enrich",
        }
    }
}

/// The `response` section of a rule, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    Quarantine(Quarantine),
    Deny(Deny),
    /// None of its own: what it matches counts for correlations.
    Count,
}

/// `action: StopAndQuarantineFile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    pub mode: Mode,
    pub unknown: OnUnknown,
    /// How long a quarantine blocks the same file on the same machine.
    pub window: Duration,
    /// Overrides the class that the alert's severity gives.
    pub priority: Option<Class>,
    pub comment: Template,
    /// What a hold of its actions needs from people; nobody has given any yet.
    pub approvals: Approvals,
    /// What becomes of its actions that Defender says were not done.
    pub endings: Endings,
    pub breakers: RuleBreakers,
}

/// `action: deny`: what it matches is not acted on, whatever other rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    /// Whether a person decides where only fields that are not known keep it from matching. If
    /// not, it protects nothing there.
    pub holds_unknown: bool,
}

/// A rule, without its detection: that is compiled into the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A UUID; unique in a set.
    pub id: String,
    pub title: String,
    pub response: Response,
}

impl Rule {
    /// Whether Defender is asked for what it does not know.
    pub fn asks(&self) -> bool {
        match &self.response {
            Response::Quarantine(quarantine) => quarantine.unknown == OnUnknown::Enrich,
            Response::Deny(deny) => deny.holds_unknown,
            Response::Count => false,
        }
    }

    pub fn denies(&self) -> bool {
        matches!(self.response, Response::Deny(_))
    }

    /// `None` where it denies, or only counts.
    pub fn quarantine(&self) -> Option<&Quarantine> {
        match &self.response {
            Response::Quarantine(quarantine) => Some(quarantine),
            Response::Deny(_) | Response::Count => None,
        }
    }
}
