//! Each step that can fail is named.

use std::io::Read as _;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::cli::doctor::clock;
use crate::simulator::{Settings, Simulator};

async fn of(url: &str) -> Seen {
    ask(BTreeMap::from([(url.to_owned(), "login")]), client()).await
}

/// What is said of the one host.
async fn said(url: &str) -> (Health, String) {
    let Finding { health, text, .. } = of(url).await.findings.remove(0);
    (health, text)
}

/// A server that answers every request with this text, over TLS if it has a certificate.
async fn server(answer: &'static str, tls: Option<TlsAcceptor>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    // The client refuses it: that is what is tested.
                    Some(tls) => drop(tls.accept(stream).await),
                    None => {
                        let (mut stream, mut head) = (stream, [0; 1024]);
                        while stream.read(&mut head).await.is_ok_and(|n| n > 0) {
                            stream.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                }
            });
        }
    });
    url
}

fn acceptor(until: (i32, u8, u8)) -> TlsAcceptor {
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_host_that_answers_is_ok_and_tells_the_time() {
    let simulator = Simulator::bind(Settings::default()).await.unwrap();
    let seen = of(&simulator.url()).await;
    assert_eq!(seen.findings[0].health, Health::Ok, "{:?}", seen.findings);
    assert!(seen.findings[0].text.starts_with("login: answers after"), "{:?}", seen.findings);
    assert!(seen.offsets[0].seconds.abs() <= 2, "{:?}", seen.offsets);
    assert!(!seen.is_down(&simulator.url()));
    let quarantine = simulator.calls_to(crate::simulator::Endpoint::Quarantine);
    assert!(quarantine.is_empty(), "no check ever calls");
}

/// The example with a managed identity, and these lines of its tenant.
fn managed(lines: &str) -> Config {
    let written = "      client_id: 66666666-7777-8888-9999-000000000000\n      secret: \
                   {file: secrets/contoso}\n";
    let example = include_str!("../../../../lazaret.example.yaml");
    assert!(example.contains(written));
    let text = example.replacen(written, &format!("      managed_identity: system\n{lines}"), 1);
    Config::parse(&text, std::path::Path::new("lazaret.yaml")).unwrap()
}

#[test]
fn a_managed_identity_has_no_login_unless_one_is_named() {
    let of = |lines| uses(&managed(lines)).into_iter().collect::<Vec<_>>();
    let api = ("https://eu.api.security.microsoft.com".to_owned(), "API");
    assert_eq!(of(""), std::slice::from_ref(&api));
    let named = ("http://127.0.0.1:7".to_owned(), "login");
    assert_eq!(of("    login: http://127.0.0.1:7\n"), [named, api]);
}

#[tokio::test]
async fn a_url_with_a_password_is_refused_without_being_asked_or_shown() {
    use crate::cli::doctor::tenants;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://bob:hunter2@{}", listener.local_addr().unwrap());
    let config = managed(&format!("    api: {url}\n    login: {url}\n"));
    let seen = all(&config).await;
    let mut findings = seen.findings.clone();
    findings.extend(tenants::all(&config, &seen, false).await);
    assert!(findings.iter().any(|of| of.health == Health::Fail), "{findings:?}");
    assert!(!format!("{findings:?}").contains("hunter2"), "{findings:?}");
    assert!(listener.accept().is_err(), "it is not asked");
}

#[tokio::test]
async fn a_tenant_with_a_managed_identity_is_asked_also_where_the_login_of_its_cloud_is_down() {
    use crate::cli::doctor::tenants;
    let login = "https://login.microsoftonline.com".to_owned();
    let seen = Seen { down: BTreeSet::from([login]), ..Seen::default() };
    // Nobody is asked for this one either: it ends at an API that can't be called.
    let found = tenants::all(&managed("    api: ftp://127.0.0.1\n"), &seen, false).await;
    assert!(found[0].text.contains("ftp://127.0.0.1"), "{found:?}");
}

#[tokio::test]
async fn a_host_whose_clock_differs_turns_the_clock_red() {
    let answer =
        "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
    let seen = of(&server(answer, None).await).await;
    let found = clock::clock(seen.clocks());
    assert!(
        found.health == Health::Fail && found.text.contains("s ahead of 127.0.0.1"),
        "{found:?}"
    );
}

#[tokio::test]
async fn the_step_that_fails_is_named() {
    let (health, text) = said("https://lazaret.invalid").await;
    assert!(health == Health::Fail && text.starts_with("login: DNS: lazaret.invalid"), "{text}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("https://{closed}");
    let seen = of(&url).await;
    let says = format!("login: TCP: no connection to {closed}: ");
    assert!(seen.findings[0].text.starts_with(&says), "{:?}", seen.findings);
    assert!(seen.is_down(&url), "its tenants are not asked");

    let expired = server("", Some(acceptor((2002, 1, 1)))).await;
    let (health, text) = said(&expired).await;
    assert!(health == Health::Fail && text.starts_with("login: TLS: "), "{text}");
    assert!(text.contains("has expired on 2002-01-01"), "{text}");
    let unknown = server("", Some(acceptor((2099, 1, 1)))).await;
    let (health, text) = said(&unknown).await;
    assert!(health == Health::Fail && text.contains("TLS: this system does not know"), "{text}");

    let (health, text) = said(&server("what?\r\n\r\n", None).await).await;
    assert!(health == Health::Fail && text.starts_with("login: HTTP: "), "{text}");
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up() {
    // It takes connections, by its backlog, and reads nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (health, text) = said(&format!("http://{}", silent.local_addr().unwrap())).await;
    assert!(health == Health::Fail && text.contains("HTTP: no answer within 5 s"), "{text}");
    let (mut taken, _) = silent.accept().unwrap();
    let _ = taken.read(&mut [0; 16]).unwrap();
}
