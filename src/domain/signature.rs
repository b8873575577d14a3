//! Whether a delivery is authentic: signatures over the raw bytes, before anything parses them.
//!
//! A [`Seal`] is one source's scheme and secrets. The algorithm is part of the configuration and
//! never of the request, so that no sender can choose a weaker one. What a refusal says is for
//! the operator's log: the sender is told nothing but that it is refused.

mod claim;

mod client;

mod entra;

mod keys;

mod scheme;

mod secret;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::SecretString;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

pub use claim::Headers;
pub use client::{CertificateFlaw, Subjects};
pub use entra::{Entra, TokenFlaw};
pub use keys::{KeySet, NoKeySet};
pub use scheme::{Algorithm, Encoding, HmacScheme, Scheme, SealError, Template, TimestampHeader};

use super::decision::Replay;
use super::time::Wall;
use crate::limits;
use claim::Claim;
use secret::Secret;

/// A source's scheme with its secrets. Whoever holds one holds a usable one: one to three secrets
/// that fit the scheme, or none for the schemes that have none. `Debug` shows no secret.
#[derive(Clone)]
pub struct Seal {
    scheme: Scheme,
    secrets: Vec<Secret>,
}

/// What a delivery brings to prove where it comes from, and what is known to check it with.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    pub headers: Headers<'a>,
    /// As it came.
    pub body: &'a [u8],
    /// Of the connection's other end, in DER: its own certificate, which TLS has found valid.
    pub certificate: Option<&'a [u8]>,
    /// Those of the source's issuer, for tokens; `None` where none are known.
    pub keys: Option<&'a KeySet>,
}

impl<'a> Proof<'a> {
    /// Of a delivery that brings nothing but itself.
    pub fn new(headers: Headers<'a>, body: &'a [u8]) -> Self {
        Self { headers, body, certificate: None, keys: None }
    }
}

/// An authentic delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// `None` for the schemes that sign nothing that could be recognised: a token is no replay id,
    /// since senders use one for many deliveries.
    pub replay: Option<Replay>,
    /// Which secret matched, counted from 0 in the order of the configuration: it tells when an
    /// old one can go. `None` for the schemes without secrets.
    pub secret: Option<usize>,
}

/// Why a delivery is not authentic. For the log and the metric, never for the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the header {0} is missing")]
    Missing(String),
    /// Two of them let a sender show one to the check and another to whoever reads next.
    #[error("the header {0} is there more than once")]
    Repeated(String),
    #[error("the header {header} {why}")]
    Malformed { header: String, why: &'static str },
    #[error("the signature is {by_s} s old; either a clock is wrong or this is a replay")]
    TooOld { by_s: u64 },
    #[error("the signature is {by_s} s in the future; one of the clocks is wrong")]
    TooNew { by_s: u64 },
    #[error("no signature matches any secret of this source")]
    Mismatch,
    #[error(transparent)]
    Token(#[from] TokenFlaw),
    #[error(transparent)]
    Certificate(#[from] CertificateFlaw),
}

/// What a sender signs.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Used by schemes that sign an id: 1 to 256 of `A-Z a-z 0-9 _ - + / =`. No receiver accepts
    /// another.
    pub id: &'a str,
    pub at: Wall,
    pub body: &'a [u8],
}

impl Seal {
    /// Checks that the scheme is consistent and that each secret fits it.
    pub fn new(scheme: Scheme, secrets: &[SecretString]) -> Result<Self, SealError> {
        scheme.check()?;
        let most = if scheme.has_secrets() { limits::SECRETS_PER_SOURCE } else { 0 };
        let (given, least) = (secrets.len(), most.min(1));
        if !(least..=most).contains(&given) {
            return Err(SealError::SecretCount { given, least, most });
        }
        let secrets = secrets
            .iter()
            .enumerate()
            .map(|(index, text)| Secret::new(&scheme, index, text))
            .collect::<Result<_, _>>()?;
        Ok(Self { scheme, secrets })
    }

    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The receiver's half. Every secret is tried and every comparison takes constant time; a
    /// refusal costs the same passes over the body whatever its reason, see [`refuse`].
    pub fn verify(&self, proof: Proof<'_>, now: Wall) -> Result<Verified, SignatureError> {
        let nothing_kept = Verified { replay: None, secret: None };
        let Proof { headers, body, certificate, keys } = proof;
        let verified = match &self.scheme {
            Scheme::None => Ok(nothing_kept),
            Scheme::Bearer => self.verify_token(headers),
            Scheme::Entra(entra) => claim::token(headers)
                .and_then(|token| Ok(entra.verify(token, keys, now)?))
                .map(|()| nothing_kept),
            Scheme::MutualTls(subjects) => {
                Ok(subjects.verify(certificate, now)?).map(|()| nothing_kept)
            }
            _ => claim::read(&self.scheme, headers, now)
                .and_then(|claim| self.verify_claim(&claim, body, now)),
        };
        if let Err(why) = &verified {
            let tried = self.scheme.signs() && *why == SignatureError::Mismatch;
            spend(body, limits::SECRETS_PER_SOURCE - if tried { self.secrets.len() } else { 0 });
        }
        verified
    }

    /// The sender's half: the headers that make this message authentic, by the first secret.
    /// None for the schemes without secrets: what proves a delivery is made elsewhere.
    pub fn sign(&self, message: &Message<'_>) -> Vec<(String, String)> {
        let Some(secret) = self.secrets.first() else { return Vec::new() };
        if matches!(self.scheme, Scheme::Bearer) {
            let token = String::from_utf8_lossy(secret.bytes());
            return vec![("authorization".into(), format!("Bearer {token}"))];
        }
        let timestamp = message.at.0.div_euclid(1_000_000).to_string();
        let parts = self.scheme.parts(message.id, &timestamp, message.body);
        let code = match self.scheme.algorithm() {
            Algorithm::Sha256 => code::<Hmac<Sha256>>(secret, &parts),
            Algorithm::Sha512 => code::<Hmac<Sha512>>(secret, &parts),
        };
        claim::write(&self.scheme, message.id, &timestamp, &code)
    }

    fn verify_claim(
        &self,
        claim: &Claim<'_>,
        body: &[u8],
        now: Wall,
    ) -> Result<Verified, SignatureError> {
        let id = claim.id.unwrap_or_default();
        let parts = self.scheme.parts(id, claim.timestamp.unwrap_or_default(), body);
        let found = self.first_match(|secret| match self.scheme.algorithm() {
            Algorithm::Sha256 => matches::<Hmac<Sha256>>(secret, &parts, &claim.signatures),
            Algorithm::Sha512 => matches::<Hmac<Sha512>>(secret, &parts, &claim.signatures),
        })?;
        let id = match claim.id {
            Some(id) if id.len() <= limits::REPLAY_ID_BYTES => id.to_owned(),
            Some(id) => hashed(&[id.as_bytes()]),
            None => hashed(&parts),
        };
        let keep = match claim.timestamp {
            Some(_) => limits::REPLAY_KEEP_TIMED,
            None => limits::REPLAY_KEEP_UNTIMED,
        };
        let replay = Replay { id, keep_until: now + keep };
        Ok(Verified { replay: Some(replay), secret: Some(found) })
    }

    fn verify_token(&self, headers: Headers<'_>) -> Result<Verified, SignatureError> {
        let given = Sha256::digest(claim::token(headers)?);
        let found =
            self.first_match(|secret| Sha256::digest(secret.bytes()).ct_eq(&given).into())?;
        Ok(Verified { replay: None, secret: Some(found) })
    }

    /// Tries all of them, so that the time taken does not tell which one matched.
    fn first_match(&self, matches: impl Fn(&Secret) -> bool) -> Result<usize, SignatureError> {
        let mut found = None;
        for (index, secret) in self.secrets.iter().enumerate() {
            let matched = matches(secret);
            found = found.or(matched.then_some(index));
        }
        found.ok_or(SignatureError::Mismatch)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({:?}, {} secrets)", self.scheme, self.secrets.len())
    }
}

/// Refuses a delivery for a source that does not exist, with as much work as a bad signature
/// costs, so that the time taken does not tell which sources there are.
pub fn refuse(body: &[u8]) {
    spend(body, limits::SECRETS_PER_SOURCE);
}

impl SignatureError {
    /// Nothing is wrong with the delivery that is known: it should come again.
    pub fn is_ours(&self) -> bool {
        matches!(self, SignatureError::Token(TokenFlaw::NoKeys))
    }

    /// Newer keys of the issuer might tell otherwise.
    pub fn wants_keys(&self) -> bool {
        matches!(self, SignatureError::Token(TokenFlaw::NoKeys | TokenFlaw::UnknownKey))
    }

    /// One word for the metric.
    pub fn reason(&self) -> &'static str {
        match self {
            SignatureError::Missing(_) => "missing",
            SignatureError::Repeated(_) => "repeated",
            SignatureError::Malformed { .. } => "malformed",
            SignatureError::TooOld { .. } => "too_old",
            SignatureError::TooNew { .. } => "too_new",
            SignatureError::Mismatch => "mismatch",
            SignatureError::Token(flaw) => flaw.reason(),
            SignatureError::Certificate(flaw) => flaw.reason(),
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> M {
    let mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().fold(mac, |mac, part| mac.chain_update(part))
}

fn code<M: Mac + KeyInit>(secret: &Secret, parts: &[&[u8]]) -> Vec<u8> {
    mac::<M>(secret.bytes(), parts).finalize().into_bytes().to_vec()
}

fn matches<M>(secret: &Secret, parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool
where
    M: Mac + KeyInit + Clone,
{
    let mac = mac::<M>(secret.bytes(), parts);
    // `|` and not `||`: each one is compared, whichever matched before.
    signatures.iter().fold(false, |found, given| found | mac.clone().verify_slice(given).is_ok())
}

fn hashed(parts: &[&[u8]]) -> String {
    let hash = parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part));
    format!("sha256:{}", hex::encode(hash.finalize()))
}

/// Passes over the body under a key that is nobody's.
fn spend(body: &[u8], passes: usize) {
    for _ in 0..passes {
        let code = mac::<Hmac<Sha256>>(&[0; 32], &[body]).verify_slice(&[0; 32]);
        // Whatever came out: without this the compiler may leave the work out.
        let _ = std::hint::black_box(code);
    }
}

#[cfg(test)]
mod tests;
