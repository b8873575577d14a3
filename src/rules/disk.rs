//! What lies in a directory of rules: rule files, lists, samples; each read in full or named as not
//! read, and a fingerprint by which a change is seen without reading.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::list::{self, List, Lists};
use super::problem::{Problem, Severity, Source};
use crate::domain::time::Wall;
use crate::limits;

/// The rule files of a directory by name, and a problem for each file that is not read.
pub(super) fn rules(dir: &Path) -> Result<(Vec<Source>, Vec<Problem>), Problem> {
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

pub(super) fn read_bounded(path: &Path) -> std::io::Result<String> {
    let most = limits::RULE_FILE_BYTES;
    let mut bytes = Vec::new();
    // A pipe could keep the reader waiting for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    fs::File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(std::io::Error::other(format!("it is larger than {most} bytes")));
    }
    let wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    String::from_utf8(bytes).map_err(|why| {
        let good = &why.as_bytes()[..why.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        std::io::Error::other(match wide {
            true => "it is written in UTF-16; save it as UTF-8".to_owned(),
            false => format!("line {line} is not written in UTF-8; save it as UTF-8"),
        })
    })
}

pub(super) fn whole_file(severity: Severity, path: &Path, why: &str) -> Problem {
    let source = Source::new(path.display().to_string(), "");
    Problem::new(severity, &source, None, why)
}

/// The lists of a directory of rules, and what is wrong with them. There need not be any.
pub(super) fn lists(dir: &Path, now: Wall) -> (Lists, Vec<Problem>) {
    let dir = dir.join("lists");
    let (mut lists, mut problems) = (BTreeMap::<String, List>::new(), Vec::new());
    let (mut unread, mut misnamed) = (BTreeSet::new(), BTreeMap::new());
    for path in files_of(&dir) {
        let error = |why: &str| whole_file(Severity::Error, &path, why);
        let (stem, end) = (path.file_stem(), path.extension());
        let name = stem.and_then(|stem| stem.to_str()).filter(|name| list::is_name(name));
        let (Some(name), Some("txt" | "csv")) = (name, end.and_then(|end| end.to_str())) else {
            let why = "is not read: a list is NAME.txt or NAME.csv, with letters, digits, - and _";
            problems.push(whole_file(Severity::Warning, &path, why));
            let text = |of: Option<&OsStr>| Some(of?.to_str()?.to_owned());
            misnamed.extend(text(stem).zip(text(path.file_name())));
            continue;
        };
        if lists.contains_key(name) {
            let why = format!("there are two lists {name}, as .csv and as .txt; remove one");
            problems.push(error(&why));
            continue;
        }
        match read_bounded(&path) {
            Ok(text) => {
                let source = Source::new(path.display().to_string(), text);
                let (list, wrong) = list::read(source, end.is_some_and(|end| end == "csv"), now);
                problems.extend(wrong);
                lists.insert(name.to_owned(), list);
            }
            Err(e) => {
                problems.push(error(&format!("can't be read: {e}")));
                unread.insert(name.to_owned());
            }
        }
    }
    (Lists::new(lists, now).beside(unread, misnamed), problems)
}

/// The format files of a directory of rules, each with the name of its format. There need not be
/// any.
pub(super) fn formats(dir: &Path) -> (Vec<(String, Source)>, Vec<Problem>) {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for path in files_of(&dir.join("formats")) {
        let (stem, end) = (path.file_stem(), path.extension());
        let name = stem.and_then(|stem| stem.to_str()).filter(|name| list::is_name(name));
        let (Some(name), Some("yml" | "yaml")) = (name, end.and_then(|end| end.to_str())) else {
            let why = "is not read: a format is NAME.yml, with letters, digits, - and _";
            problems.push(whole_file(Severity::Warning, &path, why));
            continue;
        };
        match read_bounded(&path) {
            Ok(text) => {
                let source = Source::new(path.display().to_string(), text);
                sources.push((name.to_owned(), source));
            }
            Err(e) => {
                let why = format!("can't be read: {e}");
                problems.push(whole_file(Severity::Error, &path, &why));
            }
        }
    }
    (sources, problems)
}

/// The files of a directory, by name: none where there is no directory, and never more than are
/// looked at.
fn files_of(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.take(limits::RULE_FILES).flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| !path.is_dir()).collect();
    paths.sort_unstable();
    paths
}

/// The directories that rules are read from, whether they are there or not.
fn read_from(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let inside = ["lists", "formats", "samples"].map(|name| dir.join(name));
    [dir.to_owned()].into_iter().chain(inside)
}

/// Whatever decides what rules say: their directories, and the files in them. Blocks.
pub fn places(dir: &Path) -> impl Iterator<Item = PathBuf> {
    read_from(dir).flat_map(|dir| [dir.clone()].into_iter().chain(files_of(&dir)))
}

/// A number that changes when the rules, lists, formats or samples of a directory do: over the
/// names, sizes, inodes and times of change of their files. Blocks.
pub fn fingerprint(dir: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    for dir in read_from(dir) {
        for path in files_of(&dir) {
            path.hash(&mut hasher);
            match fs::metadata(&path) {
                // A copy may keep size and time, never the time of its own inode's change.
                Ok(file) => {
                    (file.len(), file.modified().ok()).hash(&mut hasher);
                    (file.ino(), file.ctime(), file.ctime_nsec()).hash(&mut hasher);
                }
                Err(why) => why.kind().hash(&mut hasher),
            }
        }
        // A directory that is gone is not one that is empty.
        dir.is_dir().hash(&mut hasher);
    }
    hasher.finish()
}
