//! The schemes: which bytes are signed, by which algorithm.

use std::time::Duration;

use super::client::Subjects;
use super::entra::Entra;
use crate::limits;

/// How the deliveries of a source prove where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks 1.0, version `v1`; also under the header names of Svix, its ancestor.
    StandardWebhooks,
    Github,
    Slack,
    Stripe,
    Hmac(Box<HmacScheme>),
    /// `Authorization: Bearer SECRET`. Protects neither the body nor against replays.
    Bearer,
    /// `Authorization: Bearer TOKEN`, signed by Microsoft Entra. As `bearer`, it protects neither
    /// the body nor against replays; nobody needs to keep a secret for it.
    Entra(Box<Entra>),
    /// A certificate of the connection. Protects what goes over that connection.
    MutualTls(Subjects),
    /// Anyone may send. The listener takes it on loopback only.
    None,
}

/// An HMAC as some other sender computes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacScheme {
    /// The header that carries the signature.
    pub header: String,
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    /// What stands before the encoded signature, such as `sha256=`. Often empty.
    pub prefix: String,
    pub signs: Template,
    /// `None`: copies are recognised by their content alone, for a day.
    pub timestamp: Option<TimestampHeader>,
    /// The header that carries the delivery's id, where it is signed.
    pub id: Option<String>,
}

/// A header with the time of signing, in whole Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampHeader {
    pub header: String,
    /// How far it may be off, either way: 1 s to [`limits::SIGNATURE_TOLERANCE_MAX`].
    pub tolerance: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Digits of either case.
    Hex,
    /// The standard alphabet, with padding.
    Base64,
}

/// What is signed: text in which `{body}`, `{timestamp}` and `{id}` stand for those of the
/// delivery, such as `v0:{timestamp}:{body}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Id,
    Timestamp,
    Body,
}

/// Why a source's `verify` section can't be used. Names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("{given} secrets are given; this scheme takes {least} to {most}")]
    SecretCount { given: usize, least: usize, most: usize },
    #[error("secret {} {why}", index + 1)]
    Secret { index: usize, why: &'static str },
    #[error("what is signed, {template:?}, {why}")]
    Template { template: String, why: &'static str },
    #[error("{0:?} can't be the name of a header")]
    HeaderName(String),
    #[error("the header {0} is named for two things")]
    SameHeader(String),
    #[error("the prefix {0:?} is not visible ASCII")]
    Prefix(String),
    #[error("the tolerance is not 1 s to {} s", limits::SIGNATURE_TOLERANCE_MAX.as_secs())]
    Tolerance,
    #[error(
        "{0:?} is no subject of a certificate: write one of its DNS names, or the subject as \
         `openssl x509 -noout -subject -nameopt RFC2253` prints it, such as CN=soar,O=Contoso"
    )]
    Subject(String),
    #[error("{0} is empty")]
    Empty(&'static str),
}

impl Scheme {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Scheme::Hmac(scheme) => scheme.algorithm,
            _ => Algorithm::Sha256,
        }
    }

    /// The signed bytes, in pieces, so that the body is not copied.
    pub(super) fn parts<'a>(
        &'a self,
        id: &'a str,
        timestamp: &'a str,
        body: &'a [u8],
    ) -> Vec<&'a [u8]> {
        match self {
            Scheme::StandardWebhooks => {
                vec![id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
            }
            Scheme::Slack => vec![b"v0:", timestamp.as_bytes(), b":", body],
            Scheme::Stripe => vec![timestamp.as_bytes(), b".", body],
            Scheme::Github
            | Scheme::Bearer
            | Scheme::Entra(_)
            | Scheme::MutualTls(_)
            | Scheme::None => vec![body],
            Scheme::Hmac(scheme) => scheme.signs.parts(id, timestamp, body),
        }
    }

    /// Whether a source has secrets of its own to check a delivery with.
    pub(super) fn has_secrets(&self) -> bool {
        !matches!(self, Scheme::Entra(_) | Scheme::MutualTls(_) | Scheme::None)
    }

    /// Whether something is computed over the body.
    pub(super) fn signs(&self) -> bool {
        self.has_secrets() && !matches!(self, Scheme::Bearer)
    }

    /// Whether the pieces of a generic scheme fit together. The published ones do.
    pub(super) fn check(&self) -> Result<(), SealError> {
        let Scheme::Hmac(scheme) = self else { return Ok(()) };
        let timestamp = scheme.timestamp.as_ref().map(|timestamp| &timestamp.header);
        let names: Vec<&String> =
            [Some(&scheme.header), timestamp, scheme.id.as_ref()].into_iter().flatten().collect();
        for (index, name) in names.iter().enumerate() {
            if name.is_empty()
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            {
                return Err(SealError::HeaderName((*name).clone()));
            }
            if names[..index].iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(SealError::SameHeader((*name).clone()));
            }
        }
        if !scheme.prefix.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SealError::Prefix(scheme.prefix.clone()));
        }
        let widest = limits::SIGNATURE_TOLERANCE_MAX;
        if let Some(TimestampHeader { tolerance, .. }) = scheme.timestamp
            && !(Duration::from_secs(1)..=widest).contains(&tolerance)
        {
            return Err(SealError::Tolerance);
        }
        scheme.signs.check(timestamp.is_some(), scheme.id.is_some())
    }
}

impl Template {
    /// Reads `{body}`, `{timestamp}`, `{id}` and the text between them. A brace can't be text.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let refuse = |why| SealError::Template { template: text.to_owned(), why };
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (before, after) = rest.split_once('{').unwrap_or((rest, ""));
            if before.contains('}') {
                return Err(refuse("has a brace that closes nothing"));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            if before.len() == rest.len() {
                break;
            }
            let (name, after) = after.split_once('}').ok_or(refuse("has an unclosed brace"))?;
            parts.push(match name {
                "id" => Part::Id,
                "timestamp" => Part::Timestamp,
                "body" => Part::Body,
                _ => return Err(refuse("has braces around other than body, timestamp or id")),
            });
            rest = after;
        }
        Ok(Self(parts))
    }

    fn parts<'a>(&'a self, id: &'a str, timestamp: &'a str, body: &'a [u8]) -> Vec<&'a [u8]> {
        let bytes = |part: &'a Part| match part {
            Part::Text(text) => text.as_bytes(),
            Part::Id => id.as_bytes(),
            Part::Timestamp => timestamp.as_bytes(),
            Part::Body => body,
        };
        self.0.iter().map(bytes).collect()
    }

    fn check(&self, has_timestamp: bool, has_id: bool) -> Result<(), SealError> {
        let count = |wanted: &Part| self.0.iter().filter(|part| *part == wanted).count();
        let why = if count(&Part::Body) != 1 {
            "must have {body} once: what is not signed proves nothing"
        } else if count(&Part::Timestamp) != usize::from(has_timestamp) {
            "must have {timestamp} once where a timestamp header is named, and nowhere else"
        } else if count(&Part::Id) != usize::from(has_id) {
            "must have {id} once where an id header is named, and nowhere else"
        } else if !self.sets_id_apart() {
            "must set {id} apart by text such as `.`, or the end of an id could pass for content"
        } else {
            return Ok(());
        };
        let template = self.0.iter().map(Part::as_template).collect();
        Err(SealError::Template { template, why })
    }

    /// Whether what stands beside the id can't be taken for a piece of it.
    fn sets_id_apart(&self) -> bool {
        let Some(at) = self.0.iter().position(|part| *part == Part::Id) else { return true };
        let apart = |part: Option<&Part>, edge: fn(&str) -> Option<char>| match part {
            None => true,
            Some(Part::Text(text)) => edge(text).is_some_and(|c| !is_id_char(c)),
            Some(_) => false,
        };
        let before = at.checked_sub(1).map(|before| &self.0[before]);
        apart(before, |text| text.chars().next_back())
            && apart(self.0.get(at + 1), |text| text.chars().next())
    }
}

impl Part {
    fn as_template(&self) -> &str {
        match self {
            Part::Text(text) => text,
            Part::Id => "{id}",
            Part::Timestamp => "{timestamp}",
            Part::Body => "{body}",
        }
    }
}

/// Characters of signed ids: enough for UUIDs, hex, Base64 and `msg_…`, and none that the schemes
/// use as separators.
pub(super) fn is_id_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-+/=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(template: &str, change: fn(&mut HmacScheme)) -> SealError {
        let timestamp =
            TimestampHeader { header: "X-Time".into(), tolerance: Duration::from_secs(60) };
        let mut scheme = HmacScheme {
            header: "X-Signature".into(),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            prefix: String::new(),
            signs: Template::parse(template).unwrap(),
            timestamp: template.contains("{timestamp}").then_some(timestamp),
            id: template.contains("{id}").then(|| "X-Id".into()),
        };
        change(&mut scheme);
        Scheme::Hmac(Box::new(scheme)).check().unwrap_err()
    }

    #[test]
    fn a_template_holds_known_names_in_pairs_of_braces() {
        for template in ["{body", "body}", "{}", "{body}{tenant}", "{{body}}"] {
            let read = Template::parse(template);
            assert!(matches!(read, Err(SealError::Template { .. })), "{template}: {read:?}");
        }
    }

    #[test]
    fn what_is_signed_can_be_read_in_one_way_only() {
        for template in [
            "",
            "{timestamp}",
            "{body}{body}",
            "{id}{body}.{timestamp}",
            "{timestamp}{id}.{body}",
            "{body}.x{id}",
            "{body}.{id}.{id}",
        ] {
            let why = refused(template, |_| ());
            assert!(matches!(why, SealError::Template { .. }), "{template}: {why}");
        }
    }

    #[test]
    fn headers_and_template_name_the_same_things() {
        let whole = "{timestamp}.{id}.{body}";
        assert!(matches!(refused(whole, |s| s.timestamp = None), SealError::Template { .. }));
        assert!(matches!(refused(whole, |s| s.id = None), SealError::Template { .. }));
        assert!(matches!(refused(whole, |s| s.header = "a b".into()), SealError::HeaderName(_)));
        assert!(matches!(refused(whole, |s| s.header = "x-id".into()), SealError::SameHeader(_)));
        assert!(matches!(refused(whole, |s| s.prefix = "a b".into()), SealError::Prefix(_)));
    }

    #[test]
    fn a_tolerance_ends_before_replay_ids_do() {
        let template = "{timestamp}.{body}";
        let zero = refused(template, |s| s.timestamp.as_mut().unwrap().tolerance = Duration::ZERO);
        let long = refused(template, |s| {
            s.timestamp.as_mut().unwrap().tolerance = Duration::from_secs(451);
        });
        assert_eq!((zero, long), (SealError::Tolerance, SealError::Tolerance));
    }
}
