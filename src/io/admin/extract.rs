//! What a request asks, read as axum reads it; what can't be read is refused as every other error
//! of this listener is: `{"error": "…"}`.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::refuse;
use crate::limits::BODY_WITHIN;

/// The query. Unknown, missing and unreadable keys are refused with 400.
pub struct Query<T>(pub T);

/// The segments of the path that the route names.
pub struct Path<T>(pub T);

/// The body, as JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        read.map(|query| Self(query.0)).map_err(|why| refuse(why.status(), why.body_text()))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|path| Self(path.0)).map_err(|why| refuse(why.status(), why.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let Ok(read) = timeout(BODY_WITHIN, axum::Json::from_request(request, state)).await else {
            return Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body took too long".to_owned()));
        };
        read.map(|body| Self(body.0)).map_err(|why| refuse(why.status(), why.body_text()))
    }
}
