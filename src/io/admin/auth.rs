//! Who asks: bearer tokens, kept only as hashes, compared in constant time.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::failures::{Failures, Tally, Why};
use crate::domain::audit::Role;
use crate::domain::time::{Boot, Wall};

/// The token in the data directory: whoever can read that directory.
pub const LOCAL: &str = "local";

/// One token: who holds it, what it may do, and until when.
#[derive(Debug)]
pub struct Token {
    name: String,
    role: Role,
    hash: [u8; 32],
    expires: Option<Wall>,
    /// Whether it was used since the start.
    used: AtomicBool,
}

/// Who asked, by the token. The name `local`, which no token of the configuration may have, is that
/// of the token in the data directory: whoever can read that directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    pub role: Role,
}

impl Caller {
    /// Whether the token names somebody: the one in the data directory does not.
    pub fn is_personal(&self) -> bool {
        self.name != LOCAL
    }

    /// As it stands on the record: `token alice`. Who worked on the store itself stands there as
    /// `uid 1000`.
    pub fn on_record(&self) -> String {
        format!("token {}", self.name)
    }
}

/// Why nobody known sent a request. The text is the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("a token is needed: send Authorization: Bearer TOKEN")]
    Missing,
    #[error("no such token: it may have been replaced or taken away")]
    Wrong,
    /// Told to whoever has that token, and so to its holder alone.
    #[error("token {name} expired on {at}: ask for a new one")]
    Expired { name: String, at: Wall },
}

impl Refused {
    fn why(&self) -> Why {
        match self {
            Refused::Missing => Why::Missing,
            Refused::Wrong => Why::Wrong,
            Refused::Expired { .. } => Why::Expired,
        }
    }
}

/// All tokens of the listener, and who failed to show one.
#[derive(Debug)]
pub struct Tokens {
    tokens: Vec<Token>,
    failures: Mutex<Failures>,
}

impl Token {
    pub fn new(name: &str, role: Role, secret: &SecretString) -> Self {
        Self::hashed(name, role, hash(secret.expose_secret().as_bytes()))
    }

    /// Of a token that only its holder has, by the SHA-256 of its text.
    pub fn hashed(name: &str, role: Role, hash: [u8; 32]) -> Self {
        Self { name: name.to_owned(), role, hash, expires: None, used: AtomicBool::new(false) }
    }

    /// The same, with the last moment that it is good for.
    #[must_use]
    pub fn until(self, expires: Option<Wall>) -> Self {
        Self { expires, ..self }
    }

    /// Whether both names stand for one secret, so that the record could not tell them apart.
    pub fn is_same_secret(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl Tokens {
    pub fn new(tokens: Vec<Token>) -> Self {
        Self { tokens, failures: Mutex::default() }
    }

    /// Who sent these headers. All tokens are compared, so that the time taken tells nothing.
    pub(super) fn caller(&self, headers: &HeaderMap, now: Wall) -> Result<Caller, Refused> {
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (sent.next(), sent.next()) else { return Err(Refused::Missing) };
        let shown = value.as_bytes().strip_prefix(b"Bearer ").ok_or(Refused::Missing)?;
        let shown = hash(shown);
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.hash.ct_eq(&shown)) {
                found = Some(token);
            }
        }
        let token = found.ok_or(Refused::Wrong)?;
        match token.expires {
            Some(at) if at < now => Err(Refused::Expired { name: token.name.clone(), at }),
            _ => Ok(Caller { name: token.name.clone(), role: token.role }),
        }
    }

    /// Whether this is the first use of a token since the start: true once, until forgotten.
    pub(super) fn first_use(&self, caller: &Caller) -> bool {
        let token = self.tokens.iter().find(|token| token.name == caller.name);
        token.is_some_and(|token| !token.used.swap(true, Ordering::Relaxed))
    }

    /// Takes [`Tokens::first_use`] back: it could not be put on the record.
    pub(super) fn forget_use(&self, caller: &Caller) {
        for token in self.tokens.iter().filter(|token| token.name == caller.name) {
            token.used.store(false, Ordering::Relaxed);
        }
    }

    /// Counts a failure; how long its address is to wait, where it had too many.
    pub(super) fn failed(&self, from: IpAddr, why: &Refused, now: Boot) -> Option<Duration> {
        self.failures().count(from, why.why(), now)
    }

    pub(super) fn failures_taken(&self, now: Boot) -> Vec<(String, Tally)> {
        self.failures().take(now)
    }

    /// The counts are whole between any two statements that could panic.
    fn failures(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_790_000_000_000_000);

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (header::AUTHORIZATION, v.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_names_its_holder_whether_its_text_or_its_hash_is_known() {
        let known = Token::hashed("bob", Role::Approve, hash(b"another"));
        let tokens = vec![Token::new("alice", Role::View, &"s3cret".into()), known];
        let tokens = Tokens::new(tokens);
        let who = |values: &[&str]| tokens.caller(&headers(values), NOW);
        assert_eq!(who(&["Bearer s3cret"]).unwrap().name, "alice");
        let bob = Caller { name: "bob".to_owned(), role: Role::Approve };
        assert_eq!(who(&["Bearer another"]), Ok(bob));
        assert_eq!(who(&["Bearer s3cre"]), Err(Refused::Wrong));
        for wrong in [&["s3cret"][..], &[], &["Bearer s3cret", "Bearer x"]] {
            assert_eq!(who(wrong), Err(Refused::Missing), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_is_good_up_to_its_last_moment() {
        let until = |at: i64| {
            let token = Token::new("alice", Role::View, &"s3cret".into()).until(Some(Wall(at)));
            Tokens::new(vec![token]).caller(&headers(&["Bearer s3cret"]), NOW)
        };
        assert!(until(NOW.0).is_ok());
        let said = until(NOW.0 - 1).unwrap_err().to_string();
        assert!(said.contains("token alice expired on 2026-"), "{said}");
    }

    #[test]
    fn a_token_is_never_shown() {
        let tokens = Tokens::new(vec![Token::new("alice", Role::View, &"s3cret".into())]);
        assert!(!format!("{tokens:?}").contains("s3cret"));
    }
}
