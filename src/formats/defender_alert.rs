//! `defender-alert`: the alert object of the Defender for Endpoint API (`GET /api/alerts`), with
//! `evidence[]` where it was asked for with `$expand=evidence`.
//!
//! One machine stands in `machineId`. Files are the evidence items of type `File` and `Process`,
//! never a process's parent. What each key becomes is in [`decode`]. Of these keys, `null` or `[]`
//! means "none" and gives a known-empty field: `classification`, `determination`,
//! `threatFamilyName`, `threatName`, `mitreTechniques`. Any other `null` means "not said" and gives
//! an absent field, as does a key that is not there, and a value of no use (see
//! [`super::spelling`]), which a `not` must not act on. Two equal keys that are read here make the
//! alert unreadable: no one can know which was meant.

use std::borrow::Cow;

use serde::Deserialize;

use super::lenient::{Object, OneOrMany, Text, Texts};
use super::{Format, spelling};
use crate::domain::alert::{Alert, Unreadable, severity_rank};
use crate::domain::candidate::{Candidate, Field, Fields, Incomplete, Value};
use crate::domain::ids::{HashError, MachineId, Sha1};
use crate::domain::time::Wall;
use crate::limits;

/// See [`Format::gives`].
pub(super) const GIVES: &[Field] = &[
    Field::AlertId,
    Field::AlertIncident,
    Field::AlertTitle,
    Field::AlertSeverity,
    Field::AlertSeverityRank,
    Field::AlertCategory,
    Field::AlertStatus,
    Field::AlertClassification,
    Field::AlertDetermination,
    Field::AlertInvestigation,
    Field::AlertDetectionSource,
    Field::AlertDetector,
    Field::AlertFamily,
    Field::AlertThreat,
    Field::AlertTechniques,
    Field::AlertCreated,
    Field::AlertUpdated,
    Field::AlertAge,
    Field::AlertTenant,
    Field::AlertFormat,
    Field::AlertSource,
    Field::AlertMachines,
    Field::AlertFiles,
    Field::MachineId,
    Field::MachineName,
    Field::MachineGroup,
    Field::FileSha1,
    Field::FileSha256,
    Field::FileName,
    Field::FilePath,
    Field::FileEntity,
    Field::FileDetectionStatus,
    Field::FileCreated,
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    incident_id: Text<'a>,
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    severity: Text<'a>,
    #[serde(borrow, default)]
    category: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    classification: Text<'a>,
    #[serde(borrow, default)]
    determination: Text<'a>,
    #[serde(borrow, default)]
    investigation_state: Text<'a>,
    #[serde(borrow, default)]
    detection_source: Text<'a>,
    #[serde(borrow, default)]
    detector_id: Text<'a>,
    #[serde(borrow, default)]
    threat_family_name: Text<'a>,
    #[serde(borrow, default)]
    threat_name: Text<'a>,
    #[serde(borrow, default)]
    mitre_techniques: Texts<'a>,
    #[serde(borrow, default)]
    alert_creation_time: Text<'a>,
    #[serde(borrow, default)]
    last_update_time: Text<'a>,
    #[serde(borrow, default)]
    aad_tenant_id: Text<'a>,
    #[serde(borrow, default)]
    machine_id: Text<'a>,
    #[serde(borrow, default)]
    computer_dns_name: Text<'a>,
    #[serde(borrow, default)]
    rbac_group_name: Text<'a>,
    #[serde(borrow, default)]
    evidence: OneOrMany<Evidence<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Evidence<'a> {
    #[serde(borrow, default)]
    entity_type: Text<'a>,
    #[serde(borrow, default)]
    evidence_creation_time: Text<'a>,
    #[serde(borrow, default)]
    sha1: Text<'a>,
    #[serde(borrow, default)]
    sha256: Text<'a>,
    #[serde(borrow, default)]
    file_name: Text<'a>,
    #[serde(borrow, default)]
    file_path: Text<'a>,
    #[serde(borrow, default)]
    detection_status: Text<'a>,
}

/// Reads one alert.
pub(super) fn decode(alert: &str) -> Result<Alert<'_>, Unreadable> {
    let Object(mut raw) = serde_json::from_str::<Object<Raw>>(alert).map_err(unreadable)?;
    let id = read_id(std::mem::take(&mut raw.id))?;
    let tenant_id = read_tenant(std::mem::take(&mut raw.aad_tenant_id));
    let machine = read_machine(&raw.machine_id);
    let mut files = std::mem::take(&mut raw.evidence).0;
    files.retain(|item| entity(&item.entity_type).is_some());
    if files.len() > limits::CANDIDATES_PER_ALERT {
        let most = limits::CANDIDATES_PER_ALERT;
        return Err(Unreadable(format!("{} files; no real alert has over {most}", files.len())));
    }
    let created = read_time(&raw.alert_creation_time);
    let machines = i64::from(raw.machine_id.clone().known().is_some());
    let mut shared = shared_fields(raw, created);
    shared.set(Field::AlertId, Value::Text(id.clone()));
    shared.set(Field::AlertFiles, Value::Number(i64::try_from(files.len()).unwrap_or(i64::MAX)));
    shared.set(Field::AlertMachines, Value::Number(machines));
    let candidates =
        files.into_iter().map(|file| candidate(file, &shared, &machine, created)).collect();
    Ok(Alert { id, tenant_id, created, candidates })
}

/// What every candidate of an alert shares: `alert.*` and `machine.*`.
fn shared_fields(raw: Raw<'_>, created: Option<Wall>) -> Fields<'_> {
    let mut fields = Fields::default();
    fields.set_text(Field::AlertFormat, Format::DefenderAlert.as_str());
    for (field, text) in [
        (Field::AlertIncident, raw.incident_id),
        (Field::AlertTitle, raw.title),
        (Field::AlertDetector, raw.detector_id),
        (Field::AlertUpdated, raw.last_update_time),
        (Field::MachineId, raw.machine_id),
        (Field::MachineName, raw.computer_dns_name),
        (Field::MachineGroup, raw.rbac_group_name),
    ] {
        set_known(&mut fields, field, text);
    }
    if created.is_some() {
        set_known(&mut fields, Field::AlertCreated, raw.alert_creation_time);
    }
    for (field, text) in [
        (Field::AlertClassification, &raw.classification),
        (Field::AlertDetermination, &raw.determination),
        (Field::AlertFamily, &raw.threat_family_name),
        (Field::AlertThreat, &raw.threat_name),
    ] {
        if *text == Text::Null {
            fields.set(field, Value::Empty);
        }
    }
    for (field, text) in [
        (Field::AlertSeverity, raw.severity),
        (Field::AlertCategory, raw.category),
        (Field::AlertStatus, raw.status),
        (Field::AlertInvestigation, raw.investigation_state),
        (Field::AlertDetectionSource, raw.detection_source),
        (Field::AlertClassification, raw.classification),
        (Field::AlertDetermination, raw.determination),
        (Field::AlertFamily, raw.threat_family_name),
        (Field::AlertThreat, raw.threat_name),
    ] {
        set_known(&mut fields, field, text);
    }
    match raw.mitre_techniques {
        Texts::Null => fields.set(Field::AlertTechniques, Value::Empty),
        Texts::Are(list) if list.is_empty() => fields.set(Field::AlertTechniques, Value::Empty),
        Texts::Are(list) => fields.set(Field::AlertTechniques, Value::List(list)),
        Texts::Missing | Texts::Other => {}
    }
    if let Value::Text(severity) = fields.get(Field::AlertSeverity) {
        let rank = severity_rank(severity);
        fields.set(Field::AlertSeverityRank, Value::Number(rank));
    }
    fields
}

fn candidate<'a>(
    file: Evidence<'a>,
    shared: &Fields<'a>,
    machine: &Result<MachineId, Incomplete>,
    created: Option<Wall>,
) -> Candidate<'a> {
    let mut fields = shared.clone();
    if let Some(entity) = entity(&file.entity_type) {
        fields.set_text(Field::FileEntity, entity);
    }
    let sha1 = read_sha1(&file.sha1);
    let since = read_time(&file.evidence_creation_time);
    if since.is_some() {
        set_known(&mut fields, Field::FileCreated, file.evidence_creation_time);
    }
    set_known(&mut fields, Field::FileSha1, file.sha1);
    set_known(&mut fields, Field::FileSha256, file.sha256);
    set_known(&mut fields, Field::FileName, file.file_name);
    set_known(&mut fields, Field::FilePath, file.file_path);
    set_known(&mut fields, Field::FileDetectionStatus, file.detection_status);
    Candidate { machine: machine.clone(), sha1, evidence: since.or(created), fields }
}

fn entity(text: &Text<'_>) -> Option<&'static str> {
    let text = text.clone().known()?;
    let known = spelling::known(Field::FileEntity);
    known.iter().copied().find(|one| one.eq_ignore_ascii_case(&text))
}

fn read_id(id: Text<'_>) -> Result<Cow<'_, str>, Unreadable> {
    let id = id.known().ok_or_else(|| Unreadable("the alert has no id".to_owned()))?;
    if id.len() > limits::ALERT_ID_BYTES {
        let most = limits::ALERT_ID_BYTES;
        return Err(Unreadable(format!("the alert's id is longer than {most} bytes")));
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
    if !id.bytes().all(fits) {
        return Err(Unreadable(format!("{:?} is no alert id: letters, digits and _.:- only", id)));
    }
    Ok(id)
}

/// What is no text names a tenant all the same, one that nobody knows: only an alert that is silent
/// about it may fall to the only tenant there is.
fn read_tenant(text: Text<'_>) -> Option<Cow<'_, str>> {
    match text {
        Text::Other => Some(Cow::Borrowed("(not a text)")),
        text => text.known(),
    }
}

fn read_time(text: &Text<'_>) -> Option<Wall> {
    let Text::Is(text) = text else { return None };
    Wall::parse(text)
}

/// Defender's id or, for the things that stand there in its place, what they are.
fn read_machine(text: &Text<'_>) -> Result<MachineId, Incomplete> {
    let Some(id) = text.clone().known() else {
        return Err(Incomplete("machineId is missing".to_owned()));
    };
    MachineId::parse(&id).map_err(|why| {
        let digits = id.bytes().all(|b| b.is_ascii_hexdigit());
        let shape = match id.len() {
            _ if why == HashError::Zeros => "is all zeros",
            36 if uuid::Uuid::try_parse(&id).is_ok() => {
                "is a GUID: Defender's ids are 40 hex digits"
            }
            32 if digits => "is 32 hex digits: Defender's ids are 40",
            _ if digits => "is not 40 hex digits",
            _ => "is a name: Defender's ids are 40 hex digits",
        };
        Incomplete(format!("machineId {shape}"))
    })
}

fn read_sha1(text: &Text<'_>) -> Result<Sha1, Incomplete> {
    match text.clone().known() {
        Some(hash) => Sha1::parse(&hash).map_err(|why| Incomplete(format!("sha1 {why}"))),
        None => Err(Incomplete("sha1 is missing".to_owned())),
    }
}

/// Sets a field, unless nothing usable stands there: that is unknown, and unknown never acts.
fn set_known<'a>(fields: &mut Fields<'a>, field: Field, text: Text<'a>) {
    if let Some(text) = text.known().and_then(|text| spelling::one(field, text)) {
        fields.set(field, Value::Text(text));
    }
}

/// serde's own words, which name the key and the place but never quote a value at length.
fn unreadable(e: serde_json::Error) -> Unreadable {
    let why: String = e.to_string().chars().filter(|c| !c.is_control()).take(160).collect();
    Unreadable(why)
}

#[cfg(test)]
mod tests;
