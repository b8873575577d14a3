//! `lazaret notify test`: one message to each channel, so that the first real one gets through.

use std::sync::Arc;

use clap::{Args as ClapArgs, Subcommand};

use super::client::ConfigArg;
use super::style::{Style, beside, clean};
use super::{Failure, Outcome, runtime};
use crate::app;
use crate::io::Clock;
use crate::io::clock::SystemClock;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Sends one test message to each channel, whether the service runs or not; needs no token:
    /// whoever can read the configuration and its secrets can send
    Test(TestArgs),
}

#[derive(Debug, ClapArgs)]
struct TestArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Only to this channel
    #[arg(long)]
    channel: Option<String>,
}

/// Exits with 1 where a receiver did not take its message.
pub fn run(args: Args) -> Outcome {
    let What::Test(args) = args.command;
    let config = args.config.load()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    // The client of a topic starts threads, and they want a runtime.
    let runtime = runtime(1)?;
    let _inside = runtime.enter();
    let mut channels = app::notify::channels(&config, &clock).map_err(Failure::usage)?;
    if let Some(name) = &args.channel {
        channels.retain(|channel| channel.name() == name);
        if channels.is_empty() {
            return Err(Failure::usage(format!("there is no channel {name} in the configuration")));
        }
    }
    if channels.is_empty() {
        return Err(Failure::usage("the configuration has no channel: add one under notify"));
    }
    let style = Style::of_stdout();
    let mut failed = Vec::new();
    for channel in channels {
        let name = channel.name();
        match runtime.block_on(channel.test(&*clock)) {
            Ok(said) => print!("{}", line(style.good("ok"), "ok".len(), name, &said)),
            Err(why) => {
                print!("{}", line(style.bad("failed"), "failed".len(), name, &why));
                failed.push(name.to_owned());
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::wrong(format!("not taken by: {}", failed.join(", ")))),
    }
}

/// What came of one channel.
fn line(mark: String, columns: usize, name: &str, said: &str) -> String {
    beside(&format!("{mark} "), columns + 1, &clean(&format!("{name}: {said}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_answers_fits_80_columns() {
        let said = "404 Not Found: no such hook, ask whoever runs this receiver ".repeat(5);
        let shown = line("failed".to_owned(), 6, "soc", &said);
        assert!(shown.starts_with("failed soc: 404") && shown.lines().count() > 3, "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
}
