//! What happened: an incident as the generator knows it, before anybody tells of it.

use std::collections::BTreeSet;
use std::time::Duration;

/// One alert, and all that is true of it.
#[derive(Clone, Debug)]
pub(super) struct Alert {
    /// The Entra tenant id.
    pub tenant: String,
    pub tenant_number: u64,
    /// Whether a configuration can know the tenant.
    pub tenant_is_known: bool,
    pub id: String,
    pub severity: Severity,
    pub title: String,
    pub category: &'static str,
    /// When it was raised, since the Unix epoch.
    pub at: Duration,
    /// Whether its AlertInfo row ever comes.
    pub has_info: bool,
    /// Whether its evidence says the severity too.
    pub evidence_has_severity: bool,
    /// The machines that it has evidence of their own for.
    pub machines: Vec<Machine>,
    pub files: Vec<Met>,
    pub others: Vec<Other>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Informational,
    Low,
    Medium,
    High,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Machine {
    /// 40 hex digits in lower case.
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug)]
pub(super) struct File {
    pub sha1: String,
    pub sha256: String,
    pub name: String,
    pub folder: &'static str,
    pub size: u64,
}

/// A file as it was met on a machine, and what its evidence tells of that.
#[derive(Clone, Debug)]
pub(super) struct Met {
    pub file: File,
    /// Where it was, told or not.
    pub machine: Machine,
    pub entity: Entity,
    pub status: Status,
    pub told: Told,
    pub hash: Hash,
    /// When, since the Unix epoch.
    pub at: Duration,
    pub writing: Writing,
    /// Of what is made up around it, so that it is told alike twice.
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entity {
    File,
    Process,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Detected,
    Blocked,
    Prevented,
    Unsaid,
}

/// Where its evidence says on which machine a file was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Column,
    Nested,
    /// By a reference to another branch.
    Reference,
    Nowhere,
}

/// Where its evidence says the SHA-1 of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Both,
    Column,
    Nested,
    Nowhere,
    Zeros,
    /// The column has the file's, and this one is nested.
    Differs(String),
}

/// How hexadecimal digits are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    Lower,
    Upper,
}

/// Evidence that is neither a machine nor a file.
#[derive(Clone, Debug)]
pub(super) struct Other {
    pub kind: OtherKind,
    /// The machine that it names beside.
    pub machine: Option<Machine>,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherKind {
    User,
    /// With the hash and the name of an attachment.
    Mailbox,
    MailMessage,
    Url,
    Ip,
    RegistryKey,
    CloudApplication,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Informational => "Informational",
            Severity::Low => "Low",
            Severity::Medium => "Medium",
            Severity::High => "High",
        }
    }
}

impl Status {
    /// `None` where nothing is said.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Status::Detected => Some("Detected"),
            Status::Blocked => Some("Blocked"),
            Status::Prevented => Some("Prevented"),
            Status::Unsaid => None,
        }
    }
}

impl Writing {
    pub fn of(self, hex: &str) -> String {
        match self {
            Writing::Lower => hex.to_owned(),
            Writing::Upper => hex.to_ascii_uppercase(),
        }
    }
}

impl Alert {
    pub fn key(&self) -> super::AlertKey {
        (self.tenant.clone(), self.id.clone())
    }

    /// The ids of all machines that its evidence names anywhere.
    pub fn named(&self) -> BTreeSet<&str> {
        let told = self.files.iter().filter(|met| met.told != Told::Nowhere);
        let machines = self.machines.iter().chain(told.map(|met| &met.machine));
        let others = self.others.iter().filter_map(|other| other.machine.as_ref());
        machines.chain(others).map(|machine| machine.id.as_str()).collect()
    }
}

/// What is made of an incident: each part is a row, or an alert as a whole.
pub(super) struct Made {
    pub parts: Vec<String>,
    /// How many of them were there before with another state.
    pub again: u64,
}

/// What is peculiar about an alert, once for each time.
pub(super) fn kinds(alert: &Alert) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for met in &alert.files {
        kinds.push(match met.told {
            Told::Column => "machine in its own column",
            Told::Nested => "machine nested",
            Told::Reference => "machine by reference",
            Told::Nowhere => "machine not told",
        });
        kinds.push(match met.hash {
            Hash::Both => "hash twice",
            Hash::Column => "hash in its column",
            Hash::Nested => "hash nested",
            Hash::Nowhere => "no hash",
            Hash::Zeros => "hash of zeros",
            Hash::Differs(_) => "hashes that differ",
        });
        if met.writing == Writing::Upper {
            kinds.push("upper case");
        }
        if met.entity == Entity::Process {
            kinds.push("process");
        }
        if met.status != Status::Detected {
            kinds.push("blocked, prevented or not said");
        }
    }
    kinds.extend(alert.others.iter().map(|other| match other.kind {
        OtherKind::Mailbox => "mailbox with a hash",
        _ => "evidence of another kind",
    }));
    let elsewhere = |other: &Other| {
        let is = |machine| Some(machine) == other.machine.as_ref();
        let files = alert.files.iter().map(|met| &met.machine);
        other.machine.is_some() && !alert.machines.iter().chain(files).any(is)
    };
    let named_by_others = alert.others.iter().any(elsewhere);
    let several = alert.machines.len() > 1;
    let alone = alert.files.is_empty() && alert.machines.is_empty() && alert.others.is_empty();
    for (is, kind) in [
        (several, "several machines"),
        (named_by_others, "machine named by other evidence alone"),
        (alone, "alert without evidence"),
        (alert.files.is_empty() && !alone, "alert without files"),
        (!alert.has_info, "alert without AlertInfo"),
        (!alert.evidence_has_severity, "evidence without severity"),
        (!alert.tenant_is_known, "unknown tenant"),
        (matches!(alert.severity, Severity::Informational | Severity::Low), "low severity"),
    ] {
        if is {
            kinds.push(kind);
        }
    }
    kinds
}
