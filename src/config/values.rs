//! Values that the configuration writes in a way of its own: spans, sizes, rates and secrets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::domain::time::{Wall, parse_span};
use crate::limits::SECRET_BYTES;

/// A length of time: `500ms`, `60s`, `30m`, `24h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    pub const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    pub const fn hours(n: u64) -> Self {
        Self::seconds(n * 3600)
    }

    pub const fn days(n: u64) -> Self {
        Self::hours(n * 24)
    }

    /// Reads a whole number and its unit, as [`parse_span`] does.
    pub fn parse(text: &str) -> Option<Self> {
        parse_span(text).map(Self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // "1h" in `per: 1h` and plain "h" both occur in people's files.
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no span of time: write 500ms, 60s, 30m, 24h or 7d"
            ))
        })
    }
}

/// A number of bytes: `65536`, `512KiB`, `1MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let factor = match &text[digits..] {
            "" | "B" => Some(1),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1_u64 << 30),
            _ => None,
        };
        let number = text[..digits].parse::<u64>().ok();
        number.zip(factor).and_then(|(n, f)| n.checked_mul(f)).map(Self).ok_or_else(|| {
            D::Error::custom(format!("{text:?} is no size: write 65536, 512KiB, 1MiB or 1GiB"))
        })
    }
}

/// A rate: `1000/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerSecond(pub u32);

impl<'de> Deserialize<'de> for PerSecond {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let number = text.strip_suffix("/s").and_then(|n| n.parse().ok());
        number
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is no rate: write 1000/s")))
    }
}

/// A day, `2027-01-31`, from its beginning in UTC; or a time, `2027-01-31T12:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub Wall);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Wall::parse(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is no date: write 2027-01-31")))
    }
}

/// A key of a later version: refused wherever it appears.
#[derive(Clone, Debug)]
pub struct NotYet;

impl<'de> Deserialize<'de> for NotYet {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("this key is not in this version: remove it"))
    }
}

/// Where a secret stands. Never the secret itself: it has no place in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Place")]
pub struct Secret {
    place: Place,
    /// The key it is named at, such as `tenants[contoso].credential.secret`, for messages.
    key: String,
    bytes_min: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The content of a file, one trailing line break removed.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
    /// The content of the file that an environment variable names. Not written: a key stands for
    /// it.
    #[serde(skip)]
    FileOf(String),
}

impl From<Place> for Secret {
    fn from(place: Place) -> Self {
        Self { place, key: String::new(), bytes_min: 1 }
    }
}

/// Why a secret can't be used, and at which key of the configuration it is named.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {why}")]
pub struct SecretError {
    key: String,
    why: SecretFlaw,
}

#[derive(Debug, thiserror::Error)]
enum SecretFlaw {
    #[error(
        "there is no file {0}: put the secret there; `install -D -m 600 /dev/stdin {0}` makes it \
         of what you paste and end with Ctrl-D"
    )]
    Missing(PathBuf),
    #[error("cannot read the secret file {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("the environment variable {0} is not set, or is not UTF-8")]
    Unset(String),
    #[error("the secret in {0} is empty: put one there")]
    Empty(String),
    #[error(
        "the secret in {0} is shorter than {1} bytes, so that it could be guessed: make a longer \
         one (openssl rand -base64 32), put it there, and give it to whoever sends it"
    )]
    Short(String, usize),
}

impl SecretFlaw {
    fn of_file(path: PathBuf, why: std::io::Error) -> Self {
        match why.kind() {
            std::io::ErrorKind::NotFound => SecretFlaw::Missing(path),
            _ => SecretFlaw::Unreadable(path, why),
        }
    }
}

/// The text of a regular file: a device or a pipe could go on for ever.
fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    std::fs::File::open(path)?.take(SECRET_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn variable(name: &str) -> Result<String, SecretFlaw> {
    std::env::var(name).map_err(|_| SecretFlaw::Unset(name.to_owned()))
}

impl Secret {
    /// One in the file that this environment variable names.
    pub(super) fn in_file_of(name: &str) -> Self {
        Place::FileOf(name.to_owned()).into()
    }

    /// Reads the secret. An unset, empty or too short one is an error: it must stop the start.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        self.text().map_err(|why| SecretError { key: self.key.clone(), why })
    }

    fn text(&self) -> Result<SecretString, SecretFlaw> {
        let text = match &self.place {
            Place::File(path) => {
                read_bounded(path).map_err(|why| SecretFlaw::of_file(path.clone(), why))?
            }
            Place::Env(name) => variable(name)?,
            Place::FileOf(name) => {
                let path = PathBuf::from(variable(name)?);
                read_bounded(&path).map_err(|why| SecretFlaw::of_file(path, why))?
            }
        };
        let text = zeroize::Zeroizing::new(text);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let secret = line.strip_suffix('\r').unwrap_or(line);
        if secret.trim().is_empty() {
            return Err(SecretFlaw::Empty(self.place()));
        }
        if secret.len() < self.bytes_min {
            return Err(SecretFlaw::Short(self.place(), self.bytes_min));
        }
        Ok(SecretString::from(secret))
    }

    /// Where it stands, for messages.
    pub fn place(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Env(name) => format!("the environment variable {name}"),
            Place::FileOf(name) => format!("the file that the environment variable {name} names"),
        }
    }

    /// The file it stands in, if it does.
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Env(_) | Place::FileOf(_) => None,
        }
    }

    /// The key of the configuration that names it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Refuses a shorter one when it is read.
    pub(super) fn at_least(&mut self, bytes: usize) {
        self.bytes_min = bytes;
    }

    /// Tells it the directory of the configuration, and the key that it is named at.
    pub(super) fn resolve(&mut self, base: &Path, key: String) {
        self.key = key;
        if let Place::File(path) = &mut self.place {
            *path = base.join(&*path);
        }
    }
}
