//! The disk, the wall clock and the network, and what goes wrong with them.

use super::{Happening, MINUTE, SECOND, World};
use crate::domain::planted::{Bug, planted};
use crate::simulation::history::Fault;
use crate::simulation::plan::WallClock;

/// How a transaction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Done,
    /// An error, or no room: nothing of it has happened.
    Failed,
    /// The process ends in the middle of it: what was not synced is lost, or nothing is.
    Torn {
        kept: bool,
    },
}

impl World {
    /// What the store has made durable.
    pub fn sync(&mut self) {
        let told = self.store.told();
        if planted(Bug::CommitBeforeSync) {
            if self.unsynced.is_empty() && !told.is_empty() {
                self.at(self.time + SECOND / 10, Happening::Sync);
            }
            return self.unsynced.extend(told);
        }
        for event in told {
            self.append(event);
        }
    }

    /// How the next transaction goes.
    pub fn write(&mut self) -> Write {
        if self.time < self.room_at {
            self.went(Fault::DiskFull);
            return Write::Failed;
        }
        if !self.plan.bad_disk || !self.is_faulty() {
            return Write::Done;
        }
        match self.dice.below(1000) {
            0..20 => {
                self.went(Fault::DiskError);
                Write::Failed
            }
            20..24 => {
                self.went(Fault::DiskTorn);
                Write::Torn { kept: self.dice.chance(500) }
            }
            _ => Write::Done,
        }
    }

    pub fn set_wall(&mut self) {
        let most = match self.plan.wall {
            WallClock::Steady => return,
            WallClock::Off => 100,
            WallClock::Jumps => 7200,
        };
        if !self.is_faulty() {
            self.wall_error = 0;
            return;
        }
        self.wall_error = (self.dice.below(2 * most) as i64 - most as i64) * SECOND;
        self.went(Fault::ClockJump);
        self.at(self.time + 15 * MINUTE, Happening::SetWall);
    }

    /// Nothing is written until there is room.
    pub fn disk_full(&mut self) {
        if self.is_faulty() {
            self.room_at = self.time + MINUTE + self.millis(300_000);
            let next = 30 * MINUTE + self.millis(7_200_000);
            self.at(self.time + next, Happening::DiskFull);
        }
    }

    /// Everything that people mend comes back, and now and then nothing connects.
    pub fn restore(&mut self) {
        self.defender.forbidden = false;
        if self.is_faulty() && self.dice.chance(100) {
            self.outage_until = self.time + MINUTE;
        }
        self.at(self.time + 10 * MINUTE, Happening::Restore);
    }
}
