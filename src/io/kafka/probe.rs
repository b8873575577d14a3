//! A look at the topics without joining the group: for `lazaret doctor`.

use rdkafka::consumer::Consumer;

use super::{KafkaError, Settings, config, signer};
use crate::limits::KAFKA_ASK;

/// Connects, signs in, and names what it finds: topics and their partitions. Blocks for at most
/// [`KAFKA_ASK`] a topic. Joins no group and commits nothing.
pub fn probe(settings: &Settings) -> Result<String, KafkaError> {
    let failed = |why: String| KafkaError::Client { source_name: settings.source.clone(), why };
    let consumer = signer::consumer(&config::client_config(settings)?, &settings.security);
    let consumer = consumer.map_err(failed)?;
    let mut found = Vec::new();
    for topic in &settings.topics {
        let metadata = consumer
            .fetch_metadata(Some(topic), KAFKA_ASK)
            .map_err(|why| failed(format!("topic {topic}: {why}")))?;
        for of in metadata.topics() {
            if let Some(error) = of.error() {
                let error = rdkafka::types::RDKafkaErrorCode::from(error);
                return Err(failed(format!("topic {topic}: {error}")));
            }
            found.push(format!("{topic} with {} partitions", of.partitions().len()));
        }
    }
    Ok(format!("reachable: {}", found.join(", ")))
}
