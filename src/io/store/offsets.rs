//! How far each Kafka partition is taken.
//!
//! Batches are prepared ahead of each other, so a delivery that fails or has to come again could
//! be overtaken by later ones of its partition. Each says which offset it follows; one that follows
//! another than the stored one is not taken, so the stored offset never passes what was not taken.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use crate::domain::action::Coordinates;
use crate::domain::decision::JudgedDelivery;
use crate::domain::ids::SourceName;
use crate::io::Offsets;

/// The partitions that one piece of work touches, by source, topic and number.
#[derive(Default)]
pub(super) struct Positions<'d> {
    touched: HashMap<(&'d str, &'d str, i32), Position>,
}

#[derive(Clone, Copy)]
struct Position {
    next: Option<i64>,
    changed: bool,
}

/// Whether a delivery may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is next, or comes from where there are no offsets.
    Now,
    /// Its offset was taken before.
    Redelivered,
    /// One before it was not taken, or another process moved the offset.
    Behind,
}

impl<'d> Positions<'d> {
    pub(super) fn turn(
        &mut self,
        db: &Connection,
        delivery: &'d JudgedDelivery,
    ) -> Result<Turn, Fault> {
        let Some((partition, offset)) = at(delivery) else { return Ok(Turn::Now) };
        let next = match self.touched.get(&partition) {
            Some(position) => position.next,
            None => {
                let next = load(db, partition)?;
                self.touched.insert(partition, Position { next, changed: false });
                next
            }
        };
        // In this order: where a log began anew, a message follows an offset beyond its own.
        Ok(match next {
            next if next == delivery.follows => Turn::Now,
            Some(next) if offset < next => Turn::Redelivered,
            _ => Turn::Behind,
        })
    }

    /// Notes that a delivery, whose turn it was, is taken.
    pub(super) fn take(&mut self, delivery: &'d JudgedDelivery) {
        if let Some((partition, offset)) = at(delivery) {
            let next = Some(offset.saturating_add(1));
            self.touched.insert(partition, Position { next, changed: true });
        }
    }

    pub(super) fn write(self, db: &Connection) -> Result<(), Fault> {
        for ((source, topic, partition), position) in self.touched {
            if position.changed {
                let mut upsert = db.prepare_cached(
                    "INSERT OR REPLACE INTO offsets (source, topic, partition, next)
                     VALUES (?1, ?2, ?3, ?4)",
                )?;
                upsert.execute(params![source, topic, partition, position.next])?;
            }
        }
        Ok(())
    }
}

/// Where each partition of a source is to be read from.
pub(super) fn read(db: &Connection, source: &SourceName) -> Result<Offsets, Fault> {
    let mut select =
        db.prepare_cached("SELECT topic, partition, next FROM offsets WHERE source = ?1")?;
    let rows = select.query_map([source.as_str()], |row| {
        Ok(((row.get(0)?, row.get(1)?), row.get::<_, i64>(2)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
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
    (source, topic, partition): (&str, &str, i32),
) -> Result<Option<i64>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT next FROM offsets WHERE source = ?1 AND topic = ?2 AND partition = ?3",
    )?;
    let stored = select.query_row(params![source, topic, partition], |row| row.get(0));
    Ok(stored.optional()?)
}
