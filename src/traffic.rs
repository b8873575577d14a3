//! Made-up alert traffic with its ground truth: what a source would deliver, and which calls it
//! must lead to.
//!
//! The generator knows what happened, which file was met on which machine, because it has made it
//! up. So its truth shares no code with what is measured by it: this module imports nothing of the
//! crate but the dice. The same [`Settings`] give the same bytes.
//!
//! ```text
//! Incident ─▶ truth: the calls that must be made
//!     │
//!     └─▶ rows or alerts ─▶ shuffled in a window ─▶ packed into messages, some of them twice
//! ```

mod alerts;

mod calendar;

mod deliver;

mod draw;

mod model;

mod nested;

mod noise;

mod others;

mod truth;

mod xdr;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use serde::Serialize;

use crate::domain::dice::Dice;
use deliver::Delivery;
use draw::Incidents;
use truth::Due;

/// Most incidents that one run can be asked for: some days of a very large site.
pub const INCIDENTS_MAX: u64 = 10_000_000;

/// Most tenants.
pub const TENANTS_MAX: u64 = 1000;

/// The rule that the truth is for: it acts on detected files of alerts of medium and high severity.
pub const RULE: &str = include_str!("traffic/rule.yml");

/// The alert that the rule's own tests are about, and where it lies below the rule's directory.
pub const SAMPLE: (&str, &str) = ("samples/generated.json", include_str!("traffic/sample.json"));

/// In which format the alerts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Rows of the Defender XDR Streaming API, an alert spread over many of them.
    DefenderXdr,
    /// Alerts of the Defender for Endpoint API.
    DefenderAlert,
    /// Alerts of Microsoft Graph.
    GraphAlert,
}

/// What to make up.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The same seed gives the same run.
    pub seed: u64,
    /// How many incidents happen; each is one alert.
    pub incidents: u64,
    pub shape: Shape,
    /// How many tenants they happen to, beside some that nobody knows: see [`tenant`].
    pub tenants: u64,
    /// When the last of them has just happened, since the Unix epoch. All times are within the six
    /// hours before, none after.
    pub now: Duration,
}

/// A call that must be made: this file on this machine. All in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Call {
    /// The Entra tenant id.
    pub tenant: String,
    pub machine: String,
    pub sha1: String,
}

/// An alert: its Entra tenant id and its own.
pub type AlertKey = (String, String);

/// What must come of the messages, in whichever order they arrive.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Each call that must be made, once; no other may be.
    pub truth: BTreeSet<Call>,
    /// Alerts with a file that the rule is for and that can't be acted on: its machine or its hash
    /// is not known, or the alert's own row never comes. Another file of the same alert may have
    /// its call.
    pub incomplete: BTreeSet<AlertKey>,
    /// All alerts whose evidence comes without their AlertInfo row, of known tenants or not.
    pub without_info: BTreeSet<AlertKey>,
    /// Incidents that lead to at least one call.
    pub incidents_with_calls: u64,
    /// How often each peculiarity of real traffic occurs.
    pub kinds: BTreeMap<&'static str, u64>,
}

/// The messages, in the order they are sent, and what must come of them.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// One Kafka message each: a JSON document, or in a few one on each line.
    pub messages: Vec<String>,
    pub expected: Expected,
}

/// The Entra tenant id of a tenant, counted from 0. It depends on nothing else, so that a
/// configuration can name it.
pub fn tenant(number: u64) -> String {
    format!("7ea75000-0000-4000-8000-{:012x}", number + 1)
}

/// Makes up all of it in memory.
pub fn generate(settings: &Settings) -> Traffic {
    let mut messages = Vec::new();
    let made = stream(settings, |message| -> Result<(), Infallible> {
        messages.push(message);
        Ok(())
    });
    let Ok(expected) = made;
    Traffic { messages, expected }
}

/// Makes up message after message and hands them on; of those handed on it keeps none but the few
/// that it sends again. The first error of `send` ends it.
pub fn stream<E>(
    settings: &Settings,
    send: impl FnMut(String) -> Result<(), E>,
) -> Result<Expected, E> {
    let mut dice = Dice::new(settings.seed);
    let mut expected = Expected::default();
    let mut incidents = Incidents::new(*settings);
    let mut delivery = Delivery::new(settings.shape, dice.roll(), send);
    for number in 0..settings.incidents {
        let alert = incidents.draw(&mut dice, number);
        expect(&mut expected, &mut incidents, &alert);
        let made = match settings.shape {
            Shape::DefenderXdr => xdr::rows(&alert, &mut dice),
            Shape::DefenderAlert | Shape::GraphAlert => {
                alerts::of(settings.shape, &alert, &mut dice)
            }
        };
        if made.again > 0 {
            *expected.kinds.entry("sent again with another state").or_default() += made.again;
        }
        made.parts.into_iter().try_for_each(|part| delivery.push(part))?;
        if settings.shape == Shape::DefenderXdr {
            for _ in 0..dice.below(6) {
                let machine = incidents.machine(&mut dice, alert.tenant_number);
                delivery.push(noise::row(&alert, &machine, &mut dice))?;
                *expected.kinds.entry("row of another table").or_default() += 1;
            }
        }
    }
    expected.kinds.extend(delivery.finish()?);
    Ok(expected)
}

/// Notes what must come of an alert.
fn expect(expected: &mut Expected, incidents: &mut Incidents, alert: &model::Alert) {
    let mut count = |kind| *expected.kinds.entry(kind).or_default() += 1;
    model::kinds(alert).into_iter().for_each(&mut count);
    let mut calls = false;
    for met in &alert.files {
        match truth::of(alert, met) {
            Due::Call(call) => {
                calls = true;
                incidents.remember(alert, met);
                if !expected.truth.insert(call) {
                    count("the same file on the same machine again");
                }
            }
            Due::Incomplete(lack) => {
                count(lack);
                expected.incomplete.insert(alert.key());
            }
            Due::Nothing => {}
        }
    }
    if !alert.has_info && !alert.files.is_empty() {
        expected.without_info.insert(alert.key());
    }
    expected.incidents_with_calls += u64::from(calls);
}

#[cfg(test)]
mod tests;
