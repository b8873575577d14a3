//! What must hold after each event. Each check takes the same time however long the history is,
//! or as long as there are queued actions.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::Actions;
use super::order::{Sight, overlooked};
use super::windows::Window;
use super::{By, Event, File, Invariant, Moved, Reach, Unseen};
use crate::domain::action::StateName;
use crate::domain::ids::{ActionId, AttemptId, Sha1};
use crate::domain::limiter::Limit;
use crate::domain::time::{Boot, Wall};
use crate::limits;

/// What did not hold, and of what.
type Wrong = (Invariant, String);

pub struct Checker {
    checked: BTreeMap<Invariant, u64>,
    boot: u8,
    deliveries: BTreeMap<u32, Delivery>,
    actions: Actions,
    attempts: BTreeMap<AttemptId, Attempt>,
    windows: Vec<Window>,
    /// No call before, on the clock of this boot.
    retry_after: Option<Boot>,
    paused: Vec<Reach>,
    /// Pauses whose command has answered.
    stopped: Vec<Reach>,
    denied: BTreeSet<Sha1>,
    in_hand: BTreeSet<ActionId>,
    /// How often the dispatcher has looked at what is new, and read everything anew.
    looks: u64,
    shows: u64,
    machine_actions: BTreeMap<u32, MachineAction>,
    named: BTreeSet<(ActionId, u32)>,
    doubles: Doubles,
}

/// Calls of one action that made a second machine action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubles {
    /// Defender hid the first one for longer than a look-up waits.
    pub hidden: u64,
    /// The wall clock was further off than look-ups allow for.
    pub by_clock: u64,
}

#[derive(Default)]
struct Delivery {
    candidates: usize,
    settled: usize,
    committed: bool,
    acknowledged: bool,
}

struct Attempt {
    action: ActionId,
    send_by: Boot,
    boot: u8,
    sent: bool,
}

struct MachineAction {
    file: File,
    told: Option<StateName>,
    outcome_of: Option<ActionId>,
}

impl Checker {
    pub fn new(limits: &[Limit]) -> Self {
        Self {
            checked: BTreeMap::new(),
            boot: 0,
            deliveries: BTreeMap::new(),
            actions: Actions::default(),
            attempts: BTreeMap::new(),
            windows: limits.iter().map(Window::new).collect(),
            retry_after: None,
            paused: Vec::new(),
            stopped: Vec::new(),
            denied: BTreeSet::new(),
            in_hand: BTreeSet::new(),
            looks: 1,
            shows: 1,
            machine_actions: BTreeMap::new(),
            named: BTreeSet::new(),
            doubles: Doubles::default(),
        }
    }

    pub fn checked(&self) -> &BTreeMap<Invariant, u64> {
        &self.checked
    }

    pub fn doubles(&self) -> Doubles {
        self.doubles
    }

    pub fn open(&self) -> usize {
        self.actions.open()
    }

    /// Counts that something was looked at, and says what is wrong with it.
    fn must(
        &mut self,
        invariant: Invariant,
        holds: bool,
        what: impl FnOnce() -> String,
    ) -> Result<(), Wrong> {
        *self.checked.entry(invariant).or_default() += 1;
        if holds { Ok(()) } else { Err((invariant, what())) }
    }

    pub fn check(&mut self, time: i64, event: Event) -> Result<(), Wrong> {
        match event {
            Event::Started { boot, open } => return self.started(boot, open),
            Event::Crashed { .. } => self.in_hand.clear(),
            Event::Delivered { delivery, candidates } => {
                self.deliveries.entry(delivery).or_default().candidates = candidates;
            }
            Event::Created(new) => {
                self.settled(new.delivery);
                let created = self.actions.create(&new, self.looks);
                let why = created.err();
                return self.must(Invariant::OneAction, why.is_none(), || why.unwrap_or_default());
            }
            Event::Linked { delivery, action } => {
                self.settled(delivery);
                let known = self.actions.all.contains_key(&action);
                return self.must(Invariant::NothingLost, known, || format!("{action} is gone"));
            }
            Event::Spared { delivery } => self.settled(delivery),
            Event::Committed { delivery } => {
                self.deliveries.entry(delivery).or_default().committed = true;
            }
            Event::Acknowledged { delivery } => return self.acknowledged(delivery),
            Event::Raised { action, to } => {
                if let Some(known) = self.actions.all.get_mut(&action) {
                    (known.class, known.shows) = (to, self.shows);
                }
            }
            Event::Moved(moved) => return self.moved(&moved),
            Event::Written { attempt, action, at, send_by } => {
                return self.written(attempt, action, at, send_by);
            }
            Event::Nudged => self.looks += 1,
            Event::Shown => {
                self.looks += 1;
                self.shows += 1;
            }
            Event::Chosen { action, boot, wall } => return self.chosen(action, boot, wall),
            Event::Taken { action } => return self.taken(action),
            Event::Returned { action } => {
                self.in_hand.remove(&action);
            }
            Event::Sent { attempt, at } => return self.sent(attempt, at),
            Event::Counted { attempt } => return self.counted(time, attempt),
            Event::TooMany { until } => self.retry_after = self.retry_after.max(Some(until)),
            Event::Made { action, number, file, unseen } => {
                let new = MachineAction { file, told: None, outcome_of: None };
                self.machine_actions.insert(number, new);
                return self.made(action, unseen);
            }
            Event::Named { action, number } => {
                self.named.insert((action, number));
            }
            Event::Told { number, end } => {
                if let Some(made) = self.machine_actions.get_mut(&number) {
                    made.told = Some(end);
                }
            }
            Event::Paused { reach } => self.paused.push(reach),
            Event::PauseAnswered { reach } => self.stopped.push(reach),
            Event::Resumed { reach } => self.resumed(reach),
            Event::Denied { sha1 } => {
                self.denied.insert(sha1);
            }
            Event::Went(_) => {}
        }
        Ok(())
    }

    /// What must hold when nothing happens any more.
    pub fn end(&mut self) -> Result<(), Wrong> {
        let open = self.actions.all.iter().find(|(_, known)| known.state.is_open());
        let open = open.map(|(action, known)| format!("{action} is {}", known.state));
        self.must(Invariant::Ends, open.is_none(), || open.unwrap_or_default())?;
        let waits = self.deliveries.iter().find(|(_, delivery)| !delivery.acknowledged);
        let waits = waits.map(|(delivery, _)| format!("delivery {delivery} is never taken"));
        self.must(Invariant::NothingLost, waits.is_none(), || waits.unwrap_or_default())
    }

    fn started(&mut self, boot: u8, open: usize) -> Result<(), Wrong> {
        self.boot = boot;
        self.retry_after = None;
        let known = self.actions.open();
        let what = || format!("{open} open actions after a start, of {known}");
        self.must(Invariant::NothingLost, open == known, what)
    }

    fn settled(&mut self, delivery: u32) {
        self.deliveries.entry(delivery).or_default().settled += 1;
    }

    fn acknowledged(&mut self, number: u32) -> Result<(), Wrong> {
        let delivery = self.deliveries.entry(number).or_default();
        delivery.acknowledged = true;
        let Delivery { candidates, settled, committed, .. } = *delivery;
        let what = || format!("delivery {number} is not durable");
        self.must(Invariant::DurableFirst, committed, what)?;
        let what =
            || format!("of {candidates} candidates of delivery {number}, {settled} are known");
        self.must(Invariant::NothingLost, settled == candidates, what)
    }

    fn moved(&mut self, moved: &Moved) -> Result<(), Wrong> {
        let Moved { action, to, by, machine_action, .. } = *moved;
        let shows = self.shows;
        let applied = self.actions.moves(moved).map(|known| {
            if by == By::Others {
                known.shows = shows;
            }
            known.file
        });
        let file = applied.as_ref().ok().copied();
        let what = || applied.err().unwrap_or_default();
        self.must(Invariant::Transitions, file.is_some(), what)?;
        let named = machine_action.and_then(|number| self.machine_actions.get(&number));
        match to {
            StateName::Accepted => {
                let fits = named.is_some_and(|named| Some(named.file) == file);
                let what =
                    || format!("{action} is accepted as {machine_action:?}, of another file");
                self.must(Invariant::SaidByDefender, fits, what)
            }
            StateName::Succeeded | StateName::Failed | StateName::Cancelled => {
                let said = named.is_some_and(|named| named.told == Some(to));
                let what = || format!("{action}: {machine_action:?} is not said to be {to}");
                self.must(Invariant::SaidByDefender, said, what)?;
                self.outcome(action, machine_action)
            }
            _ => Ok(()),
        }
    }

    /// No other action's end is taken, unless Defender itself named it.
    fn outcome(&mut self, action: ActionId, machine_action: Option<u32>) -> Result<(), Wrong> {
        let Some(number) = machine_action else { return Ok(()) };
        let Some(made) = self.machine_actions.get_mut(&number) else { return Ok(()) };
        let other = made.outcome_of.replace(action);
        let own = other.is_none() || self.named.contains(&(action, number));
        let what = || format!("{action} takes the end of {number}, which is {other:?}'s");
        self.must(Invariant::SaidByDefender, own, what)
    }

    fn written(
        &mut self,
        id: AttemptId,
        action: ActionId,
        at: Wall,
        send_by: Boot,
    ) -> Result<(), Wrong> {
        let attempt = Attempt { action, send_by, boot: self.boot, sent: false };
        let new = self.attempts.insert(id, attempt).is_none();
        self.must(Invariant::AttemptFirst, new, || format!("attempt {id} is written twice"))?;
        let Some(known) = self.actions.all.get(&action) else {
            return Err((Invariant::NothingLost, format!("{action} is gone")));
        };
        let paused = self.paused.iter().find(|reach| reach.covers(known.rule, known.file));
        let why = if let Some(reach) = paused {
            Some(format!("{reach:?} is paused"))
        } else if self.denied.contains(&known.file.sha1) {
            Some("a deny rule covers it".to_owned())
        } else if known.expires <= at {
            Some(format!("it has expired at {}", known.expires))
        } else if known.state != StateName::InFlight || known.corrupt {
            Some(format!("it is {}, or damaged", known.state))
        } else {
            None
        };
        let holds = why.is_none();
        let what = || format!("an attempt for {action}: {}", why.unwrap_or_default());
        self.must(Invariant::Brakes, holds, what)
    }

    fn taken(&mut self, action: ActionId) -> Result<(), Wrong> {
        let new = self.in_hand.insert(action) && self.in_hand.len() <= limits::IN_FLIGHT_PER_TENANT;
        self.must(Invariant::Bounds, new, || format!("{action} is in hand, or too many are"))
    }

    fn chosen(&mut self, action: ActionId, boot: Boot, wall: Wall) -> Result<(), Wrong> {
        self.taken(action)?;
        let early = self.retry_after.filter(|until| boot < *until);
        let what = || format!("{action} is called at {boot:?}, before {early:?}");
        self.must(Invariant::RetryAfter, early.is_none(), what)?;
        let Self { looks, shows, paused, in_hand, .. } = self;
        let sight = Sight { looks: *looks, shows: *shows, paused, in_hand };
        let first = overlooked(&self.actions, action, wall, &sight);
        let (checked, known) = (&self.actions.all, first.and_then(|id| self.actions.all.get(&id)));
        let what = match (known, checked.get(&action)) {
            (Some(first), Some(chosen)) => format!("{first:?} goes before {chosen:?}"),
            _ => String::new(),
        };
        self.must(Invariant::Order, first.is_none(), || {
            format!("{first:?} before {action}: {what}")
        })
    }

    fn sent(&mut self, id: AttemptId, at: Boot) -> Result<(), Wrong> {
        let boot = self.boot;
        let attempt = self.attempts.get_mut(&id);
        let first = attempt.is_some_and(|attempt| !std::mem::replace(&mut attempt.sent, true));
        let what = || format!("attempt {id} was sent twice, or was not durable");
        self.must(Invariant::AttemptFirst, first, what)?;
        let Some(Attempt { action, send_by, boot: of, .. }) = self.attempts.get(&id) else {
            return Ok(());
        };
        let (action, late) = (*action, at > *send_by || *of != boot);
        self.must(Invariant::Brakes, !late, || format!("attempt {id} is sent past its send by"))?;
        let Some(known) = self.actions.all.get(&action) else { return Ok(()) };
        let (state, in_flight) = (known.state, known.state == StateName::InFlight);
        let (rule, file) = (known.rule, known.file);
        self.must(Invariant::Brakes, in_flight, || format!("{action} is sent and {state}"))?;
        let stopped = self.stopped.iter().find(|reach| reach.covers(rule, file));
        let stopped = stopped.copied();
        let what = || format!("{action} leaves past the pause of {stopped:?}");
        self.must(Invariant::Brakes, stopped.is_none(), what)
    }

    fn counted(&mut self, time: i64, id: AttemptId) -> Result<(), Wrong> {
        let sent = self.attempts.get(&id).is_some_and(|attempt| attempt.sent);
        self.must(Invariant::AttemptFirst, sent, || format!("{id} came and was not sent"))?;
        let over = self.windows.iter_mut().filter_map(|window| window.count(time).err());
        let over: Vec<String> = over.collect();
        self.must(Invariant::Windows, over.is_empty(), || over.join("; "))
    }

    fn made(&mut self, action: ActionId, unseen: Option<Unseen>) -> Result<(), Wrong> {
        let Some(known) = self.actions.all.get_mut(&action) else { return Ok(()) };
        let before = known.made.replace(unseen);
        match before {
            Some(Some(Unseen::Hidden)) => self.doubles.hidden += 1,
            Some(Some(Unseen::ByClock)) => self.doubles.by_clock += 1,
            _ => {}
        }
        let what = || format!("{action} was called twice, and the first call could be seen");
        self.must(Invariant::Once, before != Some(None), what)
    }

    fn resumed(&mut self, reach: Reach) {
        self.paused.retain(|paused| *paused != reach);
        self.stopped.retain(|paused| *paused != reach);
        if reach != Reach::All {
            // What was aside is back at its old place, and nothing but a reload can show it.
            for id in &self.actions.queued {
                let Some(known) = self.actions.all.get_mut(id) else { continue };
                if reach.covers(known.rule, known.file) {
                    known.shows = self.shows;
                }
            }
        }
    }
}
