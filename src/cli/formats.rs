//! `lazaret formats check|test|list|try`: format files on the command line, with no service and no
//! store.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::place::{DirArg, NamedBy};
use super::rules::{located, outcome, say, trials, verdict};
use super::style::{beside, clean, counted};
use super::{Failure, Outcome};
use crate::domain::candidate::{Candidate, Field, Value};
use crate::formats::mapped::{Explained, Told};
use crate::formats::{Cut, Format, Reader};
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::rules::{self, CheckedFormats};

/// Check, test or list the formats of a directory of rules, or try one on an alert
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say everything that is wrong with the formats, with file, line and column
    Check(DirArg),
    /// Run the tests inside the format files
    Test(DirArg),
    /// Show the formats that a source can name
    List(DirArg),
    /// Show what a format reads of an alert, from where, and what it does not read
    Try {
        /// Name of the format
        #[arg(long)]
        format: String,
        /// File with one or more alerts
        #[arg(long)]
        file: PathBuf,
        /// Directory of rules. Default: the one that the configuration names, or ./rules where
        /// there is no configuration
        #[arg(long, value_name = "DIR")]
        rules: Option<PathBuf>,
        #[command(flatten)]
        config: NamedBy,
    },
}

/// Exit code 0: all is well; 1: a format or an alert is wrong; 2: there is no such directory,
/// format or file.
pub fn run(args: Args) -> Outcome {
    let dir = &match &args.command {
        Command::Check(dir) | Command::Test(dir) | Command::List(dir) => dir.resolve()?,
        Command::Try { rules, config, .. } => config.resolve(rules.as_deref())?,
    };
    let of_formats = &dir.join("formats");
    if dir.ends_with("formats") && !of_formats.exists() {
        let above = dir.parent().unwrap_or(Path::new(".")).display();
        let what =
            format!("{} holds formats; DIR is the directory of rules above it", dir.display());
        return Err(Failure::usage(format!("{what}: {above}")));
    }
    let checked = rules::check_formats(dir, SystemClock::new().now().wall);
    let (of, problems) = (&checked.trials, &checked.problems);
    match &args.command {
        Command::Check(_) => {
            let count = checked.listed.len();
            say(problems.iter(), &verdict(count, "format", of, problems, of_formats))?;
        }
        Command::Test(_) => {
            // The list of the tests says what came out of each.
            let told = problems.iter().filter(|problem| !problem.is_failed_test);
            say(told, &trials(of, problems, of_formats))?;
        }
        Command::List(_) => say(problems.iter(), &table(&checked, of_formats))?,
        Command::Try { format, file, .. } => return attempt(&checked, dir, format, file),
    }
    outcome(dir, checked.is_sound())
}

/// The formats by name, each with what it is for.
fn table(checked: &CheckedFormats, dir: &Path) -> String {
    let mut rows: Vec<(String, String, String)> = Format::ALL
        .iter()
        .map(|format| (format.as_str().to_owned(), "built in".to_owned(), about(*format)))
        .collect();
    let listed = checked.listed.iter();
    rows.extend(
        listed.map(|one| (one.name.clone(), counted(one.tests, "test"), one.description.clone())),
    );
    let mut text = format!("{:32}  {}\n", "FORMAT", "TESTS");
    for (name, tests, description) in rows {
        let _ = writeln!(text, "{name:32}  {tests}");
        text.push_str(&beside("  ", 2, &clean(&description)));
    }
    let said = format!("{} built in, {}", Format::ALL.len(), checked.listed.len());
    text.push_str(&located(&said, dir));
    text
}

fn about(format: Format) -> String {
    match format {
        Format::DefenderAlert => "Alerts of the Defender for Endpoint API.",
        Format::DefenderXdr => "Rows of the Defender XDR streaming API (Event Hubs).",
        Format::GraphAlert => "Alerts of Microsoft Graph (alerts_v2).",
        Format::SentinelIncident => "Incidents of Microsoft Sentinel (trigger of a Logic App).",
    }
    .to_owned()
}

/// Shows what one format reads of the alerts of a file. Its own tests need not pass.
fn attempt(checked: &CheckedFormats, dir: &Path, format: &str, file: &Path) -> Outcome {
    let own = |name: &str| Path::new(name).file_stem().is_some_and(|stem| stem == format);
    let reader = match checked.formats.find(format) {
        Ok(reader) => reader,
        Err(why) => {
            let of_it = checked.problems.iter().filter(|problem| own(problem.file()));
            say(of_it.clone(), "")?;
            let has_file = of_it.count() > 0;
            outcome(dir, true)?;
            return Err(if has_file { Failure::wrong("") } else { Failure::usage(why) });
        }
    };
    let body = std::fs::read(file)
        .map_err(|why| Failure::usage(format!("{} can't be read: {why}", file.display())))?;
    let alerts =
        reader.cut(&body).map_err(|why| Failure::wrong(format!("{}: {why}", file.display())))?;
    let mut text = String::new();
    let mut is_sound = true;
    if alerts.is_empty() {
        text.push_str("no alert in it, or only records that are passed over\n");
    }
    for (at, cut) in alerts.iter().enumerate() {
        let _ = writeln!(text, "alert {} of {}, as {format}", at + 1, alerts.len());
        match shown(reader, cut) {
            Ok((shown, sound)) => {
                text.push_str(&shown);
                is_sound &= sound;
            }
            Err(why) => {
                text.push_str(&beside("  ", 2, &format!("unreadable: {}", clean(&why))));
                is_sound = false;
            }
        }
    }
    say(std::iter::empty(), &text)?;
    if is_sound { Ok(()) } else { Err(Failure::wrong("")) }
}

/// What a format reads of one alert, and whether the alert can be read at all.
fn shown(reader: &Reader, cut: &Cut<'_>) -> Result<(String, bool), String> {
    match (reader, cut) {
        (_, Cut::Bad { why, .. }) => Err(why.to_string()),
        (Reader::Mapped(mapped), Cut::Alert(alert)) => {
            let explained = mapped.explain(alert).map_err(|why| why.to_string())?;
            Ok((explanation(&explained), explained.id.is_ok()))
        }
        (Reader::BuiltIn(format), Cut::Alert(alert)) => {
            let alert = format.decode(alert).map_err(|why| why.to_string())?;
            let mut text = String::new();
            let pairs = alert.candidates.len();
            for (at, candidate) in alert.candidates.iter().enumerate() {
                let told: Vec<Told> = candidate
                    .fields
                    .present()
                    .map(|(field, value)| Told {
                        name: field.name(),
                        value: owned(value),
                        from: None,
                        why: None,
                    })
                    .collect();
                text.push_str(&pair(at, pairs, candidate, &told));
            }
            text.push_str(&no_pair(pairs));
            Ok((text, true))
        }
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Absent => Value::Absent,
        Value::Empty => Value::Empty,
        Value::Number(number) => Value::Number(*number),
        Value::Text(text) => Value::Text(text.clone().into_owned().into()),
        Value::List(list) => {
            Value::List(list.iter().map(|item| item.clone().into_owned().into()).collect())
        }
    }
}

fn explanation(explained: &Explained) -> String {
    const UNREAD: usize = 40;
    let mut text = fields(&explained.alert);
    if let Err(why) = &explained.id {
        text.push_str(&beside("  ", 2, &format!("unreadable: {}", clean(&why.to_string()))));
    }
    let pairs = explained.candidates.len();
    for (at, (candidate, told)) in explained.candidates.iter().enumerate() {
        text.push_str(&pair(at, pairs, candidate, told));
    }
    text.push_str(&no_pair(pairs));
    if !explained.unread.is_empty() {
        let _ = writeln!(text, "not read by this format");
        for place in explained.unread.iter().take(UNREAD) {
            let _ = writeln!(text, "  {}", clean(place));
        }
        let more = explained.unread.len().saturating_sub(UNREAD);
        if more > 0 {
            let _ = writeln!(text, "  and {more} more");
        }
    }
    text
}

fn no_pair(pairs: usize) -> String {
    let why = "no pair of file and machine: the alert leads to nothing";
    if pairs == 0 { format!("{why}\n") } else { String::new() }
}

/// One pair: its fields, and whether it can act.
fn pair(at: usize, of: usize, candidate: &Candidate<'_>, told: &[Told]) -> String {
    let mut text = format!("pair {} of {of}\n", at + 1);
    text.push_str(&fields(told));
    match (&candidate.machine, &candidate.sha1) {
        (Ok(machine), Ok(sha1)) => {
            let _ = writeln!(text, "  complete: machine {machine}");
            let _ = writeln!(text, "            file    {sha1}");
        }
        (machine, sha1) => {
            for why in [machine.as_ref().err(), sha1.as_ref().err()].into_iter().flatten() {
                text.push_str(&beside("  ", 2, &format!("incomplete: {}", clean(&why.0))));
            }
        }
    }
    let derived = [Field::AlertMachines, Field::AlertFiles].map(|field| {
        let value = candidate.fields.get(field);
        (field.name(), if *value == Value::Absent { "unknown".to_owned() } else { display(value) })
    });
    for (name, value) in derived {
        let _ = writeln!(text, "  {name:WIDTH$}  {value}");
    }
    text
}

/// Columns that the longest name of a field takes.
const WIDTH: usize = 22;

fn fields(told: &[Told]) -> String {
    let mut text = String::new();
    for told in told {
        let from = |word: &str| told.from.as_ref().map(|from| format!("{word}{from}"));
        let said = match (&told.value, &told.why) {
            (_, Some(why)) => {
                format!("absent: what stands{} {why}", from(" at ").unwrap_or_default())
            }
            (Value::Absent, None) => "absent: nothing says it".to_owned(),
            (value, None) => format!("{}{}", display(value), from(" from ").unwrap_or_default()),
        };
        text.push_str(&beside(&format!("  {:WIDTH$}  ", told.name), WIDTH + 4, &clean(&said)));
    }
    text
}

fn display(value: &Value<'_>) -> String {
    match value {
        Value::Absent => "absent".to_owned(),
        Value::Empty => "none (known to be empty)".to_owned(),
        // As rules write it: with \ once.
        Value::Text(text) => format!("\"{text}\""),
        Value::Number(number) => number.to_string(),
        Value::List(list) => format!("{list:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Wall;

    fn shipped() -> CheckedFormats {
        rules::check_formats(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules"), Wall(0))
    }

    fn tried(format: &str, sample: &str) -> (String, bool) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/samples");
        let text = std::fs::read_to_string(dir.join(sample)).unwrap();
        let formats = shipped().formats;
        let alerts = crate::formats::split(text.as_bytes()).unwrap();
        shown(formats.find(format).unwrap(), &alerts[0]).unwrap()
    }

    #[test]
    fn all_formats_show_as_a_table_that_fits_80_columns() {
        let shown = table(&shipped(), Path::new("./rules/formats"));
        assert!(shown.ends_with("\n4 built in, 7 in ./rules/formats\n"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
        assert!(shown.starts_with("FORMAT "), "{shown}");
        assert_eq!(
            shown.lines().filter(|line| line.ends_with("built in")).count(),
            Format::ALL.len()
        );
        assert_eq!(shown.lines().filter(|line| line.contains("  1 test")).count(), 3);
    }

    #[test]
    fn a_trial_shows_what_is_read_from_where_and_what_is_not_and_why() {
        let (shown, is_sound) = tried("wazuh", "wazuh.json");
        assert!(is_sound);
        for line in [
            "  alert.severity          \"High\" from $.rule.level",
            "  file.path               \"c:\\users\\kim\\downloads\" from $.syscheck.path",
            "  incomplete: machine.id is the host \"win-14\", which machines.csv does not have",
            "  alert.machines          unknown",
            "not read by this format",
            "  $.rule.groups[1]",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
        }
        let (shown, _) = tried("generic", "generic.json");
        assert!(shown.contains("  file.path               absent: nothing says it\n"), "{shown}");
        assert!(shown.contains("  complete: machine 6b1f0c94d2e7a85f30c6d1498be27a0f53cd9e14\n"));
        let (shown, _) = tried("splunk", "splunk-devices.json");
        let why = "incomplete: machine.id is a list, and only one value can be";
        assert!(shown.contains(why), "{shown}");
        for (format, sample) in [("ocsf", "ocsf.json"), ("crowdstrike", "crowdstrike-epp.json")] {
            let (shown, _) = tried(format, sample);
            // A value that is longer than a line stands alone, whole.
            let fits = |line: &str| line.chars().count() <= 80 || !line.trim().contains(' ');
            assert!(shown.lines().all(fits), "{shown}");
        }
    }

    #[test]
    fn a_trial_of_the_wrong_format_says_so() {
        let (shown, is_sound) = tried("wazuh", "generic.json");
        assert!(is_sound && shown.contains("no pair of file and machine"), "{shown}");
        let (shown, is_sound) = tried("crowdstrike", "wazuh.json");
        assert!(!is_sound && shown.contains("  unreadable: the alert has no id"), "{shown}");
        let (shown, is_sound) = tried("defender-alert", "defender-malware.json");
        assert!(is_sound && shown.contains("file.sha1"), "{shown}");
        assert!(!shown.contains("not read by"), "{shown}");
    }
}
