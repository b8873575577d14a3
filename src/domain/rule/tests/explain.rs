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

#[test]
fn a_miss_names_the_nearest_rule_and_the_first_leaf_in_the_order_of_the_condition() {
    let two = json!({
        "severe": {"alert.severity": "High"},
        "category": {"alert.category": "Malware"},
        "asked": {"alert.title": "x", "alert.status": "New"},
        "condition": "severe and category and asked",
    });
    let three = json!({
        "whole": {"alert.severity": "High", "alert.title": "x", "alert.status": "y"},
        "other": {"alert.id": "i"},
        "condition": "whole and other",
    });
    let deny = json!({"never": {"alert.title": "y"}, "condition": "never"});
    let rules = set(vec![(rule("b"), two), (rule("a"), three), (denying("0", true), deny)]);
    let known = [(Field::AlertSeverity, "Low"), (Field::AlertTitle, "z"), (Field::AlertId, "j")];
    let category = (Field::AlertCategory, "Malware");
    let miss = |known: &[_]| rules.miss(&fields(known)).map(|miss| miss.to_string());
    let near = miss(&[known[0], known[1], known[2], category]).unwrap();
    assert_eq!(near, "the nearest is \"b\": severe stands against it: alert.severity is \"Low\"");
    let none = set(vec![(denying("0", true), malware(""))]);
    assert_eq!(none.miss(&fields(&known)), None);
}

#[test]
fn a_miss_is_bounded_in_rules_and_text_and_says_so() {
    let one = |at: usize| {
        let condition = if at < 16 { "one and two" } else { "three" };
        let detection = json!({"one": {"alert.title": "x"}, "two": {"alert.status": "y"},
            "three": {"alert.id": "a"}, "condition": condition});
        (rule(&format!("{at:03}")), detection)
    };
    let status = (Field::AlertStatus, "New");
    let known = fields(&[(Field::AlertTitle, "z"), status, (Field::AlertId, "b")]);
    let rules = set((0..17).map(one).collect());
    let said = rules.miss(&known).unwrap().to_string();
    assert!(said.starts_with("of the first 16 rules the nearest is \"000\""), "{said}");
    let said = set((0..16).map(one).collect()).miss(&known).unwrap().to_string();
    assert!(said.starts_with("the nearest is \"000\""), "{said}");
    let long: &'static str = Box::leak("ü".repeat(5000).into_boxed_str());
    let said = rules.miss(&fields(&[(Field::AlertTitle, long)])).unwrap().to_string();
    assert!(said.chars().count() < 300 && said.contains('…'), "{said}");
}
