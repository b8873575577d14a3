use serde_json::json;

use super::*;
use crate::domain::breaker::RuleBreakers;
use crate::domain::candidate::Value;

mod correlated;

mod deny;

mod enrich;

mod explain;

mod promises;

mod random;

fn detection(id: &str, detection: &serde_json::Value) -> SigmaRule {
    let rule = json!({
        "title": id, "id": id, "logsource": {"product": "x"}, "detection": detection,
    });
    let mut parsed = rsigma_parser::parse_sigma_yaml(&rule.to_string()).unwrap();
    assert_eq!(parsed.errors, Vec::<String>::new());
    parsed.rules.remove(0)
}

fn rule(id: &str) -> Rule {
    Rule { id: id.to_owned(), title: id.to_owned(), response: Response::Quarantine(quarantine()) }
}

fn quarantine() -> Quarantine {
    Quarantine {
        mode: Mode::Enforce,
        unknown: OnUnknown::Hold,
        window: Duration::from_secs(60),
        priority: None,
        comment: Template::parse("due to {{alert.id}}").unwrap(),
        approvals: Approvals::default(),
        endings: Endings::default(),
        breakers: RuleBreakers::default(),
    }
}

fn acting(id: &str, change: impl FnOnce(&mut Quarantine)) -> Rule {
    let mut response = quarantine();
    change(&mut response);
    Rule { response: Response::Quarantine(response), ..rule(id) }
}

fn denying(id: &str, holds_unknown: bool) -> Rule {
    Rule { response: Response::Deny(Deny { holds_unknown }), ..rule(id) }
}

fn set(rules: Vec<(Rule, serde_json::Value)>) -> Ruleset {
    let rules = rules.into_iter().map(|(rule, d)| {
        let detection = detection(&rule.id, &d);
        (rule, detection)
    });
    Ruleset::compile(rules.collect(), "hash".to_owned()).unwrap()
}

fn malware(and: &str) -> serde_json::Value {
    json!({
        "malware": {"alert.category": "Malware"},
        "blocked": {"file.detection_status": "Blocked"},
        "named": {"file.name|exists": true},
        "condition": format!("malware{and}"),
    })
}

fn fields(known: &[(Field, &'static str)]) -> Fields<'static> {
    let mut fields = Fields::default();
    for (field, text) in known {
        fields.set_text(*field, *text);
    }
    fields
}

const MALWARE: (Field, &str) = (Field::AlertCategory, "malware");

#[test]
fn a_filter_on_a_field_that_is_not_there_holds() {
    let rules = set(vec![(rule("a"), malware(" and not blocked"))]);
    let Judgement::Hold { why, .. } = rules.judge(&fields(&[MALWARE]), Mode::Enforce) else {
        panic!("has to hold")
    };
    let fields_unknown = vec!["file.detection_status".to_owned()];
    assert_eq!(
        why,
        HoldWhy::Unknown { rule: "a".to_owned(), fields: fields_unknown, told: String::new() }
    );

    let known = fields(&[MALWARE, (Field::FileDetectionStatus, "Detected")]);
    assert!(matches!(rules.judge(&known, Mode::Enforce), Judgement::Act(_)));
    let blocked = fields(&[MALWARE, (Field::FileDetectionStatus, "Blocked")]);
    assert!(matches!(rules.judge(&blocked, Mode::Enforce), Judgement::NoMatch { .. }));
}

#[test]
fn a_field_known_to_be_empty_is_known() {
    let rules = set(vec![(rule("a"), malware(" and not blocked"))]);
    let mut empty = fields(&[MALWARE]);
    empty.set(Field::FileDetectionStatus, Value::Empty);
    assert!(matches!(rules.judge(&empty, Mode::Enforce), Judgement::Act(_)));
}

#[test]
fn a_rule_may_say_that_absent_is_fine() {
    let rules = set(vec![(rule("a"), malware(" and not (named and blocked)"))]);
    let mut unnamed = fields(&[MALWARE]);
    unnamed.set_text(Field::FileDetectionStatus, "Blocked");
    assert!(matches!(rules.judge(&unnamed, Mode::Enforce), Judgement::Act(_)));
    let exists = set(vec![(rule("a"), malware(" and not named"))]);
    assert!(matches!(exists.judge(&fields(&[MALWARE]), Mode::Enforce), Judgement::Act(_)));
}

#[test]
fn a_rule_that_skips_the_unknown_does_not_match_it() {
    let skips = acting("a", |response| response.unknown = OnUnknown::Skip);
    let rules = set(vec![(skips, malware(" and not blocked"))]);
    let Judgement::NoMatch { why } = rules.judge(&fields(&[MALWARE]), Mode::Enforce) else {
        panic!("has to skip")
    };
    assert_eq!(why, "rule a skips: file.detection_status is unknown");
}

#[test]
fn act_beats_hold_beats_observe_whatever_the_order() {
    let with = |id: &str, mode, hours: u64, priority| {
        acting(id, |response| {
            response.mode = mode;
            response.window = Duration::from_secs(hours * 3600);
            response.priority = priority;
            response.approvals.count = u8::try_from(hours).unwrap();
        })
    };
    let observes = (with("a", Mode::Observe, 48, Some(Class::Urgent)), malware(""));
    let holds = (with("b", Mode::Enforce, 2, Some(Class::Urgent)), malware(" and not blocked"));
    let acts = (with("d", Mode::Enforce, 3, None), malware(""));
    let also = (with("c", Mode::Enforce, 1, Some(Class::Normal)), malware(""));
    let fields = fields(&[MALWARE]);

    let rules = set(vec![acts.clone(), observes.clone(), also, holds.clone()]);
    let Judgement::Act(wanted) = rules.judge(&fields, Mode::Enforce) else { panic!("has to act") };
    let Wanted { by, rules, class, window, approvals, .. } = wanted;
    assert_eq!(by, "c");
    assert_eq!(rules, ["c", "a", "b", "d"], "the deciding one, then by id");
    assert_eq!(class, Class::Normal, "of the acting rules only");
    assert_eq!(window, Duration::from_secs(3 * 3600), "the longest of the acting rules");
    assert_eq!((approvals.count, approvals.four_eyes), (3, false), "the most of them");

    let rules = set(vec![observes.clone(), holds.clone()]);
    let Judgement::Hold { wanted, .. } = rules.judge(&fields, Mode::Enforce) else {
        panic!("has to hold")
    };
    let Wanted { by, rules, class, .. } = wanted;
    assert_eq!((by, rules, class), ("b", vec!["b".into(), "a".into()], Class::Urgent));

    let rules = set(vec![acts, observes, holds]);
    let judged = rules.judge(&fields, Mode::Observe);
    assert_eq!(judged, Judgement::Observe { rules: vec!["a".into(), "b".into(), "d".into()] });
}

#[test]
fn the_class_comes_from_the_severity() {
    let rules = set(vec![(rule("a"), malware(""))]);
    for (rank, class) in
        [(5, Class::Urgent), (4, Class::Urgent), (3, Class::Normal), (0, Class::Bulk)]
    {
        let mut fields = fields(&[MALWARE]);
        fields.set(Field::AlertSeverityRank, Value::Number(rank));
        let Judgement::Act(wanted) = rules.judge(&fields, Mode::Enforce) else {
            panic!("has to act")
        };
        assert_eq!(wanted.class, class);
    }
}

#[test]
fn a_set_is_shared_by_all_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Ruleset>();
}

#[test]
fn what_stands_against_a_rule_is_told_with_what_it_saw() {
    let rules = set(vec![(rule("a"), malware(" and not blocked and named"))]);
    let against = |fields: &Fields<'_>| -> Vec<String> {
        rules.against("a", fields).iter().map(ToString::to_string).collect()
    };
    let blocked = fields(&[MALWARE, (Field::FileDetectionStatus, "Blocked")]);
    assert_eq!(
        against(&blocked),
        [
            "blocked stands against it: file.detection_status is \"Blocked\"",
            "named stands against it: file.name is unknown"
        ]
    );
    let fine =
        fields(&[MALWARE, (Field::FileDetectionStatus, "Detected"), (Field::FileName, "evil.exe")]);
    assert_eq!(against(&fine), Vec::<String>::new());
    let rules = set(vec![(rule("a"), malware(" and not (blocked and not named)"))]);
    let both = fields(&[(Field::FileDetectionStatus, "Blocked"), (Field::FileName, "evil.exe")]);
    let told: Vec<(String, bool)> = rules
        .against("a", &both)
        .into_iter()
        .map(|against| (against.selection, against.decides))
        .collect();
    assert_eq!(told, [("blocked".to_owned(), false), ("malware".to_owned(), true)]);
}
