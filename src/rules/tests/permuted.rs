//! The order of the files, and their names, make no difference to what a set says.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::domain::rule::Mode;

/// What rules differ in that a merge looks at: selection, then `response`.
const RULES: [(&str, &str); 10] = [
    ("{alert.category: Malware}", "mode: enforce\n  window: 1h\n  priority: bulk"),
    ("{alert.category: Malware}", "mode: enforce\n  window: 7d\n  comment: other {{file.name}}"),
    ("{file.entity: File}", "mode: enforce\n  approvals: {count: 2}\n  unknown: skip"),
    ("{file.name|endswith: .exe}", "mode: approve\n  approvals: {four_eyes: true}"),
    ("{machine.os: Windows11}", "mode: enforce\n  unknown: enrich"),
    ("{machine.os: Windows11, file.signer: '*'}", "mode: approve\n  unknown: enrich"),
    ("{file.entity: File}", "mode: observe"),
    ("{file.publisher: Contoso}", "mode: observe\n  unknown: enrich"),
    ("{machine.tags: dear}", "deny"),
    ("{file.path|startswith: 'C:\\Windows'}", "deny\n  unknown: ignore"),
];

/// Under one name or the other, with a filter on what may not be known.
fn written(number: usize) -> String {
    let (selection, response) = RULES[number];
    let response = match response.strip_prefix("deny") {
        Some(rest) => format!("action: deny{rest}"),
        None if response.contains("comment") => {
            format!("action: StopAndQuarantineFile\n  {response}")
        }
        None => format!("action: StopAndQuarantineFile\n  comment: due\n  {response}"),
    };
    let (not, out) = match number.is_multiple_of(2) {
        true => (" and not out", "\n  out: {file.verdict: Clean}"),
        false => ("", ""),
    };
    // Titles and ids are in no order of the rules.
    let id = (number * 7 + 3) % 10;
    format!(
        "title: Rule {id}
id: {id}0000000-0000-4000-8000-000000000000
logsource: {{product: x}}
detection:
  in: {selection}{out}
  condition: in{not}
response:
  {response}
"
    )
}

fn loaded(order: &[usize]) -> Ruleset {
    let (lists, formats) = (Lists::default(), Formats::default());
    let read = |(place, number): (usize, &usize)| {
        let text = written(*number);
        // With a test of each it would load so.
        let enforces = text.contains("mode: enforce");
        let text = text.replace("mode: enforce", "mode: observe");
        let (file, problems) =
            file::read(&Source::new(format!("{place}.yml"), text), &lists, &formats, false);
        let mut file = file.unwrap_or_else(|| panic!("{problems:?}"));
        if let (Response::Quarantine(response), true) = (&mut file.rule.response, enforces) {
            response.mode = Mode::Enforce;
        }
        file.detection().expect("a detection")
    };
    let rules = order.iter().enumerate().map(read).collect();
    Ruleset::compile(rules, String::new()).unwrap()
}

/// Each field as a payload may give it: not at all, or one of two.
const SAID: [(Field, [&str; 2]); 8] = [
    (Field::AlertCategory, ["Malware", "Discovery"]),
    (Field::FileEntity, ["File", "Process"]),
    (Field::FileName, ["a.exe", "a.txt"]),
    (Field::FileVerdict, ["Clean", "Malicious"]),
    (Field::MachineOs, ["Windows11", "Linux"]),
    (Field::FileSigner, ["Contoso", "Fabrikam"]),
    (Field::MachineTags, ["dear", "cheap"]),
    (Field::FilePath, ["C:\\Windows", "C:\\Users"]),
];

fn candidate(says: &[usize]) -> Fields<'static> {
    let mut fields = Fields::default();
    for ((field, values), say) in SAID.iter().zip(says) {
        if let Some(value) = values.get(*say) {
            fields.set_text(*field, *value);
        }
    }
    fields.set(Field::AlertSeverityRank, Value::Number(says.iter().sum::<usize>() as i64 % 6));
    fields
}

fn cases() -> u32 {
    let asked = std::env::var("LAZARET_PROPERTY_CASES");
    asked.ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_order_of_the_files_makes_no_difference(
        (order, shuffled) in subsequence((0..RULES.len()).collect::<Vec<_>>(), 1..=RULES.len())
            .prop_flat_map(|order| (Just(order.clone()), Just(order).prop_shuffle())),
        says in prop::collection::vec(prop::collection::vec(0..3_usize, SAID.len()), 8),
    ) {
        let (one, other) = (loaded(&order), loaded(&shuffled));
        for says in says {
            let fields = candidate(&says);
            for ceiling in [Mode::Observe, Mode::Approve, Mode::Enforce] {
                prop_assert_eq!(one.judge(&fields, ceiling), other.judge(&fields, ceiling));
            }
        }
    }
}
