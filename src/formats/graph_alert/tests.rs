use proptest::prelude::*;

use super::*;
use crate::domain::ids::Sha1;
use crate::formats::{came_by, split};
use crate::limits;

const SAMPLE: &str = include_str!("sample.json");

/// Two machines and two files, as evidence names them.
const M1: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
const M2: &str = "a7d04c91be2f5836e17b09d4cc8f3e21650bda98";
const S1: &str = "87662bc3d60e4200ceaf7aae249d1c343f4b83c9";
const S2: &str = "3fd1907ce2b54a86d0139e7bf6c285a41e9d70b3";

/// An alert with a time and this evidence.
fn alert_with(evidence: &[String]) -> String {
    format!(
        r#"{{"id":"da1_-1","createdDateTime":"2026-12-03T08:42:09.0041873Z",
            "evidence":[{}]}}"#,
        evidence.join(",")
    )
}

fn evidence(kind: &str, keys: &str) -> String {
    format!(r##"{{"@odata.type":"#microsoft.graph.security.{kind}Evidence"{keys}}}"##)
}

fn device(machine: &str, keys: &str) -> String {
    evidence("device", &format!(r#","mdeDeviceId":"{machine}"{keys}"#))
}

/// A file on the machine that this key names, or on none where it is empty.
fn file(sha1: &str, machine: &str) -> String {
    evidence("file", &format!(r#","fileDetails":{{"sha1":"{sha1}"}}{machine}"#))
}

fn process(sha1: &str, machine: &str) -> String {
    let parent = r#""parentProcessImageFile":{"sha1":"00836cfb1af40252bd2a2ea843032e99a5b262ed"}"#;
    evidence("process", &format!(r#",{parent},"imageFile":{{"sha1":"{sha1}"}}{machine}"#))
}

fn on(machine: &str) -> String {
    format!(r#","mdeDeviceId":"{machine}""#)
}

/// Each file with its machine, or with why it has none.
fn pairs(evidence: &[String]) -> Vec<(String, Result<String, String>)> {
    let json = alert_with(evidence);
    let alert = decode(&json).unwrap();
    let pair = |candidate: &Candidate<'_>| {
        let machine = candidate.machine.as_ref().map(ToString::to_string);
        let told = text(candidate, Field::MachineId).map(str::to_owned);
        assert_eq!(told, machine.clone().ok(), "the field and the machine that is called");
        (candidate.sha1.as_ref().unwrap().to_string(), machine.map_err(|why| why.0.clone()))
    };
    alert.candidates.iter().map(pair).collect()
}

fn pair(sha1: &str, machine: &str) -> (String, Result<String, String>) {
    (sha1.to_owned(), Ok(machine.to_owned()))
}

fn text<'f>(candidate: &'f Candidate<'_>, field: Field) -> Option<&'f str> {
    match candidate.fields.get(field) {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The field of the first candidate, as it would be kept.
fn field_in(json: &str, field: Field) -> serde_json::Value {
    let alert = decode(json).unwrap();
    let mut kept = serde_json::to_value(&alert.candidates[0].fields).unwrap();
    kept.get_mut(field.name()).map_or("(absent)".into(), serde_json::Value::take)
}

/// The field where the sample has this value for the first of these keys.
fn field_of(key: &str, value: &str, field: Field) -> serde_json::Value {
    let key = format!("\"{key}\": ");
    let start = SAMPLE.find(&key).unwrap_or_else(|| panic!("{key}")) + key.len();
    let rest = &SAMPLE[start..];
    let end = rest.find('\n').unwrap();
    let end = if rest[..end].ends_with(',') { end - 1 } else { end };
    field_in(&format!("{}{value}{}", &SAMPLE[..start], &rest[end..]), field)
}

#[test]
fn the_sample_gives_its_file_and_its_process_and_never_the_parent() {
    let alert = decode(SAMPLE).unwrap();
    assert_eq!(alert.id, "da638440117290041873_-611402957");
    assert_eq!(alert.tenant_id.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
    assert_eq!(alert.created, Wall::parse("2026-12-03T08:42:09.0041873Z"));
    let [file, process] = &alert.candidates[..] else { panic!("{:?}", alert.candidates) };

    let machine = "c84d1f0b7725ae396610d2b5f4938c7ea1b06d52";
    assert_eq!(file.machine.as_ref().unwrap().to_string(), machine);
    assert_eq!(process.machine, file.machine);
    assert_eq!(file.evidence, Wall::parse("2026-12-03T08:42:09.2133333Z"), "its own");
    assert_eq!(file.sha1, Ok(Sha1::parse("0e7b5d29c1f46a8803d9b7e25a14c6f03d8e9172").unwrap()));
    assert_eq!(process.sha1, Ok(Sha1::parse("94d0a6be3817f25c60e4b91d7fa8325c06e7d1b8").unwrap()));
    let kept = serde_json::to_value(&file.fields).unwrap();
    let expected = r#"{
        "alert.id": "da638440117290041873_-611402957",
        "alert.provider_id": "da638440117290041873_-611402957",
        "alert.incident": "51077",
        "alert.title": "'Dridex' malware was detected",
        "alert.severity": "High",
        "alert.severity_rank": 4,
        "alert.category": "Malware",
        "alert.status": "New",
        "alert.classification": "Unknown",
        "alert.determination": "Unknown",
        "alert.investigation": "Queued",
        "alert.service_source": "MicrosoftDefenderForEndpoint",
        "alert.detection_source": "WindowsDefenderAv",
        "alert.detector": "9d2e60c4-7a15-4c83-b0f9-52e1d8a7463b",
        "alert.family": "Dridex",
        "alert.threat": "Trojan:Win32/Dridex.KV!MTB",
        "alert.techniques": ["T1204.002", "T1566.001"],
        "alert.created": "2026-12-03T08:42:09.0041873Z",
        "alert.updated": "2026-12-03T08:42:11.7366667Z",
        "alert.format": "graph-alert",
        "alert.machines": 1,
        "alert.files": 2,
        "machine.id": "c84d1f0b7725ae396610d2b5f4938c7ea1b06d52",
        "machine.name": "fin-lt-0412.fabrikam.example",
        "machine.os": "Windows11",
        "machine.group": "Clients",
        "machine.tags": ["Finance", "Laptop"],
        "machine.health": "Active",
        "machine.onboarding": "Onboarded",
        "machine.risk": "Medium",
        "machine.av_status": "Updated",
        "file.sha1": "0e7b5d29c1f46a8803d9b7e25a14c6f03d8e9172",
        "file.sha256": "5b1f08e6d97a42c3b08f6e15d2a97c40e83b1d65f7029ac4d81e3f56b07c92ad",
        "file.name": "statement_0312.exe",
        "file.path": "C:\\Users\\msmith\\Downloads",
        "file.entity": "File",
        "file.role": ["Created"],
        "file.verdict": "Malicious",
        "file.remediation": "Active",
        "file.detection_status": "Detected",
        "file.created": "2026-12-03T08:42:09.2133333Z",
        "file.publisher": "Northwind Tools",
        "file.signer": "Northwind Tools Ltd",
        "file.size": 418304
    }"#;
    let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    assert_eq!(kept, expected);
    assert_eq!(text(process, Field::FileEntity), Some("Process"));
    assert_eq!(text(process, Field::FileName), Some("explorer.exe"));
    assert_eq!(*process.fields.get(Field::FileSigner), Value::Absent, "null is not unsigned");
}

#[test]
fn no_field_comes_that_the_format_does_not_claim() {
    let mut alert = decode(SAMPLE).unwrap();
    let now = alert.created.unwrap();
    came_by(&mut alert, "contoso", "siem", now);
    let mut given: Vec<Field> =
        alert.candidates.iter().flat_map(|c| c.fields.present().map(|(field, _)| field)).collect();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given, GIVES, "the sample names every field, and the format no other");
}

#[test]
fn a_hash_counts_only_where_its_type_of_evidence_has_it() {
    let details = |key: &str| format!(r#","{key}":{{"sha1":"{S1}"}}{}"#, on(M1));
    for (kind, key) in [
        ("process", "parentProcessImageFile"),
        ("process", "fileDetails"),
        ("file", "imageFile"),
        ("file", "details"),
    ] {
        let json = alert_with(&[evidence(kind, &details(key))]);
        let alert = decode(&json).unwrap();
        let missing = Incomplete("sha1 is missing".to_owned());
        assert_eq!(alert.candidates[0].sha1, Err(missing), "{kind} {key}");
    }
    for kind in ["user", "fileHash", "device", "amazonProfile", "FILE", ""] {
        let json = alert_with(&[evidence(kind, &details("fileDetails"))]);
        assert!(decode(&json).unwrap().candidates.is_empty(), "{kind}");
    }
    let typed = [r#""@odata.type":null,"#, r#""@odata.type":["fileEvidence"],"#, ""];
    for kind in typed {
        let json = alert_with(&[format!(r#"{{{kind}"fileDetails":{{"sha1":"{S1}"}}}}"#)]);
        assert!(decode(&json).unwrap().candidates.is_empty(), "{kind}");
    }
    let json = alert_with(&[file(S1, "")]).replace("#microsoft", "microsoft");
    assert_eq!(decode(&json).unwrap().candidates.len(), 1, "also without #");
}

#[test]
fn each_file_is_on_the_machine_that_its_own_evidence_names() {
    let both = [device(M1, ""), device(M2, "")];
    let of = |rest: [String; 2]| pairs(&[both.to_vec(), rest.to_vec()].concat());
    assert_eq!(of([file(S1, &on(M2)), file(S2, &on(M1))]), [pair(S1, M2), pair(S2, M1)]);
    assert_eq!(of([file(S1, &on(M1)), process(S2, &on(M1))]), [pair(S1, M1), pair(S2, M1)]);
    // The same file on both is two candidates, and the same evidence twice is too: dedupe's work.
    assert_eq!(of([file(S1, &on(M1)), file(S1, &on(M2))]), [pair(S1, M1), pair(S1, M2)]);
    // Wherever the devices stand, and where none does.
    let last = [file(S1, &on(M2)), both[0].clone(), file(S2, &on(M1)), both[1].clone()];
    assert_eq!(pairs(&last), [pair(S1, M2), pair(S2, M1)]);
    let upper = on(&M1.to_uppercase());
    assert_eq!(pairs(&[file(S1, &upper)]), [pair(S1, M1)]);
}

#[test]
fn a_file_without_a_machine_is_on_the_only_one_there_is() {
    for silent in
        ["", r#","mdeDeviceId":null"#, r#","mdeDeviceId":" ""#, r#","mdeDeviceId":"null""#]
    {
        let alone = [device(M1, ""), file(S1, silent), process(S2, silent)];
        assert_eq!(pairs(&alone), [pair(S1, M1), pair(S2, M1)], "{silent}");
        let twice = [file(S1, silent), device(M1, ""), device(&M1.to_uppercase(), "")];
        assert_eq!(pairs(&twice), [pair(S1, M1)], "{silent}");
        let beside = [device(M1, ""), file(S1, silent), file(S2, &on(M1))];
        assert_eq!(pairs(&beside), [pair(S1, M1), pair(S2, M1)], "{silent}");
    }
}

#[test]
fn a_file_whose_machine_can_not_be_told_is_incomplete() {
    let two = "the alert names 2 machines and this file none";
    let none = "mdeDeviceId is missing, and no deviceEvidence has a usable one";
    let guid = "a839b112-1253-6432-9bf6-94542403f21c";
    let lost = file(S1, "");
    for (beside, why) in [
        (vec![device(M1, ""), device(M2, "")], two),
        (vec![device(M1, ""), file(S2, &on(M2))], two),
        (vec![device(M1, ""), process(S2, &on(M2))], two),
        (vec![device(M1, ""), evidence("registryValue", &on(M2))], two),
        (vec![device(M1, ""), evidence("device", r#","deviceDnsName":"pc2""#)], two),
        (vec![device(M1, ""), device(guid, "")], two),
        (vec![device(M1, ""), file(S2, &on("pc2"))], two),
        (vec![device(M1, ""), file(S2, r#","mdeDeviceId":{}"#)], two),
        (vec![device(M1, ""), device("pc2", ""), device("PC2", "")], two),
        (vec![], none),
        (vec![file(S2, &on(M1))], none),
        (vec![device(guid, "")], none),
        (vec![evidence("device", "")], none),
    ] {
        let all = [vec![lost.clone()], beside].concat();
        assert_eq!(pairs(&all)[0], (S1.to_owned(), Err(why.to_owned())), "{all:?}");
    }
}

/// What it names is wrong, and another machine would be a guess.
#[test]
fn a_file_that_names_no_usable_machine_gets_no_other() {
    for (named, why) in [
        (r#""a839b112-1253-6432-9bf6-94542403f21c""#, "GUID"),
        (r#""pc1.contoso.com""#, "is a name"),
        (r#""aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#, "32 hex"),
        (r#""0000000000000000000000000000000000000000""#, "all zeros"),
        ("[]", "no text"),
        ("true", "no text"),
    ] {
        let own = file(S1, &format!(r#","mdeDeviceId":{named}"#));
        let (_, machine) = pairs(&[device(M1, ""), own]).remove(0);
        assert!(machine.as_ref().is_err_and(|said| said.contains(why)), "{named}: {machine:?}");
    }
}

#[test]
fn a_machine_is_described_by_its_own_device_evidence() {
    let name = |name: &str| format!(r#","deviceDnsName":"{name}","rbacGroupName":"{name}s""#);
    let names = |evidence: &[String]| {
        let json = alert_with(evidence);
        let alert = decode(&json).unwrap();
        let of = |c: &Candidate<'_>, field| text(c, field).map(str::to_owned);
        let both = |c: &_| (of(c, Field::MachineName), of(c, Field::MachineGroup));
        alert.candidates.iter().map(both).collect::<Vec<_>>()
    };
    let is = |name: &str| (Some(name.to_owned()), Some(format!("{name}s")));
    let devices = [device(M1, &name("one")), device(&M2.to_uppercase(), &name("two"))];
    let files = [file(S1, &on(M2)), file(S2, &on(M1)), file(S1, "")];
    let all = [&files[..], &devices[..]].concat();
    assert_eq!(names(&all), [is("two"), is("one"), (None, None)]);
    // A machine that no device evidence describes.
    assert_eq!(names(&[devices[0].clone(), file(S1, &on(M2))]), [(None, None)]);
    // Two that differ: nobody knows which is right. What only one of them says stands.
    let other = device(M1, r#","deviceDnsName":"three","osPlatform":"Windows11""#);
    let differ = [devices[0].clone(), other, devices[0].clone(), file(S1, &on(M1))];
    assert_eq!(names(&differ), [(None, Some("ones".to_owned()))]);
    assert_eq!(field_in(&alert_with(&differ), Field::MachineOs), "Windows11");
    assert_eq!(field_in(&alert_with(&differ), Field::AlertMachines), 1);
    assert_eq!(field_in(&alert_with(&all), Field::AlertMachines), 2);
}

#[test]
fn null_is_known_and_empty_only_where_it_means_none() {
    let empty = serde_json::Value::Null;
    for (key, field) in [
        ("classification", Field::AlertClassification),
        ("determination", Field::AlertDetermination),
        ("threatFamilyName", Field::AlertFamily),
        ("threatDisplayName", Field::AlertThreat),
        ("mitreTechniques", Field::AlertTechniques),
    ] {
        assert_eq!(field_of(key, "null", field), empty, "{key}");
    }
    assert_eq!(field_of("mitreTechniques", "[]", Field::AlertTechniques), empty);
    for (key, values, field) in [
        ("severity", &["null"][..], Field::AlertSeverity),
        ("status", &["null"], Field::AlertStatus),
        ("category", &["null"], Field::AlertCategory),
        ("title", &["null"], Field::AlertTitle),
        ("detectionStatus", &["null"], Field::FileDetectionStatus),
        ("filePath", &["null"], Field::FilePath),
        ("filePublisher", &["null", "\"\""], Field::FilePublisher),
        ("signer", &["null", "\"\""], Field::FileSigner),
        ("fileSize", &["null", "-1", "1.5", "\"big\""], Field::FileSize),
        ("rbacGroupName", &["null"], Field::MachineGroup),
        ("riskScore", &["null"], Field::MachineRisk),
        ("tags", &["null", "[]", "[null]", "[\"a\",{}]"], Field::MachineTags),
    ] {
        for value in values {
            assert_eq!(field_of(key, value, field), "(absent)", "{key} {value}");
        }
    }
    let silent = alert_with(&[file(S1, &on(M1))]);
    for field in [Field::AlertClassification, Field::AlertFamily, Field::AlertTechniques] {
        assert_eq!(field_in(&silent, field), "(absent)", "{field:?}");
    }
}

#[test]
fn enumerations_have_the_spelling_that_rules_use() {
    for (key, written, field, read) in [
        ("severity", "informational", Field::AlertSeverity, "Informational"),
        ("severity", "unknown", Field::AlertSeverity, "Unknown"),
        ("status", "inProgress", Field::AlertStatus, "InProgress"),
        ("status", "resolved", Field::AlertStatus, "Resolved"),
        ("classification", "falsePositive", Field::AlertClassification, "FalsePositive"),
        ("determination", "securityTesting", Field::AlertDetermination, "SecurityTesting"),
        ("category", "malware", Field::AlertCategory, "Malware"),
        ("category", "SomethingNew", Field::AlertCategory, "SomethingNew"),
        ("detectionSource", "customTi", Field::AlertDetectionSource, "CustomTI"),
        (
            "detectionSource",
            "smartScreen",
            Field::AlertDetectionSource,
            "WindowsDefenderSmartScreen",
        ),
        (
            "serviceSource",
            "microsoft365Defender",
            Field::AlertServiceSource,
            "Microsoft365Defender",
        ),
        ("riskScore", "none", Field::MachineRisk, "None"),
        ("healthStatus", "noSensorData", Field::MachineHealth, "NoSensorData"),
        ("onboardingStatus", "canBeOnboarded", Field::MachineOnboarding, "CanBeOnboarded"),
        ("defenderAvStatus", "notReporting", Field::MachineAvStatus, "NotReporting"),
        ("detectionStatus", "prevented", Field::FileDetectionStatus, "Prevented"),
        ("filePath", "C:/Windows/", Field::FilePath, "C:\\Windows"),
    ] {
        let value = format!("\"{written}\"");
        assert_eq!(field_of(key, &value, field), read, "{key} {written}");
    }
    // The first of these keys is the device's: the file's own are set by hand.
    for (keys, field, read) in [
        (r#","verdict":"noThreatsFound""#, Field::FileVerdict, "Clean".into()),
        (r#","remediationStatus":"notFound""#, Field::FileRemediation, "NotFound".into()),
        (r#","remediationStatus":"notRemediated""#, Field::FileRemediation, "Unremediated".into()),
        (
            r#","roles":["attacker","commandAndControl"]"#,
            Field::FileRole,
            serde_json::json!(["Attacker", "CommandAndControl"]),
        ),
        (r#","roles":"attacker""#, Field::FileRole, serde_json::json!(["Attacker"])),
        (r#","roles":["attacker","somethingNew"]"#, Field::FileRole, "(absent)".into()),
        (r#","roles":["attacker","unknownFutureValue"]"#, Field::FileRole, "(absent)".into()),
        (r#","roles":[]"#, Field::FileRole, "(absent)".into()),
        (r#","verdict":"somethingNew""#, Field::FileVerdict, "(absent)".into()),
    ] {
        assert_eq!(field_in(&alert_with(&[file(S1, keys)]), field), read, "{keys}");
    }
}

#[test]
fn a_word_that_nobody_knows_is_absent_so_that_no_not_acts_on_it() {
    let all = [
        ("severity", Field::AlertSeverity),
        ("status", Field::AlertStatus),
        ("classification", Field::AlertClassification),
        ("determination", Field::AlertDetermination),
        ("investigationState", Field::AlertInvestigation),
        ("serviceSource", Field::AlertServiceSource),
        ("detectionSource", Field::AlertDetectionSource),
        ("healthStatus", Field::MachineHealth),
        ("onboardingStatus", Field::MachineOnboarding),
        ("riskScore", Field::MachineRisk),
        ("defenderAvStatus", Field::MachineAvStatus),
        ("detectionStatus", Field::FileDetectionStatus),
    ];
    for value in ["\"unknownFutureValue\"", "\"somethingNew\"", "3", "true", "{}", "[\"high\"]"] {
        for (key, field) in all {
            assert_eq!(field_of(key, value, field), "(absent)", "{key} {value}");
        }
    }
    assert_eq!(field_of("severity", "\"later\"", Field::AlertSeverityRank), "(absent)");
    assert_eq!(
        field_of("category", "\"unknownFutureValue\"", Field::AlertCategory),
        "(absent)",
        "the one word that no category can be"
    );
}

#[test]
fn a_hash_that_is_none_is_a_reason_and_not_a_crash() {
    let hash = |sha1: &str| {
        let keys = format!(r#","fileDetails":{{"sha1":{sha1}}}{}"#, on(M1));
        let json = alert_with(&[evidence("file", &keys)]);
        let alert = decode(&json).unwrap();
        assert_eq!(*alert.candidates[0].fields.get(Field::FileSha1), Value::Absent);
        alert.candidates[0].sha1.clone().unwrap_err().0
    };
    assert_eq!(hash(&format!("\"{}\"", "a".repeat(64))), "sha1 is a SHA-256 where a SHA-1 belongs");
    assert_eq!(hash(&format!("\"{}\"", "a".repeat(32))), "sha1 is an MD5 where a SHA-1 belongs");
    assert_eq!(hash(&format!("\"{}\"", "0".repeat(40))), "sha1 is all zeros");
    for missing in ["null", "\"\""] {
        assert_eq!(hash(missing), "sha1 is missing", "{missing}");
    }
    for odd in ["true", &format!("[\"{S1}\"]"), &"1234567890".repeat(4)] {
        assert_eq!(hash(odd), "sha1 is no text", "{odd}");
    }
    for odd in ["REDACTED", &format!("sha1:{S1}"), &format!("SHA1={S1}")] {
        assert_eq!(hash(&format!("\"{odd}\"")), "sha1 is not 40 hex digits", "{odd}");
    }
    for details in ["", "null", "[]", "\"x\"", "7", &format!(r#"[{{"sha1":"{S1}"}}]"#)] {
        let key = if details.is_empty() { "" } else { ",\"fileDetails\":" };
        let json = alert_with(&[evidence("file", &format!("{key}{details}"))]);
        let alert = decode(&json).unwrap();
        assert_eq!(alert.candidates[0].sha1, Err(Incomplete("sha1 is missing".to_owned())));
    }
}

#[test]
fn times_are_read_with_seven_digits_and_without_a_zone() {
    let at = Wall::parse("2026-12-03T09:00:00.1234567Z");
    for (written, read) in [
        (r#""2026-12-03T09:00:00.1234567Z""#, at),
        (r#""2026-12-03T09:00:00.1234567""#, at),
        (r#""2026-12-03T10:00:00.1234567+01:00""#, at),
        ("null", Wall::parse("2026-12-03T08:42:09.0041873Z")),
        ("\"yesterday\"", Wall::parse("2026-12-03T08:42:09.0041873Z")),
    ] {
        let keys = format!(r#","createdDateTime":{written}"#);
        let json = alert_with(&[file(S1, &keys)]);
        let alert = decode(&json).unwrap();
        assert_eq!(alert.candidates[0].evidence, read, "{written}");
        let has = *alert.candidates[0].fields.get(Field::FileCreated) != Value::Absent;
        assert_eq!(has, read == at, "{written}");
    }
    let alert = decode(r#"{"id":"a","createdDateTime":7}"#).unwrap();
    assert_eq!(alert.created, None);
}

#[test]
fn evidence_may_be_one_object_and_what_is_none_is_read_over() {
    let one = format!(r#"{{"id":"a","evidence":{}}}"#, file(S1, &on(M1)));
    assert_eq!(decode(&one).unwrap().candidates.len(), 1);
    let odd = ["null", "\"x\"", "1", "true", "[\"fileEvidence\"]", "{}"].map(str::to_owned);
    let json = alert_with(&[&odd[..], &[file(S1, &on(M1))]].concat());
    assert_eq!(decode(&json).unwrap().candidates.len(), 1);
    for none in ["", r#","evidence":null"#, r#","evidence":[]"#] {
        assert!(decode(&format!(r#"{{"id":"a"{none}}}"#)).unwrap().candidates.is_empty());
    }
}

#[test]
fn what_can_be_meant_in_two_ways_is_unreadable() {
    let twice = |json: &str| {
        let why = decode(json).unwrap_err().0;
        assert!(why.contains("duplicate"), "{json}: {why}");
    };
    twice(r#"{"id":"a","severity":"low","severity":"high"}"#);
    twice(&alert_with(&[file(S1, &on(M1)), file(S2, &(on(M1) + &on(M2)))]));
    twice(&alert_with(&[file(&format!(r#"{S1}","sha1":"{S2}"#), "")]));
    twice(&alert_with(&[evidence("file", r##","@odata.type":"#x.processEvidence""##)]));
    twice(&alert_with(&[evidence("file", r#","fileDetails":{},"fileDetails":{}"#)]));
    // Not read, so that it does not matter.
    let unread = r#","parentProcessImageFile":{"sha1":"a","sha1":"b"},"processId":1,"processId":2"#;
    let json = alert_with(&[evidence("process", unread)]);
    assert_eq!(decode(&json).unwrap().candidates.len(), 1);
}

#[test]
fn an_alert_without_a_usable_id_or_that_is_no_object_is_unreadable() {
    for json in [
        "null".to_owned(),
        "[\"da1\"]".to_owned(),
        "{}".to_owned(),
        r#"{"id":null,"providerAlertId":"da1"}"#.to_owned(),
        r#"{"id":"a b"}"#.to_owned(),
        r#"{"id":"a\nb"}"#.to_owned(),
        format!(r#"{{"id":"{}"}}"#, "a".repeat(129)),
        r#"{"id":"a","evidence":"fileEvidence"}"#.to_owned(),
    ] {
        let why = decode(&json).unwrap_err().0;
        assert!(why.len() < 400 && !why.chars().any(char::is_control), "{why}");
    }
    for id in ["da637308392288907382_-880718168", "sn34c87846-505a-4b1e", "caD70CFEE2-1F54"] {
        assert_eq!(decode(&format!(r#"{{"id":"{id}"}}"#)).unwrap().id, id);
    }
}

#[test]
fn an_alert_with_too_many_files_is_unreadable() {
    let files = |n: usize| alert_with(&vec![file(S1, &on(M1)); n]);
    let most = limits::CANDIDATES_PER_ALERT;
    assert_eq!(decode(&files(most)).unwrap().candidates.len(), most);
    assert!(decode(&files(most + 1)).is_err());
    let devices = vec![device(M1, ""); most + 1];
    let beside = alert_with(&[devices, vec![file(S1, "")]].concat());
    assert_eq!(decode(&beside).unwrap().candidates.len(), 1, "devices are no files");
}

#[test]
fn a_body_of_several_alerts_is_cut_and_each_names_its_own_tenant() {
    let one = SAMPLE.replace('\n', "");
    let two = one.replace("11111111-2222", "99999999-2222");
    for body in [
        format!(r#"{{"@odata.context":"https://graph.example","value":[{one},{two}]}}"#),
        format!("[{one},{two}]"),
        format!("\u{feff}{one}\r\n\n{two}\n"),
    ] {
        let alerts = split(body.as_bytes()).unwrap();
        let tenants: Vec<String> = alerts
            .iter()
            .map(|cut| {
                Format::GraphAlert.decode_cut(cut).unwrap().tenant_id.unwrap()[..8].to_owned()
            })
            .collect();
        assert_eq!(tenants, ["11111111", "99999999"]);
    }
    let (text, alert) = Format::GraphAlert.decode_only(SAMPLE.as_bytes()).unwrap();
    assert_eq!((text, alert.candidates.len()), (SAMPLE.trim(), 2));
    let named = |tenant: &str| {
        let json = format!(r#"{{"id":"a","tenantId":{tenant}}}"#);
        decode(&json).unwrap().tenant_id.map(Cow::into_owned)
    };
    assert_eq!(named("null"), None);
    assert!(named("{}").is_some(), "a tenant that nobody knows");
}

proptest! {
    /// Whatever bytes come, decoding returns, and whatever it returns is within bounds.
    #[test]
    fn no_input_crashes(json in "[\\[\\]{}\",:a-z0-9\\\\ ]{0,200}") {
        if let Ok(alert) = decode(&json) {
            prop_assert!(!alert.id.is_empty() && alert.id.len() <= limits::ALERT_ID_BYTES);
        }
    }

    /// However devices and files mix, a candidate's machine is its own or the only one there is.
    #[test]
    fn machines_and_files_are_never_crossed(items in proptest::collection::vec(0usize..6, 0..8)) {
        let all: Vec<String> = items.iter().map(|item| match item {
            0 => device(M1, ""),
            1 => device(M2, ""),
            2 => file(S1, &on(M1)),
            3 => process(S1, &on(M2)),
            4 => file(S2, ""),
            _ => process(S2, ""),
        }).collect();
        let has = |kinds: [usize; 2]| items.iter().any(|item| kinds.contains(item));
        let only = match (items.contains(&0), items.contains(&1)) {
            (true, false) if !has([3, 3]) => Some(M1.to_owned()),
            (false, true) if !has([2, 2]) => Some(M2.to_owned()),
            _ => None,
        };
        let expected: Vec<Option<String>> = items.iter().filter_map(|item| match item {
            0 | 1 => None,
            2 => Some(Some(M1.to_owned())),
            3 => Some(Some(M2.to_owned())),
            _ => Some(only.clone()),
        }).collect();
        let came: Vec<Option<String>> =
            pairs(&all).into_iter().map(|(_, machine)| machine.ok()).collect();
        prop_assert_eq!(came, expected);
    }

    /// No cut of a whole alert crashes or reads as one.
    #[test]
    fn no_cut_reads_as_an_alert(cut in 0usize..6000) {
        let json = SAMPLE.trim_end();
        let cut = cut.min(json.len() - 1);
        prop_assert!(json.get(..cut).is_none_or(|cut| decode(cut).is_err()));
    }
}
