//! The join: in a stream one alert comes as many rows over many messages. They wait here until each
//! file has its alert and its machine, in whatever order they come; what never does ends as
//! incomplete.
//!
//! A row with no more to say than one before it changes nothing. Of two versions of one thing the
//! newer one holds, so the order of arrival does not matter.

mod assemble;

mod row;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::candidate::{Field, Fields, Value};
use super::ids::{MachineId, Sha1};
use super::time::{Wall, written_span};
use crate::limits::{JOIN_BYTES_PER_ALERT, JOIN_FILES_PER_ALERT};

pub use row::{File, Part, Row, Stated};

/// How long rows wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// A file whose row names no machine gets the alert's only one once no row has come for so
    /// long.
    pub settle: Duration,
    /// What is incomplete so long after it began ends so.
    pub expire: Duration,
}

/// What is known so far of one alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    alert: Option<Head>,
    machines: Vec<Machine>,
    files: Vec<Held>,
    /// Whether it was told that no file came, or no alert.
    empty_told: bool,
    /// Rows were not taken, or forgotten: nobody knows which machines they name.
    #[serde(default)]
    over: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    time: Wall,
    created: Option<Wall>,
    fields: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Machine {
    time: Wall,
    machine: Result<MachineId, String>,
    /// Of its own row; `None` while it is only mentioned.
    fields: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    key: String,
    time: Wall,
    machine: Stated,
    sha1: Result<Sha1, String>,
    since: Option<Wall>,
    fields: String,
    told: Told,
}

impl Held {
    /// Whether a row of its machine gives it another name than `before` did: what a machine says of
    /// itself goes before what a file says of it.
    fn is_renamed(&self, machine: &Machine, before: Option<&str>) -> bool {
        let is_on_it = match &self.machine {
            Stated::Is(own) => machine.machine.as_ref() == Ok(own),
            Stated::Nothing => true,
            Stated::Unusable(_) => false,
        };
        let name = |told: Option<&str>| {
            let fields = Fields::from_snapshot(told?, Wall(0))?;
            match fields.get(Field::MachineName) {
                Value::Text(name) => Some(name.to_string()),
                _ => None,
            }
        };
        let own = || name(Some(&self.fields));
        let shown = |told: Option<&str>| name(told).or_else(own);
        is_on_it && shown(machine.fields.as_deref()) != shown(before)
    }
}

/// What became of a file's newest version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Told {
    Waits,
    /// Rules have judged it.
    Judged,
    /// It ended without its alert, or without a machine, and waits no more; but what it lacked may
    /// still come.
    WithoutAlert,
    WithoutMachine,
}

/// What a row has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// There is more to tell.
    Changed,
    /// Something to keep, and nothing to tell.
    Noted,
    /// It says no more than was known.
    Nothing,
    /// The alert has [`JOIN_FILES_PER_ALERT`] files, or [`JOIN_BYTES_PER_ALERT`], already.
    TooMany,
}

/// What waits no more.
#[derive(Debug)]
pub struct Ended {
    pub alert: Alert<'static>,
    /// Why rules can't judge it.
    pub lacks: Option<String>,
}

impl Partial {
    /// Of an alert of which rows may have come before that are not known any more.
    pub fn of_lost() -> Self {
        Self { over: true, ..Self::default() }
    }

    /// Whether rows were not taken.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Adds a row of this alert.
    pub fn add(&mut self, row: Row) -> Added {
        let time = row.time;
        let added = match row.part {
            Part::Alert { created, fields } => self.add_alert(Head { time, created, fields }),
            Part::Machine { machine, fields } => {
                self.add_machine(Machine { time, machine, fields: Some(fields) })
            }
            Part::Mention(machine) => self.add_machine(Machine { time, machine, fields: None }),
            Part::File(file) => self.add_file(time, file),
        };
        self.over |= added == Added::TooMany;
        added
    }

    fn add_alert(&mut self, head: Head) -> Added {
        let told_otherwise = match &mut self.alert {
            Some(known) if head.fields == known.fields => {
                if head.time <= known.time {
                    return Added::Nothing;
                }
                known.time = head.time;
                return Added::Noted;
            }
            Some(known) if (head.time, &head.fields) < (known.time, &known.fields) => {
                return Added::Nothing;
            }
            Some(_) => true,
            None => false,
        };
        self.alert = Some(head);
        for file in &mut self.files {
            if told_otherwise || file.told == Told::WithoutAlert {
                file.told = Told::Waits;
            }
        }
        Added::Changed
    }

    fn add_machine(&mut self, machine: Machine) -> Added {
        let known = self.machines.iter().position(|one| one.machine == machine.machine);
        let before = match known {
            None if self.machines.len() >= JOIN_FILES_PER_ALERT => return Added::TooMany,
            None => {
                self.machines.push(machine.clone());
                None
            }
            Some(at) => {
                let known = &mut self.machines[at];
                // A row says more than a mention, and a newer row more than an older one.
                let says = |one: &Machine| one.fields.as_ref().map(|told| (one.time, told.clone()));
                if says(&machine) <= says(known) {
                    return Added::Nothing;
                }
                std::mem::replace(known, machine.clone()).fields
            }
        };
        if !self.has_machine_row() {
            return Added::Noted;
        }
        // Files without a machine may have one now, and files of this one have its name.
        let mut told = before.is_none();
        for file in &mut self.files {
            let waits = match file.told {
                Told::WithoutMachine => before.is_none(),
                Told::Judged => file.is_renamed(&machine, before.as_deref()),
                Told::Waits | Told::WithoutAlert => false,
            };
            if waits {
                (file.told, told) = (Told::Waits, true);
            }
        }
        if told { Added::Changed } else { Added::Noted }
    }

    fn add_file(&mut self, time: Wall, file: File) -> Added {
        let File { key, machine, sha1, since, fields } = file;
        let told = Told::Waits;
        let mut new = Held { key, time, machine, sha1, since, fields, told };
        let Some(known) = self.files.iter_mut().find(|known| known.key == new.key) else {
            let held = self.files.iter().chain([&new]);
            let bytes: usize = held.map(|file| file.key.len() + file.fields.len()).sum();
            if self.files.len() >= JOIN_FILES_PER_ALERT || bytes > JOIN_BYTES_PER_ALERT {
                return Added::TooMany;
            }
            self.files.push(new);
            return Added::Changed;
        };
        // Published again, evidence is as old as it was: else it would count as newer than the
        // quarantine that dealt with it.
        let since = known.since.into_iter().chain(new.since).min();
        if new.fields == known.fields || (new.time, &new.fields) < (known.time, &known.fields) {
            let older = since != known.since;
            known.since = since;
            let newer = new.fields == known.fields && new.time > known.time;
            known.time = if newer { new.time } else { known.time };
            return if older || newer { Added::Noted } else { Added::Nothing };
        }
        new.since = since;
        *known = new;
        Added::Changed
    }

    /// Whether something has not been told yet.
    pub fn waits(&self) -> bool {
        let untold = |file: &Held| file.told == Told::Waits;
        let is_told_of = self.alert.is_some() || !self.machines.is_empty();
        self.files.iter().any(untold) || (self.files.is_empty() && is_told_of && !self.empty_told)
    }

    fn has_machine_row(&self) -> bool {
        self.machines.iter().any(|machine| machine.fields.is_some())
    }

    /// When there is something to [`end`](Partial::end): `opened` is when it began to wait,
    /// `touched` when the last row came. `None` where nothing waits.
    pub fn due(&self, opened: Wall, touched: Wall, waits: Waits) -> Option<Wall> {
        let expired = opened + waits.expire;
        if !self.waits() {
            return None;
        }
        let mut due = expired;
        for file in self.files.iter().filter(|file| file.told == Told::Waits) {
            due = match (&self.alert, &file.machine) {
                (Some(_), Stated::Is(_) | Stated::Unusable(_)) => return Some(opened),
                (Some(_), Stated::Nothing) if self.has_machine_row() => {
                    due.min(touched + waits.settle)
                }
                _ => due,
            };
        }
        Some(due)
    }

    /// Ends everything at once, as if no more rows could come.
    pub fn end_all(&mut self, id: &str) -> Option<Ended> {
        let waits = Waits { settle: Duration::ZERO, expire: Duration::ZERO };
        self.end(Wall(0), Wall(0), Wall(0), waits, id)
    }

    /// Ends what need not or may not wait longer. `None` where there is nothing. `read_up_to` is
    /// until when all is read that was published: what settles or expires does so by that time, so
    /// that rows which lie unread are not taken for rows that did not come.
    pub fn end(
        &mut self,
        read_up_to: Wall,
        opened: Wall,
        touched: Wall,
        waits: Waits,
        id: &str,
    ) -> Option<Ended> {
        if !self.waits() {
            return None;
        }
        let expired = read_up_to >= opened + waits.expire;
        let settled = read_up_to >= touched + waits.settle;
        let has_alert = self.alert.is_some();
        let has_machine = self.has_machine_row();
        let mut ends = Vec::new();
        for (at, file) in self.files.iter_mut().enumerate() {
            if file.told != Told::Waits {
                continue;
            }
            let stated = file.machine != Stated::Nothing;
            file.told = match () {
                () if !has_alert && expired => Told::WithoutAlert,
                () if !has_alert => continue,
                () if stated || (has_machine && settled) => Told::Judged,
                () if expired => Told::WithoutMachine,
                () => continue,
            };
            ends.push(at);
        }
        if ends.is_empty() {
            if !(self.files.is_empty() && expired) {
                return None;
            }
            self.empty_told = true;
        }
        let lacks = (!has_alert).then(|| {
            let span = written_span(waits.expire);
            format!("the row of the alert itself (AlertInfo) did not come within {span}")
        });
        Some(Ended { alert: self.assembled(id, &ends, waits), lacks })
    }
}

#[cfg(test)]
mod tests;
