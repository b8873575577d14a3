//! What happens when, and what the process makes of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::EPOCH;
use super::defender::{Defender, Reply};
use super::store::{Row, Store};
use crate::domain::action::{Begun, Call, Class, NewAttempt, State, StateName};
use crate::domain::answer::{Answer, ListQuery, Status};
use crate::domain::dice::Dice;
use crate::domain::dispatcher::{
    Attempted, Called, Dispatcher, DispatcherSettings, Effect, Event, NotBegun,
};
use crate::domain::ids::{ActionId, AttemptId, EffectKey, MachineId, Sha1, TenantName};
use crate::domain::limiter::{Limit, Permit};
use crate::domain::time::{Boot, BootId, Clocks, Now, Stamp, Wall};
use crate::domain::tracker::TrackerSettings;
use crate::limits;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const CLIENT_TIMEOUT: i64 = 10 * SECOND;
const WAIT: i64 = 60 * SECOND;
/// Faults and new alerts end here; then everything has to come to its end.
const CALM: i64 = 4 * HOUR;

/// What a seed stands for.
pub struct Plan {
    seed: u64,
    alerts: u64,
    crash_permille: u64,
    offline: bool,
    hides: bool,
    dark: bool,
    /// The wall clock is off by hours at times: then a look-up may miss what is there.
    wild_wall: bool,
    steady_wall: bool,
    drift: i64,
    skew: i64,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0xace0_fba5e);
        Self {
            seed,
            alerts: 30 + dice.below(90),
            crash_permille: [0, 2, 10][dice.below(3) as usize],
            offline: dice.chance(60),
            hides: dice.chance(300),
            dark: dice.chance(60),
            wild_wall: dice.chance(100),
            steady_wall: dice.chance(500),
            drift: dice.below(1001) as i64 - 500,
            skew: (dice.below(121) as i64 - 60) * SECOND,
        }
    }
}

enum Happening {
    Alert,
    Start { reboot: bool },
    Crash,
    SetWall,
    Pause,
    Unpause,
    Restore,
    Nudge,
    Wake { token: u64 },
    Begin { action: ActionId, permit: Permit },
    Send { attempt: NewAttempt, call: Call, permit: Permit },
    Arrive { attempt: NewAttempt, call: Call, look_up: i64 },
    Close { attempt: NewAttempt, call: Call, answer: Answer },
    List { query: ListQuery, sent: Boot },
    Deliver(Event),
}

struct Process {
    dispatcher: Dispatcher,
    in_hand: BTreeSet<ActionId>,
    token: u64,
}

pub struct World {
    plan: Plan,
    dice: Dice,
    time: i64,
    sequence: u64,
    /// By time and order; the last number is the run of the process that it is for, 0 for all.
    agenda: BTreeMap<(i64, u64), (u64, Happening)>,
    store: Store,
    defender: Defender,
    process: Option<Process>,
    run: u64,
    boot_id: u8,
    wall_error: i64,
    /// Calls to Defender fail to connect until then.
    outage_until: i64,
    /// Moves that were made, by names.
    pub moves: BTreeSet<(StateName, StateName)>,
    unanswered: BTreeSet<AttemptId>,
    sent: BTreeSet<AttemptId>,
    alerts_left: u64,
    /// Of everything that happened, in order.
    pub digest: u64,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let limits = quarantine_limits();
        let mut defender = Defender::new(limits, plan.skew);
        defender.offline = plan.offline;
        defender.hides = plan.hides;
        defender.dark = plan.dark;
        Self {
            dice: Dice::new(plan.seed),
            time: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            store: Store::default(),
            defender,
            process: None,
            run: 0,
            boot_id: 1,
            wall_error: 0,
            outage_until: 0,
            moves: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            sent: BTreeSet::new(),
            alerts_left: plan.alerts,
            digest: 0,
            plan,
        }
    }

    pub fn run(&mut self) {
        self.at(0, Happening::Start { reboot: false });
        self.at(SECOND, Happening::Alert);
        self.at(20 * MINUTE, Happening::Pause);
        self.at(10 * MINUTE, Happening::Restore);
        self.at(15 * MINUTE, Happening::SetWall);
        if self.plan.crash_permille > 0 {
            self.at(5 * MINUTE, Happening::Crash);
        }
        while let Some((&(time, sequence), _)) = self.agenda.first_key_value() {
            let (run, happening) = self.agenda.remove(&(time, sequence)).expect("it is first");
            assert!(
                time < 110 * HOUR,
                "{} actions never end: {}",
                self.store.open.len(),
                self.open()
            );
            self.time = time;
            self.defender.faulty = time < CALM;
            if run == 0 || run == self.run {
                self.happen(happening);
            }
            if self.time > CALM && self.alerts_left == 0 && self.store.open.is_empty() {
                break;
            }
        }
        let twice = self.defender.made_twice();
        assert!(twice.is_empty() || self.plan.wild_wall, "called twice: {twice:?}");
    }

    fn open(&self) -> String {
        let states = self.store.open.iter().map(|id| format!("{:?}", self.store.actions[id].state));
        states.take(3).collect::<Vec<_>>().join(", ")
    }

    fn now(&self) -> Now {
        Now {
            boot: Boot(self.time + self.time * self.plan.drift / 1_000_000),
            wall: Wall(EPOCH + self.time + self.wall_error),
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(BootId([self.boot_id; 16]), self.now())
    }

    /// The true time at which the boot clock has reached `boot`.
    fn true_time(&self, boot: Boot) -> i64 {
        let after = i128::from(boot.0) * 1_000_000 / i128::from(1_000_000 + self.plan.drift);
        i64::try_from(after).expect("a time of a test") + 2
    }

    fn at(&mut self, time: i64, happening: Happening) {
        self.schedule(time, 0, happening);
    }

    /// For this run of the process only: a crash takes it away.
    fn later(&mut self, delay: i64, happening: Happening) {
        self.schedule(self.time + delay, self.run, happening);
    }

    fn schedule(&mut self, time: i64, run: u64, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((time, self.sequence), (run, happening));
    }

    fn millis(&mut self, below: u64) -> i64 {
        self.dice.below(below * 1000) as i64
    }

    fn note(&mut self, what: &str) {
        let text = format!("{} {what}", self.time);
        for byte in text.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Alert => self.alert(),
            Happening::Start { reboot } => self.start(reboot),
            Happening::Crash => {
                if self.process.is_some() && self.time < CALM {
                    self.crash();
                }
                let delay = self.millis(1_200_000);
                self.at(self.time + delay, Happening::Crash);
            }
            Happening::SetWall => self.set_wall(),
            Happening::Pause => self.pause(),
            Happening::Unpause => self.unpause(),
            Happening::Restore => {
                self.defender.forbidden = false;
                if self.dice.chance(100) && self.time < CALM {
                    self.outage_until = self.time + MINUTE;
                }
                self.at(self.time + 10 * MINUTE, Happening::Restore);
            }
            Happening::Nudge => {
                self.store.actions.values_mut().for_each(|row| row.known = true);
                self.deliver(Event::Nudge);
            }
            Happening::Wake { token } => {
                if self.process.as_ref().is_some_and(|process| process.token == token) {
                    self.deliver(Event::Wakeup);
                }
            }
            Happening::Begin { action, permit } => self.begin(action, permit),
            Happening::Send { attempt, call, permit } => self.send(attempt, call, permit),
            Happening::Arrive { attempt, call, look_up } => self.arrive(attempt, call, look_up),
            Happening::Close { attempt, call, answer } => self.close(attempt, call, answer),
            Happening::List { query, sent } => {
                let listing = self.defender.list(&mut self.dice, self.time, query);
                let delay = self.millis(300);
                self.later(delay, Happening::Deliver(Event::Listed { sent, listing }));
            }
            Happening::Deliver(event) => self.deliver(event),
        }
    }

    fn alert(&mut self) {
        self.alerts_left -= 1;
        let byte = |n: u64| [u8::try_from(n + 1).expect("few"); 20];
        let key = EffectKey {
            tenant: TenantName::new("contoso"),
            machine: MachineId::from_bytes(byte(self.dice.below(40))),
            sha1: Sha1::from_bytes(byte(self.dice.below(3))),
        };
        let id = ActionId(Uuid::from_u128(u128::from(self.alerts_left) + 1));
        let row = Row {
            key,
            comment: format!("alert {}", self.dice.below(50)),
            class: Class::ALL[self.dice.below(3) as usize],
            sequence: i64::try_from(self.sequence).expect("few"),
            expires: self.now().wall + Duration::from_secs(3600 * (1 + self.dice.below(48))),
            state: State::Queued { not_before: self.now().wall, tries: 0, busy_since: None },
            corrupt: self.dice.chance(10),
            known: false,
            machine_action: None,
        };
        if self.store.insert(id, row) && !self.dice.chance(50) {
            let delay = self.millis(50);
            self.later(delay, Happening::Nudge);
        }
        if self.alerts_left > 0 {
            // Storms, and quiet times between them.
            let next =
                if self.dice.chance(850) { self.millis(3000) } else { self.millis(1_200_000) };
            self.at(self.time + next, Happening::Alert);
        }
    }

    fn set_wall(&mut self) {
        if !self.plan.steady_wall {
            let most = if self.plan.wild_wall { 7200 } else { 100 };
            self.wall_error = (self.dice.below(2 * most) as i64 - most as i64) * SECOND;
            if self.time < CALM {
                self.at(self.time + 15 * MINUTE, Happening::SetWall);
            } else {
                self.wall_error = 0;
            }
        }
    }

    fn pause(&mut self) {
        self.store.paused = true;
        let delay = MINUTE + self.millis(600_000);
        self.at(self.time + delay, Happening::Unpause);
        if self.time < CALM {
            self.at(self.time + 45 * MINUTE, Happening::Pause);
        }
    }

    fn unpause(&mut self) {
        self.store.paused = false;
        if self.dice.chance(500) {
            self.deliver(Event::Resumed);
        }
    }
}

fn quarantine_limits() -> Vec<Limit> {
    let limit = |calls, per| Limit::new(calls, Duration::from_secs(per)).expect("a limit");
    vec![limit(6, 60), limit(40, 3600)]
}

/// The process: what the relay does, step by step, with a crash wherever one can be.
impl World {
    fn start(&mut self, reboot: bool) {
        assert!(self.process.is_none());
        self.run += 1;
        if reboot {
            self.boot_id += 1;
        }
        let now = self.now();
        let boot_id = BootId([self.boot_id; 16]);
        let clocks = Clocks { boot_id, wall_trusted: self.plan.steady_wall };
        let settings = DispatcherSettings {
            tenant: TenantName::new("contoso"),
            quarantine: quarantine_limits(),
            machine_actions: vec![Limit::new(100, Duration::from_secs(60)).expect("a limit")],
            client_timeout: Duration::from_micros(CLIENT_TIMEOUT as u64),
            tracker: TrackerSettings {
                every: Duration::from_secs(300),
                wait: Duration::from_micros(WAIT as u64),
                page: 2 + (self.plan.seed % 7) as u32,
            },
        };
        let resumed = self.store.resume();
        let (dispatcher, effects) = Dispatcher::resume(settings, resumed, now, clocks);
        self.process = Some(Process { dispatcher, in_hand: BTreeSet::new(), token: 0 });
        self.store.actions.values_mut().for_each(|row| row.known = true);
        if self.perform(effects, &mut VecDeque::new()) {
            self.deliver(Event::Wakeup);
        }
    }

    fn crash(&mut self) {
        self.note("crash");
        self.unanswered.clear();
        self.process = None;
        self.run += 1;
        let reboot = self.dice.chance(200);
        let delay = self.millis(20_000) + if reboot { 30 * SECOND } else { 0 };
        self.at(self.time + delay, Happening::Start { reboot });
    }

    fn deliver(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.now();
            let Some(process) = &mut self.process else { return };
            if let Event::Called { action, .. } = &event {
                process.in_hand.remove(action);
            }
            let effects = process.dispatcher.step(now, event);
            if !self.perform(effects, &mut events) {
                return;
            }
        }
        let Some(process) = &mut self.process else { return };
        if let Some(boot) = process.dispatcher.next_wakeup() {
            process.token += 1;
            let token = process.token;
            let time = self.true_time(boot).max(self.time + 1);
            self.schedule(time, self.run, Happening::Wake { token });
        }
    }

    /// `false` where the process crashed on the way.
    fn perform(&mut self, effects: Vec<Effect>, events: &mut VecDeque<Event>) -> bool {
        for effect in effects {
            if self.dice.chance(self.plan.crash_permille) && self.time < CALM {
                self.crash();
                return false;
            }
            let wall = self.now().wall;
            match effect {
                Effect::Record { closed, changes } => {
                    for (action, from, to) in self.store.apply(closed, changes) {
                        self.note(&format!("{action} {to:?}"));
                        self.moves.insert((from, to.name()));
                        self.check_end(action, &to);
                    }
                }
                Effect::Pause { .. } => self.pause(),
                Effect::Load { class } => {
                    let heads = self.store.heads(class, wall, limits::HEADS_PER_CLASS.min(8));
                    events.push_back(Event::Loaded { class, heads });
                }
                Effect::Sweep => {
                    self.store.actions.values_mut().for_each(|row| row.known = true);
                    let expired = self.store.expired(wall, limits::SWEEP_BATCH);
                    events.push_back(Event::Expired(expired));
                }
                Effect::Call { permit, action } => {
                    self.note(&format!("call {action}"));
                    self.check_order(action);
                    let delay = self.millis(5);
                    self.later(delay, Happening::Begin { action, permit });
                }
                Effect::List { query, permit: _ } => {
                    self.note(&format!("{query:?}"));
                    let sent = self.now().boot;
                    let delay = self.millis(300);
                    self.later(delay, Happening::List { query, sent });
                }
            }
        }
        true
    }

    fn begin(&mut self, action: ActionId, permit: Permit) {
        let written = self.stamp();
        let send_by = Stamp {
            boot: written.boot + limits::SEND_BY,
            wall: written.wall + limits::SEND_BY,
            ..written
        };
        let id = AttemptId(Uuid::from_u128(u128::from(self.sequence)));
        let attempt = NewAttempt { id, action, written, send_by };
        let not_begun = |why| Event::Called { action, called: Called::NotBegun(why) };
        if self.defender.faulty && self.dice.chance(10) {
            let error = NotBegun::StoreFailed("disk full".to_owned());
            return self.deliver(not_begun(error));
        }
        match self.store.begin(&attempt) {
            Begun::Written(call) => {
                let slow = self.defender.faulty && self.dice.chance(10);
                let delay = if slow { 3 * SECOND } else { self.millis(50) };
                self.later(delay, Happening::Send { attempt, call, permit });
            }
            other => self.deliver(not_begun(NotBegun::Refused(other))),
        }
    }

    /// The last check, and then the socket.
    fn send(&mut self, attempt: NewAttempt, call: Call, _permit: Permit) {
        let unreachable = self.time < self.outage_until;
        let fails = self.defender.faulty && self.dice.chance(20);
        if self.now().boot > attempt.send_by.boot || unreachable || fails {
            let answer = Answer::Unsent { text: "no connection".to_owned() };
            let delay = self.millis(500);
            self.unanswered.insert(attempt.id);
            return self.later(delay, Happening::Close { attempt, call, answer });
        }
        let state = &self.store.actions[&attempt.action].state;
        let written = matches!(state, State::InFlight { attempt: id, .. } if *id == attempt.id);
        assert!(written, "{attempt:?} was sent and not written: {state:?}");
        assert!(self.sent.insert(attempt.id), "{attempt:?} was sent twice");
        self.unanswered.insert(attempt.id);
        let spike = if self.defender.faulty && self.dice.chance(20) { 20_000 } else { 300 };
        let delay = self.millis(spike);
        let look_up = self.true_time(attempt.send_by.boot) + CLIENT_TIMEOUT + WAIT;
        let arrive = Happening::Arrive { attempt: attempt.clone(), call: call.clone(), look_up };
        // Once it is on the wire it arrives, whatever becomes of its sender.
        self.at(self.time + delay, arrive);
        let answer = Answer::Unclear { status: None, text: "timeout".to_owned() };
        self.later(CLIENT_TIMEOUT, Happening::Close { attempt, call, answer });
    }

    fn arrive(&mut self, attempt: NewAttempt, call: Call, look_up: i64) {
        let action = attempt.action;
        let reply = self.defender.call(&mut self.dice, self.time, action, &call, look_up);
        if let Reply::Answer(answer) = reply {
            let slow = self.defender.faulty && self.dice.chance(20);
            let delay = self.millis(if slow { 20_000 } else { 300 });
            self.later(delay, Happening::Close { attempt, call, answer });
        }
    }

    /// The first answer counts; a client that gave up sees no other.
    fn close(&mut self, attempt: NewAttempt, call: Call, answer: Answer) {
        if self.unanswered.remove(&attempt.id) {
            let action = attempt.action;
            let closed = self.stamp();
            let attempted = Box::new(Attempted { attempt, call, answer, closed });
            self.deliver(Event::Called { action, called: Called::Attempted(attempted) });
        }
    }

    fn check_order(&mut self, action: ActionId) {
        let wall = self.now().wall;
        let process = self.process.as_mut().expect("it decides");
        assert!(process.in_hand.insert(action), "{action} is in hand already");
        assert!(process.in_hand.len() <= limits::IN_FLIGHT_PER_TENANT);
        let row = &self.store.actions[&action];
        let first = self.store.overlooked((row.class, row.sequence), wall, &process.in_hand);
        assert_eq!(first, None, "goes before {action}");
    }

    /// Nothing has ended that Defender has not ended so, and no other action's end is taken.
    fn check_end(&self, action: ActionId, state: &State) {
        let end = match state {
            State::Succeeded { .. } => Status::Succeeded,
            State::Failed { .. } => Status::Failed,
            State::Cancelled => Status::Cancelled,
            _ => return,
        };
        let row = &self.store.actions[&action];
        let id = row.machine_action.as_ref().expect("it was accepted");
        assert!(self.defender.has_ended(id, self.time, end), "{action}: {id} is not {end:?}");
        let named = self.defender.named.contains(&(action, id.clone()));
        let taken = self
            .store
            .actions
            .iter()
            .any(|(other, row)| *other != action && row.machine_action.as_ref() == Some(id));
        assert!(named || !taken, "{id} is another action's end");
    }
}
