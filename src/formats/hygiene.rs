//! What a payload can't do to the memory, whatever its format: every candidate of an alert has a
//! copy of what they share.

use super::Format;
use crate::domain::candidate::{Field, Value};
use crate::limits::{INCIDENT_OBJECTS, LIST_BYTES, LIST_OBJECTS, LIST_TEXTS, SHARED_TEXT_BYTES};

/// An alert with this title, techniques, file name and further evidence, as JSON texts.
fn alert(format: Format, title: &str, techniques: &str, name: &str, more: &str) -> String {
    match format {
        Format::DefenderAlert => format!(
            r#"{{"id":"a","title":{title},"mitreTechniques":{techniques},
                "evidence":[{{"entityType":"File","fileName":{name}}}{more}]}}"#
        ),
        Format::GraphAlert => format!(
            r#"{{"id":"a","title":{title},"mitreTechniques":{techniques},
                "evidence":[{{"@odata.type":"x.fileEvidence","fileDetails":{{"fileName":{name}}}}}
                    {more}]}}"#
        ),
        _ => format!(
            r#"{{"object":{{"name":"a","properties":{{"title":{title},
                "additionalData":{{"techniques":{techniques}}},
                "relatedEntities":[{{"kind":"File","properties":{{"fileName":{name}}}}}
                    {more}]}}}}}}"#
        ),
    }
}

const FORMATS: [Format; 3] = [Format::DefenderAlert, Format::GraphAlert, Format::SentinelIncident];

/// How long the field is: bytes of a text, items of a list; `None` where it is absent.
fn length(format: Format, alert: &str, field: Field) -> Option<usize> {
    match format.decode(alert).unwrap().candidates[0].fields.get(field) {
        Value::Text(text) => Some(text.len()),
        Value::List(list) => Some(list.len()),
        _ => None,
    }
}

fn text(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes))
}

fn list(texts: usize, bytes: usize) -> String {
    format!("[{}]", vec![text(bytes); texts].join(","))
}

#[test]
fn a_text_that_all_candidates_share_is_short_or_absent_and_a_files_own_is_whole() {
    for format in FORMATS {
        let long = text(SHARED_TEXT_BYTES + 1);
        let fits = alert(format, &text(SHARED_TEXT_BYTES), "[]", &long, "");
        assert_eq!(length(format, &fits, Field::AlertTitle), Some(SHARED_TEXT_BYTES), "{format}");
        assert_eq!(length(format, &fits, Field::FileName), Some(SHARED_TEXT_BYTES + 1));
        let over = alert(format, &long, "[]", "\"x\"", "");
        assert_eq!(length(format, &over, Field::AlertTitle), None, "{format}");
    }
}

#[test]
fn a_list_that_all_candidates_share_is_short_or_absent() {
    for format in FORMATS {
        let techniques =
            |list: &str| length(format, &alert(format, "1", list, "1", ""), Field::AlertTechniques);
        assert_eq!(techniques(&list(LIST_TEXTS, 3)), Some(LIST_TEXTS), "{format}");
        assert_eq!(techniques(&list(LIST_TEXTS + 1, 3)), None, "{format}");
        assert_eq!(techniques(&list(4, LIST_BYTES / 4)), Some(4), "{format}");
        assert_eq!(techniques(&list(4, LIST_BYTES / 4 + 1)), None, "{format}");
        assert_eq!(techniques(&text(LIST_BYTES + 1)), None, "{format}");
    }
}

#[test]
fn a_list_of_more_objects_than_any_alert_has_makes_it_unreadable() {
    for format in FORMATS {
        let with = |objects: usize| {
            format.decode(&alert(format, "1", "1", "1", &",{}".repeat(objects))).map(|_| ())
        };
        assert_eq!(with(LIST_OBJECTS - 1), Ok(()), "{format}");
        assert!(with(LIST_OBJECTS).unwrap_err().0.contains("over 10000 objects"), "{format}");
    }
    let hashes = format!(r#",{{"properties":{{"fileHashes":[{{}}{}]}}}}"#, ",{}".repeat(9_000));
    let format = Format::SentinelIncident;
    let many = alert(format, "1", "1", "1", &hashes.repeat(INCIDENT_OBJECTS / 9_000 + 1));
    assert!(format.decode(&many).unwrap_err().0.contains("no real incident has over"));
}
