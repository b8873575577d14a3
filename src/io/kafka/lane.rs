//! One assigned partition: what was handed out, what of it was taken, and where to read on.

use std::collections::VecDeque;

use crate::domain::time::Boot;

/// One partition, from its assignment to its revocation.
#[derive(Debug)]
pub(super) struct Lane {
    /// Unique to this assignment, so that answers to an earlier one are told apart.
    pub tag: u64,
    pub state: State,
    /// The end of the partition, as the broker last told it.
    pub end: Option<i64>,
    /// When the broker that has the partition was heard last, so that this end is not an old one.
    pub heard: Option<Boot>,
    /// The offset that the store has.
    stored: Option<i64>,
    /// Every message before it was handed out.
    next: i64,
    in_hand: VecDeque<InHand>,
}

/// What a lane does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not known where to read. The partition is paused.
    Unplaced {
        not_before: Boot,
    },
    Reading,
    /// A message was not taken. The partition is paused until everything in hand is answered, and
    /// is then read again from that message.
    Rewinding {
        not_before: Boot,
    },
}

#[derive(Debug)]
struct InHand {
    offset: i64,
    answer: Option<Answer>,
}

/// What intake said to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    NotTaken,
}

/// What to do with a message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Hand it out; the store then has this offset when all before it was taken.
    Hand { follows: Option<i64> },
    /// Read while the partition was to stand still; it will be read again.
    Ignore,
    /// Behind what was handed out already: the log is not the one it was.
    WentBack,
}

impl Lane {
    pub fn unplaced(tag: u64, now: Boot) -> Self {
        Self {
            tag,
            state: State::Unplaced { not_before: now },
            end: None,
            heard: None,
            stored: None,
            next: 0,
            in_hand: VecDeque::new(),
        }
    }

    /// Whether it is time to say where to read. Never while intake works on messages: what they
    /// become decides where.
    pub fn is_to_be_placed(&self, now: Boot) -> bool {
        match self.state {
            State::Reading => false,
            State::Unplaced { not_before } | State::Rewinding { not_before } => {
                not_before <= now && !self.waits_for_answers()
            }
        }
    }

    /// Reads on at `at`; the store has `stored`.
    pub fn place(&mut self, stored: Option<i64>, at: i64) {
        debug_assert!(!self.waits_for_answers());
        self.in_hand.clear();
        self.stored = stored;
        self.next = at;
        self.state = State::Reading;
    }

    /// A message was read. Gaps are no error: compaction and transactions leave some.
    pub fn read(&mut self, offset: i64) -> Read {
        if self.state != State::Reading {
            return Read::Ignore;
        }
        if offset < self.next {
            return Read::WentBack;
        }
        let follows = self.in_hand.back().map_or(self.stored, |last| Some(last.offset + 1));
        self.in_hand.push_back(InHand { offset, answer: None });
        self.next = offset + 1;
        Read::Hand { follows }
    }

    /// Intake has answered.
    pub fn answered(&mut self, offset: i64, answer: Answer) {
        let found = self.in_hand.binary_search_by_key(&offset, |message| message.offset);
        if let Ok(at) = found {
            self.in_hand[at].answer = Some(answer);
        }
        while self.in_hand.front().is_some_and(|first| first.answer == Some(Answer::Taken)) {
            self.stored = self.in_hand.pop_front().map(|taken| taken.offset + 1);
        }
    }

    pub fn waits_for_answers(&self) -> bool {
        self.in_hand.iter().any(|message| message.answer.is_none())
    }

    /// The first offset that is not known to be durable, where reading starts again after a stop.
    pub fn resume_at(&self) -> i64 {
        self.in_hand.front().map_or(self.next, |first| first.offset)
    }

    /// Reads again from the first message that was not taken.
    pub fn rewind(&mut self) -> i64 {
        let at = self.resume_at();
        self.place(self.stored, at);
        at
    }

    /// How many messages the broker has that are not durable here.
    pub fn lag(&self) -> Option<u64> {
        match self.state {
            State::Unplaced { .. } => None,
            // What was read by now came after the end was told.
            _ => Some(u64::try_from(self.end?.max(self.next) - self.resume_at()).unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Boot = Boot(0);

    fn lane(stored: Option<i64>, at: i64) -> Lane {
        let mut lane = Lane::unplaced(1, NOW);
        lane.place(stored, at);
        lane
    }

    #[test]
    fn each_message_says_what_the_store_has_when_those_before_it_are_taken() {
        let mut lane = lane(Some(3), 5); // 3 and 4 are no longer in the log
        assert_eq!(lane.read(5), Read::Hand { follows: Some(3) });
        assert_eq!(lane.read(9), Read::Hand { follows: Some(6) });
        lane.answered(5, Answer::Taken);
        lane.answered(9, Answer::Taken);
        assert_eq!(lane.read(10), Read::Hand { follows: Some(10) });
        assert_eq!(Lane::unplaced(1, NOW).read(0), Read::Ignore);
    }

    #[test]
    fn what_is_taken_out_of_order_is_not_passed_over() {
        let mut lane = lane(None, 0);
        for offset in 0..3 {
            lane.read(offset);
        }
        lane.answered(1, Answer::Taken);
        lane.answered(2, Answer::Taken);
        assert_eq!(lane.resume_at(), 0);
        lane.answered(0, Answer::NotTaken);
        assert!(!lane.waits_for_answers());
        assert_eq!(lane.rewind(), 0);
        assert_eq!(lane.read(0), Read::Hand { follows: None });
    }

    #[test]
    fn nothing_is_read_again_while_intake_works_on_what_came_after() {
        let mut lane = lane(Some(0), 0);
        lane.read(0);
        lane.read(1);
        lane.answered(0, Answer::NotTaken);
        lane.state = State::Rewinding { not_before: Boot(5) };
        assert!(!lane.is_to_be_placed(Boot(9)));
        assert_eq!(lane.read(2), Read::Ignore);
        lane.answered(1, Answer::NotTaken);
        assert!(!lane.is_to_be_placed(Boot(4)));
        assert!(lane.is_to_be_placed(Boot(5)));
    }

    #[test]
    fn a_log_that_went_back_is_told_from_a_gap() {
        let mut lane = lane(Some(7), 7);
        assert_eq!(lane.read(7), Read::Hand { follows: Some(7) });
        assert_eq!(lane.read(7), Read::WentBack);
        assert_eq!(lane.read(0), Read::WentBack);
        assert_eq!(lane.read(100), Read::Hand { follows: Some(8) });
    }

    #[test]
    fn lag_counts_what_is_not_durable() {
        let mut lane = lane(Some(0), 0);
        lane.end = Some(10);
        lane.read(0);
        assert_eq!(lane.lag(), Some(10));
        lane.answered(0, Answer::Taken);
        assert_eq!(lane.lag(), Some(9));
    }

    proptest! {
        /// Whatever intake takes, refuses or forgets, and in whatever order it says so: the lane
        /// never moves past a message that was not taken, and in the end every one is.
        #[test]
        fn nothing_is_passed_over(
            gaps in proptest::collection::vec(1_i64..4, 1..30),
            refusals in proptest::collection::vec(any::<u8>(), 0..60),
            order in any::<prop::sample::Index>(),
        ) {
            let mut log = vec![];
            for gap in gaps {
                log.push(log.last().copied().unwrap_or(0) + gap);
            }
            let mut lane = lane(None, 0);
            let mut refusals = refusals.into_iter();
            let mut taken = std::collections::BTreeSet::new();
            for _round in 0..100 {
                let from = lane.resume_at();
                let mut batch: Vec<_> = log.iter().copied().filter(|at| *at >= from).collect();
                for offset in &batch {
                    let handed = matches!(lane.read(*offset), Read::Hand { .. });
                    prop_assert!(handed);
                }
                if batch.is_empty() {
                    break;
                }
                let first = order.index(batch.len());
                batch.rotate_left(first);
                for offset in batch {
                    let answer = match refusals.next() {
                        Some(roll) if roll % 2 == 0 => Answer::NotTaken,
                        _ => Answer::Taken,
                    };
                    if answer == Answer::Taken {
                        taken.insert(offset);
                    }
                    lane.answered(offset, answer);
                    let passed = log.iter().filter(|at| **at < lane.resume_at());
                    prop_assert!(passed.clone().all(|at| taken.contains(at)));
                }
                lane.rewind();
            }
            prop_assert_eq!(taken.into_iter().collect::<Vec<_>>(), log);
        }
    }

    #[test]
    fn a_message_in_hand_is_not_durable() {
        let mut lane = lane(Some(5), 5);
        lane.end = Some(5); // of the last statistics, up to 5 s ago
        assert!(matches!(lane.read(5), Read::Hand { .. }));
        assert_ne!(lane.lag(), Some(0), "message 5 is in hand, and not durable");
    }
}
