use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const M1: &str = "1111111111111111111111111111111111111111";
const M2: &str = "2222222222222222222222222222222222222222";
const S1: &str = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";
const S2: &str = "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2";

fn read(path: &[&str]) -> Read {
    let paths = path.iter().map(|path| Path::parse(path).unwrap()).collect();
    Read { paths, values: None, hash: None, part: None, time: Time::Text, default: None }
}

fn path(path: &str) -> Mapping {
    Mapping::Read(read(&[path]))
}

fn block(each: &[&str], fields: &[(Field, &str)]) -> Block {
    Block {
        each: each.iter().map(|path| Path::parse(path).unwrap()).collect(),
        fields: fields.iter().map(|(field, text)| (*field, path(text))).collect(),
        within: Vec::new(),
    }
}

fn mapped(candidates: Vec<Block>) -> Mapped {
    Mapped {
        name: "own".to_owned(),
        alert: vec![
            (Field::AlertTitle, path("$.title")),
            (Field::AlertCreated, path("$.at")),
            (Field::AlertTechniques, path("$.techniques")),
        ],
        id: path("$.id"),
        tenant_id: Some(path("$.tenant")),
        candidates,
        words: Words::default(),
        hosts: None,
        asks_defender: false,
        told: None,
    }
}

/// One pair for each file, as most formats have it.
fn flat() -> Mapped {
    let fields = [(Field::MachineId, "@.machine"), (Field::FileSha1, "@.sha1")];
    let name = [(Field::FileName, "@.name")];
    mapped(vec![block(&["$.files[*]"], &[fields.as_slice(), &name].concat())])
}

fn decode(format: &Mapped, alert: serde_json::Value) -> Alert<'static> {
    format.decode(&alert.to_string()).unwrap()
}

fn pairs(alert: &Alert<'_>) -> Vec<(String, String)> {
    let text = |result: Result<String, String>| result.unwrap_or_else(|why| why);
    let pair = |one: &Candidate<'_>| {
        let machine = one.machine.as_ref().map(ToString::to_string).map_err(ToString::to_string);
        let sha1 = one.sha1.as_ref().map(ToString::to_string).map_err(ToString::to_string);
        (text(machine), text(sha1))
    };
    alert.candidates.iter().map(pair).collect()
}

fn pair(machine: &str, sha1: &str) -> (String, String) {
    (machine.to_owned(), sha1.to_owned())
}

#[test]
fn two_machines_and_two_files_give_the_pairs_that_are_stated() {
    let format = flat();
    let files = json!([{"machine": M1, "sha1": S1}, {"machine": M2, "sha1": S2}]);
    let alert = decode(&format, json!({"id": "a", "files": files}));
    assert_eq!(pairs(&alert), [pair(M1, S1), pair(M2, S2)]);
    assert_eq!(*alert.candidates[0].fields.get(Field::AlertMachines), Value::Number(2));
    assert_eq!(*alert.candidates[0].fields.get(Field::AlertFiles), Value::Number(2));
    assert_eq!(*alert.candidates[0].fields.get(Field::AlertFormat), Value::Text("own".into()));
}

#[test]
fn files_nested_in_machines_are_on_theirs_and_on_no_other() {
    let mut machines = block(&["$.machines[*]"], &[(Field::MachineId, "@.id")]);
    machines.within = vec![block(&["@.files[*]"], &[(Field::FileSha1, "@.sha1")])];
    let alert = decode(
        &mapped(vec![machines]),
        json!({"id": "a", "machines": [
            {"id": M1, "files": [{"sha1": S1}, {"sha1": S2}]},
            {"id": M2, "files": [{"sha1": S2}]},
            {"id": M2, "files": []},
        ]}),
    );
    assert_eq!(pairs(&alert), [pair(M1, S1), pair(M1, S2), pair(M2, S2)]);
    assert_eq!(*alert.candidates[0].fields.get(Field::AlertFiles), Value::Number(2));
}

#[test]
fn of_several_values_none_is_taken() {
    let fields = [(Field::MachineId, "$.machines[*].id"), (Field::FileSha1, "@.sha1")];
    let title = [(Field::FileName, "$.names[*]")];
    let format = mapped(vec![block(&["$.files[*]"], &[fields.as_slice(), &title].concat())]);
    let alert = decode(
        &format,
        json!({"id": "a", "machines": [{"id": M1}, {"id": M2}], "names": ["x", "x"],
            "files": [{"sha1": S1}, {"sha1": [S1, S2]}]}),
    );
    let machine = "machine.id has 2 values, and only one can be: choose it with a filter";
    let sha1 = "sha1 is a list, and only one value can be";
    assert_eq!(pairs(&alert), [pair(machine, S1), pair(machine, sha1)]);
    for candidate in &alert.candidates {
        assert_eq!(*candidate.fields.get(Field::MachineId), Value::Absent);
        assert_eq!(*candidate.fields.get(Field::FileName), Value::Absent, "not even equal ones");
        assert_eq!(*candidate.fields.get(Field::AlertMachines), Value::Absent, "nobody knows");
    }
}

proptest! {
    /// Whatever the nesting: what comes out is what was put in, in order, and no other pair.
    #[test]
    fn no_pair_is_made_that_the_alert_does_not_state(
        machines in prop::collection::vec(prop::collection::vec(1u8..200, 0..5), 0..6)
    ) {
        let mut outer = block(&["$.machines[*]"], &[(Field::MachineId, "@.id")]);
        outer.within = vec![block(&["@.files[*]"], &[(Field::FileSha1, "@.sha1")])];
        let (mut truth, mut list) = (Vec::new(), Vec::new());
        for (at, files) in machines.iter().enumerate() {
            let id = hex::encode([at as u8 + 1; 20]);
            let hashes = files.iter().map(|file| hex::encode([*file; 20])).collect::<Vec<_>>();
            truth.extend(hashes.iter().map(|hash| (id.clone(), hash.clone())));
            let files: Vec<_> = hashes.iter().map(|hash| json!({"sha1": hash})).collect();
            list.push(json!({"id": id, "files": files}));
        }
        let alert = decode(&mapped(vec![outer]), json!({"id": "a", "machines": list}));
        prop_assert_eq!(pairs(&alert), truth);
    }
}

#[test]
fn what_is_no_id_says_what_it_is() {
    let sha256 = "c".repeat(64);
    let guid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
    for (machine, sha1, why) in [
        (json!("pc1.contoso.example"), json!(S1), "machine.id is a name: Defender's ids are 40"),
        (json!(guid), json!(S1), "machine.id is a GUID"),
        (json!("a".repeat(32)), json!(S1), "machine.id is 32 hex digits"),
        (json!(17), json!(S1), "machine.id is a number"),
        (json!(null), json!(S1), "machine.id is missing"),
        (json!("  "), json!(S1), "machine.id is missing"),
        (json!(M1), json!(sha256), "sha1 is a SHA-256 where a SHA-1 belongs"),
        (json!(M1), json!("0".repeat(40)), "sha1 is all zeros"),
        (json!(M1), json!({"value": S1}), "sha1 is an object"),
        (json!(M1), json!(true), "sha1 is a boolean"),
        (json!(M1), json!("null"), "sha1 is missing"),
    ] {
        let alert =
            decode(&flat(), json!({"id": "a", "files": [{"machine": machine, "sha1": sha1}]}));
        let (m, s) = &pairs(&alert)[0];
        assert!(m.starts_with(why) || s.starts_with(why), "{why}: {m}, {s}");
        let fields = &alert.candidates[0].fields;
        let absent = if why.starts_with("sha1") { Field::FileSha1 } else { Field::MachineId };
        assert_eq!(*fields.get(absent), Value::Absent, "{why}");
    }
}

#[test]
fn an_id_may_be_a_whole_number_and_nothing_else_may() {
    let format = flat();
    assert_eq!(decode(&format, json!({"id": 4711})).id, "4711");
    for id in [json!(1.5), json!(null), json!(""), json!(["a"]), json!("a b"), json!("x\u{1}")] {
        assert!(format.decode(&json!({"id": id}).to_string()).is_err(), "{id}");
    }
    assert!(format.decode(&json!({"id": "x".repeat(4000)}).to_string()).is_err());
    let alert = decode(
        &format,
        json!({"id": 1, "title": 7, "files": [{"machine": M1, "sha1": S1, "name": 8}]}),
    );
    assert_eq!(*alert.candidates[0].fields.get(Field::AlertTitle), Value::Absent);
    assert_eq!(*alert.candidates[0].fields.get(Field::FileName), Value::Absent);
    assert_eq!(pairs(&alert), [pair(M1, S1)], "the alert is not lost over that");
}

#[test]
fn a_tenant_that_is_no_text_is_one_that_nobody_knows() {
    let format = flat();
    let tenant = |value| decode(&format, json!({"id": "a", "tenant": value})).tenant_id;
    assert_eq!(tenant(json!("t")).as_deref(), Some("t"));
    assert_eq!(tenant(json!(null)), None);
    assert_eq!(tenant(json!(["t", "u"])).as_deref(), Some("(not a text)"));
    assert_eq!(tenant(json!(5)).as_deref(), Some("(not a text)"));
}

#[test]
fn nothing_said_and_none_are_told_apart() {
    let mut format = flat();
    format.words.absent = vec![Some("n/a".to_owned()), Some("-".to_owned())];
    format.words.empty = vec![Some("none".to_owned())];
    let title = |format: &Mapped, value| {
        let alert = json!({"id": "a", "title": value, "files": [{"machine": M1, "sha1": S1}]});
        decode(format, alert).candidates[0].fields.get(Field::AlertTitle).clone()
    };
    for nothing in [json!(""), json!(" - "), json!("N/A"), json!(null), json!("NULL")] {
        assert_eq!(title(&format, nothing.clone()), Value::Absent, "{nothing}");
    }
    assert_eq!(title(&format, json!("None")), Value::Empty);
    assert_eq!(title(&format, json!("some")), Value::Text("some".into()));
    format.words.empty = vec![None, Some(String::new())];
    assert_eq!(title(&format, json!(null)), Value::Empty);
    assert_eq!(title(&format, json!("")), Value::Empty);
    assert_eq!(title(&format, json!("none")), Value::Text("none".into()));
}

#[test]
fn a_list_is_whole_or_absent_and_an_empty_one_is_known() {
    let list = |value| {
        let alert = json!({"id": "a", "techniques": value, "files": [{"sha1": S1}]});
        decode(&flat(), alert).candidates[0].fields.get(Field::AlertTechniques).clone()
    };
    assert_eq!(list(json!(["a", "b"])), Value::List(vec!["a".into(), "b".into()]));
    assert_eq!(list(json!("a")), Value::List(vec!["a".into()]));
    assert_eq!(list(json!([])), Value::Empty);
    let many = [json!(vec!["a"; 257]), json!(["a".repeat(16 * 1024 + 1)])];
    let odd = [json!(null), json!(["a", null]), json!(["a", 5]), json!([["a"]]), json!({})];
    for other in odd.into_iter().chain(many) {
        assert_eq!(list(other.clone()), Value::Absent, "{other}");
    }
    let items = mapped(vec![block(&[], &[(Field::MachineTags, "$.tags[*]")])]);
    let alert = decode(&items, json!({"id": "a", "tags": ["x", "y"]}));
    let tags = alert.candidates[0].fields.get(Field::MachineTags);
    assert_eq!(*tags, Value::List(vec!["x".into(), "y".into()]));
    assert_eq!(
        *decode(&items, json!({"id": "a", "tags": []})).candidates[0]
            .fields
            .get(Field::MachineTags),
        Value::Absent,
        "the items of an empty list say nothing"
    );
}

fn scalar(read: Read, field: Field, value: serde_json::Value) -> Result<Value<'static>, String> {
    let json = json!({"x": value});
    let root = Node { value: &json, place: None };
    let mapping = Mapping::Read(read);
    mapping.hear(kind(field), &Words::default(), &root, &root, |_| {}).said.value(field)
}

#[test]
fn hashes_are_taken_out_of_a_text_by_their_name() {
    let hash = |name, field, text: &str| {
        scalar(Read { hash: Some(name), ..read(&["$.x"]) }, field, json!(text))
    };
    let sha256 = "c".repeat(64);
    let both = format!("MD5={},SHA1={},SHA256={sha256}", "d".repeat(32), S1.to_uppercase());
    let sha1 = |text: &str| hash(HashName::Sha1, Field::FileSha1, text);
    assert_eq!(sha1(&both), Ok(Value::Text(S1.into())));
    assert_eq!(sha1(&format!("sha-1:{S2}; md5:x")), Ok(Value::Text(S2.into())));
    let of_256 = hash(HashName::Sha256, Field::FileSha256, &both);
    assert_eq!(of_256, Ok(Value::Text(sha256.clone().into())));
    assert!(sha1(&format!("SHA256={sha256}")).unwrap_err().contains("names no SHA1"));
    assert!(sha1(&format!("SHA1={S1},SHA1={S2}")).unwrap_err().contains("more than one"));
    assert!(sha1(S1).unwrap_err().contains("names no SHA1"));
    assert!(sha1(&format!("SHA1={sha256}")).is_err());
}

#[test]
fn values_are_mapped_by_text_and_by_range_and_others_are_absent() {
    let values = Values {
        texts: vec![("crit".to_owned(), "critical".to_owned()), ("7".to_owned(), "Low".to_owned())],
        ranges: vec![(0.0, 6.0, "Low".to_owned()), (7.0, f64::INFINITY, "High".to_owned())],
    };
    let severity = |value| {
        let read = Read { values: Some(values.clone()), ..read(&["$.x"]) };
        scalar(read, Field::AlertSeverity, value)
    };
    let is = |text: &'static str| Ok(Value::Text(text.into()));
    assert_eq!(severity(json!("CRIT")), is("Critical"));
    assert_eq!(severity(json!(3)), is("Low"));
    assert_eq!(severity(json!("6")), is("Low"));
    assert_eq!(severity(json!(7)), is("Low"), "a text before a range");
    assert_eq!(severity(json!(7.5)), is("High"));
    for other in [json!(6.5), json!(-1), json!("high"), json!("NaN"), json!(true)] {
        assert!(severity(other.clone()).unwrap_err().contains("none of its values"), "{other}");
    }
    let plain = scalar(read(&["$.x"]), Field::AlertSeverity, json!("Sev-1"));
    assert!(plain.unwrap_err().contains("no value of it"), "a severity is one of those there are");
}

#[test]
fn times_paths_and_numbers_are_read_or_absent() {
    let time = |time, value| scalar(Read { time, ..read(&["$.x"]) }, Field::AlertCreated, value);
    let at = Ok(Value::Text("2026-03-02T08:14:09.000Z".into()));
    assert_eq!(time(Time::Seconds, json!(1_772_439_249)), at);
    assert_eq!(time(Time::Seconds, json!("1772439249")), at);
    assert_eq!(time(Time::Milliseconds, json!(1_772_439_249_000_u64)), at);
    assert!(time(Time::Seconds, json!(1_772_439_249_000_u64)).is_err(), "another unit");
    assert!(time(Time::Milliseconds, json!(1_772_439_249)).is_err());
    assert!(time(Time::Text, json!(1_772_439_249)).unwrap_err().contains("time: seconds or"));
    assert!(time(Time::Text, json!("yesterday")).is_err());
    for text in ["2026-03-02T08:14:09.114+0000", "2026-03-02T08:14:09.1234567"] {
        assert_eq!(time(Time::Text, json!(text)), Ok(Value::Text(text.into())));
    }
    let long = |field| scalar(read(&["$.x"]), field, json!("x".repeat(4097))).is_ok();
    assert!(!long(Field::AlertTitle) && long(Field::FileName), "all candidates share the first");
    let part =
        |part, field, text| scalar(Read { part: Some(part), ..read(&["$.x"]) }, field, json!(text));
    for (path, directory, name) in [
        ("C:\\a\\b.exe", "C:\\a", "b.exe"),
        ("c:/a b/c", "c:\\a b", "c"),
        ("C:\\b.exe", "C:\\", "b.exe"),
        ("/b", "\\", "b"),
    ] {
        let shown = part(Part::Directory, Field::FilePath, path);
        assert_eq!(shown, Ok(Value::Text(directory.into())), "{path}");
        assert_eq!(part(Part::Name, Field::FileName, path), Ok(Value::Text(name.into())));
    }
    assert!(part(Part::Directory, Field::FilePath, "b.exe").is_err());
    let size = |value| scalar(read(&["$.x"]), Field::FileSize, value);
    assert_eq!(size(json!(5)), Ok(Value::Number(5)));
    assert_eq!(size(json!("5")), Ok(Value::Number(5)));
    assert!(size(json!(5.5)).is_err() && size(json!("5 KB")).is_err());
}

#[test]
fn of_several_paths_the_first_that_says_something_counts() {
    let text = |json: serde_json::Value, default: Option<&str>| {
        let mapping = Mapping::Read(Read {
            default: default.map(str::to_owned),
            ..read(&["$.a", "$.b[*]", "$.c"])
        });
        let root = Node { value: &json, place: None };
        let heard = mapping.hear(Kind::Text, &Words::default(), &root, &root, |_| {});
        heard.said.value(Field::FileEntity)
    };
    let is = |text: &'static str| Ok(Value::Text(text.into()));
    assert_eq!(text(json!({"a": null, "b": [], "c": "x"}), None), is("x"));
    assert_eq!(text(json!({"a": "x", "c": "y"}), None), is("x"));
    let two = text(json!({"b": ["x", "y"], "c": "z"}), Some("File"));
    assert!(two.is_err(), "what can't be used is not passed over, nor made up for: {two:?}");
    assert_eq!(text(json!({"b": []}), Some("file")), is("File"));
    assert_eq!(text(json!({}), None), Ok(Value::Absent));
}

#[test]
fn a_host_is_looked_up_and_an_id_needs_no_table() {
    let mut format = flat();
    let id = MachineId::parse(M1).unwrap();
    format.hosts = Some(Hosts::new("machines.csv", [("pc1.contoso.example", id)]));
    let machine = |name: &str| {
        let alert = json!({"id": "a", "files": [{"machine": name, "sha1": S1}]});
        let alert = decode(&format, alert);
        (pairs(&alert).remove(0).0, alert.candidates[0].fields.get(Field::MachineId).clone())
    };
    assert_eq!(machine("PC1"), (M1.to_owned(), Value::Text(M1.into())));
    assert_eq!(machine(M2), (M2.to_owned(), Value::Text(M2.into())));
    let (why, field) = machine("pc");
    assert_eq!(why, "machine.id is the host \"pc\", which machines.csv does not have");
    assert_eq!(field, Value::Absent);
}

#[test]
fn an_alert_of_more_files_than_any_has_is_unreadable() {
    let files = vec![json!({"machine": M1, "sha1": S1}); 1001];
    let why = flat().decode(&json!({"id": "a", "files": files}).to_string()).unwrap_err();
    assert!(why.to_string().contains("no real alert has over 1000"), "{why}");
}

#[test]
fn what_is_read_and_what_is_not_is_explained() {
    let alert = json!({"id": "a", "title": ["x"], "extra": {"b c": [1]},
        "files": [{"machine": M1, "sha1": S1, "name": "n", "size": 5}]});
    let explained = flat().explain(&alert.to_string()).unwrap();
    let mut shown = String::new();
    for told in explained.alert.iter().chain(&explained.candidates[0].1) {
        let from = told.from.as_deref().unwrap_or("-");
        let why = told.why.as_deref().unwrap_or("-");
        writeln!(shown, "{} {from} {why}", told.name).unwrap();
    }
    assert_eq!(
        shown,
        "\
alert.id $.id -
tenant_id - -
alert.title $.title is a list, and only one value can be
alert.created - -
alert.techniques - -
machine.id $.files[0].machine -
file.sha1 $.files[0].sha1 -
file.name $.files[0].name -
"
    );
    assert_eq!(explained.unread, ["$.extra['b c'][0]", "$.files[0].size"]);
}

#[test]
fn a_host_that_no_list_has_is_asked_for_and_then_known() {
    let id = |n: u8| MachineId::from_bytes([n; 20]);
    let fields = [(Field::MachineId, "@.host"), (Field::FileSha1, "@.sha1")];
    let mut mapped = mapped(vec![block(&["$.files[*]"], &fields)]);
    mapped.asks_defender = true;
    mapped.hosts = Some(Hosts::new("machines.csv", [("pc1.example", id(1))]));
    let sha1 = "2af58d1c7e9034b6d8c2a1f7405e9b63cc18d702";
    let file = |host: &str| format!(r#"{{"host":{host:?},"sha1":"{sha1}"}}"#);
    let hosts = ["pc1.example", "pc2.example", "10.0.0.1", "pc 3", &id(4).to_string()];
    let files = hosts.map(file).join(",");
    let alert = format!(r#"{{"id":"a","files":[{files}]}}"#);
    let read = mapped.decode(&alert).unwrap();
    assert_eq!(read.asks, [Ask::Host("pc2.example".to_owned())]);
    let machines: Vec<_> = read.candidates.iter().map(|one| one.machine.clone().ok()).collect();
    assert_eq!(machines, [Some(id(1)), None, None, None, Some(id(4))]);
    let answers = [
        ("pc2.example", [("PC2.example".to_owned(), id(2))]),
        ("pc1.example", [("pc1.example".to_owned(), id(9))]),
    ];
    let told = ToldHosts::new(answers.iter().map(|(host, machines)| (*host, &machines[..])));
    let read = mapped.decode_knowing(&alert, &told).unwrap();
    let machines: Vec<_> = read.candidates.iter().map(|one| one.machine.clone().ok()).collect();
    assert_eq!(
        machines,
        [Some(id(1)), Some(id(2)), None, None, Some(id(4))],
        "the list goes first"
    );
    assert!(read.asks.is_empty());
    let why = read.candidates[2].machine.clone().unwrap_err();
    assert_eq!(why.0, "machine.id is the host \"10.0.0.1\", of which Defender told nothing");
    mapped.asks_defender = false;
    assert!(mapped.decode(&alert).unwrap().asks.is_empty());
}

fn pairs_knowing(answers: Vec<(&str, crate::domain::lookup::Told)>) -> Vec<(String, String)> {
    use crate::domain::alert::Ask;
    let mut format = flat();
    format.asks_defender = true;
    let alert = json!({"id": "a", "at": "2026-01-13T09:28:36Z", "files": [
        {"machine": "pc1", "sha1": S1}, {"machine": "pc1.a.example", "sha1": S2}]})
    .to_string();
    let asks = format.decode(&alert).unwrap().asks;
    assert_eq!(asks, [Ask::Host("pc1".into()), Ask::Host("pc1.a.example".into())]);
    let reader = crate::formats::Reader::Mapped(std::sync::Arc::new(format));
    let answers = answers.into_iter().map(|(host, told)| (Ask::Host(host.into()), told)).collect();
    pairs(&crate::formats::completed(&reader, &alert, &answers).unwrap().0)
}

#[test]
fn a_host_that_was_not_told_gets_no_other_hosts_answer() {
    use crate::domain::lookup::Told;
    let m1 = MachineId::parse(M1).unwrap();
    let pairs = pairs_knowing(vec![
        ("pc1", Told::Nothing("Defender could not be asked in time".into())),
        ("pc1.a.example", Told::Machines(vec![("pc1.a.example".into(), m1)])),
    ]);
    assert_ne!(pairs[0].0, M1, "{pairs:?}");
}

#[test]
fn a_host_whose_own_machine_is_inactive_gets_no_other_hosts_answer() {
    use crate::domain::lookup::Told;
    let m1 = MachineId::parse(M1).unwrap();
    let pairs = pairs_knowing(vec![
        // By intake::asker::machines: the list has an inactive "pc1", so no other may be meant.
        ("pc1", Told::Machines(vec![])),
        ("pc1.a.example", Told::Machines(vec![("pc1.a.example".into(), m1)])),
    ]);
    assert_ne!(pairs[0].0, M1, "{pairs:?}");
}

#[test]
fn a_name_beside_a_machine_that_does_not_read_is_not_asked_for() {
    use crate::domain::alert::Ask;
    use crate::domain::lookup::Told;
    let mut format = flat();
    format.asks_defender = true;
    format.alert.push((Field::MachineName, path("$.name")));
    let alert = json!({"id": "a", "at": "2026-01-13T09:28:36Z", "name": "pc1.a.example",
        "files": [{"machine": {"no": "text"}, "sha1": S1}]});
    let machines = vec![("pc1.a.example".to_owned(), MachineId::parse(M1).unwrap())];
    let answers = [(Ask::Host("pc1.a.example".into()), Told::Machines(machines))];
    let reader = crate::formats::Reader::Mapped(std::sync::Arc::new(format));
    let read = crate::formats::completed(&reader, &alert.to_string(), &answers.into()).unwrap();
    assert!(read.0.candidates[0].machine.is_err(), "{:?}", read.0.candidates);
}
