//! What is counted in the store's rows and by relays and sources, taken over when it is asked for.
//! So the counters survive restarts, and `received = Σ fates` holds in every scrape.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::scope::Scope;
use crate::io::Report;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Source {
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Channel {
    channel: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FateOf {
    source: String,
    fate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Tenant {
    pub tenant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateOf {
    tenant: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassOf {
    tenant: String,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerOf {
    tenant: String,
    answer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WindowOf {
    tenant: String,
    window_seconds: String,
}

pub(super) type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug, Default)]
pub(super) struct RowMetrics {
    received: Family<Source, Counter>,
    receipts: Family<FateOf, Counter>,
    waiting: Family<Source, Gauge>,
    last_received: Family<Source, Seconds>,
    actions: Family<StateOf, Gauge>,
    unfetched: Family<Tenant, Gauge>,
    queue: Family<ClassOf, Gauge>,
    queue_age: Family<ClassOf, Seconds>,
    answers: Family<AnswerOf, Counter>,
    in_flight: Family<Tenant, Gauge>,
    budget_used: Family<WindowOf, Gauge>,
    budget_limit: Family<WindowOf, Gauge>,
    blocked: Family<Tenant, Gauge>,
    stuck: Family<Tenant, Gauge>,
    list_failing: Family<Tenant, Gauge>,
    credentials: super::credential::CredentialMetrics,
    paused: Family<Tenant, Gauge>,
    kafka_lag: Family<Source, Gauge>,
    kafka_out_of_log: Family<Source, Counter>,
    kafka_foreign: Family<Source, Gauge>,
    notify_delivered: Family<Channel, Counter>,
    notify_given_up: Family<Channel, Counter>,
    notify_failing: Family<Channel, Gauge>,
    notify_lag: Family<Channel, Gauge>,
    rules: Gauge,
    rules_refused: Gauge,
}

impl RowMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let it = Self::default();
        it.register_rows(registry);
        it.register_parts(registry);
        it.register_channels(registry);
        it.credentials.register(registry);
        it
    }

    fn register_rows(&self, registry: &mut Registry) {
        registry.register("received", "Alerts received", self.received.clone());
        registry.register("receipts", "Alerts by what became of them", self.receipts.clone());
        registry.register(
            "receipts_waiting",
            "Alerts that wait for rows, or for Defender's answers",
            self.waiting.clone(),
        );
        registry.register_with_unit(
            "last_received_timestamp",
            "When the last alert came",
            Unit::Seconds,
            self.last_received.clone(),
        );
        registry.register("actions", "Actions by state", self.actions.clone());
        let help = "Accepted actions that their machines have not fetched some minutes after";
        registry.register("actions_unfetched", help, self.unfetched.clone());
        registry.register("queue_depth", "Queued actions", self.queue.clone());
        registry.register_with_unit(
            "queue_oldest_age",
            "Age of the oldest queued action",
            Unit::Seconds,
            self.queue_age.clone(),
        );
        let help = "1 where a pause covers the tenant; * is everything";
        registry.register("paused", help, self.paused.clone());
        registry.register("rules", "Rules in force", self.rules.clone());
        let help = "1 where the rules on disk are refused and older ones are in force";
        registry.register("rules_refused", help, self.rules_refused.clone());
    }

    fn register_parts(&self, registry: &mut Registry) {
        let help = "Answered StopAndQuarantineFile calls since the start";
        registry.register("calls", help, self.answers.clone());
        registry.register("calls_in_flight", "Calls without an answer yet", self.in_flight.clone());
        let help = "Slots of the budget in use";
        registry.register("budget_used", help, self.budget_used.clone());
        registry.register("budget_limit", "Slots of the budget", self.budget_limit.clone());
        registry.register("blocked", "1 where nothing is sent at the moment", self.blocked.clone());
        let help = "1 where the list of machine actions fails: nobody knows how actions end";
        registry.register("list_failing", help, self.list_failing.clone());
        let help = "1 where the store does not do what the tenant's relay asks: nothing goes on";
        registry.register("relay_stuck", help, self.stuck.clone());
        registry.register("kafka_lag", "Messages not yet durable here", self.kafka_lag.clone());
        let help = "Stored offsets outside the log: messages were lost";
        registry.register("kafka_offsets_out_of_log", help, self.kafka_out_of_log.clone());
        let help = "1 where another process reads the group";
        registry.register("kafka_foreign_member", help, self.kafka_foreign.clone());
    }

    fn register_channels(&self, registry: &mut Registry) {
        let help = "Messages that receivers took since the start";
        registry.register("notify_delivered", help, self.notify_delivered.clone());
        let help = "Messages that receivers refused for good since the start";
        registry.register("notify_given_up", help, self.notify_given_up.clone());
        let help = "1 where messages do not get through";
        registry.register("notify_failing", help, self.notify_failing.clone());
        let help = "Changes not told, or not looked at, yet";
        registry.register("notify_lag", help, self.notify_lag.clone());
    }

    pub(super) fn absorb(&self, report: &Report) {
        self.absorb_rows(report);
        for relay in &report.relays {
            let tenant = Tenant { tenant: relay.tenant.clone() };
            self.in_flight.get_or_create(&tenant).set(signed(relay.in_flight as u64));
            self.blocked.get_or_create(&tenant).set(i64::from(relay.blocked.is_some()));
            self.stuck.get_or_create(&tenant).set(i64::from(!relay.stuck.is_empty()));
            let failing = i64::from(relay.list_failing_since.is_some());
            self.list_failing.get_or_create(&tenant).set(failing);
            for window in &relay.windows {
                let window_seconds = window.per_seconds.to_string();
                let of = WindowOf { tenant: relay.tenant.clone(), window_seconds };
                self.budget_used.get_or_create(&of).set(signed(window.used as u64));
                self.budget_limit.get_or_create(&of).set(signed(window.calls as u64));
            }
            for (answer, count) in &relay.answers {
                let of = AnswerOf { tenant: relay.tenant.clone(), answer: answer.clone() };
                set(&self.answers.get_or_create(&of), *count);
            }
        }
        self.credentials.absorb(report);
        for line in &report.channels {
            let channel = Channel { channel: line.name.clone() };
            set(&self.notify_delivered.get_or_create(&channel), line.delivered);
            set(&self.notify_given_up.get_or_create(&channel), line.given_up);
            let failing = i64::from(line.failing_since.is_some());
            self.notify_failing.get_or_create(&channel).set(failing);
            self.notify_lag.get_or_create(&channel).set(signed(line.lag));
        }
        for kafka in &report.kafka {
            let source = Source { source: kafka.source.clone() };
            self.kafka_lag.get_or_create(&source).set(signed(kafka.lag));
            set(&self.kafka_out_of_log.get_or_create(&source), kafka.offsets_out_of_log);
            let foreign = i64::from(kafka.foreign_member.is_some());
            self.kafka_foreign.get_or_create(&source).set(foreign);
        }
    }

    fn absorb_rows(&self, report: &Report) {
        self.rules.set(signed(report.rules as u64));
        self.rules_refused.set(i64::from(report.rules_refused.is_some()));
        for (source, count) in &report.summary.received {
            let of = Source { source: source.clone() };
            set(&self.received.get_or_create(&of), *count);
            self.waiting.get_or_create(&of).set(signed(report.summary.waiting(source)));
        }
        for of in &report.summary.fates {
            let labels = FateOf { source: of.source.clone(), fate: of.fate.as_str() };
            set(&self.receipts.get_or_create(&labels), of.count);
        }
        for (source, at) in &report.summary.last_received {
            let seconds = at.0 as f64 / 1e6;
            self.last_received.get_or_create(&Source { source: source.clone() }).set(seconds);
        }
        self.actions.clear();
        for of in &report.summary.states {
            self.unfetched.get_or_create(&Tenant { tenant: of.tenant.clone() }).set(0);
            let labels = StateOf { tenant: of.tenant.clone(), state: of.state.as_str() };
            self.actions.get_or_create(&labels).set(signed(of.count));
        }
        for (tenant, count, _) in &report.summary.unfetched {
            let of = Tenant { tenant: tenant.clone() };
            self.unfetched.get_or_create(&of).set(signed(*count));
        }
        self.queue.clear();
        self.queue_age.clear();
        for line in &report.summary.queues {
            let labels = ClassOf { tenant: line.tenant.clone(), class: line.class.as_str() };
            self.queue.get_or_create(&labels).set(signed(line.depth));
            let age = line.oldest.map_or(0.0, |at| report.now.since(at).as_secs_f64());
            self.queue_age.get_or_create(&labels).set(age);
        }
        self.paused.clear();
        for pause in &report.summary.pauses {
            // Scopes within a tenant would be series without end; they are in the report.
            let tenant = match &pause.scope {
                Scope::All => crate::domain::audit::NO_TENANT.to_owned(),
                Scope::Tenant(tenant) => tenant.to_string(),
                Scope::Rule(_) | Scope::Machine(_) | Scope::Sha1(_) => continue,
            };
            self.paused.get_or_create(&Tenant { tenant }).set(1);
        }
    }
}

/// The rows hold the truth: the counter is set, not added to.
fn set(counter: &Counter, count: u64) {
    counter.inner().store(count, Ordering::Relaxed);
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
