//! What the headers of a delivery claim about it, and how a sender writes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::scheme::is_id_char;
use super::{Algorithm, Encoding, Scheme, SignatureError};
use crate::domain::time::Wall;
use crate::limits;

/// Names and values of a request's headers, as they came. Names are compared without case.
pub type Headers<'a> = &'a [(&'a str, &'a [u8])];

/// Well formed and of this time, but not yet believed.
#[derive(Debug)]
pub struct Claim<'a> {
    pub id: Option<&'a str>,
    pub timestamp: Option<&'a str>,
    /// Each of the length that its algorithm gives.
    pub signatures: Vec<Vec<u8>>,
}

const STANDARD_NAMES: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const SVIX_NAMES: [&str; 3] = ["svix-id", "svix-timestamp", "svix-signature"];
const GITHUB: &str = "x-hub-signature-256";
const SLACK: &str = "x-slack-signature";
const SLACK_TIMESTAMP: &str = "x-slack-request-timestamp";
const STRIPE: &str = "stripe-signature";
const AUTHORIZATION: &str = "authorization";

/// Reads the claim and checks its form and its age.
pub fn read<'a>(
    scheme: &Scheme,
    headers: Headers<'a>,
    now: Wall,
) -> Result<Claim<'a>, SignatureError> {
    let usual = limits::SIGNATURE_TOLERANCE;
    match scheme {
        Scheme::StandardWebhooks => {
            let [id, timestamp, signature] = standard_names(headers);
            let id = identifier(id, one(headers, id)?)?;
            let timestamp = fresh(timestamp, one(headers, timestamp)?, usual, now)?;
            let listed = one(headers, signature)?.split(' ').map(|entry| entry.split_once(','));
            let signatures = versions(signature, listed, Encoding::Base64)?;
            Ok(Claim { id: Some(id), timestamp: Some(timestamp), signatures })
        }
        Scheme::Stripe => {
            let entries = one(headers, STRIPE)?.split(',').map(|entry| entry.split_once('='));
            let mut stamps = entries.clone().flatten().filter(|(name, _)| *name == "t");
            let (Some((_, timestamp)), None) = (stamps.next(), stamps.next()) else {
                return malformed(STRIPE, "does not have exactly one t=");
            };
            let timestamp = fresh(STRIPE, timestamp, usual, now)?;
            let signatures = versions(STRIPE, entries, Encoding::Hex)?;
            Ok(Claim { id: None, timestamp: Some(timestamp), signatures })
        }
        Scheme::Slack => {
            let timestamp = one(headers, SLACK_TIMESTAMP)?;
            let timestamp = fresh(SLACK_TIMESTAMP, timestamp, usual, now)?;
            let signature = prefixed(SLACK, one(headers, SLACK)?, "v0=")?;
            let signature = decode(SLACK, signature, Encoding::Hex, Algorithm::Sha256)?;
            Ok(Claim { id: None, timestamp: Some(timestamp), signatures: vec![signature] })
        }
        Scheme::Github => {
            let signature = prefixed(GITHUB, one(headers, GITHUB)?, "sha256=")?;
            let signature = decode(GITHUB, signature, Encoding::Hex, Algorithm::Sha256)?;
            Ok(Claim { id: None, timestamp: None, signatures: vec![signature] })
        }
        Scheme::Hmac(scheme) => {
            let id = scheme.id.as_ref();
            let id = id.map(|name| identifier(name, one(headers, name)?)).transpose()?;
            let timestamp = scheme.timestamp.as_ref();
            let timestamp = timestamp
                .map(|stamp| {
                    let text = one(headers, &stamp.header)?;
                    fresh(&stamp.header, text, stamp.tolerance, now)
                })
                .transpose()?;
            let signature = one(headers, &scheme.header)?;
            let signature = prefixed(&scheme.header, signature, &scheme.prefix)?;
            let signature = decode(&scheme.header, signature, scheme.encoding, scheme.algorithm)?;
            Ok(Claim { id, timestamp, signatures: vec![signature] })
        }
        // Nothing is signed: never asked, and nothing would match.
        Scheme::Bearer | Scheme::Entra(_) | Scheme::MutualTls(_) | Scheme::None => {
            Err(SignatureError::Mismatch)
        }
    }
}

/// The token of `Authorization: Bearer TOKEN`.
pub fn token(headers: Headers<'_>) -> Result<&str, SignatureError> {
    match one(headers, AUTHORIZATION)?.split_once(' ') {
        Some((kind, token)) if kind.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
            Ok(token)
        }
        _ => malformed(AUTHORIZATION, "is not `Bearer` and a token"),
    }
}

/// The headers of a message that was signed with this code.
pub fn write(scheme: &Scheme, id: &str, timestamp: &str, code: &[u8]) -> Vec<(String, String)> {
    let hex = || hex::encode(code);
    let pairs = match scheme {
        Scheme::StandardWebhooks => {
            let [id_name, timestamp_name, signature_name] = STANDARD_NAMES;
            vec![
                (id_name, id.to_owned()),
                (timestamp_name, timestamp.to_owned()),
                (signature_name, format!("v1,{}", STANDARD.encode(code))),
            ]
        }
        Scheme::Github => vec![(GITHUB, format!("sha256={}", hex()))],
        Scheme::Slack => {
            vec![(SLACK_TIMESTAMP, timestamp.to_owned()), (SLACK, format!("v0={}", hex()))]
        }
        Scheme::Stripe => vec![(STRIPE, format!("t={timestamp},v1={}", hex()))],
        Scheme::Hmac(scheme) => {
            let digits = match scheme.encoding {
                Encoding::Hex => hex(),
                Encoding::Base64 => STANDARD.encode(code),
            };
            let mut pairs = vec![(scheme.header.as_str(), format!("{}{digits}", scheme.prefix))];
            let stamp = scheme.timestamp.as_ref();
            pairs.extend(stamp.map(|stamp| (stamp.header.as_str(), timestamp.to_owned())));
            pairs.extend(scheme.id.as_ref().map(|header| (header.as_str(), id.to_owned())));
            pairs
        }
        Scheme::Bearer | Scheme::Entra(_) | Scheme::MutualTls(_) | Scheme::None => Vec::new(),
    };
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// All three from one family, and `webhook-…` where a sender gives both.
fn standard_names(headers: Headers<'_>) -> [&'static str; 3] {
    let has = |name: &str| headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    if has(SVIX_NAMES[2]) && !has(STANDARD_NAMES[2]) { SVIX_NAMES } else { STANDARD_NAMES }
}

/// The value of a header that is there exactly once.
fn one<'a>(headers: Headers<'a>, name: &str) -> Result<&'a str, SignatureError> {
    let mut values = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let (_, value) = values.next().ok_or_else(|| SignatureError::Missing(name.to_owned()))?;
    if values.next().is_some() {
        return Err(SignatureError::Repeated(name.to_owned()));
    }
    match std::str::from_utf8(value) {
        Ok(text) if !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~')) => Ok(text),
        _ => malformed(name, "is not visible ASCII"),
    }
}

fn identifier<'a>(header: &str, id: &'a str) -> Result<&'a str, SignatureError> {
    if id.len() > limits::SIGNED_ID_BYTES || !id.chars().all(is_id_char) {
        return malformed(header, "is not 1 to 256 of A-Z a-z 0-9 _ - + / =");
    }
    Ok(id)
}

/// Whole Unix seconds, digits alone, not further from `now` than `tolerance`.
fn fresh<'a>(
    header: &str,
    text: &'a str,
    tolerance: std::time::Duration,
    now: Wall,
) -> Result<&'a str, SignatureError> {
    // Eleven digits last to the year 5138, and can't overflow below.
    if !(1..=11).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return malformed(header, "is not a time in whole Unix seconds");
    }
    let seconds: i64 = text.parse().expect("eleven digits fit");
    let at = Wall(seconds * 1_000_000);
    if now.since(at) > tolerance {
        return Err(SignatureError::TooOld { by_s: now.since(at).as_secs() });
    }
    if at.since(now) > tolerance {
        return Err(SignatureError::TooNew { by_s: at.since(now).as_secs() });
    }
    Ok(text)
}

/// The entries of version `v1`; others are left aside, so that a sender may add newer ones.
fn versions<'a>(
    header: &str,
    entries: impl Iterator<Item = Option<(&'a str, &'a str)>>,
    encoding: Encoding,
) -> Result<Vec<Vec<u8>>, SignatureError> {
    let mut signatures = Vec::new();
    for (_, digits) in entries.flatten().filter(|(version, _)| *version == "v1") {
        if signatures.len() == limits::SIGNATURES_PER_HEADER {
            return malformed(header, "has more than 8 signatures");
        }
        signatures.push(decode(header, digits, encoding, Algorithm::Sha256)?);
    }
    if signatures.is_empty() {
        return malformed(header, "has no signature of version v1");
    }
    Ok(signatures)
}

fn prefixed<'a>(header: &str, text: &'a str, prefix: &str) -> Result<&'a str, SignatureError> {
    match text.strip_prefix(prefix) {
        Some(digits) => Ok(digits),
        None => malformed(header, "does not begin with the scheme's prefix"),
    }
}

fn decode(
    header: &str,
    digits: &str,
    encoding: Encoding,
    algorithm: Algorithm,
) -> Result<Vec<u8>, SignatureError> {
    let bytes = match encoding {
        Encoding::Hex => hex::decode(digits).ok(),
        Encoding::Base64 => STANDARD.decode(digits).ok(),
    };
    let length = match algorithm {
        Algorithm::Sha256 => 32,
        Algorithm::Sha512 => 64,
    };
    match bytes {
        Some(bytes) if bytes.len() == length => Ok(bytes),
        _ => malformed(header, "has a signature that is not encoded as its scheme says"),
    }
}

fn malformed<T>(header: &str, why: &'static str) -> Result<T, SignatureError> {
    Err(SignatureError::Malformed { header: header.to_owned(), why })
}
