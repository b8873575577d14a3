//! One rule file: Sigma's own keys, `response` and `tests`, with a `detection`, or a `correlation`
//! of other rules. Every key is checked; one that this version does not carry out is refused, never
//! parsed and ignored.

use std::ops::Range;

use rsigma_parser::{Detections, LogSource, SigmaRule};
use uuid::Uuid;

use super::case::{self, Case, Expect};
use super::correlation::{self, Section};
use super::described::{check_described, check_logsource};
use super::list::Lists;
use super::notes::{Entries, Notes, find, is_misspelt};
use super::problem::{Problem, Severity, Source};
use super::series::{self, Series};
use super::suggest::quoted;
use super::yaml::{self, At, Node};
use super::{detection, response};
use crate::domain::rule::{Response, Rule};
use crate::formats::Formats;

/// Longer titles are refused, as Sigma does.
const TITLE_CHARS: usize = 256;

/// A rule file that reads well.
pub(super) struct RuleFile {
    pub rule: Rule,
    /// By which correlations may name it, beside its id.
    pub name: Option<String>,
    pub body: Body,
    pub level: Option<&'static str>,
    pub places: Places,
}

/// What it looks for, with its tests.
pub(super) enum Body {
    Detection(Box<SigmaRule>, Vec<Case>),
    Correlation(Section, Vec<Series>),
}

impl RuleFile {
    pub fn tests(&self) -> usize {
        match &self.body {
            Body::Detection(_, cases) => cases.len(),
            Body::Correlation(_, series) => series.len(),
        }
    }
}

/// Where to point at for what only shows later.
pub(super) struct Places {
    pub id: Range<usize>,
    pub title: Range<usize>,
    /// Of the detection or correlation.
    pub body: Range<usize>,
}

const KEYS: [&str; 23] = [
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
    "correlation",
    "response",
    "tests",
    "sigma-version",
];

/// Sigma documents of other kinds.
const NOT_YET: [&str; 2] = ["filter", "action"];

const LEVELS: [&str; 5] = ["informational", "low", "medium", "high", "critical"];

/// Reads a rule file and says everything that is wrong with it. `None` comes with an error.
/// `may_count` says that there are correlations, so that it need not act by itself.
pub(super) fn read(
    source: &Source,
    lists: &Lists,
    formats: &Formats,
    may_count: bool,
) -> (Option<RuleFile>, Vec<Problem>) {
    let root = match yaml::parse(source) {
        Ok(root) => root,
        Err(problems) => return (None, problems),
    };
    let mut notes = Notes { may_count, ..Notes::new(source, lists, formats) };
    let file = read_root(&mut notes, &root);
    (file, notes.problems)
}

fn read_root(notes: &mut Notes<'_>, root: &At<Node>) -> Option<RuleFile> {
    let entries = notes.entries(root, "the rule")?;
    if is_no_rule(notes, root, entries) {
        return None;
    }
    notes.denies = response::denies(entries);
    notes.asks = notes.denies || response::enriches(entries);
    notes.correlates = find(entries, "correlation").is_some();
    refuse_keys(notes, entries);
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
    let (body, place, response) = match find(entries, "correlation") {
        Some(node) => read_correlation(notes, root, entries, node)?,
        None => {
            let of = title.as_ref().map(|(title, _)| *title).zip(id.as_ref().map(|(id, _)| id));
            read_detection(notes, root, entries, of)?
        }
    };
    let ((title, title_place), (id, id_place)) = (title?, id?);
    let name = find(entries, "name").and_then(|node| match &node.value {
        Node::Text(name) => Some(name.clone()),
        _ => None,
    });
    Some(RuleFile {
        rule: Rule { id, title: title.to_owned(), response },
        name,
        body,
        level,
        places: Places { id: id_place, title: title_place, body: place },
    })
}

type Read = (Body, Range<usize>, Response);

fn read_correlation(
    notes: &mut Notes<'_>,
    root: &At<Node>,
    entries: &Entries,
    node: &At<Node>,
) -> Option<Read> {
    let section = correlation::read(notes, node);
    let response = read_correlated(notes, root, entries);
    let series = read_tests(notes, root, entries, series::read);
    Some((Body::Correlation(section?, series), node.place.clone(), response?))
}

/// `of` are the title and the id, where they read.
fn read_detection(
    notes: &mut Notes<'_>,
    root: &At<Node>,
    entries: &Entries,
    of: Option<(&str, &String)>,
) -> Option<Read> {
    if let Some(node) = notes.required(root, entries, "the rule", "logsource") {
        check_logsource(notes, node);
    }
    let node = notes.required(root, entries, "the rule", "detection");
    let detections = node.and_then(|node| detection::read(notes, node));
    let response = read_response(notes, root, entries);
    let names = detection::names(node);
    let cases =
        read_tests(notes, root, entries, |notes, node| case::read(notes, node, names.as_deref()));
    let (title, id) = of?;
    let detection = Box::new(sigma_rule(title, id, detections?));
    Some((Body::Detection(detection, cases), node?.place.clone(), response?))
}

/// Tells of keys that stand at the wrong place, or that no rule has.
fn refuse_keys(notes: &mut Notes<'_>, entries: &Entries) {
    let correlates = notes.correlates;
    for (key, _) in entries {
        let name = key.value.as_str();
        if response::KEYS.contains(&name) {
            let why = format!("{name} belongs to the response; write it below response:");
            notes.error(&key.place, why);
        } else if ["condition", "timeframe"].contains(&name) {
            let why = format!("{name} belongs to the detection; write it below detection:");
            notes.error(&key.place, why);
        } else if correlates && name == "logsource" {
            notes.error(&key.place, "a correlation has no logsource: its rules have; remove it");
        } else if !KEYS.contains(&name) {
            let of_others = ["detection", "logsource"];
            let known = KEYS.iter().filter(|key| !(correlates && of_others.contains(key)));
            let known = known.copied();
            notes.unknown_key(key, "a rule", &known.collect::<Vec<_>>());
        }
    }
}

/// The response of a rule with a detection. It may be left out where a correlation counts the rule:
/// whether one does is known once all files are read.
fn read_response(notes: &mut Notes<'_>, root: &At<Node>, entries: &Entries) -> Option<Response> {
    if notes.may_count && find(entries, "response").is_none() && !is_misspelt(entries, "response") {
        return Some(Response::Count);
    }
    let node = notes.required(root, entries, "the rule", "response")?;
    response::read(notes, node)
}

/// The response of a correlation, which acts on what is certain, and never denies.
fn read_correlated(notes: &mut Notes<'_>, root: &At<Node>, entries: &Entries) -> Option<Response> {
    let node = notes.required(root, entries, "the rule", "response")?;
    if notes.denies {
        let why = "a correlation can't deny: what it looks at has come already; write a rule with";
        notes.error(&node.place, format!("{why} a detection that denies"));
        return None;
    }
    if let Node::Map(response) = &node.value
        && let Some((key, _)) = response.iter().find(|(key, _)| key.value == "unknown")
    {
        let why = "a correlation has no unknown: what is not known does not count; remove it";
        notes.error(&key.place, why);
    }
    response::read(notes, node)
}

/// The tests, and whether they are enough.
fn read_tests<T: Tested>(
    notes: &mut Notes<'_>,
    root: &At<Node>,
    entries: &Entries,
    read: impl FnOnce(&mut Notes<'_>, &At<Node>) -> Vec<T>,
) -> Vec<T> {
    let before = notes.problems.len();
    let tests = find(entries, "tests").map(|node| read(notes, node)).unwrap_or_default();
    if notes.problems.len() == before && !is_misspelt(entries, "tests") {
        let expected: Vec<&Expect> = tests.iter().map(Tested::expect).collect();
        ask_for_tests(notes, root, entries, &expected);
    }
    tests
}

/// A test of a rule, of whatever kind.
trait Tested {
    fn expect(&self) -> &Expect;
}

impl Tested for Case {
    fn expect(&self) -> &Expect {
        &self.expect
    }
}

impl Tested for Series {
    fn expect(&self) -> &Expect {
        &self.expect
    }
}

/// A rule without tests is told of. In `enforce` it has to have one that shows what it acts on, and
/// one that shows what it spares, of whatever sample.
fn ask_for_tests(notes: &mut Notes<'_>, root: &At<Node>, entries: &Entries, expected: &[&Expect]) {
    let Some(mode) = response::enforces(entries) else {
        let fine = notes.problems.iter().all(|problem| problem.severity == Severity::Warning);
        if expected.is_empty() && fine {
            notes.warning(&root.place, "the rule has no tests, so nobody knows what it does");
        }
        return;
    };
    let acts = expected.iter().any(|expect| !expect.targets.is_empty());
    let spares =
        expected.iter().any(|expect| **expect == Expect::default() || expect.no_match.is_some());
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
    let both = |(key, _): &&(At<String>, At<Node>)| key.value == "correlation";
    if let (Some((key, _)), Some(_)) = (entries.iter().find(both), find(entries, "detection")) {
        let why = "a rule has a detection or a correlation; write the correlation into a file";
        notes.error(&key.place, format!("{why} of its own, which names this rule"));
        return true;
    }
    let of_rules = ["title", "detection", "correlation", "response", "logsource"];
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
