//! How many messages a channel may send within a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::rest;
use crate::domain::breaker::Rate;
use crate::domain::time::Boot;
use crate::io::Clock;

/// The messages of one channel within its rate. In memory: a restart begins anew.
pub(super) struct Pace {
    rate: Rate,
    clock: Arc<dyn Clock>,
    sent: Mutex<VecDeque<Boot>>,
}

impl Pace {
    pub(super) fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        Self { rate, clock, sent: Mutex::new(VecDeque::new()) }
    }

    /// Waits until there is room for a message; `false` where the service stops before.
    pub(super) async fn room(&self, stop: &CancellationToken) -> bool {
        loop {
            let now = self.clock.now().boot;
            let wait = {
                let mut sent = self.sent.lock().expect("nothing panics under this lock");
                while sent.front().is_some_and(|first| now.since(*first) >= self.rate.per) {
                    sent.pop_front();
                }
                if sent.len() < self.rate.count as usize {
                    return true;
                }
                sent.front().map(|first| (*first + self.rate.per).since(now))
            };
            if stop.is_cancelled() {
                return false;
            }
            rest(stop, wait.unwrap_or_default()).await;
        }
    }

    /// A message goes out now.
    pub(super) fn spend(&self) {
        let mut sent = self.sent.lock().expect("nothing panics under this lock");
        sent.push_back(self.clock.now().boot);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::time::{BootId, Now, Wall};

    /// Turned by hand.
    struct Hand(Mutex<i64>);

    impl Clock for Hand {
        fn now(&self) -> Now {
            Now { boot: Boot(*self.0.lock().unwrap()), wall: Wall(0) }
        }

        fn boot_id(&self) -> BootId {
            BootId([0; 16])
        }

        fn new_id(&self) -> uuid::Uuid {
            uuid::Uuid::nil()
        }
    }

    #[tokio::test]
    async fn beyond_its_rate_a_channel_waits_until_the_first_message_is_old_enough() {
        let clock = Arc::new(Hand(Mutex::new(0)));
        let pace = Pace::new(Rate { count: 2, per: Duration::from_secs(60) }, clock.clone());
        let stop = CancellationToken::new();
        let turn = |seconds: i64| *clock.0.lock().unwrap() = seconds * 1_000_000;
        for second in [0, 30] {
            turn(second);
            assert_eq!(pace.room(&stop).now_or_never(), Some(true));
            pace.spend();
        }
        turn(59);
        assert_eq!(pace.room(&stop).now_or_never(), None);
        turn(60);
        assert_eq!(pace.room(&stop).now_or_never(), Some(true));
        pace.spend();
        assert_eq!(pace.room(&stop).now_or_never(), None);
        stop.cancel();
        assert_eq!(pace.room(&stop).now_or_never(), Some(false), "a stop does not wait");
    }
}
