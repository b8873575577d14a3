//! What answers and lists are read as.

use super::*;
use crate::domain::answer::{Entry, ListQuery, Listing, Status};
use crate::io::defender::{Reads, missing_roles};
use crate::simulator::{App, Effect, Ending, Endpoint, Fault, Machine, Trouble};

const NOW: Wall = Wall(1_700_000_000_000_000);

#[tokio::test]
async fn an_accepted_call_names_its_machine_action() {
    let world = World::new().await;
    let answer = world.quarantine().await;
    let actions = world.simulator.machine_actions();
    let Answer::Accepted { machine_action } = answer else { panic!("{answer:?}") };
    assert_eq!(actions[0]["id"], machine_action.as_str());
    assert_eq!(actions[0]["machineId"], MACHINE);
    assert_eq!(actions[0]["requestorComment"], COMMENT);
    let calls = world.simulator.calls_to(Endpoint::Quarantine);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].status, Some(201));
}

#[tokio::test]
async fn a_second_call_for_a_busy_machine_is_refused_with_defenders_code() {
    let world = World::new().await;
    assert!(matches!(world.quarantine().await, Answer::Accepted { .. }));
    let answer = world.quarantine().await;
    let Answer::Refused { status: 400, code, text } = answer else { panic!("{answer:?}") };
    assert_eq!(code, "ActiveRequestAlreadyExists");
    assert!(text.contains("Action is already in progress"), "{text}");
}

#[tokio::test]
async fn a_full_window_is_answered_with_when_to_come_back() {
    let limit = simulator::Limit { calls: 1, per: Duration::from_secs(60) };
    let settings = simulator::Settings { quarantine: vec![limit], ..Default::default() };
    let world = World::with(settings).await;
    world.quarantine().await;
    let answer = world.quarantine().await;
    let Answer::TooMany { retry_after, text } = answer else { panic!("{answer:?}") };
    assert!(retry_after > Some(Duration::from_secs(40)), "{retry_after:?}");
    assert!(retry_after <= Some(Duration::from_secs(60)), "{retry_after:?}");
    assert!(text.contains("quota exceeded! maximum allowed 1 per 00:01:00"), "{text}");
}

#[tokio::test]
async fn an_application_without_the_role_is_forbidden_and_its_roles_say_so() {
    let app = App {
        tenant: TENANT.to_string(),
        client_id: CLIENT.to_string(),
        secret: SECRET.to_owned(),
        roles: vec!["Machine.Read.All".to_owned()],
    };
    let settings = simulator::Settings { apps: vec![app], ..Default::default() };
    let world = World::with(settings).await;
    let answer = world.quarantine().await;
    let Answer::Refused { status: 403, code, text } = answer else { panic!("{answer:?}") };
    assert_eq!(code, "Forbidden");
    assert!(text.contains("Machine.StopAndQuarantine"), "{text}");
    let roles = world.api.roles().await.unwrap();
    assert_eq!(missing_roles(&roles, Reads::default()), ["Machine.StopAndQuarantine"]);
    let machines = ["Machine.StopAndQuarantine", "Machine.Read.All or Machine.ReadWrite.All"];
    let reads = Reads { alerts: true, ..Reads::default() };
    let alerts = "Alert.Read.All or Alert.ReadWrite.All";
    assert_eq!(missing_roles(&[], Reads::default()), machines);
    assert_eq!(missing_roles(&[], reads), [machines[0], machines[1], alerts]);
    for enough in ["Alert.Read.All", "Alert.ReadWrite.All"] {
        assert_eq!(missing_roles(&[enough.to_owned()], reads), machines);
    }
}

#[test]
fn a_text_from_outside_is_one_bounded_line() {
    let long =
        format!(r#"{{"error": {{"code": "\u001b[31m", "message": "{}"}}}}"#, "a".repeat(9999));
    let Answer::Refused { code, text, .. } = Answer::read(400, None, long.as_bytes(), NOW) else {
        panic!("not refused")
    };
    assert_eq!(code, " [31m");
    assert!(text.len() < 600 && !text.contains('\u{1b}'));
}

#[tokio::test]
async fn the_list_shows_how_actions_ended() {
    let settings = simulator::Settings {
        pending_for: Duration::ZERO,
        running_for: Duration::ZERO,
        ..Default::default()
    };
    let world = World::with(settings).await;
    let failing = Machine { ends: Ending::Failed, ..Machine::default() };
    world.simulator.set_machine(MACHINE, failing);
    let answer = world.quarantine().await;
    let Answer::Accepted { machine_action } = answer else { panic!("{answer:?}") };
    let query = |since, skip| ListQuery { since, skip, top: 10 };
    let list = |query| world.api.machine_actions(Permit::for_tests(), query);
    let Listing::Page { entries, read: 1, .. } = list(query(Wall(0), 0)).await else { panic!() };
    let Entry { id, status, machine, sha1, comment, error, .. } = &entries[0];
    assert_eq!((id, *status), (&machine_action, Status::Failed));
    assert_eq!((*machine, *sha1), (call().key.machine, Some(call().key.sha1)));
    assert_eq!((comment.as_str(), error.as_deref()), (COMMENT, Some("0x80070005")));
    let nothing = Listing::Page { entries: vec![], read: 0, next: false };
    assert_eq!(list(query(Wall(0), 1)).await, nothing);
    assert_eq!(list(query(Wall(4_000_000_000_000_000), 0)).await, nothing);
    let calls = world.simulator.calls_to(Endpoint::List);
    assert_eq!(
        calls[0].target,
        "/api/machineactions?$filter=type%20eq%20%27StopAndQuarantineFile%27%20and%20\
         creationDateTimeUtc%20ge%201970-01-01T00:00:00.000Z&$top=10&$skip=0"
    );
}

#[tokio::test]
async fn a_list_that_is_not_answered_well_says_why() {
    let world = World::new().await;
    let trouble = [Trouble::status(503), Trouble::Drop, Trouble::status(200)];
    for trouble in trouble {
        world.simulator.fault(Fault::next(Endpoint::List, Effect::None, trouble));
        let query = ListQuery { since: NOW, skip: 0, top: 10 };
        let listing = world.api.machine_actions(Permit::for_tests(), query).await;
        assert!(matches!(listing, Listing::Failed { .. }), "{listing:?}");
    }
}

#[test]
fn entries_are_read_tolerantly_and_unreadable_ones_are_counted() {
    let page = r#"{"value": [
        {"id": "a", "type": "StopAndQuarantineFile", "status": "TimeOut", "requestorComment": null,
         "machineId": "1E5BC9D7E413DDD7902C2932E418702B84D0CC07", "errorHResult": -2145844840,
         "creationDateTimeUtc": "2018-12-04T12:15:40.6052029Z",
         "lastUpdateTimeUtc": "2018-12-04T12:16:14.2899973Z", "relatedFileInfo":
         {"fileIdentifier": "87662BC3D60E4200CEAF7AAE249D1C343F4B83C9",
          "fileIdentifierType": "Sha1"}},
        {"id": "b", "status": "Quantum", "machineId": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07",
         "creationDateTimeUtc": "2018-12-04T12:15:40Z", "relatedFileInfo": null, "new": {}},
        {"id": "c", "type": "Isolate", "machineId": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07",
         "creationDateTimeUtc": "2018-12-04T12:15:40Z"},
        {"id": "d", "machineId": "host.contoso.com", "creationDateTimeUtc": "2018-12-04T12:15:40Z"},
        {"id": 5}, null
    ]}"#;
    let Listing::Page { entries, read: 6, .. } = Listing::read(200, None, page.as_bytes(), NOW)
    else {
        panic!("no page of six")
    };
    let [a, b] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((a.status, a.sha1), (Status::TimedOut, Some(call().key.sha1)));
    assert_eq!(a.updated.since(a.created).as_millis(), 33_684);
    assert_eq!(a.error.as_deref(), Some("0x80190198, the machine never fetched it"));
    assert_eq!((b.status, b.sha1, b.updated), (Status::Other, None, b.created));
}
