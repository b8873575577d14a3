//! `lazaret audit export`: entries as lines, however many there are.

use std::io::{self, BufWriter, Write};

use clap::{Args as ClapArgs, ValueEnum};

use super::{ConfigArg, Failure, Outcome, open};
use crate::cli::csv::record;
use crate::domain::time::Wall;
use crate::io::AuditLine;
use crate::io::store::Chains;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// The first day, such as 2026-11-01, or the first moment in RFC 3339
    #[arg(long)]
    from: Option<String>,
    /// The last day, which counts whole in UTC, or the last moment
    #[arg(long)]
    to: Option<String>,
    /// Only this chain: a tenant's name, or * for what belongs to none
    #[arg(long)]
    chain: Option<String>,
    /// How entries are written
    #[arg(long, default_value = "ndjson")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line; `entry` holds the bytes that its hash covers
    Ndjson,
    /// For spreadsheets: RFC 4180, and no cell is a formula
    Csv,
}

/// Entries in memory at once.
const PAGE: usize = 1000;

pub(super) fn run(args: Args) -> Outcome {
    let range = Range::new(args.from.as_deref(), args.to.as_deref())?;
    let chains = open(&args.config)?;
    if let Some(name) = &args.chain {
        let heads = chains.heads().map_err(Failure::wrong)?;
        if !heads.iter().any(|head| head.chain == *name) {
            let there: Vec<_> = heads.into_iter().map(|head| head.chain).collect();
            let why = format!("there is no chain {name:?}; there are {}", there.join(", "));
            return Err(Failure::usage(why));
        }
    }
    let mut to = BufWriter::new(io::stdout().lock());
    let failed = |why: io::Error| Failure::wrong(format!("standard output: {why}"));
    if args.format == Format::Csv {
        to.write_all(record(COLUMNS.iter().copied()).as_bytes()).map_err(failed)?;
    }
    let mut unreadable = 0_u64;
    each(&chains, |line| {
        if args.chain.as_ref().is_some_and(|chain| *chain != line.chain) {
            return Ok(());
        }
        // An entry that does not say when it was written could be of any time.
        unreadable += u64::from(line.at.is_none());
        if line.at.is_some_and(|at| !range.holds(at)) {
            return Ok(());
        }
        match args.format {
            Format::Ndjson => {
                let json = serde_json::to_string(line).expect("a line is plain data");
                writeln!(to, "{json}")
            }
            Format::Csv => {
                let record = record(cells(line).iter().map(String::as_str));
                to.write_all(record.as_bytes())
            }
        }
        .map_err(failed)
    })?;
    to.flush().map_err(failed)?;
    if unreadable > 0 {
        return Err(Failure::wrong(format!(
            "{unreadable} entries do not say when they were written, and are in the export as \
             they are: run lazaret audit verify"
        )));
    }
    Ok(())
}

/// All entries there are at the beginning, a page at a time, each with a short look at the store:
/// a running service is not held up.
fn each(
    chains: &Chains,
    mut take: impl FnMut(&AuditLine) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let page = chains.page(after, PAGE).map_err(Failure::wrong)?;
        for line in &page {
            take(line)?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = last.position,
            _ => return Ok(()),
        }
    }
}

struct Range {
    from: Option<Wall>,
    to: Option<Wall>,
}

impl Range {
    fn new(from: Option<&str>, to: Option<&str>) -> Result<Self, Failure> {
        let no_time = |option: &str, text: &str| {
            let why = "is no time: write 2026-11-01, or 2026-11-01T18:00:00Z";
            Failure::usage(format!("{option} {text:?} {why}"))
        };
        let first = from.map(|t| Wall::parse(t).ok_or_else(|| no_time("--from", t))).transpose()?;
        let last = to.map(|t| Wall::parse_last(t).ok_or_else(|| no_time("--to", t))).transpose()?;
        if let (Some(first), Some(last)) = (first, last)
            && first > last
        {
            let why = format!("--from {first} is later than --to {last}: no entry is of that time");
            return Err(Failure::usage(why));
        }
        Ok(Self { from: first, to: last })
    }

    fn holds(&self, at: Wall) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at <= to)
    }
}

const COLUMNS: &[&str] = &[
    "position", "chain", "sequence", "at", "actor", "what", "reason", "action", "details", "hash",
];

fn cells(line: &AuditLine) -> [String; 10] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    [
        line.position.to_string(),
        line.chain.clone(),
        line.sequence.to_string(),
        line.at.map(|at| at.to_string()).unwrap_or_default(),
        text(&line.actor),
        text(&line.what),
        text(&line.reason),
        text(&line.action),
        line.details(),
        line.hash.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_last_day_and_never_ends_before_it_begins() {
        let at = |text| Wall::parse(text).unwrap();
        let range = Range::new(Some("2026-11-01"), Some("2026-11-02")).unwrap();
        assert!(range.holds(at("2026-11-01T00:00:00Z")) && range.holds(at("2026-11-02T23:59:59Z")));
        assert!(!range.holds(at("2026-10-31T23:59:59Z")) && !range.holds(at("2026-11-03")));
        assert!(Range::new(None, None).unwrap().holds(at("2026-11-03")));
        assert!(Range::new(Some("2026-11-02"), Some("2026-11-02")).is_ok());
        for (from, to) in [("2026-11-03", "2026-11-02"), ("soon", "2026-11-02")] {
            assert!(Range::new(Some(from), Some(to)).is_err(), "{from} {to}");
        }
    }
}
