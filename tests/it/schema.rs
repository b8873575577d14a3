//! What `lazaret schema` prints is what the readers know: no key more, none less, and the same
//! words.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use lazaret::config::Config;
use lazaret::domain::candidate::Field;
use lazaret::domain::time::Wall;
use lazaret::formats::spelling;
use lazaret::rules::{self, Severity};
use serde_json::Value;

use validator::{errors, resolved};

mod full;

mod leaves;

mod validator;

const KINDS: [&str; 3] = ["rule", "format", "config"];

/// A key and a word that nobody knows.
const BOGUS: &str = "zzqqzzqq";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema(of: &str) -> Value {
    let command = &mut Command::new(env!("CARGO_BIN_EXE_lazaret"));
    let printed = command.args(["schema", of]).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let text = String::from_utf8(printed.stdout).unwrap();
    let documented = std::fs::read_to_string(root().join(format!("docs/{of}.schema.json")));
    assert_eq!(text, documented.unwrap(), "it is the one of the documentation");
    serde_json::from_str(&text).unwrap()
}

fn yaml(text: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).unwrap()
}

/// What the reader of a kind of file says is wrong. Warnings are no such thing.
fn refusals(of: &str, text: &str) -> Vec<String> {
    if of == "config" {
        let read = Config::parse(text, Path::new("lazaret.yaml"));
        // The words of the checks over several keys, else those of the reader, which name its keys.
        return match serde_saphyr::from_str::<Config>(text) {
            Ok(_) => read.err().map(|why| why.to_string()).into_iter().collect(),
            Err(why) => vec![why.without_snippet().to_string()],
        };
    }
    let dir = tempfile::tempdir().unwrap();
    for inside in ["samples", "formats", "lists"] {
        std::fs::create_dir(dir.path().join(inside)).unwrap();
    }
    let copied = [("samples/defender-malware.json", "samples/a.json")];
    for (from, to) in copied.iter().chain(&[("lists/machines.csv", "lists/machines.csv")]) {
        std::fs::copy(root().join("rules").join(from), dir.path().join(to)).unwrap();
    }
    let problems = match of {
        "rule" => {
            std::fs::write(dir.path().join("r.yml"), text).unwrap();
            if text.contains("correlation") {
                std::fs::write(dir.path().join("t.yml"), full::QUARANTINE).unwrap();
            }
            rules::check(dir.path(), Wall(0)).problems
        }
        _ => {
            std::fs::write(dir.path().join("formats/full.yml"), text).unwrap();
            rules::check_formats(dir.path(), Wall(0)).problems
        }
    };
    let wrong = problems.into_iter().filter(|problem| {
        // What comes out of a sample is no matter of the keys.
        let of_sample = problem.is_failed_test || problem.message.contains("samples/full.json");
        problem.severity == Severity::Error && !of_sample
    });
    wrong.map(|problem| problem.message).collect()
}

/// The names that the reader lists beside one that it does not know.
fn listed(said: &[String]) -> Option<BTreeSet<String>> {
    said.iter().find_map(|said| {
        let ways = ["known are ", "expected one of ", "has to be one of ", "expected "];
        let list = ways.iter().find_map(|way| said.split_once(way))?.1;
        let list = list.split(" at line ").next()?.replace(" or ", ", ");
        let names = list.split(", ").map(|name| name.trim_matches('`'));
        Some(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
    })
}

/// Walks through a file and its schema side by side, and compares what each knows.
struct Walk<'s> {
    of: &'s str,
    schema: &'s Value,
    file: Value,
    /// The schemas of mappings and words that were compared, by where they are.
    seen: BTreeSet<*const Value>,
}

impl<'s> Walk<'s> {
    fn with(&self, at: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut file = self.file.clone();
        change(file.pointer_mut(at).unwrap());
        file
    }

    fn refusals(&self, file: &Value) -> Vec<String> {
        refusals(self.of, &file.to_string())
    }

    fn walk(&mut self, schema: &'s Value, at: &str) {
        let schema = resolved(self.schema, schema);
        let value = self.file.pointer(at).unwrap().clone();
        let branches = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array());
        for branch in branches.flatten() {
            // The definitions come along, for the references.
            let mut alone = branch.clone();
            if let Some(keywords) = alone.as_object_mut() {
                keywords.insert("$defs".to_owned(), self.schema["$defs"].clone());
            }
            if branch.get("required").is_none_or(|_| branch.get("type").is_some())
                && errors(&alone, &value).is_empty()
            {
                self.walk(branch, at);
            }
        }
        if schema["enum"].is_array() {
            self.words(schema, at);
        }
        if schema["properties"].is_object() && schema["additionalProperties"] == false {
            self.keys(schema, at);
        }
        for key in value.as_object().into_iter().flat_map(|entries| entries.keys()) {
            let named = &schema["properties"][key];
            let next = if named.is_null() { &schema["additionalProperties"] } else { named };
            if next.is_object() {
                self.walk(next, &format!("{at}/{}", key.replace('/', "~1")));
            }
        }
        if schema["items"].is_object() {
            for n in 0..value.as_array().map_or(0, Vec::len) {
                self.walk(&schema["items"], &format!("{at}/{n}"));
            }
        }
    }

    /// The reader knows the keys that the schema has here, and no other.
    fn keys(&mut self, schema: &'s Value, at: &str) {
        self.seen.insert(std::ptr::from_ref(schema));
        let of_schema = schema["properties"].as_object().unwrap().keys();
        if of_schema.clone().all(|key| Field::parse(key).is_some() || key == "each") {
            let names: BTreeSet<&str> = of_schema.map(String::as_str).collect();
            let fields: BTreeSet<&str> = Field::ALL.iter().map(|field| field.name()).collect();
            assert_eq!(names, fields, "{at}");
            return;
        }
        let bogus = |key: &str| self.with(at, |node| node[key] = "x".into());
        let allowed = of_schema.filter(|key| {
            let refusal = format!("{at}/{key}: nothing may be here");
            !errors(self.schema, &bogus(key)).contains(&refusal)
        });
        let allowed: BTreeSet<String> = allowed.cloned().collect();
        let mut said = self.refusals(&bogus(BOGUS));
        let several = ["end of mapping", "mapping end", "single key"];
        if said.iter().any(|said| several.iter().any(|words| said.contains(words))) {
            // One of several keys, which are told where it is alone.
            let alone = self.with(at, |node| *node = serde_json::json!({ BOGUS: "x" }));
            said = self.refusals(&alone);
        }
        let Some(mut known) = listed(&said) else {
            // A format's own fields are names of fields: compared where its reader is tested. And
            // a scheme may have no key but itself.
            let other = |said: &String| {
                let alone = said.contains("unknown field") && allowed.len() == 1;
                alone || said.contains("there is no field")
            };
            assert!(said.iter().any(other), "{at}: {said:?}");
            return;
        };
        known.retain(|key| {
            !self.refusals(&bogus(key)).iter().any(|said| said.contains("not in this version"))
        });
        // The tag of a scheme is no key of what it chooses.
        let allowed: BTreeSet<String> = match allowed.contains("scheme") {
            true => allowed.into_iter().filter(|key| key != "scheme").collect(),
            false => allowed,
        };
        assert_eq!(allowed, known, "left: {} schema at {at:?}, right: reader", self.of);
    }

    /// The reader takes the words that the schema has here, and no other.
    fn words(&mut self, schema: &'s Value, at: &str) {
        self.seen.insert(std::ptr::from_ref(schema));
        let bogus = self.with(at, |node| *node = BOGUS.into());
        // Words of an open enumeration are for completion; a scheme is chosen with its keys.
        if errors(self.schema, &bogus).is_empty() || at.ends_with("/scheme") {
            return;
        }
        let said = self.refusals(&bogus);
        assert!(!said.is_empty(), "{at}: the reader takes any word");
        if let Some(known) = listed(&said) {
            let fits = |word: &&Value| {
                let with = self.with(at, |node| *node = (*word).clone());
                !errors(self.schema, &with).iter().any(|e| e.starts_with(&format!("{at}: ")))
            };
            let words = schema["enum"].as_array().unwrap().iter().filter(fits);
            let words: BTreeSet<String> = words.map(|w| w.as_str().unwrap().to_owned()).collect();
            let known: BTreeSet<String> = known.into_iter().map(first_word).collect();
            assert_eq!(words, known, "left: {} schema at {at:?}, right: reader", self.of);
        }
    }
}

/// A word without what is said after it.
fn first_word(text: String) -> String {
    text.split([';', ' ']).next().unwrap_or_default().to_owned()
}

/// The schemas of mappings that have a closed set of keys.
fn mappings<'s>(schema: &'s Value, found: &mut Vec<&'s Value>) {
    if schema["properties"].is_object() && schema["additionalProperties"] == false {
        found.push(schema);
    }
    match schema {
        Value::Object(keywords) => keywords.values().for_each(|below| mappings(below, found)),
        Value::Array(items) => items.iter().for_each(|below| mappings(below, found)),
        _ => {}
    }
}

#[test]
fn every_key_and_word_of_the_schemas_is_the_readers_and_the_reverse() {
    for (of, files) in [
        ("rule", &[full::QUARANTINE, full::DENY, full::CORRELATION][..]),
        ("format", &[full::FORMAT]),
        ("config", &[full::CONFIG]),
    ] {
        let schema = schema(of);
        let mut seen = BTreeSet::new();
        for text in files {
            let file = yaml(text);
            assert_eq!(errors(&schema, &file), Vec::<String>::new(), "{of}");
            assert_eq!(refusals(of, text), Vec::<String>::new(), "{of}");
            let mut walk = Walk { of, schema: &schema, file, seen: BTreeSet::new() };
            walk.walk(&schema, "");
            seen.extend(walk.seen);
        }
        let mut all = Vec::new();
        mappings(&schema, &mut all);
        for mapping in all {
            let was = seen.contains(&std::ptr::from_ref(mapping));
            assert!(was, "no file here has what this is of: {}", mapping["properties"]);
        }
    }
}

#[test]
fn the_values_of_fields_are_those_that_the_formats_spell() {
    let schema = schema("rule");
    for field in Field::ALL {
        let known = spelling::known(*field);
        let words = &schema["$defs"][field.name()]["anyOf"][0]["enum"];
        let words: Vec<&str> =
            words.as_array().into_iter().flatten().flat_map(Value::as_str).collect();
        assert_eq!(words, known, "{}", field.name());
        let leaf = &schema["$defs"]["leaves"]["properties"][field.name()];
        assert_eq!(leaf.to_string().contains(field.name()), !known.is_empty(), "{leaf}");
    }
}

/// Every key has a description, its own or that of what it refers to.
#[test]
fn every_key_is_described() {
    for of in KINDS {
        let schema = schema(of);
        let mut all = Vec::new();
        mappings(&schema, &mut all);
        assert!(all.len() > 5);
        for mapping in all {
            for (key, below) in mapping["properties"].as_object().unwrap() {
                let told = [below, resolved(&schema, below)].map(|s| s["description"].as_str());
                let told = told.into_iter().flatten().any(|text| text.len() > 8);
                assert!(told || *below == Value::Bool(false), "{of}: {key}: {below}");
            }
        }
    }
}

fn files(under: &str, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(under)).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> =
        entries.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    assert!(!found.is_empty(), "{under}");
    found
}

/// The blocks of YAML of a page that begin so.
fn blocks(page: &str, begin: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
    let found: Vec<String> =
        blocks.filter(|block| block.starts_with(begin)).map(str::to_owned).collect();
    assert!(!found.is_empty(), "{page}");
    found
}

#[test]
fn what_ships_is_valid() {
    let read = |paths: Vec<PathBuf>| -> Vec<String> {
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    };
    let mut rules = read([files("rules", ".yml"), files("rules/demo", ".yml")].concat());
    rules.extend(read(vec![root().join("src/traffic/rule.yml")]));
    rules.extend(blocks("README.md", "title: "));
    let mut formats = read(files("rules/formats", ".yml"));
    formats.extend(blocks("docs/formats.md", "format: "));
    let mut configs = read(vec![root().join("lazaret.example.yaml")]);
    configs.extend(read(files("compose", ".yaml")));
    let channels = blocks("docs/notify.md", "- name: ").concat();
    configs.push(format!("{}\nnotify:\n{channels}", configs[0]));
    for (of, texts) in [("rule", rules), ("format", formats), ("config", configs)] {
        let schema = schema(of);
        for text in texts {
            assert_eq!(errors(&schema, &yaml(&text)), Vec::<String>::new(), "{of}: {text}");
        }
    }
}

#[test]
fn the_container_is_built_with_the_schemas() {
    let steps = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(steps.lines().any(|step| step == "COPY docs docs"), "include_str! reads them");
}

#[test]
fn a_rule_that_is_made_of_a_sample_is_valid() {
    let rules = root().join("rules");
    let sample = rules.join("samples/defender-malware.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret"));
    command.args(["rules", "new", "--alert"]).arg(sample).arg("--rules").arg(rules);
    let made = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(errors(&schema("rule"), &yaml(&made)), Vec::<String>::new(), "{made}");
}

/// What is wrong is wrong to both, and each change alone is what makes it so.
#[test]
fn what_is_broken_is_not_valid() {
    let (rule, deny, format, config) = (full::QUARANTINE, full::DENY, full::FORMAT, full::CONFIG);
    let correlation = full::CORRELATION;
    for (of, text, right, wrong) in [
        ("rule", rule, "title: T\n", ""),
        ("rule", rule, "title: T\n", "title: T\ntitel: T\n"),
        ("rule", rule, "id: 5d6a", "id: 5d6"),
        ("rule", rule, "status: stable", "status: done"),
        ("rule", rule, "level: high", "level: High"),
        ("rule", rule, "references: [x]", "references: x"),
        ("rule", rule, "sigma-version: 2", "sigma-version: 3"),
        ("rule", rule, "alert.category: M", "alert.categori: M"),
        ("rule", rule, "|endswith: .exe", "|endwith: .exe"),
        ("rule", rule, "file.entity: File", "file.entity: Fil"),
        ("rule", rule, "file.entity: File", "file.entity: 7"),
        ("rule", rule, "file.entity: File", "file.entity|exists: yes"),
        ("rule", rule, "file.entity: File", "alert.severity: Hihg"),
        ("rule", rule, "file.entity: File", "alert.severity_rank|gte: 6"),
        ("rule", rule, "file.entity: File", "alert.severity|gte: 3"),
        ("rule", rule, "file.entity: File", "alert.age|lt: '5'"),
        ("rule", rule, "file.entity: File", "file.sha1|expand: protected-files"),
        ("rule", rule, "[{file.entity: File}, ", "[File, "),
        ("rule", rule, "  condition: malware and file\n", ""),
        ("rule", rule, "  condition: m", "  timeframe: 1h\n  condition: m"),
        ("rule", rule, "mode: approve", "mode: ask"),
        ("rule", rule, "unknown: hold", "unknown: ignore"),
        ("rule", rule, "window: 24h", "window: 24"),
        ("rule", rule, "window: 24h", "window: 24x"),
        ("rule", rule, "actions: 200/1h", "actions: 200/h"),
        ("rule", rule, "author: x", "author: ' '"),
        ("rule", rule, "count: 2", "count: 3"),
        ("rule", rule, "actions: 200/1h", "actions: 200"),
        ("rule", rule, "  comment: due to {{alert.id}}\n", ""),
        ("rule", rule, "alert: samples/a.json", "alert: /samples/a.json"),
        ("rule", rule, "set: {machine.os: Windows11}", "set: {machine.so: Windows11}"),
        ("rule", rule, "absent: [machine.group]", "absent: [machine.grup]"),
        ("rule", rule, "act: [{machine: 5", "act: [{machine: "),
        ("rule", rule, "      act: [", "      protected: ["),
        ("rule", rule, "no_match: malware", "no_match: false"),
        ("rule", deny, "      protected: [", "      act: ["),
        ("rule", deny, "unknown: hold}", "unknown: skip}"),
        ("rule", deny, "unknown: hold}", "mode: observe}"),
        ("rule", correlation, "type: value_count", "type: value_sum"),
        ("rule", correlation, "  rules: [t]\n", ""),
        ("rule", correlation, "  rules: [t]", "  rules: []"),
        ("rule", correlation, "  group-by: [file.sha1]", "  group-by: [file.sha]"),
        ("rule", correlation, "  group-by: [file.sha1]", "  group-by: []"),
        ("rule", correlation, "timespan: 1h", "timespan: 1"),
        ("rule", correlation, "timespan: 1h", "timespan: 1x"),
        ("rule", correlation, "field: machine.id, ", ""),
        ("rule", correlation, "gte: 3", "lte: 3"),
        ("rule", correlation, "gte: 3", "gte: 0"),
        ("rule", correlation, "value_count", "event_count"),
        ("rule", correlation, "value_count", "temporal"),
        ("rule", correlation, "  timespan", "  aliases: {}\n  timespan"),
        ("rule", correlation, "  mode: approve", "  unknown: hold"),
        ("rule", correlation, "level: high", "logsource: {product: windows}"),
        ("rule", correlation, "    alerts:", "    alert:"),
        ("rule", correlation, "      - alert: samples", "      - alert: /samples"),
        ("format", format, "  id: $.id\n", ""),
        ("format", format, "  id: $.id", "  id: id"),
        ("format", format, "  title: ", "  titel: "),
        ("format", format, "time: seconds", "time: minutes"),
        ("format", format, "file.name: ", "file.nam: "),
        ("format", format, "defender: true", "defender: 1"),
        ("format", format, "lookup: machines.csv", "lookup: machines.txt"),
        ("format", format, "machines: {pc15: 0e", "machines: {pc15: 0"),
        ("config", config, "node: lazaret-1\n", ""),
        ("config", config, "mode: observe", "mode: watch"),
        ("config", config, "127.0.0.1:8443", "localhost:8443"),
        ("config", config, "role: view", "role: boss"),
        ("config", config, "token: {file: a}, e", "token: a, e"),
        ("config", config, "{file: a}, expires: 2027-01-31}\n      - ", "{}}\n      - "),
        ("config", config, "scheme: bearer, ", "scheme: baerer, "),
        ("config", config, "scheme: bearer, ", "scheme: none, "),
        ("config", config, "secrets: [{env: A}]", "secrets: []"),
        ("config", config, "header: X, ", ""),
        ("config", config, "silent_after: 1h", "silent_after: 1"),
        ("config", config, "silent_after: 1h", "silent_after: 1 h"),
        ("config", config, "actions: 1000/1h", "actions: 1000/h"),
        ("config", config, "expires: 2027-01-31}", "expires: soon}"),
        ("config", config, "id: 11111111", "id: 1111111"),
        ("config", config, "name: a\n", "name: a b\n"),
        ("config", config, "sha256: 9f", "sha256: 9"),
        ("config", config, "no_match_rows: 1000/s", "no_match_rows: 1000/m"),
        ("config", config, "origins: [example.org]", "origins: [example org]"),
        ("config", config, "topics: [t]", "topics: [t t]"),
        ("config", config, "topic: t,", "topic: t t,"),
        ("config", config, "mechanism: PLAIN, ", ""),
        ("config", config, "start: latest", "start: newest"),
        ("config", config, "region: eu", "region: moon"),
        ("config", config, "calls: 100", "calls: 0"),
        ("config", config, "share_of_fleet: 2.5%", "share_of_fleet: 2.5"),
        ("config", config, "kinds: [held]", "kinds: [digest]"),
        ("config", config, "body: 1MiB", "body: 1MB"),
        ("config", config, "    kafka: {brokers", "    webhook: {url: a}\n    kafka: {brokers"),
    ] {
        assert!(text.contains(right), "{of}: there is no {right:?}");
        let text = text.replacen(right, wrong, 1);
        assert_ne!(errors(&schema(of), &yaml(&text)), Vec::<String>::new(), "{of}: {wrong:?}");
        assert_ne!(refusals(of, &text), Vec::<String>::new(), "{of}: {wrong:?}");
    }
}
