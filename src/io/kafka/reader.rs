//! The thread of a source: one loop around `poll`.

mod placing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};

use super::assignment::{Held, Place, list};
use super::context::Context;
use super::lane::{Read, State};
use super::status::{KafkaStatus, PartitionStatus, Reading};
use super::{KafkaError, Settings, StoredOffsets, config, members};
use crate::domain::action::Coordinates;
use crate::domain::time::{Boot, Now};
use crate::io::{Ack, Clock, Delivery};
use crate::limits;

/// What the reader uses of the rest of the process.
pub(super) struct Ports {
    pub stored: StoredOffsets,
    pub deliveries: mpsc::Sender<Delivery>,
    pub clock: Arc<dyn Clock>,
    pub budget: Arc<Semaphore>,
}

pub(super) struct Reader {
    consumer: BaseConsumer<Context>,
    settings: Settings,
    own_id: String,
    ports: Ports,
    status: Arc<KafkaStatus>,
    stopping: Arc<AtomicBool>,
    /// Drives the store's answers only: this thread belongs to no other runtime.
    runtime: tokio::runtime::Runtime,
    room: Room,
    hint_due: Boot,
    members_due: Boot,
}

/// Whether there is room on the way to intake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Free,
    Full {
        since: Boot,
    },
    /// Full for so long that the partitions are paused.
    Paused,
}

impl Reader {
    pub fn new(
        settings: Settings,
        ports: Ports,
        status: Arc<KafkaStatus>,
        stopping: Arc<AtomicBool>,
    ) -> Result<Self, KafkaError> {
        let client = |why: String| KafkaError::Client { source_name: settings.source.clone(), why };
        let config = config::client_config(&settings)?;
        let context = Context::new(&settings, Arc::clone(&ports.clock), Arc::clone(&status));
        let consumer: BaseConsumer<Context> =
            config.create_with_context(context).map_err(|why| client(why.to_string()))?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|why| client(why.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|why| client(why.to_string()))?;
        let now = ports.clock.now().boot;
        let own_id = config::member_id(&settings)?;
        Ok(Self {
            consumer,
            settings,
            own_id,
            ports,
            status,
            stopping,
            runtime,
            room: Room::Free,
            hint_due: now,
            members_due: now + limits::KAFKA_MEMBERS_EVERY,
        })
    }

    /// Reads until told to stop, or until something happens that only a person can mend.
    pub fn run(mut self) {
        while !self.stopping.load(Ordering::Acquire) {
            let now = self.ports.clock.now();
            let refused = self.context().assignment().settle(now.boot);
            self.context().stand_still(&self.consumer, refused);
            let step = self.hand_on(now.boot).and_then(|()| {
                self.place(now.boot);
                self.tell(now);
                self.poll()
            });
            if let Err(Ended(why)) = step {
                tracing::error!(source = %self.settings.source, ?why, "a Kafka source has ended");
                self.status.change(|status| status.ended = Some(why));
                break;
            }
        }
        let places = self.context().assignment().places(|_| true);
        self.context().drain(&self.consumer, &places);
        self.hint();
        // Closes the consumer, which takes every partition away, which commits.
        drop(self.consumer);
    }

    fn context(&self) -> &Arc<Context> {
        self.consumer.context()
    }

    /// One poll: at most one message, or the callbacks that are due.
    fn poll(&mut self) -> Result<(), Ended> {
        if self.context().out_of_step.load(Ordering::Relaxed) {
            self.status.change(|status| status.broken = true);
            return Err(Ended("the group's partitions were not taken or let go".to_owned()));
        }
        let now = self.ports.clock.now();
        let longest = match self.room {
            Room::Free => Duration::from_millis(50),
            Room::Paused => Duration::from_millis(10),
            Room::Full { .. } => {
                // An answer is the first sign of room.
                let refused = self.context().assignment().wait(Duration::from_millis(10), now.boot);
                self.context().stand_still(&self.consumer, refused);
                return Ok(());
            }
        };
        failpoint!("kafka.poll", Ok(()));
        match self.consumer.poll(longest) {
            None => Ok(()),
            Some(Ok(message)) => {
                let now = self.ports.clock.now();
                let mut assignment = self.context().assignment();
                let read = assignment.take(&message, self.settings.body_bytes_max, now);
                if read == Read::WentBack
                    && let Some(lane) = assignment.lane(message.topic(), message.partition())
                {
                    lane.state = State::Unplaced { not_before: now.boot };
                }
                Ok(())
            }
            // Counted by the error callback already.
            Some(Err(ClientError::MessageConsumptionFatal(code))) => Err(self.fatal(code)),
            Some(Err(_)) => Ok(()),
        }
    }

    fn fatal(&self, code: RDKafkaErrorCode) -> Ended {
        let why = match self.consumer.client().fatal_error() {
            Some((code, why)) => format!("{code}: {why}"),
            None => code.to_string(),
        };
        if code == RDKafkaErrorCode::FencedInstanceId {
            let name = format!("another process that runs as node {}", self.settings.node);
            self.status.change(|status| status.foreign_member = Some(name));
        }
        Ended(why)
    }

    /// Hands what is held on to intake, as far as there is room, and pauses or resumes.
    fn hand_on(&mut self, now: Boot) -> Result<(), Ended> {
        let deliveries = &self.ports.deliveries;
        // After a pause, half the queue must be free: each pause throws away what was fetched.
        if self.room == Room::Paused && deliveries.capacity() * 2 < deliveries.max_capacity() {
            return Ok(());
        }
        let mut assignment = self.context().assignment();
        while let Some(held) = assignment.held.front() {
            let slot = match deliveries.try_reserve() {
                Ok(slot) => slot,
                Err(TrySendError::Full(())) => break,
                Err(TrySendError::Closed(())) => {
                    return Err(Ended("nobody takes deliveries any more".to_owned()));
                }
            };
            // The whole budget is always enough for one.
            let bytes = held.body.len().min(limits::BODIES_IN_MEMORY);
            let bytes = u32::try_from(bytes).expect("the budget fits");
            let Ok(share) = Arc::clone(&self.ports.budget).try_acquire_many_owned(bytes) else {
                break;
            };
            let ack = assignment.ack(held, share);
            if let Some(held) = assignment.held.pop_front() {
                slot.send(self.delivery(held, ack));
            }
        }
        let full = !assignment.held.is_empty();
        drop(assignment);
        self.room = match self.room {
            Room::Free if full => Room::Full { since: now },
            Room::Full { since } if full && now.since(since) >= limits::KAFKA_PAUSE_AFTER => {
                self.context().pause(&self.consumer, self.reading());
                Room::Paused
            }
            Room::Paused if !full => {
                self.resume(self.reading());
                Room::Free
            }
            Room::Full { .. } if !full => Room::Free,
            room => room,
        };
        Ok(())
    }

    fn delivery(&self, held: Held, ack: Ack) -> Delivery {
        let source = self.settings.source.clone();
        let coordinates = Coordinates::Kafka {
            source: source.as_str().to_owned(),
            topic: held.topic,
            partition: held.partition,
            offset: held.offset,
        };
        Delivery {
            source,
            body: held.body,
            coordinates,
            received: held.received,
            replay: None,
            flaw: held.flaw,
            follows: held.follows,
            ack,
        }
    }

    fn reading(&self) -> Vec<Place> {
        self.context().assignment().places(|lane| lane.state == State::Reading)
    }

    fn resume(&self, places: Vec<Place>) {
        let resumed = list(places.into_iter().map(|place| (place, Offset::Invalid)));
        if let Err(why) = self.consumer.resume(&resumed) {
            self.context().report("resume", format!("partitions could not be resumed: {why}"));
        }
    }

    /// Tells the broker how far we are, and everybody else how we are, when it is time.
    fn tell(&mut self, now: Now) {
        if now.boot >= self.hint_due {
            self.hint_due = now.boot + limits::KAFKA_HINT_EVERY;
            self.hint();
            self.publish();
        }
        let rebalanced = self.context().rebalanced.swap(false, Ordering::Relaxed);
        if rebalanced || now.boot >= self.members_due {
            self.look_at_members(now.boot);
        }
    }

    /// Gives librdkafka the offsets to commit in the background. Everything before them is durable.
    fn hint(&self) {
        failpoint!("kafka.hint");
        let offsets = self.context().assignment().resume_offsets(|_, _| true);
        let offsets = list(offsets.into_iter().map(|(p, at)| (p, Offset::Offset(at))));
        if offsets.count() > 0
            && let Err(why) = self.consumer.store_offsets(&offsets)
        {
            tracing::debug!(source = %self.settings.source, %why, "offsets could not be kept");
        }
    }

    fn publish(&self) {
        let assignment = self.context().assignment();
        let partitions = assignment.lanes().map(|(topic, partition, lane)| {
            let reading = match lane.state {
                State::Unplaced { .. } => Reading::Unplaced,
                State::Rewinding { .. } => Reading::Refused,
                State::Reading if self.room == Room::Paused => Reading::Full,
                State::Reading => Reading::Flowing,
            };
            let (next, lag, heard) = (lane.resume_at(), lane.lag(), lane.heard);
            let status = PartitionStatus { next, lag, heard, reading };
            ((topic.to_owned(), partition), status)
        });
        let partitions = partitions.collect();
        self.status.change(|status| status.partitions = partitions);
    }

    fn look_at_members(&mut self, now: Boot) {
        let assigned = self.context().assignment().lanes().count();
        let looked = members::foreign(&self.consumer, &self.settings, &self.own_id, assigned);
        self.members_due = now + limits::KAFKA_FOREIGN_MEMBERS_EVERY;
        match looked {
            Ok(None) => {
                self.members_due = now + limits::KAFKA_MEMBERS_EVERY;
                self.status.change(|status| status.foreign_member = None);
            }
            Ok(Some(name)) => self.status.change(|status| {
                if status.foreign_member.as_ref() != Some(&name) {
                    tracing::error!(source = %self.settings.source, member = ?name,
                        "somebody else reads with this consumer group");
                    status.foreign_member = Some(name);
                }
            }),
            // What was known stays.
            Err(why) => self.context().report("members", format!("members unknown: {why}")),
        }
    }
}

/// Why a reader ended by itself.
struct Ended(String);
