//! Finds the rules that correlations name among the files of a directory.

use super::correlation::Section;
use super::file::{Body, RuleFile};
use super::problem::{Problem, Severity, Source};
use super::suggest::{did_you_mean, quoted};
use super::yaml::At;
use crate::domain::correlation::Correlation;
use crate::domain::rule::{Correlated, Mode, Response, Rule};

type Files<'f> = [(&'f Source, RuleFile)];

/// The correlations whose base rules are all there. `complete` says whether every file was read:
/// else what is missing may stand in one that was not.
pub(super) fn link(
    files: &Files<'_>,
    complete: bool,
    problems: &mut Vec<Problem>,
) -> Vec<Correlated> {
    let mut linked = Vec::new();
    for (source, file) in files {
        let Body::Correlation(section, _) = &file.body else { continue };
        let found = bases(source, file, section, files, complete);
        match found {
            Ok(Some(rules)) => {
                problems.extend(asks_first(source, file, files, &rules));
                linked.push(correlated(file, section, rules));
            }
            Ok(None) => {}
            Err(found) => problems.extend(found),
        }
    }
    let correlations = files.iter().filter(|(_, file)| matches!(file.body, Body::Correlation(..)));
    // Else the one that is not named may be the one that was meant.
    if complete && linked.len() == correlations.count() {
        problems.extend(idle(files, &linked));
    }
    linked
}

/// What a base rule holds for a person's yes stays held, so the correlation could not act on it.
fn asks_first(
    source: &Source,
    file: &RuleFile,
    files: &Files<'_>,
    bases: &[String],
) -> Option<Problem> {
    let mode = |rule: &Rule| rule.quarantine().map(|response| response.mode);
    let asks = |(_, base): &&(&Source, RuleFile)| {
        bases.contains(&base.rule.id) && mode(&base.rule) == Some(Mode::Approve)
    };
    let (_, base) = files.iter().find(asks).filter(|_| mode(&file.rule) == Some(Mode::Enforce))?;
    let title = &base.rule.title;
    let why = format!("the rule {title:?} holds the same files for a person, so this can't act");
    let how = "write mode: approve here, or leave out the response there, or let it observe";
    let place = Some(file.places.title.clone());
    Some(Problem::new(Severity::Error, source, place, format!("{why}; {how}")))
}

/// Rules that neither act nor count.
fn idle(files: &Files<'_>, linked: &[Correlated]) -> Vec<Problem> {
    let counts = |id: &String| linked.iter().any(|one| one.counts.rules.contains(id));
    let idle = files
        .iter()
        .filter(|(_, file)| file.rule.response == Response::Count && !counts(&file.rule.id));
    let told = idle.map(|(source, file)| {
        let why = "the rule has no response, and no correlation names it, so it does nothing";
        let how = "write one, such as action: StopAndQuarantineFile, or name it in a correlation";
        let place = Some(file.places.title.clone());
        Problem::new(Severity::Error, source, place, format!("{why}; {how}"))
    });
    told.collect()
}

fn correlated(file: &RuleFile, section: &Section, rules: Vec<String>) -> Correlated {
    let at_least = section.at_least.unwrap_or(rules.len());
    let (kind, timespan) = (section.kind, section.timespan);
    let group_by = section.group_by.clone();
    let counts = Correlation { kind, rules, group_by, timespan, at_least };
    Correlated { rule: file.rule.clone(), counts }
}

/// Ids of the base rules; `None` where one is missing that may stand in a file that was not read.
fn bases(
    source: &Source,
    file: &RuleFile,
    section: &Section,
    files: &Files<'_>,
    complete: bool,
) -> Result<Option<Vec<String>>, Vec<Problem>> {
    let (mut ids, mut problems, mut missing) = (Vec::new(), Vec::new(), false);
    for name in &section.rules {
        let mut refuse = |why: String| {
            let place = Some(name.place.clone());
            problems.push(Problem::new(Severity::Error, source, place, why));
        };
        let found = named(name, files);
        match &found[..] {
            [] if !complete => missing = true,
            [] => refuse(format!("there is no rule {}{}", quoted(&name.value), meant(name, files))),
            [(_, base)] if base.rule.id == file.rule.id => {
                refuse("a correlation can't count itself; name a rule with a detection".to_owned());
            }
            [(_, RuleFile { body: Body::Correlation(..), .. })] => {
                let why = format!("{} is a correlation too", quoted(&name.value));
                refuse(format!("{why}; name the rules with a detection that it counts"));
            }
            [(_, base)] if base.rule.denies() => {
                let why = format!("{} denies, and what it covers is not acted on", name.value);
                refuse(format!("{why}; name a rule that finds what to act on"));
            }
            [(_, base)] if ids.contains(&base.rule.id) => {
                refuse(format!("{} names a rule that stands here already; remove it", name.value));
            }
            [(_, base)] => ids.push(base.rule.id.clone()),
            [(first, one), (second, other), ..] => {
                let at = |source: &Source, file: &RuleFile| {
                    format!("{}:{}", source.name, source.line(file.places.title.start))
                };
                let (first, second) = (at(first, one), at(second, other));
                let why = format!("the rules at {first} and {second} are both called");
                refuse(format!("{why} {}; name one of them by its id", quoted(&name.value)));
            }
        }
    }
    match (problems.is_empty(), missing) {
        (false, _) => Err(problems),
        (true, missing) => Ok((!missing).then_some(ids)),
    }
}

/// The rules of that name or id.
fn named<'f>(name: &At<String>, files: &'f Files<'f>) -> Vec<&'f (&'f Source, RuleFile)> {
    let id = name.value.to_lowercase();
    let is = |file: &RuleFile| file.rule.id == id || file.name.as_ref() == Some(&name.value);
    files.iter().filter(|(_, file)| is(file)).collect()
}

fn meant(name: &At<String>, files: &Files<'_>) -> String {
    let countable = || {
        files
            .iter()
            .map(|(_, file)| file)
            .filter(|file| !file.rule.denies() && matches!(file.body, Body::Detection(..)))
    };
    if let Some(titled) = countable().find(|file| file.rule.title == name.value) {
        return format!("; it is a title: write the rule's id, {}", titled.rule.id);
    }
    let near = did_you_mean(&name.value, countable().filter_map(|file| file.name.as_deref()));
    if !near.is_empty() {
        return near;
    }
    let names: Vec<&str> = countable().filter_map(|file| file.name.as_deref()).take(8).collect();
    match names.is_empty() {
        true => "; give the rule that is meant a name:, or write its id".to_owned(),
        false => format!("; rules with a name are {}", names.join(", ")),
    }
}
