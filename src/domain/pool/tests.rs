use proptest::prelude::*;

use super::*;

/// So many tenants with one shared place each leave none.
const MANY: usize = SHARED_PLACES;

fn tenant(n: usize) -> TenantName {
    TenantName::new(&format!("t{n}"))
}

/// Of each tenant, as many calls as it gets until one waits.
fn fill(pool: &mut Pool, tenants: std::ops::Range<usize>, each: usize) -> usize {
    let mut went = 0;
    for _ in 0..each {
        for n in tenants.clone() {
            went += usize::from(pool.enter(&tenant(n)) == Entered::Now);
        }
    }
    went
}

#[test]
fn one_tenant_alone_gets_all_it_may_have() {
    let most = PLACES_PER_TENANT;
    assert_eq!(fill(&mut Pool::new(), 0..1, most), most);
    assert_eq!(Pool::places(1), most);
}

#[test]
fn however_many_are_sick_a_tenant_that_is_well_has_its_own_places_at_once() {
    for sick in [1, 16, 100, 1000, 5000] {
        let mut pool = Pool::new();
        let held = fill(&mut pool, 0..sick, 16);
        assert!(held <= Pool::places(sick), "{held} of {sick}");
        for _ in 0..OWN_PLACES {
            assert_eq!(pool.enter(&tenant(sick)), Entered::Now, "{sick} are sick");
        }
    }
}

#[test]
fn while_a_hundred_are_sick_one_that_is_well_can_still_borrow() {
    let mut pool = Pool::new();
    fill(&mut pool, 0..100, 16);
    let mut borrowed = 0;
    while pool.enter(&tenant(100)) == Entered::Now {
        borrowed += 1;
    }
    assert_eq!(borrowed - OWN_PLACES, 8);
}

#[test]
fn whoever_has_the_fewest_in_flight_goes_first_and_of_these_who_came_first() {
    let mut pool = Pool::new();
    // Nothing shared is left.
    fill(&mut pool, 0..MANY, OWN_PLACES + 1);
    let (rich, late, early) = (tenant(0), tenant(MANY), tenant(MANY + 1));
    for tenant in [&late, &early] {
        (0..OWN_PLACES).for_each(|_| assert_eq!(pool.enter(tenant), Entered::Now));
    }
    let Entered::Waits(_) = pool.enter(&rich) else { panic!("it has one more than they have") };
    let Entered::Waits(first) = pool.enter(&early) else { panic!("nothing is left") };
    let Entered::Waits(second) = pool.enter(&late) else { panic!("nothing is left") };
    assert_eq!(pool.leave(&tenant(1)), [first]);
    assert_eq!(pool.leave(&tenant(2)), [second]);
}

#[test]
fn a_call_that_gives_up_is_not_waited_for() {
    let mut pool = Pool::new();
    fill(&mut pool, 0..MANY, OWN_PLACES + 1);
    let Entered::Waits(gone) = pool.enter(&tenant(0)) else { panic!("nothing is left") };
    let Entered::Waits(next) = pool.enter(&tenant(0)) else { panic!("nothing is left") };
    pool.give_up(&tenant(0), gone);
    pool.give_up(&tenant(0), gone);
    assert_eq!(pool.leave(&tenant(0)), [next]);
}

#[test]
fn when_all_is_over_nothing_is_left_behind() {
    let mut pool = Pool::new();
    let mut held = fill(&mut pool, 0..200, 16);
    let waiting = 200 * 16 - held;
    for n in (0..200).cycle() {
        if pool.in_flight() == 0 {
            break;
        }
        if pool.in_flight_of(&tenant(n)) > 0 {
            held += pool.leave(&tenant(n)).len();
        }
    }
    assert!(waiting > 0, "some waited");
    assert_eq!(held, 200 * 16);
    assert_eq!((pool.callers.len(), pool.waiting.len()), (0, 0));
    assert_eq!(pool.shared_free, SHARED_PLACES);
}

/// Calls as they come and end, in any order; some give up.
#[derive(Clone, Copy, Debug)]
enum Step {
    Enter(usize),
    Leave(usize),
    GiveUp(usize),
}

fn steps(tenants: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..12_u8, 0..tenants).prop_map(|(kind, tenant)| match kind {
        0..9 => Step::Enter(tenant),
        9..11 => Step::Leave(tenant),
        _ => Step::GiveUp(tenant),
    });
    proptest::collection::vec(step, 0..300)
}

/// What the pool should hold, counted naively.
#[derive(Default)]
struct Naive {
    in_flight: BTreeMap<usize, usize>,
    waiting: Vec<(usize, Ticket)>,
}

impl Naive {
    fn take(&mut self, pool: &mut Pool, step: Step) {
        match step {
            Step::Enter(n) => {
                let before = self.of(n);
                match pool.enter(&tenant(n)) {
                    Entered::Now => *self.in_flight.entry(n).or_default() += 1,
                    Entered::Waits(ticket) => {
                        assert!(before >= OWN_PLACES, "t{n} waits with {before} in flight");
                        self.waiting.push((n, ticket));
                    }
                }
            }
            Step::Leave(n) if self.of(n) > 0 => {
                *self.in_flight.entry(n).or_default() -= 1;
                for ticket in pool.leave(&tenant(n)) {
                    self.goes(ticket);
                }
            }
            Step::Leave(_) => {}
            Step::GiveUp(n) => {
                if let Some(at) = self.waiting.iter().position(|(of, _)| *of == n) {
                    let (_, ticket) = self.waiting.remove(at);
                    pool.give_up(&tenant(n), ticket);
                }
            }
        }
    }

    fn of(&self, n: usize) -> usize {
        self.in_flight.get(&n).copied().unwrap_or(0)
    }

    /// Of those that wait, nobody has fewer in flight, and of its own tenant nobody came earlier.
    fn goes(&mut self, ticket: Ticket) {
        let at = self.waiting.iter().position(|(_, other)| *other == ticket).expect("it waited");
        let (n, _) = self.waiting.remove(at);
        assert!(self.waiting.iter().all(|(other, _)| self.of(*other) >= self.of(n)));
        assert!(self.waiting.iter().all(|(other, later)| *other != n || *later > ticket));
        *self.in_flight.entry(n).or_default() += 1;
    }

    fn check(&self, pool: &Pool) {
        let in_flight: usize = self.in_flight.values().sum();
        assert_eq!(pool.in_flight(), in_flight);
        let borrowed = |count: &usize| count.saturating_sub(OWN_PLACES);
        let borrowed: usize = self.in_flight.values().map(borrowed).sum();
        assert!(borrowed <= FEW, "{borrowed} are borrowed");
        assert_eq!(pool.shared_free, FEW - borrowed);
        for (n, _) in &self.waiting {
            assert!(self.of(*n) >= OWN_PLACES, "t{n} waits with {} in flight", self.of(*n));
            assert!(!pool.may_go(self.of(*n)), "t{n} waits and may go");
        }
    }
}

/// Shared places, so that a few steps come to their end.
const FEW: usize = 20;

proptest! {
    #[test]
    fn the_limit_holds_and_nobody_waits_who_may_go(steps in steps(12)) {
        let (mut pool, mut naive) = (Pool::of(FEW), Naive::default());
        for step in steps {
            naive.take(&mut pool, step);
            naive.check(&pool);
        }
    }

    /// A call waits only until enough calls of its own tenant have ended, even if no other ends.
    #[test]
    fn nobody_starves_on_others(before in steps(30), ahead in 0_usize..20) {
        let (mut pool, mut naive) = (Pool::of(FEW), Naive::default());
        for step in before {
            naive.take(&mut pool, step);
        }
        // Everybody else takes what there is, and keeps it.
        for n in (1..30).cycle().take(300) {
            naive.take(&mut pool, Step::Enter(n));
        }
        for _ in 0..ahead {
            naive.take(&mut pool, Step::Enter(0));
        }
        let waits = naive.waiting.iter().filter(|(n, _)| *n == 0).count();
        let most = (naive.of(0) + waits).saturating_sub(OWN_PLACES);
        for _ in 0..most {
            naive.take(&mut pool, Step::Leave(0));
        }
        prop_assert_eq!(naive.waiting.iter().filter(|(n, _)| *n == 0).count(), 0);
    }
}
