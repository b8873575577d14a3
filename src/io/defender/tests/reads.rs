//! Alerts, and machines by their names.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::domain::answer::{Fetched, MACHINES_PAGE, Machines};
use crate::simulator::{App, Effect, Endpoint, Fault, Limit, Machine, Trouble};

const ALERT: &str = "da637472900382838869_1364969609";

impl World {
    async fn alert(&self, id: &str) -> Fetched<String> {
        self.api.alert(Permit::for_tests(), id.to_owned()).await
    }

    async fn machines(&self, label: &str) -> Fetched<Machines> {
        self.api.machines(Permit::for_tests(), label.to_owned()).await
    }

    fn put_alert(&self) {
        let evidence = json!([{"entityType": "File", "sha1": SHA1}]);
        let alert = json!({"id": "another", "machineId": MACHINE, "evidence": evidence});
        self.simulator.put_alert(ALERT, alert);
    }

    fn put_machine(&self, digit: char, name: &str) {
        let machine = Machine { computer_dns_name: Some(name.to_owned()), ..Machine::default() };
        self.simulator.set_machine(&digit.to_string().repeat(40), machine);
    }
}

fn names(answer: &Fetched<Machines>) -> BTreeSet<&str> {
    let Fetched::Is(machines) = answer else { panic!("{answer:?}") };
    machines.all.iter().map(|machine| machine.name.as_str()).collect()
}

#[tokio::test]
async fn an_alert_comes_with_its_evidence() {
    let world = World::new().await;
    world.put_alert();
    let Fetched::Is(text) = world.alert(ALERT).await else { panic!() };
    let alert: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&alert["id"], &alert["machineId"]), (&json!(ALERT), &json!(MACHINE)));
    assert_eq!(alert["evidence"][0]["sha1"], SHA1);
    let calls = world.simulator.calls_to(Endpoint::Alerts);
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].method.as_str(), calls[0].status), ("GET", Some(200)));
    assert_eq!(calls[0].target, format!("/api/alerts/{ALERT}?$expand=evidence"));
}

#[tokio::test]
async fn an_alert_that_defender_does_not_know_is_not_found() {
    let world = World::new().await;
    let Fetched::NotFound { text } = world.alert(ALERT).await else { panic!() };
    assert!(text.starts_with("404 ResourceNotFound: Alert da637472900382838869_1"), "{text}");
}

#[tokio::test]
async fn machines_are_those_whose_name_starts_so() {
    let world = World::new().await;
    for (digit, name) in
        [('a', "win11.contoso.com"), ('b', "win11"), ('c', "win110.contoso.com"), ('d', "xwin11")]
    {
        world.put_machine(digit, name);
    }
    let retired = Machine {
        computer_dns_name: Some("win11.fabrikam.com".to_owned()),
        health_status: Some("NoSensorData".to_owned()),
        onboarding_status: Some("CanBeOnboarded".to_owned()),
        ..Machine::default()
    };
    world.simulator.set_machine(MACHINE, retired);
    let answer = world.machines("WIN11").await;
    let expected = ["win11", "win11.contoso.com", "win11.fabrikam.com", "win110.contoso.com"];
    assert_eq!(names(&answer), BTreeSet::from(expected));
    let Fetched::Is(Machines { all, more: false }) = answer else { panic!() };
    let retired = all.iter().find(|machine| machine.id.to_string() == MACHINE).unwrap();
    assert_eq!(retired.health, "NoSensorData");
    assert_eq!(retired.onboarding, "CanBeOnboarded");
    let plain = all.iter().find(|machine| machine.name == "win11").unwrap();
    assert_eq!((plain.health.as_str(), plain.onboarding.as_str()), ("Active", "Onboarded"));
    assert_eq!(names(&world.machines("mac").await), BTreeSet::new());
    let calls = world.simulator.calls_to(Endpoint::Machines);
    assert_eq!(
        calls[0].target,
        "/api/machines?$filter=startswith(computerDnsName,%27win11%27)&$top=1000"
    );
}

#[tokio::test]
async fn what_could_steer_a_url_is_refused_without_a_call() {
    let world = World::new().await;
    for id in ["..", ".", "", "a/b", "a?b", "a%2fb"] {
        let answer = world.alert(id).await;
        assert!(matches!(&answer, Fetched::Refused { status: 0, .. }), "{id}: {answer:?}");
    }
    for label in ["", "a.b", "a')or(true", "a'", "a b"] {
        let answer = world.machines(label).await;
        assert!(matches!(&answer, Fetched::Refused { status: 0, .. }), "{label}: {answer:?}");
    }
    let calls = world.simulator.calls();
    assert!(calls.iter().all(|call| call.endpoint == Endpoint::Token), "{calls:?}");
}

#[tokio::test]
async fn an_application_without_the_role_is_forbidden() {
    let app = App {
        tenant: TENANT.to_string(),
        client_id: CLIENT.to_string(),
        secret: SECRET.to_owned(),
        roles: vec!["Machine.StopAndQuarantine".to_owned()],
    };
    let world = World::with(simulator::Settings { apps: vec![app], ..Default::default() }).await;
    world.put_alert();
    let alert = world.alert(ALERT).await;
    let Fetched::Refused { status: 403, code, text } = alert else { panic!("{alert:?}") };
    assert_eq!(code, "Forbidden");
    assert!(text.contains("Alert.Read.All, Alert.ReadWrite.All"), "{text}");
    let machines = world.machines("a").await;
    let Fetched::Refused { status: 403, text, .. } = machines else { panic!("{machines:?}") };
    assert!(text.contains("Machine.Read.All"), "{text}");
}

#[tokio::test]
async fn each_kind_of_read_has_a_budget_of_its_own() {
    let reads = vec![Limit { calls: 1, per: Duration::from_secs(60) }];
    let world = World::with(simulator::Settings { reads, ..Default::default() }).await;
    world.put_alert();
    assert!(matches!(world.alert(ALERT).await, Fetched::Is(_)));
    assert!(matches!(world.machines("a").await, Fetched::Is(_)));
    let Fetched::TooMany { retry_after, .. } = world.alert(ALERT).await else { panic!() };
    assert!(retry_after > Some(Duration::from_secs(40)), "{retry_after:?}");
    assert!(matches!(world.machines("a").await, Fetched::TooMany { .. }));
}

#[tokio::test]
async fn a_read_that_is_not_answered_well_says_why_and_is_made_once() {
    let world = World::new().await;
    world.put_alert();
    let trouble = [Trouble::status(503), Trouble::status(302), Trouble::Drop, Trouble::status(200)];
    for trouble in trouble {
        for endpoint in [Endpoint::Alerts, Endpoint::Machines] {
            world.simulator.fault(Fault::next(endpoint, Effect::Done, trouble.clone()));
        }
        let alert = world.alert(ALERT).await;
        assert!(matches!(alert, Fetched::Failed { .. }), "{alert:?}");
        let machines = world.machines("a").await;
        assert!(matches!(machines, Fetched::Failed { .. }), "{machines:?}");
    }
    assert_eq!(world.simulator.calls_to(Endpoint::Alerts).len(), 4);
    assert_eq!(world.simulator.calls_to(Endpoint::Machines).len(), 4);
}

#[tokio::test]
async fn a_refused_token_is_replaced() {
    let world = World::new().await;
    world.put_alert();
    world.machines("a").await;
    world.simulator.revoke_tokens();
    assert!(matches!(world.machines("a").await, Fetched::Unauthorized { .. }));
    assert!(matches!(world.alert(ALERT).await, Fetched::Is(_)));
}

#[tokio::test]
async fn what_is_longer_than_its_bound_is_not_read_in_part() {
    let world = World::new().await;
    let long = |bytes: usize| json!({"value": [], "x": "a".repeat(bytes)}).to_string();
    for (bytes, fits) in [(1024 * 1024 - 40, true), (1024 * 1024, false)] {
        let trouble = Trouble::Answer { status: 200, retry_after: None, body: long(bytes) };
        world.simulator.fault(Fault::next(Endpoint::Alerts, Effect::None, trouble));
        assert_eq!(matches!(world.alert(ALERT).await, Fetched::Is(_)), fits, "{bytes}");
    }
    for (bytes, fits) in [(4 * 1024 * 1024 - 40, true), (4 * 1024 * 1024, false)] {
        let trouble = Trouble::Answer { status: 200, retry_after: None, body: long(bytes) };
        world.simulator.fault(Fault::next(Endpoint::Machines, Effect::None, trouble));
        assert_eq!(matches!(world.machines("a").await, Fetched::Is(_)), fits, "{bytes}");
    }
}

#[tokio::test]
async fn a_machine_without_a_valid_id_or_a_full_page_leaves_no_single_machine() {
    let world = World::new().await;
    world.put_machine('a', "win11");
    for n in 1..MACHINES_PAGE {
        let machine = Machine { computer_dns_name: Some("win11".to_owned()), ..Machine::default() };
        world.simulator.set_machine(&format!("{n:040x}"), machine);
    }
    let Fetched::Is(Machines { all, more }) = world.machines("win11").await else { panic!() };
    assert_eq!((all.len(), more), (MACHINES_PAGE, true));
    let named = Machine { computer_dns_name: Some("mac".to_owned()), ..Machine::default() };
    world.simulator.set_machine("mac.contoso.com", named);
    assert!(matches!(world.machines("mac").await, Fetched::Failed { .. }));
}
