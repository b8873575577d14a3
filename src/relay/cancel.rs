//! Cancels machine actions that a recall asked to cancel, one tenant's one after the other. What
//! is open stands in the store, so a stop only delays it. A pause does not stop it: it sends
//! nothing to a machine.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Nudge, RelayError, RelayStatus, until_done};
use crate::domain::cancel::{Ask, Cancels, Plan, Step};
use crate::domain::ids::TenantName;
use crate::domain::limiter::Limit;
use crate::io::places::Places;
use crate::io::recall::RecallStore;
use crate::io::{Api, Clock};
use crate::limits;

/// One tenant's cancels, not yet running.
pub struct Canceller {
    pub tenant: TenantName,
    /// Of the endpoint that cancels.
    pub limits: Vec<Limit>,
    pub store: Arc<dyn RecallStore>,
    pub api: Arc<dyn Api>,
    pub clock: Arc<dyn Clock>,
    pub places: Places,
    /// Rung after a recall.
    pub nudge: Nudge,
    /// Of the tenant's relay.
    pub status: Arc<RelayStatus>,
}

impl Canceller {
    /// Runs until `shutdown`. A call that is cut short then is made again at the next start: what
    /// is cancelled twice is cancelled once.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RelayError> {
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            ended = self.work() => ended,
        }
    }

    async fn work(self) -> Result<(), RelayError> {
        let Self { tenant, limits, store, api, clock, places, nudge, status } = self;
        let mut cancels = Cancels::new(limits, clock.now().boot);
        loop {
            let read = || store.cancels(&tenant, limits::CANCELS_AT_ONCE);
            let what = "read what is to be cancelled";
            let wanted = until_done(&status, &tenant, what, read).await?;
            let Plan { mut steps, ask, wake } = cancels.plan(clock.now(), &wanted);
            if let Some(Ask { permit, slot, action, machine_action, comment }) = ask {
                let place = places.place(&tenant).await;
                let answer = api.cancel(permit, machine_action.clone(), comment).await;
                drop(place);
                let step = cancels.answered(clock.now(), slot, action, answer);
                let id = machine_action;
                match &step {
                    Step::Troubled { text, .. } => {
                        tracing::warn!(%tenant, %action, %id, text, "not cancelled yet");
                    }
                    Step::Closed { answer, .. } => {
                        tracing::info!(%tenant, %action, %id, answer, "asked to cancel");
                    }
                    Step::Rejected { .. } => {}
                }
                steps.push(step);
            }
            if steps.is_empty() {
                tokio::select! {
                    _ = nudge.rung() => {}
                    () = tokio::time::sleep(wake.since(clock.now().boot)) => {}
                }
                continue;
            }
            let settle = || store.settle(steps.clone(), clock.now().wall);
            until_done(&status, &tenant, "record what became of cancels", settle).await?;
        }
    }
}
