//! Lists in `lists/`, and the leaves that name them.

use super::*;

/// Denies the files of a list.
const LISTED: &str = "\
title: L
id: 7d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11
logsource: {product: x}
detection:
  listed: {file.name|expand: '%files%'}
  condition: listed
response:
  action: deny
";

const TESTS: &str = "\
tests:
  - name: protects
    alert: samples/a.json
    expect: {protected: [{machine: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c,
      sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13}]}
";

const LATE: Wall = Wall(1_800_000_000_000_000);

/// A directory with one rule, a sample, and lists.
fn dir(rule: &str, lists: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("r.yml"), rule).unwrap();
    for inner in ["samples", "lists"] {
        fs::create_dir(at(inner)).unwrap();
    }
    fs::write(at("samples/a.json"), SAMPLE).unwrap();
    for (name, text) in lists {
        fs::write(at("lists").join(name), text).unwrap();
    }
    dir
}

/// What is told, without the directory and without the untested rule.
fn told(rule: &str, lists: &[(&str, &str)], now: Wall) -> Vec<String> {
    let dir = dir(rule, lists);
    let prefix = format!("{}/", dir.path().display());
    let shown = check(dir.path(), now).problems.into_iter().map(|problem| {
        let shown = problem.to_string().replace(&prefix, "");
        shown.lines().next().unwrap_or_default().to_owned()
    });
    shown.filter(|shown| !shown.contains("has no tests")).collect()
}

#[track_caller]
fn tells(rule: &str, lists: &[(&str, &str)], wanted: &str) {
    let found = told(rule, lists, LATE);
    assert!(found.iter().any(|f| f.starts_with(wanted)), "wanted {wanted}\n found {found:#?}");
}

#[test]
fn an_entry_of_the_sample_leaves_the_shipped_tests_alone_and_a_failing_test_names_the_lists() {
    let files = include_str!("../../../rules/protect-listed-files.yml");
    let machines = include_str!("../../../rules/protect-listed-machines.yml");
    let mut entries = String::new();
    for line in SAMPLE.lines().filter(|line| !line.contains("null")) {
        let keys = ["sha1", "sha256", "fileName", "machineId", "computerDnsName"];
        if keys.iter().any(|key| line.contains(&format!("\"{key}\":"))) {
            entries.push_str(&format!("{}\n", line.rsplit('"').nth(1).unwrap()));
        }
    }
    assert!(entries.lines().count() >= 8, "{entries}");
    for (rule, list) in [(files, "protected-files.txt"), (machines, "protected-machines.txt")] {
        let rule = rule.replace("samples/defender-malware.json", "samples/a.json");
        let found = told(&rule, &[(list, &entries)], LATE);
        assert!(!found.iter().any(|found| found.contains("error")), "{found:#?}");
    }
    let failing = format!("{LISTED}{TESTS}");
    let found = told(&failing, &[("files.txt", "other.exe")], LATE);
    assert!(found[0].contains("lists count as they stand on disk"), "{found:#?}");
    let without = RIGHT.replace("c41d7e9a", "d41d7e9a");
    let found = told(&without, &[], LATE);
    assert!(found[0].contains("fails") && !found[0].contains("lists"), "{found:#?}");
}

#[test]
fn a_leaf_matches_what_the_list_has_whatever_the_case_and_the_comments() {
    let rule = format!("{LISTED}{TESTS}");
    for list in [
        ("files.txt", "# the office\n\nother.exe # once\n  INVOICE_4471.exe\t# with a # in it\r\n"),
        ("files.txt", "\u{feff}invoice_4471.exe until 9999-12-30"),
        ("files.csv", "other.exe\n# a comment\n\"Invoice_4471.exe\",2999-01-01\n"),
        (
            "files.csv",
            "Value,owner,Until\nother.exe,\"x, y\",\ninvoice_4471.exe,\"a \"\"b\"\"\",\n",
        ),
    ] {
        assert_eq!(told(&rule, &[list], LATE), [""; 0], "{list:?}");
    }
    let other = [("files.txt", "invoice_4471.exe#x")];
    assert!(told(&rule, &other, LATE)[0].contains("it should protect"), "no comment within a word");
    let ends = rule.replace("file.name|expand", "file.name|endswith|expand");
    assert_eq!(told(&ends, &[("files.txt", "_4471.exe")], LATE), [""; 0]);
    let within = rule.replace("file.name|expand", "file.path|contains|expand");
    assert_eq!(told(&within, &[("files.txt", r"\Users\")], LATE), [""; 0]);
    let two = rule.replace("'%files%'", "['%files%', '%more%']");
    let lists = [("files.txt", "other.exe"), ("more.txt", "invoice_4471.exe")];
    assert_eq!(told(&two, &lists, LATE), [""; 0]);
}

#[test]
fn every_mistake_in_a_list_is_told_with_its_place() {
    for (list, wanted) in [
        (("files.txt", "a until 2026-02-30"), "lists/files.txt:1:9: error: \"2026-02-30\" is no"),
        (("files.txt", "a\nb c until 26-1-1"), "lists/files.txt:2:11: error: \"26-1-1\" is no"),
        (
            ("files.txt", "a 2026-12-31"),
            "lists/files.txt:1:1: error: a day follows until: a until 2",
        ),
        (
            ("files.txt", "a untill 2026-12-31"),
            "lists/files.txt:1:1: error: a day follows until: a u",
        ),
        (("files.csv", "a 2026-12-31"), "lists/files.csv:1:1: warning: a day follows until"),
        (("files.txt", "a until"), "lists/files.txt:1:3: error: until needs a day"),
        (("files.txt", "until 2026-12-31"), "lists/files.txt:1:1: error: there is no value bef"),
        (("files.txt", "a\u{7}b"), "lists/files.txt:1:1: error: the entry has control characters"),
        (("files.txt", "a\nb\n A"), "lists/files.txt:3:2: warning: this value stands in line 1"),
        (("files.csv", "a,soon"), "lists/files.csv:1:3: error: \"soon\" is no day"),
        (("files.csv", "a,,c"), "lists/files.csv:1:4: error: there are more than two columns"),
        (("files.csv", ",2026-12-31"), "lists/files.csv:1:1: error: the first column is empty"),
        (("files.csv", "\"a"), "lists/files.csv:1:1: error: this quote is not closed"),
        (("files.csv", "\"a\" b"), "lists/files.csv:1:1: error: this quote is not closed"),
        (("files.csv", "value,until\na,soon"), "lists/files.csv:2:3: error: \"soon\" is no day"),
        (("file.txt", "a"), "r.yml:5:30: error: there is no list files; did you mean file?"),
        (("my files.txt", "a"), "lists/my files.txt: warning: is not read: a list is NAME.txt"),
        (("files.lst", "a"), "lists/files.lst: warning: is not read: a list is NAME.txt"),
    ] {
        tells(LISTED, &[list], wanted);
    }
    let both = [("files.txt", "a"), ("files.csv", "a")];
    tells(LISTED, &both, "lists/files.txt: error: there are two lists files, as .csv and as .txt");
    let large = "x".repeat(limits::RULE_FILE_BYTES + 1);
    tells(LISTED, &[("files.txt", &large)], "lists/files.txt: error: can't be read: it is larger");
    let hash = LISTED.replace("file.name", "file.sha1");
    tells(&hash, &[("files.txt", "\nabc")], "lists/files.txt:2:1: error: \"abc\" is no file.sha1");
    let several = LISTED.replace(
        "{file.name|expand: '%files%'}",
        "[{file.sha1|expand: '%files%'}, {file.sha256|expand: '%files%'}]",
    );
    let hashes = format!("{}\n{}\nabc", "ab".repeat(20), "ab".repeat(32));
    let found = told(&several, &[("files.txt", &hashes)], LATE);
    assert_eq!(found.len(), 1, "each leaf takes what it can: {found:?}");
    assert!(found[0].starts_with("lists/files.txt:3:1: error: \"abc\" is no file.sha1"));
    let acts = RIGHT.replace("{file.entity: File}", "{file.name|expand: '%files%'}");
    tells(&acts, &[("files.txt", "# none\n")], "r.yml:7:28: error: the list files has no entry");
}

#[test]
fn an_expansion_that_makes_no_sense_is_refused() {
    let list = [("files.txt", "a")];
    for (from, to, wanted) in [
        ("expand", "re|expand", "r.yml:5:12: error: |expand goes with contains, startswith"),
        ("expand", "contains|all|expand", "r.yml:5:12: error: |expand goes with contains"),
        ("expand", "neq|expand", "r.yml:5:12: error: |expand goes with contains"),
        ("file.name", "alert.age", "r.yml:5:12: error: alert.age is a number, and lists hold"),
        ("'%files%'", "files", "r.yml:5:30: error: |expand takes the name of a list"),
        ("'%files%'", "['%files%', x]", "r.yml:5:42: error: |expand takes the name of a list"),
        ("'%files%'", "7", "r.yml:5:30: error: |expand takes the name of a list"),
        ("'%files%'", "[]", "r.yml:5:30: error: file.name has no value to match"),
        ("'%files%'", "'%%'", "r.yml:5:30: error: there is no list "),
        ("'%files%'", "'%../../etc/passwd%'", "r.yml:5:30: error: there is no list ../../etc"),
    ] {
        tells(&LISTED.replace(from, to), &list, wanted);
    }
}

#[test]
fn an_empty_list_in_a_rule_that_denies_covers_nothing_known_or_not() {
    let tests = "\
tests:
  - name: nothing
    alert: samples/a.json
    expect: {no_match: listed}
  - name: not even what is unknown
    alert: samples/a.json
    absent: [file.name]
    expect: {no_match: true}
";
    let rule = format!("{LISTED}{tests}");
    for list in ["", "# nothing yet\n"] {
        assert_eq!(told(&rule, &[("files.txt", list)], LATE), [""; 0]);
    }
    let expired = told(&rule, &[("files.txt", "invoice_4471.exe until 2026-12-31")], LATE);
    assert_eq!(
        expired,
        ["lists/files.txt:1:1: warning: this line has expired, and counts as not there; remove it"]
    );
    let not = format!("{LISTED}{TESTS}").replace("condition: listed", "condition: not listed");
    assert!(told(&not, &[("files.txt", "")], LATE)[0].contains("protects [{machine"));
}

#[test]
fn an_entry_counts_to_the_end_of_its_day_and_its_expiry_makes_another_set() {
    let lists = [("files.txt", "a.exe until 2026-12-31\nb.exe\nc.exe until 2027-06-30")];
    let dir = dir(LISTED, &lists);
    let at = |time: &str| load(dir.path(), time).unwrap_or_else(|why| panic!("{why}"));
    fn load(dir: &Path, time: &str) -> Result<Loaded, Problems> {
        super::super::load(dir, Wall::parse(time).unwrap())
    }
    let (before, after) = (at("2026-12-31T23:59:59Z"), at("2027-01-01T00:00:00Z"));
    assert_eq!(before.next_expiry, Wall::parse("2027-01-01T00:00:00Z"));
    assert_eq!(after.next_expiry, Wall::parse("2027-07-01T00:00:00Z"));
    assert_eq!(at("2027-07-01T00:00:00Z").next_expiry, None);
    assert_ne!(before.ruleset.hash(), after.ruleset.hash());
    assert_eq!(before.ruleset.hash(), at("2026-01-01T00:00:00Z").ruleset.hash());
    let changed = vec!["list files".to_owned()];
    let difference = Difference { changed, ..Difference::default() };
    assert_eq!(after.contents.since(&before.contents), difference);

    fs::write(dir.path().join("lists/more.txt"), "x").unwrap();
    fs::write(dir.path().join("r.yml"), format!("{LISTED}# a word\n")).unwrap();
    let more = at("2027-01-01T00:00:00Z");
    let id = "7d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11".to_owned();
    let difference = more.contents.since(&after.contents);
    assert_eq!(
        (difference.added, difference.changed, difference.removed),
        (vec!["list more".to_owned()], vec![id], vec![])
    );
    assert_eq!(after.contents.since(&more.contents).removed, ["list more"]);
    assert_ne!(after.ruleset.hash(), more.ruleset.hash());
}

#[test]
fn a_fingerprint_sees_rules_lists_and_samples() {
    let dir = dir(LISTED, &[("files.txt", "a")]);
    let mut seen = vec![fingerprint(dir.path())];
    for name in ["r.yml", "lists/files.txt", "samples/a.json", "s.yml", "lists/more.csv"] {
        fs::write(dir.path().join(name), format!("# {name}, longer than before: {}", seen.len()))
            .unwrap();
        seen.push(fingerprint(dir.path()));
    }
    fs::remove_file(dir.path().join("s.yml")).unwrap();
    seen.push(fingerprint(dir.path()));
    assert_eq!(seen.last().copied(), Some(fingerprint(dir.path())), "nothing changed");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 7);
}

#[test]
fn a_list_whose_entries_have_all_expired_ends_what_it_let_act_and_refuses_nothing() {
    let acts = LISTED.replace("deny", "StopAndQuarantineFile\n  comment: due to {{alert.id}}");
    let lists = [("files.txt", "a.exe until 2026-12-31\n")];
    let found = told(&acts, &lists, LATE);
    let wanted = "r.yml:5:30: warning: the list files has no entry";
    assert!(found.iter().any(|f| f.starts_with(wanted)), "{found:#?}");
    assert!(found.iter().all(|f| f.contains(": warning: ")), "{found:#?}");
    tells(&acts, &[("files.txt", "# none\n")], "r.yml:5:30: error: the list files has no entry");
}

#[test]
fn an_entry_that_looks_like_a_slip_is_told_and_counts_as_it_stands() {
    let hash = "c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13";
    for odd in
        ["a.exe, b.exe", "a;b", "\"a.exe\"", "- a.exe", "a.exe // ours", &hash[1..], &hash[8..]]
    {
        let lists = [("files.txt", format!("{odd}\n"))];
        let lists = lists.each_ref().map(|(name, text)| (*name, text.as_str()));
        let found = told(LISTED, &lists, LATE);
        let told = found.iter().any(|f| f.starts_with("lists/files.txt:1:1: warning: "));
        assert!(told, "{odd}: {found:#?}");
    }
    for right in ["a.exe", "acme agent.exe", "x_2026-12-31.exe", hash, "a-*.exe # ours"] {
        let lists = [("files.txt", format!("{right}\n"))];
        let lists = lists.each_ref().map(|(name, text)| (*name, text.as_str()));
        assert_eq!(told(LISTED, &lists, LATE), [""; 0], "{right}");
    }
    // A comma within the quotes of a .csv is meant.
    let name = [("files.csv", "\"Acme, Inc.\",2999-01-01\n")];
    assert_eq!(told(LISTED, &name, LATE), [""; 0]);
    tells(LISTED, &[("files.csv", "a;2999-01-01")], "lists/files.csv:1:1: warning: one entry");
}
