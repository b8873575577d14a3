//! Serving HTTP/1.1 to strangers: our own accept loop, since `axum::serve` limits neither how slow
//! a client is nor how many there are. The webhook listener and the admin listener both stand on
//! it.
//!
//! Whoever connects is known by the socket's address alone; `X-Forwarded-For` is not read.

pub mod body;

mod certificate;

mod connections;

mod linger;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub use certificate::{Certificate, CertificateError, CertificateFiles, Reload};

use crate::limits;
use crate::metrics::{ListenerLabels, Metrics, RefusedLabels};
use connections::Connections;
pub use connections::{Guest, host};
use linger::Linger;

/// What a listener is made of.
pub struct Settings {
    /// One word for logs and metrics: `webhooks` or `admin`.
    pub name: &'static str,
    pub address: SocketAddr,
    /// `None` is plain HTTP.
    pub tls: Option<CertificateFiles>,
    pub limits: ConnectionLimits,
    pub metrics: Arc<Metrics>,
}

/// How much strangers may hold, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open at once. One more is closed unread.
    pub total: usize,
    /// Open at once from one IPv4 address or one IPv6 /64. One more is closed unread.
    pub per_address: usize,
    /// Instead, the oldest connection is closed that no request has vouched for: see [`Guest`].
    pub strangers_make_room: bool,
    /// See [`limits::HEAD_WITHIN`].
    pub head_within: Duration,
    /// See [`limits::HANDSHAKE_WITHIN`].
    pub handshake_within: Duration,
    /// See [`limits::FINISH_WITHIN`].
    pub finish_within: Duration,
}

/// The socket's other end, as an extension of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The certificate that the connection's other end has brought, valid when the connection was
/// opened: an extension of each request on it, where the listener has a `client_ca`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate(pub Arc<[u8]>);

/// Bound, and not serving yet: connections wait in the system's backlog.
pub struct Listening {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("can't listen on {address}: {source}")]
    Address { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// What all connections of a listener have in common.
struct Shared {
    name: &'static str,
    limits: ConnectionLimits,
    certificate: Option<Arc<Certificate>>,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: 1024,
            per_address: 64,
            strangers_make_room: false,
            head_within: limits::HEAD_WITHIN,
            handshake_within: limits::HANDSHAKE_WITHIN,
            finish_within: limits::FINISH_WITHIN,
        }
    }
}

impl Listening {
    /// Reads the certificate and binds the address.
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        let Settings { name, address, tls, limits, metrics } = settings;
        let certificate = tls.map(Certificate::load).transpose()?.map(Arc::new);
        let refused = |source| BindError::Address { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        let labels = ListenerLabels { listener: name };
        let gauge = metrics.listener.connections_open.get_or_create_owned(&labels);
        let connections = Connections::new(&limits, gauge);
        let shared = Arc::new(Shared { name, limits, certificate, connections, metrics });
        Ok(Self { listener, local_addr, shared })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// To reload it on a signal. Its files are also looked at every minute.
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.shared.certificate.clone()
    }

    /// Serves until `shutdown`, then accepts no more and lets each connection finish the request
    /// in hand; what is unfinished after `finish_within` is cut.
    pub async fn serve(self, router: Router, shutdown: CancellationToken) {
        let Self { listener, shared, .. } = self;
        let mut open = JoinSet::new();
        let mut look = interval(limits::CERTIFICATE_POLL);
        // The first look is due one interval from now, not at once.
        look.reset();
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = open.join_next() => report(shared.name, ended),
                _ = look.tick(), if shared.certificate.is_some() => shared.reload().await,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let connection = Arc::clone(&shared)
                            .connection(stream, peer, router.clone(), shutdown.clone());
                        open.spawn(connection);
                    }
                    Err(error) => {
                        tracing::warn!(listener = shared.name, %error, "can't accept connections");
                        sleep(limits::ACCEPT_AGAIN).await;
                    }
                },
            }
        }
        drop(listener);
        let finish = async {
            while let Some(ended) = open.join_next().await {
                report(shared.name, ended);
            }
        };
        if timeout(shared.limits.finish_within, finish).await.is_err() {
            let cut = open.len();
            tracing::warn!(listener = shared.name, cut, "connections were cut at the stop");
        }
    }
}

impl Shared {
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        router: Router,
        shutdown: CancellationToken,
    ) {
        let admitted = match self.connections.admit(peer.ip()) {
            Ok(admitted) => admitted,
            Err(exceeded) => return self.refused(exceeded.reason()),
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(listener = self.name, %error, "answers may come late");
        }
        let guest = admitted.guest();
        let mut service = Service { peer, guest, certificate: None, router, shutdown };
        let served = async {
            match &self.certificate {
                None => self.http(stream, service).await,
                Some(certificate) => {
                    let handshake = TlsAcceptor::from(certificate.config()).accept(stream);
                    match timeout(self.limits.handshake_within, handshake).await {
                        Ok(Ok(stream)) => {
                            let brought = stream.get_ref().1.peer_certificates();
                            let own = brought.and_then(|chain| chain.first());
                            service.certificate = own.map(|own| ClientCertificate(own[..].into()));
                            self.http(stream, service).await;
                        }
                        Ok(Err(_)) | Err(_) => self.refused("handshake"),
                    }
                }
            }
        };
        tokio::select! {
            () = served => {}
            () = admitted.cut.cancelled() => self.refused("made_room"),
        }
    }

    async fn http<S>(&self, stream: S, service: Service)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shutdown = service.shutdown.clone();
        let answer = service_fn(move |request| service.answer(request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_within)
            .max_headers(limits::HEADERS)
            .max_header_size(limits::HEAD_BYTES)
            .max_buf_size(limits::HEAD_BYTES)
            .serve_connection(TokioIo::new(Linger::new(stream)), answer);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // Clients hang up, go silent and send what is not HTTP: nothing to mend here.
            tracing::debug!(listener = self.name, %error, "a connection ended early");
        }
    }

    async fn reload(&self) {
        let Some(certificate) = self.certificate.clone() else { return };
        let reloaded = tokio::task::spawn_blocking(move || certificate.reload()).await;
        match reloaded.expect("reading a certificate does not panic") {
            Ok(Reload::Unchanged) => {}
            Ok(Reload::Changed) => tracing::info!(listener = self.name, "new certificate"),
            Err(error) => tracing::error!(
                listener = self.name,
                %error,
                "the new certificate can't be used; the old one still is"
            ),
        }
    }

    fn refused(&self, reason: &'static str) {
        let labels = RefusedLabels { listener: self.name, reason };
        self.metrics.listener.connections_refused.get_or_create(&labels).inc();
    }
}

/// What answers the requests of one connection, and until when.
struct Service {
    peer: SocketAddr,
    guest: Guest,
    certificate: Option<ClientCertificate>,
    router: Router,
    shutdown: CancellationToken,
}

impl Service {
    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let extensions = request.extensions_mut();
        extensions.insert(Peer(self.peer));
        extensions.insert(self.guest.clone());
        if let Some(certificate) = &self.certificate {
            extensions.insert(certificate.clone());
        }
        self.router.clone().oneshot(request)
    }
}

fn report(name: &'static str, ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(listener = name, %error, "a connection's task failed");
    }
}
