//! Bodies that a fuzzer found worth keeping, read again, each as it is and with small damage: what
//! holds of any body holds of them. `fuzz/run` looks for more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lazaret::formats::Format;

#[path = "../../fuzz/properties.rs"]
mod properties;

#[path = "../../src/domain/dice.rs"]
#[allow(dead_code, reason = "not every throw is needed here")]
mod dice;

use dice::Dice;

/// Bodies of each target that are made up of its kept ones.
const DAMAGED: u64 = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn names_in(dir: PathBuf) -> BTreeSet<String> {
    let entries = fs::read_dir(&dir).unwrap_or_else(|why| panic!("{}: {why}", dir.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What is kept of a target, and what every target begins with.
fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut bodies = Vec::new();
    for dir in [format!("fuzz/corpus/{target}"), "rules/samples".to_owned()] {
        for name in names_in(root().join(&dir)) {
            let path = format!("{dir}/{name}");
            bodies.push((path.clone(), fs::read(root().join(path)).unwrap()));
        }
    }
    bodies
}

/// Tells the body that a check does not get through.
struct Tried<'b> {
    target: &'b str,
    from: &'b str,
    body: &'b [u8],
}

impl Drop for Tried<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { target, from, body } = self;
            eprintln!("{target}, from {from}: {}", body.escape_ascii());
        }
    }
}

fn check(target: &str, from: &str, body: &[u8]) {
    let _tried = Tried { target, from, body };
    properties::check(target, body);
}

/// A body with up to three changes: a byte, a part left out, or a part of another one put in.
fn damaged(body: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut body = body.to_vec();
    for _ in 0..=dice.below(3) {
        let part = |of: &[u8], dice: &mut Dice| {
            let start = dice.below(of.len() as u64 + 1) as usize;
            start..(start + dice.below(40) as usize).min(of.len())
        };
        let place = part(&body, dice);
        let put = match dice.below(4) {
            0 => vec![b" \"\\{}[],:0aA\x00\xff"[dice.below(14) as usize]],
            1 => vec![],
            2 => body[part(&body, dice)].to_vec(),
            _ => other[part(other, dice)].to_vec(),
        };
        body.splice(place, put);
    }
    body
}

#[test]
fn what_holds_of_any_body_holds_of_those_that_are_kept() {
    for (target, _) in properties::TARGETS {
        for (path, body) in kept(target) {
            check(target, &path, &body);
        }
    }
}

#[test]
fn it_holds_of_them_with_small_damage() {
    for (target, _) in properties::TARGETS {
        let kept = kept(target);
        let mut dice = Dice::new(1);
        for _ in 0..DAMAGED {
            let [one, other] = [(); 2].map(|()| &kept[dice.below(kept.len() as u64) as usize]);
            check(target, &one.0, &damaged(&one.1, &other.1, &mut dice));
        }
    }
}

#[test]
fn a_target_has_a_program_and_a_folder() {
    let targets: BTreeSet<_> =
        properties::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert!(Format::ALL.iter().all(|format| targets.contains(format.as_str())));
    assert_eq!(names_in(root().join("fuzz/corpus")), targets);
    let programs = names_in(root().join("fuzz/targets"));
    let programs = programs.iter().map(|name| name.trim_end_matches(".rs").to_owned());
    assert_eq!(programs.collect::<BTreeSet<_>>(), targets);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    let named = manifest.lines().filter_map(|line| line.strip_prefix("path = \"targets/"));
    let named = named.map(|file| file.trim_end_matches(".rs\"").to_owned());
    assert_eq!(named.collect::<BTreeSet<_>>(), targets);
}
