//! What one writes first: verify, parse, call at once, keep nothing. And the sink that it calls.

use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;

use super::wire::SECRET;

#[derive(Clone)]
struct Naive {
    key: Vec<u8>,
    http: reqwest::Client,
    sink: String,
}

/// Serves `/webhooks/siem` until the runtime ends.
pub async fn serve(sink: SocketAddr) -> SocketAddr {
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).expect("base64");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let naive = Naive { key, http, sink: format!("http://{sink}") };
    listen(Router::new().route("/webhooks/siem", post(receive)).with_state(naive)).await
}

/// Answers every call as Defender does one that it takes.
pub async fn sink() -> SocketAddr {
    let taken = async |_: Bytes| {
        let action = json!({"id": "ba3aa8c2-6f6c-4b6e-8d7f-5f8f3f3a3a3a", "status": "Pending"});
        (StatusCode::CREATED, Json(action))
    };
    listen(Router::new().fallback(taken)).await
}

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn receive(State(naive): State<Naive>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !authentic(&naive.key, &headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(alert) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let active =
        |item: &&Value| item["entityType"] == "File" && item["detectionStatus"] == "Detected";
    for file in alert["evidence"].as_array().into_iter().flatten().filter(active) {
        let machine = alert["machineId"].as_str().unwrap_or_default();
        let url = format!("{}/api/machines/{machine}/StopAndQuarantineFile", naive.sink);
        let comment = format!("Quarantined due to alert {}", alert["id"]);
        let call = json!({"Comment": comment, "Sha1": file["sha1"]});
        match naive.http.post(url).bearer_auth("token").json(&call).send().await {
            Ok(answer) if answer.status().is_success() => {}
            _ => return StatusCode::BAD_GATEWAY,
        }
    }
    StatusCode::ACCEPTED
}

fn authentic(key: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    for part in [header("webhook-id"), ".", header("webhook-timestamp"), "."] {
        mac.update(part.as_bytes());
    }
    mac.update(body);
    let given = header("webhook-signature").trim_start_matches("v1,");
    STANDARD.decode(given).is_ok_and(|given| mac.verify_slice(&given).is_ok())
}
