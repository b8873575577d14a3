//! `lazaret rules backtest`: what rules would have done with alerts that were kept in a file, or
//! that a topic still holds.

mod input;
mod origin;
mod page;
mod progress;
mod spread;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::place::NamedBy;
use super::style::{COLUMNS, clean, wrap};
use super::{Failure, Outcome};
use crate::domain::rule::Ruleset;
use crate::domain::time::{Wall, parse_span};
use crate::formats::Formats;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::rules::backtest::{Joins, Judging, Part, Range};
use crate::rules::{self, Loaded};
use input::{Chunk, Input};
use origin::{From, Origin};

/// Show what the rules would have done with alerts of the past, those in mode observe too
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File of alerts, one a line, or kafka:TOPIC for what a topic of the configuration holds now;
    /// they are judged in the order of their times
    #[arg(long, value_name = "FILE|kafka:TOPIC", value_parser = origin::from)]
    alerts: From,
    /// Only alerts that were created then or later, or messages published then or later: a time
    /// such as 2027-01-31T10:00:00Z, a day, or a span back from now such as 24h
    #[arg(long, value_name = "TIME", value_parser = first)]
    from: Option<When>,
    /// Only those until then, this time or whole day included
    #[arg(long, value_name = "TIME", value_parser = last)]
    to: Option<When>,
    /// Format of the alerts. Default: the source's, or defender-alert for a file without one
    #[arg(long)]
    format: Option<String>,
    /// Source of the configuration that the alerts count as coming from, with its format and its
    /// tenants. Default: for a topic the one that reads it; for a file none
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
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

/// A moment, by itself or by how long ago it is.
#[derive(Clone, Copy, Debug)]
enum When {
    At(Wall),
    Ago(std::time::Duration),
}

impl When {
    fn at(self, now: Wall) -> Wall {
        match self {
            When::At(at) => at,
            When::Ago(span) => now - span,
        }
    }
}

/// A day is its first moment.
fn first(text: &str) -> Result<When, String> {
    when(text, Wall::parse(text))
}

/// A day is its last moment.
fn last(text: &str) -> Result<When, String> {
    when(text, Wall::parse_last(text))
}

fn when(text: &str, at: Option<Wall>) -> Result<When, String> {
    let ago = || parse_span(text).map(When::Ago);
    at.map(When::At).or_else(ago).ok_or_else(|| {
        "write a time such as 2027-01-31T10:00:00Z, a day such as 2027-01-31, or a span back from \
         now such as 24h or 7d"
            .to_owned()
    })
}

/// Alerts of a stream that one thread judges at a time.
const JOINED_AT_ONCE: usize = 256;

/// Exit code 0: it is shown; 1: rules or alerts can't be read; 2: there is no such thing.
pub fn run(args: Args) -> Outcome {
    let now = SystemClock::new().now().wall;
    let enforced = |dir: &Path| -> Result<(Ruleset, Formats), Failure> {
        let loaded = rules::load(dir, now).map_err(|why| Failure::wrong(why.to_string()))?;
        let Loaded { ruleset, formats, .. } = loaded;
        Ok((ruleset.as_if_enforced(), formats))
    };
    let range = Range { from: args.from.map(|at| at.at(now)), to: args.to.map(|at| at.at(now)) };
    if range.from.zip(range.to).is_some_and(|(from, to)| from > to) {
        return Err(Failure::usage("--from is later than --to: nothing is between them"));
    }
    let config = args.config.load()?;
    let origin = Origin::find(config.as_ref(), args.alerts, args.source.as_deref())?;
    let dir = args.config.resolve(args.rules.as_deref())?;
    let (ruleset, formats) = enforced(&dir)?;
    let other = args.against.as_deref().map(enforced).transpose()?;
    let format = args.format.as_deref().unwrap_or(&origin.format);
    let reader = formats.find(format).map_err(Failure::usage)?;
    let sets = std::iter::once(&ruleset).chain(other.iter().map(|(rules, _)| rules)).collect();
    let tenants = &origin.tenants;
    // Messages are chosen by their own times, before they are read.
    let of_alerts = if origin.is_topic() { Range::default() } else { range };
    let judging = Judging { reader, sets, tenants, range: of_alerts, now };
    let part = origin.open(range, |input| judged(&judging, input))?;
    let mut text = page::head(&part, &origin.shown(), format, &dir);
    if let (0, Some((_, why))) = (part.alerts + part.outside + part.headless, &part.why) {
        let hint = "an alert has to stand whole in its line, as that format has it";
        return Err(Failure::wrong(format!("{text}{}\n{hint}", clean(why))));
    }
    let why = part.why;
    let mut came = part.judged.into_iter().map(|judged| judged.outcome(tenants));
    let first = came.next().expect("there is one for each rule set");
    text.push_str(&page::shown(&first, &ruleset, tenants, args.budget));
    if let (Some(second), Some((rules, _)), Some(dir)) = (&came.next(), &other, &args.against) {
        text.push('\n');
        wrap(&format!("By {}:", clean(&dir.display().to_string())), COLUMNS)
            .iter()
            .for_each(|line| text.push_str(&format!("{line}\n")));
        text.push_str(&page::shown(second, rules, tenants, args.budget));
        text.push_str(&page::compared(&first, &ruleset, second, rules));
    }
    if let Some((_, why)) = why {
        text.push_str(&page::first_unreadable(&why));
    }
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::wrong)
}

/// Judges all that the input has, on every processor.
fn judged<'r>(judging: &Judging<'r>, mut input: Input<'_>) -> Result<Part<'r>, Failure> {
    let joins = Mutex::new(Joins::default());
    let begin = || judging.begin();
    let has_rows = judging.reader.has_rows();
    let parts = spread::over(
        || input.next(),
        begin,
        |number, chunk: Chunk, part| {
            let mut rows = Vec::new();
            for (place, body) in chunk.pieces() {
                let whys = match body {
                    Err(flaw) => vec![flaw.to_owned()],
                    Ok(body) if has_rows => judging.rows(body, &mut rows),
                    Ok(body) => judging.body(body, number, part),
                };
                part.unread(number, &place, whys);
            }
            if has_rows {
                joins.lock().expect("no thread has panicked").add(number, rows);
            }
        },
    )?;
    let mut alerts = joins.into_inner().expect("no thread has panicked").all();
    let next = || {
        let some: Vec<_> = alerts.by_ref().take(JOINED_AT_ONCE).collect();
        Ok((!some.is_empty()).then_some(some))
    };
    let joined = spread::over(next, begin, |number, some, part| {
        some.into_iter().for_each(|one| judging.joined(one, number, part));
    })?;
    let mut all = judging.begin();
    parts.into_iter().chain(joined).for_each(|part| all.add(part));
    Ok(all)
}
