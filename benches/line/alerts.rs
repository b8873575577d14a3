//! Alerts and rules to measure with, in the shape of Defender's alerts API.

use lazaret::domain::time::Wall;
use lazaret::io::Clock as _;
use lazaret::io::clock::SystemClock;
use serde_json::{Value, json};

pub const TENANT_ID: &str = "11111111-2222-3333-4444-555555555555";

/// Of files that the acting rule wants. Others have their own.
pub const ACTS: &str = "Detected";
pub const IDLE: &str = "Prevented";

/// Of the one rule that acts: on active files.
pub const ACTING_ID: &str = "5f4d8d0a-5d0e-4f39-8b0c-6a3f2c7b9e10";

/// Its text.
const ACTING: &str = r#"title: Quarantine every active file
id: 5f4d8d0a-5d0e-4f39-8b0c-6a3f2c7b9e10
status: stable
logsource: {product: microsoft_defender}
detection:
  active: {file.entity: File, file.detection_status: Detected}
  condition: active
level: high
response:
  action: StopAndQuarantineFile
  breakers: {machines_per_file: 1000000/1h, actions: 1000000/1h}
  comment: "Quarantined due to alert {{alert.id}}"
  mode: enforce
tests:
  - name: an active file acts
    alert: samples/alert.json
    expect:
      act: [{machine: "0000000000000000000000000000000000000001", sha1: "1000000000000000000000000000000000000001"}]
  - name: a prevented one is spared
    alert: samples/alert.json
    set: {file.detection_status: Prevented}
    expect: {no_match: active}
"#;

pub fn now() -> Wall {
    SystemClock::new().now().wall
}

/// Alert number `n` with `items` of evidence: a user, processes and files by turns, all nulls in
/// place as Defender writes them. The first file, all its own, has this detection status.
pub fn alert(n: usize, items: usize, status: &str, created: Wall) -> String {
    let time = created.to_string();
    let evidence: Vec<Value> = (0..items).map(|item| evidence(n, item, status, &time)).collect();
    json!({
        "id": format!("da{n:018}_-1364969609"),
        "incidentId": 1_126_093,
        "investigationId": null,
        "assignedTo": null,
        "severity": "High",
        "status": "New",
        "classification": null,
        "determination": null,
        "investigationState": "Queued",
        "detectionSource": "WindowsDefenderAv",
        "detectorId": "17e10bbc-3a68-474a-8aad-faef14d43952",
        "category": "Malware",
        "threatFamilyName": "Wacatac",
        "title": "An active 'Wacatac' malware was detected while executing",
        "description": "Malware and unwanted software are undesirable applications that perform \
            annoying, disruptive, or harmful actions on affected machines. Some of them can copy \
            and spread themselves from one machine to another.",
        "alertCreationTime": time,
        "firstEventTime": time,
        "lastEventTime": time,
        "lastUpdateTime": time,
        "resolvedTime": null,
        "machineId": format!("{n:040x}"),
        "computerDnsName": format!("pc{n}.middleeast.corp.contoso.example"),
        "rbacGroupName": "Workstations",
        "aadTenantId": TENANT_ID,
        "threatName": "Trojan:Win32/Wacatac.B!ml",
        "mitreTechniques": ["T1064", "T1085", "T1220"],
        "relatedUser": {"userName": "temp123", "domainName": "CONTOSO"},
        "comments": [],
        "evidence": evidence,
    })
    .to_string()
}

fn evidence(n: usize, item: usize, status: &str, time: &str) -> Value {
    let process = item % 3 == 2;
    let user = item.is_multiple_of(6);
    let first_file = item == 1;
    let some = |value: Value| if user { Value::Null } else { value };
    let only = |when: bool, value: Value| if when { value } else { Value::Null };
    let hash = if first_file { format!("1{n:039x}") } else { format!("2{:039x}", n * 8 + item) };
    let kind = match (user, process) {
        (true, _) => "User",
        (false, true) => "Process",
        (false, false) => "File",
    };
    json!({
        "entityType": kind,
        "evidenceCreationTime": time,
        "sha1": some(json!(hash)),
        "sha256": some(json!(format!("a4752c71d81afd3d5865d24d{n:040x}"))),
        "fileName": some(json!(format!("suspicious{item}.exe"))),
        "filePath": some(json!("C:\\Users\\temp123\\AppData\\Local\\Temp")),
        "processId": only(process, json!(3276)),
        "processCommandLine": only(process, json!("rundll32.exe c:\\temp\\x.dll,RepeatAfterMe")),
        "processCreationTime": only(process, json!(time)),
        "parentProcessId": only(process, json!(8420)),
        "parentProcessCreationTime": only(process, json!(time)),
        "parentProcessFileName": only(process, json!("explorer.exe")),
        "parentProcessFilePath": only(process, json!("C:\\Windows")),
        "ipAddress": null,
        "url": null,
        "registryKey": null,
        "registryHive": null,
        "registryValueType": null,
        "registryValue": null,
        "accountName": only(user, json!("temp123")),
        "domainName": only(user, json!("CONTOSO")),
        "userSid": only(user, json!("S-1-5-21-11111607-1111760036-109187956-75141")),
        "aadUserId": only(user, json!("11118379-2a59-1111-ac3c-a51eb4a3c627")),
        "userPrincipalName": only(user, json!("temp123@contoso.example")),
        "detectionStatus": some(json!(if first_file { status } else { IDLE })),
    })
}

/// Writes `count` rules: the acting one, and others that none of these alerts match, with an
/// equality condition but for one in fifty.
pub fn write_rules(dir: &std::path::Path, count: usize) -> std::io::Result<()> {
    write(dir, count, |n| match n {
        n if n % 50 == 0 => format!("file.name|endswith: '.{n}.scr'"),
        n => equality(n),
    })
}

/// What the rules ask for, but for the acting one.
#[derive(Clone, Copy)]
pub enum Mix {
    /// Nine of ten have an equality condition.
    Tenth,
    /// None has: each asks whether a text is in another.
    Bare,
}

/// Writes `count` rules of such a mix, as [`write_rules`] does.
pub fn write_mix(dir: &std::path::Path, count: usize, mix: Mix) -> std::io::Result<()> {
    write(dir, count, |n| match mix {
        Mix::Tenth if n % 10 != 0 => equality(n),
        Mix::Tenth | Mix::Bare => format!("file.path|contains: '\\tool {n}\\'"),
    })
}

fn equality(n: usize) -> String {
    match n {
        n if n % 2 == 0 => format!("file.sha1: '{:040x}'", n + (1 << 40)),
        n => format!("alert.title: Suspicious behaviour number {n} was observed"),
    }
}

fn write(
    dir: &std::path::Path,
    count: usize,
    detection: impl Fn(usize) -> String,
) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("acting.yml"), ACTING)?;
    std::fs::create_dir_all(dir.join("samples"))?;
    std::fs::write(dir.join("samples/alert.json"), alert(1, 2, ACTS, now()))?;
    for n in 1..count {
        let detection = detection(n);
        let text = format!(
            "title: Rule number {n}
id: 00000000-0000-4000-8000-{n:012}
status: stable
logsource: {{product: microsoft_defender}}
detection:
  known: {{{detection}}}
  file: {{file.entity: File}}
  condition: known and file
level: high
response:
  action: StopAndQuarantineFile
  breakers: {{machines_per_file: 1000000/1h, actions: 1000000/1h}}
  comment: \"Quarantined due to alert {{{{alert.id}}}}\"
  mode: observe
"
        );
        std::fs::write(dir.join(format!("{n}.yml")), text)?;
    }
    Ok(())
}
