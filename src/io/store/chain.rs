//! The hash chains of changes: appended in the transaction of what they tell, never rewritten.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::feed;
use super::sql::json;
use crate::domain::audit::{Change, GENESIS, Hash, NO_TENANT, Place, What, link};
use crate::domain::ids::ActionId;
use crate::domain::time::Wall;
use crate::io::{AuditLine, ChainHead, ChainReport, Verified};

/// Appends a change to the chain of its tenant.
pub(super) fn append(db: &Connection, change: &Change) -> Result<(), Fault> {
    let chain = name(change);
    let (position, sequence, previous) = next(db, chain)?;
    let entry = json(change);
    let hash = link(&previous, Place { chain, sequence, position }, entry.as_bytes());
    let mut insert = db.prepare_cached(
        "INSERT INTO changes (position, chain, sequence, hash, entry, action)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    insert.execute(params![position, chain, sequence, hash, entry, action(&change.what)])?;
    feed::note(db, change)
}

/// Which action a change is about.
pub(super) fn action(what: &What) -> Option<ActionId> {
    match what {
        What::Created { action, .. }
        | What::Moved { action, .. }
        | What::ClassRaised { action, .. }
        | What::DuplicateLinked { action, .. }
        | What::Approved { action, .. }
        | What::Progressed { action, .. }
        | What::CancelAsked { action }
        | What::CancelAnswered { action, .. } => Some(*action),
        _ => None,
    }
}

/// The newest entry of every chain.
pub(super) fn heads(db: &Connection) -> Result<Vec<ChainHead>, Fault> {
    // Steps from one name to the next along the index: chains are few, entries are many.
    let mut select = db.prepare_cached(
        "WITH RECURSIVE names (chain) AS (
             SELECT MIN(chain) FROM changes
             UNION ALL
             SELECT (SELECT MIN(chain) FROM changes WHERE chain > names.chain) FROM names
             WHERE names.chain IS NOT NULL
         )
         SELECT chain, sequence, hash, entry FROM names JOIN changes USING (chain)
         WHERE sequence = (SELECT MAX(sequence) FROM changes WHERE chain = names.chain)",
    )?;
    let rows = select.query_map([], |row| {
        let hash: Hash = row.get(2)?;
        Ok(ChainHead {
            chain: row.get(0)?,
            sequence: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
            hash: hex::encode(hash),
            at: at(row.get_ref(3)?.as_bytes()?).unwrap_or(Wall(0)),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The next `limit` entries of all chains after this position, in the order of their commits.
pub(super) fn page(db: &Connection, after: i64, limit: usize) -> Result<Vec<AuditLine>, Fault> {
    let mut select = db.prepare_cached(
        "SELECT position, chain, sequence, hash, entry, action FROM changes
         WHERE position > ?1 ORDER BY position LIMIT ?2",
    )?;
    let mut rows = select.query(params![after, super::limit(limit)])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        let Entry { position, chain, sequence, hash, entry, .. } = Entry::read(row)?;
        page.push(AuditLine::new(position, chain, sequence, hash, entry));
    }
    Ok(page)
}

/// Walks every chain from its beginning, in the order of commits, and names what does not follow,
/// at most `limit` faults of each chain: a changed, missing, moved or foreign entry. What all
/// chains together lost at their very end, and chains that are others from their beginning, only
/// `anchors` show: heads that they once had. Call it within a transaction.
pub(super) fn walk(
    db: &Connection,
    anchors: &[ChainHead],
    limit: usize,
) -> Result<Verified, Fault> {
    let mut chains: BTreeMap<String, Walk> = BTreeMap::new();
    for anchor in anchors {
        let walk = chains.entry(anchor.chain.clone()).or_default();
        walk.anchors.entry(anchor.sequence).or_default().push(anchor.hash.to_ascii_lowercase());
    }
    // The table itself, never its index: what is read is what would be exported.
    let mut select = db.prepare(
        "SELECT position, chain, sequence, hash, entry, action FROM changes NOT INDEXED
         ORDER BY position",
    )?;
    let mut rows = select.query([])?;
    let (mut faults, mut last) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let entry = Entry::read(row)?;
        if entry.position != last + 1 && faults.len() < limit {
            let Entry { position, ref chain, sequence, .. } = entry;
            let at = format!("entry {sequence} of chain {chain}, at position {position}");
            faults.push(format!("before {at}, entries are missing: position {last} was the last"));
        }
        last = entry.position;
        match chains.get_mut(&entry.chain) {
            Some(walk) => walk.step(&entry, limit),
            None => chains.entry(entry.chain.clone()).or_default().step(&entry, limit),
        }
    }
    let chains = chains.into_iter().map(|(chain, walk)| walk.end(chain, limit)).collect();
    let mut check = db.prepare("PRAGMA integrity_check('changes')")?;
    let found = check.query_map([], |row| row.get::<_, String>(0))?;
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let damage = found.into_iter().filter(|fault| fault != "ok").take(limit);
    faults.extend(damage.map(|fault| format!("the table of changes is damaged: {fault}")));
    Ok(Verified { chains, faults })
}

/// A row as it is, whatever it is.
struct Entry<'a> {
    position: i64,
    chain: String,
    sequence: i64,
    hash: &'a [u8],
    entry: &'a [u8],
    action: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    fn read(row: &'a Row<'_>) -> Result<Self, Fault> {
        let bytes = |column| -> Result<Option<&'a [u8]>, Fault> {
            Ok(row.get_ref(column)?.as_bytes_or_null().unwrap_or_default())
        };
        Ok(Self {
            position: row.get(0)?,
            chain: String::from_utf8_lossy(bytes(1)?.unwrap_or_default()).into_owned(),
            sequence: row.get_ref(2)?.as_i64().unwrap_or(-1),
            hash: bytes(3)?.unwrap_or_default(),
            entry: bytes(4)?.unwrap_or_default(),
            action: bytes(5)?,
        })
    }
}

/// How far one chain has been walked.
#[derive(Default)]
struct Walk {
    entries: u64,
    next: i64,
    previous: Hash,
    first: Option<Wall>,
    last: Option<Wall>,
    /// Heads that are to be there, by their sequence.
    anchors: BTreeMap<u64, Vec<String>>,
    anchored: u64,
    faults: Vec<String>,
}

impl Walk {
    fn step(&mut self, entry: &Entry<'_>, limit: usize) {
        let Entry { position, ref chain, sequence, hash, .. } = *entry;
        let place = Place { chain, sequence, position };
        let fault = if sequence != self.next {
            Some(format!("entry {sequence} stands where {} belongs", self.next))
        } else if link(&self.previous, place, entry.entry) != hash {
            Some(format!("entry {sequence} is not what was written, or not where"))
        } else if !belongs(entry) {
            Some(format!("entry {sequence} stands beside another action or chain than it names"))
        } else {
            None
        };
        self.note(fault, limit);
        let anchors = u64::try_from(sequence).ok().and_then(|s| self.anchors.remove(&s));
        for anchor in anchors.unwrap_or_default() {
            if anchor == hex::encode(hash) {
                self.anchored += 1;
            } else {
                let fault = format!("entry {sequence} has another hash than its anchor {anchor}");
                self.note(Some(fault), limit);
            }
        }
        self.entries += 1;
        self.next = sequence.saturating_add(1);
        self.previous = hash.try_into().unwrap_or(GENESIS);
        self.last = at(entry.entry);
        if self.entries == 1 {
            self.first = self.last;
        }
    }

    fn end(mut self, chain: String, limit: usize) -> ChainReport {
        let missing: Vec<_> = std::mem::take(&mut self.anchors).into_keys().collect();
        if let (Some(first), Some(last)) = (missing.first(), missing.last()) {
            let entries = self.entries;
            let which =
                if first == last { format!("{first}") } else { format!("{first} to {last}") };
            let fault = format!("the anchor of entry {which} is of no entry: {entries} are left");
            self.note(Some(fault), limit);
        }
        let hash = if self.entries == 0 { String::new() } else { hex::encode(self.previous) };
        let Walk { entries, first, last, anchored, faults, .. } = self;
        ChainReport { chain, entries, hash, first, last, anchored, faults }
    }

    fn note(&mut self, fault: Option<String>, limit: usize) {
        if self.faults.len() < limit {
            self.faults.extend(fault);
        }
    }
}

fn name(change: &Change) -> &str {
    change.tenant.as_ref().map_or(NO_TENANT, |tenant| tenant.as_str())
}

/// Position and sequence of a chain's next entry, and the hash that it follows.
fn next(db: &Connection, chain: &str) -> Result<(i64, i64, Hash), Fault> {
    let mut newest =
        db.prepare_cached("SELECT position FROM changes ORDER BY position DESC LIMIT 1")?;
    let position: Option<i64> = newest.query_row([], |row| row.get(0)).optional()?;
    let position = position.unwrap_or(0) + 1;
    let mut newest = db.prepare_cached(
        "SELECT sequence, hash FROM changes WHERE chain = ?1 ORDER BY sequence DESC LIMIT 1",
    )?;
    let newest = newest.query_row([chain], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
    Ok(match newest.optional()? {
        Some((sequence, hash)) => (position, sequence + 1, hash),
        None => (position, 0, GENESIS),
    })
}

/// The columns beside an entry say the same as the entry.
fn belongs(entry: &Entry<'_>) -> bool {
    serde_json::from_slice::<Change>(entry.entry).is_ok_and(|change| {
        let about = action(&change.what);
        name(&change) == entry.chain
            && about.as_ref().map(|id| &id.0.as_bytes()[..]) == entry.action
    })
}

/// When an entry was written, if it says so.
fn at(entry: &[u8]) -> Option<Wall> {
    #[derive(serde::Deserialize)]
    struct At {
        at: Wall,
    }
    serde_json::from_slice::<At>(entry).ok().map(|entry| entry.at)
}
