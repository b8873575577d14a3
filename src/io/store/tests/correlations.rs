//! What correlations count: on disk, with the tenant in every key, and bounded.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::action::HoldWhy;
use crate::domain::alert::Alert;
use crate::domain::candidate::Field;
use crate::domain::correlation::{Correlation, Count, Counts, Kind, Matched, Seen};
use crate::domain::decision::{Counting, From, JoinBounds, Joins, Judge};
use crate::domain::join::Waits;
use crate::io::Retention;
use crate::limits::{CORRELATION_GROUP_EVENTS, CORRELATION_TENANT_EVENTS};

const SPREADS: &str = "spreads";

/// The same file on three machines within an hour.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) of: Correlation,
    pub(super) hash: String,
    /// Those whose base rule no longer matches.
    pub(super) gone: Vec<u8>,
}

pub(super) fn rules() -> Rules {
    let (rules, group_by) = (vec!["base".to_owned()], vec![Field::FileSha1]);
    let kind = Kind::Values(Field::MachineId);
    let of = Correlation { kind, rules, group_by, timespan: HOUR, at_least: 3 };
    Rules { of, hash: "rules-1".to_owned(), gone: Vec::new() }
}

impl Counting for Rules {
    fn correlation(&self, rule: &str) -> Option<&Correlation> {
        rule.starts_with(SPREADS).then_some(&self.of)
    }

    fn kept_until(&self, of: &Correlation, time: Wall) -> Wall {
        time + DAY + of.timespan
    }

    fn recount(&self, rule: &str, base: &str, candidate: &str, _: Wall) -> Option<Count> {
        let numbers: [u8; 2] = serde_json::from_str(candidate).ok()?;
        let [machine, file] = numbers;
        let (rule, base) = (rule.to_owned(), base.to_owned());
        let count = Count { rule, base, group: file.to_string(), value: machine.to_string() };
        (!self.gone.contains(&machine)).then_some(count)
    }

    fn correlated(&self, matched: &Matched, at: Wall) -> Vec<Receipt> {
        let judged = matched.events.iter().map(|event| {
            let (machine, sha1) = (event.machine, event.sha1);
            let key = EffectKey { tenant: matched.tenant.clone(), machine, sha1 };
            let number = u32::from(machine.as_bytes()[0]) << 8 | u32::from(sha1.as_bytes()[0]);
            let number = number | u32::from(matched.tenant.as_str() != "contoso") << 16;
            let mut draft = acts(number, key);
            draft.rules = [vec![event.rule.clone()], event.bases.clone()].concat();
            if let Some(bound) = event.full.clone() {
                let why = HoldWhy::Correlation { rule: event.rule.clone(), bound };
                draft.intent = Intent::Hold(why);
            }
            if let Some(prepared) = &mut draft.prepared {
                prepared.expires_queued = at + DAY;
            }
            judged(draft)
        });
        let judged = judged.collect();
        let (tenant, alert_id) = (Some(matched.tenant.clone()), matched.alert.clone());
        vec![Receipt { tenant, alert_id, raw: None, ..alert(judged) }]
    }

    fn counted_by(&self) -> &str {
        &self.hash
    }
}

/// A candidate that counts, `minutes` after the start.
pub(super) fn seen(machine: u8, file: u8, minutes: u32) -> Judged {
    let key = effect(machine, file);
    let candidate = format!("[{machine},{file}]");
    let counts = Counts {
        machine: key.machine,
        sha1: key.sha1,
        time: wall() + minutes * MINUTE,
        kept: Vec::new(),
        evidence: None,
        counts: rules().recount(SPREADS, "base", &candidate, wall()).into_iter().collect(),
        candidate: Arc::from(candidate),
    };
    Judged { counts: Some(Box::new(counts)), ..no_match() }
}

pub(super) fn alert_of(id: &str, judged: Vec<Judged>) -> Receipt {
    Receipt { alert_id: id.to_owned(), raw: None, ..alert(judged) }
}

pub(super) fn counted_by(rules: Rules, delivery: JudgedDelivery) -> JudgedDelivery {
    JudgedDelivery { counting: Some(Arc::new(rules)), ..delivery }
}

pub(super) fn brings_one(id: &str, judged: Judged) -> JudgedDelivery {
    counted_by(rules(), webhook(vec![alert_of(id, vec![judged])]))
}

pub(super) fn told(taken: &Taken) -> Vec<(String, Fate)> {
    alerts(taken).iter().map(|alert| (alert.alert.clone(), alert.fate)).collect()
}

pub(super) fn why(taken: &Taken) -> String {
    match decision(taken) {
        Decision::NoMatch { why } => why,
        other => panic!("{other:?}"),
    }
}

fn named(all: &[(&str, Fate)]) -> Vec<(String, Fate)> {
    all.iter().map(|(alert, fate)| ((*alert).to_owned(), *fate)).collect()
}

impl World {
    /// Events kept, of them matched; the counters agree with the rows.
    pub(super) fn events(&self) -> (i64, i64) {
        let number =
            |sql: &str| -> i64 { self.db.connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        let kept = number("SELECT count(*) FROM events");
        assert_eq!(number("SELECT coalesce(sum(events), 0) FROM counted"), kept);
        let received = number("SELECT coalesce(sum(count), 0) FROM received");
        assert_eq!(received, number("SELECT coalesce(sum(count), 0) FROM counters"));
        (kept, number("SELECT coalesce(sum(matched), 0) FROM events"))
    }

    fn alerts_acted_on(&self) -> Vec<(String, String)> {
        let select = "SELECT alert, delivery FROM actions JOIN origins USING (sequence)
             ORDER BY alert";
        let mut select = self.db.connection.prepare(select).unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

#[test]
fn the_third_machine_within_an_hour_acts_on_all_three() {
    let mut world = World::new();
    let mut first = brings_one("a", seen(1, 1, 0));
    first.source = SourceName::new("first");
    first.coordinates = Coordinates::Webhook { source: "first".to_owned(), id: None };
    let taken = world.take(first);
    assert_eq!(told(&taken), named(&[("a", Fate::NoMatch)]));
    assert_eq!(why(&taken), "counts for rule spreads: 1 of 3 machine.id within 1h");
    let taken = world.take(brings_one("b", seen(2, 1, 30)));
    assert_eq!(why(&taken), "counts for rule spreads: 2 of 3 machine.id within 1h");
    // Of another file, and of the same machine again.
    world.take(brings_one("x", seen(3, 2, 30)));
    let taken = world.take(brings_one("y", seen(2, 1, 31)));
    assert_eq!(why(&taken), "counts for rule spreads: 2 of 3 machine.id within 1h");
    assert_eq!((world.events(), world.count("actions")), ((4, 0), 0));
    let taken = world.take(brings_one("c", seen(3, 1, 60)));
    assert_eq!(why(&taken), "counts for rule spreads: 3 of 3 machine.id within 1h");
    // The first one's own source is told of it, and not this one; its relay is woken all the same.
    let all =
        [("c", Fate::NoMatch), ("b", Fate::Acted), ("y", Fate::Duplicate), ("c", Fate::Acted)];
    let mut told = told(&taken);
    told[1..].sort();
    let mut wanted = named(&all);
    wanted[1..].sort();
    assert_eq!(told, wanted);
    assert!(matches!(&taken, Taken::Done { answer, effects }
        if answer.acts_elsewhere && effects.len() == 4));
    let Decision::Act { rules, .. } = &alerts(&taken)[1].candidates[0].decision else { panic!() };
    assert_eq!(rules, &["spreads", "base"]);
    assert_eq!(world.events(), (5, 4));
    let acted = world.alerts_acted_on();
    assert_eq!(acted.len(), 3);
    assert!(acted[0].0 == "a" && acted[0].1.contains("first"), "each points at its own: {acted:?}");
    // One more joins them, one after the hour does not.
    let taken = world.take(brings_one("d", seen(4, 1, 70)));
    assert_eq!(world.count("actions"), 4, "{taken:?}");
    let taken = world.take(brings_one("e", seen(5, 1, 200)));
    assert_eq!(why(&taken), "counts for rule spreads: 1 of 3 machine.id within 1h");
    world.expect_sound();
}

#[test]
fn what_comes_again_is_the_same_event() {
    let mut world = World::new();
    for _ in 0..3 {
        let taken = world.take(brings_one("a", seen(1, 1, 0)));
        assert_eq!(why(&taken), "counts for rule spreads: 1 of 3 machine.id within 1h");
    }
    world.take(brings_one("b", seen(2, 1, 0)));
    world.take(brings_one("c", seen(3, 1, 0)));
    assert_eq!((world.events(), world.count("actions")), ((3, 3), 3));
    let taken = world.take(brings_one("c", seen(3, 1, 0)));
    assert_eq!(told(&taken), named(&[("c", Fate::NoMatch)]));
    assert_eq!(world.events(), (3, 3));
    world.expect_sound();
}

#[test]
fn events_of_one_delivery_count_together_and_those_of_two_tenants_never() {
    let mut world = World::new();
    let other = TenantName::new("fabrikam");
    let judged = vec![seen(1, 1, 0), seen(2, 1, 0)];
    world.take(counted_by(rules(), webhook(vec![alert_of("a", judged)])));
    let mut of_other = alert_of("b", vec![seen(3, 1, 0)]);
    of_other.tenant = Some(other.clone());
    world.take(counted_by(rules(), webhook(vec![of_other.clone()])));
    assert_eq!(world.count("actions"), 0);
    let all = vec![of_other, alert_of("c", vec![seen(3, 1, 0)])];
    let taken = world.take(counted_by(rules(), webhook(all)));
    assert_eq!((world.events(), world.count("actions")), ((4, 3), 3), "{taken:?}");
}

#[test]
fn a_delivery_that_is_not_taken_counts_nothing() {
    let mut world = World::with(Db::in_memory(1).unwrap());
    world.take(brings_one("a", seen(1, 1, 0)));
    world.take(brings_one("b", seen(2, 1, 0)));
    assert!(full(&world.take(brings_one("c", seen(3, 1, 0)))));
    assert_eq!((world.events(), world.count("actions")), ((2, 0), 0));
    // One that has to be prepared first.
    let mut unprepared = acts(9, effect(9, 9));
    unprepared.prepared = None;
    let mut delivery = brings_one("d", seen(4, 5, 0));
    delivery.receipts.push(alert(vec![judged(unprepared)]));
    assert!(matches!(world.take(delivery), Taken::NotPrepared));
    assert_eq!(world.events(), (2, 0));
}

#[test]
fn what_counts_no_more_by_the_rules_of_now_is_dropped_before_anything_acts() {
    let mut world = World::new();
    world.take(brings_one("a", seen(1, 1, 0)));
    world.take(brings_one("b", seen(2, 1, 0)));
    let changed = Rules { hash: "rules-2".to_owned(), gone: vec![1], ..rules() };
    let third = webhook(vec![alert_of("c", vec![seen(3, 1, 0)])]);
    let taken = world.take(counted_by(changed.clone(), third));
    assert_eq!(why(&taken), "counts for rule spreads: 2 of 3 machine.id within 1h");
    assert_eq!((world.events(), world.count("actions")), ((2, 0), 0));
    let fourth = webhook(vec![alert_of("d", vec![seen(4, 1, 0)])]);
    world.take(counted_by(changed, fourth));
    assert_eq!((world.events(), world.count("actions")), ((3, 3), 3));
}

#[test]
fn at_its_bound_a_group_holds_what_it_can_not_count() {
    let mut world = World::new();
    let many = u32::try_from(CORRELATION_GROUP_EVENTS).unwrap();
    let batch = (0..many).map(|n| alert_of(&format!("a{n}"), vec![seen(1, 1, 0)]));
    world.take(counted_by(rules(), webhook(batch.collect())));
    assert_eq!(world.events(), (i64::from(many), 0));
    let taken = world.take(brings_one("b", seen(2, 1, 0)));
    assert_eq!(why(&taken), "rule spreads has 250 events of one group already");
    assert_eq!(told(&taken)[1], ("b".to_owned(), Fate::Held));
    let Decision::Hold { why, .. } = &alerts(&taken)[1].candidates[0].decision else { panic!() };
    assert_eq!(why.as_str(), "correlation");
    // What is of no use any more makes room by itself.
    let later = wall() + DAY + 2 * HOUR;
    let minutes = 26 * 60;
    let fresh = JudgedDelivery { received: later, ..brings_one("c", seen(3, 1, minutes)) };
    world.take(fresh);
    // Those that can share no window with it take no room, and go in time.
    assert_eq!(world.events(), (251, 0));
}

#[test]
fn at_its_bound_a_tenant_holds_what_it_can_not_count() {
    let mut world = World::new();
    world.take(brings_one("a", seen(1, 1, 0)));
    let most = CORRELATION_TENANT_EVENTS;
    world.db.connection.execute("UPDATE counted SET events = ?1", [most]).unwrap();
    let taken = world.take(brings_one("b", seen(2, 2, 0)));
    assert_eq!(told(&taken)[1], ("b".to_owned(), Fate::Held));
    assert_eq!(why(&taken), "rule spreads has 100000 events of this tenant already");
}

#[test]
fn an_event_is_kept_until_it_can_not_matter_any_more() {
    let mut world = World::new();
    world.take(brings_one("a", seen(1, 1, 0)));
    let kept = DAY + HOUR;
    let retention = Retention { fates: DAY, actions: DAY, unreadable: DAY, partials: DAY };
    let purge = |world: &mut World, at: Wall| {
        world.db.purge(&retention, at).unwrap();
        world.events().0
    };
    assert_eq!(purge(&mut world, wall() + kept - MINUTE), 1);
    assert_eq!(purge(&mut world, wall() + kept), 0);
    let late = JudgedDelivery { received: wall() + kept, ..brings_one("b", seen(2, 1, 0)) };
    assert_eq!(why(&world.take(late)), "too old to count for rule spreads");
    assert_eq!(world.events().0, 0);
}

/// Judges what a join completes: it counts.
struct CountsAll(Rules, JoinBounds);

impl Judge for CountsAll {
    fn judge(&self, alert: Alert<'_>, _: Option<String>, _: &From<'_>) -> Vec<Receipt> {
        vec![alert_of(&alert.id, vec![seen(3, 1, 0)])]
    }

    fn bounds(&self) -> &JoinBounds {
        &self.1
    }

    fn read_up_to(&self) -> Wall {
        Wall(i64::MAX)
    }

    fn keeps_odd_row(&self, _: Wall) -> bool {
        true
    }

    fn ruleset(&self) -> &str {
        &self.0.hash
    }

    fn counting(&self) -> Option<&dyn Counting> {
        Some(&self.0)
    }
}

#[test]
fn what_a_join_completes_or_a_look_up_answers_counts_too() {
    let mut world = World::new();
    world.take(brings_one("a", seen(1, 1, 0)));
    let waits = Waits { settle: MINUTE, expire: HOUR };
    let bounds = JoinBounds { waits, alerts: 100, bytes: 1 << 20, remembers: DAY };
    let judge = Arc::new(CountsAll(rules(), bounds));
    let rows = vec![(contoso(), super::partials::file_row("j", None, 1))];
    let joins = Joins { rows, judge: judge.clone() };
    world.take(JudgedDelivery { joins: Some(joins), ..webhook(Vec::new()) });
    let taken = world.db.mature(wall() + 2 * HOUR, &*judge).unwrap();
    assert_eq!(why(&taken[0]), "counts for rule spreads: 2 of 3 machine.id within 1h");
    world.take(webhook(vec![super::lookups::asks("da1")]));
    let receipt = super::super::lookups::wanted(&world.db.connection, &contoso(), 1).unwrap();
    let mut answered = brings_one("da1", seen(2, 1, 0));
    answered.receipts[0].joined = Some(answered.source.clone());
    let taken = world.db.looked_up(receipt[0].receipt, &answered).unwrap();
    assert_eq!(told(&taken).len(), 4, "{taken:?}");
    assert_eq!((world.events(), world.count("actions")), ((3, 3), 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The same as the pure function over all at once, however they come.
    #[test]
    fn rows_match_as_the_pure_function_does_over_all_of_them(
        events in prop::collection::btree_set((0_u8..8, 1_u8..6, 1_u8..3), 0..20),
        minutes in prop::collection::vec(0_u32..240, 200),
        order in any::<prop::sample::Index>(),
        pieces in prop::collection::vec(1_usize..5, 20),
    ) {
        let time = |(alert, machine, _): (u8, u8, u8)| {
            minutes[usize::from(alert) * 8 + usize::from(machine)]
        };
        let mut all: Vec<_> = events.iter().copied().collect();
        if !all.is_empty() {
            let by = order.index(all.len());
            all.rotate_left(by);
        }
        let mut world = World::new();
        let mut left = &all[..];
        for piece in pieces {
            let (now, after) = left.split_at(piece.min(left.len()));
            left = after;
            let receipts = now.iter().map(|&event| {
                let (alert, machine, file) = event;
                alert_of(&format!("a{alert}"), vec![seen(machine, file, time(event))])
            });
            world.take(counted_by(rules(), webhook(receipts.collect())));
        }
        let mut promised = BTreeSet::new();
        for file in 1..3 {
            let group: Vec<_> = all.iter().filter(|event| event.2 == file).collect();
            let values: Vec<String> = group.iter().map(|event| event.1.to_string()).collect();
            let seen: Vec<Seen<'_>> = group.iter().zip(&values).map(|(event, says)| {
                Seen { time: wall() + time(**event) * MINUTE, says }
            }).collect();
            let most = rules().of.most(&seen).into_iter().zip(&group);
            promised.extend(most.filter(|(most, _)| *most >= 3).map(|(_, event)| {
                (format!("a{}", event.0), vec![event.1; 20], vec![event.2; 20])
            }));
        }
        let select = "SELECT alert, machine, sha1 FROM events WHERE matched = 1";
        let mut select = world.db.connection.prepare(select).unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let matched: BTreeSet<(String, Vec<u8>, Vec<u8>)> =
            rows.unwrap().collect::<Result<_, _>>().unwrap();
        drop(select);
        prop_assert_eq!(matched, promised);
        world.events();
    }
}
