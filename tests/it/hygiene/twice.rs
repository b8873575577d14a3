//! A key that stands twice: no one can know which was meant, so its alert is unreadable, and the
//! alerts beside it are read.

use super::*;

/// The text with the n-th object key in it once more before itself, under another value.
fn twice(text: &str, key: &str, escaped: bool) -> String {
    let at = text.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key} in {text}"));
    let mut own = key.to_owned();
    if escaped {
        let first = own.remove(0);
        own = format!("\\u{:04x}{own}", u32::from(first));
    }
    format!("{}\"{own}\":null,{}", &text[..at], &text[at..])
}

/// Every key of an object in a text, wherever it stands.
fn keys(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| {
            found.push(key.clone());
            keys(value, found);
        }),
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_read_and_stands_twice_makes_its_alert_unreadable_and_no_other() {
    let mut service = Service::start().await;
    for format in FORMATS {
        let mut all = Vec::new();
        let sample = Parts::new(1).in_format(format);
        keys(&serde_json::from_str(&sample).unwrap(), &mut all);
        assert!(all.len() >= 8, "{all:?}");
        for (key, escaped) in all.iter().flat_map(|key| [(key, false), (key, true)]) {
            let [before, one, after] =
                [1, 2, 3].map(|n| Parts::new(service.sent * 3 + n).in_format(format));
            let body = format!("[{before},{},{after}]", twice(&one, key, escaped));
            let (_, fates) = service.post(format, &body).await;
            let told: Vec<_> = fates.iter().map(|(fate, _)| fate.as_str()).collect();
            assert_eq!(told, ["acted", "unreadable", "acted"], "{format} {key}: {fates:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_with_a_key_twice_is_unreadable_and_its_neighbours_are_read() {
    let mut service = Service::start().await;
    let envelopes = [
        (r#"{"value":[@]}"#, vec!["value"]),
        (r#"{"records":[@]}"#, vec!["records"]),
        (
            r#"{"specversion":"1.0","id":"e","source":"/s","type":"t","data":@}"#,
            vec!["specversion", "id", "source", "type", "data"],
        ),
        (
            r#"{"id":"g","eventType":"t","eventTime":"x","dataVersion":"1","data":@}"#,
            vec!["id", "eventType", "eventTime", "dataVersion", "data"],
        ),
    ];
    for format in FORMATS {
        for (envelope, keys) in &envelopes {
            for (key, escaped) in keys.iter().flat_map(|key| [(key, false), (key, true)]) {
                let [one, beside] =
                    [1, 2].map(|n| Parts::new(service.sent * 2 + n).in_format(format));
                let body = twice(envelope, key, escaped).replace('@', &one);
                let (_, fates) = service.post(format, &format!("[{body},{beside}]")).await;
                let told: Vec<_> = fates.iter().map(|(fate, _)| fate.as_str()).collect();
                assert_eq!(told, ["unreadable", "acted"], "{format} {body}: {fates:?}");
            }
        }
    }
}
