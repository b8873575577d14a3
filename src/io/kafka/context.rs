//! What librdkafka calls back: rebalances, errors, log lines and statistics. All of it comes from
//! inside `poll`, on the reader's own thread.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use serde::Deserialize;

use super::assignment::{Assignment, Place, list, places_of};
use super::lane::State;
use super::status::KafkaStatus;
use super::{Settings, signer};
use crate::domain::ids::SourceName;
use crate::domain::time::Boot;
use crate::io::{BrokerTokens, Clock, NotTaken};
use crate::limits;

pub(super) struct Context {
    pub source: SourceName,
    pub clock: Arc<dyn Clock>,
    pub status: Arc<KafkaStatus>,
    tokens: Option<BrokerTokens>,
    /// Never locked across a poll: the callbacks lock it too, on the same thread.
    assignment: Mutex<Assignment>,
    /// The group has changed since the last look at its members.
    pub rebalanced: AtomicBool,
    /// The client has not done what the group had decided: it waits for that for good.
    pub out_of_step: AtomicBool,
    /// When each kind of error was last logged.
    logged: Mutex<BTreeMap<String, Boot>>,
}

/// The same error is logged this often, though each is counted: librdkafka repeats what lasts.
const LOG_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

impl Context {
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>, status: Arc<KafkaStatus>) -> Self {
        Self {
            source: settings.source.clone(),
            clock,
            status,
            tokens: settings.security.tokens(),
            assignment: Mutex::new(Assignment::new()),
            rebalanced: AtomicBool::new(false),
            out_of_step: AtomicBool::new(false),
            logged: Mutex::new(BTreeMap::new()),
        }
    }

    pub fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an error, shows it, and logs it if it was not logged lately.
    pub fn report(&self, kind: &str, text: String) {
        let now = self.clock.now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged.get(kind).is_none_or(|last| now.boot.since(*last) >= LOG_EVERY);
        if due {
            logged.insert(kind.to_owned(), now.boot);
            tracing::warn!(source = %self.source, error = ?text, "Kafka reports an error");
        }
        self.status.error(text, now.wall);
    }

    fn fall_out_of_step(&self, kind: &str, text: String) {
        self.report(kind, text);
        self.out_of_step.store(true, Ordering::Relaxed);
    }

    /// Partitions of which a message was not taken stand still from here on.
    pub fn stand_still(&self, consumer: &BaseConsumer<Context>, refused: Vec<(Place, NotTaken)>) {
        for (place, why) in refused {
            self.report(
                "not taken",
                format!("a message of {}/{} was not taken: {why}", place.0, place.1),
            );
            self.pause(consumer, vec![place]);
        }
    }

    pub fn pause(&self, consumer: &BaseConsumer<Context>, places: Vec<Place>) {
        let paused = list(places.into_iter().map(|place| (place, Offset::Invalid)));
        if let Err(why) = consumer.pause(&paused) {
            self.report("pause", format!("partitions could not be paused: {why}"));
        }
    }

    /// Waits until intake has answered for everything of these partitions, but not for long.
    pub fn drain(&self, consumer: &BaseConsumer<Context>, places: &[Place]) {
        let mut assignment = self.assignment();
        for place in places {
            assignment.forget_held(place);
        }
        let deadline = self.clock.now().boot + limits::KAFKA_REVOKE;
        loop {
            let now = self.clock.now().boot;
            if now >= deadline || !assignment.waits_for_answers(places) {
                return;
            }
            let refused = assignment.wait(deadline.since(now), now);
            self.stand_still(consumer, refused);
        }
    }

    fn assigned(&self, consumer: &BaseConsumer<Context>, partitions: &TopicPartitionList) {
        let places = places_of(partitions);
        tracing::info!(source = %self.source, ?places, "Kafka partitions assigned");
        failpoint!("kafka.assign", self.fall_out_of_step("assign", "failpoint".to_owned()));
        let now = self.clock.now().boot;
        // Paused until the reader has asked the store where to read. Nothing is fetched from the
        // offset named here.
        let paused = list(places.iter().cloned().map(|place| (place, Offset::Beginning)));
        if let Err(why) = consumer.incremental_assign(&paused) {
            self.fall_out_of_step("assign", format!("partitions could not be assigned: {why}"));
            return;
        }
        self.pause(consumer, places.clone());
        for place in places {
            self.assignment().add(place, now);
        }
    }

    /// Finishes what is in hand, commits, and lets the partitions go.
    fn revoked(&self, consumer: &BaseConsumer<Context>, partitions: &TopicPartitionList) {
        let places = places_of(partitions);
        let lost = consumer.assignment_lost();
        tracing::info!(source = %self.source, ?places, lost, "Kafka partitions revoked");
        if !lost {
            self.drain(consumer, &places);
            let offsets = self.assignment().resume_offsets(|topic, partition| {
                places.iter().any(|place| place.0 == topic && place.1 == partition)
            });
            let committed = list(offsets.into_iter().map(|(p, at)| (p, Offset::Offset(at))));
            if committed.count() > 0
                && let Err(why) = consumer.commit(&committed, CommitMode::Sync)
            {
                // Only a hint is missing: the store has the offsets.
                self.report("commit", format!("offsets could not be committed: {why}"));
            }
        }
        for place in &places {
            self.assignment().forget_held(place);
            self.assignment().remove(place);
        }
        if let Err(why) = consumer.incremental_unassign(partitions) {
            self.fall_out_of_step("unassign", format!("partitions could not be let go: {why}"));
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(consumer, partitions);
        } else {
            self.revoked(consumer, partitions);
        }
        self.rebalanced.store(true, Ordering::Relaxed);
    }

    fn commit_callback(&self, result: Result<(), ClientError>, _offsets: &TopicPartitionList) {
        use RDKafkaErrorCode::{NoOffset, RebalanceInProgress};
        match result {
            Err(why)
                if !matches!(why.rdkafka_error_code(), Some(NoOffset | RebalanceInProgress)) =>
            {
                self.report("commit", format!("offsets could not be committed: {why}"));
            }
            _ => {}
        }
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        signer::token(self.tokens.as_ref())
    }

    fn error(&self, error: ClientError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            // What follows from the error before it, which says more.
            self.status.count_error();
            return;
        }
        let kind = code.map_or_else(String::new, |code| format!("{code:?}"));
        self.report(&kind, format!("{error}: {reason}"));
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Emerg, Error, Warning};
        if facility == "OFFSET" && line.contains("offset reset") {
            // Reading went on somewhere else. Which partition it was is found out by placing all
            // of them anew, which also counts it.
            let now = self.clock.now().boot;
            for (_, _, lane) in self.assignment().lanes_mut() {
                lane.state = State::Unplaced { not_before: now };
            }
        }
        match (level, facility) {
            // Said again by the error callback, where it is counted.
            (_, "FAIL" | "ERROR") => tracing::debug!(source = %self.source, facility, ?line),
            (Emerg | Alert | Critical | Error, _) => {
                tracing::error!(source = %self.source, facility, ?line, "librdkafka");
            }
            (Warning, _) => tracing::warn!(source = %self.source, facility, ?line, "librdkafka"),
            _ => tracing::debug!(source = %self.source, facility, ?line, "librdkafka"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let Ok(statistics) = serde_json::from_slice::<Statistics<'_>>(statistics) else {
            tracing::debug!(source = %self.source, "librdkafka's statistics could not be read");
            return;
        };
        let now = self.clock.now().boot;
        let mut assignment = self.assignment();
        for (topic, of_topic) in &statistics.topics {
            for partition in of_topic.partitions.values() {
                if let Some(lane) = assignment.lane(topic, partition.partition) {
                    let ago = statistics.heard(partition.broker);
                    lane.heard = ago.map(|ago| Boot(now.0 - ago));
                    lane.end = Some(partition.ls_offset.max(partition.hi_offset))
                        .filter(|end| *end >= 0)
                        .or(lane.end);
                }
            }
        }
    }
}

/// The little that is read of librdkafka's statistics.
#[derive(Deserialize)]
struct Statistics<'a> {
    #[serde(borrow)]
    brokers: BTreeMap<Cow<'a, str>, BrokerStatistics<'a>>,
    #[serde(borrow)]
    topics: BTreeMap<Cow<'a, str>, TopicStatistics<'a>>,
}

impl Statistics<'_> {
    /// How many microseconds ago a broker was heard. One from which messages are fetched answers
    /// each `fetch.wait.max.ms` at the latest.
    fn heard(&self, broker: i32) -> Option<i64> {
        let is_it = |one: &&BrokerStatistics<'_>| {
            one.nodeid == broker && one.state == "UP" && one.rxidle >= 0
        };
        self.brokers.values().find(is_it).map(|one| one.rxidle)
    }
}

#[derive(Deserialize)]
struct BrokerStatistics<'a> {
    nodeid: i32,
    #[serde(borrow)]
    state: Cow<'a, str>,
    /// Microseconds since something came from it; negative if nothing has on this connection.
    rxidle: i64,
}

#[derive(Deserialize)]
struct TopicStatistics<'a> {
    #[serde(borrow)]
    partitions: BTreeMap<Cow<'a, str>, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    partition: i32,
    /// From which it is fetched; -1 for none.
    broker: i32,
    /// One past the last message, and past the last finished transaction; negative if unknown.
    hi_offset: i64,
    ls_offset: i64,
}
