//! The first loop: deliveries become receipts, decisions and actions, and are acknowledged last.
//!
//! Batches are pipelined: while the store commits one, the next is decoded and judged.

mod asked;
mod asker;
mod asking;
mod counting;
mod judge;
mod nearest;
mod read_up;
mod source;
mod touched;
mod unjudged;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::mpsc;

use crate::domain::breaker::TenantBreakers;
use crate::domain::decision::{Answered, JoinBounds, JudgedDelivery};
use crate::domain::ids::{ActionId, EffectKey, SourceName, TenantName};
use crate::domain::lookup::Budgets;
use crate::domain::rule::{Mode, Ruleset};
use crate::domain::time::Boot;
use crate::formats::Formats;
use crate::io::lookups::LookupStore;
use crate::io::places::Places;
use crate::io::{Ack, Acknowledged, Api, Clock, Delivery, NotTaken, Store, StoreError, Taken};
use crate::limits::{
    INTAKE_BATCH, INTAKE_PIPELINE, INTAKE_WEIGHT, JOIN_LOOK_EVERY, MISSES_PER_SECOND,
    ODD_ROWS_PER_SECOND,
};
use crate::metrics::Metrics;

pub use asker::Asker;
pub use asking::Asking;
use judge::Judging;
use read_up::ReadUp;
pub use source::Source;

/// What intake has to know of the configuration.
pub struct Settings {
    pub sources: HashMap<SourceName, Source>,
    /// The ceiling over every rule's own mode.
    pub ceiling: Mode,
    /// Over all actions of each tenant.
    pub breakers: HashMap<TenantName, TenantBreakers>,
    /// Older alerts end as `too old`.
    pub alert_age_max: Duration,
    pub expire_queued: Duration,
    pub expire_held: Duration,
    /// Rows of `no match` kept in a second; beyond, they are only counted.
    pub no_match_rows_per_second: u32,
    /// Entries of the cache that predicts duplicates; 0 turns it off.
    pub cache: u64,
    pub join: JoinBounds,
}

/// Tells a tenant's relay that there may be work in the store. Carries nothing else.
pub type Nudge = Arc<dyn Fn(&TenantName) + Send + Sync>;

/// Until when all is read that sources had published; asked at this moment, `None` where something
/// is not. Rows that lie unread would else be taken for rows that did not come.
pub type ReadUpTo = Arc<dyn Fn(Boot) -> Option<Boot> + Send + Sync>;

/// What alerts are read and judged by. Swapped as one: a rule never meets formats of another set.
pub struct InForce {
    pub ruleset: Ruleset,
    pub formats: Formats,
}

/// The first loop. It ends when every sender of deliveries is gone and all they sent is settled.
pub struct Intake {
    shared: Arc<Shared>,
    rules: Arc<ArcSwap<InForce>>,
    store: Arc<dyn Store>,
}

/// What judging needs beside rules and formats.
struct Shared {
    settings: Settings,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    nudge: Nudge,
    read_by_sources: ReadUpTo,
    /// As a wall time: when all that was published was read last.
    read_up_to: AtomicI64,
    asking: Arc<Asking>,
    predicted: Cache<EffectKey, ActionId>,
    /// Of what matched nothing.
    rows: source::RowAllowance,
    /// Of what could not be judged whole.
    odd_rows: source::RowAllowance,
    /// Of alerts that nothing matched, those for which the nearest rule is looked for.
    misses: source::RowAllowance,
}

/// A batch on its way through the store.
struct Commit {
    deliveries: Vec<Delivery>,
    taken: Result<Vec<Taken>, StoreError>,
}

impl Commit {
    fn failed(deliveries: Vec<Delivery>) -> Self {
        Self { deliveries, taken: Err(StoreError::Io("a failpoint struck".to_owned())) }
    }
}

impl Intake {
    pub fn new(
        settings: Settings,
        rules: Arc<ArcSwap<InForce>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        nudge: Nudge,
        read_by_sources: ReadUpTo,
        metrics: Arc<Metrics>,
    ) -> Self {
        // LRU: the default policy may refuse new entries when full, and would then predict less
        // and less.
        let predicted = Cache::builder()
            .max_capacity(settings.cache)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let no_match = source::RowAllowance::new(settings.no_match_rows_per_second);
        let odd_rows = source::RowAllowance::new(ODD_ROWS_PER_SECOND);
        let shared = Shared {
            settings,
            clock,
            metrics,
            nudge,
            read_by_sources,
            read_up_to: AtomicI64::new(i64::MIN),
            asking: Arc::default(),
            predicted,
            rows: no_match,
            odd_rows,
            misses: source::RowAllowance::new(MISSES_PER_SECOND),
        };
        Self { shared: Arc::new(shared), rules, store }
    }

    /// Whoever asks Defender for one tenant, so that what intake lets wait is judged.
    pub fn asker(
        &self,
        tenant: TenantName,
        store: Arc<dyn LookupStore>,
        api: Arc<dyn Api>,
        places: Places,
        budgets: Budgets,
    ) -> Asker {
        let (shared, rules) = (self.shared.clone(), self.rules.clone());
        Asker { shared, rules, tenant, store, api, places, budgets }
    }

    /// Of all tenants' askers.
    pub fn asking(&self) -> Arc<Asking> {
        self.shared.asking.clone()
    }

    /// Takes deliveries until all senders are gone.
    pub async fn run(self, mut deliveries: mpsc::Receiver<Delivery>) {
        let mut look = tokio::time::interval(JOIN_LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut commits: FuturesOrdered<BoxFuture<'static, Commit>> = FuturesOrdered::new();
        let mut batch = Vec::with_capacity(INTAKE_BATCH);
        let mut waiting = VecDeque::new();
        let mut open = true;
        let mut read_up = ReadUp::default();
        while open || !commits.is_empty() {
            while !waiting.is_empty() && commits.len() < INTAKE_PIPELINE {
                commits.push_back(self.take(&mut waiting));
            }
            tokio::select! {
                Some(commit) = commits.next(), if !commits.is_empty() => {
                    self.settle(commit).await;
                }
                received = deliveries.recv_many(&mut batch, INTAKE_BATCH),
                    if open && commits.len() < INTAKE_PIPELINE =>
                {
                    open = received > 0;
                    waiting.extend(batch.drain(..));
                }
                _ = look.tick() => self.mature(&mut read_up).await,
            }
        }
    }

    /// Ends what has waited long enough for the rest of its rows.
    async fn mature(&self, read_up: &mut ReadUp) {
        failpoint!("intake.mature");
        let settle = self.shared.settings.join.waits.settle;
        let now = self.shared.clock.now();
        let read_by_sources = (self.shared.read_by_sources)(now.boot);
        if let Some(until) = read_up.look(now, read_by_sources, settle) {
            self.shared.read_up_to.store(until.0, Ordering::Release);
        }
        loop {
            let now = self.shared.clock.now().wall;
            let taken = match self.store.mature(now, self.judging(Predict::Nothing)).await {
                Ok(taken) => taken,
                Err(why) => {
                    tracing::error!(%why, "alerts that wait for rows could not be ended");
                    return;
                }
            };
            let is_over = taken.is_empty();
            let failed = taken.iter().filter(|one| !matches!(one, Taken::Done { .. })).count();
            for one in taken {
                self.acknowledge(Box::new(|_| {}), one);
            }
            if is_over || failed > 0 {
                return;
            }
        }
    }

    fn judging(&self, predict: Predict) -> Arc<Judging> {
        let (shared, in_force) = (self.shared.clone(), self.rules.load_full());
        Arc::new(Judging { shared, in_force, predict, asks: true })
    }

    /// Decodes and judges from the front of what waits as much as one transaction may bring, and
    /// queues its commit. What few bytes become may be many times as large, so nothing is judged
    /// before the writer is about to have it.
    fn take(&self, waiting: &mut VecDeque<Delivery>) -> BoxFuture<'static, Commit> {
        let started = self.shared.clock.now().boot;
        let judging = self.judging(Predict::FromCache);
        let mut weight = 0;
        let (mut deliveries, mut judged) = (Vec::new(), Vec::new());
        while weight < INTAKE_WEIGHT
            && let Some(delivery) = waiting.pop_front()
        {
            match judging.judge(&delivery) {
                Ok(one) => {
                    weight += one.weight();
                    deliveries.push(delivery);
                    judged.push(one);
                }
                Err(why) => (delivery.ack)(Err(why)),
            }
        }
        let judged_at = self.shared.clock.now().boot;
        self.shared.metrics.intake.judge.observe(judged_at.since(started).as_secs_f64());
        self.commit(deliveries, judged)
    }

    fn commit(
        &self,
        deliveries: Vec<Delivery>,
        judged: Vec<JudgedDelivery>,
    ) -> BoxFuture<'static, Commit> {
        failpoint!("intake.commit", Box::pin(async { Commit::failed(deliveries) }));
        let (clock, metrics) = (self.shared.clock.clone(), self.shared.metrics.clone());
        let judged_at = clock.now().boot;
        let taken = self.store.intake(judged);
        Box::pin(async move {
            let taken = taken.await;
            metrics.intake.commit.observe(clock.now().boot.since(judged_at).as_secs_f64());
            Commit { deliveries, taken }
        })
    }

    /// Acknowledges what is durable, and runs again, in full and in order, what the store sent
    /// back.
    async fn settle(&self, commit: Commit) {
        failpoint!("intake.acknowledge");
        let taken = match commit.taken {
            Ok(taken) => taken,
            Err(why) => vec![Taken::Failed(why); commit.deliveries.len()],
        };
        debug_assert_eq!(taken.len(), commit.deliveries.len(), "one answer for each delivery");
        let mut again = Vec::new();
        for (delivery, taken) in commit.deliveries.into_iter().zip(taken) {
            match taken {
                Taken::NotPrepared | Taken::Behind => again.push(delivery),
                done => self.acknowledge(delivery.ack, done),
            }
        }
        for delivery in again {
            let taken = match self.judging(Predict::Nothing).judge(&delivery) {
                Ok(judged) => self.run_alone(judged).await,
                Err(why) => {
                    (delivery.ack)(Err(why));
                    continue;
                }
            };
            self.acknowledge(delivery.ack, taken);
        }
    }

    async fn run_alone(&self, judged: JudgedDelivery) -> Taken {
        match self.store.intake(vec![judged]).await {
            Ok(mut taken) => taken.pop().unwrap_or(Taken::Failed(StoreError::Closed)),
            Err(why) => Taken::Failed(why),
        }
    }

    fn acknowledge(&self, ack: Ack, taken: Taken) {
        match taken {
            Taken::Done { answer, effects } => {
                self.shared.tell_relays(&answer, &effects);
                self.shared.keep(effects);
                answer.waiting.iter().for_each(|tenant| self.shared.asking.ring(tenant));
                ack(Ok(Acknowledged::Taken(answer)));
            }
            Taken::Replayed(answer) => ack(Ok(Acknowledged::Replayed(answer))),
            Taken::Failed(StoreError::Full(_)) | Taken::Behind => ack(Err(NotTaken::Full)),
            Taken::Failed(why) => {
                tracing::error!(%why, "a delivery could not be stored; its sender is told so");
                ack(Err(NotTaken::Store(why.to_string())));
            }
            Taken::NotPrepared => {
                ack(Err(NotTaken::Store("a fully prepared delivery was sent back".into())));
            }
        }
    }
}

impl Shared {
    fn keep(&self, effects: Vec<(EffectKey, ActionId)>) {
        for (key, owner) in effects {
            if self.settings.cache > 0 {
                self.predicted.insert(key, owner);
            }
        }
    }

    fn tell_relays(&self, answer: &Answered, effects: &[(EffectKey, ActionId)]) {
        touched::tenants(answer, effects).into_iter().for_each(|tenant| (self.nudge)(tenant));
    }
}

/// Whether the cache may predict that a draft is a duplicate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Predict {
    FromCache,
    Nothing,
}

#[cfg(test)]
mod tests;
