//! Certificates of senders: whose name stands in the one that TLS has found valid.

use std::str::FromStr;

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::RdnSequence;

use super::SealError;
use crate::domain::time::Wall;

/// Which certificates are good for a source: those with one of these names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects(Vec<Subject>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// The whole subject, as RFC 4514 writes it. It has a `=`, which no host's name has.
    Whole(String),
    /// A DNS name among the subject's alternative names, in small letters.
    Dns(String),
}

/// Why a connection's certificate is not taken. The names in it are the authority's word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFlaw {
    #[error("the connection was opened without a certificate")]
    Missing,
    #[error("the connection's certificate can't be read")]
    Unreadable,
    /// It was good when the connection was opened.
    #[error("the connection's certificate has expired since it was opened")]
    Expired,
    #[error("the connection's certificate is for {0}, which this source does not list")]
    Subject(String),
}

impl Subjects {
    /// Reads subjects: each is the whole subject in the form of RFC 4514, or one DNS name.
    pub fn parse(texts: &[String]) -> Result<Self, SealError> {
        if texts.is_empty() {
            return Err(SealError::Empty("subjects"));
        }
        texts.iter().map(|text| Subject::parse(text)).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn verify(
        &self,
        certificate: Option<&[u8]>,
        now: Wall,
    ) -> Result<(), CertificateFlaw> {
        let certificate = certificate.ok_or(CertificateFlaw::Missing)?;
        let certificate =
            Certificate::from_der(certificate).map_err(|_| CertificateFlaw::Unreadable)?;
        let of = certificate.tbs_certificate();
        let ends = of.validity().not_after.to_unix_duration().as_micros();
        if u128::try_from(now.0).is_ok_and(|now| now > ends) {
            return Err(CertificateFlaw::Expired);
        }
        let names = of.get_extension::<SubjectAltName>();
        let names = names.map_err(|_| CertificateFlaw::Unreadable)?;
        let mut dns: Vec<String> = Vec::new();
        for name in names.iter().flat_map(|(_, names)| &names.0) {
            if let GeneralName::DnsName(name) = name {
                dns.push(name.as_str().to_ascii_lowercase());
            }
        }
        let whole = of.subject().to_string();
        let listed = self.0.iter().any(|subject| match subject {
            Subject::Whole(wanted) => *wanted == whole,
            Subject::Dns(wanted) => dns.contains(wanted),
        });
        if listed {
            return Ok(());
        }
        let names = std::iter::once(whole).chain(dns).filter(|name| !name.is_empty());
        let names = names.collect::<Vec<_>>().join(" and ");
        Err(CertificateFlaw::Subject(names.chars().take(TOLD_CHARS).collect()))
    }
}

/// Of the names of a certificate that is not listed.
const TOLD_CHARS: usize = 200;

impl Subject {
    fn parse(text: &str) -> Result<Self, SealError> {
        let refuse = || SealError::Subject(text.to_owned());
        if text.contains('=') {
            // Read and written again, so that spelling does not matter where meaning is the same.
            let name = RdnSequence::from_str(text).map_err(|_| refuse())?;
            return Ok(Self::Whole(name.to_string()));
        }
        let in_name = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let fits = (1..=253).contains(&text.len()) && text.bytes().all(in_name);
        if fits { Ok(Self::Dns(text.to_ascii_lowercase())) } else { Err(refuse()) }
    }
}

impl CertificateFlaw {
    /// One word for the metric.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            CertificateFlaw::Missing => "missing",
            CertificateFlaw::Unreadable => "malformed",
            CertificateFlaw::Expired => "too_old",
            CertificateFlaw::Subject(_) => "subject",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Subject, SealError> {
        Subject::parse(text)
    }

    #[test]
    fn a_whole_subject_and_a_dns_name_are_told_apart() {
        let whole = |text: &str| Ok(Subject::Whole(text.to_owned()));
        assert_eq!(parsed("CN=soar,O=Contoso,C=DE"), whole("CN=soar,O=Contoso,C=DE"));
        assert_eq!(parsed("cn=soar,o=Contoso"), whole("CN=soar,O=Contoso"));
        assert_eq!(parsed(r"CN=a\,O\=b\2Cc"), whole(r"CN=a\,O=b\,c"));
        assert_eq!(parsed("Soar.contoso.com"), Ok(Subject::Dns("soar.contoso.com".into())));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "*.contoso.com", "soar contoso", "what=ever", "CN=a,,", "=a", "ü.de"] {
            assert!(matches!(parsed(text), Err(SealError::Subject(_))), "{text}");
        }
        assert_eq!(Subjects::parse(&[]), Err(SealError::Empty("subjects")));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let subjects = Subjects::parse(&["a.example".to_owned()]).unwrap();
        let verify = |der| subjects.verify(der, Wall(0));
        assert_eq!(verify(None), Err(CertificateFlaw::Missing));
        assert_eq!(verify(Some(b"")), Err(CertificateFlaw::Unreadable));
        assert_eq!(verify(Some(b"\x30\x03\x02\x01\x00")), Err(CertificateFlaw::Unreadable));
    }
}
