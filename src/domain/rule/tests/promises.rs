//! Promises of enrichment that a reviewer tried to break.

use super::*;
use crate::domain::correlation::{Correlation, Kind};

/// A text that is cut while its candidate waits would be unknown by then, and the rule that needs
/// it would say nothing.
#[test]
fn promise_what_matched_but_for_defender_is_never_lost_by_waiting() {
    let detection = json!({
        "malware": {"alert.title|contains": "Mimikatz"},
        "signed": {"file.signer": "*"},
        "condition": "malware and not signed",
    });
    let asks = acting("a", |response| response.unknown = OnUnknown::Enrich);
    let rules = set(vec![(asks, detection)]);
    let mut fields = Fields::default();
    fields.set_text(Field::AlertTitle, format!("Mimikatz {}", "x".repeat(1100)));
    let first = rules.judge(&fields, Mode::Enforce);
    assert!(matches!(first, Judgement::Enrich { .. }), "{first:?}");
    // It can't wait, and is held at once.
    assert_eq!(fields.cut_by_snapshot(), Some(Field::AlertTitle));
    fields.set_text(Field::AlertTitle, "Mimikatz");
    assert_eq!(fields.cut_by_snapshot(), None);
}

/// One file on one machine in one alert is one event, by however many base rules.
#[test]
fn promise_one_file_of_one_alert_is_one_event() {
    let counts = |id: &str| Rule { response: Response::Count, ..rule(id) };
    let is = json!({"m": {"alert.category": "Malware"}, "condition": "m"});
    let bases: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    let all = bases.iter().map(|id| (counts(id), is.clone())).collect();
    let of = Correlation {
        kind: Kind::Events,
        rules: bases,
        group_by: vec![Field::MachineId],
        timespan: Duration::from_secs(3600),
        at_least: 3,
    };
    let rules = set(all).with_correlations(vec![Correlated { rule: rule("c3"), counts: of }]);
    let mut fields = Fields::default();
    fields.set_text(Field::AlertCategory, "Malware");
    fields.set_text(Field::MachineId, "ab");
    assert_eq!(rules.counts(&fields).len(), 1, "3 of 3 events by one file of one alert");
}
