//! Where alerts come from, and what the configuration says of that.

use std::path::PathBuf;
use std::sync::Arc;

use super::Failure;
use super::input::{Input, Lines};
use super::progress::Progress;
use crate::app::settings;
use crate::config::{Config, Kind, Source};
use crate::io::clock::SystemClock;
use crate::io::kafka::{self, History};
use crate::rules::backtest::{Range, Tenant, Tenants};

/// What `alert.source` and `alert.tenant` are where no configuration says.
const FILE: &str = "file";

/// The format of a file where nobody names one.
const FORMAT: &str = "defender-alert";

/// A file or a topic, as the command line names it.
#[derive(Clone, Debug)]
pub enum From {
    File(PathBuf),
    Topic(String),
}

/// Reads `kafka:TOPIC`, or takes it for the path of a file.
pub fn from(text: &str) -> Result<From, String> {
    match text.strip_prefix("kafka:") {
        Some("") => Err("kafka: needs the name of a topic, such as kafka:alerts".to_owned()),
        Some(topic) => Ok(From::Topic(topic.to_owned())),
        None => Ok(From::File(text.into())),
    }
}

/// All that is needed to read alerts.
pub struct Origin {
    pub format: String,
    pub tenants: Tenants,
    place: Place,
}

enum Place {
    File(PathBuf),
    Topic(String, Box<kafka::Settings>),
}

impl Origin {
    /// Finds the source that is meant, and the tenants that it speaks for.
    pub fn find(
        config: Option<&Config>,
        from: From,
        source: Option<&str>,
    ) -> Result<Self, Failure> {
        let named = source.map(|name| named(config, name)).transpose()?;
        let (place, source) = match from {
            From::File(path) => (Place::File(path), named),
            From::Topic(topic) => {
                let config = config.ok_or_else(|| needs_configuration("kafka:TOPIC"))?;
                let source = named.map_or_else(|| reads(config, &topic), Ok)?;
                let Kind::Kafka(kafka) = source.kind() else {
                    let why = "is a webhook: name one that reads from Kafka";
                    return Err(Failure::usage(format!("--source {} {why}", source.name)));
                };
                let settings = settings::kafka(config, source, kafka, Arc::new(SystemClock::new()))
                    .map_err(|why| Failure::usage(format!("source {}: {why}", source.name)))?;
                (Place::Topic(topic, Box::new(settings)), Some(source))
            }
        };
        let speaks_for = |name: &String| source.is_none_or(|source| source.tenants.contains(name));
        let known = config.into_iter().flat_map(|config| &config.tenants);
        let known = known.filter(|tenant| speaks_for(&tenant.name)).map(|tenant| Tenant {
            name: tenant.name.clone(),
            id: tenant.id,
            breakers: tenant.breakers(),
        });
        let tenants = Tenants {
            source: source.map_or(FILE, |source| &source.name).to_owned(),
            known: known.collect(),
            others: source.is_none().then(|| FILE.to_owned()),
        };
        Ok(Self { format: source.map_or(FORMAT, Source::format).to_owned(), tenants, place })
    }

    pub fn is_topic(&self) -> bool {
        matches!(self.place, Place::Topic(..))
    }

    /// For people.
    pub fn shown(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Topic(topic, settings) => format!("topic {topic} of source {}", settings.source),
        }
    }

    /// Opens it, at the times that are meant where it is a topic.
    pub fn open<T>(
        &self,
        range: Range,
        read: impl FnOnce(Input<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match &self.place {
            Place::File(path) => read(Input::File(Lines::open(path)?)),
            Place::Topic(topic, settings) => {
                let clock = Arc::new(SystemClock::new());
                let history = History::open(settings, topic, clock).map_err(Failure::wrong)?;
                let messages = history.between(range.from, range.to).map_err(Failure::wrong)?;
                let progress = Progress::new(messages.total(), "messages", 1);
                read(Input::Topic(messages, progress))
            }
        }
    }
}

fn needs_configuration(what: &str) -> Failure {
    let how = "there is no lazaret.yaml here, name one with --config";
    Failure::usage(format!("{what} needs the configuration that has the brokers: {how}"))
}

fn named<'c>(config: Option<&'c Config>, name: &str) -> Result<&'c Source, Failure> {
    let config = config.ok_or_else(|| needs_configuration("--source"))?;
    config.sources.iter().find(|source| source.name == name).ok_or_else(|| {
        let names: Vec<_> = config.sources.iter().map(|source| source.name.as_str()).collect();
        let known = names.join(", ");
        Failure::usage(format!("there is no source {name} in the configuration; known: {known}"))
    })
}

/// The only source that reads a topic.
fn reads<'c>(config: &'c Config, topic: &str) -> Result<&'c Source, Failure> {
    let has = |source: &&Source| topics(source).iter().any(|one| one == topic);
    let found: Vec<&Source> = config.sources.iter().filter(has).collect();
    match found[..] {
        [only] => Ok(only),
        [] => {
            let all: Vec<_> = config.sources.iter().flat_map(topics).map(String::as_str).collect();
            let there = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            Err(Failure::usage(format!(
                "no source of the configuration reads the topic {topic}; the topics that are read: \
                 {there}. For one that only lies at the brokers of a source, name that one with \
                 --source"
            )))
        }
        _ => {
            let names: Vec<_> = found.iter().map(|source| source.name.as_str()).collect();
            let names = names.join(", ");
            Err(Failure::usage(format!(
                "several sources read the topic {topic}: choose with --source, of {names}"
            )))
        }
    }
}

fn topics(source: &Source) -> &[String] {
    match source.kind() {
        Kind::Kafka(kafka) => &kafka.topics,
        Kind::Webhook(_) => &[],
    }
}
