//! What Defender says of a machine or a file when it is asked, as fields of a candidate.
//!
//! From Microsoft's pages "Machine resource type" and "File resource type". A `null` there is not
//! known, but where it says "none": a machine without tags, a file without a signature.

use std::borrow::Cow;

use serde::Deserialize;

use super::lenient::{Text, Texts};
use super::read::{self, set_known, set_list_or_none, set_listed};
use crate::domain::alert::Ask;
use crate::domain::candidate::{Field, Fields, Value};
use crate::domain::ids::{MachineId, Sha1};

/// The fields that an answer gives. `Err` says why it gives none: it is another thing than was
/// asked for, such as a machine that was merged into another, or does not read.
pub fn facts(ask: &Ask, text: &str) -> Result<Fields<'static>, String> {
    let fields = match ask {
        Ask::Machine(id) => machine(*id, text)?,
        Ask::File(sha1) => file(*sha1, text)?,
        Ask::Alert(_) | Ask::Host(_) => return Err(format!("{ask} is asked for otherwise")),
    };
    Ok(fields.into_owned())
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Machine<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    os_platform: Text<'a>,
    rbac_group_name: Text<'a>,
    machine_tags: Texts<'a>,
    health_status: Text<'a>,
    onboarding_status: Text<'a>,
    risk_score: Text<'a>,
    exposure_level: Text<'a>,
    device_value: Text<'a>,
    defender_av_status: Text<'a>,
    last_seen: Text<'a>,
}

fn machine(id: MachineId, text: &str) -> Result<Fields<'_>, String> {
    let told: Machine<'_> = read::object(text).map_err(|why| why.to_string())?;
    if read::machine("id", &told.id).ok() != Some(id) {
        return Err(format!("asked for machine {id}, Defender told of another"));
    }
    let mut fields = Fields::default();
    set_known(&mut fields, Field::MachineOs, told.os_platform);
    set_known(&mut fields, Field::MachineGroup, told.rbac_group_name);
    set_list_or_none(&mut fields, Field::MachineTags, told.machine_tags);
    for (field, text) in [
        (Field::MachineHealth, told.health_status),
        (Field::MachineOnboarding, told.onboarding_status),
        (Field::MachineRisk, told.risk_score),
        (Field::MachineExposure, told.exposure_level),
        (Field::MachineValue, told.device_value),
        (Field::MachineAvStatus, told.defender_av_status),
    ] {
        set_listed(&mut fields, field, text);
    }
    if read::time(&told.last_seen).is_some() {
        set_known(&mut fields, Field::MachineLastSeen, told.last_seen);
    }
    Ok(fields)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File<'a> {
    #[serde(borrow)]
    sha1: Text<'a>,
    global_prevalence: Text<'a>,
    size: Text<'a>,
    is_pe_file: Option<bool>,
    file_publisher: Text<'a>,
    signer: Text<'a>,
    is_valid_certificate: Option<bool>,
    determination_type: Text<'a>,
}

fn file(sha1: Sha1, text: &str) -> Result<Fields<'_>, String> {
    let told: File<'_> = read::object(text).map_err(|why| why.to_string())?;
    if read::sha1(&told.sha1).ok() != Some(sha1) {
        return Err(format!("asked for file {sha1}, Defender told of another"));
    }
    let mut fields = Fields::default();
    for (field, text) in
        [(Field::FilePrevalence, told.global_prevalence), (Field::FileSize, told.size)]
    {
        let number = text.known().and_then(|text| text.parse::<i64>().ok());
        if let Some(number) = number.filter(|number| *number >= 0) {
            fields.set(field, Value::Number(number));
        }
    }
    if let Some(pe) = told.is_pe_file {
        let pe = if pe { "True" } else { "False" };
        fields.set(Field::FilePe, Value::Text(Cow::Borrowed(pe)));
    }
    // Defender has looked into the file: then what it does not name is not there.
    let looked_into = told.is_pe_file.is_some();
    let none = |text: &Text<'_>| looked_into && *text == Text::Null;
    match told.file_publisher {
        publisher if none(&publisher) => fields.set(Field::FilePublisher, Value::Empty),
        publisher => set_known(&mut fields, Field::FilePublisher, publisher),
    }
    // A name in a signature that does not hold is nobody's.
    match (told.is_valid_certificate, told.signer) {
        (Some(true), signer) => set_known(&mut fields, Field::FileSigner, signer),
        (Some(false), _) => fields.set(Field::FileSigner, Value::Empty),
        (None, signer) if none(&signer) => fields.set(Field::FileSigner, Value::Empty),
        (None, _) => {}
    }
    set_known(&mut fields, Field::FileDetermination, told.determination_type);
    Ok(fields)
}

#[cfg(test)]
mod tests;
