//! One spelling for each value, whatever case, separators or old name a payload writes.

use std::borrow::Cow;

use crate::domain::candidate::Field;
use crate::domain::ids::{MachineId, Sha1};

/// The values that are known for a field; empty for a field that is no enumeration. Others may
/// come, and are kept as they came. From the references of the Defender for Endpoint API and of
/// `microsoft.graph.security`, under the names of the first where both have one.
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
        Field::AlertServiceSource => SERVICE_SOURCES,
        Field::AlertDetectionSource => DETECTION_SOURCES,
        Field::MachineHealth => &[
            "Active",
            "Inactive",
            "ImpairedCommunication",
            "NoSensorData",
            "NoSensorDataImpairedCommunication",
            "Unknown",
        ],
        Field::MachineOnboarding => {
            &["Onboarded", "CanBeOnboarded", "Unsupported", "InsufficientInfo", "Unknown"]
        }
        Field::MachineRisk => &["None", "Informational", "Low", "Medium", "High", "Unknown"],
        Field::MachineAvStatus => {
            &["Updated", "NotUpdated", "Disabled", "NotReporting", "NotSupported", "Unknown"]
        }
        Field::MachineExposure => &["None", "Low", "Medium", "High"],
        Field::MachineValue => &["Normal", "Low", "High"],
        Field::FilePe => &["True", "False"],
        Field::FileEntity => &["File", "Process"],
        Field::FileRole => ROLES,
        Field::FileVerdict => &["Malicious", "Suspicious", "Clean", "Unknown"],
        Field::FileRemediation => REMEDIATIONS,
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
    "MicrosoftDefenderForIdentity",
    "CloudAppSecurity",
    "Microsoft365Defender",
    "AzureAdIdentityProtection",
    "Manual",
    "MicrosoftDataLossPrevention",
    "AppGovernancePolicy",
    "AppGovernanceDetection",
    "MicrosoftDefenderForCloud",
    "MicrosoftDefenderForIoT",
    "MicrosoftDefenderForServers",
    "MicrosoftDefenderForStorage",
    "MicrosoftDefenderForDNS",
    "MicrosoftDefenderForDatabases",
    "MicrosoftDefenderForContainers",
    "MicrosoftDefenderForNetwork",
    "MicrosoftDefenderForAppService",
    "MicrosoftDefenderForKeyVault",
    "MicrosoftDefenderForResourceManager",
    "MicrosoftDefenderForApiManagement",
    "MicrosoftDefenderForAIServices",
    "MicrosoftDefenderThreatIntelligenceAnalytics",
    "MicrosoftThreatIntelligence",
    "MicrosoftInsiderRiskManagement",
    "MicrosoftSentinel",
    "SecurityCopilot",
    "BuiltInMl",
    "NrtAlerts",
    "ScheduledAlerts",
    "Unknown",
];

const SERVICE_SOURCES: &[&str] = &[
    "MicrosoftDefenderForEndpoint",
    "MicrosoftDefenderForIdentity",
    "MicrosoftDefenderForCloudApps",
    "MicrosoftDefenderForOffice365",
    "MicrosoftDefenderForCloud",
    "Microsoft365Defender",
    "AzureAdIdentityProtection",
    "MicrosoftAppGovernance",
    "DataLossPrevention",
    "MicrosoftSentinel",
    "MicrosoftInsiderRiskManagement",
    "MicrosoftThreatIntelligence",
    "Unknown",
];

const ROLES: &[&str] = &[
    "Impacted",
    "Related",
    "Contextual",
    "Scanned",
    "Source",
    "Destination",
    "Created",
    "Added",
    "Compromised",
    "Edited",
    "Attacked",
    "Attacker",
    "CommandAndControl",
    "Loaded",
    "Suspicious",
    "PolicyViolator",
    "Unknown",
];

const REMEDIATIONS: &[&str] = &[
    "None",
    "Active",
    "PendingApproval",
    "Running",
    "Remediated",
    "PartiallyRemediated",
    "Unremediated",
    "Prevented",
    "Blocked",
    "Declined",
    "NotFound",
    "Unknown",
];

/// Other names of known values, by field.
const ALIASES: &[(Field, &str, &str)] = &[
    (Field::AlertDetectionSource, "microsoftDefenderForEndpoint", "WindowsDefenderAtp"),
    (Field::AlertDetectionSource, "EDR", "WindowsDefenderAtp"),
    (Field::AlertDetectionSource, "antivirus", "WindowsDefenderAv"),
    (Field::AlertDetectionSource, "smartScreen", "WindowsDefenderSmartScreen"),
    (Field::AlertDetectionSource, "microsoftThreatExperts", "ThreatExperts"),
    (Field::AlertDetectionSource, "microsoftDefenderForOffice365", "OfficeATP"),
    (Field::FileVerdict, "noThreatsFound", "Clean"),
    (Field::FileRemediation, "notRemediated", "Unremediated"),
];

/// The one spelling of a value, or `None` for one of no use there, which is an absent field: a
/// number in place of an enumeration's word, Graph's `unknownFutureValue`, which stands for words
/// that it keeps to itself, a hash or an id that is none, a path that is none.
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
    if known.is_empty() {
        return Some(value);
    }
    let alias = || ALIASES.iter().find(|(of, alias, _)| *of == field && alike(alias, &value));
    let one = known.iter().find(|known| alike(known, &value)).copied();
    match one.or_else(|| alias().map(|(_, _, one)| *one)) {
        Some(one) => Some(Cow::Borrowed(one)),
        None if value.parse::<f64>().is_ok() || alike(&value, "unknownFutureValue") => None,
        None => Some(value),
    }
}

/// As [`one`] for a field that is an enumeration, and `None` for a word that is not known.
pub(super) fn known_one(field: Field, value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    one(field, value).filter(|one| known(field).contains(&&**one))
}

/// Compares letter by letter, so that most texts are told apart by their first.
pub(super) fn alike(a: &str, b: &str) -> bool {
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
