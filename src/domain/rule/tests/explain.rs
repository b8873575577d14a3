//! What people are shown of a rule and a candidate.

use super::*;

fn shown(steps: &[Step]) -> Vec<String> {
    let one = |step: &Step| {
        let part = match &step.part {
            Part::Selection(name) => name.clone(),
            Part::Not => "not".to_owned(),
            Part::All => "all".to_owned(),
            Part::Any => "any".to_owned(),
            Part::Of(which) => format!("{which} of"),
            Part::Leaf { field, asks, has } => format!("{field} {asks} {has:?}"),
        };
        format!("{}{} {part}", "-".repeat(step.depth), step.seen)
    };
    steps.iter().map(one).collect()
}

#[test]
fn every_part_shows_with_what_was_asked_and_what_is_there() {
    let rules = set(vec![(rule("a"), malware(" and not (blocked or named)"))]);
    let explained = rules.explain(&fields(&[MALWARE, (Field::FileName, "x.exe")]));
    assert_eq!((explained[0].seen, explained[0].unknown.len()), (Seen::Fail, 0));
    assert_eq!(
        shown(&explained[0].steps),
        [
            "pass malware",
            "-pass alert.category is malware Some(\"\\\"malware\\\"\")",
            "fail not",
            "-pass any",
            "--unknown blocked",
            "---unknown file.detection_status is blocked None",
            "--pass named",
            "---pass file.name exists true Some(\"\\\"x.exe\\\"\")",
        ]
    );
    assert_eq!(
        explained[0].against[0].to_string(),
        "named stands against it: file.name is \"x.exe\""
    );
    let explained = rules.explain(&fields(&[MALWARE]));
    assert_eq!(explained[0].seen, Seen::Unknown);
    assert_eq!(explained[0].unknown, ["file.detection_status"]);
}

#[test]
fn the_nearest_rule_has_the_least_against_it() {
    let both = json!({
        "severe": {"alert.severity": "High"},
        "other": {"alert.title": "x"},
        "condition": "severe and other",
    });
    let one = json!({"malware": {"alert.category": "Malware"},
        "other": {"alert.title": "x"}, "condition": "malware and other"});
    let deny = json!({"never": {"alert.title": "y"}, "condition": "never"});
    let rules = set(vec![(rule("a"), both), (rule("b"), one), (denying("c", true), deny)]);
    let known = [MALWARE, (Field::AlertSeverity, "Low"), (Field::AlertTitle, "z")];
    let explained = rules.explain(&fields(&known));
    assert_eq!(nearest(&explained).unwrap().rule.id, "b");
    assert!(nearest(&explained[2..]).is_none(), "what denies is not near to acting");
}
