//! What the admin listener answers to requests that are wrong.

use axum::body::Body as Content;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;

fn listener(dir: &std::path::Path) -> Router {
    let store = Arc::new(SqliteStore::open(dir, 10).unwrap());
    router(Admin {
        store: store.clone(),
        recalls: store,
        recalled: Arc::new(|| ()),
        clock: Arc::new(SystemClock::new()),
        metrics: Arc::new(Metrics::new()),
        tokens: Arc::new(Tokens::new(vec![Token::new("alice", Role::Operate, &"s3cret".into())])),
        report: Arc::new(|| Box::pin(async { Err(StoreError::Closed) })),
        resumed: Arc::new(|| ()),
        tenants: Arc::new([TenantName::new("contoso")]),
    })
}

/// The status, and the text under `error`, which every refusal has.
async fn refused(listener: &Router, method: &str, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer s3cret")
        .header("content-type", "application/json")
        .body(Content::from(body.to_owned()))
        .unwrap();
    let answer = listener.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    let value: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {text:?}"));
    (status, value["error"].as_str().unwrap_or_else(|| panic!("{text}")).to_owned())
}

#[tokio::test]
async fn every_refusal_is_json_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let listener = listener(dir.path());
    for (method, path, body, status, says) in [
        ("GET", "/api/v1/actions?limit=many", "", 400, "limit"),
        ("GET", "/api/v1/actions?colour=red", "", 400, "colour"),
        ("GET", "/api/v1/actions?state=lost", "", 400, "lost"),
        ("GET", "/api/v1/receipts?limit=-1", "", 400, "limit"),
        ("GET", "/api/v1/actions/%ff", "", 400, "UTF-8"),
        ("POST", "/api/v1/pause", "{\"reason\"", 400, "JSON"),
        ("POST", "/api/v1/pause", "{}", 422, "reason"),
        ("POST", "/api/v1/resume", "{\"reason\": \"x\", \"who\": \"me\"}", 422, "who"),
        ("POST", "/api/v1/resume", "{\"reason\": \"x\"}", 409, "not paused"),
        ("POST", "/api/v1/recall", "{\"reason\": \"x\"}", 422, "sha1"),
        ("POST", "/api/v1/recall", "{\"sha1\": \"x\", \"reason\": \"x\"}", 400, "40 hex digits"),
        ("GET", "/api/v1/files/..", "", 400, "40 hex digits"),
        ("GET", "/api/v1/files/x?after=first", "", 400, "after"),
        ("POST", "/api/v1/actions", "{}", 405, "method"),
        ("POST", "/metrics", "{}", 405, "method"),
        ("GET", "/api/v1/nothing", "", 404, "nothing here"),
    ] {
        let (answered, why) = refused(&listener, method, path, body).await;
        assert_eq!(answered, status, "{method} {path}: {why}");
        assert!(why.contains(says), "{method} {path}: {why}");
    }
}
