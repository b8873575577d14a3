//! A store with actions that wait to be called, filled through intake's own transaction.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lazaret::config::Config;
use lazaret::domain::action::{Approvals, Class, Coordinates, Endings};
use lazaret::domain::decision::{
    Content, Draft, Intent, Judged, JudgedDelivery, Outcome, Prepared, Receipt,
};
use lazaret::domain::ids::{ActionId, EffectKey, MachineId, Sha1, SourceName, TenantName};
use lazaret::domain::time::Wall;
use lazaret::io::clock::SystemClock;
use lazaret::io::store::Db;
use lazaret::io::{Clock as _, Taken};
use serde_json::json;

use super::alerts::{self, ACTING_ID, ACTS};

/// Files of one alert, each on a machine of its own.
const PER_ALERT: usize = 4;
const ALERTS_PER_COMMIT: usize = 256;
const DAY: Duration = Duration::from_secs(86_400);

/// Opens the store of a configuration, as the only one who does.
pub fn open(config: &Config) -> Db {
    Db::open(&config.store.sqlite, u64::MAX).unwrap_or_else(|why| panic!("{why}"))
}

/// Queues actions of contoso, numbered so: a tenth urgent, three tenths normal, the rest bulk.
/// Returns their ids.
pub fn fill(db: &mut Db, numbers: Range<usize>) -> Vec<ActionId> {
    let (now, clock) = (alerts::now(), SystemClock::new());
    let mut ids = Vec::with_capacity(numbers.len());
    let mut alerts = numbers.clone().step_by(PER_ALERT).map(|first| {
        let of_alert = first..numbers.end.min(first + PER_ALERT);
        let drafts = of_alert.map(|n| {
            let id = ActionId(clock.new_id());
            ids.push(id);
            draft(n, id, now)
        });
        delivery(first, drafts.collect(), now)
    });
    loop {
        let batch: Vec<JudgedDelivery> = alerts.by_ref().take(ALERTS_PER_COMMIT).collect();
        if batch.is_empty() {
            break;
        }
        let taken = db.intake(&batch).unwrap_or_else(|why| panic!("{why}"));
        assert!(taken.iter().all(|taken| matches!(taken, Taken::Done { .. })));
    }
    drop(alerts);
    ids
}

fn delivery(first: usize, candidates: Vec<Judged>, now: Wall) -> JudgedDelivery {
    let source = SourceName::new("siem");
    let coordinates = Coordinates::Webhook { source: "siem".into(), id: None };
    let raw: Arc<[u8]> = alerts::alert(first, 3, ACTS, now).into_bytes().into();
    let receipt = Receipt {
        tenant: Some(TenantName::new("contoso")),
        alert_id: alert_id(first),
        content: Content::Judged(candidates),
        raw: Some(raw),
        keep_row: true,
        joined: None,
    };
    JudgedDelivery::of(source, coordinates, now, "the rules", vec![receipt])
}

fn alert_id(n: usize) -> String {
    format!("da{:018}_-1364969609", n - n % PER_ALERT)
}

fn draft(n: usize, id: ActionId, now: Wall) -> Judged {
    let mut bytes = [0; 20];
    bytes[12..].copy_from_slice(&(n as u64 + 1).to_be_bytes());
    let key = EffectKey {
        tenant: TenantName::new("contoso"),
        machine: MachineId::from_bytes(bytes),
        sha1: Sha1::from_bytes(bytes),
    };
    let class = match n % 10 {
        0 => Class::Urgent,
        1..4 => Class::Normal,
        _ => Class::Bulk,
    };
    let (machine, sha1) = (key.machine.to_string(), key.sha1.to_string());
    let draft = Draft {
        key,
        evidence: Some(now),
        class,
        window: DAY,
        intent: Intent::Act,
        rules: vec![ACTING_ID.into()],
        approvals: Approvals::default(),
        endings: Endings::default(),
        breakers: Vec::new(),
        prepared: Some(Prepared {
            id,
            comment: format!("Quarantined due to alert {}", alert_id(n)),
            candidate: candidate(n, &sha1, now),
            expires_queued: now + DAY,
            expires_held: now + 3 * DAY,
        }),
    };
    Judged { machine, sha1, outcome: Outcome::Draft(Box::new(draft)), counts: None }
}

/// As intake keeps it.
fn candidate(n: usize, sha1: &str, now: Wall) -> String {
    json!({
        "alert.id": alert_id(n),
        "alert.title": "An active 'Wacatac' malware was detected while executing",
        "alert.severity": "High",
        "alert.severity_rank": 4,
        "alert.category": "Malware",
        "alert.created": now.to_string(),
        "machine.name": format!("pc{n}.middleeast.corp.contoso.example"),
        "file.name": "suspicious1.exe",
        "file.path": "C:\\Users\\temp123\\AppData\\Local\\Temp",
        "file.sha1": sha1,
        "file.entity": "File",
        "file.detection_status": ACTS,
    })
    .to_string()
}
