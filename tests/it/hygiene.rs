//! What odd payloads end as, in every format that is built in and in `generic`: posted to the
//! service as a sender would, and told by its answer.

use std::fs;
use std::path::Path;

use lazaret::domain::time::Wall;
use lazaret::formats::Format;
use lazaret::io::Clock;
use lazaret::io::clock::SystemClock;
use serde_json::Value;

use crate::world::{Setting, TENANT_ID, World, post_signed};

mod bodies;

mod values;

mod twice;

const RULE: &str = "title: Quarantine every file
id: 5f4d8d0a-5d0e-4f39-8b0c-6a3f2c7b9e10
logsource: {product: microsoft_defender}
detection:
  file: {file.entity: [File, Process]}
  spared: {alert.severity: Low}
  condition: file and not spared
response:
  action: StopAndQuarantineFile
  comment: 'Quarantined due to alert {{alert.id}}'
  mode: enforce
  breakers: {machines_per_file: 1000000/1h, actions: 1000000/1h}
tests:
  - name: a file acts
    alert: alert.json
    expect:
      act: [{machine: '000000000000000000000000000000000000abcd', sha1: '100000000000000000000000000000000000abcd'}]
  - name: one of a low alert does not
    alert: alert.json
    set: {alert.severity: Low}
    expect: {no_match: spared}
";

/// Each built-in format, and one of a file.
pub const FORMATS: [&str; 4] = ["defender-alert", "graph-alert", "sentinel-incident", "generic"];

#[test]
fn every_built_in_format_is_tried() {
    // The rows of defender-xdr are no whole alert: they have tests of their own.
    let apart = ["defender-xdr"];
    for format in Format::ALL.map(Format::as_str) {
        assert!(FORMATS.contains(&format) || apart.contains(&format), "{format}");
    }
}

/// An alert of one file on one machine, each key as JSON text; one that is empty is left out.
#[derive(Clone)]
pub struct Parts {
    pub id: String,
    pub created: String,
    pub tenant: String,
    pub severity: String,
    pub machine: String,
    pub sha1: String,
    pub entity: String,
}

/// The time of all that a test sends: the same alert sent again has the same.
fn now() -> Wall {
    SystemClock::new().now().wall
}

impl Parts {
    /// Number `n`, like no other, and in order.
    pub fn new(n: usize) -> Self {
        Self {
            id: format!("\"da{n}_-1\""),
            created: format!("\"{}\"", now()),
            tenant: format!("\"{TENANT_ID}\""),
            severity: "\"High\"".into(),
            machine: format!("\"{n:040x}\""),
            sha1: format!("\"1{n:039x}\""),
            entity: "\"File\"".into(),
        }
    }

    /// As it stands in a format.
    pub fn in_format(&self, format: &str) -> String {
        let Self { id, created, tenant, severity, machine, sha1, entity } = self;
        let key = |name: &str, value: &str| match value {
            "" => String::new(),
            value => format!("\"{name}\":{value},"),
        };
        let object = |keys: &[String]| format!("{{{}}}", keys.concat().trim_end_matches(','));
        match format {
            "defender-alert" => {
                let file = object(&[key("entityType", entity), key("sha1", sha1)]);
                object(&[
                    key("id", id),
                    key("alertCreationTime", created),
                    key("aadTenantId", tenant),
                    key("severity", severity),
                    key("machineId", machine),
                    key("evidence", &format!("[{file}]")),
                ])
            }
            "graph-alert" => {
                let kind = entity.replace("File", "#microsoft.graph.security.fileEvidence");
                let details = object(&[key("sha1", sha1)]);
                let keys = [("@odata.type", &kind), ("mdeDeviceId", machine)];
                let mut file: Vec<_> = keys.iter().map(|(name, value)| key(name, value)).collect();
                file.push(key("fileDetails", &details));
                object(&[
                    key("id", id),
                    key("createdDateTime", created),
                    key("tenantId", tenant),
                    key("severity", severity),
                    key("evidence", &format!("[{}]", object(&file))),
                ])
            }
            "sentinel-incident" => {
                let added = object(&[key("MdatpDeviceId", machine)]);
                let hash = object(&[key("algorithm", "\"SHA1\""), key("hashValue", sha1)]);
                let file = object(&[
                    key("additionalData", &added),
                    key("fileHashes", &format!("[{hash}]")),
                ]);
                let file = object(&[key("kind", entity), key("properties", &file)]);
                let properties = object(&[
                    key("createdTimeUtc", created),
                    key("severity", severity),
                    key("relatedEntities", &format!("[{file}]")),
                ]);
                let incident = object(&[key("name", id), key("properties", &properties)]);
                object(&[key("tenantId", tenant), key("object", &incident)])
            }
            _ => {
                let keys = [("machine_id", machine), ("sha1", sha1), ("entity", entity)];
                let file: Vec<_> = keys.iter().map(|(name, value)| key(name, value)).collect();
                object(&[
                    key("id", id),
                    key("created", created),
                    key("tenant_id", tenant),
                    key("severity", severity),
                    key("files", &format!("[{}]", object(&file))),
                ])
            }
        }
    }
}

/// A service with a source for each format, named like it.
pub struct Service {
    pub world: World,
    sent: usize,
}

impl Service {
    pub async fn start() -> Self {
        let mut world = World::new(Setting { tenants: 2, ..Setting::default() }).await;
        let (dir, root) = (world.dir.path(), Path::new(env!("CARGO_MANIFEST_DIR")));
        let put = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
        put("rules/rule.yml", RULE);
        put("rules/alert.json", &Parts::new(0xabcd).in_format("defender-alert"));
        fs::create_dir(dir.join("rules/formats")).unwrap();
        for name in ["formats/generic.yml", "samples/generic.json"] {
            fs::copy(root.join("rules").join(name), dir.join("rules").join(name)).unwrap();
        }
        let config = fs::read_to_string(world.config()).unwrap();
        let sources: String = FORMATS.map(source).concat();
        put("lazaret.yaml", &config.replacen("sources:", &format!("sources:{sources}"), 1));
        world.start().await;
        Self { world, sent: 0 }
    }

    /// The status, and the fate of each alert with all that is said about it.
    pub async fn post(&mut self, format: &str, body: &str) -> (u16, Vec<(String, String)>) {
        self.sent += 1;
        let url = format!("http://127.0.0.1:{}/webhooks/{format}", self.world.webhooks);
        let id = format!("msg_{}", self.sent);
        let (status, answer) = post_signed(&url, &id, body).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let alerts = answer["alerts"].as_array().cloned().unwrap_or_default();
        let fate = |alert: &Value| (alert["fate"].as_str().unwrap().to_owned(), alert.to_string());
        (status, alerts.iter().map(fate).collect())
    }

    /// The fate of one alert, and all that is said about it.
    pub async fn fate(&mut self, format: &str, body: &str) -> (String, String) {
        let (status, mut fates) = self.post(format, body).await;
        assert_eq!((status, fates.len()), (202, 1), "{format}: {body}: {fates:?}");
        fates.remove(0)
    }

    /// Posts an alert in every format, spoiled, and expects this fate of all, with this reason.
    pub async fn expect(&mut self, spoil: impl Fn(&mut Parts), fate: &str, reason: &str) {
        for format in FORMATS {
            self.expect_in(format, &spoil, fate, reason).await;
        }
    }

    pub async fn expect_in(
        &mut self,
        format: &str,
        spoil: impl Fn(&mut Parts),
        fate: &str,
        reason: &str,
    ) {
        let mut parts = Parts::new(self.sent + 1);
        spoil(&mut parts);
        let body = parts.in_format(format);
        let (found, said) = self.fate(format, &body).await;
        let shown: String = body.chars().take(500).collect();
        assert_eq!(found, fate, "{format}: {shown}: {said}");
        assert!(said.contains(reason), "{format}: {shown}: {said}");
    }

    /// Waits until it has made so many calls.
    pub async fn until_called(&mut self, calls: usize) {
        self.world.until("the calls", async |world| world.calls().len() >= calls).await;
    }

    /// Stops it, and says which machines it called for.
    pub fn called(mut self) -> Vec<String> {
        self.world.stop();
        let calls = self.world.calls().into_keys();
        calls.map(|(path, _)| path.split('/').nth(3).unwrap().to_owned()).collect()
    }
}

fn source(format: &str) -> String {
    format!(
        "
  - name: {format}
    tenants: [contoso, t1]
    webhook:
      format: {format}
      verify: {{scheme: standard-webhooks, secrets: [{{file: siem}}]}}"
    )
}
