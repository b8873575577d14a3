//! How far each Kafka partition is taken.
//!
//! Batches are prepared ahead of each other, so a delivery that fails or has to come again may be
//! overtaken by later ones of its partition. Its offset is then kept as a hole below `next`: a
//! delivery there is new, any other below `next` is a redelivery, and reading starts anew at the
//! lowest hole. So nothing is lost and nothing counts twice.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::sql::Json;
use crate::domain::action::Coordinates;
use crate::domain::decision::JudgedDelivery;
use crate::domain::ids::SourceName;
use crate::io::Offsets;

/// Offsets that were brought and are not durably taken, whatever became of their transactions.
/// Bounded by what the sources have in hand, since they bring the same offset again until it is
/// taken.
#[derive(Default)]
pub(super) struct Brought {
    waiting: BTreeMap<Partition, BTreeSet<i64>>,
    /// Taken in the transaction that is open.
    taken: Vec<(Partition, i64)>,
}

/// Source, topic and number.
type Partition = (String, String, i32);

impl Brought {
    pub(super) fn bring(&mut self, batch: &[JudgedDelivery]) {
        for delivery in batch {
            if let Some(((source, topic, partition), offset)) = at(delivery) {
                let partition = (source.to_owned(), topic.to_owned(), partition);
                self.waiting.entry(partition).or_default().insert(offset);
            }
        }
    }

    /// How much the open transaction has taken so far.
    pub(super) fn mark(&self) -> usize {
        self.taken.len()
    }

    /// What was taken since the mark was rolled back.
    pub(super) fn roll_back(&mut self, mark: usize) {
        self.taken.truncate(mark);
    }

    /// What was taken is durable.
    pub(super) fn commit(&mut self) {
        for (partition, offset) in self.taken.drain(..) {
            if let Some(waiting) = self.waiting.get_mut(&partition) {
                waiting.remove(&offset);
                if waiting.is_empty() {
                    self.waiting.remove(&partition);
                }
            }
        }
    }
}

/// The partitions that one piece of work touches.
#[derive(Default)]
pub(super) struct Positions<'d> {
    touched: HashMap<(&'d str, &'d str, i32), Position>,
}

struct Position {
    next: i64,
    /// Offsets that were brought and not taken; those at `next` or above are no holes yet.
    missing: BTreeSet<i64>,
    taken: Vec<i64>,
}

impl<'d> Positions<'d> {
    /// Whether this delivery was taken before.
    pub(super) fn is_redelivery(
        &mut self,
        db: &Connection,
        brought: &Brought,
        delivery: &'d JudgedDelivery,
    ) -> Result<bool, Fault> {
        let Some((partition, offset)) = at(delivery) else { return Ok(false) };
        let position = match self.touched.entry(partition) {
            Entry::Occupied(touched) => touched.into_mut(),
            Entry::Vacant(new) => new.insert(load(db, brought, partition)?),
        };
        Ok(offset < position.next && !position.missing.contains(&offset))
    }

    /// Notes that a delivery, asked about before, is taken.
    pub(super) fn take(&mut self, delivery: &'d JudgedDelivery) {
        let Some((partition, offset)) = at(delivery) else { return };
        if let Some(position) = self.touched.get_mut(&partition) {
            position.next = position.next.max(offset.saturating_add(1));
            position.missing.remove(&offset);
            position.taken.push(offset);
        }
    }

    pub(super) fn write(self, db: &Connection, brought: &mut Brought) -> Result<(), Fault> {
        for ((source, topic, partition), position) in self.touched {
            if position.taken.is_empty() {
                continue;
            }
            let holes: Vec<i64> = position.missing.range(..position.next).copied().collect();
            let mut upsert = db.prepare_cached(
                "INSERT OR REPLACE INTO offsets (source, topic, partition, next, holes)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            upsert.execute(params![source, topic, partition, position.next, Json(holes)])?;
            let partition = (source.to_owned(), topic.to_owned(), partition);
            let taken = position.taken.into_iter().map(|offset| (partition.clone(), offset));
            brought.taken.extend(taken);
        }
        Ok(())
    }
}

/// Where each partition of a source is to be read from.
pub(super) fn read(db: &Connection, source: &SourceName) -> Result<Offsets, Fault> {
    let mut select =
        db.prepare_cached("SELECT topic, partition, next, holes FROM offsets WHERE source = ?1")?;
    let rows = select.query_map([source.as_str()], |row| {
        let (next, Json(holes)) = (row.get::<_, i64>(2)?, row.get::<_, Json<Vec<i64>>>(3)?);
        Ok(((row.get(0)?, row.get(1)?), holes.into_iter().min().unwrap_or(next)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets a partition whose log began anew, so that its offsets count from where they are.
pub(super) fn forget(
    db: &Connection,
    brought: &mut Brought,
    source: &SourceName,
    topic: &str,
    partition: i32,
) -> Result<(), Fault> {
    db.execute(
        "DELETE FROM offsets WHERE source = ?1 AND topic = ?2 AND partition = ?3",
        params![source.as_str(), topic, partition],
    )?;
    brought.waiting.remove(&(source.as_str().to_owned(), topic.to_owned(), partition));
    Ok(())
}

fn at(delivery: &JudgedDelivery) -> Option<((&str, &str, i32), i64)> {
    match &delivery.coordinates {
        Coordinates::Kafka { topic, partition, offset, .. } => {
            Some(((delivery.source.as_str(), topic, *partition), *offset))
        }
        Coordinates::Webhook { .. } => None,
    }
}

fn load(
    db: &Connection,
    brought: &Brought,
    (source, topic, partition): (&str, &str, i32),
) -> Result<Position, Fault> {
    let mut select = db.prepare_cached(
        "SELECT next, holes FROM offsets WHERE source = ?1 AND topic = ?2 AND partition = ?3",
    )?;
    let stored = select.query_row(params![source, topic, partition], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Json<BTreeSet<i64>>>(1)?.0))
    });
    let (next, mut missing) = stored.optional()?.unwrap_or((i64::MIN, BTreeSet::new()));
    let key = (source.to_owned(), topic.to_owned(), partition);
    if let Some(waiting) = brought.waiting.get(&key) {
        // Those below `next` that are no holes were taken earlier.
        missing.extend(waiting.range(next..));
    }
    Ok(Position { next, missing, taken: Vec::new() })
}
