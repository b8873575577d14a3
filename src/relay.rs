//! The second loop, one for each tenant: take one event, let the dispatcher decide, do what it
//! says. Nothing is decided here.
//!
//! What changes the store is awaited before the next step, and tried until it works; meanwhile
//! nothing more is called. Only the calls to Defender go on beside.

mod cancel;
mod hands;
mod status;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::domain::action::ClosedAttempt;
use crate::domain::audit::Change;
use crate::domain::dispatcher::{Dispatcher, DispatcherSettings, Effect, Event};
use crate::domain::guard::Guard;
use crate::domain::ids::TenantName;
use crate::domain::scope::Scope;
use crate::domain::time::Clocks;
use crate::io::places::Places;
use crate::io::{Api, Clock, ITSELF, Pause, Store, StoreError};
use crate::limits;
use crate::metrics::Metrics;
pub use cancel::Canceller;
use hands::Hands;
pub use status::RelayStatus;

/// Tells a relay that there may be something to do. It carries nothing else, and many at once
/// count as one.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Bell>);

#[derive(Debug, Default)]
struct Bell {
    notify: Notify,
    resumed: AtomicBool,
}

impl Nudge {
    /// There may be new work in the store.
    pub fn work(&self) {
        self.0.notify.notify_one();
    }

    /// A pause may be over. Without this it is noticed some seconds later.
    pub fn resumed(&self) {
        self.0.resumed.store(true, Ordering::Release);
        self.0.notify.notify_one();
    }

    /// Waits until it rings, and takes it as heard.
    pub async fn rings(&self) {
        self.0.notify.notified().await;
    }

    async fn rung(&self) -> Event {
        self.0.notify.notified().await;
        if self.0.resumed.swap(false, Ordering::AcqRel) { Event::Resumed } else { Event::Nudge }
    }
}

/// Why a relay ended without having finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    #[error("the store was closed while the relay was at work")]
    StoreClosed,
    #[error("calls were still in flight when the time to stop was over; they are in doubt now")]
    NotFinished,
}

/// What a relay asks.
pub struct Ports {
    pub store: Arc<dyn Store>,
    pub guard: Arc<dyn Guard>,
    pub api: Arc<dyn Api>,
    pub clock: Arc<dyn Clock>,
}

/// One tenant's relay, not yet running.
pub struct Relay {
    settings: DispatcherSettings,
    clocks: Clocks,
    hands: Hands,
    nudge: Nudge,
    status: Arc<RelayStatus>,
}

impl Relay {
    /// `places` are those of this process: all its relays share them.
    pub fn new(
        settings: DispatcherSettings,
        clocks: Clocks,
        ports: Ports,
        places: Places,
        metrics: Arc<Metrics>,
    ) -> Self {
        let Ports { store, guard, api, clock } = ports;
        let status = Arc::new(RelayStatus::default());
        let tenant = settings.tenant.clone();
        let hands =
            Hands { tenant, store, guard, api, clock, places, status: status.clone(), metrics };
        Self { settings, clocks, hands, nudge: Nudge::default(), status }
    }

    pub fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    pub fn status(&self) -> Arc<RelayStatus> {
        self.status.clone()
    }

    /// Runs until `shutdown`. Then begins nothing more, waits for the answers of the calls in
    /// flight and records them; what takes longer than `stop_within` is left in doubt, which the
    /// next start resolves.
    pub async fn run(
        self,
        shutdown: CancellationToken,
        stop_within: Duration,
    ) -> Result<(), RelayError> {
        let too_late = async {
            shutdown.cancelled().await;
            tokio::time::sleep(stop_within).await;
        };
        tokio::select! {
            ended = self.work(&shutdown) => ended,
            () = too_late => Err(RelayError::NotFinished),
        }
    }

    async fn work(self, shutdown: &CancellationToken) -> Result<(), RelayError> {
        let Self { settings, clocks, hands, nudge, status } = self;
        let window = settings.quarantine.iter().map(|limit| limit.per).max().unwrap_or_default();
        let resume = || hands.store.resume(&hands.tenant, hands.clock.now(), window);
        let what = "read what is open";
        let resumed = until_done(&status, &hands.tenant, what, resume).await?;
        let (dispatcher, effects) =
            Dispatcher::resume(settings, resumed, hands.clock.now(), clocks);
        let mut line = Line {
            dispatcher,
            hands,
            events: VecDeque::from([Event::Wakeup]),
            calls: JoinSet::new(),
            stopping: false,
        };
        line.perform(effects).await?;
        loop {
            let event = match line.events.pop_front() {
                Some(event) => event,
                None => line.next_event(shutdown, &nudge).await,
            };
            line.stopping |= matches!(event, Event::Stop);
            let effects = line.dispatcher.step(line.hands.clock.now(), event);
            line.perform(effects).await?;
            status.set(line.dispatcher.snapshot(line.hands.clock.now()));
            if line.stopping && line.events.is_empty() && line.dispatcher.is_idle() {
                return Ok(());
            }
        }
    }
}

/// A relay at work.
struct Line {
    dispatcher: Dispatcher,
    hands: Hands,
    /// What effects brought that were done at once: these come before anything from outside.
    events: VecDeque<Event>,
    calls: JoinSet<Event>,
    stopping: bool,
}

impl Line {
    async fn next_event(&mut self, shutdown: &CancellationToken, nudge: &Nudge) -> Event {
        let wakeup = self.dispatcher.next_wakeup();
        let clock = &self.hands.clock;
        let wake = async {
            match wakeup {
                Some(at) => tokio::time::sleep(at.since(clock.now().boot)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled(), if !self.stopping => Event::Stop,
            Some(done) = self.calls.join_next() => match done {
                Ok(event) => event,
                // Its slot and its action are gone with it: going on would be on a wrong log.
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            },
            event = nudge.rung() => event,
            () = wake => Event::Wakeup,
        }
    }

    /// In order, each before the next.
    async fn perform(&mut self, effects: Vec<Effect>) -> Result<(), RelayError> {
        for effect in effects {
            let Hands { tenant, store, clock, status, .. } = &self.hands;
            match effect {
                Effect::Record { closed, changes } => self.record(closed, changes).await?,
                Effect::Pause { reason } => {
                    tracing::error!(%tenant, ?reason, "paused until a person resumes it");
                    let pause = Pause {
                        scope: Scope::Tenant(tenant.clone()),
                        by: ITSELF.to_owned(),
                        reason,
                        at: clock.now().wall,
                    };
                    let pause = || store.pause(pause.clone());
                    until_done(status, tenant, "pause the tenant", pause).await?;
                }
                Effect::Load { class, depth } => {
                    let load = || store.heads(tenant, class, clock.now().wall, depth);
                    let heads = until_done(status, tenant, "read queued actions", load).await?;
                    self.events.push_back(Event::Loaded { class, heads });
                }
                Effect::Sweep => {
                    let sweep = || store.expired(tenant, clock.now().wall, limits::SWEEP_BATCH);
                    let what = "read expired actions";
                    let expired = until_done(status, tenant, what, sweep).await?;
                    self.events.push_back(Event::Expired(expired));
                }
                Effect::Call { permit, action } => {
                    self.calls.spawn(self.hands.clone().call(permit, action));
                }
                Effect::List { permit, query } => {
                    self.calls.spawn(self.hands.clone().list(permit, query));
                }
            }
        }
        Ok(())
    }

    async fn record(
        &self,
        closed: Option<ClosedAttempt>,
        changes: Vec<Change>,
    ) -> Result<(), RelayError> {
        let Hands { tenant, store, status, .. } = &self.hands;
        let apply = || {
            failpoint!("relay.record", async { Err(StoreError::Full(0)) }.boxed());
            store.apply(closed.clone(), changes.clone())
        };
        for change in until_done(status, tenant, "record what happened", apply).await? {
            let what = format!("{:?}", change.what);
            tracing::warn!(%tenant, what, "left out: the action has moved on meanwhile");
        }
        Ok(())
    }
}

/// Asks the store until it does it. Says what is wrong once for each error, and when it is over;
/// meanwhile the status tells it. So it is with what no retry mends: to go on without would be to
/// go on over a wrong memory.
async fn until_done<T>(
    status: &RelayStatus,
    tenant: &TenantName,
    what: &'static str,
    ask: impl Fn() -> BoxFuture<'static, Result<T, StoreError>>,
) -> Result<T, RelayError> {
    let (mut wait, longest) = limits::STORE_RETRY;
    let mut told = None;
    loop {
        match ask().await {
            Ok(done) => {
                if told.is_some() {
                    tracing::info!(%tenant, "the store works again: it could {what}");
                    status.stuck(what, None);
                }
                return Ok(done);
            }
            Err(StoreError::Closed) => return Err(RelayError::StoreClosed),
            Err(error) => {
                if told.as_ref() != Some(&error) {
                    tracing::error!(%tenant, %error, "could not {what}; nothing is called before");
                    status.stuck(what, Some(&error));
                    told = Some(error);
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(longest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
