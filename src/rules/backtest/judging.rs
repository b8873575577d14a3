//! Pieces of an input, decoded and judged once, by as many threads as like.

use std::collections::BTreeMap;

use super::{Judged, Tenants};
use crate::domain::alert::Alert;
use crate::domain::decision::Fate;
use crate::domain::join::{Partial, Row};
use crate::domain::rule::Ruleset;
use crate::domain::time::Wall;
use crate::formats::{self, Reader};
use crate::limits::CLOCK_SKEW;

/// The times that alerts may have, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub from: Option<Wall>,
    pub to: Option<Wall>,
}

impl Range {
    /// What has no time is in no range that has an end.
    fn holds(self, at: Option<Wall>) -> bool {
        self.from.is_none_or(|from| at.is_some_and(|at| at >= from))
            && self.to.is_none_or(|to| at.is_some_and(|at| at <= to))
    }
}

/// How pieces are judged: the same for all threads.
pub struct Judging<'r> {
    pub reader: &'r Reader,
    /// Each judges all alerts.
    pub sets: Vec<&'r Ruleset>,
    pub tenants: &'r Tenants,
    pub range: Range,
    /// What is created after it has no time that can be believed.
    pub now: Wall,
}

/// What came of some pieces.
pub struct Part<'r> {
    /// Alerts that were judged.
    pub alerts: u64,
    /// Those that are not in the range.
    pub outside: u64,
    /// Alerts or pieces that can't be read.
    pub unreadable: u64,
    /// The first of these, by the order of its piece, and why.
    pub why: Option<(u64, String)>,
    /// Alerts that say nothing of when they were created, or that it is yet to come.
    pub undated: u64,
    /// Alerts of which only Defender could tell all.
    pub asking: u64,
    /// Alerts of tenants that the source does not speak for.
    pub strangers: u64,
    /// Alerts of a stream without the row of the alert itself.
    pub headless: u64,
    /// One for each rule set.
    pub judged: Vec<Judged<'r>>,
}

/// A row of a stream, with the tenant that it names.
pub type OfStream = (Option<String>, Row);

impl<'r> Judging<'r> {
    /// Nothing yet.
    pub fn begin(&self) -> Part<'r> {
        Part {
            alerts: 0,
            outside: 0,
            unreadable: 0,
            why: None,
            undated: 0,
            asking: 0,
            strangers: 0,
            headless: 0,
            judged: self.sets.iter().map(|rules| Judged::new(rules)).collect(),
        }
    }

    /// Judges the alerts of a body. Of two at the same time the one with the smaller `order` is
    /// first. Why some do not read is for the caller to tell, with the place of the body.
    pub fn body(&self, body: &[u8], order: u64, part: &mut Part<'r>) -> Vec<String> {
        if let Some((_, alert)) = self.reader.decode_only(body) {
            self.alert(alert, order, part);
            return Vec::new();
        }
        let cuts = match self.reader.cut(body) {
            Ok(cuts) => cuts,
            Err(why) => return vec![why.to_string()],
        };
        let mut whys = Vec::new();
        for cut in &cuts {
            match self.reader.decode_cut(cut) {
                Ok(alert) => self.alert(alert, order, part),
                Err(why) => whys.push(why.to_string()),
            }
        }
        whys
    }

    /// Reads the rows of a body of a stream, for [`Joins`]. Why some do not read, as above.
    pub fn rows(&self, body: &[u8], rows: &mut Vec<OfStream>) -> Vec<String> {
        let read = match formats::rows(body) {
            Ok(read) => read,
            Err(why) => return vec![why.to_string()],
        };
        let mut whys = Vec::new();
        for row in read {
            match row.map(|one| (one.tenant_id, one.row)) {
                Ok((tenant, Ok(mut row))) => {
                    // What says that it is of next year must not be newer than all others.
                    row.time = row.time.min(self.now + CLOCK_SKEW);
                    rows.push((tenant, row));
                }
                Ok((_, Err(_))) => {}
                Err((_, why)) => whys.push(why.to_string()),
            }
        }
        whys
    }

    /// Judges an alert of which all rows have come.
    pub fn joined(&self, (of, partial): (Of, Partial), order: u64, part: &mut Part<'r>) {
        let ((tenant, id), mut partial) = (of, partial);
        let Some(ended) = partial.end_all(&id) else { return };
        if ended.lacks.is_some() {
            part.headless += 1;
            return;
        }
        let mut alert = ended.alert;
        alert.tenant_id = tenant.map(Into::into);
        self.alert(alert, order, part);
    }

    fn alert(&self, alert: Alert<'_>, order: u64, part: &mut Part<'r>) {
        let mut alert = alert;
        if !self.range.holds(alert.created) {
            part.outside += 1;
            return;
        }
        part.alerts += 1;
        let Some(tenant) = self.tenants.place(alert.tenant_id.as_deref()) else {
            part.strangers += 1;
            let files = alert.candidates.len();
            part.judged.iter_mut().for_each(|judged| judged.count(Fate::UnknownTenant, files));
            return;
        };
        part.asking += u64::from(!alert.asks.is_empty());
        let at = alert.created.filter(|at| *at <= self.now + CLOCK_SKEW);
        part.undated += u64::from(at.is_none());
        let (name, source) = (self.tenants.name(tenant), self.tenants.source.as_str());
        let came = alert.created.unwrap_or(self.now);
        formats::came_by(&mut alert, name, source, came);
        part.judged.iter_mut().for_each(|judged| judged.take(&alert, tenant, at, order));
    }
}

impl Part<'_> {
    /// Counts what can't be read of the piece at `place`.
    pub fn unread(&mut self, order: u64, place: &dyn std::fmt::Display, whys: Vec<String>) {
        self.unreadable += whys.len() as u64;
        let Some(why) = whys.into_iter().next() else { return };
        if self.why.as_ref().is_none_or(|(first, _)| order < *first) {
            self.why = Some((order, format!("{place}: {why}")));
        }
    }

    /// Takes over what another thread has.
    pub fn add(&mut self, other: Self) {
        for (to, more) in [
            (&mut self.alerts, other.alerts),
            (&mut self.outside, other.outside),
            (&mut self.unreadable, other.unreadable),
            (&mut self.undated, other.undated),
            (&mut self.asking, other.asking),
            (&mut self.strangers, other.strangers),
            (&mut self.headless, other.headless),
        ] {
            *to += more;
        }
        let why = other.why;
        self.why = self.why.take().into_iter().chain(why).min_by_key(|(order, _)| *order);
        self.judged.iter_mut().zip(other.judged).for_each(|(own, other)| own.add(other));
    }
}

/// Tenant and alert.
type Of = (Option<String>, String);

/// The rows of a stream, joined as if all had come. They are added in the order of the input, since
/// it decides which are too many.
#[derive(Default)]
pub struct Joins {
    partials: BTreeMap<Of, Partial>,
    next: u64,
    /// Those that wait for rows before them.
    early: BTreeMap<u64, Vec<OfStream>>,
}

impl Joins {
    /// Takes the rows of the chunk with that number; each number has to come once.
    pub fn add(&mut self, number: u64, rows: Vec<OfStream>) {
        self.early.insert(number, rows);
        while let Some(rows) = self.early.remove(&self.next) {
            self.next += 1;
            for (tenant, row) in rows {
                self.partials.entry((tenant, row.alert.clone())).or_default().add(row);
            }
        }
    }

    /// Whether some rows wait for others.
    #[cfg(test)]
    pub(super) fn waits(&self) -> bool {
        !self.early.is_empty()
    }

    /// All alerts, for [`Judging::joined`].
    pub fn all(self) -> impl Iterator<Item = (Of, Partial)> {
        self.partials.into_iter()
    }
}
