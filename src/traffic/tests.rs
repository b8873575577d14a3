use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value;

use super::*;

mod reader;

mod service;

const SHAPES: [Shape; 3] = [Shape::DefenderXdr, Shape::DefenderAlert, Shape::GraphAlert];

/// 2027-01-31T10:00:00Z.
const NOW: Duration = Duration::from_secs(1_801_389_600);

fn settings(shape: Shape, incidents: u64) -> Settings {
    Settings { seed: 7, incidents, shape, tenants: 3, now: NOW }
}

/// 2,000 incidents as a stream, and the rows of that.
fn stream_of_2000() -> &'static (Traffic, Vec<Value>) {
    static MADE: OnceLock<(Traffic, Vec<Value>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let traffic = generate(&settings(Shape::DefenderXdr, 2000));
        let rows = parts(&traffic);
        (traffic, rows)
    })
}

/// Each JSON document of the messages.
fn documents(traffic: &Traffic) -> Vec<Value> {
    let lines = traffic.messages.iter().flat_map(|message| message.lines());
    lines.map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The rows of a stream, or the alerts, out of their envelopes.
fn parts(traffic: &Traffic) -> Vec<Value> {
    let mut parts = Vec::new();
    for mut document in documents(traffic) {
        match ["records", "value"].into_iter().find(|key| document.get(key).is_some()) {
            Some(key) => parts.append(document[key].as_array_mut().unwrap()),
            None => parts.push(document),
        }
    }
    parts
}

/// Every text below, also in JSON that is a text itself.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(keys) => keys.values().for_each(|value| texts(value, found)),
        Value::String(text) => {
            if text.starts_with('{')
                && let Ok(inner) = serde_json::from_str(text)
            {
                texts(&inner, found);
            }
            found.push(text.to_ascii_lowercase());
        }
        _ => {}
    }
}

fn texts_of<'v>(values: impl IntoIterator<Item = &'v Value>) -> BTreeSet<String> {
    let mut found = Vec::new();
    values.into_iter().for_each(|value| texts(value, &mut found));
    found.into_iter().collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    for shape in SHAPES {
        let settings = settings(shape, 60);
        let (one, same) = (generate(&settings), generate(&settings));
        assert_eq!(one.messages, same.messages);
        assert_eq!(one.expected.truth, same.expected.truth);
        assert_eq!(one.expected.incomplete, same.expected.incomplete);
        let other = generate(&Settings { seed: 8, ..settings });
        assert_ne!(one.messages, other.messages);
        let files = |made: &Traffic| -> BTreeSet<String> {
            made.expected.truth.iter().map(|call| call.sha1.clone()).collect()
        };
        assert!(files(&one).is_disjoint(&files(&other)));
    }
}

#[test]
fn what_is_sent_does_not_change_with_the_present_but_for_its_times() {
    let now = settings(Shape::DefenderXdr, 60);
    let later = Settings { now: NOW + Duration::from_secs(86_400), ..now };
    let (now, later) = (generate(&now), generate(&later));
    assert_eq!(now.expected.truth, later.expected.truth);
    assert_ne!(now.messages, later.messages);
}

/// Of each shape, with how many of 2,000 incidents it has to be in at least.
const EVERYWHERE: [(&str, u64); 16] = [
    ("hash twice", 500),
    ("no hash", 30),
    ("hash of zeros", 30),
    ("upper case", 100),
    ("process", 200),
    ("blocked, prevented or not said", 200),
    ("machine not told", 200),
    ("mailbox with a hash", 100),
    ("evidence of another kind", 500),
    ("alert without files", 50),
    ("low severity", 300),
    ("unknown tenant", 10),
    ("the same file on the same machine again", 5),
    ("message twice", 5),
    ("message of lines", 1),
    ("sent again with another state", 50),
];

const XDR: [(&str, u64); 15] = [
    ("machine in its own column", 200),
    ("machine nested", 200),
    ("machine by reference", 200),
    ("several machines", 200),
    ("machine named by other evidence alone", 30),
    ("hash in its column", 100),
    ("hash nested", 100),
    ("hashes that differ", 20),
    ("alert without AlertInfo", 20),
    ("evidence without severity", 200),
    ("incomplete without AlertInfo", 10),
    ("incomplete since hashes differ", 10),
    ("incomplete since there are several machines", 20),
    ("row of another table", 2000),
    ("message of one part alone", 1),
];

#[test]
fn every_peculiarity_occurs_in_2000_incidents() {
    for shape in SHAPES {
        let made = match shape {
            Shape::DefenderXdr => stream_of_2000().0.expected.clone(),
            _ => generate(&settings(shape, 2000)).expected,
        };
        let own: &[_] = if shape == Shape::DefenderXdr { &XDR } else { &[] };
        let incomplete = [("incomplete without a hash", 20), ("incomplete without a machine", 10)];
        for (kind, least) in EVERYWHERE.iter().chain(own).chain(&incomplete) {
            let times = made.kinds.get(kind).copied().unwrap_or(0);
            assert!(times >= *least, "{shape:?}: {kind}: {times}");
        }
        assert!(made.incidents_with_calls >= 600, "{shape:?}: {}", made.incidents_with_calls);
        assert!(made.incomplete.len() >= 50, "{shape:?}: {}", made.incomplete.len());
        assert!(made.truth.len() as u64 >= made.incidents_with_calls / 2);
    }
}

#[test]
fn all_documents_are_json_and_no_message_is_too_large() {
    for shape in SHAPES {
        let traffic = generate(&settings(shape, 300));
        assert!(documents(&traffic).len() >= traffic.messages.len());
        let largest = traffic.messages.iter().map(String::len).max().unwrap();
        assert!(largest < 1 << 20, "{largest}");
    }
}

#[test]
fn truth_has_nothing_of_what_must_never_be_acted_on() {
    let (traffic, rows) = stream_of_2000();
    let nested = |row: &Value| -> Value {
        let text = row["properties"]["AdditionalFields"].as_str().unwrap_or("{}");
        serde_json::from_str(text).unwrap()
    };
    let evidence = |row: &&Value| row["category"] == "AdvancedHunting-AlertEvidence";
    let alerts = |row: &&Value| evidence(row) || row["category"] == "AdvancedHunting-AlertInfo";
    // Hashes of other tables, and of whatever is neither a file nor a machine.
    let noise = rows.iter().filter(|row| !alerts(row));
    let noise = noise.map(|row| {
        let mut row = row.clone();
        row["properties"]["DeviceId"] = Value::Null;
        row["properties"]["AdditionalFields"] = nested(&row)["FileHashes"].clone();
        row
    });
    let others = rows.iter().filter(evidence).filter(|row| {
        !matches!(row["properties"]["EntityType"].as_str(), Some("File" | "Process" | "Machine"))
    });
    let others = others.map(|row| {
        let mut row = row.clone();
        row["properties"]["DeviceId"] = Value::Null;
        row
    });
    let parents = rows.iter().filter(evidence).map(|row| {
        let mut parent = nested(row)["ParentProcess"].take();
        // What it refers to is where the file was itself.
        parent["ImageFile"]["Host"] = Value::Null;
        parent
    });
    let mut enriched = Vec::new();
    for row in rows.iter().filter(evidence) {
        enrichments(&nested(row), &mut enriched);
    }
    for (what, never) in [
        ("other tables", noise.collect()),
        ("other evidence", others.collect()),
        ("parents", parents.collect()),
        ("enrichment", enriched),
    ] as [(_, Vec<Value>); 4]
    {
        let never = texts_of(&never);
        let hashes = never.iter().filter(|text| text.len() == 40).count();
        assert!(hashes >= 5, "{what}: {hashes}");
        for call in &traffic.expected.truth {
            assert!(!never.contains(&call.sha1) && !never.contains(&call.machine), "{what}");
        }
    }
}

fn enrichments(value: &Value, found: &mut Vec<Value>) {
    let Value::Object(keys) = value else { return };
    found.extend(keys.get("MachineEnrichmentInfo").cloned());
    keys.values().for_each(|value| enrichments(value, found));
}

#[test]
fn all_times_are_of_the_last_hours() {
    let ends = [NOW - draw::SPAN, NOW].map(calendar::written);
    for (shape, keys) in SHAPES.into_iter().zip([
        &["/time", "/properties/Timestamp"][..],
        &["/alertCreationTime", "/lastUpdateTime", "/evidence/0/evidenceCreationTime"],
        &["/createdDateTime", "/lastUpdateDateTime", "/evidence/0/createdDateTime"],
    ]) {
        let made = parts(&generate(&settings(shape, 400)));
        let parts = if shape == Shape::DefenderXdr { &stream_of_2000().1 } else { &made };
        for part in parts {
            for at in keys.iter().filter_map(|key| part.pointer(key)) {
                let at = at.as_str().unwrap().to_owned();
                assert!(ends[0] <= at && at <= ends[1], "{at} in {part}");
            }
        }
    }
}

#[test]
fn rows_of_an_alert_are_far_apart_and_in_any_order() {
    let (traffic, _) = stream_of_2000();
    let (mut several, mut at) = (0, 0);
    let mut of: HashMap<AlertKey, (Vec<usize>, bool)> = HashMap::new();
    let mut evidence_first = BTreeSet::new();
    for message in &traffic.messages {
        let one = Traffic { messages: vec![message.clone()], ..Traffic::default() };
        let rows = parts(&one);
        let tenants: BTreeSet<_> = rows.iter().map(|row| row["tenantId"].to_string()).collect();
        several += usize::from(tenants.len() > 1);
        for row in rows {
            at += 1;
            let Some(id) = row["properties"]["AlertId"].as_str() else { continue };
            let key = (row["tenantId"].as_str().unwrap().to_owned(), id.to_owned());
            let (places, info) = of.entry(key.clone()).or_default();
            places.push(at);
            match row["category"].as_str() {
                Some("AdvancedHunting-AlertInfo") => *info = true,
                _ if !*info => _ = evidence_first.insert(key),
                _ => {}
            }
        }
    }
    let apart = |places: &Vec<usize>| places.last().unwrap() - places[0];
    let far = of.values().filter(|(places, _)| apart(places) > 500).count();
    assert!(far > of.len() / 2, "{far} of {}", of.len());
    assert!(of.values().all(|(places, _)| apart(places) < 8000));
    assert!(evidence_first.len() > 500, "{}", evidence_first.len());
    assert!(several > traffic.messages.len() / 2);
}

#[test]
fn the_same_alert_id_occurs_in_two_tenants() {
    let mut tenants: HashMap<String, BTreeSet<String>> = HashMap::new();
    for row in &stream_of_2000().1 {
        if let Some(id) = row["properties"]["AlertId"].as_str() {
            tenants.entry(id.to_owned()).or_default().insert(row["tenantId"].to_string());
        }
    }
    assert!(tenants.values().any(|tenants| tenants.len() > 1));
}

#[test]
fn a_row_that_is_published_again_says_the_same_of_what_the_rule_asks() {
    let mut told: HashMap<String, BTreeSet<String>> = HashMap::new();
    for row in &stream_of_2000().1 {
        let columns = &row["properties"];
        if columns["EntityType"] != "File" || columns["AlertId"].is_null() {
            continue;
        }
        let nested: Value =
            serde_json::from_str(columns["AdditionalFields"].as_str().unwrap()).unwrap();
        let own =
            [&row["tenantId"], &columns["AlertId"], &columns["FileName"], &columns["DeviceId"]];
        let key = format!("{own:?} {} {}", nested["MergeByKey"], nested["MergeByKeyHex"]);
        let says = format!("{} {} {}", nested["DetectionStatus"], columns["SHA1"], nested["Host"]);
        told.entry(key).or_default().insert(says);
    }
    assert!(told.len() > 500);
    assert!(told.values().all(|says| says.len() == 1));
}

#[test]
fn the_first_message_that_is_not_taken_is_the_last() {
    let mut sent = 0;
    let settings = settings(Shape::DefenderAlert, 300);
    let ended = stream(&settings, |_| {
        sent += 1;
        if sent == 3 { Err("full") } else { Ok(()) }
    });
    assert_eq!((ended.err(), sent), (Some("full"), 3));
}
