//! What Lazaret counts, for Prometheus. Names begin with `lazaret_`.

mod credential;

mod intake;

mod latency;

mod rows;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use intake::{IntakeMetrics, PassedLabels};
pub use latency::LatencyMetrics;

use crate::io::Report;
use rows::RowMetrics;

/// Every family, registered. Labels come from the configuration and from fixed words, never from a
/// request, so that no sender can make series.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub webhook: WebhookMetrics,
    pub listener: ListenerMetrics,
    pub intake: IntakeMetrics,
    pub latency: LatencyMetrics,
    rows: RowMetrics,
}

/// Of the webhook listener.
#[derive(Clone, Debug, Default)]
pub struct WebhookMetrics {
    /// By source and status; the source is empty where the request named none that exists.
    pub requests: Family<RequestLabels, Counter>,
    /// By source and secret, counted from 0: when the old one stands still, it can go.
    pub secret_matched: Family<SecretLabels, Counter>,
    /// By source and the reason in one word.
    pub signatures_refused: Family<RefusalLabels, Counter>,
}

/// Of both listeners.
#[derive(Clone, Debug, Default)]
pub struct ListenerMetrics {
    pub connections_open: Family<ListenerLabels, Gauge>,
    /// By what was exceeded: `total`, `address`; or `handshake` where TLS did not come about.
    pub connections_refused: Family<RefusedLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub source: String,
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SecretLabels {
    pub source: String,
    pub index: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    pub source: String,
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerLabels {
    pub listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedLabels {
    pub listener: &'static str,
    pub reason: &'static str,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("lazaret");
        let webhook = WebhookMetrics::register(&mut registry);
        let listener = ListenerMetrics::register(&mut registry);
        let intake = IntakeMetrics::register(&mut registry);
        let latency = LatencyMetrics::register(&mut registry);
        let rows = RowMetrics::register(&mut registry);
        Self { registry, webhook, listener, intake, latency, rows }
    }

    /// Takes over what is counted elsewhere: in rows of the store, and by relays and sources.
    pub fn absorb(&self, report: &Report) {
        self.rows.absorb(report);
    }

    /// All families as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a String can't fail");
        page
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl WebhookMetrics {
    fn register(registry: &mut Registry) -> Self {
        let it = Self::default();
        registry.register(
            "webhook_requests",
            "Requests to the webhook listener",
            it.requests.clone(),
        );
        registry.register(
            "webhook_secret_matched",
            "Authentic deliveries by the secret that matched",
            it.secret_matched.clone(),
        );
        registry.register(
            "webhook_signatures_refused",
            "Deliveries that were not authentic",
            it.signatures_refused.clone(),
        );
        it
    }
}

impl ListenerMetrics {
    fn register(registry: &mut Registry) -> Self {
        let it = Self::default();
        registry.register("connections_open", "Connections open now", it.connections_open.clone());
        registry.register(
            "connections_refused",
            "Connections closed before their first request",
            it.connections_refused.clone(),
        );
        it
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Wall;
    use crate::io::RelayLine;

    #[test]
    fn names_begin_with_lazaret() {
        let metrics = Metrics::new();
        let labels = RequestLabels { source: "siem".into(), status: 202 };
        metrics.webhook.requests.get_or_create(&labels).inc();
        let page = metrics.encode();
        let line = r#"lazaret_webhook_requests_total{source="siem",status="202"} 1"#;
        assert!(page.contains(line), "{page}");
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn a_relay_that_is_stuck_and_lists_that_fail_are_counted_until_they_are_over() {
        let relay = |stuck: &[&str], list_failing_since| RelayLine {
            tenant: "contoso".to_owned(),
            stuck: stuck.iter().map(ToString::to_string).collect(),
            list_failing_since,
            ..RelayLine::default()
        };
        let metrics = Metrics::new();
        for (relay, value) in [(relay(&["no"], Some(Wall(0))), 1), (relay(&[], None), 0)] {
            metrics.absorb(&Report::of_relays(vec![relay], Wall(0)));
            let page = metrics.encode();
            for name in ["relay_stuck", "list_failing"] {
                let line = format!("lazaret_{name}{{tenant=\"contoso\"}} {value}\n");
                assert!(page.contains(&line), "{line}{page}");
            }
        }
    }
}
