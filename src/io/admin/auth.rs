//! Who asks: bearer tokens, kept only as hashes, compared in constant time.

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::audit::Role;

/// The token in the data directory: whoever can read that directory.
pub const LOCAL: &str = "local";

/// One token: who holds it and what it may do.
#[derive(Clone, Debug)]
pub struct Token {
    name: String,
    role: Role,
    hash: [u8; 32],
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

/// All tokens of the listener.
#[derive(Debug)]
pub struct Tokens(Vec<Token>);

impl Token {
    pub fn new(name: &str, role: Role, secret: &SecretString) -> Self {
        Self { name: name.to_owned(), role, hash: hash(secret.expose_secret().as_bytes()) }
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl Tokens {
    pub fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    /// Who sent these headers, if anyone known. All tokens are compared, so that the time taken
    /// tells nothing.
    pub fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (sent.next(), sent.next()) else { return None };
        let presented = hash(value.as_bytes().strip_prefix(b"Bearer ")?);
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.hash.ct_eq(&presented)) {
                found = Some(Caller { name: token.name.clone(), role: token.role });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (header::AUTHORIZATION, v.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_names_its_holder() {
        let tokens = Tokens::new(vec![Token::new("alice", Role::View, &"s3cret".into())]);
        let who = |values: &[&str]| tokens.caller(&headers(values)).map(|c| c.name);
        assert_eq!(who(&["Bearer s3cret"]).as_deref(), Some("alice"));
        for wrong in [&["Bearer s3cre"][..], &["s3cret"], &[], &["Bearer s3cret", "Bearer x"]] {
            assert_eq!(who(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let tokens = Tokens::new(vec![Token::new("alice", Role::View, &"s3cret".into())]);
        assert!(!format!("{tokens:?}").contains("s3cret"));
    }
}
