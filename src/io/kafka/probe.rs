//! A look at the topics and at the group, without joining it: for `lazaret doctor`.

use std::time::Duration;

use rdkafka::consumer::{Consumer, ConsumerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::{KafkaError, Settings, config, signer};
use crate::domain::time::Boot;
use crate::io::Clock;
use crate::limits::{DOCTOR_ASK, DOCTOR_WITHIN};

/// What the brokers tell of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    pub partitions: Vec<Partition>,
    /// How many more there are that there was no time to ask for.
    pub unasked: usize,
    /// `None` where the brokers do not tell, or nobody is in the group.
    pub group: Option<Group>,
}

/// One partition and what its log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub topic: String,
    pub number: i32,
    /// The oldest offset that is still there, and the one that comes next.
    pub low: i64,
    pub high: i64,
}

/// Who reads with the consumer group now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How its members share the partitions; empty while they have not agreed.
    pub assignor: String,
    /// Client and host of those that are not this source.
    pub others: Vec<String>,
}

/// Connects, signs in, and asks for every topic, its partitions and the group. Blocks for at most
/// [`DOCTOR_WITHIN`] and the question that it is at then. Joins no group and commits nothing.
pub fn probe(settings: &Settings, clock: &dyn Clock) -> Result<Probed, KafkaError> {
    let failed = |why: String| KafkaError::Client { source_name: settings.source.clone(), why };
    let until = clock.now().boot + DOCTOR_WITHIN;
    let own = config::member_id(settings)?;
    let consumer = signer::consumer(&config::client_config(settings)?, &settings.security);
    let consumer = consumer.map_err(failed)?;
    let mut found = Probed::default();
    for topic in &settings.topics {
        let numbers = numbers(&consumer, topic, left(until, clock))
            .map_err(|why| failed(format!("topic {topic}: {why}")))?;
        for number in numbers {
            if clock.now().boot >= until {
                found.unasked += 1;
                continue;
            }
            let (low, high) = consumer
                .fetch_watermarks(topic, number, left(until, clock))
                .map_err(|why| failed(format!("topic {topic}, partition {number}: {why}")))?;
            found.partitions.push(Partition { topic: topic.clone(), number, low, high });
        }
    }
    // Event Hubs and restricted logins do not tell: that is nothing to mend.
    let listed = consumer.fetch_group_list(Some(&settings.group), left(until, clock));
    found.group = listed.ok().and_then(|groups| {
        let group = groups.groups().iter().find(|group| group.name() == settings.group)?;
        let others = group.members().iter().filter(|member| member.client_id() != own);
        let named = others.map(|member| {
            let host = member.client_host().trim_start_matches('/');
            format!("{} at {host}", member.client_id())
        });
        let group = Group { assignor: group.protocol().to_owned(), others: named.collect() };
        (!group.assignor.is_empty() || !group.others.is_empty()).then_some(group)
    });
    Ok(found)
}

/// What is said of a topic that is not there.
pub const NO_TOPIC: &str = "the brokers do not have it";

fn numbers<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    topic: &str,
    within: Duration,
) -> Result<Vec<i32>, String> {
    let metadata = consumer.fetch_metadata(Some(topic), within).map_err(|why| why.to_string())?;
    let mut numbers = Vec::new();
    for of in metadata.topics() {
        if let Some(error) = of.error() {
            return Err(match RDKafkaErrorCode::from(error) {
                RDKafkaErrorCode::UnknownTopicOrPartition => NO_TOPIC.to_owned(),
                error => error.to_string(),
            });
        }
        numbers.extend(of.partitions().iter().map(|partition| partition.id()));
    }
    Ok(numbers)
}

/// For one question: what is left of the whole, not more than [`DOCTOR_ASK`], and something.
fn left(until: Boot, clock: &dyn Clock) -> Duration {
    let left = until.since(clock.now().boot);
    left.clamp(Duration::from_millis(500), DOCTOR_ASK)
}
