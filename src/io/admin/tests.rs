//! What the admin listener answers to requests that are wrong.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body as Content;
use axum::extract::Request;
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::*;
use crate::domain::audit::Role;
use crate::domain::time::Wall;
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;
use crate::serve::Peer;

fn listener(dir: &std::path::Path) -> Router {
    let store = Arc::new(SqliteStore::open(dir, 10).unwrap());
    router(Admin {
        store: store.clone(),
        recalls: store,
        recalled: Arc::new(|| ()),
        clock: Arc::new(SystemClock::new()),
        metrics: Arc::new(Metrics::new()),
        tokens: Arc::new(Tokens::new(vec![Token::new("alice", Role::Admin, &"s3cret".into())])),
        report: Arc::new(|| Box::pin(async { Err(StoreError::Closed) })),
        forecast: Arc::new(|_| None),
        guard: Arc::new(crate::domain::guard::NoGuard),
        no_rule: Arc::new(|rule| Some(format!("there is no rule {rule}"))),
        resumed: Arc::new(|| ()),
        tenants: Arc::new([TenantName::new("contoso")]),
        glance: Glance::default(),
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

/// Of a tenant that does not exist.
const VOTE: &str = r#"{"say": "approve", "reason": "x",
    "which": {"all": {"filter": {"tenant": "contosi"}, "at_most": 9, "first": null}}}"#;

#[tokio::test]
async fn every_refusal_is_json_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let listener = listener(dir.path());
    for (method, path, body, status, says) in [
        ("GET", "/api/v1/actions?limit=many", "", 400, "limit"),
        ("GET", "/api/v1/actions?colour=red", "", 400, "colour"),
        ("GET", "/api/v1/actions?state=lost", "", 400, "lost"),
        ("GET", "/api/v1/receipts?limit=-1", "", 400, "limit"),
        ("GET", "/api/v1/audit?limit=all", "", 400, "limit"),
        ("GET", "/api/v1/actions/%ff", "", 400, "UTF-8"),
        ("POST", "/api/v1/pause", "{\"reason\"", 400, "JSON"),
        ("POST", "/api/v1/pause", "{}", 422, "scope"),
        ("POST", "/api/v1/pause", "{\"scope\": \"all\"}", 422, "reason"),
        ("POST", "/api/v1/pause", "{\"scope\": \"all\", \"reason\": \" \"}", 400, "reason"),
        ("POST", "/api/v1/pause", "{\"scope\": \"sha1:12\", \"reason\": \"x\"}", 400, "no scope"),
        ("POST", "/api/v1/pause", "{\"scope\": \"tenant:x\", \"reason\": \"x\"}", 404, "tenant x"),
        ("POST", "/api/v1/pause", "{\"scope\": \"rule:x\", \"reason\": \"x\"}", 404, "rule x"),
        ("POST", "/api/v1/resume", "{\"reason\": \"x\", \"who\": \"me\"}", 422, "who"),
        ("POST", "/api/v1/resume", "{\"scope\": \"all\", \"reason\": \"x\"}", 409, "nothing to"),
        ("POST", "/api/v1/actions/vote", "{\"which\": {}}", 400, "which"),
        ("POST", "/api/v1/recall", "{\"reason\": \"x\"}", 422, "sha1"),
        ("POST", "/api/v1/recall", "{\"sha1\": \"x\", \"reason\": \"x\"}", 400, "40 hex digits"),
        ("GET", "/api/v1/files/..", "", 400, "40 hex digits"),
        ("GET", "/api/v1/files/x?after=first", "", 400, "after"),
        ("POST", "/api/v1/actions", "{}", 405, "method"),
        ("POST", "/metrics", "{}", 405, "method"),
        ("GET", "/api/v1/actions?tenant=contosi", "", 404, "contosi; known: contoso"),
        ("POST", "/api/v1/actions/vote", VOTE, 404, "contosi; known: contoso"),
        ("GET", "/api/v1/nothing", "", 404, "nothing here"),
        ("GET", "/readyz", "", 503, "the log says why"),
        ("GET", "/metrics", "", 503, "the log says why"),
    ] {
        let (answered, why) = refused(&listener, method, path, body).await;
        assert_eq!(answered, status, "{method} {path}: {why}");
        assert!(why.contains(says), "{method} {path}: {why}");
    }
}

/// What a token gets from an address: the status, `Retry-After`, and the text of a refusal.
async fn asked(
    listener: &Router,
    from: [u8; 4],
    token: &str,
    (method, path): (&str, &str),
) -> (u16, Option<String>, String) {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Content::from(r#"{"scope": "all", "reason": "a test"}"#))
        .unwrap();
    if !token.is_empty() {
        let token = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", token);
    }
    request.extensions_mut().insert(Peer((from, 7).into()));
    let answer = listener.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let wait = answer.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, wait, String::from_utf8_lossy(&body).into_owned())
}

const ALICE: &str = "alice-has-this-token";
const BOB: &str = "bob-has-this-token";
const CAROL: &str = "carol-had-this-token";
const HERE: [u8; 4] = [192, 0, 2, 1];
const STATUS: (&str, &str) = ("GET", "/api/v1/audit");
const RESUME: (&str, &str) = ("POST", "/api/v1/resume");

/// Alice may view, Bob operate, and Carol's token has expired.
fn people(dir: &std::path::Path) -> (Router, Admin) {
    let store = Arc::new(SqliteStore::open(dir, 10).unwrap());
    let admin = Admin {
        store: store.clone(),
        recalls: store,
        recalled: Arc::new(|| ()),
        clock: Arc::new(SystemClock::new()),
        metrics: Arc::new(Metrics::new()),
        tokens: Arc::new(Tokens::new(vec![
            Token::new("alice", Role::View, &ALICE.into()),
            Token::new("bob", Role::Operate, &BOB.into()),
            Token::new("carol", Role::Admin, &CAROL.into()).until(Some(Wall(1_000_000))),
        ])),
        report: Arc::new(|| Box::pin(async { Err(StoreError::Closed) })),
        forecast: Arc::new(|_| None),
        resumed: Arc::new(|| ()),
        guard: Arc::new(crate::domain::guard::NoGuard),
        no_rule: Arc::new(|rule| Some(format!("there is no rule {rule}"))),
        tenants: Arc::new([TenantName::new("contoso")]),
        glance: Glance::default(),
    };
    (router(admin.clone()), admin)
}

#[tokio::test]
async fn a_role_does_what_it_includes_and_an_expired_token_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, admin) = people(dir.path());
    assert_eq!(asked(&listener, HERE, ALICE, STATUS).await.0, 200);
    let (status, _, why) = asked(&listener, HERE, ALICE, RESUME).await;
    assert!(status == 403 && why.contains("role view: this needs operate"), "{why}");
    assert_eq!(asked(&listener, HERE, BOB, RESUME).await.0, 409, "let in; nothing is paused");
    assert_eq!(asked(&listener, HERE, BOB, STATUS).await.0, 200);
    let (status, _, why) = asked(&listener, HERE, CAROL, STATUS).await;
    assert!(status == 401 && why.contains("carol expired on 1970-01-01"), "{why}");
    let (status, _, why) = asked(&listener, HERE, "another-token-altogether", STATUS).await;
    assert!(status == 401 && !why.contains("carol"), "{why}");

    note_refused(&admin.tokens, &*admin.store, &*admin.clock).await.unwrap();
    let record = admin.store.audit(0, 100).await.unwrap();
    let line = |what: &str| {
        let of: Vec<_> = record.iter().filter(|l| l.what.as_deref() == Some(what)).collect();
        of.iter().map(|l| (l.actor.clone().unwrap(), l.reason.clone().unwrap())).collect::<Vec<_>>()
    };
    let signed_in = line("signed_in");
    assert_eq!(signed_in.len(), 2, "the first use of each alone: {signed_in:?}");
    assert_eq!(signed_in[0].0, "token alice");
    assert!(signed_in[1].1.contains("from 192.0.2.1"), "{signed_in:?}");
    let refused = line("sign_in_refused");
    let tally = "tokens: 1 wrong, 1 expired, 0 missing";
    assert_eq!(refused, [("lazaret".to_owned(), tally.to_owned())]);
    assert!(record.iter().all(|line| !line.entry.get().contains("token-altogether")));
}

#[tokio::test]
async fn who_fails_too_often_waits_and_locks_out_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, admin) = people(dir.path());
    for n in 0..10 {
        let token = ["", "wrong", CAROL][n % 3];
        assert_eq!(asked(&listener, HERE, token, STATUS).await.0, 401, "{n}");
    }
    for token in ["wrong", "", CAROL] {
        let (status, wait, why) = asked(&listener, HERE, token, STATUS).await;
        let wait: u64 = wait.expect("it is told how long").parse().unwrap();
        assert!(status == 429 && (1..=61).contains(&wait), "{status} {wait} {why}");
    }
    assert_eq!(asked(&listener, HERE, BOB, STATUS).await.0, 200, "a good token is let in");
    assert_eq!(asked(&listener, [192, 0, 2, 2], "wrong", STATUS).await.0, 401, "elsewhere");
    for _ in 0..2 {
        note_refused(&admin.tokens, &*admin.store, &*admin.clock).await.unwrap();
    }
    let record = admin.store.audit(0, 100).await.unwrap();
    let refused = record.iter().filter(|l| l.what.as_deref() == Some("sign_in_refused"));
    let refused: Vec<_> = refused.map(|line| line.details()).collect();
    let page = ("GET", "/api/v1/audit?after=1&limit=1");
    let page: serde_json::Value =
        serde_json::from_str(&asked(&listener, HERE, ALICE, page).await.2).unwrap();
    assert_eq!(page.as_array().unwrap().len(), 1);
    assert_eq!((&page[0]["position"], &page[0]["what"]), (&2.into(), &"sign_in_refused".into()));
    let told = [r#"{"from":"192.0.2.1","times":13}"#, r#"{"from":"192.0.2.2","times":1}"#];
    assert_eq!(refused, told, "one entry for each address, once");
}

#[tokio::test]
async fn all_who_ask_without_a_token_share_what_one_look_at_the_store_shows() {
    let dir = tempfile::tempdir().unwrap();
    let (_, admin) = people(dir.path());
    let (looks, may_end) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, ends) = (looks.clone(), may_end.clone());
    let report = move || -> BoxFuture<'static, Result<Report, StoreError>> {
        let (counted, ends) = (counted.clone(), ends.clone());
        Box::pin(async move {
            counted.fetch_add(1, Ordering::Relaxed);
            ends.acquire().await.expect("it is open").forget();
            Ok(Report::of_relays(Vec::new(), Wall(1)))
        })
    };
    let listener = router(Admin { report: Arc::new(report), ..admin });
    let ask = |number: usize| {
        let path = ["/readyz", "/metrics"][number % 2];
        let request = Request::get(path).body(Content::empty()).unwrap();
        tokio::spawn(listener.clone().oneshot(request))
    };
    let asked: Vec<_> = (0..10).map(ask).collect();
    // All of them have asked before the first look ends.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    may_end.add_permits(10);
    for one in asked {
        assert_eq!(one.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(looks.load(Ordering::Relaxed), 2);
}
