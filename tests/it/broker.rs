//! Real Apache Kafka brokers to throw away. `./test` makes ready what they are started from.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::TempDir;

/// How long anything may take that should take a moment.
pub const LONGEST: Duration = Duration::from_secs(60);

/// What a broker listens for, by the name of the listener. All are on 127.0.0.1.
const LISTENERS: &[(&str, &str)] = &[
    ("PLAIN", "PLAINTEXT"),
    ("SASL", "SASL_PLAINTEXT"),
    ("SASLSSL", "SASL_SSL"),
    ("TLS", "SSL"),
    ("OAUTH", "SASL_SSL"),
    ("CONTROLLER", "PLAINTEXT"),
];

/// Users that every broker knows, on its SASL listeners.
pub const PLAIN_USER: (&str, &str) = ("plain", "plain-secret");
pub const SCRAM_USER: (&str, &str) = ("scram", "scram-secret");
pub const EVENT_HUBS_USER: (&str, &str) =
    ("$ConnectionString", "Endpoint=sb://ns.test/;SharedAccessKeyName=k;SharedAccessKey=abc+/=");

/// One running broker with its own data. Dropped, it is killed.
pub struct Broker {
    dir: TempDir,
    child: Child,
    ports: BTreeMap<String, u16>,
}

impl Broker {
    /// Starts a broker on ports that nobody else has.
    pub fn start() -> Self {
        Self::start_on(LISTENERS.iter().map(|(name, _)| (name.to_string(), 0)).collect())
    }

    /// Starts a broker that can be restarted: on ports below those that the system gives away, so
    /// that they are still free then.
    pub fn start_on_fixed_ports() -> Self {
        Self::start_on(LISTENERS.iter().map(|(name, _)| (name.to_string(), free_port())).collect())
    }

    fn start_on(ports: BTreeMap<String, u16>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&prepared().join("template"), &dir.path().join("data"));
        write_certificates(dir.path());
        let child = launch(dir.path(), &ports);
        let mut broker = Self { dir, child, ports };
        broker.wait_until_ready();
        broker
    }

    /// Ends the broker as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the broker as an operator would.
    pub fn stop(&mut self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        self.child.wait().unwrap();
    }

    /// Starts a broker on fixed ports again, after `kill` or `stop`.
    pub fn restart(&mut self) {
        self.child = launch(self.dir.path(), &self.ports);
        self.wait_until_ready();
    }

    /// `host:port` of the listener without any security.
    pub fn address(&self) -> String {
        self.address_of("PLAIN")
    }

    /// `host:port` of a listener by name: `PLAIN`, `SASL`, `SASLSSL`, `OAUTH` or `TLS`.
    pub fn address_of(&self, listener: &str) -> String {
        format!("{}:{}", host(listener), self.ports[listener])
    }

    /// The authority that signed the broker's certificate, as PEM.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A client configuration for this broker, without security.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        config.set("reconnect.backoff.max.ms", "500");
        config
    }

    pub fn create_topic(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(LONGEST));
        let made = block_on(admin.create_topics([&topic], &options)).unwrap();
        made.into_iter().for_each(|topic| drop(topic.unwrap()));
    }

    /// Deletes everything before `offset`, as retention does.
    pub fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(LONGEST));
        block_on(admin.delete_records(&offsets, &options)).unwrap();
    }

    /// Writes values to one partition and returns when the broker has them all.
    pub fn produce<'a>(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) {
        let mut config = self.client();
        // A broker on a busy machine may take a message, fence itself, and be given it again.
        config.set("enable.idempotence", "true");
        config.set("acks", "all").set("max.in.flight", "1").set("linger.ms", "0");
        config.set("message.max.bytes", "2000000");
        let producer: ThreadedProducer<_> = config.create().unwrap();
        for value in values {
            let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition);
            record.payload = value;
            producer.send(record).map_err(|(why, _)| why).unwrap();
        }
        producer.flush(LONGEST).unwrap();
    }

    /// Messages that a topic has, of which none was deleted.
    pub fn length(&self, topic: &str, partitions: i32) -> i64 {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let of = |partition| consumer.fetch_watermarks(topic, partition, LONGEST).unwrap().1;
        (0..partitions).map(of).sum()
    }

    fn wait_until_ready(&mut self) {
        let began = Instant::now();
        let log = self.dir.path().join("log");
        loop {
            let text = fs::read_to_string(&log).unwrap();
            if text.contains("Kafka Server started") {
                for (name, port) in &mut self.ports {
                    if name != "CONTROLLER" {
                        *port = port_of(&text, name);
                    }
                }
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the broker ended with {status}:\n{text}");
            }
            assert!(began.elapsed() < LONGEST, "the broker does not start:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prepared() -> PathBuf {
    std::env::var_os("LAZARET_TEST_KAFKA").map(PathBuf::from).unwrap_or_else(|| {
        panic!(
            "LAZARET_TEST_KAFKA is not set. `./test` prepares a broker and sets it; \
             `./test --prepare` prints the line for a shell of your own."
        )
    })
}

fn launch(dir: &Path, ports: &BTreeMap<String, u16>) -> Child {
    fs::write(dir.join("server.properties"), properties(dir, ports)).unwrap();
    let prepared = prepared();
    let log = fs::File::create(dir.join("log")).unwrap();
    Command::new("java")
        .args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        // The archive of classes: it makes the start faster, and is not there everywhere.
        .args(["-XX:SharedArchiveFile=kafka.jsa", "-Xshare:auto"])
        .args(["-Dlog4j2.configurationFile=log4j2.properties", "-cp", "libs/*", "kafka.Kafka"])
        .arg(dir.join("server.properties"))
        .current_dir(prepared)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("java is installed: ./test sees to it")
}

fn properties(dir: &Path, ports: &BTreeMap<String, u16>) -> String {
    let dir = dir.display();
    let listeners: Vec<_> =
        ports.iter().map(|(name, port)| format!("{name}://127.0.0.1:{port}")).collect();
    let advertised: Vec<_> = ports
        .iter()
        .filter(|(name, _)| *name != "CONTROLLER")
        .map(|(name, port)| format!("{name}://{}:{port}", host(name)))
        .collect();
    let protocols: Vec<_> =
        LISTENERS.iter().map(|(name, protocol)| format!("{name}:{protocol}")).collect();
    let module = "org.apache.kafka.common.security";
    let (plain, hubs) = (PLAIN_USER, EVENT_HUBS_USER);
    let users = format!(
        "{module}.plain.PlainLoginModule required user_{}=\"{}\" user_{}=\"{}\";",
        plain.0, plain.1, hubs.0, hubs.1
    );
    let mut text = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners={listeners}\n\
         advertised.listeners={advertised}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAIN\n\
         listener.security.protocol.map={protocols}\n\
         log.dirs={dir}/data\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\n\
         group.initial.rebalance.delay.ms=0\n\
         message.max.bytes=2000000\n\
         auto.create.topics.enable=false\n\
         broker.session.timeout.ms=3000\n\
         broker.heartbeat.interval.ms=500\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={dir}/server.pem\n",
        controller = ports["CONTROLLER"],
        listeners = listeners.join(","),
        advertised = advertised.join(","),
        protocols = protocols.join(","),
    );
    for listener in ["sasl", "saslssl"] {
        let name = format!("listener.name.{listener}");
        let scram = format!("{module}.scram.ScramLoginModule required;");
        text += &format!(
            "{name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             {name}.plain.sasl.jaas.config={users}\n\
             {name}.scram-sha-256.sasl.jaas.config={scram}\n\
             {name}.scram-sha-512.sasl.jaas.config={scram}\n"
        );
    }
    // Tokens without a signature, within their time; a connection ends with its token.
    let oauth = "listener.name.oauth";
    text += &format!(
        "{oauth}.sasl.enabled.mechanisms=OAUTHBEARER\n\
         {oauth}.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required \
         unsecuredLoginStringClaim_sub=\"broker\";\n\
         {oauth}.oauthbearer.connections.max.reauth.ms=3600000\n"
    );
    text
}

/// A certificate is for a name; elsewhere an address spares the look-up.
fn host(listener: &str) -> &'static str {
    if matches!(listener, "TLS" | "SASLSSL" | "OAUTH") { "localhost" } else { "127.0.0.1" }
}

/// The port that a listener got, from the broker's log.
fn port_of(log: &str, listener: &str) -> u16 {
    let endpoint = format!("name='{listener}', host='{}', port=", host(listener));
    let (_, rest) = log.rsplit_once(&endpoint).unwrap_or_else(|| {
        panic!("no port of {listener} in:\n{log}");
    });
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// A port that is free now, below the ephemeral range: no connection is given it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + (std::process::id() % 600) as u16 * 20;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 600;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn write_certificates(dir: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    let mut authority = CertificateParams::new(vec![]).unwrap();
    // Without a name of its own the broker's certificate would look signed by itself.
    authority.distinguished_name.push(DnType::CommonName, "test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &ca).unwrap();
    let server = key.serialize_pem() + &certificate.pem() + &ca.pem();
    fs::write(dir.join("server.pem"), server).unwrap();
    fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
