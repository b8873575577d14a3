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
    /// The time, if all is read now. `settle` is how long rows must have been quiet: for so long
    /// nothing is told after the clock was put forward.
    pub fn look(&mut self, now: Now, is_read_up: bool, settle: Duration) -> Option<Wall> {
        let last = self.last.replace(now);
        let passed = |last: Now| now.boot.since(last.boot) + JOIN_CLOCK_STEP;
        if last.is_some_and(|last| now.wall.since(last.wall) > passed(last)) {
            self.not_before = Some(now.boot + settle);
        }
        let waits = self.not_before.is_some_and(|not_before| now.boot < not_before);
        (is_read_up && !waits).then_some(now.wall)
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

    #[test]
    fn it_follows_the_clock_while_all_is_read() {
        let mut read_up = ReadUp::default();
        assert_eq!(read_up.look(at(0, 1000), true, SETTLE), Some(at(0, 1000).wall));
        assert_eq!(read_up.look(at(1, 1001), false, SETTLE), None);
        assert_eq!(read_up.look(at(600, 1602), true, SETTLE), Some(at(600, 1602).wall));
    }

    #[test]
    fn a_clock_that_is_put_forward_settles_nothing_early() {
        let mut read_up = ReadUp::default();
        assert!(read_up.look(at(0, 1000), true, SETTLE).is_some());
        assert_eq!(read_up.look(at(1, 4601), true, SETTLE), None);
        assert_eq!(read_up.look(at(120, 4720), true, SETTLE), None);
        assert_eq!(read_up.look(at(121, 4721), true, SETTLE), Some(at(121, 4721).wall));
    }

    #[test]
    fn a_clock_that_is_put_back_goes_on_from_there() {
        let mut read_up = ReadUp::default();
        assert!(read_up.look(at(0, 1000), true, SETTLE).is_some());
        assert_eq!(read_up.look(at(1, 1), true, SETTLE), Some(at(1, 1).wall));
    }
}
