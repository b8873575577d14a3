//! Control over HTTP, under `/_simulator`: what the handle does in the same process, for others.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::actions::Machine;
use super::faults::Fault;
use super::record::Endpoint;
use super::world::World;

const HELP: &str = r#"GET    /_simulator/calls?endpoint=quarantine&from=0
       every call, as it came and was answered, from that number on
DELETE /_simulator/calls
GET    /_simulator/worst-window?endpoint=quarantine&seconds=60
       the most calls of one application in any window of that length
GET    /_simulator/actions
       every machine action
POST   /_simulator/faults
       one fault, or an array of them:
       {"endpoint": "quarantine", "effect": "none",
        "trouble": {"answer": {"status": 429, "retry-after": "5"}}}
       endpoint  token | quarantine | list | one | cancel | alerts | machines
                 | files
       machine   only calls for this machine, or for an action on it (optional)
       times     how many calls it strikes (1)
       effect    none: nothing is done | done: only the answer suffers
       trouble   {"answer": {"status": …, "retry-after": …, "body": …}}
                 | "drop" | "hang" | {"delay": {"millis": …}}
GET    /_simulator/faults
       those still to strike
DELETE /_simulator/faults
PUT    /_simulator/machines/{id}
       {"offline": true, "ends": "Failed", "lacks": ["SHA1"],
        "computerDnsName": "win11.contoso.com", "healthStatus": "Active",
        "onboardingStatus": "Onboarded",
        "says": {"osPlatform": "WindowsServer2022", "machineTags": ["dc"]}};
       each may be left out
       ends      Succeeded | Failed | TimeOut | Cancelled, with
                 "errorHResult", "error" and "troubleshootInfo" where it is not done
PUT    /_simulator/alerts/{id}
       the alert's JSON object, with its evidence
PUT    /_simulator/files/{sha1}
       the file's JSON object, such as {"isPeFile": true,
        "signer": "Contoso", "filePublisher": "Contoso",
        "isValidCertificate": true}; a file that was not put is told of as a
       rare program that nobody has signed, or not at all with
       --known-files-only
DELETE /_simulator/tokens
       every token issued so far is answered with 401
"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    endpoint: Option<Endpoint>,
    #[serde(default)]
    from: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichWindow {
    endpoint: Endpoint,
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    Many(Vec<Fault>),
    One(Fault),
}

pub async fn help() -> &'static str {
    HELP
}

pub async fn calls(State(world): State<Arc<World>>, Query(which): Query<Which>) -> Json<Value> {
    let inner = world.lock();
    let wanted = |call: &&super::Call| {
        call.seq >= which.from && which.endpoint.is_none_or(|only| only == call.endpoint)
    };
    let calls: Vec<_> = inner.record.calls().iter().filter(wanted).collect();
    Json(json!({"calls": calls}))
}

pub async fn forget_calls(State(world): State<Arc<World>>) -> StatusCode {
    world.lock().record.clear();
    StatusCode::NO_CONTENT
}

pub async fn worst_window(
    State(world): State<Arc<World>>,
    Query(which): Query<WhichWindow>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let window = Duration::try_from_secs_f64(which.seconds)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("seconds: {error}")))?;
    let calls = world.lock().record.worst_window(which.endpoint, window);
    Ok(Json(json!({"calls": calls})))
}

pub async fn actions(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"actions": world.shown_actions()}))
}

pub async fn faults(State(world): State<Arc<World>>) -> Json<Value> {
    Json(json!({"faults": world.lock().faults.all()}))
}

pub async fn add_faults(
    State(world): State<Arc<World>>,
    Json(faults): Json<OneOrMany>,
) -> StatusCode {
    let faults = match faults {
        OneOrMany::Many(faults) => faults,
        OneOrMany::One(fault) => vec![fault],
    };
    let mut inner = world.lock();
    faults.into_iter().for_each(|fault| inner.faults.push(fault));
    StatusCode::NO_CONTENT
}

pub async fn forget_faults(State(world): State<Arc<World>>) -> StatusCode {
    world.lock().faults.clear();
    StatusCode::NO_CONTENT
}

pub async fn set_machine(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    Json(machine): Json<Machine>,
) -> StatusCode {
    world.set_machine(&id, machine);
    StatusCode::NO_CONTENT
}

pub async fn put_alert(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    Json(alert): Json<Map<String, Value>>,
) -> StatusCode {
    world.put_alert(&id, alert);
    StatusCode::NO_CONTENT
}

pub async fn put_file(
    State(world): State<Arc<World>>,
    Path(sha1): Path<String>,
    Json(file): Json<Map<String, Value>>,
) -> StatusCode {
    world.put_file(&sha1, file);
    StatusCode::NO_CONTENT
}

pub async fn revoke_tokens(State(world): State<Arc<World>>) -> StatusCode {
    world.lock().tokens.clear();
    StatusCode::NO_CONTENT
}
