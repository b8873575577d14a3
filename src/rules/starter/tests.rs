use super::*;

fn write(format: &str, sample: &str) -> Result<String, String> {
    let id = "5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11";
    Starter { id, alert: "samples/a.json", format, sample }.write(&Formats::default())
}

const SAMPLE: &str = include_str!("../../../rules/samples/defender-malware.json");

#[test]
fn what_could_be_read_as_something_else_is_quoted() {
    for (text, written) in [
        ("Windows11", "Windows11"),
        ("a title", "a title"),
        ("true", "'true'"),
        ("No", "'No'"),
        ("7", "'7'"),
        ("it's: #1", "'it''s: #1'"),
        ("", "''"),
        ("- x", "'- x'"),
    ] {
        assert_eq!(text::scalar(text), written);
        let read: String = serde_saphyr::from_str(written).unwrap();
        assert_eq!(read, text);
    }
}

#[test]
fn a_title_can_break_out_of_nothing() {
    let title = "x: {y} # *z*\\n'\\u0007\\nid: other\\u202e";
    let sample = SAMPLE.replacen("\"title\": \"", &format!("\"title\": \"{title}"), 1);
    assert_ne!(sample, SAMPLE);
    let rule = write("defender-alert", &sample).unwrap();
    let title = rule.lines().next().unwrap();
    assert!(
        title.starts_with("title: 'Quarantine files of alerts such as x: {y} # *z*"),
        "{title}"
    );
    assert!(rule.lines().nth(1).unwrap().starts_with("id: 5d6a"), "{rule}");
    assert!(!rule.contains('\u{202e}') && !rule.contains("alert.title"), "{rule}");
}

#[test]
fn a_sample_that_no_rule_can_be_made_of_says_why() {
    let no_file = r#"{"id": "a", "machineId": "x", "evidence": []}"#;
    for (sample, says) in [
        ("{", "can't be read as defender-alert"),
        ("{}", "can't be read as defender-alert: the alert has no id"),
        (no_file, "names no file"),
    ] {
        let said = write("defender-alert", sample).unwrap_err();
        assert!(said.contains(says), "{said}");
    }
    assert!(write("own", SAMPLE).unwrap_err().contains("there is no format \"own\""));
}
