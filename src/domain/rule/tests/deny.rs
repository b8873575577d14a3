//! Rules that deny, beside rules that act.

use super::*;

/// Denies what Microsoft published.
fn published() -> serde_json::Value {
    json!({"by": {"file.publisher": "Microsoft"}, "condition": "by"})
}

fn judged(rules: &Ruleset, known: &[(Field, &'static str)]) -> String {
    let judged = match rules.judge(&fields(known), Mode::Enforce) {
        // As it is where Defender does not answer.
        Judgement::Enrich { otherwise, .. } => *otherwise,
        judged => judged,
    };
    match judged {
        Judgement::Enrich { .. } => unreachable!("asked once"),
        Judgement::NoMatch { why } => why.into_owned(),
        Judgement::Protected { by } => format!("protected by {}", by.join(", ")),
        Judgement::Observe { rules } => format!("observe {}", rules.join(", ")),
        Judgement::Act(wanted) => format!("act {}", wanted.rules.join(", ")),
        Judgement::Hold { why, .. } => why.to_string(),
    }
}

const MICROSOFT: (Field, &str) = (Field::FilePublisher, "Microsoft");
const EVIL: (Field, &str) = (Field::FilePublisher, "Evil");

#[test]
fn a_deny_rule_beats_what_acts_and_what_only_watches() {
    for mode in [Mode::Enforce, Mode::Approve, Mode::Observe] {
        let rules = set(vec![
            (acting("a", |response| response.mode = mode), malware("")),
            (denying("z", true), published()),
            (denying("b", false), published()),
        ]);
        assert_eq!(judged(&rules, &[MALWARE, MICROSOFT]), "protected by b, z");
        assert_eq!(judged(&rules, &[MICROSOFT]), "no rule matches", "nothing to protect from");
    }
}

#[test]
fn where_protection_is_unknown_what_would_be_sent_is_held_and_the_rest_stays() {
    let unknown = "protection unknown: rule d does not know file.publisher";
    for (mode, is) in
        [(Mode::Enforce, unknown), (Mode::Approve, unknown), (Mode::Observe, "observe a")]
    {
        let watches = acting("a", |response| response.mode = mode);
        let rules = set(vec![(watches, malware("")), (denying("d", true), published())]);
        assert_eq!(judged(&rules, &[MALWARE]), is);
    }
    let rules = set(vec![(rule("a"), malware("")), (denying("d", true), published())]);
    assert_eq!(judged(&rules, &[MALWARE, EVIL]), "act a");
    let rules = set(vec![(rule("a"), malware("")), (denying("d", false), published())]);
    assert_eq!(judged(&rules, &[MALWARE]), "act a", "unknown: ignore");
    let rules =
        set(vec![(rule("a"), malware(" and not blocked")), (denying("d", true), published())]);
    assert_eq!(judged(&rules, &[MALWARE]), "rule a does not know file.detection_status");
}

#[test]
fn certain_protection_beats_unknown_and_the_first_unknown_rule_is_named() {
    let named = json!({"n": {"file.name": "a.exe"}, "condition": "n"});
    let rules = |second: bool| {
        let other = if second { named.clone() } else { published() };
        set(vec![
            (rule("a"), malware("")),
            (denying("d", true), published()),
            (denying("c", true), other),
        ])
    };
    let name = (Field::FileName, "a.exe");
    assert_eq!(judged(&rules(true), &[MALWARE, name]), "protected by c");
    let held = "protection unknown: rule c does not know file.publisher";
    assert_eq!(judged(&rules(false), &[MALWARE]), held);
    let all = Protection::Unknown(vec![
        ("c".to_owned(), vec!["file.publisher".to_owned()]),
        ("d".to_owned(), vec!["file.publisher".to_owned()]),
    ]);
    assert_eq!(rules(false).protection(&fields(&[])), all);
}

#[test]
fn every_absent_field_that_matters_is_named_once_and_no_other() {
    let detection = json!({
        "by": {"file.publisher": "Microsoft"},
        "evil": {"file.signer": "Evil"},
        "named": {"file.name": "a.exe"},
        "id": {"alert.id|exists": true},
        "condition": "by and not evil and (named or not id) and not (by and evil)",
    });
    let rules = set(vec![(denying("d", true), detection)]);
    let depends = Protection::Unknown(vec![(
        "d".to_owned(),
        vec!["file.publisher".to_owned(), "file.signer".to_owned()],
    )]);
    // `not id` is true, whatever `named` is: |exists is always known.
    assert_eq!(rules.protection(&fields(&[])), depends);
    let other = [(Field::AlertId, "1"), (Field::FileName, "b.exe")];
    assert_eq!(rules.protection(&fields(&other)), Protection::None);
}

#[test]
fn what_keeps_a_deny_rule_from_covering_is_told() {
    let detection = json!({
        "by": {"file.publisher": "Microsoft"},
        "named": {"file.name": "a.exe"},
        "condition": "by and named",
    });
    let rules = set(vec![(denying("d", true), detection)]);
    let against = rules.against("d", &fields(&[(Field::FileName, "b.exe")]));
    let told: Vec<String> = against.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["named stands against it: file.name is \"b.exe\""]);
}

#[test]
fn a_set_tells_mode_approvals_and_breakers_of_its_acting_rules() {
    let careful = acting("a", |response| {
        response.mode = Mode::Approve;
        response.approvals = Approvals { count: 2, four_eyes: true, given: Vec::new() };
        response.breakers.actions = Rate::per_hours(3, 1);
    });
    let rules = set(vec![(careful, malware("")), (denying("d", true), published())]);
    assert_eq!(
        (rules.mode("a"), rules.mode("d"), rules.mode("x")),
        (Some(Mode::Approve), None, None)
    );
    assert_eq!((rules.approvals("a").count, rules.approvals("x").count), (2, 1));
    let Judgement::Hold { wanted, .. } = rules.judge(&fields(&[MALWARE, EVIL]), Mode::Enforce)
    else {
        panic!("has to hold")
    };
    assert_eq!(wanted.approvals, rules.approvals("a"));
    let breakers = [
        (Breaker::MachinesPerFile, Rate::per_hours(25, 1)),
        (Breaker::RuleActions, Rate::per_hours(3, 1)),
    ];
    assert_eq!(wanted.breakers, breakers);
}
