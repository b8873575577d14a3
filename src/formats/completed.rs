//! An alert read again with what Defender was asked for it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Format, Reader, ToldHosts};
use crate::domain::alert::{Alert, Ask, Unreadable};
use crate::domain::candidate::{Candidate, Field, Incomplete, Value};
use crate::domain::ids::{MachineId, Sha1};
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
    let hosts = ToldHosts::new(answers.iter().filter_map(|answer| match answer {
        (Ask::Host(host), Told::Machines(machines)) => Some((host.as_str(), &machines[..])),
        _ => None,
    }));
    let mut alert = reader.decode_knowing(text, &hosts)?;
    let named = matches!(reader, Reader::BuiltIn(_));
    for candidate in alert.candidates.iter_mut().filter(|_| named) {
        // The machine of a host that a built-in format knows by its name.
        if let (Err(_), Value::Text(name)) =
            (&candidate.machine, candidate.fields.get(Field::MachineName))
            && let Ok(machine) = hosts.find(name)
        {
            candidate.machine = Ok(machine);
            candidate.fields.set_text(Field::MachineId, machine.to_string());
        }
    }
    name_machines(&mut alert, answers);
    let mut whys = Vec::new();
    let mut fetched = Vec::new();
    for (ask, told) in answers {
        match (ask, told) {
            (Ask::Alert(id), Told::Nothing(why)) => whys.push(format!("alert {id}: {why}")),
            (Ask::Host(host), Told::Nothing(why)) => whys.push(format!("host {host}: {why}")),
            (Ask::Alert(id), Told::Alert(text)) => match files_of(&alert, id, text) {
                Ok(files) => fetched.extend(files),
                Err(why) => whys.push(why.to_string()),
            },
            _ => {}
        }
    }
    let why = (!whys.is_empty()).then(|| whys.join("; "));
    // Of a file that the alert could not pair itself, its provider's alerts tell where it was met.
    let told: BTreeSet<Sha1> =
        fetched.iter().filter_map(|one| one.sha1.as_ref().ok().copied()).collect();
    alert.candidates.retain(|candidate| match (&candidate.machine, &candidate.sha1) {
        (Err(_), Ok(sha1)) => !told.contains(sha1),
        _ => true,
    });
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

/// A machine that Defender was asked for has the name that Defender has for it.
fn name_machines(alert: &mut Alert<'static>, answers: &BTreeMap<Ask, Told>) {
    let told = answers.values().filter_map(|told| match told {
        Told::Machines(machines) => Some(machines),
        _ => None,
    });
    let names: BTreeMap<MachineId, &String> =
        told.flatten().map(|(name, id)| (*id, name)).collect();
    for candidate in &mut alert.candidates {
        if let Ok(machine) = &candidate.machine
            && let Some(name) = names.get(machine)
        {
            candidate.fields.set_text(Field::MachineName, (*name).clone());
        }
    }
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
