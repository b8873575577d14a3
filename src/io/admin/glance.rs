//! One look for all who want it. To read a report takes the longer the more the store holds, and
//! whoever reaches the listener may ask for one: so one reads at a time, and the next one for all
//! who came meanwhile.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::domain::time::Boot;
use crate::io::Clock;

/// What was seen last, for all who share it.
pub struct Glance<T>(Arc<Mutex<Option<Seen<T>>>>);

struct Seen<T> {
    began: Boot,
    what: Arc<T>,
}

impl<T> Default for Glance<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Glance<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Glance<T> {
    /// What a look shows that began no earlier than this was asked. One that fails is its asker's
    /// alone.
    pub(super) async fn look<E>(
        &self,
        clock: &dyn Clock,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        let asked = clock.now().boot;
        let mut last = self.0.lock().await;
        if let Some(Seen { began, what }) = &*last
            && *began > asked
        {
            return Ok(what.clone());
        }
        let began = clock.now().boot;
        let what = Arc::new(read.await?);
        *last = Some(Seen { began, what: what.clone() });
        Ok(what)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::io::clock::SystemClock;

    #[tokio::test]
    async fn however_many_ask_two_looks_are_enough() {
        let (glance, clock) = (Glance::default(), Arc::new(SystemClock::new()));
        let (reads, may_end) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let asked = (0..50).map(|_| {
            let (glance, clock) = (glance.clone(), clock.clone());
            let (reads, may_end) = (reads.clone(), may_end.clone());
            tokio::spawn(async move {
                let read = async {
                    let number = reads.fetch_add(1, Ordering::Relaxed);
                    may_end.acquire().await.expect("it is open").forget();
                    Ok::<u32, ()>(number)
                };
                *glance.look(&*clock, read).await.unwrap()
            })
        });
        let asked: Vec<_> = asked.collect();
        // All of them have asked before the first look ends.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        may_end.add_permits(50);
        let mut seen = Vec::new();
        for one in asked {
            seen.push(one.await.unwrap());
        }
        assert_eq!(seen[0], 0);
        assert_eq!(seen[1..], [1; 49], "none saw less than there was when it asked");
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }
}
