//! The rules that ship: what they do with the samples, all together.

use super::*;
use crate::domain::action::HoldWhy;
use crate::domain::candidate::{Candidate, Field, Fields, Value};
use crate::domain::rule::{Judgement, Protection};
use crate::formats::{self, Format};

fn shipped(dir: &str) -> Checked {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), Wall(0))
}

#[test]
fn the_shipped_rules_pass_their_tests_and_only_observe_or_deny() {
    let checked = shipped("rules");
    assert!(checked.problems.is_empty(), "{}", Problems(checked.problems));
    assert_eq!(checked.rules.len(), 27);
    for rule in &checked.rules {
        // What a list has is for whoever edits it, and no test of a rule may need it.
        let is_list = rule.file.contains("protect-listed") || rule.file.contains("publishers");
        assert!(rule.tests >= if is_list { 1 } else { 3 }, "{}", rule.file);
        if let Response::Quarantine(response) = &rule.response {
            assert_eq!(response.mode, Mode::Observe, "{}", rule.file);
            assert!(rule.tests >= 6, "{}", rule.file);
        }
    }
    let acts = |rule: &&Listed| matches!(rule.response, Response::Quarantine(_));
    assert_eq!(checked.rules.iter().filter(acts).count(), 15);
    assert!(checked.trials.iter().all(|trial| trial.outcome.is_ok()));
}

#[test]
fn the_demonstration_acts_on_its_file_and_on_nothing_else() {
    let checked = shipped("rules/demo");
    assert!(checked.problems.is_empty(), "{}", Problems(checked.problems));
    let ruleset = checked.ruleset.unwrap();
    let json = include_str!("../../../rules/demo/samples/demo-alert.json");
    let alerts = formats::split(json.as_bytes()).unwrap();
    let alert = Format::DefenderAlert.decode_cut(&alerts[0]).unwrap();
    let mut acted = Vec::new();
    for candidate in &alert.candidates {
        if let Judgement::Act(wanted) = ruleset.judge(&candidate.fields, Mode::Enforce) {
            let machine = candidate.machine.as_ref().unwrap().to_string();
            let sha1 = candidate.sha1.as_ref().unwrap().to_string();
            acted.push((machine, sha1, wanted.comment.render(&candidate.fields)));
        }
    }
    assert_eq!(
        acted,
        [(
            "1e5bc9d7e413ddd7902c2932e418702b84d0cc07".to_owned(),
            "87662bc3d60e4200ceaf7aae249d1c343f4b83c9".to_owned(),
            "Stop and quarantine file on machine due to alert 441688558380765161_2136280442"
                .to_owned()
        )]
    );
}

/// What Graph calls things is what the rules call them, so that they need no second copy.
#[test]
fn the_shipped_rules_judge_a_graph_alert_as_one_of_the_other_api() {
    let enforced = |rule: &str| rule.replace("mode: observe", "mode: enforce");
    let rules = [
        ("m.yml", &*enforced(include_str!("../../../rules/quarantine-active-malware.yml"))),
        ("r.yml", &*enforced(include_str!("../../../rules/quarantine-ransomware.yml"))),
        ("t.yml", &*enforced(include_str!("../../../rules/quarantine-credential-theft-tools.yml"))),
        ("p.yml", include_str!("../../../rules/protect-false-positives.yml")),
        ("s.yml", include_str!("../../../rules/protect-microsoft-files.yml")),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let sample = |path: &str| fs::read_to_string(root.join(path)).ok();
    let ruleset = load_from(&rules, &sample).unwrap_or_else(|why| panic!("{why}")).ruleset;
    let sample = include_str!("../../formats/graph_alert/sample.json");
    let judged = |json: &str| {
        let alert = Format::GraphAlert.decode(json).unwrap();
        let judge = |candidate: &Candidate<'_>| match ruleset
            .judge(&candidate.fields, Mode::Enforce)
        {
            Judgement::Act(wanted) => wanted.by.to_owned(),
            Judgement::Hold { why: HoldWhy::Protection { fields, .. }, .. } => fields.join(", "),
            Judgement::Protected { .. } => "protected".to_owned(),
            Judgement::NoMatch { .. } => "no match".to_owned(),
            other => format!("{other:?}"),
        };
        alert.candidates.iter().map(judge).collect::<Vec<_>>()
    };
    let malware = "5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11";
    let ransomware = "8b0e9a57-2f64-4d8e-8a43-19c7d2e0b6f2";
    let tools = "c2f7d3a4-51be-4f1c-b6a9-7e3d80942c65";
    for (from, to, file) in [
        ("\"high\"", "\"high\"", malware),
        ("\"high\"", "\"medium\"", malware),
        ("\"high\"", "\"low\"", "no match"),
        ("\"high\"", "\"unknownFutureValue\"", "no match"),
        ("\"Malware\"", "\"Ransomware\"", ransomware),
        ("\"Malware\"", "\"CredentialAccess\"", "no match"),
        ("\"classification\": \"unknown\"", "\"classification\": null", malware),
        ("\"classification\": \"unknown\"", "\"classification\": \"falsePositive\"", "protected"),
        (
            "\"classification\": \"unknown\"",
            "\"classification\": \"unknownFutureValue\"",
            "alert.classification",
        ),
        ("\"new\"", "\"resolved\"", "no match"),
        ("\"detected\"", "\"blocked\"", "no match"),
        (r"C:\\Users\\msmith", r"C:\\Windows", "protected"),
    ] {
        assert!(sample.contains(from), "{from}");
        assert_eq!(judged(&sample.replace(from, to)), [file, "no match"], "{to}");
    }
    let stolen = sample.replace("\"Malware\"", "\"CredentialAccess\"");
    let stolen = stolen.replace("\"Dridex\"", "\"Mimikatz\"");
    assert_eq!(judged(&stolen), [tools, "no match"]);
}

/// Fills in what Defender would tell of a machine that runs this and is worth nothing special, and
/// of a file: one that is everywhere and of Windows, or one that is rare and that nobody signed.
fn tell(fields: &mut Fields<'_>, os: &'static str, is_windows: bool) {
    let text = |text: &'static str| Value::Text(text.into());
    let Value::Text(name) = fields.get(Field::FileName) else { return };
    let program = name.ends_with(".exe") || name.ends_with(".dll");
    let signer = if is_windows { text("Microsoft Windows") } else { Value::Empty };
    for (field, value) in [
        (Field::MachineOs, text(os)),
        (Field::MachineValue, text("Normal")),
        (Field::MachineTags, Value::Empty),
        (Field::FileSigner, signer),
        (Field::FilePrevalence, Value::Number(if is_windows { 40_000_000 } else { 3 })),
        (Field::FilePe, text(if program { "True" } else { "False" })),
    ] {
        if field == Field::MachineOs || matches!(fields.get(field), Value::Absent) {
            fields.set(field, value);
        }
    }
}

/// Each file of a sample, and the rules that act on it, by file name, or what else comes of it.
fn outcomes(
    (ruleset, listed): (&Ruleset, &[Listed]),
    sample: &str,
    os: &'static str,
) -> Vec<String> {
    let path = format!("{}/rules/samples/{sample}.json", env!("CARGO_MANIFEST_DIR"));
    let json = fs::read_to_string(path).unwrap();
    let is_graph = sample.starts_with("graph");
    let format = if is_graph { Format::GraphAlert } else { Format::DefenderAlert };
    let alerts = formats::split(json.as_bytes()).unwrap();
    let alert = format.decode_cut(&alerts[0]).unwrap();
    let one = |candidate: &Candidate<'_>| {
        let mut fields = candidate.fields.clone();
        let Value::Text(name) = fields.get(Field::FileName).clone() else { panic!("{fields:?}") };
        // Before Defender was asked: what decides is what it can tell.
        if let Protection::Unknown(unknown) = ruleset.protection(&fields) {
            let unknown = unknown.iter().flat_map(|(_, fields)| fields);
            for field in unknown.map(|field| Field::parse(field).unwrap()) {
                assert!(field.told_of().is_some(), "{sample}, {name}: {}", field.name());
            }
        }
        let process = *fields.get(Field::FileEntity) == Value::Text("Process".into());
        tell(&mut fields, os, process && name != "wmpnet.exe");
        let said = match ruleset.judge(&fields, Mode::Enforce) {
            Judgement::Act(wanted) => {
                let file = |id: &String| {
                    let rule = listed.iter().find(|rule| rule.id == *id).unwrap();
                    let name = Path::new(&rule.file).file_stem().unwrap().to_str().unwrap();
                    name.strip_prefix("quarantine-").unwrap().to_owned()
                };
                wanted.rules.iter().map(file).collect::<Vec<_>>().join(", ")
            }
            Judgement::Protected { .. } => "protected".to_owned(),
            Judgement::NoMatch { .. } => "no match".to_owned(),
            other => format!("{other:?}"),
        };
        format!("{name}: {said}")
    };
    alert.candidates.iter().map(one).collect()
}

#[test]
fn the_shipped_rules_together_act_on_what_is_to_go_and_on_nothing_else() {
    let Checked { ruleset, rules, .. } = shipped("rules");
    let ruleset = ruleset.unwrap().as_if_enforced();
    for (sample, wanted) in [
        (
            "defender-malware",
            &[
                "explorer.exe: no match",
                "invoice_4471.exe: ransomware-precursors, active-malware, mail-and-web-droppers, \
                 unsigned-rare-files",
            ] as &[&str],
        ),
        (
            "defender-ransomware",
            &[
                "vssadmin.exe: no match",
                "update_helper.exe: ransomware, unsigned-rare-files",
                "RESTORE-MY-FILES.txt: no match",
            ],
        ),
        (
            "defender-credential-theft",
            &["mk.exe: credential-theft-tools, unsigned-rare-files", "powershell.exe: no match"],
        ),
        (
            "defender-c2-beacon",
            &[
                "rundll32.exe: no match",
                "gfxcache.dll: c2-beacons, dropped-programs, unsigned-rare-files",
            ],
        ),
        (
            "defender-mail-attachment",
            &[
                "outlook.exe: no match",
                "Rechnung_2026-11.pdf.exe: mail-and-web-droppers, dropped-programs, \
                 unsigned-rare-files",
            ],
        ),
        (
            "defender-startup-item",
            &["sync_helper.exe: startup-items, dropped-programs, unsigned-rare-files"],
        ),
        (
            "defender-dropped-program",
            &[
                "powershell.exe: no match",
                "wmpnet.exe: unsigned-rare-files",
                "wmpnet.exe: dropped-programs, unsigned-rare-files",
                "Q4 figures.xlsx: no match",
            ],
        ),
        (
            "graph-malicious-verdict",
            &[
                "netscan32.exe: malicious-verdict, unsigned-rare-files",
                "setup_old.exe: protected",
                "nltest.exe: no match",
            ],
        ),
    ] {
        assert_eq!(outcomes((&ruleset, &rules), sample, "Windows11"), wanted, "{sample}");
        for os in ["WindowsServer2022", "Linux"] {
            for outcome in outcomes((&ruleset, &rules), sample, os) {
                let is_spared = outcome.ends_with(": protected") || outcome.ends_with(": no match");
                assert!(is_spared, "{os}: {outcome}");
            }
        }
    }
}

/// Deny rules must not hold what names a file and its place, once Defender has told the rest.
#[test]
fn the_shipped_rules_that_deny_need_nothing_that_nobody_can_tell() {
    let ruleset = shipped("rules").ruleset.unwrap();
    for format in ["crowdstrike", "generic", "splunk", "defender-xdr"] {
        let mut bare = Fields::default();
        for (field, text) in [
            (Field::AlertId, "a1"),
            (Field::AlertFormat, format),
            (Field::MachineId, "5f0c2a1be87d94f3360ba1c7d28e6495b03f7a1c"),
            (Field::FileSha1, "c41d7e9a05b3826ff0e1d7349ab56c28e07f9d13"),
            (Field::FileName, "invoice.exe"),
            (Field::FilePath, r"C:\Users\kim\Downloads"),
        ] {
            bare.set(field, Value::Text(text.into()));
        }
        assert!(matches!(ruleset.protection(&bare), Protection::Unknown(_)), "{format}");
        tell(&mut bare, "Windows11", false);
        assert_eq!(ruleset.protection(&bare), Protection::None, "{format}");
    }
}

#[test]
fn the_shipped_lists_protect_what_they_name() {
    let ruleset = shipped("rules").ruleset.unwrap();
    let protected = |name: &'static str, signer: Option<&'static str>, prevalence| {
        let mut fields = Fields::default();
        fields.set(Field::AlertFormat, Value::Text("generic".into()));
        fields.set(Field::FileName, Value::Text(name.into()));
        fields.set(Field::FilePath, Value::Text(r"C:\Users\Public".into()));
        let signer = signer.map_or(Value::Empty, |signer| Value::Text(signer.into()));
        fields.set(Field::FileSigner, signer);
        fields.set(Field::FilePrevalence, Value::Number(prevalence));
        tell(&mut fields, "Windows11", false);
        ruleset.protection(&fields)
    };
    let by = |id: &str| Protection::By(vec![id.to_owned()]);
    let publishers = by("7d6541ee-6fbb-4a11-9b10-01ca4135fc1c");
    assert_eq!(protected("browser.exe", Some("Mozilla Corporation"), 5), publishers);
    assert_eq!(protected("meeting.exe", Some("Zoom Communications, Inc."), 5), publishers);
    assert_eq!(protected("meeting.exe", Some("Zoom Communications"), 5), Protection::None);
    let tools = by("46249d2a-7f3f-40a3-852a-6d3fd593d43d");
    assert_eq!(protected("NLTest.exe", None, 12_000), tools);
    assert_eq!(protected("nltest.exe", None, 12), Protection::None);
    assert_eq!(protected("other.exe", None, 12_000), Protection::None);
}
