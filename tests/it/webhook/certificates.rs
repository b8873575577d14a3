//! The scheme `mutual-tls`: certificates of clients, with authorities made here.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use lazaret::domain::decision::Answered;
use lazaret::domain::signature::Subjects;
use lazaret::io::Acknowledged;
use lazaret::serve::{CertificateFiles, Reload};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// Who signs certificates of clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A client's certificate and its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: &[(DnType, &str)], dns: &[&str]) -> Identity {
        self.issue_as(name, dns, |_| ())
    }

    fn issue_as(
        &self,
        name: &[(DnType, &str)],
        dns: &[&str],
        change: impl Fn(&mut CertificateParams),
    ) -> Identity {
        let dns: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(dns).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (of, value) in name {
            params.distinguished_name.push(of.clone(), *value);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }

    /// The one that the source of these tests lists by its whole subject.
    fn soar(&self) -> Identity {
        self.issue(&[(DnType::OrganizationName, "Contoso"), (DnType::CommonName, "soar")], &[])
    }
}

/// A listener that asks for certificates: of `siem`, which lists two clients, and of `open`, which
/// has a secret instead.
struct Place {
    listener: Listener,
    certificate: Arc<serve::Certificate>,
    server: CertificateDer<'static>,
    clock: Arc<Hands>,
    directory: tempfile::TempDir,
}

/// Time that moves when it is told to.
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Now {
        Now { boot: Boot(0), wall: Wall(self.0.load(Ordering::SeqCst)) }
    }

    fn boot_id(&self) -> BootId {
        BootId([7; 16])
    }

    fn new_id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }
}

fn files(directory: &Path) -> CertificateFiles {
    CertificateFiles {
        certificate: directory.join("tls.crt"),
        key: directory.join("tls.key"),
        client_ca: Some(directory.join("clients.pem")),
    }
}

fn listing(subjects: &[&str]) -> Seal {
    let subjects: Vec<String> = subjects.iter().map(|text| (*text).to_owned()).collect();
    seal(Scheme::MutualTls(Subjects::parse(&subjects).unwrap()), &[])
}

impl Place {
    async fn new(authority: &Authority) -> Self {
        Self::listing(authority, &["CN=soar,O=Contoso", "soar.contoso.example"]).await
    }

    async fn listing(authority: &Authority, subjects: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let issued = rcgen::generate_simple_self_signed(["lazaret.test".to_owned()]).unwrap();
        let files = files(directory.path());
        fs::write(&files.certificate, issued.cert.pem()).unwrap();
        fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
        fs::write(files.client_ca.as_ref().unwrap(), &authority.pem).unwrap();
        let mut settings = settings(listing(subjects));
        settings.listener.tls = Some(files);
        let name = SourceName::new("open");
        let open = Source { name, seal: standard(), issuer: None, origins: Vec::new() };
        settings.sources.push(open);
        let clock = Arc::new(Hands(AtomicI64::new(NOW.0)));
        settings.clock = clock.clone();
        let metrics = Arc::clone(&settings.metrics);
        let webhooks = Webhooks::bind(settings).await.unwrap();
        let certificate = webhooks.certificate().unwrap();
        let (listener, server) = (run(webhooks, metrics), issued.cert.der().clone());
        Self { listener, certificate, server, clock, directory }
    }

    /// `Err`: the other end broke off. In TLS 1.3 that comes with the first answer only.
    async fn connect(&self, who: Option<&Identity>) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.server.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match who {
            None => config.with_no_client_auth(),
            Some(Identity { chain, key }) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
                config.with_client_auth_cert(chain.clone(), key).unwrap()
            }
        };
        let stream = TcpStream::connect(self.listener.address).await?;
        let name = ServerName::try_from("lazaret.test").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Sends on a connection; what is taken is acknowledged. Status 0: it was closed unanswered.
    async fn send(&mut self, stream: &mut TlsStream<TcpStream>, raw: &Raw) -> Answer {
        stream.write_all(&raw.bytes()).await.unwrap();
        tokio::select! {
            answer = Answer::read(stream) => return answer,
            delivery = self.listener.deliveries.recv() => {
                let delivery = delivery.unwrap();
                (delivery.ack)(Ok(Acknowledged::Taken(Answered::default())));
            }
        }
        Answer::read(stream).await
    }

    async fn deliver(&mut self, who: Option<&Identity>, raw: &Raw) -> Answer {
        let mut stream = self.connect(who).await.unwrap();
        self.send(&mut stream, raw).await
    }

    /// Whether the handshake with this certificate fails.
    async fn turns_away(&mut self, who: &Identity) -> bool {
        let Ok(mut stream) = self.connect(Some(who)).await else { return true };
        // The client has finished before the server has looked; it learns of it when it reads.
        let _ = stream.write_all(&plain().bytes()).await;
        let mut answer = [0; 1];
        let read = stream.read(&mut answer).await;
        assert!(self.listener.deliveries.try_recv().is_err());
        read.is_err()
    }
}

/// A delivery that has nothing but its connection.
fn plain() -> Raw {
    Raw::signed(&listing(&["a.example"]), ALERT)
}

#[tokio::test]
async fn a_listed_subject_or_dns_name_opens_the_source() {
    let authority = Authority::new();
    let mut place = Place::new(&authority).await;
    let other = [(DnType::CommonName, "other")];
    let by_dns = authority.issue(&other, &["a.example", "SOAR.contoso.example"]);
    let nameless = authority.issue(&[], &["soar.contoso.example"]);
    for who in [authority.soar(), by_dns, nameless] {
        assert_eq!(place.deliver(Some(&who), &plain()).await.status, 202);
    }
}

#[tokio::test]
async fn who_has_no_certificate_or_another_one_gets_the_answer_of_all() {
    let authority = Authority::new();
    let mut place = Place::new(&authority).await;
    let unknown = place.deliver(None, &plain().path("/webhooks/other")).await;
    assert_eq!(unknown.status, 401);
    let (cn, o) = (DnType::CommonName, DnType::OrganizationName);
    let (c, ou) = (DnType::CountryName, DnType::OrganizationalUnitName);
    let issue = |name: &[(DnType, &str)], dns: &[&str]| Some(authority.issue(name, dns));
    for (reason, who) in [
        ("missing", None),
        ("subject", issue(&[(cn.clone(), "soar")], &[])),
        ("subject", issue(&[(o.clone(), "Contoso"), (cn.clone(), "SOAR")], &[])),
        ("subject", issue(&[(o.clone(), "contoso"), (cn.clone(), "soar")], &[])),
        ("subject", issue(&[(cn.clone(), "soar"), (o.clone(), "Contoso")], &[])),
        // More than what is listed.
        ("subject", issue(&[(c, "DE"), (o.clone(), "Contoso"), (cn.clone(), "soar")], &[])),
        ("subject", issue(&[(o.clone(), "Contoso"), (cn.clone(), "soar"), (ou, "x")], &[])),
        // One value that reads like two.
        ("subject", issue(&[(cn.clone(), "soar,O=Contoso")], &[])),
        ("subject", issue(&[(cn.clone(), "soar.contoso.example")], &[])),
        ("subject", issue(&[], &["*.contoso.example"])),
        ("subject", issue(&[], &["evil.soar.contoso.example"])),
        ("subject", issue(&[], &["contoso.example"])),
    ] {
        let labels = format!("{{source=\"siem\",reason=\"{reason}\"}}");
        let line = format!("lazaret_webhook_signatures_refused_total{labels}");
        let count = |place: &Place| {
            let page = place.listener.metrics.encode();
            let count =
                page.lines().find_map(|other| other.strip_prefix(&line)?.trim().parse().ok());
            count.unwrap_or(0_u64)
        };
        let before = count(&place);
        let answer = place.deliver(who.as_ref(), &plain()).await;
        assert_eq!((answer.status, &answer.body), (401, &unknown.body), "{reason}");
        assert_eq!(count(&place), before + 1, "{reason}");
    }
}

#[tokio::test]
async fn a_source_with_another_scheme_asks_for_no_certificate_and_takes_none_for_a_proof() {
    let authority = Authority::new();
    let mut place = Place::new(&authority).await;
    let signed = Raw::signed(&standard(), ALERT).path("/webhooks/open");
    assert_eq!(place.deliver(None, &signed).await.status, 202);
    assert_eq!(place.deliver(Some(&authority.soar()), &signed).await.status, 202);
    let unsigned = plain().path("/webhooks/open");
    assert_eq!(place.deliver(Some(&authority.soar()), &unsigned).await.status, 401);
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_does_not_connect() {
    let authority = Authority::new();
    let mut place = Place::new(&authority).await;
    let name = [(DnType::OrganizationName, "Contoso"), (DnType::CommonName, "soar")];
    let foreign = Authority::new().soar();
    let expired = authority.issue_as(&name, &[], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let early = authority.issue_as(&name, &[], |params| {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
    });
    let server = authority.issue_as(&name, &[], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    for (what, who) in
        [("foreign", foreign), ("expired", expired), ("early", early), ("server", server)]
    {
        assert!(place.turns_away(&who).await, "{what}");
    }
    let refused = r#"lazaret_connections_refused_total{listener="webhooks",reason="handshake"} 4"#;
    assert!(place.listener.counted(refused), "{}", place.listener.metrics.encode());
    assert_eq!(place.deliver(Some(&authority.soar()), &plain()).await.status, 202);
}

/// TLS looks at it once; a connection may last.
#[tokio::test]
async fn a_certificate_that_expires_while_its_connection_is_open_is_good_no_longer() {
    let authority = Authority::new();
    let mut place = Place::new(&authority).await;
    let mut stream = place.connect(Some(&authority.soar())).await.unwrap();
    assert_eq!(place.send(&mut stream, &plain()).await.status, 202);
    let ends = Wall::parse("4096-01-01T00:00:00Z").unwrap();
    place.clock.0.store(ends.0, Ordering::SeqCst);
    assert_eq!(place.send(&mut stream, &plain()).await.status, 202, "its last second");
    place.clock.0.store(ends.0 + 1, Ordering::SeqCst);
    assert_eq!(place.send(&mut stream, &plain()).await.status, 401);
}

#[tokio::test]
async fn another_authority_is_taken_while_serving_and_a_broken_one_is_not() {
    let (first, second) = (Authority::new(), Authority::new());
    let mut place = Place::new(&first).await;
    let path = place.directory.path().join("clients.pem");
    assert_eq!(place.certificate.reload().unwrap(), Reload::Unchanged);
    fs::write(&path, &second.pem).unwrap();
    assert!(place.turns_away(&second.soar()).await, "nobody has looked yet");
    assert_eq!(place.certificate.reload().unwrap(), Reload::Changed);
    assert_eq!(place.deliver(Some(&second.soar()), &plain()).await.status, 202);
    assert!(place.turns_away(&first.soar()).await);

    fs::write(&path, "").unwrap();
    let empty = place.certificate.reload().unwrap_err().to_string();
    assert!(empty.contains("clients.pem holds no certificate"), "{empty}");
    fs::remove_file(&path).unwrap();
    let gone = place.certificate.reload().unwrap_err().to_string();
    assert!(gone.contains("can't read") && gone.contains("clients.pem"), "{gone}");
    assert_eq!(place.deliver(Some(&second.soar()), &plain()).await.status, 202);

    fs::write(&path, first.pem.clone() + &second.pem).unwrap();
    assert_eq!(place.certificate.reload().unwrap(), Reload::Changed);
    for authority in [&first, &second] {
        assert_eq!(place.deliver(Some(&authority.soar()), &plain()).await.status, 202);
    }
}

#[tokio::test]
async fn a_listener_that_asks_for_no_certificate_refuses_such_a_source() {
    let refused = Webhooks::bind(settings(listing(&["soar.contoso.example"]))).await;
    let why = refused.err().unwrap().to_string();
    assert!(why.contains("siem") && why.contains("client_ca"), "{why}");
}
