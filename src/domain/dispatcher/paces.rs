//! The two even schedules of one budget. Both are told of a call here, so that they agree on it.

use super::queue::MayGo;
use crate::domain::action::Class;
use crate::domain::limiter::{Limiter, Pace};
use crate::domain::time::Boot;

#[derive(Debug)]
pub(super) struct Paces {
    /// Of all calls: what did not come as urgent goes by it, and leaves the reserve.
    pub all: Pace,
    /// Of those that did not come as urgent: what has risen to it by its age goes by it too, and
    /// takes the reserve. Else it would wait for as long as an urgent backlog takes every slot.
    risen: Pace,
}

impl Paces {
    pub fn new(reserve: u32, limiter: &Limiter, now: Boot) -> Self {
        Self { all: Pace::new(reserve, limiter, now), risen: Pace::new(0, limiter, now) }
    }

    /// A call was made for what came as that class.
    pub fn called(&mut self, class: Class, limiter: &Limiter, now: Boot) {
        self.all.called(limiter, now);
        if class != Class::Urgent {
            self.risen.called(limiter, now);
        }
    }

    /// Nothing was sent by the newest call of that class.
    pub fn not_called(&mut self, class: Class) {
        self.all.not_called();
        if class != Class::Urgent {
            self.risen.not_called();
        }
    }

    /// What may go now, if `due` actions wait.
    pub fn may_go(&self, limiter: &Limiter, due: u64, now: Boot) -> MayGo {
        let free = |at: Option<Boot>| at.is_some_and(|at| at <= now);
        if free(self.all.free_at(limiter, due, now)) {
            MayGo::All
        } else if free(self.risen.free_at(limiter, due, now)) {
            MayGo::Risen
        } else {
            MayGo::Urgent
        }
    }

    /// When something that did not come as urgent may go, by the class that it has risen to or not.
    pub fn others_free_at(
        &self,
        has_risen: bool,
        limiter: &Limiter,
        due: u64,
        now: Boot,
    ) -> Option<Boot> {
        let pace = if has_risen { &self.risen } else { &self.all };
        pace.free_at(limiter, due, now)
    }
}
