//! The command line: one file for each command.
//!
//! Exit codes: 0 ok, 1 what was checked is wrong, 2 usage, configuration, or a name that does not
//! exist.

mod actions;
mod audit;
mod backtest;
mod client;
mod csv;
mod demo;
mod doctor;
mod explain;
mod formats;
mod generate;
mod notify;
mod pause;
mod place;
mod recall;
mod rules;
mod run;
mod schema;
mod send;
mod simulate;
mod simulate_day;
mod status;
mod style;
mod votes;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::domain::ids::MachineId;

/// Turns security alerts into Microsoft Defender StopAndQuarantineFile calls: by rules people can
/// read and test, inside the API's budget, exactly once.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = style::COLUMNS)]
#[command(after_help = "Start with: lazaret demo")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the whole line in one process: simulator, signed alert, quarantine call
    Demo(demo::Args),
    /// Runs the service
    Run(run::Args),
    /// Shows what a running service is doing, on one screen
    Status(status::Args),
    /// Checks, tests, explains, tries on the past and lists rules
    Rules(rules::Args),
    /// Checks, tests and lists formats, and shows what one reads of an alert
    Formats(formats::Args),
    /// Prints the JSON Schema of rules, formats or the configuration, for editors
    Schema(schema::Args),
    /// Lists actions, and shows one with its whole history
    Actions(actions::Args),
    /// Stops all calls, or those of a tenant, rule, machine or file, until a person resumes them
    Pause(pause::Args),
    /// Lets calls go on after a pause, or after a breaker has tripped
    Resume(pause::Args),
    /// Verifies and exports the record of who changed what, when and why
    Audit(audit::Args),
    /// Makes tokens for the people and services that may ask
    Token(token::Args),

    /// Stops a file that was harmless, cancels what is pending, and shows how to undo the rest
    Recall(recall::Args),
    /// Checks what a person would check: configuration, secrets, rules, store, tokens, channels
    Doctor(doctor::Args),
    /// Tries the channels that tell people what happens
    Notify(notify::Args),
    /// Runs a strict stand-in for Defender on a port, for tests
    Simulate(simulate::Args),
    /// Simulates a day of one tenant in a moment, and checks what Lazaret promises
    SimulateDay(simulate_day::Args),
    /// Signs an alert and posts it as a sender would
    Send(send::Args),
    /// Makes up alert traffic, and the calls it must lead to, for tests
    Generate(generate::Args),
}

/// What was asked for could not be done: wrong usage or configuration (exit code 2), or the check
/// failed (1). The text goes to standard error.
#[derive(Debug)]
pub enum Failure {
    Usage(String),
    Wrong(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Failure::Usage(why) | Failure::Wrong(why)) = self;
        f.pad(why)
    }
}

impl Failure {
    fn usage(why: impl std::fmt::Display) -> Self {
        Failure::Usage(why.to_string())
    }

    fn wrong(why: impl std::fmt::Display) -> Self {
        Failure::Wrong(why.to_string())
    }
}

/// Refuses a reason that says nothing.
fn check_reason(reason: &str) -> Outcome {
    match reason.trim() {
        "" => Err(Failure::usage("--reason is empty: say why, it goes on the record")),
        _ => Ok(()),
    }
}

/// Refuses a tenant that the configuration does not have.
fn check_tenant(config: &Config, name: &str) -> Outcome {
    if config.tenants.iter().any(|tenant| tenant.name == name) {
        return Ok(());
    }
    let known: Vec<_> = config.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    Err(Failure::usage(format!(
        "there is no tenant {name} in the configuration; known: {}",
        known.join(", ")
    )))
}

/// Reads the id of a machine, or says where one is found.
fn machine(text: &str) -> Result<MachineId, Failure> {
    MachineId::parse(text).map_err(|why| {
        Failure::usage(format!(
            "--machine {text:?} {why}: give the id that Defender has for it. `lazaret actions \
             list` shows how it begins and `lazaret actions show` the whole of it; so does the \
             address of the device's page in the Defender portal"
        ))
    })
}

type Outcome = Result<(), Failure>;

impl Cli {
    /// Whether the command prints something and ends, unlike those that serve.
    pub fn only_prints(&self) -> bool {
        !matches!(self.command, Command::Demo(_) | Command::Run(_) | Command::Simulate(_))
    }

    /// Runs the command to its end.
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Demo(args) => demo::run(args),
            Command::Run(args) => run::run(args),
            Command::Status(args) => status::run(args),
            Command::Rules(args) => rules::run(args),
            Command::Formats(args) => formats::run(args),
            Command::Schema(args) => schema::run(args),
            Command::Actions(args) => actions::run(args),
            Command::Pause(args) => pause::run(args, pause::Direction::Pause),
            Command::Resume(args) => pause::run(args, pause::Direction::Resume),
            Command::Audit(args) => audit::run(args),
            Command::Token(args) => token::run(args),
            Command::Recall(args) => recall::run(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Notify(args) => notify::run(args),
            Command::Simulate(args) => runtime(2)
                .and_then(|runtime| runtime.block_on(simulate::run(args)).map_err(Failure::usage)),
            Command::SimulateDay(args) => simulate_day::run(args),
            Command::Send(args) => send::run(args),
            Command::Generate(args) => generate::run(args),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Wrong(why)) => {
                if !why.is_empty() {
                    eprint!("{}", style::prose(&format!("lazaret: {why}")));
                }
                ExitCode::from(1)
            }
            Err(Failure::Usage(why)) => {
                eprint!("{}", style::prose(&format!("lazaret: {why}")));
                ExitCode::from(2)
            }
        }
    }
}

/// A runtime of the size the work needs. Commands that only ask one question use one thread.
fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|why| Failure::usage(format!("cannot start the runtime: {why}")))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    /// What `--help` prints for the command at this path, and for all below it.
    fn helps(path: &[&str], command: &clap::Command) -> Vec<String> {
        let words = path.iter().chain(&["--help"]);
        let help = super::Cli::try_parse_from(words).unwrap_err();
        assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp, "{path:?}");
        let mut all = vec![help.to_string()];
        for below in command.get_subcommands() {
            all.extend(helps(&[path, &[below.get_name()]].concat(), below));
        }
        all
    }

    #[test]
    fn every_help_fits_80_columns() {
        let helps = helps(&["lazaret"], &super::Cli::command());
        assert!(helps.len() > 15, "of all commands: {}", helps.len());
        for line in helps.iter().flat_map(|help| help.lines()) {
            assert!(line.chars().count() <= super::style::COLUMNS, "{line}");
        }
    }
}
