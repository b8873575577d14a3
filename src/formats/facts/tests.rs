use serde_json::{Value as Json, json};

use super::*;

const MACHINE: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
const FILE: &str = "4388963aaa83afe2042a46a3c017ad50bdcdafb3";

fn asked_machine() -> Ask {
    Ask::Machine(MachineId::parse(MACHINE).unwrap())
}

fn asked_file() -> Ask {
    Ask::File(Sha1::parse(FILE).unwrap())
}

/// Every field that an answer gives, shortly.
fn told(ask: &Ask, mut answer: Json, change: Json) -> Vec<String> {
    let keys = change.as_object().unwrap().clone();
    keys.into_iter().for_each(|(key, value)| answer[key] = value);
    let fields = facts(ask, &answer.to_string()).unwrap();
    let one = |(field, value): (Field, &Value<'_>)| match value {
        Value::Absent => unreachable!(),
        Value::Empty => format!("{} is none", field.name()),
        Value::Text(text) => format!("{}={text}", field.name()),
        Value::Number(number) => format!("{}={number}", field.name()),
        Value::List(list) => format!("{}={}", field.name(), list.join("+")),
    };
    fields.present().map(one).collect()
}

fn of_machine(change: Json) -> Vec<String> {
    told(&asked_machine(), json!({"id": MACHINE.to_uppercase()}), change)
}

fn of_file(change: Json) -> Vec<String> {
    told(&asked_file(), json!({"sha1": FILE}), change)
}

#[test]
fn a_machine_is_read_in_the_spelling_that_rules_know() {
    let machine = json!({
        "@odata.context": "x", "computerDnsName": "dc1.contoso.example",
        "osPlatform": "WindowsServer2022", "rbacGroupName": "Tier 0", "rbacGroupId": 7,
        "machineTags": ["critical", "dc"], "healthStatus": "active",
        "onboardingStatus": "onboarded", "riskScore": "Low", "exposureLevel": "medium",
        "deviceValue": "High", "defenderAvStatus": "Updated",
        "lastSeen": "2026-11-20T10:00:00.1234567Z",
    });
    let expected = [
        "machine.os=WindowsServer2022",
        "machine.group=Tier 0",
        "machine.tags=critical+dc",
        "machine.health=Active",
        "machine.onboarding=Onboarded",
        "machine.risk=Low",
        "machine.exposure=Medium",
        "machine.value=High",
        "machine.av_status=Updated",
        "machine.last_seen=2026-11-20T10:00:00.1234567Z",
    ];
    assert_eq!(of_machine(machine), expected);
}

#[test]
fn of_a_machine_only_tags_can_be_none() {
    let nothing = json!({
        "osPlatform": null, "rbacGroupName": null, "machineTags": [], "healthStatus": "",
        "riskScore": null, "deviceValue": "Enormous", "lastSeen": "yesterday",
    });
    assert_eq!(of_machine(nothing), ["machine.tags is none"]);
    assert_eq!(of_machine(json!({"machineTags": {"a": 1}})), [""; 0]);
    assert_eq!(of_machine(json!({})), [""; 0]);
}

#[test]
fn a_file_is_read_with_who_signed_it() {
    let file = json!({
        "globalPrevalence": 180022, "size": 22139496, "isPeFile": true,
        "filePublisher": "Contoso Ltd.", "signer": "Contoso Ltd.", "isValidCertificate": true,
        "determinationType": "Pua", "determinationValue": "PUA:Win32/FusionCore",
    });
    let expected = [
        "file.publisher=Contoso Ltd.",
        "file.signer=Contoso Ltd.",
        "file.prevalence=180022",
        "file.determination=Pua",
        "file.size=22139496",
        "file.pe=True",
    ];
    assert_eq!(of_file(file), expected);
}

#[test]
fn a_signature_that_does_not_hold_is_none_and_one_nobody_checked_is_unknown() {
    let signer = |change| {
        let mut told = of_file(change);
        told.retain(|one| one.starts_with("file.signer"));
        told.join(" ")
    };
    let named = "Microsoft Corporation";
    assert_eq!(
        signer(json!({"signer": named, "isValidCertificate": false})),
        "file.signer is none"
    );
    assert_eq!(signer(json!({"signer": named, "isValidCertificate": null})), "");
    assert_eq!(signer(json!({"signer": named})), "");
    assert_eq!(signer(json!({"signer": null, "isPeFile": false})), "file.signer is none");
    // Defender has not looked into it, or does not say.
    assert_eq!(signer(json!({"signer": null})), "");
    assert_eq!(signer(json!({"isPeFile": true})), "");
    assert_eq!(signer(json!({"signer": null, "isValidCertificate": true})), "");
}

#[test]
fn numbers_that_are_none_are_unknown() {
    for wrong in [json!(null), json!(-1), json!("many"), json!(1.5), json!([1])] {
        let change = json!({"globalPrevalence": wrong, "size": wrong, "filePublisher": null});
        assert_eq!(of_file(change), [""; 0], "{wrong}");
    }
}

#[test]
fn another_thing_than_was_asked_for_tells_nothing() {
    let other = "aaaac9d7e413ddd7902c2932e418702b84d0cc07";
    for (ask, text, said) in [
        (asked_machine(), json!({"id": other, "osPlatform": "Windows11"}), "told of another"),
        (asked_machine(), json!({"osPlatform": "Windows11"}), "told of another"),
        (asked_file(), json!({"sha1": other, "size": 1}), "told of another"),
        (asked_file(), json!({"sha1": FILE, "isPeFile": "yes"}), "invalid type"),
        (Ask::Alert("da1".to_owned()), json!({"id": "da1"}), "otherwise"),
    ] {
        let why = facts(&ask, &text.to_string()).unwrap_err();
        assert!(why.contains(said), "{why}");
    }
    assert!(facts(&asked_machine(), "[]").is_err());
}
