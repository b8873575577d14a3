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
    let now = SystemClock::new().now().wall;
    let webhooks = config.listen.webhooks.as_ref().and_then(|listen| listen.tls.as_ref());
    let admin = config.listen.admin.tls.as_ref();
    let own = [
        webhooks.and_then(|tls| chain("webhooks", &tls.certificate, now)),
        webhooks.and_then(|tls| authorities("clients", tls.client_ca.as_ref()?, now)),
        admin.and_then(|tls| chain("admin", &tls.certificate, now)),
    ];
    own.into_iter().flatten().collect()
}

/// From when until when a certificate is good.
type Times = (Wall, Wall);

/// Of a chain the first to end is what matters. `None` where no certificate can be read, which is
/// told of the listener.
fn chain(of: &str, file: &Path, now: Wall) -> Option<Finding> {
    let times = read(file).into_iter().reduce(|a, b| (a.0.max(b.0), a.1.min(b.1)))?;
    Some(judged(of, file, times, now))
}

/// Of authorities that clients may come from one is enough; those that have ended, as after a
/// change to the next one, only vouch for nobody any more.
fn authorities(of: &str, file: &Path, now: Wall) -> Option<Finding> {
    let all = read(file);
    let best = all.iter().max_by_key(|(from, until)| (*from <= now, *until))?;
    let found = judged(of, file, *best, now);
    let is_ending = |(from, until): &&Times| *from > now || *until < now + DOCTOR_EXPIRING;
    let ending = all.iter().filter(is_ending).count();
    if found.health != Health::Ok || ending == 0 {
        return Some(found);
    }
    let text = format!(
        "{}: {ending} of its {} authorities are not good now, or end within {} days: senders with \
         certificates of theirs are refused then",
        file.display(),
        all.len(),
        DOCTOR_EXPIRING.as_secs() / 86_400
    );
    Some(Finding { health: Health::Warn, text, ..found })
}

fn read(file: &Path) -> Vec<Times> {
    let pem = std::fs::read(file).unwrap_or_default();
    let all = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    all.filter_map(|der| times(&der)).collect()
}

fn judged(of: &str, file: &Path, (from, until): Times, now: Wall) -> Finding {
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
    Finding::new(&check, health, text)
}

/// When a certificate in DER form ends.
pub(super) fn ends(der: &[u8]) -> Option<Wall> {
    times(der).map(|(_, until)| until)
}

fn times(der: &[u8]) -> Option<Times> {
    let certificate = Certificate::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let wall = |time: &x509_cert::time::Time| Wall(0) + time.to_unix_duration();
    Some((wall(&validity.not_before), wall(&validity.not_after)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// One in PEM form that is good between these days.
    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> String {
        let mut params = rcgen::CertificateParams::new(vec!["lazaret.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_certificate_is_told_before_its_end_and_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tls.crt");
        std::fs::write(&file, certificate((2026, 1, 1), (2026, 3, 1))).unwrap();
        let end = Wall::parse("2026-03-01").unwrap();
        let of = |now: Wall| {
            let found = chain("webhooks", &file, now).unwrap();
            (found.health, found.text)
        };
        assert_eq!(of(end - DAY * 15).0, Health::Ok);
        let (health, text) = of(end - DAY * 13);
        assert!(health == Health::Warn && text.contains("expires on 2026-03-01"), "{text}");
        let (health, text) = of(end + DAY);
        assert!(health == Health::Fail && text.contains("has expired on 2026-03-01"), "{text}");
        let (health, text) = of(end - DAY * 90);
        assert!(health == Health::Fail && text.contains("not good before"), "{text}");
        assert!(chain("webhooks", &dir.path().join("gone"), end).is_none());
    }

    #[test]
    fn an_authority_that_has_ended_beside_one_that_is_good_is_only_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clients.pem");
        let (old, new) = ((2026, 3, 1), (2027, 1, 1));
        let both = [certificate((2026, 1, 1), old), certificate((2026, 2, 1), new)].concat();
        std::fs::write(&file, both).unwrap();
        let of = |now: Wall| {
            let found = authorities("clients", &file, now).unwrap();
            (found.health, found.text)
        };
        let end = Wall::parse("2026-03-01").unwrap();
        assert_eq!(of(end - DAY * 15).0, Health::Ok);
        for now in [end - DAY * 30, end - DAY * 13, end + DAY] {
            let (health, text) = of(now);
            assert!(health == Health::Warn && text.contains("1 of its 2 authorities"), "{text}");
        }
        let (health, text) = of(end + DAY * 400);
        assert!(health == Health::Fail && text.contains("has expired on 2027-01-01"), "{text}");
    }
}
