//! What happens when, in virtual time.

mod calls;
mod intake;
mod people;
mod process;
mod troubles;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::EPOCH;
use super::defender::Defender;
use super::history::{Crossing, Event, Fault, History, Invariant, Reach};
use super::plan::{Crossings, Plan};
use super::report::Report;
use super::sender::Letter;
use super::store::Store;
use crate::domain::action::{Call, NewAttempt};
use crate::domain::answer::{Answer, ListQuery};
use crate::domain::decision::JudgedDelivery;
use crate::domain::dice::Dice;
use crate::domain::dispatcher;
use crate::domain::ids::{ActionId, AttemptId};
use crate::domain::limiter::{Limit, Permit};
use crate::domain::time::{Boot, BootId, Now, Stamp, Wall};
use process::Process;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const CLIENT_TIMEOUT: i64 = 10 * SECOND;
const WAIT: i64 = 60 * SECOND;
/// Faults and new alerts end here; then everything has to come to its end.
const CALM: i64 = 6 * HOUR;
/// By then everything has ended: the last expiry, and machine actions of 72 h before it.
const OVER: i64 = 300 * HOUR;
/// More than any seed needs.
const STEPS: u64 = 2_000_000;

enum Happening {
    /// A sender has something new.
    Alert,
    /// It hands a delivery over, if that is not acknowledged yet.
    Post {
        delivery: u32,
    },
    /// A delivery is read.
    Arrives {
        delivery: u32,
    },
    /// Its transaction is committed.
    Commit {
        number: u32,
        judged: Box<JudgedDelivery>,
    },
    Acknowledge {
        delivery: u32,
    },
    /// The sender reads that it was taken.
    Acknowledged {
        delivery: u32,
    },
    Start {
        reboot: bool,
    },
    SetWall,
    DiskFull,
    Deny,
    Pause,
    /// The command asks whether everything written before has left.
    PauseAnswers {
        reach: Reach,
    },
    Unpause {
        reach: Reach,
    },
    /// A person rejects something queued, and decides on what is held.
    Person,
    Restore,
    Nudge,
    Wake {
        token: u64,
    },
    /// The store is asked again for what it failed to do.
    Again,
    /// What was told before it was synced is synced: only where that mistake is planted.
    Sync,
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
    Deliver(dispatcher::Event),
}

pub struct World {
    plan: Plan,
    limits: Vec<Limit>,
    dice: Dice,
    time: i64,
    sequence: u64,
    /// By time and order; the first of the value is the run of the process that it is for, 0 for
    /// all.
    agenda: BTreeMap<(i64, u64), (u64, Happening)>,
    letters: Vec<Letter>,
    store: Store,
    defender: Defender,
    history: History,
    crossings: Crossings,
    process: Option<Process>,
    run: u64,
    boot_id: u8,
    /// True time at which this boot began.
    booted: i64,
    wall_error: i64,
    /// Calls to Defender fail to connect until then.
    outage_until: i64,
    /// There is no room on the disk until then.
    room_at: i64,
    unanswered: BTreeSet<AttemptId>,
    /// Pauses whose command has answered.
    answered: Vec<Reach>,
    /// Told, but not synced: only where that mistake is planted.
    unsynced: Vec<Event>,
    letters_left: u32,
    ids: u64,
    steps: u64,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let limits = quarantine_limits();
        Self {
            dice: Dice::new(plan.seed),
            time: 0,
            sequence: 0,
            agenda: BTreeMap::new(),
            letters: Vec::new(),
            store: Store::default(),
            defender: Defender::new(&limits, &plan),
            history: History::new(&limits),
            crossings: Crossings::new(plan.crashes),
            process: None,
            run: 0,
            boot_id: 1,
            booted: 0,
            wall_error: 0,
            outage_until: 0,
            room_at: 0,
            unanswered: BTreeSet::new(),
            answered: Vec::new(),
            unsynced: Vec::new(),
            letters_left: plan.deliveries,
            ids: 0,
            steps: 0,
            limits,
            plan,
        }
    }

    /// Runs to the end, or to the first thing that must hold and does not.
    pub fn run(mut self) -> Report {
        self.at(0, Happening::Start { reboot: false });
        self.at(SECOND, Happening::Alert);
        self.at(20 * MINUTE, Happening::Pause);
        self.at(25 * MINUTE, Happening::Person);
        self.at(10 * MINUTE, Happening::Restore);
        self.at(15 * MINUTE, Happening::SetWall);
        if self.plan.bad_disk {
            self.at(30 * MINUTE, Happening::DiskFull);
        }
        if self.plan.denies {
            let when = self.dice.below(CALM as u64) as i64;
            self.at(when, Happening::Deny);
        }
        while let Some(((time, _), (run, happening))) = self.agenda.pop_first() {
            self.time = time;
            self.defender.faulty = self.is_faulty();
            if run == 0 || run == self.run {
                self.step();
                self.happen(happening);
            }
            let quiet = self.history.open() == 0 && self.letters.iter().all(|l| l.acknowledged);
            let over = time > CALM && self.letters_left == 0 && quiet;
            if over || time > OVER || self.history.broken().is_some() {
                break;
            }
        }
        self.history.end(self.time);
        let broken = self.history.broken().cloned();
        let Plan { seed, model, .. } = self.plan;
        let digest = self.history.digest();
        Report { seed, model, time: self.time, tally: self.history.tally, digest, broken }
    }

    fn is_faulty(&self) -> bool {
        self.time < CALM
    }

    fn step(&mut self) {
        self.steps += 1;
        if self.steps > STEPS {
            self.history.fail(self.time, Invariant::Bounds, "it turns in circles".to_owned());
        }
    }

    fn append(&mut self, event: Event) {
        self.history.append(self.time, event);
    }

    fn went(&mut self, fault: Fault) {
        self.append(Event::Went(fault));
    }

    /// `true` where the process crashes at this point.
    fn crosses(&mut self, at: Crossing) -> bool {
        let crashes =
            self.is_faulty() && self.process.is_some() && self.crossings.hit(&mut self.dice);
        if crashes {
            self.crash(at);
        }
        crashes
    }

    fn now(&self) -> Now {
        let up = self.time - self.booted;
        Now {
            boot: Boot(up + up * self.plan.drift / 1_000_000),
            wall: Wall(EPOCH + self.time + self.wall_error),
        }
    }

    fn boot_id(&self) -> BootId {
        BootId([self.boot_id; 16])
    }

    fn stamp(&self) -> Stamp {
        Stamp::new(self.boot_id(), self.now())
    }

    /// The true time at which the boot clock has reached `boot`.
    fn true_time(&self, boot: Boot) -> i64 {
        let after = i128::from(boot.0) * 1_000_000 / i128::from(1_000_000 + self.plan.drift);
        self.booted + i64::try_from(after).expect("a time of a simulation") + 2
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

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Alert => self.alert(),
            Happening::Post { delivery } => self.post(delivery),
            Happening::Arrives { delivery } => self.arrives(delivery),
            Happening::Commit { number, judged } => self.commit(number, &judged),
            Happening::Acknowledge { delivery } => self.acknowledge(delivery),
            Happening::Acknowledged { delivery } => {
                self.letters[delivery as usize].acknowledged = true;
            }
            Happening::Start { reboot } => self.start(reboot),
            Happening::SetWall => self.set_wall(),
            Happening::DiskFull => self.disk_full(),
            Happening::Deny => self.deny(),
            Happening::Pause => self.pause(),
            Happening::PauseAnswers { reach } => self.pause_answers(reach),
            Happening::Unpause { reach } => self.unpause(reach),
            Happening::Person => self.person(),
            Happening::Restore => self.restore(),
            Happening::Nudge => self.deliver(dispatcher::Event::Nudge),
            Happening::Wake { token } => {
                if self.process.as_ref().is_some_and(|process| process.is_woken_by(token)) {
                    self.deliver(dispatcher::Event::Wakeup);
                }
            }
            Happening::Again => self.again(),
            Happening::Sync => {
                for event in std::mem::take(&mut self.unsynced) {
                    self.append(event);
                }
            }
            Happening::Begin { action, permit } => self.begin(action, permit),
            Happening::Send { attempt, call, permit } => self.send(attempt, call, permit),
            Happening::Arrive { attempt, call, look_up } => self.arrive(attempt, call, look_up),
            Happening::Close { attempt, call, answer } => self.close(attempt, call, answer),
            Happening::List { query, sent } => self.list(query, sent),
            Happening::Deliver(event) => self.deliver(event),
        }
    }
}

fn quarantine_limits() -> Vec<Limit> {
    let limit = |calls, per| Limit::new(calls, Duration::from_secs(per)).expect("a limit");
    vec![limit(6, 60), limit(40, 3600)]
}
