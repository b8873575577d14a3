//! Alerts read again with answers.

use serde_json::json;

use super::*;
use crate::domain::ids::MachineId;
use crate::formats::Formats;

const MACHINE: &str = "90e4b7c1d5f2386aa04e7b19c8d36f52e1a07b44";
const SHA1: &str = "2af58d1c7e9034b6d8c2a1f7405e9b63cc18d702";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";

fn alert(id: &str, tenant: &str) -> serde_json::Value {
    json!({"id": id, "severity": "High", "machineId": MACHINE, "aadTenantId": tenant,
        "evidence": [{"entityType": "File", "sha1": SHA1, "detectionStatus": "Detected"}]})
}

fn thin(id: &str) -> String {
    let mut alert = alert(id, TENANT);
    alert["evidence"] = json!([]);
    alert.to_string()
}

fn asked(told: Told) -> BTreeMap<Ask, Told> {
    BTreeMap::from([(Ask::Alert("da1".to_owned()), told)])
}

fn read(told: Told) -> Result<(Alert<'static>, Option<String>), Unreadable> {
    let formats = Formats::default();
    completed(formats.find("defender-alert").unwrap(), &thin("da1"), &asked(told))
}

#[test]
fn a_thin_alert_has_the_files_of_the_whole_one_and_asks_no_more() {
    let (alert, why) = read(Told::Alert(alert("da1", TENANT).to_string())).unwrap();
    assert_eq!((why, alert.asks.len(), alert.known.is_none()), (None, 0, true));
    let [candidate] = &alert.candidates[..] else { panic!("{alert:?}") };
    assert!(candidate.machine.is_ok() && candidate.sha1.is_ok());
    assert_eq!(*candidate.fields.get(Field::AlertId), Value::Text("da1".into()));
    assert_eq!(*candidate.fields.get(Field::AlertProviderId), Value::Absent);
    // The whole one may have none either.
    let (alert, why) = read(Told::Alert(thin("da1"))).unwrap();
    assert!(why.is_none() && alert.candidates.is_empty() && alert.asks.is_empty());
}

#[test]
fn what_could_not_be_told_is_said() {
    let (alert, why) = read(Told::Nothing("Defender does not know it".to_owned())).unwrap();
    assert!(alert.candidates.is_empty() && alert.asks.is_empty());
    assert_eq!(why.as_deref(), Some("alert da1: Defender does not know it"));
}

#[test]
fn another_alert_or_another_tenants_tells_nothing() {
    let foreign = alert("da1", "99999999-2222-3333-4444-555555555555").to_string();
    for (told, why) in [
        (alert("da2", TENANT).to_string(), "Defender told of \"da2\""),
        (foreign, "is of tenant"),
        ("{".to_owned(), "EOF"),
    ] {
        let (alert, said) = read(Told::Alert(told)).unwrap();
        assert!(alert.candidates.is_empty(), "{alert:?}");
        assert!(said.as_deref().is_some_and(|said| said.contains(why)), "{said:?}");
    }
}

#[test]
fn an_incident_has_the_pairs_of_its_providers_alerts_and_the_machines_of_its_hosts() {
    let formats = Formats::default();
    let reader = formats.find("sentinel-incident").unwrap();
    let host = json!({"id": "/h1", "kind": "Host", "properties":
        {"hostName": "pc7", "dnsDomain": "contoso.example"}});
    let file = json!({"id": "/f1", "kind": "File", "properties":
        {"fileName": "bad.exe", "hostEntityId": "/h1", "fileHashEntityIds": ["/x1"]}});
    let hash = json!({"id": "/x1", "kind": "FileHash", "properties":
        {"algorithm": "SHA1", "hashValue": SHA1}});
    let alerts = json!([{"kind": "SecurityAlert", "properties": {"providerAlertId": "da1",
        "productName": "Microsoft Defender Advanced Threat Protection"}}]);
    let incident = json!({"objectSchemaType": "Incident", "object": {"name": "i-1", "properties":
        {"title": "Malware", "severity": "High", "incidentNumber": 7, "alerts": alerts,
         "relatedEntities": [host, file, hash]}}})
    .to_string();
    let read = reader.decode(&incident).unwrap();
    let asks: Vec<Ask> = read.asks.clone();
    assert!(asks.contains(&Ask::Alert("da1".to_owned())), "{asks:?}");
    let named = Ask::Host("pc7.contoso.example".to_owned());
    assert!(asks.contains(&named), "{asks:?}");
    // The alert says which file was met where.
    let told = Told::Alert(alert("da1", TENANT).to_string());
    let mut answers = asked(told);
    answers.insert(named.clone(), Told::Machines(Vec::new()));
    let (whole, why) = completed(reader, &incident, &answers).unwrap();
    assert_eq!((why, whole.asks.len()), (None, 0));
    let [candidate] = &whole.candidates[..] else { panic!("{whole:?}") };
    let text = |field| match candidate.fields.get(field) {
        Value::Text(text) => text.to_string(),
        other => panic!("{field:?}: {other:?}"),
    };
    assert_eq!(candidate.machine.as_ref().unwrap().to_string(), MACHINE);
    assert_eq!(text(Field::AlertId), "i-1");
    assert_eq!(text(Field::AlertProviderId), "da1");
    assert_eq!(text(Field::AlertFormat), "sentinel-incident");
    // Without it, the host's machine is enough for the file that it links to.
    let machine = MachineId::parse(MACHINE).unwrap();
    let mut answers = asked(Told::Nothing("Defender does not know it".to_owned()));
    answers.insert(named, Told::Machines(vec![("pc7.contoso.example".to_owned(), machine)]));
    let (whole, why) = completed(reader, &incident, &answers).unwrap();
    assert!(why.unwrap().contains("da1"));
    assert!(whole.candidates.iter().any(|one| one.machine == Ok(machine)), "{whole:?}");
}

fn entity(id: &str, kind: &str, properties: serde_json::Value) -> serde_json::Value {
    json!({"id": id, "kind": kind, "properties": properties})
}

fn incident_with(entities: &[serde_json::Value]) -> String {
    let properties = json!({"title": "Malware", "severity": "High", "incidentNumber": 7,
        "alerts": [], "relatedEntities": entities});
    let object = json!({"name": "i-1", "properties": properties});
    json!({"objectSchemaType": "Incident", "object": object}).to_string()
}

/// A file on each host.
fn incident_of(hosts: &[(&str, Option<&str>)]) -> String {
    let mut all = Vec::new();
    for (at, (name, domain)) in hosts.iter().enumerate() {
        let [host, file, hash] = ["h", "f", "x"].map(|kind| format!("/{kind}{at}"));
        let sha1 = format!("{:02x}", at + 1).repeat(20);
        all.push(entity(&host, "Host", json!({"hostName": name, "dnsDomain": domain})));
        let told = json!({"fileName": "bad.exe", "hostEntityId": host,
            "fileHashEntityIds": [hash]});
        all.push(entity(&file, "File", told));
        all.push(entity(&hash, "FileHash", json!({"algorithm": "SHA1", "hashValue": sha1})));
    }
    incident_with(&all)
}

#[test]
fn an_answer_for_one_host_is_no_answer_for_another() {
    let formats = Formats::default();
    let reader = formats.find("sentinel-incident").unwrap();
    let incident = incident_of(&[("pc1", None), ("pc1", Some("a.example"))]);
    let machine = MachineId::parse(MACHINE).unwrap();
    let answers = BTreeMap::from([
        (Ask::Host("pc1".to_owned()), Told::Nothing("Defender did not tell: 500".to_owned())),
        (
            Ask::Host("pc1.a.example".to_owned()),
            Told::Machines(vec![("pc1.a.example".to_owned(), machine)]),
        ),
    ]);
    let (alert, _) = completed(reader, &incident, &answers).unwrap();
    let with: Vec<_> = alert
        .candidates
        .iter()
        .map(|one| (format!("{:?}", one.fields.get(Field::FileName)), one.machine.is_ok()))
        .collect();
    assert_eq!(alert.candidates.iter().filter(|one| one.machine.is_ok()).count(), 1, "{with:?}");
}

/// A file on one host that is the image of a process on another.
fn incident_of_two_hosts(first: serde_json::Value, second: serde_json::Value) -> String {
    let file = json!({"fileName": "bad.exe", "hostEntityId": "/h1", "fileHashEntityIds": ["/x"]});
    let process = json!({"processId": "1", "imageFileEntityId": "/f", "hostEntityId": "/h2"});
    incident_with(&[
        entity("/h1", "Host", first),
        entity("/h2", "Host", second),
        entity("/f", "File", file),
        entity("/p", "Process", process),
        entity("/x", "FileHash", json!({"algorithm": "SHA1", "hashValue": SHA1})),
    ])
}

#[test]
fn a_file_on_two_hosts_by_name() {
    let formats = Formats::default();
    let reader = formats.find("sentinel-incident").unwrap();
    let incident = incident_of_two_hosts(
        json!({"hostName": "pc1", "dnsDomain": "a.example"}),
        json!({"hostName": "pc2", "dnsDomain": "a.example"}),
    );
    let asks = reader.decode(&incident).unwrap().asks;
    let answers = asks
        .iter()
        .map(|ask| {
            let Ask::Host(name) = ask else { panic!() };
            let id = if name.starts_with("pc1") { [1; 20] } else { [2; 20] };
            (ask.clone(), Told::Machines(vec![(name.clone(), MachineId::from_bytes(id))]))
        })
        .collect();
    let (alert, _) = completed(reader, &incident, &answers).unwrap();
    assert!(alert.candidates.iter().all(|one| one.machine.is_err()), "{:?}", alert.candidates);
}

#[test]
fn a_file_on_two_hosts_one_of_which_has_no_id() {
    let formats = Formats::default();
    let reader = formats.find("sentinel-incident").unwrap();
    let incident = incident_of_two_hosts(
        json!({"hostName": "pc1", "dnsDomain": "a.example",
            "additionalData": {"MdatpDeviceId": MACHINE}}),
        json!({"hostName": "pc2", "dnsDomain": "a.example"}),
    );
    let alert = reader.decode(&incident).unwrap();
    assert!(alert.candidates.iter().all(|one| one.machine.is_err()), "{:?}", alert.candidates);
}
