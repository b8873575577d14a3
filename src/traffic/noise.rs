//! Rows of other tables of the streaming API. They come by the thousand beside alerts, name
//! machines and hashes, and are no alerts.

use std::time::Duration;

use serde_json::{Value, json};

use super::calendar::written;
use super::draw::{hex, pick_one};
use super::model::{Alert, Machine};
use super::nested::hash;
use super::others::guid;
use super::xdr::{object, record};
use crate::domain::dice::Dice;

const TABLES: [&str; 5] = [
    "AdvancedHunting-DeviceProcessEvents",
    "AdvancedHunting-DeviceFileEvents",
    "AdvancedHunting-EmailEvents",
    "AdvancedHunting-IdentityLogonEvents",
    "AdvancedHunting-BehaviorEntities",
];

/// A row of one of them, at about the time of an alert and from its tenant.
pub(super) fn row(near: &Alert, machine: &Machine, dice: &mut Dice) -> String {
    let table = pick_one(dice, &TABLES);
    let at = near.at + dice.between(Duration::ZERO, Duration::from_secs(60));
    let mut row = object(match table {
        "AdvancedHunting-EmailEvents" => json!({
            "NetworkMessageId": guid(dice), "Subject": "Your order", "AttachmentCount": 1,
            "RecipientEmailAddress": "jdoe@fabrikam.example", "DeliveryAction": "Delivered",
        }),
        "AdvancedHunting-IdentityLogonEvents" => json!({
            "AccountUpn": "jdoe@fabrikam.example", "ActionType": "LogonSuccess",
            "DeviceName": machine.name, "Protocol": "Kerberos", "LogonType": "Interactive",
        }),
        // Much like evidence, but of behaviours that raised no alert.
        "AdvancedHunting-BehaviorEntities" => json!({
            "BehaviorId": format!("ri{}", hex(dice, 20)), "EntityType": "File",
            "EntityRole": "Impacted", "DetailedEntityRole": "", "Categories": "[\"Malware\"]",
            "DeviceId": machine.id, "DeviceName": machine.name, "FileName": "tool.exe",
            "SHA1": hex(dice, 40), "AdditionalFields": behaviour(machine, dice).to_string(),
        }),
        _ => event(machine, dice),
    });
    row.insert("Timestamp".to_owned(), written(at).into());
    row.insert("ReportId".to_owned(), dice.below(1_000_000).into());
    record(&near.tenant, table, at, row)
}

fn event(machine: &Machine, dice: &mut Dice) -> Value {
    json!({
        "DeviceId": machine.id,
        "DeviceName": machine.name,
        "ActionType": pick_one(dice, &["ProcessCreated", "FileCreated", "FileRenamed"]),
        "FileName": "worker.exe",
        "FolderPath": "C:\\Program Files\\Contoso\\worker.exe",
        "SHA1": if dice.chance(300) { Value::Null } else { hex(dice, 40).into() },
        "SHA256": hex(dice, 64),
        "MD5": hex(dice, 32),
        "FileSize": dice.below(5_000_000),
        "ProcessId": dice.below(30_000),
        "ProcessCommandLine": "worker.exe --once",
        "InitiatingProcessFileName": "services.exe",
        "InitiatingProcessSHA1": hex(dice, 40),
        "InitiatingProcessSHA256": hex(dice, 64),
        "InitiatingProcessCommandLine": "services.exe",
        "AdditionalFields": "{}",
    })
}

fn behaviour(machine: &Machine, dice: &mut Dice) -> Value {
    json!({
        "$id": "1",
        "Name": "tool.exe",
        "Host": {"$id": "2", "MachineId": machine.id, "Type": "host"},
        "FileHashes": [hash("3", "SHA1", &hex(dice, 40))],
        "DetectionStatus": "Detected",
        "Type": "file",
    })
}
