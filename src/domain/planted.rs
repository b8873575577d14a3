//! Mistakes that tests plant on purpose, to see that the simulation catches them. Where a mistake
//! would stand, the code asks whether it is planted; outside of tests the answer is a constant no.

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A slot is free a window after its call was sent, not after it was completed.
    StampAtSend,
    /// A start counts no call that was not answered.
    ForgetUnanswered,
    /// A start looks up nothing that was in flight.
    ForgetInFlight,
    /// A start begins with empty windows.
    ForgetWindows,
    /// A call that was answered with 429 gives its slot back.
    FreeOnTooMany,
    /// A call that timed out gives its slot back.
    FreeOnTimeout,
    /// The budget is a token bucket.
    TokenBucket,
    /// A start places its windows by the wall clock.
    WallForWindows,
    /// A 429 holds nothing.
    IgnoreRetryAfter,
    /// The class does not matter, only who came first.
    OrderByArrival,
    /// An action past its expiry is called.
    SendExpired,
    /// A call without an answer is made again, without a look-up.
    RetryUnseen,
    /// A look-up does not wait until Defender shows what it accepted.
    LookUpTooEarly,
    /// Any machine action of the machine is adopted, whatever its file.
    AdoptByMachine,
    /// What is already another action's outcome is adopted.
    AdoptTaken,
    /// The first page counts as the whole list.
    FirstPageOnly,
    /// What is pending counts as done.
    PendingIsDone,
    /// An open action does not block.
    OpenDoesNotBlock,
    /// The sender does not look at `send by`.
    NoSendBy,
    /// A delivery is acknowledged before its transaction.
    AcknowledgeBeforeCommit,
    /// A delivery is acknowledged although its transaction failed.
    AcknowledgeWhatFailed,
    /// The store says that something is durable before it is synced.
    CommitBeforeSync,
    /// Half of a transaction outlives a crash.
    HalfATransaction,
    /// The statement of the attempt does not look at pauses.
    PauseNotChecked,
    /// Nor at deny rules.
    DenyNotChecked,
}

/// Whether that mistake is planted.
#[cfg(not(test))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(test)]
pub(crate) use switch::{plant, planted};

#[cfg(test)]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether that mistake is planted in this thread.
    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// From now on in this thread, until another one is, or none.
    pub(crate) fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}
