//! When what is queued is expected to start: positions come from the store, the rest from where the
//! tenant's budget stands.

use std::collections::HashMap;

use super::Admin;
use crate::domain::action::{Class, State};
use crate::domain::ids::TenantName;
use crate::io::{ActionLine, Position, Report, StoreError};

impl Admin {
    /// Tells each queued action when it starts, if nothing comes between.
    pub(super) async fn expect(
        &self,
        lines: Vec<ActionLine>,
    ) -> Result<Vec<ActionLine>, StoreError> {
        let now = self.clock.now().wall;
        let mut lines = self.store.positioned(lines, now).await?;
        let mut known = None;
        for line in &mut lines {
            let Some(Position { before, urgent, others }) = line.position else { continue };
            let tenant = &line.key.tenant;
            let starts = match &known {
                Some((of, starts)) if of == tenant => starts,
                _ => {
                    let forecast = (self.forecast)(tenant);
                    let starts = forecast.map(|forecast| forecast.starts(urgent, others));
                    &known.insert((tenant.clone(), starts)).1
                }
            };
            let Some(starts) = starts else { continue };
            if let State::Queued { not_before, .. } = line.state {
                // One that waits for a time goes then, since it is older than what is there.
                let waits = (not_before > now).then_some(not_before);
                let start = starts.wall(line.class, before).or(waits);
                line.expected = start.map(|start| start.max(not_before));
            }
        }
        Ok(lines)
    }

    /// Tells each tenant when the last of each class starts.
    pub(super) fn expect_ends(&self, report: &mut Report) {
        let queues = report.summary.queues.iter();
        let queues: HashMap<_, _> =
            queues.map(|queue| ((queue.tenant.as_str(), queue.class), queue)).collect();
        for relay in &mut report.relays {
            let queue = |class| queues.get(&(relay.tenant.as_str(), class));
            let depth = |class| queue(class).map_or(0, |queue| queue.depth);
            let [urgent, normal, bulk] = Class::ALL.map(depth);
            if urgent + normal + bulk == 0 {
                continue;
            }
            let forecast = (self.forecast)(&TenantName::new(&relay.tenant));
            let Some(forecast) = forecast else { continue };
            let starts = forecast.starts(urgent, normal + bulk);
            let last = [urgent, normal, if bulk > 0 { normal + bulk } else { 0 }];
            let ends = Class::ALL.into_iter().zip(last).filter_map(|(class, last)| {
                let start = starts.wall(class, last.checked_sub(1)?)?;
                Some((class, queue(class)?.last_due.map_or(start, |due| start.max(due))))
            });
            relay.ends = ends.collect();
        }
    }
}
