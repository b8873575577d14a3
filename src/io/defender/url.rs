//! URLs, built from typed segments only: no text from outside can steer one.

use reqwest::Url;
use uuid::Uuid;

use crate::domain::ids::{MachineActionId, MachineId, Sha1};

/// Why a base URL can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("{0:?} is no URL")]
    Malformed(String),
    #[error("{0}: http:// is accepted on a loopback address only; use https://")]
    NotSecure(String),
    #[error("{0}: give scheme, host and port only, without path, query or user")]
    NotABase(String),
}

/// A base URL: https, or http on loopback, and nothing after the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(Url);

impl Base {
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url =
            Url::parse(text).map_err(|_| UrlError::Malformed(without_user(text).to_owned()))?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        match url.scheme() {
            // A user or a password is never echoed.
            _ if !url.has_host() => Err(UrlError::NotABase(without_user(text).to_owned())),
            _ if !bare => Err(UrlError::NotABase(without_secrets(url))),
            "https" => Ok(Self(url)),
            "http" if is_loopback(&url) => Ok(Self(url)),
            _ => Err(UrlError::NotSecure(url.to_string())),
        }
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The same host and port as an https URL, which is all that some libraries accept.
    pub fn as_https(&self) -> String {
        self.0.as_str().replacen("http://", "https://", 1)
    }

    /// Where the login takes requests for tokens of this tenant.
    pub fn token(&self, tenant: Uuid) -> Url {
        self.join(&[&tenant.to_string(), "oauth2", "v2.0", "token"])
    }

    /// That URL's path and query at this host.
    pub fn instead_of(&self, url: &Url) -> Url {
        let mut here = self.0.clone();
        here.set_path(url.path());
        here.set_query(url.query());
        here
    }

    pub fn quarantine(&self, machine: MachineId) -> Url {
        self.join(&["api", "machines", &machine.to_string(), "StopAndQuarantineFile"])
    }

    pub fn machine_actions(&self) -> Url {
        self.join(&["api", "machineactions"])
    }

    /// `None` for an id that is not made of letters, digits and `-` alone: Defender's are UUIDs,
    /// and nothing else may steer a URL.
    pub fn cancel(&self, id: &MachineActionId) -> Option<Url> {
        let plain = id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain.then(|| self.join(&["api", "machineactions", id.as_str(), "cancel"]))
    }

    /// `None` for an id that has anything but letters, digits and `_.:-`, or that is a step in a
    /// path. Microsoft documents no shape; what is seen is `da637472900382838869_1364969609`.
    pub fn alert(&self, id: &str) -> Option<Url> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
        let fits = (1..=128).contains(&id.len()) && id.bytes().all(plain);
        if !fits || [".", ".."].contains(&id) {
            return None;
        }
        let mut url = self.join(&["api", "alerts", id]);
        url.set_query(Some("$expand=evidence"));
        Some(url)
    }

    pub fn machine(&self, id: MachineId) -> Url {
        self.join(&["api", "machines", &id.to_string()])
    }

    pub fn file(&self, sha1: Sha1) -> Url {
        self.join(&["api", "files", &sha1.to_string()])
    }

    /// Machines whose name starts with this label, at most `top`: as in example 8 of Microsoft's
    /// page "OData queries with Microsoft Defender for Endpoint". `None` for what is no label of
    /// letters, digits, `-` and `_`: nothing else may steer a filter.
    ///
    /// Asked for in lower case, as Defender shows names: whether the comparison minds it is not
    /// documented.
    pub fn machines(&self, label: &str, top: usize) -> Option<Url> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if !(1..=63).contains(&label.len()) || !label.bytes().all(plain) {
            return None;
        }
        let label = label.to_ascii_lowercase();
        let mut url = self.join(&["api", "machines"]);
        url.set_query(Some(&format!("$filter=startswith(computerDnsName,'{label}')&$top={top}")));
        Some(url)
    }

    fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        url.path_segments_mut().expect("an http URL has segments").clear().extend(segments);
        // The URL library drops segments such as "..": none of ours can be one.
        assert!(url.path_segments().is_some_and(|path| path.eq(segments.iter().copied())));
        url
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What is no URL of a host, without where a user, a password or a query would stand.
fn without_user(text: &str) -> &str {
    let text = text.rsplit('@').next().unwrap_or_default();
    text.split(['?', '#']).next().unwrap_or_default()
}

fn without_secrets(mut url: Url) -> String {
    // Fails only where there is no host to have a user.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_accepted_on_loopback_only() {
        for base in ["https://api.contoso.com", "http://127.0.0.1:9980", "http://[::1]:1/"] {
            assert!(Base::parse(base).is_ok(), "{base}");
        }
        for base in ["http://10.0.0.1", "http://127.0.0.1.contoso.com", "ftp://127.0.0.1"] {
            assert!(matches!(Base::parse(base), Err(UrlError::NotSecure(_))), "{base}");
        }
        assert!(matches!(Base::parse("api.contoso.com"), Err(UrlError::Malformed(_))));
    }

    #[test]
    fn a_base_has_nothing_after_its_host_and_no_secret_is_echoed() {
        for base in ["https://a/x", "https://a/?q=1", "https://a/#f", "https://u:secret@a/"] {
            let error = Base::parse(base).unwrap_err();
            assert!(matches!(error, UrlError::NotABase(_)), "{base}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for malformed in ["https://u:secret@a b/", "u:sec@secret@a", "a b?sig=secret"] {
            let error = Base::parse(malformed).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_path_is_exactly_the_documented_one() {
        let base = Base::parse("https://api.contoso.com").unwrap();
        let machine = MachineId::parse("1E5BC9D7E413DDD7902C2932E418702B84D0CC07").unwrap();
        assert_eq!(
            base.quarantine(machine).as_str(),
            "https://api.contoso.com/api/machines/1e5bc9d7e413ddd7902c2932e418702b84d0cc07/\
             StopAndQuarantineFile"
        );
        assert_eq!(base.machine_actions().as_str(), "https://api.contoso.com/api/machineactions");
        let id = MachineActionId::parse("988cc94e-7a8f-4b28-ab65-54970c5d5018").unwrap();
        assert_eq!(
            base.cancel(&id).unwrap().as_str(),
            "https://api.contoso.com/api/machineactions/988cc94e-7a8f-4b28-ab65-54970c5d5018/cancel"
        );
        for steering in ["..", ".", "a/b", "a?b", "a%2e", "a#b", "a\\b"] {
            let id = MachineActionId::parse(steering).unwrap();
            assert_eq!(base.cancel(&id), None, "{steering}");
        }
    }
    #[test]
    fn an_alert_is_asked_for_by_an_id_that_can_be_one() {
        let base = Base::parse("https://api.contoso.com").unwrap();
        let longest = "a".repeat(128);
        for id in ["da637472900382838869_1364969609", "sn34c87846-505a", "a.b:c", "...", &longest] {
            let url = format!("https://api.contoso.com/api/alerts/{id}?$expand=evidence");
            assert_eq!(base.alert(id).unwrap().as_str(), url);
        }
        let too_long = "a".repeat(129);
        for steering in
            ["", ".", "..", "a/b", "a?b", "a%2e", "a#b", "a\\b", "a b", "a\n", "\u{e4}", &too_long]
        {
            assert_eq!(base.alert(steering), None, "{steering}");
        }
    }

    #[test]
    fn machines_are_asked_for_by_a_label_and_nothing_that_ends_its_quotes() {
        let base = Base::parse("https://api.contoso.com").unwrap();
        assert_eq!(
            base.machines("WIN_11-a", 5).unwrap().as_str(),
            "https://api.contoso.com/api/machines?\
             $filter=startswith(computerDnsName,%27win_11-a%27)&$top=5"
        );
        assert!(base.machines(&"a".repeat(63), 5).is_some());
        let too_long = "a".repeat(64);
        for steering in
            ["", "a'", "a')or(true", "a b", "a.b", "a&b", "a%27", "a#", "a+", "\u{e4}", &too_long]
        {
            assert_eq!(base.machines(steering, 5), None, "{steering}");
        }
    }
}
