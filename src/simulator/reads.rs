//! Alerts, machines by their names or ids, and files.
//!
//! Facts come from Microsoft's pages "Get alert information by ID API", "List machines API", "Get
//! machine by ID API", "Get file information API" and
//! "OData queries with Microsoft Defender for Endpoint". That `$expand=evidence` is taken for one
//! alert as for the list is observed; that names are compared as they are written is OData's rule.

use axum::http::request::Parts;
use serde_json::{Map, Value, json};

use super::actions::Machine;
use super::defender::{self, Options};
use super::entra::{self, Bearer};
use super::reply::Reply;
use super::settings::UnknownFiles;
use super::world::{Inner, World};

/// One alert; its evidence only where it is asked for.
pub fn alert(inner: &Inner, bearer: &Bearer, id: &str, parts: &Parts) -> Reply {
    if !bearer.may_read_alerts() {
        return defender::forbidden(&entra::READ_ALERTS);
    }
    let expanded = match expanded(parts.uri.query().unwrap_or_default()) {
        Ok(expanded) => expanded,
        Err(text) => return defender::invalid_query(&text),
    };
    let Some(alert) = inner.alerts.get(id) else {
        return Reply::error(404, "ResourceNotFound", &format!("Alert {id} was not found"));
    };
    let mut shown = alert.clone();
    if !expanded || !shown.contains_key("evidence") {
        shown.insert("evidence".to_owned(), json!([]));
    }
    let context = format!("{}/$entity", defender::context_of("Alerts", parts));
    shown.insert("@odata.context".to_owned(), context.into());
    Reply::json(200, &Value::Object(shown))
}

fn expanded(query: &str) -> Result<bool, String> {
    let mut expanded = false;
    for (name, value) in defender::pairs(query).ok_or("It can't be decoded")? {
        match (name.as_str(), value.as_str()) {
            ("$expand", "evidence") => expanded = true,
            ("$expand", _) => return Err(format!("There is nothing to expand in '{value}'")),
            _ if name.starts_with('$') => return Err(defender::not_supported(&name)),
            _ => {}
        }
    }
    Ok(expanded)
}

/// The machines a filter names, in the order of their ids.
pub fn machines(inner: &Inner, bearer: &Bearer, parts: &Parts) -> Reply {
    if !bearer.may_read() {
        return defender::forbidden(&entra::READ);
    }
    let query = parts.uri.query().unwrap_or_default();
    let Options { filter, top, skip } = match Options::parse(query, Filter::parse) {
        Ok(options) => options,
        Err(text) => return defender::invalid_query(&text),
    };
    let wanted = inner.actions.machines().filter(|(id, machine)| {
        filter.as_ref().is_none_or(|filter| filter.matches(&machine.name(id)))
    });
    let page: Vec<_> =
        wanted.skip(skip).take(top).map(|(id, machine)| shown(id, machine)).collect();
    let context = defender::context_of("Machines", parts);
    Reply::json(200, &json!({"@odata.context": context, "value": page}))
}

/// One machine, by its id.
pub fn machine(world: &World, inner: &Inner, bearer: &Bearer, id: &str, parts: &Parts) -> Reply {
    if !bearer.may_read() {
        return defender::forbidden(&entra::READ);
    }
    let Some(mut shown) = inner.actions.shown_machine(id, world.settings.unknown_machines, shown)
    else {
        return Reply::error(404, "ResourceNotFound", &format!("Machine {id} was not found"));
    };
    let context = format!("{}/$entity", defender::context_of("Machines", parts));
    shown["@odata.context"] = context.into();
    Reply::json(200, &shown)
}

/// One file, by its SHA-1.
pub fn file(world: &World, inner: &Inner, bearer: &Bearer, sha1: &str, parts: &Parts) -> Reply {
    if !bearer.may_read_files() {
        return defender::forbidden(&[entra::READ_FILES]);
    }
    let told = match (inner.files.get(sha1), world.settings.unknown_files) {
        (Some(file), _) => Some(file.clone()),
        (None, UnknownFiles::Unsigned) => unsigned(sha1),
        (None, UnknownFiles::NotFound) => None,
    };
    let Some(mut shown) = told else {
        return Reply::error(404, "ResourceNotFound", &format!("File {sha1} was not found"));
    };
    let context = format!("{}/$entity", defender::context_of("Files", parts));
    shown.insert("@odata.context".to_owned(), context.into());
    Reply::json(200, &Value::Object(shown))
}

/// A rare program without a signature: what Defender has looked into says so by its nulls. `None`
/// for what is no SHA-1.
fn unsigned(sha1: &str) -> Option<Map<String, Value>> {
    let is_sha1 = sha1.len() == 40 && sha1.bytes().all(|byte| byte.is_ascii_hexdigit());
    let told = json!({
        "sha1": sha1,
        "globalPrevalence": 1,
        "size": 40_960,
        "fileType": "PortableExecutable",
        "isPeFile": true,
        "filePublisher": null,
        "fileProductName": null,
        "signer": null,
        "issuer": null,
        "signerHash": null,
        "isValidCertificate": null,
        "determinationType": "Unknown",
    });
    told.as_object().filter(|_| is_sha1).cloned()
}

/// The Machine object, as far as clients look at it.
fn shown(id: &str, machine: &Machine) -> Value {
    let health = if machine.offline { "Inactive" } else { "Active" };
    let mut shown = json!({
        "id": id,
        "computerDnsName": machine.name(id),
        "osPlatform": "Windows11",
        "osProcessor": "x64",
        "healthStatus": machine.health_status.as_deref().unwrap_or(health),
        "onboardingStatus": machine.onboarding_status.as_deref().unwrap_or("Onboarded"),
        "rbacGroupId": 0,
        "rbacGroupName": null,
        "riskScore": "None",
        "exposureLevel": "Low",
        "aadDeviceId": null,
        "machineTags": [],
        "deviceValue": "Normal",
    });
    for (key, value) in &machine.says {
        shown[key] = value.clone();
    }
    shown
}

/// The part of OData that machines are asked for in: their name, whole or its start.
#[derive(Debug, PartialEq, Eq)]
enum Filter {
    Is(String),
    StartsWith(String),
}

impl Filter {
    /// What it does not know it refuses, with a text for people.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(value) = text.strip_prefix("computerDnsName eq ") {
            return quoted(value).map(Filter::Is);
        }
        let arguments = text.strip_prefix("startswith(").and_then(|rest| rest.strip_suffix(')'));
        match arguments.and_then(|arguments| arguments.split_once(',')) {
            Some(("computerDnsName", value)) => quoted(value).map(Filter::StartsWith),
            _ => Err(format!("the $filter {text:?} is not supported for machines")),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Filter::Is(whole) => name == whole,
            Filter::StartsWith(start) => name.starts_with(start),
        }
    }
}

/// The text between quotes; one in it is doubled.
fn quoted(value: &str) -> Result<String, String> {
    let inner = value.trim().strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
    let single = |text: &&str| !text.replace("''", "").contains('\'');
    match inner.filter(single) {
        Some(text) => Ok(text.replace("''", "'")),
        None => Err(format!("{value} is no quoted Edm.String")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_machines_by_their_name_or_its_start() {
        let matches = |filter: &str| Filter::parse(filter).unwrap().matches("win11.contoso.com");
        assert!(matches("startswith(computerDnsName,'win11')"));
        assert!(matches("startswith(computerDnsName, 'win11.contoso.com')"));
        assert!(!matches("startswith(computerDnsName,'in11')"));
        assert!(!matches("startswith(computerDnsName,'WIN11')"));
        assert!(matches("computerDnsName eq 'win11.contoso.com'"));
        assert!(!matches("computerDnsName eq 'win11'"));
        assert_eq!(Filter::parse("computerDnsName eq 'a''b'"), Ok(Filter::Is("a'b".to_owned())));
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        for filter in [
            "",
            "contains(computerDnsName,'a')",
            "startswith(id,'a')",
            "startswith(computerDnsName,a)",
            "startswith(computerDnsName,'a') or true",
            "startswith(computerDnsName,'a')or(startswith(computerDnsName,'b'))",
            "computerDnsName eq a",
            "computerDnsName eq 'a' and id eq 'b'",
            "computerDnsName ne 'a'",
            "healthStatus eq 'Active'",
        ] {
            assert!(Filter::parse(filter).is_err(), "{filter}");
        }
    }
}
