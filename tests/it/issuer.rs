//! A stand-in for Entra's login: an HTTP server with RSA keys of its own, which publishes them and
//! signs tokens with them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::world::LONGEST;

pub const DIRECTORY: &str = "11111111-2222-3333-4444-555555555555";

/// A key with an id.
pub struct Key {
    pub id: &'static str,
    pair: KeyPair,
}

impl Key {
    pub fn new(id: &'static str) -> Self {
        Self { id, pair: KeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    /// What is public of it, besides the exponent.
    pub fn modulus(&self) -> Vec<u8> {
        self.pair.public_key().modulus().big_endian_without_leading_zero().to_vec()
    }

    fn published(&self) -> Value {
        let exponent = self.pair.public_key().exponent();
        json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.id,
            "x5t": self.id,
            "n": encoded(&self.modulus()),
            "e": encoded(exponent.big_endian_without_leading_zero()),
            "x5c": ["MIIC"],
            "issuer": format!("https://login.microsoftonline.com/{DIRECTORY}/v2.0"),
        })
    }

    /// A token with this head, signed with RS256 whatever the head says.
    pub fn sign_as(&self, head: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", part(head), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", encoded(&signature))
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"typ": "JWT", "alg": "RS256", "kid": self.id}), claims)
    }
}

pub fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// One of the first two parts of a token.
pub fn part(value: &Value) -> String {
    encoded(value.to_string().as_bytes())
}

/// The server.
pub struct Login {
    pub address: SocketAddr,
    published: Arc<Mutex<Published>>,
    asked: watch::Receiver<usize>,
}

struct Published {
    keys: Vec<Value>,
    down: bool,
    asked: watch::Sender<usize>,
}

impl Login {
    /// Publishes this key.
    pub async fn start(key: &Key) -> Self {
        let (told, asked) = watch::channel(0);
        let published = Published { keys: vec![key.published()], down: false, asked: told };
        let published = Arc::new(Mutex::new(published));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route(&format!("/{DIRECTORY}/discovery/v2.0/keys"), get(keys))
            .with_state(Arc::clone(&published));
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { address, published, asked }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Publishes these and no others.
    pub fn publish(&self, keys: &[&Key]) {
        self.published.lock().unwrap().keys = keys.iter().map(|key| key.published()).collect();
    }

    /// Answers 503 from now on, or no longer.
    pub fn set_down(&self, down: bool) {
        self.published.lock().unwrap().down = down;
    }

    /// How often it was asked for its keys.
    pub fn asked(&self) -> usize {
        *self.asked.borrow()
    }

    /// Returns once it was asked so often.
    pub async fn until_asked(&self, times: usize) {
        let mut asked = self.asked.clone();
        let waited = tokio::time::timeout(LONGEST, asked.wait_for(|asked| *asked >= times));
        waited.await.unwrap_or_else(|_| panic!("never asked {times} times")).unwrap();
    }
}

async fn keys(State(published): State<Arc<Mutex<Published>>>) -> Response {
    let published = published.lock().unwrap();
    published.asked.send_modify(|asked| *asked += 1);
    if published.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    axum::Json(json!({"keys": published.keys})).into_response()
}
