//! `sentinel-incident`: what a Microsoft Sentinel automation rule starts a Logic App with, sent on
//! whole: `@triggerBody()` of the incident trigger.
//!
//! One incident is one alert. `alert.id` is the incident's name (a GUID), `alert.incident` its
//! number, `alert.provider_id` the ids that the products gave to its alerts: one, or a list.
//! A tenant is named by `tenantId` alone; the workspace and its subscription are none.
//!
//! Files are the entities of kind `File`, the images of those of kind `Process`, and `FileHash`es
//! that no file names; never the image of a process that is another's parent. Which host a file
//! was met on is what the incident says of it, see [`files`]: hosts and files that merely stand in
//! the same incident are never crossed, also where there is only one of each. A file of which the
//! incident does not say it is incomplete, and the alerts of Defender that it came from are in
//! [`Alert::asks`]: their own evidence says it.
//!
//! `status` and `classification` get the words of Defender: `Active` is `InProgress`, `Closed` is
//! `Resolved`, `BenignPositive` is `InformationalExpectedActivity`, `Undetermined` is `Unknown`.
//! The only tactic of an incident is its `alert.category`; of several none is. `null` means "none"
//! for `classification`, `null` and `[]` for `techniques`; any other `null` is an absent field.
//! Two equal keys that are read here make the alert unreadable: no one can know which was meant.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;

use super::lenient::{MaybeObject, OneOrMany, Text, Texts};
use super::read::{self, set_known, set_listed};
use super::{Format, spelling};
use crate::domain::alert::{Alert, Ask, Unreadable};
use crate::domain::candidate::{Candidate, Field, Fields, Value};
use crate::domain::time::Wall;
use crate::limits;

mod thing;

mod links;

mod files;

use files::Files;
use links::Links;
use thing::Thing;

/// See [`Format::gives`].
pub(super) const GIVES: &[Field] = &[
    Field::AlertId,
    Field::AlertProviderId,
    Field::AlertIncident,
    Field::AlertTitle,
    Field::AlertSeverity,
    Field::AlertSeverityRank,
    Field::AlertCategory,
    Field::AlertStatus,
    Field::AlertClassification,
    Field::AlertTechniques,
    Field::AlertCreated,
    Field::AlertUpdated,
    Field::AlertAge,
    Field::AlertTenant,
    Field::AlertFormat,
    Field::AlertSource,
    Field::AlertMachines,
    Field::AlertFiles,
    Field::MachineId,
    Field::MachineName,
    Field::MachineGroup,
    Field::MachineHealth,
    Field::MachineOnboarding,
    Field::MachineRisk,
    Field::MachineAvStatus,
    Field::FileSha1,
    Field::FileSha256,
    Field::FileName,
    Field::FilePath,
    Field::FileEntity,
    Field::FileDetectionStatus,
];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Raw<'a> {
    #[serde(alias = "TenantId")]
    tenant_id: Text<'a>,
    workspace_info: MaybeObject<Workspace<'a>>,
    object: MaybeObject<Incident<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Workspace<'a> {
    #[serde(alias = "TenantId")]
    tenant_id: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Incident<'a> {
    name: Text<'a>,
    properties: MaybeObject<Properties<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Properties<'a> {
    title: Text<'a>,
    severity: Text<'a>,
    status: Text<'a>,
    classification: Text<'a>,
    incident_number: Text<'a>,
    created_time_utc: Text<'a>,
    last_modified_time_utc: Text<'a>,
    additional_data: MaybeObject<Totals<'a>>,
    alerts: OneOrMany<SecurityAlert<'a>>,
    related_entities: OneOrMany<Entity<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Totals<'a> {
    tactics: Texts<'a>,
    techniques: Texts<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct SecurityAlert<'a> {
    properties: MaybeObject<Provided<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct Provided<'a> {
    provider_alert_id: Text<'a>,
    product_name: Text<'a>,
}

/// Of `relatedEntities[]`.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Entity<'a> {
    id: Text<'a>,
    kind: Text<'a>,
    properties: MaybeObject<Thing<'a>>,
}

/// Reads one incident.
pub(super) fn decode(alert: &str) -> Result<Alert<'_>, Unreadable> {
    let objects = alert.bytes().filter(|b| *b == b'{').count();
    if objects > limits::INCIDENT_OBJECTS {
        let most = limits::INCIDENT_OBJECTS;
        return Err(Unreadable(format!("{objects} objects; no real incident has over {most}")));
    }
    let raw: Raw = read::object(alert)?;
    let Some(Incident { name, properties }) = raw.object.0 else {
        let why = "there is no incident in object: send all of @triggerBody() of its trigger";
        return Err(Unreadable(why.to_owned()));
    };
    let id = read::id(name)?;
    let workspace = raw.workspace_info.0.unwrap_or_default();
    let tenant_id = tenant([raw.tenant_id, workspace.tenant_id]);
    let mut incident = properties.0.unwrap_or_default();
    let entities = std::mem::take(&mut incident.related_entities).0;
    let alerts = std::mem::take(&mut incident.alerts).0;
    let alerts: Vec<_> = alerts.into_iter().filter_map(|alert| alert.properties.0).collect();
    let links = Links::of(&entities);
    let files = Files::of(&links);
    let count = read::file_count(files.found.len())?;
    let created = read::time(&incident.created_time_utc);
    let mut shared = shared_fields(incident, &alerts, created);
    shared.set(Field::AlertId, Value::Text(id.clone()));
    shared.set(Field::AlertFiles, count);
    shared.set(Field::AlertMachines, read::count(links.machines()));
    let mut hosts = BTreeSet::new();
    let mut candidates = Vec::with_capacity(files.found.len());
    for file in &files.found {
        let mut fields = shared.clone();
        let met = file.met(&links);
        file.tell(&met, &links, &mut fields);
        hosts.extend(met.host);
        let (machine, sha1) = (met.machine, file.sha1());
        candidates.push(Candidate { machine, sha1, evidence: created, fields });
    }
    let whole = |one: &Candidate<'_>| one.machine.is_ok() && one.sha1.is_ok();
    let all_said = !candidates.is_empty() && candidates.iter().all(whole) && !files.loose;
    let asks = if all_said { Vec::new() } else { asks(&alerts, hosts) };
    Ok(Alert { id, tenant_id, created, candidates, asks, known: None })
}

/// The tenant that the payload names. Two that differ name one that nobody knows.
fn tenant<'a>(said: [Text<'a>; 2]) -> Option<Cow<'a, str>> {
    let [one, other] = said.map(read::tenant);
    match (&one, &other) {
        (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => Some(Cow::Borrowed("(two tenants)")),
        _ => one.or(other),
    }
}

/// What every candidate of an incident shares: `alert.*`.
fn shared_fields<'a>(
    incident: Properties<'a>,
    alerts: &[Provided<'a>],
    created: Option<Wall>,
) -> Fields<'a> {
    let mut fields = Fields::default();
    fields.set_text(Field::AlertFormat, Format::SentinelIncident.as_str());
    for (field, text) in [
        (Field::AlertIncident, incident.incident_number),
        (Field::AlertTitle, incident.title),
        (Field::AlertUpdated, incident.last_modified_time_utc),
    ] {
        set_known(&mut fields, field, text);
    }
    if created.is_some() {
        set_known(&mut fields, Field::AlertCreated, incident.created_time_utc);
    }
    if incident.classification == Text::Null {
        fields.set(Field::AlertClassification, Value::Empty);
    }
    set_listed(&mut fields, Field::AlertSeverity, incident.severity);
    set_listed(&mut fields, Field::AlertStatus, in_defenders_words(incident.status));
    let classification = in_defenders_words(incident.classification);
    set_listed(&mut fields, Field::AlertClassification, classification);
    let totals = incident.additional_data.0.unwrap_or_default();
    if let Texts::Are(tactics) = totals.tactics
        && let [only] = &tactics[..]
    {
        set_known(&mut fields, Field::AlertCategory, Text::Is(only.clone()));
    }
    read::set_list_or_none(&mut fields, Field::AlertTechniques, totals.techniques);
    let ids = alerts.iter().filter_map(|alert| alert.provider_alert_id.clone().known());
    let ids = ids.filter(|id| id.len() <= limits::ALERT_ID_BYTES);
    let ids: Vec<_> = ids.take(limits::ASKS_PER_ALERT + 1).collect();
    match &ids[..] {
        [only] => fields.set(Field::AlertProviderId, Value::Text(only.clone())),
        // Part of a list is not the list.
        [_, ..] if ids.len() <= limits::ASKS_PER_ALERT => {
            fields.set(Field::AlertProviderId, Value::List(ids));
        }
        _ => {}
    }
    read::set_severity_rank(&mut fields);
    fields
}

/// Sentinel has its own words for what Defender says too.
fn in_defenders_words(text: Text<'_>) -> Text<'_> {
    const WORDS: [(&str, &str); 4] = [
        ("Active", "InProgress"),
        ("Closed", "Resolved"),
        ("BenignPositive", "InformationalExpectedActivity"),
        ("Undetermined", "Unknown"),
    ];
    let Some(word) = text.clone().known() else { return text };
    match WORDS.iter().find(|(own, _)| spelling::alike(own, &word)) {
        Some((_, word)) => Text::Is(Cow::Borrowed(word)),
        None => text,
    }
}

/// Names of the products whose alerts the Defender for Endpoint API has. Custom detections of
/// Defender XDR are among them, under XDR's names.
const DEFENDER: [&str; 4] = [
    "Microsoft Defender Advanced Threat Protection",
    "Microsoft Defender for Endpoint",
    "Microsoft 365 Defender",
    "Microsoft Defender XDR",
];

/// Where what the incident does not say can be asked for: its alerts of Defender, each once, then
/// the hosts by name.
fn asks(alerts: &[Provided<'_>], hosts: BTreeSet<String>) -> Vec<Ask> {
    let mut asks: Vec<Ask> = Vec::new();
    for alert in alerts {
        let product = alert.product_name.clone().known();
        let of_defender =
            product.is_some_and(|name| DEFENDER.iter().any(|one| spelling::alike(one, &name)));
        let id = alert.provider_alert_id.clone().known().filter(|id| is_opaque(id));
        if let (true, Some(id)) = (of_defender, id) {
            let ask = Ask::Alert(id.into_owned());
            if !asks.contains(&ask) {
                asks.push(ask);
            }
        }
        if asks.len() == limits::ASKS_PER_ALERT {
            break;
        }
    }
    asks.extend(hosts.into_iter().map(Ask::Host));
    asks.truncate(limits::ASKS_PER_ALERT);
    asks
}

/// An id that can stand in a URL: Defender's have no other characters.
fn is_opaque(id: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    id.len() <= limits::ALERT_ID_BYTES && id.bytes().all(fits)
}

#[cfg(test)]
mod tests;
