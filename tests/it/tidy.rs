//! Rules about the code itself: who may import whom, how long files and lines may be, and what the
//! domain may not touch.

use std::path::{Path, PathBuf};

fn sources(under: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.join(under)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty());
    found
}

/// A file's shipped part: what stands before its tests, without comments.
fn shipped(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let code = |line: &str| !line.trim_start().starts_with("//");
    text[..end].lines().enumerate().map(|(at, line)| (at + 1, line)).filter(move |(_, l)| code(l))
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

/// What a module of this crate imports: the paths after `crate::`, however `use` groups them.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, code) in shipped(text) {
        for (at, _) in code.match_indices("crate::") {
            let path = &code[at + "crate::".len()..];
            let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let (path, rest) = path.split_at(end.unwrap_or(path.len()));
            if !path.is_empty() {
                found.push((line, path.trim_end_matches(':').to_owned()));
                continue;
            }
            let group = rest.trim_start_matches('{').split('}').next().unwrap_or_default();
            let names = group.split(',').map(|name| name.trim().to_owned());
            found.extend(names.filter(|name| !name.is_empty()).map(|name| (line, name)));
        }
    }
    found
}

struct Rule {
    module: &'static str,
    may: &'static [&'static str],
    crates_not: &'static [&'static str],
}

const DRIVERS: &[&str] = &["axum", "reqwest", "rdkafka", "rusqlite", "hyper"];

/// DESIGN's import table. The first rule whose prefix fits a file holds for it.
const RULES: &[Rule] = &[
    Rule {
        module: "src/domain",
        may: &["domain", "limits"],
        crates_not: &[
            "tokio",
            "axum",
            "reqwest",
            "rdkafka",
            "rusqlite",
            "moka",
            "hyper",
            "futures_util",
        ],
    },
    Rule { module: "src/formats", may: &["domain", "formats", "limits"], crates_not: DRIVERS },
    Rule {
        module: "src/rules",
        may: &["domain", "formats", "rules", "limits"],
        crates_not: DRIVERS,
    },
    Rule { module: "src/config", may: &["config", "domain", "limits"], crates_not: DRIVERS },
    Rule { module: "src/limits", may: &[], crates_not: DRIVERS },
    Rule { module: "src/metrics", may: &["domain", "io"], crates_not: DRIVERS },
    Rule {
        module: "src/serve",
        may: &["limits", "metrics"],
        crates_not: &["rdkafka", "rusqlite", "reqwest"],
    },
    Rule {
        module: "src/simulator",
        may: &["simulator"],
        crates_not: &["rdkafka", "rusqlite", "reqwest"],
    },
    // It runs what decides, in virtual time: nothing in it waits, asks a clock or touches a file.
    Rule {
        module: "src/simulation",
        may: &["domain", "limits", "simulation"],
        crates_not: &[
            "tokio",
            "axum",
            "reqwest",
            "rdkafka",
            "rusqlite",
            "moka",
            "hyper",
            "futures_util",
        ],
    },
    // Truth that shares code with what it measures is none: of the domain only the dice.
    Rule {
        module: "src/traffic",
        may: &["traffic", "domain::dice"],
        crates_not: &[
            "tokio",
            "axum",
            "reqwest",
            "rdkafka",
            "rusqlite",
            "moka",
            "hyper",
            "futures_util",
            "jiff",
            "hex",
            "uuid",
            "sha2",
            "clap",
        ],
    },
    Rule {
        module: "src/io/clock",
        may: &["domain"],
        crates_not: &["axum", "reqwest", "rdkafka", "rusqlite"],
    },
    Rule {
        module: "src/io/webhook",
        may: &["domain", "io", "limits", "metrics", "serve"],
        crates_not: &["reqwest", "rdkafka", "rusqlite"],
    },
    Rule {
        module: "src/io/kafka",
        may: &["domain", "io", "limits", "metrics"],
        crates_not: &["axum", "reqwest", "rusqlite", "hyper"],
    },
    Rule {
        module: "src/io/store",
        may: &["domain", "io", "limits", "metrics"],
        crates_not: &["axum", "reqwest", "rdkafka", "hyper"],
    },
    Rule {
        module: "src/io/defender",
        may: &["domain", "io", "limits", "metrics"],
        crates_not: &["axum", "rdkafka", "rusqlite"],
    },
    Rule {
        module: "src/io/issuer",
        may: &["domain", "io", "limits"],
        crates_not: &["axum", "rdkafka", "rusqlite", "hyper"],
    },
    Rule {
        module: "src/io/notify",
        may: &["domain", "io", "limits"],
        crates_not: &["axum", "rusqlite", "hyper"],
    },
    Rule {
        module: "src/io/admin",
        may: &["domain", "io", "limits", "metrics", "serve"],
        crates_not: &["reqwest", "rdkafka", "rusqlite"],
    },
    Rule { module: "src/io", may: &["domain", "io", "limits"], crates_not: DRIVERS },
    Rule {
        module: "src/intake",
        may: &["domain", "formats", "limits", "metrics", "io", "intake"],
        crates_not: DRIVERS,
    },
    Rule {
        module: "src/relay",
        may: &["domain", "limits", "metrics", "io", "relay"],
        crates_not: DRIVERS,
    },
    Rule {
        module: "src/app",
        may: &[
            "app", "config", "domain", "formats", "serve", "intake", "io", "limits", "metrics",
            "relay", "rules",
        ],
        crates_not: &[],
    },
];

/// The drivers under `src/io`. None may name another, and intake and relay may name none.
const IO_MODULES: &[&str] =
    &["admin", "clock", "defender", "issuer", "kafka", "notify", "store", "webhook"];

#[test]
fn the_import_table_holds() {
    let mut wrong = Vec::new();
    for (name, text) in sources("src") {
        let Some(rule) = RULES.iter().find(|rule| name.starts_with(rule.module)) else { continue };
        if is_test_file(&name) {
            continue;
        }
        for (line, path) in imports(&text) {
            let mut parts = path.split("::");
            let (first, second) = (parts.next().unwrap_or_default(), parts.next());
            let whole = second.map(|second| format!("{first}::{second}")).unwrap_or_default();
            if !rule.may.contains(&first) && !rule.may.contains(&whole.as_str()) {
                wrong.push(format!("{name}:{line}: {} may not import crate::{first}", rule.module));
            }
            let driver = second.filter(|s| first == "io" && IO_MODULES.contains(s));
            let own = driver.is_some_and(|d| name.starts_with(&format!("src/io/{d}")));
            let everywhere = ["src/app"].contains(&rule.module);
            if let Some(driver) = driver
                && !own
                && !everywhere
            {
                wrong.push(format!("{name}:{line}: {} may not know io::{driver}", rule.module));
            }
        }
        for (line, code) in shipped(&text) {
            for used in rule.crates_not {
                if code.contains(&format!("{used}::")) {
                    wrong.push(format!("{name}:{line}: {} may not use {used}", rule.module));
                }
            }
            let sibling = code.contains("super::super::") || code.contains("use super::");
            let in_io = name.starts_with("src/io/") && name.matches('/').count() == 2;
            if in_io && sibling {
                for other in IO_MODULES {
                    let names = code.contains(&format!("super::{other}"))
                        || code.contains(&format!("{{{other}::"));
                    if names && !name.ends_with(&format!("/{other}.rs")) {
                        wrong
                            .push(format!("{name}:{line}: a module under io may not know {other}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_domain_only_decides() {
    let banned = [
        ("async ", "await at the edge"),
        (".await", "await at the edge"),
        ("::now()", "take `now` as an argument"),
        ("::now_v7()", "take ids as arguments"),
        ("::new_v4()", "take ids as arguments"),
        ("std::fs", "no files"),
        ("std::net", "no sockets"),
        ("std::env", "no environment"),
        ("std::thread", "no threads"),
        ("println!", "no output"),
        ("tracing::", "a decision returns its reason"),
        ("thread_rng", "no dice"),
    ];
    let mut wrong = Vec::new();
    for (name, text) in sources("src/domain").into_iter().filter(|(name, _)| !is_test_file(name)) {
        for (line, code) in shipped(&text) {
            for (word, instead) in banned {
                if code.contains(word) {
                    wrong.push(format!("{name}:{line}: {word:?}: {instead}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_module_of_the_domain_uses_only_those_before_it() {
    let map = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/domain.rs"));
    let map = map.unwrap();
    let order: Vec<&str> =
        map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let place = |name: &str| order.iter().position(|module| *module == name);
    let mut wrong = Vec::new();
    for (name, text) in sources("src/domain").into_iter().filter(|(name, _)| !is_test_file(name)) {
        let below = name.trim_start_matches("src/domain/").trim_end_matches(".rs");
        let Some(own) = place(below.split('/').next().unwrap_or_default()) else { continue };
        // The domain itself, as a file of this depth names it.
        let up = format!(" {}", "super::".repeat(below.split('/').count()));
        for (line, code) in shipped(&text) {
            let names = code
                .split_once("crate::domain::")
                .or_else(|| code.split_once(&up))
                .map_or("", |(_, names)| names);
            let (group, names) = match names.strip_prefix('{') {
                Some(names) => (true, names),
                None => (false, names),
            };
            let names = names.split(", ").take(if group { usize::MAX } else { 1 });
            for used in names.filter_map(|used| used.split([':', ';', '}']).next()) {
                if place(used).is_some_and(|used| used > own) {
                    wrong.push(format!("{name}:{line}: {} stands before {used}", order[own]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_clock_asks_what_time_it_is() {
    let mut wrong = Vec::new();
    for (name, text) in sources("src") {
        // The simulator knows nothing of the rest, its clock included.
        if name == "src/io/clock.rs" || name.starts_with("src/simulator") || is_test_file(&name) {
            continue;
        }
        for (line, code) in shipped(&text) {
            for word in ["Instant::now", "SystemTime::now", "Timestamp::now", "now_v7", "new_v4"] {
                if code.contains(word) {
                    wrong.push(format!("{name}:{line}: {word}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_lines_and_functions_stay_small() {
    const FILE_LINES_MAX: usize = 400;
    const LINE_COLUMNS_MAX: usize = 100;
    const FUNCTION_LINES_MAX: usize = 70;
    let mut wrong = Vec::new();
    for (name, text) in sources("src") {
        let lines: Vec<_> = text.lines().collect();
        let shipped = text
            .find("#[cfg(test)]\nmod tests {")
            .map_or(lines.len(), |end| text[..end].lines().count());
        if shipped > FILE_LINES_MAX && !is_test_file(&name) {
            wrong.push(format!("{name}: {shipped} lines, at most {FILE_LINES_MAX}"));
        }
        for (at, line) in lines.iter().enumerate() {
            if line.chars().count() > LINE_COLUMNS_MAX {
                wrong.push(format!("{name}:{}: over {LINE_COLUMNS_MAX} columns", at + 1));
            }
        }
        if is_test_file(&name) {
            continue;
        }
        for (at, line) in lines[..shipped].iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let starts = line.trim_start();
            let is_fn = [
                "fn ",
                "pub fn ",
                "async fn ",
                "pub async fn ",
                "pub(super) fn ",
                "pub(crate) fn ",
                "pub(super) async fn ",
            ]
            .iter()
            .any(|s| starts.starts_with(s));
            // A declaration without a body ends its signature with a semicolon.
            let signature = lines[at..].iter().find(|l| l.ends_with('{') || l.ends_with(';'));
            if !is_fn || signature.is_none_or(|l| l.ends_with(';')) {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let length = lines[at..].iter().position(|l| **l == close).unwrap_or(0);
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("{name}:{}: a function of {length} lines", at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
