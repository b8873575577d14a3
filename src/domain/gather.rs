//! What a delivery's rows make of the alerts that they belong to.

use super::action::Coordinates;
use super::decision::{
    AlertAnswer, Content, Decision, Fate, From, Judge, Judged, Outcome, Receipt,
};
use super::ids::{SourceName, TenantName};
use super::join::{Added, Partial, Row};
use super::time::Wall;
use crate::limits::JOIN_FILES_PER_ALERT;

/// An alert of a stream as it is kept between its rows.
#[derive(Clone, Debug)]
pub struct Kept {
    pub partial: Partial,
    /// Who brought what waits, or waited last.
    pub source: SourceName,
    /// Where its newest row came from.
    pub coordinates: Coordinates,
    /// When it began to wait, this time.
    pub opened: Wall,
    /// When its newest row came.
    pub touched: Wall,
    /// When there is something to end; `None` where nothing waits.
    pub due: Option<Wall>,
}

/// What became of one alert.
#[derive(Debug)]
pub struct Gathered {
    pub tenant: TenantName,
    pub alert: String,
    pub kept: Kept,
    /// Whether there is something new to keep.
    pub changed: bool,
    pub receipts: Vec<Receipt>,
    /// Whether it has receipts, or had them.
    pub told: bool,
    /// How many receipts were opened: each is counted as received then, and its fate once it ends.
    pub opened: i64,
}

impl Kept {
    /// Nothing yet, of an alert of which rows may be lost.
    pub fn of_lost(from: &From<'_>) -> Self {
        Self { partial: Partial::of_lost(), ..Self::new(from) }
    }

    fn new(from: &From<'_>) -> Self {
        Self {
            partial: Partial::default(),
            source: from.source.clone(),
            coordinates: from.coordinates.clone(),
            opened: from.at,
            touched: from.at,
            due: None,
        }
    }
}

/// Adds rows of one alert, of which `kept` is known, and ends what they complete.
pub fn gather(
    kept: Option<Kept>,
    alert: &str,
    rows: Vec<Row>,
    from: &From<'_>,
    judge: &dyn Judge,
) -> Gathered {
    let mut kept = kept.unwrap_or_else(|| Kept::new(from));
    let waited = kept.due.is_some();
    let was_over = kept.partial.is_over();
    let (mut told, mut changed, mut over) = (false, false, 0_usize);
    for row in rows {
        match kept.partial.add(row) {
            Added::Changed => told = true,
            Added::Noted => changed = true,
            Added::Nothing => {}
            Added::TooMany => over += 1,
        }
    }
    // That rows were not taken is kept, however they are cut into messages.
    changed |= told || kept.partial.is_over() != was_over;
    if told {
        kept.touched = from.at;
        kept.coordinates = from.coordinates.clone();
        if !waited && kept.partial.waits() {
            kept.opened = from.at;
            kept.source = from.source.clone();
        }
    }
    let mut gathered = Gathered {
        tenant: from.tenant.clone(),
        alert: alert.to_owned(),
        kept,
        changed,
        receipts: Vec::new(),
        told: false,
        opened: 0,
    };
    gathered.end(waited, from, judge);
    if over > 0 {
        let most = JOIN_FILES_PER_ALERT;
        let what = format!("{over} files or machines more than the {most} that one alert may have");
        let source = &gathered.kept.source;
        let keep_row = judge.keeps_odd_row(from.at);
        gathered.receipts.push(incomplete(from, alert, source, what, keep_row));
        gathered.told = true;
        gathered.opened += 1;
    }
    gathered
}

/// Ends what has waited long enough.
pub fn mature(
    kept: Kept,
    tenant: TenantName,
    alert: &str,
    at: Wall,
    judge: &dyn Judge,
) -> Gathered {
    let (source, coordinates) = (kept.source.clone(), kept.coordinates.clone());
    let from = From { tenant: &tenant, source: &source, coordinates: &coordinates, at };
    let mut gathered = Gathered {
        tenant: tenant.clone(),
        alert: alert.to_owned(),
        kept,
        changed: true,
        receipts: Vec::new(),
        told: false,
        opened: 0,
    };
    gathered.end(true, &from, judge);
    if !gathered.told && !gathered.kept.partial.waits() {
        // It was due, and nothing of it is there any more.
        let what = "what was kept of its rows does not read".to_owned();
        gathered.receipts.push(incomplete(&from, alert, &source, what, true));
        gathered.told = true;
        gathered.opened += 1;
    }
    gathered
}

impl Gathered {
    fn end(&mut self, waited: bool, from: &From<'_>, judge: &dyn Judge) {
        let waits = judge.bounds().waits;
        let Kept { partial, source, opened, touched, .. } = &mut self.kept;
        let read_up_to = judge.read_up_to().min(from.at);
        if let Some(ended) = partial.end(read_up_to, *opened, *touched, waits, &self.alert) {
            for mut receipt in judge.judge(ended.alert, ended.lacks, from) {
                receipt.joined = Some(source.clone());
                self.receipts.push(receipt);
            }
            (self.changed, self.told) = (true, true);
        }
        self.kept.due = partial.due(*opened, *touched, waits);
        // Received is what has its fate and what waits; what waited before is counted already.
        let waits_on = i64::from(self.kept.due.is_some());
        self.opened = self.receipts.len() as i64 + waits_on - i64::from(waited);
    }

    /// What a sender is told of an alert that has no fate yet, or that is known.
    pub fn answer(&self) -> Option<AlertAnswer> {
        let (fate, reason) = match self.kept.due {
            _ if self.told => return None,
            Some(due) => (Fate::Waiting, format!("for rows that complete it, until {due}")),
            None => (Fate::Duplicate, "its rows tell nothing new".to_owned()),
        };
        Some(AlertAnswer { alert: self.alert.clone(), fate, reason, candidates: Vec::new() })
    }
}

/// Rows of an alert for which there is no room.
pub fn refuse(from: &From<'_>, alert: &str, why: String, judge: &dyn Judge) -> Gathered {
    let keep_row = judge.keeps_odd_row(from.at);
    Gathered {
        tenant: from.tenant.clone(),
        alert: alert.to_owned(),
        kept: Kept::new(from),
        changed: false,
        receipts: vec![incomplete(from, alert, from.source, why, keep_row)],
        told: true,
        opened: 1,
    }
}

fn incomplete(
    from: &From<'_>,
    alert: &str,
    source: &SourceName,
    what: String,
    keep_row: bool,
) -> Receipt {
    let outcome = Outcome::Settled(Decision::Incomplete { what });
    let judged = Judged { machine: String::new(), sha1: String::new(), outcome, counts: None };
    Receipt {
        tenant: Some(from.tenant.clone()),
        alert_id: alert.to_owned(),
        content: Content::Judged(vec![judged]),
        raw: None,
        keep_row,
        joined: Some(source.clone()),
    }
}
