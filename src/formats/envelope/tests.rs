use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::formats::{Cut, Format, Refused, envelope, split};
use crate::limits;

/// Alert number `n` of a machine and a file.
fn alert(n: usize) -> String {
    format!(
        r#"{{"id":"da{n}_1","machineId":"{n:040x}","title":"\"data\" \u2603","evidence":
          [{{"entityType":"File","sha1":"1{n:039x}"}}]}}"#
    )
}

fn cloud_event(data: &str) -> String {
    format!(r#"{{"specversion":"1.0","type":"t","source":"/soar","id":"e-1",{data}}}"#)
}

fn with_data(data: &str) -> String {
    cloud_event(&format!("\"data\" : {data}"))
}

fn event_grid(data: &str) -> String {
    format!(
        r#"{{"id":"g-1","topic":"/t","subject":"s","data":{data},"eventType":"Contoso.Alert",
          "eventTime":"2026-01-13T09:40:52Z","dataVersion":"1.0","metadataVersion":"1"}}"#
    )
}

/// What a body is cut into: alerts as they are, of others the reason after a `!`.
fn cut(body: &str) -> Vec<String> {
    let told = |cut| match cut {
        Cut::Alert(text) => text.into_owned(),
        Cut::Bad { why, .. } => format!("!{why}"),
    };
    split(body.as_bytes()).unwrap().into_iter().map(told).collect()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Each envelope, and how it is written around a list of alerts.
const WRAPS: [fn(&[String]) -> String; 9] = [
    |alerts| format!(r#"{{"@odata.context":"x","value":[{}]}}"#, alerts.join(",")),
    |alerts| format!(r#"{{"records":[{}]}}"#, alerts.join(", ")),
    |alerts| with_data(&format!("[{}]", alerts.join(","))),
    |alerts| with_data(&quoted(&format!(" [{}]\n", alerts.join(",")))),
    |alerts| {
        let encoded = STANDARD.encode(format!("\u{feff}[{}]", alerts.join(",")));
        cloud_event(&format!(r#""data_base64":"{encoded}""#))
    },
    |alerts| {
        let events: Vec<_> = alerts.iter().map(|alert| with_data(alert)).collect();
        format!("[{}]", events.join(","))
    },
    |alerts| {
        let events: Vec<_> = alerts.iter().map(|alert| event_grid(&quoted(alert))).collect();
        events.join("\n")
    },
    |alerts| format!("[{}]", event_grid(&format!("[{}]", alerts.join(",")))),
    |alerts| {
        let events: Vec<_> = alerts.iter().map(|alert| event_grid(&with_data(alert))).collect();
        format!("[{}]", events.join(","))
    },
];

#[test]
fn alerts_in_every_envelope_are_the_alerts_without_it() {
    let alerts: Vec<_> = (1..4).map(alert).collect();
    for (at, wrap) in WRAPS.iter().enumerate() {
        assert_eq!(cut(&wrap(&alerts)), alerts, "envelope {at}");
        let some = envelope::perhaps(&wrap(&alerts));
        assert!(some && Format::DefenderAlert.decode_only(wrap(&alerts).as_bytes()).is_none());
    }
}

#[test]
fn data_is_one_alert_a_list_or_an_envelope_once_more() {
    let (a, b) = (alert(1), alert(2));
    let both = format!("[{a},{b}]");
    let list = format!(r#"{{"value":{both}}}"#);
    let records = format!(r#"{{"records":{both}}}"#);
    for around in [with_data, event_grid] {
        assert_eq!(cut(&around(&a)), vec![a.clone()]);
        for data in [&both, &list, &records, &quoted(&list), &quoted(&both)] {
            assert_eq!(cut(&around(data)), [a.clone(), b.clone()], "{data}");
        }
        assert!(cut(&around("[]")).is_empty());
        assert_eq!(cut(&around("7")), ["7"], "for the format to find unreadable");
    }
    let unpadded = STANDARD.encode(&a).trim_end_matches('=').to_owned();
    assert_eq!(cut(&cloud_event(&format!(r#""data_base64":"{unpadded}""#))), vec![a.clone()]);
    let null = format!(r#""data":null,"data_base64":"{unpadded}""#);
    assert_eq!(cut(&cloud_event(&null)), [a]);
}

#[test]
fn a_text_is_parsed_once() {
    let twice = quoted(&quoted(&alert(1)));
    assert_eq!(cut(&with_data(&twice)), [quoted(&alert(1))]);
    assert_eq!(cut(&with_data(&format!("[{}]", quoted(&alert(1))))), [quoted(&alert(1))]);
}

#[test]
fn an_event_from_the_documentation_is_recognised() {
    let event = json!([{
        "id": "b3ccc7e3-c1cb-49bf-b7c8-0d4e60980616", "topic": "/subscriptions/1/topics/soc",
        "subject": "alerts/1", "eventType": "Contoso.Soc.QuarantineRequested",
        "eventTime": "2026-01-13T09:40:52Z", "dataVersion": "1.0", "metadataVersion": "1",
        "data": {"id": "a"},
    }]);
    assert_eq!(cut(&event.to_string()), [r#"{"id":"a"}"#]);
    let event = json!({
        "specversion": "1.0", "type": "com.contoso.soc.quarantine.requested", "id": "b3",
        "source": "/soc/soar", "time": "2026-01-13T09:40:52Z", "subject": "da6374",
        "datacontenttype": "application/json", "data": {"id": "a"},
    });
    assert_eq!(cut(&event.to_string()), [r#"{"id":"a"}"#]);
}

#[test]
fn what_the_documentation_shows_is_read() {
    let shown = include_str!("../../../docs/envelopes.md");
    let blocks: Vec<_> = shown.split("```json\n").skip(1).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        let cuts = split(block.split("```").next().unwrap().as_bytes()).unwrap();
        let alert = Format::DefenderAlert.decode_cut(&cuts[0]).unwrap();
        assert_eq!((cuts.len(), alert.id.as_ref(), alert.candidates.len()), (1, "da1_1", 1));
        assert!(alert.candidates[0].machine.is_ok() && alert.candidates[0].sha1.is_ok());
    }
}

/// Keys that an alert may have too make no envelope by themselves.
#[test]
fn an_alert_with_such_keys_is_an_alert() {
    let envelopes = [
        cloud_event(r#""data":{"id":"x"}"#),
        event_grid(r#"{"id":"x"}"#),
        r#"{"value":[{"id":"x"}]}"#.to_owned(),
        r#"{"records":[{"id":"x"}]}"#.to_owned(),
    ];
    for whole in &envelopes {
        assert_eq!(cut(whole), [r#"{"id":"x"}"#]);
        let file = r#""evidence":[{"entityType":"File"}]"#;
        for beside in [r#""evidence":[]"#, r#""machineId":"m""#, file] {
            let alert = format!("{{{beside},{}", &whole[1..]);
            assert_eq!(cut(&alert), vec![alert.clone()]);
            if let Some((text, read)) = Format::DefenderAlert.decode_only(alert.as_bytes()) {
                assert_eq!((text, read.candidates.len()), (alert.as_str(), 1));
            }
            let twice = format!("{{{beside},{}", &alert[1..].replace("[]", "null"));
            assert_eq!(cut(&twice), vec![twice.clone()], "an alert, if a bad one");
        }
    }
    for key in ["specversion", "id", "source", "type"] {
        let part = envelopes[0].replacen(&format!("\"{key}\""), "\"other\"", 1);
        assert_eq!(cut(&part), vec![part.clone()]);
    }
    for key in ["\"id\"", "\"eventType\"", "\"eventTime\"", "\"dataVersion\""] {
        let part = envelopes[1].replacen(key, "\"other\"", 1);
        assert_eq!(cut(&part), vec![part.clone()]);
    }
    for alert in [
        r#"{"id":"a","data":{"id":"x"},"value":[{"id":"y"}],"records":[{"id":"z"}]}"#,
        r#"{"id":"a","type":"t","source":"s","data":[{"id":"x"}]}"#,
        r#"{"value":{"id":"x"},"records":"many"}"#,
        r#"{"data":{"id":"x"}}"#,
        r#"{"\u0076alue":[{"id":"x"}]}"#,
        r#"{"id":"a","title":"\"specversion\" and \"value\":[]"}"#,
    ] {
        assert_eq!(cut(alert), [alert]);
    }
}

#[test]
fn what_is_wrong_with_an_envelope_is_said_of_it_alone() {
    let (before, after) = (alert(1), alert(2));
    let base64 =
        |data: &[u8]| cloud_event(&format!(r#""data_base64":"{}""#, STANDARD.encode(data)));
    for (bad, said) in [
        (with_data("null"), "a CloudEvent without data"),
        (cloud_event(r#""subject":"s""#), "a CloudEvent without data"),
        (event_grid("null"), "an Event Grid event without data"),
        (with_data("{}").replace("1.0", "0.3"), "a CloudEvent of another version than 1.0"),
        (with_data("{}").replace("\"1.0\"", "1.0"), "a CloudEvent of another version than 1.0"),
        (with_data(r#""{\"id\":""#), "the text of data is not JSON: EOF while parsing"),
        (with_data(r#""{} {}""#), "the text of data is not JSON: trailing characters"),
        (with_data(r#""\ud800""#), "data is a text with a broken escape"),
        (with_data("\"\""), "the text of data is not JSON: EOF"),
        (cloud_event(r#""data_base64":"e30=?""#), "data_base64 is no Base64 of a UTF-8 text"),
        (cloud_event(r#""data_base64":{"id":"x"}"#), "data_base64 is no Base64 of a UTF-8 text"),
        (base64(b"{\"id\":\"\xff\"}"), "data_base64 is no Base64 of a UTF-8 text"),
        (base64(b"<alert/>"), "the text of data_base64 is not JSON: expected value"),
        (
            cloud_event(r#""data":{"id":"x"},"data_base64":"e30=""#),
            "a CloudEvent with data and data_base64: which of them is meant?",
        ),
        (
            r#"{"value":[{"id":"x"}],"records":[{"id":"y"}]}"#.to_owned(),
            "value and records: which of them holds the alerts?",
        ),
    ] {
        let cuts = cut(&format!("[{before},{bad},{after}]"));
        assert_eq!([&cuts[0], &cuts[2]], [&before, &after]);
        assert!(cuts[1].starts_with(&format!("!{said}")), "{bad}: {}", cuts[1]);
        assert!(cuts[1].len() < 160 && !cuts[1].contains(char::is_control), "{}", cuts[1]);
        assert_eq!(cut(&bad), vec![cuts[1].clone()], "alone too");
    }
}

#[test]
fn two_equal_keys_that_are_read_are_refused() {
    let evil = r#"{"id":"evil"}"#;
    let event = with_data(r#"{"id":"good"}"#);
    let grid = event_grid(r#"{"id":"good"}"#);
    for (envelope, keys) in [
        (&event, &["specversion", "id", "source", "type", "data"][..]),
        (&grid, &["id", "eventType", "eventTime", "dataVersion", "data"]),
        (&r#"{"value":[{"id":"good"}]}"#.to_owned(), &["value"]),
        (&r#"{"records":[{"id":"good"}]}"#.to_owned(), &["records"]),
    ] {
        for key in keys {
            for second in [evil, "null", "[]"] {
                for twice in [
                    format!("{},\"{key}\":{second}}}", &envelope[..envelope.len() - 1]),
                    format!("{{\"{key}\":{second},{}", &envelope[1..]),
                ] {
                    let cuts = cut(&twice);
                    let unread = cuts == vec![twice.clone()]
                        && Format::DefenderAlert.decode(&twice).is_err();
                    let said = format!("with two keys {key:?}");
                    assert!(cuts.len() == 1 && (unread || cuts[0].ends_with(&said)), "{cuts:?}");
                }
            }
        }
    }
    let twice = event.replace("\"data\"", "\"subject\":\"a\",\"subject\":\"b\",\"data\"");
    assert_eq!(cut(&twice), [r#"{"id":"good"}"#], "nobody reads the subject");
    let escaped = with_data(evil).replace("\"data\"", "\"d\\u0061ta\":[],\"data\"");
    assert_eq!(cut(&escaped), ["!a CloudEvent with two keys \"data\""]);
}

#[test]
fn envelopes_nest_in_two_levels_and_no_more() {
    let alert = alert(1);
    let list = format!(r#"{{"value":[{alert}]}}"#);
    assert_eq!(cut(&event_grid(&with_data(&alert))), vec![alert.clone()]);
    assert_eq!(cut(&event_grid(&quoted(&with_data(&quoted(&alert))))), vec![alert.clone()]);
    for (third, named) in [
        (&list, "a list"),
        (&list.replace("value", "records"), "diagnostic records"),
        (&with_data(&alert), "a CloudEvent"),
        (&event_grid(&alert), "an Event Grid event"),
    ] {
        let said = format!("!{named} in more than 2 other envelopes");
        assert_eq!(cut(&event_grid(&with_data(third))), vec![said.clone()]);
        let neighbours = format!("[{third},{alert}]");
        let cuts = cut(&event_grid(&with_data(&quoted(&neighbours))));
        assert_eq!(cuts, [said, alert.clone()]);
    }
}

#[test]
fn the_bound_on_alerts_is_over_the_whole_delivery() {
    let most = limits::ALERTS_PER_DELIVERY;
    let list = |n: usize| format!("[{}]", vec!["{}"; n].join(","));
    for wrap in [with_data, event_grid, |list: &str| format!(r#"{{"records":{list}}}"#)] {
        for list in [list, |n: usize| format!("[{}]", vec!["[]"; n].join(","))] {
            assert_eq!(cut(&wrap(&list(most))).len(), most);
            assert_eq!(split(wrap(&list(most + 1)).as_bytes()), Err(Refused::TooMany));
            let halves = |more| format!("[{},{}]", wrap(&list(most / 2)), wrap(&list(more)));
            assert_eq!(cut(&halves(most / 2)).len(), most);
            assert_eq!(split(halves(most / 2 + 1).as_bytes()), Err(Refused::TooMany));
        }
    }
    let bad = vec![with_data("null"); most].join("\n");
    assert_eq!(cut(&bad).len(), most);
    let body = format!("{}\n{}\n{{}}", with_data(&list(1)), with_data(&list(most)));
    assert_eq!(split(body.as_bytes()), Err(Refused::TooMany));
    let quoted = with_data(&quoted(&list(most + 1)));
    assert_eq!(split(quoted.as_bytes()), Err(Refused::TooMany));
}

#[test]
fn a_million_brackets_in_an_envelope_are_no_stack_overflow() {
    let deep = "[".repeat(500_000) + &"]".repeat(500_000);
    for body in [with_data(&deep), with_data(&quoted(&deep)), event_grid(&with_data(&deep))] {
        assert_eq!(cut(&body).len(), 1);
    }
    let objects = r#"{"value":"#.repeat(200_000) + "[]" + &"}".repeat(200_000);
    assert_eq!(cut(&objects).len(), 1);
}

/// A JSON value of the keys that envelopes read, nested and cut at random.
fn anything() -> impl Strategy<Value = String> {
    let key = "(value|records|specversion|id|source|type|data|data_base64|eventType|eventTime|\
               dataVersion|evidence|machineId)";
    let leaf = prop_oneof![
        Just(json!("1.0")),
        Just(json!("e30=")),
        Just(json!("{\"id\":\"a\"}")),
        Just(Value::Null),
        Just(json!(7)),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..9)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
    .prop_map(|value| value.to_string())
}

proptest! {
    /// Whatever envelope is around them, the same alerts are read.
    #[test]
    fn a_list_of_alerts_in_any_envelope_decodes_as_without(
        numbers in prop::collection::vec(1usize..9999, 0..6),
        outer in 0..WRAPS.len(),
        inner in prop::option::of(0usize..5),
    ) {
        let alerts: Vec<_> = numbers.into_iter().map(alert).collect();
        // Of two levels, the inner is one value around all, the outer one level deep.
        let (outer, wrapped) = match inner {
            Some(inner) if !alerts.is_empty() => (outer % 8, vec![WRAPS[inner](&alerts)]),
            _ => (outer, alerts.clone()),
        };
        let body = WRAPS[outer](&wrapped);
        prop_assume!(!body.is_empty());
        let format = Format::DefenderAlert;
        let cuts = split(body.as_bytes()).unwrap();
        let read: Vec<_> =
            cuts.iter().map(|cut| format!("{:?}", format.decode_cut(cut).unwrap())).collect();
        let plain: Vec<_> =
            alerts.iter().map(|alert| format!("{:?}", format.decode(alert).unwrap())).collect();
        prop_assert_eq!(read, plain);
    }

    /// No JSON crashes, and whatever is read as one alert comes out of `split` as that alert.
    #[test]
    fn a_body_read_as_one_alert_is_never_an_envelope(body in anything(), cut in 0usize..400) {
        let cuts = split(body.as_bytes()).unwrap();
        if let Some((text, _)) = Format::DefenderAlert.decode_only(body.as_bytes()) {
            prop_assert_eq!(cuts, vec![Cut::Alert(text.into())]);
        }
        let bytes = body.as_bytes();
        _ = split(&bytes[..cut.min(bytes.len())]);
    }
}
