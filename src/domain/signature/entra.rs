//! Tokens of Microsoft Entra: a sender proves itself by a token that Entra has signed for this
//! receiver. Event Grid and Logic Apps can send one.
//!
//! What is checked, and the names of the claims, are from
//! <https://learn.microsoft.com/entra/identity-platform/claims-validation>.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::{KeySet, SealError};
use crate::domain::time::Wall;
use crate::limits;

/// Whose tokens are good for a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entra {
    directory: Uuid,
    audience: String,
    applications: Vec<Uuid>,
    /// Of tokens of version 1 and of version 2.
    issuers: [String; 2],
}

/// Why a token is not taken. The texts tell claims that are no secrets, and only of tokens that
/// Entra has signed; never the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFlaw {
    #[error("the token has more than {} bytes", limits::TOKEN_BYTES_MAX)]
    TooLong,
    #[error("the token is no JSON Web Token of Entra: {0}")]
    Malformed(&'static str),
    /// Which algorithm is for the receiver to say.
    #[error("the token is not signed with RS256, the only algorithm that is taken")]
    Algorithm,
    /// See [`SignatureError::is_ours`](super::SignatureError::is_ours).
    #[error("the issuer's keys can't be had at present, so that no token can be checked")]
    NoKeys,
    #[error("the token is signed with a key that its issuer does not publish")]
    UnknownKey,
    #[error("the token's signature is not by the issuer's key that it names")]
    Signature,
    #[error("the token is not by an issuer of the directory of this source")]
    Issuer,
    #[error("the token is for another directory than that of this source")]
    Directory,
    #[error("the token is for the audience {0:?}, which is not that of this source")]
    Audience(String),
    #[error("the token names no application")]
    NoApplication,
    #[error("the token is for the application {0}, which this source does not list")]
    Application(Uuid),
    #[error("the token is for a person (claim scp), not for an application itself")]
    Person,
    #[error("the token expired {by_s} s ago; or a clock is wrong")]
    Expired { by_s: u64 },
    #[error("the token is not valid before {by_s} s from now; or a clock is wrong")]
    NotYet { by_s: u64 },
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood. None is.
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    tid: Uuid,
    exp: i64,
    nbf: i64,
    appid: Option<Uuid>,
    azp: Option<Uuid>,
    scp: Option<IgnoredAny>,
}

impl Entra {
    /// Takes tokens for `audience` that one of these applications got in the directory. `login` is
    /// the base URL of its cloud's login.
    pub fn new(
        directory: Uuid,
        login: &str,
        audience: String,
        applications: Vec<Uuid>,
    ) -> Result<Self, SealError> {
        if audience.is_empty() {
            return Err(SealError::Empty("audience"));
        }
        if applications.is_empty() {
            return Err(SealError::Empty("applications"));
        }
        let issuers = [
            format!("https://sts.windows.net/{directory}/"),
            format!("{}/{directory}/v2.0", login.trim_end_matches('/')),
        ];
        Ok(Self { directory, audience, applications, issuers })
    }

    /// Whether a token is signed by one of these keys, and says what this source asks for. The
    /// claims are looked at only once the signature is good.
    pub(super) fn verify(
        &self,
        token: &str,
        keys: Option<&KeySet>,
        now: Wall,
    ) -> Result<(), TokenFlaw> {
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(TokenFlaw::TooLong);
        }
        let id = key_id(token)?;
        let key = keys.ok_or(TokenFlaw::NoKeys)?.find(&id).ok_or(TokenFlaw::UnknownKey)?;
        // The claims are ours to check: with the time that was given, and a reason for each.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let read = jsonwebtoken::decode::<Claims>(token, key, &validation);
        let read = read.map_err(|why| match why.kind() {
            ErrorKind::InvalidSignature => TokenFlaw::Signature,
            ErrorKind::Json(_) => TokenFlaw::Malformed("its claims lack iss, aud, tid, exp or nbf"),
            _ => TokenFlaw::Malformed("it is not three parts in Base64"),
        })?;
        self.check(read.claims, now)
    }

    /// Where it comes from first: only then is anything of it fit to be told.
    fn check(&self, claims: Claims, now: Wall) -> Result<(), TokenFlaw> {
        let Claims { iss, aud, tid, exp, nbf, appid, azp, scp } = claims;
        let application = match self.issuers.iter().position(|issuer| *issuer == iss) {
            Some(0) => appid,
            Some(_) => azp,
            None => return Err(TokenFlaw::Issuer),
        };
        if tid != self.directory {
            return Err(TokenFlaw::Directory);
        }
        if aud != self.audience {
            return Err(TokenFlaw::Audience(aud.chars().take(TOLD_CHARS).collect()));
        }
        let application = application.ok_or(TokenFlaw::NoApplication)?;
        if !self.applications.contains(&application) {
            return Err(TokenFlaw::Application(application));
        }
        if scp.is_some() {
            return Err(TokenFlaw::Person);
        }
        let [exp, nbf] = [exp, nbf].map(|seconds| Wall(seconds.saturating_mul(1_000_000)));
        if now.since(exp) > limits::TOKEN_SKEW {
            return Err(TokenFlaw::Expired { by_s: now.since(exp).as_secs() });
        }
        if nbf.since(now) > limits::TOKEN_SKEW {
            return Err(TokenFlaw::NotYet { by_s: nbf.since(now).as_secs() });
        }
        Ok(())
    }
}

/// Of an audience that is not ours.
const TOLD_CHARS: usize = 120;

/// The id of the key that a token says it is signed with.
fn key_id(token: &str) -> Result<String, TokenFlaw> {
    let head = token.split('.').next().unwrap_or_default();
    let head = BASE64_URL_SAFE_NO_PAD.decode(head).ok();
    let head = head.and_then(|head| serde_json::from_slice::<Head>(&head).ok());
    let Head { alg, kid, crit } = head.ok_or(TokenFlaw::Malformed("its head can't be read"))?;
    if alg != "RS256" {
        return Err(TokenFlaw::Algorithm);
    }
    if crit.is_some() {
        return Err(TokenFlaw::Malformed("it asks for an extension"));
    }
    kid.ok_or(TokenFlaw::Malformed("it names no key"))
}

impl TokenFlaw {
    /// One word for the metric.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            TokenFlaw::TooLong | TokenFlaw::Malformed(_) => "malformed",
            TokenFlaw::Algorithm => "algorithm",
            TokenFlaw::NoKeys => "no_keys",
            TokenFlaw::UnknownKey => "unknown_key",
            TokenFlaw::Signature => "mismatch",
            TokenFlaw::Issuer => "issuer",
            TokenFlaw::Directory => "directory",
            TokenFlaw::Audience(_) => "audience",
            TokenFlaw::NoApplication | TokenFlaw::Application(_) => "application",
            TokenFlaw::Person => "person",
            TokenFlaw::Expired { .. } => "too_old",
            TokenFlaw::NotYet { .. } => "too_new",
        }
    }
}
