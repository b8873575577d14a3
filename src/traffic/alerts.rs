//! An alert as a whole, in one document: as the Defender for Endpoint API has it, and as Microsoft
//! Graph does.

use std::time::Duration;

use serde_json::{Value, json};

use super::Shape;
use super::calendar::written;
use super::draw::{hex, pick_one, system_file};
use super::model::{Alert, Entity, Hash, Made, Met, Other, OtherKind, Told};
use super::others::guid;
use crate::domain::dice::Dice;

/// An alert and, for some, the same later: more is known of it then, and nothing of its evidence
/// has changed.
pub(super) fn of(shape: Shape, alert: &Alert, dice: &mut Dice) -> Made {
    let (seed, mut made) = (dice.roll(), Made { parts: Vec::new(), again: 0 });
    let after = dice.between(Duration::from_secs(60), Duration::from_secs(420));
    let states = [("Queued", Duration::from_secs(2)), ("PartiallyInvestigated", after)];
    made.again = u64::from(dice.chance(120));
    for (state, after) in states.into_iter().take(1 + made.again as usize) {
        let mut dice = Dice::new(seed);
        let part = match shape {
            Shape::GraphAlert => graph(alert, state, alert.at + after, &mut dice),
            _ => defender(alert, state, alert.at + after, &mut dice),
        };
        made.parts.push(part.to_string());
    }
    made
}

/// What a file's hash is told as; `Null` where it is not.
fn sha1(met: &Met) -> Value {
    match met.hash {
        Hash::Nowhere => Value::Null,
        Hash::Zeros => "0".repeat(40).into(),
        _ => met.writing.of(&met.file.sha1).into(),
    }
}

/// Every key of a piece of evidence of the Defender for Endpoint API: all have all.
const EVIDENCE: [&str; 22] = [
    "sha1",
    "sha256",
    "fileName",
    "filePath",
    "processId",
    "processCommandLine",
    "processCreationTime",
    "parentProcessId",
    "parentProcessCreationTime",
    "parentProcessFileName",
    "parentProcessFilePath",
    "ipAddress",
    "url",
    "registryKey",
    "registryHive",
    "registryValueType",
    "registryValue",
    "accountName",
    "domainName",
    "aadUserId",
    "userPrincipalName",
    "detectionStatus",
];

fn defender(alert: &Alert, state: &str, updated: Duration, dice: &mut Dice) -> Value {
    let others = alert.others.iter().filter_map(|other| defender_other(alert, other));
    let mut evidence: Vec<_> = others.collect();
    for met in &alert.files {
        let at = dice.below(evidence.len() as u64 + 1) as usize;
        evidence.insert(at, defender_file(alert, met, dice));
    }
    let known = alert.machines.first();
    // What stands there instead of Defender's id, where it has none.
    let odd = [Value::Null, "ws-0007".into(), guid(dice).into(), "".into()];
    let odd = pick_one(dice, &odd);
    json!({
        "id": alert.id,
        "incidentId": dice.below(90_000),
        "investigationId": null,
        "assignedTo": null,
        "severity": alert.severity.name(),
        "status": "New",
        "classification": null,
        "determination": null,
        "investigationState": state,
        "detectionSource": "WindowsDefenderAv",
        "detectorId": guid(dice),
        "category": alert.category,
        "threatFamilyName": null,
        "title": alert.title,
        "description": "Made up: nothing of this has happened.",
        "alertCreationTime": written(alert.at),
        "firstEventTime": written(alert.at.saturating_sub(Duration::from_secs(90))),
        "lastEventTime": written(alert.at.saturating_sub(Duration::from_secs(80))),
        "lastUpdateTime": written(updated),
        "resolvedTime": null,
        "machineId": known.map_or(odd, |machine| machine.id.clone().into()),
        "computerDnsName": known.map(|machine| machine.name.as_str()),
        "rbacGroupName": "Clients",
        "aadTenantId": alert.tenant,
        "threatName": null,
        "mitreTechniques": ["T1204.002"],
        "relatedUser": {"userName": "jdoe", "domainName": "FABRIKAM"},
        "comments": [],
        "evidence": evidence,
    })
}

/// A piece of evidence with no key but these set.
fn defender_evidence(alert: &Alert, entity: &str, keys: Value) -> Value {
    let mut evidence = json!({
        "entityType": entity,
        "evidenceCreationTime": written(alert.at),
    });
    for key in EVIDENCE {
        evidence[key] = keys.get(key).cloned().unwrap_or_default();
    }
    evidence
}

fn defender_file(alert: &Alert, met: &Met, dice: &mut Dice) -> Value {
    let mut keys = json!({
        "sha1": sha1(met),
        "sha256": met.file.sha256,
        "fileName": met.file.name,
        "filePath": met.file.folder,
        "detectionStatus": met.status.name(),
    });
    if met.entity == Entity::File {
        return defender_evidence(alert, "File", keys);
    }
    keys["processId"] = dice.below(30_000).into();
    keys["processCommandLine"] = format!("{} /quiet", met.file.name).into();
    keys["processCreationTime"] = written(alert.at).into();
    keys["parentProcessId"] = dice.below(30_000).into();
    keys["parentProcessFileName"] = "explorer.exe".into();
    keys["parentProcessFilePath"] = "C:\\Windows".into();
    defender_evidence(alert, "Process", keys)
}

fn defender_other(alert: &Alert, other: &Other) -> Option<Value> {
    let mut dice = Dice::new(other.seed);
    let (entity, keys) = match other.kind {
        OtherKind::User => ("User", json!({"accountName": "jdoe", "domainName": "FABRIKAM"})),
        OtherKind::Url => ("Url", json!({"url": format!("https://{}.example", hex(&mut dice, 8))})),
        OtherKind::Ip => ("Ip", json!({"ipAddress": "198.51.100.7"})),
        OtherKind::RegistryKey => {
            ("Registry", json!({"registryKey": "SOFTWARE\\Contoso\\Run", "registryValue": "a"}))
        }
        // One that names a file all the same.
        OtherKind::Mailbox => (
            "Mailbox",
            json!({"userPrincipalName": "jdoe@fabrikam.example", "fileName": "attached.exe",
                "sha1": hex(&mut dice, 40), "detectionStatus": "Detected"}),
        ),
        OtherKind::MailMessage | OtherKind::CloudApplication => return None,
    };
    Some(defender_evidence(alert, entity, keys))
}

/// A type of Microsoft Graph.
fn graph_type(name: &str) -> String {
    format!("#microsoft.graph.security.{name}")
}

fn graph(alert: &Alert, state: &str, updated: Duration, dice: &mut Dice) -> Value {
    let small = |text: &str| text[..1].to_ascii_lowercase() + &text[1..];
    let mut evidence: Vec<_> =
        alert.machines.iter().map(|m| graph_device(alert, &m.id, &m.name, dice)).collect();
    evidence.extend(alert.others.iter().map(|other| graph_other(alert, other)));
    for met in &alert.files {
        let at = dice.below(evidence.len() as u64 + 1) as usize;
        evidence.insert(at, graph_file(alert, met, dice));
    }
    json!({
        "@odata.type": graph_type("alert"),
        "id": alert.id,
        "providerAlertId": alert.id,
        "incidentId": dice.below(90_000).to_string(),
        "status": "new",
        "severity": small(alert.severity.name()),
        "classification": "unknown",
        "determination": "unknown",
        "serviceSource": "microsoftDefenderForEndpoint",
        "detectionSource": "antivirus",
        "productName": "Microsoft Defender for Endpoint",
        "detectorId": guid(dice),
        "tenantId": alert.tenant,
        "title": alert.title,
        "description": "Made up: nothing of this has happened.",
        "recommendedActions": "",
        "category": alert.category,
        "assignedTo": null,
        "alertWebUrl": format!("https://security.example/alerts/{}", alert.id),
        "actorDisplayName": null,
        "threatDisplayName": null,
        "threatFamilyName": null,
        "investigationState": small(state),
        "mitreTechniques": ["T1204.002"],
        "createdDateTime": written(alert.at),
        "lastUpdateDateTime": written(updated),
        "resolvedDateTime": null,
        "firstActivityDateTime": written(alert.at.saturating_sub(Duration::from_secs(90))),
        "lastActivityDateTime": written(alert.at.saturating_sub(Duration::from_secs(80))),
        "comments": [],
        "evidence": evidence,
    })
}

/// A piece of evidence of Microsoft Graph, with what all of them have.
fn graph_evidence(alert: &Alert, name: &str, keys: Value) -> Value {
    let mut evidence = json!({
        "@odata.type": graph_type(name),
        "createdDateTime": written(alert.at),
        "verdict": "suspicious",
        "remediationStatus": "none",
        "remediationStatusDetails": null,
        "roles": [],
        "detailedRoles": [],
        "tags": [],
    });
    if let (Value::Object(all), Value::Object(own)) = (&mut evidence, keys) {
        all.extend(own);
    }
    evidence
}

fn graph_device(alert: &Alert, id: &str, name: &str, dice: &mut Dice) -> Value {
    graph_evidence(
        alert,
        "deviceEvidence",
        json!({
            "mdeDeviceId": id,
            "azureAdDeviceId": guid(dice),
            "deviceDnsName": name,
            "osPlatform": "Windows11",
            "osBuild": 26_100,
            "rbacGroupName": "Clients",
            "healthStatus": "active",
            "riskScore": "medium",
            "onboardingStatus": "onboarded",
            "defenderAvStatus": "updated",
            "loggedOnUsers": [{"accountName": "jdoe", "domainName": "FABRIKAM"}],
            "vmMetadata": null,
        }),
    )
}

fn graph_file(alert: &Alert, met: &Met, dice: &mut Dice) -> Value {
    let machine = match met.told {
        Told::Nowhere => Value::Null,
        _ => met.writing.of(&met.machine.id).into(),
    };
    let details = json!({
        "sha1": sha1(met),
        "sha256": met.file.sha256,
        "fileName": met.file.name,
        "filePath": met.file.folder,
        "fileSize": met.file.size,
        "filePublisher": null,
        "signer": null,
        "issuer": null,
    });
    let status = met.status.name().map(str::to_ascii_lowercase);
    if met.entity == Entity::File {
        return graph_evidence(
            alert,
            "fileEvidence",
            json!({
                "detectionStatus": status, "mdeDeviceId": machine, "fileDetails": details,
            }),
        );
    }
    let parent = system_file(dice);
    graph_evidence(
        alert,
        "processEvidence",
        json!({
            "processId": dice.below(30_000),
            "processCommandLine": format!("{} /quiet", met.file.name),
            "processCreationDateTime": written(alert.at),
            "parentProcessId": dice.below(30_000),
            "parentProcessImageFile": {
                "sha1": parent.sha1, "sha256": parent.sha256, "fileName": parent.name,
                "filePath": parent.folder, "fileSize": parent.size,
            },
            "detectionStatus": status,
            "mdeDeviceId": machine,
            "imageFile": details,
            "userAccount": {"accountName": "jdoe", "domainName": "FABRIKAM"},
        }),
    )
}

fn graph_other(alert: &Alert, other: &Other) -> Value {
    let mut dice = Dice::new(other.seed);
    let (name, keys) = match other.kind {
        OtherKind::User => ("userEvidence", json!({"userAccount": {"accountName": "jdoe"}})),
        OtherKind::Mailbox => (
            "mailboxEvidence",
            json!({"primaryAddress": "jdoe@fabrikam.example", "detectionStatus": "detected",
                "fileDetails": {"sha1": hex(&mut dice, 40), "fileName": "attached.exe"}}),
        ),
        OtherKind::MailMessage => (
            "analyzedMessageEvidence",
            json!({"networkMessageId": guid(&mut dice), "subject": "Your order"}),
        ),
        OtherKind::Url => ("urlEvidence", json!({"url": "https://get.example/a"})),
        OtherKind::Ip => ("ipEvidence", json!({"ipAddress": "198.51.100.7"})),
        OtherKind::RegistryKey => {
            ("registryKeyEvidence", json!({"registryKey": "SOFTWARE\\Contoso\\Run"}))
        }
        OtherKind::CloudApplication => {
            ("cloudApplicationEvidence", json!({"displayName": "Contoso Drive"}))
        }
    };
    graph_evidence(alert, name, keys)
}
