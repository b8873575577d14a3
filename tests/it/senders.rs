//! The whole service with senders who have no secret: tokens of Entra, and certificates.

use lazaret::io::Clock;
use lazaret::io::clock::SystemClock;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::issuer::{DIRECTORY, Key, Login};
use crate::world::{Setting, World, alert, call_of, json, run};

const APPLICATION: &str = "77777777-8888-9999-aaaa-bbbbbbbbbbbb";

/// A world whose configuration is another in these places.
async fn world(changes: &[(&str, &str)]) -> World {
    let world = World::new(Setting::default()).await;
    let mut config = std::fs::read_to_string(world.config()).unwrap();
    for (old, new) in changes {
        assert!(config.contains(old), "{config}");
        config = config.replacen(old, new, 1);
    }
    std::fs::write(world.config(), config).unwrap();
    std::fs::write(world.dir.path().join("alert.json"), alert(1)).unwrap();
    world
}

const VERIFY: &str = "verify: {scheme: standard-webhooks, secrets: [{file: siem}]}";

async fn with_entra(login: &Login) -> World {
    let url = login.url();
    let verify = format!(
        "verify: {{scheme: entra, tenant: {DIRECTORY}, audience: api://lazaret, applications: \
         [{APPLICATION}], login: \"{url}\"}}"
    );
    world(&[(VERIFY, &verify)]).await
}

fn token(key: &Key, audience: &str) -> String {
    let now = SystemClock::new().now().wall.0 / 1_000_000;
    key.sign(&json!({
        "iss": format!("https://sts.windows.net/{DIRECTORY}/"),
        "aud": audience,
        "tid": DIRECTORY,
        "appid": APPLICATION,
        "nbf": now - 300,
        "exp": now + 3600,
    }))
}

/// `lazaret send` of the alert, with more arguments. The exit code, and what it said.
async fn send(world: &World, more: &[&str]) -> (i32, String) {
    let file = world.dir.path().join("alert.json");
    let mut arguments = vec!["send", "--source", "siem", "--file", file.to_str().unwrap()];
    arguments.extend(more);
    let output = run(world, &arguments).await;
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// What `lazaret doctor` found of the tokens of `siem`.
async fn doctor(world: &World) -> (String, String) {
    let found = json(&run(world, &["doctor", "--json"]).await);
    let found = found.as_array().unwrap().clone();
    let of = |finding: &&Value| finding["check"] == "tokens siem";
    let finding = found.iter().find(of).unwrap_or_else(|| panic!("{found:?}"));
    let text = |name: &str| finding[name].as_str().unwrap().to_owned();
    (text("health"), text("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_with_a_token_of_entra_becomes_its_call() {
    let key = Key::new("first");
    let login = Login::start(&key).await;
    let mut world = with_entra(&login).await;
    let (health, text) = doctor(&world).await;
    assert_eq!(health, "ok", "{text}");
    assert!(text.contains("with: 1, from") && text.contains(&login.url()), "{text}");
    world.start().await;
    let (code, said) = send(&world, &[]).await;
    assert!(code == 2 && said.contains("--token FILE"), "{code} {said}");

    let path = world.dir.path().join("token");
    let with = ["--token", path.to_str().unwrap()];
    let foreign = token(&key, "api://other");
    std::fs::write(&path, &foreign).unwrap();
    let (code, said) = send(&world, &with).await;
    assert!(code == 1 && said.contains("401"), "{code} {said}");
    let told = "for the audience \\\"api://other\\\"";
    world.until("the cause in the log", async |world| world.log().contains(told)).await;
    let secret = foreign.rsplit_once('.').unwrap().1;
    assert!(!world.log().contains(secret) && !world.log().contains(&foreign[..100]));

    std::fs::write(&path, token(&key, "api://lazaret") + "\n").unwrap();
    let (code, said) = send(&world, &with).await;
    assert_eq!(code, 0, "{said}");
    world.until("the call", async |world| world.calls().contains_key(&call_of(1))).await;
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_can_not_be_reached_is_a_problem_that_people_are_told_of() {
    let key = Key::new("first");
    let login = Login::start(&key).await;
    login.set_down(true);
    let mut world = with_entra(&login).await;
    let (health, text) = doctor(&world).await;
    assert!(health == "fail" && text.contains("it answers 503"), "{health} {text}");
    world.start().await;
    let problems = async |world: &World| {
        let problems = world.report().await.problems;
        problems.into_iter().find(|problem| problem.contains(&login.url()))
    };
    world.until("the problem", async |world| problems(world).await.is_some()).await;
    let problem = problems(&world).await.unwrap();
    assert!(problem.contains("answered 503"), "{problem}");
    let path = world.dir.path().join("token");
    std::fs::write(&path, token(&key, "api://lazaret")).unwrap();
    let with = ["--token", path.to_str().unwrap()];
    let (code, said) = send(&world, &with).await;
    assert!(code == 1 && said.contains("503"), "{code} {said}");

    login.set_down(false);
    world.until("a taken alert", async |world| send(world, &with).await.0 == 0).await;
    assert_eq!(problems(&world).await, None);
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_over_a_connection_with_a_certificate_becomes_its_call() {
    let verify = "verify: {scheme: mutual-tls, subjects: [CN=soar]}";
    let (open, tls) =
        ("webhooks: {", "webhooks: {tls: {certificate: s.crt, key: s.key, client_ca: ");
    let tls = format!("{tls}ca.pem}}, ");
    let mut world = world(&[(VERIFY, verify), (open, &tls)]).await;
    let file = |name: &str| world.dir.path().join(name);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(file("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(params, key);
    let issue = |name: &str, dns: &[String]| {
        let mut params = CertificateParams::new(dns).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &authority).unwrap().pem(), key.serialize_pem())
    };
    let (certificate, key) = issue("lazaret", &["127.0.0.1".to_owned()]);
    std::fs::write(file("s.crt"), certificate).unwrap();
    std::fs::write(file("s.key"), key).unwrap();
    for name in ["soar", "other"] {
        let (certificate, key) = issue(name, &[]);
        std::fs::write(file(name), certificate + &key).unwrap();
    }
    let paths = ["ca.pem", "soar", "other"].map(|name| file(name).to_str().unwrap().to_owned());
    let [ca, soar, other] = paths.each_ref().map(String::as_str);
    world.start().await;
    let (code, said) = send(&world, &["--ca", ca]).await;
    assert!(code == 2 && said.contains("--certificate PEM"), "{code} {said}");
    let (code, said) = send(&world, &["--ca", ca, "--certificate", other]).await;
    assert!(code == 1 && said.contains("401"), "{code} {said}");
    let told = "certificate is for CN=other, which this source does not list";
    world.until("the cause in the log", async |world| world.log().contains(told)).await;
    let (code, said) = send(&world, &["--ca", ca, "--certificate", soar]).await;
    assert_eq!(code, 0, "{said}");
    world.until("the call", async |world| world.calls().contains_key(&call_of(1))).await;
    world.stop();
}
