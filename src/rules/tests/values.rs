//! Values that no candidate can have, and the place that each error names.

use super::refused::wrong_at;
use super::*;

#[test]
fn a_value_that_its_field_can_never_have_is_refused() {
    for (to, wanted) in [
        ("file.name: 1.10", "r.yml:6:24: error: file.name is no number; write the value in quotes"),
        ("file.sha1: '44'", "r.yml:6:24: error: \"44\" is no file.sha1: 40 hex digits"),
        ("alert.severity_rank|gte: 6", "r.yml:6:38: error: alert.severity_rank is a whole number"),
        ("alert.severity_rank: 3.5", "r.yml:6:34: error: alert.severity_rank is a whole number"),
        ("file.sha1: 44", "r.yml:6:24: error: file.sha1 is no number"),
        ("alert.id|contains: [7]", "r.yml:6:33: error: alert.id is no number"),
    ] {
        wrong_at("alert.category: Malware", to, wanted);
    }
}

#[test]
fn a_path_or_a_hash_as_no_format_gives_it_is_refused_with_what_to_write() {
    for (to, wanted) in [
        (
            r"file.path: C:/Temp/a",
            r"r.yml:6:24: error: file.path has \ between its parts, never /; ",
        ),
        (
            r"file.path: 'C:/T/*'",
            r"r.yml:6:24: error: file.path has \ between its parts, never /; ",
        ),
        (r"file.path|contains: [/tmp/]", r"r.yml:6:34: error: file.path has \ between"),
        (
            r"file.path: C:\Temp\",
            r"r.yml:6:24: error: file.path has no \ at its end; write C:\Temp",
        ),
        (
            r"file.path|endswith: \Temp\",
            r"r.yml:6:33: error: file.path has no \ at its end; write ",
        ),
        (r"file.path|neq: '*\Temp\'", r"r.yml:6:28: error: file.path has no \ at its end"),
        (
            r"file.path: Temp",
            r"r.yml:6:24: error: file.path begins with a drive, \ or %; for a part",
        ),
        (r"file.path|startswith: Temp", "r.yml:6:35: error: file.path begins with a drive"),
        ("file.sha1|startswith: xyz", "r.yml:6:35: error: \"xyz\" is no file.sha1: 40 hex digits"),
        ("machine.id: host", "r.yml:6:25: error: \"host\" is no machine.id: 40 hex digits"),
        ("file.sha256: c41d7e", "r.yml:6:26: error: \"c41d7e\" is no file.sha256: 64 hex digits"),
        ("file.sha1: '0000000000000000000000000000000000000000'", "r.yml:6:24: error: \"000"),
        ("file.sha1|cased|startswith: AB", "r.yml:6:41: error: file.sha1 has small letters only"),
    ] {
        wrong_at("alert.category: Malware", to, wanted);
    }
    let told = problems(&RIGHT.replace("alert.category: Malware", "file.path: 'C:/T/*'"));
    assert!(told[0].ends_with(r"write C:\T\\*"), "{told:?}");
    for right in [
        r"file.path: C:\",
        r"file.path|endswith: ':\'",
        r"file.path|startswith: C:\Users\",
        r"file.path|contains: \Temp\",
        r"file.path: 'C:\Users\\*'",
        r"file.path: '*\Temp'",
        r"file.path|startswith: '%'",
        r"file.path|re: '/'",
        "file.sha1: 'c41d7e*'",
        "file.sha256|startswith: c41d7e",
    ] {
        let text = RIGHT.replace("alert.category: Malware", right);
        let wrong = problems(text.split("tests:").next().unwrap());
        assert_eq!(wrong.len(), 1, "{right}: {wrong:?}");
        assert!(wrong[0].contains("the rule has no tests"), "{wrong:?}");
    }
}

#[test]
fn an_age_is_written_with_its_unit() {
    let rule = RIGHT.replace("alert.category: Malware", "alert.age|lt: 2h");
    let ruleset = load_text(rule.split("tests:").next().unwrap()).unwrap().ruleset;
    for (age, seen) in [(7199, true), (7200, false)] {
        let mut fields = Fields::default();
        fields.set_text(Field::FileEntity, "File");
        fields.set(Field::AlertAge, Value::Number(age));
        let matched = !matches!(
            ruleset.judge(&fields, crate::domain::rule::Mode::Enforce),
            Judgement::NoMatch { .. }
        );
        assert_eq!(matched, seen, "{age}");
    }
    // In a test of the rule too.
    let spared = rule
        .replace("expect: {act: [{machine: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c,", "#")
        .replace(
            "      sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13}]}",
            "    set: {alert.age: 3h}
    expect: {no_match: malware}",
        );
    assert_eq!(problems(&spared), Vec::<String>::new());
    let said = &problems(&rule.replace("lt: 2h", "lt: 0h"))[0];
    assert!(said.contains("this is never true"), "{said}");
}
