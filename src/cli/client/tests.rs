//! Commands beside a real service whose admin listener has TLS.

use std::path::Path;

use super::*;
use crate::app::{App, Tuning};
use crate::domain::time::Wall;
use crate::io::{Braked, Report};
use crate::simulator::{Settings, Simulator};

/// Writes a certificate for a name that nobody asks for, by nobody whom the system knows.
fn issue(dir: &Path) {
    let issued = rcgen::generate_simple_self_signed(["lazaret.test".to_owned()]).unwrap();
    std::fs::write(dir.join("admin.crt"), issued.cert.pem()).unwrap();
    std::fs::write(dir.join("admin.key"), issued.signing_key.serialize_pem()).unwrap();
}

/// The configuration of a service that can start, and listens to people at this address.
fn configuration(dir: &Path, simulator: &str, admin: &str) -> Config {
    std::fs::create_dir(dir.join("rules")).unwrap();
    std::fs::write(dir.join("secret"), "a-secret-of-the-simulator").unwrap();
    issue(dir);
    let text = format!(
        "node: a\nstore: {{sqlite: ./data}}\nrules: ./rules\nlisten:\n  \
         webhooks: {{address: '127.0.0.1:0'}}\n  \
         admin: {{address: '{admin}', tls: {{certificate: admin.crt, key: admin.key}}}}\n\
         sources:\n  - {{name: siem, tenants: [contoso], webhook: {{format: defender-alert, \
         verify: {{scheme: none}}}}}}\ntenants:\n  \
         - {{name: contoso, id: 11111111-2222-3333-4444-555555555555, api: '{simulator}', \
         login: '{simulator}', credential: {{client_id: 66666666-7777-8888-9999-000000000000, \
         secret: {{file: secret}}}}}}\n"
    );
    Config::parse(&text, &dir.join("lazaret.yaml")).unwrap()
}

async fn running(config: &Config, role: Role) -> Result<Client, String> {
    match find(config, role).await.map_err(|why| why.to_string())? {
        Service::Running(client) => Ok(client),
        Service::Stopped => Err("stopped".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_tls_is_found_by_its_own_certificate_and_can_be_paused() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = Simulator::bind(Settings::default()).await.unwrap();
    let mut config = configuration(dir.path(), &simulator.url(), "0.0.0.0:1");
    assert_eq!(running(&config, Role::View).await.err().as_deref(), Some("stopped"));
    config.listen.admin.address.set_port(0);
    let app = App::start(&config, Tuning::default()).await.unwrap();
    config.listen.admin.address.set_port(app.admin.port());

    let client = running(&config, Role::View).await.unwrap();
    assert!(client.url().starts_with("https://127.0.0.1:"), "{}", client.url());
    let report: Report = client.get("/status", NO_QUERY).await.unwrap();
    assert_eq!(report.node, "a");
    let client = running(&config, Role::Operate).await.unwrap();
    let body = serde_json::json!({ "scope": "all", "reason": "a drill" });
    let braked: Braked = client.post("/pause", &body).await.unwrap();
    assert_eq!(braked.pauses.len(), 1, "{braked:?}");

    issue(dir.path());
    let why = running(&config, Role::View).await.err().unwrap();
    assert!(why.contains("admin.crt") && why.contains("within a minute"), "{why}");
    app.reload_certificates();
    assert!(running(&config, Role::View).await.is_ok());
    std::fs::remove_file(dir.path().join("admin.crt")).unwrap();
    let why = running(&config, Role::View).await.err().unwrap();
    assert!(why.starts_with("listen.admin.tls.certificate: "), "{why}");
    app.stop().await;
    assert_eq!(running(&config, Role::View).await.err().as_deref(), Some("stopped"));
}

#[tokio::test]
async fn who_does_not_answer_as_the_service_is_shown_no_token() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    let dir = tempfile::tempdir().unwrap();
    let mut config = configuration(dir.path(), "http://127.0.0.1:1", "127.0.0.1:1");
    config.listen.admin.tls = None;
    config.personal = Some("a-token-of-alice".into());
    for (answer, is_ours) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nup\n", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok\n<html>\n", false),
        ("HTTP/1.1 302 Found\r\ncontent-length: 3\r\n\r\nok\n", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        config.listen.admin.address = listener.local_addr().unwrap();
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (found, _stream) = tokio::join!(running(&config, Role::View), served);
        match found {
            Ok(_) => assert!(is_ours, "{answer}"),
            Err(why) => assert!(!is_ours && why.contains("is not Lazaret"), "{answer}: {why}"),
        }
    }
}

#[tokio::test]
async fn what_listens_and_speaks_no_tls_is_not_called_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let other = Simulator::bind(Settings::default()).await.unwrap();
    let config = configuration(dir.path(), &other.url(), &other.local_addr().to_string());
    let why = running(&config, Role::View).await.err().unwrap();
    assert!(why.starts_with("the admin listener at https://127.0.0.1:"), "{why}");
}

#[tokio::test]
async fn the_store_of_a_stopped_service_is_given_back_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let config = configuration(dir.path(), "http://127.0.0.1:1", "127.0.0.1:1");
    for _ in 0..50 {
        let work = async |store: &SqliteStore| {
            // What it still has to do when nobody waits for it any more.
            for _ in 0..10 {
                drop(store.probe(Wall(0)));
            }
            Ok(())
        };
        with_store(&config, work).await.expect("nobody else has it");
    }
}
