//! Scripted trouble: a queue of faults, each for the next calls it matches.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::Endpoint;

/// One fault. Strikes `times` matching calls that were authentic and within the budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub endpoint: Endpoint,
    /// Only calls for this machine; any if absent.
    #[serde(default)]
    pub machine: Option<String>,
    #[serde(default = "once")]
    pub times: u32,
    pub effect: Effect,
    pub trouble: Trouble,
}

/// Whether the call does what it asks for before the trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing was done.
    None,
    /// The machine action was made, or the token issued; only the answer suffers.
    Done,
}

/// What the caller sees instead of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Trouble {
    /// This answer, whatever it says. `retry_after` is the header as it stands.
    Answer {
        status: u16,
        #[serde(default)]
        retry_after: Option<String>,
        #[serde(default)]
        body: String,
    },
    /// The connection is cut.
    Drop,
    /// Nothing, until the caller gives up.
    Hang,
    /// The right answer, this much later.
    Delay { millis: u64 },
}

fn once() -> u32 {
    1
}

impl Fault {
    /// Strikes the next call to the endpoint, once.
    pub fn next(endpoint: Endpoint, effect: Effect, trouble: Trouble) -> Self {
        Self { endpoint, machine: None, times: 1, effect, trouble }
    }

    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    #[must_use]
    pub fn on_machine(self, machine: &str) -> Self {
        Self { machine: Some(machine.to_owned()), ..self }
    }
}

impl Trouble {
    /// An answer with this status and an empty body.
    pub fn status(status: u16) -> Self {
        Trouble::Answer { status, retry_after: None, body: String::new() }
    }

    pub fn delay(span: Duration) -> Self {
        Trouble::Delay { millis: u64::try_from(span.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// Faults in the order they were given.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub fn all(&self) -> &[Fault] {
        &self.0
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The first that matches this call, used up by one.
    pub fn strike(&mut self, endpoint: Endpoint, machine: Option<&str>) -> Option<Fault> {
        let matches = |fault: &Fault| {
            fault.endpoint == endpoint
                && fault.times > 0
                && fault.machine.as_deref().is_none_or(|only| Some(only) == machine)
        };
        let index = self.0.iter().position(matches)?;
        self.0[index].times -= 1;
        let struck = self.0[index].clone();
        self.0.retain(|fault| fault.times > 0);
        Some(struck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_the_calls_it_matches_as_often_as_it_says() {
        let mut faults = Faults::default();
        let fault = Fault::next(Endpoint::Quarantine, Effect::None, Trouble::Drop);
        faults.push(fault.clone().on_machine("a").times(2));
        faults.push(fault);
        assert_eq!(faults.strike(Endpoint::List, Some("a")), None);
        assert_eq!(faults.strike(Endpoint::Quarantine, Some("b")).unwrap().machine, None);
        assert_eq!(faults.strike(Endpoint::Quarantine, Some("b")), None);
        assert!(faults.strike(Endpoint::Quarantine, Some("a")).is_some());
        assert!(faults.strike(Endpoint::Quarantine, Some("a")).is_some());
        assert_eq!(faults.strike(Endpoint::Quarantine, Some("a")), None);
    }

    #[test]
    fn a_fault_reads_from_json() {
        let text = r#"{"endpoint": "quarantine", "effect": "done", "trouble":
            {"answer": {"status": 429, "retry-after": "5"}}}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        let body = String::new();
        let trouble = Trouble::Answer { status: 429, retry_after: Some("5".into()), body };
        assert_eq!(fault, Fault::next(Endpoint::Quarantine, Effect::Done, trouble));
    }
}
