//! What goes on beside the loop: one attempt from its row to its answer, and one page of a list.

use std::sync::Arc;

use super::RelayStatus;
use crate::domain::action::{Begun, Call, NewAttempt};
use crate::domain::answer::{Answer, ListQuery, Listing};
use crate::domain::dispatcher::{Attempted, Called, Event, NotBegun};
use crate::domain::guard::Guard;
use crate::domain::ids::{ActionId, AttemptId, TenantName};
use crate::domain::limiter::Permit;
use crate::domain::time::Stamp;
use crate::io::places::Places;
use crate::io::{Api, Clock, Store};
use crate::limits;
use crate::metrics::Metrics;

#[derive(Clone)]
pub(super) struct Hands {
    pub tenant: TenantName,
    pub store: Arc<dyn Store>,
    pub guard: Arc<dyn Guard>,
    pub api: Arc<dyn Api>,
    pub clock: Arc<dyn Clock>,
    pub places: Places,
    pub status: Arc<RelayStatus>,
    pub metrics: Arc<Metrics>,
}

impl Hands {
    /// Writes an attempt and, if it is written, makes its call. The stamps are taken when there is
    /// a place for it and its row is written, so that waiting does not use up the time to send it.
    pub async fn call(self, permit: Permit, action: ActionId) -> Event {
        let _place = self.places.place(&self.tenant).await;
        let clock = self.clock.clone();
        let make = Box::new(move || {
            let now = clock.now();
            let written = Stamp::new(clock.boot_id(), now);
            let send_by = Stamp::new(clock.boot_id(), now.later(limits::SEND_BY));
            NewAttempt { id: AttemptId(clock.new_id()), action, written, send_by }
        });
        failpoint!("relay.begin", Event::Called { action, called: failed() });
        let called = match self.store.begin(make, self.guard.clone()).await {
            Ok((attempt, Begun::Written(call))) => {
                let answer = self.send(permit, call.clone(), attempt.send_by).await;
                let closed = Stamp::new(self.clock.boot_id(), self.clock.now());
                self.status.answered(&answer);
                let took = closed.boot.since(attempt.written.boot);
                self.metrics.latency.call(self.tenant.as_str(), took);
                let (tenant, status, kind) = (&self.tenant, answer.status(), answer.kind());
                tracing::info!(%tenant, %action, attempt = %attempt.id, status, kind, "called");
                Called::Attempted(Box::new(Attempted { attempt, call, answer, closed }))
            }
            Ok((_, refused)) => {
                if refused == Begun::Corrupt {
                    tracing::error!(
                        tenant = %self.tenant, %action,
                        "the row of an action does not verify; it is never called"
                    );
                }
                Called::NotBegun(NotBegun::Refused(refused))
            }
            Err(error) => {
                tracing::error!(tenant = %self.tenant, %action, %error, "no attempt was written");
                Called::NotBegun(NotBegun::StoreFailed(error.to_string()))
            }
        };
        Event::Called { action, called }
    }

    async fn send(&self, permit: Permit, call: Call, send_by: Stamp) -> Answer {
        failpoint!("relay.send", Answer::Unsent { text: STRUCK.to_owned() });
        let answer = self.api.quarantine(permit, call, send_by.boot).await;
        failpoint!("relay.sent", Answer::Unclear { status: None, text: STRUCK.to_owned() });
        answer
    }

    pub async fn list(self, permit: Permit, query: ListQuery) -> Event {
        let _place = self.places.place(&self.tenant).await;
        let sent = self.clock.now().boot;
        failpoint!("relay.list", Event::Listed { sent, listing: unlisted() });
        let listing = self.api.machine_actions(permit, query).await;
        if let Listing::TooMany { text, .. }
        | Listing::Unauthorized { text }
        | Listing::Failed { text } = &listing
        {
            tracing::warn!(tenant = %self.tenant, error = ?text, "no list of machine actions");
        }
        Event::Listed { sent, listing }
    }
}

/// What failpoints say.
const STRUCK: &str = "a failpoint struck";

fn failed() -> Called {
    Called::NotBegun(NotBegun::StoreFailed(STRUCK.to_owned()))
}

fn unlisted() -> Listing {
    Listing::Failed { text: STRUCK.to_owned() }
}
