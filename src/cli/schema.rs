//! `lazaret schema rule|format|config`: what editors complete and check files by.

use clap::ValueEnum;

use super::Outcome;
use super::rules::say;

const USE: &str = "\
In VS Code, with the extension YAML of Red Hat:

  lazaret schema rule > my-rules/rule.schema.json

and as the first line of each rule:

  # yaml-language-server: $schema=rule.schema.json";

/// Prints the JSON Schema (2020-12) of a kind of file, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = USE)]
pub struct Args {
    /// Which kind of file
    of: Of,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// A rule, rules/*.yml
    Rule,
    /// A format, rules/formats/*.yml
    Format,
    /// The configuration, lazaret.yaml
    Config,
}

/// The schema goes to standard output, as it stands in the documentation.
pub fn run(args: Args) -> Outcome {
    let schema = match args.of {
        Of::Rule => include_str!("../../docs/rule.schema.json"),
        Of::Format => include_str!("../../docs/format.schema.json"),
        Of::Config => include_str!("../../docs/config.schema.json"),
    };
    say(std::iter::empty(), schema)
}
