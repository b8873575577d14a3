//! The join: in a stream one alert comes as many rows over many messages. They wait here until each
//! file has its alert and its machine, in whatever order they come; what never does ends as
//! incomplete.
//!
//! A row with no more to say than one before it changes nothing. Of two versions of one thing the
//! newer one holds, so the order of arrival does not matter.

mod row;

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::candidate::{Candidate, Field, Fields, Incomplete};
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
    /// Rows were not taken: nobody knows which machines they name.
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
        if let Some(known) = self.machines.iter_mut().find(|one| one.machine == machine.machine) {
            let (is_row, newer) = (machine.fields.is_some(), machine.time > known.time);
            let newer = newer || (machine.time == known.time && machine.fields > known.fields);
            match known.fields {
                Some(_) if is_row && newer => {
                    *known = machine;
                    return Added::Noted;
                }
                None if is_row => {
                    let at = self.machines.iter().position(|one| one.machine == machine.machine);
                    self.machines.remove(at.expect("it was found"));
                    self.machines.push(machine);
                }
                _ => return Added::Nothing,
            }
        } else if self.machines.len() >= JOIN_FILES_PER_ALERT {
            return Added::TooMany;
        } else {
            self.machines.push(machine);
        }
        if !self.has_machine_row() {
            return Added::Noted;
        }
        // Files without a machine may have one now, and files of this one have its name.
        let row = self.machines.last().filter(|row| row.fields.is_some());
        let name = Field::MachineName.name();
        let named = row.filter(|row| row.fields.as_deref().is_some_and(|told| told.contains(name)));
        for file in &mut self.files {
            let is_named = named.is_some_and(|row| match (&file.machine, &row.machine) {
                (Stated::Is(machine), Ok(of)) => machine == of,
                _ => false,
            });
            match file.told {
                Told::WithoutMachine => file.told = Told::Waits,
                Told::Judged if is_named && !file.fields.contains(name) => file.told = Told::Waits,
                _ => {}
            }
        }
        Added::Changed
    }

    fn add_file(&mut self, time: Wall, file: File) -> Added {
        let File { key, machine, sha1, since, fields } = file;
        let told = Told::Waits;
        let mut new = Held { key, time, machine, sha1, since, fields, told };
        // The same file on the same machine, told of by another path: as old as it was.
        let same = |known: &&Held| {
            let nowhere = [&known.machine, &new.machine].contains(&&Stated::Nothing);
            known.sha1 == new.sha1 && (nowhere || known.machine == new.machine)
        };
        let oldest = self.files.iter().filter(same).filter_map(|known| known.since).min();
        let Some(known) = self.files.iter_mut().find(|known| known.key == new.key) else {
            let held = self.files.iter().chain([&new]);
            let bytes: usize = held.map(|file| file.key.len() + file.fields.len()).sum();
            if self.files.len() >= JOIN_FILES_PER_ALERT || bytes > JOIN_BYTES_PER_ALERT {
                return Added::TooMany;
            }
            new.since = new.since.into_iter().chain(oldest).min();
            self.files.push(new);
            return Added::Changed;
        };
        // Published again, evidence is as old as it was: else it would count as newer than the
        // quarantine that dealt with it.
        let since = known.since.map(|since| new.since.map_or(since, |new| new.min(since)));
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
        let is_told_of = self.alert.is_some() || self.has_machine_row();
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

    fn assembled(&self, id: &str, files: &[usize], waits: Waits) -> Alert<'static> {
        let head = self.alert.as_ref();
        let created = head.and_then(|head| head.created);
        let shared = head.and_then(|head| Fields::from_snapshot(&head.fields, Wall(0)));
        let shared = shared.unwrap_or_default();
        let candidates = files
            .iter()
            .map(|at| self.candidate(&self.files[*at], &shared, created, waits))
            .collect();
        Alert {
            id: id.to_owned().into(),
            tenant_id: None,
            created,
            candidates,
            asks: Vec::new(),
            known: None,
        }
    }

    fn candidate(
        &self,
        file: &Held,
        shared: &Fields<'static>,
        created: Option<Wall>,
        waits: Waits,
    ) -> Candidate<'static> {
        let machine = match &file.machine {
            Stated::Is(machine) => Ok(*machine),
            Stated::Unusable(why) => Err(why.clone()),
            Stated::Nothing if file.told == Told::WithoutMachine && self.has_machine_row() => {
                Err("its row names no machine, and rows of its alert still came".to_owned())
            }
            Stated::Nothing => self.only_machine(waits),
        };
        let mut fields = Fields::from_snapshot(&file.fields, Wall(0)).unwrap_or_default();
        let row = self.machines.iter().find(|row| row.machine == machine);
        if let (Ok(_), Some(row)) = (&machine, row)
            && let Some(told) = row.fields.as_deref()
            && let Some(mut told) = Fields::from_snapshot(told, Wall(0))
        {
            // What a machine says of itself goes before what a file says of it.
            told.fill(fields);
            fields = told;
        }
        fields.fill(shared.clone());
        if let Ok(machine) = machine {
            fields.set_text(Field::MachineId, machine.to_string());
        }
        Candidate {
            machine: machine.map_err(Incomplete),
            sha1: file.sha1.clone().map_err(Incomplete),
            evidence: file.since.or(created),
            fields,
        }
    }

    /// The machine of a file whose row names none: the only one that the alert has, if one of its
    /// `Machine` rows says so.
    fn only_machine(&self, waits: Waits) -> Result<MachineId, String> {
        let stated = self.files.iter().filter_map(|file| match &file.machine {
            Stated::Is(machine) => Some(Ok(*machine)),
            Stated::Unusable(why) => Some(Err(why)),
            Stated::Nothing => None,
        });
        let told = self.machines.iter().map(|row| row.machine.as_ref().map(|id| *id));
        let all: HashSet<Result<MachineId, &String>> = told.chain(stated).collect();
        match (self.has_machine_row(), all.len()) {
            (false, _) => {
                let span = written_span(waits.expire);
                Err(format!("its row names no machine, and no Machine row came within {span}"))
            }
            (true, _) if self.over => {
                Err("its row names no machine, and its alert has more than can be kept".to_owned())
            }
            (true, 1) => all.into_iter().next().expect("one").map_err(Clone::clone),
            (true, several) => {
                let why = format!("its row names no machine, and its alert has {several}");
                Err(why)
            }
        }
    }
}

#[cfg(test)]
mod tests;
