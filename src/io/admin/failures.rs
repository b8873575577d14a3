//! Requests with a wrong, expired or missing token: counted for each address, limited, and summed
//! for the record. Memory and record stay bounded whatever anyone sends.
//!
//! What is limited are failures alone. A token is looked at first, and a good one is let in from
//! any address, so that nobody can lock out those who share an address with them. Guessing is not
//! what this stops: tokens are too long to be guessed at any rate.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::domain::time::Boot;
use crate::limits::{SIGN_IN_ADDRESSES, SIGN_IN_FAILURES, SIGN_IN_NAMED, SIGN_IN_WINDOW};

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Missing,
    Wrong,
    Expired,
}

/// All addresses that failed lately.
#[derive(Debug, Default)]
pub(super) struct Failures {
    addresses: HashMap<IpAddr, Address>,
    /// Those that found no place of their own.
    others: Address,
}

#[derive(Debug, Default)]
struct Address {
    /// Not on the record yet.
    tally: Tally,
    /// Failures in the window that began then.
    recent: Option<(Boot, u32)>,
}

/// How many failures of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    missing: u64,
    wrong: u64,
    expired: u64,
}

impl Failures {
    /// Counts a failure. `Some`: the address had too many, and is to wait that long.
    pub(super) fn count(&mut self, from: IpAddr, why: Why, now: Boot) -> Option<Duration> {
        let room = self.addresses.len() < SIGN_IN_ADDRESSES;
        let address = match self.addresses.get_mut(&from) {
            Some(address) => address,
            None if room => self.addresses.entry(from).or_default(),
            None => &mut self.others,
        };
        match why {
            Why::Missing => address.tally.missing += 1,
            Why::Wrong => address.tally.wrong += 1,
            Why::Expired => address.tally.expired += 1,
        }
        let (began, before) = address.window(now).unwrap_or((now, 0));
        if before < SIGN_IN_FAILURES {
            // The wait begins with the last failure that is let through.
            let began = if before + 1 == SIGN_IN_FAILURES { now } else { began };
            address.recent = Some((began, before + 1));
            return None;
        }
        Some((began + SIGN_IN_WINDOW).since(now))
    }

    /// What has not been on the record yet: those with the most failures by their address, the rest
    /// in one sum. Forgets the addresses whose window is over.
    pub(super) fn take(&mut self, now: Boot) -> Vec<(String, Tally)> {
        let take = |address: &mut Address| std::mem::take(&mut address.tally);
        let mut named: Vec<_> =
            self.addresses.iter_mut().map(|(from, address)| (*from, take(address))).collect();
        self.addresses.retain(|_, address| address.window(now).is_some());
        named.retain(|(_, tally)| tally.times() > 0);
        named.sort_unstable_by_key(|(from, tally)| (u64::MAX - tally.times(), *from));
        let mut others = take(&mut self.others);
        for (_, tally) in named.drain(SIGN_IN_NAMED.min(named.len())..) {
            others.missing += tally.missing;
            others.wrong += tally.wrong;
            others.expired += tally.expired;
        }
        let mut taken: Vec<_> =
            named.into_iter().map(|(from, tally)| (from.to_string(), tally)).collect();
        if others.times() > 0 {
            taken.push(("others".to_owned(), others));
        }
        taken
    }
}

impl Address {
    fn window(&self, now: Boot) -> Option<(Boot, u32)> {
        self.recent.filter(|(began, _)| now.since(*began) < SIGN_IN_WINDOW)
    }
}

impl Tally {
    pub(super) fn times(self) -> u64 {
        self.missing + self.wrong + self.expired
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, wrong, expired } = self;
        write!(f, "tokens: {wrong} wrong, {expired} expired, {missing} missing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Boot = Boot(1_000_000_000);

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn the_eleventh_failure_within_a_minute_waits_and_the_wait_ends() {
        let mut failures = Failures::default();
        let second = Duration::from_secs(1);
        for n in 0..10 {
            assert_eq!(failures.count(address(1), Why::Wrong, START + n * second), None);
        }
        let last = START + 9 * second;
        assert_eq!(failures.count(address(1), Why::Missing, last), Some(SIGN_IN_WINDOW));
        let almost = last + 59 * second;
        assert_eq!(failures.count(address(1), Why::Wrong, almost), Some(second), "no longer");
        assert_eq!(failures.count(address(2), Why::Wrong, almost), None, "each by itself");
        assert_eq!(failures.count(address(1), Why::Wrong, last + 60 * second), None);
    }

    #[test]
    fn failures_that_are_far_apart_never_add_up() {
        let mut failures = Failures::default();
        for n in 0..100 {
            let now = START + n * Duration::from_secs(7);
            assert_eq!(failures.count(address(1), Why::Expired, now), None, "{n}");
        }
    }

    #[test]
    fn a_crowd_neither_fills_memory_nor_the_record_and_every_failure_is_in_the_sum() {
        let mut failures = Failures::default();
        for n in 0..5000 {
            failures.count(address(n), Why::Wrong, START);
        }
        failures.count(address(7), Why::Missing, START);
        assert_eq!(failures.addresses.len(), SIGN_IN_ADDRESSES);
        let taken = failures.take(START);
        assert_eq!(taken.len(), SIGN_IN_NAMED + 1);
        assert_eq!(taken[0].0, "0.0.0.7", "the worst first");
        assert_eq!(taken[0].1.to_string(), "tokens: 1 wrong, 0 expired, 1 missing");
        assert_eq!(taken.last().unwrap().0, "others");
        assert_eq!(taken.iter().map(|(_, tally)| tally.times()).sum::<u64>(), 5001);
        assert_eq!(failures.take(START), [], "each is told once");
        failures.take(START + SIGN_IN_WINDOW);
        assert!(failures.addresses.is_empty(), "forgotten");
    }
}
