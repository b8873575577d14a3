//! `defender-alert`: the alert object of the Defender for Endpoint API (`GET /api/alerts`), with
//! `evidence[]` where it was asked for with `$expand=evidence`. One without evidence is thin: where
//! a rule could match, Defender is asked for the whole.
//!
//! One machine stands in `machineId`. Files are the evidence items of type `File` and `Process`,
//! never a process's parent. What each key becomes is in [`decode`]. Of these keys, `null` or `[]`
//! means "none" and gives a known-empty field: `classification`, `determination`,
//! `threatFamilyName`, `threatName`, `mitreTechniques`. Any other `null` means "not said" and gives
//! an absent field, as does a key that is not there, and a value of no use (see
//! [`super::spelling`]), which a `not` must not act on. Two equal keys that are read here make the
//! alert unreadable: no one can know which was meant.

use serde::Deserialize;

use super::lenient::{OneOrMany, Text, Texts};
use super::read::{self, set_known, set_known_or_none};
use super::{Format, spelling};
use crate::domain::alert::{Alert, Ask, Unreadable};
use crate::domain::candidate::{Candidate, Field, Fields, Incomplete, Value};
use crate::domain::ids::MachineId;
use crate::domain::time::Wall;

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
    let mut raw: Raw = read::object(alert)?;
    let id = read::id(std::mem::take(&mut raw.id))?;
    let tenant_id = read::tenant(std::mem::take(&mut raw.aad_tenant_id));
    let machine = read::machine("machineId", &raw.machine_id);
    let mut files = std::mem::take(&mut raw.evidence).0;
    let is_thin = files.is_empty();
    files.retain(|item| entity(&item.entity_type).is_some());
    let count = read::file_count(files.len())?;
    let created = read::time(&raw.alert_creation_time);
    let machines = i64::from(raw.machine_id.clone().known().is_some());
    let mut shared = shared_fields(raw, created);
    shared.set(Field::AlertId, Value::Text(id.clone()));
    shared.set(Field::AlertFiles, count);
    shared.set(Field::AlertMachines, Value::Number(machines));
    let candidates: Vec<_> =
        files.into_iter().map(|file| candidate(file, &shared, &machine, created)).collect();
    // A list that was not asked for evidence has `[]` for it, as an alert has that has none.
    let (mut asks, mut known) = (Vec::new(), None);
    if is_thin {
        asks.push(Ask::Alert(id.to_string()));
        shared.set(Field::AlertFiles, Value::Absent);
        known = Some(Box::new(shared));
    }
    Ok(Alert { id, tenant_id, created, candidates, asks, known })
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
        (Field::AlertSeverity, raw.severity),
        (Field::AlertCategory, raw.category),
        (Field::AlertStatus, raw.status),
        (Field::AlertInvestigation, raw.investigation_state),
        (Field::AlertDetectionSource, raw.detection_source),
    ] {
        set_known(&mut fields, field, text);
    }
    for (field, text) in [
        (Field::AlertClassification, raw.classification),
        (Field::AlertDetermination, raw.determination),
        (Field::AlertFamily, raw.threat_family_name),
        (Field::AlertThreat, raw.threat_name),
    ] {
        set_known_or_none(&mut fields, field, text);
    }
    read::set_list_or_none(&mut fields, Field::AlertTechniques, raw.mitre_techniques);
    read::set_severity_rank(&mut fields);
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
    let sha1 = read::sha1(&file.sha1);
    let since = read::time(&file.evidence_creation_time);
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

#[cfg(test)]
mod tests;
