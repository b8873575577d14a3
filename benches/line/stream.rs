//! Rows of a stream: joined and judged in memory, through the store, and a million of them waiting.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lazaret::domain::action::Coordinates;
use lazaret::domain::alert::Alert;
use lazaret::domain::decision::{Content, From, JoinBounds, Joins, Judge, JudgedDelivery, Receipt};
use lazaret::domain::gather::{Kept, gather};
use lazaret::domain::ids::{SourceName, TenantName};
use lazaret::domain::join::{Row, Waits};
use lazaret::domain::rule::{Judgement, Mode, Ruleset};
use lazaret::domain::time::Wall;
use lazaret::formats::{self, Streamed};
use lazaret::io::Store as _;
use lazaret::io::store::SqliteStore;
use lazaret::traffic::{self, RULE, SAMPLE, Shape};
use rusqlite::OptionalExtension as _;

use super::table::{self, Rounds, Target};
use super::{Scale, runtime};

const INCIDENTS: u64 = 2000;
const OPEN: usize = 1_000_000;
const HOUR: Duration = Duration::from_secs(3600);

/// Judges as intake does, and makes nothing of it.
struct Judged {
    rules: Ruleset,
    bounds: JoinBounds,
    acts: AtomicU64,
}

impl Judge for Judged {
    fn judge(&self, alert: Alert<'_>, _: Option<String>, from: &From<'_>) -> Vec<Receipt> {
        let mut alert = alert;
        formats::came_by(&mut alert, from.tenant.as_str(), from.source.as_str(), from.at);
        let acts = alert.candidates.iter().filter(|candidate| {
            matches!(self.rules.judge(&candidate.fields, Mode::Enforce), Judgement::Act(_))
        });
        self.acts.fetch_add(acts.count() as u64, Ordering::Relaxed);
        vec![Receipt {
            tenant: Some(from.tenant.clone()),
            alert_id: alert.id.into_owned(),
            content: Content::Judged(Vec::new()),
            raw: None,
            keep_row: false,
            joined: None,
        }]
    }

    fn bounds(&self) -> &JoinBounds {
        &self.bounds
    }

    fn read_up_to(&self) -> Wall {
        Wall(i64::MAX)
    }

    fn keeps_odd_row(&self, _: Wall) -> bool {
        true
    }

    fn ruleset(&self) -> &str {
        ""
    }
}

pub fn run(scale: Scale) {
    let now = Duration::from_secs(1_790_000_000);
    let incidents = INCIDENTS / scale.divisor as u64;
    let settings =
        traffic::Settings { seed: 1, incidents, shape: Shape::DefenderXdr, tenants: 3, now };
    let messages = traffic::generate(&settings).messages;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let judge = Arc::new(Judged {
        rules: rules(dir.path()),
        bounds: JoinBounds {
            remembers: 24 * HOUR,
            waits: Waits { settle: Duration::from_secs(120), expire: HOUR / 2 },
            alerts: 2_000_000,
            bytes: 1 << 40,
        },
        acts: AtomicU64::new(0),
    });
    in_memory(scale, &messages, &judge);
    durable(scale, &messages, &judge, dir.path());
    open(scale, &judge, dir.path());
}

fn rules(dir: &Path) -> Ruleset {
    let rules = dir.join("rules");
    let sample = rules.join(SAMPLE.0);
    std::fs::create_dir_all(sample.parent().expect("it has one")).expect("a directory");
    std::fs::write(sample, SAMPLE.1).expect("written");
    std::fs::write(rules.join("generated.yml"), RULE).expect("written");
    lazaret::rules::load(&rules, Wall(0)).unwrap_or_else(|why| panic!("{why}")).ruleset
}

fn rows_of(message: &str) -> Vec<(TenantName, Row)> {
    let read = formats::rows(message.as_bytes()).expect("it is JSON");
    let row = |one: Streamed| Some((TenantName::new(&one.tenant_id?), one.row.ok()?));
    read.into_iter().filter_map(Result::ok).filter_map(row).collect()
}

fn records_of(message: &str) -> usize {
    formats::split(message.as_bytes()).expect("it is JSON").len()
}

fn in_memory(scale: Scale, messages: &[String], judge: &Arc<Judged>) {
    let records: usize = messages.iter().map(|message| records_of(message)).sum();
    let bytes: usize = messages.iter().map(String::len).sum();
    let (mut parse, mut join) = (Rounds::default(), Rounds::default());
    for _ in 0..scale.pairs {
        let began = Instant::now();
        messages.iter().for_each(|message| plainly(message));
        parse.push(records as f64 / began.elapsed().as_secs_f64());
        let began = Instant::now();
        joined(messages, judge);
        join.push(records as f64 / began.elapsed().as_secs_f64());
    }
    assert!(judge.acts.load(Ordering::Relaxed) > 0, "some act");
    table::heading(
        "6. Rows of a stream decoded, joined and judged, without the store",
        &[
            &format!("{records} records of {} bytes; one thread", bytes / records),
            "beside parsing them, and AdditionalFields of files, processes and machines",
        ],
    );
    table::columns("records/s", "× Value");
    table::row("serde_json::Value", &parse, &parse, Target::None);
    table::row("joined and judged", &join, &parse, Target::AtLeast(0.8));
}

/// What a program does that reads everything and joins nothing.
fn plainly(message: &str) {
    for value in serde_json::Deserializer::from_str(message).into_iter::<serde_json::Value>() {
        let value = value.expect("it is JSON");
        let one = std::slice::from_ref(&value);
        let records =
            value.get("records").and_then(|all| all.as_array()).map_or(one, Vec::as_slice);
        for record in records {
            let entity = record.pointer("/properties/EntityType").and_then(|text| text.as_str());
            let fields = record.pointer("/properties/AdditionalFields");
            if let (Some("File" | "Process" | "Machine"), Some(fields)) = (entity, fields) {
                let fields = fields
                    .as_str()
                    .and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
                black_box(fields);
            }
        }
        black_box(&value);
    }
}

fn joined(messages: &[String], judge: &Arc<Judged>) {
    let mut known: HashMap<(TenantName, String), Kept> = HashMap::new();
    let source = SourceName::new("xdr");
    let coordinates = at(0);
    let received = Wall(1_790_000_000_000_000);
    for message in messages {
        let mut alerts: HashMap<(TenantName, String), Vec<Row>> = HashMap::new();
        for (tenant, row) in rows_of(message) {
            alerts.entry((tenant, row.alert.clone())).or_default().push(row);
        }
        for ((tenant, alert), rows) in alerts {
            let from =
                From { tenant: &tenant, source: &source, coordinates: &coordinates, at: received };
            let kept = known.remove(&(tenant.clone(), alert.clone()));
            let gathered = gather(kept, &alert, rows, &from, &**judge);
            known.insert((tenant, alert), gathered.kept);
        }
    }
    black_box(known.len());
}

fn at(offset: i64) -> Coordinates {
    let (source, topic) = ("xdr".to_owned(), "defender".to_owned());
    Coordinates::Kafka { source, topic, partition: 0, offset }
}

fn delivery(offset: i64, rows: Vec<(TenantName, Row)>, judge: &Arc<Judged>) -> JudgedDelivery {
    JudgedDelivery {
        source: SourceName::new("xdr"),
        coordinates: at(offset),
        received: Wall(1_790_000_000_000_000),
        replay: None,
        follows: (offset > 0).then_some(offset),
        ruleset: String::new(),
        receipts: Vec::new(),
        joins: Some(Joins { rows, judge: judge.clone() }),
        counting: None,
    }
}

/// As intake commits them: up to 256 messages in a transaction.
fn durable(scale: Scale, messages: &[String], judge: &Arc<Judged>, dir: &Path) {
    let mut rounds = Rounds::default();
    for round in 0..scale.pairs {
        let store = SqliteStore::open(&dir.join(format!("store.{round}")), 1 << 40).expect("opens");
        let runtime = runtime();
        let (mut rows, mut offset) = (0, 0);
        let began = Instant::now();
        for batch in messages.chunks(64) {
            let mut deliveries = Vec::new();
            for message in batch {
                let of = rows_of(message);
                rows += of.len();
                deliveries.push(delivery(offset, of, judge));
                offset += 1;
            }
            runtime.block_on(store.intake(deliveries)).expect("it is taken");
        }
        rounds.push(rows as f64 / began.elapsed().as_secs_f64());
        runtime.block_on(store.close());
    }
    table::heading("7. Rows of alerts joined in the store", &["decoded, joined, synced"]);
    table::columns("rows/s", "/ 10000");
    let mut ten = Rounds::default();
    ten.push(10_000.0);
    table::row("durable", &rounds, &ten, Target::AtLeast(1.0));
}

/// Alerts whose rows never complete them.
fn open(scale: Scale, judge: &Arc<Judged>, dir: &Path) {
    let count = OPEN / scale.divisor;
    let dir = dir.join("open");
    let store = SqliteStore::open(&dir, 1 << 40).expect("opens");
    let runtime = runtime();
    let before = resident();
    let sample = r#"{"tenantId":"t","category":"AdvancedHunting-AlertEvidence","properties":{
        "AlertId":"ALERT","EntityType":"File","Timestamp":"2026-09-21T00:00:00Z",
        "SHA1":"87662bc3d60e4200ceaf7aae249d1c343f4b83c9","FileName":"evil.exe",
        "FolderPath":"C:\\temp","DeviceId":"1e5bc9d7e413ddd7902c2932e418702b84d0cc07"}}"#;
    let id =
        |number: usize| format!("da{:016x}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for (piece, first) in (0..count).step_by(2000).enumerate() {
        let rows = (first..count.min(first + 2000))
            .flat_map(|number| rows_of(&sample.replace("ALERT", &id(number))));
        let deliveries = vec![delivery(piece as i64, rows.collect(), judge)];
        runtime.block_on(store.intake(deliveries)).expect("it is taken");
    }
    let grown = resident() - before;
    let reader = rusqlite::Connection::open(dir.join("lazaret.db")).expect("opens");
    let mut select = reader
        .prepare("SELECT body FROM partials WHERE tenant = 't' AND alert = ?1")
        .expect("as the store asks");
    let mut took = Vec::new();
    for number in 0..10_000_usize.min(count) {
        let alert = id(number * 7919 % count);
        let began = Instant::now();
        let found: Option<String> =
            select.query_row([&alert], |row| row.get(0)).optional().expect("it reads");
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        assert!(found.is_some(), "{alert} is open");
    }
    let p99 = table::quantile(&took, 0.99);
    table::heading(
        "8. Alerts that wait for rows",
        &[&format!("{} of them, one row each", table::number(count as f64))],
    );
    println!(
        "  {:<36}{grown:>10.1} MB  {}",
        "growth of VmRSS",
        Target::AtMost(50.0).verdict(grown)
    );
    println!("  {:<36}{p99:>10.3} ms  {}", "lookup, p99", Target::AtMost(1.0).verdict(p99));
    runtime.block_on(store.close());
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux shows it");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) * 1024.0 / 1e6
}
