//! Tokens of the admin listener: one for each person or service, so that the record tells them
//! apart.

use std::fmt;

use serde::Deserialize;

use super::Secret;
use crate::domain::audit::Role;
use crate::domain::time::Wall;

/// Who may ask the admin listener, and what for. Just one of `token` and `sha256` is set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminToken {
    /// Stands on the record with whatever its holder does.
    pub name: String,
    pub role: Role,
    /// Where the token itself stands.
    token: Option<Secret>,
    /// Its SHA-256: the configuration and all it names then hold no secret.
    sha256: Option<Written>,
    /// The last day, which counts whole in UTC, or the last moment that it is good for.
    expires: Option<Written>,
}

/// A text that is checked where its key is known, and that no error shows: people paste tokens
/// into the wrong place.
#[derive(Deserialize)]
#[serde(transparent)]
struct Written(String);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(text)")
    }
}

/// What a token is known by.
#[derive(Clone, Copy, Debug)]
pub enum TokenKind<'a> {
    Secret(&'a Secret),
    /// SHA-256 of the token's text.
    Hash([u8; 32]),
}

impl AdminToken {
    /// What it is known by, once [`Config::parse`](super::Config::parse) has checked it.
    pub fn kind(&self) -> Option<TokenKind<'_>> {
        match (&self.token, &self.sha256) {
            (Some(secret), None) => Some(TokenKind::Secret(secret)),
            (None, Some(hash)) => read_hash(hash).map(TokenKind::Hash),
            _ => None,
        }
    }

    /// Where the token itself stands, unless only its hash is known.
    pub fn secret(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// The last moment that it is good for; `None`: for ever.
    pub fn expires(&self) -> Option<Wall> {
        self.expires.as_ref().and_then(|text| Wall::parse_last(&text.0))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if super::is_own(name) {
            return Err(format!("{name} is the service's own name"));
        }
        match (&self.token, &self.sha256) {
            (Some(_), Some(_)) => {
                return Err(format!("{name}: give either token or sha256, not both"));
            }
            (None, None) => {
                return Err(format!(
                    "{name}: give token: {{file: PATH}}, or the sha256 that `lazaret token new` \
                     prints"
                ));
            }
            (None, Some(hash)) if read_hash(hash).is_none() => {
                return Err(format!(
                    "{name}: sha256 is not 64 hex digits: it is the SHA-256 of the token, never \
                     the token itself; `lazaret token new` prints both"
                ));
            }
            _ => {}
        }
        if self.expires.is_some() && self.expires().is_none() {
            return Err(format!(
                "{name}: expires is no date: write 2027-01-31, or 2027-01-31T18:00:00Z"
            ));
        }
        Ok(())
    }

    /// See [`Secret::resolve`]. A token that could be guessed is refused when it is read.
    pub(super) fn resolve(&mut self, base: &std::path::Path) {
        if let Some(secret) = &mut self.token {
            secret.resolve(base, format!("listen.admin.tokens[{}].token", self.name));
            secret.at_least(crate::limits::TOKEN_BYTES_MIN);
        }
    }
}

fn read_hash(text: &Written) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&text.0, &mut hash).ok().map(|()| hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<AdminToken, String> {
        let token: AdminToken = serde_saphyr::from_str(yaml).map_err(|why| why.to_string())?;
        token.check().map(|()| token)
    }

    #[test]
    fn a_token_is_known_by_its_secret_or_by_its_hash_alone() {
        let hash = "0123456789".repeat(6) + "abCD";
        let token = read(&format!("{{name: alice, role: approve, sha256: {hash}}}")).unwrap();
        assert!(matches!(token.kind(), Some(TokenKind::Hash(hash)) if hash[..2] == [1, 0x23]));
        assert!(token.secret().is_none() && token.expires().is_none());
        let digits = "1".repeat(64);
        assert!(read(&format!("{{name: bob, role: view, sha256: {digits}}}")).is_ok());
        let token = read("{name: bob, role: view, token: {file: x}}").unwrap();
        assert!(matches!(token.kind(), Some(TokenKind::Secret(_))));
    }

    #[test]
    fn what_is_wrong_with_a_token_is_said_and_the_token_is_not() {
        for (yaml, says) in [
            ("name: bob, role: view", "give token"),
            ("name: bob, role: view, token: {file: x}, sha256: abc", "not both"),
            ("name: bob, role: view, sha256: my-own-token", "64 hex digits"),
            ("name: bob, role: view, sha256: ''", "64 hex digits"),
            ("name: local, role: view, token: {file: x}", "service's own name"),
            ("name: bob, role: view, token: {file: x}, expires: soon", "2027-01-31"),
            ("name: bob, role: view, token: {file: x}, expires: 2027-02-30", "2027-01-31"),
            ("name: bob, role: boss, token: {file: x}", "boss"),
        ] {
            let said = read(&format!("{{{yaml}}}")).unwrap_err();
            assert!(said.contains(says), "{yaml}: {said}");
            assert!(!said.contains("my-own-token"), "{said}");
        }
    }

    #[test]
    fn the_last_day_counts_whole() {
        let until = |text: &str| {
            let yaml = format!("{{name: a, role: view, token: {{file: x}}, expires: {text}}}");
            read(&yaml).unwrap().expires().unwrap().to_string()
        };
        assert_eq!(until("2027-01-31"), "2027-01-31T23:59:59.999Z");
        assert_eq!(until("2027-01-31T18:00:00+01:00"), "2027-01-31T17:00:00.000Z");
    }
}
