//! `lazaret doctor`: every check a person would make, each with one sentence on how to mend it.

mod checks;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::client::ConfigArg;
use super::style::{Style, beside, clean, print_json};
use super::{Failure, Outcome, runtime};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Warn,
    Fail,
}

/// One check, and what to do where it is not ok.
#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    health: Health,
    text: String,
}

impl Finding {
    fn new(check: &str, health: Health, text: impl std::fmt::Display) -> Self {
        Self { check: check.to_owned(), health, text: text.to_string() }
    }
}

/// Exits with 1 when any check fails, with 2 when the configuration can't be read at all.
pub fn run(args: Args) -> Outcome {
    let config = args.config.load()?;
    let findings = runtime(2)?.block_on(checks::all(&config));
    if args.json {
        print_json(&findings);
    } else {
        print(Style::of_stdout(), &findings);
    }
    match findings.iter().map(|f| f.health).max() {
        Some(Health::Fail) => Err(Failure::wrong("")),
        _ => Ok(()),
    }
}

fn print(style: Style, findings: &[Finding]) {
    for finding in findings {
        print!("{}", line(style, finding));
    }
}

fn line(style: Style, finding: &Finding) -> String {
    let mark = match finding.health {
        Health::Ok => style.good("ok  "),
        Health::Warn => style.notice("warn"),
        Health::Fail => style.bad("FAIL"),
    };
    let check = format!("{:<16}", finding.check);
    let width = "FAIL".len() + 2 + check.chars().count() + 2;
    beside(&format!("{mark}  {check}  "), width, &clean(&finding.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_fit_80_columns() {
        let long = "the kernel says the clock is not synchronised: run an NTP client, else \
                    signatures are refused and windows wait longer after a reboot";
        for check in ["clock", &format!("tenant {}", "contoso-".repeat(8))] {
            let shown = line(Style::plain(), &Finding::new(check, Health::Warn, long));
            assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
            let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words, format!("warn {check} {long}"));
        }
    }
}
