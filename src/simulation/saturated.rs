//! One tenant whose backlog never ends: how much of the budget is used, and whether any server
//! would refuse a call. Nothing goes wrong here but clocks, delays, restarts and what others use;
//! for everything else there is the other simulation.

mod defender;
mod plan;
mod rows;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::servers::{Model, Server};
use crate::domain::action::{AttemptRow, Class, Closed, NewAttempt, OpenAction, Resumed, State};
use crate::domain::answer::{Answer, ListQuery};
use crate::domain::audit::What;
use crate::domain::dice::Dice;
use crate::domain::dispatcher::{Dispatcher, DispatcherSettings, Effect, Event};
use crate::domain::ids::{
    ActionId, AttemptId, EffectKey, MachineActionId, MachineId, Sha1, TenantName,
};
use crate::domain::limiter::Limit;
use crate::domain::time::{Boot, BootId, Clocks, Now, Stamp, Wall};
use crate::domain::tracker::TrackerSettings;
use crate::limits;
pub use plan::{Outcome, Plan};

const SECOND: i64 = 1_000_000;
pub const HOUR: i64 = 3600 * SECOND;

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
            let row = AttemptRow {
                id,
                action,
                written: at,
                send_by: at,
                closed: Some(Closed { at, answered: true, status: None }),
            };
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
                        row.expect("it was written").closed = Some(closed.kept());
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
