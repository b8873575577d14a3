//! What happens when, and what the process makes of it.

mod people;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use super::EPOCH;
use super::defender::Defender;
use super::plan::Plan;
use super::store::{Row, Store};
use crate::domain::action::{Call, Class, NewAttempt, State, StateName};
use crate::domain::answer::{Answer, ListQuery};
use crate::domain::dice::Dice;
use crate::domain::dispatcher::{Dispatcher, Event};
use crate::domain::ids::{ActionId, AttemptId, EffectKey, MachineId, Sha1, TenantName};
use crate::domain::limiter::{Limit, Permit};
use crate::domain::scope::Scope;
use crate::domain::time::{Boot, BootId, Now, Stamp, Wall};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const CLIENT_TIMEOUT: i64 = 10 * SECOND;
const WAIT: i64 = 60 * SECOND;
/// Faults and new alerts end here; then everything has to come to its end.
const CALM: i64 = 4 * HOUR;

enum Happening {
    Alert,
    Start {
        reboot: bool,
    },
    Crash,
    SetWall,
    Pause,
    /// The command asks whether everything written before has left.
    PauseAnswers {
        scope: Scope,
    },
    Unpause {
        scope: Scope,
    },
    /// A person rejects something queued, and lets everything go on that is held.
    Person,
    Restore,
    Nudge,
    Wake {
        token: u64,
    },
    Begin {
        action: ActionId,
        permit: Permit,
    },
    Send {
        attempt: NewAttempt,
        call: Call,
        permit: Permit,
    },
    Arrive {
        attempt: NewAttempt,
        call: Call,
        look_up: i64,
    },
    Close {
        attempt: NewAttempt,
        call: Call,
        answer: Answer,
    },
    List {
        query: ListQuery,
        sent: Boot,
    },
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
    /// Pauses whose command has answered.
    answered: Vec<Scope>,
    alerts_left: u64,
    steps: u64,
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
            answered: Vec::new(),
            alerts_left: plan.alerts,
            steps: 0,
            digest: 0,
            plan,
        }
    }

    pub fn run(&mut self) {
        self.at(0, Happening::Start { reboot: false });
        self.at(SECOND, Happening::Alert);
        self.at(20 * MINUTE, Happening::Pause);
        self.at(25 * MINUTE, Happening::Person);
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
            self.steps += 1;
            assert!(self.steps < 1_000_000, "it turns in circles");
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
            Happening::PauseAnswers { scope } => self.pause_answers(scope),
            Happening::Unpause { scope } => self.unpause(&scope),
            Happening::Person => self.person(),
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
            machine: MachineId::from_bytes(byte(self.dice.below(12))),
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
            back: false,
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
}

fn quarantine_limits() -> Vec<Limit> {
    let limit = |calls, per| Limit::new(calls, Duration::from_secs(per)).expect("a limit");
    vec![limit(6, 60), limit(40, 3600)]
}
