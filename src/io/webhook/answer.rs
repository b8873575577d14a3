//! What the sender is told.

use axum::Json;
use axum::http::header::{ALLOW, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::io::Acknowledged;
use crate::limits;
use crate::serve::body::BodyError;

/// Why a request is not taken. The texts say what the sender can do, and nothing about secrets,
/// sources or what signature was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    WrongPath,
    WrongMethod,
    MediaType(&'static str),
    TooLarge,
    TooSlow,
    BrokenOff,
    Unauthentic,
    /// Unauthentic, from a sender who says that it is Event Grid.
    UnauthenticGrid,
    /// `OPTIONS` by an origin that may not send here, or to a source that does not exist.
    Origin,
    /// Authentic, and not what validates a subscription.
    NoValidation,
    NotJson(String),
    /// Nothing is wrong with the delivery.
    Busy,
}

/// 202 with each alert's fate, or 200 with the first answer for what was seen before.
pub fn acknowledged(acknowledged: Acknowledged) -> Response {
    match acknowledged {
        Acknowledged::Taken(answered) => (StatusCode::ACCEPTED, Json(answered)).into_response(),
        Acknowledged::Replayed(answered) => (StatusCode::OK, Json(answered)).into_response(),
    }
}

/// 200: this origin may deliver events, so many a minute.
pub fn permitted(origin: HeaderValue) -> Response {
    let headers = [
        (ALLOW, HeaderValue::from_static("POST")),
        (HeaderName::from_static("webhook-allowed-origin"), origin),
        (HeaderName::from_static("webhook-allowed-rate"), limits::ALLOWED_RATE.into()),
    ];
    (StatusCode::OK, headers).into_response()
}

/// 200 with the code of Event Grid's validation.
pub fn validated(code: &str) -> Response {
    (StatusCode::OK, Json(json!({ "validationResponse": code }))).into_response()
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Refusal::TooLarge,
            BodyError::TooSlow => Refusal::TooSlow,
            BodyError::BrokenOff => Refusal::BrokenOff,
            BodyError::NoMemory => Refusal::Busy,
        }
    }
}

impl Refusal {
    /// In a word or two, for the log.
    pub fn cause(&self) -> &'static str {
        match self {
            Refusal::WrongPath => "path",
            Refusal::WrongMethod => "method",
            Refusal::MediaType(_) => "media_type",
            Refusal::TooLarge => "too_large",
            Refusal::TooSlow => "too_slow",
            Refusal::BrokenOff => "broken_off",
            Refusal::Unauthentic | Refusal::UnauthenticGrid => "not_authentic",
            Refusal::Origin => "origin",
            Refusal::NoValidation => "no_validation",
            Refusal::NotJson(_) => "not_json",
            Refusal::Busy => "busy",
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::WrongPath => StatusCode::NOT_FOUND,
            Refusal::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Refusal::BrokenOff | Refusal::NoValidation | Refusal::NotJson(_) => {
                StatusCode::BAD_REQUEST
            }
            Refusal::Unauthentic | Refusal::UnauthenticGrid => StatusCode::UNAUTHORIZED,
            Refusal::Origin => StatusCode::FORBIDDEN,
            Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Refusal::WrongPath => "no such path; deliveries go to /webhooks/SOURCE",
            Refusal::WrongMethod => "deliveries are sent with POST",
            Refusal::MediaType(why) => why,
            Refusal::TooLarge => "the body is too large; send fewer alerts in one delivery",
            Refusal::TooSlow => "the body came too slowly",
            Refusal::BrokenOff => "the body ended early or is not framed as HTTP says",
            Refusal::Unauthentic => {
                "not authentic: check the source's name in the path, the secret, the signature \
                 over the raw body, the token or certificate, and the clock; the log tells"
            }
            Refusal::UnauthenticGrid => {
                "not authentic: Event Grid signs nothing, so it can only deliver to a source with \
                 the scheme bearer, with the delivery property Authorization: Bearer SECRET, or \
                 with the scheme entra; the log tells"
            }
            Refusal::Origin => {
                "no such source, or this origin is not among its webhook.origins; the log tells"
            }
            Refusal::NoValidation => {
                "aeg-event-type says SubscriptionValidation, but the body is not that one event"
            }
            Refusal::NotJson(why) => why,
            Refusal::Busy => "not acknowledged; send the same delivery again later",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(json!({ "error": self.text() }))).into_response();
        match self {
            Refusal::WrongMethod => {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            Refusal::Busy => {
                let after = HeaderValue::from(limits::RETRY_AFTER.as_secs());
                response.headers_mut().insert(RETRY_AFTER, after);
            }
            _ => {}
        }
        response
    }
}
