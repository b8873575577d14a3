//! Machines, and the machine actions that wait on them, run and end.

mod machine;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use machine::Failure;
pub use machine::{Ending, Machine};

use super::settings::{Busy, SameFile, Settings, UnknownMachines};

/// One machine action. Times count from the simulator's start.
#[derive(Clone, Debug)]
pub struct MachineAction {
    pub id: String,
    pub tenant: String,
    pub machine: String,
    /// The machine's name when it was made.
    name: String,
    pub requestor: String,
    pub sha1: String,
    pub comment: String,
    pub created: Duration,
    updated: Duration,
    progress: Progress,
    /// What its machine said when it did not do it.
    failure: Failure,
    cancellation: Option<Cancellation>,
}

/// Who asked for an end before the end, and when.
#[derive(Clone, Debug)]
struct Cancellation {
    requestor: String,
    comment: String,
    at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Since the machine could have begun.
    Pending(Duration),
    Running,
    Ended(Ending),
}

/// Why no machine action is made.
#[derive(Debug, PartialEq, Eq)]
pub enum NotMade {
    NoMachine,
    NoFile,
    Active,
}

/// Why a machine action is not cancelled.
#[derive(Debug, PartialEq, Eq)]
pub struct HasEnded;

/// Who asks for what, on which machine.
pub struct Wanted<'a> {
    pub tenant: &'a str,
    pub requestor: &'a str,
    pub machine: &'a str,
    pub sha1: &'a str,
    pub comment: &'a str,
}

/// All machines and machine actions.
#[derive(Debug, Default)]
pub struct Actions {
    machines: BTreeMap<String, Machine>,
    all: Vec<MachineAction>,
    /// Unfinished ones, by machine.
    open: HashMap<String, Vec<usize>>,
}

impl Actions {
    pub fn set_machine(&mut self, id: &str, machine: Machine, now: Duration) {
        let id = id.to_ascii_lowercase();
        for index in self.open.get(&id).into_iter().flatten() {
            if let Progress::Pending(since) = &mut self.all[*index].progress {
                *since = now;
            }
        }
        self.machines.insert(id, machine);
    }

    /// Makes a machine action, or names the one that stands for it. Call [`Actions::advance`]
    /// first.
    pub fn make(
        &mut self,
        wanted: &Wanted<'_>,
        settings: &Settings,
        now: Duration,
    ) -> Result<&MachineAction, NotMade> {
        let machine = self.machine(wanted.machine, settings.unknown_machines)?;
        if machine.lacks.contains(wanted.sha1) {
            return Err(NotMade::NoFile);
        }
        let name = machine.name(wanted.machine);
        let open = self.open.entry(wanted.machine.to_owned()).or_default();
        let same = open.iter().copied().find(|index| self.all[*index].sha1 == wanted.sha1);
        match (same, settings.same_file) {
            (Some(index), SameFile::Returned) => return Ok(&self.all[index]),
            (Some(_), SameFile::Refused) => return Err(NotMade::Active),
            (None, _) if settings.busy == Busy::Machine && !open.is_empty() => {
                return Err(NotMade::Active);
            }
            (None, _) => {}
        }
        open.push(self.all.len());
        self.all.push(MachineAction {
            id: Uuid::now_v7().to_string(),
            tenant: wanted.tenant.to_owned(),
            machine: wanted.machine.to_owned(),
            name,
            requestor: wanted.requestor.to_owned(),
            sha1: wanted.sha1.to_owned(),
            comment: wanted.comment.to_owned(),
            created: now,
            updated: now,
            progress: Progress::Pending(now),
            failure: Failure::default(),
            cancellation: None,
        });
        Ok(self.all.last().expect("one was just pushed"))
    }

    fn machine(&mut self, id: &str, unknown: UnknownMachines) -> Result<&Machine, NotMade> {
        if !is_id(id) || (unknown == UnknownMachines::NotFound && !self.machines.contains_key(id)) {
            return Err(NotMade::NoMachine);
        }
        Ok(self.machines.entry(id.to_owned()).or_default())
    }

    /// A machine as `show` shows it; one that nobody has set as it would be, if any is taken.
    pub fn shown_machine(
        &self,
        id: &str,
        unknown: UnknownMachines,
        show: impl Fn(&str, &Machine) -> Value,
    ) -> Option<Value> {
        match self.machines.get(id) {
            Some(machine) => Some(show(id, machine)),
            None if is_id(id) && unknown != UnknownMachines::NotFound => {
                Some(show(id, &Machine::default()))
            }
            None => None,
        }
    }

    /// Moves every unfinished action to where it stands now.
    pub fn advance(&mut self, settings: &Settings, now: Duration) {
        let Self { machines, all, open } = self;
        open.retain(|id, indices| {
            let machine = &machines[id];
            indices.retain(|index| {
                all[*index].advance(machine, settings, now);
                !matches!(all[*index].progress, Progress::Ended(_))
            });
            !indices.is_empty()
        });
    }

    /// Cancels a machine action that has not ended: one that its machine has not begun ends at
    /// once; one that is running is noted, and goes on to its end. That is inferred: what is
    /// documented is only that it may be asked of any action "that isn't yet in final state".
    /// `None` where there is none of this tenant. Call [`Actions::advance`] first.
    pub fn cancel(
        &mut self,
        tenant: &str,
        id: &str,
        requestor: &str,
        comment: &str,
        now: Duration,
    ) -> Option<Result<&MachineAction, HasEnded>> {
        let index = self.all.iter().position(|a| a.tenant == tenant && a.id == id)?;
        let action = &mut self.all[index];
        match action.progress {
            Progress::Ended(_) => return Some(Err(HasEnded)),
            Progress::Pending(_) => {
                (action.progress, action.updated) = (Progress::Ended(Ending::Cancelled), now);
            }
            Progress::Running => {}
        }
        let (requestor, comment) = (requestor.to_owned(), comment.to_owned());
        action.cancellation = Some(Cancellation { requestor, comment, at: now });
        Some(Ok(&self.all[index]))
    }

    pub fn find(&self, id: &str) -> Option<&MachineAction> {
        self.all.iter().find(|action| action.id == id)
    }

    /// Every machine there is, by its id.
    pub fn machines(&self) -> impl Iterator<Item = (&str, &Machine)> {
        self.machines.iter().map(|(id, machine)| (id.as_str(), machine))
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &MachineAction> {
        self.all.iter()
    }
}

impl MachineAction {
    fn advance(&mut self, machine: &Machine, settings: &Settings, now: Duration) {
        if let Progress::Pending(since) = self.progress {
            if machine.offline {
                let out = self.created + settings.offline_for;
                if now >= out {
                    (self.progress, self.updated) = (Progress::Ended(Ending::TimeOut), out);
                }
            } else if now >= since + settings.pending_for {
                (self.progress, self.updated) = (Progress::Running, since + settings.pending_for);
            }
        }
        let ends = self.updated + settings.running_for;
        if self.progress == Progress::Running && now >= ends {
            (self.progress, self.updated) = (Progress::Ended(machine.ends), ends);
        }
        if matches!(self.progress, Progress::Ended(end) if end != Ending::Succeeded) {
            self.failure = machine.failure();
        }
    }

    /// Defender's word for where it stands.
    pub fn status(&self) -> &'static str {
        match self.progress {
            Progress::Pending(_) => "Pending",
            Progress::Running => "InProgress",
            Progress::Ended(Ending::Succeeded) => "Succeeded",
            Progress::Ended(Ending::Failed) => "Failed",
            Progress::Ended(Ending::TimeOut) => "TimeOut",
            Progress::Ended(Ending::Cancelled) => "Cancelled",
        }
    }

    /// The MachineAction object. `at` turns a time into Defender's seven-digit form.
    pub fn shown(&self, at: impl Fn(Duration) -> String) -> Value {
        let usual: i32 = match self.progress {
            Progress::Ended(Ending::TimeOut) => -2_145_844_840,
            Progress::Ended(Ending::Cancelled) => -2_147_467_260,
            Progress::Ended(Ending::Failed) => -2_147_024_891,
            _ => 0,
        };
        let error_hresult = self.failure.code.unwrap_or(usual);
        let cancellation = self.cancellation.as_ref();
        let mut shown = json!({
            "id": self.id,
            "type": "StopAndQuarantineFile",
            "title": null,
            "requestor": self.requestor,
            "requestorComment": self.comment,
            "status": self.status(),
            "machineId": self.machine,
            "computerDnsName": self.name,
            "creationDateTimeUtc": at(self.created),
            "lastUpdateDateTimeUtc": at(self.updated),
            "cancellationRequestor": cancellation.map(|by| &by.requestor),
            "cancellationComment": cancellation.map(|by| &by.comment),
            "cancellationDateTimeUtc": cancellation.map(|by| at(by.at)),
            "errorHResult": error_hresult,
            "scope": null,
            "externalId": null,
            "requestSource": "PublicApi",
            "relatedFileInfo": {"fileIdentifier": self.sha1, "fileIdentifierType": "Sha1"},
            "commands": [],
            "troubleshootInfo": self.failure.troubleshoot_info,
        });
        // Seen on some only.
        if let Some(error) = &self.failure.error {
            shown["error"] = json!(error);
        }
        shown
    }
}

fn is_id(id: &str) -> bool {
    id.len() == 40 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MACHINE: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";

    fn make(actions: &mut Actions, settings: &Settings, sha1: &str) -> Result<String, NotMade> {
        let wanted = Wanted {
            tenant: "contoso",
            requestor: "lazaret",
            machine: MACHINE,
            sha1,
            comment: "because",
        };
        actions.make(&wanted, settings, Duration::ZERO).map(|action| action.id.clone())
    }

    fn status(actions: &mut Actions, settings: &Settings, seconds: u32) -> &'static str {
        actions.advance(settings, seconds * SECOND);
        actions.all[0].status()
    }

    #[test]
    fn an_action_is_pending_then_in_progress_then_ends_as_its_machine_says() {
        let settings =
            Settings { pending_for: 2 * SECOND, running_for: 3 * SECOND, ..Settings::default() };
        let mut actions = Actions::default();
        let failing = Machine { ends: Ending::Failed, ..Machine::default() };
        actions.set_machine(MACHINE, failing, Duration::ZERO);
        make(&mut actions, &settings, "a").unwrap();
        assert_eq!(status(&mut actions, &settings, 1), "Pending");
        assert_eq!(status(&mut actions, &settings, 2), "InProgress");
        assert_eq!(status(&mut actions, &settings, 5), "Failed");
        assert_eq!(actions.all[0].updated, 5 * SECOND);
    }

    #[test]
    fn an_offline_machine_leaves_its_action_pending_until_it_is_back_or_72_hours_are_over() {
        let settings = Settings { running_for: Duration::ZERO, ..Settings::default() };
        let mut actions = Actions::default();
        let offline = Machine { offline: true, ..Machine::default() };
        actions.set_machine(MACHINE, offline.clone(), Duration::ZERO);
        make(&mut actions, &settings, "a").unwrap();
        assert_eq!(status(&mut actions, &settings, 71 * 3600), "Pending");
        actions.set_machine(MACHINE, Machine::default(), 71 * 3600 * SECOND);
        assert_eq!(status(&mut actions, &settings, 71 * 3600), "Pending");
        assert_eq!(status(&mut actions, &settings, 71 * 3600 + 1), "Succeeded");

        let mut actions = Actions::default();
        actions.set_machine(MACHINE, offline, Duration::ZERO);
        make(&mut actions, &settings, "a").unwrap();
        assert_eq!(status(&mut actions, &settings, 72 * 3600), "TimeOut");
    }

    #[test]
    fn a_pending_action_is_cancelled_a_running_one_goes_on_and_an_ended_one_is_left_alone() {
        let settings = Settings { pending_for: SECOND, running_for: SECOND, ..Settings::default() };
        let mut actions = Actions::default();
        let pending = make(&mut actions, &settings, "a").unwrap();
        let cancel = |actions: &mut Actions, tenant, id: &str, now| {
            actions.advance(&settings, now);
            actions.cancel(tenant, id, "lazaret", "no", now).map(|done| done.map(|a| a.status()))
        };
        assert_eq!(cancel(&mut actions, "fabrikam", &pending, SECOND / 2), None);
        let cancelled = Some(Ok("Cancelled"));
        assert_eq!(cancel(&mut actions, "contoso", &pending, SECOND / 2), cancelled);
        assert_eq!(cancel(&mut actions, "contoso", &pending, SECOND / 2), Some(Err(HasEnded)));

        actions.advance(&settings, SECOND);
        let running = make(&mut actions, &settings, "a").unwrap();
        assert_eq!(cancel(&mut actions, "contoso", &running, SECOND), Some(Ok("InProgress")));
        assert_eq!(cancel(&mut actions, "contoso", &running, 2 * SECOND), Some(Err(HasEnded)));
        assert_eq!(actions.find(&running).unwrap().status(), "Succeeded");
    }

    #[test]
    fn an_unfinished_action_holds_its_machine_or_its_file() {
        let strict = Settings::default();
        let mut actions = Actions::default();
        let first = make(&mut actions, &strict, "a").unwrap();
        assert_eq!(make(&mut actions, &strict, "a"), Err(NotMade::Active));
        assert_eq!(make(&mut actions, &strict, "b"), Err(NotMade::Active));
        let lenient = Settings { busy: Busy::File, same_file: SameFile::Returned, ..strict };
        assert_eq!(make(&mut actions, &lenient, "a"), Ok(first.clone()));
        assert_ne!(make(&mut actions, &lenient, "b").unwrap(), first);
        actions.advance(&lenient, 60 * SECOND);
        assert_ne!(make(&mut actions, &lenient, "a").unwrap(), first);
    }
}
