//! The alert that rows come to: each file with its machine, and what both say.

use std::collections::HashSet;

use super::{Held, Partial, Stated, Told, Waits};
use crate::domain::alert::Alert;
use crate::domain::candidate::{Candidate, Field, Fields, Incomplete};
use crate::domain::ids::MachineId;
use crate::domain::time::{Wall, written_span};

impl Partial {
    pub(super) fn assembled(&self, id: &str, files: &[usize], waits: Waits) -> Alert<'static> {
        let head = self.alert.as_ref();
        let created = head.and_then(|head| head.created);
        let shared = head.and_then(|head| Fields::from_snapshot(&head.fields, Wall(0)));
        let shared = shared.unwrap_or_default();
        let only = self.only_machine(waits);
        let candidates = files
            .iter()
            .map(|at| self.candidate(&self.files[*at], &shared, created, &only))
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
        only: &Result<MachineId, String>,
    ) -> Candidate<'static> {
        let machine = match &file.machine {
            Stated::Is(machine) => Ok(*machine),
            Stated::Unusable(why) => Err(why.clone()),
            Stated::Nothing if file.told == Told::WithoutMachine && self.has_machine_row() => {
                Err("its row names no machine, and rows of its alert still came".to_owned())
            }
            Stated::Nothing => only.clone(),
        };
        let evidence = self.first_told(file, machine.as_ref().ok(), only.as_ref().ok()).or(created);
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
            evidence,
            fields,
        }
    }

    /// When a file on its machine was first told of: by whatever path and row it is as old.
    fn first_told(
        &self,
        file: &Held,
        machine: Option<&MachineId>,
        only: Option<&MachineId>,
    ) -> Option<Wall> {
        let Some(machine) = machine else { return file.since };
        let is_there = |other: &&Held| match &other.machine {
            Stated::Is(theirs) => theirs == machine,
            Stated::Nothing => only == Some(machine),
            Stated::Unusable(_) => false,
        };
        let same = self.files.iter().filter(|other| other.sha1 == file.sha1).filter(is_there);
        same.filter_map(|other| other.since).chain(file.since).min()
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
                Err("its row names no machine, and not all rows of its alert could be kept"
                    .to_owned())
            }
            (true, 1) => all.into_iter().next().expect("one").map_err(Clone::clone),
            (true, several) => {
                let why = format!("its row names no machine, and its alert has {several}");
                Err(why)
            }
        }
    }
}
