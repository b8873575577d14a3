//! Rule files that deny.

use super::*;

const DENY: &str = "\
title: D
id: 6d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11
logsource: {product: x}
detection:
  named: {file.name: invoice_4471.exe}
  condition: named
response:
  action: deny
tests:
  - name: protects
    alert: samples/a.json
    expect: {protected: [{machine: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c,
      sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13}]}
  - name: another is not covered
    alert: samples/a.json
    set: {file.name: other.exe}
    expect: {no_match: named}
  - name: without a name nobody knows
    alert: samples/a.json
    absent: [file.name]
    expect: {hold: [file.name]}
";

#[track_caller]
fn wrong_at(from: &str, to: &str, wanted: &str) {
    assert!(DENY.contains(from), "{from:?} is not in the right rule");
    let found = problems(&DENY.replacen(from, to, 1));
    assert!(found.iter().any(|f| f.starts_with(wanted)), "wanted {wanted}\n found {found:#?}");
}

#[test]
fn a_rule_that_denies_loads_and_its_tests_say_what_it_protects() {
    assert_eq!(problems(DENY), [""; 0]);
    let loaded = load_text(DENY).unwrap_or_else(|why| panic!("{why}"));
    let holds = Response::Deny(crate::domain::rule::Deny { holds_unknown: true });
    assert_eq!(loaded.ruleset.rules()[0].response, holds);
    for (from, to, wanted) in [
        (
            "sha1: c41d",
            "sha1: c41e",
            "r.yml:12:13: error: test \"protects\" fails: it should protect [{machine: 5f0c",
        ),
        (
            "set: {file.name: other.exe}",
            "set: {file.name: INVOICE_4471.exe}",
            "r.yml:17:13: error: test \"another is not covered\" fails: it should protect [] and \
             protects [{machine",
        ),
        (
            "hold: [file.name]",
            "hold: []",
            "r.yml:21:13: error: test \"without a name nobody knows\" fails: it should hold for [] \
             and holds for [file.name]",
        ),
        ("protected: [", "act: [", "r.yml:12:14: error: a rule that denies never acts; write pro"),
        ("no_match: named", "no_match: name", "r.yml:17:24: error: there is no selection name"),
        (
            "no_match: named",
            "no_match: named, hold: [file.name]",
            "r.yml:17:13: error: no_match says that nothing is protected and nothing is held",
        ),
    ] {
        wrong_at(from, to, wanted);
    }
}

#[test]
fn a_rule_that_denies_only_denies() {
    let action = "action: deny";
    for (to, wanted) in [
        (
            "action: deny\n  mode: observe",
            "r.yml:9:3: error: a rule that denies has no mode: it makes no call; remove it",
        ),
        ("action: deny\n  comment: x", "r.yml:9:3: error: a rule that denies has no comment"),
        ("action: deny\n  window: 1h", "r.yml:9:3: error: a rule that denies has no window"),
        ("action: deny\n  priority: bulk", "r.yml:9:3: error: a rule that denies has no priority"),
        ("action: deny\n  breakers: {}", "r.yml:9:3: error: a rule that denies has no breakers"),
        ("action: deny\n  approvals: {}", "r.yml:9:3: error: a rule that denies has no approvals"),
        (
            "action: deny\n  unkown: hold",
            "r.yml:9:3: error: response has no key \"unkown\"; did you mean unknown?",
        ),
        ("action: deny\n  unknown: skip", "r.yml:9:12: error: unknown is \"skip\"; it has to be"),
        (
            "action: deny\n  unknown: enrich",
            "r.yml:9:12: error: unknown is \"enrich\"; it has to be one of hold, ignore",
        ),
        (
            "action: deny\n  unknown: ignore",
            "r.yml:9:12: warning: where a field is unknown this protects nothing",
        ),
    ] {
        wrong_at(action, to, wanted);
    }
    let untested = DENY.split("tests:").next().unwrap();
    assert_eq!(
        problems(untested),
        ["r.yml:1:1: warning: the rule has no tests, so nobody knows what it does"]
    );
    // Defender is asked for what no alert has.
    assert_eq!(
        problems(&untested.replace("file.name: invoice_4471.exe", "machine.value: High")),
        ["r.yml:1:1: warning: the rule has no tests, so nobody knows what it does"]
    );
    let protects = RIGHT.replace("expect: {act", "expect: {protected");
    let wanted = "r.yml:17:14: error: a rule's tests run with that rule alone, and this one denies";
    assert!(problems(&protects)[0].starts_with(wanted), "{:?}", problems(&protects));
}

#[test]
fn a_response_says_who_approves_and_what_breaks() {
    let of = |response: &str| {
        let text = RIGHT.replace("mode: observe", response);
        let loaded = load_text(&text).unwrap_or_else(|why| panic!("{why}"));
        loaded.ruleset.rules()[0].quarantine().unwrap().clone()
    };
    assert_eq!(of("mode: approve").mode, Mode::Approve);
    let people = |response: &str| {
        let approvals = of(response).approvals;
        (approvals.count, approvals.four_eyes)
    };
    assert_eq!(people("mode: approve"), (1, false));
    assert_eq!(people("approvals: {count: 2}"), (2, true));
    assert_eq!(people("approvals: {four_eyes: true}"), (1, true));
    let rates = |response: &str| {
        let breakers = of(response).breakers;
        (breakers.machines_per_file.to_string(), breakers.actions.to_string())
    };
    let is = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(rates("mode: approve"), is("25/1h", "200/1h"));
    assert_eq!(rates("breakers: {actions: 3/90m}"), is("25/1h", "3/90m"));
    assert_eq!(rates("breakers: {machines_per_file: 7/1d}"), is("7/24h", "200/1h"));
}

#[test]
fn approvals_that_nothing_waits_for_are_told() {
    let told = |response: &str| problems(&RIGHT.replace("mode: observe", response));
    assert_eq!(told("mode: approve\n  approvals: {count: 2}"), [""; 0]);
    let both = told("mode: enforce\n  approvals: {count: 2}");
    let wanted = "r.yml:14:14: warning: in mode enforce nothing waits for these";
    assert!(both[0].starts_with(wanted), "{both:?}");
    let wrong = told("mode: approve\n  approvals: {count: 2, four_eyes: false}");
    let wanted = "r.yml:14:36: error: two people are two with a token each";
    assert!(wrong[0].starts_with(wanted), "{wrong:?}");
}
