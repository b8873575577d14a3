//! Rules made wrong as people make them wrong, and the whole message that each one gets.
//!
//! Each `NAME.yml`, and each directory `NAME` of several files, of `tests/data/broken-rules` has
//! beside it, in `NAME.txt`, what `lazaret rules check` prints of it.
//! `LAZARET_WRITE_SNAPSHOTS=1` with this test writes these anew: read them all as the person who
//! made the mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The mistakes, by name.
fn mistakes() -> BTreeMap<String, PathBuf> {
    let is_mistake = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|e| e == "yml");
    named(is_mistake).collect()
}

/// What lies there, by the name without its ending.
fn named(of: impl Fn(&PathBuf) -> bool) -> impl Iterator<Item = (String, PathBuf)> {
    let all = fs::read_dir(root().join("tests/data/broken-rules")).unwrap();
    let all = all.map(|entry| entry.unwrap().path()).filter(of);
    all.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn snapshot(name: &str) -> PathBuf {
    root().join("tests/data/broken-rules").join(format!("{name}.txt"))
}

/// Copies a file, or a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// What the command line prints of a directory of rules with this mistake, and the samples that
/// ship; and its exit code.
fn printed(mistake: &Path) -> (String, Option<i32>) {
    let there = tempfile::tempdir().unwrap();
    let rules = there.path().join("rules");
    copy(&root().join("rules/samples"), &rules.join("samples"));
    let file = mistake.file_name().unwrap();
    copy(mistake, &if mistake.is_dir() { rules } else { rules.join(file) });
    let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret"));
    let command = command.args(["rules", "check", "rules"]).current_dir(&there);
    let output = command.output().unwrap();
    let text = [output.stderr, output.stdout].concat();
    (String::from_utf8(text).unwrap(), output.status.code())
}

#[test]
fn every_mistake_gets_the_message_that_was_read_and_found_good() {
    let rewrites = std::env::var_os("LAZARET_WRITE_SNAPSHOTS").is_some();
    let mistakes = mistakes();
    assert!(mistakes.len() >= 60, "{}", mistakes.len());
    let mut wrong = Vec::new();
    for (name, mistake) in &mistakes {
        let (text, code) = printed(mistake);
        if code != Some(1) {
            wrong.push(format!("{name} loads, or does not run: {code:?}\n{text}"));
        }
        if rewrites {
            fs::write(snapshot(name), text).unwrap();
            continue;
        }
        match fs::read_to_string(snapshot(name)) {
            Err(why) => wrong.push(format!("{name} has no snapshot: {why}\n{text}")),
            Ok(before) if before != text => {
                wrong.push(format!("{name} says\n{text}\nand was to say\n{before}"));
            }
            Ok(_) => {}
        }
    }
    let how = "LAZARET_WRITE_SNAPSHOTS=1 with this test writes the messages anew: read them";
    assert!(wrong.is_empty(), "{}\n{how}", wrong.join("\n"));
}

#[test]
fn every_message_belongs_to_a_mistake_and_fits_80_columns() {
    let mistakes = mistakes();
    let texts = named(|path| path.extension().is_some_and(|end| end == "txt"));
    let texts: BTreeSet<(String, PathBuf)> = texts.collect();
    for (name, path) in texts {
        assert!(mistakes.contains_key(&name), "there is no mistake {name}");
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with("rules") && text.contains(": error: "), "{name}: {text}");
        for line in text.lines() {
            let beyond = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
            // Lines of the file itself, and the carets below, stay as they are.
            let of_file = beyond.starts_with('|') || beyond.starts_with("...");
            assert!(of_file || line.chars().count() <= 80, "{name}: {line}");
        }
    }
}
