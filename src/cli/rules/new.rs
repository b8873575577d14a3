//! `lazaret rules new`: a rule to start from, made of a sample alert.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::say;
use crate::cli::place::NamedBy;
use crate::cli::{Failure, Outcome};
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::rules::{self, Starter};

#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// File with a sample alert, best one below the rules, in samples/
    #[arg(long, value_name = "FILE")]
    alert: PathBuf,
    /// Name of the sample's format
    #[arg(long, default_value = "defender-alert")]
    format: String,
    /// Write to this file, which is not there yet; else to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Directory of rules. Default: the one that the configuration names, or ./rules where there
    /// is no configuration
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    config: NamedBy,
}

/// Exit code 1: no rule can be made of the sample; 2: a file or format does not exist, or the file
/// to be written does.
pub(super) fn run(args: &New) -> Outcome {
    let dir = args.config.resolve(args.rules.as_deref())?;
    let file = args.alert.display();
    let sample = std::fs::read_to_string(&args.alert)
        .map_err(|why| Failure::usage(format!("{file} can't be read: {why}")))?;
    let clock = SystemClock::new();
    let checked = rules::check_formats(&dir, clock.now().wall);
    checked.formats.find(&args.format).map_err(Failure::usage)?;
    let below = below(&args.alert, &dir);
    let alert = below.clone().unwrap_or_else(|| format!("samples/{}", name(&args.alert)));
    let id = clock.random_id().to_string();
    let starter = Starter { id: &id, alert: &alert, format: &args.format, sample: &sample };
    let text = starter.write(&checked.formats).map_err(|why| {
        let how = "; is --format the one that it is in?";
        Failure::wrong(format!("no rule can be made of {file}: {why}{how}"))
    })?;
    match &args.out {
        None => say(std::iter::empty(), &text)?,
        Some(out) => write_new(out, &text)?,
    }
    if below.is_none() {
        let (from, to) = (file, dir.join(&alert));
        let said =
            format!("its tests read {}; to go on: cp -n {from} {}", to.display(), to.display());
        eprint!("{}", crate::cli::style::prose(&said));
    }
    Ok(())
}

/// The path of a file that lies below a directory, from there.
fn below(file: &Path, dir: &Path) -> Option<String> {
    let (file, dir) = (file.canonicalize().ok()?, dir.canonicalize().ok()?);
    Some(file.strip_prefix(dir).ok()?.to_str()?.to_owned())
}

fn name(file: &Path) -> String {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "alert.json".to_owned())
}

/// Writes a file that must not be there: somebody's rule is never lost.
fn write_new(out: &Path, text: &str) -> Outcome {
    let file = std::fs::File::options().write(true).create_new(true).open(out);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|why| {
        let out = out.display();
        Failure::usage(match why.kind() {
            std::io::ErrorKind::AlreadyExists => {
                format!("{out} is there already: name another file")
            }
            _ => format!("{out} can't be written: {why}"),
        })
    })
}
