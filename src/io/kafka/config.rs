//! The librdkafka properties of a source: what safety owns, what is recommended, and what people
//! may change.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use secrecy::ExposeSecret;

use super::{KafkaError, Login, Mechanism, Security, Settings};

/// A property that people may not set, since no loss, no double and no leak rest on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the property {key:?} can't be set: {why}")]
pub struct OwnedKey {
    pub key: String,
    pub why: &'static str,
}

const OFFSETS: &str = "the store decides which offset is read, and when it is committed";
const GROUP: &str = "lazaret decides how the group is joined; see `group` and `node`";
const SECURITY: &str = "it belongs under `security`";
const UNCHECKED: &str = "it would leave the broker or its messages unchecked";
const SECRET: &str = "a secret may not stand in the configuration";
const CODE: &str = "it would load code into the process, or break the client";

/// Owned properties; those that end in `.`, `_` or `*` stand for all that begin so.
const OWNED: &[(&str, &str)] = &[
    ("auto.commit.*", OFFSETS),
    ("auto.offset.reset", OFFSETS),
    ("enable.auto.*", OFFSETS),
    ("enable.partition.eof", OFFSETS),
    ("isolation.level", OFFSETS),
    ("offset.store.*", OFFSETS),
    ("bootstrap.servers", "it belongs under `brokers`"),
    ("metadata.broker.list", "it belongs under `brokers`"),
    ("topic.blacklist", "it belongs under `topics`"),
    ("client.id", GROUP),
    ("group.*", GROUP),
    ("max.poll.interval.ms", GROUP),
    ("partition.assignment.strategy", GROUP),
    ("sasl.*", SECURITY),
    ("security.*", SECURITY),
    ("ssl.ca.*", SECURITY),
    ("ssl_*", SECURITY),
    ("check.crcs", UNCHECKED),
    ("enable.sasl.*", UNCHECKED),
    ("enable.ssl.*", UNCHECKED),
    ("ssl.certificate.verify_cb", UNCHECKED),
    ("ssl.endpoint.identification.algorithm", UNCHECKED),
    ("ssl.key.password", SECRET),
    ("ssl.key.pem", SECRET),
    ("ssl.keystore.password", SECRET),
    ("default_topic_conf", CODE),
    ("enabled_events", CODE),
    ("interceptors", CODE),
    ("internal.*", CODE),
    ("log.queue", CODE),
    ("log_level", CODE),
    ("opaque", CODE),
    ("plugin.*", CODE),
    ("ssl.engine.*", CODE),
    ("ssl.providers", CODE),
    ("test.*", CODE),
];

/// Whether people may set this librdkafka property. One that librdkafka does not know passes here
/// and is refused by it at the start.
pub fn check_passed_through(key: &str) -> Result<(), OwnedKey> {
    // librdkafka takes a property also with `topic.` before its name.
    let mut name = key;
    loop {
        let owned = OWNED.iter().find(|(owned, _)| match owned.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *owned,
        });
        if let Some((_, why)) = owned {
            return Err(OwnedKey { key: key.to_owned(), why });
        }
        match name.strip_prefix("topic.") {
            Some(rest) => name = rest,
            None => return Ok(()),
        }
    }
}

/// Later ones replace earlier ones: recommended, then passed through, then owned.
pub(super) fn client_config(settings: &Settings) -> Result<ClientConfig, KafkaError> {
    let mut config = ClientConfig::new();
    let mut set = |properties: &[(&str, &str)]| {
        for (key, value) in properties {
            config.set(*key, *value);
        }
    };
    set(RECOMMENDED);
    if let Some(broker) = settings.brokers.iter().find(|broker| is_event_hubs(broker)) {
        if !settings.security.is_over_tls_with_a_login() {
            return Err(KafkaError::EventHubs { broker: broker.clone() });
        }
        set(EVENT_HUBS);
    }
    for (key, value) in &settings.passed_through {
        check_passed_through(key)?;
        set(&[(key, value)]);
    }
    set(SAFE);
    let member = member_id(settings)?;
    set(&[
        ("bootstrap.servers", &settings.brokers.join(",")),
        ("group.id", &settings.group),
        ("group.instance.id", &member),
        ("client.id", &member),
    ]);
    set_security(&mut config, &settings.security);
    // A log that went past an offset is told at this level.
    config.set_log_level(RDKafkaLogLevel::Info);
    Ok(config)
}

/// How a client that only writes reaches these brokers: addresses, security, and what Event Hubs
/// needs.
pub fn connection(brokers: &[String], security: &Security) -> Result<ClientConfig, KafkaError> {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("reconnect.backoff.ms", "100"),
        ("reconnect.backoff.max.ms", "2000"),
        ("socket.keepalive.enable", "true"),
        ("connections.max.idle.ms", "180000"),
        ("topic.metadata.refresh.interval.ms", "180000"),
        ("metadata.max.age.ms", "180000"),
    ] {
        config.set(key, value);
    }
    if let Some(broker) = brokers.iter().find(|broker| is_event_hubs(broker))
        && !security.is_over_tls_with_a_login()
    {
        return Err(KafkaError::EventHubs { broker: broker.clone() });
    }
    config.set("bootstrap.servers", brokers.join(","));
    set_security(&mut config, security);
    Ok(config)
}

/// The static member id: the same after a restart, so that a restart moves no partition.
pub(super) fn member_id(settings: &Settings) -> Result<String, KafkaError> {
    let id = format!("{}.{}", settings.node, settings.source);
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if id.len() > 249 || !id.bytes().all(legal) {
        let (node, source_name) = (settings.node.clone(), settings.source.clone());
        return Err(KafkaError::MemberId { node, source_name });
    }
    Ok(id)
}

/// What correctness rests on.
const SAFE: &[(&str, &str)] = &[
    // Stored by us after the commit; librdkafka then sends what is stored, once a second. With
    // its default a consumer that is dropped commits messages that nobody has seen.
    ("enable.auto.offset.store", "false"),
    ("enable.auto.commit", "true"),
    ("auto.commit.interval.ms", "1000"),
    // Its own default skips whatever came before the first look, silently.
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "false"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    // The new group protocol keeps a member that was cut off reading for longer.
    ("group.protocol", "classic"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("max.poll.interval.ms", "300000"),
];

/// What works well with Apache Kafka and with Event Hubs, which drops connections that were idle
/// for four minutes.
const RECOMMENDED: &[(&str, &str)] = &[
    ("session.timeout.ms", "30000"),
    ("heartbeat.interval.ms", "3000"),
    // One second by default: a stall each time that the local queue was full.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.error.backoff.ms", "50"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "2000"),
    ("queued.min.messages", "10000"),
    ("queued.max.messages.kbytes", "32768"),
    ("fetch.message.max.bytes", "1048576"),
    ("socket.keepalive.enable", "true"),
    ("socket.timeout.ms", "30000"),
    ("connections.max.idle.ms", "180000"),
    ("topic.metadata.refresh.interval.ms", "180000"),
    ("metadata.max.age.ms", "180000"),
    ("statistics.interval.ms", "5000"),
];

/// Microsoft asks for a request timeout of a minute.
const EVENT_HUBS: &[(&str, &str)] = &[("socket.timeout.ms", "60000")];

/// The domains of Azure Event Hubs, the national clouds included.
const EVENT_HUBS_DOMAINS: &[&str] = &[
    ".servicebus.windows.net",
    ".servicebus.usgovcloudapi.net",
    ".servicebus.chinacloudapi.cn",
    ".servicebus.cloudapi.de",
];

fn is_event_hubs(broker: &str) -> bool {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host).to_ascii_lowercase();
    EVENT_HUBS_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

fn set_security(config: &mut ClientConfig, security: &Security) {
    let (protocol, login, ca) = match security {
        Security::Plaintext => ("PLAINTEXT", None, &None),
        Security::Ssl { ca } => ("SSL", None, ca),
        Security::SaslPlaintext(login) => ("SASL_PLAINTEXT", Some(login), &None),
        Security::SaslSsl { login, ca } => ("SASL_SSL", Some(login), ca),
        Security::Token { ca, .. } => ("SASL_SSL", None, ca),
    };
    config.set("security.protocol", protocol);
    config.set("enable.ssl.certificate.verification", "true");
    config.set("ssl.endpoint.identification.algorithm", "https");
    if let Some(ca) = ca {
        config.set("ssl.ca.location", ca.to_string_lossy());
    }
    if security.tokens().is_some() {
        config.set("sasl.mechanism", "OAUTHBEARER");
    }
    if let Some(Login { mechanism, username, password }) = login {
        let mechanism = match mechanism {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        config.set("sasl.mechanism", mechanism);
        config.set("sasl.username", username);
        config.set("sasl.password", password.expose_secret());
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::domain::ids::SourceName;
    use crate::io::kafka::Start;

    fn settings(broker: &str, security: Security) -> Settings {
        Settings {
            source: SourceName::new("siem"),
            node: "node-1".to_owned(),
            brokers: vec![broker.to_owned()],
            topics: vec!["alerts".to_owned()],
            group: "lazaret-siem".to_owned(),
            start: Start::Earliest,
            security,
            body_bytes_max: 1024,
            passed_through: Default::default(),
        }
    }

    fn connection_string() -> Security {
        let login = Login {
            mechanism: Mechanism::Plain,
            username: "$ConnectionString".to_owned(),
            password: SecretString::from("Endpoint=sb://contoso/;SharedAccessKey=abc"),
        };
        Security::SaslSsl { login, ca: None }
    }

    #[test]
    fn what_safety_owns_cannot_be_passed_through_under_any_name() {
        for (key, _) in SAFE {
            assert!(check_passed_through(key).is_err(), "{key}");
        }
        for key in [
            "auto.commit.enable",
            "topic.auto.offset.reset",
            "topic.topic.enable.auto.commit",
            "metadata.broker.list",
            "group.instance.id",
            "group.protocol",
            "plugin.library.paths",
            "sasl.password",
            "sasl.mechanisms",
            "security.protocol",
            "ssl.ca.location",
            "ssl_ca",
            "enable.ssl.certificate.verification",
            "ssl.endpoint.identification.algorithm",
            "test.mock.num.brokers",
            "log_level",
        ] {
            assert!(check_passed_through(key).is_err(), "{key}");
        }
        for key in ["fetch.min.bytes", "session.timeout.ms", "client.rack", "socket.timeout.ms"] {
            assert_eq!(check_passed_through(key), Ok(()));
        }
    }

    #[test]
    fn every_property_is_one_that_librdkafka_knows() {
        let config = client_config(&settings("a.servicebus.windows.net:9093", connection_string()));
        config.unwrap().create_native_config().unwrap();
    }

    #[test]
    fn what_is_passed_through_replaces_what_is_recommended_only() {
        let mut settings = settings("localhost:9092", Security::Plaintext);
        settings.passed_through.insert("session.timeout.ms".to_owned(), "45000".to_owned());
        let config = client_config(&settings).unwrap();
        assert_eq!(config.get("session.timeout.ms"), Some("45000"));
        assert_eq!(config.get("enable.auto.offset.store"), Some("false"));
        settings.passed_through.insert("enable.auto.offset.store".to_owned(), "true".to_owned());
        let refused = client_config(&settings).unwrap_err();
        assert!(refused.to_string().contains("enable.auto.offset.store"), "{refused}");
    }

    #[test]
    fn event_hubs_are_known_by_their_domains() {
        for broker in ["contoso.servicebus.windows.net:9093", "A.ServiceBus.USGovCloudApi.net:9093"]
        {
            let config = client_config(&settings(broker, connection_string())).unwrap();
            assert_eq!(config.get("socket.timeout.ms"), Some("60000"));
            let refused = client_config(&settings(broker, Security::Plaintext));
            assert!(matches!(refused, Err(KafkaError::EventHubs { .. })));
        }
        let other = "servicebus.windows.net.example.com:9093";
        let config = client_config(&settings(other, Security::Plaintext)).unwrap();
        assert_eq!(config.get("socket.timeout.ms"), Some("30000"));
    }

    #[test]
    fn a_node_name_that_the_broker_would_refuse_is_refused_here() {
        let mut settings = settings("localhost:9092", Security::Plaintext);
        settings.node = "node 1".to_owned();
        assert!(matches!(client_config(&settings), Err(KafkaError::MemberId { .. })));
    }

    #[test]
    fn no_secret_shows_in_the_settings() {
        let shown = format!("{:?}", settings("localhost:9092", connection_string()));
        assert!(!shown.contains("abc"), "{shown}");
    }
}
