//! The webhook listener over real TCP and TLS, and a stand-in for intake behind it.

mod answers;
mod bad_requests;
mod certificates;
mod clients;
mod entra;
mod envelopes;
mod handshakes;
mod strangers;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lazaret::domain::ids::SourceName;
use lazaret::domain::signature::{Message, Scheme, Seal};
use lazaret::domain::time::{Boot, BootId, Now, Wall};
use lazaret::io::webhook::{Settings, Source, Webhooks};
use lazaret::io::{Clock, Delivery};
use lazaret::limits;
use lazaret::metrics::Metrics;
use lazaret::serve::body::BodyLimits;
use lazaret::serve::{self, ConnectionLimits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const NOW: Wall = Wall(1_700_000_000_000_000);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ALERT: &[u8] = br#"{"id":"441688558380765161_2136280442"}"#;
const BODY_BYTES_MAX: usize = 4096;

/// A listener that runs, and what it hands over.
struct Listener {
    address: SocketAddr,
    deliveries: mpsc::Receiver<Delivery>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

/// Time that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now { boot: Boot(5_000_000), wall: NOW }
    }

    fn boot_id(&self) -> BootId {
        BootId([7; 16])
    }

    fn new_id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }
}

fn seal(scheme: Scheme, secrets: &[&str]) -> Seal {
    let secrets: Vec<_> = secrets.iter().map(|secret| (*secret).into()).collect();
    Seal::new(scheme, &secrets).unwrap()
}

fn standard() -> Seal {
    seal(Scheme::StandardWebhooks, &[SECRET])
}

/// One source, `siem`, on loopback; deadlines are far off unless a test is about them.
fn settings(seal: Seal) -> Settings {
    let far = Duration::from_secs(60);
    let metrics = Arc::new(Metrics::new());
    let limits = ConnectionLimits {
        strangers_make_room: false,
        total: 100,
        per_address: 50,
        head_within: far,
        handshake_within: far,
        finish_within: far,
    };
    Settings {
        listener: serve::Settings {
            name: "webhooks",
            address: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            limits,
            metrics: Arc::clone(&metrics),
        },
        body: BodyLimits { bytes_max: BODY_BYTES_MAX, within: far },
        memory: Arc::new(Semaphore::new(limits::BODIES_IN_MEMORY)),
        sources: vec![Source {
            name: SourceName::new("siem"),
            seal,
            issuer: None,
            origins: Vec::new(),
        }],
        clock: Arc::new(Still),
        metrics,
    }
}

async fn start(settings: Settings) -> Listener {
    let metrics = Arc::clone(&settings.metrics);
    let webhooks = Webhooks::bind(settings).await.unwrap();
    run(webhooks, metrics)
}

fn run(webhooks: Webhooks, metrics: Arc<Metrics>) -> Listener {
    let address = webhooks.local_addr();
    let (sender, deliveries) = mpsc::channel(1);
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(webhooks.serve(sender, shutdown.clone()));
    Listener { address, deliveries, metrics, shutdown, serving }
}

impl Listener {
    /// Sends bytes, closes the sending half, and reads the answer.
    async fn ask(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        Answer::read(&mut stream).await
    }

    fn counted(&self, line: &str) -> bool {
        self.metrics.encode().lines().any(|other| other == line)
    }
}

/// A request, to be bent before it is sent.
#[derive(Clone)]
struct Raw {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Raw {
    /// An authentic delivery to `siem`.
    fn signed(seal: &Seal, body: &[u8]) -> Self {
        let mut headers = seal.sign(&Message { id: "msg_1", at: NOW, body });
        headers.push(("host".into(), "lazaret".into()));
        headers.push(("content-type".into(), "application/json".into()));
        headers.push(("content-length".into(), body.len().to_string()));
        Self { line: "POST /webhooks/siem HTTP/1.1".into(), headers, body: body.to_vec() }
    }

    fn line(mut self, line: &str) -> Self {
        self.line = line.into();
        self
    }

    fn path(self, path: &str) -> Self {
        self.line(&format!("POST {path} HTTP/1.1"))
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.and(name, value)
    }

    fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// In chunks of 1,000 bytes.
    fn chunked(self) -> Self {
        let mut body = Vec::new();
        for chunk in self.body.chunks(1000) {
            body.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            body.extend(chunk);
            body.extend(b"\r\n");
        }
        body.extend(b"0\r\n\r\n");
        self.without("content-length").and("transfer-encoding", "chunked").body(&body)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    /// 0 where the connection was closed without an answer.
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Self {
        let mut bytes = Vec::new();
        while !ends_head(&bytes) {
            match stream.read_u8().await {
                Ok(byte) => bytes.push(byte),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error}"),
            }
        }
        let head = String::from_utf8(bytes).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.unwrap();
        Self { status, head, body: String::from_utf8(body).unwrap() }
    }

    fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

fn ends_head(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\r\n\r\n")
}
