//! The partitions that this consumer has, and the messages of them that are on their way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::OwnedSemaphorePermit;

use super::lane::{Answer, Lane, Read, State};
use crate::domain::time::{Boot, Now};
use crate::io::{Ack, Flaw, NotTaken};
use crate::limits;

/// A topic and one of its partitions.
pub(super) type Place = (String, i32);

/// A message that was read and waits for room on its way to intake.
pub(super) struct Held {
    pub tag: u64,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub body: Bytes,
    pub flaw: Option<Flaw>,
    pub follows: Option<i64>,
    pub received: Now,
}

/// What intake said to one message of one assignment.
struct Said {
    tag: u64,
    offset: i64,
    result: Result<(), NotTaken>,
}

pub(super) struct Assignment {
    lanes: BTreeMap<String, BTreeMap<i32, Lane>>,
    pub held: VecDeque<Held>,
    last_tag: u64,
    answers: mpsc::Receiver<Said>,
    answerer: mpsc::Sender<Said>,
}

impl Assignment {
    pub fn new() -> Self {
        let (answerer, answers) = mpsc::channel();
        let lanes = BTreeMap::new();
        Self { lanes, held: VecDeque::new(), last_tag: 0, answers, answerer }
    }

    pub fn add(&mut self, place: Place, now: Boot) {
        self.last_tag += 1;
        let lane = Lane::unplaced(self.last_tag, now);
        self.lanes.entry(place.0).or_default().insert(place.1, lane);
    }

    pub fn remove(&mut self, (topic, partition): &Place) {
        if let Some(lanes) = self.lanes.get_mut(topic) {
            lanes.remove(partition);
        }
    }

    pub fn lane(&mut self, topic: &str, partition: i32) -> Option<&mut Lane> {
        self.lanes.get_mut(topic)?.get_mut(&partition)
    }

    pub fn lanes(&self) -> impl Iterator<Item = (&str, i32, &Lane)> {
        self.lanes.iter().flat_map(|(topic, lanes)| {
            lanes.iter().map(|(partition, lane)| (topic.as_str(), *partition, lane))
        })
    }

    pub fn lanes_mut(&mut self) -> impl Iterator<Item = (&str, i32, &mut Lane)> {
        self.lanes.iter_mut().flat_map(|(topic, lanes)| {
            lanes.iter_mut().map(|(partition, lane)| (topic.as_str(), *partition, lane))
        })
    }

    pub fn places(&self, which: impl Fn(&Lane) -> bool) -> Vec<Place> {
        self.lanes()
            .filter(|(_, _, lane)| which(lane))
            .map(|(topic, partition, _)| (topic.to_owned(), partition))
            .collect()
    }

    /// Takes a message that was read, if its partition is being read.
    pub fn take(&mut self, message: &BorrowedMessage<'_>, body_bytes_max: usize, now: Now) -> Read {
        let (partition, offset) = (message.partition(), message.offset());
        let Some(lane) = self.lane(message.topic(), partition) else {
            return Read::Ignore;
        };
        let (tag, read) = (lane.tag, lane.read(offset));
        if let Read::Hand { follows } = read {
            let (body, flaw) = body(message.payload(), body_bytes_max);
            let topic = message.topic().to_owned();
            let received = now;
            self.held.push_back(Held {
                tag,
                topic,
                partition,
                offset,
                body,
                flaw,
                follows,
                received,
            });
        }
        read
    }

    /// The acknowledgement of a message. It keeps the body's share of the memory until it is used.
    pub fn ack(&self, held: &Held, share: OwnedSemaphorePermit) -> Ack {
        let mut answerer = Answerer {
            to: Some(self.answerer.clone()),
            tag: held.tag,
            offset: held.offset,
            _share: share,
        };
        Box::new(move |result| answerer.say(result.map(drop)))
    }

    /// Takes what intake has said so far. Returns the partitions that must now stand still, with
    /// the reason.
    pub fn settle(&mut self, now: Boot) -> Vec<(Place, NotTaken)> {
        let mut refused = vec![];
        while let Ok(said) = self.answers.try_recv() {
            refused.extend(self.settle_one(said, now));
        }
        refused
    }

    /// Like `settle`, but waits for the first answer.
    pub fn wait(&mut self, longest: Duration, now: Boot) -> Vec<(Place, NotTaken)> {
        let first = self.answers.recv_timeout(longest).ok();
        let mut refused: Vec<_> =
            first.and_then(|said| self.settle_one(said, now)).into_iter().collect();
        refused.extend(self.settle(now));
        refused
    }

    fn settle_one(&mut self, said: Said, now: Boot) -> Option<(Place, NotTaken)> {
        // An answer to an earlier assignment finds no lane.
        let (topic, partition, lane) =
            self.lanes_mut().find(|(_, _, lane)| lane.tag == said.tag)?;
        let Err(why) = said.result else {
            lane.answered(said.offset, Answer::Taken);
            return None;
        };
        lane.answered(said.offset, Answer::NotTaken);
        let place = (topic.to_owned(), partition);
        if lane.state != State::Reading {
            return None;
        }
        lane.state = State::Rewinding { not_before: now + limits::KAFKA_RETRY_AFTER };
        self.forget_held(&place);
        Some((place, why))
    }

    /// Messages that never got to intake count as not taken.
    pub fn forget_held(&mut self, (topic, partition): &Place) {
        let held = std::mem::take(&mut self.held);
        let (forgotten, kept) =
            held.into_iter().partition(|h| h.topic == *topic && h.partition == *partition);
        self.held = kept;
        let forgotten: VecDeque<Held> = forgotten;
        if let Some(lane) = self.lane(topic, *partition) {
            for held in forgotten {
                lane.answered(held.offset, Answer::NotTaken);
            }
        }
    }

    /// Whether intake still works on messages of these partitions.
    pub fn waits_for_answers(&self, places: &[Place]) -> bool {
        self.lanes().any(|(topic, partition, lane)| {
            lane.waits_for_answers() && places.iter().any(|p| p.0 == topic && p.1 == partition)
        })
    }

    /// Where these partitions would be read from after a stop.
    pub fn resume_offsets(&self, which: impl Fn(&str, i32) -> bool) -> Vec<(Place, i64)> {
        self.lanes()
            .filter(|(topic, partition, lane)| {
                !matches!(lane.state, State::Unplaced { .. }) && which(topic, *partition)
            })
            .map(|(topic, partition, lane)| ((topic.to_owned(), partition), lane.resume_at()))
            .collect()
    }
}

/// Partitions as librdkafka wants them. Offsets are those of the *next* message.
pub(super) fn list(offsets: impl IntoIterator<Item = (Place, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(&topic, partition, offset)
            .expect("only an offset that can't be expressed is refused, and ours are not negative");
    }
    list
}

pub(super) fn places_of(list: &TopicPartitionList) -> Vec<Place> {
    list.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect()
}

/// What is kept of a value: all of it, or its first bytes where it can't be read anyway.
pub(super) fn body(value: Option<&[u8]>, max: usize) -> (Bytes, Option<Flaw>) {
    match value {
        None => (Bytes::new(), Some(Flaw::Tombstone)),
        Some([]) => (Bytes::new(), Some(Flaw::Empty)),
        Some(value) if value.len() > max => {
            let head = &value[..limits::UNREADABLE_HEAD_BYTES.min(value.len())];
            let flaw = Flaw::TooLarge { bytes: value.len(), max };
            (Bytes::copy_from_slice(head), Some(flaw))
        }
        Some(value) => (Bytes::copy_from_slice(value), None),
    }
}

/// Tells the reader what intake said, also when intake said nothing and let the delivery go.
struct Answerer {
    to: Option<mpsc::Sender<Said>>,
    tag: u64,
    offset: i64,
    _share: OwnedSemaphorePermit,
}

impl Answerer {
    fn say(&mut self, result: Result<(), NotTaken>) {
        if let Some(to) = self.to.take() {
            // A reader that has ended needs no answer: the store knows the offset.
            let _ = to.send(Said { tag: self.tag, offset: self.offset, result });
        }
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.say(Err(NotTaken::Store("the delivery was let go".to_owned())));
    }
}
