//! What a topic holds, read beside the service that reads it too: partitions are assigned by
//! ourselves, so that no group is joined, and no offset is ever committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::assignment::body;
use super::signer::{self, Signer};
use super::{KafkaError, Settings, config};
use crate::domain::time::Wall;
use crate::io::{Clock, Flaw};
use crate::limits::{KAFKA_ASK, KAFKA_HISTORY_SILENCE};

/// Properties that differ from those of a source: nothing is committed, the end is told, and a
/// client that reads all partitions at once holds little of each.
const BESIDE: &[(&str, &str)] = &[
    // Quotas of the source's own client are for the source.
    ("client.id", "lazaret-history"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("queued.min.messages", "1000"),
    ("queued.max.messages.kbytes", "4096"),
];

/// A topic of which any message can be read.
pub struct History {
    consumer: BaseConsumer<Signer>,
    topic: String,
    partitions: Vec<i32>,
    body_bytes_max: usize,
    clock: Arc<dyn Clock>,
}

/// One message as the topic holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub partition: i32,
    pub offset: i64,
    /// Only the first bytes, where there is a flaw.
    pub body: Bytes,
    pub flaw: Option<Flaw>,
}

/// What comes of one wait.
enum Came<'c> {
    Message(BorrowedMessage<'c>),
    /// The partition has no more, as of now.
    End(i32),
}

impl History {
    /// Connects, signs in and looks the topic up, which need not be one that the source reads: only
    /// its brokers count. Blocks for at most [`KAFKA_ASK`].
    pub fn open(
        settings: &Settings,
        topic: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KafkaError> {
        let failed = |why: String| history(topic, why);
        let consumer = signer::consumer(&beside(settings)?, &settings.security);
        let consumer = consumer.map_err(failed)?;
        let metadata = consumer
            .fetch_metadata(Some(topic), KAFKA_ASK)
            .map_err(|why| failed(format!("{}: {why}", settings.brokers.join(", "))))?;
        let mut partitions = Vec::new();
        for of in metadata.topics() {
            if let Some(error) = of.error() {
                let error = rdkafka::types::RDKafkaErrorCode::from(error);
                return Err(failed(error.to_string()));
            }
            partitions.extend(of.partitions().iter().map(|partition| partition.id()));
        }
        let (topic, body_bytes_max) = (topic.to_owned(), settings.body_bytes_max);
        Ok(Self { consumer, topic, partitions, body_bytes_max, clock })
    }

    /// The one message at that place, or why it is not there. Blocks for at most [`KAFKA_ASK`] and
    /// [`KAFKA_HISTORY_SILENCE`].
    pub fn one(&self, partition: i32, offset: i64) -> Result<Message, KafkaError> {
        let place = format!("partition {partition}");
        if !self.partitions.contains(&partition) {
            return Err(self.failed(format!("there is no {place}")));
        }
        let (low, high) = self.watermarks(partition)?;
        let gone = |why: &str| self.failed(format!("{place} has no offset {offset} {why}"));
        if offset >= high {
            return Err(gone("yet"));
        }
        if offset < low {
            return Err(gone("any more: it was deleted, as the topic's retention says"));
        }
        self.assign(&[(partition, offset)])?;
        let message = match self.wait()? {
            Came::Message(message) if message.offset() == offset => Ok(self.message(&message)),
            Came::Message(_) | Came::End(_) => Err(gone("that can be read: it was compacted away")),
        };
        self.assign(&[])?;
        message
    }

    /// What was published from one time to another, both included, as far as the topic holds it
    /// now. `None` is the beginning, and what it holds at the end.
    pub fn between(
        &self,
        from: Option<Wall>,
        to: Option<Wall>,
    ) -> Result<Messages<'_>, KafkaError> {
        let first = from.map(|from| self.offsets_at(from)).transpose()?;
        // Brokers know milliseconds.
        let after = to.map(|to| self.offsets_at(to + Duration::from_millis(1))).transpose()?;
        let mut spans = BTreeMap::new();
        for &partition in &self.partitions {
            let (low, high) = self.watermarks(partition)?;
            let placed = |offsets: &Option<BTreeMap<i32, i64>>| {
                offsets.as_ref().map(|of| of.get(&partition).map_or(high, |at| *at.min(&high)))
            };
            let start = placed(&first).unwrap_or(low).max(low);
            let end = placed(&after).unwrap_or(high);
            if start < end {
                spans.insert(partition, Span { start, next: start, end });
            }
        }
        let starts: Vec<_> = spans.iter().map(|(partition, of)| (*partition, of.start)).collect();
        self.assign(&starts)?;
        Ok(Messages { history: self, spans })
    }

    /// By partition, the first offset of that time or later; none where there is no such message.
    fn offsets_at(&self, at: Wall) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let millis = at.0.div_euclid(1000).max(0);
        let asked = self.list(self.partitions.iter().map(|partition| (*partition, millis)));
        let found = self
            .consumer
            .offsets_for_times(asked, KAFKA_ASK)
            .map_err(|why| self.failed(format!("offsets at {at}: {why}")))?;
        let mut offsets = BTreeMap::new();
        for element in found.elements() {
            element.error().map_err(|why| self.failed(format!("offsets at {at}: {why}")))?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        Ok(offsets)
    }

    fn watermarks(&self, partition: i32) -> Result<(i64, i64), KafkaError> {
        let asked = self.consumer.fetch_watermarks(&self.topic, partition, KAFKA_ASK);
        asked.map_err(|why| self.failed(format!("partition {partition}: {why}")))
    }

    fn list(&self, offsets: impl IntoIterator<Item = (i32, i64)>) -> TopicPartitionList {
        let placed = |(partition, at)| ((self.topic.clone(), partition), Offset::Offset(at));
        super::assignment::list(offsets.into_iter().map(placed))
    }

    /// Reads from these offsets on, and nothing else.
    fn assign(&self, starts: &[(i32, i64)]) -> Result<(), KafkaError> {
        let starts = self.list(starts.iter().copied());
        self.consumer.assign(&starts).map_err(|why| self.failed(why.to_string()))
    }

    /// The next message of what is assigned, or the end of a partition.
    fn wait(&self) -> Result<Came<'_>, KafkaError> {
        let until = self.clock.now().boot + KAFKA_HISTORY_SILENCE;
        let mut last = None;
        while self.clock.now().boot < until {
            match self.consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => return Ok(Came::Message(message)),
                Some(Err(ClientError::PartitionEOF(partition))) => return Ok(Came::End(partition)),
                Some(Err(why)) => last = Some(why.to_string()),
                None => {}
            }
        }
        let why = last.unwrap_or_else(|| "the broker does not answer".to_owned());
        Err(self.failed(format!("nothing came for {KAFKA_HISTORY_SILENCE:?}: {why}")))
    }

    fn message(&self, message: &BorrowedMessage<'_>) -> Message {
        let (body, flaw) = body(message.payload(), self.body_bytes_max);
        Message { partition: message.partition(), offset: message.offset(), body, flaw }
    }

    fn failed(&self, why: String) -> KafkaError {
        history(&self.topic, why)
    }
}

/// The source's own properties, but for what would make this client count as the source.
fn beside(settings: &Settings) -> Result<ClientConfig, KafkaError> {
    let mut config = config::client_config(settings)?;
    // The group's name alone joins nothing: it is what assigning asks for, and a name that the
    // login may use.
    config.remove("group.instance.id");
    for (key, value) in BESIDE {
        config.set(*key, *value);
    }
    Ok(config)
}

fn history(topic: &str, why: String) -> KafkaError {
    KafkaError::History { topic: topic.to_owned(), why }
}

/// Messages of all partitions, each partition's in order.
pub struct Messages<'h> {
    history: &'h History,
    spans: BTreeMap<i32, Span>,
}

/// Offsets of one partition; `end` is one past the last.
struct Span {
    start: i64,
    next: i64,
    end: i64,
}

impl Messages<'_> {
    /// How many offsets there are, messages or not: compaction leaves gaps.
    pub fn total(&self) -> u64 {
        self.spans.values().map(|span| span.end.abs_diff(span.start)).sum()
    }

    /// How many of them are passed.
    pub fn passed(&self) -> u64 {
        self.spans.values().map(|span| span.next.abs_diff(span.start)).sum()
    }

    /// The next message; `None` once there are no more. Messages that come while it reads are not
    /// among them. Blocks for at most [`KAFKA_HISTORY_SILENCE`].
    pub fn read(&mut self) -> Result<Option<Message>, KafkaError> {
        while self.spans.values().any(|span| span.next < span.end) {
            let message = match self.history.wait()? {
                Came::Message(message) => message,
                Came::End(partition) => {
                    if let Some(span) = self.spans.get_mut(&partition) {
                        span.next = span.end;
                    }
                    continue;
                }
            };
            let (partition, offset) = (message.partition(), message.offset());
            let Some(span) = self.spans.get_mut(&partition) else { continue };
            let is_within = (span.next..span.end).contains(&offset);
            span.next = span.next.max(offset + 1).min(span.end);
            if span.next == span.end {
                // What lies behind it need not come. A pause would outlive this assignment.
                let list = self.history.list([(partition, span.end)]);
                let left = self.history.consumer.incremental_unassign(&list);
                left.map_err(|why| self.history.failed(why.to_string()))?;
            }
            if is_within {
                return Ok(Some(self.history.message(&message)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::SourceName;
    use crate::io::kafka::{Security, Start};

    #[test]
    fn a_reader_does_not_count_as_the_source_whatever_is_passed_through() {
        let passed = [("queued.max.messages.kbytes", "1000000"), ("fetch.min.bytes", "7")];
        let settings = Settings {
            source: SourceName::new("siem"),
            node: "node-1".to_owned(),
            brokers: vec!["localhost:9092".to_owned()],
            topics: vec!["alerts".to_owned()],
            group: "lazaret-siem".to_owned(),
            start: Start::Earliest,
            security: Security::Plaintext,
            body_bytes_max: 1024,
            passed_through: passed.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        };
        let (own, config) = (config::client_config(&settings).unwrap(), beside(&settings).unwrap());
        assert_eq!(own.get("group.instance.id"), Some("node-1.siem"));
        assert_eq!(config.get("group.instance.id"), None);
        assert_ne!(config.get("client.id"), own.get("client.id"));
        assert_eq!(config.get("group.id"), own.get("group.id"), "the login may use it");
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("queued.max.messages.kbytes"), Some("4096"));
        assert_eq!(config.get("fetch.min.bytes"), Some("7"));
        config.create_native_config().unwrap();
    }
}
