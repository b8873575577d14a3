//! Without these the service is not whole. A panic in one of them ends the process, since a service
//! that takes alerts and never calls, or that looks well and hears nothing, is worse than none: a
//! new start goes on from what is durable.

use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::limits::WATCH_EVERY;

/// The same task; where it panics, the service fails.
pub(super) fn task(
    what: &'static str,
    task: JoinHandle<()>,
    failed: &CancellationToken,
) -> JoinHandle<()> {
    let failed = failed.clone();
    tokio::spawn(async move {
        if let Err(why) = task.await {
            tracing::error!(%why, "{what} has panicked: the service stops");
            failed.cancel();
        }
    })
}

/// The same for many.
pub(super) fn tasks(
    what: &'static str,
    tasks: impl IntoIterator<Item = JoinHandle<()>>,
    failed: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    tasks.into_iter().map(|one| task(what, one, failed)).collect()
}

/// Looks at the threads of Kafka sources. One that has ended by something a person must mend leaves
/// the rest at work.
pub(super) fn kafka(
    parts: &Parts,
    failed: &CancellationToken,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let (sources, failed, stop) = (parts.kafka.clone(), failed.clone(), stop.clone());
    tokio::spawn(async move {
        let mut look = interval(WATCH_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {}
            }
            if sources.get().into_iter().flatten().any(|source| source.read().broken) {
                tracing::error!("a Kafka source has ended: the service stops");
                failed.cancel();
                return;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_the_service_and_an_end_does_not() {
        let failed = CancellationToken::new();
        task("a part", tokio::spawn(async {}), &failed).await.unwrap();
        assert!(!failed.is_cancelled());
        let panics = tokio::spawn(async { panic!("a mistake of ours") });
        task("a part", panics, &failed).await.unwrap();
        assert!(failed.is_cancelled());
    }
}
