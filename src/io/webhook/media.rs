//! Whether a body can be what we read: JSON in UTF-8, not compressed.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::answer::Refusal;

const ENCODED: Refusal = Refusal::MediaType("send the body without Content-Encoding");
const NOT_JSON: Refusal = Refusal::MediaType(
    "send application/json, application/*+json or application/x-ndjson, in UTF-8",
);

/// Takes `application/json`, `application/*+json`, `application/x-ndjson` and `application/ndjson`,
/// with no other charset than UTF-8, or no Content-Type at all. Not `text/plain`, nor what a form
/// or a script's default sends: what such a sender means can't be known.
///
/// Nothing is ever decompressed: a small body that becomes a huge one would hit us before its
/// signature is checked.
pub fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(ENCODED);
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if one.to_str().is_ok_and(is_json) => Ok(()),
        _ => Err(NOT_JSON),
    }
}

fn is_json(content_type: &str) -> bool {
    let content_type = content_type.to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let subtype = parts.next().and_then(|essence| essence.strip_prefix("application/"));
    let is_json = subtype.is_some_and(|subtype| {
        matches!(subtype, "json" | "x-ndjson" | "ndjson") || subtype.ends_with("+json")
    });
    let charset = parts.find_map(|parameter| parameter.strip_prefix("charset="));
    is_json && charset.is_none_or(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn with(name: axum::http::HeaderName, values: &[&str]) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, HeaderValue::from_str(value).unwrap());
        }
        check(&headers)
    }

    #[test]
    fn json_by_any_of_its_names_is_taken() {
        for taken in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/cloudevents+json; charset=utf-8",
            "application/x-ndjson",
            "application/ndjson",
        ] {
            assert_eq!(with(CONTENT_TYPE, &[taken]), Ok(()), "{taken}");
        }
        assert_eq!(check(&HeaderMap::new()), Ok(()));
    }

    #[test]
    fn what_may_be_no_json_is_refused() {
        for refused in [
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "application/json; charset=utf-16",
            "json",
            "",
        ] {
            assert_eq!(with(CONTENT_TYPE, &[refused]), Err(NOT_JSON), "{refused}");
        }
        assert_eq!(with(CONTENT_TYPE, &["application/json", "text/html"]), Err(NOT_JSON));
    }

    #[test]
    fn nothing_compressed_is_taken() {
        assert_eq!(with(CONTENT_ENCODING, &["identity"]), Ok(()));
        for refused in [&["gzip"][..], &["identity", "br"], &["identity, gzip"], &[""]] {
            assert_eq!(with(CONTENT_ENCODING, refused), Err(ENCODED), "{refused:?}");
        }
    }
}
