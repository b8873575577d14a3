//! What senders ask before they deliver anything: the permission of CloudEvents' abuse protection
//! (`OPTIONS`), and Event Grid's validation of a subscription (`POST`). Neither leaves a receipt,
//! and no address that comes with either is ever called.

use axum::http::{HeaderMap, HeaderValue};
use serde::Deserialize;

use super::answer::Refusal;
use crate::domain::signature::Scheme;

/// From <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md>, section 4.
const REQUEST_ORIGIN: &str = "webhook-request-origin";

/// From <https://learn.microsoft.com/azure/event-grid/webhook-event-delivery>, as all that is said
/// here of Event Grid.
const EVENT_TYPE: &str = "aeg-event-type";

/// What an `OPTIONS` request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<'h> {
    /// Nothing that we know.
    Nothing,
    /// To deliver events as this origin.
    Origin(&'h HeaderValue),
    /// As several of them at once, which no sender means.
    Origins,
}

pub fn asked(headers: &HeaderMap) -> Asked<'_> {
    let mut origins = headers.get_all(REQUEST_ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Asked::Nothing,
        (Some(origin), None) => Asked::Origin(origin),
        (Some(_), Some(_)) => Asked::Origins,
    }
}

/// Whether that is one of these. Origins are host names: capitals mean nothing.
pub fn is_among(origin: &HeaderValue, origins: &[String]) -> bool {
    origins.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
}

/// Whether a request says that Event Grid sends it. Anyone can say so.
pub fn by_event_grid(headers: &HeaderMap) -> bool {
    headers.contains_key(EVENT_TYPE)
}

/// Whether Event Grid can satisfy a scheme: it sends what was configured, or a token of Entra, and
/// signs nothing.
pub fn fits_event_grid(scheme: &Scheme) -> bool {
    matches!(scheme, Scheme::Bearer | Scheme::Entra(_) | Scheme::None)
}

/// Whether a request is to validate a subscription.
pub fn is_validation(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(EVENT_TYPE).iter();
    let is = |kind: &HeaderValue| kind.as_bytes().eq_ignore_ascii_case(b"SubscriptionValidation");
    types.next().is_some_and(is) && types.next().is_none()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_type: String,
    data: Validation,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Validation {
    validation_code: String,
}

/// The code that an authentic validation wants back.
pub fn code(body: &[u8]) -> Result<String, Refusal> {
    match serde_json::from_slice::<[Event; 1]>(body) {
        Ok([event]) if event.event_type.eq_ignore_ascii_case(VALIDATION) => {
            Ok(event.data.validation_code)
        }
        _ => Err(Refusal::NoValidation),
    }
}

const VALIDATION: &str = "Microsoft.EventGrid.SubscriptionValidationEvent";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let value = |value| HeaderValue::from_static(value);
        let mut headers = HeaderMap::new();
        all.iter().for_each(|(name, text)| _ = headers.append(*name, value(text)));
        headers
    }

    #[test]
    fn an_origin_is_asked_for_once_or_not_at_all() {
        let origin = ("webhook-request-origin", "eventgrid.azure.net");
        assert_eq!(asked(&headers(&[])), Asked::Nothing);
        assert_eq!(asked(&headers(&[("origin", "a.example")])), Asked::Nothing);
        let value = HeaderValue::from_static(origin.1);
        assert_eq!(asked(&headers(&[origin])), Asked::Origin(&value));
        assert_eq!(asked(&headers(&[origin, origin])), Asked::Origins);
    }

    #[test]
    fn an_origin_is_a_whole_name() {
        let among = |origin: &'static str| {
            is_among(&HeaderValue::from_static(origin), &["Events.Example.org".to_owned()])
        };
        assert!(among("events.example.org") && among("EVENTS.example.org"));
        for other in ["", "*", "example.org", "events.example.org.evil.example", "events_example"] {
            assert!(!among(other), "{other}");
        }
        assert!(!is_among(&HeaderValue::from_static(""), &[]));
    }

    #[test]
    fn a_validation_is_said_in_the_header_and_is_one_event() {
        let kind = |kind| headers(&[("aeg-event-type", kind)]);
        assert!(is_validation(&kind("SubscriptionValidation")));
        assert!(is_validation(&kind("subscriptionvalidation")));
        assert!(!is_validation(&kind("Notification")) && !is_validation(&headers(&[])));
        let two = [("aeg-event-type", "SubscriptionValidation"), ("aeg-event-type", "x")];
        assert!(!is_validation(&headers(&two)));

        let event = format!(r#"{{"eventType":"{VALIDATION}","data":{{"validationCode":"512d"}}}}"#);
        assert_eq!(code(format!("[{event}]").as_bytes()), Ok("512d".to_owned()));
        for other in [
            event.clone(),
            "[]".to_owned(),
            format!("[{event},{event}]"),
            format!("[{}]", event.replace("Validation", "Deletion")),
            format!("[{}]", event.replace("\"512d\"", "null")),
            "[{".to_owned(),
        ] {
            assert_eq!(code(other.as_bytes()), Err(Refusal::NoValidation), "{other}");
        }
    }
}
