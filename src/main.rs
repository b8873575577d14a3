//! Arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    lazaret::cli::Cli::parse().run()
}
