//! Of intake: how long its two halves take, and what of a stream it passes over.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug)]
pub struct IntakeMetrics {
    /// Time of a batch of deliveries: decoding and judging it.
    pub judge: Histogram,
    /// From there until it was durable.
    pub commit: Histogram,
    /// Records of streams that are no part of an alert, since the start. One that a broker delivers
    /// again counts again.
    pub passed_over: Family<PassedLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PassedLabels {
    pub source: String,
    /// `AlertEvidence` where it is evidence that names no file and no machine.
    pub table: &'static str,
}

impl IntakeMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        // 50 µs to 1.6 s.
        let buckets = || exponential_buckets(0.00005, 2.0, 16);
        let it = Self {
            judge: Histogram::new(buckets()),
            commit: Histogram::new(buckets()),
            passed_over: Family::default(),
        };
        let help = "Decoding and judging one batch";
        registry.register_with_unit("intake_judge", help, Unit::Seconds, it.judge.clone());
        let help = "From a judged batch to its commit";
        registry.register_with_unit("intake_commit", help, Unit::Seconds, it.commit.clone());
        let help = "Records of streams that are no part of an alert";
        registry.register("stream_records_passed_over", help, it.passed_over.clone());
        it
    }
}
