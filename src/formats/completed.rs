//! An alert read again with what Defender was asked for it.

use std::collections::BTreeMap;

use super::{Format, Hosts, Reader};
use crate::domain::alert::{Alert, Ask, Unreadable};
use crate::domain::candidate::{Candidate, Field, Incomplete, Value};
use crate::domain::lookup::Told;

/// Why an alert has no more than it came with.
type Why = String;

/// Reads an alert with the answers to what it asks. What could not be told is the reason of its
/// incomplete candidates or, where it has none, is returned beside it.
pub fn completed(
    reader: &Reader,
    text: &str,
    answers: &BTreeMap<Ask, Told>,
) -> Result<(Alert<'static>, Option<Why>), Unreadable> {
    let machines = answers.values().filter_map(|told| match told {
        Told::Machines(machines) => Some(machines),
        _ => None,
    });
    let machines = machines.flatten().map(|(name, id)| (name.as_str(), *id));
    let hosts = Hosts::new("Defender", machines);
    let mut alert = reader.decode_knowing(text, &hosts)?;
    for candidate in &mut alert.candidates {
        // The machine of a host that a built-in format knows by its name.
        if let (Err(_), Value::Text(name)) =
            (&candidate.machine, candidate.fields.get(Field::MachineName))
            && answers.contains_key(&Ask::Machine(name.to_string()))
            && let Ok(machine) = hosts.find(name)
        {
            candidate.machine = Ok(machine);
            candidate.fields.set_text(Field::MachineId, machine.to_string());
        }
    }
    let whys = answers.iter().filter_map(|(ask, told)| match (ask, told) {
        (Ask::Alert(id), Told::Nothing(why)) => Some(format!("alert {id}: {why}")),
        (Ask::Machine(host), Told::Nothing(why)) => Some(format!("host {host}: {why}")),
        _ => None,
    });
    let why = whys.reduce(|all, why| format!("{all}; {why}"));
    let mut fetched = Vec::new();
    for (ask, told) in answers {
        if let (Ask::Alert(id), Told::Alert(text)) = (ask, told) {
            fetched.extend(files_of(&alert, id, text)?);
        }
    }
    if answers.values().any(|told| matches!(told, Told::Alert(_))) && why.is_none() {
        // What the alert could not pair itself, its provider's alerts have.
        alert.candidates.retain(|candidate| candidate.machine.is_ok());
    }
    alert.candidates.extend(fetched);
    if let Some(why) = &why {
        for candidate in &mut alert.candidates {
            if let Err(reason) = &mut candidate.machine {
                *reason = Incomplete(format!("{reason}; {why}"));
            }
        }
    }
    (alert.asks, alert.known) = (Vec::new(), None);
    Ok((alert, why))
}

/// The candidates of an alert of Defender's, as those of the one that asked for it.
fn files_of(
    asker: &Alert<'static>,
    id: &str,
    text: &str,
) -> Result<Vec<Candidate<'static>>, Unreadable> {
    let alert = Format::DefenderAlert.decode(text)?;
    if alert.id != id {
        return Err(Unreadable(format!("asked for alert {id:?}, Defender told of {:?}", alert.id)));
    }
    let tenants = (&alert.tenant_id, &asker.tenant_id);
    if let (Some(of), Some(asked)) = tenants
        && !of.eq_ignore_ascii_case(asked)
    {
        return Err(Unreadable(format!(
            "alert {id} is of tenant {of}, asked for by one of {asked}"
        )));
    }
    let itself = asker.id == alert.id;
    let first = asker.candidates.first().map(|candidate| &candidate.fields);
    let mut files = Vec::with_capacity(alert.candidates.len());
    for candidate in alert.candidates {
        let Candidate { machine, sha1, evidence, fields } = candidate;
        let mut fields = fields.into_owned();
        if !itself {
            fields.set(Field::AlertProviderId, Value::Text(id.to_owned().into()));
            fields.set(Field::AlertId, Value::Text(asker.id.clone()));
            for field in [Field::AlertFormat, Field::AlertIncident] {
                if let Some(first) = first {
                    fields.set(field, first.get(field).clone());
                }
            }
        }
        files.push(Candidate { machine, sha1, evidence, fields });
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
