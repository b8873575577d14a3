//! The container of fields.

use super::*;
use crate::domain::dice::Dice;
use std::collections::BTreeMap;

/// The container against a plain map.
#[test]
fn it_holds_what_a_plain_map_would() {
    for seed in 0..3000 {
        let mut dice = Dice::new(seed);
        let mut all: Vec<(Fields<'static>, BTreeMap<Field, Value<'static>>)> =
            vec![Default::default(); 2];
        for _ in 0..60 {
            let which = dice.below(2) as usize;
            let field = Field::ALL[dice.below(Field::ALL.len() as u64) as usize];
            let value = match dice.below(5) {
                0 => Value::Absent,
                1 => Value::Empty,
                2 => Value::Number(dice.below(9) as i64),
                3 => Value::List(vec!["a".into()]),
                _ => Value::Text(dice.below(9).to_string().into()),
            };
            match dice.below(8) {
                0 => {
                    let (from, map) = all[1 - which].clone();
                    all[which].0.fill(from);
                    for (field, value) in map {
                        all[which].1.entry(field).or_insert(value);
                    }
                }
                1 => {
                    let text = ["", "x"][dice.below(2) as usize];
                    all[which].0.set_text(field, text);
                    if !text.is_empty() {
                        all[which].1.insert(field, Value::Text(text.into()));
                    }
                }
                2 => {
                    all[which].0 = all[which].0.clone().into_owned();
                }
                3 => {
                    let text = serde_json::to_string(&all[which].0).unwrap();
                    let back = Fields::from_snapshot(&text, Wall(0)).unwrap();
                    for &f in Field::ALL {
                        if f != Field::AlertAge {
                            assert_eq!(back.get(f), all[which].0.get(f));
                        }
                    }
                }
                _ => {
                    all[which].0.set(field, value.clone());
                    if value == Value::Absent {
                        all[which].1.remove(&field);
                    } else {
                        all[which].1.insert(field, value);
                    }
                }
            }
            let (fields, map) = &all[which];
            let present: BTreeMap<Field, Value<'static>> =
                fields.present().map(|(f, v)| (f, v.clone())).collect();
            assert_eq!(&present, map, "seed {seed}");
            assert_eq!(all[0].0 == all[1].0, all[0].1 == all[1].1);
        }
    }
}
