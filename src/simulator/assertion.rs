//! What an application may show instead of a secret: an assertion that it has signed with the key
//! of a certificate, or a token of an issuer that it trusts.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::settings::Proof;

pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a federated token has to be for, where nothing else is agreed.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Entra takes no assertion that is good for longer.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

/// A code of Entra's and its text.
pub type Refusal = (u32, String);

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    nbf: Option<u64>,
    exp: u64,
    jti: Option<String>,
}

/// Checks an assertion of this application by what it has registered. `endpoint` is this token
/// endpoint. Of its own assertions each counts once: the answer is the id of one.
pub fn check(
    assertion: &str,
    client_id: &str,
    proofs: &[&Proof],
    endpoint: &str,
) -> Result<Option<String>, Refusal> {
    let malformed = || (50_027, "JWT token is invalid or malformed.".to_owned());
    let head = part(assertion, 0).ok_or_else(malformed)?;
    let claims = part(assertion, 1).ok_or_else(malformed)?;
    if claims["iss"] != *client_id {
        return federated(assertion, &claims, proofs).map(|()| None);
    }
    let thumbprint = head["x5t#S256"].as_str().unwrap_or_default();
    let key = proofs.iter().find_map(|proof| match proof {
        Proof::Certificate { sha256, modulus, .. } if sha256 == thumbprint => Some(modulus),
        _ => None,
    });
    let unknown = "The certificate with identifier used to sign the client assertion is not \
                   registered on application.";
    let modulus = key.ok_or_else(|| (700_027, unknown.to_owned()))?;
    let claims = verified(assertion, modulus, Algorithm::PS256, endpoint)?;
    let lives = Duration::from_secs(claims.exp.saturating_sub(claims.nbf.unwrap_or(0)));
    match claims.jti {
        Some(id) if claims.sub == client_id && lives <= LIFE_MAX => Ok(Some(id)),
        _ => Err((700_021, "Client assertion application identifier doesn't match.".to_owned())),
    }
}

fn federated(assertion: &str, claims: &Value, proofs: &[&Proof]) -> Result<(), Refusal> {
    let found = proofs.iter().find_map(|proof| match proof {
        Proof::Federated { issuer, subject, modulus } if claims["iss"] == **issuer => {
            Some((subject, modulus))
        }
        _ => None,
    });
    let none = "No matching federated identity record found for presented assertion";
    let (subject, modulus) = found.ok_or_else(|| (700_211, format!("{none} issuer.")))?;
    let claims = verified(assertion, modulus, Algorithm::RS256, EXCHANGE)?;
    if claims.iss.is_empty() || claims.sub != *subject {
        return Err((700_213, format!("{none} subject.")));
    }
    Ok(())
}

/// The claims of a token with a good signature, in its time, for this audience.
fn verified(
    token: &str,
    modulus: &[u8],
    algorithm: Algorithm,
    audience: &str,
) -> Result<Claims, Refusal> {
    // Every key that is made nowadays has this exponent.
    let key = DecodingKey::from_rsa_raw_components(modulus, &[1, 0, 1]);
    let mut how = Validation::new(algorithm);
    how.set_audience(&[audience]);
    how.validate_nbf = true;
    how.leeway = 60;
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &how);
    claims.map(|token| token.claims).map_err(|why| {
        use jsonwebtoken::errors::ErrorKind::{
            ExpiredSignature, ImmatureSignature, InvalidAudience,
        };
        match why.kind() {
            ExpiredSignature | ImmatureSignature => {
                (700_024, "Client assertion is not within its valid time range.".to_owned())
            }
            InvalidAudience => {
                (700_023, "Client assertion audience claim does not match.".to_owned())
            }
            _ => (700_027, "Client assertion failed signature validation.".to_owned()),
        }
    })
}

fn part(token: &str, at: usize) -> Option<Value> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(at)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}
