//! How long others wait for Lazaret, and Lazaret for Defender.

use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::rows::{Source, Tenant};

/// By names of the configuration alone.
#[derive(Clone, Debug)]
pub struct LatencyMetrics {
    webhook: Family<Source, Histogram>,
    call: Family<Tenant, Histogram>,
}

impl LatencyMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        // 1 ms to 33 s.
        let histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let it = Self {
            webhook: Family::new_with_constructor(histogram),
            call: Family::new_with_constructor(histogram),
        };
        let help = "From a request's head to its answer, of sources that exist";
        registry.register_with_unit("webhook_answer", help, Unit::Seconds, it.webhook.clone());
        let help = "From writing an attempt to its answer";
        registry.register_with_unit("call_answer", help, Unit::Seconds, it.call.clone());
        it
    }

    pub fn webhook(&self, source: &str, took: Duration) {
        let of = Source { source: source.to_owned() };
        self.webhook.get_or_create(&of).observe(took.as_secs_f64());
    }

    /// `took` ends when the answer is read, or when the call is given up.
    pub fn call(&self, tenant: &str, took: Duration) {
        let of = Tenant { tenant: tenant.to_owned() };
        self.call.get_or_create(&of).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn latencies_are_histograms_in_seconds() {
        let metrics = Metrics::new();
        metrics.latency.webhook("siem", Duration::from_millis(3));
        metrics.latency.call("contoso", Duration::from_secs(60));
        let page = metrics.encode();
        for line in [
            r#"lazaret_webhook_answer_seconds_bucket{le="0.002",source="siem"} 0"#,
            r#"lazaret_webhook_answer_seconds_bucket{le="0.004",source="siem"} 1"#,
            r#"lazaret_call_answer_seconds_bucket{le="+Inf",tenant="contoso"} 1"#,
            r#"lazaret_call_answer_seconds_count{tenant="contoso"} 1"#,
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
