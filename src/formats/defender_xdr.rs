//! `defender-xdr`: rows of the Defender XDR streaming API, from Event Hubs, Kafka or a storage
//! account.
//!
//! A record is `{time, tenantId, category, properties}`; a row alone, without them, reads too. Rows
//! of `AlertInfo` and `AlertEvidence` are for the join ([`crate::domain::join`]); those of other
//! tables are passed over. Of evidence that is neither a file nor a machine only its machine is
//! kept: a file whose row names none could be there.
//!
//! A file's own hash and machine stand in its columns, or in `AdditionalFields`: JSON in a text,
//! which names an object by `$id` once and by `$ref` again. They are read at fixed places only,
//! since a process's parent has hashes and machines too:
//!
//! | row | hash | machine |
//! |---|---|---|
//! | `File` | `SHA1`, `FileHashes[]` | `DeviceId`, `MachineId` of `Host` |
//! | `Process` | `SHA1`, `ImageFile.FileHashes[]` | `DeviceId`, `ImageFile.Host`, `Host` |
//! | `Machine` | | `DeviceId`, `MachineId` |
//!
//! Where two of them differ, the file is incomplete: nobody knows which is meant. Of these keys
//! `null` and an empty text mean "not said"; only in `AttackTechniques` an empty text or list means
//! "none".

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{MaybeObject, Text};
use super::read::{self, set_known};
use super::{PassedOver, Streamed, rows, split};
use crate::domain::alert::{Alert, Unreadable};
use crate::domain::candidate::{Field, Fields, Incomplete, Value};
use crate::domain::ids::Sha1;
use crate::domain::join::{Added, File, Part, Partial, Row, Stated};
use crate::domain::time::Wall;

mod additional;

mod info;

mod record;

mod reference;

mod table;

use additional::Additional;
use record::Record;
use table::{ALERT_EVIDENCE, ALERT_INFO, table};

/// See [`Format::gives`](super::Format::gives).
pub(super) const GIVES: &[Field] = &[
    Field::AlertId,
    Field::AlertTitle,
    Field::AlertSeverity,
    Field::AlertSeverityRank,
    Field::AlertCategory,
    Field::AlertServiceSource,
    Field::AlertDetectionSource,
    Field::AlertFamily,
    Field::AlertTechniques,
    Field::AlertCreated,
    Field::AlertAge,
    Field::AlertTenant,
    Field::AlertFormat,
    Field::AlertSource,
    Field::MachineId,
    Field::MachineName,
    Field::FileSha1,
    Field::FileSha256,
    Field::FileName,
    Field::FilePath,
    Field::FileEntity,
    Field::FileRole,
    Field::FileVerdict,
    Field::FileRemediation,
    Field::FileDetectionStatus,
    Field::FileCreated,
    Field::FilePublisher,
    Field::FileSize,
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties<'a> {
    #[serde(borrow, default)]
    alert_id: Text<'a>,
    #[serde(borrow, default)]
    timestamp: Text<'a>,
    #[serde(borrow, default)]
    title: Text<'a>,
    #[serde(borrow, default)]
    category: Text<'a>,
    #[serde(borrow, default)]
    severity: Text<'a>,
    #[serde(borrow, default)]
    service_source: Text<'a>,
    #[serde(borrow, default)]
    detection_source: Text<'a>,
    #[serde(borrow, default)]
    attack_techniques: Text<'a>,
    #[serde(borrow, default)]
    entity_type: Text<'a>,
    #[serde(borrow, default)]
    evidence_role: Text<'a>,
    #[serde(borrow, default)]
    file_name: Text<'a>,
    #[serde(borrow, default)]
    folder_path: Text<'a>,
    #[serde(borrow, default, rename = "SHA1")]
    sha1: Text<'a>,
    #[serde(borrow, default, rename = "SHA256")]
    sha256: Text<'a>,
    #[serde(borrow, default)]
    file_size: Text<'a>,
    #[serde(borrow, default)]
    threat_family: Text<'a>,
    #[serde(borrow, default)]
    device_id: Text<'a>,
    #[serde(borrow, default)]
    device_name: Text<'a>,
    #[serde(borrow)]
    additional_fields: Option<&'a RawValue>,
}

/// Reads the records of a message that has nothing else and none that can't be read.
pub(super) fn records(body: &[u8]) -> Option<Vec<Streamed>> {
    let records: Vec<Record> = split::records(body)?;
    let read = |record: Record| (!record.could_be_envelope).then(|| streamed(record).ok())?;
    records.into_iter().map(read).collect()
}

/// Reads one record, or a row alone.
pub(super) fn row(text: &str) -> Result<Streamed, Unreadable> {
    let mut record: Record = read::read(text)?;
    if record.properties.is_none() && record.passed().is_none() {
        record.properties = Some(MaybeObject(Some(read::object(text)?)));
    }
    streamed(record)
}

fn streamed(record: Record<'_>) -> Result<Streamed, Unreadable> {
    let passed = record.passed();
    let tenant_id = read::tenant(record.tenant_id).map(Cow::into_owned);
    if let Some(passed) = passed {
        return Ok(Streamed { tenant_id, row: Err(passed) });
    }
    if record.category == Text::Other {
        return Err(Unreadable("the record's category is no text".to_owned()));
    }
    let Some(MaybeObject(Some(properties))) = record.properties else {
        return Err(Unreadable("the record's properties are no object".to_owned()));
    };
    let evidence = properties.entity_type.clone().known();
    // Evidence of whatever kind, also one that can't be read, is not the alert itself.
    let table = table(record.category.known().as_deref()).unwrap_or(match properties.entity_type {
        Text::Missing => ALERT_INFO,
        _ => ALERT_EVIDENCE,
    });
    let time = read::time(&record.time).or(read::time(&properties.timestamp)).unwrap_or(Wall(0));
    if table == ALERT_INFO {
        let alert = read::id(properties.alert_id.clone())?.into_owned();
        let part = info::alert_info(properties);
        return Ok(Streamed { tenant_id, row: Ok(Row { alert, time, part }) });
    }
    let passed = |tenant_id| Ok(Streamed { tenant_id, row: Err(PassedOver(table)) });
    let entity = match evidence.as_deref() {
        Some(entity) if entity.eq_ignore_ascii_case("File") => Entity::File,
        Some(entity) if entity.eq_ignore_ascii_case("Process") => Entity::Process,
        Some(entity) if entity.eq_ignore_ascii_case("Machine") => Entity::Machine,
        _ => Entity::Other,
    };
    let alert = match read::id(properties.alert_id.clone()) {
        Ok(alert) => alert.into_owned(),
        Err(_) if entity == Entity::Other => return passed(tenant_id),
        Err(why) => return Err(why),
    };
    let part = match entity {
        Entity::Other => {
            let text = additional::text(properties.additional_fields);
            let nested = additional::read(&text, entity);
            let machine = stated(&properties.device_id, nested.map(|nested| nested.machine));
            match named_alone(machine, &properties.device_name) {
                Stated::Nothing => return passed(tenant_id),
                Stated::Is(machine) => Part::Mention(Ok(machine)),
                Stated::Unusable(why) => Part::Mention(Err(why)),
            }
        }
        Entity::Machine => machine(properties),
        entity => Part::File(file(entity, properties)),
    };
    Ok(Streamed { tenant_id, row: Ok(Row { alert, time, part }) })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entity {
    File,
    Process,
    Machine,
    /// Users, mailboxes, addresses and the like: no file, but perhaps on a machine.
    Other,
}

impl Entity {
    fn as_str(self) -> &'static str {
        match self {
            Entity::File => "File",
            Entity::Process => "Process",
            Entity::Machine => "Machine",
            Entity::Other => "Other",
        }
    }
}

/// Reads the rows of one alert as if no more could come: for tests of rules, and to try a sample.
pub(super) fn decode(text: &str) -> Result<Alert<'static>, Unreadable> {
    let read = rows(text.as_bytes()).map_err(|why| Unreadable(why.to_string()))?;
    let mut partial = Partial::default();
    let mut of: Option<(String, Option<String>)> = None;
    for streamed in read {
        let streamed = streamed.map_err(|(_, why)| why)?;
        let Ok(row) = streamed.row else { continue };
        let tenant = streamed.tenant_id;
        let known = of.get_or_insert_with(|| (row.alert.clone(), tenant.clone()));
        if *known != (row.alert.clone(), tenant) {
            return Err(Unreadable("rows of several alerts: try one at a time".to_owned()));
        }
        if partial.add(row) == Added::TooMany {
            return Err(Unreadable("more files or machines than any real alert has".to_owned()));
        }
    }
    let of = of.and_then(|of| Some((partial.end_all(&of.0)?, of.1)));
    let of = of.filter(|(ended, _)| ended.lacks.is_none() || !ended.alert.candidates.is_empty());
    let Some((mut ended, tenant_id)) = of else {
        return Err(Unreadable("no row of AlertInfo or of a file or machine".to_owned()));
    };
    if let Some(why) = ended.lacks {
        for candidate in &mut ended.alert.candidates {
            candidate.machine = Err(Incomplete(why.clone()));
        }
    }
    ended.alert.tenant_id = tenant_id.map(Cow::Owned);
    Ok(ended.alert)
}

fn machine(row: Properties<'_>) -> Part {
    let text = additional::text(row.additional_fields);
    let nested = additional::read(&text, Entity::Machine);
    let nested = nested.map(|nested| nested.machine);
    let mut fields = Fields::default();
    set_known(&mut fields, Field::MachineName, row.device_name);
    let machine = match stated(&row.device_id, nested) {
        Stated::Is(machine) => Ok(machine),
        Stated::Nothing => Err("a Machine row of its alert has no machine id".to_owned()),
        Stated::Unusable(why) => Err(why),
    };
    Part::Machine { machine, fields: snapshot(&fields) }
}

fn file(entity: Entity, row: Properties<'_>) -> File {
    let text = additional::text(row.additional_fields);
    let nested = additional::read(&text, entity);
    let mut fields = Fields::default();
    fields.set_text(Field::FileEntity, entity.as_str());
    let since = read::time(&row.timestamp);
    let device_name = row.device_name.clone();
    if since.is_some() {
        set_known(&mut fields, Field::FileCreated, row.timestamp);
    }
    let sha1 = match &nested {
        Ok(nested) => hash(&row.sha1, &nested.sha1),
        Err(_) => read::sha1(&row.sha1).map_err(|why| why.0),
    };
    if let Ok(sha1) = &sha1 {
        fields.set_text(Field::FileSha1, sha1.to_string());
    }
    for (field, text) in [
        (Field::AlertFamily, row.threat_family),
        (Field::MachineName, row.device_name),
        (Field::FileSha256, row.sha256),
        (Field::FileName, row.file_name),
        (Field::FilePath, row.folder_path),
        (Field::FileRole, row.evidence_role),
    ] {
        set_known(&mut fields, field, text);
    }
    if let Some(size) = row.file_size.known().and_then(|size| size.parse().ok()) {
        fields.set(Field::FileSize, Value::Number(size));
    }
    let machine = match nested {
        Ok(Additional { machine, fields: told, .. }) => {
            for (field, text) in told {
                if *fields.get(field) == Value::Absent {
                    set_known(&mut fields, field, text);
                }
            }
            stated(&row.device_id, Ok(machine))
        }
        Err(why) => stated(&row.device_id, Err(why)),
    };
    let machine = named_alone(machine, &device_name);
    if let Stated::Is(machine) = &machine {
        fields.set_text(Field::MachineId, machine.to_string());
    }
    let key = key(entity, &machine, &sha1, &fields);
    File { key, machine, sha1, since, fields: snapshot(&fields) }
}

/// The machine that a row names. `nested` is what its `AdditionalFields` say, or why they can't be
/// read.
fn stated(column: &Text<'_>, nested: Result<Stated, String>) -> Stated {
    if *column == Text::Other {
        return Stated::Unusable("DeviceId is no text".to_owned());
    }
    if column.clone().known().is_none() {
        return nested.unwrap_or_else(Stated::Unusable);
    }
    match (read::machine("DeviceId", column), nested) {
        (Err(why), _) => Stated::Unusable(why.0),
        (Ok(_), Ok(Stated::Unusable(why))) => Stated::Unusable(why),
        (Ok(machine), Ok(Stated::Is(other))) if machine != other => {
            Stated::Unusable("DeviceId and AdditionalFields name different machines".to_owned())
        }
        (Ok(machine), _) => Stated::Is(machine),
    }
}

/// A machine that is known by its name alone could be another one than the only one that has an
/// id. A name of the wrong type is one that can't be read.
fn named_alone(machine: Stated, name: &Text<'_>) -> Stated {
    let is_there = *name == Text::Other || name.clone().known().is_some();
    match machine {
        Stated::Nothing if is_there => {
            Stated::Unusable("DeviceName is there, and no machine id".to_owned())
        }
        machine => machine,
    }
}

fn hash(column: &Text<'_>, nested: &Text<'_>) -> Result<Sha1, String> {
    if *column == Text::Other || *nested == Text::Other {
        return Err("sha1 is no text".to_owned());
    }
    match (column.clone().known(), nested.clone().known()) {
        (None, Some(_)) => read::sha1(nested).map_err(|why| why.0),
        (Some(_), Some(nested)) => {
            let sha1 = read::sha1(column).map_err(|why| why.0)?;
            match Sha1::parse(&nested) {
                Ok(same) if same == sha1 => Ok(sha1),
                _ => Err("SHA1 and AdditionalFields name different hashes".to_owned()),
            }
        }
        _ => read::sha1(column).map_err(|why| why.0),
    }
}

/// What makes two rows versions of one piece of evidence.
fn key(
    entity: Entity,
    machine: &Stated,
    sha1: &Result<Sha1, String>,
    fields: &Fields<'_>,
) -> String {
    let machine = match machine {
        Stated::Is(machine) => machine.to_string(),
        Stated::Nothing => String::new(),
        Stated::Unusable(why) => why.clone(),
    };
    let sha1 = sha1.as_ref().map_or_else(Clone::clone, Sha1::to_string);
    let text = |field| match fields.get(field) {
        Value::Text(text) => text.to_string(),
        _ => String::new(),
    };
    let (path, name) = (text(Field::FilePath), text(Field::FileName));
    serde_json::to_string(&[entity.as_str(), &machine, &sha1, &path, &name])
        .expect("they are texts")
}

fn snapshot(fields: &Fields<'_>) -> String {
    serde_json::to_string(fields).expect("fields are texts, numbers and lists")
}

#[cfg(test)]
mod tests;
