//! Places of the fields of real shapes of alerts.

use serde_json::json;

use super::*;
use crate::formats::Format;

const MACHINE: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
const OTHER: &str = "73e7e2de709dff64ef64b1d0c30e67fab63279db";
const SHA1: &str = "87662bc3d60e4200ceaf7aae249d1c343f4b83c9";

fn of(format: Format, alert: &str) -> Result<Places, String> {
    traced(&Reader::BuiltIn(format), alert)
}

fn at(places: &Places, candidate: usize, field: Field) -> &[String] {
    places[candidate].get(&field).map_or(&[], Vec::as_slice)
}

#[test]
fn values_of_an_alert_of_graph_stand_where_they_stand() {
    let places = of(Format::GraphAlert, include_str!("../graph_alert/sample.json")).unwrap();
    for (field, place) in [
        (Field::AlertId, "$.id"),
        (Field::AlertSeverity, "$.severity"),
        (Field::AlertCategory, "$.category"),
        (Field::AlertCreated, "$.createdDateTime"),
        (Field::AlertThreat, "$.threatDisplayName"),
        // The file says itself on which machine it is; the rest is said of that machine.
        (Field::MachineId, "$.evidence[1].mdeDeviceId"),
        (Field::MachineName, "$.evidence[0].deviceDnsName"),
        (Field::MachineRisk, "$.evidence[0].riskScore"),
        (Field::MachineGroup, "$.evidence[0].rbacGroupName"),
    ] {
        assert_eq!(at(&places, 0, field), [place], "{}", field.name());
    }
    let techniques = at(&places, 0, Field::AlertTechniques);
    assert_eq!(techniques, ["$.mitreTechniques[0]", "$.mitreTechniques[1]"]);
    assert!(at(&places, 0, Field::FileSha1)[0].ends_with(".sha1"), "{places:?}");
}

#[test]
fn each_candidate_has_its_own_places() {
    let file = |sha1: &str, status: &str| {
        let mut file = json!({"entityType": "File", "sha1": sha1, "fileName": "a.exe"});
        file["detectionStatus"] = status.into();
        file
    };
    let alert = json!({
        "id": "da1", "machineId": MACHINE, "rbacGroupName": null, "machineTags": [],
        "evidence": [
            {"entityType": "User", "userPrincipalName": "u"},
            file(SHA1, "Detected"),
            file(OTHER, "Blocked"),
        ],
    });
    let places = of(Format::DefenderAlert, &alert.to_string()).unwrap();
    assert_eq!(places.len(), 2);
    for candidate in [0, 1] {
        let place = |key: &str| format!("$.evidence[{}].{key}", candidate + 1);
        assert_eq!(at(&places, candidate, Field::FileSha1), [place("sha1")]);
        assert_eq!(at(&places, candidate, Field::FileName), [place("fileName")]);
        assert_eq!(at(&places, candidate, Field::FileEntity), [place("entityType")]);
        let status = at(&places, candidate, Field::FileDetectionStatus);
        assert_eq!(status, [place("detectionStatus")]);
        assert_eq!(at(&places, candidate, Field::MachineId), ["$.machineId"]);
    }
    assert!(at(&places, 0, Field::FileSigner).is_empty(), "what is absent comes from nowhere");
}

#[test]
fn rows_say_which_one_it_is() {
    let row = |table: &str, mut properties: Json| {
        properties["AlertId"] = "da1_1".into();
        properties["Timestamp"] = "2026-01-13T09:28:36.2236631Z".into();
        let category = format!("AdvancedHunting-{table}");
        json!({"category": category, "tenantId": "t", "properties": properties}).to_string()
    };
    let alert = [
        row("AlertInfo", json!({"Title": "Malware", "Severity": "High"})),
        row("AlertEvidence", json!({"EntityType": "Machine", "DeviceId": MACHINE})),
        row("AlertEvidence", json!({"EntityType": "File", "SHA1": SHA1, "FileName": "a.exe"})),
    ];
    let places = of(Format::DefenderXdr, &alert.join("\n")).unwrap();
    assert_eq!(at(&places, 0, Field::AlertTitle), ["row 1: $.properties.Title"]);
    assert_eq!(at(&places, 0, Field::MachineId), ["row 2: $.properties.DeviceId"]);
    assert_eq!(at(&places, 0, Field::FileSha1), ["row 3: $.properties.SHA1"]);
}

#[test]
fn what_can_not_be_told_is_not() {
    let many = json!({"id": "da1", "machineId": MACHINE, "comments": vec![1; TRACED_VALUES]});
    let why = of(Format::DefenderAlert, &many.to_string()).unwrap_err();
    assert_eq!(why, "it has 2002 values, more than 2000");
    assert!(of(Format::DefenderAlert, "{").is_err());
}
