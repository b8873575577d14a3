//! Rule files: read, checked, tested, compiled. Nothing loads that does not pass all of it, and all
//! that is wrong with all files is said at once, what is alike in one file only a few times.
//!
//! A rule file is Sigma with a `response` and `tests` beside its own keys. `DIR/*.yml` and
//! `DIR/*.yaml` are rules; what lies deeper, such as `DIR/samples`, is for their tests.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::domain::rule::{Mode, OnUnknown, Ruleset};
use crate::limits;

mod case;

mod detection;

mod file;

mod leaf;

mod never;

mod notes;

mod problem;

mod response;

mod suggest;

mod trial;

mod yaml;

pub use problem::{Look, Problem, Problems, Severity};

use file::RuleFile;
use problem::Source;

/// Rules that may judge.
pub struct Loaded {
    pub ruleset: Ruleset,
    pub warnings: Vec<Problem>,
}

/// What a check of rule files found, for those who want to see all of it.
#[derive(Default)]
pub struct Checked {
    /// `None` where a problem is an error.
    pub ruleset: Option<Ruleset>,
    pub problems: Vec<Problem>,
    /// Rules whose files read well, in the order of the files.
    pub rules: Vec<Listed>,
    /// Tests that could be run, in the order of the files.
    pub trials: Vec<Trial>,
}

/// A rule, for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub file: String,
    pub id: String,
    pub title: String,
    pub level: Option<&'static str>,
    pub mode: Mode,
    pub unknown: OnUnknown,
    pub window: Duration,
    pub tests: usize,
}

/// A test of a rule that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    pub file: String,
    pub name: String,
    /// What came out instead, if it failed.
    pub outcome: Result<(), String>,
}

impl Checked {
    pub fn is_sound(&self) -> bool {
        self.ruleset.is_some()
    }

    /// The rules, or everything that is wrong with them.
    pub fn loaded(self) -> Result<Loaded, Problems> {
        match self.ruleset {
            Some(ruleset) => Ok(Loaded { ruleset, warnings: self.problems }),
            None => Err(Problems(self.problems)),
        }
    }
}

/// Loads the rules of a directory. One that can't be read is an error, one without rules a warning.
pub fn load(dir: &Path) -> Result<Loaded, Problems> {
    check(dir).loaded()
}

/// Loads rules from `(name, text)` pairs; `sample` gives the text of a path that a test names.
pub fn load_from(
    files: &[(&str, &str)],
    sample: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Problems> {
    let sources = files.iter().map(|(name, text)| Source::new(*name, *text)).collect();
    let sample = |path: &str| sample(path).ok_or_else(|| "there is no such sample".to_owned());
    check_sources(sources, &sample).loaded()
}

/// Checks the rules of a directory and runs their tests.
pub fn check(dir: &Path) -> Checked {
    match read_dir(dir) {
        Err(problem) => Checked { problems: vec![problem], ..Checked::default() },
        Ok((sources, unread)) => {
            let sample = |path: &str| read_bounded(&dir.join(path)).map_err(|e| e.to_string());
            let mut checked = check_sources(sources, &sample);
            if unread.iter().any(|problem| problem.severity == Severity::Error) {
                checked.ruleset = None;
            }
            if checked.rules.is_empty() && checked.problems.is_empty() && unread.is_empty() {
                let why = "there are no rules (*.yml) here, so nothing will ever act";
                checked.problems.push(whole_file(Severity::Warning, dir, why));
            }
            checked.problems.extend(unread);
            checked
        }
    }
}

fn check_sources(sources: Vec<Source>, sample: &dyn Fn(&str) -> Result<String, String>) -> Checked {
    let mut checked = Checked::default();
    let mut files = Vec::new();
    for source in &sources {
        let (file, problems) = file::read(source);
        let errors = problems.iter().any(|problem| problem.severity == Severity::Error);
        checked.problems.extend(problem::few(source, problems));
        if let Some(file) = file {
            checked.rules.push(listed(source, &file));
            if !errors {
                checked.trial(source, &file, sample);
            }
            files.push((source, file));
        }
    }
    checked.refuse_twins(&files);
    if checked.problems.iter().all(|problem| problem.severity == Severity::Warning) {
        let hash = hash(&sources);
        let rules = files.iter().map(|(_, file)| (file.rule.clone(), file.detection.clone()));
        match Ruleset::compile(rules.collect(), hash) {
            Ok(ruleset) => checked.ruleset = Some(ruleset),
            Err(errors) => {
                for error in errors {
                    let at = files.iter().find(|(_, file)| file.rule.id == error.rule);
                    let (source, file) = at.expect("an error names a rule that was given");
                    checked.refuse(source, Some(file.places.detection.clone()), &error.why);
                }
            }
        }
    }
    checked
}

impl Checked {
    fn refuse(&mut self, source: &Source, place: Option<Range<usize>>, why: &str) {
        self.problems.push(Problem::new(Severity::Error, source, place, why));
    }

    /// Runs the tests of one file, its rule alone and in `enforce`.
    fn trial(
        &mut self,
        source: &Source,
        file: &RuleFile,
        sample: &dyn Fn(&str) -> Result<String, String>,
    ) {
        if file.cases.is_empty() {
            return;
        }
        let mut rule = file.rule.clone();
        rule.response.mode = Mode::Enforce;
        let alone = match Ruleset::compile(vec![(rule, file.detection.clone())], String::new()) {
            Ok(alone) => alone,
            Err(errors) => {
                for error in errors {
                    self.refuse(source, Some(file.places.detection.clone()), &error.why);
                }
                return;
            }
        };
        for case in &file.cases {
            let text = match sample(&case.alert.value) {
                Ok(text) => text,
                Err(why) => {
                    let why = format!("{} can't be read: {why}", case.alert.value);
                    self.refuse(source, Some(case.alert.place.clone()), &why);
                    continue;
                }
            };
            let outcome = trial::run(&alone, case, &text);
            if let Err(why) = &outcome {
                let why = format!("test {:?} fails: {why}", case.name);
                let place = Some(case.place.clone());
                let mut problem = Problem::new(Severity::Error, source, place, why);
                problem.is_failed_test = true;
                self.problems.push(problem);
            }
            let (file, name) = (source.name.to_string(), case.name.clone());
            self.trials.push(Trial { file, name, outcome });
        }
    }

    /// Two rules with one id would be one to every reader of a decision, two with one title to
    /// every reader of a list.
    fn refuse_twins(&mut self, files: &[(&Source, RuleFile)]) {
        let mut ids: HashMap<&str, String> = HashMap::new();
        let mut titles: HashMap<&str, String> = HashMap::new();
        for (source, file) in files {
            let at = |place: &Range<usize>| format!("{}:{}", source.name, source.line(place.start));
            let (id, title) = (&file.places.id, &file.places.title);
            match ids.entry(&file.rule.id) {
                Entry::Vacant(first) => drop(first.insert(at(id))),
                Entry::Occupied(first) => {
                    let first = first.get();
                    let why = format!("the rule at {first} has the same id");
                    let how = "give one of them another, made with uuidgen";
                    self.refuse(source, Some(id.clone()), &format!("{why}; {how}"));
                }
            }
            match titles.entry(&file.rule.title) {
                Entry::Vacant(first) => drop(first.insert(at(title))),
                Entry::Occupied(first) => {
                    let first = first.get();
                    let why = format!("the rule at {first} has the same title; rename one of them");
                    self.refuse(source, Some(title.clone()), &why);
                }
            }
        }
    }
}

fn listed(source: &Source, file: &RuleFile) -> Listed {
    let response = &file.rule.response;
    Listed {
        file: source.name.to_string(),
        id: file.rule.id.clone(),
        title: file.rule.title.clone(),
        level: file.level,
        mode: response.mode,
        unknown: response.unknown,
        window: response.window,
        tests: file.cases.len(),
    }
}

/// Over names without their directory and contents, in the order of the names.
fn hash(sources: &[Source]) -> String {
    let name = |source: &Source| source.name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut parts: Vec<(String, &str)> = sources.iter().map(|s| (name(s), &*s.text)).collect();
    parts.sort_unstable();
    let mut hasher = Sha256::new();
    for (name, text) in parts {
        for bytes in [name.as_bytes(), text.as_bytes()] {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
    }
    hex::encode(hasher.finalize())
}

/// The rule files of a directory by name, and a problem for each file that is not read.
fn read_dir(dir: &Path) -> Result<(Vec<Source>, Vec<Problem>), Problem> {
    let failed = |e: std::io::Error| {
        whole_file(Severity::Error, dir, &format!("the rules can't be read: {e}"))
    };
    let (mut paths, mut overlooked) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_rule = path.extension().is_some_and(|ext| ext == "yml" || ext == "yaml");
        if path.is_dir() {
            overlooked.extend(overlooked_in(&path));
        } else if is_rule {
            paths.push(path);
        } else if looks_like_rule(&path) {
            let why = "is not read: a rule's file ends in .yml or .yaml, in small letters";
            overlooked.push(whole_file(Severity::Warning, &path, why));
        }
        if paths.len() > limits::RULE_FILES {
            let why = format!("there are more than {} rule files here", limits::RULE_FILES);
            return Err(whole_file(Severity::Error, dir, &why));
        }
    }
    paths.sort_unstable();
    let (mut sources, mut unread) = (Vec::new(), overlooked);
    for path in paths {
        match read_bounded(&path) {
            Ok(text) => {
                sources.push(Source::new(path.display().to_string(), text));
            }
            Err(e) => {
                unread.push(whole_file(Severity::Error, &path, &format!("can't be read: {e}")));
            }
        }
    }
    Ok((sources, unread))
}

fn looks_like_rule(path: &Path) -> bool {
    let ends = |end: &str| path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case(end));
    ends("yml") || ends("yaml")
}

/// A warning about a directory below the rules that seems to hold rules too.
fn overlooked_in(dir: &Path) -> Option<Problem> {
    const OTHERS: [&str; 4] = ["samples", "demo", "lists", "formats"];
    let mut inside = fs::read_dir(dir).ok()?.take(limits::RULE_FILES).flatten();
    let known = OTHERS.iter().any(|name| dir.file_name().is_some_and(|dir| dir == *name));
    if known || !inside.any(|entry| looks_like_rule(&entry.path())) {
        return None;
    }
    let why = "the rules in it are not read: they have to lie in the directory above";
    Some(whole_file(Severity::Warning, dir, why))
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let most = limits::RULE_FILE_BYTES;
    let mut text = String::new();
    // A pipe could keep the reader waiting for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    fs::File::open(path)?.take(most as u64 + 1).read_to_string(&mut text)?;
    if text.len() > most {
        return Err(std::io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(text)
}

fn whole_file(severity: Severity, path: &Path, why: &str) -> Problem {
    let source = Source::new(path.display().to_string(), "");
    Problem::new(severity, &source, None, why)
}

#[cfg(test)]
mod tests;
