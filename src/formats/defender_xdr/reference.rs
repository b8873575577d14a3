//! `{"$ref": id}`: an object that stands elsewhere, under `$id`.

use std::collections::HashMap;

use crate::formats::mapped::json;

/// With what is read put where it is referred to.
pub(super) fn resolved(text: &str) -> Result<serde_json::Value, String> {
    // Two equal keys anywhere in it are refused, as they are where nothing refers.
    let source =
        json::parse(text).map_err(|why| format!("AdditionalFields can't be read: {why}"))?;
    let mut known = HashMap::new();
    index(&source, &mut known);
    let mut value = source.clone();
    for path in ["/ImageFile", "/ImageFile/Host", "/Host"] {
        if let Some(place) = value.pointer_mut(path) {
            follow(place, &known)?;
        }
    }
    for path in ["/FileHashes", "/ImageFile/FileHashes"] {
        let hashes = match value.pointer_mut(path) {
            Some(serde_json::Value::Array(hashes)) => &mut hashes[..],
            Some(one) => std::slice::from_mut(one),
            None => continue,
        };
        // No file has more; each takes a copy of what it refers to.
        if hashes.len() > REFERENCES {
            return Err("AdditionalFields have more hashes than a file can have".to_owned());
        }
        hashes.iter_mut().try_for_each(|hash| follow(hash, &known))?;
    }
    Ok(value)
}

const REFERENCES: usize = 64;

/// Every object by its `$id`; none where two have the same one.
fn index<'v>(
    value: &'v serde_json::Value,
    to: &mut HashMap<&'v str, Option<&'v serde_json::Value>>,
) {
    match value {
        serde_json::Value::Object(map) => {
            if let Some(id) = map.get("$id").and_then(|id| id.as_str()) {
                to.entry(id).and_modify(|one| *one = None).or_insert(Some(value));
            }
            map.values().for_each(|one| index(one, to));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|one| index(one, to)),
        _ => {}
    }
}

/// Puts there what is meant, as far as it is read: scalars, and for an image its host and hashes.
fn follow(
    place: &mut serde_json::Value,
    known: &HashMap<&str, Option<&serde_json::Value>>,
) -> Result<(), String> {
    let Some(id) = place.get("$ref").and_then(|id| id.as_str()) else { return Ok(()) };
    let Some(Some(serde_json::Value::Object(meant))) = known.get(id) else { return Ok(()) };
    let read = |(key, value): (&String, &serde_json::Value)| {
        let is_read = matches!(key.as_str(), "Host" | "FileHashes");
        // What is no text where one is read says so; what stands in it, nobody reads.
        let is_nested = !is_read && (value.is_object() || value.is_array());
        (key.clone(), if is_nested { true.into() } else { value.clone() })
    };
    let read: serde_json::Map<_, _> = meant.iter().map(read).collect();
    let read = serde_json::Value::Object(read);
    if read.to_string().len() > REFERRED_BYTES {
        return Err("AdditionalFields refer to more than a machine or file can be".to_owned());
    }
    *place = read;
    Ok(())
}

const REFERRED_BYTES: usize = 64 * 1024;
