//! `lazaret status`: one screen on what the service is doing, for someone at 3 a.m.

use std::fmt::Write as _;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::client::{self, ConfigArg, Service};
use super::style::{Style, ago, clean, print_json, table};
use super::{Failure, Outcome, runtime};
use crate::app;
use crate::config::Config;
use crate::domain::audit::Role;
use crate::domain::time::Wall;
use crate::io::clock::SystemClock;
use crate::io::{Clock as _, Pause, Report, Store as _, Summary};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// The JSON of a service that runs: its own report.
#[derive(Serialize)]
struct Running<'a> {
    running: bool,
    #[serde(flatten)]
    report: &'a Report,
}

/// The JSON where the service is stopped: what the configuration and the store know, under the same
/// keys.
#[derive(Serialize)]
struct Stopped<'a> {
    running: bool,
    version: &'static str,
    node: &'a str,
    mode: &'static str,
    now: Wall,
    summary: Summary,
    problems: Vec<String>,
}

impl<'a> Stopped<'a> {
    fn new(config: &'a Config, now: Wall, summary: Summary) -> Self {
        let mut problems = vec![format!("{STOPPED}: start it with `lazaret run`")];
        problems.extend(summary.problems());
        let (version, mode) = (env!("CARGO_PKG_VERSION"), config.mode.0.as_str());
        Self { running: false, version, node: &config.node, mode, now, summary, problems }
    }
}

const STOPPED: &str = "the service is stopped";

/// Exits with 1 when the service is stopped, or something needs a person.
pub fn run(args: Args) -> Outcome {
    let config = args.config.load()?;
    runtime(1)?.block_on(async {
        match client::find(&config, Role::View).await? {
            Service::Running(service) => {
                let report: Report = service.get("/status", &[]).await?;
                if args.json {
                    print_json(&Running { running: true, report: &report });
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
                    print_json(&Stopped::new(&config, now, summary));
                } else {
                    print!("{}", summary_screen(Style::of_stdout(), &summary, now));
                }
                Err(Failure::wrong(STOPPED))
            }
        }
    })
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
        let Pause { scope, by, reason, at } = pause;
        let why = format!("paused: {scope}, by {by} at {at}: {reason}");
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const EXAMPLE: &str = include_str!("../../lazaret.example.yaml");

    fn keys(value: &impl Serialize) -> BTreeMap<String, serde_json::Value> {
        let value = serde_json::to_value(value).unwrap();
        value.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn a_stopped_service_has_the_keys_of_a_running_one_as_far_as_they_are_known() {
        let config = Config::parse(EXAMPLE, std::path::Path::new("lazaret.yaml")).unwrap();
        let stopped = Stopped::new(&config, Wall(5), Summary::default());
        let report = Report {
            version: stopped.version.to_owned(),
            node: stopped.node.to_owned(),
            mode: stopped.mode.to_owned(),
            rules: 0,
            ruleset: String::new(),
            rules_refused: None,
            started: Wall(1),
            now: Wall(5),
            summary: Summary::default(),
            relays: Vec::new(),
            kafka: Vec::new(),
            problems: Vec::new(),
        };
        let running = keys(&Running { running: true, report: &report });
        let stopped = keys(&stopped);
        assert_eq!((&running["running"], &stopped["running"]), (&true.into(), &false.into()));
        for (key, value) in
            stopped.iter().filter(|(key, _)| !["running", "problems"].contains(&key.as_str()))
        {
            assert_eq!(running.get(key), Some(value), "{key}");
        }
        assert_eq!(stopped["problems"][0], "the service is stopped: start it with `lazaret run`");
        let alone = running.keys().filter(|key| !stopped.contains_key(*key));
        assert_eq!(alone.collect::<Vec<_>>(), ["kafka", "relays", "rules", "ruleset", "started"]);
    }
}
