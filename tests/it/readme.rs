//! What the README shows is true.

use std::path::Path;

use crate::world::{Setting, World};

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The text between the first fence of this kind and its end.
fn block<'a>(text: &'a str, fence: &str) -> &'a str {
    let start = text.find(fence).unwrap() + fence.len();
    let end = text[start..].find("```").unwrap();
    &text[start..start + end]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_it_shows_loads_and_passes_its_tests() {
    let world = World::new(Setting::default()).await;
    let dir = world.dir.path().join("shown");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/samples");
    std::fs::create_dir_all(dir.join("samples")).unwrap();
    for sample in std::fs::read_dir(samples).unwrap() {
        let sample = sample.unwrap();
        std::fs::copy(sample.path(), dir.join("samples").join(sample.file_name())).unwrap();
    }
    let text = readme();
    let rule = format!("title{}", block(&text, "```yaml\ntitle"));
    std::fs::write(dir.join("rule.yml"), rule).unwrap();
    let tested = world.command(&["rules", "test", dir.to_str().unwrap()]).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
    assert!(String::from_utf8_lossy(&tested.stdout).contains("2 passed, 0 failed"));
}

#[test]
fn every_key_of_the_example_configuration_is_explained() {
    let text = readme();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("lazaret.example.yaml");
    for line in std::fs::read_to_string(example).unwrap().lines() {
        let line = line.trim_start().trim_start_matches("# ").trim_start_matches("- ");
        let Some((key, _)) = line.split_once(':') else { continue };
        if key.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '-') && key.len() > 2 {
            assert!(text.contains(key), "the README does not name {key}");
        }
    }
}
