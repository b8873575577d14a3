//! The same rows in other orders and cuts come to the same.

use super::*;

fn machine_as(second: i64, number: u8, name: Option<&str>) -> Row {
    let fields =
        snapshot(&name.map(|name| (Field::MachineName, name)).into_iter().collect::<Vec<_>>());
    at(second, Part::Machine { machine: Ok(machine(number)), fields })
}

fn file_as(
    second: i64,
    key: &str,
    file: u8,
    on: Stated,
    since: Option<i64>,
    fields: &[(Field, &str)],
) -> Row {
    let since = since.map(|since| START + Duration::from_secs(since as u64));
    at(
        second,
        Part::File(File {
            key: key.to_owned(),
            machine: on,
            sha1: Ok(sha1(file)),
            since,
            fields: snapshot(fields),
        }),
    )
}

#[test]
fn a_machines_name_that_comes_with_a_newer_row_has_its_files_judged_again() {
    let mut world = World::new();
    world.comes(alert_row("High"));
    world.comes(machine_as(0, 7, None));
    assert_eq!(world.comes(file_row(1, on(7))).len(), 1, "judged without machine.name");
    let again = world.comes(machine_as(5, 7, Some("dc1.contoso.example")));
    assert_eq!(again.len(), 1, "the name is new, and rules are to judge it");
}

#[test]
fn a_file_that_is_called_as_a_field_is_judged_again_too() {
    let mut world = World::new();
    world.comes(alert_row("High"));
    let file = file_as(0, "k", 1, on(7), None, &[(Field::FileName, "machine.name.exe")]);
    assert_eq!(world.comes(file).len(), 1);
    assert_eq!(world.comes(machine_row(7)).len(), 1, "as for a file of any other name");
}

fn ended(rows: &[Row]) -> Vec<String> {
    let mut partial = Partial::default();
    rows.iter().for_each(|row| {
        partial.add(row.clone());
    });
    let mut all: Vec<_> = partial
        .end_all("a")
        .unwrap()
        .alert
        .candidates
        .into_iter()
        .map(|one| {
            format!(
                "{:?} {:?} {:?} {}",
                one.machine,
                one.sha1,
                one.evidence,
                serde_json::to_string(&one.fields).unwrap()
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn the_time_of_evidence_does_not_depend_on_the_order() {
    let one = file_as(0, "path one", 1, on(7), Some(50), &[(Field::FileName, "one")]);
    let two = file_as(0, "path two", 1, on(7), Some(10), &[(Field::FileName, "two")]);
    let a = ended(&[alert_row("High"), one.clone(), two.clone()]);
    let b = ended(&[alert_row("High"), two, one]);
    assert_eq!(a, b);
}

#[test]
fn a_time_that_only_one_version_has_is_the_evidences() {
    let one = file_as(0, "k", 1, on(7), None, &[(Field::FileName, "one")]);
    let two = file_as(1, "k", 1, on(7), Some(10), &[(Field::FileName, "two")]);
    let a = ended(&[alert_row("High"), one.clone(), two.clone()]);
    let b = ended(&[alert_row("High"), two, one]);
    assert_eq!(a, b);
}

#[test]
fn a_machines_own_name_counts_in_either_order() {
    let name =
        |candidate: &Candidate<'_>| format!("{:?}", candidate.fields.get(Field::MachineName));
    let tell = |rows: [Row; 3]| {
        let (mut partial, mut last) = (Partial::default(), String::new());
        for row in rows {
            partial.add(row);
            if let Some(ended) = partial.end(START, START, START, WAITS, "a") {
                last = name(&ended.alert.candidates[0]);
            }
        }
        last
    };
    let file = file_as(0, "k", 1, on(7), None, &[(Field::MachineName, "old.example")]);
    let own = machine_as(0, 7, Some("dc1.contoso.example"));
    let a = tell([alert_row("High"), file.clone(), own.clone()]);
    let b = tell([alert_row("High"), own, file]);
    assert_eq!(a, b);
}

/// What is known after all rows came does not depend on their order, whatever was told meanwhile.
#[test]
fn what_is_known_in_the_end_does_not_depend_on_the_order() {
    let mut bad = std::collections::BTreeMap::<&str, (u64, String)>::new();
    for seed in 0..4000 {
        let mut dice = Dice::new(seed);
        let mut rows = Vec::new();
        for _ in 0..2 + dice.below(7) {
            let second = dice.below(3) as i64;
            rows.push(match dice.below(6) {
                0 => {
                    let mut row = alert_row(["High", "Low"][dice.below(2) as usize]);
                    row.time = Wall(second);
                    row
                }
                1 => at(second, Part::Mention(Ok(machine(7 + dice.below(2) as u8)))),
                2 => machine_as(
                    second,
                    7 + dice.below(2) as u8,
                    [None, Some("x"), Some("y")][dice.below(3) as usize],
                ),
                _ => {
                    let stated = [Stated::Nothing, on(7), on(8), Stated::Unusable("u".into())]
                        [dice.below(4) as usize]
                        .clone();
                    let path = ["p", "q"][dice.below(2) as usize];
                    let key = format!("{stated:?}{path}");
                    file_as(
                        second,
                        &key,
                        1,
                        stated,
                        Some(dice.below(3) as i64),
                        &[
                            (Field::FileName, path),
                            (Field::FileVerdict, ["Malicious", "Clean"][dice.below(2) as usize]),
                        ],
                    )
                }
            });
        }
        let state = |rows: &[Row], ends: bool| {
            let mut partial = Partial::default();
            for row in rows {
                partial.add(row.clone());
                if ends {
                    partial.end(START, START, START, WAITS, "a");
                }
            }
            let mut files: Vec<_> =
                partial.files.iter().map(|f| (f.key.clone(), f.time, f.fields.clone())).collect();
            files.sort();
            let mut since: Vec<_> =
                partial.files.iter().map(|f| (f.key.clone(), f.since)).collect();
            since.sort();
            let mut machines: Vec<_> = partial
                .machines
                .iter()
                .map(|m| match &m.fields {
                    None => format!("{:?}", m.machine),
                    Some(_) => format!("{m:?}"),
                })
                .collect();
            machines.sort();
            (
                format!("{:?}", partial.alert),
                format!("{files:?}"),
                format!("{since:?}"),
                format!("{machines:?}"),
            )
        };
        let first = state(&rows, false);
        for _ in 0..4 {
            for at in (1..rows.len()).rev() {
                rows.swap(at, dice.below(at as u64 + 1) as usize);
            }
            let other = state(&rows, dice.chance(500));
            for (what, a, b) in [
                ("alert", &first.0, &other.0),
                ("files", &first.1, &other.1),
                ("since", &first.2, &other.2),
                ("machines", &first.3, &other.3),
            ] {
                if a != b {
                    let n = bad.entry(what).or_insert((0, format!("seed {seed}\n{a}\n{b}")));
                    n.0 += 1;
                }
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

/// The last that rules are told of each file, once there was time enough.
#[test]
fn what_is_told_last_does_not_depend_on_order_or_cuts() {
    let mut bad = Vec::new();
    for seed in 0..3000 {
        let mut dice = Dice::new(seed);
        let mut rows = vec![alert_row("High")];
        for _ in 0..1 + dice.below(3) {
            rows.push(machine_as(dice.below(3) as i64, 7 + dice.below(2) as u8, Some("x")));
        }
        for file in 0..1 + dice.below(3) as u8 {
            let stated = [Stated::Nothing, on(7), on(8)][dice.below(3) as usize].clone();
            let key = format!("{file}{stated:?}");
            for v in 0..=dice.below(2) as i64 {
                rows.push(file_as(
                    v,
                    &key,
                    1 + file,
                    stated.clone(),
                    Some(3),
                    &[
                        (Field::FileName, "f"),
                        (Field::FileVerdict, ["Malicious", "Clean"][v as usize]),
                    ],
                ));
            }
        }
        let mut seen = Vec::new();
        for _ in 0..4 {
            for at in (1..rows.len()).rev() {
                rows.swap(at, dice.below(at as u64 + 1) as usize);
            }
            let mut partial = Partial::default();
            let mut last = std::collections::BTreeMap::new();
            let mut note = |ended: Option<Ended>| {
                for one in ended.into_iter().flat_map(|e| e.alert.candidates) {
                    let sha1 = format!("{:?} {:?}", one.sha1, one.fields.get(Field::FileRole));
                    last.insert(
                        sha1,
                        format!(
                            "{:?} {:?} {}",
                            one.machine,
                            one.evidence,
                            serde_json::to_string(&one.fields).unwrap()
                        ),
                    );
                }
            };
            for row in &rows {
                partial.add(row.clone());
                if dice.chance(500) {
                    note(partial.end(START, START, START, WAITS, "a"));
                }
            }
            note(partial.end(START + WAITS.settle, START, START, WAITS, "a"));
            note(partial.end(START + WAITS.expire, START, START, WAITS, "a"));
            seen.push(format!("{last:#?}"));
        }
        if let Some(other) = seen.iter().find(|one| **one != seen[0]) {
            bad.push(format!("seed {seed} {rows:#?}\n{}\n{other}", seen[0]));
        }
    }
    assert!(bad.is_empty(), "{} of 3000: {}", bad.len(), bad[0]);
}
