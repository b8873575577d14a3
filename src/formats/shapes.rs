//! A message is read the same in every shape, and the quick way as the long one.

use super::*;
use crate::domain::dice::Dice;

const A: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
const B: &str = "87662bc3d60e4200ceaf7aae249d1c343f4b83c9";

fn pick<'a>(dice: &mut Dice, of: &[&'a str]) -> &'a str {
    of[dice.below(of.len() as u64) as usize]
}

fn scalar(dice: &mut Dice) -> String {
    pick(
        dice,
        &[
            "null",
            "\"\"",
            "7",
            "-1",
            "1.5",
            "1e400",
            "true",
            "[]",
            "{}",
            "[1]",
            "{\"x\":1}",
            "\"\\ud800\"",
            "\"\\u0041\"",
            "\"null\"",
            "99999999999999999999",
            "\"x\"",
            "[[[[]]]]",
        ],
    )
    .to_owned()
}

fn object(dice: &mut Dice, keys: &[(&str, &[&str])]) -> String {
    let mut all = Vec::new();
    for (key, values) in keys {
        if dice.chance(120) {
            continue;
        }
        let value = if dice.chance(150) { scalar(dice) } else { pick(dice, values).to_owned() };
        all.push(format!("\"{key}\":{value}"));
        if dice.chance(15) {
            all.push(format!("\"{key}\":{}", pick(dice, values)));
        }
    }
    for at in (1..all.len()).rev() {
        all.swap(at, dice.below(at as u64 + 1) as usize);
    }
    format!("{{{}}}", all.join(","))
}

fn record(dice: &mut Dice, deep: u8) -> String {
    let id = format!("\"{A}\"");
    let hash = format!("\"{B}\"");
    let host = format!("{{\"$id\":\"3\",\"MachineId\":\"{A}\"}}");
    let fields = serde_json::to_string(&format!(
        "{{\"Host\":{host},\"FileHashes\":[{{\"Algorithm\":\"SHA1\",\"Value\":\"{B}\"}}]}}"
    ))
    .unwrap();
    let broken = serde_json::to_string("{\"Host\":").unwrap();
    let properties = object(
        dice,
        &[
            ("AlertId", &["\"a\"", "\"b\"", "\"a b\""]),
            ("Timestamp", &["\"2026-01-13T09:28:36Z\""]),
            ("EntityType", &["\"File\"", "\"Process\"", "\"Machine\"", "\"User\""]),
            ("SHA1", &[&hash]),
            ("DeviceId", &[&id]),
            ("Severity", &["\"High\""]),
            ("AdditionalFields", &[&fields, &broken, &host]),
            ("records", &["1", "[]"]),
        ],
    );
    let mut keys: Vec<(&str, Vec<&str>)> = vec![
        ("time", vec!["\"2026-01-13T09:28:36Z\""]),
        ("tenantId", vec!["\"t\"", "\"u\""]),
        (
            "category",
            vec![
                "\"AdvancedHunting-AlertInfo\"",
                "\"AdvancedHunting-AlertEvidence\"",
                "\"AlertEvidence\"",
                "\"AdvancedHunting-DeviceEvents\"",
                "\"x\"",
                "\"\\u0041lertInfo\"",
            ],
        ),
        ("properties", vec![&properties]),
    ];
    let inner = if deep > 0 && dice.chance(60) {
        format!("[{}]", record(dice, deep - 1))
    } else {
        String::new()
    };
    if !inner.is_empty() {
        let key = pick(dice, &["records", "value", "data"]);
        keys.push((key, vec![&inner]));
        if dice.chance(300) {
            keys.push(("id", vec!["\"1\""]));
        }
    }
    match dice.below(30) {
        0 => properties.clone(),
        1 => scalar(dice),
        2 => format!("[{properties}]"),
        _ => {
            let keys: Vec<(&str, &[&str])> = keys.iter().map(|(k, v)| (*k, &v[..])).collect();
            object(dice, &keys)
        }
    }
}

fn show(read: &Result<Vec<ReadRow>, Refused>) -> String {
    format!("{read:#?}")
}

#[test]
fn records_read_alike_in_every_shape() {
    let (mut differ, mut quick) = (Vec::new(), 0);
    for seed in 0..6_000 {
        let mut dice = Dice::new(seed);
        let deep = u8::from(seed % 2 == 1);
        let all: Vec<String> = (0..1 + dice.below(3)).map(|_| record(&mut dice, deep)).collect();
        let mark = if dice.chance(100) { "\u{feff}" } else { "" };
        let body = format!("{mark} {{\"records\":[{}]}}\n", all.join(","));
        quick += u32::from(defender_xdr::records(body.as_bytes()).is_some());
        let enveloped = rows(body.as_bytes());
        let slow = split(body.as_bytes()).map(|cuts| {
            cuts.into_iter()
                .map(|cut| match cut {
                    Cut::Alert(text) => row(&text).map_err(|why| (text.into_owned(), why)),
                    Cut::Bad { text, why } => Err((text.into_owned(), why)),
                })
                .collect::<Vec<_>>()
        });
        let array = rows(format!("[{}]", all.join(",")).as_bytes());
        let lines = rows(all.join("\n").as_bytes());
        let alone: Result<Vec<_>, _> = all
            .iter()
            .map(|one| rows(one.as_bytes()))
            .collect::<Result<Vec<_>, _>>()
            .map(|all| all.into_iter().flatten().collect());
        for (what, other) in
            [("slow", &slow), ("array", &array), ("lines", &lines), ("alone", &alone)]
        {
            // An array as a line or as a body of its own is cut.
            if (deep > 0 || all.iter().any(|one| one.starts_with('['))) && what != "slow" {
                continue;
            }
            if show(&enveloped) != show(other) {
                differ.push(format!(
                    "deep {deep} seed {seed} {what}: {body}\n{}\n{}",
                    show(&enveloped),
                    show(other)
                ));
            }
        }
    }
    assert!(quick > 1000, "only {quick} went the quick way");
    assert!(differ.is_empty(), "{}", differ.iter().min_by_key(|one| one.len()).unwrap());
}

#[test]
fn a_record_with_records_of_its_own_is_opened_like_any_other() {
    let info = r#"{"category":"AdvancedHunting-AlertInfo","properties":{"AlertId":"a"}}"#;
    for one in [
        format!(r#"{{"category":"AdvancedHunting-DeviceEvents","value":[{info}]}}"#),
        format!(
            r#"{{"category":"AdvancedHunting-DeviceEvents","properties":{{}},"records":[{info}]}}"#
        ),
    ] {
        let alone = rows(one.as_bytes());
        let within = rows(format!(r#"{{"records":[{one}]}}"#).as_bytes());
        assert_eq!(show(&alone), show(&within), "{one}");
    }
}

#[test]
fn rows_without_their_envelope_read_within_a_list_of_records_too() {
    let one = format!(
        r#"{{"AlertId":"a","EntityType":"File","SHA1":"{B}","DeviceId":"{A}","FileName":"x"}}"#
    );
    let within = rows(format!(r#"{{"records":[{one},{one}]}}"#).as_bytes()).unwrap();
    assert_eq!(within.len(), 2);
    for read in within {
        assert_eq!(read.unwrap(), row(&one).unwrap());
    }
    assert!(row(&one).unwrap().row.is_ok());
}

#[test]
fn a_sample_is_cut_into_alerts_each_with_its_rows() {
    let row = |alert: &str, name: &str| {
        format!(r#"{{"AlertId":"{alert}","EntityType":"File","SHA1":"{B}","FileName":"{name}"}}"#)
    };
    let other = r#"{"category":"AdvancedHunting-DeviceEvents","properties":{}}"#;
    let all = [row("a", "1"), row("b", "2"), other.to_owned(), row("a", "3"), "7".to_owned()];
    let body = format!("[{}]", all.join(","));
    let reader = Reader::BuiltIn(Format::DefenderXdr);
    let cuts = reader.cut(body.as_bytes()).unwrap();
    let texts: Vec<&str> = cuts.iter().map(Cut::text).collect();
    assert_eq!(texts, [&format!("{}\n{}", all[0], all[3]), all[1].as_str(), "7"]);
    assert_eq!(reader.decode(texts[0]).unwrap().candidates.len(), 2);
}
