//! Where each value that rules see is from: its places in the payload, or what else makes it.

use std::collections::BTreeMap;

use crate::domain::candidate::{Candidate, Field, Fields, Value};
use crate::formats::{Reader, traced};

/// Of one candidate.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    places: BTreeMap<Field, Vec<String>>,
    /// As the payload says it.
    fields: Fields<'static>,
}

impl Origins {
    /// The places of a field's value, or in words what makes it. Neither where it is not known.
    pub fn of(&self, field: Field, value: &Value<'_>) -> (Vec<String>, Option<&'static str>) {
        if let Some(by) = follows(field) {
            return (Vec::new(), Some(by));
        }
        let is_said = self.fields.get(field) == value;
        match self.places.get(&field).filter(|_| is_said) {
            Some(places) => (places.clone(), None),
            // An action keeps what it was decided by, and not all of that came with its alert.
            None => (Vec::new(), field.told_of().filter(|_| self.is_read()).map(|_| TOLD)),
        }
    }

    /// Whether there is a payload that says something.
    fn is_read(&self) -> bool {
        !self.places.is_empty()
    }
}

const TOLD: &str = "told by Defender";

/// What follows from where, when and beside what an alert came.
fn follows(field: Field) -> Option<&'static str> {
    Some(match field {
        Field::AlertAge => "counted from alert.created",
        Field::AlertTenant => "the tenant that it counts for",
        Field::AlertSource => "the source that brought it",
        Field::AlertFormat => "the format that read it",
        Field::AlertMachines | Field::AlertFiles => "counted over the alert",
        Field::AlertSeverityRank => "follows from alert.severity",
        _ => return None,
    })
}

/// Of all candidates of an alert, and why they can't be told.
pub fn of_all(
    reader: &Reader,
    text: &str,
    candidates: &[Candidate<'_>],
) -> (Vec<Origins>, Option<String>) {
    let (places, why) = match traced(reader, text) {
        Ok(places) if places.len() == candidates.len() => (places, None),
        Ok(_) => (Vec::new(), Some("its pairs of machine and file change".to_owned())),
        Err(why) => (Vec::new(), Some(why)),
    };
    let mut places = places.into_iter();
    let origins = candidates.iter().map(|candidate| Origins {
        places: places.next().unwrap_or_default(),
        fields: candidate.fields.clone().into_owned(),
    });
    (origins.collect(), why)
}
