//! Where to read a partition from when it is assigned.

use super::Start;

/// What is known of one partition before its first message is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The store's offset: it always wins.
    pub stored: Option<i64>,
    /// The group's offset: for a partition that the store does not know.
    pub committed: Option<i64>,
    /// The store or the group knows some partition of this topic.
    pub topic: Topic,
    /// The first offset of the log.
    pub low: i64,
    /// One past the last offset of the log.
    pub high: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// Never read before.
    New,
    ReadBefore,
}

/// The offset to read from, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    Continues(i64),
    Starts(i64),
    /// Messages were deleted before they were read, or the topic was made anew: read from the
    /// beginning of what there is. Something may be lost, and people must hear of it.
    OutOfLog {
        wanted: i64,
        from: i64,
    },
}

impl Placed {
    pub fn offset(self) -> i64 {
        match self {
            Placed::Continues(at) | Placed::Starts(at) | Placed::OutOfLog { from: at, .. } => at,
        }
    }
}

pub(super) fn place(known: Known, start: Start) -> Placed {
    let Some(wanted) = known.stored.or(known.committed) else {
        return Placed::Starts(match (start, known.topic) {
            (Start::Latest, Topic::New) => known.high,
            // A new partition of a topic that is being read: its first messages count too.
            (Start::Latest, Topic::ReadBefore) | (Start::Earliest, _) => known.low,
        });
    };
    if (known.low..=known.high).contains(&wanted) {
        Placed::Continues(wanted)
    } else {
        Placed::OutOfLog { wanted, from: known.low }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Known =
        Known { stored: None, committed: None, topic: Topic::New, low: 100, high: 200 };

    #[test]
    fn the_store_wins_over_the_group() {
        let known = Known { stored: Some(120), committed: Some(180), ..NOTHING };
        assert_eq!(place(known, Start::Latest), Placed::Continues(120));
        let known = Known { committed: Some(180), ..NOTHING };
        assert_eq!(place(known, Start::Earliest), Placed::Continues(180));
    }

    #[test]
    fn both_ends_of_the_log_are_inside_it() {
        for at in [100, 200] {
            let known = Known { stored: Some(at), ..NOTHING };
            assert_eq!(place(known, Start::Earliest), Placed::Continues(at));
        }
    }

    #[test]
    fn an_offset_outside_the_log_is_said_and_read_from_the_beginning() {
        for wanted in [0, 99, 201, i64::MAX] {
            let known = Known { stored: Some(wanted), ..NOTHING };
            assert_eq!(place(known, Start::Latest), Placed::OutOfLog { wanted, from: 100 });
        }
    }

    #[test]
    fn latest_counts_only_for_a_topic_that_was_never_read() {
        assert_eq!(place(NOTHING, Start::Earliest), Placed::Starts(100));
        assert_eq!(place(NOTHING, Start::Latest), Placed::Starts(200));
        let known = Known { topic: Topic::ReadBefore, ..NOTHING };
        assert_eq!(place(known, Start::Latest), Placed::Starts(100));
    }
}
