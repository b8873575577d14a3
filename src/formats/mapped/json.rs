//! An alert as JSON of any shape. Other formats read the keys that they know; here the paths may
//! ask for any, so all of it is kept, within bounds, and a key that stands twice is refused: no one
//! can know which was meant.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::domain::alert::Unreadable;
use crate::limits::MAPPED_VALUES;

/// Reads one object. Nesting is bounded by the parser, at 128.
pub(in crate::formats) fn parse(alert: &str) -> Result<Value, Unreadable> {
    let mut left = MAPPED_VALUES;
    let mut input = serde_json::Deserializer::from_str(alert);
    let value = Bounded(&mut left).deserialize(&mut input);
    let value = value.and_then(|value| input.end().map(|()| value));
    let why = match value {
        Ok(value @ Value::Object(_)) => return Ok(value),
        Ok(_) => "an alert is an object".to_owned(),
        Err(why) => why.to_string(),
    };
    Err(Unreadable(why.chars().filter(|c| !c.is_control()).take(160).collect()))
}

/// Reads a value, and counts it.
struct Bounded<'n>(&'n mut usize);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        let left = self.0.checked_sub(1);
        *self.0 = left.ok_or_else(|| D::Error::custom(format!("over {MAPPED_VALUES} values")))?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Bounded(self.0))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Bounded(self.0))?;
            if entries.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice")));
            }
            entries.insert(key, value);
        }
        Ok(Value::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_refused_wherever_it_stands() {
        for twice in [r#"{"a":1,"a":1}"#, r#"{"x":[{"b":{"a":1,"\u0061":2}}]}"#] {
            let why = parse(twice).unwrap_err().to_string();
            assert!(why.starts_with("the key \"a\" stands twice"), "{why}");
        }
        assert!(parse(r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#).is_ok());
    }

    #[test]
    fn what_is_too_much_too_deep_or_no_object_is_refused() {
        let many = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(MAPPED_VALUES));
        assert!(parse(&many).unwrap_err().to_string().contains("over"));
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        assert!(parse(&deep).unwrap_err().to_string().contains("recursion limit"));
        for other in ["[]", "1", "null", "{} {}", "{", ""] {
            assert!(parse(other).is_err(), "{other}");
        }
    }
}
