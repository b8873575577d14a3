//! Rows of the stream, in the shapes that are sent.

use serde_json::{Value as Json, json};

use super::*;
use crate::domain::ids::MachineId;

const WS1: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
const WS2: &str = "73e7e2de709dff64ef64b1d0c30e67fab63279db";
const EVIL: &str = "87662bc3d60e4200ceaf7aae249d1c343f4b83c9";
const PARENT: &str = "4048488de6ba4bfef9edf103755519f1f762668f";

fn record(table: &str, properties: Json) -> String {
    json!({
        "time": "2026-01-13T09:40:52.1578881Z",
        "tenantId": "11111111-1111-1111-1111-111111111111",
        "operationName": "Publish",
        "category": format!("AdvancedHunting-{table}"),
        "_TimeReceivedBySvc": "2026-01-13T09:40:52.1240000Z",
        "Tenant": "DefaultTenant",
        "properties": properties,
    })
    .to_string()
}

fn info() -> String {
    record(
        "AlertInfo",
        json!({
            "AlertId": "da638720000000000000_-1234567890",
            "Timestamp": "2026-01-13T09:28:36.2236631Z",
            "Title": "Malware was seen",
            "ServiceSource": "Microsoft Defender for Endpoint",
            "Category": "Malware",
            "Severity": "High",
            "DetectionSource": "EDR",
            "MachineGroup": null,
            "AttackTechniques": "[\"Masquerading (T1036)\",\"T1059.001\"]",
        }),
    )
}

fn evidence(entity: &str, columns: Json, additional: Option<Json>) -> String {
    let mut properties = json!({
        "Timestamp": "2026-01-13T09:28:36.2236631Z",
        "AlertId": "da638720000000000000_-1234567890",
        "EntityType": entity,
        "EvidenceRole": "Related",
        "SHA1": null, "SHA256": null, "FileName": null, "FolderPath": null, "FileSize": null,
        "DeviceId": null, "DeviceName": null, "ThreatFamily": null,
        "AdditionalFields": additional.map(|additional| additional.to_string()),
    });
    let all = properties.as_object_mut().unwrap();
    all.extend(columns.as_object().unwrap().clone());
    record("AlertEvidence", properties)
}

fn host(id: &str, machine: &str) -> Json {
    let enrichment = json!({"MachineId": WS2}).to_string();
    let metadata = json!({"MachineEnrichmentInfo": enrichment}).to_string();
    json!({"$id": id, "HostName": "ws1", "MachineId": machine, "MachineIdType": 3, "Type": "host",
        "Metadata": metadata})
}

fn hashes(sha1: &str) -> Json {
    json!([{"$id": "8", "Algorithm": "SHA256", "Value": "0".repeat(64), "Type": "filehash"},
        {"$id": "9", "Algorithm": "SHA1", "Value": sha1, "Type": "filehash"}])
}

fn file_fields() -> Json {
    json!({"$id": "1", "Directory": "C:\\temp", "Name": "evil.dll", "Host": host("2", WS1),
        "FileHashes": hashes(EVIL), "Type": "file", "IsPe": true, "Publisher": "Nobody",
        "DetectionStatus": "Detected", "LastVerdict": "Malicious",
        "LastRemediationState": "Active"})
}

fn process_fields() -> Json {
    json!({
        "$id": "1", "ProcessId": "4242", "CommandLine": "evil.exe /q",
        "ImageFile": {"$id": "2", "Directory": "C:\\temp", "Name": "evil.exe",
            "Host": host("3", WS1), "FileHashes": hashes(EVIL), "Type": "file"},
        "Account": {"$id": "5", "Name": "bob", "Host": {"$ref": "3"}, "Type": "account"},
        "ParentProcess": {"$id": "6", "ImageFile": {"$id": "7", "Name": "explorer.exe",
            "FileHashes": hashes(PARENT), "Host": host("10", WS2), "Type": "file"}},
        "Host": {"$ref": "3"}, "LastVerdict": "Suspicious", "DetectionStatus": "Detected",
    })
}

fn file_of(record: &str) -> File {
    match row(record).unwrap().row.unwrap().part {
        Part::File(file) => file,
        other => panic!("{other:?}"),
    }
}

fn machine(id: &str) -> Stated {
    Stated::Is(MachineId::parse(id).unwrap())
}

fn sha1(hash: &str) -> Result<Sha1, String> {
    Ok(Sha1::parse(hash).unwrap())
}

fn unusable(file: &File) -> &str {
    match &file.machine {
        Stated::Unusable(why) => why,
        other => panic!("{other:?}"),
    }
}

fn fields(file: &File) -> Json {
    serde_json::from_str(&file.fields).unwrap()
}

#[test]
fn the_alert_itself_is_read() {
    let info = info();
    let Streamed { tenant_id, row } = row(&info).unwrap();
    let row = row.unwrap();
    assert_eq!(tenant_id.as_deref(), Some("11111111-1111-1111-1111-111111111111"));
    assert_eq!(row.alert, "da638720000000000000_-1234567890");
    assert_eq!(row.time, Wall::parse("2026-01-13T09:40:52.1578881Z").unwrap());
    let Part::Alert { created, fields } = row.part else { panic!() };
    assert_eq!(created, Wall::parse("2026-01-13T09:28:36.2236631Z"));
    assert_eq!(
        serde_json::from_str::<Json>(&fields).unwrap(),
        json!({
            "alert.id": "da638720000000000000_-1234567890",
            "alert.title": "Malware was seen",
            "alert.severity": "High",
            "alert.severity_rank": 4,
            "alert.category": "Malware",
            "alert.service_source": "MicrosoftDefenderForEndpoint",
            "alert.detection_source": "WindowsDefenderAtp",
            "alert.techniques": ["T1036", "T1059.001"],
            "alert.created": "2026-01-13T09:28:36.2236631Z",
            "alert.format": "defender-xdr",
        })
    );
}

#[test]
fn a_file_row_is_read_with_its_nested_machine() {
    let columns = json!({"SHA1": EVIL.to_uppercase(), "FileName": "evil.dll:ads",
        "FolderPath": "C:\\temp\\", "FileSize": 1234});
    let file = file_of(&evidence("File", columns, Some(file_fields())));
    assert_eq!((&file.machine, &file.sha1), (&machine(WS1), &sha1(EVIL)));
    assert_eq!(
        fields(&file),
        json!({
            "machine.id": WS1,
            "file.sha1": EVIL, "file.name": "evil.dll:ads", "file.path": "C:\\temp",
            "file.entity": "File", "file.role": "Related", "file.verdict": "Malicious",
            "file.remediation": "Active", "file.detection_status": "Detected",
            "file.created": "2026-01-13T09:28:36.2236631Z", "file.publisher": "Nobody",
            "file.size": 1234,
        })
    );
}

#[test]
fn a_process_row_gives_its_image_and_never_its_parent() {
    let file = file_of(&evidence("Process", json!({}), Some(process_fields())));
    assert_eq!((&file.machine, &file.sha1), (&machine(WS1), &sha1(EVIL)));
    let fields = fields(&file);
    assert_eq!(fields["file.name"], "evil.exe");
    assert_eq!(fields["file.verdict"], "Suspicious");
    assert!(!file.fields.contains(PARENT) && !file.fields.contains(WS2), "{}", file.fields);
    // Without an image of its own there is no hash, whatever the parent has.
    let mut orphan = process_fields();
    orphan.as_object_mut().unwrap().remove("ImageFile");
    let file = file_of(&evidence("Process", json!({}), Some(orphan)));
    assert_eq!(file.sha1, Err("sha1 is missing".to_owned()));
    assert_eq!(unusable(&file), "Host refers to what is not there");
}

#[test]
fn references_are_followed_wherever_their_object_stands() {
    let mut additional = process_fields();
    let parent = additional["ParentProcess"].clone();
    additional["ImageFile"]["Host"] = json!({"$ref": "10"});
    additional["Host"] = host("3", WS1);
    let file = file_of(&evidence("Process", json!({}), Some(additional.clone())));
    assert_eq!(file.machine, Stated::Unusable("AdditionalFields name two machines".to_owned()));
    additional["Host"] = json!({"$ref": "10"});
    let file = file_of(&evidence("Process", json!({}), Some(additional.clone())));
    assert_eq!(file.machine, machine(WS2));
    // The same for the image and for hashes.
    additional["ParentProcess"] =
        json!({"$id": "6", "Image": additional["ImageFile"], "p": parent});
    additional["ImageFile"] = json!({"$ref": "2"});
    let file = file_of(&evidence("Process", json!({}), Some(additional.clone())));
    assert_eq!((&file.machine, &file.sha1), (&machine(WS2), &sha1(EVIL)));
    let mut additional = file_fields();
    additional["Other"] = json!({"$id": "20", "Algorithm": "SHA1", "Value": EVIL});
    additional["FileHashes"] = json!([{"$ref": "20"}]);
    let file = file_of(&evidence("File", json!({}), Some(additional.clone())));
    assert_eq!(file.sha1, sha1(EVIL));
    // A second host that contradicts the image's, or can't be told, is no machine either.
    for other in [json!({"$ref": "10"}), json!({"HostName": "ws2"}), json!({"MachineId": "ws2"})] {
        let mut additional = process_fields();
        additional["Host"] = other;
        let file = file_of(&evidence("Process", json!({}), Some(additional)));
        unusable(&file);
    }
    // One that leads nowhere, or to either of two, leads to no machine.
    for wrong in [json!({"$ref": "99"}), json!({"$ref": "1"})] {
        let mut additional = file_fields();
        additional["Again"] = json!({"$id": "1", "MachineId": WS2});
        additional["Host"] = wrong;
        let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional)));
        assert_eq!(unusable(&file), "Host refers to what is not there");
    }
}

#[test]
fn a_machines_name_is_a_full_one() {
    for (host, domain, name) in [
        ("ws1", json!(null), None),
        ("ws1", json!("contoso.example"), Some("ws1.contoso.example")),
        ("ws1.contoso.example", json!(null), Some("ws1.contoso.example")),
    ] {
        let mut additional = file_fields();
        additional["Host"]["HostName"] = json!(host);
        additional["Host"]["DnsDomain"] = domain;
        let file = file_of(&evidence("File", json!({}), Some(additional)));
        assert_eq!(fields(&file).get("machine.name").and_then(Json::as_str), name);
    }
}

#[test]
fn what_is_referred_to_is_bounded() {
    let mut additional = file_fields();
    additional["Big"] = json!({"$id": "30", "Algorithm": "SHA1", "Value": "x".repeat(100_000)});
    additional["FileHashes"] = json!([{"$ref": "30"}]);
    let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional.clone())));
    assert!(unusable(&file).contains("refer to more"), "{file:?}");
    additional["FileHashes"] = json!(vec![json!({"$ref": "9"}); 65]);
    let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional)));
    assert!(unusable(&file).contains("more hashes"), "{file:?}");
}

#[test]
fn columns_alone_do_and_what_differs_is_refused() {
    let columns = json!({"SHA1": EVIL, "DeviceId": WS1, "DeviceName": "ws1.example.local"});
    let file = file_of(&evidence("File", columns.clone(), None));
    assert_eq!((&file.machine, &file.sha1), (&machine(WS1), &sha1(EVIL)));
    assert_eq!(fields(&file)["machine.name"], "ws1.example.local");
    let file =
        file_of(&evidence("File", json!({"SHA1": EVIL, "DeviceId": WS2}), Some(file_fields())));
    assert_eq!(unusable(&file), "DeviceId and AdditionalFields name different machines");
    let file = file_of(&evidence("File", json!({"SHA1": PARENT}), Some(file_fields())));
    let why = "SHA1 and AdditionalFields name different hashes";
    assert_eq!(file.sha1, Err(why.to_owned()));
    assert!(fields(&file).get("file.sha1").is_none());
    // A column of no use is not made up for by what is nested, nor the other way round.
    let guid = json!({"DeviceId": "6a9f3b52-1111-2222-3333-444455556666", "SHA1": EVIL});
    let file = file_of(&evidence("File", guid, Some(file_fields())));
    assert!(unusable(&file).starts_with("DeviceId is a GUID"), "{file:?}");
    let mut additional = file_fields();
    additional["Host"]["MachineId"] = json!("ws1");
    let file = file_of(&evidence("File", columns, Some(additional)));
    assert!(unusable(&file).starts_with("Host.MachineId is a name"), "{file:?}");
}

#[test]
fn a_host_without_an_id_is_not_the_only_machine_there_is() {
    let mut additional = file_fields();
    additional["Host"] = json!({"HostName": "ws1"});
    let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional)));
    assert_eq!(unusable(&file), "Host.MachineId is missing, though its host has a name");
    for nowhere in [json!({}), json!({"Host": null}), json!({"Host": {}})] {
        let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(nowhere)));
        assert_eq!(file.machine, Stated::Nothing);
    }
    for nothing in [json!(null), json!("")] {
        let file = file_of(&evidence("File", json!({"AdditionalFields": nothing}), None));
        assert_eq!(file.machine, Stated::Nothing);
    }
}

#[test]
fn additional_fields_that_do_not_read_are_said_and_an_object_reads_too() {
    for broken in ["{\"Host\": {\"Mach", "[]", "{\"Host\":{},\"Host\":{}}"] {
        let columns = json!({"SHA1": EVIL, "AdditionalFields": broken});
        let file = file_of(&evidence("File", columns, None));
        assert!(unusable(&file).starts_with("AdditionalFields can't be read"), "{file:?}");
        assert_eq!(file.sha1, sha1(EVIL));
        // The column alone states the machine.
        let columns = json!({"SHA1": EVIL, "AdditionalFields": broken, "DeviceId": WS1});
        assert_eq!(file_of(&evidence("File", columns, None)).machine, machine(WS1));
    }
    let file = file_of(&evidence("File", json!({"AdditionalFields": file_fields()}), None));
    assert_eq!((&file.machine, &file.sha1), (&machine(WS1), &sha1(EVIL)));
}

#[test]
fn a_machine_row_names_a_machine() {
    let of = |columns: Json, additional: Option<Json>| match row(&evidence(
        "Machine", columns, additional,
    ))
    .unwrap()
    .row
    .unwrap()
    .part
    {
        Part::Machine { machine, .. } => machine,
        other => panic!("{other:?}"),
    };
    let ws1 = Ok(MachineId::parse(WS1).unwrap());
    assert_eq!(of(json!({"DeviceId": WS1}), None), ws1);
    assert_eq!(of(json!({}), Some(host("1", WS1))), ws1);
    assert!(of(json!({"DeviceId": WS2}), Some(host("1", WS1))).is_err());
    assert!(of(json!({"DeviceId": "ws1"}), None).is_err());
    assert!(of(json!({}), None).is_err());
}

#[test]
fn everything_else_is_passed_over() {
    let noise = json!({"DeviceId": WS1, "SHA1": EVIL, "InitiatingProcessSHA1": PARENT});
    for table in ["DeviceProcessEvents", "DeviceFileEvents", "EmailEvents"] {
        assert_eq!(row(&record(table, noise.clone())).unwrap().row, Err(PassedOver(table)));
    }
    // Whoever sends makes up no series of a metric.
    assert_eq!(row(&record("AlertInfoX", noise)).unwrap().row, Err(PassedOver("other")));
    // One of these rows was seen with a hash.
    for entity in ["User", "Mailbox", "MailMessage", "Url", "Ip", "RegistryKey", "Unheard", ""] {
        let columns = json!({"SHA1": EVIL, "FileName": "x.exe"});
        let passed = row(&evidence(entity, columns, None)).unwrap().row;
        assert_eq!(passed, Err(PassedOver("AlertEvidence")), "{entity}");
        let nested = row(&evidence(entity, json!({}), Some(json!({"Host": host("1", WS2)}))));
        let kept = nested.unwrap().row.unwrap().part;
        assert_eq!(kept, Part::Mention(Ok(MachineId::parse(WS2).unwrap())), "{entity}");
        // Where it is on a machine, only that is kept.
        let columns = json!({"SHA1": EVIL, "FileName": "x.exe", "DeviceId": WS1});
        let kept = row(&evidence(entity, columns, None)).unwrap().row.unwrap().part;
        assert_eq!(kept, Part::Mention(Ok(MachineId::parse(WS1).unwrap())), "{entity}");
    }
}

#[test]
fn a_row_alone_reads_and_a_row_without_its_alert_does_not() {
    let whole: Json = serde_json::from_str(&info()).unwrap();
    let alone = whole["properties"].to_string();
    assert!(matches!(row(&alone).unwrap().row.unwrap().part, Part::Alert { .. }));
    let whole: Json = serde_json::from_str(&evidence("File", json!({"SHA1": EVIL}), None)).unwrap();
    assert!(matches!(
        row(&whole["properties"].to_string()).unwrap().row.unwrap().part,
        Part::File(_)
    ));
    for wrong in [
        evidence("File", json!({"AlertId": null}), None),
        record("AlertInfo", json!({"Title": "x"})),
        record("AlertInfo", json!(null)),
        record("AlertInfo", json!([1])),
        "7".to_owned(),
        info().replacen("\"category\"", "\"tenantId\":\"x\",\"category\"", 1),
        info().replacen("\"Severity\"", "\"Severity\":\"Low\",\"Severity\"", 1),
    ] {
        assert!(row(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_sample_is_the_rows_of_one_alert() {
    let sample = format!(
        "{{\"records\":[{},{},{}]}}",
        evidence("File", json!({"SHA1": EVIL}), Some(file_fields())),
        evidence("Machine", json!({"DeviceId": WS1}), None),
        info()
    );
    let alert = decode(&sample).unwrap();
    assert_eq!(alert.candidates.len(), 1);
    assert_eq!(alert.candidates[0].machine, Ok(MachineId::parse(WS1).unwrap()));
    assert_eq!(alert.created, Wall::parse("2026-01-13T09:28:36.2236631Z"));
    let lines = format!("{}\n{}\n", info(), evidence("File", json!({}), Some(file_fields())));
    assert_eq!(decode(&lines).unwrap().candidates.len(), 1);
    let other = info().replace("da638720000000000000", "da7");
    let two = decode(&format!("{}\n{other}", info())).unwrap_err();
    assert!(two.0.contains("rows of several alerts"), "{two}");
    let lacks = decode(&evidence("File", json!({}), Some(file_fields()))).unwrap();
    let lacks = lacks.candidates[0].machine.as_ref().unwrap_err();
    assert!(lacks.0.contains("AlertInfo"), "{lacks}");
}

#[test]
fn what_names_a_machine_in_a_wrong_way_does_not_say_nothing() {
    for columns in [json!({"DeviceName": "other.example"}), json!({"DeviceId": {"x": WS1}})] {
        let mut columns = columns;
        columns["SHA1"] = json!(EVIL);
        unusable(&file_of(&evidence("File", columns, None)));
    }
    let additional = json!({"Host": {"MachineId": {"x": WS1}}});
    unusable(&file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional))));
}

#[test]
fn a_sample_of_mentions_alone_is_no_alert() {
    let mention = evidence("User", json!({"DeviceId": WS1}), None);
    assert!(decode(&mention).unwrap_err().0.contains("no row of AlertInfo"));
}

#[test]
fn two_equal_keys_where_something_refers_to_are_refused() {
    let other = format!(r#""Other":{{"$id":"9","MachineId":"{WS1}","\u004dachineId":"{WS2}"}}"#);
    let additional = format!(r#"{{"Host":{{"$ref":"9"}},{other}}}"#);
    let columns = json!({"SHA1": EVIL, "AdditionalFields": additional});
    let file = file_of(&evidence("File", columns, None));
    assert!(unusable(&file).contains("can't be read"), "{file:?}");
}

#[test]
fn an_image_that_refers_to_nothing_is_on_no_machine() {
    let additional = json!({"ImageFile": {"$ref": "99"}, "DetectionStatus": "Detected"});
    let file = file_of(&evidence("Process", json!({"SHA1": EVIL}), Some(additional)));
    assert_eq!(unusable(&file), "ImageFile refers to what is not there");
}

#[test]
fn a_host_that_is_no_object_does_not_say_nothing() {
    for host in [json!("ws-1"), json!(7), json!(["ws-1"]), json!(true)] {
        let nested = json!({"Host": host, "FileHashes": hashes("a")});
        let file = file_of(&evidence("File", json!({}), Some(nested)));
        assert_eq!(unusable(&file), "Host is no object", "{host}");
        let image = json!({"Host": host, "FileHashes": hashes("a")});
        let nested = json!({"ImageFile": image, "Host": {"MachineId": "b".repeat(40)}});
        let file = file_of(&evidence("Process", json!({}), Some(nested)));
        assert_eq!(unusable(&file), "ImageFile.Host is no object", "{host}");
        let nested = json!({"ImageFile": host, "Host": {"MachineId": "b".repeat(40)}});
        let file = file_of(&evidence("Process", json!({}), Some(nested)));
        assert_eq!(unusable(&file), "ImageFile is no object", "{host}");
    }
    let file = file_of(&evidence("File", json!({}), Some(json!({"Host": null}))));
    assert_eq!(file.machine, Stated::Nothing);
}

fn part_of(record: &str) -> Result<Part, PassedOver> {
    row(record).unwrap().row.map(|row| row.part)
}

#[test]
fn file_row_whose_host_is_defined_in_an_image() {
    let additional =
        json!({"ImageFile": {"$id": "2", "Host": host("3", WS2)}, "Host": {"$ref": "3"}});
    let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional)));
    assert_eq!(file.machine, machine(WS2));
}

#[test]
fn other_row_whose_host_is_defined_in_an_image() {
    let additional =
        json!({"ImageFile": {"$id": "2", "Host": host("3", WS2)}, "Host": {"$ref": "3"}});
    let part = part_of(&evidence("ScheduledTask", json!({}), Some(additional)));
    assert_eq!(part, Ok(Part::Mention(Ok(MachineId::parse(WS2).unwrap()))));
}

#[test]
fn two_equal_ids_on_the_quick_way() {
    let mut additional = process_fields();
    additional["ParentProcess"]["ImageFile"]["Host"]["$id"] = json!("3");
    let file = file_of(&evidence("Process", json!({}), Some(additional)));
    assert_eq!(unusable(&file), "Host refers to what is not there");
}

#[test]
fn other_row_with_a_device_name_only() {
    let part = part_of(&evidence("User", json!({"DeviceName": "ws2.contoso.example"}), None));
    assert!(matches!(part, Ok(Part::Mention(Err(_)))), "{part:?}");
}

#[test]
fn evidence_alone_without_an_entity_type() {
    for entity in [json!(null), json!(""), json!(["File"]), json!({"x": 1})] {
        let alone =
            json!({"AlertId": "a", "Timestamp": "2026-01-13T09:28:36Z", "EntityType": entity,
            "EvidenceRole": "Related", "DeviceId": WS2, "SHA1": EVIL, "FileName": "x.exe",
            "Severity": "High", "Title": "t"})
            .to_string();
        let read = row(&alone);
        assert!(
            !matches!(&read, Ok(Streamed { row: Ok(Row { part: Part::Alert { .. }, .. }), .. })),
            "{read:?}"
        );
    }
}

#[test]
fn a_sha1_column_of_the_wrong_type() {
    for column in [json!({"x": PARENT}), json!([PARENT]), json!(true)] {
        let file = file_of(&evidence("File", json!({"SHA1": column}), Some(file_fields())));
        assert!(file.sha1.is_err(), "{column} {:?}", file.sha1);
    }
}

#[test]
fn a_nested_hash_of_the_wrong_type() {
    let mut additional = file_fields();
    additional["FileHashes"][1]["Value"] = json!([PARENT]);
    let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional)));
    assert!(file.sha1.is_err(), "{:?}", file.sha1);
}

#[test]
fn a_device_name_of_the_wrong_type() {
    for name in [json!({"x": "ws2"}), json!(["ws2"]), json!("w".repeat(5000))] {
        let file = file_of(&evidence("File", json!({"SHA1": EVIL, "DeviceName": name}), None));
        assert_ne!(file.machine, Stated::Nothing);
    }
}

#[test]
fn a_host_name_of_the_wrong_type() {
    let additional = json!({"Host": {"HostName": ["ws2"]}});
    let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional)));
    assert_ne!(file.machine, Stated::Nothing);
}

#[test]
fn a_host_named_otherwise() {
    let mut seen = Vec::new();
    for host in [
        json!({"FQDN": "ws2.contoso.example"}),
        json!({"NetBiosName": "ws2"}),
        json!({"AadDeviceId": "6a9f3b52-1111-2222-3333-444455556666"}),
        json!({"AzureID": "/subscriptions/x"}),
        json!({"DnsDomain": "fabrikam.example", "Type": "host", "$id": "2"}),
    ] {
        let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(json!({"Host": host}))));
        if file.machine == Stated::Nothing {
            seen.push(host.to_string());
        }
    }
    assert!(seen.is_empty(), "{seen:#?}");
}

#[test]
fn two_places_with_one_key() {
    let one = file_of(&evidence(
        "File",
        json!({"SHA1": EVIL, "DeviceId": WS1, "FolderPath": "/tmp/a|b", "FileName": "c"}),
        None,
    ));
    let two = file_of(&evidence(
        "File",
        json!({"SHA1": EVIL, "DeviceId": WS1, "FolderPath": "/tmp/a", "FileName": "b|c"}),
        None,
    ));
    assert_ne!(one.key, two.key);
}

#[test]
fn a_category_of_the_wrong_type() {
    for category in
        [json!(["AdvancedHunting-DeviceEvents"]), json!({"a": 1}), json!(true), json!(1.5)]
    {
        let mut whole: Json =
            serde_json::from_str(&evidence("File", json!({"SHA1": EVIL, "DeviceId": WS1}), None))
                .unwrap();
        whole["category"] = category;
        let read = row(&whole.to_string());
        assert!(!matches!(&read, Ok(Streamed { row: Ok(_), .. })), "{read:?}");
    }
}

#[test]
fn other_row_whose_fields_do_not_read() {
    let truncated = format!("{{\"Key\":\"x\",\"Host\":{{\"MachineId\":\"{WS2}\",\"HostNa");
    let part = part_of(&evidence("RegistryKey", json!({"AdditionalFields": truncated}), None));
    assert!(matches!(part, Ok(Part::Mention(Err(_)))), "{part:?}");
}

#[test]
fn a_machine_id_of_the_wrong_type_behind_a_reference() {
    for id in [json!(7), json!({"x": 1}), json!([WS2])] {
        let direct = json!({"Host": {"MachineId": id}});
        let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(direct)));
        assert!(matches!(file.machine, Stated::Unusable(_)), "direct {:?}", file.machine);
        let additional = json!({"Host": {"$ref": "9"}, "Other": {"$id": "9", "MachineId": id}});
        let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional)));
        assert!(
            matches!(file.machine, Stated::Unusable(_)),
            "behind a reference {:?}",
            file.machine
        );
    }
}

#[test]
fn a_reference_in_one_hash_only() {
    // FileHashes as one object that refers.
    let other = json!({"$id": "9", "Algorithm": "SHA1", "Value": PARENT});
    let additional = json!({"Host": host("2", WS1), "FileHashes": {"$ref": "9"}, "Other": other});
    let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional)));
    assert!(file.sha1.is_err(), "{:?}", file.sha1);
}

#[test]
fn a_hash_that_refers_to_what_is_not_there() {
    let additional = json!({"Host": host("2", WS1), "FileHashes": [{"$ref": "99"}]});
    let file = file_of(&evidence("File", json!({"SHA1": EVIL}), Some(additional)));
    assert!(file.sha1.is_err(), "{:?}", file.sha1);
}
