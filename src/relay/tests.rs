#![allow(clippy::disallowed_methods, reason = "these tests wait for real sockets and tasks")]
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use super::*;
use crate::domain::action::{
    Begun, Call, Class, Depth, Head, Heads, NewAttempt, Resumed, StateName,
};
use crate::domain::answer::{Answer, CancelAnswer, Fetched, ListQuery, Listing, Machines};
use crate::domain::audit::What;
use crate::domain::cancel::{Step, Wanted};
use crate::domain::decision::{Judge, JudgedDelivery};
use crate::domain::dispatcher::{Called, NotBegun};
use crate::domain::guard::NoGuard;
use crate::domain::ids::{ActionId, EffectKey, MachineActionId, MachineId, Sha1, SourceName};
use crate::domain::limiter::{Limit, Permit};
use crate::domain::scope::Scope;
use crate::domain::time::{Boot, BootId, Now, Wall};
use crate::domain::tracker::TrackerSettings;
use crate::io::recall::{FileReport, Recall, RecallStore, Withdrawn};
use crate::io::{
    ActionFilter, ActionLine, ActionReport, AuditLine, Ballot, ChainHead, MakeAttempt, Offsets,
    ReceiptFilter, ReceiptLine, Resume, Resumption, Retention, Standing, Summary, Taken, VoteLine,
};

/// What the relay did, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Did {
    Begin(u128),
    Call,
    Record(u128, StateName),
    FailedToRecord,
    Pause,
}

/// Store, Defender and clock in one: the other side of the relay.
struct World {
    did: UnboundedSender<Did>,
    queued: Mutex<Vec<Head>>,
    begun: Mutex<Begun>,
    failures: Mutex<VecDeque<StoreError>>,
    answer: Mutex<Answer>,
    /// An answer comes only while there is room in it.
    answers: Arc<Semaphore>,
    started: Instant,
    /// Microseconds that passed besides.
    waited: AtomicI64,
}

impl World {
    fn new() -> (Arc<Self>, UnboundedReceiver<Did>) {
        let (did, seen) = unbounded_channel();
        let machine_action = MachineActionId::parse("a").unwrap();
        let key = EffectKey {
            tenant: TenantName::new("contoso"),
            machine: MachineId::from_bytes([1; 20]),
            sha1: Sha1::from_bytes([2; 20]),
        };
        let world = Self {
            did,
            queued: Mutex::default(),
            begun: Mutex::new(Begun::Written(Call { key, comment: "c".to_owned() })),
            failures: Mutex::default(),
            answer: Mutex::new(Answer::Accepted { machine_action }),
            answers: Arc::new(Semaphore::new(1)),
            started: Instant::now(),
            waited: AtomicI64::new(0),
        };
        (Arc::new(world), seen)
    }

    fn queue(&self, n: u128) {
        self.queued.lock().unwrap().push(Head {
            action: ActionId(Uuid::from_u128(n)),
            class: Class::Urgent,
            sequence: 0,
            queued: Wall(0),
            not_before: Wall(0),
            expires: Wall(i64::MAX),
            tries: 0,
            busy_since: None,
        });
    }

    fn relay(self: &Arc<Self>) -> Relay {
        let minute = Duration::from_secs(60);
        let settings = DispatcherSettings {
            tenant: TenantName::new("contoso"),
            quarantine: vec![Limit::new(100, minute).unwrap()],
            reserve: 0,
            machine_actions: vec![Limit::new(100, minute).unwrap()],
            client_timeout: minute,
            tracker: TrackerSettings { every: minute, wait: minute, page: 100 },
        };
        let clocks = Clocks { boot_id: self.boot_id(), wall_trusted: true };
        let metrics = Arc::new(Metrics::new());
        let guard = Arc::new(NoGuard);
        let (store, api, clock) = (self.clone(), self.clone(), self.clone());
        Relay::new(settings, clocks, Ports { store, guard, api, clock }, Places::default(), metrics)
    }

    fn do_this(&self, did: Did) {
        let _ = self.did.send(did);
    }
}

fn at_once<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}

impl Clock for World {
    fn now(&self) -> Now {
        let micros = i64::try_from(self.started.elapsed().as_micros()).unwrap();
        let micros = micros + self.waited.load(Ordering::Relaxed);
        Now { boot: Boot(micros), wall: Wall(1_000_000_000 + micros) }
    }

    fn boot_id(&self) -> BootId {
        BootId([1; 16])
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

impl Api for World {
    fn quarantine(&self, _: Permit, _: Call, send_by: Boot) -> BoxFuture<'static, Answer> {
        assert!(self.now().boot < send_by, "what waits for the writer has its whole time");
        self.do_this(Did::Call);
        let answer = self.answer.lock().unwrap().clone();
        let answers = self.answers.clone();
        Box::pin(async move {
            let _room = answers.acquire().await.unwrap();
            answer
        })
    }

    fn machine_actions(&self, _: Permit, _: ListQuery) -> BoxFuture<'static, Listing> {
        at_once(Listing::Page { entries: Vec::new(), read: 0, next: false })
    }

    fn cancel(&self, _: Permit, _: MachineActionId, _: String) -> BoxFuture<'static, CancelAnswer> {
        unimplemented!("the relay cancels nothing")
    }

    fn alert(&self, _: Permit, _: String) -> BoxFuture<'static, Fetched<String>> {
        unimplemented!("the relay reads no alert")
    }

    fn machine(&self, _: Permit, _: MachineId) -> BoxFuture<'static, Fetched<String>> {
        unimplemented!("the relay reads no machine")
    }

    fn file(&self, _: Permit, _: Sha1) -> BoxFuture<'static, Fetched<String>> {
        unimplemented!("the relay reads no file")
    }

    fn machines(&self, _: Permit, _: String) -> BoxFuture<'static, Fetched<Machines>> {
        unimplemented!("the relay reads no machine")
    }
}

impl RecallStore for World {
    fn cancels(
        &self,
        _: &TenantName,
        _: usize,
    ) -> BoxFuture<'static, Result<Vec<Wanted>, StoreError>> {
        let fails = self.failures.lock().unwrap().pop_front();
        at_once(fails.map_or(Ok(Vec::new()), Err))
    }

    fn settle(&self, _: Vec<Step>, _: Wall) -> BoxFuture<'static, Result<(), StoreError>> {
        at_once(Ok(()))
    }

    fn recall(&self, _: Recall) -> BoxFuture<'static, Result<(), StoreError>> {
        unimplemented!("for people")
    }

    fn open_actions(&self, _: Sha1) -> BoxFuture<'static, Result<Vec<ActionId>, StoreError>> {
        unimplemented!("for people")
    }

    fn withdraw(
        &self,
        _: Recall,
        _: Vec<ActionId>,
    ) -> BoxFuture<'static, Result<Withdrawn, StoreError>> {
        unimplemented!("for people")
    }

    fn file(
        &self,
        _: Sha1,
        _: i64,
        _: usize,
    ) -> BoxFuture<'static, Result<FileReport, StoreError>> {
        unimplemented!("for people")
    }
}

impl Store for World {
    fn begin(
        &self,
        make: MakeAttempt,
        _: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<(NewAttempt, Begun), StoreError>> {
        // It waited long for the writer.
        self.waited.fetch_add(10 * limits::SEND_BY.as_micros() as i64, Ordering::Relaxed);
        let attempt = make();
        self.do_this(Did::Begin(attempt.action.0.as_u128()));
        self.queued.lock().unwrap().retain(|head| head.action != attempt.action);
        at_once(Ok((attempt, self.begun.lock().unwrap().clone())))
    }

    fn apply(
        &self,
        _: Option<ClosedAttempt>,
        changes: Vec<Change>,
    ) -> BoxFuture<'static, Result<Vec<Change>, StoreError>> {
        if let Some(error) = self.failures.lock().unwrap().pop_front() {
            self.queue(2);
            self.do_this(Did::FailedToRecord);
            return at_once(Err(error));
        }
        for change in changes {
            let What::Moved { action, to, .. } = change.what else { panic!("{change:?}") };
            self.do_this(Did::Record(action.0.as_u128(), to.name()));
        }
        at_once(Ok(Vec::new()))
    }

    fn heads(
        &self,
        _: &TenantName,
        class: Class,
        _: Wall,
        depth: Depth,
    ) -> BoxFuture<'static, Result<Heads, StoreError>> {
        let queued = self.queued.lock().unwrap();
        let due =
            queued.iter().filter(|head| head.class == class).take(depth.heads).cloned().collect();
        at_once(Ok(Heads { due, ..Heads::default() }))
    }

    fn expired(
        &self,
        _: &TenantName,
        _: Wall,
        _: usize,
    ) -> BoxFuture<'static, Result<Vec<(ActionId, StateName)>, StoreError>> {
        at_once(Ok(Vec::new()))
    }

    fn resume(
        &self,
        _: &TenantName,
        _: Now,
        _: Duration,
    ) -> BoxFuture<'static, Result<Resumed, StoreError>> {
        at_once(Ok(Resumed::default()))
    }

    fn pause(&self, _: Pause) -> BoxFuture<'static, Result<(), StoreError>> {
        self.do_this(Did::Pause);
        at_once(Ok(()))
    }

    fn mature(
        &self,
        _: Wall,
        _: Arc<dyn Judge>,
    ) -> BoxFuture<'static, Result<Vec<Taken>, StoreError>> {
        unimplemented!("the relay ends no waiting")
    }

    fn intake(&self, _: Vec<JudgedDelivery>) -> BoxFuture<'static, Result<Vec<Taken>, StoreError>> {
        unimplemented!("the relay takes nothing in")
    }

    fn offsets(&self, _: &SourceName) -> BoxFuture<'static, Result<Offsets, StoreError>> {
        unimplemented!("the relay knows no offsets")
    }

    fn unpause(
        &self,
        _: Resume,
        _: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<Resumption, StoreError>> {
        unreachable!()
    }

    fn vote(
        &self,
        _: Ballot,
        _: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<Vec<VoteLine>, StoreError>> {
        unreachable!()
    }

    fn release(
        &self,
        _: Resume,
        _: Vec<i64>,
        _: Arc<dyn Guard>,
    ) -> BoxFuture<'static, Result<Vec<VoteLine>, StoreError>> {
        unreachable!()
    }

    fn pauses(&self) -> BoxFuture<'static, Result<Vec<Pause>, StoreError>> {
        unimplemented!("for people")
    }

    fn standing(&self, _: Scope) -> BoxFuture<'static, Result<Standing, StoreError>> {
        unreachable!()
    }

    fn unsent(&self, _: Scope, _: Clocks, _: Now) -> BoxFuture<'static, Result<u64, StoreError>> {
        unimplemented!("for who pauses")
    }

    fn summary(&self) -> BoxFuture<'static, Result<Summary, StoreError>> {
        unimplemented!("for people")
    }

    fn actions(&self, _: ActionFilter) -> BoxFuture<'static, Result<Vec<ActionLine>, StoreError>> {
        unimplemented!("for people")
    }

    fn positioned(
        &self,
        _: Vec<ActionLine>,
        _: Wall,
    ) -> BoxFuture<'static, Result<Vec<ActionLine>, StoreError>> {
        unimplemented!("for people")
    }

    fn action(&self, _: &str) -> BoxFuture<'static, Result<Option<ActionReport>, StoreError>> {
        unimplemented!("for people")
    }

    fn receipts(
        &self,
        _: ReceiptFilter,
    ) -> BoxFuture<'static, Result<Vec<ReceiptLine>, StoreError>> {
        unimplemented!("for people")
    }

    fn heads_of_chains(&self) -> BoxFuture<'static, Result<Vec<ChainHead>, StoreError>> {
        unimplemented!("for the keeper")
    }

    fn audit(&self, _: i64, _: usize) -> BoxFuture<'static, Result<Vec<AuditLine>, StoreError>> {
        unimplemented!("for people")
    }

    fn purge(&self, _: Retention, _: Wall) -> BoxFuture<'static, Result<u64, StoreError>> {
        unimplemented!("for the keeper")
    }
}

const LONG: Duration = Duration::from_secs(60);

async fn next(seen: &mut UnboundedReceiver<Did>) -> Did {
    tokio::time::timeout(LONG, seen.recv()).await.expect("it happens").expect("the world is there")
}

/// Begun, called and recorded as accepted.
async fn expect_accepted(seen: &mut UnboundedReceiver<Did>, n: u128) {
    for did in [Did::Begin(n), Did::Call, Did::Record(n, StateName::Accepted)] {
        assert_eq!(next(seen).await, did);
    }
}

#[tokio::test]
async fn a_nudge_leads_to_a_call_and_its_answer_is_recorded() {
    let (world, mut seen) = World::new();
    let relay = world.relay();
    let (nudge, status, shutdown) = (relay.nudge(), relay.status(), CancellationToken::new());
    let running = tokio::spawn(relay.run(shutdown.clone(), LONG));
    world.queue(1);
    nudge.work();
    expect_accepted(&mut seen, 1).await;
    shutdown.cancel();
    assert_eq!(running.await.unwrap(), Ok(()));
    assert_eq!(status.answers()["accepted"], 1);
    assert_eq!((status.snapshot().followed, status.snapshot().in_flight), (1, 0));
}

#[tokio::test]
async fn nothing_is_called_while_what_happened_is_not_recorded() {
    let (world, mut seen) = World::new();
    world.queue(1);
    *world.failures.lock().unwrap() =
        [StoreError::Io("disk full".to_owned()), StoreError::Io("disk full".to_owned())].into();
    let relay = world.relay();
    let (nudge, shutdown) = (relay.nudge(), CancellationToken::new());
    let running = tokio::spawn(relay.run(shutdown.clone(), LONG));
    for did in [Did::Begin(1), Did::Call, Did::FailedToRecord] {
        assert_eq!(next(&mut seen).await, did);
    }
    // The second one is queued now.
    nudge.work();
    for did in [Did::FailedToRecord, Did::Record(1, StateName::Accepted)] {
        assert_eq!(next(&mut seen).await, did);
    }
    expect_accepted(&mut seen, 2).await;
    shutdown.cancel();
    assert_eq!(running.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn what_no_retry_mends_stops_the_tenant_and_is_told() {
    let (world, mut seen) = World::new();
    world.queue(1);
    let damaged = StoreError::Corrupt("it does not read".to_owned());
    *world.failures.lock().unwrap() = [damaged.clone(), damaged].into();
    let relay = world.relay();
    let (status, shutdown) = (relay.status(), CancellationToken::new());
    let running = tokio::spawn(relay.run(shutdown.clone(), LONG));
    for did in [Did::Begin(1), Did::Call, Did::FailedToRecord, Did::FailedToRecord] {
        assert_eq!(next(&mut seen).await, did);
    }
    let told = status.why_stuck().concat();
    let wanted = "could not record what happened: it does not read; no retry mends that: `lazaret";
    assert!(told.starts_with(wanted), "{told}");
    assert_eq!(next(&mut seen).await, Did::Record(1, StateName::Accepted));
    shutdown.cancel();
    assert_eq!(running.await.unwrap(), Ok(()));
    assert_eq!(status.why_stuck(), Vec::<String>::new());
}

#[tokio::test]
async fn what_keeps_cancels_from_being_made_is_told_in_the_status_of_the_relay() {
    let (world, _seen) = World::new();
    let full = StoreError::Full(9);
    *world.failures.lock().unwrap() = [full].into();
    let (status, shutdown) = (Arc::new(RelayStatus::default()), CancellationToken::new());
    let canceller = Canceller {
        tenant: TenantName::new("contoso"),
        limits: vec![Limit::new(100, Duration::from_secs(60)).unwrap()],
        store: world.clone(),
        api: world.clone(),
        clock: world.clone(),
        places: Places::default(),
        nudge: Nudge::default(),
        status: status.clone(),
    };
    let running = tokio::spawn(canceller.run(shutdown.clone()));
    let becomes = async |stuck: bool| {
        while status.why_stuck().is_empty() == stuck {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, becomes(true)).await.expect("it is told");
    let told = status.why_stuck().concat();
    assert!(told.starts_with("could not read what is to be cancelled: "), "{told}");
    tokio::time::timeout(LONG, becomes(false)).await.expect("it is over");
    shutdown.cancel();
    assert_eq!(running.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_stop_waits_for_the_answers_of_calls_in_flight() {
    let (world, mut seen) = World::new();
    world.queue(1);
    world.answers.forget_permits(1);
    let relay = world.relay();
    let (nudge, shutdown) = (relay.nudge(), CancellationToken::new());
    let running = tokio::spawn(relay.run(shutdown.clone(), LONG));
    for did in [Did::Begin(1), Did::Call] {
        assert_eq!(next(&mut seen).await, did);
    }
    shutdown.cancel();
    world.queue(2);
    nudge.work();
    world.answers.add_permits(1);
    assert_eq!(running.await.unwrap(), Ok(()));
    assert_eq!(next(&mut seen).await, Did::Record(1, StateName::Accepted));
    assert!(seen.is_empty(), "nothing new is begun");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let (world, mut seen) = World::new();
    world.queue(1);
    world.answers.forget_permits(1);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(world.relay().run(shutdown.clone(), Duration::ZERO));
    for did in [Did::Begin(1), Did::Call] {
        assert_eq!(next(&mut seen).await, did);
    }
    shutdown.cancel();
    assert_eq!(running.await.unwrap(), Err(RelayError::NotFinished));
}

#[tokio::test]
async fn a_missing_permission_pauses_the_tenant_durably() {
    let (world, mut seen) = World::new();
    world.queue(1);
    let (code, text) = ("Forbidden".to_owned(), "403 Forbidden".to_owned());
    *world.answer.lock().unwrap() = Answer::Refused { status: 403, code, text };
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(world.relay().run(shutdown.clone(), LONG));
    let did = [Did::Begin(1), Did::Call, Did::Record(1, StateName::Queued), Did::Pause];
    for did in did {
        assert_eq!(next(&mut seen).await, did);
    }
    shutdown.cancel();
    assert_eq!(running.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_closed_store_ends_the_relay() {
    let (world, _seen) = World::new();
    world.queue(1);
    world.failures.lock().unwrap().push_back(StoreError::Closed);
    let ended = world.relay().run(CancellationToken::new(), LONG).await;
    assert_eq!(ended, Err(RelayError::StoreClosed));
}

#[tokio::test]
async fn nothing_is_sent_that_is_not_written() {
    for refused in [Begun::Paused("paused".to_owned()), Begun::Expired, Begun::Corrupt] {
        let (world, mut seen) = World::new();
        *world.begun.lock().unwrap() = refused.clone();
        let action = ActionId(Uuid::from_u128(1));
        let event = world.relay().hands.call(Permit::for_tests(), action).await;
        let Event::Called { called: Called::NotBegun(why), .. } = event else { panic!() };
        assert_eq!(why, NotBegun::Refused(refused));
        assert_eq!(seen.try_recv(), Ok(Did::Begin(1)));
        assert!(seen.is_empty());
    }
}
