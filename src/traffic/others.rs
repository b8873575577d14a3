//! Evidence that is neither machine nor file, and never leads to a call.

use serde_json::{Map, Value, json};

use super::draw::hex;
use super::model::{Other, OtherKind};
use super::nested::hash;
use super::xdr::object;
use crate::domain::dice::Dice;

/// What it is called in the streaming API.
pub(super) fn entity(kind: OtherKind) -> &'static str {
    match kind {
        OtherKind::User => "User",
        OtherKind::Mailbox => "Mailbox",
        OtherKind::MailMessage => "MailMessage",
        OtherKind::Url => "Url",
        OtherKind::Ip => "Ip",
        OtherKind::RegistryKey => "RegistryKey",
        OtherKind::CloudApplication => "CloudApplication",
    }
}

/// The columns that it fills.
pub(super) fn columns(other: &Other) -> Map<String, Value> {
    let mut dice = Dice::new(other.seed);
    let (own, nested) = match other.kind {
        OtherKind::User => (
            json!({"AccountName": "jdoe", "AccountDomain": "FABRIKAM",
                "AccountUpn": "jdoe@fabrikam.example", "AccountObjectId": guid(&mut dice)}),
            json!({"Name": "jdoe", "NTDomain": "FABRIKAM", "Type": "account"}),
        ),
        OtherKind::Mailbox => (
            json!({"AccountUpn": "jdoe@fabrikam.example", "FileName": "attached.exe",
                "SHA1": hex(&mut dice, 40)}),
            json!({"MailboxPrimaryAddress": "jdoe@fabrikam.example", "Type": "mailbox",
                "DetectionStatus": "Detected"}),
        ),
        OtherKind::MailMessage => (
            json!({"NetworkMessageId": guid(&mut dice), "EmailSubject": "Your order"}),
            json!({"Recipient": "jdoe@fabrikam.example", "Type": "mailMessage",
                "Files": [{"$id": "2", "Name": "order.zip",
                    "FileHashes": [hash("3", "SHA1", &hex(&mut dice, 40))]}]}),
        ),
        OtherKind::Url => (
            json!({"RemoteUrl": format!("https://{}.example/get", hex(&mut dice, 8))}),
            json!({"Type": "url", "DetectionStatus": "Detected"}),
        ),
        OtherKind::Ip => (
            json!({"RemoteIP": format!("198.51.100.{}", dice.below(255))}),
            json!({"Type": "ip", "Location": {"CountryCode": "ZZ"}}),
        ),
        OtherKind::RegistryKey => (
            json!({"RegistryKey": "HKEY_LOCAL_MACHINE\\SOFTWARE\\Contoso\\Run",
                "RegistryValueName": "Start", "RegistryValueData": "C:\\ProgramData\\a.exe"}),
            json!({"Hive": "HKEY_LOCAL_MACHINE", "Key": "SOFTWARE\\Contoso\\Run",
                "Type": "registry-key"}),
        ),
        OtherKind::CloudApplication => (
            json!({"Application": "Contoso Drive", "ApplicationId": dice.below(90_000)}),
            json!({"AppId": dice.below(90_000), "Name": "Contoso Drive",
                "Type": "cloud-application"}),
        ),
    };
    let mut columns = object(own);
    columns.insert("AdditionalFields".to_owned(), nested.to_string().into());
    if let Some(machine) = &other.machine {
        columns.insert("DeviceId".to_owned(), machine.id.clone().into());
        columns.insert("DeviceName".to_owned(), machine.name.clone().into());
    }
    columns
}

pub(super) fn guid(dice: &mut Dice) -> String {
    let digits = hex(dice, 32);
    let (a, b, c) = (&digits[..8], &digits[8..12], &digits[13..16]);
    format!("{a}-{b}-4{c}-8{}-{}", &digits[17..20], &digits[20..])
}
