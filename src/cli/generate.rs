//! `lazaret generate`: made-up alert traffic, and the calls it must lead to.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use super::{Failure, Outcome};
use crate::domain::time::Wall;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::traffic::{self, Expected, INCIDENTS_MAX, Settings, Shape, TENANTS_MAX};

const USE: &str = "\
Each line is a Kafka message; in its place, a message that is itself lines is
printed as these. To measure a service in mode enforce against
`lazaret simulate`, give it the rule and compare its calls with the truth:

  lazaret generate --incidents 2000 --seed 1 --as defender-xdr \\
    --truth truth.ndjson --rules measure > messages.ndjson
  kcat -P -b 127.0.0.1:9092 -t alerts -l messages.ndjson

The truth has one line for each call that must be made, and none for others:

  {\"tenant\": \"<Entra tenant id>\", \"machine\": \"<id>\", \"sha1\": \"<hash>\"}

The tenants' ids are the same in every run and are told at the end. The same
arguments give the same bytes, with --now too. Nothing in it has happened, and
no machine or file in it exists.";

/// Makes up alert traffic as a source delivers it, with all its oddities, and tells which calls it
/// must lead to.
#[derive(Debug, ClapArgs)]
#[command(after_help = USE)]
pub struct Args {
    /// How many incidents happen; each is one alert
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=INCIDENTS_MAX))]
    incidents: u64,
    /// The same seed gives the same run
    #[arg(long, value_name = "S")]
    seed: u64,
    /// The format that the alerts come in
    #[arg(long = "as", value_name = "FORMAT")]
    shape: As,
    /// How many tenants they happen to, beside some that nobody knows
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=TENANTS_MAX))]
    tenants: u64,
    /// When the last incident has just happened, such as 2027-01-31T10:00:00Z: the present where
    /// left out. The first one was some six hours before
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<Wall>,
    /// Write the calls that must be made to this file, sorted
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Write the rule that the truth is for into this directory, with the sample of its tests
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum As {
    /// Rows of the Defender XDR Streaming API
    DefenderXdr,
    /// Alerts of the Defender for Endpoint API
    DefenderAlert,
    /// Alerts of Microsoft Graph
    GraphAlert,
}

/// Messages go to standard output, what they were to standard error.
pub fn run(args: Args) -> Outcome {
    let now = args.now.unwrap_or_else(|| SystemClock::new().now().wall);
    let settings = Settings {
        seed: args.seed,
        incidents: args.incidents,
        shape: match args.shape {
            As::DefenderXdr => Shape::DefenderXdr,
            As::DefenderAlert => Shape::DefenderAlert,
            As::GraphAlert => Shape::GraphAlert,
        },
        tenants: args.tenants,
        now: Duration::from_micros(u64::try_from(now.0).unwrap_or(0)),
    };
    if let Some(dir) = &args.rules {
        write_rules(dir)?;
    }
    // What can't be written is better known before the work than after it.
    let truth = args.truth.as_deref().map(|path| Ok((path, File::create(path).map_err(no(path))?)));
    let truth = truth.transpose()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut messages = 0_u64;
    let made = traffic::stream(&settings, |message| {
        messages += 1;
        writeln!(out, "{message}")
    });
    let expected = made
        .and_then(|expected| out.flush().map(|()| expected))
        .map_err(|why| Failure::wrong(format!("the messages can't be written: {why}")))?;
    if let Some((path, file)) = truth {
        write_truth(&expected, file).map_err(no(path))?;
    }
    eprint!("{}", summary(&settings, messages, &expected));
    Ok(())
}

fn no(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    move |why| Failure::usage(format!("{} can't be written: {why}", path.display()))
}

fn write_rules(dir: &Path) -> Outcome {
    let (sample, text) = traffic::SAMPLE;
    for (path, text) in [(dir.join(sample), text), (dir.join("generated.yml"), traffic::RULE)] {
        let parent = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(parent).map_err(no(parent))?;
        std::fs::write(&path, text).map_err(no(&path))?;
    }
    Ok(())
}

fn write_truth(expected: &Expected, file: File) -> std::io::Result<()> {
    let mut file = BufWriter::new(file);
    for call in &expected.truth {
        serde_json::to_writer(&mut file, call)?;
        writeln!(file)?;
    }
    file.flush()
}

fn summary(settings: &Settings, messages: u64, expected: &Expected) -> String {
    let mut text = format!(
        "{} incidents, {messages} messages: {} calls must be made;\n\
         {} incidents lead to some, {} alerts are incomplete\n",
        settings.incidents,
        expected.truth.len(),
        expected.incidents_with_calls,
        expected.incomplete.len(),
    );
    for number in 0..settings.tenants {
        text.push_str(&format!("tenant {}\n", traffic::tenant(number)));
    }
    text
}

/// Between 2000 and 9999, so that hours before it are of this era too, and it has four digits.
fn time(text: &str) -> Result<Wall, String> {
    let in_range = |at: &Wall| (946_684_800_000_000..253_402_300_800_000_000).contains(&at.0);
    Wall::parse(text)
        .filter(in_range)
        .ok_or_else(|| "no time such as 2027-01-31T10:00:00Z, from the year 2000 on".to_owned())
}
