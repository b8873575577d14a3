//! Every modifier on fields of every kind, with values of every kind: what the reader takes is
//! valid, so that no editor complains about a rule that is right.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use lazaret::domain::time::Wall;
use lazaret::rules::{self, Severity};
use serde_json::json;

use super::{root, schema, yaml};
use crate::schema::validator::errors;

const FIELDS: [&str; 8] = [
    "alert.severity",
    "alert.category",
    "alert.created",
    "alert.age",
    "alert.severity_rank",
    "file.path",
    "file.sha1",
    "machine.tags",
];

const VALUES: [&str; 10] = [
    "High",
    "high",
    "'*a*'",
    "'C:\\Temp'",
    "'c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13'",
    "3",
    "true",
    "'%machines%'",
    "['x*', y]",
    "'10.0.0.0/8'",
];

const OF_NUMBERS: [&str; 7] = ["exists", "neq", "all", "gt", "gte", "lt", "lte"];

/// The names of the modifiers, as the reader has them.
fn modifiers() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("src/rules/modifier.rs")).unwrap();
    let list = text.split("const MODIFIERS").nth(1).unwrap().split("];").next().unwrap();
    let found: Vec<String> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(found.contains(&"contains".to_owned()) && found.len() > 20, "{found:?}");
    found
}

fn rule(n: usize, leaf: &str) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "title: T{n}\nid: 00000000-0000-4000-8000-{n:012}\nlogsource: {{product: x}}\n\
         detection:\n  one:\n    {leaf}\n  condition: one\n\
         response: {{action: StopAndQuarantineFile, comment: x}}\n"
    );
    text
}

#[test]
fn no_leaf_that_the_reader_takes_is_invalid_and_every_modifier_is_known() {
    let names = modifiers();
    let mut keys: Vec<String> = FIELDS.iter().map(|field| (*field).to_owned()).collect();
    for field in FIELDS {
        // What the reader lets pass on a number, although it can never match, is no concern.
        let number = ["alert.age", "alert.severity_rank"].contains(&field);
        let fits = |name: &&String| !number || OF_NUMBERS.contains(&name.as_str());
        keys.extend(names.iter().filter(fits).map(|name| format!("{field}|{name}")));
        keys.extend((!number).then(|| format!("{field}|contains|all")));
    }
    let flags =
        ["i", "ignorecase", "m", "multiline", "s", "dotall"].map(|flag| format!("re|{flag}"));
    let others = ["endswith|cased", "neq|cased", "hour|neq"].map(str::to_owned);
    keys.extend(flags.iter().chain(&others).map(|several| format!("file.path|{several}")));
    let leaves = keys.iter().flat_map(|key| VALUES.map(|value| format!("{key}: {value}")));
    let leaves: Vec<String> = leaves.collect();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lists")).unwrap();
    std::fs::write(dir.path().join("lists/machines.txt"), "High\n").unwrap();
    for (n, leaf) in leaves.iter().enumerate() {
        std::fs::write(dir.path().join(format!("{n}.yml")), rule(n, leaf)).unwrap();
    }
    let checked = rules::check(dir.path(), Wall(0));
    let errors_of = checked.problems.iter().filter(|problem| problem.severity == Severity::Error);
    let refused: BTreeSet<usize> = errors_of
        .filter_map(|problem| Path::new(problem.file()).file_stem()?.to_str()?.parse().ok())
        .collect();
    let schema = schema("rule");
    let of_leaves = json!({"$ref": "#/$defs/leaves", "$defs": schema["$defs"]});
    let (mut used, mut complaints) = (BTreeSet::new(), Vec::new());
    for (_, leaf) in leaves.iter().enumerate().filter(|(n, _)| !refused.contains(n)) {
        used.extend(leaf.split(':').next().unwrap().split('|').skip(1));
        complaints.extend(errors(&of_leaves, &yaml(leaf)));
    }
    assert_eq!(complaints, Vec::<String>::new());
    let all: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let unused: Vec<&&str> = all.difference(&used).collect();
    assert_eq!(unused, Vec::<&&str>::new(), "modifiers that no leaf here is right with");
}
