//! Formats of files: what is wrong with them and where, what they mean for rules, and what ships.

use super::*;
use crate::domain::candidate::Field;
use crate::formats::mapped::DERIVED;
use crate::formats::{Format, Formats};

/// A format that is right, with one thing made wrong.
const FORMAT: &str = "\
format: own
alert:
  id: $.id
  severity: {path: $.level, values: {0..6: Low, 7..: High}}
  created: $.at
candidates:
  - each: $.files[*]
    machine.id: '@.host'
    file.sha1: {path: '@.hashes', hash: sha1}
absent: [n/a]
empty: [none]
machine:
  lookup: machines.csv
tests:
  - name: reads
    alert: samples/own.json
    machines: {pc1: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c}
    expect:
      - machine: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c
        sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13
        fields: {alert.severity: High}
";

const OWN: &str = r#"{"id": "a", "level": 9, "at": "2026-03-02T08:14:09Z", "files":
    [{"host": "pc1", "hashes": "SHA1=c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13,MD5=0"}]}"#;

const MACHINES: &str = "host,machine_id\npc1,5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c\n";

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let right = [
        ("r.yml", RIGHT),
        ("samples/a.json", SAMPLE),
        ("samples/own.json", OWN),
        ("lists/machines.csv", MACHINES),
        ("formats/own.yml", FORMAT),
    ];
    for (name, text) in right.iter().chain(files) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// What is wrong with a directory that has these files beside the right ones: the first line of
/// each problem, from its file's name on.
fn told(files: &[(&str, &str)]) -> Vec<String> {
    let dir = dir(files);
    let whole = format!("{}/", dir.path().display());
    let problems = check(dir.path(), Wall(0)).problems;
    problems.iter().map(|problem| problem.title().replace(&whole, "")).collect()
}

/// What is wrong with the format once one part of it is another.
fn wrong(from: &str, to: &str) -> String {
    assert!(FORMAT.contains(from), "{from}");
    let told = told(&[("formats/own.yml", &FORMAT.replacen(from, to, 1))]);
    let own = told.iter().map(|told| told.replace("formats/own.yml:", ""));
    own.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_right_format_loads_and_reads() {
    assert_eq!(told(&[]), Vec::<String>::new());
    let loaded = load(dir(&[]).path()).unwrap();
    let alert = loaded.formats.find("own").unwrap().decode(OWN).unwrap();
    assert_eq!(alert.candidates[0].machine.as_ref().unwrap().as_bytes()[0], 0x5f);
    assert!(loaded.contents.0.contains_key("format own"), "{:?}", loaded.contents);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let mut missing = Vec::new();
    for (from, to, why) in [
        ("format: own", "format: other", "1:9: error: the file's name says own, and here is other"),
        ("absent: [n/a]", "absnt: [n/a]", "10:1: error: a format has no key \"absnt\"; did you"),
        ("  id: $.id\n", "", "3:3: error: alert has no id"),
        ("$.id", "id", "3:7: error: a path begins with $ or @; for a fixed text write"),
        ("$.id", "'@.id'", "3:7: error: paths of the alert's own fields begin with $"),
        ("$.id", "[]", "3:7: error: a path is a list; it has to be a text"),
        ("severity:", "severty:", "4:3: error: there is no field alert.severty; did you mean sev"),
        ("severity:", "age:", "4:3: error: alert.age can't be mapped: it follows from the rest"),
        ("High}", "Highest}", "4:54: error: \"Highest\" is no value of alert.severity"),
        ("7..:", "5..:", "4:49: error: 5.. shares numbers with a range above"),
        ("7..:", "9..8:", "4:49: error: \"9..8\" is no range of numbers, such as 4..6 or 12.."),
        ("values:", "vals:", "4:29: error: a field has no key \"vals\"; known are path, values"),
        ("path: $.level, ", "", "4:13: error: a field has a path, or always"),
        ("  created: $.at\n", "", "3:3: warning: alert has no created, so its age is unknown"),
        ("$.files[*]", "$.files[", "7:18: error: that is no JSONPath"),
        ("$.files[*]", "'@.a[?@.b == $.c]'", "7:24: error: a path from @ can't look at"),
        ("machine.id", "machine.di", "8:5: error: there is no field machine.di; did you mean"),
        ("machine.id", "alert.title", "8:5: error: alert.title is the alert's; map it in the"),
        ("    machine.id: '@.host'\n", "", "7:5: error: machine.id is missing: without it"),
        (
            "'@.host'",
            "@.host",
            "8:17: error: a text that begins with @ stands in quotes, as '@.sha1'",
        ),
        ("'@.host'", "{always: pc1}", "8:26: error: always is for fields that are texts, and no"),
        ("'@.host'", "{path: '@.a', default: b}", "8:40: error: default is for fields that are"),
        ("'@.host'", "{path: '@.a', part: name}", "8:37: error: part: name is for file.name"),
        ("'@.host'", "{path: '@.a', time: seconds}", "8:37: error: time is for fields that are"),
        ("hash: sha1", "hash: md5", "9:41: error: hash is \"md5\"; it has to be one of sha1, sha"),
        ("hash: sha1", "hash: sha256", "9:41: error: hash: sha256 is for file.sha256"),
        ("empty: [none]", "empty: [N/A]", "11:8: error: \"n/a\" can't say both nothing and none"),
        ("empty: [none]", "empty: [5]", "11:9: error: empty has a number; it has to be a text"),
        ("machines.csv", "hosts.csv", "13:11: error: there is no lists/hosts.csv; lookup names"),
        ("lookup:", "look_up:", "13:3: error: machine has no key \"look_up\"; did you mean look"),
        ("lookup:", "defender: 1\n  lookup:", "13:13: error: defender is true or false"),
        (
            "samples/own.json",
            "samples/no.json",
            "16:12: error: there is no samples/no.json below the rules; put",
        ),
        ("samples/own.json", "../own.json", "16:12: error: alert is a path below the rules"),
        ("alert.severity: High", "alert.severity: Low", "19:7: error: test \"reads\" fails: pair"),
        ("sha1: c41d", "sha1: 41d", "20:15: error: this is not 40 hex digits"),
        ("        sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13\n", "", "19:9: error: a pair has"),
    ] {
        let told = wrong(from, to);
        if !told.lines().any(|line| line.starts_with(why)) {
            missing.push(format!("{to}: {why}\n{told}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n\n"));
    let dir = dir(&[("formats/own.yml", &FORMAT.replace("severity:", "severty:"))]);
    let problem = check(dir.path(), Wall(0)).problems.remove(0).to_string();
    assert!(problem.ends_with("|   ^^^^^^^"), "with a caret: {problem}");
}

#[test]
fn what_comes_out_of_a_test_that_fails_is_told() {
    for (from, to, why) in [
        (
            "pc1:",
            "pc2:",
            "machine should be 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c in {machine: (",
        ),
        ("fields: {", "absent: [alert.id]\n        fields: {", "alert.id should be absent and is"),
        ("$.files[*]", "$.none[*]", "1 pair should come out, and 0 do"),
        ("$.at", "$.at[", "that is no JSONPath"),
        (
            "sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13",
            "incomplete: [zeros]",
            "it should be inc",
        ),
    ] {
        let told = wrong(from, to);
        assert!(told.contains(why), "{to}: {why}\n{told}");
    }
}

#[test]
fn pairs_inside_pairs_have_a_bound_and_share_no_field() {
    let twice = FORMAT.replace(
        "    file.sha1: {path: '@.hashes', hash: sha1}\n",
        "    candidates:\n      - each: '@.x[*]'\n        machine.id: '@.y'\n        \
         file.sha1: '@.z'\n",
    );
    let problems = told(&[("formats/own.yml", &twice)]);
    let why = "formats/own.yml:11:9: error: machine.id is given twice: here, and by what this lies";
    assert!(problems[0].starts_with(why), "{problems:?}");
    let mut deep = "    file.sha1: '@'\n".to_owned();
    for level in (1..6).rev() {
        let indent = "  ".repeat(level);
        deep = format!("    {indent}candidates:\n    {indent}- each: '@.a'\n{deep}");
    }
    let deep = FORMAT.replace("    file.sha1: {path: '@.hashes', hash: sha1}\n", &deep);
    let deep = deep.replacen("      candidates:\n      - each", "    candidates:\n      - each", 1);
    let problems = told(&[("formats/own.yml", &deep)]);
    assert!(problems.iter().any(|told| told.contains("at most 4 deep")), "{problems:?}");
}

#[test]
fn a_table_of_hosts_that_is_wrong_is_told_in_its_own_place() {
    for (text, why) in [
        ("host,machine_id\npc1,pc1\n", "lists/machines.csv:2:5: error: machine_id is not 40 hex"),
        ("host,machine_id\npc1\n", "lists/machines.csv:2:1: error: this host has no machine_id"),
        ("host,id\npc1,x\n", "formats/own.yml:13:11: error: lists/machines.csv has no column mach"),
    ] {
        let told = told(&[("lists/machines.csv", text)]);
        assert!(told.iter().any(|line| line.starts_with(why)), "{why}: {told:?}");
    }
}

#[test]
fn a_host_whose_day_is_over_is_not_found_any_more() {
    let text = "host,machine_id,until\npc1,5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c,2026-12-31\n";
    let dir = dir(&[("lists/machines.csv", text)]);
    let day = |text: &str| Wall::parse(&format!("{text}T12:00:00Z")).unwrap();
    let found = |loaded: &Loaded| {
        let alert = loaded.formats.find("own").unwrap().decode(OWN).unwrap();
        alert.candidates[0].machine.is_ok()
    };
    let loaded = super::super::load(dir.path(), day("2026-12-31")).unwrap();
    assert!(found(&loaded));
    let again = loaded.kept.again(day("2027-01-01")).unwrap();
    assert!(!found(&again));
    assert_ne!(again.ruleset.hash(), loaded.ruleset.hash());
}

#[test]
fn a_name_is_of_one_format_only_and_of_none_that_is_built_in() {
    let built_in = FORMAT.replace("format: own", "format: graph-alert");
    let told_of = told(&[("formats/graph-alert.yml", &built_in)]);
    assert!(told_of[0].contains("graph-alert is built in; give the file"), "{told_of:?}");
    let twins = told(&[("formats/own.yaml", FORMAT)]);
    assert!(twins.iter().any(|told| told.contains("is the format own too; remove one")));
    let odd = told(&[("formats/own.YML", FORMAT)]);
    assert!(odd[0].starts_with("formats/own.YML: warning: is not read: a format is NAME.yml"));
}

#[test]
fn a_rule_may_name_what_a_format_gives_and_be_tested_on_its_samples() {
    let of_file =
        RIGHT.split("tests:").next().unwrap().replace("Malware}", "Malware}\n  dear: {X}");
    let rule = |field: &str| of_file.replace("dear: {X}", &format!("dear: {{{field}: High}}"));
    let rule = |field: &str| rule(field).replace("malware and file", "malware and file and dear");
    let title = "machine.value";
    let before = told(&[("r.yml", &rule(title))]);
    assert!(before[0].contains("no alert has machine.value"), "{before:?}");
    let gives = FORMAT.replace("    machine.id", "    machine.value: '@.value'\n    machine.id");
    let after = told(&[("r.yml", &rule(title)), ("formats/own.yml", &gives)]);
    assert!(!after.iter().any(|told| told.contains("error")), "{after:?}");

    let test = "tests:\n  - name: acts\n    alert: samples/own.json\n    format: own\n    \
                set: {alert.category: Malware, file.entity: File}\n    expect: {act: [{machine: \
                5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c, sha1: \
                c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13}]}\n";
    let rule = format!("{}{test}", RIGHT.split("tests:").next().unwrap());
    assert_eq!(told(&[("r.yml", &rule)]), Vec::<String>::new());
    let other = told(&[("r.yml", &rule.replace("format: own", "format: onw"))]);
    assert!(other[0].contains("there is no format \"onw\"") && other[0].contains("mean own?"));
}

#[test]
fn a_wrong_format_refuses_the_whole_set_and_its_hash_counts() {
    let failing = FORMAT.replace("alert.severity: High", "alert.severity: Low");
    assert!(load(dir(&[("formats/own.yml", &failing)]).path()).is_err());
    let hash = |text: &str| {
        load(dir(&[("formats/own.yml", text)]).path()).unwrap().ruleset.hash().to_owned()
    };
    assert_ne!(hash(FORMAT), hash(&format!("{FORMAT}# a word\n")));
    let dir = dir(&[]);
    let before = fingerprint(dir.path());
    fs::write(dir.path().join("formats/own.yml"), format!("{FORMAT}# a word\n")).unwrap();
    assert_ne!(fingerprint(dir.path()), before);
}

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[test]
fn the_shipped_formats_pass_their_tests() {
    let checked = check_formats(&root().join("rules"), Wall(0));
    assert!(checked.problems.is_empty(), "{}", Problems(checked.problems));
    let names: Vec<&str> = checked.listed.iter().map(|one| one.name.as_str()).collect();
    let ship = ["crowdstrike", "elastalert", "elastic", "generic", "ocsf", "splunk", "wazuh"];
    assert_eq!(names, ship);
    assert!(checked.listed.iter().all(|one| one.tests > 0 && !one.description.is_empty()));
    assert!(checked.trials.iter().all(|trial| trial.outcome.is_ok()));
}

/// What the schema allows at a place, and what the file has there.
fn in_schema(schema: &serde_json::Value, at: &serde_json::Value, file: &serde_json::Value) {
    if let Some(reference) = at["$ref"].as_str() {
        let defined = schema.pointer(reference.trim_start_matches('#')).unwrap();
        return in_schema(schema, defined, file);
    }
    if let Some(any) = at["oneOf"].as_array() {
        let kind = match file {
            serde_json::Value::String(_) => "string",
            serde_json::Value::Array(_) => "array",
            serde_json::Value::Object(_) => "object",
            other => panic!("{other}"),
        };
        let fits = any.iter().find(|one| one["type"] == kind || one.get("$ref").is_some());
        return in_schema(schema, fits.unwrap_or_else(|| panic!("{file} in {at}")), file);
    }
    match file {
        serde_json::Value::Object(entries) => {
            for (key, value) in entries {
                let known = &at["properties"][key];
                let open = &at["additionalProperties"];
                let next = if known.is_null() { open } else { known };
                assert!(next.is_object(), "the schema has no {key}");
                in_schema(schema, next, value);
            }
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| in_schema(schema, &at["items"], item));
        }
        _ => assert!(!at.is_null(), "{file}"),
    }
}

#[test]
fn the_schema_has_every_key_of_the_shipped_formats_and_every_field() {
    let text = fs::read_to_string(root().join("docs/format.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    for name in ["crowdstrike", "elastalert", "elastic", "generic", "ocsf", "splunk", "wazuh"] {
        let text = fs::read_to_string(root().join(format!("rules/formats/{name}.yml"))).unwrap();
        in_schema(&schema, &schema, &serde_saphyr::from_str(&text).unwrap());
    }
    for field in Field::ALL.iter().filter(|field| !DERIVED.contains(field)) {
        let (section, key) = match field.name().strip_prefix("alert.") {
            Some(name) => ("/properties/alert/properties", name),
            None => ("/$defs/pair/properties", field.name()),
        };
        assert!(schema.pointer(section).unwrap()[key].is_object(), "{key} in {section}");
    }
    let given = schema.pointer("/$defs/pair/properties").unwrap().as_object().unwrap();
    let others = ["each", "candidates"];
    let is_field = |key: &String| Field::parse(key).is_some() || others.contains(&key.as_str());
    assert!(given.keys().all(is_field), "{:?}", given.keys());
}

/// The table of docs/formats.md: what each format gives.
fn matrix() -> String {
    let formats: Formats = check_formats(&root().join("rules"), Wall(0)).formats;
    let built_in = Format::ALL.iter().map(|format| format.as_str());
    let mapped: Vec<String> = formats.mapped().map(|mapped| mapped.name.clone()).collect();
    let names: Vec<&str> = built_in.chain(mapped.iter().map(String::as_str)).collect();
    let mut text = format!(
        "| field | {} | Defender |\n|---|---|{}\n",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for field in Field::ALL {
        let cells = names.iter().map(|name| {
            let gives = formats.find(name).unwrap().gives(*field);
            if gives { "payload" } else { "never" }
        });
        let told = if field.told_of().is_some() { "tells" } else { "" };
        let cells: Vec<&str> = cells.chain([told]).collect();
        text.push_str(&format!("| `{}` | {} |\n", field.name(), cells.join(" | ")));
    }
    text
}

#[test]
fn the_table_of_the_documentation_is_what_the_formats_give() {
    let path = root().join("docs/formats.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- fields: begin -->\n", "<!-- fields: end -->");
    let start = text.find(begin).unwrap() + begin.len();
    let stop = start + text[start..].find(end).unwrap();
    let matrix = matrix();
    if std::env::var_os("LAZARET_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{}{matrix}{}", &text[..start], &text[stop..])).unwrap();
        return;
    }
    assert_eq!(text[start..stop], matrix, "LAZARET_WRITE_DOCS=1 with this test writes it anew");
}

/// The example of docs/formats.md reads the alert that is shown there, as it says.
#[test]
fn the_example_of_the_documentation_is_right() {
    let text = fs::read_to_string(root().join("docs/formats.md")).unwrap();
    let block = |fence: &str| {
        let start = text.find(fence).unwrap() + fence.len();
        &text[start..start + text[start..].find("```").unwrap()]
    };
    let format = format!("format: acme{}", block("```yaml\nformat: acme"));
    let files = [("formats/acme.yml", format.as_str()), ("samples/acme.json", block("```json\n"))];
    assert_eq!(told(&files), Vec::<String>::new());
    let checked = check_formats(dir(&files).path(), Wall(0));
    assert_eq!(checked.trials.len(), 4, "of acme three, of own one");
}

#[test]
fn a_key_that_has_to_be_there_is_told_with_what_to_write() {
    let told = told(&[("r.yml", "title: T\n"), ("formats/own.yml", "tests: [{expect: []}]\n")]);
    for wanted in [
        "r.yml:1:1: error: the rule has no id; make one with uuidgen",
        "r.yml:1:1: error: the rule has no response; it says what to do, such as action: \
         StopAndQuarantineFile",
        "r.yml:1:1: error: the rule has no logsource; write logsource: {product: windows, service: \
         microsoft_defender}",
        "own.yml:1:1: error: the format has no format; it is the file's name, without .yml",
        "own.yml:1:1: error: the format has no candidates; it says where files and their machines \
         stand",
        "own.yml:1:9: error: the test has no alert; name a sample, such as \
         samples/defender-malware.json",
    ] {
        assert!(told.iter().any(|told| told.ends_with(wanted)), "{wanted}: {told:#?}");
    }
}
