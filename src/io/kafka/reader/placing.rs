//! Where partitions are read from: asked after every assignment, and after a message was not
//! taken.

use std::collections::BTreeMap;

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Reader, Room};
use crate::domain::time::Boot;
use crate::io::Offsets;
use crate::io::kafka::assignment::{Place, list};
use crate::io::kafka::lane::{Lane, State};
use crate::io::kafka::place::{Known, Placed, Topic, place};
use crate::limits;

/// What is known of a partition: the store's offset, the end of its log, and where to read.
struct Answer {
    stored: Option<i64>,
    high: i64,
    placed: Placed,
}

impl Reader {
    /// Places and rewinds the partitions for which it is time. Those that could not be placed wait
    /// and are tried again.
    pub(super) fn place(&self, now: Boot) {
        // A partition that starts to flow would only have to stand still again.
        if self.room != Room::Free {
            return;
        }
        let due = |lane: &Lane| lane.is_to_be_placed(now);
        let rewinding = |lane: &Lane| matches!(lane.state, State::Rewinding { .. });
        let (rewound, unplaced) = {
            let assignment = self.context().assignment();
            let rewound = assignment.places(|lane| due(lane) && rewinding(lane));
            (rewound, assignment.places(|lane| due(lane) && !rewinding(lane)))
        };
        for at in rewound {
            self.rewind(&at, now);
        }
        if unplaced.is_empty() {
            return;
        }
        match self.ask(&unplaced) {
            Ok(answers) => {
                for (at, answer) in answers {
                    self.set(&at, &answer, now);
                }
            }
            Err(why) => {
                for at in &unplaced {
                    self.wait_with(at, now);
                }
                self.context().report("place", format!("partitions could not be placed: {why}"));
            }
        }
    }

    /// Asks the store, the group and the log.
    fn ask(&self, places: &[Place]) -> Result<Vec<(Place, Answer)>, String> {
        let stored = (self.ports.stored)();
        let stored: Offsets = self
            .runtime
            .block_on(async { tokio::time::timeout(limits::KAFKA_ASK, stored).await })
            .map_err(|_| "the store did not say where to read".to_owned())?
            .map_err(|why| format!("the store did not say where to read: {why}"))?;
        let committed = self.committed(places)?;
        let read_before =
            |topic: &str| stored.keys().chain(committed.keys()).any(|(known, _)| known == topic);
        let mut answers = vec![];
        for at in places {
            let (low, high) = self
                .consumer
                .fetch_watermarks(&at.0, at.1, limits::KAFKA_ASK)
                .map_err(|why| format!("the log of {}/{} is unknown: {why}", at.0, at.1))?;
            let topic = if read_before(&at.0) { Topic::ReadBefore } else { Topic::New };
            let (stored, committed) = (stored.get(at).copied(), committed.get(at).copied());
            let known = Known { stored, committed, topic, low, high };
            let placed = place(known, self.settings.start);
            answers.push((at.clone(), Answer { stored, high, placed }));
        }
        Ok(answers)
    }

    /// The offsets of the group, where it has any.
    fn committed(&self, places: &[Place]) -> Result<BTreeMap<Place, i64>, String> {
        let asked = list(places.iter().cloned().map(|place| (place, Offset::Invalid)));
        let committed = self
            .consumer
            .committed_offsets(asked, limits::KAFKA_ASK)
            .map_err(|why| format!("the group's offsets are unknown: {why}"))?;
        let mut offsets = BTreeMap::new();
        for partition in committed.elements() {
            partition.error().map_err(|why| format!("the group's offsets are unknown: {why}"))?;
            if let Offset::Offset(at) = partition.offset() {
                offsets.insert((partition.topic().to_owned(), partition.partition()), at);
            }
        }
        Ok(offsets)
    }

    fn set(&self, at: &Place, answer: &Answer, now: Boot) {
        let source = &self.settings.source;
        let (topic, partition, offset) = (&at.0, at.1, answer.placed.offset());
        if !self.seek(at, offset) {
            self.wait_with(at, now);
            return;
        }
        match answer.placed {
            Placed::OutOfLog { wanted, from } => {
                tracing::error!(%source, topic, partition, wanted, from,
                    "the offset lies outside the log: messages may be lost; reading from the \
                     log's beginning");
                self.status.change(|status| status.offsets_out_of_log += 1);
            }
            Placed::Continues(_) | Placed::Starts(_) => {
                tracing::info!(%source, topic, partition, offset, "reading a Kafka partition");
            }
        }
        if let Some(lane) = self.context().assignment().lane(topic, partition) {
            lane.place(answer.stored, offset);
            lane.end = Some(answer.high);
        }
        self.resume(vec![at.clone()]);
    }

    fn rewind(&self, at: &Place, now: Boot) {
        let first = self.context().assignment().lane(&at.0, at.1).map(|lane| lane.resume_at());
        let Some(first) = first else { return };
        if !self.seek(at, first) {
            self.wait_with(at, now);
            return;
        }
        if let Some(lane) = self.context().assignment().lane(&at.0, at.1) {
            lane.rewind();
        }
        self.resume(vec![at.clone()]);
    }

    /// Whether reading goes on at this offset. Fails for a moment after an assignment, while the
    /// client has not begun with the partition.
    fn seek(&self, at: &Place, offset: i64) -> bool {
        let wanted = list([(at.clone(), Offset::Offset(offset))]);
        let sought = self.consumer.seek_partitions(wanted, limits::KAFKA_ASK);
        let done = |list: &TopicPartitionList| list.elements().iter().all(|e| e.error().is_ok());
        match sought {
            Ok(list) if done(&list) => true,
            Ok(_) => false,
            Err(why) => {
                let (topic, partition) = at;
                self.context()
                    .report("seek", format!("no seek to {topic}/{partition}@{offset}: {why}"));
                false
            }
        }
    }

    /// Tries this partition again in a moment.
    fn wait_with(&self, (topic, partition): &Place, now: Boot) {
        if let Some(lane) = self.context().assignment().lane(topic, *partition) {
            let not_before = now + limits::KAFKA_PLACE_AGAIN_AFTER;
            lane.state = match lane.state {
                State::Rewinding { .. } => State::Rewinding { not_before },
                State::Reading | State::Unplaced { .. } => State::Unplaced { not_before },
            };
        }
    }
}
