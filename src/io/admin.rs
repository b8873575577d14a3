//! The admin listener: health, metrics, and a JSON interface for the command line. On loopback
//! unless configured otherwise; never on the webhook port.

mod auth;
mod extract;
mod recall;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::recall::RecallStore;
use super::{ActionFilter, Clock, Pause, ReceiptFilter, Report, Store, StoreError};
use crate::domain::action::StateName;
use crate::domain::audit::Role;
use crate::domain::decision::Fate;
use crate::domain::ids::TenantName;
use crate::domain::scope::Scope;
use crate::metrics::Metrics;

use extract::{Body, Path, Query};

pub use auth::{Caller, Token, Tokens};
pub use recall::RecallRequest;

/// Makes the report of the moment: the composition root knows all the parts.
pub type Reporter = Arc<dyn Fn() -> BoxFuture<'static, Result<Report, StoreError>> + Send + Sync>;

/// What the admin listener answers from.
#[derive(Clone)]
pub struct Admin {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub tokens: Arc<Tokens>,
    pub report: Reporter,
    /// Tells the relays that a pause may be over.
    pub resumed: Arc<dyn Fn() + Send + Sync>,
    pub recalls: Arc<dyn RecallStore>,
    /// Tells those who cancel that there may be something to cancel.
    pub recalled: Arc<dyn Fn() + Send + Sync>,
    pub tenants: Arc<[TenantName]>,
}

/// Most rows that one answer lists.
const ROWS_MAX: usize = 1000;

/// The routes. `/livez`, `/readyz` and `/metrics` tell no secrets and need no token; everything
/// under `/api/v1` does.
pub fn router(admin: Admin) -> Router {
    let api = Router::new()
        .route("/status", get(status))
        .route("/actions", get(actions))
        .route("/actions/{id}", get(action))
        .route("/receipts", get(receipts))
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .route("/recall", post(recall::recall))
        .route("/files/{sha1}", get(recall::file))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(admin.clone(), authenticate));
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .nest("/api/v1", api)
        .method_not_allowed_fallback(wrong_method)
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "there is nothing here") })
        .with_state(admin)
}

async fn wrong_method() -> Response {
    refuse(StatusCode::METHOD_NOT_ALLOWED, "this path does not answer that method")
}

/// An error as JSON: `{"error": "…"}`. Every error of this listener has this form.
fn refuse(status: StatusCode, why: impl Into<String>) -> Response {
    (status, Json(serde_json::json!({ "error": why.into() }))).into_response()
}

fn failed(why: &StoreError) -> Response {
    let status = match why {
        StoreError::NoAction(_) => StatusCode::NOT_FOUND,
        StoreError::Invalid(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, why.to_string())
}

async fn authenticate(
    State(admin): State<Admin>,
    headers: HeaderMap,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = admin.tokens.caller(&headers) else {
        let why = "a token is needed: send Authorization: Bearer TOKEN";
        return refuse(StatusCode::UNAUTHORIZED, why);
    };
    if request.method() != axum::http::Method::GET {
        // Browsers send no JSON across sites without asking first.
        let json = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
        if !json {
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
        }
        if caller.role < Role::Operate {
            let why = format!("token {} may only view: this needs the role operate", caller.name);
            return refuse(StatusCode::FORBIDDEN, why);
        }
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match (admin.report)().await {
        Ok(report) => {
            Json(serde_json::json!({ "ready": true, "problems": report.problems })).into_response()
        }
        Err(why) => failed(&why),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match (admin.report)().await {
        Ok(report) => admin.metrics.absorb(&report),
        Err(why) => return failed(&why),
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], admin.metrics.encode()).into_response()
}

async fn status(State(admin): State<Admin>) -> Response {
    match (admin.report)().await {
        Ok(report) => Json(report).into_response(),
        Err(why) => failed(&why),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionsQuery {
    tenant: Option<String>,
    state: Option<String>,
    limit: Option<usize>,
}

async fn actions(State(admin): State<Admin>, Query(query): Query<ActionsQuery>) -> Response {
    let state = match query.state.as_deref().map(|s| (s, StateName::parse(s))) {
        Some((name, None)) => {
            return refuse(StatusCode::BAD_REQUEST, format!("there is no state {name:?}"));
        }
        Some((_, state)) => state,
        None => None,
    };
    let limit = query.limit.unwrap_or(50).min(ROWS_MAX);
    match admin.store.actions(ActionFilter { tenant: query.tenant, state, limit }).await {
        Ok(lines) => Json(lines).into_response(),
        Err(why) => failed(&why),
    }
}

async fn action(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    match admin.store.action(&id).await {
        Ok(Some(report)) => Json(report).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, format!("no single action begins with {id:?}")),
        Err(why) => failed(&why),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptsQuery {
    alert: Option<String>,
    fate: Option<String>,
    source: Option<String>,
    limit: Option<usize>,
}

async fn receipts(State(admin): State<Admin>, Query(query): Query<ReceiptsQuery>) -> Response {
    let fate = match query.fate.as_deref().map(|f| (f, Fate::parse(f))) {
        Some((name, None)) => {
            return refuse(StatusCode::BAD_REQUEST, format!("there is no fate {name:?}"));
        }
        Some((_, fate)) => fate,
        None => None,
    };
    let filter = ReceiptFilter {
        alert_id: query.alert,
        fate,
        source: query.source,
        limit: query.limit.unwrap_or(50).min(ROWS_MAX),
    };
    match admin.store.receipts(filter).await {
        Ok(lines) => Json(lines).into_response(),
        Err(why) => failed(&why),
    }
}

/// The body of `/pause` and `/resume`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Everything where left out.
    pub tenant: Option<String>,
    pub reason: String,
}

impl Admin {
    fn scope(&self, request: &PauseRequest) -> Result<Scope, Box<Response>> {
        if request.reason.trim().is_empty() || request.reason.len() > 1000 {
            let why = "a reason of 1 to 1000 bytes is needed: it goes on the record";
            return Err(Box::new(refuse(StatusCode::BAD_REQUEST, why)));
        }
        match &request.tenant {
            None => Ok(Scope::All),
            Some(name) => match self.tenants.iter().find(|t| t.as_str() == name) {
                Some(tenant) => Ok(Scope::Tenant(tenant.clone())),
                None => {
                    let why = format!("there is no tenant {name:?}");
                    Err(Box::new(refuse(StatusCode::NOT_FOUND, why)))
                }
            },
        }
    }
}

async fn pause(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<PauseRequest>,
) -> Response {
    let scope = match admin.scope(&request) {
        Ok(scope) => scope,
        Err(refusal) => return *refusal,
    };
    let at = admin.clock.now().wall;
    let pause = Pause { scope, by: caller.on_record(), reason: request.reason, at };
    match super::pause_and_wait(&*admin.store, &*admin.clock, pause).await {
        Ok(()) => status(State(admin)).await,
        Err(why) => failed(&why),
    }
}

async fn resume(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<PauseRequest>,
) -> Response {
    let scope = match admin.scope(&request) {
        Ok(scope) => scope,
        Err(refusal) => return *refusal,
    };
    let at = admin.clock.now().wall;
    match admin.store.unpause(scope, caller.on_record(), request.reason, at).await {
        Ok(true) => {
            (admin.resumed)();
            status(State(admin)).await
        }
        Ok(false) => refuse(StatusCode::CONFLICT, "that is not paused: nothing to resume"),
        Err(why) => failed(&why),
    }
}

#[cfg(test)]
mod tests;
