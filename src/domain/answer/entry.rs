//! One machine action, as Defender lists it.

use serde::Deserialize;
use serde_json::Value;

use super::read::one_line;
use super::{Entry, Status};
use crate::domain::ids::{MachineActionId, MachineId, Sha1};
use crate::domain::time::Wall;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry {
    id: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
    machine_id: String,
    requestor_comment: Option<String>,
    creation_date_time_utc: String,
    /// The list's documented example has the second name, what is observed the first.
    last_update_date_time_utc: Option<String>,
    last_update_time_utc: Option<String>,
    related_file_info: Option<RelatedFile>,
    // Hardly documented: whatever stands there must not make the entry unreadable.
    error: Option<Value>,
    error_h_result: Option<Value>,
    troubleshoot_info: Option<Value>,
    cancellation_requestor: Option<Value>,
    cancellation_comment: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RelatedFile {
    file_identifier: Option<String>,
    file_identifier_type: Option<String>,
}

/// Reads one machine action of a list; `None` for what is none, or of another type.
pub(super) fn entry_of(text: &str) -> Option<Entry> {
    let raw: RawEntry = serde_json::from_str(text).ok()?;
    if raw.kind.as_deref().is_some_and(|kind| kind != "StopAndQuarantineFile") {
        return None;
    }
    let created = Wall::parse(&raw.creation_date_time_utc)?;
    let updated = raw.last_update_date_time_utc.as_deref().or(raw.last_update_time_utc.as_deref());
    let sha1 = raw
        .related_file_info
        .as_ref()
        .filter(|file| file.file_identifier_type.as_deref() == Some("Sha1"))
        .and_then(|file| Sha1::parse(file.file_identifier.as_deref()?).ok());
    Some(Entry {
        id: MachineActionId::parse(&raw.id)?,
        status: Status::read(raw.status.as_deref().unwrap_or_default()),
        machine: MachineId::parse(&raw.machine_id).ok()?,
        sha1,
        comment: raw.requestor_comment.clone().unwrap_or_default(),
        created,
        updated: updated.and_then(Wall::parse).unwrap_or(created),
        error: error_of(&raw),
    })
}

impl Status {
    /// Reads Defender's word for it; note its spelling of `TimeOut`.
    fn read(word: &str) -> Self {
        match word {
            "InProgress" => Status::InProgress,
            "Succeeded" => Status::Succeeded,
            "Failed" => Status::Failed,
            "TimeOut" => Status::TimedOut,
            "Cancelled" => Status::Cancelled,
            "Pending" => Status::Pending,
            _ => Status::Other,
        }
    }
}

/// The code first, since a long text is cut off.
fn error_of(raw: &RawEntry) -> Option<String> {
    let code = raw.error_h_result.as_ref().and_then(Value::as_i64).filter(|code| *code != 0);
    let by = raw.cancellation_requestor.as_ref().and_then(text_of);
    let cancelled = match (by, raw.cancellation_comment.as_ref().and_then(text_of)) {
        (Some(by), Some(comment)) => Some(format!("cancelled by {by}: {comment}")),
        (Some(by), None) => Some(format!("cancelled by {by}")),
        (None, comment) => comment.map(|comment| format!("cancelled: {comment}")),
    };
    let texts = [&raw.error, &raw.troubleshoot_info].map(|text| text.as_ref().and_then(text_of));
    let parts: Vec<_> = code
        .map(code_text)
        .into_iter()
        .chain(cancelled)
        .chain(texts.into_iter().flatten())
        .collect();
    (!parts.is_empty()).then(|| one_line(&parts.join("; ")))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    }
}

/// A HRESULT as Windows writes it, and what is known of it: the first is what Defender gives when
/// it has waited its three days, the second when it was told to stop.
fn code_text(code: i64) -> String {
    let code = code & 0xffff_ffff;
    match code {
        0x8019_0198 => format!("0x{code:08x}, the machine never fetched it"),
        0x8000_4004 => format!("0x{code:08x}, aborted"),
        _ => format!("0x{code:08x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_status_is_no_end() {
        assert_eq!(Status::read("Superseded"), Status::Other);
        assert!(!Status::read("").has_ended());
    }

    /// What is said of an entry with these members more.
    fn said(more: &str) -> Option<String> {
        let text = format!(
            r#"{{"id":"a","status":"Failed","creationDateTimeUtc":"2018-12-04T12:15:40Z",
                "machineId":"1e5bc9d7e413ddd7902c2932e418702b84d0cc07",{more}}}"#
        );
        entry_of(&text).expect("it reads").error
    }

    #[test]
    fn all_that_defender_says_of_an_end_is_kept() {
        let cancelled = r#""errorHResult":-2147467260,"cancellationRequestor":"alice@contoso.com",
            "cancellationComment":"no need""#;
        let told = "0x80004004, aborted; cancelled by alice@contoso.com: no need";
        assert_eq!(said(cancelled).as_deref(), Some(told));
        let failed =
            r#""errorHResult":-2147024891,"error":"Access denied","troubleshootInfo":"T1""#;
        assert_eq!(said(failed).as_deref(), Some("0x80070005; Access denied; T1"));
        let strange = r#""errorHResult":"x","error":{"code":7},"troubleshootInfo":["a"],
            "cancellationRequestor":null,"cancellationComment":"late""#;
        assert_eq!(said(strange).as_deref(), Some(r#"cancelled: late; {"code":7}; ["a"]"#));
        let nothing = r#""errorHResult":0,"error":"","troubleshootInfo":null"#;
        assert_eq!(said(nothing), None);
    }
}
