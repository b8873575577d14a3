//! The budget as a server may reckon it. Which way Defender does is not documented, so a client
//! has to be right under all three. A refused call takes nothing.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// At most `calls` in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub calls: u32,
    pub per: Duration,
}

/// How the calls of a window are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reckoning {
    /// Every window of that length, wherever it begins.
    Sliding,
    /// A window begins with the first call after the last one ended.
    Fixed,
    /// A bucket holds `calls` and fills evenly.
    TokenBucket,
}

/// The limit that a call would break, and when it would not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub limit: Limit,
    pub retry_after: Duration,
}

impl Exceeded {
    /// Defender's own words.
    pub fn text(&self) -> String {
        let seconds = self.limit.per.as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let calls = self.limit.calls;
        format!(
            "API calls quota exceeded! maximum allowed {calls} per \
             {hours:02}:{minutes:02}:{seconds:02}"
        )
    }
}

/// All windows of one tenant, application and endpoint. Times count from the simulator's start.
#[derive(Debug)]
pub struct Windows(Vec<(Limit, Count)>);

#[derive(Debug)]
enum Count {
    Sliding(VecDeque<Duration>),
    Fixed {
        ends: Duration,
        used: u32,
    },
    /// In microseconds of filling: a call costs the window's length, and each microsecond that
    /// passes fills `calls`. Whole numbers, so that nothing is lost to rounding.
    Bucket {
        level: u128,
        at: Duration,
    },
}

impl Windows {
    pub fn new(limits: &[Limit], reckoning: Reckoning) -> Self {
        let count = |limit: &Limit| match reckoning {
            Reckoning::Sliding => Count::Sliding(VecDeque::new()),
            Reckoning::Fixed => Count::Fixed { ends: Duration::ZERO, used: 0 },
            Reckoning::TokenBucket => {
                Count::Bucket { level: full_bucket(*limit), at: Duration::ZERO }
            }
        };
        Self(limits.iter().map(|limit| (*limit, count(limit))).collect())
    }

    /// Counts one call in every window, or in none.
    pub fn take(&mut self, now: Duration) -> Result<(), Exceeded> {
        let exceeded = |(limit, count): &mut (Limit, Count)| {
            let wait = count.wait(*limit, now);
            (!wait.is_zero()).then_some(Exceeded { limit: *limit, retry_after: wait })
        };
        match self.0.iter_mut().filter_map(exceeded).max_by_key(|e| e.retry_after) {
            Some(exceeded) => Err(exceeded),
            None => {
                self.0.iter_mut().for_each(|(limit, count)| count.add(*limit, now));
                Ok(())
            }
        }
    }
}

impl Count {
    /// How long until one more call fits; zero if it does now.
    fn wait(&mut self, limit: Limit, now: Duration) -> Duration {
        match self {
            Count::Sliding(times) => {
                while times.front().is_some_and(|at| *at + limit.per <= now) {
                    times.pop_front();
                }
                match times.front() {
                    Some(oldest) if times.len() >= limit.calls as usize => {
                        *oldest + limit.per - now
                    }
                    _ => Duration::ZERO,
                }
            }
            Count::Fixed { ends, used } => {
                let free = now >= *ends || *used < limit.calls;
                if free { Duration::ZERO } else { *ends - now }
            }
            Count::Bucket { level, at } => {
                let filled = now.saturating_sub(*at).as_micros() * u128::from(limit.calls);
                *level = full_bucket(limit).min(*level + filled);
                *at = now;
                let lacking = limit.per.as_micros().saturating_sub(*level);
                let micros = lacking.div_ceil(u128::from(limit.calls.max(1)));
                Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
            }
        }
    }

    fn add(&mut self, limit: Limit, now: Duration) {
        match self {
            Count::Sliding(times) => times.push_back(now),
            Count::Fixed { ends, used } if now >= *ends => {
                *ends = now + limit.per;
                *used = 1;
            }
            Count::Fixed { used, .. } => *used += 1,
            Count::Bucket { level, .. } => *level -= limit.per.as_micros(),
        }
    }
}

fn full_bucket(limit: Limit) -> u128 {
    limit.per.as_micros() * u128::from(limit.calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn windows(reckoning: Reckoning) -> Windows {
        Windows::new(&[Limit { calls: 4, per: 60 * SECOND }], reckoning)
    }

    /// Takes at these seconds; which of them pass.
    fn passed(reckoning: Reckoning, seconds: &[u32]) -> Vec<u32> {
        let mut windows = windows(reckoning);
        let pass = |at: &u32| windows.take(*at * SECOND).is_ok();
        seconds.iter().copied().filter(pass).collect()
    }

    #[test]
    fn a_sliding_window_frees_each_call_one_window_later() {
        let seconds = [0, 30, 30, 59, 59, 60, 61, 90, 90, 90];
        assert_eq!(passed(Reckoning::Sliding, &seconds), [0, 30, 30, 59, 60, 90, 90]);
    }

    #[test]
    fn a_fixed_window_begins_with_its_first_call_and_frees_all_at_once() {
        let seconds = [10, 69, 69, 69, 69, 70, 70, 70, 70, 70];
        assert_eq!(passed(Reckoning::Fixed, &seconds), [10, 69, 69, 69, 70, 70, 70, 70]);
    }

    #[test]
    fn a_token_bucket_lets_a_burst_pass_and_then_fills_evenly() {
        let seconds = [0, 0, 0, 0, 14, 15, 29, 30, 90, 90, 90, 90, 90];
        assert_eq!(passed(Reckoning::TokenBucket, &seconds), [0, 0, 0, 0, 15, 30, 90, 90, 90, 90]);
    }

    #[test]
    fn the_window_that_waits_longest_is_named_and_a_refused_call_takes_nothing() {
        let limits = [Limit { calls: 1, per: 60 * SECOND }, Limit { calls: 2, per: 3600 * SECOND }];
        let mut windows = Windows::new(&limits, Reckoning::Sliding);
        assert_eq!(windows.take(Duration::ZERO), Ok(()));
        let minute = windows.take(SECOND).unwrap_err();
        assert_eq!(minute.text(), "API calls quota exceeded! maximum allowed 1 per 00:01:00");
        assert_eq!(minute.retry_after, 59 * SECOND);
        assert_eq!(windows.take(60 * SECOND), Ok(()));
        let hour = windows.take(61 * SECOND).unwrap_err();
        assert_eq!(hour.text(), "API calls quota exceeded! maximum allowed 2 per 01:00:00");
        assert_eq!(windows.take(hour.retry_after + 61 * SECOND), Ok(()));
    }
}
