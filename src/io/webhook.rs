//! The webhook listener: `POST /webhooks/{source}` becomes a [`Delivery`], and is answered only
//! when the delivery's acknowledgement says what is durable.
//!
//! In this order: media type, size, signature over the raw bytes, queue, commit. Whatever is
//! refused before the queue leaves no trace but a count. The two handshakes of senders, see
//! `handshake.rs`, end before the queue too.

mod answer;

mod handshake;

mod media;

mod refusals;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Ack, Acknowledged, Clock, Delivery, Issuer, NotTaken};
use crate::domain::action::Coordinates;
use crate::domain::decision::Replay;
use crate::domain::ids::SourceName;
use crate::domain::signature::{self, Proof, Scheme, Seal, SignatureError, Verified};
use crate::domain::time::Now;
use crate::limits;
use crate::metrics::{Metrics, RefusalLabels, RequestLabels, SecretLabels};
use crate::serve::body::{self, BodyLimits, Held, Shares};
use crate::serve::{self, BindError, Certificate, ClientCertificate, Peer};
use answer::Refusal;
use handshake::Asked;
use refusals::{Asking, LOGGED_CHARS, Refusals, Refused};

/// What the listener is made of.
pub struct Settings {
    pub listener: serve::Settings,
    pub body: BodyLimits,
    /// One permit for each byte of a body that may be held, from its first byte to its
    /// acknowledgement: [`limits::BODIES_IN_MEMORY`], over all listeners and consumers that share
    /// it.
    pub memory: Arc<Semaphore>,
    pub sources: Vec<Source>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

/// A webhook endpoint, `/webhooks/{name}`, and what proves that its deliveries are authentic.
pub struct Source {
    /// Compared with the path as it came, without decoding: keep to what a path may hold.
    pub name: SourceName,
    pub seal: Seal,
    /// Who signs the tokens of its senders; needed by the scheme `entra`, and by it alone.
    pub issuer: Option<Arc<dyn Issuer>>,
    /// Who is told, on asking with `OPTIONS`, that they may send CloudEvents. It proves nothing:
    /// their deliveries are verified like any other.
    pub origins: Vec<String>,
}

/// Bound, and not serving yet.
pub struct Webhooks {
    listening: serve::Listening,
    sources: HashMap<String, Source>,
    body: BodyLimits,
    memory: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(
        "source {source_name} verifies nothing (`none`), which is for loopback only, and the \
         listener is on {address}; choose another scheme or listen on 127.0.0.1"
    )]
    Open { source_name: SourceName, address: SocketAddr },
    #[error(
        "source {0} asks for certificates, and the listener does not: give it \
         listen.webhooks.tls.client_ca"
    )]
    NoClientCa(SourceName),
    #[error("two webhook sources are named {0}")]
    SameName(SourceName),
}

impl Webhooks {
    /// Binds the address. Refuses a source that verifies nothing unless that is loopback, and one
    /// that could verify nothing.
    pub async fn bind(settings: Settings) -> Result<Self, WebhookError> {
        let Settings { listener, body, memory, sources, clock, metrics } = settings;
        let address = listener.address;
        let asks = listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let mut by_name = HashMap::new();
        for source in sources {
            if matches!(source.seal.scheme(), Scheme::None) && !address.ip().is_loopback() {
                return Err(WebhookError::Open { source_name: source.name, address });
            }
            if matches!(source.seal.scheme(), Scheme::MutualTls(_)) && !asks {
                return Err(WebhookError::NoClientCa(source.name));
            }
            if let Some(same) = by_name.insert(source.name.as_str().to_owned(), source) {
                return Err(WebhookError::SameName(same.name));
            }
        }
        let listening = serve::Listening::bind(listener).await?;
        Ok(Self { listening, sources: by_name, body, memory, clock, metrics })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.listening.local_addr()
    }

    /// See [`serve::Listening::certificate`].
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.listening.certificate()
    }

    /// Hands deliveries over until `shutdown`, then finishes those in hand. A full channel is
    /// answered with 503; so is a closed one, and an acknowledgement that was dropped.
    pub async fn serve(self, deliveries: mpsc::Sender<Delivery>, shutdown: CancellationToken) {
        let Self { listening, sources, body, memory, clock, metrics } = self;
        let shares = Shares::new(limits::BODIES_OF_ONE_HOST.max(body.bytes_max));
        let refusals = Refusals::default();
        let receiver =
            Receiver { sources, body, memory, shares, deliveries, clock, metrics, refusals };
        let router = Router::new()
            .route("/webhooks/{source}", post(receive).options(ask).fallback(wrong_method))
            .fallback(wrong_path)
            .with_state(Arc::new(receiver));
        listening.serve(router, shutdown).await;
    }
}

/// What turns requests into deliveries.
struct Receiver {
    sources: HashMap<String, Source>,
    body: BodyLimits,
    memory: Arc<Semaphore>,
    shares: Shares,
    deliveries: mpsc::Sender<Delivery>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    refusals: Refusals,
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let (source, asking) = (receiver.named(&request), Asking::of(&request));
    let began = receiver.clock.now().boot;
    let answer = receiver.receive(source, request).await;
    let response = receiver.answer(source, &asking, answer);
    if let Some(source) = source {
        let took = receiver.clock.now().boot.since(began);
        receiver.metrics.latency.webhook(source.name.as_str(), took);
    }
    response
}

/// A sender of CloudEvents asks whether it may deliver.
async fn ask(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let answer = receiver.permit(receiver.named(&request), request.headers());
    receiver.answer(receiver.named(&request), &Asking::of(&request), answer)
}

async fn wrong_method(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    receiver.answer(None, &Asking::of(&request), Err(Refusal::WrongMethod.into()))
}

async fn wrong_path(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    receiver.answer(None, &Asking::of(&request), Err(Refusal::WrongPath.into()))
}

impl Receiver {
    /// By the path as it came: an encoded name is another name.
    fn named(&self, request: &Request) -> Option<&Source> {
        let name = request.uri().path().strip_prefix("/webhooks/").unwrap_or_default();
        self.sources.get(name)
    }

    async fn receive(
        &self,
        source: Option<&Source>,
        request: Request,
    ) -> Result<Response, Refused> {
        let (parts, body) = request.into_parts();
        media::check(&parts.headers)?;
        let peer = parts.extensions.get::<Peer>();
        let share = self.shares.of(peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip()));
        let held = body::read(body, self.body, [&self.memory, &share]).await;
        let held = held.map_err(Refusal::from)?;
        let now = self.clock.now();
        let (source, replay) = self.verify(source, &parts, &held.bytes, now).await?;
        if handshake::is_validation(&parts.headers) {
            return Ok(answer::validated(&handshake::code(&held.bytes)?));
        }
        let acknowledged = self.hand_over(source, replay, held, now).await?;
        failpoint!("webhook.acknowledge", Err(Refusal::Busy.into()));
        Ok(answer::acknowledged(acknowledged))
    }

    /// Sources that don't exist, that list no origin, and that list others, get the same answer.
    fn permit(&self, source: Option<&Source>, headers: &HeaderMap) -> Result<Response, Refused> {
        let why = match (handshake::asked(headers), source) {
            (Asked::Nothing, _) => return Err(Refusal::WrongMethod.into()),
            (_, None) => "unknown source".to_owned(),
            (Asked::Origins, _) => "several origins in one request".to_owned(),
            (Asked::Origin(origin), Some(source)) => {
                if handshake::is_among(origin, &source.origins) {
                    return Ok(answer::permitted(origin.clone()));
                }
                let origin: String = format!("{origin:?}").chars().take(LOGGED_CHARS).collect();
                format!("origin {origin} is not in the source's option webhook.origins")
            }
        };
        Err(Refused { why, ..Refusal::Origin.into() })
    }

    /// Sources that don't exist, and signatures that are missing or wrong, cost the same work and
    /// get the same answer. The log and the metric tell them apart. One exception: a token with an
    /// unknown key may wait for its issuer, and is answered 503 where that can't be asked.
    async fn verify<'a>(
        &self,
        source: Option<&'a Source>,
        parts: &Parts,
        body: &[u8],
        now: Now,
    ) -> Result<(&'a Source, Option<Replay>), Refused> {
        // By what the request says of itself, so that it tells nothing of the source.
        let by_grid = handshake::by_event_grid(&parts.headers);
        let answer = if by_grid { Refusal::UnauthenticGrid } else { Refusal::Unauthentic };
        let Some(source) = source else {
            signature::refuse(body);
            let cause = "unknown_source";
            return Err(Refused { answer, cause, why: "no source has this name".to_owned() });
        };
        let headers: Vec<(&str, &[u8])> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let name = source.name.to_string();
        let certificate = parts.extensions.get::<ClientCertificate>();
        let certificate = certificate.map(|ClientCertificate(der)| &der[..]);
        let proof = Proof { certificate, ..Proof::new(&headers, body) };
        match prove(source, proof, now).await {
            Ok(Verified { replay, secret }) => {
                if let Some(index) = secret {
                    let labels = SecretLabels { source: name, index: index as u64 };
                    self.metrics.webhook.secret_matched.get_or_create(&labels).inc();
                }
                Ok((source, replay))
            }
            Err(why) => {
                let labels = RefusalLabels { source: name, reason: why.reason() };
                self.metrics.webhook.signatures_refused.get_or_create(&labels).inc();
                let answer = if why.is_ours() { Refusal::Busy } else { answer };
                let (cause, mut why) = (why.reason(), why.to_string());
                if by_grid && !handshake::fits_event_grid(source.seal.scheme()) {
                    why +=
                        "; Event Grid signs nothing: give the source the scheme bearer, or entra";
                }
                Err(Refused { answer, cause, why })
            }
        }
    }

    async fn hand_over(
        &self,
        source: &Source,
        replay: Option<Replay>,
        held: Held,
        received: Now,
    ) -> Result<Acknowledged, Refusal> {
        let Held { bytes, permits } = held;
        let (told, answer) = oneshot::channel();
        let ack: Ack = Box::new(move |result| {
            drop(permits);
            // A sender who has hung up is not told; the delivery stands all the same.
            let _ = told.send(result);
        });
        let name = source.name.to_string();
        let id = replay.as_ref().map(|replay| replay.id.clone());
        let coordinates = Coordinates::Webhook { source: name, id };
        let source = source.name.clone();
        let delivery = Delivery {
            source,
            body: bytes,
            coordinates,
            received,
            replay,
            flaw: None,
            follows: None,
            ack,
        };
        self.deliveries.try_send(delivery).map_err(|_| Refusal::Busy)?;
        match timeout(limits::ANSWER_WITHIN, answer).await {
            Ok(Ok(Ok(acknowledged))) => Ok(acknowledged),
            Ok(Ok(Err(NotTaken::NotJson(why)))) => Err(Refusal::NotJson(why)),
            Ok(Ok(Err(NotTaken::TooMany(_)))) => Err(Refusal::TooLarge),
            // Full, failed, dropped or late: the sender brings it again.
            Ok(Ok(Err(NotTaken::Full | NotTaken::Store(_))) | Err(_)) | Err(_) => {
                Err(Refusal::Busy)
            }
        }
    }

    /// Counts what is answered, and logs what is refused.
    fn answer(
        &self,
        source: Option<&Source>,
        asking: &Asking,
        answer: Result<Response, Refused>,
    ) -> Response {
        let source = source.map(|source| source.name.to_string()).unwrap_or_default();
        let response = answer.unwrap_or_else(|refused| {
            self.refusals.log(&source, asking, &refused, self.clock.now().boot);
            refused.answer.into_response()
        });
        let labels = RequestLabels { source, status: response.status().as_u16() };
        self.metrics.webhook.requests.get_or_create(&labels).inc();
        response
    }
}

/// Asks the issuer of tokens for newer keys where the known ones can't tell.
async fn prove(source: &Source, proof: Proof<'_>, now: Now) -> Result<Verified, SignatureError> {
    let Some(issuer) = &source.issuer else { return source.seal.verify(proof, now.wall) };
    let keys = issuer.keys();
    let verified = source.seal.verify(Proof { keys: keys.as_deref(), ..proof }, now.wall);
    match verified {
        Err(why) if why.wants_keys() => {
            let keys = issuer.renewed().await;
            source.seal.verify(Proof { keys: keys.as_deref(), ..proof }, now.wall)
        }
        verified => verified,
    }
}
