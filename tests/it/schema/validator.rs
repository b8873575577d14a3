//! A validator of JSON Schema 2020-12, as far as the schemas of the documentation use it: a keyword
//! that it does not know ends the test, so that nothing is taken for checked that is not.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;

/// Keywords that ask for nothing.
const SILENT: [&str; 7] =
    ["$schema", "$defs", "title", "description", "default", "examples", "else"];

/// What is wrong with a value, each with its place. Empty: it is valid.
pub fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Validator { root: schema }.check(schema, value, "", &mut found);
    found
}

/// The schema that a reference of another leads to; others as they are.
pub fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let at = reference.strip_prefix('#').expect("within the same file");
            resolved(root, root.pointer(at).unwrap_or_else(|| panic!("no {reference}")))
        }
        None => schema,
    }
}

struct Validator<'s> {
    root: &'s Value,
}

impl Validator<'_> {
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut found = Vec::new();
        self.check(schema, value, "", &mut found);
        found.is_empty()
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        let keywords = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => return found.push(format!("{at}: nothing may be here")),
            Value::Object(keywords) => keywords,
            other => panic!("no schema: {other}"),
        };
        for (keyword, asked) in keywords {
            let fits = match keyword.as_str() {
                "$ref" => {
                    let known: Vec<&str> = asked.as_str().unwrap().split('#').collect();
                    self.check(self.root.pointer(known[1]).unwrap(), value, at, found);
                    true
                }
                "if" => {
                    let branch = if self.fits(asked, value) { "then" } else { "else" };
                    self.check(keywords.get(branch).unwrap_or(&true.into()), value, at, found);
                    true
                }
                "then" => keywords.contains_key("if"),
                "anyOf" => asked.as_array().unwrap().iter().any(|one| self.fits(one, value)),
                "oneOf" => {
                    asked.as_array().unwrap().iter().filter(|one| self.fits(one, value)).count()
                        == 1
                }
                "properties" | "patternProperties" | "additionalProperties" => {
                    self.entries(keywords, keyword, value, at, found);
                    true
                }
                "items" => {
                    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(asked, item, &format!("{at}/{n}"), found);
                    }
                    true
                }
                _ => plain(keyword, asked, value),
            };
            if !fits {
                found.push(format!("{at}: {value} is not as {keyword} says: {asked}"));
            }
        }
    }

    fn entries(
        &self,
        keywords: &serde_json::Map<String, Value>,
        keyword: &str,
        value: &Value,
        at: &str,
        found: &mut Vec<String>,
    ) {
        let named = |key: &str| keywords.get("properties").and_then(|named| named.get(key));
        let patterns: Vec<(Regex, &Value)> = keywords
            .get("patternProperties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(pattern, schema)| (regex(pattern), schema))
            .collect();
        for (key, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{key}");
            let fitting = patterns.iter().filter(|(pattern, _)| pattern.is_match(key));
            match keyword {
                "properties" => {
                    if let Some(schema) = named(key) {
                        self.check(schema, value, &at, found);
                    }
                }
                "patternProperties" => {
                    fitting.for_each(|(_, schema)| self.check(schema, value, &at, found));
                }
                _ if named(key).is_none() && fitting.count() == 0 => {
                    self.check(&keywords["additionalProperties"], value, &at, found);
                }
                _ => {}
            }
        }
    }
}

/// The keywords that need no other schema.
fn plain(keyword: &str, asked: &Value, value: &Value) -> bool {
    let most = |is: Option<usize>| is.is_none_or(|is| is as u64 <= asked.as_u64().unwrap());
    let least = |is: Option<usize>| is.is_none_or(|is| is as u64 >= asked.as_u64().unwrap());
    let chars = value.as_str().map(|text| text.chars().count());
    let number = |fits: fn(f64, f64) -> bool| {
        value.as_f64().is_none_or(|is| fits(is, asked.as_f64().unwrap()))
    };
    match keyword {
        "type" => match asked {
            Value::Array(any) => any.iter().any(|one| is_a(value, one)),
            one => is_a(value, one),
        },
        "enum" => asked.as_array().unwrap().contains(value),
        "const" => asked == value,
        "pattern" => {
            value.as_str().is_none_or(|text| regex(asked.as_str().unwrap()).is_match(text))
        }
        "required" => {
            let has = |key: &Value| value.get(key.as_str().unwrap()).is_some();
            !value.is_object() || asked.as_array().unwrap().iter().all(has)
        }
        "minLength" => least(chars),
        "maxLength" => most(chars),
        "minItems" => least(value.as_array().map(Vec::len)),
        "maxItems" => most(value.as_array().map(Vec::len)),
        "minProperties" => least(value.as_object().map(serde_json::Map::len)),
        "maxProperties" => most(value.as_object().map(serde_json::Map::len)),
        "minimum" => number(|is, asked| is >= asked),
        "maximum" => number(|is, asked| is <= asked),
        "exclusiveMaximum" => number(|is, asked| is < asked),
        silent => {
            assert!(SILENT.contains(&silent), "the validator does not know {silent}");
            true
        }
    }
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("there is no type {other}"),
    }
}

/// Made once, since it is slow.
fn regex(pattern: &str) -> Regex {
    thread_local!(static MADE: RefCell<HashMap<String, Regex>> = RefCell::default());
    MADE.with_borrow_mut(|made| match made.get(pattern) {
        Some(regex) => regex.clone(),
        None => {
            let regex = Regex::new(pattern).unwrap();
            made.entry(pattern.to_owned()).or_insert(regex).clone()
        }
    })
}
