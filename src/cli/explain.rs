//! `lazaret rules explain`: how each rule stands to each candidate of an alert, or to an action's.

mod origin;
mod page;
mod payload;
mod report;
mod stored;

use std::path::{Path, PathBuf};

use super::client::ConfigArg;
use super::place;
use super::style::{Style, print_json};
use super::{Failure, Outcome, runtime};
use crate::domain::rule::Ruleset;
use crate::domain::time::Wall;
use crate::formats;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::rules::{self, Checked, Problems};
use page::Page;
use report::{Asked, From, OfAlert, Payload, Report, names};
use stored::Asking;

/// In a line that fits.
const USAGE: &str = "lazaret rules explain [OPTIONS] <--alert FILE|--alert-id ID|--action ID>";

/// Show how each rule stands to an alert or an action, part by part
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub struct Args {
    #[command(flatten)]
    of: Of,
    /// Tenant of the alert that --alert-id names, where several have one of that id
    #[arg(long, value_name = "NAME", requires = "alert_id")]
    tenant: Option<String>,
    /// Format of the alert. Default: of a file defender-alert, else what its source names
    #[arg(long)]
    format: Option<String>,
    /// Show every part of these rules alone, by id or by the start of their title. Default: of
    /// those that match or could, and of the nearest where none does
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// Directory of rules. Default: the one that the configuration names, or ./rules where there is
    /// no configuration
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Print it as JSON, with all parts of all rules
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Of {
    /// File with one or more alerts, judged as if they had come at once
    #[arg(long, value_name = "FILE")]
    alert: Option<PathBuf>,
    /// Id of an alert that has come: what was decided each time, by which rule set, and what these
    /// rules say of it now
    #[arg(long, value_name = "ID")]
    alert_id: Option<String>,
    /// Id of an action, or an unambiguous start of it: what was decided then, and what these rules
    /// say of its candidate now
    #[arg(long, value_name = "ID")]
    action: Option<String>,
}

/// What `alert.tenant` and `alert.source` are of an alert in a file.
const NAMED: &str = "file";

/// The format of a file where nobody names one.
const FORMAT: &str = "defender-alert";

/// Exit code 0: it is shown; 1: rules or alert can't be read; 2: there is no such thing.
pub fn run(args: Args) -> Outcome {
    let dir = place::of_rules(args.rules.as_deref(), &args.config)?;
    let now = SystemClock::new().now().wall;
    let Checked { ruleset, untested, formats, problems, .. } = rules::check(&dir, now);
    if untested.is_some() {
        let dir = dir.display();
        eprintln!(
            "A test fails, so a service would not take these rules: lazaret rules test {dir}"
        );
    }
    let Some(ruleset) = ruleset.or(untested) else {
        return Err(Failure::wrong(Problems(problems).to_string()));
    };
    args.rule.iter().try_for_each(|name| known(&ruleset, name))?;
    let asking = Asking {
        asked: Asked { rules: &ruleset, only: &args.rule },
        formats: &formats,
        format: args.format.as_deref(),
        config: &args.config,
        now,
    };
    let report = match (&args.of.alert, &args.of.alert_id, &args.of.action) {
        (Some(file), ..) => of_file(&asking, file)?,
        (_, Some(id), _) => runtime(1)?.block_on(asking.of_alert(id, args.tenant.as_deref()))?,
        (.., Some(id)) => runtime(1)?.block_on(asking.of_action(id))?,
        (None, None, None) => return Err(Failure::usage("name an alert or an action")),
    };
    if args.json {
        print_json(&report);
    } else {
        let page = Page { style: Style::of_stdout(), asked: &asking.asked };
        print!("{}", page.of(&report));
    }
    Ok(())
}

/// That a rule has this name, as its id or at the start of its title.
fn known(rules: &Ruleset, name: &str) -> Result<(), Failure> {
    if rules.rules().iter().any(|rule| names(&rule.id, &rule.title, name)) {
        return Ok(());
    }
    let mut correlations = rules.correlations().iter().map(|one| &one.rule);
    if let Some(one) = correlations.find(|rule| names(&rule.id, &rule.title, name)) {
        let why = "is a correlation: name one of the rules that it counts";
        return Err(Failure::usage(format!("--rule {name:?}: {:?} {why}", one.title)));
    }
    // Of a title as many words as were written.
    let begun = |title: &str| {
        let words = title.split_whitespace().take(name.split_whitespace().count());
        words.collect::<Vec<_>>().join(" ")
    };
    let all = rules.rules().iter().flat_map(|rule| [begun(&rule.title), rule.id.clone()]);
    let all: Vec<String> = all.collect();
    let meant = rules::did_you_mean(name, all.iter().map(String::as_str));
    let how = if meant.is_empty() { "; lazaret rules list shows them" } else { &meant };
    Err(Failure::usage(format!("--rule {name:?}: there is no such rule{how}")))
}

fn of_file(asking: &Asking<'_>, file: &Path) -> Result<Report, Failure> {
    let format = asking.format.unwrap_or(FORMAT);
    let reader = asking.formats.find(format).map_err(Failure::usage)?;
    let place = file.display();
    let body = std::fs::read(file)
        .map_err(|why| Failure::usage(format!("{place} can't be read: {why}")))?;
    let cuts = reader.cut(&body).map_err(|why| Failure::wrong(format!("{place}: {why}")))?;
    let mut alerts = Vec::new();
    for cut in &cuts {
        let alert = reader.decode_cut(cut);
        let mut alert = alert.map_err(|why| Failure::wrong(format!("{place}: {why}")))?;
        let now = alert.created.unwrap_or(Wall(0));
        formats::came_by(&mut alert, NAMED, NAMED, now);
        let formats::Cut::Alert(text) = cut else { continue };
        let (origins, untraced) = origin::of_all(reader, text, &alert.candidates);
        let candidates = alert.candidates.iter().zip(&origins);
        let candidates = candidates.map(|(one, origins)| asking.asked.candidate(one, origins));
        let candidates = candidates.collect();
        let (alert, format) = (alert.id.to_string(), Some(format.to_owned()));
        alerts.push(OfAlert { alert, format, untraced, candidates });
    }
    let payload = Payload { from: From::File, said: place.to_string() };
    let ruleset = asking.asked.rules.hash().to_owned();
    Ok(Report { ruleset, action: None, receipts: Vec::new(), payload, alerts })
}
