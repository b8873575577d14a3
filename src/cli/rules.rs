//! `lazaret rules check|test|new|list`: rules on the command line, with no service and no store.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::Path;
use std::time::Duration;

use clap::Subcommand;

use super::place::DirArg;
use super::style::{COLUMNS, beside, clean, counted, wrap};
use super::{Failure, Outcome};
use crate::domain::rule::Response;
use crate::domain::time::written_span;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::rules::{self, Listed, Look, Problem, Severity, Trial};

mod difference;

mod new;

mod report;

/// Check, test or list the rules of a directory
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say everything that is wrong with the rules, with file, line and column
    Check(DirArg),
    /// Run the tests inside the rule files
    Test {
        #[command(flatten)]
        dir: DirArg,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print the XML of JUnit, which CI systems read
        #[arg(long, conflicts_with = "json")]
        junit: bool,
    },
    Explain(super::explain::Args),
    Backtest(super::backtest::Args),
    /// Write a rule to start from, made of a sample alert, with tests that pass
    New(new::New),
    /// Show the rules: what each does, and how far it may go
    List {
        #[command(flatten)]
        dir: DirArg,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Exit code 0: all is well; 1: a rule is wrong; 2: there is no such directory.
pub fn run(args: Args) -> Outcome {
    let dir = &match args.command {
        Command::Explain(args) => return super::explain::run(args),
        Command::Backtest(args) => return super::backtest::run(args),
        Command::New(ref args) => return new::run(args),
        Command::Check(ref dir) | Command::Test { ref dir, .. } | Command::List { ref dir, .. } => {
            dir.resolve()?
        }
    };
    let checked = rules::check(dir, SystemClock::new().now().wall);
    let stdout = match &args.command {
        Command::Check(_) => {
            verdict(checked.rules.len(), "rule", &checked.trials, &checked.problems, dir)
        }
        Command::Test { json: true, .. } => report::json(&checked, dir),
        Command::Test { junit: true, .. } => report::junit(&checked),
        Command::Test { .. } => trials(&checked.trials, &checked.problems, dir),
        Command::List { json: true, .. } => json(&checked.rules),
        Command::List { json: false, .. } => table(&checked.rules, dir),
        Command::Explain(_) | Command::Backtest(_) | Command::New(_) => {
            unreachable!("returned above")
        }
    };
    // The list of the tests says what came out of each.
    let listed = matches!(args.command, Command::Test { .. });
    let told = checked.problems.iter().filter(|problem| !(listed && problem.is_failed_test));
    say(told, &stdout)?;
    outcome(dir, checked.is_sound())
}

/// Problems to standard error, the rest to standard output.
pub(super) fn say<'p>(told: impl Iterator<Item = &'p Problem>, stdout: &str) -> Outcome {
    let look = match std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        true => Look::Coloured,
        false => Look::Plain,
    };
    let written = std::io::stderr()
        .write_all(problems(told, look).as_bytes())
        .and_then(|()| std::io::stdout().write_all(stdout.as_bytes()));
    written.map_err(Failure::wrong)
}

/// What is wrong has been said already.
pub(super) fn outcome(dir: &Path, is_sound: bool) -> Outcome {
    if !dir.is_dir() {
        let dir = dir.display();
        let how = "name the one of your rules, or run it where your lazaret.yaml is";
        Err(Failure::usage(format!("there is no directory {dir}: {how}")))
    } else if is_sound {
        Ok(())
    } else {
        Err(Failure::wrong(""))
    }
}

/// Problems, each with its line and a caret. What is said fits, the line stays as it is.
fn problems<'p>(problems: impl Iterator<Item = &'p Problem>, look: Look) -> String {
    problems.fold(String::new(), |mut text, problem| {
        let shown = problem.render(look);
        let (title, place) = shown.split_at(shown.find('\n').unwrap_or(shown.len()));
        let _ = writeln!(text, "{}{place}\n", wrap(title, COLUMNS).join("\n"));
        text
    })
}

/// One line that says how it went, and where.
pub(super) fn verdict(
    n: usize,
    what: &str,
    trials: &[Trial],
    problems: &[Problem],
    dir: &Path,
) -> String {
    let count = |severity| mistakes(problems, |problem| problem.severity == severity);
    let said = format!(
        "{}, {}, {}, {}",
        counted(n, what),
        counted(trials.len(), "test"),
        counted(count(Severity::Error), "error"),
        counted(count(Severity::Warning), "warning"),
    );
    located(&said, dir)
}

/// A summary, and the directory that it is of.
pub(super) fn located(said: &str, dir: &Path) -> String {
    beside("", 0, &clean(&format!("{said} in {}", dir.display())))
}

fn mistakes(problems: &[Problem], of: impl Fn(&Problem) -> bool) -> usize {
    problems.iter().filter(|problem| of(problem)).map(|problem| problem.count).sum()
}

/// Each test by its file, and what came out of those that failed. Errors are those besides: a rule
/// that does not read well has tests that could not be run.
pub(super) fn trials(trials: &[Trial], problems: &[Problem], dir: &Path) -> String {
    let mut text = String::new();
    let mut file = "";
    for trial in trials {
        if trial.file != file {
            file = &trial.file;
            let _ = writeln!(text, "{file}");
        }
        let (mark, said) = match &trial.outcome {
            Ok(()) => ("ok    ", trial.name.clone()),
            Err(_) if trial.mismatch.is_some() => ("FAILED", trial.name.clone()),
            Err(why) => ("FAILED", format!("{}: {why}", trial.name)),
        };
        text.push_str(&beside(&format!("  {mark}  "), 10, &clean(&said)));
        if let Some(mismatch) = &trial.mismatch {
            text.push_str(&difference::shown(mismatch));
        }
    }
    let failed = trials.iter().filter(|trial| trial.outcome.is_err()).count();
    let error = |problem: &Problem| problem.severity == Severity::Error && !problem.is_failed_test;
    let errors = counted(mistakes(problems, error), "error");
    let said = format!("{} passed, {failed} failed, {errors}", trials.len() - failed);
    text.push_str(&located(&said, dir));
    text
}

/// How a rule shows: its mode, or that it denies or only counts; what it does with the unknown; and
/// its window, which only one that acts has.
fn shown(rule: &Listed) -> (&'static str, &'static str, Option<Duration>) {
    match &rule.response {
        Response::Quarantine(acts) if rule.correlation.is_some() => {
            (acts.mode.as_str(), "-", Some(acts.window))
        }
        Response::Quarantine(acts) => {
            (acts.mode.as_str(), acts.unknown.as_str(), Some(acts.window))
        }
        Response::Deny(deny) => ("deny", if deny.holds_unknown { "hold" } else { "ignore" }, None),
        Response::Count => ("count", "-", None),
    }
}

/// A table of the rules that read well: below each one's whole id stand its title and its file.
fn table(rules: &[Listed], dir: &Path) -> String {
    let row = |id: &str, [mode, level, unknown, window, tests]: [&str; 5]| {
        format!("{id:36}  {mode:7}  {level:8}  {unknown:7}  {window:6}  {tests:>5}\n")
    };
    let mut text = row("ID", ["MODE", "LEVEL", "UNKNOWN", "WINDOW", "TESTS"]);
    for rule in rules {
        let (mode, unknown, window) = shown(rule);
        let window = window.map_or_else(|| "-".to_owned(), written_span);
        let level = match rule.level {
            Some("informational") => "info",
            level => level.unwrap_or("-"),
        };
        text.push_str(&row(&rule.id, [mode, level, unknown, &window, &rule.tests.to_string()]));
        text.push_str(&beside("  ", 2, &clean(&rule.title)));
        text.push_str(&beside("  ", 2, &clean(&rule.file)));
        if let Some(kind) = rule.correlation {
            text.push_str(&beside("  ", 2, &format!("correlation: {kind}")));
        }
    }
    text.push_str(&located(&counted(rules.len(), "rule"), dir));
    text
}

fn json(rules: &[Listed]) -> String {
    let one = |rule: &Listed| {
        let (mode, unknown, window) = shown(rule);
        let acts = window.is_some();
        let action = match &rule.response {
            Response::Quarantine(_) => "StopAndQuarantineFile",
            Response::Deny(_) => "deny",
            Response::Count => "count",
        };
        serde_json::json!({
            "file": rule.file,
            "id": rule.id,
            "title": rule.title,
            "level": rule.level,
            "action": action,
            "correlation": rule.correlation,
            "mode": acts.then_some(mode),
            "unknown": (unknown != "-").then_some(unknown),
            "window_seconds": window.map(|window| window.as_secs()),
            "tests": rule.tests,
        })
    };
    let all: Vec<serde_json::Value> = rules.iter().map(one).collect();
    format!("{:#}\n", serde_json::Value::Array(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Wall;
    use crate::rules::Checked;

    fn shipped() -> Checked {
        rules::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules"), Wall(0))
    }

    #[test]
    fn the_shipped_rules_show_as_a_table() {
        let shown = table(&shipped().rules, Path::new("./rules"));
        let lines: Vec<&str> = shown.lines().collect();
        let id = &shipped().rules[1].id;
        let head = format!("{:36}  MODE     LEVEL     UNKNOWN  WINDOW  TESTS", "ID");
        assert_eq!(lines[0], head);
        assert_eq!(lines[4], format!("{id}  deny     -         hold     -           6"));
        assert_eq!(lines[5], "  Protect the programs of Defender itself");
        let id = &shipped().rules[12].id;
        assert_eq!(lines[37], format!("{id}  observe  high      hold     24h         7"));
        assert_eq!(lines[38], "  Quarantine active malware files");
        assert!(lines[39].ends_with("rules/quarantine-active-malware.yml"), "{}", lines[39]);
        assert_eq!(lines[83..], ["27 rules in ./rules"]);
        let json: serde_json::Value = serde_json::from_str(&json(&shipped().rules)).unwrap();
        let of = |rule: usize| (json[rule]["action"].clone(), json[rule]["mode"].clone());
        assert_eq!(of(1), ("deny".into(), serde_json::Value::Null));
        assert_eq!(of(12), ("StopAndQuarantineFile".into(), "observe".into()));
    }

    #[test]
    fn a_table_fits_80_columns_whatever_the_titles() {
        let mut rules = shipped().rules;
        rules[0].title = "word ".repeat(40);
        let shown = table(&rules, Path::new("./rules"));
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }

    #[test]
    fn what_a_failed_test_says_fits_80_columns_in_a_check_and_in_a_list_of_tests() {
        let dir = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        std::fs::create_dir(dir.path().join("samples")).unwrap();
        let sample = "samples/defender-ransomware.json";
        std::fs::copy(shipped.join(sample), dir.path().join(sample)).unwrap();
        let text = std::fs::read_to_string(shipped.join("quarantine-ransomware.yml")).unwrap();
        let (detection, selected) = ("  condition: ", "  never: {file.name: never.exe}\n");
        let text = text.replacen(detection, &format!("{selected}{detection}never and "), 1);
        std::fs::write(dir.path().join("r.yml"), text).unwrap();
        let checked = rules::check(dir.path(), Wall(0));
        assert!(checked.problems.iter().any(|problem| problem.is_failed_test));
        let listed = trials(&checked.trials, &checked.problems, Path::new("r"));
        let told = problems(checked.problems.iter(), Look::Plain);
        assert!(listed.contains("- act   machine") && told.contains("it should act on"), "{told}");
        let of_file =
            |line: &&str| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" | ");
        let said = told.lines().filter(|line| !of_file(line));
        for line in listed.lines().chain(said) {
            let is_caret = line.trim_start().starts_with('|');
            assert!(is_caret || line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn tests_show_by_file_and_a_failure_says_what_came_out() {
        let outcome = Err("it acts on []".to_owned());
        let trial = rules::Trial {
            file: "a.yml".to_owned(),
            name: "x".to_owned(),
            outcome,
            mismatch: None,
        };
        let passed = rules::Trial { name: "y".to_owned(), outcome: Ok(()), ..trial.clone() };
        let checked = Checked { trials: vec![trial, passed], ..Checked::default() };
        assert_eq!(
            trials(&checked.trials, &checked.problems, Path::new("r")),
            "a.yml\n  FAILED  x: it acts on []\n  ok      y\n1 passed, 1 failed, 0 errors in r\n"
        );
        let of = shipped();
        assert_eq!(
            verdict(of.rules.len(), "rule", &of.trials, &of.problems, Path::new("r")),
            "27 rules, 172 tests, 0 errors, 0 warnings in r\n"
        );
    }

    #[test]
    fn the_tests_summary_counts_files_whose_tests_could_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let text = std::fs::read_to_string(shipped.join("quarantine-ransomware.yml")).unwrap();
        // Without the sample of all tests, which is one error; and a file that reads as nothing.
        std::fs::write(dir.path().join("a.yml"), &text).unwrap();
        std::fs::write(dir.path().join("b.yml"), "title: [").unwrap();
        let checked = rules::check(dir.path(), Wall(0));
        assert!(checked.rules[0].tests > 1);
        let shown = trials(&checked.trials, &checked.problems, Path::new("r"));
        assert_eq!(shown, "0 passed, 0 failed, 2 errors in r\n");
    }
}
