//! When what is queued is expected to start: positions come from the store, the rest from where the
//! tenant's budget stands.

use super::Admin;
use crate::domain::action::{Class, State};
use crate::domain::ids::TenantName;
use crate::io::{ActionLine, Position, QueueLine, Report};

impl Admin {
    /// Tells each queued action when it starts, if nothing comes between.
    pub(super) fn expect(&self, lines: &mut [ActionLine]) {
        let mut known = None;
        for line in lines {
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
            let start = starts.as_ref().and_then(|starts| starts.wall(line.class, before));
            if let State::Queued { not_before, .. } = line.state {
                line.expected = start.map(|start| start.max(not_before));
            }
        }
    }

    /// Tells each tenant when the last of each class starts.
    pub(super) fn expect_ends(&self, report: &mut Report) {
        let queues = &report.summary.queues;
        for relay in &mut report.relays {
            let depth = |class| {
                let of = |queue: &&QueueLine| queue.tenant == relay.tenant && queue.class == class;
                queues.iter().find(of).map_or(0, |queue| queue.depth)
            };
            let [urgent, normal, bulk] = Class::ALL.map(depth);
            if urgent + normal + bulk == 0 {
                continue;
            }
            let forecast = (self.forecast)(&TenantName::new(&relay.tenant));
            let Some(forecast) = forecast else { continue };
            let starts = forecast.starts(urgent, normal + bulk);
            let last = [urgent, normal, if bulk > 0 { normal + bulk } else { 0 }];
            let ends = Class::ALL.into_iter().zip(last).filter_map(|(class, last)| {
                Some((class, starts.wall(class, last.checked_sub(1)?)?))
            });
            relay.ends = ends.collect();
        }
    }
}
