//! Many tenants in one process, in virtual time: what the troubles of some cost the others.
//!
//! Real are the dispatchers and the pool. The store is a model of its one writer, which everybody
//! waits for, with rows in memory; Defender is one of a few that do one thing each. Every tenant
//! has dice of its own, so that two runs of a seed differ only by what tenants do to each other.

mod defender;
mod rows;
mod tenant;
mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::action::{Begun, Call, Class, NewAttempt};
use crate::domain::answer::{Answer, ListQuery};
use crate::domain::dispatcher::{Attempted, Called, Effect, Event, NotBegun};
use crate::domain::ids::{ActionId, AttemptId};
use crate::domain::limiter::Permit;
use crate::domain::pool::{Entered, Pool, Ticket};
use crate::domain::time::{Boot, Now, Stamp, Wall};
use crate::limits;
pub use defender::Trouble;
use tenant::{BOOT, Tenant};
use writer::{Work, Writer};

const MILLI: i64 = 1000;
const SECOND: i64 = 1000 * MILLI;
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub tenants: usize,
    /// The first so many have more alerts than the others, ill or not.
    pub busy: usize,
    /// The first so many have the trouble.
    pub sick: usize,
    pub trouble: Trouble,
    /// How long alerts come.
    pub lasts: Duration,
}

/// How long each action of each tenant waited from its alert until its first call was sent.
#[derive(Debug, Default)]
pub struct Waits(pub Vec<Vec<Duration>>);

/// Who waits for whom.
enum Happening {
    Start {
        tenant: usize,
    },
    Alert {
        tenant: usize,
    },
    Wake {
        tenant: usize,
        token: u64,
    },
    /// The writer has done what it had in hand.
    Written,
    Answered {
        tenant: usize,
        attempt: Box<NewAttempt>,
        call: Call,
        answer: Answer,
    },
    Listed {
        tenant: usize,
        sent: Boot,
        query: ListQuery,
    },
}

/// What a call needs once it has its place.
enum Placed {
    Call { tenant: usize, action: ActionId, permit: Permit },
    List { tenant: usize, query: ListQuery },
}

struct World {
    plan: Plan,
    time: i64,
    sequence: u64,
    agenda: BTreeMap<(i64, u64), Happening>,
    tenants: Vec<Tenant>,
    pool: Pool,
    waiting: BTreeMap<Ticket, Placed>,
    writer: Writer,
    waits: Waits,
    most_in_flight: usize,
}

/// Runs a plan to the end of its alerts, and on for forty seconds.
pub fn run(plan: Plan) -> Waits {
    let mut world = World::new(plan);
    let end = micros(plan.lasts) + 40 * SECOND;
    while let Some(((time, _), happening)) = world.agenda.pop_first() {
        if time > end {
            break;
        }
        world.time = time;
        world.happen(happening);
    }
    assert!(world.most_in_flight <= Pool::places(plan.tenants));
    world.waits
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut world = Self {
            plan,
            time: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            tenants: Vec::new(),
            pool: Pool::new(),
            waiting: BTreeMap::new(),
            writer: Writer::default(),
            waits: Waits(vec![Vec::new(); plan.tenants]),
            most_in_flight: 0,
        };
        for tenant in 0..plan.tenants {
            let trouble = if tenant < plan.sick { plan.trouble } else { Trouble::None };
            world.tenants.push(Tenant::new(plan.seed, tenant, trouble, world.now()));
            let start = micros(limits::START_SPACING) * tenant as i64;
            world.at(start, Happening::Start { tenant });
            let first = world.gap(tenant);
            world.at(start + first, Happening::Alert { tenant });
        }
        world
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start { tenant } => self.event(tenant, Event::Wakeup),
            Happening::Alert { tenant } => self.alert(tenant),
            Happening::Wake { tenant, token } => {
                if self.tenants[tenant].token == token {
                    self.event(tenant, Event::Wakeup);
                }
            }
            Happening::Written => {
                for work in self.writer.done() {
                    self.written(work);
                }
                self.write();
            }
            Happening::Answered { tenant, attempt, call, answer } => {
                let action = attempt.action;
                let (attempt, closed) = (*attempt, self.stamp());
                let attempted = Box::new(Attempted { attempt, call, answer, closed });
                let called = Called::Attempted(attempted);
                self.leave(tenant);
                self.event(tenant, Event::Called { action, called });
            }
            Happening::Listed { tenant, sent, query } => {
                let now = self.now().wall;
                let listing = self.tenants[tenant].defender.list(now, query);
                self.leave(tenant);
                self.event(tenant, Event::Listed { sent, listing });
            }
        }
    }

    /// Until a tenant's next alert.
    fn gap(&mut self, tenant: usize) -> i64 {
        let mean = if tenant < self.plan.busy { 2000 } else { 20_000 };
        self.tenants[tenant].alerts.below(2 * mean) as i64 * MILLI + 1
    }

    /// One alert: mostly one action, sometimes a few.
    fn alert(&mut self, tenant: usize) {
        let now = self.now().wall;
        let one = &mut self.tenants[tenant];
        let actions = match one.alerts.below(100) {
            _ if tenant < self.plan.busy => 1,
            0..75 => 1,
            75..95 => 2 + one.alerts.below(3),
            _ => 5 + one.alerts.below(6),
        };
        let class = Class::ALL[one.alerts.below(3) as usize];
        self.submit(Work::Intake { tenant, class, actions, at: now });
        let next = self.time + self.gap(tenant);
        if next < micros(self.plan.lasts) {
            self.at(next, Happening::Alert { tenant });
        }
    }

    fn event(&mut self, tenant: usize, event: Event) {
        self.tenants[tenant].events.push_back(event);
        self.go_on(tenant);
    }

    /// The relay's loop: effects in order, each before the next and all before the next step.
    fn go_on(&mut self, tenant: usize) {
        let now = self.now();
        loop {
            let one = &mut self.tenants[tenant];
            if one.waits {
                return;
            }
            if let Some(effect) = one.effects.pop_front() {
                self.perform(tenant, effect);
            } else if let Some(event) = one.events.pop_front() {
                one.effects = one.dispatcher.step(now, event).into();
            } else {
                break;
            }
        }
        let one = &mut self.tenants[tenant];
        if let Some(boot) = one.dispatcher.next_wakeup() {
            one.token += 1;
            let token = one.token;
            self.at(boot.0.max(self.time + 1), Happening::Wake { tenant, token });
        }
    }

    fn perform(&mut self, tenant: usize, effect: Effect) {
        let work = match effect {
            Effect::Record { changes, .. } => Work::Record { tenant, changes },
            Effect::Pause { .. } => Work::Pause { tenant },
            Effect::Load { class, depth: _ } => Work::Load { tenant, class },
            Effect::Sweep => Work::Sweep { tenant },
            Effect::Call { permit, action } => {
                return self.enter(tenant, Placed::Call { tenant, action, permit });
            }
            Effect::List { query, permit: _ } => {
                return self.enter(tenant, Placed::List { tenant, query });
            }
        };
        self.tenants[tenant].waits = true;
        self.submit(work);
    }

    fn enter(&mut self, tenant: usize, placed: Placed) {
        match self.pool.enter(&self.tenants[tenant].name) {
            Entered::Now => self.placed(placed),
            Entered::Waits(ticket) => {
                self.waiting.insert(ticket, placed);
            }
        }
        self.most_in_flight = self.most_in_flight.max(self.pool.in_flight());
    }

    fn leave(&mut self, tenant: usize) {
        for ticket in self.pool.leave(&self.tenants[tenant].name) {
            let placed = self.waiting.remove(&ticket).expect("who has a ticket waits");
            self.placed(placed);
        }
    }

    fn placed(&mut self, placed: Placed) {
        match placed {
            Placed::Call { tenant, action, permit } => {
                let written = self.stamp();
                let send_by = Stamp {
                    boot: written.boot + limits::SEND_BY,
                    wall: written.wall + limits::SEND_BY,
                    ..written
                };
                self.sequence += 1;
                let id = AttemptId(Uuid::from_u128(u128::from(self.sequence)));
                let attempt = NewAttempt { id, action, written, send_by };
                self.submit(Work::Begin { tenant, attempt: Box::new(attempt), permit });
            }
            Placed::List { tenant, query } => {
                let sent = self.now().boot;
                let one = &mut self.tenants[tenant];
                let takes = one.defender.takes(&mut one.dice);
                self.at(self.time + takes, Happening::Listed { tenant, sent, query });
            }
        }
    }

    fn submit(&mut self, work: Work) {
        self.writer.submit(work);
        self.write();
    }

    fn write(&mut self) {
        if let Some(takes) = self.writer.begin() {
            self.at(self.time + takes, Happening::Written);
        }
    }

    /// A piece of work is durable, and whoever waits for it hears.
    fn written(&mut self, work: Work) {
        let now = self.now().wall;
        let (tenant, event) = match work {
            Work::Intake { tenant, class, actions, at } => {
                self.tenants[tenant].rows.insert(tenant, class, actions, at);
                return self.event(tenant, Event::Nudge);
            }
            Work::Begin { tenant, attempt, permit: _spent } => return self.begun(tenant, attempt),
            Work::Record { tenant, changes } => {
                self.tenants[tenant].rows.apply(changes);
                (tenant, None)
            }
            Work::Pause { tenant } => {
                self.tenants[tenant].rows.paused = true;
                (tenant, None)
            }
            Work::Load { tenant, class } => {
                let rows = &self.tenants[tenant].rows;
                let heads = rows.heads(class, now, limits::HEADS_PER_CLASS);
                (tenant, Some(Event::Loaded { class, heads }))
            }
            Work::Sweep { tenant } => (tenant, Some(Event::Expired(Vec::new()))),
        };
        let one = &mut self.tenants[tenant];
        one.waits = false;
        // What was done at once comes before anything from outside.
        event.into_iter().for_each(|event| one.events.push_front(event));
        self.go_on(tenant);
    }

    fn begun(&mut self, tenant: usize, attempt: Box<NewAttempt>) {
        let now = self.now().wall;
        let (action, time) = (attempt.action, self.time);
        let one = &mut self.tenants[tenant];
        let begun = one.rows.begin(&attempt, now);
        let Begun::Written(call) = begun else {
            self.leave(tenant);
            let called = Called::NotBegun(NotBegun::Refused(begun));
            return self.event(tenant, Event::Called { action, called });
        };
        if let Some(waited) = one.rows.first_sent(action, now) {
            self.waits.0[tenant].push(waited);
        }
        let (answer, takes) = one.defender.call(&mut one.dice, &call, now);
        self.at(time + takes, Happening::Answered { tenant, attempt, call, answer });
    }

    fn at(&mut self, time: i64, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((time, self.sequence), happening);
    }

    fn now(&self) -> Now {
        Now { boot: Boot(self.time), wall: Wall(super::EPOCH + self.time) }
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(BOOT, self.now())
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).expect("a span of less than ages")
}

#[cfg(test)]
mod tests;
