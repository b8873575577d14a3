//! What may be linked: licences, sources, no second copies of what holds connections open, and a
//! reason beside each dependency.
//!
//! Advisories are not checked here: their database is no package, and these checks need nothing
//! but the lock file and the packages. Run an advisory checker beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Licences that ask for no more than their text to be shipped.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// One copy each: a second one would have its own pool, its own threads or its own trust.
const SINGLE: &[&str] = &[
    "axum",
    "bytes",
    "http",
    "hyper",
    "moka",
    "rdkafka",
    "reqwest",
    "rusqlite",
    "rustls",
    "serde",
    "serde_json",
    "sha2",
    "tokio",
    "tokio-rustls",
    "tracing",
];

/// Crates that may come in through the named ones only, and why.
const BANNED: &[(&str, &[&str], &str)] = &[
    (
        "openssl-sys",
        &["rdkafka-sys"],
        "librdkafka speaks TLS with OpenSSL; we speak it with rustls",
    ),
    ("openssl", &[], "TLS is rustls"),
    ("native-tls", &[], "TLS is rustls"),
    ("serde_yaml", &[], "unmaintained; YAML is read by serde-saphyr, which tells positions"),
    ("log4rs", &[], "logging is tracing"),
    ("governor", &[], "its limiter lets nearly twice the limit through in one window"),
];

#[test]
fn every_licence_is_allowed() {
    let not_allowed: Vec<_> = packages()
        .iter()
        .filter(|p| !is_allowed(p["license"].as_str().unwrap_or("none")))
        .map(|p| format!("{} {}: {}", p["name"], p["version"], p["license"]))
        .collect();
    assert!(not_allowed.is_empty(), "{not_allowed:#?}");
}

#[test]
fn every_package_comes_from_the_crates_registry() {
    let elsewhere: Vec<_> = packages()
        .into_iter()
        .filter(|p| p["name"] != "lazaret")
        .filter(|p| {
            let source = p["source"].as_str().unwrap_or("a path");
            !(source.starts_with("registry+") && source.ends_with("crates.io-index"))
        })
        .map(|p| format!("{} from {}", p["name"], p["source"]))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[test]
fn what_must_be_there_once_is_there_once() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().insert(text("version"));
    }
    for name in SINGLE {
        assert_eq!(versions[*name].len(), 1, "{name}: {:?}", versions[*name]);
    }
}

#[test]
fn what_is_banned_comes_in_by_no_other_way() {
    let metadata = metadata();
    let name_of = |id: &Value| {
        let package = array(&metadata["packages"]).iter().find(|p| p["id"] == *id).unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    for node in array(&metadata["resolve"]["nodes"]) {
        let user = name_of(&node["id"]);
        for used in array(&node["deps"]) {
            let used = name_of(&used["pkg"]);
            if let Some((_, by, why)) = BANNED.iter().find(|(name, ..)| *name == used) {
                assert!(by.contains(&user.as_str()), "{user} uses {used}: {why}");
            }
        }
    }
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let manifests = [include_str!("../../Cargo.toml"), include_str!("../../fuzz/Cargo.toml")];
    let (mut inside, mut before, mut without) = (false, "", vec![]);
    for line in manifests.into_iter().flat_map(str::lines) {
        if line.starts_with('[') {
            inside = line.contains("dependencies]");
        } else if inside && line.contains(" = ") && !line.contains('#') && !before.starts_with('#')
        {
            without.push(line);
        }
        before = line;
    }
    assert!(without.is_empty(), "{without:#?}");
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    for (expression, allowed) in [
        ("MIT", true),
        ("MIT/GPL-3.0", true),
        ("GPL-3.0-only OR MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("MIT AND (GPL-3.0-only OR ISC)", true),
        ("(MIT OR ISC) AND GPL-3.0-only OR AGPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ("none", false),
    ] {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}

/// Whether an SPDX expression can be met with the licences above. `AND` binds tighter than `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let allowed = either(&mut rest);
    assert!(rest.is_empty(), "not an SPDX expression: {expression}");
    allowed
}

fn either(rest: &mut &[&str]) -> bool {
    let mut allowed = both(rest);
    while rest.first() == Some(&"OR") {
        *rest = &rest[1..];
        allowed |= both(rest);
    }
    allowed
}

fn both(rest: &mut &[&str]) -> bool {
    let mut allowed = one(rest);
    while rest.first() == Some(&"AND") {
        *rest = &rest[1..];
        allowed &= one(rest);
    }
    allowed
}

fn one(rest: &mut &[&str]) -> bool {
    let (first, mut after) = rest.split_first().expect("an expression does not end here");
    let mut allowed = LICENCES.contains(first);
    if *first == "(" {
        allowed = either(&mut after);
        assert_eq!(after.first(), Some(&")"), "a bracket is not closed");
        after = &after[1..];
    } else if after.first() == Some(&"WITH") {
        allowed = LICENCES.contains(&format!("{first} WITH {}", after[1]).as_str());
        after = &after[2..];
    }
    *rest = after;
    allowed
}

fn packages() -> Vec<Value> {
    array(&metadata()["packages"]).clone()
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().expect("cargo's metadata has its documented shape")
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
