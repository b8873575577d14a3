//! A candidate's flat fields as the rule engine reads them: borrowed, nothing built for a rule that
//! does not match.

use std::borrow::Cow;

use rsigma_eval::event::{Event, EventValue};

use crate::domain::candidate::{Field, Fields, Value};

/// A known-empty field is the engine's null: present, so that it counts as known, and equal to
/// nothing. `|exists` finds neither it nor an absent one.
impl Event for Fields<'_> {
    fn get_field(&self, name: &str) -> Option<EventValue<'_>> {
        match self.get(Field::parse(name)?) {
            Value::Absent => None,
            Value::Empty => Some(EventValue::Null),
            Value::Text(text) => Some(EventValue::Str(Cow::Borrowed(text))),
            Value::Number(number) => Some(EventValue::Int(*number)),
            Value::List(list) if list.is_empty() => Some(EventValue::Null),
            Value::List(list) => {
                let items = list.iter().map(|item| EventValue::Str(Cow::Borrowed(item)));
                Some(EventValue::Array(items.collect()))
            }
        }
    }

    /// For keyword detections, which are refused at load: they would search every field.
    fn any_string_value(&self, _: &dyn Fn(&str) -> bool) -> bool {
        false
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        Vec::new()
    }

    /// For rules that carry the whole event along, which none of ours does.
    fn to_json(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}
