//! Each check turns red for the reason that it names.

use super::*;
use crate::config::Config;
use crate::simulator;

#[tokio::test]
async fn each_channel_has_a_line_with_what_is_wrong_and_how_to_try_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("short"), "c2hvcnQ=").unwrap();
    std::fs::write(dir.path().join("open"), "open-and-long-enough-for-a-key").unwrap();
    let channels = "\
notify:
  - {name: fits, webhook: {url: 'https://soc.example/hook'}}
  - {name: plain, webhook: {url: 'http://soc.example/hook'}}
  - {name: short, webhook: {url: 'https://soc.example/hook', secret: {file: short}}}
  - {name: gone, webhook: {url: {file: gone}}}
  - {name: open, webhook: {url: 'https://soc.example/hook', secret: {file: open}}}
  - {name: topic, kafka: {brokers: ['localhost:1'], topic: outcomes}}
";
    let text = format!("{}\n{channels}", include_str!("../../../lazaret.example.yaml"));
    let config = Config::parse(&text, &dir.path().join("lazaret.yaml")).unwrap();
    let findings = channels::channels(&config);
    let wanted = [
        ("notify fits", Health::Ok, "notify test --channel fits"),
        ("notify plain", Health::Fail, "use https://"),
        ("notify short", Health::Fail, "shorter than 24 bytes"),
        ("notify gone", Health::Fail, "there is no file"),
        ("notify open", Health::Warn, "chmod 600"),
        ("notify topic", Health::Ok, "topic"),
    ];
    assert_eq!(findings.len(), wanted.len());
    for (finding, (check, health, says)) in findings.iter().zip(wanted) {
        assert_eq!((finding.check.as_str(), finding.health), (check, health), "{finding:?}");
        assert!(finding.text.contains(says), "{finding:?}");
        let tries = finding.text.contains("`lazaret notify test --channel");
        assert!(tries || health == Health::Warn, "{finding:?}");
    }
}

#[tokio::test]
async fn a_missing_secret_is_told_once_with_how_to_make_it() {
    let dir = tempfile::tempdir().unwrap();
    let text = include_str!("../../../lazaret.example.yaml");
    let tls = "    tls: {certificate: tls.crt, key: tls.key}";
    let parsed = |text: &str| Config::parse(text, &dir.path().join("lazaret.yaml")).unwrap();
    let certificate = listeners::webhooks(&parsed(text)).unwrap().text;
    assert!(certificate.contains("; certificate and key are PEM files"), "{certificate}");
    let config = parsed(&text.replace(tls, "").replace("0.0.0.0:8443", "127.0.0.1:8443"));
    let mut findings = secrets::secrets(&config);
    let named = |findings: &[Finding], file: &str| {
        let path = dir.path().join("secrets").join(file);
        let place = format!("there is no file {}: ", path.display());
        let made = format!("`install -D -m 600 /dev/stdin {}`", path.display());
        let told = findings.iter().filter(|finding| finding.text.contains(&place));
        let told: Vec<_> = told.filter(|finding| finding.text.contains(&made)).collect();
        assert_eq!(told.len(), 1, "{file}: {findings:?}");
        told[0].text.clone()
    };
    findings.extend(listeners::webhooks(&config));
    findings.push(token_of(&config, false).await);
    assert!(named(&findings, "siem").contains("openssl rand -base64 32 | sed s/^/whsec_/"));
    assert!(named(&findings, "contoso").contains("client secret of the application in Entra"));
    let how = "`lazaret token new --name dashboard --role ROLE`";
    assert!(named(&findings, "dashboard").contains(how));
    let [.., webhooks, token] = &findings[..] else { panic!("{findings:?}") };
    for other in [webhooks, token] {
        assert_eq!(other.health, Health::Warn, "{other:?}");
        assert!(other.text.contains("a secret that fails above"), "{other:?}");
    }
}

#[test]
fn what_a_start_would_refuse_at_the_admin_listener_fails_also_without_webhooks() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = at(dir.path(), "http://127.0.0.1:1", closed());
    assert!(listeners::webhooks(&config).is_none());
    assert_eq!(listeners::admin(&config).health, Health::Ok);
    let [certificate, key] = ["admin.crt", "admin.key"].map(|name| dir.path().join(name));
    config.listen.admin.tls = Some(crate::config::Tls { certificate, key });
    let found = listeners::admin(&config);
    assert!(found.health == Health::Fail && found.text.contains("admin.crt"), "{found:?}");

    let text = include_str!("../../../lazaret.example.yaml");
    let alice = "- name: alice ";
    let eve = "- {name: eve, role: admin, token: {file: eve}}\n      - name: alice ";
    let text = text.replacen("secrets/dashboard", "dashboard", 1).replacen(alice, eve, 1);
    let bob = "      - {name: bob, role: operate, token: {env: LAZARET_BOB}}\n";
    let config = Config::parse(&text.replacen(bob, "", 1), &dir.path().join("a.yaml")).unwrap();
    for (eve, health, says) in [
        ("another-token-of-many-bytes-all-its-own", Health::Ok, "3 tokens, no two the same"),
        ("a-token-of-many-bytes-for-one-person", Health::Fail, "tokens dashboard and eve are the"),
    ] {
        std::fs::write(dir.path().join("dashboard"), "a-token-of-many-bytes-for-one-person")
            .unwrap();
        std::fs::write(dir.path().join("eve"), eve).unwrap();
        let found = listeners::admin(&config);
        assert!(found.health == health && found.text.contains(says), "{found:?}");
    }
}

#[tokio::test]
async fn what_is_asked_and_where_senders_post_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = include_str!("../../../lazaret.example.yaml")
        .replace("    tls: {certificate: tls.crt, key: tls.key}", "   ")
        .replace("0.0.0.0:8443", "127.0.0.1:8443")
        .replace(
            "    # login: https://login.microsoftonline.com ",
            &format!("    login: http://{closed} #"),
        );
    let config = Config::parse(&text, &dir.path().join("lazaret.yaml")).unwrap();
    std::fs::create_dir(dir.path().join("secrets")).unwrap();
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for secret in ["siem", "soar", "soar-next", "contoso"] {
        std::fs::write(dir.path().join("secrets").join(secret), key).unwrap();
    }
    let webhooks = listeners::webhooks(&config).unwrap();
    let posted = "senders post to http://127.0.0.1:8443/webhooks/SOURCE";
    assert!(webhooks.text.ends_with(posted), "{webhooks:?}");
    let token = token_of(&config, false).await;
    assert_eq!(token.health, Health::Fail, "{token:?}");
    let asked = format!("asked of http://{closed}, for calls to https://");
    assert!(token.text.contains(&asked), "{token:?}");
}

/// What `doctor` says of the tenant of one source, by the format and the application's roles.
async fn said_of_roles(format: &str, roles: &[&str]) -> (Health, String) {
    let ids = ("11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000");
    let app = simulator::App {
        tenant: ids.0.to_owned(),
        client_id: ids.1.to_owned(),
        secret: "secret".to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    let settings = simulator::Settings { apps: vec![app], ..Default::default() };
    let simulator = simulator::Simulator::bind(settings).await.unwrap();
    let url = simulator.url();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    let credential = format!("{{client_id: {}, secret: {{file: secret}}}}", ids.1);
    let tenant = |name, id| {
        format!(
            "{{name: {name}, id: {id}, api: '{url}', login: '{url}', credential: {credential}}}"
        )
    };
    let kafka =
        |format| format!("kafka: {{brokers: ['localhost:1'], topics: [a], format: {format}}}");
    let (of, other) = (kafka(format), kafka("defender-alert"));
    let text = format!(
        "node: a\nlisten: {{admin: {{address: '127.0.0.1:0'}}}}\nstore: {{sqlite: ./data}}\n\
         rules: ./rules\nsources:\n  \
         - {{name: siem, tenants: [contoso], {of}}}\n  \
         - {{name: other, tenants: [fabrikam], {other}}}\ntenants:\n  - {}\n  - {}\n",
        tenant("contoso", ids.0),
        tenant("fabrikam", ids.1),
    );
    let config = Config::parse(&text, &dir.path().join("lazaret.yaml")).unwrap();
    let finding = token_of(&config, false).await;
    (finding.health, finding.text)
}

#[tokio::test]
async fn the_role_for_alerts_is_missed_only_where_a_source_may_need_it() {
    let two = ["Machine.StopAndQuarantine", "Machine.Read.All"];
    for format in ["defender-alert", "sentinel-incident"] {
        let (health, text) = said_of_roles(format, &two).await;
        let says = "the token lacks Alert.Read.All or Alert.ReadWrite.All: grant it";
        assert!(health == Health::Warn && text.starts_with(says), "{format}: {text}");
        let three = [two[0], two[1], "Alert.Read.All"];
        assert_eq!(said_of_roles(format, &three).await.0, Health::Ok, "{format}");
    }
    assert_eq!(said_of_roles("graph-alert", &two).await.0, Health::Ok);
    let (health, text) = said_of_roles("graph-alert", &[]).await;
    let says = "lacks Machine.StopAndQuarantine, and Machine.Read.All or Machine.ReadWrite.All:";
    assert!(health == Health::Fail && text.contains(says), "{text}");
}

/// The check of the first tenant. `files` is whether a rule asks about files.
async fn token_of(config: &Config, files: bool) -> Finding {
    let http = crate::app::settings::http(config).unwrap();
    tenants::token(config, &config.tenants[0], http, files).await
}

/// A configuration of one tenant whose Defender and login are at `url`.
fn at(dir: &std::path::Path, url: &str, admin: std::net::SocketAddr) -> Config {
    let tenant = format!(
        "{{name: contoso, id: 11111111-2222-3333-4444-555555555555, api: '{url}', login: '{url}', \
         credential: {{client_id: 66666666-7777-8888-9999-000000000000, secret: {{file: secret}}, \
         expires: 2026-01-31}}}}"
    );
    let text = format!(
        "node: a\nlisten: {{admin: {{address: '{admin}'}}}}\nstore: {{sqlite: ./data}}\n\
         rules: ./rules\nsources:\n  \
         - {{name: siem, tenants: [contoso], kafka: {{brokers: ['localhost:1'], topics: [a], \
         format: defender-alert}}}}\ntenants:\n  - {tenant}\n"
    );
    std::fs::write(dir.join("secret"), "secret").unwrap();
    Config::parse(&text, &dir.join("lazaret.yaml")).unwrap()
}

fn closed() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_asked_names_the_check_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = at(dir.path(), &format!("http://{}", closed()), closed());
    let findings = checks::all(Arc::new(config)).await;
    let place = |check: &str| {
        let at = findings.iter().position(|of| of.check.starts_with(check));
        at.unwrap_or_else(|| panic!("{check}: {findings:?}"))
    };
    let (host, tenant) = (&findings[place("host 127")], &findings[place("tenant contoso")]);
    assert_eq!(host.health, Health::Fail, "{host:?}");
    assert!(tenant.health == Health::Warn && tenant.text.contains("fails above"), "{tenant:?}");
    let order = ["secret", "credential", "rules", "service", "store", "disk", "clock", "host"];
    let mut places: Vec<_> = order.map(place).to_vec();
    places.extend([place("tenant contoso"), place("kafka siem")]);
    assert!(places.is_sorted(), "{findings:?}");
    let expired = &findings[place("credential")];
    assert!(expired.health == Health::Fail && expired.text.contains("2026-01-31"), "{expired:?}");
    let kafka = &findings[place("kafka siem")];
    assert!(
        kafka.health == Health::Fail && kafka.text.contains("reachable from here"),
        "{kafka:?}"
    );
    assert!(!dir.path().join("data").exists(), "nothing is made");
}

#[tokio::test]
async fn a_row_that_was_changed_outside_fails_also_beside_a_process_that_has_the_store() {
    use crate::io::store::Db;
    let dir = tempfile::tempdir().unwrap();
    let config = at(dir.path(), "http://127.0.0.1:1", closed());
    let _open = Db::open(&config.store.sqlite, 10).unwrap();
    let found = store::verified(&config).await;
    assert_eq!(found.health, Health::Ok, "{found:?}");
    let other = rusqlite::Connection::open(config.store.sqlite.join("lazaret.db")).unwrap();
    other.execute("INSERT INTO received VALUES ('siem', 7, 1)", []).unwrap();
    let found = store::verified(&config).await;
    assert!(found.health == Health::Fail && found.text.contains("siem: 7 receipts"), "{found:?}");
    assert!(found.text.contains("compare it with a backup"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_is_told_and_hangs_nobody() {
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
    let dir = tempfile::tempdir().unwrap();
    let config = Arc::new(at(dir.path(), "http://127.0.0.1:1", closed()));
    std::fs::create_dir(&config.store.sqlite).unwrap();
    // Whoever opens a pipe waits until somebody writes to it.
    let pipe = config.store.sqlite.join("lazaret.db");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let looking = config.clone();
    let looked = tokio::spawn(async move {
        let stopped = service::Service::Stopped;
        tokio::join!(store::verified(&looking), service::told(&looking, &stopped))
    });
    let looked = tokio::time::timeout(crate::limits::DOCTOR_WITHIN * 3, looked).await;
    while let Ok(writer) = open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()) {
        drop(writer);
        tokio::task::yield_now().await;
    }
    let (store, service) = looked.expect("it is given up").unwrap();
    assert!(store.health == Health::Fail && store.text.contains("it hangs"), "{store:?}");
    assert_eq!(service[0].health, Health::Ok, "{service:?}");
}

#[tokio::test]
async fn what_stops_a_stopped_service_and_who_has_its_ports_is_told() {
    use crate::domain::scope::Scope;
    use crate::domain::time::Wall;
    use crate::io::store::Db;
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = at(dir.path(), "http://127.0.0.1:1", taken.local_addr().unwrap());
    let (by, reason) = ("uid 7".to_owned(), "a drill".to_owned());
    let pause = crate::io::Pause { scope: Scope::All, by, reason, at: Wall(1) };
    Db::open(&config.store.sqlite, 10).unwrap().pause(&pause).unwrap();
    std::fs::write(config.store.sqlite.join(crate::io::STOP_FILE), "").unwrap();
    let found = service::told(&config, &service::Service::Stopped).await;
    let says = |health, text: &str| {
        let fits = |of: &Finding| of.health == health && of.text.contains(text);
        assert!(found.iter().any(fits), "{text}: {found:?}");
    };
    says(Health::Fail, "listen.admin can't listen at 127.0.0.1:");
    says(Health::Warn, "STOP is there");
    says(Health::Warn, "is paused by uid 7: a drill");
    drop(taken);
    let found = service::told(&config, &service::Service::Stopped).await;
    assert!(found.iter().all(|of| of.health != Health::Fail), "{found:?}");
}

#[tokio::test]
async fn somebody_else_at_the_admin_address_is_no_service() {
    let simulator = simulator::Simulator::bind(simulator::Settings::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = at(dir.path(), &simulator.url(), simulator.local_addr());
    config.personal = Some("some-token-or-other".into());
    let asked = service::ask(&config).await;
    let found = service::told(&config, &asked).await;
    assert!(found.len() == 1 && found[0].health == Health::Fail, "{found:?}");
}

#[test]
fn a_credential_whose_date_has_passed_fails() {
    let dir = tempfile::tempdir().unwrap();
    let config = at(dir.path(), "http://127.0.0.1:1", closed());
    let found = secrets::expiring(&config);
    assert!(found.len() == 1 && found[0].health == Health::Fail, "{found:?}");
    assert!(found[0].text.contains("has expired on 2026-01-31"), "{found:?}");
}
