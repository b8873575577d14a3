//! Deliveries signed by the libraries that real senders use.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use lazaret::domain::decision::Answered;
use lazaret::io::Acknowledged;
use lazaret::io::clock::SystemClock;

use super::*;

/// Runs `tests/clients/sign.py`: the headers that a library gives this body, now.
fn signed_by(library: &str, secret: &str, body: &str) -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = env::var_os("LAZARET_TEST_PYTHON")
        .map_or_else(|| root.join("target/clients/bin/python"), PathBuf::from);
    let mut command = Command::new(&python);
    let output =
        command.arg(root.join("tests/clients/sign.py")).args([library, secret, body]).output();
    let how = "prepare it: python3 -m venv target/clients && \
               target/clients/bin/pip install -r tests/clients/requirements.txt \
               (./test does so; LAZARET_TEST_PYTHON names another interpreter)";
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; {how}", python.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}\n{how}", python.display());
    let headers: serde_json::Map<_, _> = serde_json::from_slice(&output.stdout).unwrap();
    let text =
        |(name, value): (String, serde_json::Value)| (name, value.as_str().unwrap().to_owned());
    headers.into_iter().map(text).collect()
}

async fn check(library: &str, scheme: Scheme, secret: &str, other_secret: &str) {
    let body = r#"{"id": "441688558380765161_2136280442", "title": "Schädling \u2603"}"#;
    let headers = signed_by(library, secret, body);
    let mut raw = Raw::signed(&standard(), body.as_bytes());
    raw.headers.retain(|(name, _)| !name.starts_with("webhook-"));
    raw.headers.extend(headers);

    let mut accepting = settings(seal(scheme.clone(), &[secret]));
    accepting.clock = Arc::new(SystemClock::new());
    let mut listener = start(accepting).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.write_all(&raw.bytes()).await.unwrap();
    let delivery = tokio::select! {
        delivery = listener.deliveries.recv() => delivery.unwrap(),
        answer = Answer::read(&mut stream) => panic!("{library}: {answer:?}"),
    };
    assert_eq!(delivery.body, body);
    assert!(delivery.replay.is_some());
    (delivery.ack)(Ok(Acknowledged::Taken(Answered::default())));
    assert_eq!(Answer::read(&mut stream).await.status, 202);

    let mut refusing = settings(seal(scheme, &[other_secret]));
    refusing.clock = Arc::new(SystemClock::new());
    assert_eq!(start(refusing).await.ask(&raw.bytes()).await.status, 401);
}

const OTHER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

#[tokio::test]
async fn standardwebhooks_is_accepted() {
    check("standardwebhooks", Scheme::StandardWebhooks, SECRET, OTHER).await;
}

#[tokio::test]
async fn svix_is_accepted() {
    check("svix", Scheme::StandardWebhooks, SECRET, OTHER).await;
}

#[tokio::test]
async fn stripe_is_accepted() {
    check("stripe", Scheme::Stripe, SECRET, OTHER).await;
}
