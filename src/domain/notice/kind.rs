//! The kinds of messages, and how much each matters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a message is about. A channel chooses among all but the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Held,
    /// Held since a deny rule does not know enough.
    ProtectionUnknown,
    /// A breaker has tripped.
    Breaker,
    Paused,
    Resumed,
    Recalled,
    Refused,
    Failed,
    TimedOut,
    GaveUp,
    Cancelled,
    Expired,
    SourceSilent,
    SourceHeard,
    CredentialExpiring,
    RulesRefused,
    RulesLoaded,
    SignInRefused,
    Started,
    Stopped,
    /// The heads of the record.
    Anchor,
    /// Several of the above, where they are too many for a message each.
    #[serde(skip_deserializing)]
    Digest,
    /// Asked for by `lazaret notify test`.
    #[serde(skip_deserializing)]
    Test,
}

/// How much it matters: the words of PagerDuty, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

impl Kind {
    /// Those that a channel may choose.
    pub const ALL: [Kind; 21] = [
        Kind::Held,
        Kind::ProtectionUnknown,
        Kind::Breaker,
        Kind::Paused,
        Kind::Resumed,
        Kind::Recalled,
        Kind::Refused,
        Kind::Failed,
        Kind::TimedOut,
        Kind::GaveUp,
        Kind::Cancelled,
        Kind::Expired,
        Kind::SourceSilent,
        Kind::SourceHeard,
        Kind::CredentialExpiring,
        Kind::RulesRefused,
        Kind::RulesLoaded,
        Kind::SignInRefused,
        Kind::Started,
        Kind::Stopped,
        Kind::Anchor,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Held => "held",
            Kind::ProtectionUnknown => "protection_unknown",
            Kind::Breaker => "breaker",
            Kind::Paused => "paused",
            Kind::Resumed => "resumed",
            Kind::Recalled => "recalled",
            Kind::Refused => "refused",
            Kind::Failed => "failed",
            Kind::TimedOut => "timed_out",
            Kind::GaveUp => "gave_up",
            Kind::Cancelled => "cancelled",
            Kind::Expired => "expired",
            Kind::SourceSilent => "source_silent",
            Kind::SourceHeard => "source_heard",
            Kind::CredentialExpiring => "credential_expiring",
            Kind::RulesRefused => "rules_refused",
            Kind::RulesLoaded => "rules_loaded",
            Kind::SignInRefused => "sign_in_refused",
            Kind::Started => "started",
            Kind::Stopped => "stopped",
            Kind::Anchor => "anchor",
            Kind::Digest => "digest",
            Kind::Test => "test",
        }
    }

    /// Told at once; the others wait a while for more of their kind.
    pub fn is_urgent(self) -> bool {
        matches!(self, Kind::Breaker | Kind::Paused | Kind::RulesRefused)
    }

    /// What a channel is told that names no kinds: everything but what happens on any good day.
    pub fn is_told_by_default(self) -> bool {
        !matches!(
            self,
            Kind::RulesLoaded | Kind::Cancelled | Kind::Started | Kind::Stopped | Kind::Anchor
        )
    }

    pub fn severity(self) -> Severity {
        match self {
            Kind::Breaker => Severity::Critical,
            Kind::Refused
            | Kind::Failed
            | Kind::GaveUp
            | Kind::SourceSilent
            | Kind::RulesRefused => Severity::Error,
            Kind::Held
            | Kind::ProtectionUnknown
            | Kind::Paused
            | Kind::Recalled
            | Kind::TimedOut
            | Kind::Expired
            | Kind::CredentialExpiring
            | Kind::SignInRefused
            | Kind::Stopped => Severity::Warning,
            Kind::Resumed
            | Kind::Cancelled
            | Kind::SourceHeard
            | Kind::RulesLoaded
            | Kind::Started
            | Kind::Anchor
            | Kind::Digest
            | Kind::Test => Severity::Info,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
