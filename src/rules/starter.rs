//! A rule to start from: what a sample alert has, as selections, with tests that pass.

use std::fmt::Write as _;

use super::format::CheckedFormats;
use super::list::Lists;
use super::problem::Source;
use super::{Checked, check_sources};
use crate::domain::candidate::{Candidate, Field, Value};
use crate::domain::rule::harmless;
use crate::formats::{Format, Formats, spelling};

mod text;

/// What a rule is to be made of.
#[derive(Clone, Copy, Debug)]
pub struct Starter<'a> {
    /// The rule's id, a UUID that no other rule has.
    pub id: &'a str,
    /// The sample's path below the rules, for the tests.
    pub alert: &'a str,
    /// The name of the format that it is in.
    pub format: &'a str,
    /// Its text.
    pub sample: &'a str,
}

/// A selection, with the comment above it.
struct Selection {
    name: &'static str,
    comment: Vec<String>,
    leaves: Vec<(Field, String)>,
}

/// What the tests need besides, since the sample does not have it: values that stand for it.
type Stand = Vec<(Field, &'static str)>;

/// In place of a machine's id, and of a hash.
const SOME_MACHINE: &str = "00000000000000000000000000000000000000a1";
const SOME_SHA1: &str = "00000000000000000000000000000000000000f1";

/// Another value of a field, what it says of a file, and the selection that it stands against.
struct Spared {
    field: Field,
    value: &'static str,
    name: &'static str,
    against: &'static str,
}

impl Starter<'_> {
    /// The text of the rule, whose tests have passed. `Err` says why the sample is none for a rule.
    pub fn write(&self, formats: &Formats) -> Result<String, String> {
        let reader = formats.find(self.format).map_err(|why| why.to_string())?;
        let unread = |why: String| format!("it can't be read as {}: {why}", self.format);
        let cuts = reader.cut(self.sample.as_bytes()).map_err(|e| unread(e.to_string()))?;
        let mut candidates = Vec::new();
        for cut in &cuts {
            let alert = reader.decode_cut(cut).map_err(|e| unread(e.to_string()))?;
            candidates.extend(alert.candidates);
        }
        let one = candidates.iter().max_by_key(|one| rank(one));
        let one = one.ok_or_else(|| format!("as {} it names no file", self.format))?;
        let mut stand = Stand::new();
        stand.extend(one.machine.is_err().then_some((Field::MachineId, SOME_MACHINE)));
        stand.extend(one.sha1.is_err().then_some((Field::FileSha1, SOME_SHA1)));
        let selections = selections(one);
        let spared = spared(&selections).ok_or("it has no field that a rule could start from")?;
        // What acts is what the engine says; the first text asks it.
        let mut rule = text::Parts { of: *self, one, selections, spared, stand, acts: Vec::new() };
        let asked = self.tested(&rule.text(), formats);
        let got = asked.trials.first().and_then(|trial| trial.mismatch.as_ref());
        rule.acts = got.map(|m| m.got.targets.iter().copied().collect()).unwrap_or_default();
        let text = rule.text();
        let tested = self.tested(&text, formats);
        match tested.problems.first() {
            None if !rule.acts.is_empty() => Ok(text),
            None => Err("no rule made of it acts on it".to_owned()),
            Some(problem) => Err(format!("no rule made of it passes: {}", problem.message)),
        }
    }

    fn tested(&self, text: &str, formats: &Formats) -> Checked {
        let source = Source::new("rule.yml", text);
        let formats = CheckedFormats { formats: formats.clone(), ..CheckedFormats::default() };
        let sample = |_: &str| Ok(self.sample.to_owned());
        check_sources(vec![source], &Lists::default(), formats, Some(&sample))
    }
}

/// Complete before incomplete, and of these what is still there; the first of several.
fn rank(one: &Candidate<'_>) -> (bool, bool, bool, bool) {
    let is = |field, word: &str| known(one, field).as_deref() == Some(word);
    let active = is(Field::FileDetectionStatus, "Detected") || is(Field::FileRemediation, "Active");
    (one.sha1.is_ok(), one.machine.is_ok(), active, is(Field::FileEntity, "File"))
}

/// A text that a leaf can be made of as it is: of an enumeration only its own words.
fn known(one: &Candidate<'_>, field: Field) -> Option<String> {
    let Value::Text(text) = one.fields.get(field) else { return None };
    let words = spelling::known(field);
    let plain = |c: char| harmless(c) == c && !['*', '?', '\\', '%'].contains(&c);
    let fits = text.chars().all(plain) && (words.is_empty() || words.contains(&&**text));
    (fits && !text.trim().is_empty()).then(|| text.to_string())
}

fn selections(one: &Candidate<'_>) -> Vec<Selection> {
    let some = |fields: &[Field]| -> Vec<(Field, String)> {
        let leaf = |field: &Field| Some((*field, known(one, *field)?));
        fields.iter().filter_map(leaf).collect()
    };
    let title = some(&[Field::AlertTitle]);
    let mut threat = some(&[Field::AlertSeverity, Field::AlertCategory]);
    threat.retain(|(_, word)| word != "Unknown" && word != "None");
    let mut of_threat = vec!["Which alerts: the sample's severity and above.".to_owned()];
    if let [(_, title)] = &title[..] {
        of_threat.push("To ask for more, its title:".to_owned());
        of_threat.push(format!("  alert.title: {}", text::scalar(title)));
    }
    if threat.is_empty() {
        of_threat = vec!["Which alerts: choose what tells them apart.".to_owned()];
        threat = title;
    }
    let mut file = some(&[Field::FileEntity, Field::FileDetectionStatus]);
    if !file.iter().any(|(field, _)| *field == Field::FileDetectionStatus) {
        file.extend(some(&[Field::FileRemediation, Field::FileVerdict]));
    }
    file.retain(|(_, word)| word != "Unknown");
    let of_file = match known(one, Field::FileDetectionStatus).as_deref() {
        Some("Detected") => "Which files: what was detected and is still there.",
        Some("Blocked" | "Prevented") => {
            "Which files: the sample's was stopped already; Detected is still there."
        }
        _ => "Which files: choose those that are still there, if alerts tell.",
    };
    let os = some(&[Field::MachineOs]);
    let of_os = "Which machines: the sample's system; write a list for more.";
    [
        Selection { name: "threat", comment: of_threat, leaves: threat },
        Selection { name: "active_file", comment: vec![of_file.to_owned()], leaves: file },
        Selection { name: "machine", comment: vec![of_os.to_owned()], leaves: os },
    ]
    .into_iter()
    .filter(|selection| !selection.leaves.is_empty())
    .collect()
}

/// The first of these that the selections ask for.
fn spared(selections: &[Selection]) -> Option<Spared> {
    const BLOCKED: &str = "what was blocked already is spared";
    const OTHERS: [(Field, [&str; 2], &str); 8] = [
        (Field::FileDetectionStatus, ["Blocked", "Prevented"], BLOCKED),
        (Field::FileRemediation, ["Remediated", "Blocked"], "what is mended already is spared"),
        (Field::AlertSeverity, ["Informational", "Unknown"], "another severity is no reason"),
        (Field::AlertCategory, ["UnwantedSoftware", "Exploit"], "another category is no reason"),
        (Field::FileEntity, ["Process", "File"], "another kind of evidence is spared"),
        (Field::FileVerdict, ["Clean", "Unknown"], "another verdict is no reason"),
        (Field::MachineOs, ["WindowsServer2022", "Linux"], "another system is spared"),
        (Field::AlertTitle, ["another title", "a title"], "another title is no reason"),
    ];
    let asked = |of: Field| {
        let mut all = selections.iter().flat_map(|s| s.leaves.iter().map(move |leaf| (s, leaf)));
        all.find(|(_, (field, _))| *field == of).map(|(s, (_, value))| (s.name, value))
    };
    OTHERS.into_iter().find_map(|(field, [value, other], name)| {
        let (against, own) = asked(field)?;
        let value = if own == value { other } else { value };
        Some(Spared { field, value, name, against })
    })
}

/// Whether a test has to name the format.
fn is_usual(format: &str) -> bool {
    format == Format::DefenderAlert.as_str()
}

/// One line of text that people read, without what could hide in it.
fn told(text: &str) -> String {
    const CHARS: usize = 160;
    let safe: String = text.chars().map(harmless).take(CHARS).collect();
    safe.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A comment or a list, each item on a line.
fn lines(into: &mut String, indent: &str, items: impl IntoIterator<Item = String>) {
    for item in items {
        let _ = writeln!(into, "{indent}{item}");
    }
}

#[cfg(test)]
mod tests;
