use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn counting(kind: Kind, at_least: usize) -> Correlation {
    let (rules, group_by) = (vec!["a".to_owned(), "b".to_owned()], vec![Field::FileSha1]);
    Correlation { kind, rules, group_by, timespan: 10 * MINUTE, at_least }
}

fn minute(minute: u64) -> Wall {
    Wall(0) + u32::try_from(minute).unwrap() * MINUTE
}

fn most(of: &Correlation, events: &[(u64, &str)]) -> Vec<usize> {
    let seen: Vec<Seen<'_>> =
        events.iter().map(|&(at, says)| Seen { time: minute(at), says }).collect();
    of.most(&seen)
}

#[test]
fn a_window_slides_and_both_of_its_ends_belong_to_it() {
    let of = counting(Kind::Values(Field::MachineId), 3);
    assert_eq!(most(&of, &[(0, "x"), (10, "y")]), [2, 2]);
    assert_eq!(most(&of, &[(0, "x"), (11, "y")]), [1, 1]);
    // Neither hour of the clock has three; the window between them has.
    assert_eq!(most(&of, &[(8, "x"), (11, "y"), (14, "z"), (30, "x")]), [3, 3, 3, 1]);
    assert_eq!(most(&of, &[(0, "x"), (1, "x"), (2, "y")]), [2, 2, 2], "a value counts once");
    assert_eq!(most(&of, &[(14, "z"), (8, "x"), (11, "y")]), [3, 3, 3], "in any order");
    assert_eq!(most(&of, &[]), [0_usize; 0]);
}

#[test]
fn an_event_has_the_largest_of_the_windows_that_contain_it() {
    let of = counting(Kind::Events, 3);
    let chain = [(0, "1"), (9, "2"), (10, "3"), (18, "4"), (19, "5"), (40, "6")];
    assert_eq!(most(&of, &chain), [3, 4, 4, 4, 4, 1]);
}

#[test]
fn what_lacks_a_field_of_the_group_or_the_value_counts_nowhere() {
    let of = counting(Kind::Values(Field::FileName), 3);
    let mut fields = Fields::default();
    fields.set_text(Field::FileSha1, "ab");
    assert_eq!(of.counts("c", "a", &fields), None);
    fields.set(Field::FileName, Value::Empty);
    assert_eq!(of.counts("c", "a", &fields), None);
    fields.set_text(Field::FileName, "Evil.EXE");
    let count = of.counts("c", "a", &fields).unwrap();
    assert_eq!((count.rule.as_str(), count.base.as_str()), ("c", "a"));
    assert_eq!(count.group, r#"[["file.sha1","ab"]]"#);
    assert_eq!(count.value, "evil.exe", "as rules compare, without regard to case");
    fields.set(Field::FileSha1, Value::Absent);
    assert_eq!(of.counts("c", "a", &fields), None);
}

#[test]
fn a_long_value_is_a_short_key_and_no_other_value() {
    let of = Correlation { group_by: vec![Field::FilePath], ..counting(Kind::Events, 2) };
    let group = |path: String| {
        let mut fields = Fields::default();
        fields.set(Field::FilePath, Value::Text(Cow::Owned(path)));
        of.counts("c", "a", &fields).unwrap().group
    };
    let long = "x".repeat(100_000);
    assert!(group(long.clone()).len() < 100);
    assert_ne!(group(long.clone()), group(long + "y"));
}

#[test]
fn an_event_is_as_old_as_its_evidence_and_never_of_the_future() {
    let now = minute(100);
    assert_eq!(time_of(Some(minute(50)), Some(minute(60)), now), Some(minute(50)));
    assert_eq!(time_of(None, Some(minute(60)), now), Some(minute(60)));
    assert_eq!(time_of(None, None, now), None);
    let future = now + CLOCK_SKEW + MINUTE;
    assert_eq!(time_of(Some(future), Some(minute(60)), now), None);
}

/// Alert, machine, file, base rule: two with the same are one event.
type Id = (u8, u8, u8, u8);

/// One that arrives, with its time in minutes; its group is its file.
type Arrival = (Id, u64);

fn says(kind: Kind, (alert, machine, sha1, base): Id) -> String {
    match kind {
        Kind::Events => format!("{alert} {machine} {sha1} {base}"),
        Kind::Values(_) => machine.to_string(),
        Kind::Temporal => base.to_string(),
    }
}

/// As the store does it: each arrival looks at what lies within one window's length of it.
fn arrive(of: &Correlation, arrivals: &[Arrival]) -> BTreeSet<Id> {
    let mut known: Vec<(Id, Wall, String)> = Vec::new();
    let mut matched = BTreeSet::new();
    for &(id, at) in arrivals {
        let at = minute(at);
        if !known.iter().any(|(other, ..)| *other == id) {
            known.push((id, at, says(of.kind, id)));
        }
        let (from, to) = (at - of.timespan, at + of.timespan);
        let near =
            known.iter().filter(|(other, time, _)| other.2 == id.2 && *time >= from && *time <= to);
        let near: Vec<_> = near.collect();
        let seen = near.iter().map(|(_, time, says)| Seen { time: *time, says });
        for (number, (id, ..)) in of.most(&seen.collect::<Vec<_>>()).into_iter().zip(&near) {
            if number >= of.at_least {
                matched.insert(*id);
            }
        }
    }
    matched
}

/// From the words of the promise: an event is matched where some window contains it and enough.
fn by_the_words(of: &Correlation, arrivals: &[Arrival]) -> BTreeSet<Id> {
    let events: BTreeSet<Arrival> = arrivals.iter().copied().collect();
    let length = of.timespan.as_secs() / 60;
    let mut matched = BTreeSet::new();
    for begin in 0..=60 {
        for file in 0..=2 {
            let inside =
                |(id, at): &&Arrival| id.2 == file && (begin..=begin + length).contains(at);
            let inside: Vec<&Arrival> = events.iter().filter(inside).collect();
            let enough = match of.kind {
                Kind::Events => inside.len() >= of.at_least,
                Kind::Values(_) => {
                    inside.iter().map(|(id, _)| id.1).collect::<HashSet<_>>().len() >= of.at_least
                }
                Kind::Temporal => (0..of.rules.len())
                    .all(|rule| inside.iter().any(|(id, _)| usize::from(id.3) == rule)),
            };
            if enough {
                matched.extend(inside.iter().map(|(id, _)| *id));
            }
        }
    }
    matched
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

/// What arrives, some of it twice, and the same in another order. An event's time follows from what
/// it is: the same event is never of two times.
fn arrivals() -> impl Strategy<Value = (Vec<Arrival>, Vec<Arrival>)> {
    let id = (0_u8..6, 0_u8..4, 0_u8..3, 0_u8..3);
    let times = prop::collection::vec(0_u64..60, 18);
    (prop::collection::vec(id, 0..24), times)
        .prop_map(|(ids, times)| {
            let at = |id: Id| times[usize::from(id.0) * 3 + usize::from(id.1 % 3)];
            ids.into_iter().map(|id| (id, at(id))).collect::<Vec<Arrival>>()
        })
        .prop_flat_map(|arrivals| (Just(arrivals.clone()), Just(arrivals).prop_shuffle()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn what_is_matched_follows_the_words_and_no_order_of_arrival(
        (first, second) in arrivals(),
        kind in prop::sample::select(vec![
            Kind::Events, Kind::Values(Field::MachineId), Kind::Temporal,
        ]),
        at_least in 1_usize..5,
        length in 0_u32..30,
    ) {
        let rules = vec!["0".to_owned(), "1".to_owned(), "2".to_owned()];
        let at_least = if kind == Kind::Temporal { rules.len() } else { at_least };
        let of = Correlation { rules, timespan: length * MINUTE, ..counting(kind, at_least) };
        let promised = by_the_words(&of, &first);
        prop_assert_eq!(&arrive(&of, &first), &promised);
        prop_assert_eq!(&arrive(&of, &second), &promised);
    }
}
