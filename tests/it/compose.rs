//! `docker-compose.yml`, read as it stands, and each service's command run natively: what the
//! containers would do, without containers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use crate::broker::{Broker, free_port};
use crate::world::{LONGEST, SECRET, alert, post_signed};

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    build: Option<String>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    network_mode: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    volumes: Vec<String>,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn compose() -> Compose {
    let text = std::fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a service's command as its container would: its environment, its mounts, its arguments,
/// with the ports of the host replaced by free ones.
fn run(service: &Service, dir: &Path, replace: &[(String, String)]) -> Running {
    let mut arguments = service.command.clone();
    for volume in &service.volumes {
        let mut parts = volume.split(':');
        let (host, container) = (parts.next().unwrap(), parts.next().unwrap());
        let Some(host) = host.strip_prefix("./") else { continue };
        let from = root().join(host);
        let to = dir.join(container.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        if from.is_dir() {
            let status = Command::new("cp").arg("-r").arg(&from).arg(&to).status().unwrap();
            assert!(status.success());
        } else {
            let mut text = std::fs::read_to_string(&from).unwrap();
            for (old, new) in replace {
                assert!(text.contains(old), "{host} has no {old}");
                text = text.replace(old, new);
            }
            std::fs::write(&to, text).unwrap();
        }
        for argument in &mut arguments {
            if argument == container {
                *argument = to.to_string_lossy().into_owned();
            }
        }
    }
    for argument in &mut arguments {
        for (old, new) in replace {
            *argument = argument.replace(old, new);
        }
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret"));
    command.args(&arguments).env_clear();
    for (name, value) in &service.environment {
        let value = if value.starts_with("${SIEM_SECRET") { SECRET } else { value };
        command.env(name, value);
    }
    let log = std::fs::File::create(dir.join(format!("{}.log", arguments[0]))).unwrap();
    let out = Stdio::from(log.try_clone().unwrap());
    Running(command.stdout(out).stderr(Stdio::from(log)).spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_containers_run_works_natively() {
    let compose = compose();
    let names: Vec<_> = compose.services.keys().map(String::as_str).collect();
    assert_eq!(names, ["kafka", "lazaret", "simulator"]);
    let kafka = &compose.services["kafka"];
    assert!(kafka.image.as_ref().unwrap().starts_with("apache/kafka:"));
    for name in ["lazaret", "simulator"] {
        assert_eq!(compose.services[name].build.as_deref(), Some("."));
    }
    for name in ["lazaret", "kafka"] {
        let network = compose.services[name].network_mode.as_deref();
        assert_eq!(network, Some("service:simulator"), "loopback is shared");
    }
    let broker = Broker::start();
    tokio::task::block_in_place(|| broker.create_topic("defender-alerts", 1));
    let dir = tempfile::tempdir().unwrap();
    let (simulator, webhooks, admin) = (free_port(), free_port(), free_port());
    let data = dir.path().join("data").to_string_lossy().into_owned();
    let both = ("127.0.0.1:9980".to_owned(), format!("127.0.0.1:{simulator}"));
    let own = [
        both.clone(),
        ("0.0.0.0:8080".to_owned(), format!("127.0.0.1:{webhooks}")),
        ("127.0.0.1:9443".to_owned(), format!("127.0.0.1:{admin}")),
        ("localhost:9092".to_owned(), format!("\"{}\"", broker.address())),
        ("/var/lib/lazaret".to_owned(), data),
    ];
    let _simulator = run(&compose.services["simulator"], dir.path(), &[both]);
    let _lazaret = run(&compose.services["lazaret"], dir.path(), &own);
    let url = format!("http://127.0.0.1:{webhooks}/webhooks/siem");
    let began = std::time::Instant::now();
    let (status, answer) = loop {
        if let Some(answer) = post_signed(&url, "msg_1", &alert(1)).await {
            break answer;
        }
        let log = std::fs::read_to_string(dir.path().join("run.log")).unwrap_or_default();
        assert!(began.elapsed() < LONGEST, "the service does not answer: {log}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(status, 202, "{answer}");
    let second = alert(2);
    broker.produce("defender-alerts", 0, [Some(second.as_bytes())]);
    let metrics = format!("http://127.0.0.1:{admin}/metrics");
    let line = r#"lazaret_received_total{source="defender"} 1"#;
    let answered = r#"lazaret_webhook_answer_seconds_count{source="siem"} 1"#;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    loop {
        let page = client.get(&metrics).send().await.unwrap().text().await.unwrap();
        if page.contains(line) {
            assert!(page.contains(answered), "{page}");
            break;
        }
        assert!(began.elapsed() < LONGEST, "the message did not arrive: {page}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
