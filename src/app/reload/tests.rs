use std::fs;

use super::*;
use crate::domain::action::HoldWhy;
use crate::domain::candidate::{Field, Fields};
use crate::domain::rule::{Judgement, Mode};

/// Acts on the machines of a list, but for those of another.
const ACTS: &str = "\
title: Acts
id: 5d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11
logsource: {product: x}
detection:
  pilot: {machine.name|expand: '%pilot%'}
  condition: pilot
response:
  action: StopAndQuarantineFile
  comment: due to {{alert.id}}
  mode: approve
";

const DENIES: &str = "\
title: Denies
id: 7d6a1f0e-3c52-4c3b-9d0a-6f0f6b7d5a11
logsource: {product: x}
detection:
  spared: {machine.name|expand: '%spared%'}
  condition: spared
response:
  action: deny
  unknown: ignore
";

struct World {
    _data: tempfile::TempDir,
    rules: tempfile::TempDir,
    reload: Reload,
}

fn day(text: &str) -> Wall {
    Wall::parse(&format!("{text}T12:00:00Z")).unwrap()
}

impl World {
    fn new(now: Wall) -> Self {
        let (data, rules) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(rules.path().join("lists")).unwrap();
        for (name, text) in [
            ("acts.yml", ACTS),
            ("denies.yml", DENIES),
            ("lists/pilot.txt", "pc1 until 2026-12-31\npc2 until 2026-12-31\n"),
            ("lists/spared.txt", "pc2 until 2027-06-30\n"),
        ] {
            fs::write(rules.path().join(name), text).unwrap();
        }
        let loaded = rules::load(rules.path(), now).unwrap();
        let store = Arc::new(SqliteStore::open(&data.path().join("data"), 10).unwrap());
        let (in_force, known) = in_force(loaded, rules::fingerprint(rules.path()), now);
        let reload = Reload {
            dir: rules.path().to_owned(),
            rules: Arc::new(ArcSwap::from_pointee(in_force)),
            named: Vec::new(),
            refused: Refused::default(),
            store,
            clock: Arc::new(SystemClock::new()),
            recorded: known.set.clone(),
            known,
            seen: rules::fingerprint(rules.path()),
        };
        Self { _data: data, rules, reload }
    }

    /// What the rules in force say of these two machines.
    fn says(&self) -> [&'static str; 2] {
        ["pc1", "pc2"].map(|name| {
            let mut fields = Fields::default();
            fields.set_text(Field::MachineName, name);
            match self.reload.rules.load().ruleset.judge(&fields, Mode::Enforce) {
                Judgement::Hold { why: HoldWhy::Approval { .. }, .. } => "acts",
                Judgement::Protected { .. } => "protected",
                Judgement::NoMatch { .. } => "no match",
                other => panic!("{other:?}"),
            }
        })
    }
}

#[tokio::test]
async fn what_has_expired_ends_also_while_the_files_are_refused() {
    for broken in [false, true] {
        let mut world = World::new(day("2026-12-30"));
        assert_eq!(world.says(), ["acts", "protected"]);
        if broken {
            fs::write(world.rules.path().join("wrong.yml"), "title: [").unwrap();
        }
        for _ in 0..2 {
            world.reload.look(day("2026-12-31"), false).await;
        }
        assert_eq!(world.reload.refused.load().is_some(), broken);
        assert_eq!(world.says(), ["acts", "protected"], "to the end of its day");
        world.reload.look(day("2027-01-01"), false).await;
        assert_eq!(world.says(), ["no match", "no match"], "broken: {broken}");
        world.reload.look(day("2027-01-02"), false).await;
        assert_eq!(world.says(), ["no match", "no match"], "broken: {broken}");
        let loaded = world.reload.store.audit(0, 100).await.unwrap();
        let loaded = loaded.iter().filter(|line| line.what.as_deref() == Some("rules_loaded"));
        assert_eq!(loaded.count(), 1, "on the record");
    }
}

#[tokio::test]
async fn a_clock_that_was_ahead_for_a_moment_takes_no_protection_away() {
    let mut world = World::new(day("2026-12-30"));
    world.reload.look(day("2028-01-01"), false).await;
    assert_eq!(world.says(), ["no match", "no match"]);
    world.reload.look(day("2026-12-30"), false).await;
    assert_eq!(world.says(), ["acts", "protected"]);
}

#[tokio::test]
async fn what_could_not_be_put_on_the_record_is_put_there_later() {
    let mut world = World::new(day("2026-12-30"));
    let store = std::mem::replace(
        &mut world.reload.store,
        Arc::new(SqliteStore::open(&world.rules.path().join("other"), 10).unwrap()),
    );
    world.reload.store.close().await;
    world.reload.look(day("2027-01-01"), false).await;
    assert_eq!(world.says(), ["no match", "no match"], "protection waits for no disk");
    world.reload.store = store;
    world.reload.look(day("2027-01-01"), false).await;
    let record = world.reload.store.audit(0, 100).await.unwrap();
    let [line] = &record[..] else { panic!("{record:?}") };
    assert_eq!(line.what.as_deref(), Some("rules_loaded"));
    assert!(line.details().contains("list pilot"), "{}", line.details());
}

#[tokio::test]
async fn a_directory_that_was_emptied_takes_no_protection_away() {
    let mut world = World::new(day("2026-12-30"));
    for name in ["acts.yml", "denies.yml"] {
        fs::remove_file(world.rules.path().join(name)).unwrap();
    }
    for _ in 0..2 {
        world.reload.look(day("2026-12-30"), false).await;
    }
    assert_eq!(world.says(), ["acts", "protected"]);
    let why = world.reload.refused.load().as_deref().cloned().unwrap_or_default();
    assert!(why.starts_with("there are no rules"), "{why}");
}

/// Its hash covers the names of files, so the record has to name the new one.
#[tokio::test]
async fn a_set_that_is_being_copied_is_read_when_it_stands_still_and_a_new_name_is_on_the_record() {
    let mut world = World::new(day("2026-12-30"));
    let at = |name: &str| world.rules.path().join(name);
    let denies = fs::read(at("denies.yml")).unwrap();
    fs::remove_file(at("denies.yml")).unwrap();
    world.reload.look(day("2026-12-30"), false).await;
    assert_eq!(world.says(), ["acts", "protected"], "half a set");
    fs::write(world.rules.path().join("protects.yml"), denies).unwrap();
    world.reload.look(day("2026-12-30"), false).await;
    world.reload.look(day("2026-12-30"), false).await;
    assert_eq!(world.says(), ["acts", "protected"]);
    let record = world.reload.store.audit(0, 100).await.unwrap();
    let [line] = &record[..] else { panic!("{record:?}") };
    assert!(
        line.details().contains(world.reload.rules.load().ruleset.hash()),
        "{}",
        line.details()
    );
}
