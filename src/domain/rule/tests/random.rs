//! Random rules on random candidates, against an evaluator that knows nothing of the engine.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The fields of the random rules. A list, so that array values are met too, stands beside texts.
/// Defender can tell the last two.
const FIELDS: [Field; 4] =
    [Field::AlertTitle, Field::FileName, Field::MachineOs, Field::MachineTags];

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
            Known::Text(text) if field == Field::MachineTags => {
                fields.set(field, Value::List(vec![Cow::Borrowed(*text)]));
            }
            Known::Text(text) => fields.set_text(field, *text),
        }
    }
    fields
}

/// The environment asks for more, before a release.
fn cases() -> u32 {
    let asked = std::env::var("LAZARET_PROPERTY_CASES");
    asked.ok().and_then(|cases| cases.parse().ok()).unwrap_or(1000)
}

/// Whether these are absent, and Defender can tell them.
fn asks_well(asked: &[Field], given: &[Known]) -> bool {
    let is_open = |field: &Field| {
        let place = FIELDS.iter().position(|one| one == field);
        place.is_some_and(|place| place >= 2 && given[place] == Known::Absent)
    };
    !asked.is_empty() && asked.is_sorted() && asked.iter().all(is_open)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Invariant 13, and that nothing is held without need where everything is known.
    #[test]
    fn what_acts_would_match_whatever_is_absent((selections, condition, given) in case()) {
        let rules = set(vec![(rule("a"), written(&selections, &condition))]);
        let says = |values: &[Known]| holds(&selections, &condition, values, &given);
        match rules.judge(&as_fields(&given), Mode::Enforce) {
            Judgement::Act(_) => {
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

    /// Where Defender could tell what makes a rule match for certain, it is asked, and what comes
    /// of it without an answer is a hold. Elsewhere the rule is judged as one that does not ask.
    #[test]
    fn what_defender_could_settle_is_asked_for((selections, condition, given) in case()) {
        let written = written(&selections, &condition);
        let asking = acting("a", |response| response.unknown = OnUnknown::Enrich);
        let asking = set(vec![(asking, written.clone())]);
        let holding = set(vec![(rule("a"), written)]);
        match asking.judge(&as_fields(&given), Mode::Enforce) {
            Judgement::Enrich { fields, otherwise } => {
                prop_assert!(asks_well(&fields, &given), "{:?}", fields);
                let Judgement::Hold { why: HoldWhy::Unknown { fields: unknown, .. }, .. } =
                    *otherwise
                else {
                    return Err(TestCaseError::fail("an unanswered question is held"));
                };
                for field in fields {
                    prop_assert!(unknown.iter().any(|one| one == field.name()));
                }
            }
            judged => {
                prop_assert_eq!(&judged, &holding.judge(&as_fields(&given), Mode::Enforce));
                let is_given = |leaf: &Leaf| matches!(leaf, Leaf::Exists(_));
                let leaves = selections.iter().flatten().flatten();
                // An answer would change what `|exists` sees.
                if leaves.clone().any(|(field, leaf)| *field >= 2 && is_given(leaf)) {
                    return Ok(());
                }
                let mut told = given.clone();
                for values in completions(&given) {
                    told[2..].clone_from_slice(&values[2..]);
                    let then = holding.judge(&as_fields(&told), Mode::Enforce);
                    let acts = |judged: &Judgement<'_>| matches!(judged, Judgement::Act(_));
                    prop_assert!(acts(&judged) || !acts(&then), "{:?} would settle it", told);
                }
            }
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
            Judgement::NoMatch { .. }
            | Judgement::Protected { .. }
            | Judgement::Enrich { .. } => Vec::new(),
            Judgement::Observe { rules } => rules,
            Judgement::Act(wanted) | Judgement::Hold { wanted, .. } => wanted.rules,
        };
        judged.sort_unstable();
        prop_assert_eq!(judged, matching);
    }

    /// Invariant 13, its other half: nothing acts while some value of what is absent would make a
    /// deny rule match, and a rule says that it protects, or does not, only where every value says
    /// the same.
    #[test]
    fn what_a_deny_rule_may_cover_does_not_act(
        (selections, condition, given) in case(),
        (denies, deny, _) in case(),
        holds_unknown in any::<bool>(),
    ) {
        let rules = set(vec![
            (rule("a"), written(&selections, &condition)),
            (denying("d", holds_unknown), written(&denies, &deny)),
        ]);
        let alone = set(vec![(rule("a"), written(&selections, &condition))]);
        let fields = as_fields(&given);
        let covers = |values: &[Known]| holds(&denies, &deny, values, &given);
        let all = completions(&given).iter().all(|values| covers(values));
        let some = completions(&given).iter().any(|values| covers(values));
        let protection = rules.protection(&fields);
        match &protection {
            Protection::By(by) => {
                prop_assert_eq!(by, &["d"]);
                prop_assert!(all);
            }
            Protection::None => prop_assert!(!some || !holds_unknown),
            Protection::Unknown(unknown) => {
                prop_assert!(holds_unknown);
                let (by, fields) = &unknown[0];
                prop_assert_eq!((unknown.len(), by.as_str()), (1, "d"));
                prop_assert!(!fields.is_empty() && fields.is_sorted());
                for field in fields {
                    let place = FIELDS.iter().position(|f| f.name() == field).unwrap();
                    prop_assert_eq!(&given[place], &Known::Absent);
                }
            }
        }
        let was = alone.judge(&fields, Mode::Enforce);
        let judged = match rules.judge(&fields, Mode::Enforce) {
            Judgement::Enrich { fields, otherwise } => {
                let unknown = matches!(&protection, Protection::Unknown(_));
                prop_assert!(unknown && asks_well(&fields, &given), "{:?}", fields);
                *otherwise
            }
            judged => judged,
        };
        match (judged, was, protection) {
            (Judgement::NoMatch { .. }, was, _) => {
                let same = matches!(was, Judgement::NoMatch { .. });
                prop_assert!(same, "{:?}", was);
            }
            (Judgement::Protected { by }, was, Protection::By(rules)) => {
                let matched = !matches!(was, Judgement::NoMatch { .. });
                prop_assert!(matched, "nothing to protect from");
                prop_assert_eq!(by, rules);
            }
            (Judgement::Act(_), Judgement::Act(_), Protection::None) => {
                prop_assert!(!(some && holds_unknown));
            }
            (
                Judgement::Hold { why: HoldWhy::Protection { .. }, .. },
                Judgement::Act(_),
                Protection::Unknown(_),
            ) => {}
            (Judgement::Hold { why: HoldWhy::Unknown { .. }, .. }, Judgement::Hold { .. }, p) => {
                prop_assert!(!matches!(p, Protection::By(_)));
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
