//! The same listener behind TLS, with a certificate that changes.

use std::fs;
use std::path::Path;

use lazaret::domain::decision::Answered;
use lazaret::io::Acknowledged;
use lazaret::serve::{CertificateFiles, Reload};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// Writes a new self-signed certificate, and returns it.
fn issue(directory: &Path) -> CertificateDer<'static> {
    let issued = rcgen::generate_simple_self_signed(["lazaret.test".to_owned()]).unwrap();
    fs::write(directory.join("tls.crt"), issued.cert.pem()).unwrap();
    fs::write(directory.join("tls.key"), issued.signing_key.serialize_pem()).unwrap();
    issued.cert.der().clone()
}

async fn start_tls(directory: &Path) -> (Listener, Arc<serve::Certificate>) {
    let mut settings = settings(standard());
    settings.listener.tls = Some(CertificateFiles {
        certificate: directory.join("tls.crt"),
        key: directory.join("tls.key"),
        client_ca: None,
    });
    let metrics = Arc::clone(&settings.metrics);
    let webhooks = Webhooks::bind(settings).await.unwrap();
    let certificate = webhooks.certificate().unwrap();
    (run(webhooks, metrics), certificate)
}

/// Connects as one who trusts `root` alone.
async fn connect(
    listener: &Listener,
    root: &CertificateDer<'static>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(listener.address).await?;
    let name = ServerName::try_from("lazaret.test").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn a_delivery_comes_through_tls_as_http_1() {
    let directory = tempfile::tempdir().unwrap();
    let root = issue(directory.path());
    let (mut listener, _) = start_tls(directory.path()).await;
    let mut stream = connect(&listener, &root).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream.write_all(&Raw::signed(&standard(), ALERT).bytes()).await.unwrap();
    let delivery = listener.deliveries.recv().await.unwrap();
    (delivery.ack)(Ok(Acknowledged::Taken(Answered::default())));
    assert_eq!(Answer::read(&mut stream).await.status, 202);
}

#[tokio::test]
async fn a_new_certificate_is_taken_while_serving_and_a_broken_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let first = issue(directory.path());
    let (listener, certificate) = start_tls(directory.path()).await;
    assert!(connect(&listener, &first).await.is_ok());
    assert_eq!(certificate.reload().unwrap(), Reload::Unchanged);

    let second = issue(directory.path());
    assert!(connect(&listener, &first).await.is_ok(), "nobody has looked yet");
    assert_eq!(certificate.reload().unwrap(), Reload::Changed);
    assert!(connect(&listener, &second).await.is_ok());
    assert!(connect(&listener, &first).await.is_err());

    let key = fs::read(directory.path().join("tls.key")).unwrap();
    issue(directory.path());
    fs::write(directory.path().join("tls.key"), &key).unwrap();
    let mismatch = certificate.reload().unwrap_err().to_string();
    assert!(mismatch.contains("don't serve together"), "{mismatch}");
    fs::write(directory.path().join("tls.crt"), "").unwrap();
    let empty = certificate.reload().unwrap_err().to_string();
    assert!(empty.contains("no certificate"), "{empty}");
    fs::remove_file(directory.path().join("tls.key")).unwrap();
    let gone = certificate.reload().unwrap_err().to_string();
    assert!(gone.contains("can't read"), "{gone}");
    assert!(connect(&listener, &second).await.is_ok(), "the last good one still serves");
}

#[tokio::test]
async fn what_is_no_tls_is_closed_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    issue(directory.path());
    let (mut listener, _) = start_tls(directory.path()).await;
    let mut stream = TcpStream::connect(listener.address).await.unwrap();
    stream.write_all(&Raw::signed(&standard(), ALERT).bytes()).await.unwrap();
    let mut answer = Vec::new();
    // An alert of TLS at most, or a reset: what was sent was never read.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"));
    let refused = r#"lazaret_connections_refused_total{listener="webhooks",reason="handshake"} 1"#;
    assert!(listener.counted(refused), "{}", listener.metrics.encode());
    assert!(listener.deliveries.try_recv().is_err());
}

#[tokio::test]
async fn a_handshake_that_does_not_come_closes_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    issue(directory.path());
    let mut settings = settings(standard());
    settings.listener.limits.handshake_within = Duration::from_millis(50);
    settings.listener.tls = Some(CertificateFiles {
        certificate: directory.path().join("tls.crt"),
        key: directory.path().join("tls.key"),
        client_ca: None,
    });
    let listener = start(settings).await;
    assert_eq!(listener.ask(b"").await.status, 0);
}
