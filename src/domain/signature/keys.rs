//! The public keys of an issuer of tokens.

use std::collections::BTreeMap;
use std::fmt;

use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// The keys that an issuer signs with at one time, by their ids. Never empty.
#[derive(Clone)]
pub struct KeySet(BTreeMap<String, DecodingKey>);

/// Why a document holds no keys that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKeySet {
    #[error("it is no JSON Web Key Set")]
    Unreadable,
    #[error("it has no RSA key for signatures that is this directory's")]
    Empty,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// An RSA key as RFC 7517 and 7518 write it, with Entra's addition `issuer`.
#[derive(Deserialize)]
struct Key {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: String,
    e: String,
    issuer: Option<String>,
}

impl KeySet {
    /// Reads the document that Entra publishes for a directory. Keys of other kinds, and those that
    /// sign for another directory only, are left aside.
    pub fn read(document: &[u8], directory: Uuid) -> Result<Self, NoKeySet> {
        let document: Document =
            serde_json::from_slice(document).map_err(|_| NoKeySet::Unreadable)?;
        let keys = document.keys.into_iter();
        let keys = keys.filter_map(|key| serde_json::from_value::<Key>(key).ok());
        let keys = keys.filter(|key| key.signs_for(directory)).filter_map(|key| {
            let public = DecodingKey::from_rsa_components(&key.n, &key.e).ok()?;
            Some((key.kid, public))
        });
        let keys: BTreeMap<_, _> = keys.collect();
        if keys.is_empty() { Err(NoKeySet::Empty) } else { Ok(Self(keys)) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn find(&self, id: &str) -> Option<&DecodingKey> {
        self.0.get(id)
    }
}

impl Key {
    fn signs_for(&self, directory: Uuid) -> bool {
        let is = |given: &Option<String>, wanted| given.as_deref().is_none_or(|is| is == wanted);
        // A key without an issuer, or with this placeholder, is every directory's.
        let issuer = self.issuer.as_deref().unwrap_or("{tenantid}");
        let theirs = issuer.contains("{tenantid}") || issuer.contains(&directory.to_string());
        self.kty == "RSA" && is(&self.usage, "sig") && is(&self.alg, "RS256") && theirs
    }
}

/// Public as they are, keys would only make a log long.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DIRECTORY: &str = "11111111-2222-3333-4444-555555555555";

    fn ids(keys: &[Value]) -> Result<Vec<String>, NoKeySet> {
        let document = json!({ "keys": keys }).to_string();
        let read = KeySet::read(document.as_bytes(), DIRECTORY.parse().unwrap())?;
        Ok(read.0.into_keys().collect())
    }

    fn key(id: &str, change: &[(&str, Value)]) -> Value {
        let mut key = json!({"kty": "RSA", "use": "sig", "kid": id, "n": "AQAB", "e": "AQAB"});
        for (name, value) in change {
            key[name] = value.clone();
        }
        key
    }

    #[test]
    fn only_keys_that_sign_for_this_directory_are_taken() {
        let of = |directory: &str| json!(format!("https://login.example/{directory}/v2.0"));
        let found = ids(&[
            key("plain", &[]),
            key("ours", &[("issuer", of(DIRECTORY))]),
            key("everybody's", &[("issuer", of("{tenantid}")), ("alg", json!("RS256"))]),
            key("others'", &[("issuer", of("9188040d-6c67-4c5b-b112-36a304b66dad"))]),
            key("for encryption", &[("use", json!("enc"))]),
            key("of another algorithm", &[("alg", json!("RS512"))]),
            key("of another kind", &[("kty", json!("EC"))]),
            key("symmetric", &[("kty", json!("oct")), ("k", json!("AQAB"))]),
            key("unreadable", &[("n", json!("!"))]),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
            json!(7),
        ]);
        assert_eq!(found.unwrap(), ["everybody's", "ours", "plain"]);
    }

    #[test]
    fn a_document_without_a_key_is_none() {
        assert_eq!(ids(&[]), Err(NoKeySet::Empty));
        let read = |text: &str| KeySet::read(text.as_bytes(), DIRECTORY.parse().unwrap());
        for text in ["", "{}", "[]", "{\"keys\": {}}", "<html>"] {
            assert_eq!(read(text).unwrap_err(), NoKeySet::Unreadable, "{text}");
        }
    }
}
