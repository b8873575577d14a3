//! Everything that happens, as plain events in the order in which it happens, and what must hold
//! of them.

mod actions;
pub(super) mod checker;
mod order;
mod windows;

use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::report::Tally;
use crate::domain::action::{Class, StateName};
use crate::domain::ids::{ActionId, AttemptId, MachineId, Sha1};
use crate::domain::limiter::Limit;
use crate::domain::time::{Boot, Wall};
use checker::Checker;

/// One file on one machine of the only tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File {
    pub machine: MachineId,
    pub sha1: Sha1,
}

/// What a pause stops. Each class has one rule here, which is named by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    All,
    Rule(Class),
    Machine(MachineId),
    Sha1(Sha1),
}

impl Reach {
    pub fn covers(self, rule: Class, file: File) -> bool {
        match self {
            Reach::All => true,
            Reach::Rule(of) => of == rule,
            Reach::Machine(machine) => machine == file.machine,
            Reach::Sha1(sha1) => sha1 == file.sha1,
        }
    }
}

/// Where a crash hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Crossing {
    BeforeRecord,
    BeforePause,
    BeforeLoad,
    BeforeSweep,
    BeforeCall,
    BeforeList,
    BeforeAttempt,
    BeforeSend,
    BeforeIntake,
    BeforeAcknowledge,
    InCommit,
}

/// What goes wrong around the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    DeliveryTwice,
    DeliveryLost,
    AcknowledgementLost,
    NudgeLost,
    DiskError,
    DiskFull,
    DiskTorn,
    ClockJump,
    Reboot,
    Unreachable,
    SlowSender,
    RequestLost,
    AnswerLost,
    AnswerLate,
    ServerError,
    TokenRefused,
    NotFound,
    Refused,
    Forbidden,
    TooManyForNoReason,
    ListFailed,
    HiddenTooLong,
}

/// Why a look-up could not have seen a machine action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unseen {
    /// Defender did not show it for longer than `reconcile.wait`.
    Hidden,
    /// The wall clock was further off than [`crate::limits::CLOCK_SKEW`] when the attempt was
    /// written.
    ByClock,
}

/// One thing that happened. What is durable is told when it is, not when it was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A process has read the store, and found so many open actions.
    Started {
        boot: u8,
        open: usize,
    },
    Crashed {
        at: Crossing,
    },
    Went(Fault),
    /// A sender has handed over a delivery of so many candidates; again, if it was before.
    Delivered {
        delivery: u32,
        candidates: usize,
    },
    /// Durable: an action was made for a candidate of that delivery.
    Created(Created),
    /// Durable: a candidate belongs to an action that was there.
    Linked {
        delivery: u32,
        action: ActionId,
    },
    /// Durable: a deny rule covers a candidate.
    Spared {
        delivery: u32,
    },
    /// Durable: a delivery's whole transaction.
    Committed {
        delivery: u32,
    },
    Acknowledged {
        delivery: u32,
    },
    /// Durable.
    Raised {
        action: ActionId,
        to: Class,
    },
    /// Durable.
    Moved(Moved),
    /// Durable: an attempt.
    Written {
        attempt: AttemptId,
        action: ActionId,
        at: Wall,
        send_by: Boot,
    },
    /// The dispatcher looks at what is new, behind what it holds.
    Nudged,
    /// The dispatcher reads everything anew before it goes on.
    Shown,
    /// The dispatcher has decided that this one is called next.
    Chosen {
        action: ActionId,
        boot: Boot,
        wall: Wall,
    },
    /// It had decided so before the store failed, and goes on now.
    Taken {
        action: ActionId,
    },
    /// The dispatcher has learnt how a call went.
    Returned {
        action: ActionId,
    },
    /// The first byte is on the wire.
    Sent {
        attempt: AttemptId,
        at: Boot,
    },
    /// The server has counted it.
    Counted {
        attempt: AttemptId,
    },
    /// The dispatcher has read a 429.
    TooMany {
        until: Boot,
    },
    /// Defender has made a machine action.
    Made {
        action: ActionId,
        number: u32,
        file: File,
        unseen: Option<Unseen>,
    },
    /// Defender has named one that was there.
    Named {
        action: ActionId,
        number: u32,
    },
    /// Its list has shown how one ended.
    Told {
        number: u32,
        end: StateName,
    },
    /// Durable.
    Paused {
        reach: Reach,
    },
    /// The command has said that nothing can leave any more.
    PauseAnswered {
        reach: Reach,
    },
    Resumed {
        reach: Reach,
    },
    /// A deny rule covers that file from now on.
    Denied {
        sha1: Sha1,
    },
}

/// See [`Event::Created`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Created {
    pub action: ActionId,
    pub delivery: u32,
    pub file: File,
    pub rule: Class,
    pub class: Class,
    pub sequence: i64,
    /// How long it may wait in the queue before it expires.
    pub queued_for: Duration,
    pub state: StateName,
    pub not_before: Wall,
    pub expires: Wall,
    pub evidence: Wall,
    /// Its row does not verify: it may not be sent, and goes before nothing.
    pub corrupt: bool,
}

/// See [`Event::Moved`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moved {
    pub action: ActionId,
    pub from: StateName,
    pub to: StateName,
    pub by: By,
    /// Of what is queued now.
    pub not_before: Wall,
    pub expires: Wall,
    /// The last one it was accepted as.
    pub machine_action: Option<u32>,
    /// Of what has succeeded.
    pub completed: Option<Wall>,
}

/// Who moved an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The dispatcher, which knows of it.
    Dispatcher,
    /// A person or intake: nothing but a reload shows it.
    Others,
}

/// What must hold, by the numbers of ARCHITECTURE.md where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    DurableFirst,
    AttemptFirst,
    Windows,
    RetryAfter,
    OneAction,
    Brakes,
    Order,
    Transitions,
    NothingLost,
    SaidByDefender,
    Once,
    Ends,
    Bounds,
}

impl Invariant {
    pub fn as_str(self) -> &'static str {
        match self {
            Invariant::DurableFirst => "3: nothing is acknowledged before it is durable",
            Invariant::AttemptFirst => {
                "4: no call without a durable attempt, and one call for each"
            }
            Invariant::Windows => "5: in no window do calls exceed its limit",
            Invariant::RetryAfter => "5: nothing is called before a 429 lets it",
            Invariant::OneAction => "6: one open action per effect, one action per alert",
            Invariant::Brakes => "7: nothing past a pause, hold, deny rule, expiry or send by",
            Invariant::Order => "8: a higher class that is due goes first",
            Invariant::Transitions => "11: only the transitions that exist",
            Invariant::NothingLost => "what is acknowledged has an action that is open or ended",
            Invariant::SaidByDefender => "nothing is reported as done that Defender has not said",
            Invariant::Once => "called twice only where a look-up could not see the first call",
            Invariant::Ends => "everything comes to its end",
            Invariant::Bounds => "the dispatcher keeps its own bounds",
        }
    }
}

/// What did not hold, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub invariant: Invariant,
    pub what: String,
    /// True time since the start, in microseconds.
    pub time: i64,
    /// The events before it, oldest first.
    pub before: Vec<String>,
}

/// Events before a broken invariant that are shown.
const SHOWN: usize = 25;

/// Appended to, checked at each event, and never changed.
pub struct History {
    events: Vec<(i64, Event)>,
    checker: Checker,
    pub tally: Tally,
    digest: Digest,
    broken: Option<Broken>,
}

impl History {
    pub fn new(limits: &[Limit]) -> Self {
        Self {
            events: Vec::new(),
            checker: Checker::new(limits),
            tally: Tally::default(),
            digest: Digest(0),
            broken: None,
        }
    }

    /// After something that must hold did not, nothing more is taken.
    pub fn append(&mut self, time: i64, event: Event) {
        if self.broken.is_some() {
            return;
        }
        (time, event).hash(&mut self.digest);
        self.events.push((time, event));
        self.tally.count(&event);
        if let Err((invariant, what)) = self.checker.check(time, event) {
            self.fail(time, invariant, what);
        }
    }

    /// Something does not hold that no event shows.
    pub fn fail(&mut self, time: i64, invariant: Invariant, what: String) {
        if self.broken.is_none() {
            let since = self.events.len().saturating_sub(SHOWN);
            let before = &self.events[since..];
            let before = before.iter().map(|(at, event)| format!("{} {event:?}", clock(*at)));
            let before = before.collect();
            self.broken = Some(Broken { invariant, what, time, before });
        }
    }

    /// What must hold of the whole, after it.
    pub fn end(&mut self, time: i64) {
        if let Err((invariant, what)) = self.checker.end() {
            self.fail(time, invariant, what);
        }
        self.tally.checked = self.checker.checked().clone();
        self.tally.doubles = self.checker.doubles();
    }

    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// Of everything that happened, in order.
    pub fn digest(&self) -> u64 {
        self.digest.0
    }

    /// Actions that have not ended.
    pub fn open(&self) -> usize {
        self.checker.open()
    }
}

/// A time of the simulation for people: `1:02:03.004`.
pub fn clock(time: i64) -> String {
    let (millis, seconds) = (time / 1000, time / 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}.{:03}", seconds % 60, millis % 1000)
}

/// FNV-1a: the same in every build, unlike the hashers of the standard library.
struct Digest(u64);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
