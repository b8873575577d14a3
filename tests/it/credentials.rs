//! Who Lazaret is: every kind of credential against a login that checks what it is shown, and the
//! whole service while credentials end, change on disk, or lack roles.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use lazaret::domain::ids::TenantName;
use lazaret::io::clock::SystemClock;
use lazaret::io::defender::{
    BrokerSettings, Credential, DefenderApi, Http, ReadSecret, Settings, broker_tokens,
};
use lazaret::io::{BrokerTokens, Clock, CredentialKind};
use lazaret::simulator::{self, App, Endpoint, Proof, Simulator};
use rcgen::{CertificateParams, KeyPair};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

use crate::issuer::Key;
use crate::world::{Setting, TENANT_ID, World, alert};

const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
const SCOPE: &str = "https://api.securitycenter.microsoft.com/.default";
const ROLES: [&str; 4] =
    ["Machine.StopAndQuarantine", "Machine.Read.All", "Alert.Read.All", "File.Read.All"];

fn client() -> Uuid {
    CLIENT.parse().unwrap()
}

/// An RSA key with a certificate of its own, as files and as the application has it.
struct Pair {
    certificate: String,
    key: String,
    proof: Proof,
}

impl Pair {
    fn ending(year: i32) -> Self {
        let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let pair = KeyPair::try_from(der.as_ref()).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let certificate = params.self_signed(&pair).unwrap();
        let sha256 = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(certificate.der()));
        let modulus = {
            use aws_lc_rs::signature::KeyPair as _;
            key.public_key().modulus().big_endian_without_leading_zero().to_vec()
        };
        let proof = Proof::Certificate { sha256, modulus };
        Self { certificate: certificate.pem(), key: pair.serialize_pem(), proof }
    }
}

/// A login that knows one application, and a directory for what it is shown.
struct Login {
    simulator: Simulator,
    dir: TempDir,
}

impl Login {
    async fn with(client_id: &str, proofs: Vec<Proof>, token_life: Duration) -> Self {
        let app = App {
            tenant: TENANT_ID.to_owned(),
            client_id: client_id.to_owned(),
            secret: "s3cr3t".to_owned(),
            roles: ROLES.map(str::to_owned).to_vec(),
        };
        let proofs = proofs.into_iter().map(|proof| (client_id.to_owned(), proof)).collect();
        let settings =
            simulator::Settings { apps: vec![app], proofs, token_life, ..Default::default() };
        let simulator = Simulator::bind(settings).await.unwrap();
        Self { simulator, dir: tempfile::tempdir().unwrap() }
    }

    async fn knowing(proofs: Vec<Proof>) -> Self {
        Self::with(CLIENT, proofs, Duration::from_secs(3599)).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        put(&self.path(name), text);
    }

    fn reads(&self, name: &str) -> ReadSecret {
        let path = self.path(name);
        Arc::new(move || match std::fs::read_to_string(&path) {
            Ok(text) if text.is_empty() => Err("it is empty".to_owned()),
            Ok(text) => Ok(SecretString::from(text)),
            Err(why) => Err(why.to_string()),
        })
    }

    /// What one request for a token comes to: its roles.
    async fn try_with(&self, credential: &Arc<Credential>) -> Result<Vec<String>, String> {
        let url = self.simulator.url();
        let api = DefenderApi::new(Settings {
            tenant: TenantName::new("contoso"),
            entra_tenant: TENANT_ID.parse().unwrap(),
            credential: credential.clone(),
            api: url.clone(),
            login: Some(url),
            scope: SCOPE.to_owned(),
            needs: None,
            token_after: Duration::ZERO,
            http: Http::new(Duration::from_secs(20), 1).unwrap(),
            clock: Arc::new(SystemClock::new()),
        });
        api.unwrap().roles().await.map_err(|why| why.to_string())
    }

    /// The refusal, which must name no secret.
    async fn refusal(&self, credential: &Arc<Credential>) -> String {
        let refusal = self.try_with(credential).await.unwrap_err();
        for secret in ["s3cr3t", "PRIVATE", "eyJ"] {
            assert!(!refusal.contains(secret), "{refusal}");
        }
        refusal
    }
}

/// As a careful person does: no reader sees half of it.
fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_signs_in_and_another_does_not() {
    let (known, other) = (Pair::ending(2049), Pair::ending(2049));
    let login = Login::knowing(vec![known.proof.clone()]).await;
    login.put("both.pem", &format!("{}{}", known.key, known.certificate));
    let credential =
        Credential::certificate(client(), "c".to_owned(), login.reads("both.pem"), None).unwrap();
    let ends = credential.expires().unwrap();
    assert_eq!(ends.kind, CredentialKind::Certificate);
    assert!(ends.at.to_string().starts_with("2049-01-01T00:00:00"), "{}", ends.at);
    let credential = Arc::new(credential);
    assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);
    // Each proof has an id of its own: the second is not a replay of the first.
    assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);

    login.put("both.pem", &format!("{}{}", other.certificate, other.key));
    let refusal = login.refusal(&credential).await;
    assert!(refusal.contains("AADSTS700027") && refusal.contains("upload the cert"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_own_key_is_not_taken() {
    let (one, next) = (Pair::ending(2049), Pair::ending(2050));
    let login = Login::knowing(vec![one.proof.clone(), next.proof.clone()]).await;
    login.put("crt", &one.certificate);
    login.put("key", &next.key);
    let made = || {
        let key = Some(login.reads("key"));
        Credential::certificate(client(), "c".to_owned(), login.reads("crt"), key)
    };
    let why = made().err().unwrap();
    assert!(why.contains("do not belong together"), "{why}");
    for (file, text, says) in [
        ("key", "no key", "no private key in PEM form"),
        ("crt", "no certificate", "no certificate in PEM form"),
        ("key", &KeyPair::generate().unwrap().serialize_pem(), "RSA"),
    ] {
        login.put("crt", &one.certificate);
        login.put("key", &one.key);
        login.put(file, text);
        let why = made().err().unwrap();
        assert!(why.contains(says), "{why}");
    }
    // Replaced one after the other: in between the pair before serves.
    login.put("key", &one.key);
    let credential = Arc::new(made().unwrap());
    login.put("crt", &next.certificate);
    assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);
    assert!(credential.expires().unwrap().at.to_string().starts_with("2049"));
    login.put("key", &next.key);
    assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);
    assert!(credential.expires().unwrap().at.to_string().starts_with("2050"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federated_token_is_read_anew_each_time() {
    let key = Key::new("cluster");
    let (issuer, subject) = ("https://cluster.example", "system:serviceaccount:soc:lazaret");
    let trusted = Proof::Federated {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        modulus: key.modulus(),
    };
    let login = Login::knowing(vec![trusted]).await;
    let now = SystemClock::new().now().wall.0 / 1_000_000;
    let put = |key: &Key, issuer: &str, subject: &str, audience: &str, ends: i64| {
        let claims = json!({
            "iss": issuer, "sub": subject, "aud": [audience], "nbf": now - 3600, "exp": now + ends,
        });
        login.put("token", &format!("{}\n", key.sign(&claims)));
    };
    let exchange = "api://AzureADTokenExchange";
    put(&key, issuer, subject, exchange, 600);
    let credential = Arc::new(Credential::federated(client(), login.reads("token")).unwrap());
    assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);
    put(&key, issuer, subject, exchange, -600);
    assert!(login.refusal(&credential).await.contains("has expired"));
    put(&key, issuer, "system:serviceaccount:soc:other", exchange, 600);
    assert!(login.refusal(&credential).await.contains("the token's subject"));
    put(&key, "https://other.example", subject, exchange, 600);
    assert!(login.refusal(&credential).await.contains("the token's issuer"));
    put(&key, issuer, subject, "api://other", 600);
    assert!(login.refusal(&credential).await.contains("AADSTS700023"));
    put(&Key::new("cluster"), issuer, subject, exchange, 600);
    assert!(login.refusal(&credential).await.contains("AADSTS700027"));
    put(&key, issuer, subject, exchange, 600);
    assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_service_vouches_for_identities_of_the_machine() {
    for (id, credential) in [("system", None), (CLIENT, Some(client()))] {
        let login = Login::with(id, vec![Proof::Managed], Duration::from_secs(3599)).await;
        let credential = Arc::new(Credential::managed(credential));
        assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);
        let asked = login.simulator.calls_to(Endpoint::Token).remove(0);
        assert_eq!((asked.method.as_str(), asked.header("metadata")), ("GET", Some("true")));
        let of = "resource=https%3A%2F%2Fapi.securitycenter.microsoft.com";
        assert!(asked.target.contains(of), "{}", asked.target);
        let other = Arc::new(Credential::managed(Some(Uuid::from_u128(1))));
        let refusal = login.refusal(&other).await;
        assert!(refusal.contains("service answers 400: invalid_request: Identity"), "{refusal}");
        // Asked once: azure_identity would try for more than a minute.
        assert_eq!(login.simulator.calls_to(Endpoint::Token).len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_changes_on_disk_counts_from_the_next_token_on() {
    let login = Login::knowing(vec![]).await;
    login.put("secret", "wr0ng");
    let credential = Credential::secret(client(), login.reads("secret"), None);
    let credential = Arc::new(credential.unwrap());
    let refusal = login.refusal(&credential).await;
    assert!(refusal.contains("AADSTS7000215") && !refusal.contains("wr0ng"), "{refusal}");
    login.put("secret", "s3cr3t");
    assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);
    // Broken meanwhile: the one before serves.
    login.put("secret", "");
    assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);
    std::fs::remove_file(login.path("secret")).unwrap();
    assert_eq!(login.try_with(&credential).await.unwrap(), ROLES);
    login.put("secret", "wr0ng");
    assert!(login.refusal(&credential).await.contains("AADSTS7000215"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_secret_is_refused_with_what_to_do() {
    let login = Login::knowing(vec![Proof::SecretExpired]).await;
    login.put("secret", "s3cr3t");
    let credential = Credential::secret(client(), login.reads("secret"), None);
    let refusal = login.refusal(&Arc::new(credential.unwrap())).await;
    let says = "AADSTS7000222: The provided client secret keys for app";
    assert!(refusal.contains(says) && refusal.contains("make a new client secret"), "{refusal}");
}

/// The service with an application that the login knows strictly, shown this credential.
async fn service(login: &Login, credential: &str) -> World {
    let world = World::new(Setting::default()).await;
    let config = std::fs::read_to_string(world.config()).unwrap();
    let config = config.replace(&world.simulator.url(), &login.simulator.url());
    let before = format!("{{client_id: {CLIENT}, secret: {{file: contoso}}}}");
    assert!(config.contains(&before), "{config}");
    std::fs::write(world.config(), config.replacen(&before, credential, 1)).unwrap();
    world
}

async fn problem(world: &World, says: &str) -> bool {
    world.report().await.problems.iter().any(|problem| problem.contains(says))
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_roles_are_told_by_name_until_they_are_granted() {
    let login = Login::with(CLIENT, vec![], Duration::from_secs(2)).await;
    login.simulator.set_roles(CLIENT, &["Machine.Read.All"]);
    let secret = format!("{{client_id: {CLIENT}, secret: {{file: contoso}}}}");
    let mut world = service(&login, &secret).await;
    put(&world.dir.path().join("contoso"), "s3cr3t");
    world.start().await;
    let lacks = "the application of tenant contoso lacks Machine.StopAndQuarantine, and Alert.";
    world.until("it is told", async |world| problem(world, lacks).await).await;
    let metric = "lazaret_roles_missing{tenant=\"contoso\",role=\"Machine.StopAndQuarantine\"} 1";
    assert!(world.metrics().await.contains(metric), "{}", world.metrics().await);
    // Renewed several times meanwhile, and said once.
    let tokens = || login.simulator.calls_to(Endpoint::Token).len();
    world.until("it is renewed", async |_| tokens() > 3).await;
    assert_eq!(world.log().matches("the application lacks roles").count(), 1, "{}", world.log());
    // Alerts are taken all the same.
    assert_eq!(world.post("msg_1", &alert(1)).await.unwrap().0, 202);
    login.simulator.set_roles(CLIENT, &ROLES);
    world.until("it is over", async |world| !problem(world, "lacks").await).await;
    assert!(!world.metrics().await.contains("lazaret_roles_missing{"));
    assert!(world.log().contains("the application has every role that is needed"));
    assert!(!world.log().contains("s3cr3t") && !world.log().contains("eyJ"));
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_certificate_is_told_until_another_is_in_its_place() {
    let (ended, new) = (Pair::ending(2025), Pair::ending(2049));
    let login = Login::knowing(vec![new.proof.clone()]).await;
    let credential = format!("{{client_id: {CLIENT}, certificate: {{file: c}}, key: {{file: k}}}}");
    let mut world = service(&login, &credential).await;
    let place = |pair: &Pair| {
        put(&world.dir.path().join("k"), &pair.key);
        put(&world.dir.path().join("c"), &pair.certificate);
    };
    place(&ended);
    world.start().await;
    let says = "the certificate of tenant contoso has expired at 2025-01-01";
    world.until("it is told", async |world| problem(world, says).await).await;
    world.until("why there is no token", async |world| problem(world, "AADSTS700027").await).await;
    let metric = "lazaret_credential_expires_in_seconds{tenant=\"contoso\",kind=\"certificate\"} -";
    assert!(world.metrics().await.contains(metric), "{}", world.metrics().await);
    let place = |pair: &Pair| {
        put(&world.dir.path().join("k"), &pair.key);
        put(&world.dir.path().join("c"), &pair.certificate);
    };
    place(&new);
    world.until("it is over", async |world| !problem(world, "has expired").await).await;
    world.until("it signs in", async |world| !problem(world, "no token").await).await;
    assert!(world.metrics().await.contains("lazaret_token_failing{tenant=\"contoso\"} 0"));
    for secret in ["PRIVATE", "eyJ"] {
        assert!(!world.log().contains(secret), "{}", world.log());
    }
    world.stop();
}

/// Tokens for a broker at `localhost`, with a client secret.
pub struct Broking {
    login: Login,
    pub tokens: BrokerTokens,
}

impl Broking {
    pub async fn start(secret: &str, token_life: Duration) -> Self {
        let login = Login::with(CLIENT, vec![], token_life).await;
        login.put("secret", secret);
        let credential = Credential::secret(client(), login.reads("secret"), None).unwrap();
        let tokens = broker_tokens(BrokerSettings {
            tenant: TenantName::new("contoso"),
            entra_tenant: TENANT_ID.parse().unwrap(),
            credential: Arc::new(credential),
            login: Some(login.simulator.url()),
            host: "localhost".to_owned(),
            http: Http::new(Duration::from_secs(20), 1).unwrap(),
            clock: Arc::new(SystemClock::new()),
        });
        Self { login, tokens: tokens.unwrap() }
    }

    /// How many tokens were asked for.
    pub fn asked(&self) -> usize {
        self.login.simulator.calls_to(Endpoint::Token).len()
    }

    pub fn mend(&self) {
        self.login.put("secret", "s3cr3t");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_broker_is_for_its_host() {
    let broking = Broking::start("s3cr3t", Duration::from_secs(3599)).await;
    let token = tokio::task::spawn_blocking(move || broking.tokens.token()).await.unwrap();
    let token = token.unwrap();
    let claims = token.text.expose_secret().split('.').nth(1).unwrap().to_owned();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], "https://localhost");
    let left = token.until.since(SystemClock::new().now().wall);
    assert!(left > Duration::from_secs(3500) && left < Duration::from_secs(3700), "{left:?}");
}
