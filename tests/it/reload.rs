//! Rules change while alerts pour in: each delivery is judged by one set, none is lost, and a set
//! that is broken changes nothing. The directory is swapped as a ConfigMap is, by a link.
//!
//! `LAZARET_RELOADS` in the environment asks for more of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::world::{Setting, World, alert, assert_balance};

/// Alerts of one delivery.
const ALERTS: usize = 50;

/// Who sends at the same time.
const SENDERS: usize = 4;

/// Both match every alert and only watch.
fn rule(set: usize, which: usize) -> String {
    format!(
        "title: Rule {which} of set {set}
id: 00000000-0000-4000-8000-{set:06}{which:06}
logsource: {{product: microsoft_defender}}
detection:
  file: {{file.entity: File}}
  condition: file
response:
  action: StopAndQuarantineFile
  comment: due to {{{{alert.id}}}}
"
    )
}

/// Puts a set in the place of the one before, as Kubernetes does.
fn swap(rules: &Path, set: usize, broken: bool) {
    let name = format!("..{set}");
    std::fs::create_dir(rules.join(&name)).unwrap();
    for which in [1, 2] {
        let text = match broken && which == 2 {
            true => "title: Rule 2\ndetection: [".to_owned(),
            false => rule(set, which),
        };
        std::fs::write(rules.join(&name).join(format!("r{which}.yml")), text).unwrap();
    }
    std::os::unix::fs::symlink(&name, rules.join("..next")).unwrap();
    std::fs::rename(rules.join("..next"), rules.join("..data")).unwrap();
}

fn link(rules: &Path) {
    std::fs::remove_file(rules.join("rule.yml")).unwrap();
    for which in [1, 2] {
        let name = format!("r{which}.yml");
        std::os::unix::fs::symlink(format!("..data/{name}"), rules.join(name)).unwrap();
    }
}

/// The set that judged a delivery: the same for each of its alerts, and both of its rules.
fn set_of(answer: &Value) -> usize {
    let alerts = answer["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), ALERTS);
    let sets: BTreeSet<(usize, usize)> = alerts
        .iter()
        .flat_map(|alert| alert["candidates"][0]["rules"].as_array().expect("rules that watch"))
        .map(|id| {
            let digits = id.as_str().unwrap().rsplit('-').next().unwrap();
            (digits[..6].parse().unwrap(), digits[6..].parse().unwrap())
        })
        .collect();
    let set = sets.first().unwrap().0;
    assert_eq!(sets, BTreeSet::from([(set, 1), (set, 2)]), "one set, and the whole of it");
    set
}

#[derive(Default)]
struct Load {
    sent: AtomicUsize,
    /// The newest set that has judged.
    newest: AtomicUsize,
    is_over: AtomicBool,
}

impl Load {
    async fn send(&self, world: &World) {
        while !self.is_over.load(Ordering::Acquire) {
            let first = self.sent.fetch_add(ALERTS, Ordering::Relaxed);
            let alerts: Vec<Value> = (first..first + ALERTS)
                .map(|n| serde_json::from_str(&alert(n + 1)).unwrap())
                .collect();
            let before = self.newest.load(Ordering::Acquire);
            let posted = world.post(&format!("m-{first}"), &json!(alerts).to_string()).await;
            let (status, answer) = posted.expect("an answer");
            assert_eq!(status, 202, "{answer}");
            let set = set_of(&serde_json::from_str(&answer).unwrap());
            assert!(set >= before, "set {set} judged after set {before}");
            self.newest.fetch_max(set, Ordering::AcqRel);
        }
    }

    /// Every third set is broken.
    async fn reload(&self, world: &World, reloads: usize) {
        let rules = world.dir.path().join("rules");
        let mut good = 0;
        for set in 1..=reloads {
            let broken = set % 3 == 0;
            // The first reads the set before while it is swapped.
            world.hang_up();
            swap(&rules, set, broken);
            world.hang_up();
            if broken {
                let refused = format!("..{set}");
                world
                    .until("the refusal", async |world| {
                        let said = world.ready().await.to_string();
                        said.contains("refused") && rules.join(&refused).exists()
                    })
                    .await;
            } else {
                good = set;
                world.until("the set", async |_| self.newest.load(Ordering::Acquire) == set).await;
            }
            assert_eq!(self.newest.load(Ordering::Acquire), good, "what is broken judges nothing");
        }
        self.is_over.store(true, Ordering::Release);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_change_under_load_and_each_delivery_has_one_set() {
    let asked = std::env::var("LAZARET_RELOADS").ok().and_then(|text| text.parse().ok());
    let full = std::env::var_os("LAZARET_FULL").is_some();
    let reloads = asked.unwrap_or(if full { 200 } else { 24 });
    let mut world = World::new(Setting { mode: "observe", ..Setting::default() }).await;
    let rules = world.dir.path().join("rules");
    link(&rules);
    swap(&rules, 0, false);
    world.start().await;
    let load = Load::default();
    let began = Instant::now();
    let senders = futures_util::future::join_all((0..SENDERS).map(|_| load.send(&world)));
    tokio::join!(senders, load.reload(&world, reloads));
    let sent = load.sent.load(Ordering::Relaxed);
    let rate = sent as f64 / began.elapsed().as_secs_f64();
    println!("{reloads} reloads under {sent} alerts, {rate:.0} a second");
    let summary = world.report().await.summary;
    assert_balance(&summary);
    assert_eq!(summary.received.iter().map(|(_, count)| *count).sum::<u64>(), sent as u64);
}
