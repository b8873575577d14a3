use serde_json::{Value as Json, json};

use super::*;
use crate::domain::ids::Sha1;
use crate::formats::came_by;

const M1: &str = "6f1c2b9d40e7a85f33c6d1498be27a0f53cd9e14";
const M2: &str = "b2d84e07c91a6f35207d04c9b31fa6285d7c0e3b";
const S1: &str = "3c0e5f7a92b41d68c7f0a1e4d95b82360fe7c14a";
const S2: &str = "d41f6a8e0b7c2953e8d7f1046ac5b92e3f780d15";
const SHA256: &str = "5b1f08e6d97a42c3b08f6e15d2a97c40e83b1d65f7029ac4d81e3f56b07c92ad";
const PRODUCT: &str = "Microsoft Defender Advanced Threat Protection";

fn id_of(name: &str) -> String {
    format!(
        "/subscriptions/0e8d/resourceGroups/soc/providers/Microsoft.OperationalInsights/\
         workspaces/main/providers/Microsoft.SecurityInsights/Entities/{name}"
    )
}

fn entity(name: &str, kind: &str, properties: Json) -> Json {
    json!({"id": id_of(name), "name": name, "type": "Microsoft.SecurityInsights/Entities",
        "kind": kind, "properties": properties})
}

fn host(name: &str, machine: &str) -> Json {
    let added = json!({"MdatpDeviceId": machine});
    entity(name, "Host", json!({"hostName": name, "additionalData": added}))
}

fn sha1(name: &str, hash: &str) -> Json {
    entity(name, "FileHash", json!({"hashValue": hash, "algorithm": "SHA1"}))
}

/// A file with these hashes, on this host where it is not empty. Links have another case than ids,
/// as Sentinel writes them.
fn file(name: &str, hashes: &[&str], host: &str) -> Json {
    let ids = hashes.iter().map(|hash| id_of(hash).replace("Entities", "entities"));
    let ids: Vec<String> = ids.collect();
    let mut it = json!({"fileName": name, "directory": "C:\\Temp", "fileHashEntityIds": ids});
    if !host.is_empty() {
        it["hostEntityId"] = id_of(host).to_uppercase().into();
    }
    entity(name, "File", it)
}

fn process(name: &str, image: &str, parent: &str) -> Json {
    let mut it = json!({"commandLine": name, "imageFileEntityId": id_of(image)});
    if !parent.is_empty() {
        it["parentProcessEntityId"] = id_of(parent).into();
    }
    entity(name, "Process", it)
}

fn alert_of(product: &str, id: &str) -> Json {
    json!({"kind": "SecurityAlert",
        "properties": {"systemAlertId": "s", "providerAlertId": id, "productName": product}})
}

/// An incident with these alerts and entities.
fn incident(alerts: Vec<Json>, entities: Vec<Json>) -> Json {
    json!({
        "objectSchemaType": "Incident",
        "objectEventType": "Create",
        "workspaceInfo": {"SubscriptionId": "0e8d1b0c-77b4-4b0e-9d55-0d6b2c4f1a90"},
        "object": {
            "id": "/subscriptions/0e8d/Incidents/7d1f0b2c-5f0a-4f57-9a51-c2b1f2f1a0de",
            "name": "7d1f0b2c-5f0a-4f57-9a51-c2b1f2f1a0de",
            "properties": {
                "title": "Malware on two hosts",
                "severity": "high",
                "status": "Active",
                "classification": "BenignPositive",
                "incidentNumber": 4711,
                "createdTimeUtc": "2026-12-03T08:42:09.0041873Z",
                "lastModifiedTimeUtc": "2026-12-03T09:00:00Z",
                "additionalData": {"tactics": ["Execution"], "techniques": ["T1204"]},
                "alerts": alerts,
                "relatedEntities": entities
            }
        }
    })
}

/// Each hash with its machine, or with why it has none.
fn pairs(entities: Vec<Json>) -> Vec<(String, Result<String, String>)> {
    let text = incident(vec![], entities).to_string();
    let alert = decode(&text).unwrap();
    let pair = |one: &Candidate<'_>| {
        let machine = one.machine.as_ref().map(ToString::to_string);
        assert_eq!(text_of(one, Field::MachineId), machine.as_deref().ok());
        let hash = one.sha1.as_ref().map_or_else(|why| why.to_string(), Sha1::to_string);
        (hash, machine.map_err(ToString::to_string))
    };
    alert.candidates.iter().map(pair).collect()
}

fn on(hash: &str, machine: &str) -> (String, Result<String, String>) {
    (hash.to_owned(), Ok(machine.to_owned()))
}

fn off(hash: &str, why: &str) -> (String, Result<String, String>) {
    (hash.to_owned(), Err(why.to_owned()))
}

fn nowhere(told: &str) -> String {
    format!("the incident does not say on which host {told} was met")
}

fn text_of<'f>(candidate: &'f Candidate<'_>, field: Field) -> Option<&'f str> {
    match candidate.fields.get(field) {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn asks(incident: &Json) -> Vec<Ask> {
    decode(&incident.to_string()).unwrap().asks
}

/// A field of the first candidate where the incident has this value at this key.
fn with(key: &str, value: Json, field: Field) -> Json {
    let mut it = incident(vec![], vec![sha1("h", S1)]);
    *it.pointer_mut(key).unwrap() = value;
    let text = it.to_string();
    let alert = decode(&text).unwrap();
    let mut kept = serde_json::to_value(&alert.candidates[0].fields).unwrap();
    kept.get_mut(field.name()).map_or("(absent)".into(), Json::take)
}

fn whole() -> Json {
    let added = json!({
        "MdatpDeviceId": M1.to_uppercase(), "DeviceDnsName": "ws1.contoso.example",
        "RbacGroupName": "Clients", "RiskScore": "informational", "HealthStatus": "active",
        "OnboardingStatus": "onboarded", "DefenderAvStatus": "notSupported"
    });
    let ws1 = json!({"hostName": "ws1", "dnsDomain": "contoso.example", "additionalData": added});
    let mut evil = file("evil.exe", &["h1", "h2"], "ws1");
    evil["properties"]["additionalData"] = json!({"DetectionStatus": "detected"});
    let sha256 = json!({"hashValue": SHA256.to_uppercase(), "algorithm": "SHA256"});
    let h2 = entity("h2", "FileHash", sha256);
    let alerts = vec![alert_of(PRODUCT, "da638440117290041873_-611402957")];
    let entities = vec![entity("ws1", "Host", ws1), sha1("h1", &S1.to_uppercase()), h2, evil];
    incident(alerts, entities)
}

#[test]
fn an_incident_that_links_its_file_gives_it_with_all_that_is_said() {
    let text = whole().to_string();
    let alert = decode(&text).unwrap();
    assert_eq!(alert.id, "7d1f0b2c-5f0a-4f57-9a51-c2b1f2f1a0de");
    assert_eq!(alert.tenant_id, None, "a workspace and its subscription are no tenant");
    assert_eq!(alert.created, Wall::parse("2026-12-03T08:42:09.0041873Z"));
    assert_eq!(alert.asks, vec![], "nothing is left open");
    let [one] = &alert.candidates[..] else { panic!("{:?}", alert.candidates) };
    assert_eq!(one.machine.as_ref().unwrap().to_string(), M1);
    assert_eq!(one.sha1.as_ref().unwrap().to_string(), S1);
    assert_eq!(one.evidence, alert.created);
    let kept = serde_json::to_value(&one.fields).unwrap();
    let expected = json!({
        "alert.id": "7d1f0b2c-5f0a-4f57-9a51-c2b1f2f1a0de",
        "alert.provider_id": "da638440117290041873_-611402957",
        "alert.incident": "4711",
        "alert.title": "Malware on two hosts",
        "alert.severity": "High",
        "alert.severity_rank": 4,
        "alert.category": "Execution",
        "alert.status": "InProgress",
        "alert.classification": "InformationalExpectedActivity",
        "alert.techniques": ["T1204"],
        "alert.created": "2026-12-03T08:42:09.0041873Z",
        "alert.updated": "2026-12-03T09:00:00Z",
        "alert.format": "sentinel-incident",
        "alert.machines": 1,
        "alert.files": 1,
        "machine.id": M1,
        "machine.name": "ws1.contoso.example",
        "machine.group": "Clients",
        "machine.health": "Active",
        "machine.onboarding": "Onboarded",
        "machine.risk": "Informational",
        "machine.av_status": "NotSupported",
        "file.sha1": S1,
        "file.sha256": SHA256,
        "file.name": "evil.exe",
        "file.path": "C:\\Temp",
        "file.entity": "File",
        "file.detection_status": "Detected"
    });
    assert_eq!(kept, expected);
}

#[test]
fn no_field_comes_that_the_format_does_not_claim() {
    let text = whole().to_string();
    let mut alert = decode(&text).unwrap();
    let now = alert.created.unwrap();
    came_by(&mut alert, "contoso", "siem", now);
    let fields = alert.candidates[0].fields.present();
    assert_eq!(fields.map(|(field, _)| field).collect::<Vec<_>>(), GIVES);
}

#[test]
fn hosts_and_files_that_nothing_links_are_never_crossed() {
    let (ws1, ws2) = (host("ws1", M1), host("ws2", M2));
    let hashes = [sha1("h1", S1), sha1("h2", S2)];
    let both = vec![ws1.clone(), ws2, hashes[0].clone(), hashes[1].clone()];
    let lost = |hash| off(hash, &nowhere(hash));
    assert_eq!(pairs(both), [lost(S1), lost(S2)]);
    // Nor is the only host that of the only hash or file.
    assert_eq!(pairs(vec![ws1.clone(), hashes[0].clone()]), [lost(S1)]);
    let evil = file("evil.exe", &["h1"], "");
    assert_eq!(
        pairs(vec![ws1, hashes[0].clone(), evil]),
        [off(S1, &nowhere("evil.exe"))],
        "and a hash that a file names is no other candidate"
    );
}

#[test]
fn each_file_is_on_the_host_that_it_links_to() {
    let hosts = [host("ws1", M1), host("ws2", M2)];
    let hashes = [sha1("h1", S1), sha1("h2", S2)];
    let of = |files: [Json; 2]| pairs([&files[..], &hosts, &hashes].concat());
    let (a, b) = (file("a.exe", &["h1"], "ws2"), file("b.exe", &["h2"], "ws1"));
    assert_eq!(of([a.clone(), b]), [on(S1, M2), on(S2, M1)]);
    // One hash that two files share is on the host of each.
    assert_eq!(of([a, file("b.exe", &["h1"], "ws1")])[..2], [on(S1, M2), on(S1, M1)]);
    // What Defender adds to the file itself says it too.
    let mut own = file("a.exe", &["h1"], "");
    own["properties"]["additionalData"] = json!({"MdatpDeviceId": M2});
    assert_eq!(of([own.clone(), file("b.exe", &["h2"], "")])[0], on(S1, M2));
    own["properties"]["hostEntityId"] = id_of("ws2").into();
    assert_eq!(of([own.clone(), json!(null)])[0], on(S1, M2), "twice the same");
    own["properties"]["hostEntityId"] = id_of("ws1").into();
    let two = "the incident names 2 hosts for a.exe";
    assert_eq!(of([own, json!(null)])[0], off(S1, two));
}

#[test]
fn references_lead_to_what_has_their_id() {
    let nested = |refers: &str| {
        json!({"$id": "2", "Name": "a.exe", "Host": {"$ref": refers},
            "FileHashes": [{"$id": "3", "Algorithm": "SHA1", "Value": S1.to_uppercase()}]})
    };
    let at = |mark: &str, id: &str| json!({"$id": mark, "HostName": "ws", "MdatpDeviceId": id});
    let hosts = || [entity("ws1", "Host", at("1", M1)), entity("ws2", "Host", at("7", M2))];
    let of = |refers: &str| {
        pairs([&hosts()[..], &[entity("f", "File", nested(refers))]].concat())[0].clone()
    };
    assert_eq!(of("1"), on(S1, M1));
    assert_eq!(of("7"), on(S1, M2));
    let gone = "the host of a.exe is not among the entities";
    assert_eq!(of("9"), off(S1, gone));
    // The definition may stand in another branch, after what refers to it.
    let image = json!({"$id": "5", "Name": "b.exe", "Host": at("4", M2)});
    let later = entity("p", "Process", json!({"$id": "6", "ImageFile": image}));
    let all = vec![entity("f", "File", nested("4")), later];
    assert_eq!(pairs(all), [on(S1, M2), ("sha1 is missing".to_owned(), Ok(M2.to_owned()))]);
}

#[test]
fn references_of_entities_that_were_numbered_apart_stay_inside_of_them() {
    let file = |host: Json| {
        json!({"$id": "1", "Name": "a.exe", "Host": host,
            "FileHashes": [{"$id": "3", "Algorithm": "SHA1", "Value": S1}]})
    };
    let other = json!({"$id": "1", "HostName": "ws2",
        "Host": {"$id": "2", "MdatpDeviceId": M2}});
    let all = |host| vec![entity("h", "Host", other.clone()), entity("f", "File", file(host))];
    let gone = "the host of a.exe is not among the entities";
    assert_eq!(pairs(all(json!({"$ref": "2"}))), [off(S1, gone)], "the other's 2 is another");
    assert_eq!(pairs(all(json!({"$id": "2", "MdatpDeviceId": M1}))), [on(S1, M1)]);
}

#[test]
fn an_id_that_two_entities_have_leads_to_neither() {
    let gone = "the host of a.exe is not among the entities";
    let a = file("a.exe", &["h1"], "ws1");
    let all = |again: Json| pairs(vec![a.clone(), host("ws1", M1), again, sha1("h1", S1)]);
    assert_eq!(all(host("ws1", M2)), [off(S1, gone)]);
    assert_eq!(all(host("ws1", M1)), [on(S1, M1)], "the same twice is one");
    // An id of another kind is none.
    let all = vec![file("a.exe", &["h1"], "h1"), sha1("h1", S1)];
    assert_eq!(pairs(all), [off(S1, gone)]);
}

#[test]
fn the_image_of_a_process_is_taken_and_never_that_of_its_parent() {
    let base = [host("ws1", M1), host("ws2", M2), sha1("h1", S1), sha1("h2", S2)];
    let images = [file("evil.exe", &["h1"], "ws1"), file("explorer.exe", &["h2"], "ws1")];
    let child = process("p", "evil.exe", "pp");
    let parent = process("pp", "explorer.exe", "");
    let all = [&base[..], &images, &[child.clone(), parent]].concat();
    let why = "explorer.exe is only the image of a parent process";
    assert_eq!(pairs(all.clone()), [on(S1, M1), off(S2, why)]);
    let text = incident(vec![], all).to_string();
    let alert = decode(&text).unwrap();
    assert_eq!(text_of(&alert.candidates[0], Field::FileEntity), Some("Process"));
    // A process that is also itself met is one, but the parent of another is not.
    let again = process("again", "explorer.exe", "");
    let both = [&base[..], &images, &[child, process("pp", "explorer.exe", ""), again]].concat();
    assert_eq!(pairs(both), [on(S1, M1), on(S2, M1)]);
    // Nested, and with the hash of the parent as an entity of its own.
    let hash = |mark: &str, hash: &str| json!({"$id": mark, "algorithm": "SHA1", "value": hash});
    let nested = json!({"$id": "1", "host": {"$id": "9", "MdatpDeviceId": M1},
        "imageFile": {"$id": "2", "name": "evil.exe", "fileHashes": [hash("3", S1)]},
        "parentProcess": {"$id": "4", "imageFile": {"$id": "5", "fileHashes": [{"$ref": "6"}]}}});
    let all = vec![entity("p", "Process", nested), entity("h", "FileHash", hash("6", S2))];
    assert_eq!(pairs(all), [on(S1, M1)]);
}

#[test]
fn a_process_says_where_its_image_is() {
    let hash = sha1("h1", S1);
    let on_host = |name: &str, host: &str| {
        let mut it = process(name, "evil.exe", "");
        it["properties"]["hostEntityId"] = id_of(host).into();
        it
    };
    let image = file("evil.exe", &["h1"], "");
    let base = [hash, host("ws1", M1), host("ws2", M2), image];
    let all = |processes: &[Json]| pairs([&base[..], processes].concat());
    assert_eq!(all(&[on_host("a", "ws2")]), [on(S1, M2)]);
    assert_eq!(all(&[on_host("a", "ws2"), on_host("b", "ws2")]), [on(S1, M2)]);
    let two = "the incident names 2 hosts for evil.exe";
    assert_eq!(all(&[on_host("a", "ws2"), on_host("b", "ws1")]), [off(S1, two)]);
}

#[test]
fn a_machine_is_only_what_has_defenders_id() {
    let met = |added: Json| {
        let ws = json!({"hostName": "ws9", "dnsDomain": "contoso.example",
            "azureID": M2, "additionalData": added});
        let all = vec![entity("ws", "Host", ws), file("a.exe", &["h1"], "ws"), sha1("h1", S1)];
        pairs(all)[0].1.clone().unwrap_err()
    };
    let without = "a.exe was met on ws9.contoso.example, which has no MdatpDeviceId";
    assert_eq!(met(json!(null)), without);
    assert_eq!(met(json!({"MdatpDeviceId": ""})), without);
    assert_eq!(
        met(json!({"MdatpDeviceId": "ws9"})),
        "MdatpDeviceId is a name: Defender's ids are 40 hex digits"
    );
    assert_eq!(met(json!({"MdatpDeviceId": ["x"]})), "MdatpDeviceId is no text");
    let guid = "7d1f0b2c-5f0a-4f57-9a51-c2b1f2f1a0de";
    assert!(met(json!({"MdatpDeviceId": guid})).contains("is a GUID"));
}

#[test]
fn a_hash_is_only_a_sha1_that_says_so() {
    let file_with = |algorithm: Json, hash: &str| {
        let h1 = entity("h1", "FileHash", json!({"algorithm": algorithm, "hashValue": hash}));
        pairs(vec![host("ws1", M1), file("a.exe", &["h1"], "ws1"), h1])
    };
    for algorithm in ["SHA1", "sha1", "SHA-1"] {
        assert_eq!(file_with(algorithm.into(), S1), [on(S1, M1)]);
    }
    for algorithm in [json!("Unknown"), json!("MD5"), json!(null), json!(1)] {
        assert_eq!(file_with(algorithm, S1), [on("sha1 is missing", M1)]);
    }
    assert_eq!(
        file_with("SHA1".into(), SHA256),
        [on("sha1 is a SHA-256 where a SHA-1 belongs", M1)]
    );
    let base = [host("ws1", M1), sha1("h1", S1), file("a.exe", &["h1", "h2"], "ws1")];
    let two = |second: &str| pairs([&base[..], &[sha1("h2", second)]].concat());
    assert_eq!(two(S2), [on("sha1 is several for one file", M1)]);
    assert_eq!(two(&S1.to_uppercase()), [on(S1, M1)]);
}

#[test]
fn what_is_left_open_is_asked_of_defender() {
    let open = vec![host("ws1", M1), sha1("h1", S1)];
    let of = |alerts: &[(&str, &str)]| {
        let alerts = alerts.iter().map(|(product, id)| alert_of(product, id)).collect();
        asks(&incident(alerts, open.clone()))
    };
    let ask = |id: &str| Ask::Alert(id.to_owned());
    let others = [("Azure Sentinel", "x1"), ("Microsoft Cloud App Security", "x2"), ("", "x3")];
    assert_eq!(of(&others), []);
    assert_eq!(of(&[(PRODUCT, "da1_-2"), ("x", "b"), (PRODUCT, "da1_-2")]), [ask("da1_-2")]);
    assert_eq!(
        of(&[("microsoft defender for endpoint", "a"), (PRODUCT, "b")]),
        [ask("a"), ask("b")]
    );
    for bad in ["../x", "a?b", "a b", "a.b", "", &"a".repeat(129)] {
        assert_eq!(of(&[(PRODUCT, bad)]), [], "{bad}");
    }
    let ids: Vec<String> = (0..30).map(|n| format!("da{n}")).collect();
    let many: Vec<_> = ids.iter().map(|id| (PRODUCT, id.as_str())).collect();
    assert_eq!(of(&many).len(), limits::ASKS_PER_ALERT);
    // A host with a full name only, too; and an incident without any file.
    let ws = json!({"hostName": "ws9", "dnsDomain": "contoso.example"});
    let all = vec![entity("ws", "Host", ws), file("a.exe", &["h1"], "ws"), sha1("h1", S1)];
    let it = incident(vec![alert_of(PRODUCT, "da1")], all);
    let machine = Ask::Host("ws9.contoso.example".to_owned());
    assert_eq!(asks(&it), [ask("da1"), machine]);
    let text = it.to_string();
    let alert = decode(&text).unwrap();
    assert_eq!(text_of(&alert.candidates[0], Field::MachineName), Some("ws9.contoso.example"));
    assert_eq!(asks(&incident(vec![alert_of(PRODUCT, "da1")], vec![])), [ask("da1")]);
    // A hash of any kind that no file names, beside a file that is whole.
    let mut it = whole();
    let list = it.pointer_mut("/object/properties/relatedEntities").unwrap();
    list.as_array_mut().unwrap().push(entity("h9", "FileHash", json!({"algorithm": "MD5"})));
    assert_eq!(asks(&it).len(), 1);
}

#[test]
fn sentinels_words_become_defenders() {
    let status = |word: Json| with("/object/properties/status", word, Field::AlertStatus);
    assert_eq!(status("New".into()), "New");
    assert_eq!(status("closed".into()), "Resolved");
    assert_eq!(status("Reopened".into()), "(absent)");
    assert_eq!(status(json!(null)), "(absent)");
    let class =
        |word: Json| with("/object/properties/classification", word, Field::AlertClassification);
    assert_eq!(class("Undetermined".into()), "Unknown");
    assert_eq!(class("truePositive".into()), "TruePositive");
    assert_eq!(class(json!(null)), json!(null), "none, which is known");
    let added = "/object/properties/additionalData";
    let two = json!({"tactics": ["Execution", "Impact"], "techniques": []});
    assert_eq!(with(added, two.clone(), Field::AlertCategory), "(absent)");
    assert_eq!(with(added, two, Field::AlertTechniques), json!(null));
    let ids = |ids: &[&str]| {
        let alerts: Vec<_> = ids.iter().map(|id| alert_of("x", id)).collect();
        with("/object/properties/alerts", alerts.into(), Field::AlertProviderId)
    };
    assert_eq!(ids(&[]), "(absent)");
    assert_eq!(ids(&["a", "b"]), json!(["a", "b"]));
    assert_eq!(ids(&["a"; limits::ASKS_PER_ALERT + 1]), "(absent)");
}

#[test]
fn a_tenant_is_only_what_is_called_so() {
    let tenant = |root: Json, workspace: Json| {
        let mut it = incident(vec![], vec![]);
        it["tenantId"] = root;
        it["workspaceInfo"]["TenantId"] = workspace;
        let text = it.to_string();
        decode(&text).unwrap().tenant_id.map(Cow::into_owned)
    };
    assert_eq!(tenant("a".into(), json!(null)).as_deref(), Some("a"));
    assert_eq!(tenant(json!(null), "b".into()).as_deref(), Some("b"));
    assert_eq!(tenant("A".into(), "a".into()).as_deref(), Some("A"));
    assert_eq!(tenant("a".into(), "b".into()).as_deref(), Some("(two tenants)"));
    assert_eq!(tenant(json!(null), json!(null)), None);
}

#[test]
fn what_is_no_incident_or_says_something_twice_is_unreadable() {
    let why = |text: &str| decode(text).unwrap_err().0;
    for other in ["{}", r#"{"object":null}"#, r#"{"object":[]}"#] {
        assert!(why(other).contains("@triggerBody()"), "{other}");
    }
    assert_eq!(why(r#"{"object":{"properties":{}}}"#), "the alert has no id");
    let text = whole().to_string();
    for (key, twice) in [
        ("\"object\":", "\"object\":{},\"object\":"),
        ("\"relatedEntities\":", "\"relatedEntities\":[],\"relatedEntities\":"),
        ("\"hashValue\":", "\"hashValue\":\"x\",\"hashValue\":"),
        ("\"hashValue\":", "\"HashValue\":\"x\",\"hashValue\":"),
        ("\"MdatpDeviceId\":", "\"MdatpDeviceId\":null,\"MdatpDeviceId\":"),
        ("\"providerAlertId\":", "\"providerAlertId\":1,\"providerAlertId\":"),
        ("\"kind\":\"Host\"", "\"kind\":\"Host\",\"kind\":\"Host\""),
    ] {
        let text = text.replacen(key, twice, 1);
        assert!(why(&text).contains("duplicate field"), "{key}: {}", why(&text));
    }
}

#[test]
fn many_or_deep_entities_are_bounded() {
    let many: Vec<_> = (0..1001).map(|n| sha1(&format!("h{n}"), S1)).collect();
    let why = decode(&incident(vec![], many).to_string()).unwrap_err();
    assert!(why.0.contains("1001 files"), "{why}");
    let deep = format!("{}{}", r#"{"host":"#.repeat(1000), "1") + &"}".repeat(1000);
    let text = incident(vec![], vec![entity("f", "File", json!("X"))]).to_string();
    let why = decode(&text.replace("\"X\"", &deep)).unwrap_err();
    assert!(why.0.contains("recursion limit"), "{why}");
    // Processes may be each other's parents.
    let ring = vec![process("a", "f", "b"), process("b", "f", "a"), file("f", &[], "")];
    let why = "f is only the image of a parent process";
    assert_eq!(pairs(ring), [off("sha1 is missing", why)]);
}
