//! Why an action is held, and what lets it go on.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::StateName;
use crate::domain::breaker::Breaker;
use crate::domain::scope::Scope;

/// Why an action is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldWhy {
    /// A rule would act, but for fields the payload does not give.
    Unknown {
        rule: String,
        fields: Vec<String>,
        /// Why Defender has not told them; empty where it was not asked.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        told: String,
    },
    /// The same file came back to the same machine for the third time within the window.
    Returns,
    /// The rule is in mode `approve`.
    Approval { rule: String },
    /// The service is in mode `approve`; the rule that decided would enforce.
    ServiceApproval,
    /// A breaker has tripped, and holds this scope.
    Breaker { breaker: Breaker, scope: Scope },
    /// Only fields that are not known stand between this and the deny rule.
    Protection {
        rule: String,
        fields: Vec<String>,
        /// Why Defender has not told them; empty where it was not asked.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        told: String,
    },
    /// The rule that decided does not match any more, is not in `enforce`, or is gone.
    Withdrawn { rule: String },
    /// It came while its file was recalled.
    Recalled,
    /// Defender has said that it was not done (`timed_out` or `failed`, and its error text), and
    /// the rule that decided wants a person then. A yes calls again.
    Outcome { end: StateName, error: String },
    /// It would count for this correlation, of which as much is kept as may be.
    Correlation { rule: String, bound: String },
}

impl HoldWhy {
    /// All that [`HoldWhy::as_str`] says, in the order of the alphabet.
    pub const WORDS: [&str; 9] = [
        "approval",
        "breaker",
        "correlation",
        "outcome",
        "protection",
        "recalled",
        "returns",
        "unknown",
        "withdrawn",
    ];

    pub fn as_str(&self) -> &'static str {
        match self {
            HoldWhy::Unknown { .. } => "unknown",
            HoldWhy::Returns => "returns",
            HoldWhy::Approval { .. } | HoldWhy::ServiceApproval => "approval",
            HoldWhy::Breaker { .. } => "breaker",
            HoldWhy::Protection { .. } => "protection",
            HoldWhy::Withdrawn { .. } => "withdrawn",
            HoldWhy::Recalled => "recalled",
            HoldWhy::Outcome { .. } => "outcome",
            HoldWhy::Correlation { .. } => "correlation",
        }
    }

    /// Says why Defender has not told what is unknown.
    pub fn asked(&mut self, why: &str) {
        if let HoldWhy::Unknown { told, .. } | HoldWhy::Protection { told, .. } = self {
            why.clone_into(told);
        }
    }

    /// Whether later evidence alone may release it, without a person.
    pub fn is_for_evidence(&self) -> bool {
        matches!(self, HoldWhy::Unknown { .. } | HoldWhy::Protection { .. })
    }
}

impl HoldWhy {
    /// Whether nothing but a yes is missing.
    pub fn is_approval(&self) -> bool {
        matches!(self, HoldWhy::Approval { .. } | HoldWhy::ServiceApproval)
    }
}

/// As a person reads it.
impl fmt::Display for HoldWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HoldWhy::Unknown { rule, fields, told } => {
                write!(f, "rule {rule} does not know {}{}", fields.join(", "), after(told))
            }
            HoldWhy::Returns => f.write_str("the file keeps coming back to this machine"),
            HoldWhy::Approval { rule } => write!(f, "rule {rule} asks for approval"),
            HoldWhy::ServiceApproval => f.write_str("the service's mode approve asks for it"),
            HoldWhy::Breaker { breaker, scope } => write!(f, "breaker {breaker} holds {scope}"),
            HoldWhy::Protection { rule, fields, told } => {
                let (fields, told) = (fields.join(", "), after(told));
                write!(f, "protection unknown: rule {rule} does not know {fields}{told}")
            }
            HoldWhy::Recalled => f.write_str("its file was recalled when it came"),
            HoldWhy::Outcome { end, error } => write!(f, "Defender says that it {end}: {error}"),
            HoldWhy::Correlation { rule, bound } => {
                write!(f, "correlation {rule} has {bound} already, and can't count it")
            }
            HoldWhy::Withdrawn { rule } => write!(f, "rule {rule} does not act any more"),
        }
    }
}

fn after(told: &str) -> String {
    if told.is_empty() { String::new() } else { format!(": {told}") }
}

/// Who has to say yes before a held action goes on, and who has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    /// How many different people, 1 or 2.
    pub count: u8,
    /// Only people with a token of their own count.
    pub four_eyes: bool,
    /// By whom, as they stand on the record.
    pub given: Vec<String>,
}

impl Approvals {
    /// What satisfies both of them; nobody has said yes yet.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            count: self.count.max(other.count),
            four_eyes: self.four_eyes || other.four_eyes,
            given: Vec::new(),
        }
    }
}

impl Default for Approvals {
    fn default() -> Self {
        Self { count: 1, four_eyes: false, given: Vec::new() }
    }
}
