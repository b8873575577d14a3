//! The scheme `entra`, with an issuer that has real keys and publishes them over real HTTP.

use std::sync::atomic::{AtomicI64, Ordering};

use lazaret::domain::decision::Answered;
use lazaret::domain::signature::Entra;
use lazaret::io::issuer::{self, EntraIssuer};
use lazaret::io::{Acknowledged, Issuer};
use serde_json::{Value, json};

use super::*;
use crate::issuer::{DIRECTORY, Key, Login, encoded, part};

const AUDIENCE: &str = "api://lazaret";
const APPLICATION: &str = "77777777-8888-9999-aaaa-bbbbbbbbbbbb";
const OTHER: &str = "99999999-8888-7777-6666-555555555555";

/// Time that moves when it is told to.
struct Hands(AtomicI64);

impl Hands {
    fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_micros() as i64, Ordering::SeqCst);
    }

    fn seconds(&self) -> i64 {
        self.now().wall.0 / 1_000_000
    }
}

impl Clock for Hands {
    fn now(&self) -> Now {
        let since = self.0.load(Ordering::SeqCst);
        Now { boot: Boot(since), wall: Wall(NOW.0 + since) }
    }

    fn boot_id(&self) -> BootId {
        BootId([7; 16])
    }

    fn new_id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }
}

/// An issuer, a listener whose source trusts it, and the time of both.
struct Place {
    key: Key,
    login: Login,
    clock: Arc<Hands>,
    issuer: Arc<EntraIssuer>,
    listener: Listener,
}

impl Place {
    async fn new() -> Self {
        let key = Key::new("first");
        let login = Login::start(&key).await;
        let place = Self::with(key, login).await;
        // The first fetch is on its way: none is made for this.
        assert!(place.issuer.renewed().await.is_some());
        place
    }

    async fn with(key: Key, login: Login) -> Self {
        Self::that_looks_every(key, login, limits::KEYS_EVERY).await
    }

    async fn that_looks_every(key: Key, login: Login, every: Duration) -> Self {
        let clock = Arc::new(Hands(AtomicI64::new(0)));
        let directory = DIRECTORY.parse().unwrap();
        let entra = Entra::new(
            directory,
            &login.url(),
            AUDIENCE.into(),
            vec![OTHER.replace('9', "4").parse().unwrap(), APPLICATION.parse().unwrap()],
        );
        let mut settings = settings(seal(Scheme::Entra(Box::new(entra.unwrap())), &[]));
        let mut from = issuer::Settings::new(directory, &login.url()).unwrap();
        from.every = every;
        let issuer = Arc::new(EntraIssuer::start(from, clock.clone()));
        settings.clock = clock.clone();
        settings.sources[0].issuer = Some(issuer.clone());
        Self { key, login, clock, issuer, listener: start(settings).await }
    }

    /// The claims of a good token of version 1.
    fn claims(&self) -> Value {
        let now = self.clock.seconds();
        json!({
            "iss": format!("https://sts.windows.net/{DIRECTORY}/"),
            "aud": AUDIENCE,
            "tid": DIRECTORY,
            "appid": APPLICATION,
            "appidacr": "2",
            "iat": now - 300,
            "nbf": now - 300,
            "exp": now + 3600,
            "oid": OTHER,
            "sub": OTHER,
            "ver": "1.0",
        })
    }

    fn claims_but(&self, name: &str, value: Value) -> Value {
        let mut claims = self.claims();
        claims[name] = value;
        claims
    }

    fn good(&self) -> String {
        self.key.sign(&self.claims())
    }

    /// Delivers with this token. What is taken is acknowledged.
    async fn deliver(&mut self, token: &str) -> Answer {
        self.ask(with_token(token)).await
    }

    async fn ask(&mut self, raw: Raw) -> Answer {
        let mut stream = TcpStream::connect(self.listener.address).await.unwrap();
        stream.write_all(&raw.bytes()).await.unwrap();
        let answered = async {
            tokio::select! {
                answer = Answer::read(&mut stream) => return answer,
                delivery = self.listener.deliveries.recv() => {
                    let delivery = delivery.unwrap();
                    assert!(delivery.replay.is_none(), "a token is no replay id");
                    (delivery.ack)(Ok(Acknowledged::Taken(Answered::default())));
                }
            }
            Answer::read(&mut stream).await
        };
        answered.await
    }

    /// How many were refused for this reason.
    fn refused(&self, reason: &str) -> u64 {
        let name = "lazaret_webhook_signatures_refused_total";
        let line = format!("{name}{{source=\"siem\",reason=\"{reason}\"}} ");
        let page = self.listener.metrics.encode();
        let count = page.lines().find_map(|other| other.strip_prefix(&line));
        count.map_or(0, |count| count.parse().unwrap())
    }
}

fn with_token(token: &str) -> Raw {
    let raw = Raw {
        line: "POST /webhooks/siem HTTP/1.1".into(),
        headers: Vec::new(),
        body: ALERT.to_vec(),
    };
    raw.and("host", "lazaret")
        .and("authorization", &format!("Bearer {token}"))
        .and("content-type", "application/json")
        .and("content-length", &ALERT.len().to_string())
}

#[tokio::test]
async fn a_token_of_either_version_opens_the_source_as_often_as_it_is_sent() {
    let mut place = Place::new().await;
    let mut second =
        place.claims_but("iss", json!(format!("{}/{DIRECTORY}/v2.0", place.login.url())));
    second["azp"] = second["appid"].take();
    let second = place.key.sign(&second);
    for token in [place.good(), place.good(), second] {
        assert_eq!(place.deliver(&token).await.status, 202);
    }
    assert_eq!(place.login.asked(), 1);
}

#[tokio::test]
async fn a_clock_may_be_a_minute_off() {
    let mut place = Place::new().await;
    let now = place.clock.seconds();
    for (name, at) in [("exp", now - 60), ("nbf", now + 60)] {
        let token = place.key.sign(&place.claims_but(name, json!(at)));
        assert_eq!(place.deliver(&token).await.status, 202, "{name}");
    }
}

/// Tokens whose signature is good, and whose claims are not.
fn unfit(place: &Place) -> Vec<(&'static str, String)> {
    let now = place.clock.seconds();
    let v1 = format!("https://sts.windows.net/{DIRECTORY}/");
    let v2 = format!("{}/{DIRECTORY}/v2.0", place.login.url());
    let with = |name: &str, value: Value| place.key.sign(&place.claims_but(name, value));
    let without = |name: &str| {
        let mut claims = place.claims();
        claims.as_object_mut().unwrap().remove(name);
        place.key.sign(&claims)
    };
    let mut renamed = place.claims();
    renamed["azp"] = renamed["appid"].take();
    vec![
        ("issuer", with("iss", json!(format!("https://sts.windows.net/{OTHER}/")))),
        ("issuer", with("iss", json!(v1.trim_end_matches('/')))),
        ("issuer", with("iss", json!(v1.to_uppercase()))),
        ("issuer", with("iss", json!(format!("{v2}/")))),
        ("issuer", with("iss", json!(format!("https://evil.example/{DIRECTORY}/v2.0")))),
        ("directory", with("tid", json!(OTHER))),
        ("audience", with("aud", json!("api://other"))),
        ("audience", with("aud", json!("api://lazaret/"))),
        ("audience", with("aud", json!(""))),
        ("application", with("appid", json!(OTHER))),
        ("application", without("appid")),
        // Each version of a token has a claim of its own for it.
        ("application", place.key.sign(&renamed)),
        ("application", with("iss", json!(v2))),
        ("person", with("scp", json!("user_impersonation"))),
        ("too_old", with("exp", json!(now - 61))),
        ("too_old", with("exp", json!(i64::MIN))),
        ("too_new", with("nbf", json!(now + 61))),
        ("too_new", with("nbf", json!(i64::MAX))),
        ("malformed", without("iss")),
        ("malformed", without("aud")),
        ("malformed", without("tid")),
        ("malformed", without("exp")),
        ("malformed", without("nbf")),
        ("malformed", with("aud", json!([AUDIENCE]))),
    ]
}

/// Tokens that the issuer has not signed.
fn forged(place: &Place) -> Vec<(&'static str, String)> {
    let claims = place.claims();
    let head = |alg: &str| json!({"typ": "JWT", "alg": alg, "kid": place.key.id});
    let good = place.good();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let confused = format!("{}.{}", part(&head("HS256")), part(&claims));
    let by_public_key = |secret: &[u8]| {
        use hmac::{Hmac, KeyInit, Mac};
        let mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret).unwrap();
        let code = mac.chain_update(confused.as_bytes()).finalize().into_bytes();
        format!("{confused}.{}", encoded(&code))
    };
    let modulus = place.key.modulus();
    let other = Key::new("first");
    let longer = place.claims_but("groups", json!(vec![OTHER; 500]));
    let mut critical = head("RS256");
    critical["crit"] = json!(["exp"]);
    let claimed = format!("{}.{}.{signature}", part(&head("RS256")), part(&longer_life(&claims)));
    vec![
        ("algorithm", format!("{}.{}.", part(&head("none")), part(&claims))),
        ("algorithm", format!("{}.{}.{signature}", part(&head("none")), part(&claims))),
        ("algorithm", place.key.sign_as(&head("None"), &claims)),
        ("algorithm", by_public_key(&modulus)),
        ("algorithm", by_public_key(encoded(&modulus).as_bytes())),
        ("algorithm", place.key.sign_as(&head("RS512"), &claims)),
        ("algorithm", place.key.sign_as(&head("PS256"), &claims)),
        ("mismatch", other.sign(&claims)),
        ("mismatch", claimed),
        ("mismatch", format!("{signed}.")),
        ("mismatch", format!("{signed}.{}", encoded(&[0; 256]))),
        ("unknown_key", place.key.sign_as(&json!({"alg": "RS256", "kid": "FIRST"}), &claims)),
        ("malformed", place.key.sign_as(&json!({"alg": "RS256"}), &claims)),
        ("malformed", place.key.sign_as(&critical, &claims)),
        ("malformed", place.key.sign(&longer)),
        ("malformed", "secret-and-no-token-at-all".to_owned()),
        ("malformed", signed.to_owned()),
        ("malformed", format!("{good}.{signature}")),
        ("malformed", format!("{signed}.not base64")),
    ]
}

fn longer_life(claims: &Value) -> Value {
    let mut claims = claims.clone();
    claims["exp"] = json!(claims["exp"].as_i64().unwrap() + 1);
    claims
}

#[tokio::test]
async fn whatever_is_wrong_the_answer_is_the_same_and_the_metric_tells() {
    let mut place = Place::new().await;
    let unknown = place.ask(with_token(&place.good()).path("/webhooks/other")).await;
    assert_eq!(unknown.status, 401);
    for (at, (reason, token)) in unfit(&place).into_iter().chain(forged(&place)).enumerate() {
        let before = place.refused(reason);
        let answer = place.deliver(&token).await;
        assert_eq!((answer.status, &answer.body), (401, &unknown.body), "{at} {reason}");
        let page = place.listener.metrics.encode();
        assert_eq!(place.refused(reason), before + 1, "{at} {reason}: {page}");
    }
    let twice = with_token(&place.good()).and("authorization", "Bearer x");
    for raw in [twice, with_token(&place.good()).without("authorization")] {
        let answer = place.ask(raw).await;
        assert_eq!((answer.status, &answer.body), (401, &unknown.body));
    }
    assert_eq!(place.deliver(&place.good()).await.status, 202, "and it can be opened");
    assert_eq!(place.login.asked(), 1, "the keys were asked for a moment ago");
}

#[tokio::test]
async fn a_new_key_is_taken_and_an_old_one_goes() {
    let mut place = Place::new().await;
    let second = Key::new("second");
    let token = second.sign(&place.claims());
    place.login.publish(&[&place.key, &second]);
    let second_to_go = Duration::from_secs(1);
    for wait in [Duration::ZERO, limits::KEYS_APART - second_to_go] {
        place.clock.forward(wait);
        assert_eq!(place.deliver(&token).await.status, 401, "it may not be asked again yet");
        assert_eq!(place.login.asked(), 1);
    }
    place.clock.forward(second_to_go);
    assert_eq!(place.deliver(&token).await.status, 202);
    assert_eq!(place.login.asked(), 2);

    place.login.publish(&[&second]);
    assert_eq!(place.deliver(&place.good()).await.status, 202, "nobody has looked yet");
    place.clock.forward(limits::KEYS_APART);
    assert_eq!(place.deliver(&Key::new("third").sign(&place.claims())).await.status, 401);
    assert_eq!(place.deliver(&place.good()).await.status, 401, "its key is gone");
    assert_eq!(place.deliver(&token).await.status, 202);
    assert_eq!(place.login.asked(), 3);
}

#[tokio::test]
async fn keys_are_fetched_again_before_anybody_misses_one() {
    let key = Key::new("first");
    let login = Login::start(&key).await;
    let place = Place::that_looks_every(key, login, Duration::from_millis(5)).await;
    place.login.until_asked(4).await;
}

#[tokio::test]
async fn made_up_keys_do_not_make_us_ask_the_issuer_each_time() {
    let place = Place::new().await;
    for round in 1..4 {
        place.clock.forward(limits::KEYS_APART);
        let flood = (0..40).map(|n| {
            let head = json!({"alg": "RS256", "kid": format!("made up {round} {n}")});
            let raw = with_token(&place.key.sign_as(&head, &place.claims())).bytes();
            let listener = &place.listener;
            async move { listener.ask(&raw).await.status }
        });
        let answers = futures_util::future::join_all(flood).await;
        assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
        assert_eq!(place.login.asked(), 1 + round);
    }
}

#[tokio::test]
async fn without_keys_nothing_is_taken_and_nobody_is_turned_away() {
    let key = Key::new("first");
    let login = Login::start(&key).await;
    login.set_down(true);
    let mut place = Place::with(key, login).await;
    for token in [place.good(), Key::new("other").sign(&place.claims())] {
        let answer = place.deliver(&token).await;
        assert_eq!(answer.status, 503);
        assert!(answer.head.contains("\r\nretry-after: "), "{}", answer.head);
    }
    assert_eq!(place.refused("no_keys"), 2);
    let trouble = place.issuer.trouble().unwrap();
    assert!(trouble.contains("503") && trouble.contains(&place.login.url()), "{trouble}");
    assert_eq!(place.deliver("no-token").await.status, 401, "this one no key would help");

    place.login.set_down(false);
    place.clock.forward(limits::KEYS_APART);
    assert_eq!(place.deliver(&place.good()).await.status, 202);
    assert_eq!(place.issuer.trouble(), None);
}

#[tokio::test]
async fn known_keys_bridge_a_day_without_their_issuer_and_no_more() {
    let mut place = Place::new().await;
    place.login.set_down(true);
    place.clock.forward(limits::KEYS_KEPT);
    assert_eq!(place.deliver(&place.good()).await.status, 202);
    let unknown = Key::new("second").sign(&place.claims());
    assert_eq!(place.deliver(&unknown).await.status, 503, "nobody knows whether it is a key");
    assert!(place.issuer.trouble().unwrap().contains("older ones"));
    place.clock.forward(Duration::from_secs(1));
    assert_eq!(place.deliver(&place.good()).await.status, 503);
}
