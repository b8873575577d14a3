//! What came out of the tests, for programs: JSON, and the XML of JUnit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::difference;
use crate::domain::candidate::Field;
use crate::rules::{Checked, Mismatch, Problem, Severity, Side, Trial};

/// One object, `tests` and `problems` in the order of the files.
pub(super) fn json(checked: &Checked, dir: &Path) -> String {
    let trials = &checked.trials;
    let failed = trials.iter().filter(|trial| trial.outcome.is_err()).count();
    let tests: Vec<Value> = trials.iter().map(test).collect();
    let problems: Vec<Value> = besides(checked).map(problem).collect();
    let errors = besides(checked).filter(|problem| problem.severity == Severity::Error);
    let errors: usize = errors.map(|problem| problem.count).sum();
    let all = json!({
        "directory": dir,
        "passed": trials.len() - failed,
        "failed": failed,
        "errors": errors,
        "tests": tests,
        "problems": problems,
    });
    format!("{all:#}\n")
}

/// Problems that no test tells.
fn besides(checked: &Checked) -> impl Iterator<Item = &Problem> {
    checked.problems.iter().filter(|problem| !problem.is_failed_test)
}

fn test(trial: &Trial) -> Value {
    let side = |of: fn(&Mismatch) -> &Side| {
        trial.mismatch.as_ref().map(|mismatch| {
            let side = of(mismatch);
            let pair = |(machine, sha1): &(_, _)| json!({"machine": machine, "sha1": sha1});
            let targets: Vec<Value> = side.targets.iter().map(pair).collect();
            let names = |fields: &BTreeSet<Field>| -> Vec<&str> {
                fields.iter().map(|field| field.name()).collect()
            };
            let (hold, enrich) = (names(&side.hold), names(&side.enrich));
            let verb = if mismatch.denies { "protected" } else { "act" };
            json!({verb: targets, "hold": hold, "enrich": enrich, "no_match": side.no_match})
        })
    };
    json!({
        "file": trial.file,
        "name": trial.name,
        "outcome": if trial.outcome.is_ok() { "passed" } else { "failed" },
        "why": trial.outcome.as_ref().err(),
        "expected": side(|mismatch| &mismatch.expected),
        "got": side(|mismatch| &mismatch.got),
    })
}

fn problem(problem: &Problem) -> Value {
    json!({
        "place": place(problem),
        "severity": word(problem.severity),
        "message": problem.message,
    })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// `file:line:column`, or the file alone.
fn place(problem: &Problem) -> String {
    let title = problem.title();
    let end = format!(": {}: ", word(problem.severity));
    title.split_once(&end).map_or(title.clone(), |(place, _)| place.to_owned())
}

/// What one file comes to.
#[derive(Default)]
struct Suite {
    cases: String,
    tests: usize,
    failures: usize,
    errors: usize,
}

/// One suite a file, one case a test. Each error besides is a case that could not be run; warnings
/// are left out.
pub(super) fn junit(checked: &Checked) -> String {
    let mut suites: BTreeMap<&str, Suite> = BTreeMap::new();
    for trial in &checked.trials {
        let suite = suites.entry(&trial.file).or_default();
        suite.tests += 1;
        let inside = trial.outcome.as_ref().err().map(|why| {
            suite.failures += 1;
            let shown = trial.mismatch.as_ref().map_or(String::new(), difference::shown);
            element("failure", why, &format!("{why}\n{shown}"))
        });
        case(suite, &trial.file, &trial.name, inside);
    }
    for problem in besides(checked).filter(|problem| problem.severity == Severity::Error) {
        let suite = suites.entry(problem.file()).or_default();
        suite.tests += 1;
        suite.errors += 1;
        let inside = element("error", &problem.message, &problem.to_string());
        case(suite, problem.file(), &place(problem), Some(inside));
    }
    let sum = |of: fn(&Suite) -> usize| suites.values().map(of).sum::<usize>();
    let counts = |tests: usize, failures: usize, errors: usize| {
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"")
    };
    let all = counts(sum(|s| s.tests), sum(|s| s.failures), sum(|s| s.errors));
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(text, "<testsuites name=\"lazaret rules test\" {all}>");
    for (file, suite) in &suites {
        let own = counts(suite.tests, suite.failures, suite.errors);
        let _ = writeln!(text, "  <testsuite name=\"{}\" {own}>", escaped(file));
        text.push_str(&suite.cases);
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(suite: &mut Suite, file: &str, name: &str, inside: Option<String>) {
    let (file, name) = (escaped(file), escaped(name));
    let start = format!("    <testcase classname=\"{file}\" name=\"{name}\"");
    let _ = match inside {
        Some(inside) => writeln!(suite.cases, "{start}>{inside}</testcase>"),
        None => writeln!(suite.cases, "{start}/>"),
    };
}

fn element(name: &str, message: &str, body: &str) -> String {
    format!("<{name} message=\"{}\">{}</{name}>", escaped(message), escaped(body))
}

/// Text as it may stand in an element and in an attribute. Characters that XML 1.0 can't have,
/// however they are written, are replaced.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // An attribute's line breaks would be read as blanks.
            '\n' | '\t' | '\r' => {
                let _ = write!(safe, "&#{};", u32::from(c));
            }
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                safe.push('\u{fffd}');
            }
            _ => safe.push(c),
        }
    }
    safe
}
