//! How the rule is written.

use std::fmt::Write as _;

use super::{Selection, Spared, Stand, Starter, is_usual, lines, told};
use crate::domain::candidate::{Candidate, Field, Value};
use crate::domain::ids::{MachineId, Sha1};

/// What its text is made of.
pub(super) struct Parts<'a> {
    pub of: Starter<'a>,
    pub one: &'a Candidate<'a>,
    pub selections: Vec<Selection>,
    pub spared: Spared,
    pub stand: Stand,
    pub acts: Vec<(MachineId, Sha1)>,
}

/// From the least to the most severe.
const SEVERITIES: [&str; 5] = ["Informational", "Low", "Medium", "High", "Critical"];

impl Parts<'_> {
    pub fn text(&self) -> String {
        let title = match self.one.fields.get(Field::AlertTitle) {
            Value::Text(title) => told(title),
            _ => told(self.of.alert),
        };
        let title = scalar(&format!("Quarantine files of alerts such as {title}"));
        let mut text = format!("title: {title}\nid: {}\nstatus: experimental\n", self.of.id);
        text.push_str("# Say what the rule is for, and why what it acts on may be stopped.\n");
        text.push_str("description: Made of a sample alert.\n");
        text.push_str("logsource: {product: windows, service: microsoft_defender}\ndetection:\n");
        for selection in &self.selections {
            lines(&mut text, "  # ", selection.comment.iter().cloned());
            let _ = writeln!(text, "  {}:", selection.name);
            let leaf = |(field, value): &(Field, String)| {
                format!("{}: {}", field.name(), asked(*field, value))
            };
            lines(&mut text, "    ", selection.leaves.iter().map(leaf));
        }
        if !self.selections.iter().any(|selection| selection.name == "threat") {
            text.push_str("  # The sample says nothing of its alert: add what tells it apart.\n");
        }
        if *self.one.fields.get(Field::MachineOs) == Value::Absent {
            text.push_str("  # The sample does not give machine.os: no system is spared here.\n");
        }
        let names: Vec<&str> = self.selections.iter().map(|one| one.name).collect();
        let _ = writeln!(text, "  condition: {}", names.join(" and "));
        if let Value::Text(severity) = self.one.fields.get(Field::AlertSeverity)
            && SEVERITIES.contains(&&**severity)
        {
            let _ = writeln!(text, "level: {}", severity.to_lowercase());
        }
        text.push_str(RESPONSE);
        self.tests(&mut text);
        text
    }

    fn tests(&self, text: &mut String) {
        text.push_str("tests:\n");
        self.test(text, "the sample acts", None);
        text.push_str("    expect:\n      act:\n");
        for (machine, sha1) in &self.acts {
            let (machine, sha1) = (hash(&machine.to_string()), hash(&sha1.to_string()));
            let _ = writeln!(text, "        - machine: {machine}\n          sha1: {sha1}");
        }
        if self.acts.is_empty() {
            text.truncate(text.len() - 1);
            text.push_str(" []\n");
        }
        let Spared { field, value, name, against } = self.spared;
        self.test(text, name, Some((field, value)));
        let _ = writeln!(text, "    expect: {{no_match: {against}}}");
    }

    fn test(&self, text: &mut String, name: &str, set: Option<(Field, &'static str)>) {
        let _ = writeln!(text, "  - name: {name}\n    alert: {}", scalar(self.of.alert));
        if !is_usual(self.of.format) {
            let _ = writeln!(text, "    format: {}", scalar(self.of.format));
        }
        let all: Vec<_> = self.stand.iter().copied().chain(set).collect();
        if !all.is_empty() {
            text.push_str("    set:\n");
        }
        for (field, value) in all {
            let value = match field {
                Field::MachineId | Field::FileSha1 => {
                    text.push_str("      # Any will do: the sample does not give one.\n");
                    hash(value)
                }
                _ => scalar(value),
            };
            let _ = writeln!(text, "      {}: {value}", field.name());
        }
    }
}

const RESPONSE: &str = "\
response:
  action: StopAndQuarantineFile
  comment: \"Stop and quarantine file on machine due to alert {{alert.id}}\"
  mode: observe       # enforce, once what it would have done is what you want
  unknown: hold       # or skip: where only an absent field lets it act
  window: 24h         # a quarantined file is not asked for again before that
";

/// A leaf's value: of a severity, those above it too.
fn asked(field: Field, value: &str) -> String {
    let at = SEVERITIES.iter().position(|one| *one == value);
    match (field, at) {
        (Field::AlertSeverity, Some(at)) => format!("[{}]", SEVERITIES[at..].join(", ")),
        _ => scalar(value),
    }
}

/// A hash or an id: only one without letters, or with an e alone, could be a number.
fn hash(text: &str) -> String {
    let is_text = text.contains(['a', 'b', 'c', 'd', 'f']);
    if is_text { text.to_owned() } else { format!("'{text}'") }
}

/// A text as YAML has it: in quotes where it could be read as something else.
pub(super) fn scalar(text: &str) -> String {
    const OTHER: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let fits = |c: char| c.is_ascii_alphanumeric() || " _-./".contains(c);
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(fits)
        && !text.ends_with(' ')
        && !OTHER.contains(&text.to_lowercase().as_str());
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}
