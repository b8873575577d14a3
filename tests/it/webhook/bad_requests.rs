//! Each bad request gets its exact status and hands nothing on.

use std::time::Duration;

use super::*;

/// A connection that is closed without an answer.
const CLOSED: u16 = 0;

struct Bad {
    name: &'static str,
    bytes: Vec<u8>,
    status: u16,
}

fn good() -> Raw {
    Raw::signed(&standard(), ALERT)
}

fn signed_at(at: Wall) -> Raw {
    let mut raw = good();
    for (name, value) in standard().sign(&Message { id: "msg_1", at, body: ALERT }) {
        raw = raw.set(&name, &value);
    }
    raw
}

fn signature(raw: &Raw) -> String {
    raw.headers.iter().find(|(name, _)| name == "webhook-signature").unwrap().1.clone()
}

fn bad(status: u16, name: &'static str, raw: Raw) -> Bad {
    Bad { name, bytes: raw.bytes(), status }
}

fn bytes(status: u16, name: &'static str, bytes: impl Into<Vec<u8>>) -> Bad {
    Bad { name, bytes: bytes.into(), status }
}

fn unauthentic() -> Vec<Bad> {
    let seconds = Duration::from_secs;
    let foreign = seal(Scheme::StandardWebhooks, &["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]);
    let unpadded = signature(&good()).trim_end_matches('=').to_owned();
    let other_version = signature(&good()).replace("v1,", "v2,");
    vec![
        bad(401, "no signature", good().without("webhook-signature")),
        bad(401, "no timestamp", good().without("webhook-timestamp")),
        bad(401, "no id", good().without("webhook-id")),
        bad(401, "two signatures", good().and("Webhook-Signature", &signature(&good()))),
        bad(401, "two timestamps", good().and("webhook-timestamp", "1700000000")),
        bad(401, "two ids", good().and("webhook-id", "msg_1")),
        bad(401, "garbled signature", good().set("webhook-signature", "v1,????")),
        bad(401, "unpadded signature", good().set("webhook-signature", &unpadded)),
        bad(401, "other version", good().set("webhook-signature", &other_version)),
        bad(401, "no version", good().set("webhook-signature", &signature(&good())[3..])),
        bad(401, "empty signature", good().set("webhook-signature", "")),
        bad(401, "stale timestamp", signed_at(Wall(NOW.0 - 301_000_000))),
        bad(401, "future timestamp", signed_at(NOW + seconds(301))),
        bad(401, "timestamp in words", good().set("webhook-timestamp", "now")),
        bad(401, "timestamp with a sign", good().set("webhook-timestamp", "+1700000000")),
        bad(401, "another timestamp", good().set("webhook-timestamp", "1700000001")),
        bad(401, "another id", good().set("webhook-id", "msg_2")),
        bad(401, "id with a dot", good().set("webhook-id", "msg.1")),
        bad(401, "wrong secret", Raw::signed(&foreign, ALERT)),
        bad(401, "another body", good().body(&ALERT.to_ascii_uppercase())),
        bad(401, "empty body", good().set("content-length", "0").body(b"")),
        bad(401, "a forwarded header is no proof", {
            good().without("webhook-signature").and("x-forwarded-for", "127.0.0.1")
        }),
    ]
}

fn misdirected() -> Vec<Bad> {
    let long = format!("/webhooks/{}", "x".repeat(10_000));
    let too_long = format!("/webhooks/{}", "x".repeat(70_000));
    vec![
        bad(401, "unknown source", good().path("/webhooks/other")),
        bad(401, "encoded source", good().path("/webhooks/%73iem")),
        bad(401, "source in capitals", good().path("/webhooks/SIEM")),
        bad(401, "encoded slash", good().path("/webhooks/siem%2F")),
        bad(401, "encoded dots", good().path("/webhooks/%2e%2e")),
        bad(401, "very long source", good().path(&long)),
        bad(431, "endless source", good().path(&too_long)),
        bad(404, "another path", good().path("/webhook/siem")),
        bad(404, "no source", good().path("/webhooks/")),
        bad(404, "neither", good().path("/webhooks")),
        bad(404, "root", good().path("/")),
        bad(404, "metrics are elsewhere", good().path("/metrics")),
        bad(404, "trailing slash", good().path("/webhooks/siem/")),
        bad(404, "doubled slash", good().path("//webhooks/siem")),
        bad(404, "empty segment", good().path("/webhooks//siem")),
        bad(404, "dots", good().path("/webhooks/../webhooks/siem")),
        bad(404, "dot", good().path("/./webhooks/siem")),
        bad(405, "GET", good().line("GET /webhooks/siem HTTP/1.1")),
        bad(405, "PUT", good().line("PUT /webhooks/siem HTTP/1.1")),
        bad(405, "OPTIONS", good().line("OPTIONS /webhooks/siem HTTP/1.1")),
        bad(405, "TRACE", good().line("TRACE /webhooks/siem HTTP/1.1")),
        bad(405, "a method of one's own", good().line("ALERT /webhooks/siem HTTP/1.1")),
    ]
}

fn unacceptable() -> Vec<Bad> {
    let large = Raw::signed(&standard(), &vec![b' '; BODY_BYTES_MAX + 1]);
    let declared = good().set("content-length", "1099511627776");
    vec![
        bad(413, "one byte too many", large.clone()),
        bad(413, "chunks that add up", large.chunked()),
        bad(413, "a terabyte announced", declared),
        bad(415, "gzip", good().and("content-encoding", "gzip")),
        bad(415, "two encodings", good().and("content-encoding", "identity, br")),
        bad(415, "text", good().set("content-type", "text/plain")),
        bad(415, "form", good().set("content-type", "application/x-www-form-urlencoded")),
        bad(415, "another charset", good().set("content-type", "application/json;charset=utf-16")),
        bad(415, "two types", good().and("content-type", "application/json")),
    ]
}

fn malformed() -> Vec<Bad> {
    let many = (0..100).fold(good(), |raw, n| raw.and(&format!("x-{n}"), "1"));
    let head = "POST /webhooks/siem HTTP/1.1\r\nhost: lazaret\r\n";
    let chunk = "transfer-encoding: chunked\r\n\r\n";
    vec![
        bad(431, "a hundred headers", many),
        bad(431, "a huge header", good().and("x-huge", &"x".repeat(40_000))),
        bytes(CLOSED, "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        bytes(400, "TLS on a plain port", [22, 3, 1, 0, 5, 1, 0, 0, 1, 0]),
        bytes(400, "no HTTP", "EHLO lazaret\r\n\r\n"),
        bytes(400, "no version", "POST /webhooks/siem\r\n\r\n"),
        bytes(400, "a header without colon", format!("{head}nothing\r\n\r\n")),
        bytes(400, "a space before the colon", format!("{head}webhook-id : a\r\n\r\n")),
        bytes(400, "a folded header", format!("{head}webhook-id: a\r\n b\r\n\r\n")),
        bytes(400, "a zero byte in a header", format!("{head}webhook-id: a\0b\r\n\r\n")),
        bad(400, "two lengths", good().and("content-length", "1")),
        bad(400, "a negative length", good().set("content-length", "-1")),
        bad(400, "a length with a sign", good().set("content-length", "+5")),
        bytes(400, "chunks without a size", format!("{head}{chunk}xyz\r\n{{}}\r\n0\r\n\r\n")),
        bytes(400, "a chunk longer than its size", format!("{head}{chunk}1\r\n{{}}\r\n0\r\n\r\n")),
        bytes(400, "a chunk of impossible size", format!("{head}{chunk}ffffffffffffffffff\r\n")),
        bad(400, "another transfer encoding", good().and("transfer-encoding", "gzip")),
        bad(400, "chunked in 1.0", good().chunked().line("POST /webhooks/siem HTTP/1.0")),
    ]
}

#[tokio::test]
async fn each_bad_request_gets_its_status_and_hands_nothing_on() {
    let mut listener = start(settings(standard())).await;
    let all = [unauthentic(), misdirected(), unacceptable(), malformed()];
    let mut wrong = Vec::new();
    for Bad { name, bytes, status } in all.into_iter().flatten() {
        let answer = listener.ask(&bytes).await;
        if answer.status != status {
            wrong.push(format!("{name}: {status} expected, {} got", answer.status));
        }
        if (401..=415).contains(&answer.status) {
            assert!(answer.body.starts_with(r#"{"error":""#), "{name}: {}", answer.body);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(listener.deliveries.try_recv().is_err(), "something was handed on");
}

#[tokio::test]
async fn a_stranger_can_not_tell_sources_apart_nor_learn_a_signature() {
    let listener = start(settings(standard())).await;
    let shown = |answer: Answer| (answer.status, answer.body);
    let unknown = shown(listener.ask(&good().path("/webhooks/other").bytes()).await);
    for raw in [
        good().without("webhook-signature"),
        good().set("webhook-signature", "v1,????"),
        good().body(&ALERT.to_ascii_uppercase()),
        signed_at(Wall(0)),
    ] {
        assert_eq!(shown(listener.ask(&raw.bytes()).await), unknown);
    }
    assert!(!unknown.1.contains("v1,"), "{}", unknown.1);
    let counted = r#"lazaret_webhook_signatures_refused_total{source="siem",reason="mismatch"} 1"#;
    assert!(listener.counted(counted), "{}", listener.metrics.encode());
    assert!(listener.counted(r#"lazaret_webhook_requests_total{source="",status="401"} 1"#));
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let listener = start(settings(standard())).await;
    let answer = listener.ask(&good().line("GET /webhooks/siem HTTP/1.1").bytes()).await;
    assert!(answer.head.contains("\r\nallow: post\r\n"), "{}", answer.head);
}

/// Where a proxy in front goes by the length, and we by the chunks, the rest of the body would be
/// a request of its own to one of us.
#[tokio::test]
async fn nothing_is_smuggled_between_length_and_chunks() {
    let mut listener = start(settings(standard())).await;
    let hidden = good().bytes();
    let body = [b"0\r\n\r\n", hidden.as_slice()].concat();
    for headers in
        [["content-length", "transfer-encoding"], ["transfer-encoding", "content-length"]]
    {
        let mut raw = good().without("content-length").without("webhook-signature").body(&body);
        for name in headers {
            let length = body.len().to_string();
            raw = raw.and(name, if name == "content-length" { &length } else { "chunked" });
        }
        let mut stream = TcpStream::connect(listener.address).await.unwrap();
        stream.write_all(&raw.bytes()).await.unwrap();
        let answer = Answer::read(&mut stream).await;
        assert_eq!(answer.status, 401);
        assert!(answer.closes());
        assert_eq!(Answer::read(&mut stream).await.status, CLOSED, "the rest became a request");
    }
    assert!(listener.deliveries.try_recv().is_err());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_handed_on() {
    let mut listener = start(settings(standard())).await;
    let mut bytes = good().bytes();
    bytes.truncate(bytes.len() - 1);
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(Answer::read(&mut stream).await.status, 400);
    assert!(listener.deliveries.try_recv().is_err());
}
