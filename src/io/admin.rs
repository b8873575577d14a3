//! The admin listener: health, metrics, and a JSON interface for the command line. On loopback
//! unless configured otherwise; never on the webhook port.

mod auth;
mod brakes;
mod expected;
mod extract;
mod failures;
mod glance;
mod roles;
mod sign_in;
mod recall;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::recall::RecallStore;
use super::{ActionFilter, ActionReport, Clock, ReceiptFilter, Report, Store, StoreError};
use crate::domain::action::StateName;
use crate::domain::decision::Fate;
use crate::domain::guard::Guard;
use crate::domain::ids::TenantName;
use crate::domain::limiter::Forecast;
use crate::metrics::Metrics;

use extract::{Path, Query};

pub use auth::{Caller, LOCAL, Token, Tokens};
pub use brakes::{BrakeRequest, VoteRequest};
pub use glance::Glance;
pub use recall::RecallRequest;
pub use sign_in::note_refused;

/// Makes the report of the moment: the composition root knows all the parts.
pub type Reporter = Arc<dyn Fn() -> BoxFuture<'static, Result<Report, StoreError>> + Send + Sync>;

/// Says where a tenant's budget stands; `None` while nothing of it is called.
pub type Forecasts = Arc<dyn Fn(&TenantName) -> Option<Forecast> + Send + Sync>;

/// Says how to go on where there is no rule of this id.
pub type NoRule = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What the admin listener answers from.
#[derive(Clone)]
pub struct Admin {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub tokens: Arc<Tokens>,
    pub report: Reporter,
    pub forecast: Forecasts,
    /// Tells the relays that a pause may be over.
    pub resumed: Arc<dyn Fn() + Send + Sync>,
    /// Judges again what a person releases.
    pub guard: Arc<dyn Guard>,
    pub no_rule: NoRule,
    pub recalls: Arc<dyn RecallStore>,
    /// Tells those who cancel that there may be something to cancel.
    pub recalled: Arc<dyn Fn() + Send + Sync>,
    pub tenants: Arc<[TenantName]>,
    /// The report, for those who ask without a token.
    pub glance: Glance<Report>,
}

/// Most rows that one answer lists; of more that are asked for, the first.
pub const ROWS_MAX: usize = 1000;

/// What `/livez` answers.
pub const ALIVE: &str = "ok\n";

/// The routes. `/livez`, `/readyz` and `/metrics` tell no secrets and need no token; everything
/// under `/api/v1` does.
pub fn router(admin: Admin) -> Router {
    let api = Router::new()
        .route("/status", get(status))
        .route("/actions", get(actions))
        .route("/actions/{id}", get(action))
        .route("/receipts", get(receipts))
        .route("/actions/vote", post(brakes::vote))
        .route("/pause", post(brakes::pause))
        .route("/resume", post(brakes::resume))
        .route("/audit", get(audit))
        .route("/recall", post(recall::recall))
        .route("/files/{sha1}", get(recall::file))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(admin.clone(), sign_in::authenticate));
    Router::new()
        .route("/livez", get(|| async { ALIVE }))
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

/// For anybody: what is wrong, but not why.
async fn readyz(State(admin): State<Admin>) -> Response {
    match admin.glance.look(&*admin.clock, (admin.report)()).await {
        Ok(report) => {
            let (ready, problems) = (report.store_trouble.is_none(), report.public_problems());
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = serde_json::json!({ "ready": ready, "problems": problems });
            (status, Json(body)).into_response()
        }
        Err(why) => unreadable(&why),
    }
}

fn unreadable(why: &StoreError) -> Response {
    tracing::error!(%why, "the store can't be read");
    refuse(StatusCode::SERVICE_UNAVAILABLE, "the store can't be read: the log says why")
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.glance.look(&*admin.clock, (admin.report)()).await {
        Ok(report) => admin.metrics.absorb(&report),
        Err(why) => return unreadable(&why),
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], admin.metrics.encode()).into_response()
}

async fn status(State(admin): State<Admin>) -> Response {
    match (admin.report)().await {
        Ok(mut report) => {
            admin.expect_ends(&mut report);
            Json(report).into_response()
        }
        Err(why) => failed(&why),
    }
}

/// The query has the keys of [`ActionFilter`]; without a limit it is 50.
async fn actions(State(admin): State<Admin>, Query(query): Query<ActionFilter>) -> Response {
    if let Err(refusal) = admin.check_tenant(&query) {
        return *refusal;
    }
    let limit = if query.limit == 0 { 50 } else { query.limit.min(ROWS_MAX) };
    match admin.store.actions(ActionFilter { limit, ..query }).await {
        Ok(lines) if query.state == Some(StateName::Queued) => match admin.expect(lines).await {
            Ok(lines) => Json(lines).into_response(),
            Err(why) => failed(&why),
        },
        Ok(lines) => Json(lines).into_response(),
        Err(why) => failed(&why),
    }
}

impl Admin {
    /// With when a queued one is expected to start, or what it waits for.
    async fn told(&self, mut report: ActionReport) -> Result<ActionReport, StoreError> {
        if report.line.state.name() != StateName::Queued {
            return Ok(report);
        }
        let lines = self.expect(vec![report.line.clone()]).await?;
        report.line = lines.into_iter().next().unwrap_or(report.line);
        let status = (self.report)().await?;
        report.waits_for = report.stopped_by(&status.stops(&report.line.key.tenant));
        Ok(report)
    }
}

async fn action(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    match admin.store.action(&id).await {
        Ok(Some(report)) => match admin.told(report).await {
            Ok(report) => Json(report).into_response(),
            Err(why) => failed(&why),
        },
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    #[serde(default)]
    after: i64,
    limit: Option<usize>,
}

/// The record, a page at a time: `after` is the position of the last entry that was seen.
async fn audit(State(admin): State<Admin>, Query(query): Query<AuditQuery>) -> Response {
    let limit = query.limit.unwrap_or(ROWS_MAX).min(ROWS_MAX);
    match admin.store.audit(query.after, limit).await {
        Ok(lines) => Json(lines).into_response(),
        Err(why) => failed(&why),
    }
}

#[cfg(test)]
mod tests;
