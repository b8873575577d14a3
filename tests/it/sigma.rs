//! The shipped rules are Sigma for Sigma's own tool too: sigma-cli's `sigma check`, offline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rules of a directory, not those below it.
fn rules(dir: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "yml")).collect();
    found.sort();
    found
}

/// What `sigma check` says of these rules as one set, and whether it takes them.
fn check(rules: &[PathBuf]) -> (bool, String) {
    let python = std::env::var_os("LAZARET_TEST_PYTHON")
        .map_or_else(|| root().join("target/clients/bin/python"), PathBuf::from);
    let home = tempfile::tempdir().unwrap();
    // In one directory: of single files the tool does not see which ones a correlation counts.
    let set = tempfile::tempdir().unwrap();
    for path in rules {
        fs::copy(path, set.path().join(path.file_name().unwrap())).unwrap();
    }
    let output = Command::new(&python)
        .args(["-m", "sigma.cli.main", "check", "--fail-on-issues", "--validation-config"])
        .arg(root().join("tests/clients/sigma-check.yml"))
        .arg(set.path())
        // Nothing that it fetched before is there, and nothing can be fetched now.
        .env("HOME", home.path())
        .env("https_proxy", "http://127.0.0.1:9")
        .output()
        .unwrap_or_else(|why| panic!("{}: {why}; ./test prepares it", python.display()));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!said.contains("No module named"), "{said}\n./test prepares it anew");
    (output.status.success(), said)
}

#[test]
fn sigmas_own_tool_takes_every_shipped_rule() {
    for (dir, count) in [("rules", 27), ("rules/demo", 1)] {
        let rules = rules(dir);
        assert_eq!(rules.len(), count, "{dir}");
        let (takes, said) = check(&rules);
        let verdict = "Found 0 errors, 0 condition errors and 0 issues.";
        assert!(takes && said.contains(verdict), "{dir}: {said}");
    }
}

/// So that taking them says something.
#[test]
fn sigmas_own_tool_refuses_a_shipped_rule_that_is_broken() {
    let text = fs::read_to_string(root().join("rules/quarantine-active-malware.yml")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("quarantine-active-malware.yml");
    for (right, wrong, tells) in [
        ("condition: malware and", "condition: malwares and", "not defined in"),
        ("condition: malware and active_file and", "condition: malware and", "DanglingDetection"),
        ("condition: malware and", "condition: malware and and", "Condition error"),
        ("level: high", "level: severe", "SigmaLevelError"),
        ("file.entity: File", "file.entity|equals: File", "SigmaModifierError"),
        ("attack.execution", "attack.Execution!", "InvalidTagFormat"),
        ("date: 2026-11-24", "date: yesterday", "SigmaDateError"),
    ] {
        assert!(text.contains(right), "{right}");
        fs::write(&copy, text.replacen(right, wrong, 1)).unwrap();
        let (takes, said) = check(std::slice::from_ref(&copy));
        assert!(!takes && said.contains(tells), "{wrong}: {said}");
    }
}
