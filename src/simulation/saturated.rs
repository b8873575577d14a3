//! One tenant whose backlog never ends: how much of the budget is used, and whether any server
//! would refuse a call. Nothing goes wrong here but clocks, delays, restarts and what others use;
//! for everything else there is the other simulation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::servers::{Model, Server};
use crate::domain::action::{
    AttemptRow, Call, Class, Head, Heads, NewAttempt, OpenAction, Resumed, State,
};
use crate::domain::answer::{Answer, Entry, ListQuery, Listing, Status};
use crate::domain::audit::What;
use crate::domain::dice::Dice;
use crate::domain::dispatcher::{Attempted, Called, Dispatcher, DispatcherSettings, Effect, Event};
use crate::domain::ids::{
    ActionId, AttemptId, EffectKey, MachineActionId, MachineId, Sha1, TenantName,
};
use crate::domain::limiter::Limit;
use crate::domain::time::{Boot, BootId, Clocks, Now, Stamp, Wall};
use crate::domain::tracker::TrackerSettings;
use crate::limits;

const SECOND: i64 = 1_000_000;
pub const HOUR: i64 = 3600 * SECOND;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    /// The server whose refusals are answered. Without one all of them count, and none answers.
    pub model: Option<Model>,
    pub reserve: u32,
    pub hours: i64,
    /// Restarts in an hour, within the same boot and with a clock that says so.
    pub restarts: u32,
    /// Every so many restarts the machine boots, and its wall clock is trusted or not.
    pub reboots: u32,
    /// Hours by which the wall clock jumps at times.
    pub wall_jumps: i64,
    /// Parts per million by which the boot clock is fast.
    pub drift: i64,
    /// Calls that an earlier run made in the hour before, the last one just now.
    pub inherited: u32,
    /// Urgent actions in an hour, beside the bulk.
    pub urgent: u32,
    /// Calls of others in an hour, on the same budget.
    pub others: u32,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        Self {
            seed,
            model: None,
            reserve: 0,
            hours: 6,
            restarts: 0,
            reboots: 0,
            wall_jumps: 0,
            drift: 0,
            inherited: 0,
            urgent: 0,
            others: 0,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// When our calls reached the server, ascending.
    pub counted: Vec<i64>,
    /// Of our calls, those that a server refused or would have, by its model.
    pub refused: BTreeMap<Model, u64>,
    /// Of the calls of others.
    pub refused_others: u64,
    /// How long each urgent action waited, ascending.
    pub waits: Vec<i64>,
    /// When each bulk action was called first, by its place in the queue.
    pub starts: BTreeMap<i64, i64>,
    pub restarts: u32,
}

impl Outcome {
    /// Of any hour between these times, the fewest calls that were made in it.
    pub fn fewest_in_an_hour(&self, since: i64, until: i64) -> usize {
        let within = |from: i64| {
            let before = self.counted.partition_point(|at| *at < from);
            self.counted.partition_point(|at| *at < from + HOUR) - before
        };
        // An hour has the fewest calls where it begins just after one.
        let begins = self.counted.iter().map(|at| at + 1);
        let begins = begins.filter(|from| *from > since && from + HOUR <= until);
        begins.map(within).min().unwrap_or_default()
    }
}

enum Happening {
    Wake { token: u64 },
    Arrive { attempt: NewAttempt, sent: i64 },
    Close { attempt: NewAttempt, answer: Answer },
    List { query: ListQuery, sent: Boot },
    Urgent,
    Other,
    SetWall,
    Stop,
    Start { reboot: bool },
}

struct Row {
    class: Class,
    came: i64,
    state: State,
}

pub struct Saturated {
    plan: Plan,
    dice: Dice,
    time: i64,
    sequence: u64,
    agenda: BTreeMap<(i64, u64), (u64, Happening)>,
    run: u64,
    token: u64,
    boot_id: u8,
    wall_error: i64,
    servers: Vec<(Model, Server)>,
    dispatcher: Option<Dispatcher>,
    /// Every action that is not ended, by sequence; bulk is made as it is loaded.
    rows: BTreeMap<i64, Row>,
    queued: BTreeSet<(Class, i64)>,
    attempts: VecDeque<AttemptRow>,
    made: VecDeque<(MachineActionId, i64)>,
    bulk: i64,
    pub outcome: Outcome,
}

impl Saturated {
    pub fn new(plan: Plan) -> Self {
        let models =
            Model::ALL.into_iter().filter(|model| plan.model.is_none_or(|of| of == *model));
        let servers = models.flat_map(|model| {
            budget().into_iter().map(move |limit| (model, Server::new(model, limit)))
        });
        let mut world = Self {
            plan,
            dice: Dice::new(plan.seed),
            time: 2 * HOUR,
            sequence: 0,
            agenda: BTreeMap::new(),
            run: 0,
            token: 0,
            boot_id: 1,
            wall_error: 0,
            servers: servers.collect(),
            dispatcher: None,
            rows: BTreeMap::new(),
            queued: BTreeSet::new(),
            attempts: VecDeque::new(),
            made: VecDeque::new(),
            bulk: 1_000_000,
            outcome: Outcome::default(),
        };
        world.inherit();
        world
    }

    /// When the run begins and ends.
    pub fn begins(&self) -> i64 {
        2 * HOUR
    }

    pub fn ends(&self) -> i64 {
        self.begins() + self.plan.hours * HOUR
    }

    pub fn run(&mut self) {
        self.begin();
        self.run_until(self.ends());
    }

    /// Starts what happens by itself.
    pub fn begin(&mut self) {
        self.at(self.time, Happening::Start { reboot: false });
        let often = |per_hour: u32| (per_hour > 0).then(|| HOUR / i64::from(per_hour));
        for (per_hour, happening) in [
            (self.plan.urgent, Happening::Urgent),
            (self.plan.others, Happening::Other),
            (self.plan.restarts, Happening::Stop),
            (u32::from(self.plan.wall_jumps > 0) * 4, Happening::SetWall),
        ] {
            if let Some(every) = often(per_hour) {
                let first = self.dice.below(every.unsigned_abs()) as i64;
                self.at(self.time + first, happening);
            }
        }
    }

    pub fn run_until(&mut self, until: i64) {
        while let Some((&(time, sequence), _)) = self.agenda.first_key_value() {
            if time >= until {
                break;
            }
            let (run, happening) = self.agenda.remove(&(time, sequence)).expect("it is first");
            self.time = time;
            if run == 0 || run == self.run {
                self.happen(happening);
            }
        }
        self.time = until;
    }

    /// The bulk actions that nothing was called for yet, in order, the first 20,000 of them.
    pub fn waiting(&self) -> Vec<i64> {
        let back = self.queued.iter().filter(|(class, _)| *class == Class::Bulk).map(|(_, n)| *n);
        back.chain(self.bulk..).take(20_000).collect()
    }

    pub fn dispatcher(&self) -> Option<&Dispatcher> {
        self.dispatcher.as_ref()
    }

    pub fn now(&self) -> Now {
        let wall = Wall(super::EPOCH + self.time + self.wall_error);
        Now { boot: Boot(self.time + self.time * self.plan.drift / SECOND), wall }
    }

    /// The true time at which the boot clock has reached `boot`.
    pub fn true_time(&self, boot: Boot) -> i64 {
        let after = i128::from(boot.0) * 1_000_000 / i128::from(1_000_000 + self.plan.drift);
        i64::try_from(after).unwrap_or(i64::MAX) + 2
    }

    /// What an earlier run has called, spread over the last hour.
    fn inherit(&mut self) {
        for n in (0..self.plan.inherited).rev() {
            let time = self.time - i64::from(n) * HOUR / i64::from(self.plan.inherited);
            let wall = Wall(super::EPOCH + time);
            let at = Stamp { boot_id: BootId([1; 16]), boot: Boot(time), wall };
            let (id, action) = (AttemptId(Uuid::nil()), ActionId(Uuid::nil()));
            let row = AttemptRow { id, action, written: at, send_by: at, closed: Some((at, true)) };
            self.attempts.push_back(row);
            self.outcome.counted.push(time);
            self.count(time);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake { token } if token == self.token => self.deliver(Event::Wakeup),
            Happening::Wake { .. } => {}
            Happening::Arrive { attempt, sent } => self.arrive(attempt, sent),
            Happening::Close { attempt, answer } => self.close(attempt, answer),
            Happening::List { query, sent } => {
                let listing = self.list(query);
                self.deliver(Event::Listed { sent, listing });
            }
            Happening::Urgent => {
                let n = i64::try_from(self.outcome.waits.len() + self.queued.len()).unwrap_or(0);
                self.queue(n + self.time, Class::Urgent);
                self.again(self.plan.urgent, Happening::Urgent);
                self.deliver(Event::Nudge);
            }
            Happening::Other => {
                self.outcome.refused_others += u64::from(!self.count(self.time).is_empty());
                self.again(self.plan.others, Happening::Other);
            }
            Happening::SetWall => {
                let most = (self.plan.wall_jumps * HOUR).unsigned_abs();
                self.wall_error = self.dice.below(2 * most) as i64 - most as i64;
                self.again(4, Happening::SetWall);
            }
            Happening::Stop => {
                self.dispatcher = None;
                self.run += 1;
                self.outcome.restarts += 1;
                let reboots = self.plan.reboots;
                let reboot = reboots > 0 && self.outcome.restarts.is_multiple_of(reboots);
                let down = SECOND / 2 + self.dice.below(1_500_000) as i64;
                self.at(self.time + down, Happening::Start { reboot });
                self.again(self.plan.restarts, Happening::Stop);
            }
            Happening::Start { reboot } => self.start(reboot),
        }
    }

    /// Once more, at a random time around the one that its rate says.
    fn again(&mut self, per_hour: u32, happening: Happening) {
        let every = HOUR / i64::from(per_hour.max(1));
        let wait = self.dice.below(2 * every.unsigned_abs()) as i64;
        self.at(self.time + wait, happening);
    }

    fn start(&mut self, reboot: bool) {
        self.run += 1;
        self.boot_id += u8::from(reboot);
        let boot_id = BootId([self.boot_id; 16]);
        let now = self.now();
        let clocks = Clocks { boot_id, wall_trusted: self.plan.wall_jumps == 0 };
        let settings = DispatcherSettings {
            tenant: TenantName::new("contoso"),
            quarantine: budget(),
            reserve: self.plan.reserve,
            machine_actions: budget(),
            client_timeout: Duration::from_secs(30),
            tracker: TrackerSettings {
                every: Duration::from_secs(60),
                wait: Duration::from_secs(60),
                page: 1000,
            },
        };
        let in_hand = self.rows.iter().filter(|(_, row)| row.state.name().is_open());
        let open = in_hand.filter(|(_, row)| !matches!(row.state, State::Queued { .. })).map(
            |(n, row)| OpenAction {
                action: action(*n),
                key: key(*n),
                comment: String::new(),
                state: row.state.clone(),
                attempt: self.attempts.iter().rfind(|row| row.action == action(*n)).cloned(),
            },
        );
        let resumed = Resumed {
            attempts: self.attempts.iter().cloned().collect(),
            open: open.collect(),
            ..Resumed::default()
        };
        let (dispatcher, effects) = Dispatcher::resume(settings, resumed, now, clocks);
        self.dispatcher = Some(dispatcher);
        self.perform(effects, &mut VecDeque::new());
        self.deliver(Event::Wakeup);
    }

    fn deliver(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.now();
            let Some(dispatcher) = &mut self.dispatcher else { return };
            let effects = dispatcher.step(now, event);
            self.perform(effects, &mut events);
        }
        let Some(wakeup) = self.dispatcher.as_ref().and_then(Dispatcher::next_wakeup) else {
            return;
        };
        self.token += 1;
        let late = self.dice.below(2000) as i64;
        let time = self.true_time(wakeup).max(self.time) + late;
        self.schedule(time, self.run, Happening::Wake { token: self.token });
    }

    fn perform(&mut self, effects: Vec<Effect>, events: &mut VecDeque<Event>) {
        for effect in effects {
            match effect {
                Effect::Record { closed, changes } => {
                    if let Some(closed) = closed {
                        let row = self.attempts.iter_mut().rfind(|row| row.id == closed.id);
                        row.expect("it was written").closed =
                            Some((closed.closed, closed.answered));
                    }
                    for change in changes {
                        let What::Moved { action, to, .. } = change.what else { continue };
                        self.moved(number(action), to);
                    }
                }
                Effect::Load { class, depth } => {
                    let heads = self.heads(class, depth.heads);
                    events.push_back(Event::Loaded { class, heads });
                }
                Effect::Sweep => events.push_back(Event::Expired(Vec::new())),
                Effect::Call { permit: _, action } => self.call(number(action)),
                Effect::List { permit: _, query } => {
                    let sent = self.now().boot;
                    self.schedule(
                        self.time + SECOND / 5,
                        self.run,
                        Happening::List { query, sent },
                    );
                }
                Effect::Pause { reason } => panic!("{reason}"),
            }
        }
    }

    fn moved(&mut self, n: i64, to: State) {
        let row = self.rows.get_mut(&n).expect("the action is there");
        if let State::Queued { .. } = to {
            self.queued.insert((row.class, n));
        }
        row.state = to;
        if !row.state.name().is_open() {
            self.rows.remove(&n);
        }
    }

    fn queue(&mut self, n: i64, class: Class) {
        let state = State::Queued { not_before: Wall(0), tries: 0, busy_since: None };
        self.rows.insert(n, Row { class, came: self.time, state });
        self.queued.insert((class, n));
    }

    fn heads(&mut self, class: Class, limit: usize) -> Heads {
        if class == Class::Bulk {
            while self.queued.iter().filter(|(of, _)| *of == class).count() < limit {
                self.queue(self.bulk, class);
                self.bulk += 1;
            }
        }
        let now = self.now().wall;
        let of_class = self.queued.iter().filter(|(of, _)| *of == class).take(limit);
        let due = of_class.map(|(_, n)| Head {
            action: action(*n),
            class,
            sequence: *n,
            created: now,
            not_before: Wall(0),
            expires: now + Duration::from_secs(86_400),
            tries: 0,
            busy_since: None,
        });
        let behind = if class == Class::Bulk { 20_000 } else { 0 };
        Heads { due: due.collect(), behind, next_due: None }
    }

    fn call(&mut self, n: i64) {
        let row = self.rows.get_mut(&n).expect("the action is there");
        self.queued.remove(&(row.class, n));
        match row.class {
            Class::Urgent => self.outcome.waits.push(self.time - row.came),
            _ => _ = self.outcome.starts.entry(n).or_insert(self.time),
        }
        self.sequence += 1;
        let id = AttemptId(Uuid::from_u128(u128::from(self.sequence)));
        let row = self.rows.get_mut(&n).expect("the action is there");
        row.state = State::InFlight { attempt: id, tries: 0, busy_since: None };
        let written = Stamp::new(BootId([self.boot_id; 16]), self.now());
        let send_by = Stamp {
            boot: written.boot + limits::SEND_BY,
            wall: written.wall + limits::SEND_BY,
            ..written
        };
        let attempt = NewAttempt { id, action: action(n), written, send_by };
        let NewAttempt { action, .. } = attempt;
        self.attempts.push_back(AttemptRow { id, action, written, send_by, closed: None });
        while self.attempts.len() > 4000 {
            self.attempts.pop_front();
        }
        let spike = if self.dice.chance(10) { 3000 } else { 300 };
        let delay = self.dice.below(spike * 1000) as i64;
        // Once it is on the wire it arrives, whatever becomes of its sender.
        let arrive = Happening::Arrive { attempt, sent: self.time };
        self.at(self.time + delay, arrive);
    }

    fn arrive(&mut self, attempt: NewAttempt, sent: i64) {
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

    fn close(&mut self, attempt: NewAttempt, answer: Answer) {
        let action = attempt.action;
        let call = Call { key: key(number(action)), comment: String::new() };
        let closed = Stamp::new(BootId([self.boot_id; 16]), self.now());
        let attempted = Box::new(Attempted { attempt, call, answer, closed });
        self.deliver(Event::Called { action, called: Called::Attempted(attempted) });
    }

    /// Everything ends as soon as it is looked at.
    fn list(&mut self, query: ListQuery) -> Listing {
        let now = Wall(super::EPOCH + self.time);
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
        Listing::Page { entries, read }
    }

    /// Counts one call in every window of every server; returns those that refuse it.
    fn count(&mut self, time: i64) -> BTreeSet<Model> {
        let refuses = |(model, server): &mut (Model, Server)| server.count(time).then_some(*model);
        self.servers.iter_mut().filter_map(refuses).collect()
    }

    fn at(&mut self, time: i64, happening: Happening) {
        self.schedule(time, 0, happening);
    }

    fn schedule(&mut self, time: i64, run: u64, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((time, self.sequence), (run, happening));
    }
}

/// Defender's documented limits.
pub fn budget() -> Vec<Limit> {
    let limit = |calls, per| Limit::new(calls, Duration::from_secs(per)).expect("a limit");
    vec![limit(100, 60), limit(1500, 3600)]
}

fn action(n: i64) -> ActionId {
    ActionId(Uuid::from_u128(n.unsigned_abs().into()))
}

fn number(action: ActionId) -> i64 {
    i64::try_from(action.0.as_u128()).expect("made of one")
}

fn key(n: i64) -> EffectKey {
    let mut machine = [0; 20];
    machine[..8].copy_from_slice(&n.to_be_bytes());
    let (machine, sha1) = (MachineId::from_bytes(machine), Sha1::from_bytes([7; 20]));
    EffectKey { tenant: TenantName::new("contoso"), machine, sha1 }
}

#[cfg(test)]
mod tests;
