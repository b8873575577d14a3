//! Every way to log in, on the real broker's listeners.

use lazaret::io::kafka::{Login, Mechanism, Security};
use secrecy::SecretString;

use super::intake::{Intake, settings, until};
use super::numbers;
use crate::broker::{Broker, EVENT_HUBS_USER, PLAIN_USER, SCRAM_USER};

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
