//! `lazaret rules backtest`: what rules would have done with alerts that were kept in a file.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::place::NamedBy;
use super::style::{beside, clean, counted, table};
use super::{Failure, Outcome};
use crate::domain::alert::Alert;
use crate::domain::join::Partial;
use crate::domain::rule::Ruleset;
use crate::domain::time::Wall;
use crate::formats::{self, Formats, Reader};
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::rules::backtest::{Backtest, Effect, Outcome as Came};
use crate::rules::{self, Loaded};

/// Show what the rules would have done with alerts of the past, those in mode observe too
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File of alerts, one a line; they are judged in the order of their times
    #[arg(long, value_name = "FILE")]
    alerts: PathBuf,
    /// Format of the alerts
    #[arg(long, default_value = "defender-alert")]
    format: String,
    /// Another directory of rules: what would be done otherwise by those
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Directory of rules. Default: the one that the configuration names, or ./rules where there is
    /// no configuration
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Calls that Defender takes in an hour
    #[arg(long, default_value_t = 1500, value_name = "CALLS")]
    budget: u64,
    #[command(flatten)]
    config: NamedBy,
}

/// What `alert.tenant` and `alert.source` are of an alert in a file.
const NAMED: &str = "file";

/// Calls that a comparison lists; the rest is counted.
const LISTED: usize = 20;

/// Bytes between two looks at how far it is.
const PROGRESS_EVERY: usize = 16 * 1024 * 1024;

/// Exit code 0: it is shown; 1: rules or alerts can't be read; 2: there is no such thing.
pub fn run(args: Args) -> Outcome {
    let now = SystemClock::new().now().wall;
    let enforced = |dir: &Path| -> Result<(Ruleset, Formats), Failure> {
        let loaded = rules::load(dir, now).map_err(|why| Failure::wrong(why.to_string()))?;
        let Loaded { ruleset, formats, .. } = loaded;
        Ok((ruleset.as_if_enforced(), formats))
    };
    let dir = args.config.resolve(args.rules.as_deref())?;
    let (ruleset, formats) = enforced(&dir)?;
    let other = args.against.as_deref().map(enforced).transpose()?;
    let reader = formats.find(&args.format).map_err(Failure::usage)?;
    let place = args.alerts.display();
    let body = std::fs::read(&args.alerts)
        .map_err(|why| Failure::usage(format!("{place} can't be read: {why}")))?;
    let begin = || -> Vec<Backtest<'_>> {
        let sets = std::iter::once(&ruleset).chain(other.iter().map(|(rules, _)| rules));
        sets.map(Backtest::new).collect()
    };
    let mut runs = begin();
    let mut read = feed(reader, &body, &mut runs);
    if read.is_backward {
        // Windows and breakers are right in the order of the alerts' times.
        read.lines.sort_by_key(|(at, _)| *at);
        let lines: Vec<&[u8]> = read.lines.iter().map(|(_, line)| &body[line.clone()]).collect();
        let (mut again, sorted) = (begin(), lines.join(&b'\n'));
        read = feed(reader, &sorted, &mut again);
        runs = again;
    }
    let mut came = runs.into_iter().map(Backtest::outcome);
    let (first, second) = (came.next().expect("there is one"), came.next());
    let mut text = format!(
        "{} of {}, {} unreadable, judged by {}\n",
        counted(first.alerts as usize, "alert"),
        clean(&place.to_string()),
        read.unreadable,
        dir.display()
    );
    text.push_str(&shown(&first, &ruleset, args.budget));
    if let (Some(second), Some((rules, _)), Some(dir)) = (&second, &other, &args.against) {
        let _ = writeln!(text, "\nBy {}:", dir.display());
        text.push_str(&shown(second, rules, args.budget));
        text.push_str(&compared(&first, &ruleset, second, rules));
    }
    for why in read.why.iter() {
        text.push_str(&beside("", 0, &clean(&format!("first unreadable: {why}"))));
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::wrong)
}

/// What could not be judged as it stands there.
#[derive(Default)]
struct Read {
    unreadable: u64,
    /// The first of them, with its line.
    why: Option<String>,
    /// Whether an alert stands behind one that was created after it.
    is_backward: bool,
    newest: Option<Wall>,
    /// Where each line stands, with the time of its last alert.
    lines: Vec<(Option<Wall>, Range<usize>)>,
}

/// Judges each line. Rows of a stream are joined first, as if all had come.
fn feed(reader: &Reader, body: &[u8], runs: &mut [Backtest<'_>]) -> Read {
    let mut read = Read::default();
    let mut joins = Joins::new();
    let mut progress = Progress::new(body.len());
    let mut at = 0;
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let from = at;
        at += line.len() + 1;
        progress.show(at);
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let whys = if reader.has_rows() {
            join(line, &mut joins)
        } else {
            let whys = one_line(reader, line, runs, &mut read);
            read.lines.push((read.newest, from..from + line.len()));
            whys
        };
        read.unreadable += whys.len() as u64;
        if let (None, Some(why)) = (&read.why, whys.into_iter().next()) {
            read.why = Some(format!("line {}: {why}", number + 1));
        }
    }
    let ended = joins.into_iter().filter_map(|((_, id), mut partial)| partial.end_all(&id));
    let mut alerts: Vec<_> = ended.filter(|one| one.lacks.is_none()).map(|one| one.alert).collect();
    alerts.sort_by_key(|alert| alert.created);
    alerts.into_iter().for_each(|alert| judge(alert, runs, &mut read));
    read
}

/// By tenant and alert.
type Joins = BTreeMap<(Option<String>, String), Partial>;

/// Adds the rows of a line to their alerts. Why some do not read.
fn join(line: &[u8], joins: &mut Joins) -> Vec<String> {
    let rows = match formats::rows(line) {
        Ok(rows) => rows,
        Err(why) => return vec![why.to_string()],
    };
    let mut whys = Vec::new();
    for row in rows {
        match row.map(|one| (one.tenant_id, one.row)) {
            Ok((tenant, Ok(row))) => {
                joins.entry((tenant, row.alert.clone())).or_default().add(row);
            }
            Ok((_, Err(_))) => {}
            Err((_, why)) => whys.push(why.to_string()),
        }
    }
    whys
}

/// Judges the alerts of a line. Why some do not read.
fn one_line(
    reader: &Reader,
    line: &[u8],
    runs: &mut [Backtest<'_>],
    read: &mut Read,
) -> Vec<String> {
    if let Some((_, alert)) = reader.decode_only(line) {
        judge(alert, runs, read);
        return Vec::new();
    }
    let cuts = match reader.cut(line) {
        Ok(cuts) => cuts,
        Err(why) => return vec![why.to_string()],
    };
    let mut whys = Vec::new();
    for cut in &cuts {
        match reader.decode_cut(cut) {
            Ok(alert) => judge(alert, runs, read),
            Err(why) => whys.push(why.to_string()),
        }
    }
    whys
}

fn judge(alert: Alert<'_>, runs: &mut [Backtest<'_>], read: &mut Read) {
    let mut alert = alert;
    let now = alert.created.unwrap_or(Wall(0));
    read.is_backward |= read.newest.is_some_and(|newest| now < newest);
    read.newest = Some(now);
    formats::came_by(&mut alert, NAMED, NAMED, now);
    runs.iter_mut().for_each(|run| run.take(&alert));
}

/// How far it is, on a terminal.
struct Progress {
    bytes: usize,
    next: usize,
    shows: bool,
}

impl Progress {
    fn new(bytes: usize) -> Self {
        let shows = bytes > PROGRESS_EVERY && std::io::stderr().is_terminal();
        Self { bytes, next: PROGRESS_EVERY, shows }
    }

    fn show(&mut self, at: usize) {
        if self.shows && (at >= self.next || at >= self.bytes) {
            self.next = at + PROGRESS_EVERY;
            let percent = at.min(self.bytes) * 100 / self.bytes;
            let end = if at >= self.bytes { "\r        \r" } else { "" };
            // Where it can't be shown, nothing is lost.
            let _ = write!(std::io::stderr(), "\r{percent:3} %{end}");
        }
    }
}

fn title(rules: &Ruleset, id: &str) -> String {
    clean(rules.title(id).unwrap_or(id))
}

fn shown(came: &Came, rules: &Ruleset, budget: u64) -> String {
    let calls = came.calls();
    let (machines, files) = came.touched();
    let mut text = String::from("\n");
    for (fate, count) in &came.fates {
        let _ = writeln!(text, "{count:10}  {}", fate.as_str().replace('_', " "));
    }
    let said = format!(
        "\n{} for {} and {}: {:.1} hours of a budget of {budget} calls an hour",
        counted(calls as usize, "call"),
        counted(machines, "machine"),
        counted(files, "file"),
        calls as f64 / budget.max(1) as f64
    );
    text.push_str(&beside("", 0, &said));
    if let Some((at, calls)) = came.busiest_minute() {
        let _ = writeln!(text, "Busiest minute: {} from {at}", counted(calls as usize, "call"));
    }
    let mut rows: Vec<Vec<String>> = vec![
        ["calls", "held", "protected", "machines", "files", "rule"].map(String::from).to_vec(),
    ];
    for (id, of) in &came.rules {
        let numbers =
            [of.acts, of.held, of.protected, of.machines.len() as u64, of.files.len() as u64];
        let mut row: Vec<String> = numbers.iter().map(u64::to_string).collect();
        row.push(super::actions::shortened(&title(rules, id), 38));
        rows.push(row);
    }
    if rows.len() > 1 {
        text.push('\n');
        text.push_str(&table(&rows));
    }
    for trip in &came.trips {
        let (rule, breaker, rate) = (title(rules, &trip.rule), trip.breaker, trip.rate);
        let said = format!("{rule}: breaker {breaker} ({rate}) would have held from {}", trip.at);
        text.push_str(&beside("", 0, &said));
    }
    text
}

/// Calls that only one of two rule sets would have made.
fn compared(first: &Came, of_first: &Ruleset, second: &Came, of_second: &Ruleset) -> String {
    let mut text = String::from("\n");
    let mut list = |sign: &str, these: &Came, rules: &Ruleset, those: &Came| {
        let is_more =
            |effect: &Effect, calls: usize| calls > those.calls.get(effect).map_or(0, Vec::len);
        let more: HashMap<_, _> =
            these.calls.iter().filter(|(effect, calls)| is_more(effect, calls.len())).collect();
        let mut more: Vec<_> = more.into_iter().collect();
        more.sort_by_key(|(effect, calls)| (calls[0].0, effect.0.to_string()));
        for ((machine, sha1), calls) in more.iter().take(LISTED) {
            let (at, rule) = &calls[0];
            let said = format!("{at} {machine} {sha1} {}", title(rules, rule));
            text.push_str(&beside(&format!("{sign} "), 2, &said));
        }
        if more.len() > LISTED {
            let _ = writeln!(text, "{sign} … {} more", more.len() - LISTED);
        }
        more.len()
    };
    let gone = list("-", first, of_first, second);
    let new = list("+", second, of_second, first);
    let _ = writeln!(text, "{gone} of the first only, {new} of the second only");
    text
}
