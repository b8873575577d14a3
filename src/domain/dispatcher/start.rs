//! What a dispatcher starts from: the windows as the attempts tell them, and the open actions.

use std::collections::BTreeMap;

use super::{Dispatcher, DispatcherSettings, Effect, Endpoint, Paces, Queue, Shut};
use crate::domain::action::{ClosedAttempt, Doubt, OpenAction, Resumed, State, StateName};
use crate::domain::limiter::Limiter;
use crate::domain::planted::{Bug, planted};
use crate::domain::time::{Boot, Clocks, Now, Stamp};
use crate::domain::tracker::{InDoubt, Move, Tracker};

impl Dispatcher {
    /// Begins where an earlier run ended or broke off. What that run left in flight is in doubt
    /// from now on; the effects say so and have to be done before the first step.
    pub fn resume(
        settings: DispatcherSettings,
        resumed: Resumed,
        now: Now,
        clocks: Clocks,
    ) -> (Self, Vec<Effect>) {
        let log = Limiter::resume(settings.quarantine.clone(), &resumed.attempts, now, clocks);
        let mut quarantine = Endpoint::new(log);
        quarantine.resume(&resumed.attempts, now, clocks);
        let read_log = Limiter::paced(settings.machine_actions.clone(), now.boot);
        let shut = resumed.paused.then(|| Shut {
            why: "paused".to_owned(),
            since: now.boot,
            probe_at: now.boot,
        });
        let mut dispatcher = Self {
            paces: Paces::new(settings.reserve, &quarantine.limiter, now.boot),
            quarantine,
            machine_actions: Endpoint::new(read_log),
            queue: Queue::new(),
            tracker: Tracker::new(settings.tracker, resumed.outcomes),
            calls: BTreeMap::new(),
            list: None,
            unlisted: None,
            loading: false,
            sweeping: false,
            sweep_at: now.boot,
            shut,
            stopping: false,
            wakeup: Some(now.boot),
            settings,
        };
        let open = resumed.open.into_iter();
        let effects = open.filter_map(|open| dispatcher.take_up(now, clocks, open)).collect();
        (dispatcher, effects)
    }

    fn take_up(&mut self, now: Now, clocks: Clocks, open: OpenAction) -> Option<Effect> {
        let OpenAction { action, key, comment, state, attempt: row } = open;
        let (attempt, tries, busy_since, doubt) = match state {
            State::InFlight { .. } if planted(Bug::ForgetInFlight) => return None,
            State::InFlight { attempt, tries, busy_since } => {
                (attempt, tries, busy_since, Doubt::NoAnswer)
            }
            State::InDoubt { attempt, tries, busy_since, doubt } => {
                (attempt, tries, busy_since, doubt)
            }
            State::Accepted { machine_action, since, progress } => {
                self.tracker.follow(action, machine_action, since, progress, now);
                return None;
            }
            _ => return None,
        };
        let send_by = row.as_ref().map_or(now.boot, |row| row.send_by.on_boot_clock(now, clocks));
        let written = row.as_ref().map_or(now.wall, |row| row.written.wall);
        let (due, decides) = self.look_up_at(now, send_by, doubt);
        let in_doubt =
            InDoubt { key, comment, attempt, written, tries, busy_since, doubt, due, decides };
        self.tracker.doubt(action, in_doubt);
        if !matches!(state, State::InFlight { .. }) {
            return None;
        }
        let why = "found without an answer after a start".to_owned();
        // Its connection ended with the process that had it.
        let closed = row.map(|row| ClosedAttempt {
            id: row.id,
            closed: Stamp::new(clocks.boot_id, now),
            answered: false,
            status: None,
            text: why.clone(),
        });
        let to = State::InDoubt { attempt, tries, busy_since, doubt };
        let moved = Move { action, from: StateName::InFlight, to, why };
        Some(Effect::Record { closed, changes: vec![self.change(now, moved)] })
    }

    /// When a look-up may show the machine action, and from when on one that does not decides.
    pub(super) fn look_up_at(&self, now: Now, send_by: Boot, doubt: Doubt) -> (Boot, Boot) {
        let wait = self.settings.tracker.wait;
        match doubt {
            Doubt::NoAnswer if planted(Bug::LookUpTooEarly) => (send_by, send_by),
            Doubt::NoAnswer => {
                let due = send_by + self.settings.client_timeout + wait;
                (due, due)
            }
            Doubt::ActiveRequest { answered } => {
                // Not later than if it were answered now, whatever the wall clock did since.
                let again = now.boot_at(answered + wait).min(now.boot + wait);
                (now.boot, again)
            }
        }
    }
}
