//! A candidate: one (alert, machine, file) triple as flat fields. Rules judge candidates, never
//! bags of evidence.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::ids::{MachineId, Sha1};
use super::time::Wall;
use crate::limits::{SNAPSHOT_PATH_BYTES, SNAPSHOT_TEXT_BYTES};

mod kept;

mod snapshot;

pub use kept::Kept;

/// What a field holds. Absent and known-to-be-empty are different things: nothing acts on the
/// first.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Value<'a> {
    /// The payload does not say.
    #[default]
    Absent,
    /// The payload says: none.
    Empty,
    Text(Cow<'a, str>),
    Number(i64),
    List(Vec<Cow<'a, str>>),
}

macro_rules! fields {
    ($($variant:ident $name:literal,)*) => {
        /// Every field a rule can name. The names are the user's contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field { $($variant,)* }

        impl Field {
            pub const ALL: &'static [Field] = &[$(Field::$variant,)*];

            /// The name as rules and comments write it, such as `file.sha1`.
            pub fn name(self) -> &'static str {
                match self { $(Field::$variant => $name,)* }
            }

            /// The field of that name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Field::$variant),)* _ => None }
            }
        }
    };
}

fields! {
    AlertId "alert.id",
    AlertProviderId "alert.provider_id",
    AlertIncident "alert.incident",
    AlertTitle "alert.title",
    AlertSeverity "alert.severity",
    AlertSeverityRank "alert.severity_rank",
    AlertCategory "alert.category",
    AlertStatus "alert.status",
    AlertClassification "alert.classification",
    AlertDetermination "alert.determination",
    AlertInvestigation "alert.investigation",
    AlertServiceSource "alert.service_source",
    AlertDetectionSource "alert.detection_source",
    AlertDetector "alert.detector",
    AlertFamily "alert.family",
    AlertThreat "alert.threat",
    AlertTechniques "alert.techniques",
    AlertCreated "alert.created",
    AlertUpdated "alert.updated",
    AlertAge "alert.age",
    AlertTenant "alert.tenant",
    AlertFormat "alert.format",
    AlertSource "alert.source",
    AlertMachines "alert.machines",
    AlertFiles "alert.files",
    MachineId "machine.id",
    MachineName "machine.name",
    MachineOs "machine.os",
    MachineGroup "machine.group",
    MachineTags "machine.tags",
    MachineHealth "machine.health",
    MachineOnboarding "machine.onboarding",
    MachineRisk "machine.risk",
    MachineExposure "machine.exposure",
    MachineValue "machine.value",
    MachineAvStatus "machine.av_status",
    MachineLastSeen "machine.last_seen",
    MachineUsers "machine.users",
    FileSha1 "file.sha1",
    FileSha256 "file.sha256",
    FileName "file.name",
    FilePath "file.path",
    FileEntity "file.entity",
    FileRole "file.role",
    FileVerdict "file.verdict",
    FileRemediation "file.remediation",
    FileDetectionStatus "file.detection_status",
    FileCreated "file.created",
    FilePublisher "file.publisher",
    FileSigner "file.signer",
    FilePrevalence "file.prevalence",
    FileDetermination "file.determination",
    FileSize "file.size",
    FilePe "file.pe",
}

/// What Defender can be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `GET /api/machines/{id}`
    Machine,
    /// `GET /api/files/{sha1}`
    File,
}

impl Field {
    /// Of what Defender tells this field, where it does.
    pub fn told_of(self) -> Option<Subject> {
        match self {
            Field::MachineOs
            | Field::MachineGroup
            | Field::MachineTags
            | Field::MachineHealth
            | Field::MachineOnboarding
            | Field::MachineRisk
            | Field::MachineExposure
            | Field::MachineValue
            | Field::MachineAvStatus
            | Field::MachineLastSeen => Some(Subject::Machine),
            Field::FilePublisher
            | Field::FileSigner
            | Field::FilePrevalence
            | Field::FileDetermination
            | Field::FileSize
            | Field::FilePe => Some(Subject::File),
            _ => None,
        }
    }
}

/// The fields of one candidate, borrowed from the payload where they can be.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Where the value of each field stands: many are made a second, and most fields are absent.
    at: [u8; Field::ALL.len()],
    values: Vec<Value<'a>>,
}

/// In `at`: no value stands anywhere.
const NOWHERE: u8 = u8::MAX;
const _: () = assert!(Field::ALL.len() < NOWHERE as usize);

impl Default for Fields<'_> {
    fn default() -> Self {
        Self { at: [NOWHERE; Field::ALL.len()], values: Vec::new() }
    }
}

impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        Field::ALL.iter().all(|&field| self.get(field) == other.get(field))
    }
}

impl<'a> Fields<'a> {
    pub fn get(&self, field: Field) -> &Value<'a> {
        match self.at[field as usize] {
            NOWHERE => &Value::Absent,
            at => &self.values[usize::from(at)],
        }
    }

    pub fn set(&mut self, field: Field, value: Value<'a>) {
        let at = &mut self.at[field as usize];
        if *at != NOWHERE {
            self.values[usize::from(*at)] = value;
        } else if value != Value::Absent {
            *at = u8::try_from(self.values.len()).expect("one for each field at most");
            self.values.push(value);
        }
    }

    /// Sets a text; an empty text counts as absent.
    pub fn set_text(&mut self, field: Field, text: impl Into<Cow<'a, str>>) {
        let text = text.into();
        if !text.is_empty() {
            self.set(field, Value::Text(text));
        }
    }

    /// Borrows nothing any more.
    pub fn into_owned(self) -> Fields<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let value = |value| match value {
            Value::Absent => Value::Absent,
            Value::Empty => Value::Empty,
            Value::Text(text) => Value::Text(owned(text)),
            Value::Number(number) => Value::Number(number),
            Value::List(list) => Value::List(list.into_iter().map(owned).collect()),
        };
        Fields { at: self.at, values: self.values.into_iter().map(value).collect() }
    }

    /// Takes over what is absent here.
    pub fn fill(&mut self, mut from: Self) {
        for &field in Field::ALL {
            if from.at[field as usize] != NOWHERE && *self.get(field) == Value::Absent {
                let other = &mut from.values[usize::from(from.at[field as usize])];
                self.set(field, std::mem::replace(other, Value::Absent));
            }
        }
    }

    /// When the alert was created, where it says so.
    pub fn created(&self) -> Option<Wall> {
        match self.get(Field::AlertCreated) {
            Value::Text(created) => Wall::parse(created),
            _ => None,
        }
    }

    /// Back from the snapshot that is kept with an action, with the age that the alert has now.
    /// A text that was cut is absent: nobody knows how it went on. `None` where the snapshot does
    /// not read.
    pub fn from_snapshot(snapshot: &str, now: Wall) -> Option<Self> {
        let mut fields = snapshot::read(snapshot)?;
        let age = fields.created().map(|created| now.since(created).as_secs());
        let age =
            age.map_or(Value::Absent, |age| Value::Number(i64::try_from(age).unwrap_or(i64::MAX)));
        fields.set(Field::AlertAge, age);
        Some(fields)
    }

    /// A field whose text the snapshot cuts, so that it would be absent when read again.
    pub fn cut_by_snapshot(&self) -> Option<Field> {
        let cut = |(field, value): (Field, &Value<'_>)| match value {
            Value::Text(text) if snapshot::is_cut(field, bounded(field, text)) => Some(field),
            _ => None,
        };
        self.present().find_map(cut)
    }

    /// The fields that are not absent, in the order of [`Field::ALL`].
    pub fn present(&self) -> impl Iterator<Item = (Field, &Value<'a>)> {
        Field::ALL
            .iter()
            .map(|&field| (field, self.get(field)))
            .filter(|(_, v)| **v != Value::Absent)
    }
}

/// The snapshot kept with an action, long texts cut: present fields by name, known-empty ones as
/// `null`, absent ones left out.
impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for (field, value) in self.present() {
            match value {
                Value::Absent | Value::Empty => map.serialize_entry(field.name(), &())?,
                Value::Text(text) => map.serialize_entry(field.name(), bounded(field, text))?,
                Value::Number(number) => map.serialize_entry(field.name(), number)?,
                Value::List(list) => map.serialize_entry(field.name(), list)?,
            }
        }
        map.end()
    }
}

/// The most bytes of a field's text that the snapshot keeps.
fn most(field: Field) -> usize {
    match field {
        Field::FilePath | Field::FileName => SNAPSHOT_PATH_BYTES,
        _ => SNAPSHOT_TEXT_BYTES,
    }
}

/// The start of a text that a person would not read to its end: the alert itself is kept whole.
fn bounded(field: Field, text: &str) -> &str {
    &text[..text.floor_char_boundary(most(field))]
}

/// What a candidate lacks, so that it can't become an action. Shown as the reason of `incomplete`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Incomplete(pub String);

/// One (alert, machine, file) triple. `machine` and `sha1` say what they are, or why they aren't.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    pub machine: Result<MachineId, Incomplete>,
    pub sha1: Result<Sha1, Incomplete>,
    /// When this evidence came to be: the evidence item's creation, else the alert's. Never an
    /// update time nor the receipt's.
    pub evidence: Option<Wall>,
    pub fields: Fields<'a>,
}

#[cfg(test)]
mod tests;
