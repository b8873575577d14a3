//! One spelling for each value of an enumeration, whatever case or old name a payload writes.

use std::borrow::Cow;

use crate::domain::candidate::Field;

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
    "Malware",
    "Phishing",
    "UnwantedSoftware",
    "SecurityTesting",
    "SecurityPersonnel",
    "LineOfBusinessApplication",
    "ConfirmedActivity",
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

/// The one spelling of a value; `UnSpecified` is `Unknown` everywhere. A value that is not known
/// comes back as it is.
pub(super) fn one<'a>(field: Field, value: Cow<'a, str>) -> Cow<'a, str> {
    if value.eq_ignore_ascii_case("unspecified") {
        return Cow::Borrowed("Unknown");
    }
    match known(field).iter().find(|known| known.eq_ignore_ascii_case(&value)) {
        Some(known) => Cow::Borrowed(known),
        None => value,
    }
}
