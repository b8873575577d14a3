//! What people run who write rules, as they run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lazaret")).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

const MACHINE: &str = "5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c";
const SHA1: &str = "c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13";

/// A directory with one shipped rule, three of whose tests are made to fail, and a file that does
/// not read.
fn failing() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&root().join("rules/samples"), &dir.path().join("samples"));
    let name = "quarantine-active-malware.yml";
    let text = std::fs::read_to_string(root().join("rules").join(name)).unwrap();
    // Something that a path decides, and a test of what is unknown.
    let condition = "  condition: malware and";
    assert!(text.contains(condition));
    let system = "  system: {file.path|startswith: 'C:\\Windows'}\n  condition: not system and";
    let text = text.replacen(condition, &format!("{system} malware and"), 1);
    let text = format!(
        "{text}  - name: an unknown place\n    alert: samples/defender-malware.json\n    \
         absent: [file.path]\n    expect: {{hold: [file.path]}}\n"
    );
    let wrong = [
        (format!("sha1: {SHA1}"), format!("sha1: d{}", &SHA1[1..])),
        ("{hold: [file.path]}".to_owned(), "{hold: [file.name]}".to_owned()),
        ("{no_match: resolved}".to_owned(), "{no_match: malware}".to_owned()),
    ];
    let mut changed = text;
    for (right, wrong) in &wrong {
        assert!(changed.contains(right), "{right}");
        changed = changed.replacen(right, wrong, 1);
    }
    let named = "name: low severity is no reason";
    assert!(changed.contains(named));
    let changed = changed.replacen(named, "name: 'a <low> & \"no\" reason'", 1);
    std::fs::write(dir.path().join(name), changed).unwrap();
    std::fs::write(dir.path().join("unread.yml"), "title: [").unwrap();
    dir
}

#[test]
fn a_failed_test_shows_what_was_expected_and_what_came_pair_by_pair() {
    let dir = failing();
    let tested = run(&["rules", "test", dir.path().to_str().unwrap()]);
    assert_eq!(tested.status.code(), Some(1));
    let shown = out(&tested);
    let pair = |mark: &str, sha1: &str| {
        format!("          {mark} act   machine {MACHINE}\n                  sha1    {sha1}\n")
    };
    let other = format!("d{}", &SHA1[1..]);
    for part in [
        &pair("+", SHA1),
        &format!("{}                  the sample has no such file", pair("-", &other)),
        "          - hold  file.name\n          + hold  file.path\n",
        "          - no_match malware\n",
        "          + no_match resolved\n",
        "5 passed, 3 failed, 1 error in ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let of_path = |line: &str| line.contains(dir.path().to_str().unwrap());
    assert!(shown.lines().all(|line| line.chars().count() <= 80 || of_path(line)), "{shown}");
}

#[test]
fn tests_come_as_json_with_both_sides_of_what_failed() {
    let dir = failing();
    let tested = run(&["rules", "test", dir.path().to_str().unwrap(), "--json"]);
    assert_eq!(tested.status.code(), Some(1));
    let all: Value = serde_json::from_slice(&tested.stdout).unwrap();
    let counts = json!([all["passed"], all["failed"], all["errors"]]);
    assert_eq!(counts, json!([5, 3, 1]));
    let tests = all["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 8);
    let failed: Vec<&Value> = tests.iter().filter(|test| test["outcome"] == "failed").collect();
    let pair = |sha1: &str| json!([{"machine": MACHINE, "sha1": sha1}]);
    assert_eq!(failed[0]["name"], "an active file acts, its host process does not");
    assert_eq!(failed[0]["expected"]["act"], pair(&format!("d{}", &SHA1[1..])));
    assert_eq!(failed[0]["got"]["act"], pair(SHA1));
    assert_eq!(failed[1]["expected"]["no_match"], json!(["malware"]));
    let against = failed[1]["got"]["no_match"].as_array().unwrap();
    assert!(against.contains(&json!("resolved")) && !against.contains(&json!("malware")));
    assert_eq!(failed[2]["expected"]["hold"], json!(["file.name"]));
    assert_eq!(failed[2]["got"]["hold"], json!(["file.path"]));
    let place = all["problems"][0]["place"].as_str().unwrap();
    assert!(place.ends_with("unread.yml:1:8") && all["problems"].as_array().unwrap().len() == 1);

    let shipped = root().join("rules");
    let tested = run(&["rules", "test", shipped.to_str().unwrap(), "--json"]);
    assert_eq!(tested.status.code(), Some(0));
    let all: Value = serde_json::from_slice(&tested.stdout).unwrap();
    assert_eq!((&all["failed"], &all["errors"]), (&json!(0), &json!(0)));
    assert_eq!(run(&["rules", "test", "no-such-directory", "--json"]).status.code(), Some(2));
    assert_eq!(run(&["rules", "test", "--json", "--junit"]).status.code(), Some(2));
}

/// Reads the XML as CI systems do, with a parser of another language, and tells it as JSON.
fn read_xml(xml: &[u8]) -> Value {
    const READ: &str = "\
import json, sys, xml.etree.ElementTree as tree
def told(node):
    return [node.tag, node.attrib, node.text or '', [told(below) for below in node]]
print(json.dumps(told(tree.fromstring(sys.stdin.buffer.read()))))
";
    use std::io::Write as _;
    let python = std::env::var_os("LAZARET_TEST_PYTHON")
        .map_or_else(|| root().join("target/clients/bin/python"), PathBuf::from);
    let mut child = Command::new(&python)
        .args(["-c", READ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("{}: {why}; ./test prepares it", python.display()));
    child.stdin.take().unwrap().write_all(xml).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(xml));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn tests_come_as_junit_that_an_xml_parser_reads() {
    let dir = failing();
    let tested = run(&["rules", "test", dir.path().to_str().unwrap(), "--junit"]);
    assert_eq!(tested.status.code(), Some(1));
    let all = read_xml(&tested.stdout);
    assert_eq!(all[0], "testsuites");
    let counts = |of: &Value| json!([of[1]["tests"], of[1]["failures"], of[1]["errors"]]);
    assert_eq!(counts(&all), json!(["9", "3", "1"]));
    let suites = all[3].as_array().unwrap();
    assert_eq!(
        suites.iter().map(counts).collect::<Vec<_>>(),
        [json!(["8", "3", "0"]), json!(["1", "0", "1"])]
    );
    assert!(suites[0][1]["name"].as_str().unwrap().ends_with("quarantine-active-malware.yml"));
    let cases = suites[0][3].as_array().unwrap();
    assert_eq!(cases[0][0], "testcase");
    assert_eq!(cases[0][1]["name"], "an active file acts, its host process does not");
    let failure = &cases[0][3][0];
    assert_eq!(failure[0], "failure");
    assert!(failure[1]["message"].as_str().unwrap().starts_with("it should act on"));
    let text = failure[2].as_str().unwrap();
    assert!(text.contains(&format!("\n          + act   machine {MACHINE}\n")), "{text}");
    assert_eq!(cases[2][1]["name"], "a <low> & \"no\" reason");
    assert_eq!(cases[2][3], json!([]), "it passes");
    let error = &suites[1][3][0][3][0];
    assert_eq!(error[0], "error");
    assert!(error[2].as_str().unwrap().contains("unread.yml:1:8: error: "), "{error}");
}

#[test]
fn the_list_has_all_that_tells_rules_apart_and_fits() {
    let listed = run(&["rules", "list", root().join("rules").to_str().unwrap()]);
    assert_eq!(listed.status.code(), Some(0));
    let shown = out(&listed);
    let lines: Vec<&str> = shown.lines().collect();
    for word in ["ID", "MODE", "LEVEL", "UNKNOWN", "WINDOW", "TESTS"] {
        assert!(lines[0].contains(word), "{}", lines[0]);
    }
    let at = lines.iter().position(|line| line.starts_with("5d6a1f0e-")).unwrap();
    let cells: Vec<&str> = lines[at].split_whitespace().skip(1).collect();
    assert_eq!(cells, ["observe", "high", "hold", "24h", "7"]);
    assert_eq!(lines[at + 1], "  Quarantine active malware files");
    assert!(lines[at + 2].trim_start().ends_with("rules/quarantine-active-malware.yml"));
    let fits = |line: &&str| line.chars().count() <= 80 || line.contains(".yml");
    assert!(lines.iter().all(fits), "{shown}");
}

/// Every sample that ships, with the format that it is in.
fn samples() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for format in std::fs::read_dir(root().join("rules/formats")).unwrap() {
        let text = std::fs::read_to_string(format.unwrap().path()).unwrap();
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        for test in read["tests"].as_array().unwrap() {
            let pair =
                [&test["alert"], &read["format"]].map(|text| text.as_str().unwrap().to_owned());
            found.push(pair.into());
        }
    }
    for sample in std::fs::read_dir(root().join("rules/samples")).unwrap() {
        let name = sample.unwrap().file_name().into_string().unwrap();
        for (begin, format) in [("defender-", "defender-alert"), ("graph-", "graph-alert")] {
            if name.starts_with(begin) {
                found.push((format!("samples/{name}"), format.to_owned()));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_rule_made_of_each_shipped_sample_is_sound_at_once_and_its_tests_pass() {
    let samples = samples();
    let shipped = std::fs::read_dir(root().join("rules/samples")).unwrap().count();
    assert_eq!(samples.len(), shipped, "{samples:?}");
    for (sample, format) in samples {
        let dir = tempfile::tempdir().unwrap();
        for below in ["samples", "formats", "lists"] {
            copy(&root().join("rules").join(below), &dir.path().join(below));
        }
        let place = dir.path().to_str().unwrap();
        let [alert, rule] = [&*sample, "new.yml"].map(|name| dir.path().join(name));
        let [alert, rule] = [&alert, &rule].map(|path| path.to_str().unwrap());
        let arguments = ["rules", "new", "--rules", place, "--alert", alert, "--format", &format];
        let printed = run(&arguments);
        let said = String::from_utf8_lossy(&printed.stderr).into_owned();
        assert_eq!((printed.status.code(), said), (Some(0), String::new()), "{sample}");
        let written = run(&[&arguments[..], &["--out", rule]].concat());
        assert_eq!((written.status.code(), out(&written)), (Some(0), String::new()), "{sample}");
        let text = std::fs::read_to_string(rule).unwrap();
        let but_id = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with("id: ")).map(str::to_owned).collect()
        };
        assert_eq!(but_id(&text), but_id(&out(&printed)), "{sample}");
        assert_ne!(text, out(&printed), "the id is fresh");
        assert!(text.contains("mode: observe") && text.contains("# "), "{text}");
        assert_eq!(text.contains(&format!("    format: {format}\n")), format != "defender-alert");

        let checked = run(&["rules", "check", place]);
        let verdict = "1 rule, 2 tests, 0 errors, 0 warnings";
        assert!(checked.status.success() && out(&checked).contains(verdict), "{sample}: {text}");
        assert!(out(&run(&["rules", "test", place])).contains("2 passed, 0 failed"), "{text}");

        let again = run(&[&arguments[..], &["--out", rule]].concat());
        assert_eq!(again.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
        assert_eq!(std::fs::read_to_string(rule).unwrap(), text, "nothing is written over");
    }
}

#[test]
fn a_rule_asks_for_what_the_sample_has() {
    let dir = tempfile::tempdir().unwrap();
    let sample = root().join("rules/samples/defender-malware.json");
    let elsewhere = dir.path().join("mine.json");
    std::fs::copy(sample, &elsewhere).unwrap();
    let (alert, place) = (elsewhere.to_str().unwrap(), root().join("rules"));
    let made = run(&["rules", "new", "--alert", alert, "--rules", place.to_str().unwrap()]);
    let text = out(&made);
    let rule: Value = serde_saphyr::from_str(&text).unwrap();
    let (detection, tests) = (&rule["detection"], &rule["tests"]);
    let threat =
        json!({"alert.severity": ["Medium", "High", "Critical"], "alert.category": "Malware"});
    assert_eq!(detection["threat"], threat);
    let file = json!({"file.entity": "File", "file.detection_status": "Detected"});
    assert_eq!(detection["active_file"], file);
    assert_eq!(detection["condition"], "threat and active_file");
    assert_eq!(tests[0]["alert"], "samples/mine.json");
    assert_eq!(tests[0]["expect"]["act"], json!([{"machine": MACHINE, "sha1": SHA1}]));
    assert_eq!(tests[1]["set"], json!({"file.detection_status": "Blocked"}));
    assert_eq!(tests[1]["expect"], json!({"no_match": "active_file"}));
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(said.contains("cp -n") && said.contains("samples/mine.json"), "{said}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let wrong = run(&["rules", "new", "--alert", alert, "--format", "wazuh", "--rules", "rules"]);
    assert_eq!(wrong.status.code(), Some(1), "it is no alert of Wazuh");
    for (alert, format) in [("no-such-file", "wazuh"), (alert, "no-such-format")] {
        let wrong = run(&["rules", "new", "--alert", alert, "--format", format]);
        assert_eq!(wrong.status.code(), Some(2), "{alert} {format}");
    }
}

#[test]
fn whoever_empties_the_shipped_lists_has_sound_rules_still() {
    let dir = tempfile::tempdir().unwrap();
    copy(&root().join("rules"), dir.path());
    for list in std::fs::read_dir(dir.path().join("lists")).unwrap() {
        let list = list.unwrap().path();
        if list.file_name().unwrap() != "machines.csv" {
            std::fs::write(list, "# none\n").unwrap();
        }
    }
    let checked = run(&["rules", "check", dir.path().to_str().unwrap()]);
    assert!(out(&checked).contains(", 0 errors, 0 warnings in "), "{}", out(&checked));
    assert!(checked.status.success());
}
