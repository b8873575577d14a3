//! `lazaret status`: one screen on what the service is doing, for someone at 3 a.m.

mod screen;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::client::{self, ConfigArg, Service};
use super::style::{Style, print_json};
use super::{Failure, Outcome, runtime};
use crate::config::Config;
use crate::domain::audit::Role;
use crate::domain::time::Wall;
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;
use crate::io::{Clock as _, FateCount, Report, STOP_FILE, Store as _, Summary, stop_file};

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
        problems.extend(stop_file(&config.store.sqlite.join(STOP_FILE)));
        problems.extend(summary.problems());
        let named = config.tenants.iter().map(|tenant| tenant.name.as_str());
        problems.extend(summary.of_no_tenant(named));
        let (version, mode) = (env!("CARGO_PKG_VERSION"), config.mode.0.as_str());
        Self { running: false, version, node: &config.node, mode, now, summary, problems }
    }
}

pub const STOPPED: &str = "the service is stopped";

/// Exits with 1 when the service is stopped, or something needs a person.
pub fn run(args: Args) -> Outcome {
    let config = args.config.load()?;
    runtime(1)?.block_on(async {
        match client::find(&config, Role::View).await? {
            Service::Running(service) => {
                let report: Report = service.get("/status", client::NO_QUERY).await?;
                if args.json {
                    print_json(&Running { running: true, report: &report });
                } else {
                    print!("{}", screen::running(Style::of_stdout(), &report));
                }
                if report.problems.is_empty() { Ok(()) } else { Err(Failure::wrong("")) }
            }
            Service::Stopped => {
                let now = SystemClock::new().now().wall;
                let summarised = async |store: &SqliteStore| store.summary().await;
                let summary = client::with_store(&config, summarised).await?;
                let stopped = Stopped::new(&config, now, summary);
                if args.json {
                    print_json(&stopped);
                } else {
                    let Stopped { mode, summary, problems, .. } = &stopped;
                    print!("{}", screen::stopped(Style::of_stdout(), mode, summary, problems, now));
                }
                Err(Failure::wrong(STOPPED))
            }
        }
    })
}

/// What became of a source's alerts, and how many have no fate yet.
fn became(summary: &Summary, source: &str) -> String {
    let fates = summary.fates.iter().filter(|of| of.source == source && of.count > 0);
    let fate = |of: &FateCount| format!("{} {}", of.count, of.fate.as_str().replace('_', " "));
    let waiting = Some(summary.waiting(source)).filter(|waiting| *waiting > 0);
    let waiting = waiting.map(|waiting| format!("{waiting} waiting"));
    fates.map(fate).chain(waiting).collect::<Vec<_>>().join(", ")
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
            store_trouble: None,
            started: Wall(1),
            now: Wall(5),
            summary: Summary::default(),
            relays: Vec::new(),
            credentials: Vec::new(),
            kafka: Vec::new(),
            channels: Vec::new(),
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
        assert_eq!(
            alone.collect::<Vec<_>>(),
            ["channels", "credentials", "kafka", "relays", "rules", "ruleset", "started"]
        );
    }

    #[test]
    fn what_has_no_fate_yet_waits() {
        use crate::domain::decision::Fate;
        let of = |fate, count| FateCount { source: "xdr".to_owned(), fate, count };
        let summary = Summary {
            received: vec![("xdr".to_owned(), 10)],
            fates: vec![of(Fate::NoMatch, 6), of(Fate::Acted, 1), of(Fate::Held, 0)],
            ..Summary::default()
        };
        assert_eq!(became(&summary, "xdr"), "6 no match, 1 acted, 3 waiting");
        assert_eq!((summary.waiting("xdr"), summary.waiting("other")), (3, 0));
    }
}
