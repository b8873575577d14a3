//! Until when all is read that was published: by this time rows settle and expire.

use std::time::Duration;

use crate::domain::time::{Boot, Now, Wall};
use crate::limits::JOIN_CLOCK_STEP;

/// Follows the clock as long as nothing lies unread. A clock that is put forward has not let the
/// time pass in which rows could have come.
#[derive(Debug, Default)]
pub(super) struct ReadUp {
    last: Option<Now>,
    /// Nothing is told before.
    not_before: Option<Boot>,
}

impl ReadUp {
    /// That time, as far as `read_by_sources` is known now. `settle` is how long rows must have
    /// been quiet: for so long nothing is told after the clock was put forward.
    pub fn look(
        &mut self,
        now: Now,
        read_by_sources: Option<Boot>,
        settle: Duration,
    ) -> Option<Wall> {
        let last = self.last.replace(now);
        let passed = |last: Now| now.boot.since(last.boot) + JOIN_CLOCK_STEP;
        if last.is_some_and(|last| now.wall.since(last.wall) > passed(last)) {
            self.not_before = Some(now.boot + settle);
        }
        let waits = self.not_before.is_some_and(|not_before| now.boot < not_before);
        read_by_sources.filter(|_| !waits).map(|until| now.wall - now.boot.since(until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(120);
    const SECOND: i64 = 1_000_000;

    fn at(boot: i64, wall: i64) -> Now {
        Now { boot: Boot(boot * SECOND), wall: Wall(wall * SECOND) }
    }

    /// A look that finds all read at this moment.
    fn look(read_up: &mut ReadUp, now: Now) -> Option<i64> {
        read_up.look(now, Some(now.boot), SETTLE).map(|until| until.0 / SECOND)
    }

    #[test]
    fn it_follows_the_clock_while_all_is_read() {
        let mut read_up = ReadUp::default();
        assert_eq!(look(&mut read_up, at(0, 1000)), Some(1000));
        assert_eq!(read_up.look(at(1, 1001), None, SETTLE), None);
        assert_eq!(look(&mut read_up, at(600, 1602)), Some(1602));
    }

    #[test]
    fn what_was_not_heard_of_since_is_not_read_since() {
        // As after a machine that stood still for an hour.
        let until = ReadUp::default().look(at(3600, 4600), Some(Boot(0)), SETTLE);
        assert_eq!(until, Some(at(0, 1000).wall));
    }

    #[test]
    fn a_clock_that_is_put_forward_settles_nothing_early() {
        let mut read_up = ReadUp::default();
        assert!(look(&mut read_up, at(0, 1000)).is_some());
        assert_eq!(look(&mut read_up, at(1, 4601)), None);
        assert_eq!(look(&mut read_up, at(120, 4720)), None);
        assert_eq!(look(&mut read_up, at(121, 4721)), Some(4721));
    }

    #[test]
    fn a_clock_that_is_put_back_goes_on_from_there() {
        let mut read_up = ReadUp::default();
        assert!(look(&mut read_up, at(0, 1000)).is_some());
        assert_eq!(look(&mut read_up, at(1, 1)), Some(1));
    }
}
