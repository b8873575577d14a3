//! Every way to log in, on the real broker's listeners.

use std::time::Duration;

use lazaret::io::clock::SystemClock;
use lazaret::io::kafka::{self, Login, Mechanism, Security};
use secrecy::SecretString;

use super::intake::{Intake, settings, until};
use super::numbers;
use crate::broker::{Broker, EVENT_HUBS_USER, PLAIN_USER, SCRAM_USER};
use crate::credentials::Broking;

fn login(mechanism: Mechanism, (username, password): (&str, &str)) -> Login {
    Login { mechanism, username: username.to_owned(), password: SecretString::from(password) }
}

#[test]
fn every_protocol_and_mechanism_reads() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..3);
    let ca = Some(broker.ca());
    let (sha256, sha512) = (Mechanism::ScramSha256, Mechanism::ScramSha512);
    let plain = || login(Mechanism::Plain, PLAIN_USER);
    let hubs = || login(Mechanism::Plain, EVENT_HUBS_USER);
    let over_tls = |login| Security::SaslSsl { login, ca: ca.clone() };
    let cases = [
        ("SASL", Security::SaslPlaintext(plain())),
        ("SASL", Security::SaslPlaintext(login(sha256, SCRAM_USER))),
        ("SASL", Security::SaslPlaintext(login(sha512, SCRAM_USER))),
        ("SASLSSL", over_tls(plain())),
        ("SASLSSL", over_tls(login(sha256, SCRAM_USER))),
        ("SASLSSL", over_tls(login(sha512, SCRAM_USER))),
        ("SASLSSL", over_tls(hubs())),
        ("TLS", Security::Ssl { ca: ca.clone() }),
    ];
    for (number, (listener, security)) in cases.into_iter().enumerate() {
        let mut settings = settings(&broker);
        settings.brokers = vec![broker.address_of(listener)];
        settings.group = format!("group-{number}");
        settings.security = security;
        let mut intake = Intake::start(settings);
        intake.take(3);
        intake.stop();
    }
}

#[test]
fn a_wrong_password_and_an_unknown_authority_are_said() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    let wrong = login(Mechanism::Plain, (PLAIN_USER.0, "not-the-secret"));
    let scram = login(Mechanism::ScramSha512, (SCRAM_USER.0, "not-the-secret"));
    let cases = [
        ("SASL", Security::SaslPlaintext(wrong), "Authentication"),
        ("SASL", Security::SaslPlaintext(scram), "Authentication"),
        // The broker's certificate is signed by an authority that the system does not know.
        ("TLS", Security::Ssl { ca: None }, "certificate verify failed"),
    ];
    for (listener, security, words) in cases {
        let mut settings = settings(&broker);
        settings.brokers = vec![broker.address_of(listener)];
        settings.security = security;
        let intake = Intake::start(settings);
        until("the error is visible", || {
            let status = intake.status();
            let text = status.last_error.map(|error| error.text).unwrap_or_default();
            assert!(!text.contains("not-the-secret"));
            status.errors > 0 && text.contains(words)
        });
    }
}

/// A source that signs in with tokens, at a login of its own.
fn with_tokens(
    broker: &Broker,
    secret: &str,
    token_life: Duration,
) -> (tokio::runtime::Runtime, Broking, kafka::Settings) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let broking = runtime.block_on(Broking::start(secret, token_life));
    let mut settings = settings(broker);
    settings.brokers = vec![broker.address_of("OAUTH")];
    settings.security = Security::Token { tokens: broking.tokens.clone(), ca: Some(broker.ca()) };
    (runtime, broking, settings)
}

#[test]
fn a_source_signs_in_with_tokens_and_renews_them() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..3);
    let (_runtime, broking, settings) = with_tokens(&broker, "s3cr3t", Duration::from_secs(5));
    let probed = kafka::probe(&settings, &SystemClock::new()).unwrap();
    assert_eq!(probed.partitions.len(), 1, "{probed:?}");
    let mut intake = Intake::start(settings);
    intake.take(3);
    // The broker ends connections whose token has ended; reading goes on over several.
    for life in 1..=3 {
        let asked = broking.asked();
        until("the token is renewed twice", || broking.asked() >= asked + 2);
        numbers(&broker, "alerts", 0, life * 3..life * 3 + 3);
        intake.take(3);
    }
    assert!(broking.asked() >= 7);
    intake.stop();
}

#[test]
fn a_source_without_a_token_says_why_and_goes_on_once_there_is_one() {
    let broker = Broker::start();
    broker.create_topic("alerts", 1);
    numbers(&broker, "alerts", 0, 0..3);
    let (_runtime, broking, settings) = with_tokens(&broker, "wr0ng", Duration::from_secs(3599));
    let why = kafka::probe(&settings, &SystemClock::new()).unwrap_err().to_string();
    assert!(why.contains("AADSTS7000215") && why.contains("(for localhost)"), "{why}");
    let mut intake = Intake::start(settings);
    until("the error is visible", || {
        let text = intake.status().last_error.map(|error| error.text).unwrap_or_default();
        assert!(!text.contains("wr0ng"));
        text.contains("AADSTS7000215") && text.contains("put the secret's value in its place")
    });
    broking.mend();
    intake.take(3);
    intake.stop();
}
