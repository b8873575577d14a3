use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn detection(id: &str, detection: &serde_json::Value) -> SigmaRule {
    let rule = json!({
        "title": id, "id": id, "logsource": {"product": "x"}, "detection": detection,
    });
    let mut parsed = rsigma_parser::parse_sigma_yaml(&rule.to_string()).unwrap();
    assert_eq!(parsed.errors, Vec::<String>::new());
    parsed.rules.remove(0)
}

fn rule(id: &str) -> Rule {
    Rule {
        id: id.to_owned(),
        title: id.to_owned(),
        response: Response {
            mode: Mode::Enforce,
            unknown: OnUnknown::Hold,
            window: Duration::from_secs(60),
            priority: None,
            comment: Template::parse("due to {{alert.id}}").unwrap(),
        },
    }
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
    assert_eq!(why, HoldWhy::Unknown { rule: "a".to_owned(), fields: fields_unknown });

    let known = fields(&[MALWARE, (Field::FileDetectionStatus, "Detected")]);
    assert!(matches!(rules.judge(&known, Mode::Enforce), Judgement::Act { .. }));
    let blocked = fields(&[MALWARE, (Field::FileDetectionStatus, "Blocked")]);
    assert!(matches!(rules.judge(&blocked, Mode::Enforce), Judgement::NoMatch { .. }));
}

#[test]
fn a_field_known_to_be_empty_is_known() {
    let rules = set(vec![(rule("a"), malware(" and not blocked"))]);
    let mut empty = fields(&[MALWARE]);
    empty.set(Field::FileDetectionStatus, Value::Empty);
    assert!(matches!(rules.judge(&empty, Mode::Enforce), Judgement::Act { .. }));
}

#[test]
fn a_rule_may_say_that_absent_is_fine() {
    let rules = set(vec![(rule("a"), malware(" and not (named and blocked)"))]);
    let mut unnamed = fields(&[MALWARE]);
    unnamed.set_text(Field::FileDetectionStatus, "Blocked");
    assert!(matches!(rules.judge(&unnamed, Mode::Enforce), Judgement::Act { .. }));
    let exists = set(vec![(rule("a"), malware(" and not named"))]);
    assert!(matches!(exists.judge(&fields(&[MALWARE]), Mode::Enforce), Judgement::Act { .. }));
}

#[test]
fn a_rule_that_skips_the_unknown_does_not_match_it() {
    let mut skips = rule("a");
    skips.response.unknown = OnUnknown::Skip;
    let rules = set(vec![(skips, malware(" and not blocked"))]);
    let Judgement::NoMatch { why } = rules.judge(&fields(&[MALWARE]), Mode::Enforce) else {
        panic!("has to skip")
    };
    assert_eq!(why, "rule a skips: file.detection_status is unknown");
}

#[test]
fn act_beats_hold_beats_observe_whatever_the_order() {
    let with = |id: &str, mode, hours: u64, priority| {
        let mut rule = rule(id);
        rule.response.mode = mode;
        rule.response.window = Duration::from_secs(hours * 3600);
        rule.response.priority = priority;
        rule
    };
    let observes = (with("a", Mode::Observe, 48, Some(Class::Urgent)), malware(""));
    let holds = (with("b", Mode::Enforce, 2, Some(Class::Urgent)), malware(" and not blocked"));
    let acts = (with("d", Mode::Enforce, 3, None), malware(""));
    let also = (with("c", Mode::Enforce, 1, Some(Class::Normal)), malware(""));
    let fields = fields(&[MALWARE]);

    let rules = set(vec![acts.clone(), observes.clone(), also, holds.clone()]);
    let Judgement::Act { by, rules, class, window } = rules.judge(&fields, Mode::Enforce) else {
        panic!("has to act")
    };
    assert_eq!(by.id, "c");
    assert_eq!(rules, ["c", "a", "b", "d"], "the deciding one, then by id");
    assert_eq!(class, Class::Normal, "of the acting rules only");
    assert_eq!(window, Duration::from_secs(3 * 3600), "the longest of the acting rules");

    let rules = set(vec![observes.clone(), holds.clone()]);
    let Judgement::Hold { by, rules, class, .. } = rules.judge(&fields, Mode::Enforce) else {
        panic!("has to hold")
    };
    assert_eq!((by.id.as_str(), rules, class), ("b", vec!["b".into(), "a".into()], Class::Urgent));

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
        let Judgement::Act { class: judged, .. } = rules.judge(&fields, Mode::Enforce) else {
            panic!("has to act")
        };
        assert_eq!(judged, class);
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

/// The fields of the random rules. A list, so that array values are met too, stands beside texts.
const FIELDS: [Field; 4] =
    [Field::AlertTitle, Field::FileName, Field::AlertThreat, Field::AlertTechniques];

#[derive(Clone, Debug)]
enum Leaf {
    Is(Vec<&'static str>),
    Contains(&'static str),
    Not(&'static str),
    Exists(bool),
}

/// Leaves by field: all have to match.
type Map = BTreeMap<usize, Leaf>;

/// One of its maps has to match.
type Selection = Vec<Map>;

#[derive(Clone, Debug)]
enum Condition {
    Name(usize),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Of(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
enum Known {
    Absent,
    Empty,
    Text(&'static str),
}

type Case = (Vec<Selection>, Condition, Vec<Known>);

fn case() -> impl Strategy<Value = Case> {
    let text = prop::sample::select(vec!["a", "b"]);
    let leaf = prop_oneof![
        prop::collection::vec(text.clone(), 1..3).prop_map(Leaf::Is),
        text.clone().prop_map(Leaf::Contains),
        text.prop_map(Leaf::Not),
        any::<bool>().prop_map(Leaf::Exists),
    ];
    let map = prop::collection::btree_map(0..FIELDS.len(), leaf, 1..3);
    let selections = prop::collection::vec(prop::collection::vec(map, 1..3), 3);
    let name = prop_oneof![
        4 => (0usize..3).prop_map(Condition::Name),
        1 => prop::sample::select(vec!["1 of them", "all of them", "2 of s*", "1 of s1*"])
            .prop_map(Condition::Of),
    ];
    let condition = name.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|c| Condition::Not(Box::new(c))),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| Condition::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Condition::Or(Box::new(a), Box::new(b))),
        ]
    });
    let known = prop::sample::select(vec![
        Known::Absent,
        Known::Absent,
        Known::Empty,
        Known::Text("a"),
        Known::Text("b"),
    ]);
    (selections, condition, prop::collection::vec(known, FIELDS.len()))
}

fn written(selections: &[Selection], condition: &Condition) -> serde_json::Value {
    let mut detection = serde_json::Map::new();
    for (i, selection) in selections.iter().enumerate() {
        let maps = selection.iter().map(|map| {
            let leaves = map.iter().map(|(field, leaf)| {
                let name = FIELDS[*field].name();
                match leaf {
                    Leaf::Is(values) => (name.to_owned(), json!(values)),
                    Leaf::Contains(value) => (format!("{name}|contains"), json!(value)),
                    Leaf::Not(value) => (format!("{name}|neq"), json!(value)),
                    Leaf::Exists(does) => (format!("{name}|exists"), json!(does)),
                }
            });
            serde_json::Value::Object(leaves.collect())
        });
        let mut maps: Vec<serde_json::Value> = maps.collect();
        let selection = if maps.len() == 1 { maps.remove(0) } else { json!(maps) };
        detection.insert(format!("s{i}"), selection);
    }
    detection.insert("condition".to_owned(), json!(text_of(condition)));
    serde_json::Value::Object(detection)
}

fn text_of(condition: &Condition) -> String {
    match condition {
        Condition::Name(i) => format!("s{i}"),
        Condition::Not(c) => format!("not ({})", text_of(c)),
        Condition::And(a, b) => format!("({} and {})", text_of(a), text_of(b)),
        Condition::Or(a, b) => format!("({} or {})", text_of(a), text_of(b)),
        Condition::Of(of) => (*of).to_owned(),
    }
}

/// Brute force: what a rule says of `values`, with `|exists` as it is in `given`.
fn holds(selections: &[Selection], c: &Condition, values: &[Known], given: &[Known]) -> bool {
    let selection = |i: usize| {
        let map = |map: &Map| map.iter().all(|(f, leaf)| leaf_holds(leaf, &values[*f], &given[*f]));
        selections[i].iter().any(map)
    };
    let recur = |c: &Condition| holds(selections, c, values, given);
    match c {
        Condition::Name(i) => selection(*i),
        Condition::Not(c) => !recur(c),
        Condition::And(a, b) => recur(a) && recur(b),
        Condition::Or(a, b) => recur(a) || recur(b),
        Condition::Of("1 of them") => (0..3).any(selection),
        Condition::Of("all of them") => (0..3).all(selection),
        Condition::Of("2 of s*") => (0..3).filter(|i| selection(*i)).count() >= 2,
        Condition::Of("1 of s1*") => selection(1),
        Condition::Of(other) => panic!("{other}"),
    }
}

fn leaf_holds(leaf: &Leaf, value: &Known, given: &Known) -> bool {
    match (leaf, value) {
        (Leaf::Exists(does), _) => matches!(given, Known::Text(_)) == *does,
        (_, Known::Absent) => false,
        (Leaf::Is(values), Known::Text(text)) => values.contains(text),
        (Leaf::Contains(part), Known::Text(text)) => text.contains(part),
        (Leaf::Is(_) | Leaf::Contains(_), Known::Empty) => false,
        (Leaf::Not(value), Known::Text(text)) => value != text,
        (Leaf::Not(_), Known::Empty) => true,
    }
}

/// Every way to fill what is absent, "c" standing for all that no rule names.
fn completions(given: &[Known]) -> Vec<Vec<Known>> {
    let fillings = [Known::Empty, Known::Text("a"), Known::Text("b"), Known::Text("c")];
    given.iter().fold(vec![Vec::new()], |sofar, known| {
        let choices = if *known == Known::Absent { fillings.to_vec() } else { vec![known.clone()] };
        let with = |prefix: &Vec<Known>| {
            let prefix = prefix.clone();
            choices.clone().into_iter().map(move |c| [prefix.clone(), vec![c]].concat())
        };
        sofar.iter().flat_map(with).collect()
    })
}

fn as_fields(known: &[Known]) -> Fields<'static> {
    let mut fields = Fields::default();
    for (field, known) in FIELDS.into_iter().zip(known) {
        match known {
            Known::Absent => {}
            Known::Empty => fields.set(field, Value::Empty),
            Known::Text(text) if field == Field::AlertTechniques => {
                fields.set(field, Value::List(vec![Cow::Borrowed(*text)]));
            }
            Known::Text(text) => fields.set_text(field, *text),
        }
    }
    fields
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Invariant 13, and that nothing is held without need where everything is known.
    #[test]
    fn what_acts_would_match_whatever_is_absent((selections, condition, given) in case()) {
        let rules = set(vec![(rule("a"), written(&selections, &condition))]);
        let says = |values: &[Known]| holds(&selections, &condition, values, &given);
        match rules.judge(&as_fields(&given), Mode::Enforce) {
            Judgement::Act { .. } => {
                prop_assert!(says(&given));
                for values in completions(&given) {
                    prop_assert!(says(&values), "would not match {values:?}");
                }
            }
            Judgement::Hold { why: HoldWhy::Unknown { fields, .. }, .. } => {
                prop_assert!(says(&given), "the engine alone would have matched");
                prop_assert!(!fields.is_empty());
                for field in fields {
                    let place = FIELDS.iter().position(|f| f.name() == field).unwrap();
                    prop_assert_eq!(&given[place], &Known::Absent);
                }
            }
            Judgement::NoMatch { .. } => prop_assert!(!says(&given)),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    /// The index leaves no rule out: a set says what its rules say one by one.
    #[test]
    fn a_set_judges_as_its_rules_alone_do(cases in prop::collection::vec(case(), 2..5)) {
        let fields = as_fields(&cases[0].2);
        let written: Vec<(Rule, serde_json::Value)> = cases
            .iter()
            .enumerate()
            .map(|(i, (selections, condition, _))| {
                (rule(&format!("r{i}")), written(selections, condition))
            })
            .collect();
        let matching: Vec<String> = written
            .iter()
            .filter(|one| {
                let alone = set(vec![(*one).clone()]);
                !matches!(alone.judge(&fields, Mode::Enforce), Judgement::NoMatch { .. })
            })
            .map(|(rule, _)| rule.id.clone())
            .collect();
        let all = set(written);
        let mut judged = match all.judge(&fields, Mode::Enforce) {
            Judgement::NoMatch { .. } => Vec::new(),
            Judgement::Observe { rules }
            | Judgement::Act { rules, .. }
            | Judgement::Hold { rules, .. } => rules,
        };
        judged.sort_unstable();
        prop_assert_eq!(judged, matching);
    }
}
