//! Of intake: how long its two halves take.

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Time spent on a batch of deliveries.
#[derive(Clone, Debug)]
pub struct IntakeMetrics {
    /// Decoding and judging it.
    pub judge: Histogram,
    /// From there until it was durable.
    pub commit: Histogram,
}

impl IntakeMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        // 50 µs to 1.6 s.
        let buckets = || exponential_buckets(0.00005, 2.0, 16);
        let it = Self { judge: Histogram::new(buckets()), commit: Histogram::new(buckets()) };
        let help = "Decoding and judging one batch";
        registry.register_with_unit("intake_judge", help, Unit::Seconds, it.judge.clone());
        let help = "From a judged batch to its commit";
        registry.register_with_unit("intake_commit", help, Unit::Seconds, it.commit.clone());
        it
    }
}
