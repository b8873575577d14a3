//! Answers read from status and body alone, without a socket.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::one_line;
use crate::domain::answer::{Answer, Entry, Listing, Status};
use crate::domain::ids::{MachineActionId, MachineId, Sha1};
use crate::domain::time::Wall;

/// The longest wait that is believed: Defender's longest window.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

#[derive(Default, Deserialize)]
struct Envelope {
    error: Option<ErrorBody>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
    target: Option<String>,
}

/// What became of a `StopAndQuarantineFile` call that was answered. Only status and `error.code`
/// decide; Defender's texts may change.
pub fn read_answer(status: u16, retry_after: Option<&str>, body: &[u8], now: Wall) -> Answer {
    let (code, text) = error_of(status, body);
    match status {
        200 | 201 => match created(body) {
            Some(machine_action) => Answer::Accepted { machine_action },
            None => {
                let text = format!("{status} without a readable machine action id");
                Answer::Unclear { status: Some(status), text }
            }
        },
        401 => Answer::Unauthorized { text },
        429 => Answer::TooMany { retry_after: wait(retry_after, now), text },
        408 => Answer::Unclear { status: Some(status), text },
        400..=499 => Answer::Refused { status, code, text },
        _ => Answer::Unclear { status: Some(status), text },
    }
}

/// One page of machine actions, or why there is none.
pub fn read_listing(status: u16, retry_after: Option<&str>, body: &[u8], now: Wall) -> Listing {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        value: Vec<&'a RawValue>,
    }
    let text = error_of(status, body).1;
    match status {
        200 => match serde_json::from_slice::<Page<'_>>(body) {
            Ok(page) => Listing::Page {
                read: u32::try_from(page.value.len()).unwrap_or(u32::MAX),
                entries: page.value.into_iter().filter_map(entry).collect(),
            },
            Err(error) => Listing::Failed { text: format!("the list of machine actions: {error}") },
        },
        401 => Listing::Unauthorized { text },
        429 => Listing::TooMany { retry_after: wait(retry_after, now), text },
        _ => Listing::Failed { text },
    }
}

/// Defender writes `lastUpdateDateTimeUtc`; one of its documents says `lastUpdateTimeUtc`.
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
    last_update_date_time_utc: Option<String>,
    last_update_time_utc: Option<String>,
    related_file_info: Option<RelatedFile>,
    error_h_result: Option<i64>,
    troubleshoot_info: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RelatedFile {
    file_identifier: Option<String>,
    file_identifier_type: Option<String>,
}

fn entry(raw: &RawValue) -> Option<Entry> {
    let raw: RawEntry = serde_json::from_str(raw.get()).ok()?;
    if raw.kind.as_deref().is_some_and(|kind| kind != "StopAndQuarantineFile") {
        return None;
    }
    let created = Wall::parse(&raw.creation_date_time_utc)?;
    let updated = raw.last_update_date_time_utc.or(raw.last_update_time_utc);
    let is_sha1 = |file: &RelatedFile| {
        file.file_identifier_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("sha1"))
    };
    let sha1 = raw.related_file_info.filter(is_sha1).and_then(|file| file.file_identifier);
    let code = raw.error_h_result.filter(|code| *code != 0);
    let code = code.map(|code| format!("0x{:08x}", code & 0xffff_ffff));
    Some(Entry {
        id: MachineActionId::parse(&raw.id)?,
        status: status(raw.status.as_deref().unwrap_or_default()),
        machine: MachineId::parse(&raw.machine_id).ok()?,
        sha1: sha1.and_then(|text| Sha1::parse(&text).ok()),
        comment: raw.requestor_comment.unwrap_or_default(),
        created,
        updated: updated.and_then(|text| Wall::parse(&text)).unwrap_or(created),
        error: raw.troubleshoot_info.map(|text| one_line(&text)).or(code),
    })
}

fn status(word: &str) -> Status {
    match word {
        "InProgress" => Status::InProgress,
        "Succeeded" => Status::Succeeded,
        "Failed" => Status::Failed,
        "TimeOut" => Status::TimedOut,
        "Cancelled" => Status::Cancelled,
        _ => Status::Pending,
    }
}

fn created(body: &[u8]) -> Option<MachineActionId> {
    #[derive(Deserialize)]
    struct Created {
        id: String,
    }
    let created: Created = serde_json::from_slice(body).ok()?;
    MachineActionId::parse(&created.id)
}

/// Code and a line of text. The body may be empty, or a gateway's HTML.
fn error_of(status: u16, body: &[u8]) -> (String, String) {
    let envelope: Envelope = serde_json::from_slice(body).unwrap_or_default();
    let error = envelope.error.unwrap_or_default();
    let mut text = status.to_string();
    let code = one_line(&error.code.unwrap_or_default());
    if !code.is_empty() {
        text = format!("{text} {code}");
    }
    if let Some(message) = error.message.filter(|message| !message.is_empty()) {
        text = format!("{text}: {}", one_line(&message));
    }
    if let Some(target) = error.target {
        text = format!("{text} [{}]", one_line(&target));
    }
    (code, text)
}

/// Seconds or an HTTP date. A wait that is too long to be true counts as the longest window.
fn wait(retry_after: Option<&str>, now: Wall) -> Option<Duration> {
    let text = retry_after?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Wall(at.as_microsecond()).since(now).min(RETRY_AFTER_MAX))
}
