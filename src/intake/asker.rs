//! Asks Defender what alerts need before rules can judge them, one tenant's questions one after the
//! other. What waits stands in the store, so a stop only delays it; a pause does not stop it, since
//! reading moves nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::judge::Judging;
use super::{InForce, Predict, Shared};
use crate::domain::alert::Ask;
use crate::domain::answer::{Fetched, Machines};
use crate::domain::decision::{From, Judge as _, JudgedDelivery};
use crate::domain::ids::TenantName;
use crate::domain::lookup::{Budgets, Lookups, Plan, Question, Told};
use crate::formats::mapped::label_of;
use crate::io::lookups::{LookupStore, Waiting};
use crate::io::places::Places;
use crate::io::{Api, StoreError, Taken};
use crate::limits::{LOOKUPS_AT_ONCE, STORE_RETRY};

/// One tenant's questions, not yet running.
pub struct Asker {
    pub(super) shared: Arc<Shared>,
    pub(super) rules: Arc<ArcSwap<InForce>>,
    pub tenant: TenantName,
    pub store: Arc<dyn LookupStore>,
    pub api: Arc<dyn Api>,
    pub places: Places,
    pub budgets: Budgets,
}

impl Asker {
    /// Runs until `shutdown`. A question that is cut short then is asked again at the next start.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(self) {
        let clock = self.shared.clock.clone();
        let mut lookups = Lookups::new(self.budgets.clone(), clock.now().boot);
        let bell = self.shared.asking.bell_of(&self.tenant);
        loop {
            let wanted = match self.store.lookups(&self.tenant, LOOKUPS_AT_ONCE).await {
                Ok(wanted) => wanted,
                Err(StoreError::Closed) => return,
                Err(why) => {
                    tracing::error!(tenant = %self.tenant, %why, "could not read what to ask");
                    tokio::time::sleep(STORE_RETRY.1).await;
                    continue;
                }
            };
            let Plan { done, question, wake } = lookups.plan(clock.now(), &wanted);
            let mut failed = false;
            let progress = !done.is_empty() || question.is_some();
            for (receipt, answers) in done {
                failed |= !self.settle(receipt, &answers).await;
            }
            if let Some(Question { permit, slot, ask }) = question {
                let place = self.places.place(&self.tenant).await;
                let answer = match &ask {
                    Ask::Alert(id) => self.api.alert(permit, id.clone()).await.map(Told::Alert),
                    Ask::Machine(id) => self.api.machine(permit, *id).await.map(Told::Facts),
                    Ask::File(sha1) => self.api.file(permit, *sha1).await.map(Told::Facts),
                    Ask::Host(host) => {
                        let label = label_of(host).unwrap_or_default();
                        machines(host, self.api.machines(permit, label).await)
                    }
                };
                drop(place);
                if let Err(why) = lookups.answered(clock.now(), slot, ask.clone(), answer) {
                    tracing::warn!(tenant = %self.tenant, ?ask, why, "Defender has not told");
                }
            }
            self.shared.asking.trouble(&self.tenant, lookups.trouble());
            if failed {
                tokio::time::sleep(STORE_RETRY.1).await;
            } else if !progress {
                let wake = wake.since(clock.now().boot);
                tokio::select! {
                    () = bell.notified() => {}
                    () = tokio::time::sleep(wake) => {}
                }
            }
        }
    }

    /// Judges a receipt that has its answers. `false` where the store could not take it: it waits
    /// on.
    async fn settle(&self, receipt: i64, answers: &BTreeMap<Ask, Told>) -> bool {
        let waiting = match self.store.waiting(receipt).await {
            Ok(Some(waiting)) => waiting,
            Ok(None) => return true,
            Err(why) => {
                tracing::error!(tenant = %self.tenant, %why, "could not read what waits");
                return false;
            }
        };
        let judged = self.judge(waiting, answers);
        match self.store.looked_up(receipt, judged).await {
            Ok(Taken::Done { answer, effects }) => {
                self.shared.tell_relays(&answer, &effects);
                self.shared.keep(effects);
                true
            }
            Ok(_) => true,
            Err(why) => {
                tracing::error!(tenant = %self.tenant, %why, "what was looked up waits on");
                false
            }
        }
    }

    fn judge(&self, waiting: Waiting, answers: &BTreeMap<Ask, Told>) -> JudgedDelivery {
        let judging = Arc::new(Judging {
            shared: self.shared.clone(),
            in_force: self.rules.load_full(),
            predict: Predict::Nothing,
            // What was asked for once is not asked for again.
            asks: waiting.asked.candidates.is_empty(),
        });
        let Waiting { tenant, source, coordinates, asked, .. } = waiting;
        let at = self.shared.clock.now().wall;
        let from = From { tenant: &tenant, source: &source, coordinates: &coordinates, at };
        let receipts = judging.answered(asked, answers, &from);
        let judged = JudgedDelivery::of(source, coordinates, at, judging.ruleset(), receipts);
        JudgedDelivery { counting: judging.counts_by(), ..judged }
    }
}

/// Of those that begin so, the ones that the host may be: of exactly its name or, where none has
/// it, all; and of these such that are active and onboarded. A list that is not whole tells of
/// none: the second machine of that name could be missing.
fn machines(host: &str, fetched: Fetched<Machines>) -> Fetched<Told> {
    let host = host.trim().trim_end_matches('.').to_owned();
    fetched.map(|Machines { mut all, more }| {
        if more {
            return Told::Nothing("more machines begin so than Defender lists at once".to_owned());
        }
        if all.iter().any(|machine| machine.name.eq_ignore_ascii_case(&host)) {
            all.retain(|machine| machine.name.eq_ignore_ascii_case(&host));
        }
        let is = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
        let in_use = all.into_iter().filter(|machine| {
            is(&machine.health, "Active") && is(&machine.onboarding, "Onboarded")
        });
        Told::Machines(in_use.map(|machine| (machine.name, machine.id)).collect())
    })
}
