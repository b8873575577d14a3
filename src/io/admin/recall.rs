//! Recalls over HTTP, and what is known of a file.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::brakes::check_reason;
use super::extract::{Body, Path, Query};
use super::{Admin, Caller, failed, refuse};
use crate::domain::ids::Sha1;
use crate::io::recall::{Recall, recall_and_wait};
use crate::limits;

/// The body of `/recall`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecallRequest {
    /// 40 hex digits.
    pub sha1: String,
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Piece {
    #[serde(default)]
    after: i64,
}

fn sha1(text: &str) -> Result<Sha1, Box<Response>> {
    let wrong = |why| refuse(StatusCode::BAD_REQUEST, format!("the SHA-1 {text:?} {why}"));
    Sha1::parse(text).map_err(|why| Box::new(wrong(why)))
}

pub(super) async fn recall(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Body(request): Body<RecallRequest>,
) -> Response {
    let sha1 = match sha1(&request.sha1) {
        Ok(sha1) => sha1,
        Err(refusal) => return *refusal,
    };
    if let Err(refusal) = check_reason(&request.reason) {
        return *refusal;
    }
    let (by, at) = (caller.on_record(), admin.clock.now().wall);
    let recall = Recall { sha1, by, reason: request.reason, at };
    let done = recall_and_wait(&*admin.recalls, &*admin.store, &*admin.clock, recall).await;
    (admin.recalled)();
    match done {
        Ok(recalled) => Json(recalled).into_response(),
        Err(why) => failed(&why),
    }
}

pub(super) async fn file(
    State(admin): State<Admin>,
    Path(text): Path<String>,
    Query(piece): Query<Piece>,
) -> Response {
    let sha1 = match sha1(&text) {
        Ok(sha1) => sha1,
        Err(refusal) => return *refusal,
    };
    match admin.recalls.file(sha1, piece.after, limits::FILE_PAGE).await {
        Ok(report) => Json(report).into_response(),
        Err(why) => failed(&why),
    }
}
