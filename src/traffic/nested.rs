//! `AdditionalFields`: an object in a text, in the manner of Newtonsoft's serializer, where what
//! has stood once, with an `$id`, is only referred to after that. It is full of what must not be
//! acted on: hashes of the programs that started another, and another machine's id.

use std::time::Duration;

use serde_json::{Value, json};

use super::calendar::written;
use super::draw::{hex, system_file};
use super::model::{Hash, Machine, Met, Told};
use super::xdr::Opinion;
use crate::domain::dice::Dice;

/// Of a machine's own row.
pub(super) fn machine(machine: &Machine, at: Duration, dice: &mut Dice) -> Value {
    let mut own = host("1", Some(machine), at, dice);
    own["LoggedOnUsers"] = json!([]);
    own["Role"] = 0.into();
    own
}

/// Of a file's row.
pub(super) fn file(met: &Met, opinion: Opinion, dice: &mut Dice) -> Value {
    let mut fields = image(met, "1", dice);
    match met.told {
        Told::Nested => fields["Host"] = host("3", Some(&met.machine), met.at, dice),
        Told::Reference => {
            fields["Host"] = json!({"$ref": "3"});
            let definition = host("3", Some(&met.machine), met.at, dice);
            // Before the reference in the text, or after it: keys are sorted.
            if dice.chance(500) {
                fields["Account"] = account(definition);
            } else {
                fields["ParentProcess"] = parent(definition, met.at, dice);
            }
        }
        Told::Column if dice.chance(500) => {
            fields["Host"] = host("3", Some(&met.machine), met.at, dice)
        }
        Told::Column => {}
        Told::Nowhere if dice.chance(500) => fields["Host"] = host("3", None, met.at, dice),
        Told::Nowhere => {}
    }
    state(&mut fields, met, opinion, dice);
    fields
}

/// Of a process's row. Its own `Host` is at most a reference.
pub(super) fn process(met: &Met, opinion: Opinion, dice: &mut Dice) -> Value {
    let mut image = image(met, "2", dice);
    let reference = || json!({"$ref": "3"});
    let told = match met.told {
        Told::Nested | Told::Reference => Some(&met.machine),
        Told::Column | Told::Nowhere => None,
    };
    let definition = host("3", told, met.at, dice);
    let (own, account_has, parent_has) = match met.told {
        Told::Reference if dice.chance(500) => (reference(), definition, reference()),
        Told::Reference => (reference(), reference(), definition),
        _ => (definition, reference(), reference()),
    };
    image["Host"] = own;
    let mut fields = json!({
        "$id": "1",
        "ProcessId": (1000 + dice.below(30_000)).to_string(),
        "CommandLine": format!("\"{}\\{}\" /quiet", met.file.folder, met.file.name),
        "CreationTimeUtc": earlier(met.at, dice),
        "ElevationToken": "Default",
        "IntegrityLevel": "Medium",
        "ImageFile": image,
        "Account": account(account_has),
        "ParentProcess": parent(parent_has, met.at, dice),
        "Host": reference(),
    });
    state(&mut fields, met, opinion, dice);
    fields["Type"] = "process".into();
    fields
}

/// A machine. Of what it does not tell, its id, its metadata give another.
fn host(id: &str, machine: Option<&Machine>, at: Duration, dice: &mut Dice) -> Value {
    let enrichment = json!({
        "MachineId": hex(dice, 40),
        "OnboardingStatus": "Onboarded",
        "Tags": ["Laptop", "Branch office"],
        "OsBuild": 22_631 + dice.below(3000),
        "AgentVersion": format!("10.8760.{}.{}", dice.below(30_000), dice.below(2000)),
        "LastSeenUtc": earlier(at, dice),
        "Vendor": "Contoso Hardware",
    });
    let mut host = json!({
        "$id": id,
        "OSFamily": "Windows",
        "IsDomainJoined": true,
        "Metadata": {"MachineEnrichmentInfo": enrichment.to_string()},
        "Type": "host",
    });
    if let Some(machine) = machine {
        host["HostName"] = machine.name.clone().into();
        host["MachineId"] = machine.id.clone().into();
        host["MachineIdType"] = 3.into();
    }
    host
}

fn account(host: Value) -> Value {
    json!({
        "$id": "20",
        "Name": "jdoe",
        "NTDomain": "FABRIKAM",
        "Sid": "S-1-5-21-1004336348-1177238915-682003330-1105",
        "Host": host,
        "IsDomainJoined": true,
        "Type": "account",
    })
}

/// The program that started it, and the one that started that.
fn parent(host: Value, at: Duration, dice: &mut Dice) -> Value {
    let mut program = |id: u64, host: Value| {
        let file = system_file(dice);
        let name = |more: u64| (id + more).to_string();
        json!({
            "$id": name(0),
            "ProcessId": (500 + dice.below(20_000)).to_string(),
            "CommandLine": file.name,
            "CreationTimeUtc": earlier(at, dice),
            "ImageFile": {
                "$id": name(1),
                "Directory": file.folder,
                "Name": file.name,
                "Host": host,
                "FileHashes": [
                    hash(&name(2), "SHA1", &file.sha1),
                    hash(&name(3), "SHA256", &file.sha256),
                ],
                "SizeInBytes": file.size,
                "Publisher": "Microsoft Corporation",
                "Type": "file",
            },
            "Type": "process",
        })
    };
    let mut parent = program(30, host);
    parent["ParentProcess"] = program(40, json!({"$ref": "3"}));
    parent
}

/// A file: its names and its hashes.
fn image(met: &Met, id: &str, dice: &mut Dice) -> Value {
    let mut hashes = vec![
        hash("11", "MD5", &hex(dice, 32)),
        hash("12", "SHA256", &met.file.sha256),
        hash("13", "SHA256AC", &hex(dice, 64)),
    ];
    let nested = match &met.hash {
        Hash::Both | Hash::Nested => Some(met.file.sha1.as_str()),
        Hash::Differs(other) => Some(other.as_str()),
        Hash::Column | Hash::Nowhere | Hash::Zeros => None,
    };
    if let Some(sha1) = nested {
        let at = dice.below(hashes.len() as u64 + 1) as usize;
        let sha1 = if dice.chance(200) { sha1.to_ascii_uppercase() } else { sha1.to_owned() };
        hashes.insert(at, hash("10", "SHA1", &sha1));
    }
    json!({
        "$id": id,
        "Directory": met.file.folder,
        "Name": met.file.name,
        "FileHashes": hashes,
        "SizeInBytes": met.file.size,
        "CreatedTimeUtc": earlier(met.at, dice),
        "KnownPrevalence": dice.below(70_000),
        "FirstSeen": earlier(met.at, dice),
        "Publisher": null,
        "Signer": null,
        "IsPe": dice.chance(700),
        "Type": "file",
    })
}

pub(super) fn hash(id: &str, algorithm: &str, value: &str) -> Value {
    json!({"$id": id, "Algorithm": algorithm, "Value": value, "Type": "filehash"})
}

/// What Defender did about it and what it thinks.
fn state(fields: &mut Value, met: &Met, opinion: Opinion, dice: &mut Dice) {
    if let Some(status) = met.status.name() {
        fields["DetectionStatus"] = status.into();
    }
    fields["LastVerdict"] = opinion.verdict.into();
    fields["SuspicionLevel"] = opinion.suspicion.into();
    fields["LastRemediationState"] = opinion.remediation.into();
    fields["IsIoc"] = dice.chance(100).into();
    fields["Asset"] = false.into();
    fields["Role"] = 1.into();
    fields["MergeByKey"] = hex(dice, 27).into();
    fields["MergeByKeyHex"] = hex(dice, 64).into();
    // Some are long.
    if dice.chance(150) {
        let note = |n| format!("{n}: observed once more, nothing of it is new.");
        fields["RemediationNotes"] = (0..dice.below(60)).map(note).collect::<Vec<_>>().into();
    }
}

/// Some time in the months before.
fn earlier(at: Duration, dice: &mut Dice) -> String {
    written(at.saturating_sub(Duration::from_secs(60 + dice.below(90 * 86_400))))
}
