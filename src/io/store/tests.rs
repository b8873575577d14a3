//! The store in the words of the domain. Helpers that build deliveries and play a relay stand
//! here; each file below tests one promise.

mod intake;

mod partials;

mod lookups;

mod correlations;

mod promises;

mod offsets;

mod relay;

mod positions;

mod endings;

mod brakes;
mod damage;

mod opening;

mod group;

mod reports;

mod release;

mod protection;

mod feed;

mod law;

mod audit;
mod recall;

use std::time::Duration;

use uuid::Uuid;

use super::Db;
use crate::domain::action::{Approvals, Endings, Progress};
use crate::domain::action::{
    Begun, Class, ClosedAttempt, Coordinates, Depth, NewAttempt, State, StateName,
};
use crate::domain::audit::{Actor, Change, What};
use crate::domain::decision::{
    AlertAnswer, Content, Decision, Draft, Fate, Intent, Judged, JudgedDelivery, Outcome, Prepared,
    Receipt, Replay,
};
use crate::domain::guard::{Guard, NoGuard};
use crate::domain::ids::{
    ActionId, AttemptId, EffectKey, MachineActionId, MachineId, Sha1, SourceName, TenantName,
};
use crate::domain::scope::Scope;
use crate::domain::time::{Boot, BootId, Now, Stamp, Wall};
use crate::domain::vote::Voter;
use crate::io::{Resume, Resumption, StoreError, Taken};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const BOOT: BootId = BootId([7; 16]);

/// Some day in 2026.
fn start() -> Now {
    Now { boot: Boot(1_000_000_000), wall: Wall(1_790_000_000_000_000) }
}

fn wall() -> Wall {
    start().wall
}

fn contoso() -> TenantName {
    TenantName::new("contoso")
}

fn first(heads: usize) -> Depth {
    Depth { heads, counted: 100 }
}

fn id(number: u32) -> ActionId {
    ActionId(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)))
}

fn attempt_id(number: u32) -> AttemptId {
    AttemptId(Uuid::from_u128(0x0199_ffff_0000_7000_8000_0000_0000_0000 + u128::from(number)))
}

/// File `file` on machine `machine` of contoso.
fn effect(machine: u8, file: u8) -> EffectKey {
    EffectKey {
        tenant: contoso(),
        machine: MachineId::from_bytes([machine; 20]),
        sha1: Sha1::from_bytes([file; 20]),
    }
}

fn acts(number: u32, key: EffectKey) -> Draft {
    Draft {
        key,
        evidence: None,
        class: Class::Normal,
        window: DAY,
        intent: Intent::Act,
        rules: vec!["rule-1".to_owned()],
        approvals: Approvals::default(),
        endings: Endings::default(),
        breakers: Vec::new(),
        prepared: Some(Prepared {
            id: id(number),
            comment: "Stop and quarantine file on machine due to alert a-1".to_owned(),
            candidate: r#"{"file.name":"evil.exe","machine.group":null}"#.to_owned(),
            expires_queued: wall() + DAY,
            expires_held: wall() + 3 * DAY,
        }),
    }
}

fn holds(number: u32, key: EffectKey, why: crate::domain::action::HoldWhy) -> Draft {
    Draft { intent: Intent::Hold(why), ..acts(number, key) }
}

fn unknown_os() -> crate::domain::action::HoldWhy {
    crate::domain::action::HoldWhy::Unknown {
        rule: "rule-1".to_owned(),
        fields: vec!["machine.os".to_owned()],
        told: String::new(),
    }
}

fn judged(draft: Draft) -> Judged {
    Judged {
        machine: draft.key.machine.to_string(),
        sha1: draft.key.sha1.to_string(),
        outcome: Outcome::Draft(Box::new(draft)),
        counts: None,
    }
}

fn no_match() -> Judged {
    let decision = Decision::NoMatch { why: "rule-1: client".to_owned() };
    let outcome = Outcome::Settled(decision);
    Judged { machine: String::new(), sha1: String::new(), outcome, counts: None }
}

fn alert(judged: Vec<Judged>) -> Receipt {
    Receipt {
        tenant: Some(contoso()),
        alert_id: "a-1".to_owned(),
        content: Content::Judged(judged),
        raw: Some((*b"{\"id\":\"a-1\"}").into()),
        keep_row: true,
        joined: None,
    }
}

fn unreadable() -> Receipt {
    let content =
        Content::Unreadable { why: "it has no id".to_owned(), head: "{\"x\":1}".to_owned() };
    Receipt {
        tenant: None,
        alert_id: String::new(),
        content,
        raw: None,
        keep_row: true,
        joined: None,
    }
}

fn webhook(receipts: Vec<Receipt>) -> JudgedDelivery {
    JudgedDelivery {
        source: SourceName::new("siem"),
        coordinates: Coordinates::Webhook { source: "siem".to_owned(), id: None },
        received: wall(),
        replay: None,
        follows: None,
        ruleset: "hash-of-rules".to_owned(),
        receipts,
        joins: None,
        counting: None,
    }
}

/// One delivery with one alert with one candidate.
fn brings(draft: Draft) -> JudgedDelivery {
    webhook(vec![alert(vec![judged(draft)])])
}

fn from_kafka(offset: i64, delivery: JudgedDelivery) -> JudgedDelivery {
    let coordinates = Coordinates::Kafka {
        source: "xdr".to_owned(),
        topic: "defender".to_owned(),
        partition: 3,
        offset,
    };
    let follows = Some(offset);
    JudgedDelivery { source: SourceName::new("xdr"), coordinates, follows, ..delivery }
}

fn with_replay(number: u8, delivery: JudgedDelivery) -> JudgedDelivery {
    let replay = Replay { id: format!("msg_{number}"), keep_until: wall() + 15 * MINUTE };
    JudgedDelivery { replay: Some(replay), ..delivery }
}

fn later(span: Duration, delivery: JudgedDelivery) -> JudgedDelivery {
    JudgedDelivery { received: delivery.received + span, ..delivery }
}

/// A store in memory, and what one plays with it.
struct World {
    db: Db,
    now: Now,
    attempts: u32,
}

impl World {
    fn new() -> Self {
        Self::with(Db::in_memory(1_000_000).unwrap())
    }

    fn with(db: Db) -> Self {
        Self { db, now: start(), attempts: 0 }
    }

    fn take(&mut self, delivery: JudgedDelivery) -> Taken {
        self.db.intake(&[delivery]).unwrap().remove(0)
    }

    /// What one candidate of one delivery came to.
    fn decide(&mut self, delivery: JudgedDelivery) -> Decision {
        decision(&self.take(delivery))
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(BOOT, self.now)
    }

    fn begin(&mut self, action: ActionId) -> Begun {
        self.begin_under(action, &NoGuard)
    }

    fn begin_under(&mut self, action: ActionId, guard: &dyn Guard) -> Begun {
        self.attempts += 1;
        let send_by = Stamp::new(BOOT, self.now.later(Duration::from_secs(2)));
        let id = attempt_id(self.attempts);
        let attempt = NewAttempt { id, action, written: self.stamp(), send_by };
        self.db.begin(&attempt, guard).unwrap()
    }

    /// Closes the newest attempt.
    fn closed(&self, status: u16) -> ClosedAttempt {
        ClosedAttempt {
            id: attempt_id(self.attempts),
            closed: self.stamp(),
            answered: true,
            status: Some(status),
            text: String::new(),
        }
    }

    fn moved(&self, action: ActionId, from: StateName, to: State) -> Change {
        Change {
            tenant: Some(contoso()),
            actor: Actor::Lazaret,
            reason: "test".to_owned(),
            at: self.now.wall,
            what: What::Moved { action, from, to },
        }
    }

    fn shift(&mut self, action: ActionId, from: StateName, to: State) {
        let change = self.moved(action, from, to);
        assert_eq!(self.db.apply(None, &[change]).unwrap(), []);
    }

    /// Calls for a queued action and gets the answer 201.
    fn accepted(&mut self, action: ActionId) {
        assert!(matches!(self.begin(action), Begun::Written(_)));
        let closed = self.closed(201);
        let change = self.moved(action, StateName::InFlight, accepted(self.now.wall));
        assert_eq!(self.db.apply(Some(&closed), &[change]).unwrap(), []);
    }

    /// The whole life of a queued action, up to this end.
    fn ended(&mut self, action: ActionId, end: State) {
        self.accepted(action);
        self.shift(action, StateName::Accepted, end);
    }

    fn succeeded(&mut self, action: ActionId) {
        let completed = self.now.wall;
        self.ended(action, State::Succeeded { completed });
    }

    fn state(&mut self, action: ActionId) -> State {
        self.db.action(&action.to_string()).unwrap().unwrap().line.state
    }

    fn resume(&mut self, scope: &Scope) -> Resumption {
        let by = Voter { name: "token alice".to_owned(), personal: true };
        let (scope, reason, at) = (scope.clone(), "over".to_owned(), self.now.wall);
        self.db.unpause(&Resume { scope, by, reason, at }, &NoGuard).unwrap()
    }

    fn later(&mut self, span: Duration) {
        self.now = self.now.later(span);
    }

    fn expect_sound(&mut self) {
        assert_eq!(self.db.verify_chains().unwrap(), Vec::<String>::new());
        assert_eq!(self.db.verify_rows().unwrap(), Vec::<String>::new());
    }

    fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        self.db.connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    }
}

fn accepted(since: Wall) -> State {
    let machine_action = MachineActionId::parse("ma-1").unwrap();
    State::Accepted { machine_action, since, progress: Progress::Unsaid }
}

fn timed_out() -> State {
    State::TimedOut { error: "0x80190198, the machine never fetched it".to_owned() }
}

fn cancelled() -> State {
    State::Cancelled { why: "cancelled by lazaret".to_owned() }
}

fn held(why: crate::domain::action::HoldWhy) -> State {
    State::Held { why, approvals: Approvals::default() }
}

fn queued(not_before: Wall) -> State {
    State::Queued { not_before, tries: 0, busy_since: None }
}

fn alerts(taken: &Taken) -> &[AlertAnswer] {
    match taken {
        Taken::Done { answer, .. } | Taken::Replayed(answer) => &answer.alerts,
        other => panic!("not taken: {other:?}"),
    }
}

fn decision(taken: &Taken) -> Decision {
    alerts(taken)[0].candidates[0].decision.clone()
}

fn fate(taken: &Taken) -> Fate {
    alerts(taken)[0].fate
}

fn is_act(decision: &Decision, action: ActionId) -> bool {
    matches!(decision, Decision::Act { action: made, .. } if *made == action)
}

fn is_duplicate(decision: &Decision, of: ActionId) -> bool {
    matches!(decision, Decision::Duplicate { of: owner, .. } if *owner == of)
}

fn done(taken: &Taken) -> bool {
    matches!(taken, Taken::Done { .. })
}

fn full(taken: &Taken) -> bool {
    matches!(taken, Taken::Failed(StoreError::Full(_)))
}
