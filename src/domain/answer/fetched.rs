//! What Defender answered to a read: an alert, a machine, a file, or machines by their names.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::read::{Failure, one_line, too_many};
use crate::domain::ids::MachineId;
use crate::domain::time::Wall;

/// Machines asked for in one page. A page that has as many may not be all there are.
pub const MACHINES_PAGE: usize = 1000;

/// What Defender answered to a read, or why it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched<T> {
    Is(T),
    /// Status 404. Of machines, Microsoft's page "List machines API" has it where none is recent.
    /// Seen under load for machines that exist.
    NotFound {
        text: String,
    },
    TooMany {
        retry_after: Option<Duration>,
        text: String,
    },
    /// 401: the token is not accepted (any more).
    Unauthorized {
        text: String,
    },
    /// Any other definite refusal, with Defender's `error.code`: 403 `Forbidden` where a role is
    /// missing. `status` is 0 where no call was made, since what was asked for can stand in no URL.
    Refused {
        status: u16,
        code: String,
        text: String,
    },
    /// Anything else: no answer, one that can't be read, 5xx. It may be asked again.
    Failed {
        text: String,
    },
}

impl<T> Fetched<T> {
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Fetched<U> {
        match self {
            Fetched::Is(it) => Fetched::Is(map(it)),
            Fetched::NotFound { text } => Fetched::NotFound { text },
            Fetched::TooMany { retry_after, text } => Fetched::TooMany { retry_after, text },
            Fetched::Unauthorized { text } => Fetched::Unauthorized { text },
            Fetched::Refused { status, code, text } => Fetched::Refused { status, code, text },
            Fetched::Failed { text } => Fetched::Failed { text },
        }
    }
}

/// A machine as Defender lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub id: MachineId,
    /// `computerDnsName`
    pub name: String,
    /// `healthStatus` as it came, such as `Active`; empty where it did not.
    pub health: String,
    /// `onboardingStatus` as it came, such as `Onboarded`; empty where it did not.
    pub onboarding: String,
}

/// Machines as one page lists them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machines {
    pub all: Vec<Machine>,
    /// Whether there may be more than the page has.
    pub more: bool,
}

impl Fetched<String> {
    /// Reads the answer to one `GET /api/alerts/{id}`, `/api/machines/{id}` or `/api/files/{sha1}`:
    /// the JSON object as it came. What it says is for a format to read.
    pub fn read(status: u16, retry_after: Option<&str>, body: &[u8], now: Wall) -> Self {
        read(status, retry_after, body, now, |body| match serde_json::from_slice(body) {
            Ok(alert) => object(alert).ok_or_else(|| "not readable: no object".to_owned()),
            Err(error) => Err(format!("not readable: {error}")),
        })
    }
}

impl Fetched<Machines> {
    /// Reads the answer to one `GET /api/machines` with `$top` of [`MACHINES_PAGE`]. An entry
    /// without a valid id or a name spoils its page: it could be a second machine of that name.
    pub fn read(status: u16, retry_after: Option<&str>, body: &[u8], now: Wall) -> Self {
        read(status, retry_after, body, now, |body| {
            let page: Page = serde_json::from_slice(body)
                .map_err(|error| format!("no page of machines: {error}"))?;
            let more = page.next_link.is_some() || page.value.len() >= MACHINES_PAGE;
            let all = page.value.into_iter().map(machine_of).collect::<Result<_, _>>()?;
            Ok(Machines { all, more })
        })
    }
}

/// By status; `found` reads the body of a 200.
fn read<T>(
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    now: Wall,
    found: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Fetched<T> {
    let text = || Failure::read(status, body).text();
    match status {
        200 => match found(body) {
            Ok(found) => Fetched::Is(found),
            Err(text) => Fetched::Failed { text: one_line(&text) },
        },
        401 => Fetched::Unauthorized { text: text() },
        404 => Fetched::NotFound { text: text() },
        429 => {
            let (retry_after, text) = too_many(retry_after, body, now);
            Fetched::TooMany { retry_after, text }
        }
        400..=499 if status != 408 => {
            let failure = Failure::read(status, body);
            Fetched::Refused { status, text: failure.text(), code: failure.code }
        }
        _ => Fetched::Failed { text: text() },
    }
}

fn object(value: &RawValue) -> Option<String> {
    value.get().starts_with('{').then(|| value.get().to_owned())
}

#[derive(Deserialize)]
struct Page {
    value: Vec<RawMachine>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMachine {
    id: String,
    computer_dns_name: String,
    health_status: Option<String>,
    onboarding_status: Option<String>,
}

fn machine_of(raw: RawMachine) -> Result<Machine, String> {
    let id = MachineId::parse(&raw.id)
        .map_err(|why| format!("in the page of machines an id {why}: {}", raw.id))?;
    Ok(Machine {
        id,
        name: raw.computer_dns_name,
        health: raw.health_status.unwrap_or_default(),
        onboarding: raw.onboarding_status.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";

    fn alert(status: u16, body: &str) -> Fetched<String> {
        Fetched::<String>::read(status, Some("7"), body.as_bytes(), Wall(0))
    }

    fn machines(body: &str) -> Fetched<Machines> {
        Fetched::<Machines>::read(200, None, body.as_bytes(), Wall(0))
    }

    fn page(entries: &[String]) -> String {
        format!(r#"{{"@odata.context": "c", "value": [{}]}}"#, entries.join(","))
    }

    fn entry(name: &str) -> String {
        format!(r#"{{"id": "{ID}", "computerDnsName": "{name}", "healthStatus": null}}"#)
    }

    #[test]
    fn status_decides_and_the_text_is_kept_for_people() {
        let error = r#"{"error": {"code": "Forbidden", "message": "No role", "target": "t"}}"#;
        let text = "403 Forbidden: No role (target t)".to_owned();
        let code = "Forbidden".to_owned();
        assert_eq!(alert(403, error), Fetched::Refused { status: 403, code, text });
        assert!(matches!(alert(400, ""), Fetched::Refused { status: 400, .. }));
        assert!(matches!(alert(401, ""), Fetched::Unauthorized { text } if text == "401"));
        assert!(matches!(alert(404, ""), Fetched::NotFound { text } if text == "404"));
        let Fetched::TooMany { retry_after, .. } = alert(429, "") else { panic!() };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
        for status in [201, 204, 302, 408, 500, 503] {
            assert!(matches!(alert(status, "{}"), Fetched::Failed { .. }), "{status}");
        }
    }

    #[test]
    fn an_alert_is_an_object_as_it_came_and_nothing_else_is_one() {
        let text = r#"{"id":"da1_1",  "evidence":[{"sha1":null}], "new": 1e400}"#;
        assert_eq!(alert(200, &format!("\n{text} ")), Fetched::Is(text.to_owned()));
        for body in ["", "<html>", "[]", "null", "\"{}\"", "{", r#"{"id": 1} {}"#, r#"{"id":"#] {
            assert!(matches!(alert(200, body), Fetched::Failed { .. }), "{body}");
        }
        let latin1 = Fetched::<String>::read(200, None, b"{\"id\": \"\xe4\"}", Wall(0));
        assert!(matches!(latin1, Fetched::Failed { .. }), "{latin1:?}");
    }

    #[test]
    fn machines_are_read_with_what_they_say_of_themselves() {
        let other = r#"{"id": "AAAAC9D7E413DDD7902C2932E418702B84D0CC07", "lastSeen": "x",
            "computerDnsName": "a.contoso.com", "healthStatus": "Inactive",
            "onboardingStatus": "Onboarded", "machineTags": ["t"]}"#;
        let Fetched::Is(found) = machines(&page(&[entry("a"), other.to_owned()])) else { panic!() };
        assert!(!found.more);
        let [first, second] = found.all.as_slice() else { panic!("{found:?}") };
        assert_eq!((first.id.to_string().as_str(), first.name.as_str()), (ID, "a"));
        assert_eq!((first.health.as_str(), first.onboarding.as_str()), ("", ""));
        assert_eq!(second.id.to_string(), "aaaac9d7e413ddd7902c2932e418702b84d0cc07");
        assert_eq!((second.health.as_str(), second.onboarding.as_str()), ("Inactive", "Onboarded"));
        assert_eq!(machines(&page(&[])), Fetched::Is(Machines { all: vec![], more: false }));
    }

    #[test]
    fn a_full_page_and_one_with_a_link_say_that_there_may_be_more() {
        let more = |body: &str| match machines(body) {
            Fetched::Is(found) => found.more,
            other => panic!("{other:?}"),
        };
        assert!(!more(&page(&vec![entry("a"); MACHINES_PAGE - 1])));
        assert!(more(&page(&vec![entry("a"); MACHINES_PAGE])));
        assert!(more(r#"{"value": [], "@odata.nextLink": "https://a/api/machines?$skip=1"}"#));
        assert!(!more(r#"{"value": [], "@odata.nextLink": null}"#));
    }

    #[test]
    fn one_entry_that_could_be_any_machine_spoils_its_page() {
        for spoilt in [
            r#"{"id": "host.contoso.com", "computerDnsName": "a"}"#,
            r#"{"id": "", "computerDnsName": "a"}"#,
            r#"{"computerDnsName": "a"}"#,
            r#"{"id": "0000000000000000000000000000000000000000", "computerDnsName": "a"}"#,
            r#"{"id": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07", "computerDnsName": null}"#,
            r#"{"id": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07"}"#,
            "null",
            "7",
        ] {
            let read = machines(&page(&[entry("a"), spoilt.to_owned()]));
            assert!(matches!(read, Fetched::Failed { .. }), "{spoilt}: {read:?}");
        }
        let long = format!(r#"{{"id": "\u001b[{}", "computerDnsName": "a"}}"#, "1".repeat(9999));
        let Fetched::Failed { text } = machines(&page(&[long])) else { panic!() };
        assert!(text.starts_with("in the page of machines an id is not 40 hex"), "{text}");
        assert!(text.len() < 300 && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn what_is_no_page_is_a_failure_and_never_no_machines() {
        for body in ["", "{}", "[]", "<html>", r#"{"value": null}"#, r#"{"value": [] "#] {
            assert!(matches!(machines(body), Fetched::Failed { .. }), "{body}");
        }
    }
}
