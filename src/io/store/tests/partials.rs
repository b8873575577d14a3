//! Alerts whose rows come one by one: what waits is on disk, and counted.

use std::sync::Arc;

use super::*;
use crate::domain::alert::Alert;
use crate::domain::candidate::{Field, Fields};
use crate::domain::decision::{From, JoinBounds, Joins, Judge};
use crate::domain::join::{File, Part, Row, Stated, Waits};
use crate::io::ReceiptFilter;

const WAITS: Waits = Waits { settle: MINUTE, expire: HOUR };

/// Wants action on whatever is complete.
struct ActsOnAll {
    bounds: JoinBounds,
    read_up_to: Wall,
}

impl Judge for ActsOnAll {
    fn judge(&self, alert: Alert<'_>, lacks: Option<String>, from: &From<'_>) -> Vec<Receipt> {
        let one = |machine: Option<MachineId>, sha1: Option<Sha1>| {
            let incomplete = |what: &str| {
                let decision = Decision::Incomplete { what: what.to_owned() };
                let (machine, sha1) = Default::default();
                let outcome = Outcome::Settled(decision);
                Judged { machine, sha1, outcome, counts: None }
            };
            match (&lacks, machine, sha1) {
                (Some(what), ..) => incomplete(what),
                (None, Some(machine), Some(sha1)) => {
                    let tenant = from.tenant.clone();
                    let number = u32::from(machine.as_bytes()[0]) << 8;
                    let number = number | u32::from(sha1.as_bytes()[0]);
                    judged(acts(number, EffectKey { tenant, machine, sha1 }))
                }
                _ => incomplete("its machine"),
            }
        };
        let mut judged: Vec<_> = alert
            .candidates
            .iter()
            .map(|pair| one(pair.machine.clone().ok(), pair.sha1.clone().ok()))
            .collect();
        if judged.is_empty() && lacks.is_some() {
            judged.push(one(None, None));
        }
        vec![Receipt {
            tenant: Some(from.tenant.clone()),
            alert_id: alert.id.into_owned(),
            content: Content::Judged(judged),
            raw: None,
            keep_row: true,
            joined: None,
        }]
    }

    fn bounds(&self) -> &JoinBounds {
        &self.bounds
    }

    fn read_up_to(&self) -> Wall {
        self.read_up_to
    }

    fn keeps_odd_row(&self, _: Wall) -> bool {
        true
    }

    fn ruleset(&self) -> &str {
        "hash-of-rules"
    }
}

fn judge() -> Arc<ActsOnAll> {
    bounded(1000, 1 << 20)
}

fn bounded(alerts: u64, bytes: u64) -> Arc<ActsOnAll> {
    let bounds = JoinBounds { waits: WAITS, alerts, bytes, remembers: DAY };
    Arc::new(ActsOnAll { bounds, read_up_to: Wall(i64::MAX) })
}

fn snapshot(field: Field, text: &str) -> String {
    let mut fields = Fields::default();
    fields.set_text(field, text.to_owned());
    serde_json::to_string(&fields).unwrap()
}

fn of(alert: &str, part: Part) -> Row {
    Row { alert: alert.to_owned(), time: wall(), part }
}

fn info(alert: &str) -> Row {
    let fields = snapshot(Field::AlertId, alert);
    of(alert, Part::Alert { created: Some(wall()), fields })
}

fn machine_row(alert: &str, machine: u8) -> Row {
    let fields = snapshot(Field::MachineName, "ws");
    of(alert, Part::Machine { machine: Ok(MachineId::from_bytes([machine; 20])), fields })
}

pub(super) fn file_row(alert: &str, machine: Option<u8>, file: u8) -> Row {
    let machine = match machine {
        Some(number) => Stated::Is(MachineId::from_bytes([number; 20])),
        None => Stated::Nothing,
    };
    let sha1 = Ok(Sha1::from_bytes([file; 20]));
    let key = format!("{machine:?}|{file}");
    let fields = snapshot(Field::FileEntity, "File");
    of(alert, Part::File(File { key, machine, sha1, since: Some(wall()), fields }))
}

fn with(judge: &Arc<ActsOnAll>, rows: Vec<Row>) -> JudgedDelivery {
    let rows = rows.into_iter().map(|row| (contoso(), row)).collect();
    JudgedDelivery { joins: Some(Joins { rows, judge: judge.clone() }), ..webhook(Vec::new()) }
}

fn rows(rows: Vec<Row>) -> JudgedDelivery {
    with(&judge(), rows)
}

fn told(taken: &Taken) -> Vec<(String, Fate)> {
    alerts(taken).iter().map(|alert| (alert.alert.clone(), alert.fate)).collect()
}

impl World {
    /// Received, fates together, and what waits: the first is the sum of the others, always.
    fn balance(&mut self) -> (i64, i64, i64) {
        let number = |sql: &str| self.db.connection.query_row(sql, [], |row| row.get(0)).unwrap();
        let received: i64 = number("SELECT coalesce(sum(count), 0) FROM received");
        let fates: i64 = number("SELECT coalesce(sum(count), 0) FROM counters");
        let waits: i64 = number("SELECT count(*) FROM partials WHERE due IS NOT NULL");
        assert_eq!(received, fates + waits, "received, fates {fates}, waiting {waits}");
        let (alerts, bytes): (i64, i64) = self
            .db
            .connection
            .query_row("SELECT count(*), coalesce(sum(bytes), 0) FROM partials", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        let held = self.db.connection.query_row(
            "SELECT coalesce(sum(alerts), 0), coalesce(sum(bytes), 0) FROM joins",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        );
        assert_eq!(held.unwrap(), (alerts, bytes), "what the join holds");
        (received, fates, waits)
    }

    fn mature(&mut self, after: Duration) -> Vec<Taken> {
        self.db.mature(wall() + after, &*judge()).unwrap()
    }
}

#[test]
fn rows_of_several_deliveries_become_one_action() {
    let mut world = World::new();
    let taken = world.take(rows(vec![file_row("a", Some(1), 1)]));
    assert_eq!(told(&taken), [("a".to_owned(), Fate::Waiting)]);
    assert_eq!(world.balance(), (1, 0, 1));
    let taken = world.take(rows(vec![info("a")]));
    assert_eq!(told(&taken), [("a".to_owned(), Fate::Acted)]);
    assert_eq!((world.balance(), world.count("actions")), ((1, 1, 0), 1));
    // Published again, it tells nothing; late evidence is a new receipt.
    let taken = world.take(rows(vec![file_row("a", Some(1), 1), info("a")]));
    assert_eq!(told(&taken), [("a".to_owned(), Fate::Duplicate)]);
    assert_eq!((world.balance(), world.count("actions")), ((1, 1, 0), 1));
    let taken = world.take(rows(vec![file_row("a", Some(2), 1)]));
    assert_eq!(told(&taken), [("a".to_owned(), Fate::Acted)]);
    assert_eq!((world.balance(), world.count("actions")), ((2, 2, 0), 2));
    world.expect_sound();
}

#[test]
fn alerts_of_one_delivery_and_of_one_batch_are_kept_apart() {
    let mut world = World::new();
    let batch = [
        rows(vec![info("a"), file_row("b", Some(2), 2), machine_row("a", 1)]),
        rows(vec![info("b"), file_row("a", Some(1), 1)]),
    ];
    let taken = world.db.intake(&batch).unwrap();
    let waiting = |alert: &str| (alert.to_owned(), Fate::Waiting);
    assert_eq!(told(&taken[0]), [waiting("a"), waiting("b")]);
    let acted = |alert: &str| (alert.to_owned(), Fate::Acted);
    assert_eq!(told(&taken[1]), [acted("a"), acted("b")]);
    assert_eq!((world.balance(), world.count("actions")), ((2, 2, 0), 2));
}

#[test]
fn what_is_judged_at_once_does_not_wait_for_what_can_not_be() {
    let mut world = World::new();
    let all =
        vec![info("a"), machine_row("a", 1), file_row("a", Some(1), 1), file_row("a", None, 2)];
    let taken = world.take(rows(all));
    assert_eq!(told(&taken), [("a".to_owned(), Fate::Acted)]);
    assert_eq!(world.balance(), (2, 1, 1), "what still waits is a receipt of its own");
    assert!(world.mature(MINUTE - Duration::from_secs(1)).is_empty());
    let ended = world.mature(MINUTE);
    assert_eq!(told(&ended[0]), [("a".to_owned(), Fate::Acted)]);
    assert_eq!((world.balance(), world.count("actions")), ((2, 2, 0), 2));
    assert!(world.mature(DAY).is_empty());
}

#[test]
fn what_never_completes_ends_as_incomplete_with_a_row() {
    let mut world = World::new();
    world.take(rows(vec![file_row("a", Some(1), 1)]));
    world.take(rows(vec![machine_row("b", 1)]));
    world.take(rows(vec![info("c"), file_row("c", None, 1)]));
    world.take(rows(vec![info("d")]));
    assert!(world.mature(HOUR - Duration::from_secs(1)).is_empty());
    let ended = world.mature(HOUR);
    let fates: Vec<_> = ended.iter().flat_map(told).collect();
    let fate = |alert: &str, fate| (alert.to_owned(), fate);
    assert_eq!(
        fates,
        [
            fate("a", Fate::Incomplete),
            fate("b", Fate::Incomplete),
            fate("c", Fate::Incomplete),
            fate("d", Fate::NoMatch)
        ]
    );
    assert_eq!((world.balance(), world.count("receipts")), ((4, 4, 0), 4));
    // What was missing comes after all.
    let taken = world.take(later(2 * HOUR, rows(vec![info("a")])));
    assert_eq!(told(&taken), [fate("a", Fate::Acted)]);
    assert_eq!(world.balance(), (5, 5, 0));
}

#[test]
fn a_delivery_for_which_the_queue_is_full_leaves_its_alert_as_it_was() {
    let mut world = World::with(Db::in_memory(1).unwrap());
    world.take(rows(vec![info("a"), file_row("a", Some(1), 1)]));
    let fails = rows(vec![info("b"), file_row("b", Some(2), 2)]);
    assert!(matches!(world.take(fails.clone()), Taken::Failed(StoreError::Full(1))));
    assert_eq!(world.balance(), (1, 1, 0));
    // So does one whose time has come.
    world.take(rows(vec![info("c"), machine_row("c", 3), file_row("c", None, 3)]));
    assert!(matches!(world.mature(MINUTE)[..], [Taken::Failed(StoreError::Full(1))]));
    assert_eq!(world.balance(), (2, 1, 1));
    world.db.connection.execute("UPDATE states SET count = 0", []).unwrap();
    assert_eq!(told(&world.take(fails)), [("b".to_owned(), Fate::Acted)]);
}

#[test]
fn what_waits_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = Db::open(dir.path(), 100).unwrap();
    db.intake(&[rows(vec![file_row("a", Some(1), 1)])]).unwrap();
    drop(db);
    let mut db = Db::open(dir.path(), 100).unwrap();
    let taken = db.intake(&[rows(vec![info("a")])]).unwrap();
    assert_eq!(told(&taken[0]), [("a".to_owned(), Fate::Acted)]);
}

#[test]
fn sources_share_the_alerts_of_a_tenant_and_each_counts_its_own() {
    let mut world = World::new();
    let of =
        |source: &str, delivery| JudgedDelivery { source: SourceName::new(source), ..delivery };
    world.take(of("info", rows(vec![info("a")])));
    world.take(of("evidence", rows(vec![file_row("a", Some(1), 1), file_row("a", None, 2)])));
    world.take(of("evidence", rows(vec![file_row("a", Some(1), 3)])));
    let by_source = |table: &str| {
        let sql = format!("SELECT source, sum(count) FROM {table} GROUP BY source ORDER BY source");
        let mut select = world.db.connection.prepare(&sql).unwrap();
        let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
        rows.unwrap().collect::<Result<Vec<(String, i64)>, _>>().unwrap()
    };
    // What waits was opened by the first.
    assert_eq!(by_source("received"), [("evidence".to_owned(), 0), ("info".to_owned(), 3)]);
    assert_eq!(by_source("counters"), [("info".to_owned(), 2)]);
    // Another tenant's alert of the same id is another alert.
    let mut other = rows(vec![file_row("a", Some(9), 9)]);
    other.joins.as_mut().unwrap().rows[0].0 = TenantName::new("fabrikam");
    assert_eq!(told(&world.take(other)), [("a".to_owned(), Fate::Waiting)]);
    world.balance();
}

#[test]
fn a_redelivered_message_tells_nothing_twice() {
    let mut world = World::new();
    let first = from_kafka(0, rows(vec![info("a"), file_row("a", Some(1), 1)]));
    let first = JudgedDelivery { follows: None, ..first };
    assert!(matches!(world.take(first.clone()), Taken::Done { .. }));
    assert!(matches!(world.take(first), Taken::Replayed(_)));
    assert_eq!((world.balance(), world.count("actions")), ((1, 1, 0), 1));
}

#[test]
fn the_join_is_bounded_in_alerts_and_in_bytes() {
    for judge in [bounded(2, 1 << 20), bounded(1000, 600)] {
        let mut world = World::new();
        world.take(with(&judge, vec![info("told"), file_row("told", Some(1), 1)]));
        world.take(with(&judge, vec![file_row("a", Some(1), 1)]));
        // The oldest that waits for nothing is forgotten for a new one.
        world.take(with(&judge, vec![file_row("b", Some(1), 1)]));
        assert_eq!((world.balance(), world.count("partials")), ((3, 1, 2), 2));
        // Then a new one finds no room, and what is known goes on.
        let taken = world.take(with(&judge, vec![info("c"), info("a")]));
        let fates = told(&taken);
        assert!(fates.contains(&("c".to_owned(), Fate::Incomplete)), "{fates:?}");
        assert!(fates.contains(&("a".to_owned(), Fate::Duplicate)), "{fates:?}");
        assert_eq!((world.balance(), world.count("partials")), ((4, 3, 1), 2));
    }
}

#[test]
fn what_waits_for_nothing_is_forgotten_after_a_while() {
    let mut world = World::new();
    world.take(rows(vec![info("a"), file_row("a", Some(1), 1)]));
    world.take(rows(vec![file_row("b", Some(1), 1)]));
    let nothing = 400 * DAY;
    let retention = crate::io::Retention {
        fates: nothing,
        actions: nothing,
        unreadable: nothing,
        partials: DAY,
    };
    world.db.purge(&retention, wall() + DAY - MINUTE).unwrap();
    assert_eq!(world.count("partials"), 2);
    world.db.purge(&retention, wall() + 2 * DAY).unwrap();
    assert_eq!(world.count("partials"), 1, "what waits is ended first");
    world.balance();
}

#[test]
fn one_that_does_not_read_ends_and_stops_no_other() {
    let mut world = World::new();
    world.take(rows(vec![file_row("a", Some(1), 1)]));
    world.take(rows(vec![file_row("b", Some(2), 2)]));
    world.db.connection.execute("UPDATE partials SET body = '{' WHERE alert = 'a'", []).unwrap();
    let fates: Vec<_> = world.mature(HOUR).iter().flat_map(told).collect();
    assert_eq!(fates.len(), 2, "{fates:?}");
    assert!(fates.iter().all(|(_, fate)| *fate == Fate::Incomplete), "{fates:?}");
    let received: i64 = world
        .db
        .connection
        .query_row("SELECT sum(count) FROM received", [], |row| row.get(0))
        .unwrap();
    assert_eq!(received, 2);
    // Its rows that come later begin anew.
    let taken = world.take(later(2 * HOUR, rows(vec![info("a"), file_row("a", Some(1), 1)])));
    assert_eq!(told(&taken), [("a".to_owned(), Fate::Acted)]);
}

#[test]
fn what_the_clock_ends_is_not_heard_from_its_source() {
    let mut world = World::new();
    world.take(rows(vec![file_row("a", Some(1), 1)]));
    world.mature(HOUR);
    let newest = world.db.connection.query_row("SELECT newest FROM received", [], |row| row.get(0));
    assert_eq!(newest, Ok(wall()));
}

#[test]
fn what_lies_unread_keeps_alerts_from_settling_and_expiring() {
    let mut world = World::new();
    world.take(rows(vec![info("a"), machine_row("a", 1), file_row("a", None, 1)]));
    world.take(rows(vec![file_row("b", Some(1), 1)]));
    let behind = Arc::new(ActsOnAll { bounds: judge().bounds, read_up_to: wall() });
    assert!(world.db.mature(wall() + DAY, &*behind).unwrap().is_empty());
    // A row that comes late, and tells nothing new, ends nothing either.
    let again = later(HOUR, with(&behind, vec![machine_row("a", 1)]));
    assert_eq!(told(&world.take(again)), [("a".to_owned(), Fate::Waiting)]);
    assert_eq!(world.balance(), (2, 0, 2));
    assert_eq!(world.mature(DAY).len(), 2);
}

fn fates_of(taken: &[Taken]) -> Vec<(String, Fate)> {
    taken.iter().flat_map(told).collect()
}

/// 1000 files of unknown machine, then one more row, that names machine 2.
#[test]
fn a_row_too_many_is_remembered_however_messages_are_cut() {
    let base = || {
        let mut all = vec![info("a"), machine_row("a", 1)];
        for number in 0..crate::limits::JOIN_FILES_PER_ALERT {
            let Row { part: Part::File(file), .. } = file_row("a", None, 1) else { panic!() };
            all.push(of("a", Part::File(File { key: number.to_string(), ..file })));
        }
        all
    };
    let one_more = || file_row("a", Some(2), 9);
    let mut results = Vec::new();
    for apart in [false, true] {
        let mut world = World::new();
        if apart {
            world.take(rows(base()));
            let t = world.take(rows(vec![one_more()]));
            assert_eq!(told(&t), [("a".to_owned(), Fate::Incomplete)]);
        } else {
            let mut all = base();
            all.push(one_more());
            world.take(rows(all));
        }
        let ended = world.mature(MINUTE);
        results.push((fates_of(&ended), world.count("actions")));
    }
    assert_eq!(results[0], results[1], "in one message, and in two");
    assert_eq!(results[1].1, 0);
}

#[test]
fn a_row_for_which_there_was_no_room_named_another_machine() {
    let judge = bounded(1, 1 << 20);
    let mut world = World::new();
    world.take(with(&judge, vec![file_row("other", Some(1), 1)]));
    let t = world.take(with(&judge, vec![machine_row("a", 2)]));
    assert_eq!(told(&t), [("a".to_owned(), Fate::Incomplete)]);
    world.take(with(&judge, vec![info("other")])); // ends: there is room
    let t = world.take(with(&judge, vec![info("a"), machine_row("a", 1), file_row("a", None, 3)]));
    assert_eq!(told(&t), [("a".to_owned(), Fate::Waiting)]);
    let ended = world.mature(MINUTE);
    assert_ne!(fates_of(&ended), [("a".to_owned(), Fate::Acted)], "two machines were named");
}

#[test]
fn mentions_alone_have_a_fate_or_a_counter() {
    let mut world = World::new();
    let t = world.take(rows(vec![of("a", Part::Mention(Ok(MachineId::from_bytes([2; 20]))))]));
    assert_ne!(told(&t), [("a".to_owned(), Fate::Duplicate)], "it is no duplicate of anything");
}

#[test]
fn forgotten_under_pressure() {
    let judge = bounded(1, 1 << 20);
    let mut world = World::new();
    world.take(with(
        &judge,
        vec![info("a"), machine_row("a", 1), machine_row("a", 2), file_row("a", None, 3)],
    ));
    let ended = world.db.mature(wall() + MINUTE, &*judge).unwrap();
    assert_eq!(fates_of(&ended), [("a".to_owned(), Fate::Incomplete)]);
    // Another alert needs the room; then a is published again but for one of its machines.
    world.take(with(&judge, vec![file_row("b", Some(1), 1), info("b")]));
    world.take(with(&judge, vec![info("a"), machine_row("a", 1), file_row("a", None, 3)]));
    let ended = world.mature(MINUTE);
    assert_ne!(fates_of(&ended), [("a".to_owned(), Fate::Acted)]);
}

#[test]
fn what_was_kept_does_not_read_and_named_another_machine() {
    let mut world = World::new();
    world.take(rows(vec![info("a"), machine_row("a", 2)]));
    world.db.connection.execute("UPDATE partials SET body = '{' WHERE alert = 'a'", []).unwrap();
    world.take(rows(vec![info("a"), machine_row("a", 1), file_row("a", None, 3)]));
    let ended = world.mature(MINUTE);
    assert_ne!(fates_of(&ended), [("a".to_owned(), Fate::Acted)]);
}

#[test]
fn what_waits_is_found_among_the_receipts() {
    let mut world = World::new();
    world.take(rows(vec![info("a"), machine_row("a", 1), file_row("a", None, 3)]));
    let of = |world: &mut World, alert: Option<&str>, fate| {
        let alert_id = alert.map(str::to_owned);
        let filter = ReceiptFilter { alert_id, fate, source: None, limit: 10 };
        let lines = world.db.receipts(&filter).unwrap();
        lines.into_iter().map(|line| (line.alert, line.fate)).collect::<Vec<_>>()
    };
    let waits = [("a".to_owned(), Fate::Waiting)];
    assert_eq!(of(&mut world, None, Some(Fate::Waiting)), waits);
    assert_eq!(of(&mut world, Some("a"), None), waits);
    assert!(of(&mut world, Some("b"), None).is_empty());
    assert!(of(&mut world, None, None).is_empty(), "it has no fate yet");
    world.mature(MINUTE);
    assert!(of(&mut world, None, Some(Fate::Waiting)).is_empty());
}
