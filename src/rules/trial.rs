//! Runs the tests inside rule files: each rule alone, in `enforce`, on its sample alerts. One that
//! denies is asked about every file of them, as if another rule would act on it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};

use super::case::{Case, Expect, NoMatch, Set};
use super::mismatch::{Mismatch, Side};
use crate::domain::action::HoldWhy;
use crate::domain::alert::severity_rank;
use crate::domain::candidate::{Candidate, Field, Incomplete, Value};
use crate::domain::ids::{MachineId, Sha1};
use crate::domain::rule::{Judgement, Mode, Protection, Rule, Ruleset};
use crate::domain::time::Wall;
use crate::formats::{self, Format, Formats, Reader};

/// What `alert.tenant` and `alert.source` are in a test that does not set them.
pub(super) const NAMED: &str = "test";

/// Reasons that are told where a test fails over what is unknown.
const WHYS: usize = 3;

/// What came out of a sample.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// What the rule acts on, or protects.
    pub targets: BTreeSet<(MachineId, Sha1)>,
    hold: BTreeSet<Field>,
    /// What Defender is asked for first.
    enrich: BTreeSet<Field>,
    /// Selections that stood against the rule.
    failed: BTreeSet<String>,
    /// What kept the rule from that, for each machine and file of the sample.
    pub against: BTreeMap<(MachineId, Sha1), Vec<String>>,
}

impl Came {
    /// One that is incomplete can't be acted on, whatever the rule says, and is not told.
    fn target(&mut self, candidate: &Candidate<'_>) {
        if let (Ok(machine), Ok(sha1)) = (&candidate.machine, &candidate.sha1) {
            self.targets.insert((*machine, *sha1));
        }
    }

    fn held(&mut self, candidate: &Candidate<'_>, fields: &[String]) {
        let unknown = fields.join(", ");
        self.keep(candidate, [format!("it is held, since {unknown} is unknown")]);
        self.hold.extend(fields.iter().filter_map(|name| Field::parse(name)));
    }

    fn asked(&mut self, candidate: &Candidate<'_>, fields: Vec<Field>) {
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        self.keep(candidate, [format!("Defender is asked for {} first", names.join(", "))]);
        self.enrich.extend(fields);
    }

    fn failed(&mut self, alone: &Ruleset, candidate: &Candidate<'_>) {
        for rule in alone.rules() {
            let against = alone.against(&rule.id, &candidate.fields);
            let decides = against.iter().filter(|against| against.decides);
            self.keep(candidate, decides.map(ToString::to_string));
            self.failed.extend(against.into_iter().map(|against| against.selection));
        }
    }

    pub(super) fn keep(
        &mut self,
        candidate: &Candidate<'_>,
        why: impl IntoIterator<Item = String>,
    ) {
        if let (Ok(machine), Ok(sha1)) = (&candidate.machine, &candidate.sha1) {
            self.against.entry((*machine, *sha1)).or_default().extend(why);
        }
    }
}

/// Why a test failed.
pub(super) enum Wrong {
    /// The sample is none.
    Sample(String),
    /// This came out instead: in one line, and in full.
    Outcome(String, Box<Mismatch>),
}

/// Runs one test of the only rule in `alone`.
pub(super) fn run(
    alone: &Ruleset,
    formats: &Formats,
    case: &Case,
    sample: &str,
) -> Result<(), Wrong> {
    let named = case.format.as_ref().and_then(|name| formats.find(&name.value).ok());
    let format = named.unwrap_or(&Reader::BuiltIn(Format::DefenderAlert));
    let path = &case.alert.value;
    let bad = |why: &dyn Display, how: &str| Wrong::Sample(format!("{path}: {why}{how}"));
    let cuts = format.cut(sample.as_bytes()).map_err(|why| bad(&why, ""))?;
    let how = match &case.format {
        Some(_) => "",
        None => "; where it is no defender-alert, format: NAME says which format it has",
    };
    let denies = alone.rules().iter().all(Rule::denies);
    let mut came = Came::default();
    let mut files = 0;
    for cut in &cuts {
        let mut alert = format.decode_cut(cut).map_err(|why| bad(&why, how))?;
        // As if it had come at once, so that `alert.age` is 0 unless the test sets it.
        let now = alert.created.unwrap_or(Wall(0));
        formats::came_by(&mut alert, NAMED, NAMED, now);
        files += alert.candidates.len();
        for mut candidate in alert.candidates {
            prepare(&mut candidate, &case.set);
            judge(alone, denies, &candidate, &mut came);
        }
    }
    if files == 0 {
        let why = "the sample has no file, so there is nothing to judge";
        return Err(Wrong::Sample(format!("{path}: {why}")));
    }
    compare(&case.expect, denies, &came).map_err(|why| {
        let mismatch = mismatch(&case.expect, denies, came);
        Wrong::Outcome(why, Box::new(mismatch))
    })
}

fn judge(alone: &Ruleset, denies: bool, candidate: &Candidate<'_>, came: &mut Came) {
    if denies {
        match alone.protection(&candidate.fields) {
            Protection::By(_) => came.target(candidate),
            Protection::Unknown(unknown) => {
                unknown.iter().for_each(|(_, fields)| came.held(candidate, fields));
            }
            Protection::None => came.failed(alone, candidate),
        }
        return;
    }
    match alone.judge(&candidate.fields, Mode::Enforce) {
        Judgement::Act(_) => came.target(candidate),
        Judgement::Enrich { fields, .. } => came.asked(candidate, fields),
        Judgement::Hold { why: HoldWhy::Unknown { fields, .. }, .. } => {
            came.held(candidate, &fields);
        }
        Judgement::Hold { .. }
        | Judgement::Observe { .. }
        | Judgement::Protected { .. }
        | Judgement::NoMatch { .. } => came.failed(alone, candidate),
    }
}

/// Applies `set` and `absent`. What follows from a field follows it: the severity's rank, and the
/// machine and the hash that a call would name.
pub(super) fn prepare<'a>(candidate: &mut Candidate<'a>, set: &'a [(Field, Set)]) {
    for (field, value) in set {
        let value = match value {
            Set::Absent => Value::Absent,
            Set::Empty => Value::Empty,
            Set::Text(text) => Value::Text(Cow::Borrowed(text)),
            Set::Number(number) => Value::Number(*number),
            Set::List(list) => {
                Value::List(list.iter().map(|item| Cow::Borrowed(item.as_str())).collect())
            }
        };
        let text = match &value {
            Value::Text(text) => text.clone(),
            _ => Cow::Borrowed(""),
        };
        match field {
            Field::AlertSeverity => {
                let rank = match value {
                    Value::Text(_) => Value::Number(severity_rank(&text)),
                    _ => Value::Absent,
                };
                candidate.fields.set(Field::AlertSeverityRank, rank);
            }
            Field::MachineId => {
                candidate.machine = MachineId::parse(&text).map_err(|e| Incomplete(e.to_string()));
            }
            Field::FileSha1 => {
                candidate.sha1 = Sha1::parse(&text).map_err(|e| Incomplete(e.to_string()));
            }
            _ => {}
        }
        candidate.fields.set(*field, value);
    }
}

pub(super) fn compare(expect: &Expect, denies: bool, came: &Came) -> Result<(), String> {
    let mut wrong = String::new();
    let targets: BTreeSet<(MachineId, Sha1)> = expect.targets.iter().copied().collect();
    if targets != came.targets {
        let list = |targets: &BTreeSet<(MachineId, Sha1)>| {
            let one = |(machine, sha1): &(MachineId, Sha1)| {
                format!("{{machine: {machine}, sha1: {sha1}}}")
            };
            targets.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let (should, does) = match denies {
            true => ("protect", "protects"),
            false => ("act on", "acts on"),
        };
        let (want, is) = (list(&targets), list(&came.targets));
        let _ = write!(wrong, "it should {should} [{want}] and {does} [{is}]");
        let mut told = BTreeSet::new();
        for missed in targets.difference(&came.targets) {
            let none = ["the sample has no such file on such a machine".to_owned()];
            for why in came.against.get(missed).map_or(none.as_slice(), Vec::as_slice) {
                if told.insert(why.clone()) {
                    let _ = write!(wrong, "; {why}");
                }
            }
        }
    }
    let mut differs = false;
    for (should, does, expected, came_of) in [
        ("hold for", "holds for", &expect.hold, &came.hold),
        ("ask for", "asks for", &expect.enrich, &came.enrich),
    ] {
        let expected: BTreeSet<Field> = expected.iter().copied().collect();
        if expected != *came_of {
            differs = true;
            let list = |fields: &BTreeSet<Field>| {
                fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ")
            };
            let and = if wrong.is_empty() { "" } else { "; " };
            let (want, is) = (list(&expected), list(came_of));
            let _ = write!(wrong, "{and}it should {should} [{want}] and {does} [{is}]");
        }
    }
    if differs {
        let whys: BTreeSet<&String> = came.against.values().flatten().collect();
        for why in whys.into_iter().take(WHYS) {
            if !wrong.contains(why.as_str()) {
                let _ = write!(wrong, "; {why}");
            }
        }
    }
    if wrong.is_empty()
        && let Some(NoMatch::Because(name)) = &expect.no_match
        && !came.failed.contains(name)
    {
        let failed: Vec<&str> = came.failed.iter().map(String::as_str).collect();
        let failed = failed.join(", ");
        let _ = write!(wrong, "{name} should stand against it, and what does is [{failed}]");
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Both sides of a test that failed.
pub(super) fn mismatch(expect: &Expect, denies: bool, came: Came) -> Mismatch {
    let because = match &expect.no_match {
        Some(NoMatch::Because(name)) => Some(name.clone()),
        Some(NoMatch::Any) | None => None,
    };
    let expected = Side {
        targets: expect.targets.iter().copied().collect(),
        hold: expect.hold.iter().copied().collect(),
        enrich: expect.enrich.iter().copied().collect(),
        no_match: because.into_iter().collect(),
    };
    let Came { targets, hold, enrich, failed: no_match, against } = came;
    let got = Side { targets, hold, enrich, no_match };
    Mismatch { denies, has_lists: false, expected, got, against }
}
