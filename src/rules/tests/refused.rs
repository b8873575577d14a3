//! Rules made wrong, one thing at a time, and the place that each error names.

use super::*;

#[track_caller]
pub(super) fn wrong_at(from: &str, to: &str, wanted: &str) {
    assert!(RIGHT.contains(from), "{from:?} is not in the right rule");
    let found = problems(&RIGHT.replacen(from, to, 1));
    assert!(
        found.iter().any(|f| f.starts_with(wanted)),
        "{to:?}\nwanted {wanted}\n found {found:#?}"
    );
}

#[test]
fn what_is_no_field_no_modifier_or_no_value_is_refused_with_its_place() {
    let leaf = "alert.category: Malware";
    for (to, wanted) in [
        (
            "alert.categry: Malware",
            "r.yml:6:13: error: there is no field alert.categry; did you mean alert.category?",
        ),
        (
            "alert.category|contain: M",
            "r.yml:6:28: error: there is no modifier \"contain\"; did you mean contains?",
        ),
        ("alert.category|not: M", "r.yml:6:28: error: not is no modifier"),
        ("alert.category|fieldref: alert.title", "r.yml:6:28: error: |fieldref is refused"),
        (
            "alert.category|expand: '%list%'",
            "r.yml:6:36: error: there is no list list; make lists/list.txt",
        ),
        (
            "'alert.techniques[any]': T1",
            "r.yml:6:14: error: \"alert.techniques[any]\" selects from a list",
        ),
        (
            "alert.category: null",
            "r.yml:6:29: error: null matches what is not known; use alert.category|exists",
        ),
        ("alert.category: [Malware, null]", "r.yml:6:39: error: null matches"),
        ("alert.category: ''", "r.yml:6:29: error: no field is an empty text"),
        ("alert.category: []", "r.yml:6:29: error: alert.category has no value"),
        ("alert.category: yes", "r.yml:6:29: warning: \"yes\" is no known value of alert.category"),
        ("alert.category: true", "r.yml:6:29: error: alert.category is never true or false"),
        ("alert.category: {a: b}", "r.yml:6:29: error: alert.category can't match a mapping"),
        (
            "alert.category|exists: 'yes'",
            "r.yml:6:36: error: alert.category|exists is true or false",
        ),
        ("alert.category|exists|contains: true", "r.yml:6:13: error: |exists goes with no other"),
        (
            "alert.severity|gte: Medium",
            "r.yml:6:13: error: alert.severity is no number; use alert.severity_rank",
        ),
        ("alert.severity_rank: High", "r.yml:6:34: error: alert.severity_rank is a number"),
        ("alert.severity_rank|gte: High", "r.yml:6:38: error: alert.severity_rank is a number"),
        ("alert.category|re: '('", "r.yml:6:33: error: this ( is not closed"),
        (
            "alert.category: Malwar",
            "r.yml:6:29: error: \"Malwar\" is no known value of alert.category; \
             did you mean Malware?",
        ),
        (
            "alert.severity: UnSpecified",
            "r.yml:6:29: error: \"UnSpecified\" is no known value of alert.severity; \
             UnSpecified is read as Unknown",
        ),
        (
            "machine.value: High",
            "r.yml:6:13: error: no alert has machine.value: only Defender knows it",
        ),
    ] {
        wrong_at(leaf, to, wanted);
    }
    wrong_at(
        "file.entity: File",
        "file.entity: Fil",
        "r.yml:7:23: error: \"Fil\" is no known value of file.entity; did you mean File?",
    );
    for (to, wanted) in [
        (
            "alert.status: Resolvd",
            "r.yml:6:27: error: \"Resolvd\" is no known value of alert.status",
        ),
        ("alert.classification: TP", "r.yml:6:35: error: \"TP\" is no known value of alert"),
        ("file.detection_status: Found", "r.yml:6:36: warning: \"Found\" is no known value of"),
        ("alert.determination: Bad", "r.yml:6:34: warning: \"Bad\" is no known value of"),
    ] {
        wrong_at(leaf, to, wanted);
    }
    wrong_at(
        "file.entity: File",
        r"file.path: 'C:\Windows\*'",
        r"r.yml:7:21: error: \* is a plain * in Sigma, no wildcard; write \\* for",
    );
    let right = RIGHT.replace("file.entity: File", r"file.entity: File, file.path: 'C:\Users\\*'");
    assert_eq!(problems(&right), Vec::<String>::new());
    let exists = RIGHT
        .replace("alert.category: Malware", "alert.category: Malware, machine.value|exists: false");
    let said = "r.yml:6:38: warning: machine.value|exists: false is also true where nobody knows, \
                and lets the rule act there";
    assert_eq!(problems(&exists), [said], "|exists is always known");
    let known = problems(&exists.replace("exists: false", "exists: true"));
    assert!(!known.iter().any(|said| said.contains("warning")), "{known:?}");
}

#[test]
fn selections_and_conditions_are_checked_against_each_other() {
    let condition = "condition: malware and file";
    for (to, wanted) in [
        (
            "condition: malwar and file",
            "r.yml:8:14: error: there is no selection malwar; did you mean malware?",
        ),
        ("condition: malware", "r.yml:7:3: error: selection file is not used"),
        ("condition: malware and", "r.yml:8:"),
        (
            "condition: \"malware and ) file\"",
            "r.yml:8:27: error: a selection is missing before this )",
        ),
        ("condition: 3 of them", "r.yml:8:14: error: 3 of them can't be: there are 2"),
        ("condition: 0 of them", "r.yml:8:14: error: 0 of them is always true"),
        (
            "condition: 1 of sel* and malware and file",
            "r.yml:8:19: error: no selection is named sel*",
        ),
        ("condition: [malware, file]", "r.yml:8:14: error: the condition is a list"),
        ("other: {}", "r.yml:6:3: error: detection has no condition"),
        (
            "timeframe: 5m\n  condition: malware and file",
            "r.yml:8:3: error: a rule looks at one alert",
        ),
        ("k: [a, b]\n  condition: malware and file and k", "r.yml:8:7: error: keywords"),
        ("k: a\n  condition: malware and file and k", "r.yml:8:6: error: keywords"),
        ("k: {}\n  condition: malware and file and k", "r.yml:8:6: error: the selection is empty"),
    ] {
        wrong_at(condition, to, wanted);
    }
}

#[test]
fn a_condition_that_no_person_wrote_is_refused_before_it_is_parsed() {
    let condition = "malware and file";
    let long = format!("malware and file{}", " or file".repeat(13_000));
    wrong_at(condition, &long, "r.yml:8:14: error: the condition is longer than 4096 bytes");
    for deep in ["not ".repeat(65), "(".repeat(65), "NOT (".repeat(33)] {
        let deep = format!("{deep}malware and file");
        wrong_at(condition, &deep, "r.yml:8:14: error: the condition has more than 64 nots");
    }
    let fits = format!("{}malware and file", "not ".repeat(64));
    assert_eq!(problems(&RIGHT.replace(condition, &fits)), [""; 0]);
}

#[test]
fn a_key_that_is_not_carried_out_is_refused() {
    for (from, to, wanted) in [
        (
            "title: T",
            "titel: T",
            "r.yml:1:1: error: a rule has no key \"titel\"; did you mean title?",
        ),
        ("title: T", "title: [T]", "r.yml:1:8: error: title is a list"),
        ("title: T\n", "", "r.yml:1:1: error: the rule has no title"),
        ("id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11\n", "", "r.yml:1:1: error: the rule has no id"),
        (
            "id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11",
            "id: x",
            "r.yml:2:5: error: id \"x\" is no UUID",
        ),
        (
            "status: stable",
            "status: stabel",
            "r.yml:3:9: error: status is \"stabel\"; it has to be one of",
        ),
        ("status: stable", "sigma-version: 3", "r.yml:3:16: error: sigma-version has to be 1 or 2"),
        (
            "status: stable",
            "correlation: {}",
            "r.yml:3:1: error: a rule has a detection or a correlation; write the correlation",
        ),
        ("status: stable", "title: again", "r.yml:3:1: error: this key stands twice"),
        ("title: T", "title: \"T\\e[2J\"", "r.yml:1:8: error: the title has control characters"),
        ("level: high", "level: hihg", "r.yml:9:8: error: level is \"hihg\"; it has to be one of"),
        (
            "logsource: {product: x}",
            "logsource: {produkt: x}",
            "r.yml:4:13: error: logsource has no key",
        ),
        ("title: T", "title: T\n  x: y", "r.yml:"),
        ("title: T", "title: 'T", "r.yml:"),
        ("title: T", "--- \ntitle: T\n---", "r.yml:"),
    ] {
        wrong_at(from, to, wanted);
    }
    assert!(problems("").iter().any(|p| p.contains("error")), "an empty file");
    assert!(problems("[]").iter().any(|p| p.starts_with("r.yml:1:1: error: the rule is a list")));
}

#[test]
fn a_tag_outside_the_core_schema_is_refused_wherever_it_stands() {
    for (from, to, wanted) in [
        (
            "mode: observe",
            "mode: !!python/object observe",
            "r.yml:13:25: error: the tag !!python/object is none that a rule may have; remove it",
        ),
        ("mode: observe", "mode: !!binary b2JzZXJ2ZQ==", "r.yml:13:18: error: the tag !!binary"),
        ("mode: observe", "mode: !mine observe", "r.yml:13:15: error: the tag !mine is none"),
        ("mode: observe", "!mine mode: observe", "r.yml:13:9: error: the tag !mine is none"),
        ("status: stable", "related: [!x {id: a}]", "r.yml:3:14: error: the tag !x is none"),
        ("status: stable", "tags: !x [a]", "r.yml:3:10: error: the tag !x is none"),
        ("title: T", "!x\ntitle: T", "r.yml:2:1: error: the tag !x is none"),
    ] {
        wrong_at(from, to, wanted);
    }
    let right = RIGHT.replace("mode: observe", "!!str mode: !!str observe");
    assert_eq!(problems(&right), [""; 0]);
}

#[test]
fn a_response_promises_only_what_is_kept() {
    for (from, to, wanted) in [
        (
            "mode: observe",
            "retry: 3",
            "r.yml:13:3: error: retry stands under what it is an answer to: on_timed_out",
        ),
        (
            "mode: observe",
            "breakers: {action: 3/1h}",
            "r.yml:13:14: error: breakers has no key \"action\"; did you mean actions?",
        ),
        (
            "mode: observe",
            "breakers: {actions: 3}",
            "r.yml:13:23: error: actions is \"3\"; write a number from 1 to 1000000 and a time",
        ),
        (
            "mode: observe",
            "breakers: {machines_per_file: 0/1h}",
            "r.yml:13:33: error: machines_per_file is \"0/1h\"; write a number from 1 to 1000000",
        ),
        ("mode: observe", "breakers: 25/1h", "r.yml:13:13: error: breakers is a text"),
        (
            "mode: observe",
            "breakers: {actions: 1/1h, actions: 2/1h}",
            "r.yml:13:29: error: this key stands twice",
        ),
        ("mode: observe", "approvals: {count: 3}", "r.yml:13:22: error: count is 1 or 2"),
        ("mode: observe", "approvals: {count: '2'}", "r.yml:13:22: error: count is 1 or 2"),
        (
            "mode: observe",
            "approvals: {four_eyes: yes}",
            "r.yml:13:26: error: four_eyes is true or false",
        ),
        (
            "mode: observe",
            "approvals: {counts: 1}",
            "r.yml:13:15: error: approvals has no key \"counts\"; did you mean count?",
        ),
        ("mode: observe", "approvals: 2", "r.yml:13:14: error: approvals is written as {count: 2}"),
        ("mode: observe", "window: 24", "r.yml:13:11: error: window is 24, a number without its"),
        (
            "mode: observe",
            "window: 0",
            "r.yml:13:11: error: window can't be 0, since an alert that comes twice would act \
             twice; write 1s to 366d, such as 24h",
        ),
        ("mode: observe", "window: 24x", "r.yml:13:11: error: window \"24x\" is no duration"),
        ("mode: observe", "window: 0s", "r.yml:13:11: error: window has to lie between"),
        (
            "mode: observe",
            "mod: observe",
            "r.yml:13:3: error: response has no key \"mod\"; did you mean mode?",
        ),
        ("mode: observe", "priority: High", "r.yml:13:13: error: priority is \"High\""),
        (
            "action: StopAndQuarantineFile",
            "action: den",
            "r.yml:11:11: error: action is \"den\"; it has to be one of StopAndQuarantineFile, \
             deny; did you mean deny?",
        ),
        (
            "action: StopAndQuarantineFile",
            "action: Isolate",
            "r.yml:11:11: error: action is \"Isolate\"",
        ),
        ("  comment: due to {{alert.id}}\n", "", "r.yml:11:3: error: response has no comment"),
        (
            "{{alert.id}}",
            "{{alert.idd}}",
            "r.yml:12:19: error: there is no field alert.idd; did you mean alert.id?",
        ),
        (
            "{{alert.id}}",
            "{{machine.users}}",
            "r.yml:12:21: error: no format of this version gives machine.users; remove it",
        ),
        ("{{alert.id}}", "{{alert.id", "r.yml:12:19: error: {{ is not closed"),
    ] {
        wrong_at(from, to, wanted);
    }
}

#[test]
fn a_rule_that_fails_its_own_tests_does_not_load() {
    for (from, to, wanted) in [
        (
            "file: {file.entity: File}",
            "file: {file.entity: Process}",
            "r.yml:17:13: error: test \"acts\" fails: it should act on [{machine: 5f0c",
        ),
        (
            "samples/a.json",
            "samples/b.json",
            "r.yml:16:12: error: there is no samples/b.json below",
        ),
        ("samples/a.json", "../a.json", "r.yml:16:12: error: alert is a path below the rules"),
        ("samples/a.json", "/etc/passwd", "r.yml:16:12: error: alert is a path below the rules"),
        (
            "    expect:",
            "    absent: [file.entity]\n    expect:",
            "r.yml:18:13: error: test \"acts\" fails: it should act on",
        ),
        (
            "    expect:",
            "    set: {file.entty: x}\n    expect:",
            "r.yml:17:11: error: there is no field file.entty",
        ),
        ("expect: {act", "expect: {acts", "r.yml:17:14: error: expect has no key \"acts\""),
        (
            "sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13",
            "sha1: xx",
            "r.yml:18:13: error: sha1 is not 40 hex digits",
        ),
        (
            "expect: {act",
            "expect: {no_match: file, act",
            "r.yml:17:13: error: no_match says that nothing acts",
        ),
    ] {
        wrong_at(from, to, wanted);
    }
    let why = problems(&RIGHT.replace("{file.entity: File}", "{file.entity: Process}"));
    let seen = "; file stands against it: file.entity is \"File\"";
    assert!(why[0].ends_with(seen), "{why:?}");
    let why = problems(&RIGHT.replace("sha1: c41d", "sha1: c41e"));
    assert!(why[0].contains("; the sample has no such file on such a machine"), "{why:?}");
    let case = |expect: &str| {
        let start = RIGHT.find("    expect:").unwrap();
        problems(&format!("{}{expect}\n", &RIGHT[..start]))
    };
    assert_eq!(
        case("    set: {alert.category: Exploit}\n    expect: {no_match: malware}"),
        [""; 0]
    );
    assert_eq!(case("    set: {file.entity: Process}\n    expect: {no_match: file}"), [""; 0]);
    let wrong = case("    set: {alert.category: Exploit}\n    expect: {no_match: true, hold: []}");
    assert_eq!(wrong, [""; 0]);
    let other =
        case("    set: {alert.category: Exploit, file.entity: File}\n    expect: {no_match: file}");
    assert!(
        other[0].contains("file should stand against it, and what does is [malware]"),
        "{other:?}"
    );
    let low = case("    set: {alert.category: ' MALWARE'}\n    expect: {no_match: true}");
    assert!(low[0].contains("acts on [{machine"), "set is spelled as a payload is: {low:?}");
    let typo = case("    set: {alert.severity: Hihg}\n    expect: {no_match: true}");
    assert!(typo[0].contains("\"Hihg\" is no value of alert.severity"), "{typo:?}");
    let acts = case("    expect: {no_match: true}");
    assert!(acts[0].contains("it should act on [] and acts on [{machine"), "{acts:?}");
}

#[test]
fn a_test_can_say_what_is_held() {
    let text = RIGHT.replace(
        "condition: malware and file",
        "old: {alert.status: Resolved}\n  condition: malware and file and not old",
    );
    let held = text.find("    expect:").unwrap();
    let held = format!(
        "{}    absent: [alert.status]\n    expect: {{hold: [alert.status]}}\n",
        &text[..held]
    );
    assert_eq!(problems(&held), Vec::<String>::new());
    let none = held.replace("hold: [alert.status]", "hold: []");
    let found = problems(&none);
    assert!(found[0].contains("it should hold for [] and holds for [alert.status]"), "{found:?}");
}

#[test]
fn a_text_that_a_name_can_not_have_or_that_means_a_list_is_refused() {
    for (to, wanted) in [
        (
            "file.name: 'C:\\x\\a.exe'",
            "is no file.name: such a name has no \\; the directory stands in",
        ),
        ("file.name|endswith: '/a.exe'", "is no file.name: such a name has no /"),
        (
            "machine.name: srv1.example untill 2026-12-31",
            "is no machine.name: such a name has no ' '",
        ),
        ("machine.name: '%build-servers%'", "to mean a list, write machine.name|expand: "),
    ] {
        let found = problems(&RIGHT.replace("file.entity: File", to));
        assert!(found.iter().any(|f| f.contains(wanted)), "{to}: {found:#?}");
    }
}

#[test]
fn a_logsource_of_events_is_told_to_select_nothing() {
    let source = "logsource: {product: x}";
    assert!(RIGHT.contains(source));
    for of in ["{product: windows, category: process_creation}", "{service: sysmon}"] {
        let found = problems(&RIGHT.replace(source, &format!("logsource: {of}")));
        let wanted = "warning: a logsource selects nothing here";
        assert!(found.iter().any(|f| f.contains(wanted)), "{of}: {found:#?}");
    }
    let ours = "logsource: {product: windows, service: microsoft_defender}";
    assert_eq!(problems(&RIGHT.replace(source, ours)), [""; 0]);
}

#[test]
fn a_rule_in_enforce_shows_what_it_acts_on_and_what_it_spares() {
    let enforcing = RIGHT.replace("mode: observe", "mode: enforce");
    let spares = "  - name: spares\n    alert: samples/a.json\n    set: {file.entity: Process}\n";
    let none = format!("{spares}    expect: {{no_match: file}}\n");
    assert_eq!(problems(&format!("{enforcing}{none}")), [""; 0]);
    let all = format!("{enforcing}{spares}    expect: {{act: []}}\n");
    assert_eq!(problems(&all), [""; 0], "that nothing acts can be said so too");
    let tests = enforcing.find("tests:").unwrap();
    for (text, wanted) in [
        (enforcing.clone(), "add one with expect: {no_match: true}, or"),
        (format!("{}tests:\n{none}", &enforcing[..tests]), "add one with expect: {act: […]}, or"),
        (enforcing[..tests].to_owned(), "add one with expect: {act: […]} and one with"),
        (format!("{}tests: []\n", &enforcing[..tests]), "add one with expect: {act: […]} and one"),
    ] {
        let found = problems(&text);
        assert!(found[0].starts_with("r.yml:13:9: error: mode: enforce needs a test"), "{found:?}");
        assert!(found[0].contains(wanted) && found.len() == 1, "{found:?}");
    }
    let approving = RIGHT.replace("mode: observe", "mode: approve");
    assert_eq!(problems(&approving), [""; 0], "a person looks at each");
    let misspelt = problems(&enforcing.replace("tests:", "test:"));
    assert_eq!(misspelt.len(), 1, "one mistake: {misspelt:?}");
}

#[test]
fn what_says_the_same_of_every_value_is_refused() {
    for (leaf, wanted) in [
        (
            "alert.severity_rank|gte: 0",
            "r.yml:6:38: error: alert.severity_rank goes from 0 to 5, so",
        ),
        (
            "alert.severity_rank|gt: 5",
            "r.yml:6:37: error: alert.severity_rank goes from 0 to 5, so",
        ),
        ("alert.age|lt: 0", "r.yml:6:27: error: alert.age goes from 0 up, so this is never true"),
        ("alert.age|gte: 0", "r.yml:6:28: error: alert.age goes from 0 up, so this is always true"),
        ("file.size: -1", "r.yml:6:24: error: file.size goes from 0 up, so this is never true"),
        ("file.name: '*'", "r.yml:6:24: error: this matches every file.name; write file.name|ex"),
        ("file.name|contains: '**'", "r.yml:6:33: error: this matches every file.name"),
        ("file.name|re: '.*'", "r.yml:6:28: error: this regex matches every file.name"),
        ("file.name|re: '\\w{1,200}'", "r.yml:6:28: error: this regex is too expensive"),
        ("alert.severity|contains: gh!", "r.yml:6:38: error: this matches no value of alert.seve"),
        (
            "alert.severity|re: '^Hihg'",
            "r.yml:6:32: error: this matches no value of alert.severity",
        ),
        ("alert.severity|endswith: H", "[] loads"),
        ("alert.severity_rank|gte: 1", "[] loads"),
        ("alert.severity_rank|lt: 5", "[] loads"),
        ("alert.files|gt: 0", "[] loads"),
        ("alert.severity|re: '^(High|Critical)$'", "[] loads"),
        ("file.name|re: '(?i)^[a-z0-9_-]{8,32}[.]exe$'", "[] loads"),
    ] {
        if wanted != "[] loads" {
            wrong_at("alert.category: Malware", leaf, wanted);
            continue;
        }
        let found = problems(&RIGHT.replace("alert.category: Malware", leaf));
        let refused = |told: &&String| !told.contains("fails") && told.contains("error");
        assert_eq!(found.iter().find(refused), None, "{leaf}");
    }
}

#[test]
fn what_other_templates_write_for_a_field_is_refused_in_a_comment() {
    for (written, at) in
        [("{alert.id}", 19), ("%alert.id%", 19), ("<alert.id>", 19), ("{AlertId}", 19)]
    {
        let wanted = format!("r.yml:12:{at}: error: {written} would stay as it is; write ");
        wrong_at("{{alert.id}}", written, &wanted);
    }
    for right in
        ["100 % sure", "{{alert.id}} <see the runbook>", "{}", "50% to 60%", "{ {{alert.id}} }"]
    {
        let found = problems(&RIGHT.replace("due to {{alert.id}}", &format!("'{right}'")));
        assert_eq!(found, [""; 0], "{right}");
    }
    let long = format!("{} {{{{alert.id}}}}", "x".repeat(limits::COMMENT_BYTES));
    wrong_at(
        "due to {{alert.id}}",
        &long,
        "r.yml:12:12: error: the comment has 257 bytes of its own",
    );
}

#[test]
fn one_mistake_is_told_once() {
    for (from, to) in [
        ("title: T", "titel: T"),
        ("detection:", "detektion:"),
        ("response:", "respons:"),
        ("tests:", "test:"),
        ("condition:", "conditon:"),
        ("condition: malware and file", "condition: malware and fil"),
        ("file.entity: File", "file.entty: File"),
        ("  condition: malware and file\n", ""),
        ("expect: {act", "expekt: {act"),
        ("{file.entity: File}", "[mimikatz, rubeus]"),
        ("title: T", "correlation: {}\ntitle: T"),
    ] {
        assert!(RIGHT.contains(from), "{from}");
        let found = problems(&RIGHT.replacen(from, to, 1));
        assert_eq!(found.len(), 1, "{to}: {found:#?}");
    }
}
