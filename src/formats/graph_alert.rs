//! `graph-alert`: the alert object of Microsoft Graph (`GET /security/alerts_v2`, type
//! `microsoft.graph.security.alert`).
//!
//! Files are the evidence items of type `fileEvidence` (`fileDetails`) and `processEvidence`
//! (`imageFile`), never a process's parent. Each is on the machine of its own `mdeDeviceId`, see
//! [`Machines`] for those that name none. What each key becomes is in [`decode`].
//!
//! Of these keys, `null` or `[]` means "none" and gives a known-empty field: `classification` and
//! `determination`, which stay `null` until someone sets them, `threatFamilyName`,
//! `threatDisplayName` and `mitreTechniques`, which Graph fills from the detection that made the
//! alert. Any other `null` means "not said" and gives an absent field, as does a key that is not
//! there: Graph writes `"signer": null` for signed files, and `"roles": []` beside a role in
//! `detailedRoles`. `"tags": []` is no promise either: that a machine has no tag would free it from
//! rules that protect by tag.
//!
//! Graph's enumerations grow, and a client that does not ask for new words gets
//! `unknownFutureValue`. A word that [`spelling`] does not have is absent, which a `not` must not
//! act on; `category` is a text and stays as it came. Two equal keys that are read here make the
//! alert unreadable: no one can know which was meant.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::lenient::{MaybeObject, OneOrMany, Text, Texts};
use super::read::{self, set_known, set_known_or_none, set_listed};
use super::{Format, spelling};
use crate::domain::alert::{Alert, Unreadable};
use crate::domain::candidate::{Candidate, Field, Fields, Incomplete, Value};
use crate::domain::ids::MachineId;
use crate::domain::time::Wall;

/// See [`Format::gives`].
pub(super) const GIVES: &[Field] = &[
    Field::AlertId,
    Field::AlertProviderId,
    Field::AlertIncident,
    Field::AlertTitle,
    Field::AlertSeverity,
    Field::AlertSeverityRank,
    Field::AlertCategory,
    Field::AlertStatus,
    Field::AlertClassification,
    Field::AlertDetermination,
    Field::AlertInvestigation,
    Field::AlertServiceSource,
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
    Field::MachineOs,
    Field::MachineGroup,
    Field::MachineTags,
    Field::MachineHealth,
    Field::MachineOnboarding,
    Field::MachineRisk,
    Field::MachineAvStatus,
    Field::FileSha1,
    Field::FileSha256,
    Field::FileName,
    Field::FilePath,
    Field::FileEntity,
    Field::FileRole,
    Field::FileVerdict,
    Field::FileRemediation,
    Field::FileDetectionStatus,
    Field::FileCreated,
    Field::FilePublisher,
    Field::FileSigner,
    Field::FileSize,
];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Raw<'a> {
    id: Text<'a>,
    provider_alert_id: Text<'a>,
    incident_id: Text<'a>,
    title: Text<'a>,
    severity: Text<'a>,
    category: Text<'a>,
    status: Text<'a>,
    classification: Text<'a>,
    determination: Text<'a>,
    investigation_state: Text<'a>,
    service_source: Text<'a>,
    detection_source: Text<'a>,
    detector_id: Text<'a>,
    threat_family_name: Text<'a>,
    threat_display_name: Text<'a>,
    mitre_techniques: Texts<'a>,
    created_date_time: Text<'a>,
    last_update_date_time: Text<'a>,
    tenant_id: Text<'a>,
    evidence: OneOrMany<Evidence<'a>>,
}

/// Evidence of any type, with the keys of those types that are read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Evidence<'a> {
    #[serde(rename = "@odata.type")]
    kind: Text<'a>,
    mde_device_id: Text<'a>,
    created_date_time: Text<'a>,
    verdict: Text<'a>,
    remediation_status: Text<'a>,
    detection_status: Text<'a>,
    roles: Texts<'a>,
    file_details: MaybeObject<Details<'a>>,
    image_file: MaybeObject<Details<'a>>,
    device_dns_name: Text<'a>,
    os_platform: Text<'a>,
    rbac_group_name: Text<'a>,
    health_status: Text<'a>,
    onboarding_status: Text<'a>,
    risk_score: Text<'a>,
    defender_av_status: Text<'a>,
    tags: Texts<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Details<'a> {
    sha1: Text<'a>,
    sha256: Text<'a>,
    file_name: Text<'a>,
    file_path: Text<'a>,
    file_publisher: Text<'a>,
    file_size: Text<'a>,
    signer: Text<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Device,
    File,
    Process,
}

impl Evidence<'_> {
    /// `#microsoft.graph.security.fileEvidence` and its like; `None` is a type that is not read.
    fn kind(&self) -> Option<Kind> {
        let kind = self.kind.clone().known()?;
        match kind.rsplit(['.', '#']).next()? {
            "deviceEvidence" => Some(Kind::Device),
            "fileEvidence" => Some(Kind::File),
            "processEvidence" => Some(Kind::Process),
            _ => None,
        }
    }

    fn is_file(&self) -> bool {
        matches!(self.kind(), Some(Kind::File | Kind::Process))
    }

    /// The machine that this evidence itself names, or why what it names is none. `None`: it names
    /// none at all.
    fn machine(&self) -> Option<Result<MachineId, Incomplete>> {
        let named = self.mde_device_id.clone().known().is_some();
        let named = named || self.mde_device_id == Text::Other;
        named.then(|| read::machine("mdeDeviceId", &self.mde_device_id))
    }
}

/// Reads one alert.
pub(super) fn decode(alert: &str) -> Result<Alert<'_>, Unreadable> {
    let mut raw: Raw = read::object(alert)?;
    let id = read::id(std::mem::take(&mut raw.id))?;
    let tenant_id = read::tenant(std::mem::take(&mut raw.tenant_id));
    let evidence = std::mem::take(&mut raw.evidence).0;
    let files = read::file_count(evidence.iter().filter(|item| item.is_file()).count())?;
    let machines = Machines::of(&evidence);
    let created = read::time(&raw.created_date_time);
    let mut shared = shared_fields(raw, created);
    shared.set(Field::AlertId, Value::Text(id.clone()));
    shared.set(Field::AlertFiles, files);
    shared.set(Field::AlertMachines, read::count(machines.named));
    let files = evidence.into_iter().filter(Evidence::is_file);
    let candidates = files.map(|file| candidate(file, &shared, &machines, created)).collect();
    Ok(Alert { id, tenant_id, created, candidates, asks: Vec::new(), known: None })
}

/// What every candidate of an alert shares: `alert.*`.
fn shared_fields(raw: Raw<'_>, created: Option<Wall>) -> Fields<'_> {
    let mut fields = Fields::default();
    fields.set_text(Field::AlertFormat, Format::GraphAlert.as_str());
    for (field, text) in [
        (Field::AlertProviderId, raw.provider_alert_id),
        (Field::AlertIncident, raw.incident_id),
        (Field::AlertTitle, raw.title),
        (Field::AlertCategory, raw.category),
        (Field::AlertDetector, raw.detector_id),
        (Field::AlertUpdated, raw.last_update_date_time),
    ] {
        set_known(&mut fields, field, text);
    }
    if created.is_some() {
        set_known(&mut fields, Field::AlertCreated, raw.created_date_time);
    }
    for (field, text) in [
        (Field::AlertClassification, &raw.classification),
        (Field::AlertDetermination, &raw.determination),
    ] {
        if *text == Text::Null {
            fields.set(field, Value::Empty);
        }
    }
    for (field, text) in [
        (Field::AlertSeverity, raw.severity),
        (Field::AlertStatus, raw.status),
        (Field::AlertClassification, raw.classification),
        (Field::AlertDetermination, raw.determination),
        (Field::AlertInvestigation, raw.investigation_state),
        (Field::AlertServiceSource, raw.service_source),
        (Field::AlertDetectionSource, raw.detection_source),
    ] {
        set_listed(&mut fields, field, text);
    }
    set_known_or_none(&mut fields, Field::AlertFamily, raw.threat_family_name);
    set_known_or_none(&mut fields, Field::AlertThreat, raw.threat_display_name);
    read::set_list_or_none(&mut fields, Field::AlertTechniques, raw.mitre_techniques);
    read::set_severity_rank(&mut fields);
    fields
}

/// The machines that an alert names. A file is on the one that its own evidence names. Where that
/// names none, it is on the alert's only machine: a `deviceEvidence` names it, and no evidence
/// names another, or a device without a usable id. Machines and files are never crossed.
struct Machines<'a> {
    /// What the `deviceEvidence` of a machine says of it; absent where two of them differ.
    known: BTreeMap<(MachineId, Field), Value<'a>>,
    /// How many they are; each device without an id is one more.
    named: usize,
    only: Result<MachineId, Incomplete>,
}

impl<'a> Machines<'a> {
    fn of(evidence: &[Evidence<'a>]) -> Self {
        let mut known = BTreeMap::new();
        let (mut ids, mut devices, mut odd) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut nameless = 0;
        for item in evidence {
            let is_device = item.kind() == Some(Kind::Device);
            match (item.machine(), item.mde_device_id.clone().known()) {
                (Some(Ok(id)), _) => {
                    ids.insert(id);
                    if is_device {
                        devices.insert(id);
                        learn(&mut known, id, item);
                    }
                }
                (Some(Err(_)), Some(text)) => {
                    odd.insert(text.to_ascii_lowercase());
                }
                (Some(Err(_)), None) => nameless += 1,
                (None, _) => nameless += usize::from(is_device),
            }
        }
        let named = ids.len() + odd.len() + nameless;
        let only = match devices.first() {
            Some(id) if named == 1 => Ok(*id),
            _ if named > 1 => {
                Err(Incomplete(format!("the alert names {named} machines and this file none")))
            }
            _ => {
                let why = "mdeDeviceId is missing, and no deviceEvidence has a usable one";
                Err(Incomplete(why.to_owned()))
            }
        };
        Self { known, named, only }
    }

    /// What is known of a machine, its id included.
    fn tell(&self, id: MachineId, fields: &mut Fields<'a>) {
        let first_to_last = (id, Field::MachineId)..=(id, Field::MachineUsers);
        for ((_, field), value) in self.known.range(first_to_last) {
            fields.set(*field, value.clone());
        }
        fields.set_text(Field::MachineId, id.to_string());
    }
}

fn learn<'a>(
    known: &mut BTreeMap<(MachineId, Field), Value<'a>>,
    id: MachineId,
    device: &Evidence<'a>,
) {
    let mut said = Fields::default();
    set_known(&mut said, Field::MachineName, device.device_dns_name.clone());
    set_known(&mut said, Field::MachineOs, device.os_platform.clone());
    set_known(&mut said, Field::MachineGroup, device.rbac_group_name.clone());
    set_listed(&mut said, Field::MachineHealth, device.health_status.clone());
    set_listed(&mut said, Field::MachineOnboarding, device.onboarding_status.clone());
    set_listed(&mut said, Field::MachineRisk, device.risk_score.clone());
    set_listed(&mut said, Field::MachineAvStatus, device.defender_av_status.clone());
    if let Texts::Are(tags) = &device.tags
        && !tags.is_empty()
    {
        said.set(Field::MachineTags, Value::List(tags.clone()));
    }
    for (field, value) in said.present() {
        let slot = known.entry((id, field)).or_insert_with(|| value.clone());
        if slot != value {
            *slot = Value::Absent;
        }
    }
}

fn candidate<'a>(
    item: Evidence<'a>,
    shared: &Fields<'a>,
    machines: &Machines<'a>,
    created: Option<Wall>,
) -> Candidate<'a> {
    let mut fields = shared.clone();
    let machine = item.machine().unwrap_or_else(|| machines.only.clone());
    if let Ok(id) = machine {
        machines.tell(id, &mut fields);
    }
    let (entity, file) = match item.kind() {
        Some(Kind::Process) => ("Process", item.image_file),
        _ => ("File", item.file_details),
    };
    let file = file.0.unwrap_or_default();
    fields.set_text(Field::FileEntity, entity);
    let sha1 = read::sha1(&file.sha1);
    let since = read::time(&item.created_date_time);
    if since.is_some() {
        set_known(&mut fields, Field::FileCreated, item.created_date_time);
    }
    for (field, text) in [
        (Field::FileSha1, file.sha1),
        (Field::FileSha256, file.sha256),
        (Field::FileName, file.file_name),
        (Field::FilePath, file.file_path),
        (Field::FilePublisher, file.file_publisher),
        (Field::FileSigner, file.signer),
    ] {
        set_known(&mut fields, field, text);
    }
    set_listed(&mut fields, Field::FileVerdict, item.verdict);
    set_listed(&mut fields, Field::FileRemediation, item.remediation_status);
    set_listed(&mut fields, Field::FileDetectionStatus, item.detection_status);
    if let Some(roles) = roles(item.roles) {
        fields.set(Field::FileRole, Value::List(roles));
    }
    let size = file.file_size.known().and_then(|size| size.parse::<i64>().ok());
    if let Some(size) = size.filter(|size| *size >= 0) {
        fields.set(Field::FileSize, Value::Number(size));
    }
    Candidate { machine, sha1, evidence: since.or(created), fields }
}

/// All of them, or none: part of a list is not the list.
fn roles(texts: Texts<'_>) -> Option<Vec<Cow<'_, str>>> {
    let Texts::Are(list) = texts else { return None };
    let all: Vec<_> = list
        .into_iter()
        .map(|role| spelling::known_one(Field::FileRole, role))
        .collect::<Option<_>>()?;
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests;
