//! The certificates of our own listeners: until when each is good. Whether they serve at all is
//! seen with the listeners.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::{Finding, Health};
use crate::config::Config;
use crate::domain::time::Wall;
use crate::io::Clock as _;
use crate::io::clock::SystemClock;
use crate::limits::DOCTOR_EXPIRING;

pub(super) fn all(config: &Config) -> Vec<Finding> {
    let mut files = Vec::new();
    if let Some(tls) = config.listen.webhooks.as_ref().and_then(|listen| listen.tls.as_ref()) {
        files.push(("webhooks", &tls.certificate));
        files.extend(tls.client_ca.as_ref().map(|file| ("clients", file)));
    }
    files.extend(config.listen.admin.tls.as_ref().map(|tls| ("admin", &tls.certificate)));
    let now = SystemClock::new().now().wall;
    files.into_iter().filter_map(|(of, file)| certificate(of, file, now)).collect()
}

/// `None` where none can be read there.
fn certificate(of: &str, file: &Path, now: Wall) -> Option<Finding> {
    let pem = std::fs::read(file).ok()?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    // In a chain as in a list of authorities, the first to end is what matters.
    let (from, until) =
        all.iter().filter_map(|der| times(der)).reduce(|a, b| (a.0.max(b.0), a.1.min(b.1)))?;
    let check = format!("certificate {of}");
    let file = file.display();
    let how = "put the next one there; a running service takes it within a minute";
    let (health, text) = if until < now {
        (Health::Fail, format!("{file} has expired on {:.10}: {how}", until.to_string()))
    } else if from > now {
        let how = "is the clock right? Else put one there that is good now";
        (Health::Fail, format!("{file} is not good before {from}: {how}"))
    } else if until < now + DOCTOR_EXPIRING {
        (Health::Warn, format!("{file} expires on {:.10}: {how}", until.to_string()))
    } else {
        (Health::Ok, format!("{file} is good until {:.10}", until.to_string()))
    };
    Some(Finding::new(&check, health, text))
}

/// When a certificate in DER form ends.
pub(super) fn ends(der: &[u8]) -> Option<Wall> {
    times(der).map(|(_, until)| until)
}

fn times(der: &[u8]) -> Option<(Wall, Wall)> {
    let certificate = Certificate::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let wall = |time: &x509_cert::time::Time| Wall(0) + time.to_unix_duration();
    Some((wall(&validity.not_before), wall(&validity.not_after)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_certificate_is_told_before_its_end_and_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tls.crt");
        let mut params = rcgen::CertificateParams::new(vec!["lazaret.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        let end = Wall::parse("2026-03-01").unwrap();
        let of = |now: Wall| {
            let found = certificate("webhooks", &file, now).unwrap();
            (found.health, found.text)
        };
        let day = Duration::from_secs(86_400);
        assert_eq!(of(end - day * 15).0, Health::Ok);
        let (health, text) = of(end - day * 13);
        assert!(health == Health::Warn && text.contains("expires on 2026-03-01"), "{text}");
        let (health, text) = of(end + day);
        assert!(health == Health::Fail && text.contains("has expired on 2026-03-01"), "{text}");
        let (health, text) = of(end - day * 90);
        assert!(health == Health::Fail && text.contains("not good before"), "{text}");
        assert!(certificate("webhooks", &dir.path().join("gone"), end).is_none());
    }
}
