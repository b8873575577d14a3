//! Correlations of rules.

use super::*;
use crate::domain::correlation::Kind;

const BASE: &str = "\
title: Seen
id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11
name: seen_malware
logsource: {product: x}
detection:
  malware: {alert.category: Malware}
  file: {file.entity: File, file.name: invoice_4471.exe}
  condition: malware and file
tests:
  - name: counts
    alert: samples/a.json
    expect: {act: [{machine: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c,
      sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13}]}
";

const SPREADS: &str = "\
title: Spreads
id: 7d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11
correlation:
  type: value_count
  rules: [seen_malware]
  group-by: [file.sha1]
  timespan: 1h
  condition: {field: machine.id, gte: 3}
level: high
response:
  action: StopAndQuarantineFile
  comment: due to {{alert.id}}
  mode: enforce
tests:
  - name: on three machines within an hour
    alerts:
      - {alert: samples/a.json, set: {alert.created: 2026-05-01T12:00:00Z}}
      - alert: samples/a.json
        set: {alert.created: 2026-05-01T13:00:00Z,
          machine.id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}
      - alert: samples/a.json
        set: {alert.created: 2026-05-01T12:30:00Z,
          machine.id: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb}
    expect:
      act:
        - machine: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c
          sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13
        - machine: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13
        - machine: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
          sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13
  - name: twice on one machine, and on another
    alerts:
      - {alert: samples/a.json}
      - {alert: samples/a.json, set: {alert.id: a-2}}
      - alert: samples/a.json
        set: {machine.id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}
    expect: {no_match: true}
";

fn load_both(base: &str, correlation: &str) -> Result<Loaded, Problems> {
    let sample = |path: &str| (path == "samples/a.json").then(|| SAMPLE.to_owned());
    load_from(&[("b.yml", base), ("c.yml", correlation)], &sample)
}

fn both(base: &str, correlation: &str) -> Vec<String> {
    let problems = match load_both(base, correlation) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.0,
    };
    problems.iter().map(Problem::title).collect()
}

#[track_caller]
fn wrong(from: &str, to: &str, wanted: &str) {
    assert!(SPREADS.contains(from), "{from:?} is not in the right rule");
    let found = both(BASE, &SPREADS.replacen(from, to, 1));
    assert!(found.iter().any(|f| f.starts_with(wanted)), "wanted {wanted}\n found {found:#?}");
}

#[test]
fn a_correlation_loads_and_its_tests_run_on_its_base_rules() {
    assert_eq!(both(BASE, SPREADS), [""; 0]);
    let loaded = load_both(BASE, SPREADS).unwrap_or_else(|why| panic!("{why}"));
    let [one] = loaded.ruleset.correlations() else { panic!("there is one") };
    let base = "5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11".to_owned();
    assert_eq!((one.counts.rules.clone(), one.counts.at_least), (vec![base], 3));
    assert_eq!(one.counts.kind, Kind::Values(Field::MachineId));
    assert_eq!(loaded.ruleset.mode(&one.rule.id), Some(Mode::Enforce));
    assert_eq!((loaded.ruleset.rules().len(), loaded.ruleset.len()), (1, 2));
    assert_eq!(loaded.ruleset.rules()[0].response, Response::Count);
}

#[test]
fn a_base_rule_may_be_named_by_its_id_and_act_by_itself() {
    let by_id = SPREADS.replace("[seen_malware]", "[5D6A1F0E-3C52-4C3B-9D0A-6F0F6B7D5A11]");
    assert_eq!(both(BASE, &by_id), [""; 0]);
    let acts = "response: {action: StopAndQuarantineFile, comment: due to it}\ntests:";
    assert_eq!(both(&BASE.replace("tests:", acts), SPREADS), [""; 0]);
}

#[test]
fn a_rule_without_response_that_no_correlation_names_does_nothing_and_is_refused() {
    let acts = RIGHT.replace("title: T", "title: T\nname: t").replace("id: 5d6a", "id: 6d6a");
    let of_other = SPREADS.replace("[seen_malware]", "[t]");
    let files = [("b.yml", BASE), ("c.yml", of_other.as_str()), ("d.yml", acts.as_str())];
    let Err(problems) = load_from(&files, &|_| Some(SAMPLE.to_owned())) else { panic!("loads") };
    let missing = "b.yml:1:8: error: the rule has no response, and no correlation names it";
    assert!(problems.0[0].title().starts_with(missing), "{problems}");
    // Where a name is wrong, it is the name that is told.
    let found = both(BASE, &SPREADS.replace("[seen_malware]", "[seen_malwares]"));
    let wrong = "c.yml:5:11: error: there is no rule \"seen_malwares\"; did you mean seen_malware?";
    assert_eq!(found, [wrong]);
    assert!(super::problems(BASE)[0].contains("the rule has no response; it says what to do"));
}

#[test]
fn a_test_fails_with_how_far_it_counted() {
    let late = SPREADS.replace("2026-05-01T13:00:00Z", "2026-05-01T13:00:01Z");
    let found = both(BASE, &late);
    let wanted =
        "c.yml:25:7: error: test \"on three machines within an hour\" fails: it should act";
    assert!(found[0].starts_with(wanted), "{found:#?}");
    assert!(found[0].ends_with("; 2 of 3 machine.id within 1h"), "{found:#?}");
    // The same alert again is the same event: an edit of the id alone makes it another.
    let again = SPREADS.replace("{field: machine.id, gte: 3}", "{gte: 3}");
    let again = again.replace("value_count", "event_count");
    let found = both(BASE, &again);
    assert_eq!(found.len(), 1, "{found:#?}");
    let second = "error: test \"twice on one machine, and on another\" fails";
    assert!(found[0].contains(second), "{found:#?}");
    let one_less = again.replace(
        "      - {alert: samples/a.json, set: {alert.id: a-2}}\n",
        "      - {alert: samples/a.json}\n",
    );
    assert_eq!(both(BASE, &one_less), [""; 0]);
}

#[test]
fn an_alert_that_is_told_again_later_counts_when_it_was_first_told() {
    let cut = SPREADS.find("tests:").unwrap();
    let of = |second: &str| {
        let two = SPREADS[..cut].replace("gte: 3", "gte: 2").replace("enforce", "observe");
        let machine = "machine.id: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        format!(
            "{two}tests:
  - name: again
    alerts:
      - {{alert: samples/a.json, set: {{alert.created: 2026-05-01T12:00:00Z}}}}
      - {{alert: samples/a.json, set: {{{second}alert.created: 2026-05-01T14:00:00Z}}}}
      - {{alert: samples/a.json, set: {{{machine}, alert.created: 2026-05-01T14:00:00Z}}}}
    expect: {{no_match: true}}
"
        )
    };
    assert_eq!(both(BASE, &of("")), [""; 0]);
    assert_eq!(both(BASE, &of("alert.id: a-2, ")).len(), 1, "another alert is another event");
}

#[test]
fn what_is_wrong_is_said_where_it_stands() {
    wrong("value_count", "value_sum", "c.yml:4:9: error: type value_sum is not in this version");
    wrong("value_count", "value_cuont", "c.yml:4:9: error: type is \"value_cuont\"");
    wrong("  rules: [seen_malware]\n", "", "c.yml:4:3: error: correlation has no rules;");
    wrong("[file.sha1]", "[]", "c.yml:6:13: error: group-by is empty, so files");
    wrong("[file.sha1]", "[file.sha]", "c.yml:6:14: error: there is no field file.sha; did you");
    wrong("timespan: 1h", "timespan: 1 hour", "c.yml:7:13: error: timespan \"1 hour\" is no time");
    wrong("timespan: 1h", "timespan: 60", "c.yml:7:13: error: timespan is 60, a number without");
    wrong("timespan: 1h", "timespan: 2w", "c.yml:7:13: error: timespan is 2w; write 1s to 7d");
    wrong("gte: 3", "lte: 3", "c.yml:8:34: error: lte would make a later event undo");
    wrong("gte: 3", "gte: 0", "c.yml:8:39: error: gte is how many are enough");
    wrong("field: machine.id, ", "", "c.yml:8:14: error: condition has no field whose");
    wrong("machine.id, gte", "file.sha1, gte", "c.yml:8:14: error: all events of a group have");
    wrong("StopAndQuarantineFile", "deny", "c.yml:11:3: error: a correlation can't deny");
    wrong("  mode: enforce", "  unknown: skip", "c.yml:13:3: error: a correlation has no unknown");
    wrong("[seen_malware]", "[Spreads]", "c.yml:5:11: error: there is no rule \"Spreads\"");
    wrong("    alerts:", "    alert:", "c.yml:16:5: error: a correlation's test has no alert:");
    let itself = "[seen_malware, 7d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11]";
    wrong("[seen_malware]", itself, "c.yml:5:25: error: a correlation can't count itself");
    let twice = "[seen_malware, 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11]";
    wrong("[seen_malware]", twice, "c.yml:5:25: error: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11 names");
    let typo = "[seen_malware, seen_malwere]";
    wrong("[seen_malware]", typo, "c.yml:5:25: error: there is no rule \"seen_malwere\"; did you");
}

#[test]
fn in_enforce_it_needs_a_test_that_acts_and_one_that_spares() {
    let cut = SPREADS.find("  - name: twice").unwrap();
    let found = both(BASE, &SPREADS[..cut]);
    assert!(found[0].contains("mode: enforce needs a test"), "{found:#?}");
}

#[test]
fn what_denies_or_is_a_correlation_itself_is_not_counted() {
    let denies = "response: {action: deny}\n";
    let base = BASE.replace("tests:", &format!("{denies}tests:")).replace("act:", "protected:");
    let found = both(&base, SPREADS);
    assert!(found[0].starts_with("c.yml:5:11: error: seen_malware denies"), "{found:#?}");
    let other = SPREADS.replace("7d6a", "8d6a").replace("title: Spreads", "title: S\nname: s");
    let of_other = SPREADS.replace("[seen_malware]", "[seen_malware, s]");
    let files = [("b.yml", BASE), ("c.yml", of_other.as_str()), ("d.yml", other.as_str())];
    let Err(problems) = load_from(&files, &|_| Some(SAMPLE.to_owned())) else { panic!("loads") };
    assert!(problems.0[0].title().contains("\"s\" is a correlation too"), "{problems}");
}
