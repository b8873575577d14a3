//! `lazaret status`: one screen on what the service is doing, for someone at 3 a.m.

use std::fmt::Write as _;

use clap::Args as ClapArgs;

use super::client::{self, ConfigArg, Service};
use super::style::{Style, ago, clean, table};
use super::{Failure, Outcome, runtime};
use crate::app;
use crate::domain::audit::Role;
use crate::domain::time::Wall;
use crate::io::clock::SystemClock;
use crate::io::{Clock as _, Report, Scope, Store as _, Summary};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Exits with 1 when the service is stopped, or something needs a person.
pub fn run(args: Args) -> Outcome {
    let config = args.config.load()?;
    runtime(1)?.block_on(async {
        match client::find(&config, Role::View).await? {
            Service::Running(service) => {
                let report: Report = service.get("/status", &[]).await?;
                if args.json {
                    print_json(&report);
                } else {
                    print!("{}", screen(Style::of_stdout(), &report));
                }
                if report.problems.is_empty() { Ok(()) } else { Err(Failure::wrong("")) }
            }
            Service::Stopped => {
                let store = app::open_store(&config).map_err(Failure::usage)?;
                let now = SystemClock::new().now().wall;
                let summary = store.summary(now).await.map_err(Failure::wrong)?;
                if args.json {
                    print_json(&summary);
                } else {
                    print!("{}", summary_screen(Style::of_stdout(), &summary, now));
                }
                Err(Failure::wrong("the service is stopped"))
            }
        }
    })
}

fn print_json(value: &impl serde::Serialize) {
    println!("{}", serde_json::to_string(value).expect("a report is plain data"));
}

fn screen(style: Style, report: &Report) -> String {
    let mut text = format!(
        "{} {} on {}, up {}; mode {}, rules in force: {} ({})\n",
        style.bold("lazaret"),
        report.version,
        clean(&report.node),
        ago(report.now.since(report.started)),
        style.bold(&report.mode),
        report.rules,
        &report.ruleset[..report.ruleset.len().min(12)],
    );
    for problem in &report.problems {
        _ = writeln!(text, "{} {}", style.bad("!"), clean(problem));
    }
    text.push_str(&tables(&report.summary, report.now));
    for relay in &report.relays {
        let windows: Vec<_> = relay
            .windows
            .iter()
            .map(|w| format!("{} of {} per {} s", w.used, w.calls, w.per_seconds))
            .collect();
        _ = writeln!(text, "budget of {}: {} used", relay.tenant, windows.join(", "));
        if let Some(why) = &relay.held {
            let until = relay.held_until.map(|at| format!(" until {at}")).unwrap_or_default();
            _ = writeln!(text, "  {} nothing is sent{until}: {}", style.notice("!"), clean(why));
        }
    }
    for source in &report.kafka {
        _ = writeln!(
            text,
            "kafka {}: {} partitions, lag {}",
            source.source, source.partitions, source.lag
        );
    }
    text
}

fn summary_screen(style: Style, summary: &Summary, now: Wall) -> String {
    let mut text = String::new();
    for pause in &summary.pauses {
        let scope = match &pause.scope {
            Scope::All => "everything".to_owned(),
            Scope::Tenant(tenant) => format!("tenant {tenant}"),
        };
        let why = format!("paused: {scope}, by {} at {}: {}", pause.by, pause.at, pause.reason);
        _ = writeln!(text, "{} {}", style.notice("!"), clean(&why));
    }
    text.push_str(&tables(summary, now));
    text
}

fn tables(summary: &Summary, now: Wall) -> String {
    let mut text = String::new();
    let mut rows = vec![vec!["received".into(), "".into(), "last".into()]];
    for (source, count) in &summary.received {
        let last = summary.last_received.iter().find(|(name, _)| name == source);
        let last = last.map_or("never".into(), |(_, at)| format!("{} ago", ago(now.since(*at))));
        rows.push(vec![source.clone(), count.to_string(), last]);
        for fate in summary.fates.iter().filter(|f| f.source == *source && f.count > 0) {
            let name = fate.fate.as_str().replace('_', " ");
            rows.push(vec![format!("  {name}"), fate.count.to_string()]);
        }
    }
    text.push_str(&table(&rows));
    if !summary.states.is_empty() {
        let mut rows = vec![vec!["actions".into(), "state".into(), "count".into()]];
        rows.extend(summary.states.iter().filter(|s| s.count > 0).map(|state| {
            vec![state.tenant.clone(), state.state.to_string(), state.count.to_string()]
        }));
        text.push_str(&table(&rows));
    }
    for queue in summary.queues.iter().filter(|q| q.depth > 0) {
        let oldest = queue.oldest.map_or("-".into(), |at| ago(now.since(at)));
        let class = format!("{:?}", queue.class).to_lowercase();
        _ = writeln!(text, "queue {} {class}: {}, oldest {oldest}", queue.tenant, queue.depth);
    }
    text
}
