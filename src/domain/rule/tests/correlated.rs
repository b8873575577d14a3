//! Correlations of a set: what counts, and what becomes of what they match.

use super::*;
use crate::domain::correlation::{Correlation, Kind};

fn spreads(mode: Mode) -> Correlated {
    let rule = acting("spreads", |response| response.mode = mode);
    let (rules, group_by) = (vec!["base".to_owned()], vec![Field::FileSha1]);
    let kind = Kind::Values(Field::MachineId);
    let timespan = Duration::from_secs(3600);
    Correlated { rule, counts: Correlation { kind, rules, group_by, timespan, at_least: 3 } }
}

/// A rule that only counts, one that denies, and a correlation.
fn with(mode: Mode) -> Ruleset {
    let base = Rule { response: Response::Count, ..rule("base") };
    let counts = json!({
        "malware": {"alert.category": "Malware"},
        "safe": {"file.name": "safe.exe"},
        "condition": "malware and not safe",
    });
    let protects = json!({
        "server": {"machine.group": "servers"}, "condition": "server",
    });
    // It matches the same, and is not named.
    let other = Rule { response: Response::Count, ..rule("other") };
    let all = vec![(base, counts.clone()), (other, counts), (denying("deny", true), protects)];
    set(all).with_correlations(vec![spreads(mode)])
}

fn candidate() -> Fields<'static> {
    let mut fields = Fields::default();
    for (field, text) in [
        (Field::AlertCategory, "Malware"),
        (Field::FileName, "evil.exe"),
        (Field::FileSha1, "ab"),
        (Field::MachineId, "cd"),
        (Field::MachineGroup, "clients"),
    ] {
        fields.set_text(field, text);
    }
    fields
}

fn judged<'r>(rules: &'r Ruleset, fields: &Fields<'_>, ceiling: Mode) -> Judgement<'r> {
    rules.judge_correlated("spreads", &["base".to_owned()], None, fields, ceiling)
}

#[test]
fn only_what_matches_for_certain_counts_and_a_rule_that_counts_never_acts() {
    let rules = with(Mode::Enforce);
    let fields = candidate();
    let counts = rules.counts(&fields);
    assert_eq!(counts.len(), 1);
    assert_eq!((counts[0].rule.as_str(), counts[0].base.as_str()), ("spreads", "base"));
    assert_eq!(counts[0].value, "cd");
    assert!(matches!(rules.judge(&fields, Mode::Enforce), Judgement::NoMatch { .. }));
    for (field, value) in [
        // It may be the one that is safe.
        (Field::FileName, Value::Absent),
        (Field::FileName, Value::Text("safe.exe".into())),
        (Field::AlertCategory, Value::Absent),
        (Field::MachineId, Value::Absent),
        (Field::FileSha1, Value::Empty),
    ] {
        let mut fields = candidate();
        fields.set(field, value);
        assert_eq!(rules.counts(&fields), [], "{}", field.name());
        assert_eq!(rules.count("spreads", "base", &fields), None, "{}", field.name());
    }
    assert_eq!(rules.count("gone", "base", &candidate()), None);
    assert_eq!(rules.count("spreads", "deny", &candidate()), None);
    assert_eq!(rules.count("spreads", "other", &candidate()), None);
    // What could count is worth asking Defender for.
    let mut thin = candidate();
    thin.set(Field::FileName, Value::Absent);
    assert!(rules.could_match(&thin));
}

#[test]
fn what_is_matched_acts_as_its_response_says_and_names_its_base_rules() {
    let rules = with(Mode::Enforce);
    let Judgement::Act(wanted) = judged(&rules, &candidate(), Mode::Enforce) else { panic!() };
    assert_eq!((wanted.by, wanted.rules.join(" ")), ("spreads", "spreads base".to_owned()));
    let held = judged(&rules, &candidate(), Mode::Approve);
    assert!(matches!(held, Judgement::Hold { why: HoldWhy::ServiceApproval, .. }), "{held:?}");
    let observed = Judgement::Observe { rules: vec!["spreads".to_owned(), "base".to_owned()] };
    assert_eq!(judged(&rules, &candidate(), Mode::Observe), observed);
    assert_eq!(judged(&with(Mode::Observe), &candidate(), Mode::Enforce), observed);
    let gone = rules.judge_correlated("gone", &[], None, &candidate(), Mode::Enforce);
    assert!(matches!(gone, Judgement::NoMatch { .. }), "{gone:?}");
}

#[test]
fn protection_beats_what_is_matched_and_holds_it_where_it_is_unknown() {
    let rules = with(Mode::Enforce);
    let mut fields = candidate();
    fields.set_text(Field::MachineGroup, "servers");
    let by = Judgement::Protected { by: vec!["deny".to_owned()] };
    assert_eq!(judged(&rules, &fields, Mode::Enforce), by);
    fields.set(Field::MachineGroup, Value::Absent);
    let asks = judged(&rules, &fields, Mode::Enforce);
    let Judgement::Enrich { fields: asked, otherwise: held } = asks else { panic!("{asks:?}") };
    assert_eq!(asked, [Field::MachineGroup]);
    assert!(matches!(*held, Judgement::Hold { why: HoldWhy::Protection { .. }, .. }), "{held:?}");
}

#[test]
fn what_can_not_be_counted_is_held_with_the_bound_and_never_where_it_would_only_be_watched() {
    let rules = with(Mode::Enforce);
    let full = |rules: &Ruleset, mode| {
        let bases = ["base".to_owned()];
        match rules.judge_correlated("spreads", &bases, Some("much"), &candidate(), mode) {
            Judgement::Hold { why, .. } => why.to_string(),
            other => format!("{other:?}"),
        }
    };
    let wanted = "correlation spreads has much already, and can't count it";
    assert_eq!(full(&rules, Mode::Enforce), wanted);
    assert_eq!(full(&rules, Mode::Approve), wanted);
    assert!(full(&rules, Mode::Observe).starts_with("Observe"));
}

#[test]
fn it_still_matches_while_one_of_its_base_rules_does() {
    let rules = with(Mode::Enforce);
    assert!(rules.still("spreads", &candidate()));
    assert!(!rules.still("base", &candidate()), "it does not act");
    let mut fields = candidate();
    fields.set_text(Field::FileName, "safe.exe");
    assert!(!rules.still("spreads", &fields));
    assert_eq!(rules.mode("spreads"), Some(Mode::Enforce));
    assert_eq!((rules.mode("base"), rules.title("spreads")), (None, Some("spreads")));
    let watched = with(Mode::Observe).as_if_enforced();
    assert_eq!(watched.mode("spreads"), Some(Mode::Enforce));
}
