//! Names and numbers of things, parsed once at the edge. Whoever holds one of these types holds a
//! valid one.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Defender's id of a machine: 40 hex digits, kept as 20 bytes, shown in lower case.
///
/// Never a computer name and never an Entra device id: Defender would act on another machine or
/// on none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId([u8; 20]);

/// The SHA-1 of a file's content: 40 hex digits, kept as 20 bytes, shown in lower case.
///
/// The hash of the empty file and the all-zero hash can't be made: they name no file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha1([u8; 20]);

/// Why a text is no [`MachineId`] or [`Sha1`]. The texts go into `incomplete` reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    #[error("is not 40 hex digits")]
    Malformed,
    #[error("is a SHA-256 where a SHA-1 belongs")]
    Sha256,
    #[error("is an MD5 where a SHA-1 belongs")]
    Md5,
    #[error("is all zeros")]
    Zeros,
    #[error("is the hash of an empty file")]
    EmptyFile,
}

const EMPTY_FILE: [u8; 20] = [
    0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55, 0xbf, 0xef, 0x95, 0x60, 0x18, 0x90,
    0xaf, 0xd8, 0x07, 0x09,
];

fn parse_hex20(text: &str) -> Result<[u8; 20], HashError> {
    let mut bytes = [0; 20];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| HashError::Malformed)?;
    if bytes == [0; 20] {
        return Err(HashError::Zeros);
    }
    Ok(bytes)
}

impl MachineId {
    /// Reads 40 hex digits of either case.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        parse_hex20(text).map(Self)
    }
}

impl Sha1 {
    /// Reads 40 hex digits of either case, and says what else the text looks like.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
        match text.len() {
            64 if digits => return Err(HashError::Sha256),
            32 if digits => return Err(HashError::Md5),
            _ => {}
        }
        let bytes = parse_hex20(text)?;
        if bytes == EMPTY_FILE {
            return Err(HashError::EmptyFile);
        }
        Ok(Self(bytes))
    }
}

macro_rules! hex20 {
    ($name:ident) => {
        impl $name {
            pub fn as_bytes(&self) -> &[u8; 20] {
                &self.0
            }

            /// Back from the 20 bytes of a stored row.
            pub fn from_bytes(bytes: [u8; 20]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 40];
                hex::encode_to_slice(self.0, &mut text).expect("20 bytes are 40 digits");
                f.pad(std::str::from_utf8(&text).expect("hex digits are ASCII"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(from)?;
                Self::parse(&text).map_err(|why| {
                    serde::de::Error::custom(format!("{} {text:?} {why}", stringify!($name)))
                })
            }
        }
    };
}

hex20!(MachineId);
hex20!(Sha1);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(name: &str) -> Self {
                Self(name.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// A tenant, by the name the configuration gives it.
    TenantName
);
name!(
    /// A source, by the name the configuration gives it.
    SourceName
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_id!(
    /// One action, for as long as it is kept. A version 7 UUID, made outside `domain`.
    ActionId
);
uuid_id!(
    /// One HTTP call for an action. A version 7 UUID, made outside `domain`.
    AttemptId
);

/// Defender's id of a machine action. Opaque; at most 64 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineActionId(String);

impl MachineActionId {
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MachineActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What an action does, whoever asked for it: one file on one machine of one tenant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EffectKey {
    pub tenant: TenantName,
    pub machine: MachineId,
    pub sha1: Sha1,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sha1_says_what_else_it_looks_like() {
        let read = |text: &str| Sha1::parse(text);
        assert_eq!(
            read("87662BC3D60E4200CEAF7AAE249D1C343F4B83C9").unwrap().to_string(),
            "87662bc3d60e4200ceaf7aae249d1c343f4b83c9"
        );
        assert_eq!(read(&"a".repeat(64)), Err(HashError::Sha256));
        assert_eq!(read(&"a".repeat(32)), Err(HashError::Md5));
        assert_eq!(read(&"0".repeat(40)), Err(HashError::Zeros));
        assert_eq!(read("da39a3ee5e6b4b0d3255bfef95601890afd80709"), Err(HashError::EmptyFile));
        assert_eq!(read(".."), Err(HashError::Malformed));
    }

    #[test]
    fn a_machine_id_is_hex_and_nothing_that_could_steer_a_url() {
        for text in ["..", "a?x=1", "%2e%2e", "win11.contoso.com", "", "1e5bc9d7/offboard?"] {
            assert_eq!(MachineId::parse(text), Err(HashError::Malformed), "{text}");
        }
    }
}
