//! One spelling for each value, whatever case, separators or old name a payload writes.

use std::borrow::Cow;

use crate::domain::candidate::Field;
use crate::domain::ids::{MachineId, Sha1};

/// The values that are known for a field; empty for a field that is no enumeration. Others may
/// come, and are kept as they came. From the Defender for Endpoint alert API reference.
pub fn known(field: Field) -> &'static [&'static str] {
    match field {
        Field::AlertSeverity => &["Informational", "Low", "Medium", "High", "Critical", "Unknown"],
        Field::AlertStatus => &["New", "InProgress", "Resolved", "Unknown"],
        Field::AlertClassification => {
            &["TruePositive", "FalsePositive", "InformationalExpectedActivity", "Unknown"]
        }
        Field::AlertDetermination => DETERMINATIONS,
        Field::AlertInvestigation => INVESTIGATIONS,
        Field::AlertCategory => CATEGORIES,
        Field::AlertDetectionSource => DETECTION_SOURCES,
        Field::FileEntity => &["File", "Process"],
        Field::FileDetectionStatus => &["Detected", "Blocked", "Prevented", "Unknown"],
        _ => &[],
    }
}

const CATEGORIES: &[&str] = &[
    "Malware",
    "Ransomware",
    "SuspiciousActivity",
    "UnwantedSoftware",
    "Collection",
    "CommandAndControl",
    "CredentialAccess",
    "DefenseEvasion",
    "Discovery",
    "Execution",
    "Exfiltration",
    "Exploit",
    "Impact",
    "InitialAccess",
    "LateralMovement",
    "Persistence",
    "PrivilegeEscalation",
    "ThreatActivity",
    "None",
    "Unknown",
];

const DETERMINATIONS: &[&str] = &[
    "MultiStagedAttack",
    "MaliciousUserActivity",
    "CompromisedAccount",
    "CompromisedUser",
    "Malware",
    "Phishing",
    "UnwantedSoftware",
    "SecurityTesting",
    "SecurityPersonnel",
    "LineOfBusinessApplication",
    "ConfirmedActivity",
    "ConfirmedUserActivity",
    "NotMalicious",
    "NotEnoughDataToValidate",
    "Apt",
    "Clean",
    "InsufficientData",
    "Other",
    "Unknown",
];

const INVESTIGATIONS: &[&str] = &[
    "Queued",
    "Running",
    "PendingApproval",
    "PendingResource",
    "SuccessfullyRemediated",
    "PartiallyRemediated",
    "PartiallyInvestigated",
    "Benign",
    "Failed",
    "InnerFailure",
    "PreexistingAlert",
    "SuppressedAlert",
    "Terminated",
    "TerminatedByUser",
    "TerminatedBySystem",
    "UnsupportedAlertType",
    "UnsupportedOs",
    "Unknown",
];

const DETECTION_SOURCES: &[&str] = &[
    "WindowsDefenderAtp",
    "WindowsDefenderAv",
    "WindowsDefenderSmartScreen",
    "AutomatedInvestigation",
    "CustomDetection",
    "CustomTI",
    "ThreatExperts",
    "OfficeATP",
    "Unknown",
];

/// The one spelling of a value, or `None` for one of no use there, which is an absent field: a
/// number in place of an enumeration's word, a hash or an id that is none, a path that is none.
/// Enumerations are told by their letters, whatever case, blanks, commas, `_` and `-` a payload
/// writes; `UnSpecified` is `Unknown` everywhere; a word that is not known comes back as it is.
pub fn one(field: Field, value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    match field {
        Field::FilePath => path(value),
        Field::FileSha1 => Sha1::parse(&value).is_ok().then(|| lower(value)),
        Field::MachineId => MachineId::parse(&value).is_ok().then(|| lower(value)),
        Field::FileSha256 => is_sha256(&value).then(|| lower(value)),
        _ => word(field, value),
    }
}

fn word(field: Field, value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if alike(&value, "unspecified") {
        return Some(Cow::Borrowed("Unknown"));
    }
    let known = known(field);
    match known.iter().find(|known| alike(known, &value)) {
        Some(known) => Some(Cow::Borrowed(known)),
        None if !known.is_empty() && value.parse::<f64>().is_ok() => None,
        None => Some(value),
    }
}

/// Compares letter by letter, so that most texts are told apart by their first.
fn alike(a: &str, b: &str) -> bool {
    fn letters(text: &str) -> impl Iterator<Item = char> {
        let told = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '_' | '-' | ','));
        told.map(|c| c.to_ascii_lowercase())
    }
    letters(a).eq(letters(b))
}

/// With `\` between its parts and none at its end, so that a directory has one spelling; a drive
/// keeps its own. Only what starts like a path is one: `N/A` is not.
fn path(value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let drive = value.as_bytes().get(1) == Some(&b':');
    if !drive && !value.starts_with(['\\', '/', '%']) {
        return None;
    }
    let value = match value.contains('/') {
        true => Cow::Owned(value.replace('/', "\\")),
        false => value,
    };
    let bare = value.trim_end_matches('\\');
    let whole = bare.is_empty() || bare.ends_with(':') || bare.len() == value.len();
    Some(if whole { value } else { Cow::Owned(bare.to_owned()) })
}

fn is_sha256(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
    text.len() == 64 && digits && text.bytes().any(|b| b != b'0')
}

fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => text,
    }
}
