//! `lazaret actions`: what was decided, what was sent, and how it ended.

mod expected;
mod listing;
mod words;

use clap::builder::RangedU64ValueParser;
use clap::{Args as ClapArgs, Subcommand};

use super::client::{self, ConfigArg, Service};
use super::status::STOPPED;
use super::style::{Style, beside, clean, counted, print_json};
use super::votes::{self, FilterArg};
use super::{Failure, Outcome, runtime};
use crate::config::Config;
use crate::domain::action::{State, StateName};
use crate::domain::audit::Role;
use crate::domain::decision::Fate;
use crate::domain::vote::Say;
use crate::io::admin::ROWS_MAX;
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;
use crate::io::{
    ActionFilter, ActionLine, ActionReport, Clock as _, ReceiptFilter, ReceiptLine, STOP_FILE,
    Stops, Store as _, stop_file,
};

use listing::receipt_listing;
pub use listing::{listing, short_id, shortened};
use words::{again_text, change_text, ending_text};
pub use words::{became_text, delivery_text, state_text};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists actions, newest first
    List {
        #[command(flatten)]
        config: ConfigArg,
        #[command(flatten)]
        filter: FilterArg,
        /// Those in this state, such as queued, held or succeeded
        #[arg(long)]
        state: Option<String>,
        /// Those that wait for a person
        #[arg(long, conflicts_with = "state")]
        held: bool,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = rows())]
        limit: usize,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Lists what became of alerts, newest first: also of those that led to no action
    Receipts {
        #[command(flatten)]
        config: ConfigArg,
        /// Only of this alert, by its id
        #[arg(long)]
        alert: Option<String>,
        /// Only with this fate, such as observed, duplicate or unreadable
        #[arg(long)]
        fate: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = rows())]
        limit: usize,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Lets held actions go on: singly, or all that fit a filter. What a deny rule covers is
    /// rejected for good instead
    Approve(votes::Args),
    /// Ends held and queued actions: singly, or all that fit a filter
    Reject(votes::Args),
    /// Shows one action: why it was decided, every call, every change
    Show {
        #[command(flatten)]
        config: ConfigArg,
        /// Its id, or an unambiguous start of it
        id: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(args: Args) -> Outcome {
    let args = match args.command {
        Command::Approve(args) => return votes::run(args, Say::Approve),
        Command::Reject(args) => return votes::run(args, Say::Reject),
        command => Args { command },
    };
    runtime(1)?.block_on(async {
        match args.command {
            Command::Approve(_) | Command::Reject(_) => unreachable!("returned above"),
            Command::List { config, filter, state, held, limit, json } => {
                let state = state.map(parse_state).transpose()?;
                let state = if held { Some(StateName::Held) } else { state };
                let config = config.load()?;
                let filter = filter.filter(&config, state, limit)?;
                let lines = list(&config, filter).await?;
                if json {
                    print_json(&lines);
                } else {
                    print!("{}", listing(&lines));
                }
            }
            Command::Receipts { config, alert, fate, limit, json } => {
                let fate = fate.map(parse_fate).transpose()?;
                let filter = ReceiptFilter { alert_id: alert, fate, source: None, limit };
                let lines = receipts(&config, filter).await?;
                if json {
                    print_json(&lines);
                } else {
                    print!("{}", receipt_listing(&lines));
                }
            }
            Command::Show { config, id, json } => {
                let report = show(&config, &id).await?;
                if json {
                    print_json(&report);
                } else {
                    print!("{}", page(Style::of_stdout(), &report));
                }
            }
        }
        Ok(())
    })
}

fn parse_state(name: String) -> Result<StateName, Failure> {
    StateName::parse(&name.replace([' ', '-'], "_")).ok_or_else(|| {
        let known: Vec<_> = StateName::ALL.iter().map(|s| s.as_str()).collect();
        Failure::usage(format!("there is no state {name:?}; there are {}", known.join(", ")))
    })
}

/// So many as one answer of the service lists: more would be cut without a word.
fn rows() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=ROWS_MAX as u64)
}

fn parse_fate(name: String) -> Result<Fate, Failure> {
    Fate::parse(&name.replace([' ', '-'], "_")).ok_or_else(|| {
        let known: Vec<_> = Fate::ALL.iter().map(|fate| fate.as_str()).collect();
        Failure::usage(format!("there is no fate {name:?}; there are {}", known.join(", ")))
    })
}

pub async fn list(config: &Config, filter: ActionFilter) -> Result<Vec<ActionLine>, Failure> {
    match client::find(config, Role::View).await? {
        Service::Running(service) => service.get("/actions", &filter).await,
        Service::Stopped => {
            let listed = async |store: &SqliteStore| store.actions(filter).await;
            client::with_store(config, listed).await
        }
    }
}

pub async fn show(config: &ConfigArg, id: &str) -> Result<ActionReport, Failure> {
    let config = config.load()?;
    let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if !plain {
        return Err(Failure::usage(format!("{id:?} is no action id, nor the start of one")));
    }
    let none = || Failure::usage(format!("no single action begins with {id}"));
    find(&config, id).await?.ok_or_else(none)
}

/// The one action whose id begins so.
pub async fn find(config: &Config, id: &str) -> Result<Option<ActionReport>, Failure> {
    let (mut report, pauses) = match client::find(config, Role::View).await? {
        Service::Running(service) => return service.get_if_there(&format!("/actions/{id}")).await,
        Service::Stopped => {
            let read = async |store: &SqliteStore| {
                let report = store.action(id).await?;
                Ok((report, store.pauses().await?))
            };
            match client::with_store(config, read).await? {
                (Some(report), pauses) => (report, pauses),
                (None, _) => return Ok(None),
            }
        }
    };
    let by_file = stop_file(&config.store.sqlite.join(STOP_FILE));
    let whole = [Some(STOPPED.to_owned()), by_file].into_iter().flatten();
    let whole = whole.collect::<Vec<_>>().join("; and ");
    let now = SystemClock::new().now().wall;
    let stops = Stops { pauses: &pauses, whole: Some(&whole), relay: None, now };
    report.waits_for = report.stopped_by(&stops);
    Ok(Some(report))
}

/// What became of alerts: the reason of each stands in a row of its own.
pub async fn receipts(
    config: &ConfigArg,
    filter: ReceiptFilter,
) -> Result<Vec<ReceiptLine>, Failure> {
    let config = config.load()?;
    match client::find(&config, Role::View).await? {
        Service::Running(service) => {
            let mut query = vec![("limit", filter.limit.to_string())];
            query.extend(filter.alert_id.map(|alert| ("alert", alert)));
            query.extend(filter.fate.map(|fate| ("fate", fate.as_str().to_owned())));
            service.get("/receipts", &query).await
        }
        Service::Stopped => {
            let listed = async |store: &SqliteStore| store.receipts(filter).await;
            client::with_store(&config, listed).await
        }
    }
}

fn page(style: Style, report: &ActionReport) -> String {
    let line = &report.line;
    let mut rows: Vec<(&str, String)> = vec![
        ("action", line.id.to_string()),
        ("state", state_text(&line.state)),
        ("tenant", line.key.tenant.to_string()),
        ("machine", line.key.machine.to_string()),
        ("sha1", line.key.sha1.to_string()),
        ("alert", line.alert_id.clone()),
        ("comment", report.comment.clone()),
        ("class", format!("{:?}", line.class).to_lowercase()),
        ("rules", report.rules.join(", ")),
        ("rule set", report.ruleset.clone()),
        ("delivery", delivery_text(&report.delivery)),
        ("created", line.created.to_string()),
        ("expires", report.expires.to_string()),
    ];
    rows.extend(expected::told(line).map(|when| ("expected start", when)));
    rows.extend(report.waits_for.clone().map(|why| ("waits for", why)));
    if !report.released_by.is_empty() {
        rows.push(("released by", report.released_by.join(", ")));
    }
    for (name, wants) in
        [("on timed out", report.endings.timed_out), ("on failed", report.endings.failed)]
    {
        rows.extend(ending_text(wants).map(|text| (name, text)));
    }
    rows.extend(again_text(&line.state, report.again).map(|text| ("called again", text)));
    if let Some(fields) = report.candidate.as_object() {
        rows.extend(fields.iter().map(|(name, value)| (name.as_str(), value.to_string())));
    }
    let mut text = String::new();
    for (name, value) in rows {
        let head = format!("{}  ", style.dim(format!("{name:<22}")));
        text.push_str(&beside(&head, 24, &clean(&value)));
    }
    if let State::Held { .. } = &line.state {
        let id = short_id(&line.id);
        for say in ["approve", "reject"] {
            let next = format!("→ lazaret actions {say} {id} --reason TEXT");
            text.push_str(&format!("  {}\n", style.dim(next)));
        }
    }
    text.push_str(&neighbours(style, report));
    text.push_str(&format!("{}\n", style.bold("attempts")));
    for attempt in &report.attempts {
        let status = attempt.status.map_or("-".into(), |s| s.to_string());
        text.push_str(&stamped(&format!("{}  {status:<3}", attempt.written), &attempt.text));
    }
    text.push_str(&format!("{}\n", style.bold("history")));
    for change in &report.changes {
        text.push_str(&stamped(&change.at.to_string(), &change_text(change)));
    }
    text
}

/// What else happened on that machine and with that file.
fn neighbours(style: Style, report: &ActionReport) -> String {
    let mut text = String::new();
    if !report.on_machine.is_empty() {
        text.push_str(&format!("{}\n", style.bold("on that machine too")));
        for line in &report.on_machine {
            let what = format!("file {}, {}", line.key.sha1, state_text(&line.state));
            text.push_str(&stamped(&line.created.to_string(), &what));
        }
    }
    if !report.of_file.is_empty() {
        let all = usize::try_from(report.of_file_in_all).unwrap_or(usize::MAX);
        let all = format!("that file elsewhere ({})", counted(all, "action"));
        text.push_str(&format!("{}\n", style.bold(all)));
        for line in &report.of_file {
            let what = format!("machine {}, {}", line.key.machine, state_text(&line.state));
            text.push_str(&stamped(&line.created.to_string(), &what));
        }
    }
    text
}

/// An entry below a heading: when, and what.
fn stamped(when: &str, what: &str) -> String {
    let head = format!("  {when}  ");
    beside(&head, head.chars().count(), &clean(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Wall;

    #[test]
    fn more_rows_than_one_answer_has_are_refused() {
        use clap::Parser as _;
        for what in ["list", "receipts"] {
            let of = |limit| {
                let words = ["lazaret", "actions", what, "--limit", limit];
                crate::cli::Cli::try_parse_from(words).map(|_| ()).map_err(|why| why.to_string())
            };
            assert_eq!(of("1000"), Ok(()));
            for limit in ["0", "1001"] {
                assert!(of(limit).unwrap_err().contains("1..=1000"), "{limit}");
            }
        }
    }

    #[test]
    fn the_page_of_an_action_says_what_it_waits_for_and_how_often_it_was_called_again() {
        let report = serde_json::json!({
            "id": "0198c2f4-0000-7000-8000-000000000001", "tenant": "contoso",
            "machine": "a".repeat(40), "sha1": "b".repeat(40), "alert_id": "da1_1",
            "class": "urgent", "created": Wall(0), "changed": Wall(0), "state": "queued",
            "not_before": Wall(0), "tries": 0, "busy_since": null, "comment": "c",
            "expires": Wall(9), "rules": [], "ruleset": "", "candidate": {}, "raw": null,
            "delivery": {"via": "webhook", "source": "siem", "id": null}, "attempts": [],
            "changes": [], "again": 2, "waits_for": "mode observe",
        });
        let page = page(Style::plain(), &serde_json::from_value(report).unwrap());
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains("waits for mode observe"), "{page}");
        assert!(page.contains("called again once so far; to be called again"), "{page}");
    }
}
