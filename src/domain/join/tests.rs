//! Rows that complete an alert, in every order and with every gap.

use super::*;
use crate::domain::candidate::Candidate;
use crate::domain::dice::Dice;

mod order;

const SECOND: Duration = Duration::from_secs(1);
const WAITS: Waits = Waits { settle: Duration::from_secs(120), expire: Duration::from_secs(1800) };
const START: Wall = Wall(1_000_000_000_000);

fn machine(number: u8) -> MachineId {
    MachineId::parse(&format!("{number:02x}").repeat(20)).unwrap()
}

fn sha1(number: u8) -> Sha1 {
    Sha1::parse(&format!("{number:02x}").repeat(20)).unwrap()
}

fn snapshot(fields: &[(Field, &str)]) -> String {
    let mut all = Fields::default();
    for (field, text) in fields {
        all.set_text(*field, (*text).to_owned());
    }
    serde_json::to_string(&all).unwrap()
}

fn at(second: i64, part: Part) -> Row {
    Row { alert: "a".to_owned(), time: Wall(second * 1_000_000), part }
}

fn alert_row(severity: &str) -> Row {
    let fields = snapshot(&[(Field::AlertId, "a"), (Field::AlertSeverity, severity)]);
    at(0, Part::Alert { created: Some(START), fields })
}

fn machine_row(number: u8) -> Row {
    let fields = snapshot(&[(Field::MachineName, "ws")]);
    at(0, Part::Machine { machine: Ok(machine(number)), fields })
}

fn file_row(file: u8, machine: Stated) -> Row {
    versioned(0, "Detected", file, machine)
}

fn versioned(second: i64, status: &str, file: u8, machine: Stated) -> Row {
    let fields = snapshot(&[(Field::FileEntity, "File"), (Field::FileDetectionStatus, status)]);
    let since = Some(START + Duration::from_secs(second as u64));
    let key = format!("{file}|{machine:?}");
    at(second, Part::File(File { key, machine, sha1: Ok(sha1(file)), since, fields }))
}

fn on(number: u8) -> Stated {
    Stated::Is(machine(number))
}

/// One alert, as a store keeps it, with the time turned by hand.
struct World {
    partial: Partial,
    opened: Wall,
    touched: Wall,
    now: Wall,
}

/// A candidate: machine and file, or what it lacks.
type Pair = Result<(MachineId, Sha1), String>;

impl World {
    fn new() -> Self {
        Self { partial: Partial::default(), opened: START, touched: START, now: START }
    }

    /// A row comes; what can be told is.
    fn comes(&mut self, row: Row) -> Vec<Pair> {
        let waited = self.partial.waits();
        if self.partial.add(row) == Added::Changed {
            self.touched = self.now;
            self.opened = if waited { self.opened } else { self.now };
        }
        self.ends()
    }

    fn passes(&mut self, span: Duration) -> Vec<Pair> {
        self.now = self.now + span;
        self.ends()
    }

    fn ends(&mut self) -> Vec<Pair> {
        let before = self.partial.due(self.opened, self.touched, WAITS);
        let ended = self.partial.end(self.now, self.opened, self.touched, WAITS, "a");
        let due = before.is_some_and(|due| due <= self.now);
        assert_eq!(due, ended.is_some(), "due and end say the same");
        let Some(ended) = ended else { return Vec::new() };
        let pair = |candidate: Candidate<'_>| match (candidate.machine, candidate.sha1) {
            _ if ended.lacks.is_some() => Err(ended.lacks.clone().unwrap()),
            (Ok(machine), Ok(sha1)) => Ok((machine, sha1)),
            (Err(why), _) | (_, Err(why)) => Err(why.0),
        };
        ended.alert.candidates.into_iter().map(pair).collect()
    }
}

fn pairs(told: Vec<Pair>) -> Vec<(MachineId, Sha1)> {
    let mut pairs: Vec<_> = told.into_iter().map(|pair| pair.unwrap()).collect();
    pairs.sort();
    pairs.dedup();
    pairs
}

#[test]
fn a_file_that_names_its_machine_waits_for_its_alert_only() {
    let mut world = World::new();
    assert!(world.comes(file_row(1, on(7))).is_empty());
    assert_eq!(pairs(world.comes(alert_row("High"))), [(machine(7), sha1(1))]);
    assert!(!world.partial.waits());
    // In the other order, the file is told at once.
    let mut world = World::new();
    assert!(world.comes(alert_row("High")).is_empty());
    assert_eq!(pairs(world.comes(file_row(1, on(7)))), [(machine(7), sha1(1))]);
}

#[test]
fn two_machines_and_two_files_give_the_pairs_that_are_stated() {
    let mut world = World::new();
    let mut told = Vec::new();
    for row in [machine_row(7), machine_row(8), file_row(1, on(7)), file_row(2, on(8))] {
        told.extend(world.comes(row));
    }
    told.extend(world.comes(alert_row("High")));
    told.extend(world.passes(WAITS.expire));
    assert_eq!(pairs(told), [(machine(7), sha1(1)), (machine(8), sha1(2))]);
}

#[test]
fn a_file_that_names_no_machine_gets_the_only_one_once_the_rows_have_settled() {
    let mut world = World::new();
    world.comes(alert_row("High"));
    world.comes(machine_row(7));
    assert!(world.comes(file_row(1, Stated::Nothing)).is_empty());
    assert!(world.passes(WAITS.settle - SECOND).is_empty());
    // Another row begins the quiet anew, but one that tells nothing new does not.
    assert!(world.comes(file_row(2, Stated::Nothing)).is_empty());
    assert!(world.passes(WAITS.settle - SECOND).is_empty());
    assert!(world.comes(machine_row(7)).is_empty());
    assert_eq!(pairs(world.passes(SECOND)), [(machine(7), sha1(1)), (machine(7), sha1(2))]);
}

#[test]
fn with_two_machines_nobody_can_tell_which() {
    let mention = at(0, Part::Mention(Ok(machine(8))));
    for other in [machine_row(8), file_row(2, on(8)), mention] {
        let mut world = World::new();
        for row in [alert_row("High"), machine_row(7), file_row(1, Stated::Nothing)] {
            world.comes(row);
        }
        world.comes(other);
        let told = world.passes(WAITS.settle);
        let why = "its row names no machine, and its alert has 2".to_owned();
        assert_eq!(told, [Err(why)]);
    }
}

#[test]
fn a_machine_that_is_only_mentioned_is_no_files_machine() {
    let mention = || at(0, Part::Mention(Ok(machine(7))));
    let mut world = World::new();
    world.comes(mention());
    assert!(world.partial.waits(), "its alert is to come, or ends as one that did not");
    world.comes(alert_row("High"));
    world.comes(file_row(1, Stated::Nothing));
    assert!(world.passes(WAITS.settle).is_empty());
    assert!(world.passes(WAITS.expire)[0].as_ref().unwrap_err().contains("no Machine row"));
    // Its own row makes it one, and being mentioned again changes nothing.
    world.comes(machine_row(7));
    world.comes(mention());
    assert_eq!(pairs(world.passes(WAITS.settle)), [(machine(7), sha1(1))]);
}

#[test]
fn a_machine_without_a_usable_id_is_another_one() {
    let unusable = Stated::Unusable("DeviceId is a GUID".to_owned());
    let nameless = at(0, Part::Machine { machine: Err("no id".to_owned()), fields: snapshot(&[]) });
    for other in [file_row(2, unusable), nameless] {
        let mut world = World::new();
        for row in [alert_row("High"), machine_row(7), file_row(1, Stated::Nothing), other] {
            world.comes(row);
        }
        let told = world.passes(WAITS.settle);
        assert!(told[0].as_ref().unwrap_err().contains("has 2"), "{told:?}");
    }
    // As the only one it says itself why.
    let mut world = World::new();
    let nameless = at(0, Part::Machine { machine: Err("no id".to_owned()), fields: snapshot(&[]) });
    for row in [alert_row("High"), file_row(1, Stated::Nothing), nameless] {
        world.comes(row);
    }
    assert_eq!(world.passes(WAITS.settle), [Err("no id".to_owned())]);
}

#[test]
fn what_never_completes_ends_with_what_was_missing() {
    let mut world = World::new();
    world.comes(file_row(1, on(7)));
    assert!(world.passes(WAITS.expire - SECOND).is_empty());
    let told = world.passes(SECOND);
    let lacks = "the row of the alert itself (AlertInfo) did not come within 30m";
    assert_eq!(told, [Err(lacks.to_owned())]);

    let mut world = World::new();
    world.comes(alert_row("High"));
    world.comes(file_row(1, Stated::Nothing));
    assert!(world.passes(WAITS.expire - SECOND).is_empty());
    let lacks = "its row names no machine, and no Machine row came within 30m";
    assert_eq!(world.passes(SECOND), [Err(lacks.to_owned())]);

    // An alert without a file, and a machine without an alert, end too, and once.
    for row in [alert_row("High"), machine_row(7)] {
        let mut world = World::new();
        world.comes(row);
        assert!(world.partial.waits());
        assert!(world.passes(WAITS.expire).is_empty());
        assert!(!world.partial.waits());
    }
}

#[test]
fn what_was_missing_may_still_come() {
    let mut world = World::new();
    world.comes(file_row(1, on(7)));
    world.passes(WAITS.expire);
    assert_eq!(pairs(world.comes(alert_row("High"))), [(machine(7), sha1(1))]);

    let mut world = World::new();
    world.comes(alert_row("High"));
    world.comes(file_row(1, Stated::Nothing));
    world.passes(WAITS.expire);
    assert!(world.comes(machine_row(7)).is_empty());
    assert_eq!(pairs(world.passes(WAITS.settle)), [(machine(7), sha1(1))]);
}

#[test]
fn late_evidence_makes_new_candidates_and_republished_evidence_none() {
    let mut world = World::new();
    world.comes(alert_row("High"));
    assert_eq!(world.comes(file_row(1, on(7))).len(), 1);
    world.now = world.now + Duration::from_secs(20 * 3600);
    assert!(world.comes(versioned(9, "Detected", 1, on(7))).is_empty(), "published again");
    assert_eq!(pairs(world.comes(file_row(2, on(8)))), [(machine(8), sha1(2))]);
    // What it says anew is judged anew, and an alert that says something else is all judged anew.
    assert_eq!(world.comes(versioned(10, "Blocked", 1, on(7))).len(), 1);
    assert!(world.comes(alert_row("High")).is_empty());
    let mut raised = alert_row("Critical");
    raised.time = Wall(60_000_000);
    assert_eq!(world.comes(raised).len(), 2);
}

#[test]
fn published_again_evidence_is_no_younger() {
    let mut world = World::new();
    world.comes(versioned(5, "Detected", 1, on(7)));
    world.comes(versioned(90, "Blocked", 1, on(7)));
    world.comes(alert_row("High"));
    assert_eq!(world.partial.files[0].since, Some(START + 5 * SECOND));
}

#[test]
fn more_files_than_an_alert_can_have_are_refused() {
    let mut partial = Partial::default();
    let numbered = |number: usize| {
        let Row { part: Part::File(file), time, alert } = file_row(1, on(7)) else { panic!() };
        Row { alert, time, part: Part::File(File { key: number.to_string(), ..file }) }
    };
    for number in 0..JOIN_FILES_PER_ALERT {
        assert_eq!(partial.add(numbered(number)), Added::Changed);
    }
    assert_eq!(partial.add(numbered(JOIN_FILES_PER_ALERT)), Added::TooMany);
    assert_eq!(partial.add(numbered(0)), Added::Nothing);
}

#[test]
fn fields_come_from_the_alert_its_machine_and_the_file_and_the_file_goes_first() {
    let mut world = World::new();
    world.comes(machine_row(7));
    world.comes(file_row(1, on(7)));
    world.partial.add(alert_row("High"));
    let ended = world.partial.end(START, START, START, WAITS, "a").unwrap();
    let fields = &ended.alert.candidates[0].fields;
    let text = |field| match fields.get(field) {
        Value::Text(text) => text.to_string(),
        other => panic!("{field:?}: {other:?}"),
    };
    assert_eq!(text(Field::AlertSeverity), "High");
    assert_eq!(text(Field::MachineName), "ws");
    assert_eq!(text(Field::MachineId), machine(7).to_string());
    assert_eq!(text(Field::FileEntity), "File");
    assert_eq!(ended.alert.created, Some(START));
}

/// The same rows in any order, some of them twice and some in two versions, come to the same
/// state, and tell the same pairs.
#[test]
fn the_order_of_arrival_does_not_matter() {
    for seed in 0..500 {
        let mut dice = Dice::new(seed);
        let mut rows = vec![alert_row("High")];
        for _ in 0..dice.below(3) {
            let number = u8::try_from(7 + dice.below(2)).unwrap();
            let mention = at(0, Part::Mention(Ok(machine(number))));
            rows.push(if dice.chance(300) { mention } else { machine_row(number) });
        }
        for file in 0..1 + dice.below(4) {
            let stated = match dice.below(4) {
                0 => Stated::Nothing,
                1 => Stated::Unusable("it is a name".to_owned()),
                _ => on(u8::try_from(7 + dice.below(2)).unwrap()),
            };
            for version in 0..=dice.below(2) {
                let status = if version == 0 { "Detected" } else { "Blocked" };
                let version = i64::try_from(version).unwrap();
                rows.push(versioned(version, status, 1 + file as u8, stated.clone()));
            }
        }
        let mut seen = Vec::new();
        for _ in 0..4 {
            for at in (1..rows.len()).rev() {
                rows.swap(at, usize::try_from(dice.below(at as u64 + 1)).unwrap());
            }
            let mut world = World::new();
            let mut told = Vec::new();
            for row in &rows {
                told.extend(world.comes(row.clone()));
                if dice.chance(300) {
                    told.extend(world.comes(row.clone()));
                }
            }
            told.extend(world.passes(WAITS.expire));
            let mut told: Vec<String> = told.iter().map(|pair| format!("{pair:?}")).collect();
            told.sort();
            told.dedup();
            seen.push(told);
        }
        assert!(seen.iter().all(|told| *told == seen[0]), "seed {seed}: {seen:#?}");
    }
}

#[test]
fn what_lies_unread_is_not_taken_for_what_did_not_come() {
    let mut world = World::new();
    for row in [alert_row("High"), machine_row(7), file_row(1, Stated::Nothing)] {
        world.comes(row);
    }
    world.comes(file_row(2, on(7)));
    // A stop, or a backlog: time passes, and nothing is read meanwhile.
    let read_up_to = START + WAITS.settle - SECOND;
    let later = START + 2 * WAITS.expire;
    assert!(world.partial.due(START, START, WAITS).unwrap() < later);
    assert!(world.partial.end(read_up_to, START, START, WAITS, "a").is_none());
    world.now = START + WAITS.settle;
    assert_eq!(pairs(world.ends()), [(machine(7), sha1(1))]);
}

#[test]
fn what_expires_before_it_has_settled_gets_no_machine() {
    let mut world = World::new();
    world.comes(alert_row("High"));
    world.comes(file_row(1, Stated::Nothing));
    world.passes(WAITS.expire - SECOND);
    world.comes(machine_row(7));
    let told = world.passes(SECOND);
    assert_eq!(
        told,
        [Err("its row names no machine, and rows of its alert still came".to_owned())]
    );
}

#[test]
fn a_machines_name_that_comes_later_has_its_files_judged_again_once() {
    let mut world = World::new();
    world.comes(alert_row("High"));
    assert_eq!(world.comes(file_row(1, on(7))).len(), 1);
    assert_eq!(world.comes(machine_row(7)).len(), 1);
    assert!(world.comes(machine_row(7)).is_empty());
    assert!(world.comes(machine_row(8)).is_empty(), "another's name is not theirs");
}

#[test]
fn rows_that_were_not_taken_could_have_named_another_machine() {
    let mut partial = Partial::default();
    let huge = |number: usize| {
        let Row { part: Part::File(file), time, alert } = file_row(1, on(7)) else { panic!() };
        let fields = "x".repeat(JOIN_BYTES_PER_ALERT / 2);
        Row { alert, time, part: Part::File(File { key: number.to_string(), fields, ..file }) }
    };
    partial.add(alert_row("High"));
    partial.add(machine_row(7));
    partial.add(file_row(2, Stated::Nothing));
    assert_eq!(partial.add(huge(1)), Added::Changed);
    assert_eq!(partial.add(huge(2)), Added::TooMany);
    let ended = partial.end(START + WAITS.settle, START, START, WAITS, "a").unwrap();
    let unstated = ended.alert.candidates.iter().find(|one| one.sha1 == Ok(sha1(2))).unwrap();
    assert!(unstated.machine.as_ref().unwrap_err().0.contains("could be kept"));
}

#[test]
fn the_same_file_told_of_by_another_path_is_no_younger() {
    let mut world = World::new();
    world.comes(versioned(5, "Detected", 1, on(7)));
    let Row { part: Part::File(file), time, alert } = versioned(90, "Detected", 1, on(7)) else {
        panic!()
    };
    let moved = File { key: "elsewhere".to_owned(), ..file };
    world.comes(Row { alert, time, part: Part::File(moved) });
    world.comes(versioned(90, "Detected", 1, on(8)));
    let told = world.partial.end_all("a").unwrap().alert.candidates;
    let since: Vec<_> = told.iter().map(|one| one.evidence).collect();
    let (first, other) = (Some(START + 5 * SECOND), Some(START + 90 * SECOND));
    assert_eq!(since, [first, first, other], "the last one is on another machine");
}
