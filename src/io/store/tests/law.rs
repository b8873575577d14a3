//! Laws that hold whatever comes in whatever order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::action::{Doubt, HoldWhy};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A batch of (file, what its candidate asks for, has to come again once).
    Brings(Vec<(u8, Asks, bool)>),
    /// A call for the first due action, and the answer.
    Calls(Class, Answers),
    /// What is under way ends so.
    Ends(usize, bool),
    /// A person says no to what is held or queued.
    Rejects(usize),
    Passes(u8),
    /// The process stops and starts.
    Restarts,
}

#[derive(Clone, Copy, Debug)]
enum Asks {
    Act,
    ActUrgently,
    HoldUnknown,
}

#[derive(Clone, Copy, Debug)]
enum Answers {
    Accepts,
    IsBusy,
    Refuses,
    Never,
}

fn event() -> impl Strategy<Value = Event> {
    let asks = prop_oneof![Just(Asks::Act), Just(Asks::ActUrgently), Just(Asks::HoldUnknown)];
    let answers = prop_oneof![
        3 => Just(Answers::Accepts),
        1 => Just(Answers::IsBusy),
        1 => Just(Answers::Refuses),
        1 => Just(Answers::Never),
    ];
    let class = prop_oneof![Just(Class::Urgent), Just(Class::Normal)];
    let candidate = (1u8..5, asks, prop::bool::weighted(0.2));
    prop_oneof![
        3 => prop::collection::vec(candidate, 1..6).prop_map(Event::Brings),
        4 => (class, answers).prop_map(|(class, answers)| Event::Calls(class, answers)),
        2 => (0usize..4, any::<bool>()).prop_map(|(nth, well)| Event::Ends(nth, well)),
        1 => (0usize..4).prop_map(Event::Rejects),
        1 => (1u8..20).prop_map(Event::Passes),
        1 => Just(Event::Restarts),
    ]
}

struct Play {
    world: World,
    dir: tempfile::TempDir,
    made: u32,
    offset: i64,
    /// Distinct deliveries brought until they were taken.
    brought: u64,
}

impl Play {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::with(Db::open(dir.path(), 6).unwrap());
        Self { world, dir, made: 0, offset: 0, brought: 0 }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Brings(candidates) => self.brings(&candidates),
            Event::Calls(class, answers) => self.calls(class, answers),
            Event::Ends(nth, well) => self.ends(nth, well),
            Event::Rejects(nth) => self.rejects(nth),
            Event::Passes(hours) => self.world.later(u32::from(hours) * HOUR),
            Event::Restarts => {
                let (now, attempts) = (self.world.now, self.world.attempts);
                self.world.db = Db::in_memory(0).unwrap();
                self.world.db = Db::open(self.dir.path(), 6).unwrap();
                (self.world.now, self.world.attempts) = (now, attempts);
            }
        }
    }

    fn brings(&mut self, candidates: &[(u8, Asks, bool)]) {
        let batch: Vec<_> = candidates.iter().map(|c| self.delivery(c)).collect();
        self.brought += batch.len() as u64;
        let taken = self.world.db.intake(&batch).unwrap();
        for ((delivery, first), candidate) in batch.into_iter().zip(taken).zip(candidates) {
            let again = match first {
                Taken::Done { .. } => continue,
                Taken::NotPrepared => {
                    let prepared = self.delivery(&(candidate.0, candidate.1, false));
                    JudgedDelivery { coordinates: delivery.coordinates, ..prepared }
                }
                Taken::Failed(StoreError::Full(_)) => {
                    // It is given up, as by a reader that loses the partition.
                    self.brought -= 1;
                    continue;
                }
                other => panic!("{other:?}"),
            };
            match self.world.take(again.clone()) {
                Taken::Done { .. } => {
                    assert!(matches!(self.world.take(again), Taken::Replayed(_)));
                }
                Taken::Failed(StoreError::Full(_)) => self.brought -= 1,
                other => panic!("{other:?}"),
            }
        }
    }

    fn delivery(&mut self, (file, asks, again): &(u8, Asks, bool)) -> JudgedDelivery {
        self.made += 1;
        self.offset += 1;
        let now = self.world.now.wall;
        let mut draft = acts(self.made, effect(1, *file));
        draft.evidence = Some(now);
        match asks {
            Asks::Act => {}
            Asks::ActUrgently => draft.class = Class::Urgent,
            Asks::HoldUnknown => draft.intent = Intent::Hold(unknown_os()),
        }
        if let Some(prepared) = &mut draft.prepared {
            prepared.expires_queued = now + DAY;
            prepared.expires_held = now + 3 * DAY;
        }
        if *again {
            draft.prepared = None;
        }
        // Each in a partition of its own, so that none waits for another.
        let delivery = from_kafka(self.offset, brings(draft));
        let coordinates = Coordinates::Kafka {
            source: "xdr".to_owned(),
            topic: "defender".to_owned(),
            partition: i32::try_from(self.offset).unwrap(),
            offset: self.offset,
        };
        let delivery = JudgedDelivery { coordinates, follows: None, ..delivery };
        JudgedDelivery { received: now, ..delivery }
    }

    fn calls(&mut self, class: Class, answers: Answers) {
        let now = self.world.now.wall;
        let world = &mut self.world;
        let heads = world.db.heads(&contoso(), class, now, first(3)).unwrap();
        let Some(head) = heads.due.first() else { return };
        match world.begin(head.action) {
            Begun::Written(_) => {}
            Begun::Expired => {
                return world.shift(head.action, StateName::Queued, State::Expired);
            }
            other => panic!("{other:?}"),
        }
        let attempt = attempt_id(world.attempts);
        let (tries, busy_since) = (head.tries + 1, Some(now));
        let to = match answers {
            Answers::Accepts => accepted(now),
            Answers::IsBusy => State::Queued { not_before: now + HOUR, tries, busy_since },
            Answers::Refuses => State::Refused { code: "no".to_owned() },
            Answers::Never => {
                State::InDoubt { attempt, tries, busy_since: None, doubt: Doubt::NoAnswer }
            }
        };
        let closed = world.closed(200);
        let change = world.moved(head.action, StateName::InFlight, to);
        assert_eq!(world.db.apply(Some(&closed), &[change]).unwrap(), []);
    }

    fn ends(&mut self, nth: usize, well: bool) {
        let now = self.world.now;
        let resumed = self.world.db.resume(&contoso(), now, HOUR).unwrap();
        let Some(open) = resumed.open.get(nth) else { return };
        let to = match (open.state.name(), well) {
            (StateName::Accepted, true) => State::Succeeded { completed: now.wall },
            (StateName::Accepted, false) => timed_out(),
            (_, true) => accepted(now.wall),
            (_, false) => queued(now.wall),
        };
        self.world.shift(open.action, open.state.name(), to);
    }

    fn rejects(&mut self, nth: usize) {
        let open = self.states();
        let waiting = |state: &StateName| matches!(state, StateName::Held | StateName::Queued);
        let Some((id, state)) = open.into_iter().filter(|(_, s)| waiting(s)).nth(nth) else {
            return;
        };
        self.world.shift(id, state, State::Rejected { by: "alice".to_owned() });
    }

    fn states(&mut self) -> BTreeMap<ActionId, StateName> {
        let all = crate::io::ActionFilter { limit: usize::MAX, ..Default::default() };
        let lines = self.world.db.actions(&all).unwrap();
        lines.into_iter().map(|line| (line.id, line.state.name())).collect()
    }

    /// What must hold after every event.
    fn check(&mut self, before: &BTreeMap<ActionId, StateName>) -> BTreeMap<ActionId, StateName> {
        self.world.expect_sound();
        let after = self.states();
        for (id, was) in before {
            let is = after[id];
            assert!(was == &is || was.is_open(), "{id}: {was} ended and became {is}");
        }
        let all = crate::io::ActionFilter { limit: usize::MAX, ..Default::default() };
        let mut open = BTreeMap::new();
        for line in self.world.db.actions(&all).unwrap() {
            if line.state.name().is_open() {
                let other = open.insert(line.key.sha1, line.id);
                assert_eq!(other, None, "two open actions for one file");
            }
            let changes = self.world.db.action(&line.id.to_string()).unwrap().unwrap().changes;
            walk(&changes, line.state.name());
        }
        assert!(open.len() <= 6, "no more are open than the queue may hold");
        let summary = self.world.db.summary().unwrap();
        let fates: u64 = summary.fates.iter().map(|fate| fate.count).sum();
        let received: u64 = summary.received.iter().map(|(_, count)| count).sum();
        assert_eq!((received, fates), (self.brought, self.brought));
        after
    }
}

/// The changes of one action lead from its creation to where it stands, by transitions that
/// exist.
fn walk(changes: &[Change], stands: StateName) {
    let mut state = None;
    for change in changes {
        match &change.what {
            What::Created { state: made, .. } => {
                assert_eq!(state, None);
                state = Some(made.name());
            }
            What::Moved { from, to, .. } => {
                assert_eq!(state, Some(*from));
                assert!(from.may_become(to.name()), "{from} → {}", to.name());
                state = Some(to.name());
            }
            What::ClassRaised { .. } | What::DuplicateLinked { .. } => {
                assert!(state.is_some(), "a note on what does not exist");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(state, Some(stands));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_the_laws_hold(events in prop::collection::vec(event(), 1..40)) {
        let mut play = Play::new();
        let mut states = BTreeMap::new();
        for event in events {
            play.happens(event);
            states = play.check(&states);
        }
    }
}

#[test]
fn returns_are_counted_over_restarts() {
    let mut play = Play::new();
    for _ in 0..2 {
        play.happens(Event::Brings(vec![(1, Asks::Act, false)]));
        play.happens(Event::Calls(Class::Normal, Answers::Accepts));
        play.happens(Event::Ends(0, true));
        play.happens(Event::Passes(1));
        play.happens(Event::Restarts);
    }
    play.happens(Event::Brings(vec![(1, Asks::Act, false)]));
    assert_eq!(play.world.state(id(3)), held(HoldWhy::Returns));
}
