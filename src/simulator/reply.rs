//! Answers in Defender's shape.

use axum::body::Body;
use axum::http::{Response, header};
use serde_json::{Value, json};
use uuid::Uuid;

/// An answer, before it is written.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: String,
    pub machine_action: Option<String>,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self { status, retry_after: None, body: body.to_string(), machine_action: None }
    }

    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let target = Uuid::now_v7();
        let error = json!({"code": code, "message": message, "target": target});
        Self::json(status, &json!({"error": error}))
    }

    pub fn written(self) -> Response<Body> {
        let mut response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
        if let Some(retry_after) = self.retry_after {
            response = response.header(header::RETRY_AFTER, retry_after);
        }
        // Only a scripted answer can be none: a status or a header value that HTTP does not know.
        response.body(Body::from(self.body)).unwrap_or_else(|_| Response::new(Body::empty()))
    }
}
