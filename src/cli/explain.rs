//! `lazaret rules explain`: how each rule stands to each candidate of an alert, or to an action's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::actions::{self, shortened};
use super::client::ConfigArg;
use super::place;
use super::style::{Style, beside, clean};
use super::{Failure, Outcome, runtime};
use crate::domain::candidate::{Field, Fields, Incomplete, Value};
use crate::domain::rule::{
    Explained, Judgement, Mode, Part, Response, Ruleset, Seen, Step, nearest,
};
use crate::domain::time::Wall;
use crate::formats;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::rules;

/// Show how each rule stands to an alert or an action, part by part
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    of: Of,
    /// Format of the alerts
    #[arg(long, default_value = "defender-alert", conflicts_with = "action")]
    format: String,
    /// Show every part of these rules alone, by id or by the start of their title. Default: of
    /// those that match or could, and of the nearest where none does
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// Directory of rules. Default: the one that the configuration names, or ./rules where there is
    /// no configuration
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Of {
    /// File with one or more alerts, judged as if they had come at once
    #[arg(long, value_name = "FILE")]
    alert: Option<PathBuf>,
    /// Id of an action, or an unambiguous start of it: what was decided then, and what these rules
    /// say of its candidate now
    #[arg(long, value_name = "ID")]
    action: Option<String>,
}

/// Longer patterns are cut: they stand in the rule.
const ASKS_CHARS: usize = 48;

/// What `alert.tenant` and `alert.source` are of an alert in a file.
const NAMED: &str = "file";

/// Exit code 0: it is shown; 1: rules or alert can't be read; 2: there is no such thing.
pub fn run(args: Args) -> Outcome {
    let dir = place::of_rules(args.rules.as_deref(), &args.config)?;
    let now = SystemClock::new().now().wall;
    let loaded = rules::load(&dir, now).map_err(|why| Failure::wrong(why.to_string()))?;
    let page = Page { style: Style::of_stdout(), rules: &loaded.ruleset, only: &args.rule };
    let text = match (&args.of.alert, &args.of.action) {
        (Some(file), _) => of_file(&page, &loaded.formats, &args.format, file)?,
        (None, Some(id)) => runtime(1)?.block_on(of_action(&page, &args.config, id, now))?,
        (None, None) => return Err(Failure::usage("name an alert or an action")),
    };
    print!("{text}");
    Ok(())
}

fn of_file(
    page: &Page<'_>,
    formats: &formats::Formats,
    format: &str,
    file: &Path,
) -> Result<String, Failure> {
    let reader = formats.find(format).map_err(Failure::usage)?;
    let place = file.display();
    let body = std::fs::read(file)
        .map_err(|why| Failure::usage(format!("{place} can't be read: {why}")))?;
    let cuts = reader.cut(&body).map_err(|why| Failure::wrong(format!("{place}: {why}")))?;
    let mut text = String::new();
    for cut in &cuts {
        let alert = reader.decode_cut(cut);
        let mut alert = alert.map_err(|why| Failure::wrong(format!("{place}: {why}")))?;
        let now = alert.created.unwrap_or(Wall(0));
        formats::came_by(&mut alert, NAMED, NAMED, now);
        let all = alert.candidates.len();
        let _ = writeln!(text, "alert {}, as {format}", clean(&alert.id));
        if all == 0 {
            text.push_str("It names no file, so there is nothing to judge.\n");
        }
        for (at, candidate) in alert.candidates.iter().enumerate() {
            let shown = |of: Result<String, &Incomplete>| of.unwrap_or_else(|why| why.to_string());
            let machine = shown(candidate.machine.as_ref().map(ToString::to_string));
            let sha1 = shown(candidate.sha1.as_ref().map(ToString::to_string));
            let lacks = candidate.machine.as_ref().err().or(candidate.sha1.as_ref().err());
            let name = match candidate.fields.get(Field::FileName) {
                Value::Text(name) => format!(": {}", clean(name)),
                _ => String::new(),
            };
            let _ = writeln!(text, "\nfile {} of {all}{name}", at + 1);
            text.push_str(&beside("  machine  ", 11, &clean(&machine)));
            text.push_str(&beside("  sha1     ", 11, &clean(&sha1)));
            text.push_str(&page.judged(&candidate.fields, lacks));
        }
    }
    Ok(text)
}

async fn of_action(
    page: &Page<'_>,
    config: &ConfigArg,
    id: &str,
    now: Wall,
) -> Result<String, Failure> {
    let report = actions::show(config, id).await?;
    let unread = || Failure::wrong("what was kept of its candidate does not read");
    let fields = Fields::from_snapshot(&report.candidate.to_string(), now).ok_or_else(unread)?;
    let line = &report.line;
    let mut text = format!("action {}\n", line.id);
    text.push_str(&beside("  machine  ", 11, &line.key.machine.to_string()));
    text.push_str(&beside("  sha1     ", 11, &line.key.sha1.to_string()));
    let same = report.ruleset == page.rules.hash();
    let then = format!(
        "Decided at {} by {}, of the rule set {:.12}{}. It is {} now.",
        line.created,
        report.rules.iter().map(|id| page.name(id)).collect::<Vec<_>>().join(", "),
        report.ruleset,
        if same { ", the one here" } else { "; the one here is another" },
        line.state.name(),
    );
    text.push_str(&beside("", 0, &clean(&then)));
    text.push_str("What the rules here say of it, with the age that it has now:\n");
    text.push_str(&page.judged(&fields, None));
    Ok(text)
}

struct Page<'r> {
    style: Style,
    rules: &'r Ruleset,
    only: &'r [String],
}

impl Page<'_> {
    /// How the rules stand to a candidate, and what that leads to.
    fn judged(&self, fields: &Fields<'_>, lacks: Option<&Incomplete>) -> String {
        let explained = self.rules.explain(fields);
        let nearest = nearest(&explained);
        let judgement = self.rules.judge(fields, Mode::Enforce);
        let denies = |one: &Explained<'_>| one.rule.denies();
        let nothing = matches!(judgement, Judgement::NoMatch { .. });
        let is_shown = |one: &Explained<'_>| match self.only {
            // Nobody asks a deny rule of what nothing would act on.
            [] if denies(one) => one.seen != Seen::Fail && !nothing,
            [] if one.seen != Seen::Fail => true,
            [] => nothing && nearest.is_some_and(|nearest| nearest.rule.id == one.rule.id),
            only => only.iter().any(|name| names(one, name)),
        };
        let mut text = String::new();
        for one in &explained {
            let mark = self.mark(one.seen);
            let deny = match one.rule.response {
                Response::Deny(_) => "deny: ",
                Response::Count => "count: ",
                Response::Quarantine(_) => "",
            };
            text.push_str(&beside(
                &format!("  {mark}  "),
                11,
                &clean(&format!("{deny}{}", one.rule.title)),
            ));
            if is_shown(one) {
                one.steps.iter().for_each(|step| text.push_str(&self.step(step)));
            }
        }
        for count in self.rules.counts(fields) {
            let (rule, base) = (self.name(&count.rule), self.name(&count.base));
            let counts = format!("It counts for {rule}, since {base} matches.");
            text.push_str(&beside("", 0, &clean(&counts)));
        }
        text.push_str(&beside("", 0, &clean(&self.sentence(&judgement, nearest, lacks))));
        text
    }

    fn mark(&self, seen: Seen) -> String {
        let word = format!("{seen:7}");
        match seen {
            Seen::Pass => self.style.good(word),
            Seen::Fail => self.style.bad(word),
            Seen::Unknown => self.style.notice(word),
        }
    }

    fn step(&self, step: &Step) -> String {
        let said = match &step.part {
            Part::Selection(name) => name.clone(),
            Part::Not => "not".to_owned(),
            Part::All => "all of".to_owned(),
            Part::Any => "any of".to_owned(),
            Part::Of(which) => format!("{which} of"),
            Part::Leaf { field, asks, has } => {
                let has = match has.as_deref() {
                    None => "absent",
                    Some("null") => "empty",
                    Some(has) => has,
                };
                format!("{field} {}: {has}", shortened(asks, ASKS_CHARS))
            }
        };
        let width = 13 + 2 * step.depth;
        let indent = " ".repeat(2 * step.depth);
        beside(&format!("    {}  {indent}", self.mark(step.seen)), width, &clean(&said))
    }

    /// What it all comes to.
    fn sentence(
        &self,
        judgement: &Judgement<'_>,
        nearest: Option<&Explained<'_>>,
        lacks: Option<&Incomplete>,
    ) -> String {
        if let (Some(lacks), false) = (lacks, matches!(judgement, Judgement::NoMatch { .. })) {
            return format!("So: incomplete, whatever the rules say: {lacks}.");
        }
        let all =
            |ids: &[String]| ids.iter().map(|id| self.name(id)).collect::<Vec<_>>().join(", ");
        match judgement {
            Judgement::NoMatch { why } => match nearest {
                Some(near) => {
                    let against = near.against.iter().find(|one| one.decides);
                    let against = against.map(ToString::to_string).unwrap_or_default();
                    let title = &near.rule.title;
                    format!("So: nothing is done: {why}. The nearest is {title:?}: {against}.")
                }
                None => format!("So: nothing is done: {why}."),
            },
            Judgement::Protected { by } => format!("So: nothing is done: {} protects it.", all(by)),
            Judgement::Observe { rules } => {
                format!("So: nothing is sent: {} matches, in mode observe.", all(rules))
            }
            Judgement::Act(wanted) => {
                format!("So: it is quarantined, as {} says.", self.name(wanted.by))
            }
            Judgement::Hold { why, .. } => format!("So: it waits for a person: {why}."),
            Judgement::Enrich { fields, .. } => {
                let fields: Vec<&str> = fields.iter().map(|field| field.name()).collect();
                let fields = fields.join(", ");
                format!("So: Defender is asked for {fields}; what then is unknown is held.")
            }
        }
    }

    fn name(&self, id: &str) -> String {
        self.rules.title(id).map_or_else(|| id.to_owned(), |title| format!("{title:?}"))
    }
}

fn names(one: &Explained<'_>, name: &str) -> bool {
    let title = one.rule.title.to_lowercase();
    one.rule.id == name || title.starts_with(&name.to_lowercase())
}
