//! The wire: one call in, one answer out. Token, budget and faults stand here; what a call does
//! stands in `defender` and `entra`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, Response, header};

use super::defender;
use super::entra::{self, Bearer};
use super::faults::{Effect, Fault, Trouble};
use super::reads;
use super::record::{Call, Endpoint};
use super::reply::Reply;
use super::wire::Cut;
use super::world::World;

/// Bytes of a request body that are read.
const BODY_BYTES: usize = 1024 * 1024;

/// What a request is for, from method and path alone.
enum Route<'a> {
    Token { tenant: &'a str },
    Metadata,
    Quarantine { machine: String },
    List,
    One { id: &'a str },
    Cancel { id: &'a str },
    Alert { id: &'a str },
    Machines,
    Machine { id: String },
    File { sha1: String },
    Other,
}

/// Serves everything that is not under `/_simulator`.
pub async fn serve(
    State(world): State<Arc<World>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES).await else {
        return Reply::error(413, "RequestEntityTooLarge", "The body is too large").written();
    };
    let route = Route::of(&parts.method, parts.uri.path());
    let seq = arrived(&world, &route, &parts, &body);
    let reply = answer(&world, &route, &parts, &body, seq, &cut).await;
    let mut inner = world.lock();
    if let Some(reply) = &reply {
        inner.record.update(seq, |call| {
            call.status = Some(reply.status);
            // A token is not kept, why there was none is.
            if call.endpoint != Endpoint::Token || reply.status != 200 {
                call.answer.clone_from(&reply.body);
            }
        });
    }
    inner.record.over(seq);
    drop(inner);
    match reply {
        Some(reply) => reply.written(),
        // The connection is cut: nobody will read this.
        None => Response::new(Body::empty()),
    }
}

/// `None` once the connection is cut.
async fn answer(
    world: &World,
    route: &Route<'_>,
    parts: &Parts,
    body: &Bytes,
    seq: u64,
    cut: &Cut,
) -> Option<Reply> {
    let (bearer, fault) = match admit(world, route, parts, seq) {
        Ok(admitted) => admitted,
        Err(refused) => return Some(refused),
    };
    match fault {
        Some(Fault { effect: Effect::None, trouble: Trouble::Delay { millis }, .. }) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Some(perform(world, route, parts, body, seq, bearer.as_ref()))
        }
        Some(Fault { effect: Effect::None, trouble, .. }) => suffer(trouble, None, cut).await,
        Some(Fault { effect: Effect::Done, trouble, .. }) => {
            let reply = perform(world, route, parts, body, seq, bearer.as_ref());
            suffer(trouble, Some(reply), cut).await
        }
        None => Some(perform(world, route, parts, body, seq, bearer.as_ref())),
    }
}

/// Checks token and budget, and picks the fault that strikes.
fn admit(
    world: &World,
    route: &Route<'_>,
    parts: &Parts,
    seq: u64,
) -> Result<(Option<Bearer>, Option<Fault>), Reply> {
    let endpoint = route.endpoint();
    let mut inner = world.lock();
    let bearer = match endpoint {
        Endpoint::Token | Endpoint::Other => None,
        Endpoint::Quarantine
        | Endpoint::List
        | Endpoint::One
        | Endpoint::Cancel
        | Endpoint::Alerts
        | Endpoint::Machines
        | Endpoint::Files => {
            let authorization =
                parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let bearer = entra::bearer(&inner, authorization, world.now())
                .ok_or_else(|| Reply::error(401, "Unauthorized", "Unauthorized"))?;
            let caller = (bearer.tenant.clone(), bearer.client_id.clone());
            inner.record.update(seq, |call| call.caller = Some(caller));
            world.take(&mut inner, &bearer, endpoint).map_err(|exceeded| {
                let seconds = exceeded.retry_after.as_secs_f64().ceil();
                let reply = Reply::error(429, "429", &exceeded.text());
                Reply { retry_after: Some(seconds.to_string()), ..reply }
            })?;
            Some(bearer)
        }
    };
    let machine = match route {
        Route::Quarantine { machine } => Some(machine.clone()),
        Route::Cancel { id } => inner.actions.find(id).map(|action| action.machine.clone()),
        _ => None,
    };
    Ok((bearer, inner.faults.strike(endpoint, machine.as_deref())))
}

async fn suffer(trouble: Trouble, reply: Option<Reply>, cut: &Cut) -> Option<Reply> {
    match trouble {
        Trouble::Answer { status, retry_after, body } => {
            let machine_action = reply.and_then(|reply| reply.machine_action);
            Some(Reply { status, retry_after, body, machine_action })
        }
        Trouble::Drop => {
            cut.cut();
            None
        }
        Trouble::Hang => std::future::pending().await,
        Trouble::Delay { millis } => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            reply
        }
    }
}

/// Does what the call asks for, if it may.
fn perform(
    world: &World,
    route: &Route<'_>,
    parts: &Parts,
    body: &Bytes,
    seq: u64,
    bearer: Option<&Bearer>,
) -> Reply {
    let mut inner = world.lock();
    inner.actions.advance(&world.settings, world.now());
    let reply = match (route, bearer) {
        (Route::Token { tenant }, _) => entra::issue(world, &mut inner, tenant, parts, body),
        (Route::Metadata, _) => entra::vouch(world, &mut inner, parts),
        (Route::Quarantine { machine }, Some(bearer)) => {
            defender::quarantine(world, &mut inner, bearer, machine, parts, body)
        }
        (Route::List, Some(bearer)) => defender::list(world, &inner, bearer, parts),
        (Route::One { id }, Some(bearer)) => defender::one(world, &inner, bearer, id),
        (Route::Cancel { id }, Some(bearer)) => {
            defender::cancel(world, &mut inner, bearer, id, parts, body)
        }
        (Route::Alert { id }, Some(bearer)) => reads::alert(&inner, bearer, id, parts),
        (Route::Machines, Some(bearer)) => reads::machines(&inner, bearer, parts),
        (Route::Machine { id }, Some(bearer)) => reads::machine(world, &inner, bearer, id, parts),
        (Route::File { sha1 }, Some(bearer)) => reads::file(world, &inner, bearer, sha1, parts),
        _ => Reply::error(404, "ResourceNotFound", "No such resource"),
    };
    inner.record.update(seq, |call| call.machine_action.clone_from(&reply.machine_action));
    reply
}

fn arrived(world: &World, route: &Route<'_>, parts: &Parts, body: &Bytes) -> u64 {
    let endpoint = route.endpoint();
    let kept = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let value = match *name {
            header::AUTHORIZATION => "(not kept)".into(),
            _ => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        (name.as_str().to_owned(), value)
    };
    let body = match endpoint {
        Endpoint::Token => String::new(),
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let mut inner = world.lock();
    // Read under the lock, so that times and numbers are in the same order.
    let now = world.now();
    inner.record.arrived(Call {
        seq: 0,
        at_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
        time: world.shown_time(now),
        endpoint,
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers.iter().map(kept).collect(),
        body,
        caller: None,
        status: None,
        answer: String::new(),
        machine_action: None,
    })
}

impl<'a> Route<'a> {
    fn of(method: &Method, path: &'a str) -> Self {
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), segments.as_slice()) {
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => Route::Token { tenant },
            ("GET", ["metadata", "identity", "oauth2", "token"]) => Route::Metadata,
            ("POST", ["api", "machines", id, "StopAndQuarantineFile"]) => {
                Route::Quarantine { machine: id.to_ascii_lowercase() }
            }
            ("GET", ["api", "machineactions"]) => Route::List,
            ("GET", ["api", "machineactions", id]) => Route::One { id },
            ("POST", ["api", "machineactions", id, "cancel"]) => Route::Cancel { id },
            ("GET", ["api", "alerts", id]) => Route::Alert { id },
            ("GET", ["api", "machines"]) => Route::Machines,
            ("GET", ["api", "machines", id]) => Route::Machine { id: id.to_ascii_lowercase() },
            ("GET", ["api", "files", sha1]) => Route::File { sha1: sha1.to_ascii_lowercase() },
            _ => Route::Other,
        }
    }

    fn endpoint(&self) -> Endpoint {
        match self {
            Route::Token { .. } | Route::Metadata => Endpoint::Token,
            Route::Quarantine { .. } => Endpoint::Quarantine,
            Route::List => Endpoint::List,
            Route::One { .. } => Endpoint::One,
            Route::Cancel { .. } => Endpoint::Cancel,
            Route::Alert { .. } => Endpoint::Alerts,
            Route::Machines | Route::Machine { .. } => Endpoint::Machines,
            Route::File { .. } => Endpoint::Files,
            Route::Other => Endpoint::Other,
        }
    }
}
