//! An alert as rows of the Defender XDR Streaming API: one of `AdvancedHunting-AlertInfo`, and of
//! `AdvancedHunting-AlertEvidence` one for each machine, file and whatever else.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::calendar::written;
use super::draw::pick;
use super::model::{Alert, Entity, Hash, Machine, Made, Met, Severity, Told};
use super::{nested, others};
use crate::domain::dice::Dice;

/// What Defender thinks of a file: it changes with time, and the row is then published again.
#[derive(Clone, Copy)]
pub(super) struct Opinion {
    pub verdict: &'static str,
    pub suspicion: &'static str,
    pub remediation: &'static str,
}

pub(super) const FIRST: Opinion =
    Opinion { verdict: "Suspicious", suspicion: "Suspicious", remediation: "None" };

pub(super) const LATER: Opinion =
    Opinion { verdict: "Malicious", suspicion: "Malicious", remediation: "Active" };

/// The columns of evidence, all of which a row has.
const COLUMNS: [&str; 30] = [
    "SHA1",
    "SHA256",
    "RemoteIP",
    "LocalIP",
    "RemoteUrl",
    "AccountName",
    "AccountDomain",
    "AccountSid",
    "AccountObjectId",
    "AccountUpn",
    "DeviceId",
    "DeviceName",
    "ThreatFamily",
    "EvidenceDirection",
    "AdditionalFields",
    "MachineGroup",
    "NetworkMessageId",
    "FileName",
    "FolderPath",
    "FileSize",
    "ProcessCommandLine",
    "EmailSubject",
    "ApplicationId",
    "Application",
    "OAuthApplicationId",
    "RegistryKey",
    "RegistryValueName",
    "RegistryValueData",
    "CloudResource",
    "CloudPlatform",
];

const SERVICE: &str = "Microsoft Defender for Endpoint";

/// All rows of an alert, those that are published again among them.
pub(super) fn rows(alert: &Alert, dice: &mut Dice) -> Made {
    let mut made = Made { parts: Vec::new(), again: 0 };
    let mut publish = |dice: &mut Dice, category, first: Map<_, _>, later: Option<Map<_, _>>| {
        let delay = dice.between(Duration::from_secs(1), Duration::from_secs(60));
        let at = alert.at + delay;
        made.parts.push(record(&alert.tenant, category, at, first));
        if let Some(later) = later {
            let later_by = dice.between(Duration::from_secs(60), Duration::from_secs(420));
            made.parts.push(record(&alert.tenant, category, at + later_by, later));
            made.again += 1;
        }
    };
    if alert.has_info {
        let info = info(alert);
        let again = dice.chance(100).then(|| info.clone());
        publish(dice, INFO, info, again);
    }
    for machine in &alert.machines {
        let row = machine_row(alert, machine, dice);
        let again = dice.chance(60).then(|| row.clone());
        publish(dice, EVIDENCE, row, again);
    }
    for met in &alert.files {
        let again = dice.chance(150).then(|| file_row(alert, met, LATER));
        publish(dice, EVIDENCE, file_row(alert, met, FIRST), again);
    }
    for other in &alert.others {
        let mut row = evidence(alert, others::entity(other.kind), "Related");
        row.extend(others::columns(other));
        publish(dice, EVIDENCE, row, None);
    }
    made
}

const INFO: &str = "AdvancedHunting-AlertInfo";

const EVIDENCE: &str = "AdvancedHunting-AlertEvidence";

/// A row as it is published, of any table.
pub(super) fn record(
    tenant: &str,
    category: &str,
    at: Duration,
    row: Map<String, Value>,
) -> String {
    let received = written(at.saturating_sub(Duration::from_millis(700)));
    json!({
        "time": written(at),
        "tenantId": tenant,
        "operationName": "Publish",
        "category": category,
        "_TimeReceivedBySvc": received,
        "Tenant": "DefaultTenant",
        "properties": row,
    })
    .to_string()
}

fn info(alert: &Alert) -> Map<String, Value> {
    object(json!({
        "AlertId": alert.id,
        "Timestamp": written(alert.at),
        "Title": alert.title,
        "Category": alert.category,
        "Severity": alert.severity.name(),
        "ServiceSource": SERVICE,
        "DetectionSource": "EDR",
        "AttackTechniques": "",
        "MachineGroup": null,
    }))
}

/// What all evidence of an alert has.
fn evidence(alert: &Alert, entity: &str, role: &str) -> Map<String, Value> {
    let mut row: Map<_, _> =
        COLUMNS.map(|name| (name.to_owned(), Value::Null)).into_iter().collect();
    row.extend(object(json!({
        "AlertId": alert.id,
        "Timestamp": written(alert.at),
        "EntityType": entity,
        "EvidenceRole": role,
        "ServiceSource": SERVICE,
        "DetectionSource": "EDR",
        "Title": alert.title,
        "Categories": json!([alert.category]).to_string(),
        "AttackTechniques": "",
    })));
    if alert.evidence_has_severity {
        row.insert("Severity".to_owned(), alert.severity.name().into());
    }
    row
}

fn machine_row(alert: &Alert, machine: &Machine, dice: &mut Dice) -> Map<String, Value> {
    let mut row = evidence(alert, "Machine", "Impacted");
    row.insert("DeviceId".to_owned(), machine.id.clone().into());
    row.insert("DeviceName".to_owned(), machine.name.clone().into());
    row.insert(
        "AdditionalFields".to_owned(),
        nested::machine(machine, alert.at, dice).to_string().into(),
    );
    row
}

fn file_row(alert: &Alert, met: &Met, opinion: Opinion) -> Map<String, Value> {
    let mut dice = Dice::new(met.seed);
    let entity = match met.entity {
        Entity::File => "File",
        Entity::Process => "Process",
    };
    let role = if alert.severity == Severity::High { "Impacted" } else { "Related" };
    let mut row = evidence(alert, entity, role);
    let empty = pick(&mut dice, &[(3, Value::Null), (1, Value::from(""))]);
    let column = match &met.hash {
        Hash::Both | Hash::Column | Hash::Differs(_) => met.writing.of(&met.file.sha1).into(),
        Hash::Nested | Hash::Nowhere => empty,
        Hash::Zeros => "0".repeat(40).into(),
    };
    row.insert("SHA1".to_owned(), column);
    if dice.chance(300) {
        row.insert("SHA256".to_owned(), met.file.sha256.clone().into());
    }
    row.insert("FileName".to_owned(), met.file.name.clone().into());
    row.insert("FolderPath".to_owned(), met.file.folder.into());
    row.insert("FileSize".to_owned(), met.file.size.into());
    if met.told == Told::Column {
        row.insert("DeviceId".to_owned(), met.writing.of(&met.machine.id).into());
        row.insert("DeviceName".to_owned(), met.machine.name.clone().into());
    }
    let nested = match met.entity {
        Entity::File => nested::file(met, opinion, &mut dice),
        Entity::Process => {
            let command = format!("\"{}\\{}\" /quiet", met.file.folder, met.file.name);
            row.insert("ProcessCommandLine".to_owned(), command.into());
            nested::process(met, opinion, &mut dice)
        }
    };
    row.insert("AdditionalFields".to_owned(), nested.to_string().into());
    row
}

/// The keys of what is written as an object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(keys) => keys,
        _ => Map::new(),
    }
}
