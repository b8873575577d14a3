//! From status, `Retry-After` and body to an [`Answer`] or a [`Listing`]. Bodies may be empty,
//! HTML or half of something: only the status is sure to be there.

use std::time::Duration;

use jiff::fmt::rfc2822;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::entry::entry_of;
use super::{Answer, Listing};
use crate::domain::ids::MachineActionId;
use crate::domain::time::Wall;
use crate::limits;

impl Answer {
    /// Reads the answer to one `StopAndQuarantineFile`. What is neither an acceptance nor a
    /// definite refusal is unclear, a redirect and a 201 without a readable id included.
    pub fn read(status: u16, retry_after: Option<&str>, body: &[u8], now: Wall) -> Self {
        match status {
            200 | 201 => match accepted(body) {
                Some(machine_action) => Answer::Accepted { machine_action },
                None => {
                    let text = format!("no machine action id in: {}", one_line_of(body));
                    Answer::Unclear { status: Some(status), text }
                }
            },
            401 => Answer::Unauthorized { text: Failure::read(status, body).text() },
            429 => {
                let (retry_after, text) = too_many(retry_after, body, now);
                Answer::TooMany { retry_after, text }
            }
            400..=499 if status != 408 => {
                let failure = Failure::read(status, body);
                let text = failure.text();
                Answer::Refused { status, code: failure.code, text }
            }
            _ => {
                let text = Failure::read(status, body).text();
                Answer::Unclear { status: Some(status), text }
            }
        }
    }
}

impl Listing {
    /// Reads one page of `/api/machineactions`. An entry that can't be read does not spoil its
    /// page; a body that is no page does.
    pub fn read(status: u16, retry_after: Option<&str>, body: &[u8], now: Wall) -> Self {
        match status {
            200 => match serde_json::from_slice::<Page>(body) {
                Ok(page) => Listing::Page {
                    read: u32::try_from(page.value.len()).unwrap_or(u32::MAX),
                    entries: page.value.iter().filter_map(|entry| entry_of(entry.get())).collect(),
                    next: page.next_link.is_some(),
                },
                Err(error) => Listing::Failed { text: format!("no page of actions: {error}") },
            },
            401 => Listing::Unauthorized { text: Failure::read(status, body).text() },
            429 => {
                let (retry_after, text) = too_many(retry_after, body, now);
                Listing::TooMany { retry_after, text }
            }
            _ => Listing::Failed { text: Failure::read(status, body).text() },
        }
    }
}

/// Defender's error envelope, as far as it was there.
pub(super) struct Failure {
    status: u16,
    pub(super) code: String,
    message: String,
    target: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: Error,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Error {
    code: Option<String>,
    message: Option<String>,
    target: Option<String>,
}

impl Failure {
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Envelope>(body) {
            Ok(Envelope { error }) => Self {
                status,
                code: one_line(&error.code.unwrap_or_default()),
                message: one_line(&error.message.unwrap_or_default()),
                target: one_line(&error.target.unwrap_or_default()),
            },
            Err(_) => Self {
                status,
                code: String::new(),
                message: one_line_of(body),
                target: String::new(),
            },
        }
    }

    /// `target` is what Microsoft's support asks for first.
    pub(super) fn text(&self) -> String {
        let Self { status, code, message, target } = self;
        let mut text = status.to_string();
        for (before, part) in [(" ", code), (": ", message)] {
            if !part.is_empty() {
                text.push_str(&format!("{before}{part}"));
            }
        }
        if !target.is_empty() {
            text.push_str(&format!(" (target {target})"));
        }
        one_line(&text)
    }
}

#[derive(Deserialize)]
struct Created {
    id: String,
}

fn accepted(body: &[u8]) -> Option<MachineActionId> {
    let created: Created = serde_json::from_slice(body).ok()?;
    MachineActionId::parse(&created.id)
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<IgnoredAny>,
}

/// How long a 429 asks to wait: by its header, else by the window its message names.
pub(super) fn too_many(
    retry_after: Option<&str>,
    body: &[u8],
    now: Wall,
) -> (Option<Duration>, String) {
    let failure = Failure::read(429, body);
    let wait = retry_after
        .and_then(|value| header_wait(value.trim(), now))
        .or_else(|| message_wait(&failure.message))
        .map(|wait| wait.clamp(limits::RETRY_AFTER_MIN, limits::RETRY_AFTER_MAX));
    (wait, failure.text())
}

/// Seconds or an HTTP date. Seconds past the type's end are still only a long time.
fn header_wait(value: &str, now: Wall) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(value.parse().map_or(limits::RETRY_AFTER_MAX, Duration::from_secs));
    }
    let at = rfc2822::parse(value).ok()?.timestamp().as_microsecond();
    Some(Wall(at).since(now))
}

/// `API calls quota exceeded! maximum allowed 1500 per 01:00:00` names the window it is about.
fn message_wait(message: &str) -> Option<Duration> {
    let window = message.rsplit_once(" per ")?.1;
    let mut seconds = 0_u64;
    let mut parts = 0;
    for part in window.split(':') {
        let two_digits: u8 = part.get(..2)?.parse().ok()?;
        seconds = seconds * 60 + u64::from(two_digits);
        parts += 1;
    }
    (parts == 3).then(|| Duration::from_secs(seconds))
}

fn one_line_of(body: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(&body[..body.len().min(4 * limits::ANSWER_TEXT_CHARS)]))
}

/// Bounded, and without characters that would do something to a terminal or a log.
pub(super) fn one_line(text: &str) -> String {
    let safe = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(limits::ANSWER_TEXT_CHARS).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::answer::Status;

    const NOW: Wall = Wall(1_445_412_420_000_000); // 2015-10-21T07:27:00Z

    fn error(code: &str, message: &str) -> Vec<u8> {
        let target = "43f4cb08-8fac-4b65-9db1-745c2ae65f3a";
        serde_json::json!({"error": {"code": code, "message": message, "target": target}})
            .to_string()
            .into_bytes()
    }

    fn wait(header: Option<&str>, message: &str) -> Option<u64> {
        match Answer::read(429, header, &error("429", message), NOW) {
            Answer::TooMany { retry_after, .. } => retry_after.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_429_waits_as_its_header_or_its_message_says() {
        let hour = "API calls quota exceeded! maximum allowed 1500 per 01:00:00";
        assert_eq!(wait(Some("17"), hour), Some(17));
        assert_eq!(wait(Some("Wed, 21 Oct 2015 07:28:00 GMT"), hour), Some(60));
        assert_eq!(wait(None, hour), Some(3600));
        assert_eq!(wait(Some("soon"), "maximum allowed 45 per 00:01:00."), Some(60));
        assert_eq!(wait(None, "quota reached by number of requests or by CPU"), None);
    }

    #[test]
    fn a_wait_is_bounded_both_ways() {
        assert_eq!(wait(Some("0"), ""), Some(1));
        assert_eq!(wait(Some("Wed, 21 Oct 2015 07:00:00 GMT"), ""), Some(1));
        assert_eq!(wait(Some("99999999999999999999999"), ""), Some(3600));
        assert_eq!(wait(Some("-5"), ""), None);
    }

    #[test]
    fn only_a_readable_id_is_an_acceptance() {
        let id = MachineActionId::parse("6b001073-5500-4205-8287-6f1184936f67").unwrap();
        let body = br#"{"id":"6b001073-5500-4205-8287-6f1184936f67","status":"Pending"}"#;
        assert_eq!(Answer::read(201, None, body, NOW), Answer::Accepted { machine_action: id });
        for body in [&b""[..], b"{}", b"<html>", br#"{"id":null}"#, br#"{"id":"a b"}"#] {
            let answer = Answer::read(201, None, body, NOW);
            assert!(matches!(answer, Answer::Unclear { status: Some(201), .. }), "{answer:?}");
        }
    }

    #[test]
    fn a_refusal_is_definite_only_below_500() {
        for (status, code) in [(400, "ActiveRequestAlreadyExists"), (404, "ResourceNotFound")] {
            match Answer::read(status, None, &error(code, "x"), NOW) {
                Answer::Refused { status: s, code: c, .. } => {
                    assert_eq!((s, c.as_str()), (status, code));
                }
                other => panic!("{other:?}"),
            }
        }
        for status in [302, 408, 500, 502, 503, 504] {
            let answer = Answer::read(status, None, b"<html>\r\n\x1b[31m</html>", NOW);
            let Answer::Unclear { status: Some(seen), text } = answer else { panic!() };
            assert_eq!(seen, status);
            assert!(!text.contains(char::is_control), "{text:?}");
        }
        let answer = Answer::read(401, None, b"", NOW);
        assert!(matches!(answer, Answer::Unauthorized { .. }), "{answer:?}");
    }

    #[test]
    fn a_bad_entry_does_not_spoil_its_page() {
        let body = br#"{"value":[
            {"id":"a","type":"StopAndQuarantineFile","status":"Succeeded",
             "machineId":"1E5BC9D7E413DDD7902C2932E418702B84D0CC07","requestorComment":"c",
             "creationDateTimeUtc":"2018-12-04T12:15:40.6052029Z",
             "lastUpdateTimeUtc":"2018-12-04T12:16:14.2899973Z",
             "relatedFileInfo":{"fileIdentifier":"a0c659857ccbe457fdaf5fe21d54efdcbf6f6508",
                                "fileIdentifierType":"Sha1"}},
            {"id":"b","status":"TimeOut","machineId":"1e5bc9d7e413ddd7902c2932e418702b84d0cc07",
             "creationDateTimeUtc":"2018-12-04T12:15:40Z","errorHResult":-2145844840,
             "lastUpdateDateTimeUtc":"2018-12-07T12:29:40Z",
             "relatedFileInfo":{"fileIdentifier":"x","fileIdentifierType":"Sha256"}},
            {"id":"c","status":"Succeeded","machineId":"somewhere"},
            {"id":"d","type":"Isolate","status":"Succeeded",
             "machineId":"1e5bc9d7e413ddd7902c2932e418702b84d0cc07",
             "creationDateTimeUtc":"2018-12-04T12:15:40Z"},
            7]}"#;
        let Listing::Page { entries, read, next: false } = Listing::read(200, None, body, NOW)
        else {
            panic!()
        };
        assert_eq!(read, 5);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].status, Status::Succeeded);
        assert_eq!(entries[0].updated.to_string(), "2018-12-04T12:16:14.289Z");
        assert!(entries[0].sha1.is_some());
        assert_eq!(entries[1].status, Status::TimedOut);
        assert_eq!(entries[1].sha1, None);
        let never = "0x80190198, the machine never fetched it";
        assert_eq!(entries[1].error.as_deref(), Some(never));
    }

    #[test]
    fn a_page_may_name_the_next_one() {
        let next = |body: &str| match Listing::read(200, None, body.as_bytes(), NOW) {
            Listing::Page { next, .. } => next,
            other => panic!("{other:?}"),
        };
        assert!(next(
            r#"{"value": [], "@odata.nextLink": "https://a/api/machineactions?$skip=1"}"#
        ));
        assert!(!next(r#"{"value": [], "@odata.nextLink": null}"#));
    }

    #[test]
    fn an_answer_without_a_body_is_told_by_its_status_alone() {
        assert_eq!(Failure::read(429, b"").text(), "429");
        assert_eq!(Failure::read(502, b"bad gateway").text(), "502: bad gateway");
    }

    #[test]
    fn what_is_no_page_is_a_failure_and_never_an_empty_page() {
        for body in [&b""[..], b"{}", b"[]", b"<html>", br#"{"value":null}"#] {
            let listing = Listing::read(200, None, body, NOW);
            assert!(matches!(listing, Listing::Failed { .. }), "{listing:?}");
        }
    }
}
