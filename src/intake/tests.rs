//! The loop before a real store.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::domain::action::Coordinates;
use crate::domain::join::Waits;
use crate::io::clock::SystemClock;
use crate::io::store::SqliteStore;
use crate::traffic::{RULE, SAMPLE};

const HOUR: Duration = Duration::from_secs(3600);

fn intake(dir: &Path, clock: Arc<SystemClock>, metrics: Arc<Metrics>) -> Intake {
    let rules = dir.join("rules");
    let sample = rules.join(SAMPLE.0);
    fs::create_dir_all(sample.parent().unwrap()).unwrap();
    fs::write(sample, SAMPLE.1).unwrap();
    fs::write(rules.join("rule.yml"), RULE).unwrap();
    let loaded = crate::rules::load(&rules, clock.now().wall).unwrap_or_else(|why| panic!("{why}"));
    let in_force = InForce { ruleset: loaded.ruleset, formats: loaded.formats };
    let source = |name: &str, format: &str| {
        let tenants = vec![(TenantName::new("contoso"), uuid::Uuid::nil())];
        (SourceName::new(name), Source::new(format, tenants))
    };
    let waits = Waits { settle: HOUR, expire: HOUR };
    let settings = Settings {
        sources: [source("siem", "defender-alert"), source("xdr", "defender-xdr")].into(),
        ceiling: Mode::Enforce,
        breakers: HashMap::new(),
        alert_age_max: HOUR,
        expire_queued: HOUR,
        expire_held: HOUR,
        no_match_rows_per_second: 1000,
        cache: 0,
        join: JoinBounds { remembers: HOUR, waits, alerts: 1_000_000, bytes: 1 << 30 },
    };
    let store = Arc::new(SqliteStore::open(&dir.join("data"), 1000).unwrap());
    let rules = Arc::new(ArcSwap::from_pointee(in_force));
    Intake::new(settings, rules, store, clock, Arc::new(|_| {}), Arc::new(Some), metrics)
}

fn batches(metrics: &Metrics) -> usize {
    let page = metrics.encode();
    let count = "lazaret_intake_judge_seconds_count ";
    page.lines().find_map(|line| line.strip_prefix(count)).unwrap().parse().unwrap()
}

/// Lets six deliveries of this body wait before intake begins. In the order of the answers: the
/// delivery's number, and how many batches had been judged by then.
async fn answers(source: &str, body: String) -> Vec<(usize, usize)> {
    let dir = tempfile::tempdir().unwrap();
    let (clock, metrics) = (Arc::new(SystemClock::new()), Arc::new(Metrics::new()));
    let (send, deliveries) = mpsc::channel(6);
    let (answered, mut answers) = mpsc::channel(6);
    for number in 0..6 {
        let (answered, metrics) = (answered.clone(), metrics.clone());
        let delivery = Delivery {
            source: SourceName::new(source),
            body: Bytes::from(body.clone()),
            coordinates: Coordinates::Webhook { source: source.to_owned(), id: None },
            received: clock.now(),
            replay: None,
            flaw: None,
            follows: None,
            ack: Box::new(move |taken| {
                assert!(matches!(taken, Ok(Acknowledged::Taken(_))), "{taken:?}");
                answered.try_send((number, batches(&metrics))).unwrap();
            }),
        };
        send.try_send(delivery).unwrap();
    }
    drop((send, answered));
    intake(dir.path(), clock, metrics).run(deliveries).await;
    let mut all = Vec::new();
    while let Some(one) = answers.recv().await {
        all.push(one);
    }
    all
}

#[tokio::test]
async fn what_waits_is_judged_as_far_as_transactions_take_it_and_answered_in_order() {
    // With the delivery itself, half of what one transaction takes.
    let each = 1..INTAKE_WEIGHT / 2;
    let file = |n| json!({"entityType": "File", "sha1": format!("{n:040x}")});
    let files: Vec<_> = each.clone().map(file).collect();
    let of_files = json!({"id": "da1_1", "severity": "Low", "evidence": files}).to_string();
    let row = |n| {
        let (time, category) = ("2026-01-13T09:40:52Z", "AdvancedHunting-AlertInfo");
        let properties = json!({"AlertId": format!("da{n}_1"), "Timestamp": time});
        json!({"time": time, "category": category, "properties": properties}).to_string()
    };
    let of_rows = each.clone().map(row).collect::<Vec<_>>().join("\n");
    let bare = |n| json!({"id": format!("da{n}_1"), "severity": "Low"}).to_string();
    let of_alerts = each.clone().map(bare).collect::<Vec<_>>().join("\n");
    let unreadable = vec!["{}"; each.len()].join("\n");
    for (source, body) in
        [("siem", of_files), ("xdr", of_rows), ("siem", of_alerts), ("siem", unreadable)]
    {
        // One is being stored while the next is judged, and no third before the first is stored.
        let wanted = [(0, 2), (1, 2), (2, 3), (3, 3), (4, 3), (5, 3)];
        assert_eq!(answers(source, body).await, wanted, "{source}");
    }
}
