//! How a server may count calls, and when it refuses one. Nobody knows which of these Defender
//! has: each is one that servers are known to have.

use std::collections::VecDeque;

use crate::domain::limiter::Limit;

/// A way to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    /// Windows one after the other, aligned to the server's clock.
    AlignedWindow,
    /// A window begins with the first call after the last one (`AspNetCoreRateLimit`).
    WindowFromFirstCall,
    /// The exact number of calls in the window before each.
    SlidingLog,
    /// A bucket that holds as many tokens as the window allows calls, and fills evenly.
    TokenBucket,
    /// Two aligned windows, the one before weighted by how much of it the window still covers. An
    /// approximation: it refuses what no window of the log exceeds.
    TwoCounters,
}

impl Model {
    pub const ALL: [Model; 5] = [
        Model::AlignedWindow,
        Model::WindowFromFirstCall,
        Model::SlidingLog,
        Model::TokenBucket,
        Model::TwoCounters,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Model::AlignedWindow => "aligned window",
            Model::WindowFromFirstCall => "window from the first call",
            Model::SlidingLog => "sliding log",
            Model::TokenBucket => "token bucket",
            Model::TwoCounters => "two counters",
        }
    }
}

/// One limit as a server counts it. Times are true ones, in microseconds.
#[derive(Clone, Debug)]
pub enum Server {
    AlignedWindow { calls: i64, per: i64, window: i64, counted: i64 },
    WindowFromFirstCall { calls: i64, per: i64, began: Option<i64>, counted: i64 },
    SlidingLog { calls: usize, per: i64, counted: VecDeque<i64> },
    TokenBucket { calls: i64, per: i64, level: f64, last: i64 },
    TwoCounters { calls: i64, per: i64, window: i64, before: i64, counted: i64 },
}

impl Server {
    pub fn new(model: Model, limit: Limit) -> Self {
        let calls = i64::from(limit.calls.get());
        let per = i64::try_from(limit.per.as_micros()).expect("a window of less than ages");
        match model {
            Model::AlignedWindow => Server::AlignedWindow { calls, per, window: 0, counted: 0 },
            Model::WindowFromFirstCall => {
                Server::WindowFromFirstCall { calls, per, began: None, counted: 0 }
            }
            Model::SlidingLog => {
                let calls = limit.calls.get() as usize;
                Server::SlidingLog { calls, per, counted: VecDeque::new() }
            }
            Model::TokenBucket => Server::TokenBucket { calls, per, level: calls as f64, last: 0 },
            Model::TwoCounters => {
                Server::TwoCounters { calls, per, window: 0, before: 0, counted: 0 }
            }
        }
    }

    /// Counts a call at `time`, which never goes back, and says whether it is refused. Windows
    /// count what they refuse too, so that calling on does not help; a bucket has nothing to take.
    pub fn count(&mut self, time: i64) -> bool {
        match self {
            Server::AlignedWindow { calls, per, window, counted } => {
                if time.div_euclid(*per) != *window {
                    (*window, *counted) = (time.div_euclid(*per), 0);
                }
                *counted += 1;
                *counted > *calls
            }
            Server::WindowFromFirstCall { calls, per, began, counted } => {
                if began.is_none_or(|began| time >= began + *per) {
                    (*began, *counted) = (Some(time), 0);
                }
                *counted += 1;
                *counted > *calls
            }
            Server::SlidingLog { calls, per, counted } => {
                while counted.front().is_some_and(|at| *at <= time - *per) {
                    counted.pop_front();
                }
                counted.push_back(time);
                counted.len() > *calls
            }
            Server::TokenBucket { calls, per, level, last } => {
                let refill = (time - *last) as f64 * *calls as f64 / *per as f64;
                (*level, *last) = ((*level + refill).min(*calls as f64), time);
                let dry = *level < 1.0 - 1e-6;
                *level -= if dry { 0.0 } else { 1.0 };
                dry
            }
            Server::TwoCounters { calls, per, window, before, counted } => {
                let now = time.div_euclid(*per);
                if now != *window {
                    *before = if now == *window + 1 { *counted } else { 0 };
                    (*window, *counted) = (now, 0);
                }
                *counted += 1;
                let covered = *per - time.rem_euclid(*per);
                let weighted = *before as f64 * covered as f64 / *per as f64;
                weighted + *counted as f64 > *calls as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn made(model: Model) -> Server {
        Server::new(model, Limit::new(3, Duration::from_micros(60)).unwrap())
    }

    /// Which of the calls at these times are refused.
    fn refused(model: Model, times: &[i64]) -> Vec<i64> {
        let mut server = made(model);
        times.iter().copied().filter(|time| server.count(*time)).collect()
    }

    #[test]
    fn each_counts_in_its_own_way() {
        let across = [50, 51, 52, 61, 62, 63];
        assert_eq!(refused(Model::AlignedWindow, &across), [0; 0]);
        assert_eq!(refused(Model::WindowFromFirstCall, &across), [61, 62, 63]);
        assert_eq!(refused(Model::SlidingLog, &across), [61, 62, 63]);
        assert_eq!(refused(Model::TokenBucket, &across), [61, 62, 63]);
        assert_eq!(refused(Model::TwoCounters, &across), [61, 62, 63]);

        let spread = [0, 20, 40, 60, 80, 100];
        for model in [Model::AlignedWindow, Model::WindowFromFirstCall, Model::SlidingLog] {
            assert_eq!(refused(model, &spread), [0; 0], "{model:?}");
        }
        assert_eq!(refused(Model::TokenBucket, &spread), [0; 0]);
        // It takes the calls before to have been spread over their window.
        assert_eq!(refused(Model::TwoCounters, &[0, 1, 2, 70]), [70]);
    }

    #[test]
    fn none_refuses_a_full_window_after_a_quiet_one() {
        for model in Model::ALL {
            assert_eq!(refused(model, &[0, 1, 2, 240, 241, 242]), [0; 0], "{model:?}");
            assert_eq!(refused(model, &[0, 1, 2, 3]), [3], "{model:?}");
        }
    }
}
