//! What a queued action waits for.

use super::{ActionReport, Pause, RelayLine};
use crate::domain::action::State;
use crate::domain::scope::Scope;
use crate::domain::time::Wall;

/// What may keep a queued action from being called.
#[derive(Clone, Copy, Debug)]
pub struct Stops<'a> {
    pub pauses: &'a [Pause],
    /// What is said of the stop file, or that the service does not run.
    pub whole: Option<&'a str>,
    /// Of the action's tenant.
    pub relay: Option<&'a RelayLine>,
    pub now: Wall,
}

impl ActionReport {
    /// What keeps it from being called, where it is queued: `None` where it only waits its turn.
    pub fn stopped_by(&self, stops: &Stops<'_>) -> Option<String> {
        let State::Queued { not_before, .. } = self.line.state else { return None };
        let pauses = stops.pauses.iter().filter(|pause| self.is_in(&pause.scope));
        let mut whys: Vec<String> = pauses
            .map(|Pause { scope, by, at, reason }| {
                format!("the pause of {scope}, by {by} at {at}: {reason}")
            })
            .collect();
        whys.extend(stops.whole.map(str::to_owned));
        if let Some(relay) = stops.relay
            && let Some(why) = &relay.blocked
        {
            match relay.blocked_until {
                Some(until) => whys.push(format!("{why}, until {until}")),
                // It repeats what stops it, as of half a minute ago at most.
                None if whys.is_empty() => whys.push(why.clone()),
                None => {}
            }
        }
        if not_before > stops.now {
            whys.push(format!("its time: not before {not_before}"));
        }
        (!whys.is_empty()).then(|| whys.join("; and "))
    }

    fn is_in(&self, scope: &Scope) -> bool {
        let key = &self.line.key;
        match scope {
            Scope::All => true,
            Scope::Tenant(tenant) => *tenant == key.tenant,
            Scope::Rule(rule) => self.rules.first() == Some(rule),
            Scope::Machine(machine) => *machine == key.machine,
            Scope::Sha1(sha1) => *sha1 == key.sha1,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::ids::{MachineId, Sha1, TenantName};

    fn queued(not_before: i64) -> ActionReport {
        let digits = |digit: &str| digit.repeat(40);
        serde_json::from_value(json!({
            "id": "0198c2f4-0000-7000-8000-000000000001", "tenant": "contoso",
            "machine": digits("a"), "sha1": digits("b"), "alert_id": "da1_1", "class": "urgent",
            "created": Wall(0), "changed": Wall(0), "state": "queued",
            "not_before": Wall(not_before), "tries": 0, "busy_since": null, "comment": "c",
            "expires": Wall(9), "rules": ["rule-1", "rule-2"], "ruleset": "", "candidate": {},
            "delivery": {"via": "webhook", "source": "siem", "id": null}, "raw": null,
            "attempts": [], "changes": [],
        }))
        .unwrap()
    }

    fn pause(scope: Scope) -> Pause {
        let (by, reason) = ("token ana".to_owned(), "a false positive".to_owned());
        Pause { scope, by, at: Wall(0), reason }
    }

    #[test]
    fn a_queued_action_says_which_pause_covers_it() {
        let file = Scope::Sha1(Sha1::parse(&"b".repeat(40)).unwrap());
        let says = |scopes: &[Scope]| {
            let pauses: Vec<_> = scopes.iter().cloned().map(pause).collect();
            let stops = Stops { pauses: &pauses, whole: None, relay: None, now: Wall(0) };
            queued(0).stopped_by(&stops)
        };
        let said = says(std::slice::from_ref(&file)).unwrap();
        let wanted = format!("the pause of {file}, by token ana at {}: a false positive", Wall(0));
        assert_eq!(said, wanted);
        let ours = Scope::Tenant(TenantName::new("contoso"));
        let machine = Scope::Machine(MachineId::parse(&"a".repeat(40)).unwrap());
        for scope in [Scope::All, ours, machine, Scope::Rule("rule-1".to_owned())] {
            assert!(
                says(std::slice::from_ref(&scope)).unwrap().contains(&scope.to_string()),
                "{scope}"
            );
        }
        let other = Sha1::parse(&"c".repeat(40)).unwrap();
        let others = [
            Scope::Tenant(TenantName::new("fabrikam")),
            Scope::Rule("rule-2".to_owned()),
            Scope::Machine(MachineId::parse(&"c".repeat(40)).unwrap()),
            Scope::Sha1(other),
        ];
        assert_eq!(says(&others), None);
    }

    #[test]
    fn it_says_what_else_it_waits_for_and_until_when() {
        let says = |blocked: Option<&str>, blocked_until, whole, not_before| {
            let blocked = blocked.map(str::to_owned);
            let relay = RelayLine { blocked, blocked_until, ..RelayLine::default() };
            let stops = Stops { pauses: &[], whole, relay: Some(&relay), now: Wall(5) };
            queued(not_before).stopped_by(&stops).unwrap_or_default()
        };
        assert_eq!(says(None, None, None, 5), "", "it waits for its turn");
        let until = Some(Wall(7));
        assert_eq!(says(Some("429"), until, None, 0), format!("429, until {}", Wall(7)));
        assert_eq!(says(Some("mode observe"), None, None, 0), "mode observe");
        assert_eq!(says(Some("stopped"), None, Some("STOP is there"), 0), "STOP is there");
        assert_eq!(says(None, None, None, 6), format!("its time: not before {}", Wall(6)));
    }

    #[test]
    fn what_is_not_queued_waits_for_none_of_it() {
        let mut action = queued(0);
        action.line.state = State::Expired;
        let pauses = [pause(Scope::All)];
        let stops = Stops { pauses: &pauses, whole: None, relay: None, now: Wall(0) };
        assert_eq!(action.stopped_by(&stops), None);
    }
}
