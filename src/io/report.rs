//! What people ask of the store and the service, as plain data: the admin listener sends it as
//! JSON, and the command line prints it.

mod lines;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BY_FILE, Pause};
use crate::domain::action::{Class, StateName};
use crate::domain::breaker::Breaker;
use crate::domain::decision::Fate;
use crate::domain::ids::TenantName;
use crate::domain::scope::Scope;
use crate::domain::time::Wall;
pub use lines::{
    ActionFilter, ActionLine, ActionReport, AttemptReport, Position, ReceiptFilter, ReceiptLine,
};
pub use waits::Stops;

/// What `lazaret status` shows of a running service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub version: String,
    pub node: String,
    pub mode: String,
    pub rules: usize,
    /// Content hash of the rule set in force.
    pub ruleset: String,
    /// The first mistake of the rules on disk and how many more there are, where they are refused
    /// and the set before stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_refused: Option<String>,
    /// Why the store can't write, while it can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_trouble: Option<String>,
    pub started: Wall,
    pub now: Wall,
    pub summary: Summary,
    pub relays: Vec<RelayLine>,
    #[serde(default)]
    pub credentials: Vec<super::CredentialLine>,
    pub kafka: Vec<KafkaLine>,
    #[serde(default)]
    pub channels: Vec<super::ChannelLine>,
    /// What a person should look at, each with what to do. Empty: all is well.
    pub problems: Vec<String>,
}

impl Report {
    /// What may keep queued actions of this tenant from being called.
    pub fn stops(&self, tenant: &TenantName) -> Stops<'_> {
        let by_file = self.problems.iter().find(|problem| problem.starts_with(BY_FILE));
        Stops {
            pauses: &self.summary.pauses,
            whole: by_file.map(String::as_str),
            relay: self.relays.iter().find(|relay| relay.tenant == tenant.as_str()),
            now: self.now,
        }
    }

    /// What anybody may know: that calls or rules are stopped and which source is down, but no
    /// reason, person or path.
    pub fn public_problems(&self) -> Vec<String> {
        let by_file = self.problems.iter().any(|problem| problem.starts_with(BY_FILE));
        let mut problems = Vec::new();
        if self.store_trouble.is_some() {
            problems.push("the store can't write".to_owned());
        }
        if by_file || !self.summary.pauses.is_empty() {
            problems.push("dispatch is paused".to_owned());
        }
        if self.relays.iter().any(|relay| !relay.stuck.is_empty()) {
            problems.push("the dispatch of a tenant is stuck".to_owned());
        }
        if self.rules_refused.is_some() {
            problems.push("the rules on disk are refused".to_owned());
        }
        let down = |source: &&KafkaLine| source.error.is_some() || source.foreign_member.is_some();
        let down = self.kafka.iter().filter(down).map(|source| &source.source);
        problems.extend(down.map(|source| format!("source {source} is down")));
        let silent = self.summary.silent.iter();
        problems.extend(silent.map(|(source, _)| format!("source {source} is silent")));
        problems
    }
}

/// One tenant's relay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RelayLine {
    pub tenant: String,
    pub in_flight: usize,
    pub in_doubt: usize,
    pub accepted: usize,
    /// Of the quarantine budget, each window.
    pub windows: Vec<WindowLine>,
    /// What of that budget is used at most, in percent: less than all where Defender has refused
    /// calls for their number, since others use the same application.
    #[serde(default)]
    pub share: f64,
    /// When the last action of each class that is queued now is expected to start.
    #[serde(default)]
    pub ends: Vec<(Class, Wall)>,
    /// Why nothing is sent at the moment, and until when: by an answer of Defender's, or by what
    /// shuts the tenant here, such as a pause.
    pub blocked: Option<String>,
    pub blocked_until: Option<Wall>,
    /// Since when Defender's list of machine actions fails and why, while an action waits for it:
    /// until it works nobody knows how they end.
    #[serde(default)]
    pub list_failing_since: Option<Wall>,
    #[serde(default)]
    pub list_error: Option<String>,
    /// What the store does not do, each with why: nothing goes on before.
    #[serde(default)]
    pub stuck: Vec<String>,
    /// Answers since the start, by kind.
    pub answers: Vec<(String, u64)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowLine {
    pub used: usize,
    pub calls: usize,
    pub per_seconds: f64,
}

/// One Kafka source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KafkaLine {
    pub source: String,
    pub partitions: usize,
    pub lag: u64,
    /// How often a stored offset was outside the log.
    pub offsets_out_of_log: u64,
    /// Another member of the consumer group, which must not be.
    pub foreign_member: Option<String>,
    pub error: Option<String>,
}

/// How long ended things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub fates: Duration,
    pub actions: Duration,
    pub unreadable: Duration,
    /// Alerts of streams that wait for nothing, since their last row.
    pub partials: Duration,
}

/// What `lazaret status` and the metrics are made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Receipts of each source by fate. Their sum is what was received.
    pub fates: Vec<FateCount>,
    pub received: Vec<(String, u64)>,
    /// Actions of each tenant by state; ended ones counted since the store was made.
    pub states: Vec<StateCount>,
    pub queues: Vec<QueueLine>,
    pub pauses: Vec<Pause>,
    #[serde(default)]
    pub trips: Vec<TripLine>,
    /// Held actions by tenant and reason ([`HoldWhy::as_str`](crate::domain::action::HoldWhy)).
    #[serde(default)]
    pub held: Vec<(String, String, u64)>,
    /// Queued actions that a pause of their rule, machine or file covers, by tenant.
    #[serde(default)]
    pub aside: Vec<(String, u64)>,
    /// By tenant, accepted actions that no machine has fetched, and since when the oldest waits.
    #[serde(default)]
    pub unfetched: Vec<(String, u64, Wall)>,
    /// When the newest receipt of each source came.
    pub last_received: Vec<(String, Wall)>,
    /// Sources that have fallen silent, and since when that is on the record.
    #[serde(default)]
    pub silent: Vec<(String, Wall)>,
}

impl Summary {
    /// Alerts of a source that have no fate yet: rows that complete them, or Defender's answers,
    /// are still to come.
    pub fn waiting(&self, source: &str) -> u64 {
        let received = self.received.iter().find(|(name, _)| name == source);
        let fates = self.fates.iter().filter(|of| of.source == source).map(|of| of.count);
        received.map_or(0, |(_, count)| *count).saturating_sub(fates.sum())
    }

    /// What is open of tenants that are none of these: nothing becomes of it.
    pub fn of_no_tenant<'a>(&'a self, named: impl Iterator<Item = &'a str>) -> Vec<String> {
        use StateName::{Accepted, Held, InDoubt, InFlight, Queued};
        let named: BTreeSet<_> = named.collect();
        let mut open = BTreeMap::<&str, (u64, u64)>::new();
        for of in self.states.iter().filter(|of| of.count > 0 && of.state.is_open()) {
            let (wait, sent) = open.entry(&of.tenant).or_default();
            match of.state {
                Held | Queued => *wait += of.count,
                InFlight | InDoubt | Accepted => *sent += of.count,
                _ => {}
            }
        }
        let unnamed = open.into_iter().filter(|(tenant, _)| !named.contains(tenant));
        let told = unnamed.map(|(tenant, (wait, sent))| {
            format!(
                "tenant {tenant} is not in the configuration: nothing becomes of its {wait} \
                 actions that are held or queued and {sent} that were sent; to go on: name it \
                 there again, at least until they have ended (`lazaret actions reject --tenant \
                 {tenant}`)"
            )
        });
        told.collect()
    }

    /// What is held for a person, as problems say it: one for each tenant.
    pub fn people_wait(&self) -> impl Iterator<Item = String> {
        let held = self.states.iter().filter(|of| of.state == StateName::Held && of.count > 0);
        held.map(|StateCount { count, tenant, .. }| {
            let (actions, are) = if *count == 1 { ("action", "is") } else { ("actions", "are") };
            format!(
                "{count} {actions} of tenant {tenant} {are} held for a person; to go on: lazaret \
                 actions list --held"
            )
        })
    }

    /// What a person should look at, whether the service runs or not.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<_> = self.pauses.iter().map(paused).collect();
        for trip in &self.trips {
            problems.push(format!("breaker {}: {}", trip.breaker, trip.why));
        }
        problems.extend(self.people_wait());
        for (source, _) in &self.silent {
            let newest = self.last_received.iter().find(|(name, _)| name == source);
            let since = match newest {
                Some((_, at)) => format!("nothing has come since {at}"),
                None => "no alert has come from it yet".to_owned(),
            };
            problems.push(format!("source {source} is silent: {since}; to go on: lazaret doctor"));
        }
        problems
    }
}

/// A pause among the problems.
pub fn paused(pause: &Pause) -> String {
    let Pause { scope, by, reason, .. } = pause;
    let resume = format!("lazaret resume{} --reason TEXT", scope.option());
    format!("{scope} is paused by {by}: {reason}; to go on: {resume}")
}

/// A breaker that holds its scope until a person resumes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TripLine {
    pub tenant: TenantName,
    pub breaker: Breaker,
    pub scope: Scope,
    pub at: Wall,
    /// What happened and how to go on.
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FateCount {
    pub source: String,
    pub fate: Fate,
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateCount {
    pub tenant: String,
    pub state: StateName,
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueLine {
    pub tenant: String,
    pub class: Class,
    pub depth: u64,
    pub oldest: Option<Wall>,
    /// When the last one of them becomes due, or became so.
    #[serde(default)]
    pub last_due: Option<Wall>,
}

#[cfg(test)]
impl Report {
    /// What a service with these relays tells that has nothing else to tell.
    pub(crate) fn of_relays(relays: Vec<RelayLine>, now: Wall) -> Self {
        Self {
            version: String::new(),
            node: "lazaret-1".to_owned(),
            mode: "enforce".to_owned(),
            rules: 1,
            ruleset: String::new(),
            rules_refused: None,
            store_trouble: None,
            started: Wall(0),
            now,
            summary: Summary::default(),
            relays,
            credentials: Vec::new(),
            kafka: Vec::new(),
            channels: Vec::new(),
            problems: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_of_a_tenant_that_is_not_configured_is_told() {
        let of =
            |tenant: &str, state, count| StateCount { tenant: tenant.to_owned(), state, count };
        let states = vec![
            of("contoso", StateName::Accepted, 2),
            of("contoso", StateName::Held, 1),
            of("contoso", StateName::Queued, 3),
            of("fabrikam", StateName::Accepted, 1),
            of("woodgrove", StateName::Queued, 0),
            of("woodgrove", StateName::Succeeded, 7),
        ];
        let summary = Summary { states, ..Summary::default() };
        assert_eq!(summary.of_no_tenant(["contoso", "fabrikam"].into_iter()), Vec::<String>::new());
        let told = summary.of_no_tenant(["other"].into_iter());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("its 4 actions that are held or queued and 2 that were sent"));
        assert!(told[1].starts_with("tenant fabrikam is not"), "{told:?}");
    }

    #[test]
    fn a_silent_source_is_told_with_its_newest_alert_or_that_there_was_none() {
        let mut summary =
            Summary { silent: vec![("siem".to_owned(), Wall(9))], ..Summary::default() };
        let told = "source siem is silent: no alert has come from it yet; to go on: lazaret doctor";
        assert_eq!(summary.problems(), [told]);
        summary.last_received = vec![("siem".to_owned(), Wall(1))];
        let told = format!(
            "source siem is silent: nothing has come since {}; to go on: lazaret doctor",
            Wall(1)
        );
        assert_eq!(summary.problems(), [told]);
    }

    #[test]
    fn without_a_token_nobody_learns_reasons_people_paths_or_members() {
        let (by, reason) = ("token private".to_owned(), "private".to_owned());
        let pause =
            Pause { scope: Scope::Tenant(TenantName::new("private")), by, reason, at: Wall(1) };
        let silent = vec![("hushed".to_owned(), Wall(1))];
        let summary = Summary { pauses: vec![pause], silent, ..Summary::default() };
        let kafka = |source: &str, error: Option<&str>| KafkaLine {
            source: source.to_owned(),
            error: error.map(str::to_owned),
            ..KafkaLine::default()
        };
        let mut report = Report {
            version: String::new(),
            node: "private".to_owned(),
            mode: "enforce".to_owned(),
            rules: 1,
            ruleset: String::new(),
            rules_refused: Some("/private/r.yml:1:1: error: no".to_owned()),
            store_trouble: None,
            started: Wall(1),
            now: Wall(1),
            problems: summary.problems(),
            summary,
            relays: vec![RelayLine { stuck: vec!["private".to_owned()], ..RelayLine::default() }],
            credentials: Vec::new(),
            kafka: vec![kafka("xdr", Some("private-broker:9092 is down")), kafka("siem", None)],
            channels: Vec::new(),
        };
        let wanted = [
            "dispatch is paused",
            "the dispatch of a tenant is stuck",
            "the rules on disk are refused",
            "source xdr is down",
            "source hushed is silent",
        ];
        assert_eq!(report.public_problems(), wanted);
        report.summary.pauses.clear();
        report.problems = vec![format!("{BY_FILE} /private/STOP is there")];
        assert_eq!(report.public_problems(), wanted);
    }

    #[test]
    fn a_queued_action_is_stopped_by_the_file_and_by_the_relay_of_its_own_tenant() {
        let relay = |tenant: &str| RelayLine { tenant: tenant.to_owned(), ..RelayLine::default() };
        let mut report = Report::of_relays(vec![relay("fabrikam"), relay("contoso")], Wall(1));
        assert_eq!(report.stops(&TenantName::new("contoso")).whole, None);
        report.problems = vec!["another".to_owned(), format!("{BY_FILE} /data/STOP is there")];
        let stops = report.stops(&TenantName::new("contoso"));
        assert_eq!(stops.whole, Some(report.problems[1].as_str()));
        assert_eq!(stops.relay, Some(&report.relays[1]));
    }
}
