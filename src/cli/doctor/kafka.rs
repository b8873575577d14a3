//! Each Kafka source: its topics, who reads with its group, and what lies unread.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::task::spawn_blocking;

use super::secrets::{is_unread, not_asked};
use super::{Finding, Health};
use crate::app::settings;
use crate::cli::style::counted;
use crate::config::{Config, Kafka, Kind, Source};
use crate::domain::ids::SourceName;
use crate::io::Offsets;
use crate::io::clock::SystemClock;
use crate::io::kafka::{self, Group, Partition, Probed, Settings};
use crate::io::store::Chains;
use crate::limits::DOCTOR_RETENTION_PART;

/// How the members of a group that is ours share its partitions.
const ASSIGNOR: &str = "cooperative-sticky";

/// All sources side by side.
pub(super) async fn all(config: &Config) -> Vec<Finding> {
    let sources = config.sources.iter().filter_map(|source| match source.kind() {
        Kind::Kafka(kafka) => Some(of_source(config, source, kafka)),
        Kind::Webhook(_) => None,
    });
    join_all(sources).await
}

async fn of_source(config: &Config, source: &Source, kafka: &Kafka) -> Finding {
    let check = format!("kafka {}", source.name);
    if is_unread(kafka.security.password.iter()) {
        return not_asked(&check, "the brokers were not asked");
    }
    let settings = match settings::kafka(config, source, kafka, Arc::new(SystemClock::new())) {
        Ok(settings) => settings,
        Err(why) => return Finding::new(&check, Health::Fail, why),
    };
    let (dir, name) = (config.store.sqlite.clone(), SourceName::new(&source.name));
    let asked = settings.clone();
    let looked = spawn_blocking(move || {
        // Without a store nothing is read yet; one that can't be read is told there.
        let stored = Chains::open(&dir).and_then(|store| store.offsets(&name)).unwrap_or_default();
        kafka::probe(&asked, &SystemClock::new()).map(|probed| (probed, stored))
    });
    let (health, text) = match looked.await {
        Ok(Ok((probed, stored))) => judged(&settings, &probed, &stored),
        Ok(Err(why)) => {
            // The check has the name of the source.
            let (why, of) = (why.to_string(), format!("Kafka client of source {}: ", source.name));
            let why = why.strip_prefix(&of).unwrap_or(&why);
            (Health::Fail, format!("{why}; {}", mend(&settings, why)))
        }
        Err(why) => (Health::Fail, why.to_string()),
    };
    Finding::new(&check, health, text)
}

/// What to do about a question that failed.
fn mend(settings: &Settings, why: &str) -> String {
    let brokers = settings.brokers.join(", ");
    if why.contains(kafka::NO_TOPIC) {
        return format!("make the topic at {brokers}, or mend `topics`");
    }
    if why.contains("Authorization") {
        return "let this login describe and read the topic, and read with the group".to_owned();
    }
    format!("is {brokers} reachable from here, and do `security` and its listener fit?")
}

fn judged(settings: &Settings, probed: &Probed, stored: &Offsets) -> (Health, String) {
    if let Some((health, text)) = probed.group.as_ref().and_then(|of| of_group(settings, of)) {
        return (health, text);
    }
    let next = |of: &Partition| stored.get(&(of.topic.clone(), of.number)).copied();
    let lost: i64 =
        probed.partitions.iter().map(|of| next(of).map_or(0, |at| (of.low - at).max(0))).sum();
    if lost > 0 {
        let text = format!(
            "{lost} messages were deleted before they were read: lengthen the topic's retention, \
             and look for their alerts at Defender"
        );
        return (Health::Fail, text);
    }
    let beyond = probed.partitions.iter().find(|of| next(of).is_some_and(|at| at > of.high));
    if let Some(of) = beyond {
        let text = format!(
            "{} {} ends before what was read of it: was the topic made anew? Messages may be lost",
            of.topic, of.number
        );
        return (Health::Fail, text);
    }
    let unread = |of: &Partition| {
        let from = next(of).unwrap_or(match settings.start {
            kafka::Start::Earliest => of.low,
            kafka::Start::Latest => of.high,
        });
        (of.high - from).max(0)
    };
    let lag: i64 = probed.partitions.iter().map(unread).sum();
    let near = probed.partitions.iter().find(|of| {
        let behind = next(of).map(|at| at - of.low);
        // Where nothing was deleted yet, nobody knows when that begins.
        let is_near = behind.is_some_and(|n| n < (of.high - of.low) / DOCTOR_RETENTION_PART);
        of.low > 0 && unread(of) > 0 && is_near
    });
    let seen = seen(settings, probed, lag);
    match near {
        Some(of) => (
            Health::Warn,
            format!(
                "{seen}; what lies unread of {} {} is among the next that the topic deletes: \
                 lengthen its retention, and let the service catch up",
                of.topic, of.number
            ),
        ),
        None => (Health::Ok, seen),
    }
}

fn seen(settings: &Settings, probed: &Probed, lag: i64) -> String {
    let mut topics: BTreeMap<&str, usize> =
        settings.topics.iter().map(|topic| (topic.as_str(), 0)).collect();
    for of in &probed.partitions {
        *topics.entry(&of.topic).or_default() += 1;
    }
    let named = topics
        .iter()
        .map(|(topic, count)| format!("{topic} with {}", counted(*count, "partition")));
    let named = named.collect::<Vec<_>>().join(", ");
    let unasked = match probed.unasked {
        0 => String::new(),
        count => format!(", {count} more not asked for"),
    };
    format!("reachable: {named}{unasked}; {lag} unread")
}

/// `None` where all who read with the group are this source.
fn of_group(settings: &Settings, group: &Group) -> Option<(Health, String)> {
    let name = &settings.group;
    if !group.others.is_empty() {
        let text = format!(
            "somebody else reads with the group {name}: {}; stop it, or set `group` to a name of \
             its own: the service holds every call while it is there",
            group.others.join(", ")
        );
        return Some((Health::Fail, text));
    }
    let text = match group.assignor.as_str() {
        "" | ASSIGNOR => return None,
        "range" | "roundrobin" => format!(
            "the group {name} shares its partitions eagerly ({}): each change stops all of them; \
             some older program has joined it: stop that, or set `group`",
            group.assignor
        ),
        other => format!(
            "the group {name} shares its partitions by {other}, which Lazaret does not know: some \
             other program has joined it; stop that, or set `group`"
        ),
    };
    Some((Health::Warn, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            source: SourceName::new("siem"),
            node: "node-1".to_owned(),
            brokers: vec!["localhost:9092".to_owned()],
            topics: vec!["alerts".to_owned()],
            group: "lazaret-siem".to_owned(),
            start: kafka::Start::Earliest,
            security: kafka::Security::Plaintext,
            body_bytes_max: 1024,
            passed_through: BTreeMap::new(),
        }
    }

    fn probed(low: i64, high: i64) -> Probed {
        let partition = Partition { topic: "alerts".to_owned(), number: 0, low, high };
        Probed { partitions: vec![partition], ..Probed::default() }
    }

    fn of(low: i64, high: i64, next: Option<i64>) -> (Health, String) {
        let stored = next.map(|at| (("alerts".to_owned(), 0), at)).into_iter().collect();
        judged(&settings(), &probed(low, high), &stored)
    }

    #[test]
    fn what_lies_unread_is_counted_and_what_is_lost_or_near_it_told() {
        assert_eq!(of(10, 110, Some(110)).1, "reachable: alerts with 1 partition; 0 unread");
        assert!(of(10, 110, None).1.ends_with("; 100 unread"));
        assert_eq!(of(10, 110, Some(20)).0, Health::Ok);
        let (health, text) = of(10, 110, Some(19));
        assert!(health == Health::Warn && text.contains("next that the topic deletes"), "{text}");
        assert_eq!(of(0, 110, Some(1)).0, Health::Ok, "nothing was deleted yet");
        let (health, text) = of(10, 110, Some(7));
        assert!(health == Health::Fail && text.starts_with("3 messages were deleted"), "{text}");
        let (health, text) = of(0, 5, Some(7));
        assert!(health == Health::Fail && text.contains("ends before what was read"), "{text}");
    }

    #[test]
    fn a_foreign_member_and_a_foreign_way_to_share_are_named() {
        let with = |assignor: &str, others: &[&str]| {
            let others = others.iter().map(|name| (*name).to_owned()).collect();
            of_group(&settings(), &Group { assignor: assignor.to_owned(), others })
        };
        assert_eq!(with(ASSIGNOR, &[]), None);
        assert_eq!(with("", &[]), None, "they have not agreed yet");
        let (health, text) = with(ASSIGNOR, &["rdkafka at /10.0.0.2"]).unwrap();
        assert!(health == Health::Fail && text.contains("rdkafka at /10.0.0.2; stop it"), "{text}");
        assert!(with("range", &[]).unwrap().1.contains("eagerly (range)"));
        assert!(with("own", &[]).unwrap().1.contains("by own, which Lazaret does not know"));
    }
}
