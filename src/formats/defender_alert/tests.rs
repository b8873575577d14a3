use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::formats::came_by;
use crate::limits;

const MACHINE: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
const SHA1: &str = "87662bc3d60e4200ceaf7aae249d1c343f4b83c9";

/// An alert with these keys beside an id, a machine and a time.
fn alert_with(keys: &str) -> String {
    format!(
        r#"{{"id":"da637_-1","machineId":"{MACHINE}",
            "alertCreationTime":"2026-01-26T20:33:57.7220239Z"{keys}}}"#
    )
}

/// One file item with these keys beside its type and hash.
fn file_with(keys: &str) -> String {
    alert_with(&format!(r#","evidence":[{{"entityType":"File","sha1":"{SHA1}"{keys}}}]"#))
}

fn text<'f>(candidate: &'f Candidate<'_>, field: Field) -> Option<&'f str> {
    match candidate.fields.get(field) {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

#[test]
fn an_alert_gives_a_candidate_for_each_file_and_process() {
    let json = alert_with(
        r#","incidentId":1126093,"severity":"high","status":"new","category":"Malware",
        "title":"A title","rbacGroupName":"Clients","mitreTechniques":["T1064","T1085"],
        "aadTenantId":"a839b112-1253-6432-9bf6-94542403f21c","newKey":{"deep":[1,{}]},
        "evidence":[
          {"entityType":"User","sha1":null,"accountName":"x"},
          {"entityType":"Process","sha1":"FF836CFB1AF40252BD2A2EA843032E99A5B262ED",
           "fileName":"rundll32.exe","evidenceCreationTime":"2026-01-26T21:00:00.6133333Z",
           "parentProcessSha1":"00836cfb1af40252bd2a2ea843032e99a5b262ed",
           "detectionStatus":"Detected"},
          {"entityType":"file","sha1":"87662bc3d60e4200ceaf7aae249d1c343f4b83c9",
           "sha256":
           "ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789",
           "fileName":"evil\u002eexe","filePath":"c:\\temp","detectionStatus":null}
        ]"#,
    );
    let alert = decode(&json).unwrap();
    assert_eq!(alert.id, "da637_-1");
    assert_eq!(alert.tenant_id.as_deref(), Some("a839b112-1253-6432-9bf6-94542403f21c"));
    let [process, file] = &alert.candidates[..] else { panic!("{:?}", alert.candidates) };

    assert_eq!(
        process.sha1.as_ref().unwrap().to_string(),
        "ff836cfb1af40252bd2a2ea843032e99a5b262ed"
    );
    assert_eq!(text(process, Field::FileSha1), Some("ff836cfb1af40252bd2a2ea843032e99a5b262ed"));
    assert_eq!(text(process, Field::FileEntity), Some("Process"));
    assert_eq!(process.evidence, Wall::parse("2026-01-26T21:00:00.6133333Z"));

    assert_eq!(file.machine.as_ref().unwrap().to_string(), MACHINE);
    assert_eq!(text(file, Field::FileEntity), Some("File"));
    assert_eq!(text(file, Field::FileName), Some("evil.exe"));
    assert_eq!(text(file, Field::FilePath), Some("c:\\temp"));
    assert_eq!(text(file, Field::FileSha256), Some(&*"abcdef0123456789".repeat(4)));
    assert_eq!(*file.fields.get(Field::FileDetectionStatus), Value::Absent);
    assert_eq!(file.evidence, Wall::parse("2026-01-26T20:33:57.7220239Z"), "the alert's");
    assert_eq!(text(file, Field::AlertIncident), Some("1126093"));
    assert_eq!(text(file, Field::AlertSeverity), Some("High"));
    assert_eq!(*file.fields.get(Field::AlertSeverityRank), Value::Number(4));
    assert_eq!(text(file, Field::MachineGroup), Some("Clients"));
    assert_eq!(*file.fields.get(Field::AlertFiles), Value::Number(2));
    assert_eq!(*file.fields.get(Field::AlertMachines), Value::Number(1));
}

#[test]
fn without_evidence_there_is_no_candidate() {
    for evidence in ["", r#","evidence":null"#, r#","evidence":[]"#] {
        assert!(decode(&alert_with(evidence)).unwrap().candidates.is_empty(), "{evidence}");
    }
    let one = format!(r#","evidence":{{"entityType":"File","sha1":"{SHA1}"}}"#);
    assert_eq!(decode(&alert_with(&one)).unwrap().candidates.len(), 1, "a single object");
}

#[test]
fn null_is_known_and_empty_only_where_it_means_none() {
    let none = file_with("").replace(
        "{\"id\"",
        r#"{"classification":null,"determination":null,"threatFamilyName":null,"threatName":null,
           "mitreTechniques":[],"title":null,"rbacGroupName":null,"severity":null,"id""#,
    );
    let alert = decode(&none).unwrap();
    let fields = &alert.candidates[0].fields;
    let empty: Vec<&str> = fields
        .present()
        .filter(|(_, value)| **value == Value::Empty)
        .map(|(field, _)| field.name())
        .collect();
    assert_eq!(
        empty,
        [
            "alert.classification",
            "alert.determination",
            "alert.family",
            "alert.threat",
            "alert.techniques"
        ]
    );
    let silent_json = file_with("");
    let silent = decode(&silent_json).unwrap();
    for field in [Field::AlertFamily, Field::AlertTechniques, Field::AlertTitle] {
        assert_eq!(*silent.candidates[0].fields.get(field), Value::Absent, "{field:?}");
    }
}

#[test]
fn values_have_one_spelling_and_unknown_ones_stay() {
    for (written, read) in [
        ("UnSpecified", "Unknown"),
        ("UNSPECIFIED", "Unknown"),
        ("medium", "Medium"),
        ("Catastrophic", "Catastrophic"),
    ] {
        let json = file_with("").replace("{\"id\"", &format!(r#"{{"severity":"{written}","id""#));
        let alert = decode(&json).unwrap();
        assert_eq!(text(&alert.candidates[0], Field::AlertSeverity), Some(read));
    }
    let spared = r#"{"classification":"Informational, expected activity","id""#;
    let json = file_with("").replace("{\"id\"", spared);
    let alert = decode(&json).unwrap();
    let classified = text(&alert.candidates[0], Field::AlertClassification);
    assert_eq!(classified, Some("InformationalExpectedActivity"));
    let json = file_with("").replace("{\"id\"", r#"{"category":"null","threatName":7,"id""#);
    let alert = decode(&json).unwrap();
    assert_eq!(*alert.candidates[0].fields.get(Field::AlertCategory), Value::Absent);
    assert_eq!(text(&alert.candidates[0], Field::AlertThreat), Some("7"));
}

#[test]
fn only_an_alert_that_is_silent_about_its_tenant_names_none() {
    let named = |tenant: &str| {
        let json = alert_with(&format!(r#","aadTenantId":{tenant}"#));
        decode(&json).unwrap().tenant_id.map(|id| id.into_owned())
    };
    for silent in ["null", "\"\"", "\" \""] {
        assert_eq!(named(silent), None, "{silent}");
    }
    for odd in ["[]", "[\"a\"]", "{\"id\":\"a\"}", "true", "7", "\"x\""] {
        assert!(named(odd).is_some(), "{odd}");
    }
}

/// The alert's field for a value of one of its keys, as the first candidate has it.
fn field_of(key: &str, value: &str, field: Field) -> Value<'static> {
    let item = format!(r#""evidence":[{{"entityType":"File","{key}":{value}}}]"#);
    let json = format!(r#"{{"id":"da1","{key}":{value},{item}}}"#);
    match decode(&json).unwrap().candidates[0].fields.get(field) {
        Value::Text(text) => Value::Text(Cow::Owned(text.to_string())),
        Value::Absent => Value::Absent,
        other => panic!("{key} {value} gives {other:?}"),
    }
}

#[test]
fn a_value_of_no_use_is_absent_so_that_no_not_acts_on_it() {
    for (key, values, field) in [
        ("filePath", &["\" \"", "\"N/A\"", "\"Null\"", "\"-\""][..], Field::FilePath),
        ("rbacGroupName", &["\"  \"", "\"NULL\"", "[]"], Field::MachineGroup),
        ("classification", &["\" \"", "\"NULL\"", "2", "\"2\""], Field::AlertClassification),
        ("severity", &["3", "\"\"", "true"], Field::AlertSeverity),
        ("mitreTechniques", &["\"\"", "\"null\"", "[\"null\",\"\"]"], Field::AlertTechniques),
        ("sha256", &["\"REDACTED\"", "\"00\""], Field::FileSha256),
        ("machineId", &["\"pc1.contoso.com\""], Field::MachineId),
    ] {
        for value in values {
            assert_eq!(field_of(key, value, field), Value::Absent, "{key} {value}");
        }
    }
    let zeros = format!("\"{}\"", "0".repeat(64));
    assert_eq!(field_of("sha256", &zeros, Field::FileSha256), Value::Absent);
}

#[test]
fn what_is_written_in_other_ways_reads_as_the_same() {
    for (key, written, field, read) in [
        ("severity", " Low", Field::AlertSeverity, "Low"),
        ("status", " resolved", Field::AlertStatus, "Resolved"),
        ("classification", "FalsePositive ", Field::AlertClassification, "FalsePositive"),
        ("classification", "False positive", Field::AlertClassification, "FalsePositive"),
        ("classification", "false_positive", Field::AlertClassification, "FalsePositive"),
        ("status", "in-progress", Field::AlertStatus, "InProgress"),
        ("filePath", "C:/Windows/System32/", Field::FilePath, "C:\\Windows\\System32"),
        ("filePath", "C:\\\\Windows\\\\", Field::FilePath, "C:\\Windows"),
        ("filePath", "C:\\\\", Field::FilePath, "C:\\"),
        ("filePath", "%SystemRoot%/System32", Field::FilePath, "%SystemRoot%\\System32"),
    ] {
        let value = field_of(key, &format!("\"{written}\""), field);
        assert_eq!(value, Value::Text(Cow::Borrowed(read)), "{key} {written}");
    }
}

#[test]
fn evidence_that_is_no_object_does_not_lose_the_files_beside_it() {
    let file = format!(r#"{{"entityType":"File","sha1":"{SHA1}"}}"#);
    let json = alert_with(&format!(r#","evidence":[null,"x",1,-1,1.5,true,["File"],{file}]"#));
    assert_eq!(decode(&json).unwrap().candidates.len(), 1);
}

#[test]
fn a_hash_or_a_machine_of_another_kind_is_a_reason_and_not_a_crash() {
    let hash = |sha1: &str| {
        let json = alert_with(&format!(r#","evidence":[{{"entityType":"File","sha1":{sha1}}}]"#));
        let alert = decode(&json).unwrap();
        assert_eq!(*alert.candidates[0].fields.get(Field::FileSha1), Value::Absent);
        alert.candidates[0].sha1.clone().unwrap_err().0
    };
    assert_eq!(hash(&format!("\"{}\"", "a".repeat(64))), "sha1 is a SHA-256 where a SHA-1 belongs");
    assert_eq!(hash(&format!("\"{}\"", "0".repeat(40))), "sha1 is all zeros");
    assert_eq!(
        hash("\"da39a3ee5e6b4b0d3255bfef95601890afd80709\""),
        "sha1 is the hash of an empty file"
    );
    for missing in ["null", "\"\""] {
        assert_eq!(hash(missing), "sha1 is missing");
    }
    let digits = "1234567890".repeat(4);
    for odd in ["[]", "true", &digits, "1.5"] {
        assert_eq!(hash(odd), "sha1 is no text", "{odd}");
    }
    assert_eq!(hash("\"REDACTED\""), "sha1 is not 40 hex digits");

    let machine = |id: &str| {
        let json = file_with("").replace(&format!("\"{MACHINE}\""), id);
        let alert = decode(&json).unwrap();
        alert.candidates[0].machine.clone().unwrap_err().0
    };
    assert_eq!(machine("null"), "machineId is missing");
    assert_eq!(machine(&digits), "machineId is no text", "it is not exact");
    assert!(machine("\"a839b112-1253-6432-9bf6-94542403f21c\"").contains("GUID"));
    assert!(machine("\"pc1.contoso.com\"").contains("name"));
    assert!(machine(&format!("\"{}\"", "a".repeat(32))).contains("32 hex"));
}

#[test]
fn what_can_be_meant_in_two_ways_is_unreadable() {
    let twice = alert_with(r#","severity":"Low","severity":"High""#);
    assert!(decode(&twice).unwrap_err().0.contains("duplicate"), "{twice}");
    let twice = file_with(r#","sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709""#);
    assert!(decode(&twice).unwrap_err().0.contains("duplicate"), "{twice}");
    for json in [
        "null".to_owned(),
        "[\"da637_-1\"]".to_owned(),
        "{}".to_owned(),
        r#"{"id":null}"#.to_owned(),
        r#"{"id":"a b"}"#.to_owned(),
        r#"{"id":"a\nb"}"#.to_owned(),
        format!(r#"{{"id":"{}"}}"#, "a".repeat(129)),
        alert_with(r#","evidence":"File""#),
    ] {
        let why = decode(&json).unwrap_err().0;
        assert!(why.len() < 400 && !why.chars().any(char::is_control), "{why}");
    }
}

#[test]
fn an_alert_with_too_many_files_is_unreadable() {
    let files = |n: usize| {
        let item = format!(r#"{{"entityType":"File","sha1":"{SHA1}"}}"#);
        alert_with(&format!(r#","evidence":[{}]"#, vec![item; n].join(",")))
    };
    assert_eq!(decode(&files(limits::CANDIDATES_PER_ALERT)).unwrap().candidates.len(), 1000);
    assert!(decode(&files(limits::CANDIDATES_PER_ALERT + 1)).is_err());
}

#[test]
fn age_tenant_and_source_are_added_by_whoever_knows_them() {
    let json = file_with("");
    let mut alert = decode(&json).unwrap();
    let now = Wall::parse("2026-01-26T20:35:00Z").unwrap();
    came_by(&mut alert, "contoso", "siem", now);
    assert_eq!(*alert.candidates[0].fields.get(Field::AlertAge), Value::Number(62));
    assert_eq!(text(&alert.candidates[0], Field::AlertTenant), Some("contoso"));
    assert_eq!(text(&alert.candidates[0], Field::AlertSource), Some("siem"));
    assert_eq!(text(&alert.candidates[0], Field::AlertFormat), Some("defender-alert"));
}

#[test]
fn no_field_comes_that_the_format_does_not_claim() {
    let json = include_str!("../../../rules/samples/defender-malware.json");
    let mut alert = decode(json).unwrap();
    let now = alert.created.unwrap();
    came_by(&mut alert, "contoso", "siem", now);
    let mut given: Vec<Field> =
        alert.candidates.iter().flat_map(|c| c.fields.present().map(|(field, _)| field)).collect();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given, GIVES, "the sample names every field, and the format no other");
}

proptest! {
    /// Whatever bytes come, decoding returns, and whatever it returns is within bounds.
    #[test]
    fn no_input_crashes(json in "[\\[\\]{}\",:a-z0-9\\\\ ]{0,200}") {
        if let Ok(alert) = decode(&json) {
            prop_assert!(!alert.id.is_empty() && alert.id.len() <= limits::ALERT_ID_BYTES);
        }
    }

    /// No cut of a real alert crashes or reads as a whole one.
    #[test]
    fn no_cut_reads_as_an_alert(cut in 0usize..400) {
        let json = file_with(r#","fileName":"evil.exe","detectionStatus":"Detected""#);
        let json = json.trim_end();
        let cut = cut.min(json.len() - 1);
        prop_assert!(decode(&json[..cut]).is_err());
    }
}
