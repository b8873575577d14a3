//! The rule, and the formats of this project that read one alert at a time, come to the truth.

use std::collections::BTreeSet;

use super::{AlertKey, Call, RULE, SAMPLE, Shape, generate, settings, tenant};
use crate::domain::rule::{Judgement, Mode};
use crate::domain::time::Wall;
use crate::formats;
use crate::rules::{self, Loaded};

fn rule() -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let sample = dir.path().join(SAMPLE.0);
    std::fs::create_dir_all(sample.parent().unwrap()).unwrap();
    std::fs::write(sample, SAMPLE.1).unwrap();
    std::fs::write(dir.path().join("generated.yml"), RULE).unwrap();
    let loaded = rules::load(dir.path(), Wall(0)).unwrap_or_else(|why| panic!("{why}"));
    assert!(loaded.warnings.is_empty());
    loaded
}

#[test]
fn the_rule_loads_and_passes_its_tests() {
    assert_eq!(rule().ruleset.rules().len(), 1);
}

#[test]
fn alerts_of_one_document_lead_to_their_truth() {
    let loaded = rule();
    for (shape, name) in
        [(Shape::DefenderAlert, "defender-alert"), (Shape::GraphAlert, "graph-alert")]
    {
        let traffic = generate(&settings(shape, 600));
        let format = loaded.formats.find(name).unwrap();
        let known: BTreeSet<_> = (0..3).map(tenant).collect();
        let mut truth = BTreeSet::new();
        let mut incomplete: BTreeSet<AlertKey> = BTreeSet::new();
        for message in &traffic.messages {
            for cut in &formats::split(message.as_bytes()).unwrap() {
                let alert = format.decode_cut(cut).unwrap();
                let tenant = alert.tenant_id.clone().unwrap().into_owned();
                for candidate in alert.candidates.iter().filter(|_| known.contains(&tenant)) {
                    let judged = loaded.ruleset.judge(&candidate.fields, Mode::Enforce);
                    match (judged, &candidate.machine, &candidate.sha1) {
                        (Judgement::NoMatch { .. }, ..) => {}
                        (Judgement::Act(_), Ok(machine), Ok(sha1)) => {
                            let (machine, sha1) = (machine.to_string(), sha1.to_string());
                            truth.insert(Call { tenant: tenant.clone(), machine, sha1 });
                        }
                        (Judgement::Act(_), ..) => {
                            incomplete.insert((tenant.clone(), alert.id.clone().into_owned()));
                        }
                        _ => panic!("held or watched: {message}"),
                    }
                }
            }
        }
        assert_eq!(truth, traffic.expected.truth, "{name}");
        assert_eq!(incomplete, traffic.expected.incomplete, "{name}");
    }
}
