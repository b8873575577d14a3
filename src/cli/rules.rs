//! `lazaret rules check|test|list`: rule files on the command line, with no service and no store.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;

use super::style::beside;
use super::{Failure, Outcome};
use crate::domain::rule::Response;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::rules::{self, Listed, Look, Problem, Severity, Trial};

/// Check, test or list the rules of a directory
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say everything that is wrong with the rules, with file, line and column
    Check {
        /// Directory of *.yml rule files
        #[arg(default_value = "./rules")]
        dir: PathBuf,
    },
    /// Run the tests inside the rule files
    Test {
        /// Directory of *.yml rule files
        #[arg(default_value = "./rules")]
        dir: PathBuf,
    },
    /// Show the rules: what each does, and how far it may go
    List {
        /// Directory of *.yml rule files
        #[arg(default_value = "./rules")]
        dir: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Exit code 0: all is well; 1: a rule is wrong; 2: there is no such directory.
pub fn run(args: Args) -> Outcome {
    let (Command::Check { dir } | Command::Test { dir } | Command::List { dir, .. }) =
        &args.command;
    let checked = rules::check(dir, SystemClock::new().now().wall);
    let stdout = match &args.command {
        Command::Check { .. } => {
            verdict(checked.rules.len(), "rule", &checked.trials, &checked.problems)
        }
        Command::Test { .. } => trials(&checked.trials, &checked.problems),
        Command::List { json: true, .. } => json(&checked.rules),
        Command::List { json: false, .. } => table(&checked.rules),
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
        Err(Failure::usage(format!("there is no directory {}", dir.display())))
    } else if is_sound {
        Ok(())
    } else {
        Err(Failure::wrong(""))
    }
}

/// Problems, each with its line and a caret.
fn problems<'p>(problems: impl Iterator<Item = &'p Problem>, look: Look) -> String {
    problems.fold(String::new(), |mut text, problem| {
        let _ = writeln!(text, "{}\n", problem.render(look));
        text
    })
}

/// One line that says how it went.
pub(super) fn verdict(n: usize, what: &str, trials: &[Trial], problems: &[Problem]) -> String {
    let count = |severity| mistakes(problems, |problem| problem.severity == severity);
    format!(
        "{}, {}, {}, {}\n",
        counted(n, what),
        counted(trials.len(), "test"),
        counted(count(Severity::Error), "error"),
        counted(count(Severity::Warning), "warning"),
    )
}

fn mistakes(problems: &[Problem], of: impl Fn(&Problem) -> bool) -> usize {
    problems.iter().filter(|problem| of(problem)).map(|problem| problem.count).sum()
}

pub(super) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Each test by its file, and what came out of those that failed. Errors are those besides: a rule
/// that does not read well has tests that could not be run.
pub(super) fn trials(trials: &[Trial], problems: &[Problem]) -> String {
    let mut text = String::new();
    let mut file = "";
    for trial in trials {
        if trial.file != file {
            file = &trial.file;
            let _ = writeln!(text, "{file}");
        }
        let name = trial.name.replace(char::is_control, "\u{fffd}");
        let _ = match &trial.outcome {
            Ok(()) => writeln!(text, "  ok      {name}"),
            Err(why) => {
                writeln!(text, "  FAILED  {name}: {}", why.replace(char::is_control, "\u{fffd}"))
            }
        };
    }
    let failed = trials.iter().filter(|trial| trial.outcome.is_err()).count();
    let error = |problem: &Problem| problem.severity == Severity::Error && !problem.is_failed_test;
    let errors = counted(mistakes(problems, error), "error");
    let _ = writeln!(text, "{} passed, {failed} failed, {errors}", trials.len() - failed);
    text
}

/// How a rule shows: its mode, or that it denies; what it does with the unknown; and its window,
/// which one that denies does not have.
fn shown(rule: &Listed) -> (&'static str, &'static str, Option<Duration>) {
    match &rule.response {
        Response::Quarantine(acts) => {
            (acts.mode.as_str(), acts.unknown.as_str(), Some(acts.window))
        }
        Response::Deny(deny) => ("deny", if deny.holds_unknown { "hold" } else { "ignore" }, None),
    }
}

/// A table of the rules that read well: each one's title stands below its whole id.
fn table(rules: &[Listed]) -> String {
    let mut text =
        format!("{:36}  {:7}  {:7}  {:6}  {:5}\n", "ID", "MODE", "UNKNOWN", "WINDOW", "TESTS");
    for rule in rules {
        let (mode, unknown, window) = shown(rule);
        let window = window.map_or_else(|| "-".to_owned(), duration);
        let _ =
            writeln!(text, "{:36}  {mode:7}  {unknown:7}  {window:6}  {:5}", rule.id, rule.tests,);
        text.push_str(&beside("  ", 2, &rule.title.replace(char::is_control, "\u{fffd}")));
    }
    text
}

/// In the largest unit that is exact, as a rule writes it.
fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    for (unit, length) in [('d', 24 * 3600), ('h', 3600), ('m', 60)] {
        if seconds.is_multiple_of(length) && (seconds > length || unit != 'd') && seconds > 0 {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

fn json(rules: &[Listed]) -> String {
    let one = |rule: &Listed| {
        let (mode, unknown, window) = shown(rule);
        let acts = window.is_some();
        serde_json::json!({
            "file": rule.file,
            "id": rule.id,
            "title": rule.title,
            "level": rule.level,
            "action": if acts { "StopAndQuarantineFile" } else { "deny" },
            "mode": acts.then_some(mode),
            "unknown": unknown,
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
        let shown = table(&shipped().rules);
        let lines: Vec<&str> = shown.lines().collect();
        let id = &shipped().rules[0].id;
        let head = format!("{:36}  MODE     UNKNOWN  WINDOW  TESTS", "ID");
        assert_eq!(lines[0], head);
        assert_eq!(lines[1], format!("{id}  deny     hold     -           4"));
        assert_eq!(lines[2], "  Protect the programs of Defender itself");
        let id = &shipped().rules[5].id;
        assert_eq!(lines[11], format!("{id}  observe  hold     24h        15"));
        assert_eq!(lines[12], "  Quarantine active malware files");
        assert_eq!(lines.len(), 17);
        let json: serde_json::Value = serde_json::from_str(&json(&shipped().rules)).unwrap();
        let of = |rule: usize| (json[rule]["action"].clone(), json[rule]["mode"].clone());
        assert_eq!(of(0), ("deny".into(), serde_json::Value::Null));
        assert_eq!(of(5), ("StopAndQuarantineFile".into(), "observe".into()));
    }

    #[test]
    fn a_table_fits_80_columns_whatever_the_titles() {
        let mut rules = shipped().rules;
        rules[0].title = "word ".repeat(40);
        let shown = table(&rules);
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }

    #[test]
    fn tests_show_by_file_and_a_failure_says_what_came_out() {
        let outcome = Err("it acts on []".to_owned());
        let trial = rules::Trial { file: "a.yml".to_owned(), name: "x".to_owned(), outcome };
        let passed = rules::Trial { name: "y".to_owned(), outcome: Ok(()), ..trial.clone() };
        let checked = Checked { trials: vec![trial, passed], ..Checked::default() };
        assert_eq!(
            trials(&checked.trials, &checked.problems),
            "a.yml\n  FAILED  x: it acts on []\n  ok      y\n1 passed, 1 failed, 0 errors\n"
        );
        let of = shipped();
        assert_eq!(
            verdict(of.rules.len(), "rule", &of.trials, &of.problems),
            "8 rules, 51 tests, 0 errors, 0 warnings\n"
        );
    }

    #[test]
    fn the_tests_summary_counts_files_whose_tests_could_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
        let text = std::fs::read_to_string(shipped.join("quarantine-ransomware.yml")).unwrap();
        // Without the samples, each test is an error; beside it a file that reads as nothing.
        std::fs::write(dir.path().join("a.yml"), &text).unwrap();
        std::fs::write(dir.path().join("b.yml"), "title: [").unwrap();
        let checked = rules::check(dir.path(), Wall(0));
        let tests = checked.rules[0].tests;
        let shown = trials(&checked.trials, &checked.problems);
        assert_eq!(shown, format!("0 passed, 0 failed, {} errors\n", tests + 1));
    }

    #[test]
    fn a_span_shows_as_a_rule_writes_it() {
        for (seconds, shown) in [(86_400, "24h"), (604_800, "7d"), (1800, "30m"), (90, "90s")] {
            assert_eq!(duration(Duration::from_secs(seconds)), shown);
        }
    }
}
