//! Keys of a rule that say something to people and to other tools, and nothing to Lazaret.

use super::notes::{Entries, Notes};
use super::yaml::{At, Node};

const STATUSES: [&str; 5] = ["stable", "test", "experimental", "deprecated", "unsupported"];

/// Keys that say something to people and nothing to Lazaret.
pub(super) fn check_described(notes: &mut Notes<'_>, entries: &Entries) {
    for (key, node) in entries {
        match key.value.as_str() {
            "status" => {
                notes.one_of(node, "status", &STATUSES);
            }
            name @ ("description" | "author" | "license" | "date" | "modified" | "name"
            | "taxonomy") => {
                notes.text(node, name);
            }
            name @ ("references" | "tags" | "scope" | "fields" | "falsepositives") => {
                for item in notes.items(node, name).unwrap_or_default() {
                    notes.text(item, name);
                }
            }
            "related" => {
                notes.items(node, "related");
            }
            "sigma-version" => check_version(notes, node),
            _ => {}
        }
    }
}

/// From 3 on, brackets in field names select array members, which candidates do not have.
fn check_version(notes: &mut Notes<'_>, node: &At<Node>) {
    let major = match &node.value {
        Node::Integer(version) => Some(*version),
        Node::Float(version) => Some(*version as i64),
        Node::Text(text) => text.split('.').next().and_then(|major| major.parse().ok()),
        _ => None,
    };
    if !matches!(major, Some(1 | 2)) {
        notes.error(
            &node.place,
            "sigma-version has to be 1 or 2; rules here are written in Sigma 2: write 2",
        );
    }
}

/// Candidates come from formats, not log sources: any is right, for people and other tools. One
/// that means events would have kept them apart elsewhere.
pub(super) fn check_logsource(notes: &mut Notes<'_>, node: &At<Node>) {
    const LOGSOURCE: [&str; 4] = ["product", "category", "service", "definition"];
    for (key, value) in notes.entries(node, "logsource").unwrap_or_default() {
        if LOGSOURCE.contains(&key.value.as_str()) {
            let text = notes.text(value, &key.value);
            let of_alerts = ["product", "definition"].contains(&key.value.as_str())
                || text == Some("microsoft_defender");
            if !of_alerts {
                let why = "a logsource selects nothing here: every rule judges every alert";
                notes.warning(&value.place, why);
            }
        } else {
            notes.unknown_key(key, "logsource", &LOGSOURCE);
        }
    }
}
