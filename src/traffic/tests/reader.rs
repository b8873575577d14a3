//! Reads a whole stream back, with all of it at hand at once, and finds the calls in it: what was
//! written of an incident says what is true of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{AlertKey, Call, Expected, SHAPES, Settings, generate, parts, settings, tenant};

#[derive(Default)]
struct Joined {
    severity: Option<String>,
    rows: Vec<Row>,
}

struct Row {
    entity: String,
    status: String,
    machine: Option<String>,
    hashes: BTreeSet<String>,
}

/// The machine that a reference leads to, or the object itself names.
fn host<'v>(at: &'v Value, all: &'v Value) -> &'v Value {
    fn find<'v>(value: &'v Value, id: &Value) -> Option<&'v Value> {
        match value {
            Value::Object(keys) if keys.get("$id") == Some(id) => Some(value),
            Value::Object(keys) => keys.values().find_map(|value| find(value, id)),
            _ => None,
        }
    }
    match at.get("$ref") {
        Some(id) => find(all, id).expect("what is referred to is there"),
        None => at,
    }
}

fn read(row: &Value) -> Row {
    let columns = &row["properties"];
    let fields: Value =
        serde_json::from_str(columns["AdditionalFields"].as_str().unwrap()).unwrap();
    let entity = columns["EntityType"].as_str().unwrap();
    let file = if entity == "Process" { &fields["ImageFile"] } else { &fields };
    let is_file = matches!(entity, "File" | "Process");
    let own = [&columns["DeviceId"], &host(&file["Host"], &fields)["MachineId"]];
    let own = &own[..if is_file { 2 } else { 1 }];
    let machines: BTreeSet<_> = own.iter().filter_map(|id| lower(id)).collect();
    assert!(machines.len() <= 1, "{row}");
    let hashes = file["FileHashes"].as_array().into_iter().flatten();
    let nested = hashes.filter(|hash| hash["Algorithm"] == "SHA1").map(|hash| &hash["Value"]);
    Row {
        entity: entity.to_owned(),
        status: fields["DetectionStatus"].as_str().unwrap_or_default().to_owned(),
        machine: machines.into_iter().next(),
        hashes: nested.chain([&columns["SHA1"]]).filter_map(lower).collect(),
    }
}

fn lower(text: &Value) -> Option<String> {
    Some(text.as_str()?.to_ascii_lowercase()).filter(|text| !text.is_empty())
}

/// What the rows of all alerts together say.
fn find(settings: &Settings) -> (Expected, Expected) {
    let traffic = generate(settings);
    let mut alerts: BTreeMap<AlertKey, Joined> = BTreeMap::new();
    for row in parts(&traffic) {
        let of = |key: &str| row["properties"][key].as_str().unwrap_or_default().to_owned();
        let tenant = row["tenantId"].as_str().unwrap().to_owned();
        match row["category"].as_str().unwrap() {
            "AdvancedHunting-AlertInfo" => {
                alerts.entry((tenant, of("AlertId"))).or_default().severity = Some(of("Severity"));
            }
            "AdvancedHunting-AlertEvidence" => {
                alerts.entry((tenant, of("AlertId"))).or_default().rows.push(read(&row));
            }
            _ => {}
        }
    }
    let mut found = Expected::default();
    let known: BTreeSet<_> = (0..settings.tenants).map(tenant).collect();
    for (key, alert) in alerts {
        if alert.severity.is_none() {
            found.without_info.insert(key.clone());
        }
        if !known.contains(&key.0) {
            continue;
        }
        let severe = matches!(alert.severity.as_deref(), Some("Medium" | "High"));
        let named: BTreeSet<_> = alert.rows.iter().filter_map(|row| row.machine.clone()).collect();
        let only = alert.rows.iter().find(|row| row.entity == "Machine" && named.len() == 1);
        let detected = |row: &&Row| row.entity == "File" && row.status == "Detected";
        for row in alert.rows.iter().filter(detected).filter(|_| severe) {
            let machine = row.machine.clone().or_else(|| only?.machine.clone());
            let mut hashes = row.hashes.iter();
            match (machine, hashes.next(), hashes.next()) {
                (Some(machine), Some(sha1), None) if *sha1 != "0".repeat(40) => {
                    let (tenant, sha1) = (key.0.clone(), sha1.clone());
                    found.truth.insert(Call { tenant, machine, sha1 });
                }
                _ => _ = found.incomplete.insert(key.clone()),
            }
        }
    }
    (traffic.expected, found)
}

#[test]
fn what_a_stream_says_in_all_is_what_happened() {
    for seed in 0..3 {
        let (expected, found) = find(&Settings { seed, ..settings(SHAPES[0], 500) });
        assert_eq!(expected.truth, found.truth);
        // Those without AlertInfo end so too, where what it would have said is severe.
        let informed: BTreeSet<_> =
            expected.incomplete.difference(&expected.without_info).cloned().collect();
        assert_eq!(informed, found.incomplete);
        let files: BTreeSet<_> = found.without_info.intersection(&expected.without_info).collect();
        assert_eq!(files.len(), expected.without_info.len());
    }
}
