use serde_json::json;

use super::*;
use crate::domain::rule::{Deny, OnUnknown, Quarantine, Response, Rule, Template};

const NOW: Wall = Wall(1_790_000_000_000_000);

fn rule(id: &str, field: &str, response: Response) -> (Rule, rsigma_parser::SigmaRule) {
    let detection = json!({"title": id, "id": id, "logsource": {"product": "x"},
        "detection": {"one": {field: "yes"}, "condition": "one"}});
    let mut parsed = rsigma_parser::parse_sigma_yaml(&detection.to_string()).unwrap();
    (Rule { id: id.to_owned(), title: id.to_owned(), response }, parsed.rules.remove(0))
}

fn two() -> Approvals {
    Approvals { count: 2, four_eyes: true, given: Vec::new() }
}

/// Rule `acts` in this mode, and `denies`, which covers what Microsoft would call `yes`.
fn rules(mode: Mode, approvals: Approvals) -> Ruleset {
    let acts = Response::Quarantine(Quarantine {
        mode,
        unknown: OnUnknown::Hold,
        window: std::time::Duration::from_secs(60),
        priority: None,
        comment: Template::parse("due to {{alert.id}}").unwrap(),
        approvals,
        endings: crate::domain::action::Endings::default(),
        breakers: crate::domain::breaker::RuleBreakers::default(),
    });
    let denies = Response::Deny(Deny { holds_unknown: true });
    let rules =
        vec![rule("acts", "alert.category", acts), rule("denies", "file.publisher", denies)];
    Ruleset::compile(rules, "hash".to_owned()).unwrap()
}

fn due<'a>(candidate: &'a str, rule: &'a str, approvals: &'a Approvals) -> Due<'a> {
    Due { candidate, rule, approvals, released: None }
}

const HARMFUL: &str = r#"{"alert.category":"yes","file.publisher":"no"}"#;
const LISTED: &str = r#"{"alert.category":"yes","file.publisher":"yes"}"#;
const UNKNOWN: &str = r#"{"alert.category":"yes"}"#;

#[test]
fn in_observe_nothing_is_sent_not_even_what_a_person_released() {
    let rules = rules(Mode::Enforce, Approvals::default());
    let (one, released) = (Approvals::default(), Released::default());
    let due = Due { released: Some(&released), ..due(HARMFUL, "acts", &one) };
    assert!(matches!(stops(&rules, Mode::Observe, &due, NOW), Some(Stop::Shut(_))));
    assert_eq!(stops(&rules, Mode::Approve, &due, NOW), None);
}

#[test]
fn the_mode_is_that_of_this_moment_under_the_ceiling_of_this_moment() {
    use Mode::{Approve, Enforce, Observe};
    let one = Approvals::default();
    for (mode, ceiling, why) in [
        (Enforce, Enforce, None),
        (Enforce, Approve, Some("the service's mode approve asks for it")),
        (Approve, Enforce, Some("rule acts asks for approval")),
        (Approve, Approve, Some("rule acts asks for approval")),
        (Observe, Enforce, Some("rule acts does not act any more")),
        (Observe, Approve, Some("rule acts does not act any more")),
    ] {
        let stop = stops(&rules(mode, one.clone()), ceiling, &due(HARMFUL, "acts", &one), NOW);
        let held = stop.map(|stop| match stop {
            Stop::Hold(why, _) => why.to_string(),
            other => panic!("{other:?}"),
        });
        assert_eq!(held.as_deref(), why, "{mode:?} under {ceiling:?}");
    }
}

#[test]
fn what_deny_rules_cover_by_now_is_not_sent_and_what_they_may_cover_is_held() {
    let rules = rules(Mode::Enforce, Approvals::default());
    let (one, released) = (Approvals::default(), Released::default());
    for released in [None, Some(&released)] {
        let listed = Due { released, ..due(LISTED, "acts", &one) };
        let by = vec!["denies".to_owned()];
        assert_eq!(stops(&rules, Mode::Enforce, &listed, NOW), Some(Stop::Protected(by)));
        let unknown = Due { released, ..due(UNKNOWN, "acts", &one) };
        let Some(Stop::Hold(why, _)) = stops(&rules, Mode::Enforce, &unknown, NOW) else {
            panic!("has to hold: {released:?}")
        };
        assert_eq!(why.as_str(), "protection");
    }
    let passed = Released { by: Vec::new(), passed: vec!["denies".to_owned()] };
    let known = Due { released: Some(&passed), ..due(UNKNOWN, "acts", &one) };
    assert_eq!(stops(&rules, Mode::Enforce, &known, NOW), None, "they said yes to just that");
}

/// The rule may be gone, or ask for less by now: the people who are asked are never fewer.
#[test]
fn a_hold_asks_for_as_many_people_as_the_decision_did_and_as_the_rule_does() {
    let one = Approvals::default();
    for (stored, present) in [(two(), one.clone()), (one, two())] {
        let rules = rules(Mode::Approve, present);
        let stop = stops(&rules, Mode::Enforce, &due(HARMFUL, "acts", &stored), NOW);
        let Some(Stop::Hold(_, approvals)) = stop else { panic!("{stop:?}") };
        assert_eq!(approvals, two());
    }
    let rules = rules(Mode::Enforce, Approvals::default());
    for candidate in [HARMFUL, UNKNOWN] {
        let stop = stops(&rules, Mode::Enforce, &due(candidate, "gone", &two()), NOW);
        let Some(Stop::Hold(_, approvals)) = stop else { panic!("{stop:?}") };
        assert_eq!(approvals, two(), "{candidate}");
    }
}

/// The rule may have been narrowed since, a list have lost an entry, the alert have grown old.
#[test]
fn what_the_rule_does_not_match_any_more_is_withdrawn_unless_a_person_released_it() {
    let rules = rules(Mode::Enforce, Approvals::default());
    let (one, released) = (Approvals::default(), Released::default());
    for other in [r#"{"alert.category":"no","file.publisher":"no"}"#, r#"{"file.publisher":"no"}"#]
    {
        let stop = stops(&rules, Mode::Enforce, &due(other, "acts", &one), NOW);
        let Some(Stop::Hold(why, _)) = stop else { panic!("{stop:?}") };
        assert_eq!(why.as_str(), "withdrawn", "{other}");
        let due = Due { released: Some(&released), ..due(other, "acts", &one) };
        assert_eq!(stops(&rules, Mode::Enforce, &due, NOW), None, "{other}");
    }
}

/// Whoever drops a file chooses its path.
#[test]
fn a_long_path_is_judged_again_as_it_was() {
    use crate::domain::candidate::{Field, Value};
    for (field, bytes, is_kept) in [
        (Field::FilePath, 90_000, true),
        (Field::FileName, 90_000, true),
        (Field::AlertTitle, 1000, true),
        (Field::AlertTitle, 1024, false),
    ] {
        let text = "x".repeat(bytes);
        let mut fields = Fields::default();
        fields.set_text(field, text.as_str());
        let kept = serde_json::to_string(&fields).unwrap();
        let again = Fields::from_snapshot(&kept, NOW).unwrap();
        assert_eq!(*again.get(field) == Value::Text(text.into()), is_kept, "{field:?} {bytes}");
    }
}
