use super::breakers::Gauges;
use super::*;
use crate::domain::join::Part as RowPart;
use crate::domain::join::Row;

const MINUTE: i64 = 60_000_000;

fn effect(tenant: usize, machine: u8, sha1: u8) -> Effect {
    let machine = MachineId::from_bytes([machine; 20]);
    Effect { tenant, machine, sha1: Sha1::from_bytes([sha1; 20]) }
}

/// When each breaker tripped first, in minutes, and how often.
fn trips(gauges: Gauges<'_>) -> Vec<(Breaker, i64, u64)> {
    let told = |trip: &Trip<'_>| (trip.breaker, trip.at.0 / MINUTE, trip.times);
    gauges.trips().iter().map(told).collect()
}

#[test]
fn the_breakers_of_a_tenant_count_its_own_calls_and_each_machine_once() {
    let fleet = Some(Rate::per_hours(2, 1));
    let breakers = TenantBreakers { actions: Rate::per_hours(5, 1), fleet };
    let mut gauges = Gauges::default();
    // A machine that is known counts no more, nor does what other tenants do.
    for (minute, (tenant, machine)) in
        [(0, 1), (0, 1), (0, 2), (1, 3), (0, 2), (0, 1)].into_iter().enumerate()
    {
        gauges.count_tenant(breakers, effect(tenant, machine, 7), Wall(minute as i64 * MINUTE));
    }
    gauges.count_tenant(breakers, effect(0, 3, 7), Wall(6 * MINUTE));
    gauges.count_tenant(breakers, effect(0, 4, 7), Wall(7 * MINUTE));
    let expected = [(Breaker::TenantActions, 6, 1), (Breaker::ShareOfFleet, 6, 1)];
    assert_eq!(trips(gauges), expected);
}

#[test]
fn a_machine_counts_from_when_it_was_acted_on_last() {
    let fleet = Some(Rate::per_hours(2, 1));
    let breakers = TenantBreakers { actions: Rate::per_hours(100, 1), fleet };
    let put = |minutes: &[(i64, u8)]| {
        let mut gauges = Gauges::default();
        for (minute, machine) in minutes {
            gauges.count_tenant(breakers, effect(0, *machine, 7), Wall(minute * MINUTE));
        }
        trips(gauges)
    };
    assert_eq!(put(&[(0, 1), (1, 2), (60, 3)]), [], "the first is an hour ago");
    let again = put(&[(0, 1), (1, 2), (30, 1), (60, 3)]);
    assert_eq!(again, [(Breaker::ShareOfFleet, 60, 1)]);
}

#[test]
fn a_breaker_counts_anew_once_it_has_tripped() {
    let rate = Rate::per_hours(2, 1);
    let mut gauges = Gauges::default();
    for minute in 0..9 {
        let at = Wall(minute * MINUTE);
        gauges.count("r", Breaker::RuleActions, rate, effect(0, minute as u8, 7), at);
    }
    // The third one trips it, and is the first of nothing.
    assert_eq!(trips(gauges), [(Breaker::RuleActions, 2, 3)]);
}

#[test]
fn machines_are_counted_for_each_file_and_tenant() {
    let rate = Rate::per_hours(1, 1);
    let put = |calls: &[(usize, u8, u8)]| {
        let mut gauges = Gauges::default();
        for (tenant, machine, sha1) in calls {
            let effect = effect(*tenant, *machine, *sha1);
            gauges.count("r", Breaker::MachinesPerFile, rate, effect, Wall(0));
        }
        trips(gauges)
    };
    assert_eq!(put(&[(0, 1, 7), (0, 2, 8), (1, 3, 7), (0, 1, 7)]), []);
    assert_eq!(put(&[(0, 1, 7), (0, 2, 7)]), [(Breaker::MachinesPerFile, 0, 1)]);
}

#[test]
fn a_tenant_is_the_one_named_and_the_only_one_else() {
    let id = |n: u128| uuid::Uuid::from_u128(n);
    let of = |names: &[&str], others: Option<&str>| Tenants {
        source: "s".to_owned(),
        known: names
            .iter()
            .zip(1..)
            .map(|(name, n)| Tenant {
                name: (*name).to_owned(),
                id: id(n),
                breakers: TenantBreakers::default(),
            })
            .collect(),
        others: others.map(str::to_owned),
    };
    let name = |tenants: &Tenants, id: Option<&str>| {
        tenants.place(id).map(|place| tenants.name(place).to_owned())
    };
    let (first, second, third) = (id(1).to_string(), id(2).to_string(), id(3).to_string());
    let two = of(&["a", "b"], None);
    assert_eq!(name(&two, Some(&second)).as_deref(), Some("b"));
    assert_eq!(name(&two, Some(&third)), None);
    assert_eq!(name(&two, None), None);
    let one = of(&["a"], Some("file"));
    assert_eq!(name(&one, None).as_deref(), Some("a"));
    assert_eq!(name(&one, Some(&first.to_uppercase())).as_deref(), Some("a"));
    assert_eq!(name(&one, Some(&third)).as_deref(), Some("file"));
    assert_eq!(name(&of(&[], Some("file")), None).as_deref(), Some("file"));
}

#[test]
fn rows_are_joined_in_their_order_whatever_thread_is_first() {
    let row = |alert: &str| {
        let part = RowPart::Mention(Ok(MachineId::from_bytes([1; 20])));
        (None, Row { alert: alert.to_owned(), time: Wall(0), part })
    };
    let mut joins = Joins::default();
    joins.add(2, vec![row("c")]);
    joins.add(1, vec![]);
    assert!(joins.waits(), "none before them has come");
    joins.add(0, vec![row("a"), row("b")]);
    assert!(!joins.waits());
    let alerts: Vec<String> = joins.all().map(|((_, alert), _)| alert).collect();
    assert_eq!(alerts, ["a", "b", "c"]);
}
