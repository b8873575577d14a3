//! What Defender's endpoints do: permissions first, then the body or the query.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{Uri, header};
use serde_json::{Value, json};

use super::actions::{HasEnded, MachineAction, NotMade, Wanted};
use super::entra::{self, Bearer};
use super::filter::Filter;
use super::reply::Reply;
use super::world::{Inner, World};

/// Most entries in one page of the list, as documented.
const PAGE: usize = 10_000;

pub fn quarantine(
    world: &World,
    inner: &mut Inner,
    bearer: &Bearer,
    machine: &str,
    parts: &Parts,
    body: &Bytes,
) -> Reply {
    if !bearer.may_quarantine() {
        return forbidden(&[entra::STOP_AND_QUARANTINE]);
    }
    if !bearer.may_read() {
        return forbidden(&entra::READ);
    }
    if !is_json(parts) {
        return unsupported();
    }
    let [comment, sha1] = match texts(body, ["Comment", "Sha1"]) {
        Ok(texts) => texts,
        Err(refused) => return refused,
    };
    if sha1.len() != 40 || !sha1.bytes().all(|b| b.is_ascii_hexdigit()) {
        let text = format!("Hash value {sha1} is invalid.");
        return Reply::error(400, "InvalidHashValue", &text);
    }
    let sha1 = sha1.to_ascii_lowercase();
    let wanted = Wanted {
        tenant: &bearer.tenant,
        requestor: &bearer.client_id,
        machine,
        sha1: &sha1,
        comment: &comment,
    };
    match inner.actions.make(&wanted, &world.settings, world.now()) {
        Ok(action) => {
            let mut shown = action.shown(|at| world.shown_time(at));
            shown["@odata.context"] = json!(format!("{}/$entity", context(parts)));
            let machine_action = Some(action.id.clone());
            Reply { machine_action, ..Reply::json(201, &shown) }
        }
        Err(NotMade::NoMachine) => {
            Reply::error(404, "ResourceNotFound", &format!("Machine {machine} was not found"))
        }
        Err(NotMade::NoFile) => {
            let text = format!("Sha1 {sha1} was not found in machine {machine}");
            Reply::error(404, "ResourceNotFound", &text)
        }
        Err(NotMade::Active) => {
            Reply::error(400, "ActiveRequestAlreadyExists", "Action is already in progress")
        }
    }
}

/// The texts of a body that has exactly these. Names are case-sensitive, all are required, and
/// others are refused.
fn texts<const N: usize>(body: &[u8], names: [&str; N]) -> Result<[String; N], Reply> {
    let incorrect = || Reply::error(400, "InvalidRequestBody", "Request body is incorrect");
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return Err(incorrect());
    };
    let mut texts = [const { String::new() }; N];
    for (text, name) in texts.iter_mut().zip(names) {
        *text = match fields.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => text,
            None | Some(Value::Null) | Some(Value::String(_)) => {
                let text = format!("Required parameter {name} is missing.");
                return Err(Reply::error(400, "MissingRequiredParameter", &text));
            }
            Some(_) => return Err(incorrect()),
        };
    }
    if fields.is_empty() { Ok(texts) } else { Err(incorrect()) }
}

pub fn list(world: &World, inner: &Inner, bearer: &Bearer, parts: &Parts) -> Reply {
    if !bearer.may_read() {
        return forbidden(&entra::READ);
    }
    let query = parts.uri.query().unwrap_or_default();
    let Options { filter, top, skip } = match Options::parse(query, Filter::parse) {
        Ok(options) => options,
        Err(text) => return invalid_query(&text),
    };
    let (now, after) = (world.now(), world.settings.listed_after);
    let own =
        |action: &&MachineAction| action.tenant == bearer.tenant && action.created + after <= now;
    let wanted = inner.actions.iter().rev().filter(own).filter(|action| {
        filter.as_ref().is_none_or(|only| only.matches(action, |at| world.wall(at)))
    });
    let page: Vec<_> =
        wanted.skip(skip).take(top).map(|action| action.shown(|at| world.shown_time(at))).collect();
    Reply::json(200, &json!({"@odata.context": context(parts), "value": page}))
}

/// What a query asks for in OData's way.
pub struct Options<F> {
    pub filter: Option<F>,
    pub top: usize,
    pub skip: usize,
}

impl<F> Options<F> {
    /// `filter` reads the `$filter`.
    pub fn parse(query: &str, filter: impl Fn(&str) -> Result<F, String>) -> Result<Self, String> {
        let mut options = Self { filter: None, top: PAGE, skip: 0 };
        for (name, value) in pairs(query).ok_or("It can't be decoded")? {
            let number =
                || value.parse::<usize>().map_err(|_| format!("{name} has to be a number"));
            match name.as_str() {
                "$filter" => options.filter = Some(filter(&value)?),
                "$top" => options.top = number()?,
                "$skip" => options.skip = number()?,
                _ if name.starts_with('$') => return Err(not_supported(&name)),
                // Others are the caller's own, as OData has it.
                _ => {}
            }
        }
        if options.top > PAGE {
            return Err(format!("The limit of '{PAGE}' for Top query has been exceeded"));
        }
        Ok(options)
    }
}

pub fn not_supported(option: &str) -> String {
    format!("Custom query option '{option}' that starts with '$' is not supported")
}

pub fn invalid_query(text: &str) -> Reply {
    let text = format!("The query specified in the URI is not valid. {text}.");
    Reply::json(400, &json!({"error": {"code": "", "message": text, "details": []}}))
}

pub fn one(world: &World, inner: &Inner, bearer: &Bearer, id: &str) -> Reply {
    if !bearer.may_read() {
        return forbidden(&entra::READ);
    }
    let mut all = inner.actions.iter().filter(|action| action.tenant == bearer.tenant);
    match all.find(|action| action.id == id) {
        Some(action) => Reply::json(200, &action.shown(|at| world.shown_time(at))),
        None => {
            let text = format!("MachineAction {id} was not found");
            Reply::error(404, "ResourceNotFound", &text)
        }
    }
}

/// Documented: the permission to quarantine, 200 with the machine action, 404 for an id that is not
/// known. That a comment is required, and the 400 for an action that has ended, are inferred.
pub fn cancel(
    world: &World,
    inner: &mut Inner,
    bearer: &Bearer,
    id: &str,
    parts: &Parts,
    body: &Bytes,
) -> Reply {
    if !bearer.may_quarantine() {
        return forbidden(&[entra::STOP_AND_QUARANTINE]);
    }
    if !is_json(parts) {
        return unsupported();
    }
    let [comment] = match texts(body, ["Comment"]) {
        Ok(texts) => texts,
        Err(refused) => return refused,
    };
    let (tenant, client) = (&bearer.tenant, &bearer.client_id);
    match inner.actions.cancel(tenant, id, client, &comment, world.now()) {
        Some(Ok(action)) => {
            let mut shown = action.shown(|at| world.shown_time(at));
            shown["@odata.context"] = json!(format!("{}/$entity", context(parts)));
            Reply { machine_action: Some(id.to_owned()), ..Reply::json(200, &shown) }
        }
        Some(Err(HasEnded)) => {
            let text = format!("MachineAction {id} is already in a final state");
            Reply::error(400, "BadRequest", &text)
        }
        None => {
            let text = format!("MachineAction {id} was not found");
            Reply::error(404, "ResourceNotFound", &text)
        }
    }
}

fn is_json(parts: &Parts) -> bool {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()) == Some("application/json")
}

fn unsupported() -> Reply {
    Reply::error(415, "UnsupportedMediaType", "The body has to be application/json")
}

pub fn forbidden(roles: &[&str]) -> Reply {
    let text = format!(
        "The application does not have any of the required application permissions ({}) to \
         access the resource.",
        roles.join(", ")
    );
    Reply::error(403, "Forbidden", &text)
}

fn context(parts: &Parts) -> String {
    context_of("MachineActions", parts)
}

pub fn context_of(what: &str, parts: &Parts) -> String {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    format!("http://{}/api/$metadata#{what}", host.unwrap_or("localhost"))
}

/// Decodes a query or a form; of a name that comes twice, the last one counts.
pub fn pairs(query: &str) -> Option<HashMap<String, String>> {
    let uri: Uri = format!("/?{query}").parse().ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(pairs)| pairs)
}
