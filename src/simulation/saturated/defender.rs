//! The servers that calls reach, what they answer, and the list that shows every action as done.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Happening, Saturated, key, number};
use crate::domain::action::{Call, NewAttempt};
use crate::domain::answer::{Answer, Entry, ListQuery, Listing, Status};
use crate::domain::dispatcher::{Attempted, Called, Event};
use crate::domain::ids::MachineActionId;
use crate::domain::time::{BootId, Stamp, Wall};
use crate::simulation::EPOCH;
use crate::simulation::servers::{Model, Server};

impl Saturated {
    pub(super) fn arrive(&mut self, attempt: NewAttempt, sent: i64) {
        self.outcome.counted.push(self.time);
        let n = number(attempt.action);
        let refused = self.count(self.time);
        for model in &refused {
            *self.outcome.refused.entry(*model).or_default() += 1;
        }
        let answer = if self.plan.model.is_some() && !refused.is_empty() {
            Answer::TooMany { retry_after: Some(Duration::from_secs(30)), text: String::new() }
        } else {
            let machine_action =
                MachineActionId::parse(&format!("{n}-{sent}")).expect("a short word");
            self.made.push_back((machine_action.clone(), n));
            Answer::Accepted { machine_action }
        };
        let delay = self.dice.below(300_000) as i64;
        self.schedule(self.time + delay, self.run, Happening::Close { attempt, answer });
    }

    pub(super) fn close(&mut self, attempt: NewAttempt, answer: Answer) {
        let action = attempt.action;
        let call = Call { key: key(number(action)), comment: String::new() };
        let closed = Stamp::new(BootId([self.boot_id; 16]), self.now());
        let attempted = Box::new(Attempted { attempt, call, answer, closed });
        self.deliver(Event::Called { action, called: Called::Attempted(attempted) });
    }

    /// Everything ends as soon as it is looked at.
    pub(super) fn list(&mut self, query: ListQuery) -> Listing {
        let now = Wall(EPOCH + self.time);
        while self.made.len() > 400 {
            self.made.pop_front();
        }
        let page = self.made.iter().rev().skip(query.skip as usize).take(query.top as usize);
        let entries: Vec<Entry> = page
            .map(|(id, n)| Entry {
                id: id.clone(),
                status: Status::Succeeded,
                machine: key(*n).machine,
                sha1: Some(key(*n).sha1),
                comment: String::new(),
                created: now,
                updated: now,
                error: None,
            })
            .collect();
        let read = u32::try_from(entries.len()).expect("a page");
        Listing::Page { entries, read, next: false }
    }

    /// Counts one call in every window of every server; returns those that refuse it.
    pub(super) fn count(&mut self, time: i64) -> BTreeSet<Model> {
        let refuses = |(model, server): &mut (Model, Server)| server.count(time).then_some(*model);
        self.servers.iter_mut().filter_map(refuses).collect()
    }
}
