//! Rule files: read, checked, tested, compiled. Nothing loads that does not pass all of it, and all
//! that is wrong with all files is said at once, what is alike in one file only a few times.
//!
//! A rule file is Sigma with a `response` and `tests` beside its own keys. `DIR/*.yml` and
//! `DIR/*.yaml` are rules; of what lies deeper, `DIR/lists` holds the lists that they name,
//! `DIR/formats` the formats that are no Rust, and `DIR/samples` is for the tests of both.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::path::Path;

use crate::domain::rule::{Response, Ruleset};
use crate::domain::time::Wall;
use crate::formats::Formats;

pub mod backtest;

mod case;

mod condition;

mod constant;

mod contents;

mod correlation;

mod described;

mod detection;

mod disk;

mod file;

mod format;

mod leaf;

mod link;

mod list;

mod mismatch;

mod modifier;

mod never;

mod notes;

mod on_end;

mod pattern;

mod problem;

mod response;

mod series;

mod starter;

mod suggest;

mod trial;

mod trials;

mod value;

mod yaml;

pub use contents::{Contents, Difference};
pub use disk::{fingerprint, places};
pub use format::{CheckedFormats, ListedFormat};
pub use mismatch::{Mismatch, Side};
pub use problem::{Look, Problem, Problems, Severity};
pub use starter::Starter;
pub use suggest::did_you_mean;

use file::{Body, RuleFile};
use list::Lists;
use problem::Source;
use trials::Sample;

/// Rules that may judge.
pub struct Loaded {
    pub ruleset: Ruleset,
    pub formats: Formats,
    pub warnings: Vec<Problem>,
    pub contents: Contents,
    /// When the next entry of a list expires, so that the rules have to be loaded again.
    pub next_expiry: Option<Wall>,
    pub kept: Kept,
}

/// The texts that a rule set was made of, so that it can be made again without what has expired
/// since, whatever the files say by then.
#[derive(Clone, Default)]
pub struct Kept {
    rules: Vec<Source>,
    lists: Vec<(String, Source)>,
    formats: Vec<(String, Source)>,
}

impl Kept {
    /// The same rules, without the entries that have expired `now`. Their tests passed before and
    /// are not run again. `None` where that leaves no rule set.
    pub fn again(&self, now: Wall) -> Option<Loaded> {
        let lists = self.lists.iter().map(|(name, source)| {
            let is_csv = source.name.ends_with(".csv");
            (name.clone(), list::read(source.clone(), is_csv, now).0)
        });
        let lists = Lists::new(lists.collect(), now);
        let formats = format::check(self.formats.clone(), &lists, None);
        check_sources(self.rules.clone(), &lists, formats, None).loaded().ok()
    }
}

/// What a check of rule files found, for those who want to see all of it.
#[derive(Default)]
pub struct Checked {
    /// `None` where a problem is an error.
    pub ruleset: Option<Ruleset>,
    /// The rules where nothing is wrong with them but that a test fails: for whoever looks why.
    pub untested: Option<Ruleset>,
    /// The built-in ones, and those of files that have no error.
    pub formats: Formats,
    pub problems: Vec<Problem>,
    /// Rules whose files read well, in the order of the files.
    pub rules: Vec<Listed>,
    /// Tests that could be run, in the order of the files.
    pub trials: Vec<Trial>,
    pub contents: Contents,
    pub next_expiry: Option<Wall>,
    pub kept: Kept,
}

/// A rule, for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub file: String,
    pub id: String,
    pub title: String,
    pub level: Option<&'static str>,
    /// The type of a correlation; `None` where it has a detection.
    pub correlation: Option<&'static str>,
    pub response: Response,
    pub tests: usize,
}

/// A test of a rule that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    pub file: String,
    pub name: String,
    /// What came out instead, if it failed.
    pub outcome: Result<(), String>,
    /// The same in full, where a rule's test was compared at all.
    pub mismatch: Option<Mismatch>,
}

impl Checked {
    pub fn is_sound(&self) -> bool {
        self.ruleset.is_some()
    }

    /// The rules, or everything that is wrong with them.
    pub fn loaded(self) -> Result<Loaded, Problems> {
        match self.ruleset {
            Some(ruleset) => Ok(Loaded {
                ruleset,
                formats: self.formats,
                warnings: self.problems,
                contents: self.contents,
                next_expiry: self.next_expiry,
                kept: self.kept,
            }),
            None => Err(Problems(self.problems)),
        }
    }
}

/// Loads the rules of a directory. One that can't be read is an error, one without rules a warning.
/// Entries of lists that have expired `now` are not there.
pub fn load(dir: &Path, now: Wall) -> Result<Loaded, Problems> {
    check(dir, now).loaded()
}

/// Checks the rules of a directory, with its lists and formats, and runs their tests.
pub fn check(dir: &Path, now: Wall) -> Checked {
    let (sources, mut unread) = match disk::rules(dir) {
        Ok(read) => read,
        Err(problem) => return Checked { problems: vec![problem], ..Checked::default() },
    };
    let (lists, problems) = disk::lists(dir, now);
    unread.extend(problems);
    let (formats, problems) = disk::formats(dir);
    unread.extend(problems);
    let sample = |path: &str| disk::read_bounded(&dir.join(path));
    let formats = format::check(formats, &lists, Some(&sample));
    let mut checked = check_sources(sources, &lists, formats, Some(&sample));
    if unread.iter().any(|problem| problem.severity == Severity::Error) {
        (checked.ruleset, checked.untested) = (None, None);
    }
    if checked.rules.is_empty() && checked.problems.is_empty() && unread.is_empty() {
        let why = "there are no rules (*.yml) here, so nothing will ever act";
        checked.problems.push(disk::whole_file(Severity::Warning, dir, why));
    }
    checked.problems.extend(unread);
    checked
}

/// Checks the formats of a directory of rules, and runs their tests.
pub fn check_formats(dir: &Path, now: Wall) -> CheckedFormats {
    let (lists, of_lists) = disk::lists(dir, now);
    let (formats, unread) = disk::formats(dir);
    let sample = |path: &str| disk::read_bounded(&dir.join(path));
    let mut checked = format::check(formats, &lists, Some(&sample));
    let errors = of_lists.into_iter().filter(|problem| problem.severity == Severity::Error);
    checked.problems.extend(unread.into_iter().chain(errors));
    checked
}

fn check_sources(
    sources: Vec<Source>,
    lists: &Lists,
    of_files: CheckedFormats,
    sample: Option<Sample<'_>>,
) -> Checked {
    let CheckedFormats { formats, mut problems, sources: format_sources, .. } = of_files;
    // Only a list of the formats' own tests would tell them otherwise.
    problems.iter_mut().for_each(|problem| problem.is_failed_test = false);
    let next_expiry = lists.next_expiry();
    let may_count = correlation::any(&sources);
    let mut checked = Checked { next_expiry, formats, problems, ..Checked::default() };
    let mut files = Vec::new();
    for source in &sources {
        let (file, problems) = file::read(source, lists, &checked.formats, may_count);
        let errors = problems.iter().any(|problem| problem.severity == Severity::Error);
        checked.problems.extend(problem::few(source, problems));
        if let Some(file) = file {
            checked.rules.push(listed(source, &file));
            if let (false, Some(sample)) = (errors, sample) {
                checked.trial(source, &file, sample);
            }
            files.push((source, file));
        }
    }
    checked.refuse_twins(&files);
    let correlations = link::link(&files, files.len() == sources.len(), &mut checked.problems);
    if let Some(sample) = sample {
        checked.series(&files, &correlations, sample);
    }
    let rules = files.iter().map(|(source, file)| (file.rule.id.as_str(), *source));
    checked.contents = Contents::new(rules, lists, &format_sources);
    let texts = lists.iter().map(|(name, list)| (name.to_owned(), list.source.clone()));
    let lists = texts.collect();
    checked.kept = Kept { rules: sources.clone(), lists, formats: format_sources };
    let mut errors = checked.problems.iter().filter(|one| one.severity == Severity::Error);
    let fails = errors.clone().count() > 0;
    if errors.all(|problem| problem.is_failed_test) {
        let hash = checked.contents.hash(&sources);
        let rules = files.iter().filter_map(|(_, file)| file.detection());
        match Ruleset::compile(rules.collect(), hash) {
            Ok(ruleset) => {
                let ruleset = Some(ruleset.with_correlations(correlations));
                match fails {
                    true => checked.untested = ruleset,
                    false => checked.ruleset = ruleset,
                }
            }
            Err(errors) => {
                for error in errors {
                    let at = files.iter().find(|(_, file)| file.rule.id == error.rule);
                    let (source, file) = at.expect("an error names a rule that was given");
                    checked.refuse(source, Some(file.places.body.clone()), &error.why);
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
                    // A copy has the same title too.
                    continue;
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
    Listed {
        file: source.name.to_string(),
        id: file.rule.id.clone(),
        title: file.rule.title.clone(),
        level: file.level,
        correlation: match &file.body {
            Body::Correlation(section, _) => Some(section.name()),
            Body::Detection(..) => None,
        },
        response: file.rule.response.clone(),
        tests: file.tests(),
    }
}

#[cfg(test)]
mod tests;
