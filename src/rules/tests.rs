use std::fs;

use super::*;
use crate::domain::candidate::{Field, Fields, Value};
use crate::domain::rule::{Judgement, Mode};
use crate::limits;

mod correlation;

mod deny;

mod lists;

mod mapped;

mod permuted;

mod refused;

mod shipped;

mod values;

const SAMPLE: &str = include_str!("../../rules/samples/defender-malware.json");

/// A rule that is right, with one thing made wrong.
const RIGHT: &str = "\
title: T
id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11
status: stable
logsource: {product: x}
detection:
  malware: {alert.category: Malware}
  file: {file.entity: File}
  condition: malware and file
level: high
response:
  action: StopAndQuarantineFile
  comment: due to {{alert.id}}
  mode: observe
tests:
  - name: acts
    alert: samples/a.json
    expect: {act: [{machine: 5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c,
      sha1: c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13}]}
";

/// Loads rules from `(name, text)` pairs.
fn load_from(
    files: &[(&str, &str)],
    sample: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Problems> {
    let sources = files.iter().map(|(name, text)| Source::new(*name, *text)).collect();
    let none = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let sample = |path: &str| sample(path).ok_or_else(none);
    check_sources(sources, &Lists::default(), CheckedFormats::default(), Some(&sample)).loaded()
}

fn load(dir: &Path) -> Result<Loaded, Problems> {
    super::load(dir, Wall(0))
}

fn load_text(text: &str) -> Result<Loaded, Problems> {
    let sample = |path: &str| (path == "samples/a.json").then(|| SAMPLE.to_owned());
    load_from(&[("r.yml", text)], &sample)
}

fn problems(text: &str) -> Vec<String> {
    let problems = match load_text(text) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.0,
    };
    let first_line = |problem: Problem| {
        let shown = problem.to_string();
        shown.lines().next().unwrap_or_default().to_owned()
    };
    problems.into_iter().map(first_line).collect()
}

#[test]
fn a_right_rule_loads() {
    assert_eq!(problems(RIGHT), Vec::<String>::new());
}

#[test]
fn all_errors_of_all_files_are_told_at_once_with_line_and_caret() {
    let wrong =
        RIGHT.replace("mode: observe", "mode: approved").replace("alert.category", "alert.cat");
    let files = [("a.yml", wrong.as_str()), ("b.yml", "title: [")];
    let Err(problems) = load_from(&files, &|_| None) else { panic!("has to fail") };
    assert_eq!(problems.0.len(), 3, "{problems}");
    let shown = problems.0[0].to_string();
    assert_eq!(
        shown,
        "\
a.yml:6:13: error: there is no field alert.cat; did you mean alert.category?
  |
6 |   malware: {alert.cat: Malware}
  |             ^^^^^^^^^",
        "{shown}"
    );
    assert!(problems.0[0].render(Look::Coloured).contains("\u{1b}["));
    let brief = problems.brief();
    assert!(brief.starts_with(shown.lines().next().unwrap()) && !brief.contains('\n'), "{brief}");
    let more = "; and 2 more errors";
    assert!(brief.ends_with(more), "{brief}");
    let Err(one) = load_text("title: [") else { panic!("has to fail") };
    assert_eq!(one.brief(), one.0[0].title());
}

#[test]
fn of_many_mistakes_alike_the_first_few_are_told_and_all_are_counted() {
    let values: String = (0..5000).map(|n| format!("      - Own{n}\n")).collect();
    let wrong = RIGHT
        .replace("{alert.category: Malware}", &format!("\n    alert.category:\n{values}"))
        .replace("file.entity: File", "file.entity: Fil");
    let file = Source::new("r.yml", wrong);
    let checked = check_sources(
        vec![file],
        &Lists::default(),
        CheckedFormats::default(),
        Some(&|_| Err(std::io::Error::other("none"))),
    );
    assert_eq!(checked.problems.iter().map(|problem| problem.count).sum::<usize>(), 5001);
    assert_eq!(checked.problems.len(), 22);
    let shown: Vec<String> = checked.problems.iter().map(Problem::to_string).collect();
    let wanted = "r.yml:27:9: warning: \"Own19\" is no known value of alert.category; known are ";
    assert!(shown[19].starts_with(wanted), "{}", shown[19]);
    assert!(shown[19].ends_with("\n27 |       - Own19\n   |         ^^^^^"), "{}", shown[19]);
    assert!(shown[20].contains("error: \"Fil\" is no known value of file.entity"), "another kind");
    assert_eq!(
        shown[21],
        "r.yml: warning: and 4980 more like these: … is no known value of alert.category"
    );
}

#[test]
fn two_rules_with_one_id_or_one_title_do_not_load() {
    let other = RIGHT.replace("title: T", "title: U");
    let files = [("a.yml", RIGHT), ("b.yml", other.as_str())];
    let sample = |_: &str| Some(SAMPLE.to_owned());
    let Err(problems) = load_from(&files, &sample) else { panic!("has to fail") };
    let wanted = "b.yml:2:5: error: the rule at a.yml:2 has the same id; give one of them another";
    assert!(problems.to_string().starts_with(wanted), "{problems}");
    let other = RIGHT.replace("5d6a1f0e", "5d6a1f0f");
    let files = [("a.yml", RIGHT), ("b.yml", other.as_str())];
    let Err(problems) = load_from(&files, &sample) else { panic!("has to fail") };
    let wanted = "b.yml:1:8: error: the rule at a.yml:1 has the same title; rename one of them";
    assert!(problems.to_string().starts_with(wanted), "{problems}");
}

#[test]
fn the_hash_names_the_content_of_all_files_and_not_their_order() {
    let other = RIGHT.replace("title: T", "title: U").replace("5d6a1f0e", "5d6a1f0f");
    let sample = |_: &str| Some(SAMPLE.to_owned());
    let hash = |files: &[(&str, &str)]| {
        load_from(files, &sample).map(|loaded| loaded.ruleset.hash().to_owned()).unwrap()
    };
    let (a, b) = (("a.yml", RIGHT), ("b.yml", other.as_str()));
    assert_eq!(hash(&[a, b]), hash(&[b, a]));
    assert_ne!(hash(&[a, b]), hash(&[a]));
    assert_ne!(hash(&[a]), hash(&[("c.yml", RIGHT)]));
    let touched = format!("{RIGHT}# a word\n");
    assert_ne!(hash(&[a]), hash(&[("a.yml", touched.as_str())]));
}

#[test]
fn a_directory_without_rules_loads_with_a_warning_and_none_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = load(dir.path()).ok().unwrap();
    assert!(loaded.ruleset.is_empty());
    assert!(loaded.warnings[0].message.contains("no rules"));
    assert!(load(&dir.path().join("none")).is_err());
    fs::write(dir.path().join("r.yml"), "x".repeat(limits::RULE_FILE_BYTES + 1)).unwrap();
    assert!(load(dir.path()).is_err(), "too large");
}

#[test]
fn what_is_no_regular_file_is_an_error_and_nothing_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = std::os::unix::net::UnixListener::bind(dir.path().join("x.yml")).unwrap();
    let Err(problems) = load(dir.path()) else { panic!("has to fail") };
    assert!(problems.to_string().contains("it is no regular file"), "{problems}");
    drop(socket);
}

#[test]
fn files_that_look_like_rules_and_are_not_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["team", "samples"] {
        fs::create_dir(at(name)).unwrap();
    }
    for name in ["b.YML", "team/x.yml", "samples/y.yml", "samples/a.json"] {
        fs::write(at(name), SAMPLE).unwrap();
    }
    fs::write(at("r.yml"), RIGHT.split("tests:").next().unwrap()).unwrap();
    let mut told: Vec<String> = load(dir.path())
        .unwrap_or_else(|why| panic!("{why}"))
        .warnings
        .iter()
        .map(|warning| warning.to_string().lines().next().unwrap().to_owned())
        .collect();
    told.sort_unstable();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("b.YML: warning: is not read"), "{told:?}");
    assert!(told[1].contains("r.yml:1:1: warning: the rule has no tests"), "{told:?}");
    assert!(told[2].contains("team: warning: the rules in it are not read"), "{told:?}");
}

#[test]
fn a_sample_without_a_file_tests_nothing() {
    let empty = r#"{"id":"da1"}"#;
    let text = RIGHT.split("    expect:").next().unwrap().to_owned();
    let text = format!("{text}    expect: {{no_match: true}}\n");
    let Err(problems) = load_from(&[("r.yml", &text)], &|_| Some(empty.to_owned())) else {
        panic!("has to fail")
    };
    assert!(problems.to_string().contains("the sample has no file"), "{problems}");
}
