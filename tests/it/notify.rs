//! Being told: real receivers and a real broker, and a service that is stopped, killed and kept
//! waiting between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use lazaret::domain::signature::{Proof, Scheme, Seal};
use lazaret::io::Clock;
use lazaret::io::clock::SystemClock;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use serde_json::Value;
use tokio::sync::Notify;

use crate::broker::Broker;
use crate::world::{Setting, World, alert, run};

const SECRET: &str = "whsec_b3VyIG93biBzZWNyZXQgb2YgMzIgYnl0ZXMgISE=";

/// A receiver of messages that answers as a test says, and remembers what came.
struct Receiver {
    url: String,
    state: Arc<Behaviour>,
}

struct Behaviour {
    /// Answered before all others, each once.
    answers: Mutex<Vec<(u16, &'static str)>>,
    /// While set, nobody is answered.
    hangs: Mutex<bool>,
    released: Notify,
    came: Mutex<Vec<Came>>,
}

#[derive(Clone, Debug)]
struct Came {
    id: String,
    signed: bool,
    body: Value,
    status: u16,
}

impl Receiver {
    async fn start() -> Self {
        let state = Arc::new(Behaviour {
            answers: Mutex::default(),
            hangs: Mutex::new(false),
            released: Notify::new(),
            came: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/hook?key=url-secret", listener.local_addr().unwrap());
        let app = Router::new().fallback(receive).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, state }
    }

    /// Answers so, in this order, before it answers 204.
    fn answers(&self, answers: &[(u16, &'static str)]) {
        *self.state.answers.lock().unwrap() = answers.iter().rev().copied().collect();
    }

    fn hang(&self) {
        *self.state.hangs.lock().unwrap() = true;
    }

    fn came(&self) -> Vec<Came> {
        self.state.came.lock().unwrap().clone()
    }

    /// Those it took, of one kind.
    fn taken(&self, kind: &str) -> Vec<Came> {
        let took = |came: &Came| came.status < 300 && came.body["data"]["kind"] == kind;
        self.came().into_iter().filter(took).collect()
    }
}

async fn receive(
    State(state): State<Arc<Behaviour>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, &'static str); 1]) {
    let pairs: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let seal = Seal::new(Scheme::StandardWebhooks, &[SECRET.into()]).unwrap();
    let verified = seal.verify(Proof::new(&pairs, &body), SystemClock::new().now().wall);
    let (status, after) = state.answers.lock().unwrap().pop().unwrap_or((204, ""));
    let hangs = *state.hangs.lock().unwrap();
    state.came.lock().unwrap().push(Came {
        id: headers["webhook-id"].to_str().unwrap().to_owned(),
        signed: verified.is_ok(),
        body: serde_json::from_slice(&body).unwrap(),
        status: if hangs { 0 } else { status },
    });
    if hangs {
        state.released.notified().await;
    }
    (StatusCode::from_u16(status).unwrap(), [("retry-after", after)])
}

/// A service that tells this receiver, with short waits.
async fn world(receiver: &Receiver, more: &str) -> World {
    let world = picky().await;
    std::fs::write(world.dir.path().join("notify"), SECRET).unwrap();
    std::fs::write(world.dir.path().join("url"), &receiver.url).unwrap();
    add(
        &world,
        &format!(
            "notify:
  - name: soc
    webhook: {{url: {{file: url}}, secret: {{file: notify}}}}
    group: 500ms
{more}"
        ),
    );
    world
}

/// A service whose rule must know a file's name and path.
async fn picky() -> World {
    let world = World::new(Setting::default()).await;
    let path = world.dir.path().join("rules/rule.yml");
    let rule = std::fs::read_to_string(&path).unwrap();
    let spares = "  spared: {file.name: spared.exe}
  placed: {file.path: 'C:\\spared'}
  condition: active and not spared and not placed
";
    std::fs::write(path, rule.replacen("  condition: active\n", spares, 1)).unwrap();
    world
}

fn add(world: &World, text: &str) {
    let config = std::fs::read_to_string(world.config()).unwrap();
    std::fs::write(world.config(), format!("{config}{text}")).unwrap();
}

/// Alert number `n` without what the rule must know: its action is held for a person.
fn unknown(n: usize) -> String {
    without("fileName", n)
}

fn without(field: &str, n: usize) -> String {
    let mut alert: Value = serde_json::from_str(&alert(n)).unwrap();
    alert["evidence"][0].as_object_mut().unwrap().remove(field).unwrap();
    alert.to_string()
}

fn all(alerts: impl Iterator<Item = String>) -> String {
    format!("[{}]", alerts.collect::<Vec<_>>().join(","))
}

fn counted(came: &[Came]) -> u64 {
    came.iter().map(|came| came.body["data"]["count"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_held_actions_is_one_or_two_signed_messages() {
    let receiver = Receiver::start().await;
    let mut world = world(&receiver, "").await;
    world.start().await;
    let (status, _) = world.post("msg_1", &all((1..=500).map(unknown))).await.unwrap();
    assert_eq!(status, 202);
    world.until("all are told", async |_| counted(&receiver.taken("held")) == 500).await;
    let held = receiver.taken("held");
    assert!(held.len() <= 2, "{held:#?}");
    assert!(receiver.came().iter().all(|came| came.signed), "each is signed");
    let data = &held[0].body["data"];
    assert_eq!(held[0].body["type"], "lazaret.held");
    assert_eq!((&data["tenant"], &data["node"]), (&"contoso".into(), &"lazaret-1".into()));
    let summary = data["summary"].as_str().unwrap();
    assert!(summary.contains("actions of tenant contoso are held: rule"), "{summary}");
    assert!(summary.ends_with("lazaret actions list --held --tenant contoso"), "{summary}");
    let examples = data["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 10);
    assert_eq!(examples[0]["machine"], format!("{:040x}", 1));
    let channel = &world.report().await.channels[0];
    assert_eq!((&channel.name[..], channel.failing_since), ("soc", None));
    world.stop();
    assert_eq!(counted(&receiver.taken("held")), 500, "nothing is told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_not_taken_before_a_crash_comes_after_it_under_its_id() {
    let receiver = Receiver::start().await;
    let mut world = world(&receiver, "").await;
    receiver.answers(&[(503, ""); 1000]);
    world.start().await;
    world.post("msg_1", &unknown(1)).await.unwrap();
    world.until("it is tried", async |_| receiver.came().len() >= 2).await;
    // What happens meanwhile waits behind it, and is no part of it.
    world.post("msg_2", &unknown(2)).await.unwrap();
    world.kill();
    let refused = receiver.came();
    let ids: Vec<_> = refused.iter().map(|came| &came.id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "a retry is recognisable: {ids:?}");
    receiver.answers(&[]);
    world.start().await;
    world.until("both are told", async |_| counted(&receiver.taken("held")) == 2).await;
    world.stop();
    let held = receiver.taken("held");
    assert_eq!(held.len(), 2, "each in its own message, once: {held:#?}");
    assert_eq!(&held[0].id, ids[0]);
    assert_ne!(held[1].id, held[0].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_of_a_batch_before_a_crash_does_not_come_again() {
    let receiver = Receiver::start().await;
    let mut world = world(&receiver, "").await;
    receiver.answers(&[[(204, "")].as_slice(), &[(503, ""); 1000]].concat());
    world.start().await;
    let two = [unknown(1), without("filePath", 2)];
    world.post("msg_1", &all(two.into_iter())).await.unwrap();
    world.until("the second is tried", async |_| receiver.came().len() >= 2).await;
    world.kill();
    receiver.answers(&[]);
    world.start().await;
    world.until("both are told", async |_| receiver.taken("held").len() >= 2).await;
    world.stop();
    let taken = receiver.taken("held");
    let reason = |came: &Came| came.body["data"]["summary"].as_str().unwrap().to_owned();
    assert!(reason(&taken[0]).contains("file.name"), "{}", reason(&taken[0]));
    assert!(reason(&taken[1]).contains("file.path"), "{}", reason(&taken[1]));
    assert_eq!(taken.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_last_is_told_before_the_service_ends() {
    let receiver = Receiver::start().await;
    let mut world = picky().await;
    add(
        &world,
        &format!(
            "notify:\n  - {{name: soc, kinds: [held, stopped], group: 1h, webhook: {{url: '{}'}}}}\n",
            receiver.url
        ),
    );
    world.start().await;
    world.post("msg_1", &unknown(1)).await.unwrap();
    world.stop();
    assert_eq!(counted(&receiver.taken("held")), 1, "the stop does not wait for more");
    assert_eq!(receiver.taken("stopped").len(), 1);
    assert!(!receiver.came()[0].signed, "without a secret there is no signature, but an id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_delays_no_action() {
    let receiver = Receiver::start().await;
    receiver.hang();
    let mut world = world(&receiver, "").await;
    world.start().await;
    world.post("msg_1", &unknown(1)).await.unwrap();
    world.until("the receiver has a message", async |_| !receiver.came().is_empty()).await;
    // Nobody has been answered, nor will be: only then these alerts come.
    let (status, _) = world.post("msg_2", &all((2..30).map(alert))).await.unwrap();
    assert_eq!(status, 202);
    world.until("all calls are made", async |world| world.calls().len() == 28).await;
    assert!(receiver.came().iter().all(|came| came.status == 0), "and nothing was told");
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_given_up_and_the_next_gets_through() {
    let receiver = Receiver::start().await;
    receiver.answers(&[(429, "0"), (307, ""), (204, "")]);
    let mut world = world(&receiver, "").await;
    world.start().await;
    world.post("msg_1", &unknown(1)).await.unwrap();
    world.until("it is refused", async |_| receiver.came().len() == 2).await;
    world
        .until("it is given up", async |world| {
            let line = world.report().await.channels.remove(0);
            line.given_up == 1 && line.error.is_some_and(|error| error.contains("307"))
        })
        .await;
    world.post("msg_2", &unknown(2)).await.unwrap();
    world.until("the next is told", async |_| receiver.taken("held").len() == 1).await;
    let came = receiver.came();
    assert_eq!(came[0].id, came[1].id, "429 is tried again");
    assert_ne!(came[1].id, came[2].id);
    assert!(world.log().contains("a message was given up"));
    world.stop();
    assert!(!world.log().contains("url-secret") && !world.log().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_urgent_is_logged_under_the_name_of_its_channel() {
    let receiver = Receiver::start().await;
    receiver.answers(&[(307, "")]);
    let mut world = world(&receiver, "").await;
    world.start().await;
    assert!(run(&world, &["pause", "--reason", "a drill"]).await.status.success());
    let given_up = "a message was given up";
    world.until("it is given up", async |world| world.log().contains(given_up)).await;
    world.stop();
    let log = world.log();
    let line = log.lines().find(|line| line.contains(given_up)).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["channel"], &line["kind"]), (&"soc".into(), &"paused".into()), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_shows_what_each_receiver_answers() {
    let receiver = Receiver::start().await;
    let world = world(&receiver, "").await;
    add(&world, "  - {name: gone, webhook: {url: 'http://127.0.0.1:9/'}}\n");
    let run = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let tested = run(&["notify", "test", "--channel", "soc"]).await.unwrap();
    let said = String::from_utf8_lossy(&tested.stdout);
    assert!(tested.status.success(), "{said} {}", String::from_utf8_lossy(&tested.stderr));
    assert!(said.contains("ok soc: answered 204"), "{said}");
    assert_eq!(receiver.taken("test").len(), 1);
    assert!(receiver.came()[0].signed);
    let tested = run(&["notify", "test"]).await.unwrap();
    let said = String::from_utf8_lossy(&tested.stdout);
    assert_eq!(tested.status.code(), Some(1), "{said}");
    assert!(said.contains("failed gone: ") && said.contains("refused"), "{said}");
    let none = run(&["notify", "test", "--channel", "other"]).await.unwrap();
    assert_eq!(none.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_in_the_topic_also_after_a_crash() {
    let broker = tokio::task::spawn_blocking(|| {
        let broker = Broker::start();
        broker.create_topic("outcomes", 2);
        broker
    });
    let broker = broker.await.unwrap();
    let mut world = World::new(Setting::default()).await;
    let kafka = format!("{{brokers: [\"{}\"], topic: outcomes}}", broker.address());
    add(&world, &format!("notify:\n  - {{name: outcomes, kafka: {kafka}}}\n"));
    world.start().await;
    world.post("msg_1", &all((1..=3).map(alert))).await.unwrap();
    world.until("all calls are made", async |world| world.calls().len() == 3).await;
    world.kill();
    world.start().await;
    let mut consumer = broker.client();
    consumer.set("group.id", "reader").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = consumer.create().unwrap();
    consumer.subscribe(&["outcomes"]).unwrap();
    let mut states: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    world
        .until("all have ended", async |_| {
            while let Some(message) = consumer.poll(std::time::Duration::from_millis(20)) {
                let message = message.unwrap();
                let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
                let value: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let data = &value["data"];
                let state = data["state"].as_str().unwrap().to_owned();
                states.entry(key).or_default().push((data["position"].as_i64().unwrap(), state));
            }
            let ended = |of: &Vec<(i64, String)>| of.iter().any(|(_, state)| state == "succeeded");
            states.len() == 3 && states.values().all(ended)
        })
        .await;
    world.stop();
    for (n, (key, mut of)) in (1..).zip(states) {
        assert_eq!(key, format!("contoso/{n:040x}/1{n:039x}"));
        // At least once: a position that comes again is the same change.
        of.sort();
        of.dedup();
        assert_eq!((&of[0].1[..], &of[1].1[..]), ("queued", "in_flight"));
        assert_eq!(of.last().unwrap().1, "succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_source_is_told_once_and_again_when_it_speaks() {
    let receiver = Receiver::start().await;
    let mut world = world(&receiver, "").await;
    let config = std::fs::read_to_string(world.config()).unwrap();
    let config = config.replacen("  - name: siem\n", "  - name: siem\n    silent_after: 1s\n", 1);
    std::fs::write(world.config(), config).unwrap();
    world.start().await;
    world.until("it is silent", async |_| receiver.taken("source_silent").len() == 1).await;
    let problems = world.report().await.problems;
    assert!(problems.iter().any(|problem| problem.contains("source siem")), "{problems:?}");
    world.kill();
    world.start().await;
    world.post("msg_1", &alert(1)).await.unwrap();
    world.until("it is heard", async |_| receiver.taken("source_heard").len() == 1).await;
    world.stop();
    // A message may come again after the crash, and it may have fallen silent again since.
    let mut ids = BTreeSet::new();
    let came = receiver.came();
    let once = came.iter().filter(|came| ids.insert(&came.id));
    let kinds: Vec<_> = once.map(|came| &came.body["data"]["kind"]).take(2).collect();
    assert_eq!(kinds, ["source_silent", "source_heard"]);
}
