//! `lazaret doctor`: every check a person would make, each with one sentence on how to mend it.

mod checks;

mod secrets;

mod files;

mod listeners;

mod certificates;

mod rules;

mod machine;

mod service;

mod store;

mod disk;

mod clock;

mod hosts;

mod tenants;

mod budget;

mod kafka;

mod channels;

mod page;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::client::ConfigArg;
use super::style::{Style, print_json};
use super::{Failure, Outcome, runtime};

/// What a person would check, each with how to mend it: configuration, secrets and who may read
/// them, certificates, rules, open files, memory, the service and its ports, the store and its
/// disk, the clock, every host, every tenant's roles and budget, Kafka, channels.
///
/// Changes nothing and calls nobody's API. Takes less than half a minute.
///
/// Exits with 0 where nothing fails, warnings or not, and with 1 where something does.
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
#[derive(Clone, Debug, Serialize)]
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
    let config = Arc::new(args.config.load()?);
    let runtime = runtime(2)?;
    let findings = runtime.block_on(checks::all(config));
    // A disk or a broker that hangs holds its thread, and nobody waits for it.
    runtime.shutdown_background();
    if args.json {
        print_json(&findings);
    } else {
        print!("{}", page::page(Style::of_stdout(), &findings));
    }
    match findings.iter().map(|f| f.health).max() {
        Some(Health::Fail) => Err(Failure::wrong("")),
        _ => Ok(()),
    }
}
