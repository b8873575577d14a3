//! The record as channels read it: in the order of the commits, from where each left off. Nothing
//! is written for them where something happens, so telling people can delay no action.

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, params};

use super::SqliteStore;
use super::fault::Fault;
use super::report;
use crate::domain::audit::{Change, What};
use crate::domain::ids::EffectKey;
use crate::domain::time::Wall;
use crate::io::{Cursor, Fed, Feed, Noted, Record, StoreError};

impl Record for SqliteStore {
    fn changes(&self, from: i64, limit: usize) -> BoxFuture<'static, Result<Feed, StoreError>> {
        self.read(move |db| changes(db, from, limit))
    }

    fn end(&self) -> BoxFuture<'static, Result<i64, StoreError>> {
        self.read(end)
    }

    fn cursor(&self, channel: &str) -> BoxFuture<'static, Result<Cursor, StoreError>> {
        let channel = channel.to_owned();
        self.write(move |db| cursor(db, &channel))
    }

    fn advance(&self, channel: &str, cursor: Cursor) -> BoxFuture<'static, Result<(), StoreError>> {
        let channel = channel.to_owned();
        self.write(move |db| advance(db, &channel, cursor))
    }

    fn received(&self) -> BoxFuture<'static, Result<Vec<(String, Wall)>, StoreError>> {
        self.read(report::last_received)
    }

    fn noted(&self) -> BoxFuture<'static, Result<Vec<(Noted, Wall)>, StoreError>> {
        self.read(noted)
    }
}

/// Changes from this position on. An entry that does not read is passed over: verifying the chains
/// names it.
pub(super) fn changes(db: &Connection, from: i64, limit: usize) -> Result<Feed, Fault> {
    let mut select = db.prepare_cached(
        "SELECT c.rowid, c.entry, a.tenant, a.machine, a.sha1
         FROM changes c LEFT JOIN actions a ON a.id = c.action
         WHERE c.rowid >= ?1 ORDER BY c.rowid LIMIT ?2",
    )?;
    let mut rows = select.query(params![from, super::limit(limit)])?;
    let mut feed = Feed { changes: Vec::new(), next: from };
    while let Some(row) = rows.next()? {
        let (position, entry): (i64, String) = (row.get(0)?, row.get(1)?);
        feed.next = position + 1;
        let Ok(change) = serde_json::from_str::<Change>(&entry) else {
            tracing::error!(position, "an entry of the record does not read and is not told");
            continue;
        };
        let key = match row.get(2)? {
            Some(tenant) => Some(EffectKey { tenant, machine: row.get(3)?, sha1: row.get(4)? }),
            None => None,
        };
        feed.changes.push(Fed { position, change, key });
    }
    Ok(feed)
}

/// One past the newest change.
pub(super) fn end(db: &Connection) -> Result<i64, Fault> {
    let newest: Option<i64> =
        db.query_row("SELECT MAX(rowid) FROM changes", [], |row| row.get(0))?;
    Ok(newest.unwrap_or(0) + 1)
}

/// Where a channel goes on. One never seen before starts at the end, and that is kept.
pub(super) fn cursor(db: &Connection, channel: &str) -> Result<Cursor, Fault> {
    let mut select =
        db.prepare_cached("SELECT next, until, told FROM cursors WHERE channel = ?1")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Cursor { next: row.get(0)?, until: row.get(1)?, told: row.get(2)? })
    };
    if let Some(cursor) = select.query_row([channel], read).optional()? {
        return Ok(cursor);
    }
    let cursor = Cursor::at(end(db)?);
    advance(db, channel, cursor)?;
    Ok(cursor)
}

pub(super) fn advance(db: &Connection, channel: &str, cursor: Cursor) -> Result<(), Fault> {
    let Cursor { next, until, told } = cursor;
    let mut upsert = db.prepare_cached(
        "INSERT INTO cursors (channel, next, until, told) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (channel) DO UPDATE
         SET next = excluded.next, until = excluded.until, told = excluded.told",
    )?;
    upsert.execute(params![channel, next, until, told])?;
    Ok(())
}

/// Keeps what must not be noted again too soon, in the transaction of the change that notes it.
pub(super) fn note(db: &Connection, change: &Change) -> Result<(), Fault> {
    let key = match (&change.what, &change.tenant) {
        (What::SourceSilent { source }, _) => Noted::Silent(source.clone()).key(),
        (What::SourceHeard { source }, _) => {
            let key = Noted::Silent(source.clone()).key();
            db.prepare_cached("DELETE FROM noted WHERE what = ?1")?.execute([key])?;
            return Ok(());
        }
        (What::CredentialExpiring { .. }, Some(tenant)) => Noted::Expiring(tenant.clone()).key(),
        _ => return Ok(()),
    };
    let mut upsert = db.prepare_cached(
        "INSERT INTO noted (what, at) VALUES (?1, ?2)
         ON CONFLICT (what) DO UPDATE SET at = excluded.at",
    )?;
    upsert.execute(params![key, change.at])?;
    Ok(())
}

/// What is noted, and when it was.
pub(super) fn noted(db: &Connection) -> Result<Vec<(Noted, Wall)>, Fault> {
    let mut select = db.prepare_cached("SELECT what, at FROM noted ORDER BY what")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(rows.into_iter().filter_map(|(key, at)| Some((Noted::from_key(&key)?, at))).collect())
}
