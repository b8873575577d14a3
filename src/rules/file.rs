//! One rule file: Sigma's own keys, `response` and `tests`. Every key is checked; one that this
//! version does not carry out is refused, never parsed and ignored.

use std::ops::Range;

use rsigma_parser::{Detections, LogSource, SigmaRule};
use uuid::Uuid;

use super::case::{self, Case, Expect};
use super::list::Lists;
use super::notes::{Entries, Notes, find, is_misspelt};
use super::problem::{Problem, Severity, Source};
use super::suggest::quoted;
use super::yaml::{self, At, Node};
use super::{detection, response};
use crate::domain::rule::Rule;
use crate::formats::Formats;

/// Longer titles are refused, as Sigma does.
const TITLE_CHARS: usize = 256;

/// A rule file that reads well.
pub(super) struct RuleFile {
    pub rule: Rule,
    pub detection: SigmaRule,
    pub level: Option<&'static str>,
    pub cases: Vec<Case>,
    pub places: Places,
}

/// Where to point at for what only shows later.
pub(super) struct Places {
    pub id: Range<usize>,
    pub title: Range<usize>,
    pub detection: Range<usize>,
}

const KEYS: [&str; 22] = [
    "title",
    "id",
    "name",
    "status",
    "description",
    "author",
    "license",
    "date",
    "modified",
    "references",
    "related",
    "taxonomy",
    "scope",
    "tags",
    "fields",
    "falsepositives",
    "level",
    "logsource",
    "detection",
    "response",
    "tests",
    "sigma-version",
];

/// Sigma documents of other kinds.
const NOT_YET: [&str; 3] = ["correlation", "filter", "action"];

const LEVELS: [&str; 5] = ["informational", "low", "medium", "high", "critical"];

const STATUSES: [&str; 5] = ["stable", "test", "experimental", "deprecated", "unsupported"];

/// Reads a rule file and says everything that is wrong with it. `None` comes with an error.
pub(super) fn read(
    source: &Source,
    lists: &Lists,
    formats: &Formats,
) -> (Option<RuleFile>, Vec<Problem>) {
    let root = match yaml::parse(source) {
        Ok(root) => root,
        Err(problems) => return (None, problems),
    };
    let mut notes = Notes::new(source, lists, formats);
    let file = read_root(&mut notes, &root);
    (file, notes.problems)
}

fn read_root(notes: &mut Notes<'_>, root: &At<Node>) -> Option<RuleFile> {
    let entries = notes.entries(root, "the rule")?;
    if is_no_rule(notes, root, entries) {
        return None;
    }
    for (key, _) in entries {
        if response::KEYS.contains(&key.value.as_str()) {
            let why = format!("{} belongs to the response; write it below response:", key.value);
            notes.error(&key.place, why);
        } else if ["condition", "timeframe"].contains(&key.value.as_str()) {
            let why = format!("{} belongs to the detection; write it below detection:", key.value);
            notes.error(&key.place, why);
        } else if !KEYS.contains(&key.value.as_str()) {
            notes.unknown_key(key, "a rule", &KEYS);
        }
    }
    notes.denies = response::denies(entries);
    notes.asks = notes.denies || response::enriches(entries);
    check_described(notes, entries);
    let level = find(entries, "level").and_then(|node| notes.one_of(node, "level", &LEVELS));
    // All sections are read before any gives up, so that one run tells all.
    let title = notes.required(root, entries, "the rule", "title").and_then(|node| {
        let title = notes.text(node, "title")?;
        if title.chars().count() > TITLE_CHARS {
            let why = format!("the title is longer than {TITLE_CHARS} characters");
            notes.error(&node.place, format!("{why}; put the rest into description"));
        }
        if title.chars().any(char::is_control) {
            notes.error(&node.place, "the title has control characters; remove them");
        }
        Some((title, node.place.clone()))
    });
    let id = notes.required(root, entries, "the rule", "id").and_then(|node| read_id(notes, node));
    if let Some(node) = notes.required(root, entries, "the rule", "logsource") {
        check_logsource(notes, node);
    }
    let detection_node = notes.required(root, entries, "the rule", "detection");
    let detections = detection_node.and_then(|node| detection::read(notes, node));
    let response = notes
        .required(root, entries, "the rule", "response")
        .and_then(|node| response::read(notes, node));
    let names = detection::names(detection_node);
    let before = notes.problems.len();
    let tests = find(entries, "tests");
    let cases = tests.map(|node| case::read(notes, node, names.as_deref()));
    let cases = cases.unwrap_or_default();
    if notes.problems.len() == before && !is_misspelt(entries, "tests") {
        ask_for_tests(notes, root, entries, &cases);
    }
    let (title, title_place) = title?;
    let (id, id_place) = id?;
    Some(RuleFile {
        detection: sigma_rule(title, &id, detections?),
        rule: Rule { id, title: title.to_owned(), response: response? },
        level,
        cases,
        places: Places {
            id: id_place,
            title: title_place,
            detection: detection_node?.place.clone(),
        },
    })
}

/// A rule without tests is told of. In `enforce` it has to have one that shows what it acts on, and
/// one that shows what it spares, of whatever sample.
fn ask_for_tests(notes: &mut Notes<'_>, root: &At<Node>, entries: &Entries, cases: &[Case]) {
    let Some(mode) = response::enforces(entries) else {
        let fine = notes.problems.iter().all(|problem| problem.severity == Severity::Warning);
        if cases.is_empty() && fine {
            notes.warning(&root.place, "the rule has no tests, so nobody knows what it does");
        }
        return;
    };
    let acts = cases.iter().any(|case| !case.expect.targets.is_empty());
    let spares =
        cases.iter().any(|case| case.expect == Expect::default() || case.expect.no_match.is_some());
    let missing = match (acts, spares) {
        (true, true) => return,
        (false, false) => "one with expect: {act: […]} and one with expect: {no_match: true}",
        (false, true) => "one with expect: {act: […]}",
        (true, false) => "one with expect: {no_match: true}",
    };
    let why = "mode: enforce needs a test of what the rule acts on and one of what it spares";
    notes.error(&mode.place, format!("{why}; add {missing}, or write mode: observe"));
}

/// Tells of a document of another kind, once.
fn is_no_rule(notes: &mut Notes<'_>, root: &At<Node>, entries: &Entries) -> bool {
    for (key, _) in entries {
        if NOT_YET.contains(&key.value.as_str()) {
            let why = format!("{} documents of Sigma are not in this version", quoted(&key.value));
            let how = "write a rule with detection and response, or remove this file";
            notes.error(&key.place, format!("{why}; {how}"));
            return true;
        }
    }
    let of_rules = ["title", "detection", "response", "logsource"];
    let has = |key: &&str| find(entries, key).is_some() || is_misspelt(entries, key);
    if of_rules.iter().any(has) {
        return false;
    }
    let why = "this is no rule: it has neither title nor detection nor response";
    let how = "alerts for tests belong into samples, formats into formats";
    notes.error(&root.place, format!("{why}; {how}"));
    true
}

fn read_id(notes: &mut Notes<'_>, node: &At<Node>) -> Option<(String, Range<usize>)> {
    let text = notes.text(node, "id")?;
    match Uuid::try_parse(text) {
        Ok(id) => Some((id.to_string(), node.place.clone())),
        Err(_) => {
            let why = format!("id {} is no UUID; make one with uuidgen", quoted(text));
            notes.error(&node.place, why);
            None
        }
    }
}

/// Keys that say something to people and nothing to Lazaret.
fn check_described(notes: &mut Notes<'_>, entries: &Entries) {
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
fn check_logsource(notes: &mut Notes<'_>, node: &At<Node>) {
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

/// The rule as the engine takes it. What only people read stays in the file.
fn sigma_rule(title: &str, id: &str, detection: Detections) -> SigmaRule {
    SigmaRule {
        title: title.to_owned(),
        id: Some(id.to_owned()),
        detection,
        logsource: LogSource::default(),
        sigma_version: None,
        name: None,
        related: Vec::new(),
        taxonomy: None,
        status: None,
        description: None,
        license: None,
        author: None,
        references: Vec::new(),
        date: None,
        modified: None,
        fields: Vec::new(),
        falsepositives: Vec::new(),
        level: None,
        tags: Vec::new(),
        scope: Vec::new(),
        custom_attributes: Default::default(),
    }
}
