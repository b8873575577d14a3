//! What Defender is asked for, and what comes of it without an answer.

use super::*;

fn asking(id: &str) -> Rule {
    acting(id, |response| response.unknown = OnUnknown::Enrich)
}

/// Malware on a client.
fn on_clients() -> serde_json::Value {
    json!({
        "malware": {"alert.category": "Malware"},
        "client": {"machine.os": ["Windows10", "Windows11"]},
        "condition": "malware and client",
    })
}

/// In one word, with what is asked for.
fn judged(rules: &Ruleset, known: &[(Field, &'static str)], ceiling: Mode) -> String {
    let named = |judgement: &Judgement<'_>| match judgement {
        Judgement::NoMatch { .. } => "no match".to_owned(),
        Judgement::Protected { by } => format!("protected by {}", by.join(" ")),
        Judgement::Observe { rules } => format!("observe {}", rules.join(" ")),
        Judgement::Act(wanted) => format!("act {}", wanted.by),
        Judgement::Hold { why, .. } => format!("hold: {why}"),
        Judgement::Enrich { .. } => unreachable!("asked once"),
    };
    match rules.judge(&fields(known), ceiling) {
        Judgement::Enrich { fields, otherwise } => {
            let fields: Vec<&str> = fields.iter().map(|field| field.name()).collect();
            format!("ask {}, else {}", fields.join(" "), named(&otherwise))
        }
        other => named(&other),
    }
}

#[test]
fn what_a_rule_needs_and_nobody_said_is_asked_for_then_held() {
    let rules = set(vec![(asking("a"), on_clients())]);
    let says = |known: &[(Field, &'static str)]| judged(&rules, known, Mode::Enforce);
    assert_eq!(says(&[MALWARE]), "ask machine.os, else hold: rule a does not know machine.os");
    assert_eq!(says(&[MALWARE, (Field::MachineOs, "Windows11")]), "act a");
    assert_eq!(says(&[MALWARE, (Field::MachineOs, "Linux")]), "no match");
    // Whatever the platform is.
    assert_eq!(says(&[(Field::AlertCategory, "Discovery")]), "no match");
    assert_eq!(says(&[]), "no match");
}

#[test]
fn what_an_answer_could_not_settle_is_not_asked_for() {
    let detection = json!({
        "malware": {"alert.category": "Malware"},
        "client": {"machine.os": "Windows11"},
        "blocked": {"file.detection_status": "Blocked"},
        "trusted": {"file.signer": "Contoso"},
        "condition": "malware and client and not blocked and not trusted",
    });
    let rules = set(vec![(asking("a"), detection)]);
    let says = |known: &[(Field, &'static str)]| judged(&rules, known, Mode::Enforce);
    let detected = (Field::FileDetectionStatus, "Detected");
    assert_eq!(
        says(&[MALWARE, detected]),
        "ask machine.os file.signer, else hold: rule a does not know file.signer, machine.os"
    );
    // Nobody can tell whether it was blocked; the engine alone would match on the second.
    assert_eq!(says(&[MALWARE]), "no match");
    assert_eq!(
        says(&[MALWARE, (Field::MachineOs, "Windows11"), (Field::FileSigner, "Fabrikam")]),
        "hold: rule a does not know file.detection_status"
    );
}

#[test]
fn a_field_that_makes_no_difference_is_not_asked_for() {
    let detection = json!({
        "malware": {"alert.category": "Malware"},
        "known": {"file.determination": "Malware"},
        "client": {"machine.os": "Windows11"},
        "tagged": {"machine.tags|exists": true},
        "condition": "malware and (known or client) and not tagged",
    });
    let rules = set(vec![(asking("a"), detection)]);
    let says = |known: &[(Field, &'static str)]| judged(&rules, known, Mode::Enforce);
    assert_eq!(says(&[MALWARE, (Field::MachineOs, "Windows11")]), "act a");
    assert_eq!(
        says(&[MALWARE, (Field::MachineOs, "Linux")]),
        "ask file.determination, else hold: rule a does not know file.determination"
    );
    // `|exists` is never unknown.
    assert_eq!(says(&[MALWARE, (Field::MachineTags, "x"), (Field::MachineOs, "x")]), "no match");
}

#[test]
fn act_comes_before_a_question_and_a_question_before_a_hold() {
    let sure = json!({"malware": {"alert.category": "Malware"}, "condition": "malware"});
    let unsure = malware(" and not blocked");
    let of = |rules: Vec<(Rule, serde_json::Value)>| {
        judged(&set(rules), &[MALWARE, (Field::FileName, "x")], Mode::Enforce)
    };
    let asks = || (asking("b"), on_clients());
    assert_eq!(of(vec![(rule("a"), sure.clone()), asks()]), "act a");
    let before_hold = of(vec![(rule("a"), unsure), asks()]);
    assert!(before_hold.starts_with("ask machine.os"), "{before_hold}");
    let approve = acting("a", |response| response.mode = Mode::Approve);
    assert!(of(vec![(approve, sure.clone()), asks()]).starts_with("ask machine.os"));
    // What only watches is made no truer by another rule's question.
    let observe = acting("a", |response| response.mode = Mode::Observe);
    assert!(of(vec![(observe, sure), asks()]).starts_with("ask machine.os"));
}

#[test]
fn a_rule_that_only_watches_asks_too_so_that_it_shows_what_it_would_do() {
    let observe = acting("a", |response| {
        response.mode = Mode::Observe;
        response.unknown = OnUnknown::Enrich;
    });
    let rules = set(vec![(observe, on_clients())]);
    assert_eq!(judged(&rules, &[MALWARE], Mode::Enforce), "ask machine.os, else observe a");
    let rules = set(vec![(asking("a"), on_clients())]);
    assert_eq!(judged(&rules, &[MALWARE], Mode::Observe), "ask machine.os, else observe a");
}

#[test]
fn a_deny_rule_asks_about_what_would_be_sent_or_watched() {
    let servers = json!({"dc": {"machine.tags": "dc"}, "condition": "dc"});
    let sure = json!({"malware": {"alert.category": "Malware"}, "condition": "malware"});
    let rules = set(vec![(rule("a"), sure), (denying("d", true), servers.clone())]);
    let asks = "ask machine.tags, else";
    let held = "hold: protection unknown: rule d does not know machine.tags";
    assert_eq!(judged(&rules, &[MALWARE], Mode::Enforce), format!("{asks} {held}"));
    assert_eq!(judged(&rules, &[MALWARE], Mode::Observe), format!("{asks} observe a"));
    assert_eq!(judged(&rules, &[MALWARE, (Field::MachineTags, "x")], Mode::Enforce), "act a");
    let protected = judged(&rules, &[MALWARE, (Field::MachineTags, "dc")], Mode::Enforce);
    assert_eq!(protected, "protected by d");
    // Nothing would come of it.
    assert_eq!(judged(&rules, &[], Mode::Enforce), "no match");
    // A person looks at it anyway, and nobody can tell what the rule lacks.
    let rules =
        set(vec![(rule("a"), malware(" and not blocked")), (denying("d", true), servers.clone())]);
    let said = judged(&rules, &[MALWARE], Mode::Enforce);
    assert_eq!(said, "hold: rule a does not know file.detection_status");
    // Both questions go together.
    let rules = set(vec![(asking("a"), on_clients()), (denying("d", true), servers)]);
    let said = judged(&rules, &[MALWARE], Mode::Enforce);
    assert!(said.starts_with("ask machine.os machine.tags, else hold"), "{said}");
}

#[test]
fn a_set_says_what_its_rules_may_ask_about() {
    let signer = json!({"x": {"file.signer": "Contoso"}, "condition": "x"});
    let asks = |rule: Rule, detection: &serde_json::Value| {
        let rules = set(vec![(rule, detection.clone())]);
        [Subject::Machine, Subject::File].map(|subject| rules.may_ask(subject))
    };
    assert_eq!(asks(asking("a"), &on_clients()), [true, false]);
    assert_eq!(asks(rule("a"), &on_clients()), [false, false]);
    assert_eq!(asks(denying("a", true), &signer), [false, true]);
    assert_eq!(asks(denying("a", false), &signer), [false, false]);
}
